//! Counting how long, or how many: buckets that any thread adds to without waiting.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Bounds for what a disk or a small computer does, microseconds: a quarter of a millisecond to five seconds.
pub const QUICK: &[u64] = &[
    250, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000,
    5_000_000,
];
/// Bounds for what KRA does, microseconds: 20 milliseconds to two minutes.
pub const SLOW: &[u64] = &[
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    30_000_000,
    60_000_000,
    120_000_000,
];
/// Bounds for how many went together.
pub const MANY: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256];

/// How often which size occurred.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    /// One for each bound, and one for what lies beyond the last.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// A histogram at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    /// Upper bounds, each included in its bucket.
    pub bounds: &'static [u64],
    /// How many lie in each bucket alone; the last one has no bound.
    pub counts: Vec<u64>,
    /// All of them added up.
    pub sum: u64,
}

impl Histogram {
    /// Nothing counted yet; `bounds` ascend.
    pub fn new(bounds: &'static [u64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, sum: AtomicU64::new(0) }
    }

    /// One more of this size.
    pub fn add(&self, size: u64) {
        let bucket = self.bounds.partition_point(|bound| *bound < size);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(size, Ordering::Relaxed);
    }

    /// One more that took so long, in microseconds.
    pub fn took(&self, time: Duration) {
        self.add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// As it is now; what is being added meanwhile may be in or not.
    pub fn now(&self) -> Distribution {
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        Distribution { bounds: self.bounds, counts, sum: self.sum.load(Ordering::Relaxed) }
    }
}

impl Distribution {
    /// How many there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_fall_into_their_buckets() {
        let histogram = Histogram::new(&[1, 2, 4]);
        for size in [0, 1, 2, 3, 4, 5, 1_000] {
            histogram.add(size);
        }
        let now = histogram.now();
        assert_eq!((now.counts.as_slice(), now.sum, now.count()), ([2, 1, 2, 2].as_slice(), 1_015, 7));
    }
}
