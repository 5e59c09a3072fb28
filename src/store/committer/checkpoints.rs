//! Checkpoints: when one is due, and what it takes to write one.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use super::{Broken, Committer, Step, own_record};
use crate::queue::Seq;
use crate::store::checkpoint::flush_and_sync;
use crate::store::group::Sums;
use crate::store::index::IndexError;
use crate::store::keys::checkpoint_bytes;
use crate::store::options::Options;
use crate::store::record::{Kind, encoded_bound};
use crate::store::standing::Checkpoint;

/// When the next checkpoint is due.
pub(crate) struct Pace {
    pub(super) last_commit: Instant,
    last_checkpoint: Instant,
    pub(super) bytes: u64,
    /// Something was committed since the last checkpoint.
    pub(super) stale: bool,
    /// Somebody waits for a checkpoint.
    asked: bool,
    /// A flush is on its way: what was applied when it began.
    pub(super) flushing: Option<Flushing>,
}

pub(super) struct Flushing {
    pub(super) thread: Option<JoinHandle<()>>,
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
    pub(super) fn due(&self, options: &Options) -> Option<Instant> {
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

impl Committer {
    /// Lets a plain thread flush and sync the index, so that nobody waits for it.
    pub(super) fn begin_flush(&mut self) {
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
    pub(super) fn flushed(&mut self, flushed: Result<(), IndexError>) -> Result<(), Broken> {
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
    pub(super) fn close(&mut self) -> Result<(), Broken> {
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
