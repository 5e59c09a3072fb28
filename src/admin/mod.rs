//! Edge, in: what a technician may ask, on a socket of its own.

mod desk;
mod export;
mod message;

pub use desk::AdminDesk;
pub use message::{QueuePage, QueueRow, StatusMessage};
