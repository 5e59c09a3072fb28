//! What KRA's codes, messages and HTTP statuses mean for a saving request: tables, and one function that reads them.
//!
//! Success is looked at first: whatever else such an answer says, the document is in KRA's books. Then the messages
//! that decide by themselves, on every wire; then the code; then HTTP. An unknown code is never guessed at by its first
//! digit: it leaves the document in doubt, which a look-up settles.

use std::time::Duration;

use crate::queue::{Busy, Verdict, Words};

use super::envelope::{self, Envelope};
use super::message;
use super::named_field::{Whose, named_field};
use super::tree::Tree;

/// A class of delivery, as the tables name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Busy,
    Config,
    Device,
    Duplicate,
    Odd,
    Refused,
    Unsure,
    UnsureConfig,
    Wait,
}

impl Class {
    fn verdict(self, words: Words, floor: Option<Duration>) -> Verdict {
        match self {
            Self::Busy => Verdict::Busy(Busy { words, floor }),
            Self::Config => Verdict::Config(words),
            Self::Device => Verdict::Device(words),
            Self::Duplicate => Verdict::Duplicate(words),
            Self::Odd => Verdict::Odd(words),
            Self::Refused => Verdict::Refused(words),
            Self::Unsure => Verdict::Unsure(words),
            Self::UnsureConfig => Verdict::UnsureConfig(words),
            Self::Wait => Verdict::Wait(words),
        }
    }
}

/// One code's row.
pub(super) struct CodeRow {
    code: &'static str,
    pub(super) class: Class,
    /// How often a document may be tried again under this code, where KRA's code asks for less than usual.
    attempts: Option<u32>,
    /// How long to wait at least.
    pub(super) at_least: Option<Duration>,
}

const fn row(code: &'static str, class: Class) -> CodeRow {
    CodeRow { code, class, attempts: None, at_least: None }
}

const fn few(code: &'static str, attempts: u32) -> CodeRow {
    CodeRow { code, class: Class::Unsure, attempts: Some(attempts), at_least: None }
}

/// KRA forbids reading its lists too often; a quarter of an hour at least.
const QUOTA_WAIT: Duration = Duration::from_secs(15 * 60);

/// Attempts under a code that is in no paper and no row.
const UNKNOWN_CODE_ATTEMPTS: u32 = 2;

/// The codes that a saving request may get. `000` is not here: success is decided by the proof.
const CODES: [CodeRow; 28] = [
    row("891", Class::Config), // address could not be built: a wrong path or a space; made by KRA's Java client
    row("892", Class::Config), // headers could not be built: often an empty key
    row("893", Class::Config), // body could not be built
    row("894", Class::Unsure), // communication between KRA's servers; passing, all sources agree
    row("895", Class::Config), // method not allowed
    few("896", 2),             // unexpected HTTP state behind KRA; sources disagree whether it passes
    row("899", Class::UnsureConfig), // client error; another product's repeat of an accepted invoice got it too
    row("900", Class::Device),       // identity headers or key missing
    row("901", Class::Device), // not a valid device: serial, key, PIN or environment; only KRA can mend it
    few("902", UNKNOWN_CODE_ATTEMPTS), // already installed: an answer to registering, strange on a sale
    row("903", Class::Device), // a serial of another kind of device
    row("905", Class::Device), // the reverse of 903; seen, in no paper
    row("910", Class::Refused), // a parameter is wrong; the message names it
    row("911", Class::Refused), // empty body
    row("912", Class::Config), // wrong path or verb
    row("913", Class::Refused), // a code value is not in KRA's list; seen, in no paper
    row("921", Class::Refused), // declared sales data cannot be received
    row("922", Class::Wait),   // something it depends on must be sent first
    CodeRow { code: "990", class: Class::Busy, attempts: None, at_least: Some(QUOTA_WAIT) }, // a read quota
    few("991", 3),             // registration error: may hide a passing fault, a double or bad data
    few("992", 1),             // modification error
    few("993", 1),             // deletion error
    row("994", Class::Duplicate), // the number is in the system; says nothing of whose sale it is
    row("995", Class::Unsure), // no downloaded file
    few("999", 10),            // unknown error; often passing, but a wrong field can cause it too
    row("E04", Class::Device), // device or branch not found; seen live
    few("E11", UNKNOWN_CODE_ATTEMPTS), // another kind of device's memory is full
    few("E31", UNKNOWN_CODE_ATTEMPTS), // another kind of device's word for a malformed date
];

/// HTTP statuses of answers without a readable code, by range; the first row that fits holds.
const STATUSES: [(u16, u16, Class); 14] = [
    (200, 299, Class::Unsure), // an error page, or half an answer: it may be in
    (300, 399, Class::Config), // never followed: the key would go elsewhere
    (400, 400, Class::Odd),
    (401, 401, Class::Device),
    (403, 403, Class::Device), // not allow-listed, or the wrong product
    (404, 405, Class::Config),
    (408, 408, Class::Unsure),
    (413, 414, Class::Odd),
    (429, 429, Class::Busy),
    (431, 431, Class::Odd),
    (400, 499, Class::Config),
    (500, 500, Class::Unsure),
    (502, 504, Class::Unsure), // also with Retry-After: a server behind may have taken the sale
    (0, u16::MAX, Class::Unsure),
];

fn of_status(http_status: u16) -> Class {
    let row = STATUSES.iter().find(|(from, to, _)| (*from..=*to).contains(&http_status));
    row.map_or(Class::Unsure, |(_, _, class)| *class)
}

/// The row of a code in its usual spelling; `None` for one that is in no paper.
pub(super) fn of_code(code: &str) -> Option<&'static CodeRow> {
    CODES.iter().find(|row| row.code == code)
}

/// How often a document may be tried under these words' code, where KRA's code allows fewer attempts than
/// `delivery.max_attempts`; `None` where it says nothing.
pub fn attempts_allowed(words: &Words) -> Option<u32> {
    let code = super::envelope::usual_spelling(words.result_cd.as_deref()?);
    match of_code(&code) {
        Some(row) => row.attempts,
        None => Some(UNKNOWN_CODE_ATTEMPTS),
    }
}

/// KRA's code refuses the device or its credentials, whatever was asked.
pub(super) fn refuses_device(code: &str) -> bool {
    of_code(code).is_some_and(|row| row.class == Class::Device)
}

/// KRA's code says that KRA's own servers are in trouble, whatever was asked.
pub(super) fn in_trouble(code: &str) -> bool {
    matches!(code, "894" | "896" | "991" | "999")
}

/// An answer as it came off the line.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The HTTP status.
    pub http_status: u16,
    /// `Retry-After`, already read.
    pub retry_after: Option<Duration>,
    /// `Content-Type`, for the words alone: what the body is, its first byte says.
    pub content_type: Option<&'a str>,
    /// The whole body.
    pub body: &'a [u8],
}

impl Answer<'_> {
    /// KRA's words in an answer that could be opened.
    pub(super) fn words(&self, envelope: &Envelope<'_, '_>) -> Words {
        Words { retry_after: self.retry_after, ..envelope.words(self.http_status) }
    }

    /// Words for an answer that is not KRA's, and why it is not.
    pub(super) fn unreadable(&self, why: &str) -> Words {
        let words = envelope::unreadable(self.http_status, self.content_type, why);
        Words { retry_after: self.retry_after, ..words }
    }
}

/// What an answer to a saving request means.
pub fn classify(answer: &Answer<'_>) -> Verdict {
    let tree = Tree::read(answer.body);
    let opened = tree.as_ref().ok().and_then(Envelope::open);
    let Some(envelope) = opened else {
        let why = match &tree {
            Ok(_) => "it has no resultCd".to_owned(),
            Err(fault) => fault.to_string(),
        };
        return of_status(answer.http_status).verdict(answer.unreadable(&why), None);
    };
    let code = envelope.code();
    let mut words = answer.words(&envelope);
    if code.as_deref() == Some("000") {
        let proof = envelope.data.and_then(|data| match data.field("receipt") {
            Some(receipt) => envelope::proof(&[data, receipt]),
            None => envelope::proof(&[data]),
        });
        return proof.map_or(Verdict::AcceptedWithoutProof(words), Verdict::Accepted);
    }
    if let Some((expected, found)) = message::sequence(&words.message) {
        words.field = Some("invcNo".to_owned());
        return Verdict::OutOfSequence { expected, found, words };
    }
    let field = named_field(&words.message);
    // What the gateway filled in is wrong in every sale: none is refused for it.
    let ours = field.as_ref().is_some_and(|field| field.whose != Whose::Sale);
    words.field = field.map(|field| field.name);
    let (class, at_least) = match (message::class(&words.message), code.as_deref(), envelope.response_code) {
        (Some(class), ..) => (class, None),
        (None, Some(code), _) => of_code(code).map_or((Class::Unsure, None), |row| (row.class, row.at_least)),
        (None, None, Some(status)) => (of_status(status), None),
        (None, None, None) => (Class::Unsure, None),
    };
    let class = if class == Class::Refused && ours { Class::Config } else { class };
    class.verdict(words, at_least)
}

#[cfg(test)]
#[path = "result_code_tests.rs"]
mod tests;
