//! What a person may ask of the machine, and what it answers. A command carries the state that the person saw, and is
//! declined where that is no longer so.

use super::{Seq, Status};

/// How a document stood when a person looked at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Where it stood.
    pub status: Status,
    /// The number it was bound to.
    pub invoice_no: Option<u64>,
    /// Tries used.
    pub attempts: u32,
    /// Sends whose outcome was unknown.
    pub unsure_sends: u32,
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.status.word())?;
        if let Some(number) = self.invoice_no {
            write!(f, " under invoice number {number}")?;
        }
        if self.status == Status::Pending && self.unsure_sends > 0 {
            f.write_str(", in doubt")?;
        }
        Ok(())
    }
}

/// As what a person closes a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// It is in KRA's books, under the number it was sent with.
    Accepted,
    /// It was given to KRA in another way.
    Elsewhere,
    /// It is not in KRA's books, and will not be.
    NotAccepted,
}

impl Settlement {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Accepted, Self::Elsewhere, Self::NotAccepted];

    /// The word for it on the command line and in records.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Elsewhere => "elsewhere",
            Self::NotAccepted => "not-accepted",
        }
    }

    /// Reads [`word`](Self::word) back; `None` for any other text.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|settlement| settlement.word() == word)
    }
}

/// What a person asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Take over KRA's books behind a stopped series; `Some`: go on with this number, where KRA cannot be asked or named
    /// it.
    AdoptSeries(Option<u64>),
    /// Set this document aside, until it is retried or settled.
    Park(Seq, Seen),
    /// Try this document again: parked or refused, it waits anew; in doubt or without its proof, it is looked up now.
    Retry(Seq, Seen),
    /// End every hold and pause, and release what is parked. What KRA refused stays refused.
    RetryAll,
    /// Close this document.
    Settle(Seq, Seen, Settlement),
}

impl Command {
    /// The document it names, and how the person saw it.
    pub const fn document(&self) -> Option<(Seq, Seen)> {
        match self {
            Self::Park(document, seen) | Self::Retry(document, seen) | Self::Settle(document, seen, _) => {
                Some((*document, *seen))
            }
            Self::AdoptSeries(_) | Self::RetryAll => None,
        }
    }

    /// Whether a person must say why.
    pub const fn needs_reason(&self) -> bool {
        matches!(self, Self::AdoptSeries(_) | Self::Settle(..))
    }

    /// The word for it in records.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::AdoptSeries(_) => "series-adopt",
            Self::Park(..) => "park",
            Self::Retry(..) => "retry",
            Self::RetryAll => "retry-all",
            Self::Settle(_, _, Settlement::Accepted) => "settle-accepted",
            Self::Settle(_, _, Settlement::Elsewhere) => "settle-elsewhere",
            Self::Settle(_, _, Settlement::NotAccepted) => "settle-not-accepted",
        }
    }
}

/// Why a command was not carried out: nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Declined {
    /// The document does not stand as the person saw it.
    #[error("it has changed meanwhile and is {0} now: look at it again")]
    Changed(Seen),
    /// The record of it could not be written.
    #[error("it could not be recorded: {0}")]
    NotRecorded(String),
    /// The rules of delivery forbid it, in words that say what to do instead.
    #[error("{0}")]
    NotAllowed(String),
    /// It is being sent at this moment.
    #[error("its request is on the line: wait for KRA's answer and look at it again")]
    OnTheLine,
    /// The gateway is stopping.
    #[error("the gateway is stopping")]
    Stopping,
    /// No unfinished document has this number.
    #[error("it is finished, or unknown: nothing is left to do with it")]
    Unknown,
}
