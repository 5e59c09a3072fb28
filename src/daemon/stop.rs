//! The last ten seconds: what is given how long, so that a stop ends in time whatever hangs.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::warn;

use crate::gateway::Progress;
use crate::gateway::ports::LedgerError;
use crate::store::Store;
use crate::store::api_log::ExchangeLog;

/// Up to then KRA's answers still reach the registers that wait for them.
const ANSWERS_OF_KRA: Duration = Duration::from_millis(2000);
/// Up to then registers and technicians take their last answers.
const ANSWERS: Duration = Duration::from_millis(3000);
/// Up to then the drain ends: its own patience with KRA, and a commit. A registration too: KRA gives the key in its one
/// answer only.
const OUTCOME: Duration = Duration::from_millis(8500);
/// Up to then the store is closed.
const STORE: Duration = Duration::from_millis(9200);
/// Up to then the log of exchanges with KRA is written.
const ROWS: Duration = Duration::from_millis(9500);

/// A stop, from its first moment on.
pub(super) struct Stop {
    begun: Instant,
}

impl Stop {
    pub(super) fn begin() -> Self {
        Self { begun: Instant::now() }
    }

    /// Registers and technicians first: what they were promised is answered while the drain still runs. A register whose
    /// sale KRA does not sign in time hears that it is taken and waits.
    pub(super) async fn answer(
        &self,
        stop: &watch::Sender<bool>,
        progress: &Progress,
        mut servers: JoinSet<()>,
    ) {
        let _ = stop.send(true);
        let all = async {
            let patience_over = sleep_until(self.begun + ANSWERS_OF_KRA);
            tokio::pin!(patience_over);
            loop {
                tokio::select! {
                    ended = servers.join_next() => if ended.is_none() { return },
                    () = &mut patience_over, if !patience_over.is_elapsed() => progress.close(),
                }
            }
        };
        if timeout_at(self.begun + ANSWERS, all).await.is_err() {
            warn!(name: "stop_cut_short", "some clients did not take their answers in time");
        }
    }

    /// What is on the line to KRA: an answer that still comes is recorded.
    pub(super) async fn end_requests(
        &self,
        drain: JoinHandle<Result<(), LedgerError>>,
        registrar: JoinHandle<()>,
    ) {
        let last_outcome = async {
            if !drain.is_finished() && timeout_at(self.begun + OUTCOME, drain).await.is_err() {
                warn!(
                    name: "stop_cut_short",
                    "a request to KRA is still on the line: its sale is looked up at the next start"
                );
            }
        };
        let last_registration = async {
            if !registrar.is_finished() && timeout_at(self.begun + OUTCOME, registrar).await.is_err() {
                warn!(
                    name: "stop_cut_short",
                    "the device's registration is still on the line: its answer may be lost"
                );
            }
        };
        tokio::join!(last_outcome, last_registration);
    }

    /// Closes the store. False: the disk does not answer. Everything that was acknowledged is on it; nobody may wait for it
    /// to close, and the store must not be dropped, which would.
    pub(super) async fn close(&self, store: Store, exchanges: Arc<ExchangeLog>) -> bool {
        let closed = timeout_at(self.begun + STORE, store.close()).await.is_ok();
        if !closed {
            warn!(
                name: "stop_cut_short",
                "the disk does not answer: the store is left as a power cut would leave it"
            );
        }
        let written = tokio::task::spawn_blocking(move || exchanges.close());
        if timeout_at(self.begun + ROWS, written).await.is_err() {
            warn!(
                name: "stop_cut_short",
                "the last exchanges with KRA could not be written to their log in time"
            );
        }
        closed
    }
}
