//! The sales journal for an inspector, and its check on any machine, without the store.
//!
//! # The format, number 1
//!
//! One record of the journal a line, all kinds, running numbers without a gap; then one line with the signed manifest.
//! Nothing else: no empty lines, no byte order mark, a line feed after every line.
//!
//! | key of a record's line | is |
//! |---|---|
//! | `record` | the running number |
//! | `time` | when it was accepted, Nairobi time; `null` where the clock stood outside of 1970 to 9999 |
//! | `clock` | `synchronised` or `not synchronised`, at that moment |
//! | `kind` | `sale`, `outcome`, `bind`, `admin` ... |
//! | `origin` | the port or socket that it came by, empty for the gateway's own |
//! | `effect` | what it changed in the queue or the number series; left out if nothing |
//! | `content` | its content, as it lies in the journal where that is JSON or text; left out where it is neither |
//! | `signature` | the till's Ed25519 signature, base64; left out where the record has none of its own |
//! | `previous`, `hash` | SHA-256 of the record before and of this one, hex |
//! | `bytes` | the exact record, base64: `hash` is the SHA-256 of these bytes |
//!
//! Everything readable follows from `bytes`, so a check makes the line anew from them and compares: no letter of a line
//! can be changed alone. The bytes carry the hash of the record before, and the manifest's signature covers the hashes
//! before the first and after the last record, so no record can be changed, removed, added or moved. The till's own
//! signatures over sales and over the chain (BASE, CHECKPOINT, RETIRE) are checked beside.
//!
//! An export holds customers' data as far as the sale does (name, PIN, telephone, remark: they are part of the tax record),
//! and no keys: requests to KRA are kept with a hole where the device's key goes.

mod check;
mod line;
mod manifest;
mod range;
mod run;
mod stopped;
mod table;
#[cfg(test)]
mod tests;

pub use check::{ExportError, ExportReport, verify_export};
pub use manifest::{Days, LabelTotals, Manifest};
pub use run::Export;
pub use stopped::{StoppedExportError, export_stopped};
pub use table::Table;
