//! sled: where each document stands and how it is found. Headers only, never bodies; all of it follows from the journal.
//!
//! | tree | key | value | written when |
//! |---|---|---|---|
//! | `queue` | running number / 32 | of each: place of the sale, status, attempts, number, place of the outcome | each step; removed when finished |
//! | `by_key` | the register's number | running number; once finished, the row of `queue` too | accepted, finished |
//! | `shelf` | kind, key | place of the newest record of that key (`shelf`) | each such record |
//! | `meta` | `applied`, `format`, `journal` | last applied record, layout, journal id | each group, once, once |
//!
//! Key, content hash and time of a document are read from its sale's record: rows are small, and 32 of `queue` are
//! packed into one of sled's, which is what decides how much memory 100,000 waiting documents take.
//!
//! A reader beside the committer sees a document whole: a new one is put into `queue` first, a finished one into `by_key`.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Bound as Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sled::{Db, IVec, Tree};

use crate::queue::Seq;
use crate::store::bucket::{Bucket, bucket_of};
use crate::store::entry::{Keyed, Row, keyed, open_row, seq_key};
use crate::store::fold::{Change, Changes, Tally};
use crate::store::group::{Sums, TreeSum};
use crate::store::record::{Located, Malformed};

const FORMAT: u64 = 1;
/// So long may sled's own threads hold its file after it was closed.
const LET_GO: Duration = Duration::from_secs(5);

/// sled said no, or its rows make no sense. This handle is not used any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub(crate) struct IndexError {
    pub(crate) what: String,
    /// There was no room: opened anew once there is some, it goes on.
    pub(crate) disk_full: bool,
}

impl IndexError {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), disk_full: false }
    }

    /// The disk's word, while `what` was done.
    pub(crate) fn io(what: &str, error: &std::io::Error) -> Self {
        let disk_full =
            matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded);
        Self { what: format!("{what}: {error}"), disk_full }
    }
}

/// The open index.
pub(crate) struct Index {
    path: PathBuf,
    db: Db,
    queue: Tree,
    by_key: Tree,
    shelf: Tree,
    meta: Tree,
    /// The first error: after one, a handle's reads may quietly stop short, so nothing more is asked.
    dead: Mutex<Option<IndexError>>,
    walk: Mutex<KeyWalk>,
}

/// A finished document that leaves the index with its segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leaver {
    /// What `by_key` says of it.
    pub(crate) value: Vec<u8>,
    /// Where its outcome is.
    pub(crate) outcome: Option<Located>,
}

/// The sums of what was walked whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Walked {
    queue: TreeSum,
    shelf: TreeSum,
}

impl Walked {
    /// Whether they are what the journal says.
    pub(crate) fn agree(self, told: &Sums) -> bool {
        self.queue == told.queue && self.shelf == told.shelf
    }
}

/// How far the check of `by_key` has come. Changes are taken into what is expected, and behind its position into what was
/// found, as they are made.
#[derive(Debug, Default)]
struct KeyWalk {
    position: Option<IVec>,
    found: TreeSum,
    expected: TreeSum,
    running: bool,
}

/// For each bucket the rows to put in or take out.
type BucketChanges = BTreeMap<Seq, Vec<(Seq, Option<Vec<u8>>)>>;

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is inside sled just now; for the panic hook.
pub(crate) fn inside_sled() -> bool {
    INSIDE.with(Cell::get)
}

/// Whether somebody has sled's file. Nobody else opens a store that we have locked: it is a thread of sled's own.
fn is_held(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(error) if error.to_string().starts_with("could not acquire lock"))
}

impl Index {
    /// Opens or makes the index in `path`, for this journal.
    pub(crate) fn open(path: &Path, journal: &[u8; 16]) -> Result<Self, IndexError> {
        INSIDE.with(|inside| inside.set(true));
        let opened = Self::open_inside(path, journal);
        INSIDE.with(|inside| inside.set(false));
        opened
    }

    fn open_inside(path: &Path, journal: &[u8; 16]) -> Result<Self, IndexError> {
        let config = sled::Config::new()
            .path(path)
            // It bounds the rows' own bytes only; all the rest that sled keeps for a page comes on top.
            .cache_capacity(1 << 20)
            .flush_every_ms(Some(500))
            .mode(sled::Mode::LowSpace);
        let deadline = Instant::now() + LET_GO;
        let db = loop {
            match config.open() {
                Err(error) if is_held(&error) && Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                opened => break opened.map_err(said)?,
            }
        };
        let tree = |name: &str| db.open_tree(name).map_err(said);
        let (queue, by_key, shelf) = (tree("queue")?, tree("by_key")?, tree("shelf")?);
        let meta = tree("meta")?;
        match (meta.get("format").map_err(said)?, meta.get("journal").map_err(said)?) {
            (None, None) if queue.is_empty() && by_key.is_empty() && shelf.is_empty() => {
                meta.insert("format", &FORMAT.to_be_bytes()).map_err(said)?;
                meta.insert("journal", journal).map_err(said)?;
            }
            (Some(format), Some(id)) if format == FORMAT.to_be_bytes() && id == journal => {}
            _ => return Err(IndexError::new("it is of another layout or another journal")),
        }
        let has_blobs = std::fs::read_dir(path.join("blobs")).is_ok_and(|mut files| files.next().is_some());
        if has_blobs {
            return Err(IndexError::new("it has blobs, which are never synced"));
        }
        Ok(Self {
            path: path.to_owned(),
            db,
            queue,
            by_key,
            shelf,
            meta,
            dead: Mutex::default(),
            walk: Mutex::default(),
        })
    }

    /// Its directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// An unfinished document.
    pub(crate) fn row(&self, seq: Seq) -> Result<Option<Row>, IndexError> {
        self.ask(|| {
            let bucket = self.bucket(bucket_of(seq))?;
            bucket.row(seq).map(|row| open_row(seq, row).map_err(said)).transpose()
        })
    }

    /// Any document, by the register's own number.
    pub(crate) fn find(&self, key: &str) -> Result<Option<Row>, IndexError> {
        // A document that finishes between two looks is found finished at the next one.
        for _ in 0..4 {
            let Some(value) = self.ask(|| self.by_key.get(key).map_err(said))? else { return Ok(None) };
            match keyed(&value).map_err(said).or_else(|error| self.fail(error))? {
                Keyed::Finished(row) => return Ok(Some(row)),
                Keyed::Open(seq) => {
                    if let Some(row) = self.row(seq)? {
                        return Ok(Some(row));
                    }
                }
            }
        }
        self.fail(IndexError::new(format!(
            "`by_key` says that {key} is unfinished, `queue` does not know it"
        )))
    }

    /// Unfinished documents after `after`, in order of acceptance.
    pub(crate) fn page(&self, after: Option<Seq>, limit: usize) -> Result<Vec<Row>, IndexError> {
        self.ask(|| {
            let from = seq_key(after.map_or(0, bucket_of));
            let mut found = Vec::new();
            for bucket in self.queue.range(from..) {
                if found.len() >= limit {
                    break;
                }
                let (key, value) = bucket.map_err(said)?;
                for (seq, row) in Bucket::decode(&value).map_err(said)?.rows(seq_of(&key)?) {
                    if after.is_none_or(|after| seq > after) && found.len() < limit {
                        found.push(open_row(seq, row).map_err(said)?);
                    }
                }
            }
            Ok(found)
        })
    }

    /// The last record whose effect is in the trees.
    pub(crate) fn applied(&self) -> Result<Seq, IndexError> {
        self.ask(|| {
            let applied = self.meta.get("applied").map_err(said)?;
            let applied = applied.map_or(Ok(0), |value| seq_of(&value))?;
            let Some((key, value)) = self.queue.last().map_err(said)? else { return Ok(applied) };
            let bucket = Bucket::decode(&value).map_err(said)?;
            let last = bucket.rows(seq_of(&key)?).last().map_or(0, |(seq, _)| seq);
            Ok(last.max(applied))
        })
    }

    /// Puts a group's changes into the trees, the applied record last. Repeating it changes nothing.
    pub(crate) fn apply(&self, changes: &Changes, applied: Seq) -> Result<(), IndexError> {
        if changes.is_empty() {
            return Ok(());
        }
        self.ask(|| {
            let mut shown = 0;
            let mut opened = BucketChanges::new();
            let mut closed = BucketChanges::new();
            let mut keys = Vec::new();
            for Change { before, after } in changes.iter() {
                let rows = after.rows();
                if rows.open.is_some() {
                    shown = shown.max(after.seq);
                    opened.entry(bucket_of(after.seq)).or_default().push((after.seq, rows.open));
                } else {
                    closed.entry(bucket_of(after.seq)).or_default().push((after.seq, None));
                }
                if before.as_ref().is_none_or(|before| before.rows().key != rows.key) {
                    keys.push((after.key.as_bytes(), rows.key));
                }
            }
            for (key, value) in changes.retired() {
                self.remove_key(key.as_bytes(), value)?;
            }
            self.put_rows(opened)?;
            for (key, value) in keys {
                self.put_key(key, &value)?;
            }
            self.put_rows(closed)?;
            self.put_shelf(&changes.shelf)?;
            // A new document's own row shows how far the index is; the mark is for the other records.
            if shown < applied {
                self.meta.insert("applied", &seq_key(applied)).map_err(said)?;
            }
            Ok(())
        })
    }

    fn put_rows(&self, buckets: BucketChanges) -> Result<(), IndexError> {
        for (number, rows) in buckets {
            let mut bucket = self.bucket(number)?;
            for (seq, row) in rows {
                bucket.set(seq, row);
            }
            if bucket.is_empty() {
                self.queue.remove(seq_key(number)).map_err(said)?;
            } else {
                self.queue.insert(seq_key(number), bucket.encode()).map_err(said)?;
            }
        }
        Ok(())
    }

    fn bucket(&self, number: Seq) -> Result<Bucket, IndexError> {
        let value = self.queue.get(seq_key(number)).map_err(said)?;
        value.map_or_else(|| Ok(Bucket::default()), |value| Bucket::decode(&value).map_err(said))
    }

    fn put_key(&self, key: &[u8], value: &[u8]) -> Result<(), IndexError> {
        let mut walk = self.walk();
        let old = self.by_key.insert(key, value).map_err(said)?;
        if walk.running {
            let change = |sum: &mut TreeSum| {
                if let Some(old) = &old {
                    sum.remove(key, old);
                }
                sum.add(key, value);
            };
            change(&mut walk.expected);
            if walk.position.as_ref().is_some_and(|position| key <= &position[..]) {
                change(&mut walk.found);
            }
        }
        Ok(())
    }

    /// Takes a finished document's key out, its record being no longer kept.
    fn remove_key(&self, key: &[u8], value: &[u8]) -> Result<(), IndexError> {
        let mut walk = self.walk();
        let Some(old) = self.by_key.remove(key).map_err(said)? else { return Ok(()) };
        if old != value {
            return Err(IndexError::new("a document that is no longer kept is not what it was"));
        }
        if walk.running {
            walk.expected.remove(key, value);
            if walk.position.as_ref().is_some_and(|position| key <= &position[..]) {
                walk.found.remove(key, value);
            }
        }
        Ok(())
    }

    /// A finished document whose sale is in a segment before `first`.
    pub(crate) fn leaver(&self, key: &str, first: u32) -> Result<Option<Leaver>, IndexError> {
        self.ask(|| {
            let Some(value) = self.by_key.get(key).map_err(said)? else { return Ok(None) };
            Ok(match keyed(&value).map_err(said)? {
                Keyed::Finished(row) if row.at.segment < first => {
                    Some(Leaver { value: value.to_vec(), outcome: row.outcome })
                }
                Keyed::Finished(_) | Keyed::Open(_) => None,
            })
        })
    }

    /// As if sled had lost it.
    #[cfg(test)]
    pub(crate) fn lose(&self, key: &str) {
        self.by_key.remove(key).unwrap();
        *self.dead() = None;
    }

    /// The length of sled's file.
    pub(crate) fn file_bytes(&self) -> u64 {
        std::fs::metadata(self.path.join("db")).map_or(0, |file| file.len())
    }

    /// Walks `queue` and `shelf` whole: their sums, and the counts over what is in them.
    pub(crate) fn survey(&self) -> Result<(Walked, Tally), IndexError> {
        self.ask(|| {
            let mut sum = TreeSum::default();
            let mut tally = Tally::default();
            for row in &self.queue {
                let (key, value) = row.map_err(said)?;
                for (seq, row) in Bucket::decode(&value).map_err(said)?.rows(seq_of(&key)?) {
                    sum.add(&seq_key(seq), row);
                    tally.count(&open_row(seq, row).map_err(said)?);
                }
            }
            let shelf = self.survey_shelf(&mut tally.shelf)?;
            Ok((Walked { queue: sum, shelf }, tally))
        })
    }

    /// All documents, by the register's own number.
    pub(crate) fn documents(&self) -> Result<Vec<(String, Row)>, IndexError> {
        let mut found = Vec::new();
        let keys = self.ask(|| {
            let rows = self.by_key.iter().map(|row| row.map_err(said));
            rows.collect::<Result<Vec<_>, _>>()
        })?;
        for (key, value) in keys {
            let row = match keyed(&value).map_err(said)? {
                Keyed::Finished(row) => Some(row),
                Keyed::Open(seq) => self.row(seq)?,
            };
            let key = String::from_utf8_lossy(&key).into_owned();
            found.extend(row.map(|row| (key, row)));
        }
        Ok(found)
    }

    /// Keys of documents accepted after `seq`: what the journal lost, if it ends there.
    pub(crate) fn keys_after(&self, seq: Seq) -> Result<Vec<String>, IndexError> {
        self.ask(|| {
            let mut lost = Vec::new();
            for row in &self.by_key {
                let (key, value) = row.map_err(said)?;
                let document = match keyed(&value).map_err(said)? {
                    Keyed::Open(document) => document,
                    Keyed::Finished(row) => row.seq,
                };
                if document > seq {
                    lost.push(String::from_utf8_lossy(&key).into_owned());
                }
            }
            Ok(lost)
        })
    }

    /// Begins the check of `by_key` against what the journal says it holds.
    pub(crate) fn begin_walk(&self, expected: TreeSum) {
        *self.walk() = KeyWalk { running: true, expected, ..KeyWalk::default() };
    }

    /// Takes up to `limit` more keys into the check. At the end: whether the tree is as expected.
    pub(crate) fn walk_on(&self, limit: usize) -> Result<Option<bool>, IndexError> {
        self.ask(|| {
            let mut walk = self.walk();
            let from = walk.position.clone().map_or(Range::Unbounded, Range::Excluded);
            let mut taken = 0;
            for row in self.by_key.range((from, Range::Unbounded)).take(limit) {
                let (key, value) = row.map_err(said)?;
                walk.found.add(&key, &value);
                walk.position = Some(key);
                taken += 1;
            }
            if taken == limit {
                return Ok(None);
            }
            walk.running = false;
            Ok(Some(walk.found == walk.expected))
        })
    }

    /// Writes out what sled holds in memory; not yet durable. Blocks; on a plain thread only.
    pub(crate) fn flush(&self) -> Result<(), IndexError> {
        self.ask(|| self.db.flush().map(|_| ()).map_err(said))
    }

    /// It is not to be used any more.
    pub(crate) fn condemn(&self, why: &str) {
        self.dead().get_or_insert_with(|| IndexError::new(why));
    }

    /// The next question is answered as sled does once it found no room.
    #[cfg(test)]
    pub(crate) fn meet_full_disk(&self) {
        let full = std::io::ErrorKind::StorageFull.into();
        self.dead().get_or_insert_with(|| IndexError::io("sled", &full));
    }

    /// Why it is not used any more.
    pub(crate) fn trouble(&self) -> Option<IndexError> {
        self.dead().clone()
    }

    /// Runs `question` inside sled, unless the index is dead; it is, after the first error.
    fn ask<T>(&self, question: impl FnOnce() -> Result<T, IndexError>) -> Result<T, IndexError> {
        if let Some(error) = self.trouble() {
            return Err(error);
        }
        let before = INSIDE.with(|inside| inside.replace(true));
        let answer = question();
        INSIDE.with(|inside| inside.set(before));
        answer.or_else(|error| self.fail(error))
    }

    fn fail<T>(&self, error: IndexError) -> Result<T, IndexError> {
        self.dead().get_or_insert_with(|| error.clone());
        Err(error)
    }

    fn dead(&self) -> MutexGuard<'_, Option<IndexError>> {
        self.dead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn walk(&self) -> MutexGuard<'_, KeyWalk> {
        self.walk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn seq_of(bytes: &[u8]) -> Result<Seq, IndexError> {
    let bytes = bytes.try_into().map_err(|_| IndexError::new("a running number is not 8 bytes long"))?;
    Ok(Seq::from_be_bytes(bytes))
}

fn said(error: impl Into<IndexError>) -> IndexError {
    error.into()
}

impl From<sled::Error> for IndexError {
    fn from(error: sled::Error) -> Self {
        match error {
            sled::Error::Io(error) => Self::io("sled", &error),
            other => Self::new(other.to_string()),
        }
    }
}

impl From<Malformed> for IndexError {
    fn from(error: Malformed) -> Self {
        Self::new(error.to_string())
    }
}

mod shelf;
#[cfg(test)]
mod tests;
