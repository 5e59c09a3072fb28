//! What comes in on a port that speaks frames: the receiver of 1.7, byte by byte. It is told the time, and never asks.
//!
//! ```text
//!            RS                7 bytes          LEN bytes        03          9 bytes
//!   Idle ----------> Head ---------------> Data --------> Etx --------> Tail ---------> Idle, and the frame
//!    |  other                  whatever is wrong: NAK, then Discarding until RS, ENQ or 50 ms of silence
//!    +-----> Foreign until 100 ms of silence; Word while it may become a word that a person types
//! ```
//!
//! RS begins a frame in every state, ENQ is answered in all but Foreign, and a pause inside a frame drops it in silence:
//! the register may have been switched off.

use std::time::Duration;

use super::frame::{
    ACK, CAN, ENQ, ETX, Frame, HEAD, LF, NAK, OVERHEAD, RS, SYN, TAIL, checksum, hexadecimal,
};
use super::speaker::{Speaker, Word};

/// Silence that ends what is foreign, and before which no first byte names its speaker.
const QUIET: Duration = Duration::from_millis(100);
/// The longest pause inside a frame.
const BETWEEN_BYTES: Duration = Duration::from_millis(500);
/// The least time that a whole frame may take.
const WHOLE_FRAME: Duration = Duration::from_secs(2);
/// The longest time that a typed word may take.
const TYPING: Duration = Duration::from_secs(60);
/// Silence that ends what is thrown away after NAK.
const AFTER_NAK: Duration = Duration::from_millis(50);
/// The least time between two NAKs.
const NAK_GAP: Duration = Duration::from_millis(200);
/// No second has more NAKs than this: the next comes a second after the one so many before it.
const NAKS_A_SECOND: usize = 4;

/// What was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A damaged frame: send NAK, where `nak` says so.
    Damaged {
        /// No other NAK was sent just before.
        nak: bool,
    },
    /// ENQ: answer it.
    Enquiry,
    /// Something that this port does not speak begins; never to be answered.
    Foreign(Speaker),
    /// A good frame of the register, and its CRC.
    Frame(Frame, u32),
    /// A word that a person typed.
    Word(Word),
}

/// What was dropped, in frames or bursts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Damaged frames.
    pub damaged: u64,
    /// Our own frames and single bytes that came back.
    pub echoes: u64,
    /// Bursts of what this port does not speak.
    pub foreign: u64,
    /// Frames and lines that were not ended in time.
    pub timed_out: u64,
    /// Frames into which another one, or ENQ, broke.
    pub torn: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Between frames; `quiet` after [`QUIET`].
    Idle {
        quiet: bool,
    },
    Foreign,
    /// So far it is the beginning of a known word; `quiet` after [`QUIET`].
    Word {
        quiet: bool,
    },
    Head,
    Data {
        length: usize,
    },
    Etx {
        length: usize,
    },
    Tail {
        length: usize,
    },
    /// After a damaged frame.
    Discarding,
}

/// The receiver of one port. Times count from any one moment, the same for all calls.
#[derive(Debug)]
pub struct Receiver {
    baud: u32,
    state: State,
    /// What was collected: LEN to CRC of a frame, or a word. Grows with what arrives, not with what LEN promises.
    collected: Vec<u8>,
    /// When the frame or word began.
    begun: Duration,
    /// When the last byte came.
    last: Duration,
    /// When the last NAKs were sent, the newest first.
    naks: [Option<Duration>; NAKS_A_SECOND],
    tally: Tally,
}

impl Receiver {
    /// A receiver on a line of this speed, in bits a second. The line counts as silent.
    pub const fn new(baud: u32) -> Self {
        let tally = Tally { damaged: 0, echoes: 0, foreign: 0, timed_out: 0, torn: 0 };
        Self {
            baud,
            state: State::Idle { quiet: true },
            collected: Vec::new(),
            begun: Duration::ZERO,
            last: Duration::ZERO,
            naks: [None; NAKS_A_SECOND],
            tally,
        }
    }

    /// What was dropped since this was last asked.
    pub fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    /// The port was closed: nothing that was begun goes on.
    pub fn reset(&mut self) {
        self.state = State::Idle { quiet: true };
        self.collected = Vec::new();
    }

    /// One byte came at `now`.
    pub fn receive(&mut self, byte: u8, now: Duration) -> Option<Heard> {
        self.last = now;
        match byte {
            RS => {
                self.tear();
                self.begin(State::Head, now);
                None
            }
            ENQ if !matches!(self.state, State::Foreign | State::Word { quiet: false }) => {
                self.tear();
                self.state = State::Idle { quiet: false };
                Some(Heard::Enquiry)
            }
            other => self.collect(other, now),
        }
    }

    /// When [`elapsed`](Self::elapsed) is to be called, if no byte comes before.
    pub fn deadline(&self) -> Option<Duration> {
        Some(match self.state {
            State::Idle { quiet: true } => return None,
            State::Idle { quiet: false } | State::Foreign | State::Word { quiet: false } => self.last + QUIET,
            State::Word { quiet: true } => self.begun + TYPING,
            State::Discarding => self.last + AFTER_NAK,
            State::Head => (self.last + BETWEEN_BYTES).min(self.begun + WHOLE_FRAME),
            State::Data { length } | State::Etx { length } | State::Tail { length } => {
                (self.last + BETWEEN_BYTES).min(self.begun + self.whole_frame(length))
            }
        })
    }

    /// The time is `now`, and all bytes that came before have been handed in. Bytes that waited while the machine was
    /// busy are handed in first: the silence was ours then, not the register's.
    pub fn elapsed(&mut self, now: Duration) {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return;
        }
        let quiet = now >= self.last + QUIET;
        match self.state {
            State::Idle { .. } | State::Foreign => self.state = State::Idle { quiet: true },
            State::Word { quiet: false } => self.state = State::Word { quiet: true },
            State::Discarding => self.state = State::Idle { quiet },
            State::Word { quiet: true }
            | State::Head
            | State::Data { .. }
            | State::Etx { .. }
            | State::Tail { .. } => {
                self.tally.timed_out += 1;
                self.collected = Vec::new();
                self.state = State::Idle { quiet };
            }
        }
    }

    fn collect(&mut self, byte: u8, now: Duration) -> Option<Heard> {
        match self.state {
            State::Idle { quiet } => self.first(byte, quiet, now),
            State::Foreign | State::Discarding => None,
            State::Word { quiet } => self.typed(byte, quiet, now),
            State::Head => {
                self.collected.push(byte);
                if self.collected.len() == HEAD { self.head(now) } else { None }
            }
            State::Data { .. } if byte < 0x20 => Some(self.damaged(now)),
            State::Data { length } => {
                self.collected.push(byte);
                if self.collected.len() == HEAD + length {
                    self.state = State::Etx { length };
                }
                None
            }
            State::Etx { length } if byte == ETX => {
                self.collected.push(byte);
                self.state = State::Tail { length };
                None
            }
            State::Etx { .. } => Some(self.damaged(now)),
            State::Tail { length } => {
                self.collected.push(byte);
                if self.collected.len() == HEAD + length + 1 + TAIL { self.tail(length, now) } else { None }
            }
        }
    }

    fn begin(&mut self, state: State, now: Duration) {
        self.collected = Vec::new();
        self.begun = now;
        self.state = state;
    }

    /// The first byte between frames.
    fn first(&mut self, byte: u8, quiet: bool, now: Duration) -> Option<Heard> {
        if quiet && Word::begins(&[byte]) {
            self.begin(State::Word { quiet: false }, now);
            self.collected.push(byte);
            return None;
        }
        self.state = State::Foreign;
        if matches!(byte, ACK | NAK | SYN | CAN) {
            self.tally.echoes += 1;
            return None;
        }
        self.tally.foreign += 1;
        // Without silence before it, the byte may be the middle of anything.
        Some(Heard::Foreign(if quiet { Speaker::of(byte) } else { Speaker::Noise }))
    }

    /// One more byte of what may become a word. A person's pauses end nothing, but after one the line is as free as
    /// between frames.
    fn typed(&mut self, byte: u8, quiet: bool, now: Duration) -> Option<Heard> {
        if matches!(byte, b'\r' | LF)
            && let Some(word) = Word::from_text(&self.collected)
        {
            self.collected = Vec::new();
            // The other half of CR LF, too, is no first byte.
            self.state = State::Foreign;
            return Some(Heard::Word(word));
        }
        self.collected.push(byte);
        if Word::begins(&self.collected) {
            self.state = State::Word { quiet: false };
            return None;
        }
        self.collected = Vec::new();
        if quiet {
            return self.first(byte, true, now);
        }
        self.state = State::Foreign;
        self.tally.foreign += 1;
        Some(Heard::Foreign(Speaker::Typed))
    }

    fn head(&mut self, now: Duration) -> Option<Heard> {
        let length = hexadecimal(&self.collected[..4]).and_then(|length| usize::try_from(length).ok());
        let counted = hexadecimal(&self.collected[4..6]).is_some();
        match length {
            Some(length) if counted && self.collected[6].is_ascii_alphabetic() => {
                self.state = if length == 0 { State::Etx { length } } else { State::Data { length } };
                None
            }
            _ => Some(self.damaged(now)),
        }
    }

    fn tail(&mut self, length: usize, now: Duration) -> Option<Heard> {
        let (checked, tail) = self.collected.split_at(HEAD + length + 1);
        let check = checksum(checked);
        if hexadecimal(&tail[..TAIL - 1]) != Some(check) || tail[TAIL - 1] != LF {
            return Some(self.damaged(now));
        }
        let seq = hexadecimal(&checked[4..6]).and_then(|seq| u8::try_from(seq).ok());
        let kind = checked[6];
        let mut data = std::mem::take(&mut self.collected);
        data.truncate(HEAD + length);
        data.drain(..HEAD);
        self.state = State::Idle { quiet: false };
        // The head was checked: it has a number.
        let seq = seq.unwrap_or_default();
        if kind.is_ascii_lowercase() {
            self.tally.echoes += 1;
            return None;
        }
        Some(Heard::Frame(Frame { seq, kind, data }, check))
    }

    fn damaged(&mut self, now: Duration) -> Heard {
        self.tally.damaged += 1;
        self.collected = Vec::new();
        self.state = State::Discarding;
        let later = |nak: &Option<Duration>, pause| nak.is_none_or(|nak| now >= nak + pause);
        let nak =
            later(&self.naks[0], NAK_GAP) && later(&self.naks[NAKS_A_SECOND - 1], Duration::from_secs(1));
        if nak {
            self.naks.rotate_right(1);
            self.naks[0] = Some(now);
        }
        Heard::Damaged { nak }
    }

    /// Another beginning ends what was collected.
    fn tear(&mut self) {
        if matches!(self.state, State::Head | State::Data { .. } | State::Etx { .. } | State::Tail { .. }) {
            self.tally.torn += 1;
        }
        self.collected = Vec::new();
    }

    /// How long a frame with so much DATA may take: three times what it needs at ten bits a byte.
    fn whole_frame(&self, length: usize) -> Duration {
        let bits = u64::try_from(length + OVERHEAD).unwrap_or(u64::MAX).saturating_mul(10);
        let millis = bits.saturating_mul(3000) / u64::from(self.baud.max(1));
        WHOLE_FRAME.max(Duration::from_millis(millis))
    }
}

#[cfg(test)]
mod tests;
