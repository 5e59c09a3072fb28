//! What a register asks over a line, and what it is answered: for whoever answers. No meaning of sales is known here.

use super::speaker::Word;

/// One request, whole and undamaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is asked.
    pub asked: Asked,
    /// DATA: one JSON object, or nothing. Not looked into here.
    pub data: Vec<u8>,
    /// The gateway is being stopped: no new sale is taken (1.7).
    pub stopping: bool,
}

/// What is asked: the types of 1.6, the words of 1.11, and what is not to be answered with more than "no".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The line's own check does not hold.
    BadCheck,
    /// A line that is no request; DATA is the line.
    BadLine,
    /// It is none of the types.
    Unknown,
    /// Who are you, and what was my last sale?
    Hello,
    /// The last sale from this port.
    Last,
    /// Events after one.
    News,
    /// A receipt.
    Print,
    /// How a sale is.
    Query,
    /// A sale or credit note.
    Sale,
    /// How the device is.
    State,
    /// More than a line carries.
    TooLong,
    /// A word that a person typed: to be answered with plain text.
    Word(Word),
    /// SEQ 00, which belongs to HELLO alone.
    Uncounted,
}

impl Asked {
    /// What a frame of this type and count asks.
    pub(super) const fn by_frame(kind: u8, seq: u8) -> Self {
        match (kind, seq) {
            (b'H', _) => Self::Hello,
            (b'L' | b'N' | b'P' | b'Q' | b'S' | b'T', 0) => Self::Uncounted,
            (b'L', _) => Self::Last,
            (b'N', _) => Self::News,
            (b'P', _) => Self::Print,
            (b'Q', _) => Self::Query,
            (b'S', _) => Self::Sale,
            (b'T', _) => Self::State,
            _ => Self::Unknown,
        }
    }

    /// What a line with this `op` asks.
    pub(super) fn by_operation(operation: &str) -> Self {
        match operation {
            "hello" => Self::Hello,
            "last" => Self::Last,
            "news" => Self::News,
            "print" => Self::Print,
            "query" => Self::Query,
            "sale" => Self::Sale,
            "status" => Self::State,
            _ => Self::Unknown,
        }
    }
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// As HTTP would give it; from 400 on the reply's type is `e`.
    pub status: u16,
    /// One JSON object whose first member is `st`, at most [`MAX_DATA`](super::MAX_DATA) bytes; plain text for a word.
    pub body: Vec<u8>,
}

impl Answer {
    /// Our own fault: what should have been answered cannot be.
    pub(super) fn internal() -> Self {
        let body = br#"{"st":500,"error":"internal","message":"The gateway failed. Send the same request again; nothing is taken twice."}"#;
        Self { status: 500, body: body.to_vec() }
    }
}
