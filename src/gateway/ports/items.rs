//! The catalogue's place on disk, as the verbs see it.

use std::future::Future;

use super::LedgerError;
use crate::fiscal::Item;
use crate::queue::ItemStanding;

/// An item as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptItem {
    /// What it is.
    pub item: Item,
    /// Where it stands with KRA.
    pub standing: ItemStanding,
    /// KRA has saved it, in this version or an earlier one.
    pub known: bool,
    /// Wall clock when it was last posted with something new, milliseconds since 1970.
    pub changed_ms: i64,
}

/// The items, kept on disk: what was put is there after a power cut.
pub trait ItemLog: Send + Sync + 'static {
    /// Gives every item to `each`, in the order in which they were last put. Blocks: for the start, on a thread where blocking
    /// is allowed. The answer says how many are missing because they could not be read.
    ///
    /// # Errors
    /// The store cannot be read.
    fn read_items(&self, each: &mut dyn FnMut(KeptItem)) -> Result<u64, LedgerError>;

    /// Puts at most [`SHELVED_AT_ONCE`](super::SHELVED_AT_ONCE) items in the place of those with their codes: all or none, in
    /// one commit; returns after the sync.
    ///
    /// # Errors
    /// None was put.
    fn put_items(&self, items: &[KeptItem]) -> impl Future<Output = Result<(), LedgerError>> + Send;
}
