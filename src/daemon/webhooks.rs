//! The webhooks of the configuration, a task each.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::warn;

use super::wiring;
use crate::config::Settings;
use crate::gateway::ports::{Bookmarks, Event, Registry};
use crate::gateway::{Progress, Sending, Wanted};
use crate::pos::EventTold;
use crate::store::JournalLedger;
use crate::webhook::WebReceiver;

/// Starts those that are set. One that is not set is forgotten: set again later, it is told what happens from then on.
pub(super) fn start(
    settings: &Settings,
    (ledger, progress): (&Arc<JournalLedger>, &Arc<Progress>),
    stopping: &watch::Receiver<bool>,
    tasks: &mut JoinSet<()>,
) {
    let notify = &settings.notify;
    for (wanted, address) in [(Wanted::Sales, &notify.till_webhook), (Wanted::Alerts, &notify.alert_webhook)]
    {
        let log = Arc::clone(ledger);
        let Some(address) = address else {
            tasks.spawn(async move {
                if let Err(error) = log.drop_bookmark(wanted.name()).await {
                    warn!(webhook = wanted.name(), %error, "the place of a webhook that is no longer set stays");
                }
            });
            continue;
        };
        let (registry, portal_host) = (Arc::clone(ledger), settings.kra.portal.clone());
        let told = move |event: &Event| {
            let device = registry.device();
            EventTold { registration: device.registration(), portal_host: &portal_host, prefix: "" }
                .json(event)
        };
        let sending = Sending {
            log,
            receiver: WebReceiver::new(wiring::webhook(address)),
            wanted,
            progress: Arc::clone(progress),
            told: Box::new(told),
            dice: wiring::dice,
        };
        let mut stopping = stopping.clone();
        let stop = async move {
            // A sender that is gone means the same.
            let _ = stopping.wait_for(|stop| *stop).await;
        };
        tasks.spawn(sending.run(stop));
    }
}
