//! What waits to be written to a line whose other end may take its time, or nothing at all.

use std::time::Duration;

/// The most bytes that wait: two of the longest frames. What comes on top is left out; the register asks again.
const MOST: usize = 2 * 66 * 1024;
/// A line that takes nothing for so long is written nothing old: what waits is left out.
const STUCK: Duration = Duration::from_secs(5);

/// Bytes that wait.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    bytes: Vec<u8>,
    written: usize,
    /// When some of it was last taken, or the first of it put in.
    moved: Duration,
}

impl Outbox {
    /// Puts a whole message in. False: there was no room, and nothing of it is sent.
    pub(super) fn put(&mut self, message: &[u8], now: Duration) -> bool {
        if self.is_empty() {
            self.moved = now;
        }
        if self.waiting().len() + message.len() > MOST {
            return false;
        }
        self.bytes.extend_from_slice(message);
        true
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting().is_empty()
    }

    /// What is to be written next.
    pub(super) fn waiting(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    /// So much of it was taken.
    pub(super) fn took(&mut self, count: usize, now: Duration) {
        self.written += count;
        self.moved = now;
        if self.is_empty() {
            self.clear();
        }
    }

    /// Nothing of it is sent.
    pub(super) fn clear(&mut self) {
        self.bytes = Vec::new();
        self.written = 0;
    }

    /// When the line counts as stuck, if it takes nothing before.
    pub(super) fn deadline(&self) -> Option<Duration> {
        (!self.is_empty()).then(|| self.moved + STUCK)
    }

    /// The time is `now`. True: the line is stuck, and what waited is left out.
    pub(super) fn elapsed(&mut self, now: Duration) -> bool {
        let stuck = self.deadline().is_some_and(|deadline| now >= deadline);
        if stuck {
            self.clear();
        }
        stuck
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn messages_go_whole_and_in_order() {
        let mut outbox = Outbox::default();
        assert!(outbox.put(b"one", ms(0)) && outbox.put(b"two", ms(1)));
        outbox.took(4, ms(2));
        assert_eq!(outbox.waiting(), b"wo");
        assert!(!outbox.put(&vec![0; MOST - 1], ms(3)), "no part of a message goes");
        assert!(outbox.put(&vec![b'x'; MOST - 2], ms(3)));
        outbox.took(MOST, ms(4));
        assert!(outbox.is_empty() && outbox.bytes.capacity() == 0);
    }

    #[test]
    fn nothing_old_is_written_to_a_line_that_was_stuck() {
        let mut outbox = Outbox::default();
        assert_eq!(outbox.deadline(), None);
        outbox.put(b"reply", ms(1000));
        outbox.took(2, ms(3000));
        assert!(!outbox.elapsed(ms(7999)));
        assert!(outbox.elapsed(ms(8000)));
        assert!(outbox.is_empty() && !outbox.elapsed(ms(99_000)));
    }
}
