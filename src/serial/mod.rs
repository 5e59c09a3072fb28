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

mod frame;
mod receiver;
mod speaker;

pub use frame::{Frame, MAX_DATA, Unframeable, checksum};
pub use receiver::{Heard, Receiver, Tally};
pub use speaker::{Speaker, Word};

#[cfg(test)]
mod tests;
