//! What the verbs need of the world, one small trait a concern. The edges keep these promises.

mod api_log;
mod authority;
mod clock;
mod credit;
mod events;
mod exports;
mod items;
mod ledger;
mod lists;
mod receiver;
mod registry;
mod sale;
mod shelf;
mod store_health;
mod story;

pub use api_log::{ApiLog, LogPage};
pub use authority::{About, Authority, Initialised};
pub use clock::{Behind, Clock, ClockLog, ClockStep, Reading};
pub use credit::{Credit, Creditable, Original};
pub use events::{AlertLog, DeviceNews, Event, EventLog, EventPage, Happened};
pub use exports::Exports;
pub use items::{ItemLog, KeptItem};
pub use ledger::{Acceptance, Counts, Ledger, LedgerError, OpenRefusal, Place};
pub use lists::{Asked, ListPart, ListShelf, Publisher, RateChange};
pub use receiver::{Bookmarks, Delivery, Posted, Receiver};
pub use registry::{Device, KeptAnswer, LeftOver, RegistrationFailure, Registry};
pub use sale::{Acted, Bound, PrintedOriginal, Printing, Sale};
pub use shelf::{SHELVED_AT_ONCE, Shelf, Shelved, Shelves};
pub use store_health::{DiskFacts, DiskLevel, StoreFacts, StoreHealth, StoreTiming, Wear};
pub use story::{Came, Chapter, NumberThen, Stories, Told};
