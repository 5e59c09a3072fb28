//! The daemon's long tasks that have no other home.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{debug, warn};

use crate::gateway::ports::{AlertLog, Authority, Clock, ClockLog, EventLog, Ledger, Registry, StoreHealth};
use crate::gateway::{Alarms, ClockWatch, LastReceipt, Progress, Watch};
use crate::kra::LineNews;
use crate::status::{DiskSnapshot, Snapshot};
use crate::systemd::{Mark, Notify};

/// How often the store is looked at, and the service manager is told how things stand.
const LOOK: Duration = Duration::from_millis(500);

/// How often the disk's wear is looked at.
const DISK_LOOK: Duration = Duration::from_secs(600);

/// Passes the kernel's news of link, address and route on to the drain.
pub(super) async fn watch_line(progress: Arc<Progress>) {
    let mut news = match LineNews::open() {
        Ok(news) => news,
        Err(error) => {
            warn!(
                name: "no_line_news",
                %error,
                "the kernel gives no news of the network: KRA's return is found by probes alone"
            );
            return std::future::pending().await;
        }
    };
    loop {
        match news.changed().await {
            Ok(()) => {
                debug!("the network changed");
                progress.line_returned();
            }
            Err(error) => {
                warn!(name: "no_line_news", %error, "reading the kernel's news of the network failed");
                tokio::time::sleep(Duration::from_secs(5)).await;
            }
        }
    }
}

/// Tells the service manager how things stand, and ends with the reason once the store has failed.
pub(super) async fn watch_store<L, A, C>(watch: Arc<Watch<L, A, C>>, mark: Mark) -> String
where
    L: AlertLog + ClockLog + EventLog + Ledger + Registry + StoreHealth,
    A: Authority,
    C: Clock,
{
    let mut said = String::new();
    let (mut disk, mut looked) = (DiskSnapshot::default(), None);
    let clock = Arc::clone(&watch.clock);
    let mut clock = ClockWatch::open(Arc::clone(&watch.ledger), clock, watch.instruments.clone()).await;
    let mut alarms = Alarms::open(Arc::clone(&watch.ledger)).await;
    // Asks KRA once, so that nobody is told that it is away before anybody looked.
    let mut snapshot = watch.fresh_snapshot().await;
    loop {
        mark.progress();
        if !snapshot.store.works {
            return snapshot.store.remarks.join("; ");
        }
        let line = status_line(&snapshot, watch.progress.last_receipt());
        if line != said {
            Notify::Status(&line).send();
            said = line;
        }
        if looked.is_none_or(|at: Instant| at.elapsed() > DISK_LOOK) {
            looked = Some(Instant::now());
            disk = watch.disk().await;
        }
        snapshot.disk = Some(disk.clone());
        alarms.look(&snapshot, watch.clock.moment()).await;
        clock.look().await;
        tokio::time::sleep(LOOK).await;
        snapshot = watch.snapshot();
    }
}

/// One line for `systemctl status`.
fn status_line(snapshot: &Snapshot, receipt: Option<LastReceipt>) -> String {
    let line = if snapshot.kra.up { "KRA up" } else { "KRA down" };
    let queue = &snapshot.queue;
    let mut text = format!("{line}; device {}; {} waiting", snapshot.device.status, queue.waiting);
    if queue.in_doubt > 0 {
        text.push_str(&format!(", {} in doubt", queue.in_doubt));
    }
    if queue.parked + queue.rejected > 0 {
        text.push_str(&format!(", {} need a person", queue.parked + queue.rejected));
    }
    if let Some(LastReceipt { receipt_no, issued_at }) = receipt {
        text.push_str(&format!("; last receipt {receipt_no} of {}", issued_at.rfc3339()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fiscal::KraDateTime;

    #[test]
    fn the_line_says_what_a_technician_asks_first() {
        let mut snapshot = Snapshot::default();
        snapshot.kra.up = true;
        "active".clone_into(&mut snapshot.device.status);
        assert_eq!(status_line(&snapshot, None), "KRA up; device active; 0 waiting");
        snapshot.kra.up = false;
        (snapshot.queue.waiting, snapshot.queue.in_doubt, snapshot.queue.parked) = (7, 1, 2);
        let receipt =
            LastReceipt { receipt_no: 57, issued_at: KraDateTime::from_unix(1_764_093_301).unwrap() };
        assert_eq!(
            status_line(&snapshot, Some(receipt)),
            "KRA down; device active; 7 waiting, 1 in doubt, 2 need a person; last receipt 57 of \
             2025-11-25T20:55:01+03:00"
        );
    }
}
