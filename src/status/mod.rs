//! One snapshot of everything, many renderings.

mod alerts;
mod snapshot;
mod text;

pub use alerts::{Alert, alerts};
pub use snapshot::{DeviceSnapshot, KraSnapshot, LastSigned, QueueSnapshot, Snapshot, StoreSnapshot};
pub use text::status_text;
