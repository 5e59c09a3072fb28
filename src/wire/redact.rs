//! What of an exchange with KRA may be kept for a technician: the shape of both bodies, codes, numbers, dates and
//! amounts, and KRA's words with everything personal taken out. Never a key, a name, a PIN or a phone number. Pure.
//!
//! Only what is listed here is shown; a field that nobody has thought of is masked. Both formats come out as the same
//! JSON, since both are read into one tree first, which undoes every escape.

use std::fmt;

use super::scrub::{MASK, Scrubber};
use super::tree::{Tree, TreeFault};

/// The longest body that is looked into, bytes. Longer ones (lists of codes) tell a technician nothing about a sale.
const LONGEST_READ: usize = 256 << 10;
/// About how long one redacted body may get, bytes.
const LONGEST_KEPT: usize = 6 << 10;
/// Characters of one text that are kept.
const LONGEST_TEXT: usize = 500;
/// Characters of a page that is no answer of KRA.
const LONGEST_EXCERPT: usize = 200;
/// The longest name of a field that is shown.
const LONGEST_NAME: usize = 40;

/// Codes, numbers, dates and amounts: shown as they are.
#[rustfmt::skip]
const SHOWN: &[&str] = &[
    "bhfId", "cd", "cdCls", "cfmDt", "cnclDt", "cnclReqDt", "curRcptNo", "dcAmt", "dcRt", "dvcSrlNo", "dvcId",
    "intrlData", "invcNo", "isrcAmt", "isrcRt", "isrccCd", "itemClsCd", "itemCd", "itemSeq", "itemTyCd", "lastReqDt", "mrcNo",
    "noticeNo", "orgInvcNo", "orgnNatCd", "pkg", "pkgUnitCd", "pmtTyCd", "prc", "prchrAcptcYn", "qty", "qtyUnitCd", "rcptPbctDt",
    "rcptSign", "rcptTyCd", "regDt", "responseCode", "responseRefID", "resultCd", "resultDt", "rfdDt", "rfdRsnCd", "salesDt",
    "salesSttsCd", "salesTyCd", "sdcDateTime", "sdcId", "splyAmt", "stockRlsDt", "taxAmt", "taxAmtA", "taxAmtB", "taxAmtC", "taxAmtD",
    "taxAmtE", "taxRtA", "taxRtB", "taxRtC", "taxRtD", "taxRtE", "taxTyCd", "taxblAmt", "taxblAmtA", "taxblAmtB", "taxblAmtC",
    "taxblAmtD", "taxblAmtE", "totAmt", "totItemCnt", "totRcptNo", "totTaxAmt", "totTaxblAmt", "trdInvcNo", "useYn", "vatCatCd",
    "dftPrc", "grpPrcL1", "grpPrcL2", "grpPrcL3", "grpPrcL4", "grpPrcL5", "sftyQty", "isrcAplcbYn", "itemClsLvl", "mjrTgYn",
    "sarNo", "orgSarNo", "sarTyCd", "regTyCd", "ocrnDt", "rsdQty", "taxprSttsCd", "bhfSttsCd", "hqYn", "totDcAmt", "srtOrd",
    "spplrInvcNo", "pchsTyCd", "pchsSttsCd", "pchsDt", "wrhsDt",
];
/// What goods and codes are called: masked, and no reason to mask the same word elsewhere.
#[rustfmt::skip]
const GOODS: &[&str] = &[
    "addInfo", "bcd", "btchNo", "cdClsDesc", "cdClsNm", "cdDesc", "cdNm", "cont", "dtlUrl", "isrccNm", "itemClsNm", "itemNm",
    "itemStdNm", "title", "userDfnCd1", "userDfnCd2", "userDfnCd3", "userDfnNm1", "userDfnNm2", "userDfnNm3",
];
/// KRA's own words: shown with what is personal taken out.
const WORDS: &[&str] = &["customerMessage", "debugMessage", "errorcode", "faultstring", "resultMsg"];

/// Both bodies of an exchange, fit to be kept, each a JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redacted {
    /// What was sent; `null` where there was no body.
    pub request: String,
    /// What came back.
    pub answer: String,
    /// KRA's words.
    pub message: Option<String>,
    /// `responseRefID`, which KRA's support asks for.
    pub reference: Option<String>,
}

/// Words for people with nothing in them of these values, in whatever spelling, nor of what looks like a PIN, a telephone
/// number, an address or a key.
pub fn without<'a>(values: impl IntoIterator<Item = &'a str>, text: &str) -> String {
    let mut scrubber = Scrubber::default();
    values.into_iter().for_each(|value| scrubber.learn(value));
    scrubber.text(text)
}

/// Redacts both bodies. What is personal in one of them, or in `known` (the key, the taxpayer's PIN), is masked
/// wherever it comes again in either.
pub fn redact(request: &[u8], answer: &[u8], known: &[&str]) -> Redacted {
    let mut scrubber = Scrubber::default();
    known.iter().for_each(|value| scrubber.learn(value));
    let (asked, answered) = (read(request), read(answer));
    for tree in [&asked, &answered].into_iter().flatten() {
        learn(tree, &mut scrubber);
    }
    let header =
        answered.as_ref().ok().and_then(|tree| tree.field("responseHeader").or_else(|| tree.field("header")));
    let reference = header.and_then(|header| header.text("responseRefID"));
    Redacted {
        request: shown(&asked, request, &scrubber),
        answer: shown(&answered, answer, &scrubber),
        message: answered.as_ref().ok().and_then(|tree| message(tree, &scrubber)),
        reference: reference.map(|text| cut(&scrubber.code(text), LONGEST_NAME)),
    }
}

/// Both bodies of an exchange as they were on the line, until somebody redacts them; shows nothing of itself.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Bodies {
    request: Vec<u8>,
    answer: Answered,
    known: Vec<String>,
}

#[derive(Clone, Default, PartialEq, Eq)]
enum Answered {
    Body(Vec<u8>),
    #[default]
    Nothing,
    TooLong,
    Withheld,
}

impl fmt::Debug for Bodies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bodies({} bytes)", self.bytes())
    }
}

impl Bodies {
    /// Of a request; `known`: the key and what else must be masked wherever it stands.
    pub fn of(request: &[u8], known: Vec<String>) -> Self {
        let request = if request.len() > LONGEST_READ { Vec::new() } else { request.to_vec() };
        Self { request, answer: Answered::Nothing, known }
    }

    /// With its answer.
    #[must_use]
    pub fn answered(mut self, answer: &[u8]) -> Self {
        self.answer =
            if answer.len() > LONGEST_READ { Answered::TooLong } else { Answered::Body(answer.to_vec()) };
        self
    }

    /// With an answer that is too long to be kept.
    #[must_use]
    pub fn too_long(mut self) -> Self {
        self.answer = Answered::TooLong;
        self
    }

    /// With an answer that is not kept in any form: it holds the key.
    #[must_use]
    pub fn withheld(mut self) -> Self {
        self.answer = Answered::Withheld;
        self
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        let answer = if let Answered::Body(body) = &self.answer { body.len() } else { 0 };
        self.request.len() + answer
    }

    /// What of them may be kept.
    pub fn redacted(&self) -> Redacted {
        let known: Vec<&str> = self.known.iter().map(String::as_str).collect();
        match &self.answer {
            Answered::Body(answer) => redact(&self.request, answer, &known),
            Answered::Nothing => redact(&self.request, b"", &known),
            Answered::TooLong => {
                Redacted { answer: note("too long to be kept"), ..redact(&self.request, b"", &known) }
            }
            Answered::Withheld => {
                Redacted { answer: note("withheld: it holds the key"), ..redact(&self.request, b"", &known) }
            }
        }
    }
}

/// In place of a body that is not shown.
fn note(what: &str) -> String {
    format!("{{\"unread\":{}}}", quoted(what))
}

/// A body that is not read, and why.
enum NotRead {
    Empty,
    NoTree(TreeFault),
    /// From somebody on the way, not from KRA.
    Page,
    TooLong,
}

fn read(body: &[u8]) -> Result<Tree<'_>, NotRead> {
    if body.is_empty() {
        return Err(NotRead::Empty);
    }
    if body.len() > LONGEST_READ {
        return Err(NotRead::TooLong);
    }
    if is_page(body) {
        return Err(NotRead::Page);
    }
    Tree::read(body).map_err(NotRead::NoTree)
}

fn is_shown(name: &str) -> bool {
    SHOWN.contains(&name)
}

fn is_words(name: &str) -> bool {
    WORDS.contains(&name)
}

/// Every text of a field that is neither shown nor of goods is something to be masked elsewhere too.
fn learn(tree: &Tree<'_>, scrubber: &mut Scrubber) {
    match tree {
        Tree::Null => {}
        Tree::Text(text) => scrubber.learn(text),
        Tree::List(values) => values.iter().for_each(|value| learn(value, scrubber)),
        Tree::Object(fields) => {
            for (name, value) in fields {
                let name: &str = name;
                let open = is_shown(name) || is_words(name) || GOODS.contains(&name);
                if !(open && matches!(value, Tree::Text(_))) {
                    learn(value, scrubber);
                }
            }
        }
    }
}

fn message(tree: &Tree<'_>, scrubber: &Scrubber) -> Option<String> {
    let Tree::Object(fields) = tree else { return None };
    let said = |(name, value): &(std::borrow::Cow<'_, str>, Tree<'_>)| match value {
        Tree::Text(text) if is_words(name) && !text.trim().is_empty() => {
            Some(cut(&scrubber.text(text), LONGEST_TEXT))
        }
        _ => None,
    };
    fields.iter().find_map(said).or_else(|| fields.iter().find_map(|(_, value)| message(value, scrubber)))
}

fn shown(read: &Result<Tree<'_>, NotRead>, body: &[u8], scrubber: &Scrubber) -> String {
    match read {
        Ok(tree) => {
            let mut out = String::new();
            render(tree, "", scrubber, &mut out);
            out
        }
        Err(NotRead::Empty) => "null".to_owned(),
        Err(NotRead::TooLong) => note("too long to be kept"),
        Err(NotRead::NoTree(fault)) if begins_like_kra(body) => note(&fault.to_string()),
        Err(NotRead::NoTree(_) | NotRead::Page) => match std::str::from_utf8(body) {
            Ok(text) => format!("{{\"text\":{}}}", quoted(&excerpt(text, scrubber))),
            Err(_) => note(&TreeFault::NotUtf8.to_string()),
        },
    }
}

fn is_page(body: &[u8]) -> bool {
    let head = body.trim_ascii_start();
    ["<!doctype html", "<html"]
        .iter()
        .any(|mark| head.get(..mark.len()).is_some_and(|start| start.eq_ignore_ascii_case(mark.as_bytes())))
}

/// Broken JSON or XML: whose words its fragments are cannot be told, so none are shown.
fn begins_like_kra(body: &[u8]) -> bool {
    let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
    matches!(body.trim_ascii_start().first(), Some(b'{' | b'[' | b'"' | b'<'))
}

/// The words of a page or a plain text from somebody on the way.
fn excerpt(text: &str, scrubber: &Scrubber) -> String {
    let mut words = String::new();
    let mut in_tag = false;
    for c in text.chars() {
        match c {
            '<' => in_tag = true,
            '>' if in_tag => {
                in_tag = false;
                words.push(' ');
            }
            c if !in_tag => words.push(c),
            _ => {}
        }
    }
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    // Masked before it is cut: half a name at the end would not be found.
    cut(&scrubber.text(&words), LONGEST_EXCERPT)
}

/// Writes a value as JSON, up to about [`LONGEST_KEPT`]; `name`: of the field that it is in.
fn render(tree: &Tree<'_>, name: &str, scrubber: &Scrubber, out: &mut String) {
    match tree {
        Tree::Null => out.push_str("null"),
        Tree::Text(text) => {
            let text = match text.trim() {
                "" => String::new(),
                text if is_words(name) => scrubber.text(text),
                text if is_shown(name) => scrubber.code(text),
                _ => MASK.to_owned(),
            };
            out.push_str(&quoted(&cut(&text, LONGEST_TEXT)));
        }
        Tree::List(values) => {
            out.push('[');
            for (at, value) in values.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                if out.len() > LONGEST_KEPT {
                    out.push_str(&quoted(&format!("{} more", values.len() - at)));
                    break;
                }
                render(value, name, scrubber, out);
            }
            out.push(']');
        }
        Tree::Object(fields) => {
            out.push('{');
            for (at, (name, value)) in fields.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                // What is in hand is finished, and nothing new is begun.
                if out.len() > 2 * LONGEST_KEPT {
                    out.push_str(&format!("\"cut\":{}", fields.len() - at));
                    break;
                }
                out.push_str(&quoted(&field_name(name, at, scrubber)));
                out.push(':');
                render(value, name, scrubber, out);
            }
            out.push('}');
        }
    }
}

/// A field's name, where it looks like one; KRA could be made to repeat anything as a name.
fn field_name(name: &str, at: usize, scrubber: &Scrubber) -> String {
    let plain = !name.is_empty()
        && name.len() <= LONGEST_NAME
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let known = is_shown(name) || is_words(name);
    if known || plain && scrubber.text(name) == name { name.to_owned() } else { format!("{MASK}{at}") }
}

fn cut(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_owned(),
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
#[path = "redact_tests.rs"]
mod tests;
