//! Tells each lasting condition once when it begins and once when it is over: in the journal, and as an event in the log,
//! from which it is known again after a restart.

use std::sync::Arc;

use tracing::{error, info, warn};

use super::ports::{AlertLog, EventLog, Happened};
use crate::queue::{Moment, Seq, Status};
use crate::status::{AlertBook, AlertChange, AlertKey, Snapshot, alerts_one_by_one};

/// Events that are looked through at once for a sale that went all the way.
const PAGE: usize = 16;

/// Raises and clears alerts.
#[derive(Debug)]
pub struct Alarms<L> {
    log: Arc<L>,
    book: AlertBook,
    /// A sale has gone all the way to KRA since the start.
    proven: bool,
    looked_to: Seq,
}

impl<L: AlertLog + EventLog> Alarms<L> {
    /// At a start: what stood before is not told again.
    pub async fn open(log: Arc<L>) -> Self {
        let standing = match log.standing_alerts().await {
            Ok(standing) => standing,
            Err(error) => {
                warn!(%error, "the alerts that stood before cannot be read: what still holds is told again");
                Vec::new()
            }
        };
        let looked_to = log.last_record();
        Self { log, book: AlertBook::new(standing), proven: false, looked_to }
    }

    /// Looks at how things stand, and tells what is new.
    pub async fn look(&mut self, snapshot: &Snapshot, now: Moment) {
        if !self.proven && self.book.waits_for_proof() {
            self.look_for_proof().await;
        }
        let active = alerts_one_by_one(snapshot, self.book.standing());
        for change in self.book.changes(&active, self.proven, now) {
            tell(&change);
            let standing: Vec<AlertKey> = self.book.standing().cloned().collect();
            if let Err(error) = self.log.record_alert(&change, &standing).await {
                // The journal has its line; what still holds is told again after a start.
                warn!(alert = change.alert.code, %error, "an alert could not be recorded");
            }
        }
    }

    async fn look_for_proof(&mut self) {
        if self.looked_to >= self.log.last_record() {
            return;
        }
        let Ok(page) = self.log.events(self.looked_to, PAGE).await else { return };
        self.looked_to = page.read_to;
        self.proven = page
            .events
            .iter()
            .any(|event| matches!(&event.what, Happened::Sale(sale) if sale.status == Status::Signed));
    }
}

fn tell(change: &AlertChange) {
    let AlertChange { raised, alert } = change;
    let about = alert.about;
    match (raised, alert.code.as_str()) {
        (false, _) => info!(name: "alert_cleared", alert = alert.code, about, "alert cleared"),
        // The line comes back by itself; everything else needs a person.
        (true, "kra_down") => warn!(name: "alert_raised", alert = alert.code, "{}", alert.message),
        (true, _) => error!(name: "alert_raised", alert = alert.code, about, "{}", alert.message),
    }
}
