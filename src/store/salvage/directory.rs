//! The new store's directory: from what was there before to the whole store in its place, with the files that are copied.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::path::Path;

use super::report::{SalvageError, failed};
use crate::store::keys::sync_directory;

/// The new store until it is whole.
pub(super) const MAKING: &str = "salvage.unfinished";

/// The target is elsewhere, and empty but for what a salvage that was cut off has left there.
pub(super) fn check_target(dir: &Path, into: &Path) -> Result<(), SalvageError> {
    let name = |entry: io::Result<fs::DirEntry>| entry.map(|entry| entry.file_name());
    let names = fs::read_dir(into).map(|entries| entries.map(name).collect::<io::Result<Vec<_>>>());
    match names {
        Ok(Ok(names)) if names.iter().any(|name| name != MAKING) => {
            return Err(SalvageError::NotEmpty { dir: into.to_owned() });
        }
        _ if into.is_file() => return Err(SalvageError::NotEmpty { dir: into.to_owned() }),
        _ => {}
    }
    if let Ok(source) = fs::canonicalize(dir)
        && into.ancestors().find_map(|it| fs::canonicalize(it).ok()).is_some_and(|it| it.starts_with(source))
    {
        return Err(SalvageError::Inside { dir: into.to_owned() });
    }
    let left = into.join(MAKING);
    if left.exists() {
        fs::remove_dir_all(&left).map_err(failed("removing", &left))?;
    }
    Ok(())
}

/// Keeps a gateway from starting meanwhile, where one ever ran.
pub(super) fn lock(dir: &Path) -> Result<Option<File>, SalvageError> {
    let path = dir.join("lock");
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(SalvageError::Io { step: "opening", path, source }),
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(SalvageError::InUse { path }),
        Err(TryLockError::Error(source)) => Err(SalvageError::Io { step: "locking", path, source }),
    }
}

/// Copies a directory's files, and those of its directories; nothing, if it is not there.
pub(super) fn copy_files(from: &Path, to: &Path) -> Result<(), SalvageError> {
    let entries = match fs::read_dir(from) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(SalvageError::Io { step: "listing", path: from.to_owned(), source }),
    };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(to).map_err(failed("making", to))?;
    for entry in entries {
        let path = entry.map_err(failed("listing", from))?.path();
        let target = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy_files(&path, &target)?;
        } else {
            fs::copy(&path, &target).map_err(failed("copying", &path))?;
        }
    }
    Ok(())
}

/// Where the superuser salvages, the new store belongs to whom the old one belongs.
pub(super) fn give_to_owner(dir: &Path, made: &Path) -> io::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let owner = fs::metadata(dir)?;
    let mut waiting = vec![made.to_owned()];
    while let Some(path) = waiting.pop() {
        chown(&path, Some(owner.uid()), Some(owner.gid()))?;
        if path.is_dir() {
            for entry in fs::read_dir(&path)? {
                waiting.push(entry?.path());
            }
        }
    }
    Ok(())
}

/// The journal last: before it is there, nobody takes what is in the directory for a store.
pub(super) fn put_in_place(making: &Path, into: &Path) -> io::Result<()> {
    let mut names: Vec<_> =
        fs::read_dir(making)?.map(|entry| entry.map(|it| it.file_name())).collect::<Result<_, _>>()?;
    names.sort_by_key(|name| name == "journal");
    for name in names {
        if name == "lock" {
            fs::remove_file(making.join(name))?;
        } else {
            fs::rename(making.join(&name), into.join(&name))?;
            sync_directory(into)?;
        }
    }
    fs::remove_dir(making)?;
    // It was made here, or was empty.
    let owner = fs::metadata(into.join("journal"))?;
    if rustix::process::geteuid().is_root() {
        chown(into, Some(owner.uid()), Some(owner.gid()))?;
    }
    sync_directory(into)
}
