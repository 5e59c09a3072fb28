//! Making everything that sled wrote survive a power cut, which its own flush does not.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use crate::store::index::{Index, IndexError};
use crate::store::keys::sync_directory;

/// Flushes the index and syncs its files; what was applied before is on the disk afterwards. Blocks.
pub(crate) fn flush_and_sync(index: &Index) -> Result<(), IndexError> {
    index.flush()?;
    sync_index_files(index.path())
        .map_err(|error| IndexError::io(&format!("syncing {}", index.path().display()), &error))
}

/// Syncs all files of the index, its directories and the one above.
pub(crate) fn sync_index_files(directory: &Path) -> io::Result<()> {
    sync_tree(directory)?;
    match directory.parent() {
        Some(parent) => sync_directory(parent),
        None => Ok(()),
    }
}

fn sync_tree(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let synced =
            if path.is_dir() { sync_tree(&path) } else { File::open(&path).and_then(|file| file.sync_all()) };
        match synced {
            // sled removes old snapshots while we look.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    sync_directory(directory)
}
