//! A strict KRA on loopback, for `demo`, register makers and the tests: nothing else may import it.
//!
//! It keeps books as KRA would, checks what KRA checks with an arithmetic of its own, speaks JSON and XML, and
//! misbehaves on demand. It shares no code with the gateway, so that one mistake cannot hide on both sides.
//!
//! | file | knows |
//! |---|---|
//! | `server`, `connection`, `tls` | sockets: listening, the line going down and up, one connection |
//! | `state` | what all connections share |
//! | `door` | one request to KRA through the faults to its answer |
//! | `controls` | `/_sim/`: faults, books, settings, the log of requests; and the same for tests in this process |
//! | `office`, `paperwork` | one call to KRA without sockets: identity, form, books, answer |
//! | `form`, `checks`, `tax`, `code_lists` | what KRA refuses, and with which code |
//! | `lists` | what is published, and since when |
//! | `books`, `packed` | devices, series, invoices, items |
//! | `faults` | misbehaviour by name, for so many requests |
//! | `tree`, `json`, `xml` | both wires as one small tree |

mod books;
mod checks;
mod clock;
mod code_lists;
mod connection;
mod controls;
mod dice;
mod door;
mod faults;
mod form;
mod functions;
mod hundredths;
mod json;
mod lists;
mod office;
mod packed;
mod paperwork;
mod reply;
mod request_log;
mod server;
mod settings;
mod state;
mod tax;
#[cfg(test)]
mod tests;
mod tls;
mod tree;
mod xml;

pub use code_lists::Rates;
pub use controls::{ControlError, Controls};
pub use faults::{FAULTS, Fault, FaultArgs, FaultHelp, FaultOrder, FaultOrderError};
pub use hundredths::Hundredths;
pub use server::{Options, Simulator, SimulatorError, Tls, bind};
pub use settings::{Convention, Duplicate, ReceiptOffset, Settings};
pub use tls::TlsError;
