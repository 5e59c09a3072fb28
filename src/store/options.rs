//! How a store is opened, and what it tells about itself.

use std::path::PathBuf;
use std::time::Duration;

use crate::queue::Seq;
use crate::store::entry::Entry;
use crate::store::record::{Located, Stamp};
use crate::store::retention::RETIRE_PAUSE;
use crate::store::room::Room;

/// How to open a store.
#[derive(Clone)]
pub struct Options {
    /// Whether an empty store may be made where there is none. Off where a till sells for real: there an unmounted
    /// partition must not look like a new till.
    pub create: bool,
    /// The signing key (PKCS#8, Ed25519) where a credential gives it; else it is a file of the store's own.
    pub signing_key: Option<Vec<u8>>,
    /// The time for the store's own records.
    pub clock: fn() -> Stamp,
    /// Bytes of a segment; rounded up to whole blocks, at least 64 KiB.
    pub segment_size: u32,
    /// How many documents may be unfinished before new ones are refused.
    pub max_documents: u64,
    /// Below this much free disk no new document is taken, bytes.
    pub min_free: u64,
    /// Bytes of the reserve for a full disk; 0: none; else at least a segment.
    pub reserve: u64,
    /// How many commits may wait for the committer before callers wait for a place.
    pub waiting_commits: usize,
    /// Quiet after which the index is flushed and a checkpoint written.
    pub checkpoint_quiet: Duration,
    /// Under load: a checkpoint at least this often.
    pub checkpoint_every: Duration,
    /// Under load: a checkpoint at least after this many bytes of journal.
    pub checkpoint_bytes: u64,
    /// Closed segments are read through in the background, one each time this has passed, all of them once a day at most.
    pub scrub_pause: Duration,
    /// How long finished documents are kept; `None`: for ever.
    pub retention: Option<Duration>,
    /// Between two retirements of a segment, at the least.
    pub retire_pause: Duration,
    /// Closed segments are compressed, and looked at for retirement, one each time this has passed.
    pub upkeep_pause: Duration,
    /// At a start the index's file is made anew if it is larger than four times what is in it and this many bytes.
    pub compact_above: u64,
    /// When KRA signed, by its own clock, if this OUTCOME's body has a proof: milliseconds since 1970 (UTC).
    pub proof_time: fn(&[u8]) -> Option<i64>,
}

impl Options {
    /// The usual values; never makes a store by itself.
    pub fn new(clock: fn() -> Stamp) -> Self {
        Self {
            create: false,
            signing_key: None,
            clock,
            segment_size: 8 << 20,
            max_documents: 250_000,
            min_free: 0,
            reserve: 0,
            waiting_commits: 1024,
            checkpoint_quiet: Duration::from_secs(1),
            checkpoint_every: Duration::from_secs(60),
            checkpoint_bytes: 16 << 20,
            scrub_pause: Duration::from_secs(1),
            retention: None,
            retire_pause: RETIRE_PAUSE,
            upkeep_pause: Duration::from_secs(5),
            compact_above: 64 << 20,
            proof_time: super::bodies::proof_time,
        }
    }
}

/// What opening is doing, for a status line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The step.
    pub step: Step,
    /// How far, in the step's own unit (segments).
    pub done: u64,
    /// Out of how many.
    pub total: u64,
}

/// The steps that can take long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The index is checked against the journal.
    Check,
    /// The index is made anew from the journal.
    Rebuild,
    /// The journal is read to find its end.
    Scan,
    /// The journal is checked record by record.
    Verify,
}

/// What opening found and did; anything but the defaults is worth an alert.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// The store was made just now.
    pub created: bool,
    /// How often this store has been opened.
    pub epoch: u64,
    /// An unfinished group at the end was cut; nothing in it had been acknowledged.
    pub cut: Option<Cut>,
    /// The index was made anew from the journal, for this reason.
    pub rebuilt: Option<String>,
    /// Where the index that was not trusted has gone.
    pub quarantined: Option<PathBuf>,
    /// Damage in the journal that touches finished documents only.
    pub damage: Vec<Damage>,
    /// Records that were applied to the index again.
    pub replayed: u64,
    /// The index's file was made smaller: its bytes before and after.
    pub compacted: Option<(u64, u64)>,
}

/// An unfinished group that was cut from the end of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Its segment.
    pub segment: u32,
    /// Where in the segment.
    pub offset: u64,
    /// The group's number, which the next group takes.
    pub group: u64,
}

/// Something in the journal that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The segment.
    pub segment: u32,
    /// Where in the segment.
    pub offset: u64,
    /// What is wrong.
    pub what: String,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "segment {} at byte {}: {}", self.segment, self.offset, self.what)
    }
}

/// What became of one record of a commit.
#[allow(clippy::large_enum_variant, reason = "short-lived, one per commit")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Committed {
    /// It is in the journal, on the disk.
    New {
        /// Its running number.
        seq: Seq,
        /// Its hash.
        hash: [u8; 32],
        /// Where it is.
        at: Located,
    },
    /// A document with this key is there already; nothing of the commit was written, and this is its only result.
    Known(Entry),
}

/// How many documents stand where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Pending, those in doubt included.
    pub waiting: u64,
    /// Pending with a send whose outcome is unknown.
    pub in_doubt: u64,
    /// Parked.
    pub parked: u64,
    /// Refused by KRA, neither settled nor replaced.
    pub rejected: u64,
    /// At KRA, without the proof.
    pub accepted_no_proof: u64,
    /// All documents ever accepted, training and proforma included.
    pub documents_total: u64,
    /// When the oldest pending one was accepted.
    pub oldest_waiting: Option<Stamp>,
}

/// How the store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// The last write and sync went well.
    pub last_sync_ok: bool,
    /// How long ago that was; since opening if there was none.
    pub last_sync_age: Duration,
    /// Why nothing more is accepted; the daemon should exit, the next start repairs what it can.
    pub failed: Option<String>,
    /// Damage in the journal, found at the start or by reading closed segments through since.
    pub damage: Vec<Damage>,
    /// How many segments there are.
    pub segments: u64,
    /// Bytes of journal in use.
    pub journal_bytes: u64,
    /// What can still be written, and what will have to be.
    pub room: Room,
    /// A zero-filled segment stands ready.
    pub spare_ready: bool,
    /// How many indexes that were not trusted are kept.
    pub quarantined: u64,
}
