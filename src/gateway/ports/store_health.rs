//! How the store and its disk are, as the verbs see it.

use crate::queue::Seq;

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
    /// Damage that was found in the journal, place by place.
    pub damage: Vec<String>,
    /// What else a person should know of it.
    pub remarks: Vec<String>,
    /// The key that our signatures are checked with.
    pub public_key: [u8; 32],
}
