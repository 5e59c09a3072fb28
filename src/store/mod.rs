//! Edge, out: the journal is the truth, sled the queue over it.
//!
//! # What survives what
//!
//! Everything that is not derivable is a record in the journal, synced before anybody hears of it. sled holds where each
//! document stands and how it is found; it is flushed now and then, never trusted blindly, and can be made anew at any time.
//!
//! | what happens | what is left |
//! |---|---|
//! | kill -9, power cut | everything acknowledged; of what was not, whole groups or nothing |
//! | a write or sync fails | nothing more is taken in this run; the next start says what survived |
//! | sled lost, broken, or hanging at its opening | a new one is made from the journal, and the old one moved aside |
//! | damage in the journal | told, with its place; the start is refused unless only finished documents are touched |
//! | the newest records removed | noticed if sled knows of them; else only against KRA's books or a printed receipt |
//!
//! # The journal
//!
//! Records in commit groups in segments, `journal/NNNNNNNNNN.log`. A group (`group`) is the atom: one write, one sync, block
//! aligned, one checksum over all of it, numbered without gaps. A record carries the hash of the one before; sales and
//! checkpoints are signed. Segments are filled with zeros ahead of time (`spares`) and begin with a signed BASE. `scan` is the
//! rule that tells a torn tail from damage.
//!
//! # The index
//!
//! What the index must know of a record is its [`Effect`], stored beside the opaque body; `fold` is the one function from
//! effects to documents, for commits, replays and rebuilds alike. The trees are described in `index`. Each group's header
//! carries sums over them, as they stand after it: by these a start tells a good index from a bad one.
//!
//! Items and code lists have no state but their newest record: the `shelf` is where each is found. Damage in one is damage in
//! something finished: the item or list is missing, is told of, and is posted or fetched again.
//!
//! # A long life
//!
//! Closed segments that nobody needs any more are compressed (`packing` makes them, `pack` reads them: places in them stay
//! what they were). A segment whose time is over is retired (`retention` says when, `upkeep` does it step by step): what is
//! unfinished in it is taken along by a CARRY (`carry`), a checkpoint covers that, a signed RETIRE says what goes, its
//! finished documents leave `by_key`, then the file goes. At a start the files before the mark are removed, if they are
//! still there; the chain is checked from the mark on. sled's file is made anew when it is mostly air (`compaction`).
//!
//! # Threads
//!
//! The committer alone writes (`committer`): it takes whatever waits, so the sync in progress is the batching window. Beside
//! it: one keeps house (`upkeep`), one makes spare segments, one checks the keys and reads closed segments through, and one at a time flushes sled for
//! a checkpoint. Reads block and are called from wherever blocking is allowed; [`Store::commit`] is async.
//!
//! # A full disk
//!
//! A sale is taken only while there is room ahead for what becomes of all that wait (`room`). Segments filled with zeros
//! need no room of a full disk, and where even those are used up the reserve is given up (`spares`). An index that found
//! no room is closed and opened anew (`slot`, `reindex`).
//!
//! # After damage
//!
//! `salvage` makes a new store from what can be read of a damaged one.
//!
//! # Not here yet
//!
//! Making the index anew over damage in finished records that are not compressed.

mod admin_body;
mod alert_body;
pub mod api_log;
mod bodies;
mod bookmarks;
mod bucket;
mod carry;
mod chain;
mod checkpoint;
mod clock_steps;
mod codec;
mod committer;
mod compaction;
mod configuration;
mod crediting;
mod device_acts;
mod disk;
#[cfg(test)]
mod disk_fake;
mod effect;
mod entry;
mod error;
mod events;
mod export;
mod exporting;
mod finished;
mod fold;
mod forward;
mod genesis;
mod group;
mod hardware;
mod inbox;
mod index;
mod item_body;
mod item_records;
mod journal;
mod kept_lists;
mod keys;
mod ledger;
mod newest_sales;
mod options;
mod pack;
mod packing;
mod quarantine;
mod reading;
mod rebuild;
mod record;
mod recovery;
mod refusals;
mod registry;
mod reindex;
mod replacing;
mod replay;
mod retention;
mod retiring;
mod room;
mod rules;
mod sale_body;
mod salvage;
mod scan;
mod scrub;
mod secrets;
mod shared;
mod shelf;
mod shelving;
mod slot;
mod spares;
mod standing;
#[allow(clippy::module_inception, reason = "the file is named after what it holds")]
mod store;
mod story;
mod timing;
mod upkeep;
mod verify;
mod wear;

#[cfg(test)]
mod tests;

pub use crate::queue::{Seq, Status};
pub use carry::{Carried, Part, Retired};
pub use clock_steps::newest_trusted_ms;
pub use effect::{Binding, Effect, LastAccepted, SeriesState};
pub use entry::{Bound, Credited, Entry, Printed};
pub use error::{CommitError, OpenError, ReadError};
pub use export::{
    Days, Export, ExportError, ExportReport, LabelTotals, Manifest, StoppedExportError, Table,
    export_stopped, verify_export,
};
pub use finished::{Finished, Waiter};
pub use forward::Cursor;
pub use hardware::hardware_identifiers;
pub use inbox::Condition;
pub use keys::{Signer, read_secret, signature_holds, write_secret};
pub use ledger::{JournalLedger, LedgerOpenError, Terms};
pub use options::{Committed, Counts, Cut, Damage, Health, OpenReport, Options, Progress, Step};
pub use record::{KEY_MAX, Kind, Located, Malformed, NewRecord, ORIGIN_MAX, Record, Stamp};
pub use room::{Room, RoomLevel};
pub use salvage::{Indexed, Known, LostSale, ReadIndex, SalvageError, Salvaged, known_documents, salvage};
pub use secrets::{SecretError, Secrets};
pub use standing::{Genesis, Identifier};
pub use store::Store;
pub use verify::{VerifyError, VerifyReport, verify};
pub use wear::disk_facts;
