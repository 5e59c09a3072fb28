//! What came back from KRA, in the queue's terms: classes of delivery, not codes.

use std::time::Duration;

use crate::fiscal::Proof;

/// KRA's own words about a request, or the transport's where KRA said nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// `resultCd`, as it came.
    pub result_cd: Option<String>,
    /// `resultMsg`, or what happened on the way.
    pub message: String,
    /// The HTTP status, where there was an answer.
    pub http_status: Option<u16>,
    /// The field that KRA names, where it names one.
    pub field: Option<String>,
    /// `Retry-After`: how long KRA wants to be left alone from now on, whatever else it says. Not kept in the log.
    pub retry_after: Option<Duration>,
}

impl Words {
    /// In one line: the code, where there is one, and the message.
    pub fn in_short(&self) -> String {
        match (&self.result_cd, self.http_status) {
            (Some(code), _) => format!("{code} {}", self.message),
            (None, Some(status)) => format!("HTTP {status} {}", self.message),
            (None, None) => self.message.clone(),
        }
    }
}

/// What an answer to a saving request means; one class each of the delivery rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// In KRA's books, with all five proof fields.
    Accepted(Proof),
    /// In KRA's books by its code, but the proof is not all there: look it up.
    AcceptedWithoutProof(Words),
    /// KRA is too busy; nothing else changes.
    Busy(Busy),
    /// Our configuration is at fault: hold the series, park nothing.
    Config(Words),
    /// The device or its credentials are at fault: hold everything.
    Device(Words),
    /// The number is taken, it says; never "it was in" by itself.
    Duplicate(Words),
    /// HTTP refused this one request (400, 413, 414, 431) without words about the document: an attempt of it,
    /// settled by a canary.
    Odd(Words),
    /// KRA expects another number than the one sent.
    OutOfSequence {
        /// The number that KRA expects.
        expected: u64,
        /// The number that KRA found in the request.
        found: u64,
        /// KRA's words.
        words: Words,
    },
    /// Refused for good, about this document.
    Refused(Words),
    /// It may be in: look up first, then the same bytes.
    Unsure(Words),
    /// The same, and if KRA does not have it, our configuration is at fault.
    UnsureConfig(Words),
    /// Refused for now: it needs something else to be there first.
    Wait(Words),
}

impl Verdict {
    /// KRA's words; `None` with a proof, which says everything.
    pub const fn words(&self) -> Option<&Words> {
        match self {
            Self::Accepted(_) => None,
            Self::AcceptedWithoutProof(words)
            | Self::Busy(Busy { words, .. })
            | Self::Config(words)
            | Self::Device(words)
            | Self::Duplicate(words)
            | Self::Odd(words)
            | Self::OutOfSequence { words, .. }
            | Self::Refused(words)
            | Self::Unsure(words)
            | Self::UnsureConfig(words)
            | Self::Wait(words) => Some(words),
        }
    }
}

/// KRA is too busy, or a quota is used up: `Retry-After` is in the words, as with every answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Busy {
    /// KRA's words.
    pub words: Words,
    /// What the code itself asks for; doubled each time it comes again.
    pub floor: Option<Duration>,
}

/// What became of one send. The client never sends by itself a second time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// An answer came and was read.
    Answered(Verdict),
    /// Something may have left, and no answer that can be read came back.
    InDoubt(Words),
    /// No byte of the request was given to the socket or the TLS session.
    Not(Unreachable),
}

/// KRA could not be reached: nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreachable {
    /// Where it ended.
    pub at: Step,
    /// In words: which address, which error.
    pub why: String,
}

/// How far a connection came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Finding KRA's address.
    Dns,
    /// TCP, or the proxy.
    Connect,
    /// TLS, for another reason than trust.
    Handshake,
    /// The certificate does not verify. Never overridden; a fault of the device or of somebody in between.
    Trust,
    /// The connection was lost before the first byte.
    Lost,
}

/// KRA's answer to "do you have this number?"
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookedUp {
    /// No such invoice (001).
    Absent,
    /// KRA wants to be left alone; nothing is known.
    Busy(Busy),
    /// The look-up itself failed; nothing is known.
    Failed(Words),
    /// It has one.
    Found(Box<super::FoundInvoice>),
    /// This server has no look-up function.
    Missing(Words),
    /// Our device or credentials are refused; nothing is known.
    Refused(Words),
}

/// What a cheap probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probed {
    /// KRA could not be reached, or answered as a server in trouble does.
    Down(Words),
    /// KRA answered, but our device or credentials are refused; or its certificate does not verify.
    Refused(Words),
    /// KRA answered.
    Up,
}
