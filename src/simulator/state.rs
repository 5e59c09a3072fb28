//! What all connections share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::faults::Faults;
use super::functions::Function;
use super::office::{Identity, Office};
use super::request_log::RequestLog;
use super::settings::Settings;

/// The simulator behind its sockets. No lock is held over an await.
#[derive(Debug)]
pub(super) struct State {
    office: Mutex<Office>,
    faults: Mutex<Faults>,
    log: Mutex<RequestLog>,
    saving: Mutex<Saves>,
    /// Whether the line to KRA is meant to be up.
    pub(super) line: watch::Sender<bool>,
    /// Whether KRA's listener is open.
    pub(super) listening: watch::Sender<bool>,
    /// How many requests have come to an end of some kind.
    pub(super) ended: watch::Sender<u64>,
}

/// Saving requests in flight, now and at most, of all devices.
#[derive(Debug, Default)]
struct Saves {
    now: Vec<Option<(String, String)>>,
    most: usize,
}

impl State {
    pub(super) fn new(settings: Settings) -> State {
        State {
            office: Mutex::new(Office::new(settings)),
            faults: Mutex::default(),
            log: Mutex::default(),
            saving: Mutex::default(),
            line: watch::Sender::new(true),
            listening: watch::Sender::new(false),
            ended: watch::Sender::new(0),
        }
    }

    pub(super) fn office(&self) -> MutexGuard<'_, Office> {
        self.office.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn log(&self) -> MutexGuard<'_, RequestLog> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The greatest number of saving requests ever in flight at once.
    pub(super) fn most_saving(&self) -> usize {
        self.saving.lock().unwrap_or_else(PoisonError::into_inner).most
    }

    /// Counts a request; if it saves, it is in flight until the guard goes.
    pub(super) fn arrive(
        self: &Arc<Self>,
        function: Option<Function>,
        caller: &Identity,
    ) -> Option<InFlight> {
        let name = function.map_or("unknown", Function::name);
        let branch = caller.tin.clone().zip(caller.bhf_id.clone());
        let mut office = self.office();
        *office.requests.entry(name).or_default() += 1;
        if let Some((tin, bhf_id)) = &branch
            && let Some(books) = office.books.branch(tin, bhf_id)
        {
            *books.requests.entry(name).or_default() += 1;
        }
        if !function.is_some_and(Function::saves) {
            return None;
        }
        let mut saves = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        saves.now.push(branch.clone());
        saves.most = saves.most.max(saves.now.len());
        let of_branch = saves.now.iter().filter(|other| **other == branch).count();
        if let Some((tin, bhf_id)) = &branch
            && let Some(books) = office.books.branch(tin, bhf_id)
        {
            books.most_saving = books.most_saving.max(of_branch);
        }
        Some(InFlight { state: Arc::clone(self), branch })
    }

    /// A request has come to its end; whoever waits for that is told.
    pub(super) fn end(&self, n: u64, outcome: String) {
        self.log().end(n, outcome);
        self.ended.send_modify(|ended| *ended += 1);
    }
}

/// A saving request in flight.
#[derive(Debug)]
pub(super) struct InFlight {
    state: Arc<State>,
    branch: Option<(String, String)>,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut saves = self.state.saving.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = saves.now.iter().position(|branch| *branch == self.branch) {
            saves.now.swap_remove(place);
        }
    }
}
