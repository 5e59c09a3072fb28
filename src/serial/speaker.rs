//! Who speaks on a line: told by the first byte after silence (1.3).

use std::fmt;

use super::frame::{ENQ, RS};

/// Who the first byte after 100 ms of silence sounds like. A wrong setting has a name then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    /// Datecs, Daisy, Eltrade or Incotex.
    Datecs,
    /// Our frames.
    Frame,
    /// Newline JSON.
    Lines,
    /// Nothing known, or another speed.
    Noise,
    /// Tremol, or another protocol that begins with STX.
    Tremol,
    /// A word as a person types it.
    Typed,
}

impl Speaker {
    /// By its first byte.
    pub const fn of(first: u8) -> Self {
        match first {
            RS | ENQ => Self::Frame,
            b'{' => Self::Lines,
            b'a'..=b'z' => Self::Typed,
            0x01 => Self::Datecs,
            0x02 | 0x04 | 0x09 => Self::Tremol,
            _ => Self::Noise,
        }
    }

    /// Its stable word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Datecs => "datecs",
            Self::Frame => "frame",
            Self::Lines => "lines",
            Self::Noise => "noise",
            Self::Tremol => "tremol",
            Self::Typed => "typed",
        }
    }
}

/// What it is, and what to do.
impl fmt::Display for Speaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Datecs => {
                "this register speaks Datecs (or Daisy, Eltrade, Incotex), which this version does not serve"
            }
            Self::Frame => {
                "this register sends frames, and the port is set to lines: set its protocol to \"frame\""
            }
            Self::Lines => {
                "this register sends lines of JSON, and the port is set to frames: set its protocol to \"lines\""
            }
            Self::Noise => {
                "noise, or a register with another speed, parity or number of data bits: compare its settings with \
                 this port's"
            }
            Self::Tremol => {
                "this register speaks Tremol (or another protocol that begins with STX), which this version does not \
                 serve"
            }
            Self::Typed => "text that is none of the words help, status, last and queue",
        })
    }
}

/// A word that a technician may type (1.11). None changes anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Which words there are.
    Help,
    /// The last sale from this port.
    Last,
    /// What waits.
    Queue,
    /// How everything is.
    Status,
}

impl Word {
    /// The word that is spelt so, whole.
    pub fn from_text(text: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|word| word.text().as_bytes() == text)
    }

    /// Whether a word begins so.
    pub(super) fn begins(text: &[u8]) -> bool {
        Self::ALL.into_iter().any(|word| word.text().as_bytes().starts_with(text))
    }

    const ALL: [Self; 4] = [Self::Help, Self::Last, Self::Queue, Self::Status];

    const fn text(self) -> &'static str {
        match self {
            Self::Help => "help",
            Self::Last => "last",
            Self::Queue => "queue",
            Self::Status => "status",
        }
    }
}
