//! One snapshot of everything, many renderings.

mod advice;
mod alerts;
mod snapshot;
mod text;

pub use advice::advice_on_refused;
pub use alerts::{Alert, alerts};
pub use snapshot::{DeviceSnapshot, KraSnapshot, LastSigned, QueueSnapshot, Snapshot, StoreSnapshot};
pub use text::status_text;
