//! What goes into the machine, and what comes out of it.

use std::fmt;

use std::time::Duration;

use crate::fiscal::Proof;
use crate::queue::{Busy, Equality, Moment, OriginalStands, Probed, Sent, Seq, Status, Unreachable, Words};

/// How patient the drain is.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// First pause of a document's own backoff, and of the probes'.
    pub backoff_initial: Duration,
    /// Longest pause of a document's own backoff.
    pub backoff_max: Duration,
    /// Longest pause between two probes.
    pub probe_max: Duration,
    /// Tries of a document that count, before the next one is sent in its place.
    pub max_attempts: u32,
    /// How long a request may take; what is still unanswered then may yet land.
    pub request_timeout: Duration,
}

/// The document whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Which.
    pub document: Seq,
    /// The number it is bound to.
    pub bound: Option<u64>,
    /// Sends under that number whose outcome is unknown. Not bound, and more than none: it may have been sent under a number
    /// that is not known here, for records were lost.
    pub unsure_sends: u32,
    /// An outcome was recorded since it was bound: it was not interrupted half way.
    pub answered: bool,
    /// KRA called it accepted under that number, without its proof.
    pub accepted: bool,
    /// Tries that KRA answered about this document.
    pub attempts: u32,
    /// A credit note's sale, and how that stands; `None`: it is no credit note, or one on an invoice made elsewhere.
    pub original: Option<(Seq, OriginalStands)>,
}

impl Waiting {
    /// KRA may have it under a number that is not known here.
    pub const fn is_of_unknown_number(&self) -> bool {
        self.bound.is_none() && self.unsure_sends > 0
    }

    /// Nothing that it needs is missing in KRA's books, as far as we know.
    pub fn may_go(&self) -> bool {
        self.original.is_none_or(|(_, stands)| stands == OriginalStands::Accepted)
    }
}

/// What the log says at this moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// The document that is bound to a number, if one is; otherwise the first pending one that has not stepped aside. A
    /// credit note whose sale is pending is passed over: it waits for that.
    pub head: Option<Waiting>,
    /// The next one in order that has not stepped aside, and waits for no sale of its own.
    pub after: Option<Waiting>,
    /// A pending credit note whose sale is set aside or refused, wherever it stands in the line.
    pub stranded: Option<Waiting>,
    /// The number that the next fresh document is bound to.
    pub next_number: u64,
    /// The last number that KRA accepted, and the signature it gave.
    pub last: Option<(u64, String)>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// BIND is on disk.
    Bound,
    /// The connection for saving stands.
    Connected,
    /// The kernel says that a link, an address or a route came back.
    LineReturned,
    /// A look-up that [`Action::LookUp`] asked for came back.
    LookedUp(LookUp),
    /// A probe came back.
    Probed(Probed),
    /// The ruling is on disk.
    Recorded,
    /// The ruling is on disk and, in the same commit, BIND of the next document.
    RecordedAndBound,
    /// A person wants the next try now.
    RetryNow,
    /// A send came back; with it, how many tries KRA's code allows, where it says so.
    Sent(Sent, Option<u32>),
    /// No connection could be had; nothing was sent.
    Unreachable(Unreachable),
    /// Start, a new document, or the time that was waited for.
    Woken,
}

/// What a look-up said, compared with what was sent where there is something to compare with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookUp {
    /// No such invoice.
    Absent,
    /// KRA wants to be left alone.
    Busy(Busy),
    /// The look-up failed.
    Failed(Words),
    /// There is one. `signature`: KRA's, for the series probe; `equality`: with the document asked about.
    Found {
        /// `rcptSign`.
        signature: Option<String>,
        /// `trdInvcNo`, to name a stranger.
        trader_ref: Option<String>,
        /// Against the document bound to this number, if one is.
        equality: Option<Equality>,
    },
    /// There is no look-up function.
    Missing(Words),
    /// The device or its credentials are refused.
    Refused(Words),
}

/// What the drain does next. The shell is told; it does not decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Commit BIND for this document and number.
    Bind(Seq, u64),
    /// See that the connection for saving stands.
    Connect,
    /// Ask KRA for this number; compare with this document if one is given.
    LookUp(u64, Option<Seq>),
    /// Look for this number in KRA's list of sales, and compare with this document: a server without the look-up may still
    /// show its proof.
    LookUpInList(u64, Seq),
    /// Ask KRA whether it is there.
    Probe,
    /// Commit what became of this document and, if the connection still stands, BIND of the next in the same commit.
    Record(Seq, Box<Ruling>, Option<(Seq, u64)>),
    /// Send the frozen bytes of this document.
    Send(Seq, u64),
    /// Nothing until this moment, or until something happens.
    WaitUntil(Option<Moment>),
}

impl Action {
    /// Whether nothing is lost where it is broken off: it saves nothing at KRA and writes nothing.
    pub const fn may_be_broken_off(&self) -> bool {
        matches!(self, Self::Connect | Self::LookUp(..) | Self::LookUpInList(..) | Self::Probe)
    }
}

/// For the journal: nothing of what KRA said, which may name a customer.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind(document, number) => write!(f, "bind {document} to number {number}"),
            Self::Connect => f.write_str("connect"),
            Self::LookUp(number, _) => write!(f, "look up number {number}"),
            Self::LookUpInList(number, _) => write!(f, "look for number {number} in the list of sales"),
            Self::Probe => f.write_str("probe"),
            Self::Record(document, ruling, next) => {
                write!(f, "record {document} as {}", ruling.status.word())?;
                match next {
                    Some((next, number)) => write!(f, ", bind {next} to number {number}"),
                    None => Ok(()),
                }
            }
            Self::Send(document, number) => write!(f, "send {document} under number {number}"),
            Self::WaitUntil(Some(moment)) => write!(f, "wait until {} ms", moment.0),
            Self::WaitUntil(None) => f.write_str("wait for news"),
        }
    }
}

/// What became of a document: the content of one OUTCOME.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// Where it stands now.
    pub status: Status,
    /// Tries used.
    pub attempts: u32,
    /// Sends in doubt under its number.
    pub unsure_sends: u32,
    /// What becomes of its number.
    pub number: NumberFate,
    /// KRA's proof, where there is one.
    pub proof: Option<Proof>,
    /// Found by a look-up, not in the answer to a send.
    pub adopted: bool,
    /// KRA called it accepted, without its proof.
    pub accepted: bool,
    /// A credit note is set aside with its sale, and goes on with it.
    pub with_original: bool,
    /// KRA's words, or the transport's.
    pub words: Words,
}

/// What becomes of the number that a document was bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberFate {
    /// It stays tied to the document.
    Kept,
    /// It is free again: the next document takes it.
    Released,
    /// KRA has it.
    Used,
}
