//! What waits for the committer: a bounded line between the async world and one thread.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::queue::{Seq, Status};
use crate::store::error::CommitError;
use crate::store::index::IndexError;
use crate::store::options::Committed;
use crate::store::record::NewRecord;
use crate::store::retiring::Errand;

/// What must hold when the commit's turn comes, or nothing of it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// An unfinished document.
    pub document: Seq,
    /// Where it must stand.
    pub status: Status,
}

/// One commit that waits.
pub(crate) struct Request {
    pub(crate) records: Vec<NewRecord>,
    pub(crate) conditions: Vec<Condition>,
    pub(crate) answer: oneshot::Sender<Result<Vec<Committed>, CommitError>>,
    /// Its place in the line, free again when it is answered.
    _place: OwnedSemaphorePermit,
}

/// What the committer is woken for.
#[derive(Default)]
pub(crate) struct Mail {
    pub(crate) requests: VecDeque<Request>,
    /// The index was flushed and synced, or not.
    pub(crate) flushed: Option<Result<(), IndexError>>,
    /// Something that the upkeep wants done.
    pub(crate) errand: Option<Errand>,
    /// Finish what waits, write a checkpoint, stop; then tell.
    pub(crate) close: Option<oneshot::Sender<()>>,
    /// Stop at once.
    pub(crate) abandon: bool,
}

impl Mail {
    fn is_empty(&self) -> bool {
        self.requests.is_empty()
            && self.flushed.is_none()
            && self.errand.is_none()
            && self.close.is_none()
            && !self.abandon
    }
}

/// The line.
pub(crate) struct Inbox {
    state: Mutex<State>,
    arrived: Condvar,
    places: Arc<Semaphore>,
}

#[derive(Default)]
struct State {
    mail: Mail,
    /// Why nothing more is taken.
    shut: Option<CommitError>,
    /// The committer has stopped: nobody reads mail any more.
    gone: bool,
    /// Since when there is something to do: mail that was not taken yet, or was not dealt with.
    busy: Option<Instant>,
}

impl Inbox {
    pub(crate) fn new(places: usize) -> Self {
        let places = places.clamp(1, Semaphore::MAX_PERMITS);
        Self { state: Mutex::default(), arrived: Condvar::new(), places: Arc::new(Semaphore::new(places)) }
    }

    /// Hands a commit in and waits for its answer. Dropping the future does not take the commit back.
    pub(crate) async fn commit(
        &self,
        records: Vec<NewRecord>,
        conditions: Vec<Condition>,
    ) -> Result<Vec<Committed>, CommitError> {
        let Ok(place) = Arc::clone(&self.places).acquire_owned().await else {
            return Err(CommitError::Stopping);
        };
        let (answer, answered) = oneshot::channel();
        {
            let mut state = self.state();
            if let Some(why) = &state.shut {
                return Err(why.clone());
            }
            state.mail.requests.push_back(Request { records, conditions, answer, _place: place });
            state.busy.get_or_insert_with(Instant::now);
        }
        self.arrived.notify_one();
        answered.await.unwrap_or_else(|_| Err(CommitError::Failed("the committer stopped".into())))
    }

    /// Waits for mail, at the longest until `until`; empty mail means that the time has come. Sleeps at once: to look out
    /// for the next commit by yielding gives the processor away for a whole tick where anything else wants it.
    pub(crate) fn wait(&self, until: Option<Instant>) -> Mail {
        let mut state = self.state();
        // The mail before this one was dealt with.
        state.busy = None;
        while state.mail.is_empty() {
            let Some(until) = until else {
                state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
            else {
                break;
            };
            state = self.arrived.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.busy = Some(Instant::now());
        std::mem::take(&mut state.mail)
    }

    /// How long the committer has been at one thing, or has left mail lying; nothing while there is nothing to do, and once
    /// it has stopped.
    pub(crate) fn busy_for(&self) -> Duration {
        let state = self.state();
        state.busy.filter(|_| !state.gone).map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Puts something into the committer's mail; once it has stopped, that is dropped.
    pub(crate) fn post(&self, change: impl FnOnce(&mut Mail)) {
        let mut state = self.state();
        if state.gone {
            change(&mut Mail::default());
        } else {
            change(&mut state.mail);
            state.busy.get_or_insert_with(Instant::now);
        }
        drop(state);
        self.arrived.notify_one();
    }

    /// Takes nothing more, for this reason; the first reason stays.
    pub(crate) fn shut(&self, why: CommitError) {
        self.state().shut.get_or_insert(why);
    }

    /// The committer stops: takes nothing more and answers all who still wait with the reason.
    pub(crate) fn turn_away(&self, why: &CommitError) {
        let mail = {
            let mut state = self.state();
            state.shut.get_or_insert_with(|| why.clone());
            state.gone = true;
            std::mem::take(&mut state.mail)
        };
        for request in mail.requests {
            // Its caller may have gone.
            let _ = request.answer.send(Err(why.clone()));
        }
        if let Some(close) = mail.close {
            let _ = close.send(());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
