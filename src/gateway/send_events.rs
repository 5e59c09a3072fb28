//! Posts events to a receiver: in order, each at least once, over every restart, for as long as it takes.
//!
//! The log is the queue; all that is kept beside it is how far the receiver has been told. Nothing waits for this.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, error, info, warn};

use super::ports::{Bookmarks, Delivery, Event, EventLog, Happened, Posted, Receiver};
use super::progress::Progress;
use super::redelivery::{Afterwards, afterwards};
use crate::queue::{Dice, Seq};

/// Events of one page.
const PAGE: usize = 16;
/// How often at most the bookmark is written while events flow: a sync each would compete with the log's own.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// After news: how long more of it is gathered.
const GATHER: Duration = Duration::from_millis(50);
/// The pause after the log could not be read.
const UNREADABLE: Duration = Duration::from_secs(30);

/// Which events a receiver wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Alerts raised and cleared.
    Alerts,
    /// Sales that are no longer pending.
    Sales,
}

impl Wanted {
    /// The name of its bookmark, and of its setting without `_webhook`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Alerts => "alert",
            Self::Sales => "till",
        }
    }

    fn wants(self, event: &Event) -> bool {
        match self {
            Self::Alerts => matches!(event.what, Happened::Alert(_)),
            Self::Sales => matches!(event.what, Happened::Sale(_)),
        }
    }
}

/// Posts the events that one receiver wants.
pub struct Sending<L, R> {
    /// Where events come from.
    pub log: Arc<L>,
    /// Where they go.
    pub receiver: R,
    /// Which of them.
    pub wanted: Wanted,
    /// Where it is seen when they are not taken.
    pub progress: Arc<Progress>,
    /// Writes an event as JSON.
    pub told: Box<dyn Fn(&Event) -> String + Send + Sync>,
    /// Throws the dice.
    pub dice: fn() -> Dice,
}

/// The bookmark, in memory and on the disk.
struct Place {
    read_to: Seq,
    saved: Seq,
    saved_at: Instant,
    /// Something was delivered that the disk does not know of.
    due: bool,
}

impl<L: EventLog + Bookmarks, R: Receiver> Sending<L, R> {
    /// Posts until `stop` resolves. What is being posted then is posted again after the next start.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) {
        let mut place = self.beginning().await;
        tokio::select! {
            () = self.send_all(&mut place) => {}
            () = stop => {}
        }
        if place.due {
            self.save(&mut place).await;
        }
    }

    /// Where the receiver was left; one that is new is told what happens from now on.
    async fn beginning(&self) -> Place {
        let name = self.wanted.name();
        let last = self.log.last_record();
        let (read_to, known) = match self.log.bookmark(name).await {
            Ok(Some(read_to)) => (read_to.min(last), true),
            Ok(None) => (last, false),
            Err(error) => {
                error!(
                    name: "webhook_place_lost",
                    webhook = name,
                    %error,
                    "how far the webhook was told is lost: it is told what happens from now on"
                );
                (last, false)
            }
        };
        let mut place = Place { read_to, saved: read_to, saved_at: Instant::now(), due: false };
        if !known {
            self.save(&mut place).await;
        }
        info!(name: "webhook_goes_on", webhook = name, after = read_to, "events are posted to the webhook");
        place
    }

    async fn send_all(&self, place: &mut Place) {
        loop {
            let page = match self.log.events(place.read_to, PAGE).await {
                Ok(page) => page,
                Err(error) => {
                    error!(webhook = self.wanted.name(), %error, "the log cannot be read");
                    tokio::time::sleep(UNREADABLE).await;
                    continue;
                }
            };
            for event in page.events.iter().filter(|event| self.wanted.wants(event)) {
                self.deliver(event).await;
                place.read_to = event.id;
                place.due = true;
                if place.saved_at.elapsed() >= SAVE_EVERY {
                    self.save(place).await;
                }
            }
            place.read_to = page.read_to;
            if place.read_to >= self.log.last_record() {
                let save_at = place.saved_at + SAVE_EVERY;
                tokio::select! {
                    () = self.log.grown_beyond(place.read_to) => tokio::time::sleep(GATHER).await,
                    () = tokio::time::sleep_until(save_at), if place.due => self.save(place).await,
                }
            }
        }
    }

    /// Posts one event until the receiver has it, or is spared it.
    async fn deliver(&self, event: &Event) {
        let name = self.wanted.name();
        let delivery = Delivery {
            id: event.id,
            key: format!("{}-{}", self.log.log_name(), event.id),
            body: (self.told)(event),
        };
        let mut failures = 0;
        loop {
            let posted = self.receiver.post(delivery.clone()).await;
            match afterwards(&posted, failures, (self.dice)()) {
                Afterwards::Next => {
                    if failures > 0 {
                        self.progress.webhook_waits(name, None);
                        info!(
                            name: "webhook_goes_on",
                            webhook = name,
                            event = event.id,
                            tries = failures + 1,
                            "the webhook takes events again"
                        );
                    }
                    return;
                }
                Afterwards::Skip => {
                    self.progress.webhook_waits(name, None);
                    error!(
                        name: "webhook_event_left_out",
                        webhook = name,
                        event = event.id,
                        why = in_words(&posted),
                        "the webhook refuses an event again and again: it is left out; it stays in /api/events/"
                    );
                    return;
                }
                Afterwards::Again(pause) => {
                    let why = in_words(&posted);
                    self.progress.webhook_waits(name, Some((event.id, why.clone())));
                    // One line for an outage, however long it lasts.
                    if failures == 0 {
                        warn!(
                            name: "webhook_waits",
                            webhook = name,
                            event = event.id,
                            why,
                            "the webhook does not take an event: it waits"
                        );
                    } else {
                        debug!(
                            webhook = name,
                            event = event.id,
                            why,
                            failures,
                            "the webhook does not take the event yet"
                        );
                    }
                    failures = failures.saturating_add(1);
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    async fn save(&self, place: &mut Place) {
        let name = self.wanted.name();
        place.saved_at = Instant::now();
        match self.log.set_bookmark(name, place.read_to).await {
            Ok(()) => (place.saved, place.due) = (place.read_to, false),
            Err(error) => {
                warn!(
                    name: "webhook_place_lost",
                    webhook = name,
                    %error,
                    after = place.saved,
                    "how far the webhook was told could not be written: some events may be posted twice"
                );
            }
        }
    }
}

fn in_words(posted: &Posted) -> String {
    match posted {
        Posted::Answered(status, _) => format!("it answered HTTP {status}"),
        Posted::Failed(why) => why.clone(),
    }
}
