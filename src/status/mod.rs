//! One snapshot of everything, many renderings.

mod advice;
mod alert_book;
mod alerts;
mod snapshot;
mod text;

pub use advice::{About, advice};
pub use alert_book::{AlertBook, AlertChange, AlertKey};
pub use alerts::{Alert, alerts, alerts_one_by_one, degraded};
pub use snapshot::{
    DeviceSnapshot, KraSnapshot, LastSigned, QueueSnapshot, RefusedSale, Snapshot, StoreSnapshot,
};
pub use text::status_text;
