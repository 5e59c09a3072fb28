//! The committer: the one thread that writes. Groups what waits, writes and syncs it, applies it to the index, answers.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;

use crate::queue::{Seq, Status};
use crate::store::codec::{length_u32, length_u64};
use crate::store::effect::Effect;
use crate::store::entry::Entry;
use crate::store::error::{CommitError, ReadError};
use crate::store::fold::{Changes, Placed, after, subject};
use crate::store::group::{BLOCK, HEADER, Header, OVERHEAD, Sums, seal};
use crate::store::inbox::{Mail, Request};
use crate::store::index::IndexError;
use crate::store::journal::{Next, Writer};
use crate::store::keys::{Signer, base_bytes};
use crate::store::options::{Committed, Options};
use crate::store::record::{Kind, Located, NewRecord, encode_record, encoded_bound, sha256};
use crate::store::reindex::reopen_index;
use crate::store::shared::Shared;
use crate::store::shelf::shelved;
use crate::store::spares::give_up_reserve;
use crate::store::standing::{Base, Standing};

mod checkpoints;
mod considering;

pub(crate) use checkpoints::Pace;
use considering::Considered;

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
    /// The row of the shelf up to which what stands there was taken along from the oldest segment.
    pub(crate) reshelved: Option<Vec<u8>>,
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

/// What a record needs to be written.
#[derive(Default)]
pub(crate) struct Step {
    /// The number that its `Used` means.
    pub(crate) used: Option<u64>,
    /// Its document as the index has it, unless this group has touched it.
    pub(crate) known: Option<Entry>,
    /// Where its row of the shelf leads, likewise.
    pub(crate) shelved: Option<Located>,
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
                    tracing::error!(
                        name: "store_failed",
                        why,
                        "the store takes no more records; the daemon must be started again"
                    );
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
                self.push(&mut draft, record, Step { known: known.clone(), ..Step::default() });
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
                let waits = match considered {
                    Considered::Later => true,
                    Considered::Take(_) => draft.as_ref().is_some_and(|draft| !self.fits(draft, bytes)),
                    Considered::Known(_) | Considered::Refused(_) | Considered::Twin(_) => false,
                };
                if waits {
                    break;
                }
                let Some(request) = requests.pop_front() else { break };
                match considered {
                    Considered::Known(entry) => answer(request, Ok(vec![Committed::Known(*entry)])),
                    Considered::Refused(why) => answer(request, Err(why)),
                    Considered::Later => unreachable!("it waits for the group in hand"),
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
        let Step { used, known, shelved: place } = step;
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
        if let Some(row) = shelved(placed) {
            draft.changes.shelf.note(place, row);
        }
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
            tracing::warn!(name: "disk_full", "the disk is full: its reserve is given up for the index");
            if let Err(error) = give_up_reserve(self.writer.disk()) {
                tracing::warn!(%error, "the reserve could not be removed");
            }
        }
        let mended = reopen_index(&self.shared, (self.indexed, self.head.0), self.sums);
        mended.map_err(|IndexError { what, .. }| self.broken(format!("{failed}; opened anew: {what}")))?;
        tracing::warn!(name: "disk_full", %error, "the disk was full; the index is open again");
        Ok(())
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
