//! Edge, in: what a till may ask, and what it is answered; one vocabulary for HTTP and serial.

mod desk;
mod device_reply;
mod device_request;
mod event;
mod follow;
mod json;
mod refusal;
mod reply;
mod routes;
mod sale_request;
mod sale_state;

pub use desk::Desk;
pub use device_reply::{DeviceActive, DeviceStatus, Health, HealthWord, LineWord, QueueCounts};
pub use device_request::parse as parse_device_request;
pub use event::EventTold;
pub use json::BadJson;
pub use refusal::{Refusal, Unavailable};
pub use reply::{Reply, SERIAL_LIMIT, SaleList};
pub use routes::{Call, route};
pub use sale_request::{SaleRequest, check as check_sale};
pub use sale_state::{SaleFacts, SaleState, Waiting, without_prefix};
