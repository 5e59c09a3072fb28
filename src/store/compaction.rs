//! Making sled's file small again: a new one is built from the journal beside it, and takes its place.
//!
//! sled never gives space back. The old index stays as it is, whole, until the new one is on the disk; cut off anywhere, a
//! start finds one or the other.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::store::checkpoint::{flush_and_sync, sync_index_files};
use crate::store::error::OpenError;
use crate::store::group::Sums;
use crate::store::journal::Journal;
use crate::store::keys::sync_directory;
use crate::store::options::{OpenReport, Options, Progress};
use crate::store::quarantine::{index_path, lower_marker, marker_path, new_path, raise_marker};
use crate::store::rebuild::{Tables, build, move_in};
use crate::store::recovery::io_at;
use crate::store::reindex::Opened;
use crate::store::replay::Reader;

/// Bytes that sled needs for a key and its value, and for a row of `queue`, nodes and all; measured.
const LIVE: [u64; 2] = [256, 128];

/// Whether sled's file is more than four times what is in it, and `slack` bytes.
pub(crate) fn is_due(file: u64, sums: &Sums, slack: u64) -> bool {
    let keys = sums.keys.count.saturating_add(sums.shelf.count).saturating_mul(LIVE[0]);
    let live = keys.saturating_add(sums.queue.count.saturating_mul(LIVE[1]));
    file > live.saturating_mul(4).saturating_add(slack)
}

/// At a start, before the index is opened: an interrupted compaction is as if it had not been begun.
pub(crate) fn tidy(dir: &Path) -> io::Result<()> {
    let (index, new, old) = (index_path(dir), new_path(dir), old_path(dir));
    if new.exists() {
        fs::remove_dir_all(&new)?;
    }
    if old.exists() {
        if index.exists() {
            fs::remove_dir_all(&old)?;
        } else {
            fs::rename(&old, &index)?;
        }
        sync_directory(dir)?;
    }
    Ok(())
}

/// Builds the index anew beside the old one and swaps them, if that can be done; the old one goes on being used if not.
pub(crate) fn compact(
    dir: &Path,
    opened: Opened,
    (reader, journal): (&Reader<'_>, &Journal),
    options: &Options,
    report: &mut OpenReport,
    progress: &mut dyn FnMut(Progress),
) -> Result<Opened, OpenError> {
    let before = opened.index.file_bytes();
    if !report.damage.is_empty() || !is_due(before, &opened.sums, options.compact_above) {
        return Ok(opened);
    }
    let new = new_path(dir);
    let mut damage = Vec::new();
    let built = match build(&new, (reader, journal), Tables::Believed, &mut damage, progress) {
        Ok(built) if damage.is_empty() && built.sums == opened.sums => built,
        Ok(_) => return keep(&new, opened, "the journal says something else"),
        Err(error) => return keep(&new, opened, &error.to_string()),
    };
    if let Err(error) = flush_and_sync(&built.index) {
        drop(built);
        return keep(&new, opened, &error.what);
    }
    let marker = marker_path(dir);
    let moved = move_in(dir, built, &reader.id, || {
        // Closed before its files get other names.
        drop(opened);
        raise_marker(&marker).map_err(io_at("marking that the index is being opened", &marker))?;
        fs::rename(index_path(dir), old_path(dir)).map_err(io_at("moving the old index out of the way", dir))
    })?;
    let after = moved.index.file_bytes();
    fs::remove_dir_all(old_path(dir)).map_err(io_at("removing the old index", dir))?;
    let path = index_path(dir);
    sync_index_files(&path).map_err(io_at("syncing the index", &path))?;
    lower_marker(&marker).map_err(io_at("noting that the index is open", &marker))?;
    let documents = moved.sums.keys.count;
    tracing::info!(name: "index_compacted", before, after, documents, "the index was made smaller");
    report.compacted = Some((before, after));
    Ok(moved)
}

#[allow(clippy::unnecessary_wraps, reason = "the end of those who may fail")]
fn keep(new: &Path, opened: Opened, why: &str) -> Result<Opened, OpenError> {
    tracing::warn!(why, "the index could not be made smaller; it stays as it is");
    // No start is refused for want of this; the next one removes what is left.
    if let Err(error) = fs::remove_dir_all(new)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%error, "an unfinished index could not be removed");
    }
    Ok(opened)
}

fn old_path(dir: &Path) -> PathBuf {
    dir.join("sled.old")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::group::TreeSum;

    #[test]
    fn four_times_what_is_in_it_and_a_slack() {
        let sums = |keys, queue| Sums {
            keys: TreeSum { count: keys, sum: 0 },
            queue: TreeSum { count: queue, sum: 0 },
            ..Sums::default()
        };
        assert!(!is_due(64 << 20, &sums(0, 0), 64 << 20));
        assert!(is_due((64 << 20) + 1, &sums(0, 0), 64 << 20));
        assert!(!is_due(200 << 20, &sums(200_000, 100_000), 64 << 20));
        assert!(is_due(320 << 20, &sums(200_000, 100_000), 64 << 20));
    }
}
