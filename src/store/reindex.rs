//! Opening the index: trusted if it agrees with what the journal's last group says of it, made anew if it does not.

use std::fs;
use std::path::Path;

use crate::queue::Seq;
use crate::store::checkpoint::sync_index_files;
use crate::store::codec::length_u64;
use crate::store::effect::Effect;
use crate::store::entry::{Entry, Row};
use crate::store::error::OpenError;
use crate::store::fold::{Changes, Placed, Tally, after, subject};
use crate::store::group::Sums;
use crate::store::index::{Index, IndexError};
use crate::store::journal::Journal;
use crate::store::options::{Damage, OpenReport, Options, Progress, Step};
use crate::store::quarantine::{index_path, lower_marker, marker_path, quarantine, raise_marker};
use crate::store::recovery::io_at;
use crate::store::replay::{End, Light, Reader};

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
            tracing::warn!(why, "the index is made anew from the journal");
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
    Ok(opened)
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
        Err(IndexError(why)) => return Ok(Err(why)),
    };
    match index.applied() {
        Ok(applied) if applied > end.head.0 => {
            let lost = index.keys_after(end.head.0).unwrap_or_default();
            // The index is kept as it is: it alone knows what was lost.
            drop(index);
            fs::remove_file(marker_path(dir)).map_err(io_at("noting that the index is open", dir))?;
            return Err(OpenError::JournalBehind {
                dir: reader.dir.clone(),
                journal_last: end.head.0,
                index_last: applied,
                lost,
            });
        }
        Ok(_) => {}
        Err(IndexError(why)) => return Ok(Err(why)),
    }
    // A row that leads to no sale may be the index's fault: made anew, it shows whether it is the journal's.
    let complete = |row| journal.complete(row).map_err(|error| IndexError(error.to_string()));
    let caught = || {
        let mut changes = Changes::default();
        for light in &end.replay {
            fold_light(&index, &complete, &mut changes, light)?;
        }
        index.apply(&changes, end.replay.last().map_or(0, |light| light.seq))?;
        index.survey()
    };
    let (sum, tally) = match caught() {
        Ok(found) => found,
        Err(IndexError(why)) => return Ok(Err(why)),
    };
    let told = end.last.2.sums;
    if sum != told.queue {
        return Ok(Err("it differs from what the journal says it holds".into()));
    }
    Ok(Ok(Opened { index, sums: told, tally }))
}

/// What one record does, over the changes so far and over the index.
pub(crate) fn fold_light(
    index: &Index,
    complete: &dyn Fn(Row) -> Result<Entry, IndexError>,
    changes: &mut Changes,
    light: &Light,
) -> Result<(), IndexError> {
    let placed =
        Placed { seq: light.seq, kind: light.kind, stamp: light.stamp, at: light.at, effect: &light.effect };
    let mut before = None;
    if let Some(document) = subject(&light.effect) {
        before = match changes.entry(document) {
            Some(entry) => Some(entry.clone()),
            None => index.row(document)?.map(complete).transpose()?,
        };
    }
    // A document that is not there is finished in the index already.
    if let Some(entry) = after(before.as_ref(), placed) {
        changes.note(before, entry);
    }
    Ok(())
}

/// Makes the index anew from the whole journal. The old one is moved aside only once the journal is known to be whole.
fn rebuild(
    dir: &Path,
    reader: &Reader<'_>,
    journal: &Journal,
    options: &Options,
    report: &mut OpenReport,
    progress: &mut dyn FnMut(Progress),
) -> Result<Opened, OpenError> {
    let path = index_path(dir);
    let first = reader.segments.first().map_or(1, |(segment, _)| *segment);
    let (surveyed, ending) = reader.survey(first, progress)?;
    report.quarantined =
        quarantine(dir, (options.clock)().wall_ms).map_err(io_at("moving the old index aside", &path))?;
    let failed = |IndexError(what)| OpenError::Index { path: path.clone(), what };
    let index = Index::open(&path, &reader.id).map_err(failed)?;
    let complete = |row| journal.complete(row).map_err(|error| IndexError(error.to_string()));
    let mut sums = Sums::default();
    let total = length_u64(surveyed.len());
    for (done, segment) in (0..).zip(&surveyed[..=ending.last]) {
        progress(Progress { step: Step::Rebuild, done, total });
        let mut changes = Changes::default();
        let mut last: Seq = 0;
        reader.each_record(std::slice::from_ref(segment), |at, record| {
            last = record.seq;
            if record.effect != Effect::None {
                let light = Light {
                    seq: record.seq,
                    kind: record.kind,
                    stamp: record.stamp,
                    at,
                    effect: record.effect,
                };
                fold_light(&index, &complete, &mut changes, &light).map_err(failed)?;
            }
            Ok(())
        })?;
        sums = changes.sums_after(sums);
        index.apply(&changes, last).map_err(failed)?;
    }
    let (walked, tally) = index.survey().map_err(failed)?;
    let told = surveyed[ending.last].groups.last().map_or(sums, |(_, header)| header.sums);
    if walked != sums.queue {
        return Err(failed(IndexError("it does not keep what is put into it".into())));
    }
    if told != sums {
        report.damage.push(Damage {
            segment: surveyed[ending.last].segment,
            offset: surveyed[ending.last].end,
            what: "what the last group says of the index does not follow from the journal".into(),
        });
    }
    Ok(Opened { index, sums, tally })
}
