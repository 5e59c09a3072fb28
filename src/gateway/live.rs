//! Settings that a reload may replace while others go by them.

use std::sync::{Arc, PoisonError, RwLock};

/// A value that can be replaced; clones show the same one. Whoever asks gets the value as it is then, whole, and goes by it
/// for as long as one piece of work takes.
#[derive(Debug)]
pub struct Live<T>(Arc<RwLock<Arc<T>>>);

impl<T> Clone for Live<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Live<T> {
    /// This value, until it is replaced.
    pub fn new(value: T) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(value))))
    }

    /// The value as it is now.
    pub fn now(&self) -> Arc<T> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces it, for everybody who asks from now on.
    pub fn replace(&self, value: T) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(value);
    }
}

#[cfg(test)]
mod tests {
    use super::Live;

    #[test]
    fn clones_see_the_same_and_work_in_hand_keeps_its_own() {
        let live = Live::new(1);
        let (other, in_hand) = (live.clone(), live.now());
        live.replace(2);
        assert_eq!((*other.now(), *in_hand), (2, 1));
    }
}
