//! Edge, in: what a technician may ask, on a socket of its own.

mod desk;
mod exchanges;
mod export;
mod message;

pub use desk::AdminDesk;
pub use exchanges::LogMessage;
pub use message::{QueuePage, QueueRow, StatusMessage};
