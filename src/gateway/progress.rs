//! What the long tasks let the rest of the gateway see of themselves, and how the drain is called.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::fiscal::{KraDateTime, Proof};
use crate::queue::drain::{Denied, Drain, View};
use crate::queue::{Line, Moment, Seq};
use crate::status::{FastRegister, WaitingWebhook};

/// The drain at this moment, for answers, status and logs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// A fresh sale would be sent at once.
    pub flows: bool,
    /// KRA was there when last asked.
    pub line_up: bool,
    /// Why nothing is sent though KRA answers, in words.
    pub held: Option<String>,
    /// It is the device, or its credentials, that KRA refuses.
    pub held_device: bool,
    /// Why the series stands still, in words.
    pub stopped: Option<String>,
    /// Those that wait for another document, and do not count as offline.
    pub aside: Vec<Seq>,
    /// Seconds until the document in doubt is asked about again.
    pub next_check: Option<u64>,
    /// Sales that KRA called accepted and that its books do not show.
    pub denied: Vec<Denied>,
    /// Wall clock of the last answer of KRA, milliseconds since 1970: shown, never counted with.
    pub last_contact_ms: Option<i64>,
    /// When that was.
    pub contact_at: Option<Instant>,
}

/// The one place where the drain and those who wait for it meet.
#[derive(Debug)]
pub struct Progress {
    sight: watch::Sender<Sight>,
    nudge: Notify,
    retry: Notify,
    line: Notify,
    line_for_registering: Notify,
    lists: Notify,
    rejoin: AtomicBool,
    closing: watch::Sender<bool>,
    turn: Mutex<Turn>,
    last_receipt: Mutex<Option<LastReceipt>>,
    sent: Mutex<Option<(Seq, String)>>,
    webhooks: Mutex<BTreeMap<&'static str, Waiting>>,
    fast_registers: Mutex<BTreeMap<String, FastRegister>>,
}

/// The last receipt that KRA gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastReceipt {
    /// `curRcptNo`.
    pub receipt_no: u64,
    /// `sdcDateTime`.
    pub issued_at: KraDateTime,
}

/// The piece of work that the drain is at.
#[derive(Clone, Copy, Debug)]
struct Turn {
    began: Instant,
    /// How long KRA, or a wait, may take in it.
    at_most: Duration,
}

/// An event that a webhook has not taken yet.
#[derive(Clone, Debug)]
struct Waiting {
    event: Seq,
    why: String,
    since: Instant,
}

impl Default for Progress {
    fn default() -> Self {
        let sight = Sight { flows: true, line_up: true, ..Sight::default() };
        Self {
            sight: watch::Sender::new(sight),
            nudge: Notify::new(),
            retry: Notify::new(),
            line: Notify::new(),
            line_for_registering: Notify::new(),
            lists: Notify::new(),
            turn: Mutex::new(Turn { began: Instant::now(), at_most: Duration::ZERO }),
            last_receipt: Mutex::default(),
            // At a start too: the last run may have ended before it came to it.
            rejoin: AtomicBool::new(true),
            sent: Mutex::default(),
            webhooks: Mutex::default(),
            fast_registers: Mutex::default(),
            closing: watch::Sender::new(false),
        }
    }
}

impl Progress {
    /// The drain as it was last seen.
    pub fn sight(&self) -> Sight {
        self.sight.borrow().clone()
    }

    /// A fresh sale would be sent at once.
    pub fn flows(&self) -> bool {
        self.sight.borrow().flows
    }

    /// Those that wait for another document.
    pub(super) fn aside(&self) -> Vec<Seq> {
        self.sight.borrow().aside.clone()
    }

    /// Resolves once a fresh sale would no longer be sent at once.
    pub async fn stalled(&self) {
        let mut sight = self.sight.subscribe();
        let _ = sight.wait_for(|sight| !sight.flows).await;
    }

    /// The gateway stops: whoever waits for a sale's fate is told how it stands.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Resolves once nobody may be kept waiting any more.
    pub async fn closing(&self) {
        let mut closing = self.closing.subscribe();
        let _ = closing.wait_for(|closing| *closing).await;
    }

    /// The drain begins another piece of work, in which KRA, or a wait, may take so long.
    pub(super) fn begins(&self, at_most: Duration) {
        *self.turn.lock().unwrap_or_else(PoisonError::into_inner) = Turn { began: Instant::now(), at_most };
    }

    /// By how much the drain has been at one piece of work for longer than KRA, or a wait, may take in it. What is left is
    /// its own time and the store's: a drain that gets on has little of it.
    pub fn overdue(&self) -> Duration {
        let turn = *self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        turn.began.elapsed().saturating_sub(turn.at_most)
    }

    /// This document is being sent; the register's own number of it.
    pub(super) fn sends(&self, document: Seq, trader_ref: Option<String>) {
        *self.sent.lock().unwrap_or_else(PoisonError::into_inner) = trader_ref.map(|it| (document, it));
    }

    /// The register's own number of a document, if it is the one that was sent last: for the journal, without a look at the
    /// store.
    pub(super) fn trader_ref(&self, document: Seq) -> Option<String> {
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        sent.as_ref().filter(|(seq, _)| *seq == document).map(|(_, trader_ref)| trader_ref.clone())
    }

    /// KRA gave this receipt.
    pub(super) fn signed(&self, proof: &Proof) {
        let receipt = LastReceipt { receipt_no: proof.receipt_no, issued_at: proof.issued_at };
        *self.last_receipt.lock().unwrap_or_else(PoisonError::into_inner) = Some(receipt);
    }

    /// The last receipt that KRA gave; none before the first one since the start.
    pub fn last_receipt(&self) -> Option<LastReceipt> {
        *self.last_receipt.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is a new document.
    pub fn nudge(&self) {
        self.nudge.notify_one();
    }

    /// A sale came to stand otherwise, and credit notes that were parked with it may go on.
    pub(super) fn notes_may_rejoin(&self) {
        self.rejoin.store(true, Ordering::Release);
    }

    /// Whether that is so since it was asked last.
    pub(super) fn may_notes_rejoin(&self) -> bool {
        self.rejoin.swap(false, Ordering::AcqRel)
    }

    /// A person wants the next try now.
    pub fn retry_now(&self) {
        self.retry.notify_one();
    }

    /// A link, an address or a route of this machine came back.
    pub fn line_returned(&self) {
        self.line.notify_one();
        self.line_for_registering.notify_one();
    }

    /// Resolves once a link, an address or a route came back: a device that waits to be registered need not wait longer.
    pub(super) async fn line_returned_for_registering(&self) {
        self.line_for_registering.notified().await;
    }

    /// KRA refused a sale over a rate or a code: its lists may have changed.
    pub(super) fn doubt_lists(&self) {
        self.lists.notify_one();
    }

    /// Resolves once there is such a doubt.
    pub(super) async fn lists_doubted(&self) {
        self.lists.notified().await;
    }

    /// Resolves at the earliest after `stuck`, once a link, an address or a route came back.
    pub(super) async fn line_returned_during(&self, stuck: Duration) {
        tokio::time::sleep(stuck).await;
        self.line.notified().await;
    }

    /// A webhook does not take this event, and why; `None`: it takes events.
    pub(super) fn webhook_waits(&self, name: &'static str, event: Option<(Seq, String)>) {
        let mut webhooks = self.webhooks.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((event, why)) = event else {
            webhooks.remove(name);
            return;
        };
        let since = webhooks.get(name).map_or_else(Instant::now, |waiting| waiting.since);
        webhooks.insert(name, Waiting { event, why, since });
    }

    /// The webhooks that do not take what they are told.
    pub fn waiting_webhooks(&self) -> Vec<WaitingWebhook> {
        let webhooks = self.webhooks.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = webhooks.iter().map(|(name, waiting)| WaitingWebhook {
            name: (*name).to_owned(),
            event: waiting.event,
            why: waiting.why.clone(),
            seconds: waiting.since.elapsed().as_secs(),
        });
        shown.collect()
    }

    /// The last sale from this port or socket had a time in KRA's future, or (`None`) one that KRA could be told.
    pub(super) fn register_clock(&self, origin: &str, fast: Option<FastRegister>) {
        let mut registers = self.fast_registers.lock().unwrap_or_else(PoisonError::into_inner);
        match fast {
            Some(fast) => registers.insert(origin.to_owned(), fast),
            None => registers.remove(origin),
        };
    }

    /// The registers whose clocks are ahead of KRA's, by their last sales.
    pub fn fast_registers(&self) -> Vec<FastRegister> {
        let registers = self.fast_registers.lock().unwrap_or_else(PoisonError::into_inner);
        registers.values().cloned().collect()
    }

    pub(super) async fn called(&self) -> crate::queue::drain::Event {
        use crate::queue::drain::Event;
        tokio::select! {
            () = self.nudge.notified() => Event::Woken,
            () = self.retry.notified() => Event::RetryNow,
            () = self.line.notified() => Event::LineReturned,
        }
    }

    /// KRA answered something.
    pub fn contact(&self, wall_ms: i64) {
        self.sight.send_if_modified(|sight| {
            sight.last_contact_ms = Some(wall_ms);
            sight.contact_at = Some(Instant::now());
            true
        });
    }

    /// Shows the drain as it is now. True: sales are sent at once from here on, and those of a moment ago called nobody.
    pub(super) fn publish(&self, drain: &Drain, now: Moment, view: &View) -> bool {
        let mut flows_again = false;
        self.sight.send_if_modified(|sight| {
            flows_again = drain.flows() && !sight.flows;
            let fresh = Sight {
                flows: drain.flows(),
                line_up: drain.line() == Line::Closed,
                held: drain.hold().map(|hold| hold.words.in_short()),
                held_device: drain.hold().is_some_and(|hold| hold.device),
                stopped: drain.stopped().map(|stopped| stopped.why.clone()),
                aside: drain.waiting_for_another(now, view),
                next_check: drain.doubt().map(|doubt| doubt.ask_at.since(now).as_secs()),
                denied: drain.denied().cloned().collect(),
                last_contact_ms: sight.last_contact_ms,
                contact_at: sight.contact_at,
            };
            let changed = *sight != fresh;
            *sight = fresh;
            changed
        });
        flows_again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_drain_that_does_not_get_on_is_overdue() {
        let progress = Progress::default();
        let after = |seconds| tokio::time::advance(Duration::from_secs(seconds));
        progress.begins(Duration::from_secs(240));
        after(240).await;
        assert_eq!(progress.overdue(), Duration::ZERO, "KRA may take so long");
        after(60).await;
        assert_eq!(progress.overdue(), Duration::from_secs(60));
        progress.begins(Duration::ZERO);
        after(7).await;
        assert_eq!(progress.overdue(), Duration::from_secs(7), "all of it is its own time");
    }
}
