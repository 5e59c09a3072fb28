//! What a salvage found and did, and why it could not.

use std::io;
use std::path::{Path, PathBuf};

use crate::queue::Seq;
use crate::store::error::OpenError;
use crate::store::verify::VerifyError;

/// A new store was made from a damaged one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Salvaged {
    /// Records that are in the new store as they were.
    pub read: u64,
    /// Sales and credit notes among them.
    pub sales: u64,
    /// The last of them.
    pub last_kept: Seq,
    /// Running numbers of the lost records, as ranges, ascending.
    pub lost: Vec<(Seq, Seq)>,
    /// Of the lost records, those that are known to have been sales.
    pub lost_sales: Vec<LostSale>,
    /// Where the journal was damaged, or why a record is not taken.
    pub damage: Vec<String>,
    /// Records after the last that is left may have been there.
    pub end_is_unsure: bool,
    /// Documents that are in doubt: KRA's books are asked first.
    pub in_doubt: Vec<String>,
    /// Documents that wait and may have reached KRA by records that are lost.
    pub unsure: u64,
    /// The series goes on at this number; it stops there if KRA's books have it.
    pub next_number: u64,
    /// The series was set back to the first number that nobody can account for.
    pub set_back: bool,
    /// What else somebody has to do, e.g. about keys.
    pub to_do: Vec<String>,
    /// The last record that is as it was, and its hash: the chain up to here is the old one.
    pub old_head: (Seq, [u8; 32]),
    /// The new chain's head.
    pub head: (Seq, [u8; 32]),
}

impl Salvaged {
    /// Nothing was lost.
    pub fn is_whole(&self) -> bool {
        self.lost.is_empty() && !self.end_is_unsure && self.to_do.is_empty()
    }
}

/// A sale that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostSale {
    /// Its running number.
    pub seq: Seq,
    /// The register's own number.
    pub trader_ref: Option<String>,
    /// How it stood, as far as the index or other records know.
    pub standing: Option<String>,
}

/// No new store was made.
#[derive(Debug, thiserror::Error)]
pub enum SalvageError {
    /// The source is no store.
    #[error("there is no store in {}: no segment of a journal is in its directory `journal`", dir.display())]
    NoStore {
        /// Where it was looked for.
        dir: PathBuf,
    },
    /// A gateway has the source open.
    #[error("{}: the store is in use; stop the gateway first", path.display())]
    InUse {
        /// Its lock.
        path: PathBuf,
    },
    /// Something is there already.
    #[error("{}: it is there and not empty; name a new directory", dir.display())]
    NotEmpty {
        /// The target.
        dir: PathBuf,
    },
    /// The target is in the source, which nothing is written to.
    #[error("{}: it is in the damaged store, which stays as it is; name a directory elsewhere", dir.display())]
    Inside {
        /// The target.
        dir: PathBuf,
    },
    /// Nothing in the journal can be read, or it is of a newer version.
    #[error("{}: {what}", dir.display())]
    Unreadable {
        /// The journal.
        dir: PathBuf,
        /// Why.
        what: String,
    },
    /// Without the key nothing can be signed.
    #[error(
        "{}: {what}. The journal was signed with this key and goes on only with it: bring the file back from a copy, then \
         run this again; nothing was made",
        path.display()
    )]
    Key {
        /// The key's file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The disk said no.
    #[error("{step} {}: {source}", path.display())]
    Io {
        /// What was being done.
        step: &'static str,
        /// With what.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// The new store cannot be opened.
    #[error("the new store cannot be opened: {0}")]
    Open(#[from] OpenError),
    /// The new store is not sound.
    #[error("the new store is not sound: {0}")]
    Verify(#[from] VerifyError),
    /// The new store took no records.
    #[error("the new store takes no records: {0}")]
    Commit(String),
}

/// The disk said no to this step.
pub(super) fn failed(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SalvageError + use<> {
    let path: PathBuf = path.to_owned();
    move |source| SalvageError::Io { step, path, source }
}
