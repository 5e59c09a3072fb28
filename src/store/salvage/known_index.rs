//! What the index of the damaged store knows: it may name what the journal lost.

use std::fs;
use std::path::Path;

use super::directory::copy_files;
use super::report::{SalvageError, failed};
use crate::queue::{Seq, Status};
use crate::store::index::{Index, IndexError};

/// The index' copy, which may be written to.
const COPY: &str = "index.copy";
/// What a readable index knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Indexed {
    /// The last record in it.
    pub applied: Seq,
    /// All documents.
    pub documents: Vec<Known>,
}

/// A document as the index knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its running number.
    pub seq: Seq,
    /// The register's own number.
    pub trader_ref: String,
    /// How it stood.
    pub status: Status,
    /// Its number in KRA's series.
    pub number: Option<u64>,
}

/// Reads an index, which may end the process: sled panics over some damage. The directory is a copy.
///
/// # Errors
/// It cannot be read, in words.
pub fn known_documents(path: &Path, journal: &[u8; 16]) -> Result<Indexed, String> {
    let said = |error: IndexError| error.to_string();
    let index = Index::open(path, journal).map_err(said)?;
    let applied = index.applied().map_err(said)?;
    let rows = index.documents().map_err(said)?;
    let known = |(trader_ref, row): (String, crate::store::entry::Row)| Known {
        seq: row.seq,
        trader_ref,
        status: row.status,
        number: row.bound.map(|bound| bound.number),
    };
    Ok(Indexed { applied, documents: rows.into_iter().map(known).collect() })
}

/// Reads a copy of an index of this journal; its error says that nothing is known from there.
pub type ReadIndex = dyn Fn(&Path, &[u8; 16]) -> Result<Indexed, String>;

/// Lets somebody read a copy of the index; the inner error says why nothing is known from it.
pub(super) fn read_copy(
    dir: &Path,
    making: &Path,
    id: &[u8; 16],
    read_index: &ReadIndex,
) -> Result<Result<Indexed, String>, SalvageError> {
    let index = dir.join("sled");
    if !index.is_dir() {
        return Ok(Err("it is missing".to_owned()));
    }
    let copy = making.join(COPY);
    copy_files(&index, &copy)?;
    let known = read_index(&copy, id);
    fs::remove_dir_all(&copy).map_err(failed("removing", &copy))?;
    Ok(known)
}
