//! Which records of the journal belong to a period.

use crate::fiscal::Period;
use crate::queue::Seq;
use crate::store::record::Record;

/// Finds the records of a period: all from the first that was accepted on its days to the last. Clocks go wrong, running
/// numbers do not: what lies between the two belongs to it, so that the chain has no gap and nothing can be left out.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Range {
    found: Option<(Seq, Seq)>,
}

impl Range {
    /// Looks at one record more, in the journal's order.
    pub(super) fn see(&mut self, period: &Period, record: &Record) {
        if period.holds(record.stamp.wall_ms) {
            let first = self.found.map_or(record.seq, |(first, _)| first);
            self.found = Some((first, record.seq));
        }
    }

    /// The first and last record; none if the period has no record.
    pub(super) const fn found(&self) -> Option<(Seq, Seq)> {
        self.found
    }
}
