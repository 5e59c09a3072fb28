//! Says whether the daemon may tell the service manager that it works: only while each of its parts makes progress.
//!
//! Some parts make marks: they get through a loop with or without work. Others are asked how long they have been at one thing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The parts that must show progress.
#[derive(Debug, Default)]
pub struct Watchdog {
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    name: &'static str,
    within: Duration,
    marks: Arc<AtomicU64>,
    seen: u64,
    since: Instant,
}

/// A part's own pen: it makes a mark each time it gets through its loop, with or without work.
#[derive(Clone, Debug)]
pub struct Mark(Arc<AtomicU64>);

impl Mark {
    /// Shows progress; cheap, from any thread.
    pub fn progress(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Watchdog {
    /// Watches one more part, which from `now` on must make a mark within each `within`.
    pub fn watch(&mut self, name: &'static str, within: Duration, now: Instant) -> Mark {
        let marks = Arc::new(AtomicU64::new(0));
        self.parts.push(Part { name, within, marks: Arc::clone(&marks), seen: 0, since: now });
        Mark(marks)
    }

    /// The parts that have made no mark for too long; empty when the service manager may be told that all is well.
    /// A mark counts from the look that finds it, so look at least as often as half the shortest `within`.
    pub fn stuck(&mut self, now: Instant) -> Vec<&'static str> {
        let mut stuck = Vec::new();
        for part in &mut self.parts {
            let marks = part.marks.load(Ordering::Relaxed);
            if marks != part.seen {
                (part.seen, part.since) = (marks, now);
            } else if now.saturating_duration_since(part.since) > part.within {
                stuck.push(part.name);
            }
        }
        stuck
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Watchdog;

    #[test]
    fn every_part_must_show_progress() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut watchdog = Watchdog::default();
        assert!(watchdog.stuck(at(1000)).is_empty(), "nobody is watched");
        let ledger = watchdog.watch("ledger", Duration::from_secs(10), start);
        let drain = watchdog.watch("drain", Duration::from_secs(30), start);
        assert!(watchdog.stuck(at(10)).is_empty());
        assert_eq!(watchdog.stuck(at(11)), ["ledger"]);
        ledger.progress();
        assert!(watchdog.stuck(at(12)).is_empty(), "it moves again");
        assert!(watchdog.stuck(at(22)).is_empty());
        assert_eq!(watchdog.stuck(at(31)), ["ledger", "drain"]);
        drain.clone().progress();
        assert_eq!(watchdog.stuck(at(32)), ["ledger"]);
    }
}
