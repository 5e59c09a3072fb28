//! Tells the service manager that the daemon works, for as long as store, drain, listeners and watch get on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info};

use crate::gateway::Progress;
use crate::store::Store;
use crate::systemd::{Mark, Notify, Watchdog, watchdog_interval};

/// A task that waits shows so often that it does.
const WAIT: Duration = Duration::from_secs(5);

/// Who watches over the long tasks.
pub(super) struct Attendance {
    watchdog: Watchdog,
    patience: Duration,
}

impl Attendance {
    /// The service manager says how patient it is (`WatchdogSec=`): each part may hang for twice as long. A slow disk gets
    /// more by a longer one.
    pub(super) fn begin() -> Self {
        let patience = watchdog_interval().map_or(Duration::MAX, |half| half * 4);
        Self { watchdog: Watchdog::default(), patience }
    }

    /// A part's pen.
    pub(super) fn watch(&mut self, name: &'static str) -> Mark {
        self.watchdog.watch(name, self.patience.saturating_add(WAIT), Instant::now())
    }

    /// Feeds the service manager's watchdog while everybody gets on; does nothing without one.
    pub(super) async fn run(mut self, progress: Arc<Progress>, store: Store) {
        let Some(half) = watchdog_interval() else { return std::future::pending().await };
        let mut ticks = interval(half / 2);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut said = Vec::new();
        loop {
            ticks.tick().await;
            let mut stuck = self.watchdog.stuck(Instant::now());
            if store.busy_for() > self.patience {
                stuck.push("store");
            }
            if progress.overdue() > self.patience {
                stuck.push("drain");
            }
            if stuck.is_empty() {
                Notify::Watchdog.send();
            }
            if stuck != said {
                match stuck.is_empty() {
                    true => info!(
                        name: "getting_on",
                        "every part of the gateway gets on again"
                    ),
                    false => error!(
                        name: "hanging",
                        parts = stuck.join(", "),
                        "parts of the gateway hang: the service manager will start it again; nothing that was answered is lost"
                    ),
                }
                said = stuck;
            }
        }
    }
}

/// The same task, which shows that it is being run while it waits.
pub(super) async fn attended<F: Future>(task: F, mark: Mark) -> F::Output {
    let mut ticks = interval(WAIT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::pin!(task);
    loop {
        tokio::select! {
            output = &mut task => return output,
            _ = ticks.tick() => mark.progress(),
        }
    }
}
