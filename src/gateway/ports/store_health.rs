//! How the store and its disk are, as the verbs see it.

use std::future::Future;

use crate::queue::Seq;
use crate::status::Distribution;

/// How the store and its disk are.
pub trait StoreHealth: Send + Sync + 'static {
    /// At this moment; cheap.
    fn store_facts(&self) -> StoreFacts;

    /// How long its commits took since the start; cheap.
    fn timing(&self) -> StoreTiming;

    /// The disk below it: reads directories, where that may wait.
    fn disk_facts(&self) -> impl Future<Output = DiskFacts> + Send;
}

/// How long the store's work took since the start, in microseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreTiming {
    /// From a commit's handing in to its being on the disk, the wait for its turn included.
    pub commit: Distribution,
    /// One group: its write and its sync.
    pub sync: Distribution,
    /// How many records went in one group.
    pub records: Distribution,
}

/// The disk below the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskFacts {
    /// Size of the file system, bytes.
    pub total_bytes: u64,
    /// Size of the index's files, bytes.
    pub index_bytes: u64,
    /// How worn it is, where it tells.
    pub wear: Option<Wear>,
}

/// What an eMMC says of its own wear, as JEDEC wrote it down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wear {
    /// The device, such as `mmcblk0`.
    pub device: String,
    /// Life used by both kinds of cells, in tenths: 1 is up to 10 %, 11 is beyond; 0 is unknown.
    pub life_time: [u8; 2],
    /// Reserve blocks: 1 normal, 2 warning, 3 urgent; 0 is unknown.
    pub pre_eol: u8,
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
    /// What can be written before the disk is as full as it may get, bytes.
    pub ahead_bytes: u64,
    /// What becomes of the sales that wait will take this much, bytes.
    pub needed_bytes: u64,
    /// How the disk is filled.
    pub disk: DiskLevel,
    /// The reserve for a full disk stands ready; `None`: none is wanted.
    pub reserve: Option<bool>,
    /// As many documents wait as may: new ones are refused.
    pub full: bool,
    /// The last write and sync went well.
    pub works: bool,
    /// Damage that was found in the journal, place by place.
    pub damage: Vec<String>,
    /// What else a person should know of it.
    pub remarks: Vec<String>,
    /// The key that our signatures are checked with.
    pub public_key: [u8; 32],
}

/// How the disk is filled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DiskLevel {
    /// Room enough.
    #[default]
    Enough,
    /// Sales are taken still; not for long if it goes on like this.
    Filling,
    /// No sale is taken; what waits is still delivered.
    Low,
}

impl DiskLevel {
    /// The stable word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Enough => "enough",
            Self::Filling => "filling",
            Self::Low => "low",
        }
    }
}
