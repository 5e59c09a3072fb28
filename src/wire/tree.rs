//! One small tree for every answer, whether it came as JSON or as XML: what is format-blind reads this.

use std::borrow::Cow;

use crate::fiscal::{Amount, KraDateTime, Quantity};

use super::{json, xml};

/// The largest body that is read, in bytes.
pub const MAX_BYTES: usize = 8 * 1024 * 1024;
/// How deep an answer may nest.
pub const MAX_DEPTH: usize = 64;
/// How many values an answer may hold: a look-up of a sale of 999 lines has about 25,000.
pub const MAX_NODES: usize = 250_000;
/// How many fields one object may have; a sale has about 60.
pub const MAX_FIELDS: usize = 1_000;

/// A value in an answer. Numbers keep their own digits as text; nothing passes through binary floating point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tree<'a> {
    /// An explicit null; in XML an element without content.
    Null,
    /// A text, or a number's or truth value's own characters.
    Text(Cow<'a, str>),
    /// A list; in XML an element whose children are all named `item`, or an element that was repeated.
    List(Vec<Tree<'a>>),
    /// Fields in the order they came, each name once, without outer spaces.
    Object(Vec<(Cow<'a, str>, Tree<'a>)>),
}

/// Why a body could not be read. Says nothing of the content: it may hold names and keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeFault {
    /// One name twice in an object, with different values.
    #[error("the same field twice with different values")]
    Ambiguous,
    /// Nothing in it.
    #[error("an empty body")]
    Empty,
    /// Not JSON, or not well-formed XML.
    #[error("neither JSON nor well-formed XML")]
    Malformed,
    /// A DTD, an entity that is not predefined, or a processing instruction.
    #[error("XML with a document type, an entity or a processing instruction")]
    NotPlainXml,
    /// Not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
    /// Deeper than [`MAX_DEPTH`].
    #[error("nested too deeply")]
    TooDeep,
    /// More than [`MAX_BYTES`].
    #[error("too large")]
    TooLarge,
    /// More than [`MAX_NODES`], or an object of more than [`MAX_FIELDS`].
    #[error("too many values")]
    TooMany,
}

/// Counts values against [`MAX_NODES`] and levels against [`MAX_DEPTH`].
pub(super) struct Allowance {
    nodes: usize,
}

impl Allowance {
    pub(super) const fn new() -> Self {
        Self { nodes: MAX_NODES }
    }

    /// One more value at this depth, the root being at 1.
    pub(super) fn spend(&mut self, depth: usize) -> Result<(), TreeFault> {
        if depth > MAX_DEPTH {
            return Err(TreeFault::TooDeep);
        }
        self.nodes = self.nodes.checked_sub(1).ok_or(TreeFault::TooMany)?;
        Ok(())
    }
}

impl<'a> Tree<'a> {
    /// Reads a body of either format: one that begins with `<` is XML, anything else JSON. KRA's error pages do not
    /// always keep to the format that was asked for.
    ///
    /// # Errors
    /// The body is not JSON and not plain XML, or beyond the limits of size, depth and count.
    pub fn read(body: &'a [u8]) -> Result<Self, TreeFault> {
        if body.len() > MAX_BYTES {
            return Err(TreeFault::TooLarge);
        }
        let text = std::str::from_utf8(body).map_err(|_| TreeFault::NotUtf8)?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim_ascii();
        match text.bytes().next() {
            None => Err(TreeFault::Empty),
            Some(b'<') => xml::read(text),
            Some(_) => json::read(text),
        }
    }

    /// The field of this name; `None` where this is no object, or the field is missing or null.
    pub fn field(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(fields) => fields
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value)
                .filter(|value| **value != Self::Null),
            _ => None,
        }
    }

    /// The field's text without outer spaces; `None` where it is missing, null, empty, or no text.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.field(name)? {
            Self::Text(text) => Some(text.trim()).filter(|text| !text.is_empty()),
            _ => None,
        }
    }

    /// The field as a whole number, written as number or text, with or without zeros behind a point.
    pub fn whole(&self, name: &str) -> Option<u64> {
        let text = self.text(name)?;
        let (digits, zeros) = text.split_once('.').unwrap_or((text, ""));
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if plain && zeros.bytes().all(|byte| byte == b'0') { digits.parse().ok() } else { None }
    }

    /// The field as money.
    pub fn amount(&self, name: &str) -> Option<Amount> {
        Amount::parse(self.text(name)?).ok()
    }

    /// The field as a quantity.
    pub fn quantity(&self, name: &str) -> Option<Quantity> {
        Quantity::parse(self.text(name)?).ok()
    }

    /// The field as a time in either of KRA's ways of writing one.
    pub fn time(&self, name: &str) -> Option<KraDateTime> {
        KraDateTime::parse_kra(self.text(name)?).ok()
    }

    /// The field as a list. A lone object counts as a list of one, an empty text as an empty list.
    pub fn list(&self, name: &str) -> Option<&[Self]> {
        match self.field(name)? {
            Self::List(values) => Some(values),
            object @ Self::Object(_) => Some(std::slice::from_ref(object)),
            Self::Text(text) if text.trim().is_empty() => Some(&[]),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &[u8] =
        br#"{"resultCd":"000", "data":{"curRcptNo ":41.0,"big":1234567890123456.78,"none":null,
        "list":[{"a":"x"}],"empty":[],"when":"2025-01-15 10:15:33.0","word":" y "}}"#;
    const XML: &[u8] = b"<?xml version=\"1.0\"?><Any><resultCd>000</resultCd><data><curRcptNo>41</curRcptNo>\
        <big>1234567890123456.78</big><none/><list><item><a>x</a></item></list><empty></empty>\
        <when>20250115101533</when><word> y </word></data></Any>";

    #[test]
    fn both_formats_read_alike() {
        for body in [JSON, XML] {
            let tree = Tree::read(body).unwrap();
            let data = tree.field("data").unwrap();
            assert_eq!(tree.text("resultCd"), Some("000"));
            assert_eq!(data.whole("curRcptNo"), Some(41));
            assert_eq!(data.amount("big").unwrap().hundredths(), 123_456_789_012_345_678);
            assert_eq!(data.field("none"), None);
            assert_eq!(data.list("list").unwrap().len(), 1);
            assert_eq!(data.list("list").unwrap()[0].text("a"), Some("x"));
            assert_eq!(data.time("when").unwrap().to_string(), "20250115101533");
            assert_eq!(data.text("word"), Some("y"));
            assert_eq!(data.text("list"), None);
        }
    }

    #[test]
    fn whole_numbers() {
        for (json, expected) in [
            ("7", Some(7)),
            ("\"7\"", Some(7)),
            ("7.00", Some(7)),
            ("7.5", None),
            ("-7", None),
            ("7e2", None),
            ("\"\"", None),
            ("18446744073709551616", None),
            ("true", None),
        ] {
            let body = format!("{{\"n\":{json}}}");
            assert_eq!(Tree::read(body.as_bytes()).unwrap().whole("n"), expected, "{json}");
        }
    }

    #[test]
    fn what_is_refused() {
        let deep_json = format!("{}1{}", "[".repeat(65), "]".repeat(65));
        let deep_xml = format!("{}{}", "<a>".repeat(65), "</a>".repeat(65));
        let many = format!("[{}1]", "1,".repeat(MAX_NODES));
        let wide: Vec<String> = (0..=MAX_FIELDS).map(|n| format!("\"f{n}\":1")).collect();
        let wide = format!("{{{}}}", wide.join(","));
        for (body, expected) in [
            (wide.as_str(), TreeFault::TooMany),
            ("", TreeFault::Empty),
            (" \n", TreeFault::Empty),
            ("{", TreeFault::Malformed),
            ("{}{}", TreeFault::Malformed),
            ("{\"a\":1,}", TreeFault::Malformed),
            ("hello", TreeFault::Malformed),
            ("{\"a\":\"\\ud800\"}", TreeFault::Malformed),
            ("{\"a\":1,\"a \":2}", TreeFault::Ambiguous),
            (deep_json.as_str(), TreeFault::TooDeep),
            (deep_xml.as_str(), TreeFault::TooDeep),
            (many.as_str(), TreeFault::TooMany),
            ("<a>", TreeFault::Malformed),
            ("<a></b>", TreeFault::Malformed),
            ("<a/><b/>", TreeFault::Malformed),
            ("<a/>x", TreeFault::Malformed),
            ("<!-- only -->", TreeFault::Malformed),
            ("<!DOCTYPE a [<!ENTITY e SYSTEM \"file:///etc/passwd\">]><a>&e;</a>", TreeFault::NotPlainXml),
            ("<a>&nbsp;</a>", TreeFault::NotPlainXml),
            ("<a>&#0;</a>", TreeFault::Malformed),
            ("<a><?php x ?></a>", TreeFault::NotPlainXml),
            ("<a/><?xml version=\"1.0\"?>", TreeFault::NotPlainXml),
        ] {
            assert_eq!(Tree::read(body.as_bytes()), Err(expected), "{:.60}", body);
        }
        assert_eq!(Tree::read(b"\xff\xfe<a/>"), Err(TreeFault::NotUtf8));
        assert_eq!(Tree::read(&vec![b' '; MAX_BYTES + 1]), Err(TreeFault::TooLarge));
    }

    #[test]
    fn the_last_level_is_allowed() {
        let json = format!("{}{}", "[".repeat(64), "]".repeat(64));
        assert!(Tree::read(json.as_bytes()).is_ok());
        let xml = format!("{}{}", "<a>".repeat(64), "</a>".repeat(64));
        assert!(Tree::read(xml.as_bytes()).is_ok());
    }

    #[test]
    fn a_field_twice_with_one_value_is_one_field() {
        let tree = Tree::read(b"{\"resultCd\":\"000\",\"resultCd \":\"000\"}").unwrap();
        assert_eq!(tree.text("resultCd"), Some("000"));
    }

    #[test]
    fn a_repeated_element_is_a_list_and_no_text() {
        let tree = Tree::read(b"<r><c>000</c><c>994</c><s><n>1</n></s><s><n>2</n></s></r>").unwrap();
        assert_eq!(tree.text("c"), None);
        assert_eq!(tree.list("s").unwrap().len(), 2);
    }

    #[test]
    fn xml_references_and_cdata() {
        let tree =
            Tree::read("<r><n>A&amp;B &lt;&#75;&#x45;&gt; <![CDATA[<&>]]></n></r>".as_bytes()).unwrap();
        assert_eq!(tree.text("n"), Some("A&B <KE> <&>"));
        let prefixed = Tree::read(b"<s:r xmlns:s='u'><s:resultCd>0</s:resultCd></s:r>").unwrap();
        assert_eq!(prefixed.text("resultCd"), Some("0"));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
            let _ = Tree::read(&bytes);
        }

        #[test]
        fn no_near_xml_panics(text in "[<>/a!?\\[\\]&;#x0-9 \"'=D-]{0,200}") {
            let _ = Tree::read(text.as_bytes());
            let _ = Tree::read(format!("<{text}").as_bytes());
        }

        #[test]
        fn no_near_json_panics(text in "[\\[\\]{}:,\"\\\\un0-9eE.+ -]{0,200}") {
            let _ = Tree::read(text.as_bytes());
            let _ = Tree::read(format!("{{\"a\":{text}}}").as_bytes());
        }
    }
}
