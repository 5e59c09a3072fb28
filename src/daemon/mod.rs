//! Start and stop of the daemon, and its long tasks.

mod attend;
pub mod clock;
mod exchanges;
mod ports;
mod process;
mod reload;
mod run;
mod signals;
mod sockets;
mod stop;
mod tasks;
mod webhooks;
mod wiring;

pub use ports::port_settings;
pub use reload::Configuration;
pub use run::{StartError, Stopped, make_store, run};
pub use wiring::{Unusable, configured_device, kra_settings, log_format, log_level, tls};
