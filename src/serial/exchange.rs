//! One request at a time on a port that speaks frames: the exchange of 1.7, and the link's own suppression of repeats (1.9).
//! It is told the time, and never asks.
//!
//! ```text
//!            a good frame                       the result
//!   Free -------------------> Work, SYN again and again -----> Free, its reply kept
//!    |  the kept one again
//!    +-------------------> its reply again
//! ```

use std::time::Duration;

use super::frame::Frame;

/// From a frame's end to the first SYN: within the 200 ms of 1.8, and not so soon that quick answers need one.
const FIRST_SYN: Duration = Duration::from_millis(180);
/// Between two SYNs.
const NEXT_SYN: Duration = Duration::from_millis(250);

/// What tells a frame from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) seq: u8,
    pub(super) check: u32,
}

/// What is to be done about a good frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It is being worked on already: nothing.
    Busy,
    /// Another one is being worked on: it is dropped.
    Overrun,
    /// It was answered: these bytes again.
    Repeat(Vec<u8>),
    /// Work on it; `reused`: its count was just used for another one.
    Work { frame: Frame, reused: bool },
}

#[derive(Debug)]
enum State {
    Free,
    Work { key: Key, kind: u8, syn_at: Duration, waits: Waits },
}

/// Who is at the line's other end while there is work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    /// Who sent the frame: is told SYN, and gets the reply.
    Asker,
    /// Who sent another frame since the port was closed: is told SYN, and sends it again.
    Another,
    /// Nobody that was heard since the port was closed.
    Nobody,
}

/// The exchange of one port; it outlives the port's being closed.
#[derive(Debug)]
pub(super) struct Exchange {
    state: State,
    kept: Option<(Key, Vec<u8>)>,
}

impl Exchange {
    pub(super) const fn new() -> Self {
        Self { state: State::Free, kept: None }
    }

    /// A good frame came at `now`.
    pub(super) fn on_frame(&mut self, frame: Frame, check: u32, now: Duration) -> Next {
        let key = Key { seq: frame.seq, check };
        match &mut self.state {
            State::Work { key: working, syn_at, waits, .. } => {
                if *waits == Waits::Nobody {
                    *syn_at = now + FIRST_SYN;
                }
                if *working == key {
                    *waits = Waits::Asker;
                    return Next::Busy;
                }
                if *waits == Waits::Nobody {
                    *waits = Waits::Another;
                }
                Next::Overrun
            }
            State::Free => {
                // A register that says HELLO knows nothing of what went before, and asks how things are now.
                let hello = frame.kind == b'H';
                let kept = self.kept.take().filter(|_| !hello);
                if let Some((known, reply)) = kept.as_ref().filter(|(known, _)| *known == key) {
                    let reply = reply.clone();
                    self.kept = Some((*known, reply.clone()));
                    return Next::Repeat(reply);
                }
                let reused = kept.is_some_and(|(known, _)| known.seq == key.seq);
                self.state =
                    State::Work { key, kind: frame.kind, syn_at: now + FIRST_SYN, waits: Waits::Asker };
                Next::Work { frame, reused }
            }
        }
    }

    /// The frame that is being worked on: its count and type.
    pub(super) const fn working(&self) -> Option<(u8, u8)> {
        match &self.state {
            State::Free => None,
            State::Work { key, kind, .. } => Some((key.seq, *kind)),
        }
    }

    /// The work is done, and this is its reply. True: it is to be sent.
    pub(super) fn on_reply(&mut self, reply: &[u8]) -> bool {
        match std::mem::replace(&mut self.state, State::Free) {
            State::Free => false,
            State::Work { key, kind, waits, .. } => {
                if kind != b'H' {
                    self.kept = Some((key, reply.to_vec()));
                }
                waits == Waits::Asker
            }
        }
    }

    /// The port was closed: what is being worked on goes on, and is told to nobody.
    pub(super) const fn on_closed(&mut self) {
        if let State::Work { waits, .. } = &mut self.state {
            *waits = Waits::Nobody;
        }
    }

    /// When the next SYN is due.
    pub(super) const fn deadline(&self) -> Option<Duration> {
        match &self.state {
            State::Free | State::Work { waits: Waits::Nobody, .. } => None,
            State::Work { syn_at, .. } => Some(*syn_at),
        }
    }

    /// The time is `now`. True: SYN is to be sent.
    pub(super) fn elapsed(&mut self, now: Duration) -> bool {
        match &mut self.state {
            State::Free | State::Work { waits: Waits::Nobody, .. } => false,
            State::Work { syn_at, .. } if now >= *syn_at => {
                *syn_at = now + NEXT_SYN;
                true
            }
            State::Work { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn frame(seq: u8, kind: u8) -> Frame {
        Frame { seq, kind, data: Vec::new() }
    }

    fn work(seq: u8, kind: u8, reused: bool) -> Next {
        Next::Work { frame: frame(seq, kind), reused }
    }

    #[test]
    fn a_repeat_is_answered_again_and_not_worked_on() {
        let mut exchange = Exchange::new();
        assert_eq!(exchange.on_frame(frame(2, b'S'), 7, ms(0)), work(2, b'S', false));
        assert_eq!(exchange.on_frame(frame(2, b'S'), 7, ms(10)), Next::Busy);
        assert_eq!(exchange.on_frame(frame(3, b'S'), 8, ms(20)), Next::Overrun);
        assert!(exchange.on_reply(b"first"));
        for _ in 0..3 {
            assert_eq!(exchange.on_frame(frame(2, b'S'), 7, ms(30)), Next::Repeat(b"first".to_vec()));
        }
        // The same count with another content is another request, and the only one that is known from then on.
        assert_eq!(exchange.on_frame(frame(2, b'S'), 9, ms(40)), work(2, b'S', true));
        assert!(exchange.on_reply(b"second"));
        assert_eq!(exchange.on_frame(frame(2, b'S'), 7, ms(50)), work(2, b'S', true));
        assert!(exchange.on_reply(b"third"));
        assert_eq!(exchange.on_frame(frame(3, b'S'), 7, ms(60)), work(3, b'S', false));
    }

    #[test]
    fn hello_forgets_and_is_never_answered_from_memory() {
        let mut exchange = Exchange::new();
        exchange.on_frame(frame(2, b'S'), 7, ms(0));
        exchange.on_reply(b"sale");
        for _ in 0..2 {
            assert_eq!(exchange.on_frame(frame(0, b'H'), 5, ms(10)), work(0, b'H', false));
            assert!(exchange.on_reply(b"hello"));
        }
        assert_eq!(exchange.on_frame(frame(2, b'S'), 7, ms(20)), work(2, b'S', false));
    }

    #[test]
    fn syn_goes_on_while_there_is_work() {
        let mut exchange = Exchange::new();
        assert_eq!((exchange.deadline(), exchange.elapsed(ms(9999))), (None, false));
        exchange.on_frame(frame(2, b'S'), 7, ms(1000));
        let mut syns = Vec::new();
        while syns.len() < 4 {
            let at = exchange.deadline().unwrap();
            assert!(!exchange.elapsed(at - ms(1)));
            assert!(exchange.elapsed(at));
            syns.push(at);
        }
        assert_eq!(syns, [ms(1180), ms(1430), ms(1680), ms(1930)]);
        exchange.on_reply(b"");
        assert_eq!(exchange.deadline(), None);
    }

    #[test]
    fn a_closed_port_hears_nothing_and_the_reply_is_kept() {
        let mut exchange = Exchange::new();
        exchange.on_frame(frame(2, b'S'), 7, ms(0));
        exchange.on_closed();
        assert_eq!((exchange.deadline(), exchange.elapsed(ms(500))), (None, false));
        assert!(!exchange.on_reply(b"done"));
        assert_eq!(exchange.on_frame(frame(2, b'S'), 7, ms(900)), Next::Repeat(b"done".to_vec()));

        // Opened again, and asked again, while it is still being worked on.
        exchange.on_frame(frame(3, b'S'), 8, ms(1000));
        exchange.on_closed();
        assert_eq!(exchange.on_frame(frame(3, b'S'), 8, ms(5000)), Next::Busy);
        assert_eq!(exchange.deadline(), Some(ms(5180)));
        assert!(exchange.on_reply(b"late"));
    }

    /// A register that was restarted with its adapter says HELLO while its old sale is still being worked on: it is not to
    /// think that nobody is there, and the old reply is not for it.
    #[test]
    fn who_asks_something_else_after_the_port_was_closed_is_told_that_there_is_work() {
        let mut exchange = Exchange::new();
        exchange.on_frame(frame(2, b'S'), 7, ms(0));
        exchange.on_closed();
        assert_eq!(exchange.on_frame(frame(0, b'H'), 9, ms(1000)), Next::Overrun);
        assert_eq!(exchange.deadline(), Some(ms(1180)));
        assert!(exchange.elapsed(ms(1180)));
        // Asked again, the first answer is not put off for that.
        assert_eq!(exchange.on_frame(frame(0, b'H'), 9, ms(1400)), Next::Overrun);
        assert!(exchange.elapsed(ms(1430)));
        assert!(!exchange.on_reply(b"old"));
        assert_eq!(exchange.on_frame(frame(0, b'H'), 9, ms(1500)), work(0, b'H', false));
    }
}
