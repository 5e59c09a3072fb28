//! Edge, in: what a technician may ask, on a socket of its own.

mod desk;
mod device;
mod exchanges;
mod export;
mod item;
mod message;
mod order;
mod series;
mod story;

pub use desk::AdminDesk;
pub use device::{AdoptMessage, DeviceActed};
pub use exchanges::LogMessage;
pub use item::{ItemMessage, ItemOrderMessage};
pub use message::{ItemRow, QueuePage, QueueRow, StatusMessage};
pub use order::{DoneMessage, OrderMessage, SeenMessage, WideOrderMessage};
pub use series::{OurBound, OurLast, SeriesMessage, TheirsMessage};
pub use story::{DocumentMessage, StoryLine};
