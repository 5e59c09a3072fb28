//! Making the index anew from the whole journal, beside the old one, which goes only when the new one is whole.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;

use crate::queue::Seq;
use crate::store::checkpoint::flush_and_sync;
use crate::store::codec::length_u64;
use crate::store::effect::Effect;
use crate::store::entry::Row;
use crate::store::error::{OpenError, ReadError};
use crate::store::fold::{Change, Changes};
use crate::store::group::Sums;
use crate::store::index::{Index, IndexError};
use crate::store::journal::{Journal, segment_name};
use crate::store::keys::sync_directory;
use crate::store::options::{Damage, OpenReport, Options, Progress, Step};
use crate::store::pack::{Pack, Span};
use crate::store::quarantine::{index_path, new_path, quarantine};
use crate::store::record::{Record, SaleHeader};
use crate::store::recovery::io_at;
use crate::store::reindex::{Opened, fold_light};
use crate::store::replay::{Light, Reader};
use crate::store::scan::Surveyed;

/// Makes the index anew and puts it in the place of the old one, which is set aside.
pub(crate) fn rebuild(
    dir: &Path,
    reader: &Reader<'_>,
    journal: &Journal,
    options: &Options,
    report: &mut OpenReport,
    progress: &mut dyn FnMut(Progress),
) -> Result<Opened, OpenError> {
    let new = new_path(dir);
    let remove = || {
        // Best effort: the next start removes it too.
        let _ = fs::remove_dir_all(&new);
    };
    let mut damage = Vec::new();
    let mut built = build(&new, (reader, journal), Tables::Believed, &mut damage, progress);
    if built.is_ok() && !damage.is_empty() {
        tracing::warn!("what compressed segments say of themselves does not add up: all records are read");
        damage.clear();
        // Closed before its files go.
        drop(built);
        remove();
        built = build(&new, (reader, journal), Tables::MadeAnew, &mut damage, progress);
    }
    let built = built.and_then(|built| {
        // Or all of it would have to be done again after a power cut.
        flush_and_sync(&built.index).map_err(|error| index_failed(&new, error))?;
        Ok(built)
    });
    let built = built.inspect_err(|_| remove())?;
    report.damage.append(&mut damage);
    move_in(dir, built, &reader.id, || {
        let moving = io_at("moving the old index aside", dir);
        report.quarantined = quarantine(dir, (options.clock)().wall_ms).map_err(moving)?;
        Ok(())
    })
}

/// Closes an index that was built beside the old one and is on the disk, and opens it in its place, which `make_way` clears.
pub(crate) fn move_in(
    dir: &Path,
    built: Opened,
    journal: &[u8; 16],
    make_way: impl FnOnce() -> Result<(), OpenError>,
) -> Result<Opened, OpenError> {
    let (path, new) = (index_path(dir), new_path(dir));
    let Opened { index, sums, tally } = built;
    // Closed before its files get other names.
    drop(index);
    make_way()?;
    let moved = fs::rename(&new, &path).and_then(|()| sync_directory(dir));
    moved.map_err(io_at("putting the new index in its place", dir))?;
    match Index::open(&path, journal) {
        Ok(index) => Ok(Opened { index, sums, tally }),
        Err(IndexError { what, .. }) => Err(OpenError::Index { path, what }),
    }
}

/// Why an index could not be made.
enum Unmade {
    Index(IndexError),
    Journal(ReadError),
}

impl From<IndexError> for Unmade {
    fn from(error: IndexError) -> Self {
        Self::Index(error)
    }
}

impl Unmade {
    fn told(self, path: &Path, reader: &Reader<'_>) -> OpenError {
        match self {
            Self::Index(error) => index_failed(path, error),
            Self::Journal(ReadError::Damaged(damage)) => reader.damaged(damage),
            Self::Journal(ReadError::Io { segment, what }) => OpenError::Io {
                step: "reading the journal",
                path: reader.dir.join(segment_name(segment)),
                source: io::Error::other(what),
            },
            Self::Journal(error @ (ReadError::Index(_) | ReadError::Stopping)) => {
                index_failed(path, IndexError::new(error.to_string()))
            }
        }
    }
}

/// A full disk says nothing against the index that is made: the next start tries again.
fn index_failed(path: &Path, error: IndexError) -> OpenError {
    let IndexError { what, disk_full } = error;
    let path = path.to_owned();
    if disk_full {
        OpenError::Io { step: "making the index anew", path, source: io::ErrorKind::StorageFull.into() }
    } else {
        OpenError::Index { path, what }
    }
}

/// Whether a compressed segment's own table of what its records do is taken for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tables {
    /// No body is read: fast.
    Believed,
    /// The records are read.
    MadeAnew,
}

/// Makes an index in `path` from the whole journal; what the journal says of the index and does not follow from it goes
/// into `damage`.
pub(crate) fn build(
    path: &Path,
    (reader, journal): (&Reader<'_>, &Journal),
    tables: Tables,
    damage: &mut Vec<Damage>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Opened, OpenError> {
    // From the oldest that must be there: without its records the keys would not be known.
    let (surveyed, ending) = reader.survey(reader.oldest, progress)?;
    let failed = |unmade: Unmade| unmade.told(path, reader);
    let failed_index = |error: IndexError| failed(error.into());
    let index = Index::open(path, &reader.id).map_err(failed_index)?;
    let mut sums = Sums::default();
    // The sales of documents that are not finished yet, as tables tell of them: no body needs to be read, or to be whole,
    // for what became of a document in a later segment.
    let mut sales: HashMap<Seq, SaleHeader> = HashMap::new();
    let total = length_u64(surveyed.len());
    for (done, segment) in (0..).zip(&surveyed[..=ending.last]) {
        progress(Progress { step: Step::Rebuild, done, total });
        let complete = |row: Row| match sales.get(&row.seq) {
            Some(sale) => Ok(row.with(sale.clone())),
            None => journal.complete(row).map_err(Unmade::Journal),
        };
        let mut changes = Changes::default();
        let mut last: Seq = 0;
        // A RETIRE is about documents that are not here: their records are gone.
        let mut fold = |light: &Light| fold_light(&index, &complete, &mut changes, light).map_err(failed);
        let table = (tables == Tables::Believed).then(|| effects_of(reader, segment)).flatten();
        if let Some((span, effects)) = &table {
            effects.iter().try_for_each(&mut fold)?;
            last = span.last_seq;
        } else {
            reader.each_record(std::slice::from_ref(segment), |at, record| {
                last = record.seq;
                let Record { seq, kind, stamp, effect, .. } = record;
                if effect == Effect::None { Ok(()) } else { fold(&Light { seq, kind, stamp, at, effect }) }
            })?;
        }
        sums = changes.sums_after(sums);
        index.apply(&changes, last).map_err(failed_index)?;
        for Change { after, .. } in changes.iter() {
            if after.status.is_finished() {
                sales.remove(&after.seq);
            } else if table.is_some() {
                let (key, content, accepted) = (after.key.clone(), after.content, after.accepted);
                sales.insert(after.seq, SaleHeader { key, content, accepted });
            }
        }
    }
    let (walked, tally) = index.survey().map_err(failed_index)?;
    let told = surveyed[ending.last].groups.last().map_or(sums, |(_, header)| header.sums);
    if !walked.agree(&sums) {
        return Err(failed_index(IndexError::new("it does not keep what is put into it")));
    }
    if told != sums {
        damage.push(Damage {
            segment: surveyed[ending.last].segment,
            offset: surveyed[ending.last].end,
            what: "what the last group says of the index does not follow from the journal".into(),
        });
    }
    Ok(Opened { index, sums, tally })
}

/// What a compressed segment's table says its records do; `None`: it is not compressed, or the table is damaged and the
/// records themselves must be read.
fn effects_of(reader: &Reader<'_>, segment: &Surveyed) -> Option<(Span, Vec<Light>)> {
    let span = segment.packed?;
    match Pack::open(reader.disk, span.segment).and_then(|pack| pack.effects()) {
        Ok(effects) => Some((span, effects)),
        Err(error) => {
            tracing::warn!(segment = span.segment, %error, "a compressed segment is read whole");
            None
        }
    }
}
