//! Edge, in: registers on serial lines. The specification's part 1 is quoted by its sections, such as 1.7.
//!
//! A frame carries one whole request or reply:
//!
//! ```text
//! RS  LLLL  SS  T  DATA...  ETX  CCCCCCCC  LF
//! ```
//!
//! No byte below 20h occurs in DATA, so RS always means that a frame begins, whatever came before; there is no stuffing.
//! What is damaged is answered with NAK and never executed, what is whole is answered with a frame, and what is not
//! this protocol is never answered.
//!
//! From the line inwards: `receiver` and `lines` make frames and lines of bytes, `exchange` sees to it that each is worked on
//! once, `frame_talk` and `line_talk` are a port's whole conversation, all of them pure and told the time. `link` carries
//! that out over a stream, `port` opens the stream, and opens it again. What is asked means nothing here: whoever is given
//! a [`Request`] answers it.

mod ascii;
mod exchange;
mod frame;
mod frame_talk;
mod line_talk;
mod lines;
mod link;
mod outbox;
mod port;
mod receiver;
mod request;
mod speaker;
mod talk;

pub use frame::{Frame, MAX_DATA, Unframeable, checksum};
pub use link::{Answering, Ended, Link, LinkSettings, Protocol};
pub use port::{PortError, PortSettings, serve, try_port};
pub use receiver::{Heard, Receiver, Tally};
pub use request::{Answer, Asked, Request};
pub use speaker::{Speaker, Word};
pub use tokio_serial::{DataBits, FlowControl, Parity, StopBits};

#[cfg(test)]
mod tests;
