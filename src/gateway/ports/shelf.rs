//! What has no state but its newest record, as the verbs see it: items, code lists.

use std::future::Future;

use super::LedgerError;

/// The most entries that are put on the shelf at one time.
pub const SHELVED_AT_ONCE: usize = 256;

/// What is kept on a shelf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shelf {
    /// KRA's code lists, as they were fetched.
    Codes,
    /// The items of the catalogue.
    Items,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shelved {
    /// What it is found by: at least 1 and at most 128 bytes.
    pub key: String,
    /// Its content, opaque to the shelf.
    pub content: Vec<u8>,
}

/// The newest entry of each key, kept on disk: what was put is there after a power cut, and nothing is ever taken away.
pub trait Shelves: Send + Sync + 'static {
    /// Gives everything that stands on a shelf to `each`, in no promised order, one at a time. Blocks: for the start, on a
    /// thread where blocking is allowed. The answer says how many could not be read for damage; they are missing.
    ///
    /// # Errors
    /// The store cannot be read.
    fn read_all(&self, shelf: Shelf, each: &mut dyn FnMut(Shelved)) -> Result<u64, LedgerError>;

    /// Puts entries on a shelf, each in the place of the one with its key: all or none, in one commit; returns after the
    /// sync. Of two with one key the later stays. Sales come between two calls, so a large batch is put in parts.
    ///
    /// # Errors
    /// None was put: there are more than [`SHELVED_AT_ONCE`], one is too large, or the disk is too full.
    fn put(
        &self,
        shelf: Shelf,
        entries: Vec<Shelved>,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;
}
