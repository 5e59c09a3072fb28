//! Guards around the index: the marker that stands while it is opened, and where an index goes that is not trusted.
//!
//! A panic aborts the process, so there is nothing to catch. Instead a synced file stands while sled opens and is checked,
//! and is written again when a thread panics inside sled: found at a start, it means that sled is not to be trusted.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, Once, PoisonError};

use crate::store::index::inside_sled;
use crate::store::keys::sync_directory;

/// How many untrusted indexes are kept.
const KEPT: usize = 2;
const BAD: &str = "sled.bad-";

/// The markers of the stores that this process has open.
static MARKERS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
static HOOK: Once = Once::new();

/// The marker's place.
pub(crate) fn marker_path(dir: &Path) -> PathBuf {
    dir.join("sled.opening")
}

/// The index's place.
pub(crate) fn index_path(dir: &Path) -> PathBuf {
    dir.join("sled")
}

/// Where an index is made anew.
pub(crate) fn new_path(dir: &Path) -> PathBuf {
    dir.join("sled.new")
}

/// Puts the marker up, on the disk.
pub(crate) fn raise_marker(marker: &Path) -> io::Result<()> {
    File::create(marker)?.sync_all()?;
    marker.parent().map_or(Ok(()), sync_directory)
}

/// Takes the marker down; from now on a panic inside sled puts it up again.
pub(crate) fn lower_marker(marker: &Path) -> io::Result<()> {
    fs::remove_file(marker)?;
    marker.parent().map_or(Ok(()), sync_directory)?;
    let mut markers = MARKERS.lock().unwrap_or_else(PoisonError::into_inner);
    if !markers.iter().any(|known| known == marker) {
        markers.push(marker.to_owned());
    }
    drop(markers);
    HOOK.call_once(|| {
        let earlier = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let in_sled = panic.location().is_some_and(|location| location.file().contains("/sled-"));
            if inside_sled() || in_sled {
                note_panic();
            }
            earlier(panic);
        }));
    });
    Ok(())
}

/// In the panic hook: no lock is waited for, no error matters any more.
fn note_panic() {
    if let Ok(markers) = MARKERS.try_lock() {
        for marker in markers.iter() {
            distrust_index(marker);
        }
    }
}

/// The next start makes the index anew.
pub(crate) fn distrust_index(marker: &Path) {
    if let Err(error) = raise_marker(marker) {
        tracing::warn!(%error, "that the index is not to be trusted could not be noted on the disk");
    }
}

/// Moves the index out of the way and removes all but the newest two of such; where it went.
pub(crate) fn quarantine(dir: &Path, wall_ms: i64) -> io::Result<Option<PathBuf>> {
    let index = index_path(dir);
    if !index.exists() {
        return Ok(None);
    }
    let mut seconds = wall_ms / 1000;
    let mut target = dir.join(format!("{BAD}{seconds}"));
    while target.exists() {
        seconds += 1;
        target = dir.join(format!("{BAD}{seconds}"));
    }
    fs::rename(&index, &target)?;
    sync_directory(dir)?;
    let mut kept = quarantined(dir)?;
    // The one just made stays, whatever the clock said.
    kept.retain(|path| *path != target);
    let surplus = (kept.len() + 1).saturating_sub(KEPT);
    for old in &kept[..surplus.min(kept.len())] {
        fs::remove_dir_all(old)?;
    }
    Ok(Some(target))
}

/// The indexes that are kept aside, oldest first.
pub(crate) fn quarantined(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(seconds) = name.strip_prefix(BAD).and_then(|digits| digits.parse::<i64>().ok()) {
            found.push((seconds, path));
        }
    }
    found.sort_unstable();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_untrusted_indexes_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(quarantine(dir.path(), 1).unwrap(), None);
        for wall_ms in [5000, 5000, 9000, 1000] {
            fs::create_dir(index_path(dir.path())).unwrap();
            let went = quarantine(dir.path(), wall_ms).unwrap().unwrap();
            assert!(went.is_dir());
        }
        let names: Vec<_> = quarantined(dir.path()).unwrap();
        assert_eq!(names, [dir.path().join("sled.bad-1"), dir.path().join("sled.bad-9")]);
    }
}
