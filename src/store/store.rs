//! The store as the rest of the daemon uses it.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{oneshot, watch};

use crate::gateway::ports::StoreTiming;
use crate::queue::Seq;
use crate::store::committer::Committer;
use crate::store::effect::SeriesState;
use crate::store::entry::Entry;
use crate::store::error::{CommitError, OpenError, ReadError};
use crate::store::finished::Finished;
use crate::store::forward::Cursor;
use crate::store::inbox::Condition;
use crate::store::keys::Signer;
use crate::store::options::{Committed, Counts, Damage, Health, OpenReport, Options, Progress};
use crate::store::record::{Kind, Located, NewRecord, Record, Stamp};
use crate::store::recovery;
use crate::store::scrub::scrub;
use crate::store::shared::Shared;
use crate::store::standing::Genesis;
use crate::store::upkeep::Upkeep;

/// A handle to the open store; clones are the same store. Dropping the last one without [`close`](Store::close) stops it
/// at once: nothing acknowledged is lost, the next start has more to do.
#[derive(Clone)]
pub struct Store {
    handle: Arc<Handle>,
}

struct Handle {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.stop_check();
        self.shared.inbox.post(|mail| mail.abandon = true);
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A panic there has been printed.
            let _ = thread.join();
        }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Store").field("head", &self.head().0).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store in `dir`, repairing what a power cut or a crash left: finds the journal's end, brings the index up
    /// to it or makes it anew. Blocks, seconds in the worst case.
    pub fn open(
        dir: &Path,
        options: Options,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(Self, OpenReport), OpenError> {
        let (committer, report) = recovery::open(dir, options, progress)?;
        Self::start(committer, report, dir)
    }

    /// Starts the threads over what was opened.
    pub(crate) fn start(
        committer: Committer,
        report: OpenReport,
        dir: &Path,
    ) -> Result<(Self, OpenReport), OpenError> {
        let shared = Arc::clone(&committer.shared);
        let expected = committer.sums.keys;
        let handle = Arc::new(Handle { shared: Arc::clone(&shared), threads: Mutex::default() });
        let no_thread = |source| OpenError::Io { step: "starting a thread", path: dir.to_owned(), source };
        // An index made from the journal just now needs no check.
        let unchecked = report.rebuilt.is_none();
        if unchecked {
            shared.begin_check(expected);
        }
        let marker = recovery::marker_path(dir);
        let pause = committer.options.scrub_pause;
        let check = move || {
            if unchecked && !shared.check_keys(expected.count) {
                recovery::distrust_index(&marker);
                shared.set_failed("the index is not what the journal says; the next start makes it anew");
                shared.inbox.shut(CommitError::Failed("the index must be made anew".into()));
            }
            scrub(&shared, pause);
        };
        handle.keep(std::thread::Builder::new().name("store-check".into()).spawn(check).map_err(no_thread)?);
        let upkeep = Upkeep::new(Arc::clone(&handle.shared), committer.options.clone());
        let keep = move || upkeep.run();
        handle.keep(std::thread::Builder::new().name("store-upkeep".into()).spawn(keep).map_err(no_thread)?);
        let run = move || committer.run();
        handle
            .keep(std::thread::Builder::new().name("store-committer".into()).spawn(run).map_err(no_thread)?);
        Ok((Self { handle }, report))
    }

    /// Writes the records in one group, all or none, in order, and returns once they are synced to the disk and visible to
    /// readers: one result for each, in order. At most one may be a document; if its key is known, nothing is written and
    /// [`Committed::Known`] is the only result (a concurrent twin waits for the first one).
    ///
    /// Dropping the future does not take the commit back.
    pub async fn commit(&self, records: Vec<NewRecord>) -> Result<Vec<Committed>, CommitError> {
        self.commit_if(records, Vec::new()).await
    }

    /// The same, if all conditions hold when its turn comes; [`CommitError::Changed`] otherwise. A document whose key is
    /// known is [`Committed::Known`] before any condition is looked at.
    pub async fn commit_if(
        &self,
        records: Vec<NewRecord>,
        conditions: Vec<Condition>,
    ) -> Result<Vec<Committed>, CommitError> {
        let begun = std::time::Instant::now();
        let committed = self.shared().inbox.commit(records, conditions).await;
        if matches!(committed.as_deref(), Ok([Committed::New { .. }, ..])) {
            self.shared().timing.commit.took(begun.elapsed());
        }
        committed
    }

    /// How long commits took since the start.
    pub fn timing(&self) -> StoreTiming {
        self.shared().timing.now()
    }

    /// A document by the register's own number, finished ones too. Blocks.
    pub fn find(&self, key: &str) -> Result<Option<Entry>, ReadError> {
        self.shared().find(key)
    }

    /// An unfinished document. Blocks.
    pub fn entry(&self, seq: Seq) -> Result<Option<Entry>, ReadError> {
        self.shared().entry(seq)
    }

    /// One record of the journal, its checksum checked. Blocks.
    pub fn read(&self, at: Located) -> Result<Record, ReadError> {
        self.shared().journal.read(at)
    }

    /// Up to `limit` unfinished documents after `after`, in order of acceptance. Blocks.
    pub fn unfinished(&self, after: Option<Seq>, limit: usize) -> Result<Vec<Entry>, ReadError> {
        self.shared().page(after, limit)
    }

    /// The first pending document that is not passed over and waits for no sale of its own, in order of acceptance; those that are cost a look in memory each.
    /// Blocks.
    pub fn first_pending_but(&self, passed_over: impl Fn(Seq) -> bool) -> Result<Option<Entry>, ReadError> {
        self.shared().first_pending_but(passed_over)
    }

    /// Up to `limit` records before `before` (from the newest, if `None`), newest first. Blocks, and reads the segments
    /// backwards until it has found enough.
    pub fn records_before(
        &self,
        before: Option<Seq>,
        kind: Option<Kind>,
        limit: usize,
    ) -> Result<Vec<Record>, ReadError> {
        self.shared().journal.before(before, kind, limit)
    }

    /// The next records after `cursor`, oldest first: those of `kinds` (`None`: of all kinds), at most `most`; moves the
    /// cursor on. One call reads about 1 MiB of the journal at most, so a page may come back with less, or empty, though
    /// there is more: all is read once [`Cursor::read_to`] is [`Store::head`]. What is older than [`Store::first_seq`]
    /// was retired and is passed over. Blocks.
    ///
    /// # Errors
    /// The cursor stands before what cannot be read; [`Store::skip_damage`] moves it on.
    pub fn read_on(
        &self,
        cursor: &mut Cursor,
        kinds: Option<&[Kind]>,
        most: usize,
    ) -> Result<Vec<Record>, ReadError> {
        self.shared().journal.read_on(cursor, kinds, most)
    }

    /// After [`Store::read_on`] met damage: moves the cursor to the next group of records that may be whole; false: there
    /// is none. What is passed over lies between the cursor's old and new [`Cursor::read_to`]. Blocks.
    ///
    /// # Errors
    /// The disk says no.
    pub fn skip_damage(&self, cursor: &mut Cursor) -> Result<bool, ReadError> {
        self.shared().journal.skip_group(cursor)
    }

    /// All records after `after` (from the oldest, if `None`), oldest first, at most `limit`. Blocks as long as it takes.
    ///
    /// # Errors
    /// Some of it cannot be read.
    pub fn records_after(
        &self,
        after: Option<Seq>,
        kind: Option<Kind>,
        limit: usize,
    ) -> Result<Vec<Record>, ReadError> {
        let head = self.head().0;
        let mut cursor = Cursor::after(after.unwrap_or(0));
        let kinds = kind.map(|kind| [kind]);
        let mut found = Vec::new();
        while cursor.read_to() < head && found.len() < limit {
            let kinds = kinds.as_ref().map(<[Kind; 1]>::as_slice);
            found.append(&mut self.read_on(&mut cursor, kinds, limit - found.len())?);
        }
        Ok(found)
    }

    /// The record with this running number, whatever its document has come to; `None`: it was retired, or is not there
    /// yet. Blocks.
    pub fn record(&self, seq: Seq) -> Result<Option<Record>, ReadError> {
        self.shared().journal.record(seq)
    }

    /// The oldest record that is kept.
    pub fn first_seq(&self) -> Seq {
        self.shared().journal.first_seq()
    }

    /// Gives every ITEM (or CODES) record that is the newest of its key to `each`, in no promised order; what is damaged is
    /// told, goes into [`Store::health`], and is left out. Blocks: one walk of the shelf, and each record read.
    ///
    /// # Errors
    /// The index failed, or the disk says no.
    pub fn read_shelf(&self, kind: Kind, each: &mut dyn FnMut(Record)) -> Result<Vec<Damage>, ReadError> {
        self.shared().read_shelf(kind, each)
    }

    /// The pending document that is tied to a number, if one is.
    pub fn bound(&self) -> Option<Seq> {
        self.shared().bound()
    }

    /// The documents that KRA refused and nobody has settled, in order of acceptance. From memory.
    pub fn rejected(&self) -> Vec<Seq> {
        self.shared().rejected()
    }

    /// The first parked documents, in order of acceptance.
    pub fn parked(&self, limit: usize) -> Vec<Seq> {
        self.shared().parked(limit)
    }

    /// The first parked credit notes after `after`, in order of acceptance, whose sale is not itself set aside or refused.
    pub fn parked_notes(&self, after: Option<Seq>, limit: usize) -> Vec<Seq> {
        self.shared().parked_notes(after, limit)
    }

    /// A pending credit note whose sale is set aside or refused. From memory.
    pub fn stranded_note(&self) -> Option<Seq> {
        self.shared().stranded_note()
    }

    /// Whether it is a pending credit note whose sale is pending too. From memory.
    pub fn waits_for_sale(&self, document: Seq) -> bool {
        self.shared().waits_for_sale(document)
    }

    /// The first documents in KRA's books whose proof is not here, in order of acceptance.
    pub fn without_proof(&self, limit: usize) -> Vec<Seq> {
        self.shared().without_proof(limit)
    }

    /// Whether this document is pending (`Some`), and the first of those that are not `aside` and do not wait for a sale of
    /// their own (`true`).
    pub fn place(&self, document: Seq, aside: &[Seq]) -> Option<bool> {
        self.shared().place(document, aside)
    }

    /// How many pending documents were accepted before this one. Counts them one by one.
    pub fn ahead_of(&self, document: Seq) -> usize {
        self.shared().ahead_of(document)
    }

    /// When the oldest pending document that is none of these was accepted. Reads the journal at most for one header.
    pub fn oldest_beside(&self, aside: &[Seq]) -> Option<Stamp> {
        self.shared().oldest_beside(aside)
    }

    /// Where the number series stands.
    pub fn series(&self) -> SeriesState {
        self.shared().series()
    }

    /// The latest GENESIS, INIT, REGISTRATION, CHECKPOINT or RETIRE, of ADMIN the latest with
    /// [`Effect::Hardware`](crate::store::Effect::Hardware), and of EVENT the latest with
    /// [`Effect::Alerts`](crate::store::Effect::Alerts); others are not kept at hand.
    pub fn latest(&self, kind: Kind) -> Option<Located> {
        self.shared().latest(kind)
    }

    /// How many documents stand where, as of the last commit.
    pub fn counts(&self) -> Counts {
        self.shared().counts()
    }

    /// How long it has been at one write, sync or piece of its own work; nothing while it has nothing to do.
    pub fn busy_for(&self) -> std::time::Duration {
        self.shared().inbox.busy_for()
    }

    /// How the store is.
    pub fn health(&self) -> Health {
        self.shared().health()
    }

    /// What the store was when it was made.
    pub fn genesis(&self) -> &Genesis {
        &self.shared().genesis
    }

    /// The key that signs.
    pub fn public_key(&self) -> [u8; 32] {
        self.shared().signer.public_key()
    }

    /// The journal's random id.
    pub fn journal_id(&self) -> [u8; 16] {
        self.shared().journal.id()
    }

    /// The last record, and its hash.
    pub fn head(&self) -> (Seq, [u8; 32]) {
        *self.watch_head().borrow()
    }

    /// Changes with every commit: for those who follow the journal.
    pub fn watch_head(&self) -> watch::Receiver<(Seq, [u8; 32])> {
        self.shared().watch_head()
    }

    /// Signs, in the caller's own task.
    pub fn signer(&self) -> Arc<Signer> {
        Arc::clone(&self.shared().signer)
    }

    /// Tells when a document is no longer pending.
    pub fn finished(&self) -> Finished {
        self.shared().finished.clone()
    }

    /// Commits what waits, writes a checkpoint and stops. Later commits are refused; the store's files are free once the
    /// last handle is dropped.
    pub async fn close(self) {
        self.shared().stop_check();
        let (tell, closed) = oneshot::channel();
        self.shared().inbox.post(|mail| mail.close = Some(tell));
        // An error: the committer had stopped already.
        let _ = closed.await;
    }

    /// Housekeeping that a test does itself, step by step.
    #[cfg(test)]
    pub(crate) fn upkeep(&self, options: &Options) -> Upkeep {
        Upkeep::new(Arc::clone(&self.handle.shared), options.clone())
    }

    /// Whether the check of the keys has come to its end.
    #[cfg(test)]
    pub(crate) fn keys_are_checked(&self) -> bool {
        self.shared().keys_are_checked()
    }

    /// As if the check of the keys had only begun.
    #[cfg(test)]
    pub(crate) fn begin_check_of_keys(&self) {
        self.shared().begin_check(crate::store::group::TreeSum::default());
        self.shared().know_keys();
    }

    /// The check comes to its end and finds what is missing.
    #[cfg(test)]
    pub(crate) fn end_check_of_keys(&self) {
        self.shared().check_keys(0);
    }

    /// The store is being closed before the check has come to its end.
    #[cfg(test)]
    pub(crate) fn stop_check_of_keys(&self) {
        self.shared().stop_check();
        self.shared().check_keys(0);
    }

    /// Finds a document, and `meanwhile` happens after the index was asked and before the journal is.
    #[cfg(test)]
    pub(crate) fn find_while(&self, key: &str, meanwhile: impl Fn()) -> Result<Option<Entry>, ReadError> {
        self.shared().look_up(|index| {
            let found = index.find(key);
            meanwhile();
            found
        })
    }

    /// The index loses a key.
    #[cfg(test)]
    pub(crate) fn forget_key(&self, key: &str) {
        let lost = self.shared().index.with(|index| {
            index.lose(key);
            Ok(())
        });
        lost.unwrap();
    }

    /// The index loses a row of the shelf.
    #[cfg(test)]
    pub(crate) fn forget_shelved(&self, row: &[u8]) {
        let lost = self.shared().index.with(|index| {
            index.lose_shelved(row);
            Ok(())
        });
        lost.unwrap();
    }

    /// Reads all closed segments through; what is damaged.
    #[cfg(test)]
    pub(crate) fn scrub_once(&self) -> Vec<u32> {
        let journal = &self.shared().journal;
        journal.closed().into_iter().filter(|segment| journal.check(*segment).is_err()).collect()
    }

    /// The index meets a full disk, as far as anybody can see.
    #[cfg(test)]
    pub(crate) fn fill_disk_under_index(&self) {
        let filled = self.shared().index.with(|index| {
            index.meet_full_disk();
            Ok(())
        });
        filled.unwrap();
    }

    fn shared(&self) -> &Shared {
        &self.handle.shared
    }
}

impl Handle {
    fn keep(&self, thread: JoinHandle<()>) {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
    }
}
