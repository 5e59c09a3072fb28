//! What can go wrong with the store, and who has to act.

use std::io;
use std::path::PathBuf;

use crate::queue::{Seq, Status};
use crate::store::options::Damage;
use crate::store::room::Room;

/// The store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The journal, a key or both are not as they were written. Everything is kept.
    #[error(
        "the store in {} is damaged: {damage}; nothing was changed, everything is kept. \
         `etims-gateway verify` says more; `etims-gateway salvage {} --into NEW` reads out what can be read",
        dir.display(), dir.display()
    )]
    Damaged {
        /// The store's directory.
        dir: PathBuf,
        /// What was found.
        damage: Damage,
    },
    /// The index knows of acknowledged records that the journal has lost.
    #[error(
        "the journal in {} ends at record {journal_last}, but record {index_last} was acknowledged; lost: {}. \
         Everything is kept; restore the newest copy of the disk, or `etims-gateway salvage {} --into NEW`",
        dir.display(), lost.join(", "), dir.display()
    )]
    JournalBehind {
        /// The store's directory.
        dir: PathBuf,
        /// The journal's last record.
        journal_last: Seq,
        /// The last one the index applied.
        index_last: Seq,
        /// The register's own numbers of the lost sales.
        lost: Vec<String>,
    },
    /// Something belongs to another store, or to a newer version.
    #[error("{}: {what}; nothing was changed", path.display())]
    Foreign {
        /// Where.
        path: PathBuf,
        /// What.
        what: String,
    },
    /// The disk said no.
    #[error("{step}: {}: {source}{}", path.display(), advice(source))]
    Io {
        /// What was being done.
        step: &'static str,
        /// To what.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// The index could not even be made anew.
    #[error("the index in {} cannot be made: {what}", path.display())]
    Index {
        /// Its directory.
        path: PathBuf,
        /// What sled said.
        what: String,
    },
    /// The signing key is missing, empty, unreadable or not the one the journal was signed with.
    #[error(
        "{}: {what}. The journal was signed with this key and goes on only with it: bring the file back from a copy; \
         no new key is made by itself",
        path.display()
    )]
    Key {
        /// The key's file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Another process has it open.
    #[error("{}: the store is in use by another process", path.display())]
    Locked {
        /// The lock's file.
        path: PathBuf,
    },
    /// There is no store, and none may be made by itself.
    #[error(
        "there is no store in {}: if this till is new, run `etims-gateway store init`; if it is not, \
         the disk that holds the store may not be mounted",
        dir.display()
    )]
    NoStore {
        /// Where it was looked for.
        dir: PathBuf,
    },
}

#[cfg(test)]
impl OpenError {
    /// How `run` ends with it: 65 damaged data, 66 no store there, 69 in use, 70 the disk said no.
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::Damaged { .. } | Self::JournalBehind { .. } | Self::Foreign { .. } | Self::Key { .. } => 65,
            Self::NoStore { .. } => 66,
            Self::Locked { .. } => 69,
            Self::Io { .. } | Self::Index { .. } => 70,
        }
    }
}

/// What to do about the system's word.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => ". The store belongs to the user that the service runs as",
        io::ErrorKind::ReadOnlyFilesystem => {
            ". The disk is mounted read-only: `dmesg` tells whether it failed; mount it writable, or bring the store's \
             directory to another disk"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            ". The disk is full: make room, then start the gateway again; nothing that was accepted is lost"
        }
        // EIO
        _ if error.raw_os_error() == Some(5) => {
            ". The disk fails: see `dmesg`; copy the store's directory to another disk before anything else"
        }
        _ => "",
    }
}

/// A commit was not made; nothing of it will be found later, except after [`Failed`](CommitError::Failed).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// A document does not stand where the commit's condition says.
    #[error(
        "document {document} is not {}: it is {}",
        expected.word(),
        found.map_or("unknown or finished", Status::word)
    )]
    Changed {
        /// The document.
        document: Seq,
        /// Where it had to stand.
        expected: Status,
        /// Where it stands, while it is unfinished.
        found: Option<Status>,
    },
    /// What credit notes have taken of a document, or the document itself, is no longer as it was seen.
    #[error("what is left of document {document} to be credited has changed meanwhile")]
    CreditChanged {
        /// The document.
        document: Seq,
    },
    /// The disk is full to the last byte that stood ready: the commit can be tried again once there is room.
    #[error("the disk is full, and the reserve is used up")]
    DiskFull,
    /// The disk has room for what becomes of the documents that wait, and not for new ones.
    #[error(
        "the disk is nearly full: {} MiB free, {} MiB ahead, {} MiB needed by what waits",
        room.free >> 20, room.ahead() >> 20, room.needed >> 20
    )]
    DiskLow {
        /// How much there is of it.
        room: Room,
    },
    /// The write or its sync failed, or an earlier one did: whether the records survive is known after the next start.
    #[error("the store takes no more records: {0}")]
    Failed(String),
    /// The caller broke a rule of the store.
    #[error("not a commit the store takes: {0}")]
    Invalid(&'static str),
    /// It names a document that is unknown, finished or has no number.
    #[error("document {document}: {what}")]
    NoSuchDocument {
        /// The document.
        document: Seq,
        /// Why it cannot be changed like this.
        what: &'static str,
    },
    /// Too many documents wait.
    #[error("{waiting} documents wait, no more are taken before some are delivered")]
    QueueFull {
        /// How many.
        waiting: u64,
    },
    /// The store is being closed.
    #[error("the store is being closed")]
    Stopping,
    /// What is known of a document that the commit names cannot be read; the other documents are not touched by it.
    #[error(transparent)]
    Unreadable(ReadError),
    /// The records do not fit into one segment.
    #[error("{bytes} bytes in one commit, at most {limit} are possible")]
    TooLarge {
        /// What was asked for.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
}

/// Something could not be read back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The bytes are not those that were written. The series must stop: never skip, never ask again in a loop.
    #[error("the journal is damaged: {0}")]
    Damaged(Damage),
    /// The index gave an error and is not asked again; the next start makes it anew.
    #[error("the index failed: {0}")]
    Index(String),
    /// The disk said no.
    #[error("segment {segment} of the journal cannot be read: {what}")]
    Io {
        /// The segment.
        segment: u32,
        /// The system's word.
        what: String,
    },
    /// The store is being closed before its keys were checked: whether it knows this one cannot be said any more.
    #[error("the store is being closed")]
    Stopping,
}
