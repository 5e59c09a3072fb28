//! Opening a store, in this order: lock, key, the journal's end, the last group again, the index, the torn tail.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::store::codec::{length_u64, length_usize};
use crate::store::committer::{Committer, Pace, own_record};
use crate::store::disk::{Disk, RealDisk, write_zeros};
use crate::store::error::OpenError;
use crate::store::genesis;
use crate::store::group::BLOCK;
use crate::store::inbox::Inbox;
use crate::store::index::{Index, IndexError};
use crate::store::journal::{Journal, Segment, Writer, segment_name};
use crate::store::keys::{Signer, read_secret};
use crate::store::options::{Cut, Damage, OpenReport, Options, Progress};
use crate::store::packing::tidy_packing;
use crate::store::quarantine::{index_path, quarantined};
use crate::store::record::{Kind, Malformed};
use crate::store::reindex::open_index;
use crate::store::replay::{Earlier, End, Reader, padded_u64};
use crate::store::retention::remove_before;
use crate::store::scan::{Ending, Surveyed};
use crate::store::shared::Shared;
use crate::store::spares::{Plan, Spares, give_up_reserve};
use crate::store::standing::Genesis;

pub(crate) use crate::store::quarantine::{distrust_index, marker_path};

/// With less free, the reserve is given up before the index is opened.
const ROOM_TO_OPEN: u64 = 4 << 20;

/// Opens the store in a directory of the real file system.
pub(crate) fn open(
    dir: &Path,
    mut options: Options,
    progress: &mut dyn FnMut(Progress),
) -> Result<(Committer, OpenReport), OpenError> {
    options.segment_size = segment_size(options.segment_size);
    let journal = dir.join("journal");
    let keys = dir.join(genesis::KEYS);
    let there = journal.is_dir();
    let interrupted = genesis::was_interrupted(dir);
    if !there {
        let remains = [index_path(dir), keys].into_iter().find(|path| path.exists()).filter(|_| !interrupted);
        if let Some(remains) = remains {
            let what = format!("{} is there, but the journal is not", remains.display());
            return Err(OpenError::Damaged {
                dir: dir.to_owned(),
                damage: Damage { segment: 0, offset: 0, what },
            });
        }
        if !options.create {
            return Err(OpenError::NoStore { dir: dir.to_owned() });
        }
        fs::create_dir_all(dir).map_err(io_at("making the store's directory", dir))?;
    }
    let lock = take_lock(dir)?;
    if !there {
        genesis::make(dir, &journal, &options).map_err(io_at("making a new store", dir))?;
    }
    let disk: Arc<dyn Disk> = Arc::new(RealDisk { directory: journal.clone() });
    let spares =
        |disk: Arc<dyn Disk>, plan| Spares::start(disk, plan).map_err(io_at("starting a thread", dir));
    let (committer, mut report) = open_on(disk, spares, dir, options, lock, progress)?;
    report.created = !there;
    Ok((committer, report))
}

/// Opens a store whose journal is on `disk` and whose other parts are in `dir`.
pub(crate) fn open_on(
    disk: Arc<dyn Disk>,
    spares: impl FnOnce(Arc<dyn Disk>, Plan) -> Result<Spares, OpenError>,
    dir: &Path,
    options: Options,
    lock: File,
    progress: &mut dyn FnMut(Progress),
) -> Result<(Committer, OpenReport), OpenError> {
    let journal_dir = dir.join("journal");
    let signer = Arc::new(load_key(dir, &options)?);
    let mut reader = Reader::new(&*disk, journal_dir.clone())?;
    if reader.public_key != signer.public_key() {
        let path = dir.join(genesis::KEYS).join(genesis::KEY_NAME);
        return Err(OpenError::Key { path, what: "this is another key".into() });
    }
    let (surveyed, ending) = reader.survey(reader.replay_segment, progress)?;
    let end = reader.end(&surveyed[..=ending.last])?;
    let first = surveyed[0].segment;
    let first_seq = surveyed[0].first_seq().unwrap_or(1);
    let oldest = end.standing.first_segment;
    reader.keep_from(oldest);
    let (earlier, old_damage) = reader.look_back(first, &end.unfinished, first_seq)?;
    let Earlier { mut segments, packed } = earlier;

    let io = |step| io_at(step, &journal_dir);
    make_room_to_open(&*disk).map_err(io("giving up the reserve of the full disk"))?;
    rewrite_last(&*disk, &end).map_err(io("writing the journal's last group again"))?;
    // The record that says so is on the disk, and was signed.
    remove_before(&*disk, oldest).map_err(io("removing what is no longer kept"))?;
    tidy_packing(&*disk).map_err(io("removing an unfinished compression"))?;
    reader.segments.retain(|(segment, _)| *segment <= surveyed[ending.last].segment);
    for segment in &surveyed[..=ending.last] {
        let first_seq = segment.first_seq().unwrap_or(0);
        segments.insert(segment.segment, Segment { first_seq, end: segment.end });
    }

    let mut report = OpenReport { epoch: end.last.2.epoch + 1, cut: ending.cut, ..OpenReport::default() };
    let journal = Journal::new(Arc::clone(&disk), reader.id, segments, packed);
    let opened = open_index(dir, (&reader, &journal, &end), &options, &mut report, progress)?;
    settle_old_damage(&journal, &opened.index, old_damage, &reader, &mut report)?;
    // Not before it is known that nothing in it was acknowledged: the index would know.
    cut_tail(&*disk, &surveyed, &ending).map_err(io("cutting the torn tail of the journal"))?;
    let genesis = find_genesis(&journal, &end)
        .map_err(|what| reader.damaged(Damage { segment: 1, offset: 0, what }))?;

    let quarantined = quarantined(dir).map_err(io_at("listing untrusted indexes", dir))?;
    let failed_marker = dir.join("journal.failed");
    let size = options.segment_size;
    let reserve = if options.reserve == 0 { 0 } else { options.reserve.max(u64::from(size)) };
    let spares = spares(disk.clone(), Plan { segment_size: size, reserve, min_free: options.min_free })?;
    let mut writer = Writer::resume(Arc::clone(&disk), spares, size, end.last.0, end_offset(&end))
        .map_err(io("opening the journal's last segment"))?;
    if failed_marker.exists() {
        writer.leave_segment();
    }
    let shared = Arc::new(Shared::new(
        (journal, opened.index),
        Inbox::new(options.waiting_commits),
        signer,
        genesis,
        (opened.tally, length_u64(quarantined.len()), report.damage.clone()),
        (Arc::clone(writer.spares().stock()), options.min_free),
        lock,
    ));
    let mut committer = Committer {
        shared,
        writer,
        epoch: report.epoch,
        number: end.last.2.number + 1,
        head: end.head,
        sums: opened.sums,
        standing: end.standing,
        // Nothing is retired before this run's first checkpoint has said what is needed.
        checkpointed: None,
        reshelved: None,
        read_from: reader.replay_segment,
        indexed: end.indexed,
        failed_marker,
        pace: Pace::new(),
        options,
    };
    committer.show();
    if let Some(cut) = ending.cut {
        note_cut(&mut committer, cut).map_err(|what| {
            io_at("writing the record of the cut tail", &journal_dir)(io::Error::other(what))
        })?;
    }
    match fs::remove_file(&committer.failed_marker) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io_at("removing the mark of a failure", &committer.failed_marker)(error))
        }
        _ => Ok((committer, report)),
    }
}

/// Whole blocks, at least 64 KiB, at most 1 GiB.
pub(crate) fn segment_size(wanted: u32) -> u32 {
    let block = u32::try_from(BLOCK).expect("a block is 4096 bytes");
    wanted.clamp(64 << 10, 1 << 30).next_multiple_of(block)
}

fn take_lock(dir: &Path) -> Result<File, OpenError> {
    let path = dir.join("lock");
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(io_at("opening the lock", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked { path }),
        Err(TryLockError::Error(source)) => Err(io_at("taking the lock", &path)(source)),
    }
}

fn load_key(dir: &Path, options: &Options) -> Result<Signer, OpenError> {
    let keys = dir.join(genesis::KEYS);
    let path = keys.join(genesis::KEY_NAME);
    let key = match &options.signing_key {
        Some(key) => key.clone(),
        None => match read_secret(&keys, genesis::KEY_NAME) {
            Ok(Some(key)) => key,
            Ok(None) => return Err(OpenError::Key { path, what: "the file is missing".into() }),
            Err(error) => return Err(OpenError::Key { path, what: error.to_string() }),
        },
    };
    Signer::from_pkcs8(&key).map_err(|what| OpenError::Key { path, what })
}

/// The index needs a little room to be opened at all.
fn make_room_to_open(disk: &dyn Disk) -> io::Result<()> {
    if disk.free()? < ROOM_TO_OPEN && give_up_reserve(disk)? {
        tracing::warn!(
            name: "disk_full",
            "the disk is full: its reserve was given up so that the store can be opened"
        );
    }
    Ok(())
}

/// Zeroes what follows the last whole group in its segment, and removes segments after it that have none.
fn cut_tail(disk: &dyn Disk, surveyed: &[Surveyed], ending: &Ending) -> io::Result<()> {
    let last = &surveyed[ending.last];
    for later in &surveyed[ending.last + 1..] {
        disk.remove(&segment_name(later.segment))?;
    }
    if last.dirty_until > last.end {
        let file = disk.open(&segment_name(last.segment))?;
        write_zeros(&*file, last.end, last.dirty_until)?;
        file.sync_data()?;
    }
    disk.sync_names()
}

/// What was read may be in the page cache only (after a failed sync, say): written again, it is on the disk.
fn rewrite_last(disk: &dyn Disk, end: &End) -> io::Result<()> {
    let (segment, offset, header) = &end.last;
    let file = disk.open(&segment_name(*segment))?;
    let mut group = vec![0; header.padded()];
    let read = file.read_at(&mut group, *offset)?;
    if read < length_usize(header.length) {
        return Err(io::Error::other("the group is not there any more"));
    }
    file.write_at(&group, *offset)?;
    file.sync_data()?;
    disk.sync_names()
}

fn end_offset(end: &End) -> u64 {
    end.last.1 + padded_u64(&end.last.2)
}

fn find_genesis(journal: &Journal, end: &End) -> Result<Genesis, String> {
    let at = end.standing.pins.get(&Kind::Genesis.code()).ok_or("there is no GENESIS")?;
    let record = journal.read(*at).map_err(|error| format!("the GENESIS cannot be read: {error}"))?;
    Genesis::decode(&record.body).map_err(|Malformed(what)| format!("the GENESIS cannot be read: {what}"))
}

fn note_cut(committer: &mut Committer, cut: Cut) -> Result<(), String> {
    let text = format!(
        "an unfinished group was cut from the end of the journal: group {}, segment {}, byte {}; \
         nothing in it had been acknowledged",
        cut.group, cut.segment, cut.offset
    );
    let record = own_record(&committer.options, Kind::Recovered, text.into_bytes());
    committer.commit_own(&record)
}

/// Damage in old segments is an alert, unless an unfinished document's records are in it.
fn settle_old_damage(
    journal: &Journal,
    index: &Index,
    damage: Vec<Damage>,
    reader: &Reader<'_>,
    report: &mut OpenReport,
) -> Result<(), OpenError> {
    let Some(first) = damage.first().cloned() else { return Ok(()) };
    let index_error = |IndexError { what, .. }| OpenError::Index { path: index.path().to_owned(), what };
    let mut after = None;
    loop {
        let page = index.page(after, 256).map_err(index_error)?;
        let Some(last) = page.last() else { break };
        after = Some(last.seq);
        for entry in page {
            let places = [Some(entry.at), entry.bound.map(|bound| bound.at), entry.outcome];
            for at in places.into_iter().flatten() {
                if damage.iter().any(|damage| damage.segment == at.segment) && journal.read(at).is_err() {
                    let what =
                        format!("{}; it touches document {}, which is not finished", first.what, entry.seq);
                    return Err(reader.damaged(Damage { what, ..first }));
                }
            }
        }
    }
    report.damage = damage;
    Ok(())
}

pub(crate) fn io_at(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OpenError + use<> {
    let path: PathBuf = path.to_owned();
    move |source| OpenError::Io { step, path, source }
}
