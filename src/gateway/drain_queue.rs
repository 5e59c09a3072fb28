//! Carries out what `queue::drain` decides, one action at a time, and tells it what came of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::catalogue::Catalogue;
use super::live::Live;
use super::lookout::Lookout;
use super::operator::Orders;
use super::ports::{About, Authority, Clock, Device, ItemLog, Ledger, LedgerError, Registry, Sale};
use super::progress::Progress;
use super::refresh_codes::doubts_lists;
use super::tell_outcome::tell_outcome;
use crate::fiscal::{CmcKey, DeviceIdentity, Registration};
use crate::queue::drain::{Action, Drain, Event, LookUp, NumberFate, Policy, Ruling, View};
use crate::queue::{
    Dice, Equality, FoundInvoice, ItemLane, LookedUp, Moment, Probed, Sent, SentAs, Seq, Status, Verdict,
    Words, compare,
};
use crate::wire::Format;
use crate::wire::result_code::attempts_allowed;
use crate::wire::sale::TraderTexts;

/// How long a stop waits for the answer to a request that is on the line.
const LAST_ANSWER: Duration = Duration::from_secs(5);

/// A try that has lasted so long is begun anew when the kernel says that the till's own line is back.
const STUCK: Duration = Duration::from_millis(500);

/// A drain that waits, for KRA or for news, shows so often that it does.
const WAIT: Duration = Duration::from_secs(5);

/// How documents are sent: from the configuration.
#[derive(Clone, Debug)]
pub struct SendingRules {
    /// Pauses and time-outs.
    pub policy: Policy,
    /// XML or JSON.
    pub format: Format,
    /// What the configuration says of the trader; the rest comes from the registration.
    pub trader: TraderTexts,
    /// The time KRA is told is that of sending, not of the sale.
    pub time_of_sending: bool,
}

/// Everything that the drain needs of the world.
#[derive(Debug)]
pub struct Drainer<L, A, C> {
    /// The log.
    pub ledger: Arc<L>,
    /// The items.
    pub catalogue: Arc<Catalogue>,
    /// KRA.
    pub authority: Arc<A>,
    /// The time.
    pub clock: Arc<C>,
    /// Where others call it and watch it.
    pub progress: Arc<Progress>,
    /// What KRA's last answers have shown of its clock.
    pub lookout: Arc<Lookout>,
    /// How documents are sent.
    pub rules: Live<SendingRules>,
    /// Throws the dice.
    pub dice: fn() -> Dice,
}

impl<L: ItemLog + Ledger + Registry, A: Authority, C: Clock> Drainer<L, A, C> {
    /// Drains the queue until `stop` resolves, and carries out what technicians order meanwhile, between its actions. A
    /// request on the line is given a few seconds at a stop; without an answer it stays bound, which means: in doubt.
    ///
    /// # Errors
    /// The ledger failed: nothing more can be promised, the daemon has to stop.
    pub async fn run(
        self,
        mut orders: Orders,
        stop: impl Future<Output = ()> + Send,
    ) -> Result<(), LedgerError> {
        tokio::pin!(stop);
        let (mut drain, mut lane) = (self.begin().await?, ItemLane::default());
        let mut event = Event::Woken;
        let mut served = None;
        loop {
            let Some(now_served) = self.served()? else {
                tokio::select! {
                    listened = self.listen(&mut drain, &mut orders) => listened?,
                    () = &mut stop => return Ok(()),
                }
                continue;
            };
            if served.as_ref() != Some(&now_served) {
                served = Some(now_served.clone());
                drain.registered();
            }
            let (device, _, key) = now_served;
            // One moment for both: whoever is left out of the view is still aside for the machine.
            let now = self.clock.moment();
            drain.go_by(self.rules.now().policy);
            lane.hear(&event);
            let view = self.look(&drain, now).await?;
            let (could_look_up, doubted) = (!drain.no_look_up(), drain.doubt().is_some());
            let action = drain.step(now, event, &view, (self.dice)());
            tell(&drain, could_look_up, doubted);
            // What became of a sale is on disk before anybody hears that the rest stands still.
            let told = !matches!(action, Action::Record(..)) && self.progress.publish(&drain, now, &view);
            if told && matches!(action, Action::WaitUntil(_)) {
                event = Event::Woken;
                continue;
            }
            // What KRA said is written down first; anything else can wait for a person.
            if drain.can_wait(&action)
                && let Some(asked) = orders.take()
            {
                drain.put_off(&action);
                let unsent = drain.unsent();
                tokio::select! {
                    obeyed = self.obey(&mut drain, asked) => obeyed?,
                    // What it has written so far holds; the rest is asked for again.
                    () = &mut stop => return self.free_unsent(unsent).await,
                }
                lane.retry_now();
                event = Event::Woken;
                continue;
            }
            let (machines, served) = ((&mut drain, &mut lane), (&device, &key));
            let first = self.items_first(machines, action, served, &mut orders, stop.as_mut());
            let Some(action) = first.await? else { return self.free_unsent(drain.unsent()).await };
            // What was begun is ended even at a stop: an answer is never thrown away, a commit never left half known.
            let finish = matches!(action, Action::Bind(..) | Action::Record(..) | Action::Send(..));
            let abortable = action.may_be_broken_off();
            let interruptible =
                (abortable && drain.can_wait(&action)) || matches!(action, Action::WaitUntil(_));
            let sending = matches!(action, Action::Send(..));
            let in_passing = drain.in_passing();
            let work = self.carry_out(action, &view, &device, &key);
            tokio::pin!(work);
            event = loop {
                tokio::select! {
                    event = &mut work => break event?,
                    // Nothing that saves is on the line: better a fresh try than one that waits for the old line's time-outs.
                    () = self.progress.line_returned_during(STUCK), if abortable => break Event::LineReturned,
                    // A look-up that nobody waits for holds up no sale.
                    called = self.progress.called(), if in_passing => break called,
                    () = orders.arrived(), if interruptible || sending => {
                        if interruptible {
                            break Event::Woken;
                        }
                        // An answer may take minutes; what is not about this document need not wait for it.
                        if let Some(asked) = orders.take() {
                            self.obey(&mut drain, asked).await?;
                        }
                    }
                    () = &mut stop => {
                        if finish && let Ok(event) = tokio::time::timeout(LAST_ANSWER, work).await {
                            return self.last_words(&mut drain, event?, &view).await;
                        }
                        return self.free_unsent(drain.unsent()).await;
                    }
                }
            };
        }
    }

    /// The machine, with what the log knows of what a start forgets.
    async fn begin(&self) -> Result<Drain, LedgerError> {
        let mut drain = Drain::new(self.rules.now().policy, self.clock.moment());
        drain.recall(self.clock.moment(), &self.ledger.latest_refusals().await?);
        self.recall_without_proof(&mut drain).await?;
        Ok(drain)
    }

    /// The device, its registration and its key; `None`: it is not registered.
    fn served(&self) -> Result<Option<(DeviceIdentity, Registration, CmcKey)>, LedgerError> {
        let Device::Active(device, registration) = self.ledger.device() else { return Ok(None) };
        let missing = || LedgerError::Failed("the device is registered and its key is not here".to_owned());
        Ok(Some((device, registration, self.ledger.key().ok_or_else(missing)?)))
    }

    /// How long KRA, or a wait, may take in this.
    fn at_most(&self, action: &Action) -> Duration {
        match action {
            Action::Bind(..) | Action::Record(..) => Duration::ZERO,
            Action::Connect | Action::Probe | Action::Send(..) => self.request(1),
            // A look-up is followed by a probe where KRA has nothing; a list has pages.
            Action::LookUp(..) | Action::LookUpInList(..) => self.request(2),
            Action::WaitUntil(_) => WAIT,
        }
    }

    /// How long so many requests to KRA may take: each of them to connect, and to be answered.
    pub(super) fn request(&self, count: u32) -> Duration {
        self.rules.now().policy.request_timeout.saturating_mul(2 * count)
    }

    /// Without a registered device there are only persons to listen to.
    async fn listen(&self, drain: &mut Drain, orders: &mut Orders) -> Result<(), LedgerError> {
        self.progress.begins(WAIT);
        tokio::select! {
            () = tokio::time::sleep(WAIT) => {}
            _ = self.progress.called() => {}
            () = orders.arrived() => {}
        }
        while let Some(asked) = orders.take() {
            self.obey(drain, asked).await?;
        }
        Ok(())
    }

    /// What the log says, once those credit notes are let go that may.
    async fn look(&self, drain: &Drain, now: Moment) -> Result<View, LedgerError> {
        self.rejoin_notes().await?;
        self.ledger.view(drain.aside(now)).await
    }

    /// Credit notes that were parked with their sales go on with them.
    async fn rejoin_notes(&self) -> Result<(), LedgerError> {
        if !self.progress.may_notes_rejoin() {
            return Ok(());
        }
        match self.ledger.rejoin_notes().await {
            Ok(0) => {}
            Ok(count) => info!(count, "credit notes go on with their sales"),
            // Later, then: they stay parked until there is room to say otherwise.
            Err(LedgerError::DiskLow | LedgerError::Full | LedgerError::TooLarge) => {
                self.progress.notes_may_rejoin();
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// What the log knows of sales without their proof: the drain looks them up again by itself.
    pub(super) async fn recall_without_proof(&self, drain: &mut Drain) -> Result<(), LedgerError> {
        let documents = self.ledger.without_proof(Drain::MOST_WITHOUT_PROOF).await?;
        drain.recall_without_proof(self.clock.moment(), &documents);
        Ok(())
    }

    async fn carry_out(
        &self,
        action: Action,
        view: &View,
        device: &DeviceIdentity,
        key: &CmcKey,
    ) -> Result<Event, LedgerError> {
        debug!(%action, "drain");
        self.progress.begins(self.at_most(&action));
        Ok(match action {
            Action::Bind(document, number) => {
                let sale = self.ledger.unfinished(document).await?;
                self.ledger.bind(document, self.freeze(&sale, number).await?).await?;
                Event::Bound
            }
            Action::Connect => match self.authority.connect().await {
                Ok(()) => Event::Connected,
                Err(unreachable) => Event::Unreachable(unreachable),
            },
            Action::LookUp(number, compared) => {
                let about = self.asked_about(number, compared).await?;
                let mut looked_up = self.authority.look_up(number, device, key, &about).await;
                if let LookedUp::Missing(words) = &looked_up {
                    // "Not there" for everything is no word about this function alone.
                    let probed = self.authority.probe(device, Some(key)).await;
                    if !matches!(probed, Probed::Up) {
                        looked_up = LookedUp::Failed(words.clone());
                    }
                }
                if !matches!(looked_up, LookedUp::Failed(_)) {
                    self.progress.contact(self.clock.wall_ms());
                }
                Event::LookedUp(self.compare(looked_up, compared).await?)
            }
            Action::LookUpInList(number, document) => {
                let about = self.asked_about(number, Some(document)).await?;
                let sent_as = self.ledger.bound(document).await?.sent_as;
                let since = sent_as.confirmed_at.plus_seconds(-LISTED_BEFORE).unwrap_or(sent_as.confirmed_at);
                let looked_up = self.authority.look_up_in_list((number, since), device, key, &about).await;
                Event::LookedUp(self.compare(looked_up, Some(document)).await?)
            }
            Action::Probe => {
                let probed = self.authority.probe(device, Some(key)).await;
                if !matches!(probed, Probed::Down(_)) {
                    self.progress.contact(self.clock.wall_ms());
                }
                Event::Probed(probed)
            }
            Action::Record(document, ruling, next) => self.record(document, &ruling, next, view).await?,
            Action::Send(document, number) => {
                let bound = self.ledger.bound(document).await?;
                debug_assert_eq!(bound.sent_as.invoice_no, number, "the bytes are those of this number");
                let tries = view.head.filter(|head| head.document == document);
                let about = About {
                    document: Some(document),
                    trader_ref: bound.request.trader_ref(),
                    invoice_no: Some(number),
                    // A send in doubt may have used up a try too.
                    attempt: tries.map(|head| head.attempts.max(head.unsure_sends) + 1),
                };
                self.progress.sends(document, about.trader_ref.clone());
                let sent = self.authority.save(&bound.request, device, key, &about).await;
                if matches!(sent, Sent::Answered(_)) {
                    self.progress.contact(self.clock.wall_ms());
                }
                let allowed = match &sent {
                    Sent::Answered(Verdict::Unsure(words)) => attempts_allowed(words),
                    _ => None,
                };
                Event::Sent(sent, allowed)
            }
            Action::WaitUntil(until) => {
                let until = until.map(|until| Instant::now() + until.since(self.clock.moment()));
                loop {
                    let shown = Instant::now() + WAIT;
                    tokio::select! {
                        () = tokio::time::sleep_until(until.unwrap_or(shown).min(shown)) => {}
                        event = self.progress.called() => break event,
                    }
                    if until.is_some_and(|until| until <= Instant::now()) {
                        break Event::Woken;
                    }
                    self.progress.begins(WAIT);
                }
            }
        })
    }

    /// For the log: a look-up belongs to the sale that is in doubt.
    async fn asked_about(&self, number: u64, document: Option<Seq>) -> Result<About, LedgerError> {
        let about = About { document, invoice_no: Some(number), ..About::default() };
        let Some(document) = document else { return Ok(about) };
        let sale = self.ledger.unfinished(document).await?;
        Ok(About { trader_ref: Some(sale.invoice.trader_ref.to_string()), ..about })
    }

    /// The outcome, and BIND of the next document in the same commit where its connection still stands.
    async fn record(
        &self,
        document: Seq,
        ruling: &Ruling,
        next: Option<(Seq, u64)>,
        view: &View,
    ) -> Result<Event, LedgerError> {
        let number = view.head.filter(|head| head.document == document).and_then(|head| head.bound);
        let next = match next {
            Some((seq, number)) if self.authority.stands().await => {
                let sale = self.ledger.unfinished(seq).await?;
                match self.names_what_waits(&sale) {
                    true => None,
                    false => Some((seq, self.freeze(&sale, number).await?)),
                }
            }
            _ => None,
        };
        let bound = next.is_some();
        // Only where KRA said something: a receipt is told by its numbers, and costs no look at the sale.
        let sale = match ruling.words == Words::default() {
            true => None,
            false => self.ledger.unfinished(document).await.ok(),
        };
        self.ledger.record(document, ruling, next).await?;
        if let Some(proof) = &ruling.proof {
            self.progress.signed(proof);
        }
        if ruling.with_original {
            // It may be replaced already.
            self.progress.notes_may_rejoin();
        }
        let sent = self.progress.trader_ref(document);
        tell_outcome((document, sent, sale.as_ref()), number, ruling);
        if ruling.status == Status::Rejected && doubts_lists(&ruling.words) {
            self.progress.doubt_lists();
        }
        Ok(if bound { Event::RecordedAndBound } else { Event::Recorded })
    }

    async fn compare(&self, looked_up: LookedUp, compared: Option<Seq>) -> Result<LookUp, LedgerError> {
        Ok(match looked_up {
            LookedUp::Absent => LookUp::Absent,
            LookedUp::Busy(busy) => LookUp::Busy(busy),
            LookedUp::Failed(words) => LookUp::Failed(words),
            LookedUp::Missing(words) => LookUp::Missing(words),
            LookedUp::Refused(words) => LookUp::Refused(words),
            LookedUp::Found(found) => {
                let equality = match compared {
                    Some(document) => {
                        let sale = self.ledger.unfinished(document).await?;
                        let bound = self.ledger.bound(document).await?;
                        Some(self.equal(&sale, &bound.sent_as, &found).await?)
                    }
                    None => None,
                };
                LookUp::Found { signature: found.signature, trader_ref: found.trader_ref, equality }
            }
        })
    }

    /// Whether KRA's invoice is this sale; with a signature that is new.
    pub(super) async fn equal(
        &self,
        sale: &Sale,
        sent_as: &SentAs,
        found: &FoundInvoice,
    ) -> Result<Equality, LedgerError> {
        let equality = compare(&sale.invoice, sent_as, found);
        let seen = match &equality {
            Equality::Equal(Some(proof)) => self.ledger.number_signed(&proof.signature).await?,
            _ => None,
        };
        Ok(equality.unless_seen(seen.is_some_and(|number| number != sent_as.invoice_no)))
    }

    /// At a stop: an answer that still came is recorded, a number that nothing was sent under is freed; nothing new is
    /// begun.
    async fn last_words(&self, drain: &mut Drain, event: Event, view: &View) -> Result<(), LedgerError> {
        let bound = matches!(event, Event::Bound | Event::RecordedAndBound);
        match drain.step(self.clock.moment(), event, view, (self.dice)()) {
            Action::Record(document, ruling, _) => {
                self.record(document, &ruling, None, view).await.map(|_| ())
            }
            Action::Send(document, _) if bound => self.free_unsent(Some(document)).await,
            _ => self.free_unsent(drain.unsent()).await,
        }
    }

    /// At a stop: a number under which nothing was sent is free again.
    async fn free_unsent(&self, unsent: Option<Seq>) -> Result<(), LedgerError> {
        let Some(document) = unsent else { return Ok(()) };
        let view = self.ledger.view(Vec::new()).await?;
        let bound = view.head.filter(|head| head.document == document && head.bound.is_some());
        let Some(head) = bound.filter(|head| head.unsure_sends == 0) else { return Ok(()) };
        let ruling = Ruling {
            status: Status::Pending,
            attempts: head.attempts,
            unsure_sends: 0,
            number: NumberFate::Released,
            proof: None,
            adopted: false,
            accepted: false,
            with_original: false,
            words: Words { message: "not sent: the gateway stopped".to_owned(), ..Words::default() },
        };
        self.ledger.record(document, &ruling, None).await
    }
}

/// KRA's list of sales is asked for from so many seconds before a sale was made: its clock and ours may differ so much
/// (delivery rules, section 10).
const LISTED_BEFORE: i64 = 600;

/// What happened, for a person who looks; conditions that last are alerts, and told there.
fn tell(drain: &Drain, could_look_up: bool, doubted: bool) {
    if could_look_up && drain.no_look_up() {
        warn!(
            name: "no_look_up",
            "this KRA has no function to look up an invoice: a lost answer is settled by sending the same again"
        );
    }
    if let Some(doubt) = drain.doubt().filter(|_| !doubted) {
        warn!(
            name: "sale_in_doubt",
            seq = doubt.document,
            invc_no = doubt.number,
            "the answer to a sale is missing: asking KRA's books"
        );
    }
}
