//! One snapshot of everything, many renderings.

mod advice;
mod alert_book;
mod alerts;
mod counters;
mod histogram;
mod lists;
mod page;
mod prometheus;
mod serial;
mod snapshot;
mod surroundings;
mod text;

pub use advice::{About, advice, closed, commands};
pub use alert_book::{AlertBook, AlertChange, AlertKey};
pub use alerts::{Alert, alerts, alerts_one_by_one, degraded};
pub use counters::{Counters, Posting};
pub use histogram::{Distribution, Histogram, MANY, QUICK, SLOW};
pub use lists::{ListSnapshot, ListsSnapshot, NoticeSnapshot, RateChangeSnapshot};
pub use prometheus::{Measured, prometheus};
pub use serial::{LineEvent, SerialPort, SerialSnapshot};
pub use snapshot::{
    DeniedSale, DeviceSnapshot, ItemsSnapshot, KraSnapshot, LastSigned, QueueSnapshot, RefusedItem,
    RefusedSale, Snapshot, StoreSnapshot, WaitingWebhook,
};
pub use surroundings::{
    CertificateSnapshot, ClockSnapshot, DiskSnapshot, ExchangeSnapshot, FastRegister, ProcessSnapshot,
    SkewSnapshot, WearSnapshot,
};
pub use text::status_text;
