//! Edge, in: what a till may ask, and what it is answered; one vocabulary for HTTP and serial.

mod console;
mod desk;
mod device_reply;
mod device_request;
mod event;
mod follow;
mod item_desk;
mod item_reply;
mod item_request;
mod json;
mod line_desk;
mod line_request;
mod list_reply;
mod refusal;
mod reply;
mod routes;
mod sale_request;
mod sale_state;
mod short_news;

pub use desk::Desk;
pub(crate) use desk::printed;
pub use device_reply::{DeviceActive, DeviceStatus, Health, HealthWord, LineWord, QueueCounts};
pub use device_request::parse as parse_device_request;
pub use event::EventTold;
pub use item_reply::{ItemKept, ItemShown, ItemsShown, ItemsSynced};
pub use item_request::max_body_of;
pub use json::BadJson;
pub use line_desk::LineDesk;
pub use list_reply::{CodesShown, ItemClassesShown, NoticesShown};
pub use refusal::{Refusal, Unavailable};
pub use reply::{Hello, News, Reply, SERIAL_LIMIT, SaleList};
pub(crate) use routes::technicians_order;
pub use routes::{Call, route};
pub use sale_request::{SaleRequest, check as check_sale};
pub use sale_state::{SaleFacts, SaleState, Waiting, without_prefix};
