//! From the snapshot to what somebody must act on.

use serde::{Deserialize, Serialize};

use super::Snapshot;

/// A condition that somebody must act on.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Alert {
    /// A stable word.
    pub code: String,
    /// What it is, and what to do.
    pub message: String,
}

/// The active alerts, those first that stop the drain.
pub fn alerts(snapshot: &Snapshot) -> Vec<Alert> {
    let mut active = Vec::new();
    let mut raise = |code: &str, message: String| active.push(Alert { code: code.to_owned(), message });
    if !snapshot.store.works {
        raise(
            "store_failed",
            "the disk refused a write: check the disk, then restart the gateway".to_owned(),
        );
    }
    if let Some(why) = &snapshot.kra.series_stopped {
        raise(
            "series_stopped",
            format!(
                "the number series is stopped: {why}. Sales are kept and nothing is sent until a person has looked"
            ),
        );
    }
    if snapshot.device.status != "active" {
        let reason = snapshot.device.reason.as_deref().unwrap_or("run `etims-gateway device init`");
        raise("device", format!("the device is {}: {reason}", snapshot.device.status));
    }
    if let Some(why) = &snapshot.kra.held {
        raise("held", format!("KRA answers, and nothing is sent: {why}. Sales are kept"));
    }
    if !snapshot.kra.up {
        raise("kra_down", "KRA cannot be reached: sales are kept and sent when it is back".to_owned());
    }
    if snapshot.queue.rejected > 0 {
        let n = snapshot.queue.rejected;
        raise("rejected", format!("KRA refused {n} sale(s) for good: see `etims-gateway queue list`"));
    }
    if snapshot.queue.parked > 0 {
        let n = snapshot.queue.parked;
        raise("parked", format!("{n} document(s) are set aside: see `etims-gateway queue list`"));
    }
    if snapshot.queue.oldest_age_seconds > snapshot.offline_warn_seconds {
        let hours = snapshot.queue.oldest_age_seconds / 3600;
        raise("offline", format!("the oldest unsent sale has waited for {hours} hours"));
    }
    if snapshot.store.free_bytes < snapshot.store.min_free_bytes {
        raise("disk_low", "the disk is nearly full: new sales are refused until there is room".to_owned());
    }
    for remark in &snapshot.store.remarks {
        raise("store", remark.clone());
    }
    active
}
