//! The signed log, as the verbs see it.

use std::future::Future;
use std::time::Duration;

use super::{Acted, Bound, Credit, Creditable, Original, Printing, Sale};
use crate::fiscal::{Amount, Invoice, Original as Named, TraderRef};
use crate::queue::adoption::{Finding, Outcome};
use crate::queue::drain::{Ruling, Subject, View};
use crate::queue::{Seen, Seq, Status, Words};

/// The signed log of sales and what became of them. Every promise is kept on disk before it is given.
pub trait Ledger: Send + Sync + 'static {
    /// Signs the sale and commits it; returns after the sync. A known `trdInvcNo` brings the sale that has it, and
    /// nothing is written; of two at once, the second waits for the first. `credit`: what a credit note takes of its sale,
    /// in the same commit.
    ///
    /// # Errors
    /// Nothing was accepted. [`LedgerError::OriginalChanged`]: another note was quicker, or the sale came to stand otherwise.
    fn accept(
        &self,
        invoice: Invoice,
        content: [u8; 32],
        origin: &str,
        credit: Option<&Credit>,
    ) -> impl Future<Output = Result<Acceptance, LedgerError>> + Send;

    /// The sale with this `trdInvcNo`, finished or not.
    ///
    /// # Errors
    /// The store cannot be read.
    fn find(&self, trader_ref: &str) -> impl Future<Output = Result<Option<Sale>, LedgerError>> + Send;

    /// The sale that a credit note names, with what is left of it; `None`: it is not in these books.
    ///
    /// # Errors
    /// The store cannot be read.
    fn creditable(
        &self,
        named: &Named,
    ) -> impl Future<Output = Result<Option<Creditable>, LedgerError>> + Send;

    /// The sale that an accepted credit note undoes, by its running number; `None`: it is no longer kept.
    ///
    /// # Errors
    /// The store cannot be read.
    fn original(&self, sale: Seq) -> impl Future<Output = Result<Option<Original>, LedgerError>> + Send;

    /// Lets those credit notes go on that were parked with their sale, where that is on its way again, in KRA's books, or
    /// replaced. How many.
    ///
    /// # Errors
    /// The store failed; those before are on their way.
    fn rejoin_notes(&self) -> impl Future<Output = Result<u64, LedgerError>> + Send;

    /// The newest sale that came by this port or socket; an old one may no longer be looked for.
    ///
    /// # Errors
    /// The store cannot be read.
    fn last_from(&self, origin: &str) -> impl Future<Output = Result<Option<Sale>, LedgerError>> + Send;

    /// Sales from the newest before `before` on, at most `limit` that stand at `status`, and where to go on.
    ///
    /// # Errors
    /// The store cannot be read.
    fn recent(
        &self,
        before: Option<Seq>,
        status: Option<Status>,
        limit: usize,
    ) -> impl Future<Output = Result<(Vec<Sale>, Option<Seq>), LedgerError>> + Send;

    /// Unfinished sales (pending, refused, set aside, without proof) after `after`, in order of acceptance.
    ///
    /// # Errors
    /// The store cannot be read.
    fn open_sales(
        &self,
        after: Option<Seq>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Sale>, LedgerError>> + Send;

    /// Where a document stands in the line, those `aside` and credit notes that wait for their sale not counted. From memory.
    fn place(&self, document: Seq, aside: &[Seq]) -> Place;

    /// How many pending sales were accepted before this one.
    ///
    /// # Errors
    /// The store cannot be read.
    fn ahead_of(&self, document: Seq) -> impl Future<Output = Result<u64, LedgerError>> + Send;

    /// What the drain decides on, leaving out those who stepped aside.
    ///
    /// # Errors
    /// The store cannot be read.
    fn view(&self, aside: Vec<Seq>) -> impl Future<Output = Result<View, LedgerError>> + Send;

    /// An unfinished sale.
    ///
    /// # Errors
    /// The store cannot be read, or there is no such sale.
    fn unfinished(&self, document: Seq) -> impl Future<Output = Result<Sale, LedgerError>> + Send;

    /// The bytes that this document was bound to.
    ///
    /// # Errors
    /// The store cannot be read, or it is not bound.
    fn bound(&self, document: Seq) -> impl Future<Output = Result<Bound, LedgerError>> + Send;

    /// What the receipt of a sale is printed from; `None`: there is no such sale.
    ///
    /// # Errors
    /// The store cannot be read.
    fn printing(
        &self,
        trader_ref: &str,
    ) -> impl Future<Output = Result<Option<Printing>, LedgerError>> + Send;

    /// Commits that the original of a signed sale's receipt is printed, `again` because the paper jammed. False: it was
    /// printed before, and nothing was written.
    ///
    /// # Errors
    /// Nothing was recorded.
    fn record_print(
        &self,
        sale: &Sale,
        again: bool,
    ) -> impl Future<Output = Result<bool, LedgerError>> + Send;

    /// Commits BIND: returns after the sync.
    ///
    /// # Errors
    /// Nothing was bound.
    fn bind(&self, document: Seq, bound: Bound) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Commits what became of a document and, in the same commit, BIND of the next one.
    ///
    /// # Errors
    /// Nothing was recorded.
    fn record(
        &self,
        document: Seq,
        ruling: &Ruling,
        next: Option<(Seq, Bound)>,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// The wall clock at the nearest records before and after this one that were written by a synchronised clock,
    /// milliseconds since 1970; looked for nearby only.
    ///
    /// # Errors
    /// The store cannot be read.
    fn sure_times_around(
        &self,
        document: Seq,
    ) -> impl Future<Output = Result<(Option<i64>, Option<i64>), LedgerError>> + Send;

    /// The latest sales that KRA refused for good since it last accepted one, as far as they are open, in the order in which
    /// it did; a few are enough.
    ///
    /// # Errors
    /// The store cannot be read.
    fn latest_refusals(&self) -> impl Future<Output = Result<Vec<(Seq, Words)>, LedgerError>> + Send;

    /// An unfinished document as a person's command finds it; `None`: it is finished, or unknown.
    ///
    /// # Errors
    /// The store cannot be read.
    fn subject(&self, document: Seq) -> impl Future<Output = Result<Option<Subject>, LedgerError>> + Send;

    /// The first parked documents, in order of acceptance.
    ///
    /// # Errors
    /// The store cannot be read.
    fn parked(&self, limit: usize) -> impl Future<Output = Result<Vec<(Seq, Subject)>, LedgerError>> + Send;

    /// The first documents that KRA has and whose proof is not here, and their numbers, in order of acceptance.
    ///
    /// # Errors
    /// The store cannot be read.
    fn without_proof(
        &self,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<(Seq, u64)>, LedgerError>> + Send;

    /// Commits a person's act, with the document it is about as the person saw it, and what becomes of documents that stand
    /// as said; all in one commit. False: one of them no longer does, and nothing was written.
    ///
    /// # Errors
    /// Nothing was recorded.
    fn act(
        &self,
        acted: &Acted,
        about: Option<(Seq, Seen)>,
        rulings: &[(Seq, Seen, Ruling)],
    ) -> impl Future<Output = Result<bool, LedgerError>> + Send;

    /// The signature that KRA gave under this number as our books have it, empty where it gave none; `None`: our books do not
    /// know the number.
    ///
    /// # Errors
    /// The store cannot be read.
    fn signature_under(
        &self,
        number: u64,
    ) -> impl Future<Output = Result<Option<String>, LedgerError>> + Send;

    /// The number under which our books have this signature of KRA's, looked for among the newest records; `None`: it is not
    /// among those.
    ///
    /// # Errors
    /// The store cannot be read.
    fn number_signed(&self, signature: &str)
    -> impl Future<Output = Result<Option<u64>, LedgerError>> + Send;

    /// Commits what was found in KRA's books while a person adopts the series; `bound`: what a document of ours is bound to
    /// in the same commit. False: it no longer stands as said, and nothing was written.
    ///
    /// # Errors
    /// Nothing was recorded.
    fn write_finding(
        &self,
        acted: &Acted,
        finding: &Finding,
        bound: Option<Bound>,
    ) -> impl Future<Output = Result<bool, LedgerError>> + Send;

    /// Commits where the series goes on, and who said so.
    ///
    /// # Errors
    /// Nothing was recorded.
    fn set_series(
        &self,
        acted: &Acted,
        outcome: &Outcome,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Resolves once this document is no longer pending, or the outcome of a try is there. To be called before the
    /// document is looked at, so that nothing is missed.
    fn news_of(&self, document: Seq) -> impl Future<Output = ()> + Send + 'static;

    /// Age of the oldest pending sale that is none of these.
    fn oldest_beside(&self, aside: &[Seq]) -> Option<Duration>;

    /// How many stand where. From memory.
    fn counts(&self) -> Counts;

    /// The sales that KRA refused and nobody has settled, in order of acceptance. From memory.
    fn open_refusals(&self) -> Vec<OpenRefusal>;
}

/// A sale's acceptance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// This `trdInvcNo` was there already.
    Known(Box<Sale>),
    /// It is on disk.
    New(Box<Sale>),
}

/// Where a document stands in the line of the pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Others were accepted before it.
    Behind,
    /// It is the next.
    First,
    /// It no longer waits.
    Gone,
}

/// How many documents stand where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Pending, those in doubt included.
    pub waiting: u64,
    /// Pending, and perhaps in KRA's books.
    pub in_doubt: u64,
    /// Set aside.
    pub parked: u64,
    /// Refused by KRA and open.
    pub rejected: u64,
    /// In KRA's books, without their proof.
    pub accepted_no_proof: u64,
    /// Age of the oldest pending one.
    pub oldest: Option<Duration>,
}

/// A sale that KRA refused and nobody has settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenRefusal {
    /// Its running number.
    pub seq: Seq,
    /// The port or socket that it came by.
    pub origin: String,
    /// The register's own number.
    pub trader_ref: TraderRef,
    /// The number on the slip that was given.
    pub temporary_receipt_no: String,
    /// Wall clock at acceptance, milliseconds since 1970.
    pub accepted_ms: i64,
    /// What the customer paid, or got back.
    pub total: Amount,
    /// It is a credit note.
    pub credit_note: bool,
    /// KRA's words, without the customer's values.
    pub words: Words,
}

/// Why the ledger did not do what was asked. Nothing was accepted or recorded then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// The sale that this one replaces is not one that KRA refused, for this reason.
    #[error("the sale cannot be replaced: it {0}")]
    CannotReplace(&'static str),
    /// Too little of the sale is left for this credit note, as these words say.
    #[error("{0}")]
    NotLeft(String),
    /// The sale that a credit note undoes has changed since it was looked at: look again.
    #[error("the sale that is credited has changed meanwhile")]
    OriginalChanged,
    /// The disk is nearly full.
    #[error("the disk is nearly full")]
    DiskLow,
    /// A write or sync failed, or a record cannot be read: the daemon stops.
    #[error("the store failed: {0}")]
    Failed(String),
    /// As many documents wait as may.
    #[error("the queue is full")]
    Full,
    /// The store belongs to another device: it has documents here, or an answer of KRA that nobody has read.
    #[error("this store belongs to another device")]
    OtherDevice,
    /// The daemon is stopping.
    #[error("the gateway is stopping")]
    Stopping,
    /// The record is larger than the store takes.
    #[error("the sale is larger than the store takes")]
    TooLarge,
}
