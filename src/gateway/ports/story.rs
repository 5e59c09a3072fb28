//! What happened to a document, from the signed log.

use std::future::Future;

use super::{Acted, LedgerError};
use crate::fiscal::Proof;
use crate::queue::{Seq, Status, Words};

/// The log as the story of one document.
pub trait Stories: Send + Sync + 'static {
    /// Everything that the log has about this document, oldest first. Reads it from the document's acceptance on.
    ///
    /// # Errors
    /// The store cannot be read.
    fn story(&self, document: Seq) -> impl Future<Output = Result<Vec<Chapter>, LedgerError>> + Send;
}

/// One record about a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chapter {
    /// The record's running number.
    pub record: Seq,
    /// Wall clock, milliseconds since 1970.
    pub at_ms: i64,
    /// What it says.
    pub what: Told,
}

/// What a record says about a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It was accepted, by this port or socket.
    Accepted(String),
    /// A person did something about it that left it where it was.
    Acted(Acted),
    /// This number was tied to it, and it was sent.
    Bound(u64),
    /// What came of it.
    Came(Box<Came>),
}

/// How a document stood after a try, or after what a person did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Came {
    /// Where it stood.
    pub status: Status,
    /// Tries used.
    pub attempts: u32,
    /// Sends whose outcome was unknown.
    pub unsure_sends: u32,
    /// What became of its number.
    pub number: NumberThen,
    /// KRA's proof.
    pub proof: Option<Proof>,
    /// KRA's words, or the transport's.
    pub words: Words,
    /// The person that said so, where it was not KRA.
    pub acted: Option<Acted>,
}

/// What became of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberThen {
    /// It was free again.
    Freed,
    /// It stayed tied to the document, if one was.
    Kept,
    /// KRA has it.
    Used,
}
