//! Where the open index is: closed and opened anew under everybody's hands when the disk was full.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use crate::store::index::{Index, IndexError};

/// The place of the index. Whoever asks while it is being opened anew waits for that.
pub(crate) struct IndexSlot {
    index: RwLock<Option<Index>>,
    openings: AtomicU64,
}

impl IndexSlot {
    pub(crate) const fn new(index: Index) -> Self {
        Self { index: RwLock::new(Some(index)), openings: AtomicU64::new(1) }
    }

    /// Asks the open index. Never asked again from within `ask`: somebody may be waiting to close it.
    pub(crate) fn with<T>(&self, ask: impl FnOnce(&Index) -> Result<T, IndexError>) -> Result<T, IndexError> {
        match &*self.index.read().unwrap_or_else(PoisonError::into_inner) {
            Some(index) => ask(index),
            None => Err(IndexError::new("it could not be opened anew")),
        }
    }

    /// How often an index was put here: what was begun before is about another one if this is greater afterwards.
    pub(crate) fn openings(&self) -> u64 {
        self.openings.load(Ordering::Relaxed)
    }

    /// Why it is not used any more.
    pub(crate) fn trouble(&self) -> Option<IndexError> {
        match self.with(|index| Ok(index.trouble())) {
            Ok(trouble) => trouble,
            Err(closed) => Some(closed),
        }
    }

    /// Closes it, once nobody asks any more, and then puts another in its place.
    pub(crate) fn replace<E>(&self, make: impl FnOnce() -> Result<Index, E>) -> Result<(), E> {
        let mut place = self.index.write().unwrap_or_else(PoisonError::into_inner);
        // sled holds a lock on its file until it is dropped.
        drop(place.take());
        *place = Some(make()?);
        self.openings.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}
