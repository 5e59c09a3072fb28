//! What is counted from the start of the daemon on. On the way of a sale nothing here waits for anybody.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::histogram::{Distribution, Histogram, QUICK, SLOW};

/// HTTP statuses that can be.
const FIRST_CODE: u16 = 100;
const CODES: usize = 500;

/// What became of a posted sale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Posting {
    /// It is on disk.
    Accepted,
    /// Its request was wrong, or its number taken.
    Refused,
    /// It was known already.
    Repeated,
    /// Nothing could be taken then: disk, limits, no device.
    Unavailable,
}

impl Posting {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Accepted, Self::Refused, Self::Repeated, Self::Unavailable];

    /// Its word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Repeated => "repeated",
            Self::Unavailable => "unavailable",
        }
    }
}

/// The counters.
#[derive(Debug)]
pub struct Counters {
    postings: [AtomicU64; 4],
    accept: Histogram,
    http: Box<[AtomicU64]>,
    /// By function and outcome. Exchanges with KRA are seldom enough for a lock.
    exchanges: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
    kra: Mutex<BTreeMap<&'static str, Histogram>>,
    clock_steps: AtomicU64,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            postings: Default::default(),
            accept: Histogram::new(QUICK),
            http: (0..CODES).map(|_| AtomicU64::new(0)).collect(),
            exchanges: Mutex::default(),
            kra: Mutex::default(),
            clock_steps: AtomicU64::new(0),
        }
    }
}

impl Counters {
    /// A sale was posted.
    pub fn posted(&self, posting: Posting) {
        self.postings[posting as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// A new sale was accepted: from its request in hand to its record on the disk.
    pub fn accepted_in(&self, time: Duration) {
        self.accept.took(time);
    }

    /// A till's HTTP request was answered.
    pub fn answered(&self, status: u16) {
        let place = status.checked_sub(FIRST_CODE).and_then(|place| self.http.get(usize::from(place)));
        if let Some(count) = place {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// An exchange with KRA is over; `took`: unless nothing was sent.
    pub fn exchanged(&self, function: &'static str, outcome: &'static str, took: Option<Duration>) {
        *locked(&self.exchanges).entry((function, outcome)).or_default() += 1;
        if let Some(took) = took {
            locked(&self.kra).entry(function).or_insert_with(|| Histogram::new(SLOW)).took(took);
        }
    }

    /// The wall clock jumped.
    pub fn clock_stepped(&self) {
        self.clock_steps.fetch_add(1, Ordering::Relaxed);
    }

    /// Sales that ended so.
    pub fn postings(&self, posting: Posting) -> u64 {
        self.postings[posting as usize].load(Ordering::Relaxed)
    }

    /// How long accepting took.
    pub fn accept(&self) -> Distribution {
        self.accept.now()
    }

    /// Answers by HTTP status, those that occurred.
    pub fn http(&self) -> Vec<(u16, u64)> {
        let counts = self.http.iter().map(|count| count.load(Ordering::Relaxed));
        (FIRST_CODE..).zip(counts).filter(|(_, count)| *count > 0).collect()
    }

    /// Exchanges with KRA by function and outcome, those that occurred.
    pub fn exchanges(&self) -> BTreeMap<(&'static str, &'static str), u64> {
        locked(&self.exchanges).clone()
    }

    /// How long KRA took, by function.
    pub fn kra(&self) -> BTreeMap<&'static str, Distribution> {
        locked(&self.kra).iter().map(|(function, histogram)| (*function, histogram.now())).collect()
    }

    /// Jumps of the wall clock.
    pub fn clock_steps(&self) -> u64 {
        self.clock_steps.load(Ordering::Relaxed)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_comes_out() {
        let counters = Counters::default();
        for status in [200, 200, 503, 99, 600, 0] {
            counters.answered(status);
        }
        assert_eq!(counters.http(), [(200, 2), (503, 1)]);
        for posting in Posting::ALL {
            counters.posted(posting);
        }
        counters.posted(Posting::Unavailable);
        assert_eq!(Posting::ALL.map(|posting| counters.postings(posting)), [1, 1, 1, 2]);
        counters.exchanged("save", "accepted", Some(Duration::from_millis(30)));
        counters.exchanged("save", "not_sent", None);
        assert_eq!(counters.exchanges()[&("save", "accepted")], 1);
        assert_eq!(counters.kra()["save"].count(), 1);
    }
}
