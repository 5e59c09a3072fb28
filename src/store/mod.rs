//! Edge, out: the journal is the truth, sled the queue over it.

mod bodies;
mod checkpoint;
mod codec;
mod committer;
mod disk;
#[cfg(test)]
mod disk_fake;
mod effect;
mod entry;
mod error;
mod finished;
mod fold;
mod genesis;
mod group;
mod hardware;
mod inbox;
mod index;
mod journal;
mod keys;
mod ledger;
mod options;
mod quarantine;
mod reading;
mod record;
mod recovery;
mod registry;
mod replay;
mod sale_body;
mod scan;
mod scrub;
mod secrets;
mod shared;
mod spares;
mod standing;
#[allow(clippy::module_inception, reason = "the file is named after what it holds")]
mod store;
mod verify;

#[cfg(test)]
mod tests;

pub use crate::queue::{Seq, Status};
pub use effect::{Binding, Effect, LastAccepted, SeriesState};
pub use entry::{Bound, Entry};
pub use error::{CommitError, OpenError, ReadError};
pub use finished::{Finished, Waiter};
pub use hardware::hardware_identifiers;
pub use keys::{Signer, read_secret, signature_holds, write_secret};
pub use ledger::{JournalLedger, LedgerOpenError, Terms};
pub use options::{Committed, Counts, Cut, Damage, Health, OpenReport, Options, Progress, Step};
pub use record::{KEY_MAX, Kind, Located, Malformed, NewRecord, ORIGIN_MAX, Record, Stamp};
pub use secrets::{SecretError, Secrets};
pub use standing::{Genesis, Identifier};
pub use store::Store;
pub use verify::{VerifyError, VerifyReport, verify};
