//! One snapshot of everything, many renderings.

mod advice;
mod alerts;
mod snapshot;
mod text;

pub use advice::{About, advice};
pub use alerts::{Alert, alerts, degraded};
pub use snapshot::{
    DeviceSnapshot, KraSnapshot, LastSigned, QueueSnapshot, RefusedSale, Snapshot, StoreSnapshot,
};
pub use text::status_text;
