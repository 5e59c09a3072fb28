//! What the product does: a file per verb; awaits ports, opens nothing, spawns nothing.

mod accept_sale;
mod adopt_device;
mod drain_queue;
mod freeze_sale;
mod live;
mod lookout;
mod measure;
mod operator;
pub mod ports;
mod progress;
mod raise_alerts;
mod redelivery;
mod register_device;
mod registrar;
mod sale_time;
mod send_events;
mod series;
mod tell_outcome;
mod watch_clock;
mod watch_health;

pub use accept_sale::{Posted, Refused, Taken, Taking, TakingRules};
pub use adopt_device::{Adopted, Adoption};
pub use drain_queue::{Drainer, SendingRules};
pub use live::Live;
pub use lookout::{LastExchange, Lookout, Sightings, Skew};
pub use measure::Instruments;
pub use operator::{Operator, Order, Orders};
pub use progress::{Progress, Sight};
pub use raise_alerts::Alarms;
pub use register_device::{Registered, expect_device, finish_registration};
pub use registrar::{Asks, Registering, Registrar};
pub use send_events::{Sending, Wanted};
pub use series::{BoundDocument, SeriesBooks};
pub use watch_clock::ClockWatch;
pub use watch_health::{Shown, Watch};
