//! Opening the index: trusted if it agrees with what the journal's last group says of it, made anew (`rebuild`) if it does not.

use std::fs;
use std::path::Path;

use crate::queue::Seq;
use crate::store::carry::Retired;
use crate::store::checkpoint::sync_index_files;
use crate::store::codec::length_u64;
use crate::store::compaction::{compact, tidy};
use crate::store::effect::Effect;
use crate::store::entry::{Entry, Row};
use crate::store::error::{OpenError, ReadError};
use crate::store::fold::{Changes, Placed, Tally, after, subject};
use crate::store::forward::Cursor;
use crate::store::group::Sums;
use crate::store::index::{Index, IndexError};
use crate::store::journal::Journal;
use crate::store::options::{OpenReport, Options, Progress, Step};
use crate::store::quarantine::{index_path, lower_marker, marker_path, raise_marker};
use crate::store::rebuild::rebuild;
use crate::store::record::Record;
use crate::store::recovery::io_at;
use crate::store::replay::{End, Light, Reader};
use crate::store::shared::Shared;
use crate::store::shelf::shelved;

/// Records that are read at one time when an index is opened anew, and keys that are checked.
const REPLAYED_AT_ONCE: usize = 256;
const KEYS_AT_ONCE: usize = 4096;

/// An index that agrees with the journal.
pub(crate) struct Opened {
    pub(crate) index: Index,
    pub(crate) sums: Sums,
    pub(crate) tally: Tally,
}

/// Opens the index and brings it up to the journal's end, or makes it anew.
pub(crate) fn open_index(
    dir: &Path,
    (reader, journal, end): (&Reader<'_>, &Journal, &End),
    options: &Options,
    report: &mut OpenReport,
    progress: &mut dyn FnMut(Progress),
) -> Result<Opened, OpenError> {
    let path = index_path(dir);
    let marker = marker_path(dir);
    tidy(dir).map_err(io_at("removing an unfinished index", dir))?;
    let fresh = end.head.0 <= 2;
    let distrust = if marker.exists() {
        Some("its last opening did not end well".to_owned())
    } else if !path.exists() && !fresh {
        Some("it was missing".to_owned())
    } else {
        None
    };
    raise_marker(&marker).map_err(io_at("marking that the index is being opened", &marker))?;
    progress(Progress { step: Step::Check, done: 0, total: 1 });
    let opened = match distrust {
        None => catch_up(&path, (reader, journal, end), dir)?,
        Some(why) => Err(why),
    };
    let opened = match opened {
        Ok(opened) => opened,
        Err(why) => {
            tracing::warn!(name: "index_rebuilt", why, "the index is made anew from the journal");
            let opened = rebuild(dir, reader, journal, options, report, progress)?;
            report.rebuilt = Some(why);
            opened
        }
    };
    if report.rebuilt.is_none() {
        report.replayed = length_u64(end.replay.len());
    }
    sync_index_files(&path).map_err(io_at("syncing the index", &path))?;
    lower_marker(&marker).map_err(io_at("noting that the index is open", &marker))?;
    if report.rebuilt.is_some() {
        Ok(opened)
    } else {
        compact(dir, opened, (reader, journal), options, report, progress)
    }
}

/// Closes the index and opens it again, without a look at what the old handle still knew: applies what came after the
/// latest checkpoint (after `indexed`, up to `head`), and checks all of it against what the journal says.
pub(crate) fn reopen_index(
    shared: &Shared,
    (indexed, head): (Seq, Seq),
    sums: Sums,
) -> Result<(), IndexError> {
    let path = shared.index.with(|index| Ok(index.path().to_owned()))?;
    let marker = path.parent().map(marker_path).ok_or_else(|| IndexError::new("it has no directory"))?;
    let noted = |error| IndexError::io("noting that it is being opened", &error);
    shared.index.replace(|| {
        raise_marker(&marker).map_err(noted)?;
        let index = Index::open(&path, &shared.journal.id())?;
        let complete = |row| shared.journal.complete(row).map_err(unreadable);
        let mut cursor = Cursor::after(indexed);
        while cursor.read_to() < head {
            let read_to = cursor.read_to();
            let records =
                shared.journal.read_placed(&mut cursor, None, REPLAYED_AT_ONCE).map_err(unreadable)?;
            let lights: Vec<Light> = records
                .into_iter()
                .map(|(at, Record { seq, kind, stamp, effect, .. })| Light { seq, kind, stamp, at, effect })
                .collect();
            replay(&index, &complete, &lights)?;
            if cursor.read_to() == read_to {
                return Err(IndexError::new("the journal ends too early"));
            }
        }
        let differs = || IndexError::new("it differs from what the journal says it holds");
        if !index.survey()?.0.agree(&sums) {
            return Err(differs());
        }
        index.begin_walk(sums.keys);
        while let walked @ (None | Some(false)) = index.walk_on(KEYS_AT_ONCE)? {
            if walked.is_some() {
                return Err(differs());
            }
        }
        sync_index_files(&path).map_err(noted)?;
        lower_marker(&marker).map_err(noted)?;
        Ok(index)
    })
}

fn unreadable(error: ReadError) -> IndexError {
    IndexError::new(error.to_string())
}

/// Opens the index, applies what it may lack and compares it with what the last group says; the words say why it is not
/// to be trusted.
fn catch_up(
    path: &Path,
    (reader, journal, end): (&Reader<'_>, &Journal, &End),
    dir: &Path,
) -> Result<Result<Opened, String>, OpenError> {
    let index = match Index::open(path, &reader.id) {
        Ok(index) => index,
        Err(IndexError { disk_full: true, .. }) => return Err(no_room(path, dir)),
        Err(IndexError { what: why, .. }) => return Ok(Err(why)),
    };
    match index.applied() {
        Ok(applied) if applied > end.head.0 => {
            let lost = index.keys_after(end.head.0).unwrap_or_default();
            // The index is kept as it is: it alone knows what was lost.
            drop(index);
            fs::remove_file(marker_path(dir)).map_err(io_at("noting that the index is open", dir))?;
            return Err(OpenError::JournalBehind {
                dir: reader.store_dir(),
                journal_last: end.head.0,
                index_last: applied,
                lost,
            });
        }
        Ok(_) => {}
        Err(IndexError { what: why, .. }) => return Ok(Err(why)),
    }
    // A row that leads to no sale may be the index's fault: made anew, it shows whether it is the journal's.
    let complete = |row| journal.complete(row).map_err(|error| IndexError::new(error.to_string()));
    let caught = || {
        replay(&index, &complete, &end.replay)?;
        index.survey()
    };
    let (walked, tally) = match caught() {
        Ok(found) => found,
        Err(IndexError { disk_full: true, .. }) => return Err(no_room(path, dir)),
        Err(IndexError { what: why, .. }) => return Ok(Err(why)),
    };
    let told = end.last.2.sums;
    if !walked.agree(&told) {
        return Ok(Err("it differs from what the journal says it holds".into()));
    }
    Ok(Ok(Opened { index, sums: told, tally }))
}

/// The disk is too full to open the index: no reason to distrust it. It stays as it is for the next start.
fn no_room(path: &Path, dir: &Path) -> OpenError {
    if let Err(error) = fs::remove_file(marker_path(dir)) {
        tracing::warn!(name: "index_rebuilt", %error, "the index will be made anew at the next start");
    }
    OpenError::Io {
        step: "opening the index",
        path: path.to_owned(),
        source: std::io::ErrorKind::StorageFull.into(),
    }
}

/// Applies records again, in order; what is in the index already is changed by none of them.
fn replay(
    index: &Index,
    complete: &dyn Fn(Row) -> Result<Entry, IndexError>,
    records: &[Light],
) -> Result<(), IndexError> {
    let mut changes = Changes::default();
    for light in records {
        if let Effect::Retired(retired) = &light.effect {
            index.apply(&std::mem::take(&mut changes), light.seq.saturating_sub(1))?;
            index.apply(&leaving(index, retired)?, light.seq)?;
        }
        fold_light(index, complete, &mut changes, light)?;
    }
    index.apply(&changes, records.last().map_or(0, |light| light.seq))
}

/// The documents that a RETIRE takes out of the index, as far as they are still in it. A number that was used again since
/// belongs to a later document.
pub(crate) fn leaving(index: &Index, retired: &Retired) -> Result<Changes, IndexError> {
    let mut leaving = Vec::with_capacity(retired.keys.len());
    for key in &retired.keys {
        if let Some(leaver) = index.leaver(key, retired.first_segment)? {
            leaving.push((key.clone(), leaver.value));
        }
    }
    Ok(Changes::of_retired(leaving))
}

/// The row of an effect's document: a receipt is printed, and goods come back, of a finished one, which is found by its key.
fn found(index: &Index, document: Seq, effect: &Effect) -> Result<Option<Row>, IndexError> {
    match effect {
        Effect::Credited { key, .. } | Effect::Printed { key, .. } => {
            Ok(index.find(key)?.filter(|row| row.seq == document))
        }
        _ => index.row(document),
    }
}

/// What one record does, over the changes so far and over the index.
pub(crate) fn fold_light<E: From<IndexError>>(
    index: &Index,
    complete: &dyn Fn(Row) -> Result<Entry, E>,
    changes: &mut Changes,
    light: &Light,
) -> Result<(), E> {
    let placed =
        Placed { seq: light.seq, kind: light.kind, stamp: light.stamp, at: light.at, effect: &light.effect };
    if let Some((row, at)) = shelved(placed) {
        let before = match changes.shelf.place(&row) {
            Some(place) => Some(place),
            None => index.shelf_place(&row)?,
        };
        changes.shelf.note(before, (row, at));
        return Ok(());
    }
    let mut before = None;
    if let Some(document) = subject(&light.effect) {
        before = match changes.entry(document) {
            Some(entry) => Some(entry.clone()),
            None => match found(index, document, &light.effect)?.map(complete).transpose() {
                // What is taken along whole does not depend on what was there, which may have gone with its segment.
                Err(_) if matches!(light.effect, Effect::Carried(_)) => None,
                other => other?,
            },
        };
    }
    // A document that is not there is finished in the index already.
    if let Some(entry) = after(before.as_ref(), placed) {
        changes.note(before, entry);
    }
    Ok(())
}
