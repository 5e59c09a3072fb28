//! What is said on a port, whichever protocol it speaks: bytes and answers in, deeds out. Told the time; no I/O.

use std::time::Duration;

use super::frame_talk::FrameTalk;
use super::line_talk::LineTalk;
use super::request::{Answer, Request};
use super::speaker::Speaker;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// Find the answer; it is brought back with [`Talk::on_answer`].
    Ask(Request),
    /// Somebody speaks another protocol: tell the technician, answer nothing.
    Foreign(Speaker),
    /// Send these bytes.
    Say(Vec<u8>),
}

/// How the gateway stands, for the answer to ENQ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// A sale sent now would be taken.
    pub(super) accepting: bool,
    /// The gateway is being stopped.
    pub(super) stopping: bool,
}

/// The conversation on one port; it outlives the port's being closed.
#[derive(Debug)]
pub(super) enum Talk {
    Frames(FrameTalk),
    Lines(LineTalk),
}

impl Talk {
    /// A byte came.
    pub(super) fn on_byte(
        &mut self,
        byte: u8,
        now: Duration,
        standing: impl FnOnce() -> Standing,
    ) -> Option<Deed> {
        match self {
            Self::Frames(talk) => talk.on_byte(byte, now, standing),
            Self::Lines(talk) => talk.on_byte(byte, now, standing),
        }
    }

    /// Whether more bytes may be handed in; those that are not stay in the kernel.
    pub(super) const fn takes_bytes(&self) -> bool {
        match self {
            Self::Frames(_) => true,
            Self::Lines(talk) => !talk.is_busy(),
        }
    }

    /// The answer to what was asked; `typed`: by a word.
    pub(super) fn on_answer(&mut self, answer: Answer, typed: bool) -> Option<Deed> {
        match self {
            Self::Frames(talk) => talk.on_answer(answer, typed),
            Self::Lines(talk) => talk.on_answer(answer, typed),
        }
    }

    /// The port was closed.
    pub(super) fn on_closed(&mut self) {
        match self {
            Self::Frames(talk) => talk.on_closed(),
            Self::Lines(talk) => talk.on_closed(),
        }
    }

    /// What is due by the time alone, whatever comes in.
    pub(super) fn due(&mut self, now: Duration) -> Option<Deed> {
        match self {
            Self::Frames(talk) => talk.due(now),
            Self::Lines(_) => None,
        }
    }

    /// The time is `now`, and nothing came before it that was not handed in.
    pub(super) fn silent(&mut self, now: Duration) {
        match self {
            Self::Frames(talk) => talk.silent(now),
            Self::Lines(talk) => talk.silent(now),
        }
    }

    /// When it wants to be told the time.
    pub(super) fn deadline(&self) -> Option<Duration> {
        match self {
            Self::Frames(talk) => talk.deadline(),
            Self::Lines(talk) => talk.deadline(),
        }
    }
}
