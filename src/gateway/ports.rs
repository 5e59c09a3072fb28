//! What the verbs need of the world, one small trait a concern. The edges keep these promises.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use crate::fiscal::{CmcKey, DeviceIdentity, Invoice, KraDateTime, Proof, Registration};
use crate::queue::drain::{Ruling, View};
use crate::queue::{LookedUp, Probed, Sent, SentAs, Seq, Status, Unreachable, Words};
use crate::wire::FrozenRequest;

/// KRA, over whichever wire. Nothing here ever sends a request twice by itself.
pub trait Authority: Send + Sync + 'static {
    /// Sees to it that a connection for saving requests stands (TCP, proxy and TLS up) with nothing sent on it.
    ///
    /// # Errors
    /// It does not stand; nothing was sent.
    fn connect(&self) -> impl Future<Output = Result<(), Unreachable>> + Send;

    /// Whether a connection for saving requests stands at this moment. Dials nothing.
    fn stands(&self) -> impl Future<Output = bool> + Send;

    /// Sends a saving request over the connection that stands, filling `key` (and what is signed with it) into the
    /// frozen bytes.
    fn save(
        &self,
        request: &FrozenRequest,
        device: &DeviceIdentity,
        key: &CmcKey,
    ) -> impl Future<Output = Sent> + Send;

    /// Asks for one invoice by number, on a fresh connection.
    fn look_up(
        &self,
        invoice_no: u64,
        device: &DeviceIdentity,
        key: &CmcKey,
    ) -> impl Future<Output = LookedUp> + Send;

    /// The cheap question whether KRA is there, on a connection of its own.
    fn probe(&self, device: &DeviceIdentity, key: Option<&CmcKey>) -> impl Future<Output = Probed> + Send;

    /// Registers the device. The answer's body comes back unread: it is written to disk before anything else.
    fn initialise(&self, device: &DeviceIdentity) -> impl Future<Output = Initialised> + Send;
}

/// What became of the one request that registers a device.
#[derive(Clone, PartialEq, Eq)]
pub enum Initialised {
    /// An answer came, its body as it was.
    Answered {
        /// The HTTP status.
        http_status: u16,
        /// The body; it holds the key.
        body: Vec<u8>,
    },
    /// Something may have left and no answer came back.
    InDoubt(String),
    /// Nothing was sent.
    NotSent(Unreachable),
}

/// Without the body: it holds the key.
impl fmt::Debug for Initialised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered { http_status, body } => f
                .debug_struct("Answered")
                .field("http_status", http_status)
                .field("body", &format_args!("{} bytes", body.len()))
                .finish(),
            Self::InDoubt(why) => f.debug_tuple("InDoubt").field(why).finish(),
            Self::NotSent(unreachable) => f.debug_tuple("NotSent").field(unreachable).finish(),
        }
    }
}

/// The signed log of sales and what became of them. Every promise is kept on disk before it is given.
pub trait Ledger: Send + Sync + 'static {
    /// Signs the sale and commits it; returns after the sync. A known `trdInvcNo` brings the sale that has it, and
    /// nothing is written; of two at once, the second waits for the first.
    ///
    /// # Errors
    /// Nothing was accepted.
    fn accept(
        &self,
        invoice: Invoice,
        content: [u8; 32],
        origin: &str,
    ) -> impl Future<Output = Result<Acceptance, LedgerError>> + Send;

    /// The sale with this `trdInvcNo`, finished or not.
    ///
    /// # Errors
    /// The store cannot be read.
    fn find(&self, trader_ref: &str) -> impl Future<Output = Result<Option<Sale>, LedgerError>> + Send;

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

    /// Where a document stands in the line. From memory.
    fn place(&self, document: Seq) -> Place;

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

    /// Resolves once this document is no longer pending, or the outcome of a try is there. To be called before the
    /// document is looked at, so that nothing is missed.
    fn news_of(&self, document: Seq) -> impl Future<Output = ()> + Send + 'static;

    /// How many stand where. From memory.
    fn counts(&self) -> Counts;
}

/// The device: its registration and its key.
pub trait Registry: Send + Sync + 'static {
    /// The device as it is registered, or as it was last tried.
    fn device(&self) -> Device;

    /// Its key, once registered.
    fn key(&self) -> Option<CmcKey>;

    /// Whether a document was ever accepted here: from then on the store belongs to one device.
    fn has_documents(&self) -> bool;

    /// Commits which device this is to become, with nothing sent: sales are taken for it from now on.
    ///
    /// # Errors
    /// Another device has documents here, or an answer of KRA that nobody has read; or it could not be recorded.
    fn wait_for(&self, identity: &DeviceIdentity) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Commits that a registration is about to be asked for, then sees to room for the answer and the key. Nothing that an
    /// earlier try left is touched.
    ///
    /// # Errors
    /// Nothing may be sent.
    fn intend(&self, identity: &DeviceIdentity) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Writes and syncs KRA's answer before anybody reads it.
    ///
    /// # Errors
    /// It could not be written. It is kept in memory, and [`kept_answer`](Self::kept_answer) still brings it.
    fn keep_answer(&self, answer: &KeptAnswer) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// An answer that was kept and never read to its end: the daemon died in between, or its key found no place.
    ///
    /// # Errors
    /// It is there and cannot be read.
    fn kept_answer(&self) -> impl Future<Output = Result<Option<KeptAnswer>, LedgerError>> + Send;

    /// What earlier tries to register this device left behind.
    ///
    /// # Errors
    /// It is there and cannot be read.
    fn left_over(
        &self,
        identity: &DeviceIdentity,
    ) -> impl Future<Output = Result<LeftOver, LedgerError>> + Send;

    /// Keeps the key, then commits the registration, then forgets the raw answer.
    ///
    /// # Errors
    /// The device is not registered yet; the raw answer is still there.
    fn register(
        &self,
        identity: &DeviceIdentity,
        registration: &Registration,
        key: &CmcKey,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Commits why the registration that was intended did not come about.
    ///
    /// # Errors
    /// It could not be recorded; an answer is still there.
    fn not_registered(
        &self,
        identity: &DeviceIdentity,
        failure: RegistrationFailure,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;
}

/// KRA's answer to the one request that registers a device, as it is kept before anybody reads it.
#[derive(Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// Which device was asked for.
    pub device: DeviceIdentity,
    /// The HTTP status.
    pub http_status: u16,
    /// The body; it holds the key.
    pub body: Vec<u8>,
}

/// Without the body: it holds the key.
impl fmt::Debug for KeptAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptAnswer")
            .field("device", &self.device)
            .field("http_status", &self.http_status)
            .field("body", &format_args!("{} bytes", self.body.len()))
            .finish()
    }
}

/// What earlier tries to register a device left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOver {
    /// Answers that could not be used when they came, the newest first.
    pub answers: Vec<KeptAnswer>,
    /// A key without its registration.
    pub key: bool,
}

/// Where the device stands with KRA.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// Registered.
    Active(DeviceIdentity, Registration),
    /// KRA said no.
    Failed(DeviceIdentity, Words),
    /// Configured; KRA was not reached, or its answer was lost. `unknown`: how often an answer was lost.
    Pending {
        /// Which device.
        identity: DeviceIdentity,
        /// Requests whose outcome is unknown.
        unknown: u32,
    },
    /// Not even configured.
    #[default]
    Unregistered,
}

impl Device {
    /// Which device, where that is known.
    pub const fn identity(&self) -> Option<&DeviceIdentity> {
        match self {
            Self::Active(identity, _) | Self::Failed(identity, _) | Self::Pending { identity, .. } => {
                Some(identity)
            }
            Self::Unregistered => None,
        }
    }

    /// The registration, once there is one.
    pub const fn registration(&self) -> Option<&Registration> {
        match self {
            Self::Active(_, registration) => Some(registration),
            _ => None,
        }
    }
}

/// Why a registration did not come about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegistrationFailure {
    /// The request left and no answer that can be read came back.
    Lost(Words),
    /// Nothing was sent.
    NotSent(Words),
    /// KRA said no.
    Refused(Words),
}

/// A sale's acceptance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// This `trdInvcNo` was there already.
    Known(Box<Sale>),
    /// It is on disk.
    New(Box<Sale>),
}

/// A sale as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sale {
    /// Its running number.
    pub seq: Seq,
    /// The hash of its record.
    pub hash: [u8; 32],
    /// Our signature over its content and acceptance time.
    pub signature: [u8; 64],
    /// Wall clock at acceptance, milliseconds since 1970.
    pub accepted_ms: i64,
    /// How long ago that was, by a clock that does not jump where the machine was not restarted since.
    pub age: Duration,
    /// The wall clock was wrong then, perhaps, and the age is right: the machine was not restarted since.
    pub time_can_be_mended: bool,
    /// The hash of the request's content.
    pub content: [u8; 32],
    /// The sale.
    pub invoice: Invoice,
    /// Where it stands.
    pub status: Status,
    /// The number it is, or was last, bound to.
    pub invoice_no: Option<u64>,
    /// Tries used.
    pub attempts: u32,
    /// Sends whose outcome is unknown.
    pub unsure_sends: u32,
    /// KRA's proof.
    pub proof: Option<Proof>,
    /// KRA's last words about it.
    pub words: Option<Words>,
}

impl Sale {
    /// It may be in KRA's books, and nobody knows yet.
    pub fn in_doubt(&self) -> bool {
        self.status == Status::Pending && self.unsure_sends > 0
    }
}

/// What BIND keeps: a number and the exact bytes that are sent under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The number, and what else KRA's books would show.
    pub sent_as: SentAs,
    /// The bytes.
    pub request: FrozenRequest,
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
    /// Age of the oldest pending one.
    pub oldest: Option<Duration>,
}

/// How the store and its disk are.
pub trait StoreHealth: Send + Sync + 'static {
    /// At this moment; cheap.
    fn store_facts(&self) -> StoreFacts;
}

/// What [`StoreHealth`] tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreFacts {
    /// Where it is.
    pub dir: String,
    /// The last record's running number.
    pub last_record: Seq,
    /// Size of the journal, bytes.
    pub journal_bytes: u64,
    /// Free space on its disk, bytes.
    pub free_bytes: u64,
    /// Below this, new sales are refused, bytes.
    pub min_free_bytes: u64,
    /// The last write and sync went well.
    pub works: bool,
    /// What a person should know of it.
    pub remarks: Vec<String>,
    /// The key that our signatures are checked with.
    pub public_key: [u8; 32],
}

/// Why the ledger did not do what was asked. Nothing was accepted or recorded then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
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

/// What time it is.
pub trait Clock: Send + Sync + 'static {
    /// On a clock that never jumps.
    fn moment(&self) -> crate::queue::Moment;

    /// The wall clock, milliseconds since 1970.
    fn wall_ms(&self) -> i64;

    /// Whether the wall clock is synchronised.
    fn synchronised(&self) -> bool;

    /// The wall clock as KRA writes it; the first second of 1970 where the clock stands before that.
    fn kra_now(&self) -> KraDateTime {
        let fallback = || KraDateTime::from_unix(0).expect("1970 is a time");
        KraDateTime::from_unix(self.wall_ms().div_euclid(1000)).unwrap_or_else(fallback)
    }
}
