//! What stands around every answer: `resultCd`, `resultMsg`, `resultDt` and `data`, bare or in the integrator gateway's
//! own wrapping.

use crate::fiscal::{KraDateTime, Proof};
use crate::queue::Words;

use super::tree::Tree;

/// How many characters of KRA's words are kept.
const LONGEST_MESSAGE: usize = 500;
/// How many characters of a code are kept.
const LONGEST_CODE: usize = 20;
/// How many characters a signature or internal data may have; KRA's have 16 and 26.
const LONGEST_PROOF: usize = 100;

/// An answer, opened.
#[derive(Clone, Debug)]
pub struct Envelope<'t, 'a> {
    /// `resultCd` as it came; `None` where only the gateway's wrapping says no.
    pub result_cd: Option<String>,
    /// `resultMsg`, or the wrapping's `debugMessage` or `customerMessage`.
    pub message: String,
    /// `resultDt`, where it could be read.
    pub answered_at: Option<KraDateTime>,
    /// The wrapping's `responseCode`, an HTTP status in its own right.
    pub response_code: Option<u16>,
    /// `data`, unless it is null.
    pub data: Option<&'t Tree<'a>>,
}

impl<'t, 'a> Envelope<'t, 'a> {
    /// Opens an answer; `None` where it holds neither a `resultCd` nor the gateway's wrapping, so that KRA's back end
    /// did not speak.
    pub fn open(tree: &'t Tree<'a>) -> Option<Self> {
        let header = tree.field("responseHeader").or_else(|| tree.field("header"));
        let body = tree.field("responseBody").or_else(|| tree.field("body"));
        let inner = if header.is_some() { body } else { Some(body.unwrap_or(tree)) };
        let said = |name| inner.and_then(|inner| inner.text(name));
        let wrapped = |name| header.and_then(|header| header.text(name));
        let result_cd = said("resultCd").map(|code| clean(code, LONGEST_CODE));
        let response_code = wrapped("responseCode").and_then(|code| code.parse().ok());
        if result_cd.is_none() && response_code.is_none() {
            return None;
        }
        let message =
            said("resultMsg").or_else(|| wrapped("debugMessage")).or_else(|| wrapped("customerMessage"));
        Some(Self {
            result_cd,
            message: clean(message.unwrap_or_default(), LONGEST_MESSAGE),
            answered_at: inner.and_then(|inner| inner.time("resultDt")),
            response_code,
            data: inner.and_then(|inner| inner.field("data")),
        })
    }

    /// The code in its usual spelling: `000` for every spelling of success, three digits, capitals.
    pub fn code(&self) -> Option<String> {
        self.result_cd.as_deref().map(usual_spelling)
    }

    /// KRA's words, without the field they name.
    pub fn words(&self, http_status: u16) -> Words {
        Words {
            result_cd: self.result_cd.clone(),
            message: self.message.clone(),
            http_status: Some(http_status),
            field: None,
            retry_after: None,
        }
    }
}

/// `0`, `00` and `0000` are seen for `000`, and a code that came as a number has lost its zeros.
pub(super) fn usual_spelling(code: &str) -> String {
    if !code.is_empty() && code.bytes().all(|byte| byte == b'0') {
        return "000".to_owned();
    }
    if code.bytes().all(|byte| byte.is_ascii_digit()) {
        format!("{code:0>3}")
    } else {
        code.to_ascii_uppercase()
    }
}

/// Words for an answer that is not KRA's: an error page, half a body, nothing.
pub(super) fn unreadable(http_status: u16, content_type: Option<&str>, why: &str) -> Words {
    let kind = content_type.map(|kind| clean(kind, 60)).filter(|kind| !kind.is_empty());
    let kind = kind.map(|kind| format!(" ({kind})")).unwrap_or_default();
    Words {
        result_cd: None,
        message: format!("HTTP {http_status}{kind}: the answer is not KRA's: {why}"),
        http_status: Some(http_status),
        field: None,
        retry_after: None,
    }
}

/// The five proof fields, each from the first of `places` that has it; `None` unless all of them can be read.
pub(super) fn proof(places: &[&Tree<'_>]) -> Option<Proof> {
    let text = |name: &str| {
        let text = places.iter().find_map(|place| place.text(name))?;
        let fits = text.len() <= LONGEST_PROOF && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| text.to_owned())
    };
    Some(Proof {
        receipt_no: places.iter().find_map(|place| place.whole("curRcptNo"))?,
        total_receipt_no: places.iter().find_map(|place| place.whole("totRcptNo"))?,
        internal_data: text("intrlData")?,
        signature: text("rcptSign")?,
        issued_at: places.iter().find_map(|place| place.time("sdcDateTime"))?,
    })
}

/// At most `longest` characters, control characters as spaces, without outer spaces.
/// A text of KRA as it may be shown: without control characters, cut.
pub(super) fn clean(text: &str, longest: usize) -> String {
    let printable: String =
        text.trim().chars().take(longest).map(|c| if c.is_control() { ' ' } else { c }).collect();
    printable.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, code: Option<&str>, message: &str) {
        let tree = Tree::read(body.as_bytes()).unwrap();
        let envelope = Envelope::open(&tree);
        assert_eq!(envelope.as_ref().and_then(Envelope::code).as_deref(), code, "{body}");
        assert_eq!(envelope.map(|envelope| envelope.message).unwrap_or_default(), message, "{body}");
    }

    #[test]
    fn spellings_and_wrappings() {
        for spelling in ["\"0\"", "\"00\"", "\"000\"", "\"0000\"", "0", "\" 000 \""] {
            check(&format!("{{\"resultCd\":{spelling},\"resultMsg\":\"ok\"}}"), Some("000"), "ok");
        }
        check("{\"resultCd \":1}", Some("001"), "");
        check("{\"resultCd\":\"e04\",\"resultMsg\":\"a\\u0007b\\n\"}", Some("E04"), "a b");
        check("<x><resultCd>994</resultCd><resultMsg>a &amp; b</resultMsg></x>", Some("994"), "a & b");
        check(
            r#"{"responseHeader":{"responseCode":200},"responseBody":{"resultCd":"000","resultMsg":"ok"}}"#,
            Some("000"),
            "ok",
        );
        check(
            r#"{"responseHeader":{"responseCode":"400","customerMessage":"c","debugMessage":"d"},"responseBody":null}"#,
            None,
            "d",
        );
        check(
            r#"{"header":{"responseCode":400,"customerMessage":"c"},"body":{"resultCd":"910"}}"#,
            Some("910"),
            "c",
        );
        for no_answer in [
            "{}",
            "[]",
            "\"x\"",
            "<html><body>maintenance</body></html>",
            r#"{"status":404,"error":"Not Found"}"#,
            r#"{"fault":{"faultstring":"Invalid access token"}}"#,
            r#"{"resultCd":""}"#,
            r#"{"resultCd":null,"resultMsg":"?"}"#,
            r#"{"resultCd":["000"]}"#,
        ] {
            check(no_answer, None, "");
            assert!(Envelope::open(&Tree::read(no_answer.as_bytes()).unwrap()).is_none());
        }
    }

    #[test]
    fn long_words_are_cut() {
        let body = format!("{{\"resultCd\":\"910\",\"resultMsg\":\"{}\"}}", "é".repeat(2000));
        check(&body, Some("910"), &"é".repeat(500));
    }

    #[test]
    fn no_field_of_the_proof_may_be_missing() {
        let fields = [
            r#""curRcptNo ":"41""#,
            r#""totRcptNo":42"#,
            r#""intrlData":"ABCDEFGHIJKLMNOPQRSTUVWXYZ""#,
            r#""rcptSign":"ABCDEFGHIJKLMNOP""#,
            r#""sdcDateTime":"2025-01-15 10:15:33.0""#,
        ];
        let read = |fields: &[&str]| {
            let body = format!("{{{}}}", fields.join(","));
            proof(&[&Tree::read(body.as_bytes()).unwrap()])
        };
        let whole = read(&fields).unwrap();
        assert_eq!((whole.receipt_no, whole.total_receipt_no), (41, 42));
        assert_eq!(whole.issued_at.to_string(), "20250115101533");
        for missing in 0..fields.len() {
            let mut rest = fields.to_vec();
            rest.remove(missing);
            assert_eq!(read(&rest), None, "without {}", fields[missing]);
        }
    }
}
