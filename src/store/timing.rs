//! How long commits take, counted by whoever makes them.

use crate::gateway::ports::StoreTiming;
use crate::status::{Histogram, MANY, QUICK};

/// The store's histograms.
#[derive(Debug)]
pub(crate) struct Timing {
    /// From the handing in of a commit to its answer.
    pub(crate) commit: Histogram,
    /// The write and sync of a group.
    pub(crate) sync: Histogram,
    /// Records of a group.
    pub(crate) records: Histogram,
}

impl Default for Timing {
    fn default() -> Self {
        Self { commit: Histogram::new(QUICK), sync: Histogram::new(QUICK), records: Histogram::new(MANY) }
    }
}

impl Timing {
    pub(crate) fn now(&self) -> StoreTiming {
        StoreTiming { commit: self.commit.now(), sync: self.sync.now(), records: self.records.now() }
    }
}
