//! Edge: the service manager and the journal.

mod events;
mod fields;
mod journal;
mod notify;
mod passed_sockets;
mod watchdog;

pub use journal::{Format, JournalError, set_level, start_logging};
pub use notify::{Notify, watchdog_interval};
pub use passed_sockets::{PassedSocket, PassedSocketsError, passed_sockets};
pub use watchdog::{Mark, Watchdog};
