//! The committer: the one thread that writes. Groups what waits, writes and syncs it, applies it to the index, answers.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use tokio::sync::oneshot;

use crate::queue::{Seq, Status};
use crate::store::checkpoint::flush_and_sync;
use crate::store::codec::{length_u32, length_u64, length_usize};
use crate::store::effect::Effect;
use crate::store::entry::Entry;
use crate::store::error::{CommitError, ReadError};
use crate::store::fold::{Changes, Placed, after, subject};
use crate::store::group::{BLOCK, HEADER, Header, OVERHEAD, Sums, seal};
use crate::store::inbox::{Condition, Mail, Request};
use crate::store::index::IndexError;
use crate::store::journal::{Next, Writer};
use crate::store::keys::{Signer, base_bytes, checkpoint_bytes};
use crate::store::options::{Committed, Options};
use crate::store::record::{Kind, Located, NewRecord, encode_record, encoded_bound, sha256};
use crate::store::reindex::reopen_index;
use crate::store::room::needed_by;
use crate::store::rules::{check_form, judge_step, may_print};
use crate::store::shared::Shared;
use crate::store::spares::give_up_reserve;
use crate::store::standing::{Base, Checkpoint, Standing};

/// More waits for the next group, so that nobody waits long for one sync.
const GROUP_SOFT_LIMIT: usize = 1 << 20;
/// Room kept for a segment's BASE.
const BASE_BOUND: usize = 2048;
/// So many records of a salvage go into one group.
const SALVAGED: usize = 256;

/// Everything that changes with each group; the committer's own.
pub(crate) struct Committer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) writer: Writer,
    pub(crate) options: Options,
    pub(crate) epoch: u64,
    /// The next group's number.
    pub(crate) number: u64,
    /// The last record and its hash.
    pub(crate) head: (Seq, [u8; 32]),
    pub(crate) sums: Sums,
    pub(crate) standing: Standing,
    /// The record up to which the index is on the disk, by the latest checkpoint.
    pub(crate) indexed: Seq,
    /// Written at a failure, so that the next start goes on in a new segment.
    pub(crate) failed_marker: PathBuf,
    pub(crate) pace: Pace,
    /// The segments that the latest checkpoint of this run needs for unfinished documents.
    pub(crate) checkpointed: Option<Vec<u32>>,
    /// Where the next start begins to read: by the newest BASE, which is what it finds first.
    pub(crate) read_from: u32,
}

/// When the next checkpoint is due.
pub(crate) struct Pace {
    last_commit: Instant,
    last_checkpoint: Instant,
    bytes: u64,
    /// Something was committed since the last checkpoint.
    stale: bool,
    /// Somebody waits for a checkpoint.
    asked: bool,
    /// A flush is on its way: what was applied when it began.
    flushing: Option<Flushing>,
}

struct Flushing {
    thread: Option<JoinHandle<()>>,
    indexed: Seq,
    sums: Sums,
    replay_segment: u32,
    /// The segments that unfinished documents needed when the flush began.
    needed: Vec<u32>,
    /// Which opening of the index was flushed.
    opening: u64,
}

impl Pace {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self { last_commit: now, last_checkpoint: now, bytes: 0, stale: false, asked: false, flushing: None }
    }

    /// A checkpoint as soon as may be.
    pub(crate) fn ask(&mut self) {
        (self.stale, self.asked) = (true, true);
    }

    /// When a flush is to begin; `None`: not before something happens.
    fn due(&self, options: &Options) -> Option<Instant> {
        if !self.stale || self.flushing.is_some() {
            return None;
        }
        if self.asked || self.bytes >= options.checkpoint_bytes {
            return Some(self.last_commit);
        }
        let quiet = self.last_commit.checked_add(options.checkpoint_quiet);
        let busy = self.last_checkpoint.checked_add(options.checkpoint_every);
        quiet.into_iter().chain(busy).min()
    }
}

/// A group in the making.
pub(crate) struct Draft {
    buffer: Vec<u8>,
    first_seq: Seq,
    pub(crate) head: (Seq, [u8; 32]),
    standing: Standing,
    pub(crate) changes: Changes,
    taken: Vec<(Request, Vec<Committed>)>,
    /// Twins of documents in this group, to be answered with what becomes of those.
    twins: Vec<(Request, String)>,
    /// Waiters of these documents are told.
    decided: Vec<Seq>,
}

/// What to do with a request.
enum Considered {
    Known(Entry),
    Refused(CommitError),
    /// What was found out for each record.
    Take(Vec<Step>),
    Twin(String),
}

/// What a record needs to be written.
#[derive(Default)]
pub(crate) struct Step {
    /// The number that its `Used` means.
    pub(crate) used: Option<u64>,
    /// Its document as the index has it, unless this group has touched it.
    pub(crate) known: Option<Entry>,
}

/// Nothing more is written in this run, for this reason.
pub(crate) struct Broken(String);

impl Committer {
    /// Runs until the store is closed, abandoned or broken.
    pub(crate) fn run(mut self) {
        loop {
            let mail = self.shared.inbox.wait(self.pace.due(&self.options));
            if mail.abandon {
                return self.stop(&CommitError::Stopping, None);
            }
            match self.serve(mail) {
                Ok(None) => {}
                Ok(Some(closed)) => return self.stop(&CommitError::Stopping, Some(closed)),
                Err(Broken(why)) => {
                    tracing::error!(why, "the store takes no more records; the daemon must be started again");
                    // Best effort: the disk may not take this either.
                    if let Err(error) = std::fs::write(&self.failed_marker, &why) {
                        tracing::warn!(%error, "the failure could not be noted on the disk");
                    }
                    return self.stop(&CommitError::Failed(why), None);
                }
            }
        }
    }

    fn stop(mut self, why: &CommitError, closed: Option<oneshot::Sender<()>>) {
        self.shared.inbox.turn_away(why);
        if let Some(thread) = self.pace.flushing.take().and_then(|flushing| flushing.thread) {
            // A panic there has been printed.
            let _ = thread.join();
        }
        // The spares' thread and the journal's file end before anybody is told.
        drop(self.writer);
        drop(self.shared);
        if let Some(closed) = closed {
            let _ = closed.send(());
        }
    }

    fn serve(&mut self, mut mail: Mail) -> Result<Option<oneshot::Sender<()>>, Broken> {
        if mail.close.is_some() {
            self.shared.inbox.shut(CommitError::Stopping);
        }
        let served = self.commit_all(&mut mail.requests);
        if let Err(Broken(why)) = &served {
            for request in mail.requests {
                answer(request, Err(CommitError::Failed(why.clone())));
            }
        }
        served?;
        if let Some(flushed) = mail.flushed {
            self.flushed(flushed)?;
        }
        if let Some(errand) = mail.errand {
            self.run_errand(errand)?;
        }
        if let Some(closed) = mail.close {
            self.close()?;
            return Ok(Some(closed));
        }
        if self.pace.due(&self.options).is_some_and(|due| due <= Instant::now()) {
            self.begin_flush();
        }
        Ok(None)
    }

    /// Shows where the store stands, before anything is committed.
    pub(crate) fn show(&self) {
        self.shared.publish(self.head, (&self.standing, self.read_from), &Changes::default());
    }

    /// Commits one record of the store's own, at the start.
    pub(crate) fn commit_own(&mut self, record: &NewRecord) -> Result<(), String> {
        let Some(mut draft) = self.begin(encoded_bound(record)).map_err(|Broken(why)| why)? else {
            return Err("the disk is full, and the reserve is used up".to_owned());
        };
        self.push(&mut draft, record, Step::default());
        self.commit(draft).map_err(|Broken(why)| why)
    }

    /// Commits the records of a salvage, each with the document that it changes as the index has it; no two of one document.
    pub(crate) fn commit_those(&mut self, records: &[(NewRecord, Option<Entry>)]) -> Result<(), String> {
        for group in records.chunks(SALVAGED) {
            let bytes = group.iter().map(|(record, _)| encoded_bound(record)).sum();
            let Some(mut draft) = self.begin(bytes).map_err(|Broken(why)| why)? else {
                return Err("the disk is full".to_owned());
            };
            for (record, known) in group {
                self.push(&mut draft, record, Step { used: None, known: known.clone() });
            }
            self.commit(draft).map_err(|Broken(why)| why)?;
        }
        Ok(())
    }

    /// Writes a last checkpoint, and says where the chain ends.
    pub(crate) fn finish(mut self) -> Result<(Seq, [u8; 32]), String> {
        self.pace.ask();
        self.close().map_err(|Broken(why)| why)?;
        Ok(self.head)
    }

    /// Groups and commits all requests, taking each from the line as it is dealt with.
    fn commit_all(&mut self, requests: &mut VecDeque<Request>) -> Result<(), Broken> {
        while !requests.is_empty() {
            let mut draft: Option<Draft> = None;
            while let Some(request) = requests.front() {
                let bytes = request.records.iter().map(encoded_bound).fold(0, usize::saturating_add);
                let considered = match self.consider(draft.as_ref(), request, bytes) {
                    Ok(considered) => considered,
                    Err(ReadError::Index(what)) => {
                        let error = self.shared.index.trouble().unwrap_or_else(|| IndexError::new(what));
                        self.mend_index(&error)?;
                        continue;
                    }
                    Err(ReadError::Stopping) => Considered::Refused(CommitError::Stopping),
                    Err(error) => Considered::Refused(CommitError::Unreadable(error)),
                };
                if matches!(considered, Considered::Take(_))
                    && draft.as_ref().is_some_and(|draft| !self.fits(draft, bytes))
                {
                    break;
                }
                let Some(request) = requests.pop_front() else { break };
                match considered {
                    Considered::Known(entry) => answer(request, Ok(vec![Committed::Known(entry)])),
                    Considered::Refused(why) => answer(request, Err(why)),
                    Considered::Twin(key) => {
                        if let Some(draft) = &mut draft {
                            draft.twins.push((request, key));
                        }
                    }
                    Considered::Take(steps) => {
                        let mut open = match draft.take() {
                            Some(open) => open,
                            None => match self.begin(bytes) {
                                Ok(Some(open)) => open,
                                Ok(None) => {
                                    answer(request, Err(CommitError::DiskFull));
                                    continue;
                                }
                                Err(broken) => {
                                    answer(request, Err(CommitError::Failed(broken.0.clone())));
                                    return Err(broken);
                                }
                            },
                        };
                        let committed = self.push_all(&mut open, &request, steps);
                        open.taken.push((request, committed));
                        draft = Some(open);
                    }
                }
            }
            if let Some(draft) = draft {
                self.commit(draft)?;
            }
        }
        Ok(())
    }

    /// Whether so many bytes more go into the same group.
    pub(crate) fn fits(&self, draft: &Draft, bytes: usize) -> bool {
        let size = draft.buffer.len() + bytes + 4;
        size <= GROUP_SOFT_LIMIT && size.next_multiple_of(BLOCK) <= self.writer.room()
    }

    /// Checks a request against the store's rules, the index, and the group in hand.
    fn consider(
        &self,
        draft: Option<&Draft>,
        request: &Request,
        bytes: usize,
    ) -> Result<Considered, ReadError> {
        if let Err(why) = check_form(&request.records) {
            return Ok(Considered::Refused(why));
        }
        if let Some(limit) = self.too_large(bytes) {
            return Ok(Considered::Refused(CommitError::TooLarge { bytes, limit }));
        }
        let changes = draft.map(|draft| &draft.changes);
        if let Some(decided) = self.consider_document(changes, request, bytes)? {
            return Ok(decided);
        }
        for Condition { document, status } in request.conditions.iter().copied() {
            let found = self.entry(changes, document)?.map(|entry| entry.status);
            if found != Some(status) {
                return Ok(Considered::Refused(CommitError::Changed { document, expected: status, found }));
            }
        }
        let mut steps = Vec::with_capacity(request.records.len());
        // What earlier records of this request make of documents: whether it is finished, and its number.
        let mut touched: Vec<(Seq, bool, Option<u64>)> = Vec::new();
        for record in &request.records {
            let Some(document) = subject(&record.effect) else {
                steps.push(Step::default());
                continue;
            };
            if let Effect::Printed { key, again, .. } = &record.effect {
                let known = self.finished(changes, key)?;
                if let Err(what) = may_print(known.as_ref(), document, *again) {
                    return Ok(Considered::Refused(CommitError::NoSuchDocument { document, what }));
                }
                steps.push(Step { used: None, known });
                continue;
            }
            let earlier = touched.iter().rev().find(|(seq, ..)| *seq == document).copied();
            let mut known = None;
            let (finished, bound) = if let Some((_, finished, bound)) = earlier {
                (finished, bound)
            } else {
                known = self.entry(changes, document)?;
                let standing = known
                    .as_ref()
                    .map(|entry| (entry.status.is_finished(), entry.bound.map(|bound| bound.number)));
                standing.unwrap_or((true, None))
            };
            match judge_step(&record.effect, finished, bound) {
                Err(what) => return Ok(Considered::Refused(CommitError::NoSuchDocument { document, what })),
                Ok((finished, bound, used)) => {
                    touched.push((document, finished, bound));
                    steps.push(Step { used, known });
                }
            }
        }
        Ok(Considered::Take(steps))
    }

    /// A document that is known, or has a twin in the group in hand, or for which there is no room; `None`: go on. This
    /// comes before anything else: a repeat is a repeat whatever has changed since.
    fn consider_document(
        &self,
        changes: Option<&Changes>,
        request: &Request,
        bytes: usize,
    ) -> Result<Option<Considered>, ReadError> {
        let document = request.records.iter().find_map(|record| match &record.effect {
            Effect::Document { key, queued, .. } => Some((key, *queued)),
            _ => None,
        });
        let Some((key, queued)) = document else { return Ok(None) };
        if changes.is_some_and(|changes| changes.by_key(key).is_some()) {
            return Ok(Some(Considered::Twin(key.clone())));
        }
        if let Some(entry) = self.shared.find(key)? {
            return Ok(Some(Considered::Known(entry)));
        }
        let waiting = self.sums.queue.count + changes.map_or(0, Changes::newly_queued);
        if queued && waiting >= self.options.max_documents {
            return Ok(Some(Considered::Refused(CommitError::QueueFull { waiting })));
        }
        let room = self.shared.room();
        let more = changes.map_or(0, Changes::newly_needed).saturating_add(needed_by(length_u64(bytes)));
        Ok((!room.takes(more)).then_some(Considered::Refused(CommitError::DiskLow { room })))
    }

    /// A document that may be finished, by its key.
    fn finished(&self, changes: Option<&Changes>, key: &str) -> Result<Option<Entry>, ReadError> {
        match changes.and_then(|changes| changes.by_key(key)) {
            Some(entry) => Ok(Some(entry.clone())),
            None => self.shared.find(key),
        }
    }

    fn entry(&self, changes: Option<&Changes>, document: Seq) -> Result<Option<Entry>, ReadError> {
        match changes.and_then(|changes| changes.entry(document)) {
            Some(entry) => Ok(Some(entry.clone())),
            None => self.shared.entry(document),
        }
    }

    /// The most bytes that a group takes, if these are more.
    pub(crate) fn too_large(&self, bytes: usize) -> Option<usize> {
        let limit = length_usize(self.options.segment_size) - OVERHEAD - BASE_BOUND;
        (bytes > limit).then_some(limit)
    }

    /// Begins a group, in a new segment if the next `bytes` do not fit into this one. `None`: the disk is full.
    pub(crate) fn begin(&mut self, bytes: usize) -> Result<Option<Draft>, Broken> {
        let size = (OVERHEAD + bytes).next_multiple_of(BLOCK);
        let next =
            self.writer.make_way(size).map_err(|error| self.broken(format!("a new segment: {error}")))?;
        if next == Next::Full {
            return Ok(None);
        }
        let mut draft = Draft {
            buffer: Vec::with_capacity(size + BLOCK),
            first_seq: self.head.0 + 1,
            head: self.head,
            standing: self.standing.clone(),
            changes: Changes::default(),
            taken: Vec::new(),
            twins: Vec::new(),
            decided: Vec::new(),
        };
        draft.buffer.resize(HEADER, 0);
        if let Next::Begins(declared) = next {
            let base = Base {
                segment: self.writer.position().0,
                declared,
                public_key: self.shared.signer.public_key(),
                standing: self.standing.clone(),
            };
            let (signer, id) = (&self.shared.signer, self.shared.journal.id());
            let record = signed_base(&self.options, signer, &id, draft.head, &base);
            self.push(&mut draft, &record, Step::default());
            self.read_from = self.standing.replay_segment;
        }
        Ok(Some(draft))
    }

    fn push_all(&self, draft: &mut Draft, request: &Request, steps: Vec<Step>) -> Vec<Committed> {
        let committed = request.records.iter().zip(steps).map(|(record, step)| {
            let (seq, hash, at) = self.push(draft, record, step);
            Committed::New { seq, hash, at }
        });
        committed.collect()
    }

    /// Adds a record to the group: numbers it, chains it, and works out what it does to its document.
    pub(crate) fn push(&self, draft: &mut Draft, record: &NewRecord, step: Step) -> (Seq, [u8; 32], Located) {
        let Step { used, known } = step;
        let start = draft.buffer.len();
        let seq = draft.head.0 + 1;
        let length = encode_record(&mut draft.buffer, seq, &draft.head.1, record, used);
        let bytes = &draft.buffer[start..];
        let hash = sha256(bytes);
        let (segment, group_at) = self.writer.position();
        let at = Located {
            segment,
            offset: u32::try_from(group_at + length_u64(start)).expect("a segment is smaller than 4 GiB"),
            length: length_u32(length),
            crc: crc32c::crc32c(bytes),
        };
        draft.head = (seq, hash);
        draft.standing.apply(record.kind, &record.effect, used, at);
        let placed = Placed { seq, kind: record.kind, stamp: record.stamp, at, effect: &record.effect };
        let known =
            subject(&record.effect).and_then(|document| draft.changes.entry(document).cloned()).or(known);
        if let Some(entry) = after(known.as_ref(), placed) {
            if matches!(record.effect, Effect::Moved { .. }) && entry.status != Status::Pending {
                draft.decided.push(entry.seq);
            }
            draft.changes.note(known, entry);
        }
        (seq, hash, at)
    }

    /// Writes, syncs, applies, publishes, answers; in this order.
    pub(crate) fn commit(&mut self, mut draft: Draft) -> Result<(), Broken> {
        let count = draft.head.0 + 1 - draft.first_seq;
        if count == 0 {
            return Ok(());
        }
        let sums = draft.changes.sums_after(self.sums);
        let header = Header {
            journal: self.shared.journal.id(),
            epoch: self.epoch,
            number: self.number,
            first_seq: draft.first_seq,
            count: u32::try_from(count).expect("a group is smaller than a segment"),
            length: 0,
            previous: self.head.1,
            sums,
        };
        seal(&mut draft.buffer, header);
        let begun = Instant::now();
        let appended = self.writer.append(&draft.buffer);
        self.shared.timing.sync.took(begun.elapsed());
        self.shared.timing.records.add(count);
        if let Err(error) = appended {
            let why = format!("writing segment {} of the journal failed: {error}", self.writer.position().0);
            let broken = self.broken(why.clone());
            let refused = || CommitError::Failed(why.clone());
            draft.taken.into_iter().for_each(|(request, _)| answer(request, Err(refused())));
            draft.twins.into_iter().for_each(|(request, _)| answer(request, Err(refused())));
            return Err(broken);
        }
        self.number += 1;
        self.head = draft.head;
        self.sums = sums;
        self.standing = draft.standing;
        self.pace.bytes += length_u64(draft.buffer.len());
        self.pace.last_commit = Instant::now();
        self.pace.stale = true;

        // The journal has it: trouble with the index changes no answer, only what is taken from now on.
        let (segment, end) = self.writer.position();
        self.shared.journal.extend(segment, draft.first_seq, end);
        let applied = self.shared.index.with(|index| index.apply(&draft.changes, self.head.0));
        let applied = applied.or_else(|error| self.mend_index(&error));
        self.shared.publish(self.head, (&self.standing, self.read_from), &draft.changes);
        draft.decided.iter().for_each(|document| self.shared.finished.tell(*document));
        for (request, committed) in draft.taken {
            answer(request, Ok(committed));
        }
        for (request, key) in draft.twins {
            let known = draft.changes.by_key(&key).cloned();
            let known = known.expect("a twin's document is in the same group");
            answer(request, Ok(vec![Committed::Known(known)]));
        }
        applied
    }

    /// Shows the failure before anybody is told of it, and takes nothing more.
    fn broken(&self, why: String) -> Broken {
        self.shared.set_failed(&why);
        self.shared.inbox.shut(CommitError::Failed(why.clone()));
        Broken(why)
    }

    /// The index failed. Where only room was lacking, the reserve is given up and the index opened anew and brought up to
    /// the journal's end; its old handle is not asked for anything any more.
    fn mend_index(&self, error: &IndexError) -> Result<(), Broken> {
        let failed = format!("the index failed: {error}");
        if !error.disk_full {
            return Err(self.broken(failed));
        }
        if self.writer.spares().take_reserve() {
            tracing::warn!("the disk is full: its reserve is given up for the index");
            if let Err(error) = give_up_reserve(self.writer.disk()) {
                tracing::warn!(%error, "the reserve could not be removed");
            }
        }
        let mended = reopen_index(&self.shared, (self.indexed, self.head.0), self.sums);
        mended.map_err(|IndexError { what, .. }| self.broken(format!("{failed}; opened anew: {what}")))?;
        tracing::warn!(%error, "the disk was full; the index is open again");
        Ok(())
    }

    /// Lets a plain thread flush and sync the index, so that nobody waits for it.
    fn begin_flush(&mut self) {
        let shared = Arc::clone(&self.shared);
        let flush = move || {
            let flushed = shared.index.with(flush_and_sync);
            shared.inbox.post(|mail| mail.flushed = Some(flushed));
        };
        self.pace.last_checkpoint = Instant::now();
        self.pace.bytes = 0;
        self.pace.asked = false;
        match std::thread::Builder::new().name("store-checkpoint".into()).spawn(flush) {
            Ok(thread) => self.pace.flushing = Some(self.flushing(Some(thread))),
            Err(error) => {
                tracing::warn!(%error, "no thread for a checkpoint; tried again later");
                self.pace.last_commit = Instant::now();
            }
        }
    }

    fn flushing(&self, thread: Option<JoinHandle<()>>) -> Flushing {
        Flushing {
            thread,
            indexed: self.head.0,
            sums: self.sums,
            replay_segment: self.writer.position().0,
            needed: self.shared.needed_segments(),
            opening: self.shared.index.openings(),
        }
    }

    /// The index is on the disk as it was when the flush began: says so in the journal.
    fn flushed(&mut self, flushed: Result<(), IndexError>) -> Result<(), Broken> {
        let Some(flushing) = self.pace.flushing.take() else { return Ok(()) };
        if let Some(thread) = flushing.thread {
            // It has posted its result: this does not wait.
            let _ = thread.join();
        }
        let anew = self.shared.index.openings() != flushing.opening;
        if let Err(error) = flushed.or_else(|error| if anew { Ok(()) } else { Err(error) }) {
            // Not on the disk: the next flush says what is.
            return self.mend_index(&error);
        }
        if anew {
            // The next flush is of the index that is open now.
            return Ok(());
        }
        let quiet = self.head.0 == flushing.indexed;
        let flushing = Flushing { thread: None, ..flushing };
        self.write_checkpoint(&flushing, false)?;
        self.checkpointed = Some(flushing.needed);
        self.pace.stale = !quiet;
        Ok(())
    }

    /// Finishes: a last flush, a last checkpoint.
    fn close(&mut self) -> Result<(), Broken> {
        if let Some(thread) = self.pace.flushing.take().and_then(|flushing| flushing.thread) {
            let _ = thread.join();
        }
        if self.pace.stale {
            let flush = || self.shared.index.with(flush_and_sync);
            flush().or_else(|error| {
                self.mend_index(&error)
                    .and_then(|()| flush().map_err(|error| self.broken(format!("the index failed: {error}"))))
            })?;
            self.write_checkpoint(&self.flushing(None), true)?;
        }
        Ok(())
    }

    fn write_checkpoint(&mut self, flushing: &Flushing, closing: bool) -> Result<(), Broken> {
        let body = Checkpoint {
            indexed: flushing.indexed,
            sums: flushing.sums,
            replay_segment: flushing.replay_segment,
            closing,
            unfinished: self.shared.needed_segments(),
            standing: self.standing.clone(),
        }
        .encode();
        let mut record = own_record(&self.options, Kind::Checkpoint, body);
        record.signature = Some([0; 64]);
        // Without room it is left out: the next start has more to do.
        let Some(mut draft) = self.begin(encoded_bound(&record))? else { return Ok(()) };
        let signed =
            checkpoint_bytes(&self.shared.journal.id(), draft.head.0 + 1, &draft.head.1, &record.body);
        record.signature = Some(self.shared.signer.sign(&signed));
        self.push(&mut draft, &record, Step::default());
        draft.standing.checkpointed(flushing.replay_segment);
        self.indexed = flushing.indexed;
        self.commit(draft)
    }
}

/// A record that the store itself writes.
pub(crate) fn own_record(options: &Options, kind: Kind, body: Vec<u8>) -> NewRecord {
    let stamp = (options.clock)();
    NewRecord { kind, stamp, origin: String::new(), effect: Effect::None, body, signature: None }
}

/// The BASE of a segment that begins after this head; signed over the chain.
pub(crate) fn signed_base(
    options: &Options,
    signer: &Signer,
    journal: &[u8; 16],
    head: (Seq, [u8; 32]),
    base: &Base,
) -> NewRecord {
    let mut record = own_record(options, Kind::Base, base.encode());
    record.signature = Some(signer.sign(&base_bytes(journal, head.0 + 1, &head.1, &record.body)));
    record
}

fn answer(request: Request, result: Result<Vec<Committed>, CommitError>) {
    // The caller may have gone; what is committed stays committed.
    let _ = request.answer.send(result);
}
