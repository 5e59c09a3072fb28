//! Edge, out: the journal is the truth, sled the queue over it.

mod codec;
mod effect;
mod entry;
mod error;
mod keys;
mod options;
mod record;

pub use crate::queue::{Seq, Status};
pub use effect::{Binding, Effect, LastAccepted, SeriesState};
pub use entry::{Bound, Entry};
pub use error::{CommitError, OpenError, ReadError};
pub use keys::{Signer, read_secret, signature_holds, write_secret};
pub use options::{Committed, Counts, Cut, Damage, Health, OpenReport, Options, Progress, Step};
pub use record::{KEY_MAX, Kind, Located, Malformed, NewRecord, ORIGIN_MAX, Record, Stamp};
