//! A send whose outcome is unknown: what to ask, when, and what the answer allows.

use std::time::Duration;

use super::{Moment, Seq, Words};

/// A document that may be in KRA's books under its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// The document.
    pub document: Seq,
    /// Its number, which stays tied to it.
    pub number: u64,
    /// When the first byte of its last send left; after a restart, the start.
    pub last_sent: Moment,
    /// When to ask next.
    pub ask_at: Moment,
    /// KRA's books have given no answer about it since then.
    pub unanswered_since: Moment,
    /// When KRA's books were last asked and did not have it, if that was their last word.
    pub absent_at: Option<Moment>,
    /// KRA called it accepted, without its proof: it is never sent again.
    pub accepted: bool,
    /// KRA says the number is taken though the look-up says it is not: how often.
    pub contradictions: u32,
    /// The number that KRA then said it expects.
    pub expected: Option<u64>,
    /// One of its unsure sends is counted before it left, and no answer to it has come.
    pub counted_ahead: bool,
    /// What to do once KRA has answered, late enough, that it does not have it.
    pub afterwards: Afterwards,
}

/// What an absence, once sure, leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Afterwards {
    /// Its tries are spent: the next document goes ahead with its number.
    GiveWay(Words),
    /// The last answer pointed to our configuration: hold, then the same bytes.
    Hold(Words),
    /// KRA answered the one after it, and its last try came to nothing: park it.
    Park(Words),
    /// KRA refused a later send of it for good: set it aside.
    Reject(Words),
    /// The same bytes again.
    SendAgain,
    /// It was sent in the place of one before it, and that one goes first again.
    StepBack(Words),
    /// KRA refused a later send of it for now: let it step aside.
    StepAside(Words),
}

impl Afterwards {
    /// KRA's words that led there; empty where there are none.
    pub fn words(&self) -> Words {
        match self {
            Self::GiveWay(words)
            | Self::Hold(words)
            | Self::Park(words)
            | Self::Reject(words)
            | Self::StepAside(words)
            | Self::StepBack(words) => words.clone(),
            Self::SendAgain => Words::default(),
        }
    }
}

/// What an "absent" allows at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// Late enough: it is not in and will not come.
    Sure,
    /// A request still under way could land: ask again then.
    Until(Moment),
}

impl Doubt {
    /// It came up now, by a send that began at `sent`.
    pub const fn new(document: Seq, number: u64, sent: Moment, now: Moment) -> Self {
        Self {
            document,
            number,
            last_sent: sent,
            ask_at: now,
            unanswered_since: now,
            absent_at: None,
            accepted: false,
            contradictions: 0,
            expected: None,
            counted_ahead: false,
            afterwards: Afterwards::SendAgain,
        }
    }

    /// KRA said that it does not have it. A request that timed out here may still be running there, so the word counts
    /// only once `request_timeout` has passed since the last send's first byte; before the number may go to another
    /// document, twice that.
    pub fn absence(&self, asked: Moment, request_timeout: Duration) -> Absence {
        let wait = match self.afterwards {
            Afterwards::Hold(_) | Afterwards::SendAgain => request_timeout,
            Afterwards::GiveWay(_)
            | Afterwards::Park(_)
            | Afterwards::Reject(_)
            | Afterwards::StepAside(_)
            | Afterwards::StepBack(_) => request_timeout.saturating_mul(2),
        };
        let sure_from = self.last_sent.after(wait);
        if asked >= sure_from { Absence::Sure } else { Absence::Until(sure_from) }
    }
}
