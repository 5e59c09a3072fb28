//! One row: an exchange as it is kept, and its line.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::queue::Seq;
use crate::wire::redact::{Bodies, Redacted};

/// One exchange with KRA, before it is redacted and written.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// When it began, RFC 3339 with milliseconds.
    pub at: String,
    /// When it began, milliseconds since the machine's start, on a clock that never jumps.
    pub monotonic_ms: u64,
    /// KRA's function; `connect` where only a connection was made.
    pub function: &'static str,
    /// The register's own number of the sale that it is about.
    pub trader_ref: Option<String>,
    /// The running number of that sale.
    pub seq: Option<Seq>,
    /// KRA's number that was sent or looked up.
    pub invoice_no: Option<u64>,
    /// Which try of the sale, from 1.
    pub attempt: Option<u32>,
    /// How long it took, milliseconds.
    pub duration_ms: u64,
    /// Length of the request's body.
    pub bytes_out: usize,
    /// Length of the answer's body.
    pub bytes_in: usize,
    /// HTTP status, where an answer came.
    pub http_status: Option<u16>,
    /// `resultCd`, where it could be read.
    pub result_cd: Option<String>,
    /// What it means, in one word.
    pub outcome: &'static str,
    /// What went wrong on the way.
    pub trouble: Option<String>,
    /// What was sent and answered, not yet redacted.
    pub bodies: Bodies,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    /// First, so that readers find it without reading the rest.
    n: u64,
    at: &'a str,
    monotonic_ms: u64,
    function: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trd_invc_no: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<Seq>,
    #[serde(skip_serializing_if = "Option::is_none")]
    invc_no: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    duration_ms: u64,
    bytes_out: usize,
    bytes_in: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result_cd: Option<&'a str>,
    outcome: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(rename = "responseRefID")]
    reference: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<&'a RawValue>,
}

impl Row {
    /// Its line, the line's end included; at most `longest` bytes, if need be without the bodies.
    pub(super) fn line(&self, n: u64, longest: u64) -> Vec<u8> {
        let redacted = self.bodies.redacted();
        let whole = self.written(n, Some(&redacted));
        if u64::try_from(whole.len()).unwrap_or(u64::MAX) <= longest { whole } else { self.written(n, None) }
    }

    fn written(&self, n: u64, redacted: Option<&Redacted>) -> Vec<u8> {
        let raw = |text: &'_ String| RawValue::from_string(text.clone()).ok();
        let request = redacted.and_then(|redacted| raw(&redacted.request));
        let answer = redacted.and_then(|redacted| raw(&redacted.answer));
        let line = Line {
            n,
            at: &self.at,
            monotonic_ms: self.monotonic_ms,
            function: self.function,
            trd_invc_no: self.trader_ref.as_deref(),
            seq: self.seq,
            invc_no: self.invoice_no,
            attempt: self.attempt,
            duration_ms: self.duration_ms,
            bytes_out: self.bytes_out,
            bytes_in: self.bytes_in,
            http_status: self.http_status,
            result_cd: self.result_cd.as_deref(),
            outcome: self.outcome,
            message: redacted.and_then(|redacted| redacted.message.as_deref()),
            reference: redacted.and_then(|redacted| redacted.reference.as_deref()),
            trouble: self.trouble.as_deref(),
            request: request.as_deref().filter(|body| body.get() != "null"),
            answer: answer.as_deref().filter(|body| body.get() != "null"),
        };
        let mut bytes = serde_json::to_vec(&line).expect("text and numbers can be written as JSON");
        bytes.push(b'\n');
        bytes
    }
}

/// A line's number; `None` where it is no whole row.
pub(super) fn number(line: &str) -> Option<u64> {
    let digits = line.strip_prefix("{\"n\":")?.split(',').next()?;
    line.ends_with('}').then(|| digits.parse().ok())?
}

/// Whether a line is about the sale of this register's number.
pub(super) fn is_about(line: &str, sale: &str) -> bool {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct About {
        trd_invc_no: Option<String>,
    }
    serde_json::from_str::<About>(line).is_ok_and(|about| about.trd_invc_no.as_deref() == Some(sale))
}
