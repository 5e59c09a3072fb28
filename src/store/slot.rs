//! Where the open index is: closed and opened anew under everybody's hands when the disk was full.

use std::sync::{PoisonError, RwLock};

use crate::store::index::{Index, IndexError};

/// The place of the index. Whoever asks while it is being opened anew waits for that.
pub(crate) struct IndexSlot(RwLock<Option<Index>>);

impl IndexSlot {
    pub(crate) const fn new(index: Index) -> Self {
        Self(RwLock::new(Some(index)))
    }

    /// Asks the open index. Never asked again from within `ask`: somebody may be waiting to close it.
    pub(crate) fn with<T>(&self, ask: impl FnOnce(&Index) -> Result<T, IndexError>) -> Result<T, IndexError> {
        match &*self.0.read().unwrap_or_else(PoisonError::into_inner) {
            Some(index) => ask(index),
            None => Err(IndexError::new("it could not be opened anew")),
        }
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
        let mut place = self.0.write().unwrap_or_else(PoisonError::into_inner);
        // sled holds a lock on its file until it is dropped.
        drop(place.take());
        *place = Some(make()?);
        Ok(())
    }
}
