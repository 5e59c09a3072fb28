//! What the committer shows to everybody else.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::queue::Seq;
use crate::store::effect::SeriesState;
use crate::store::entry::{Entry, Row};
use crate::store::error::ReadError;
use crate::store::finished::Finished;
use crate::store::fold::{Changes, Tally};
use crate::store::group::TreeSum;
use crate::store::inbox::Inbox;
use crate::store::index::{Index, IndexError, Leaver};
use crate::store::journal::Journal;
use crate::store::keys::Signer;
use crate::store::options::{Counts, Damage, Health};
use crate::store::pack::key_hash;
use crate::store::record::{Kind, Located, Record, Stamp};
use crate::store::room::Room;
use crate::store::slot::IndexSlot;
use crate::store::spares::Stock;
use crate::store::standing::{Genesis, Standing};
use crate::store::timing::Timing;

/// Up to this many keys the check is over before anybody would have looked elsewhere.
const FEW_KEYS: u64 = 50_000;
/// Segments that are not compressed are looked through for keys if they are not more than this together.
const PLAIN_BYTES: u64 = 64 << 20;
/// Keys that the check of `by_key` looks at before it lets others in.
const CHECK_STEP: usize = 512;

/// The parts that many threads use.
pub(crate) struct Shared {
    pub(crate) journal: Journal,
    pub(crate) index: IndexSlot,
    pub(crate) inbox: Inbox,
    pub(crate) finished: Finished,
    pub(crate) signer: Arc<Signer>,
    pub(crate) genesis: Genesis,
    pub(crate) timing: Timing,
    stock: Arc<Stock>,
    min_free: u64,
    head: watch::Sender<(Seq, [u8; 32])>,
    public: Mutex<Public>,
    keys: KeyCheck,
    /// Held as long as anything of the store is in use; dropped after the index.
    _lock: File,
}

/// How the daemon sees the store, as of the last group.
struct Public {
    series: SeriesState,
    pins: BTreeMap<u8, Located>,
    documents_total: u64,
    /// The oldest segment kept, and the one where the next start begins to read.
    kept: (u32, u32),
    tally: Tally,
    oldest: Option<(Seq, Stamp)>,
    failed: Option<String>,
    last_sync: Instant,
    quarantined: u64,
    damage: Vec<Damage>,
}

/// Until `by_key` has been checked, "not found" is no answer.
#[derive(Default)]
struct KeyCheck {
    state: Mutex<Check>,
    done: Condvar,
}

#[derive(Default)]
struct Check {
    running: bool,
    /// The keys in segments that are not compressed, once they are known: hashes, sorted.
    plain: Option<Vec<u64>>,
    /// It ended early, because the store is being closed: a key that is not found may be known all the same.
    unsure: bool,
    stop: bool,
}

impl Shared {
    pub(crate) fn new(
        (journal, index): (Journal, Index),
        inbox: Inbox,
        signer: Arc<Signer>,
        genesis: Genesis,
        (tally, quarantined, damage): (Tally, u64, Vec<Damage>),
        (stock, min_free): (Arc<Stock>, u64),
        lock: File,
    ) -> Self {
        Self {
            journal,
            index: IndexSlot::new(index),
            inbox,
            finished: Finished::default(),
            signer,
            genesis,
            timing: Timing::default(),
            stock,
            min_free,
            head: watch::Sender::new((0, [0; 32])),
            public: Mutex::new(Public {
                series: SeriesState::default(),
                pins: BTreeMap::new(),
                documents_total: 0,
                kept: (1, 1),
                tally,
                oldest: None,
                failed: None,
                last_sync: Instant::now(),
                quarantined,
                damage,
            }),
            keys: KeyCheck::default(),
            _lock: lock,
        }
    }

    /// After a group was synced and applied: shows it.
    pub(crate) fn publish(
        &self,
        head: (Seq, [u8; 32]),
        (standing, read_from): (&Standing, u32),
        changes: &Changes,
    ) {
        let mut public = self.public();
        public.tally.apply(changes);
        public.series.clone_from(&standing.series);
        if public.pins != standing.pins {
            public.pins.clone_from(&standing.pins);
        }
        public.documents_total = standing.documents_total;
        public.kept = (standing.first_segment, read_from);
        public.last_sync = Instant::now();
        let first = public.tally.pending.first().copied();
        if public.oldest.map(|(seq, _)| seq) != first {
            // What cannot be read has no time; health and the next reader say why.
            public.oldest =
                first.and_then(|seq| self.entry(seq).ok().flatten()).map(|entry| (entry.seq, entry.accepted));
        }
        drop(public);
        self.head.send_replace(head);
    }

    /// An unfinished document.
    pub(crate) fn entry(&self, seq: Seq) -> Result<Option<Entry>, ReadError> {
        self.look_up(|index| index.row(seq))
    }

    /// Any document by its key. While `by_key` is being checked, an unknown key is answered after the check.
    pub(crate) fn find(&self, key: &str) -> Result<Option<Entry>, ReadError> {
        let found = self.look_up(|index| index.find(key));
        if !matches!(found, Ok(None)) || !self.journal_may_hold(key) {
            return found;
        }
        let over = self.keys.done.wait_while(self.check(), |check| check.running);
        let unsure = over.unwrap_or_else(PoisonError::into_inner).unsure;
        match self.look_up(|index| index.find(key)) {
            Ok(None) if unsure => Err(ReadError::Stopping),
            found => found,
        }
    }

    /// While `by_key` is being checked: whether the journal may have a document with this key. Waits until that can be
    /// said, or the check is over.
    fn journal_may_hold(&self, key: &str) -> bool {
        let check = self.check();
        if !check.running && !check.unsure {
            return false;
        }
        let waited = self.keys.done.wait_while(check, |check| check.running && check.plain.is_none());
        let check = waited.unwrap_or_else(PoisonError::into_inner);
        if !check.running && !check.unsure {
            // It is over: the tree is asked once more, which may be condemned now.
            return true;
        }
        let hash = key_hash(key);
        if check.plain.as_ref().is_none_or(|plain| plain.binary_search(&hash).is_ok()) {
            return true;
        }
        drop(check);
        self.journal.packs_may_hold(key)
    }

    /// Unfinished documents after `after`, in order of acceptance.
    pub(crate) fn page(&self, after: Option<Seq>, limit: usize) -> Result<Vec<Entry>, ReadError> {
        let rows = self.rows(after, limit)?;
        let mut entries = Vec::with_capacity(rows.len());
        for row in rows {
            let (seq, segment) = (row.seq, row.at.segment);
            match self.journal.complete(row) {
                Err(_) if !self.journal.knows(segment) => entries.extend(self.entry(seq)?),
                read => entries.push(read?),
            }
        }
        Ok(entries)
    }

    /// The same without a look at their sales.
    pub(crate) fn rows(&self, after: Option<Seq>, limit: usize) -> Result<Vec<Row>, ReadError> {
        self.index.with(|index| index.page(after, limit)).map_err(index_failed)
    }

    /// Asks the index, and reads what it says from the journal. A segment may be retired between the two: by then the index
    /// has forgotten the document, or knows where it was taken along to.
    pub(crate) fn look_up(
        &self,
        ask: impl Fn(&Index) -> Result<Option<Row>, IndexError>,
    ) -> Result<Option<Entry>, ReadError> {
        loop {
            let Some(row) = self.index.with(&ask).map_err(index_failed)? else { return Ok(None) };
            let place = row.at;
            match self.journal.complete(row) {
                Err(error) if !self.journal.knows(place.segment) => {
                    let again = self.index.with(&ask).map_err(index_failed)?;
                    if again.is_some_and(|again| again.at == place) {
                        return Err(error);
                    }
                }
                read => return read.map(Some),
            }
        }
    }

    /// The first pending document that is not passed over and is no credit note whose sale is pending; those that are, are
    /// passed over in memory.
    pub(crate) fn first_pending_but(
        &self,
        passed_over: impl Fn(Seq) -> bool,
    ) -> Result<Option<Entry>, ReadError> {
        let mut from = 0;
        loop {
            let next = {
                let public = self.public();
                let tally = &public.tally;
                tally
                    .pending
                    .range(from..)
                    .copied()
                    .find(|seq| !passed_over(*seq) && !tally.waits_for_sale(*seq))
            };
            let Some(seq) = next else { return Ok(None) };
            match self.entry(seq)? {
                Some(entry) => return Ok(Some(entry)),
                // It was decided between the two looks.
                None => from = seq.saturating_add(1),
            }
        }
    }

    /// The pending document that is tied to a number.
    pub(crate) fn bound(&self) -> Option<Seq> {
        self.public().tally.bound.first().copied()
    }

    /// Those that KRA refused and nobody has settled, in order of acceptance.
    pub(crate) fn rejected(&self) -> Vec<Seq> {
        self.public().tally.rejected.iter().copied().collect()
    }

    /// The first parked documents, in order of acceptance.
    pub(crate) fn parked(&self, limit: usize) -> Vec<Seq> {
        self.public().tally.parked.iter().take(limit).copied().collect()
    }

    /// The first documents in KRA's books whose proof is not here, in order of acceptance.
    pub(crate) fn without_proof(&self, limit: usize) -> Vec<Seq> {
        self.public().tally.without_proof.iter().take(limit).copied().collect()
    }

    /// The first parked credit notes after `after`, in order of acceptance, whose sale is not itself set aside or refused.
    pub(crate) fn parked_notes(&self, after: Option<Seq>, limit: usize) -> Vec<Seq> {
        self.public().tally.parked_notes(after, limit)
    }

    /// A pending credit note whose sale is set aside or refused.
    pub(crate) fn stranded_note(&self) -> Option<Seq> {
        self.public().tally.stranded()
    }

    /// Whether it is a credit note whose sale KRA has not decided about.
    pub(crate) fn waits_for_sale(&self, document: Seq) -> bool {
        self.public().tally.waits_for_sale(document)
    }

    /// Whether this document is pending, and whether it is the first of them that does not wait for another.
    pub(crate) fn place(&self, document: Seq, aside: &[Seq]) -> Option<bool> {
        let public = self.public();
        let pending = &public.tally.pending;
        let goes = |seq: &&Seq| !aside.contains(*seq) && !public.tally.waits_for_sale(**seq);
        let first = || pending.iter().find(goes) == Some(&document);
        pending.contains(&document).then(first)
    }

    /// How many pending documents were accepted before this one.
    pub(crate) fn ahead_of(&self, document: Seq) -> usize {
        self.public().tally.pending.range(..document).count()
    }

    /// When the oldest pending document that is none of these was accepted.
    pub(crate) fn oldest_beside(&self, aside: &[Seq]) -> Option<Stamp> {
        let public = self.public();
        let tally = &public.tally;
        let counts = |seq: &&Seq| !aside.contains(*seq) && !tally.waits_for_sale(**seq);
        let first = tally.pending.iter().find(counts).copied()?;
        if let Some((_, stamp)) = public.oldest.filter(|(seq, _)| *seq == first) {
            return Some(stamp);
        }
        drop(public);
        self.entry(first).ok().flatten().map(|entry| entry.accepted)
    }

    pub(crate) fn series(&self) -> SeriesState {
        self.public().series.clone()
    }

    pub(crate) fn latest(&self, kind: Kind) -> Option<Located> {
        self.public().pins.get(&kind.code()).copied()
    }

    pub(crate) fn counts(&self) -> Counts {
        let public = self.public();
        public.tally.counts(public.documents_total, public.oldest.map(|(_, stamp)| stamp))
    }

    pub(crate) fn needed_segments(&self) -> Vec<u32> {
        self.public().tally.needed_segments()
    }

    /// Where a row of the shelf leads.
    pub(crate) fn shelf_place(&self, row: &[u8]) -> Result<Option<Located>, ReadError> {
        self.index.with(|index| index.shelf_place(row)).map_err(index_failed)
    }

    /// Up to `limit` rows of the shelf after this one.
    pub(crate) fn shelf_page(
        &self,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Located)>, ReadError> {
        self.index.with(|index| index.shelf_page(after, limit)).map_err(index_failed)
    }

    /// Whether a record that stands on the shelf is in this segment or before it.
    pub(crate) fn shelf_needs(&self, segment: u32) -> bool {
        self.public().tally.shelf.reach_back_to(segment)
    }

    /// Gives every record of a kind that stands on the shelf to `each`, in the order of the journal; what is damaged goes
    /// into the health and is left out. Records that are written meanwhile may be given or not.
    pub(crate) fn read_shelf(
        &self,
        kind: Kind,
        each: &mut dyn FnMut(Record),
    ) -> Result<Vec<Damage>, ReadError> {
        let mut damage = Vec::new();
        let mut places = self.shelf_places(kind)?;
        while let Some(at) = places.pop() {
            match self.journal.read(at) {
                Ok(record) => each(record),
                // Retired between the two looks: by now all that stood in it was taken along.
                Err(_) if !self.journal.knows(at.segment) => {
                    let newer = self.shelf_places(kind)?;
                    places.extend(newer.into_iter().filter(|place| place.segment > at.segment));
                    places.sort_unstable_by_key(|at| std::cmp::Reverse((at.segment, at.offset)));
                    places.dedup();
                }
                Err(ReadError::Damaged(found)) => {
                    self.note_damage(found.clone());
                    damage.push(found);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(damage)
    }

    /// Last first.
    fn shelf_places(&self, kind: Kind) -> Result<Vec<Located>, ReadError> {
        let mut places = self.index.with(|index| index.shelf_places(kind)).map_err(index_failed)?;
        places.reverse();
        Ok(places)
    }

    /// The oldest segment kept, and the one where the next start begins to read.
    pub(crate) fn kept(&self) -> (u32, u32) {
        self.public().kept
    }

    /// Whether a record that every start needs is in this segment or before it.
    pub(crate) fn pinned(&self, segment: u32) -> bool {
        self.public().pins.values().any(|at| at.segment <= segment)
    }

    /// A finished document whose sale is in this segment or before it.
    pub(crate) fn leaver(&self, key: &str, segment: u32) -> Result<Option<Leaver>, ReadError> {
        self.index.with(|index| index.leaver(key, segment.saturating_add(1))).map_err(index_failed)
    }

    pub(crate) fn health(&self) -> Health {
        let (segments, journal_bytes) = self.journal.size();
        let room = self.room();
        let index_trouble = self.index.trouble().map(|error| format!("the index failed: {error}"));
        let public = self.public();
        Health {
            last_sync_ok: public.failed.is_none(),
            last_sync_age: public.last_sync.elapsed(),
            failed: public.failed.clone().or(index_trouble),
            damage: public.damage.clone(),
            segments,
            journal_bytes,
            room,
            spare_ready: self.stock.spare_ready(),
            quarantined: public.quarantined,
        }
    }

    /// What can still be written, and what will have to be.
    pub(crate) fn room(&self) -> Room {
        Room {
            free: self.journal.free(),
            prepared: self.stock.prepared(),
            min_free: self.min_free,
            needed: self.public().tally.needed,
            reserve: self.stock.reserve(),
            reserve_missing: self.stock.reserve_missing(),
        }
    }

    pub(crate) fn set_failed(&self, why: &str) {
        self.public().failed.get_or_insert_with(|| why.to_owned());
    }

    pub(crate) fn watch_head(&self) -> watch::Receiver<(Seq, [u8; 32])> {
        self.head.subscribe()
    }

    /// Before anything is served: from now on unknown keys wait for the check.
    pub(crate) fn begin_check(&self, expected: TreeSum) {
        // It was opened just now; an index that is not there tells it at the first question.
        let _ = self.index.with(|index| {
            index.begin_walk(expected);
            Ok(())
        });
        self.check().running = true;
    }

    /// Walks `by_key`, on a thread of its own. False: it is not what the journal says, and the index is dead now.
    pub(crate) fn check_keys(&self, expected: u64) -> bool {
        if expected > FEW_KEYS {
            self.know_keys();
        }
        let mut unsure = false;
        let good = loop {
            if self.check().stop {
                unsure = true;
                break true;
            }
            let walked = self.index.with(|index| {
                let walked = index.walk_on(CHECK_STEP)?;
                if walked == Some(false) {
                    index.condemn("`by_key` is not what the journal says");
                }
                Ok(walked)
            });
            match walked {
                Ok(None) => {}
                Ok(Some(good)) => break good,
                // The committer opens it anew, and checks it then.
                Err(IndexError { disk_full: true, .. }) => break true,
                Err(_) => break false,
            }
        };
        let mut check = self.check();
        (check.running, check.unsure) = (false, unsure);
        if !unsure {
            check.plain = None;
        }
        drop(check);
        self.journal.forget_key_tables();
        self.keys.done.notify_all();
        good
    }

    /// Before a long check: from now on unknown keys are looked for in the journal, and new ones need not wait for its end.
    pub(crate) fn know_keys(&self) {
        let plain = self.journal.plain_keys(PLAIN_BYTES);
        self.check().plain = plain;
        self.keys.done.notify_all();
    }

    /// Ends the check and the reading through of closed segments.
    pub(crate) fn stop_check(&self) {
        self.check().stop = true;
        self.keys.done.notify_all();
    }

    /// Waits this long; true: the store is being closed.
    pub(crate) fn stopped_within(&self, pause: Duration) -> bool {
        let waited = self.keys.done.wait_timeout_while(self.check(), pause, |check| !check.stop);
        waited.unwrap_or_else(PoisonError::into_inner).0.stop
    }

    /// Damage that was found in a closed segment.
    pub(crate) fn note_damage(&self, damage: Damage) {
        let mut public = self.public();
        if !public.damage.contains(&damage) {
            tracing::error!(name: "journal_damaged", %damage, "the journal is damaged");
            public.damage.push(damage);
        }
    }

    #[cfg(test)]
    pub(crate) fn keys_are_checked(&self) -> bool {
        !self.check().running
    }

    fn check(&self) -> MutexGuard<'_, Check> {
        self.keys.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn public(&self) -> MutexGuard<'_, Public> {
        self.public.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The words for a reader.
fn index_failed(IndexError { what, .. }: IndexError) -> ReadError {
    ReadError::Index(what)
}
