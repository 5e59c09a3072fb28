//! Edge, in: what a technician may ask, on a socket of its own.

mod desk;
mod device;
mod exchanges;
mod export;
mod message;
mod order;

pub use desk::AdminDesk;
pub use device::{AdoptMessage, DeviceActed};
pub use exchanges::LogMessage;
pub use message::{QueuePage, QueueRow, StatusMessage};
