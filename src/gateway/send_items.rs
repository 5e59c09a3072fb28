//! Items on their way to KRA, between the documents: over the same connection, one saving request at a time.

use std::pin::Pin;
use std::time::Duration;

use tracing::{error, info, warn};

use super::catalogue::Catalogue;
use super::drain_queue::Drainer;
use super::operator::Orders;
use super::ports::{About, Authority, Clock, ItemLog, KeptItem, Ledger, LedgerError, Registry, Sale};
use crate::fiscal::{CmcKey, DeviceIdentity};
use crate::queue::drain::{Action, Drain};
use crate::queue::{ItemLane, ItemStanding, Judged, Moment, Probed, Sent, Ticket, Turn, Verdict};
use crate::wire::item;

/// Before an item is sent again whose outcome found no place on the disk.
const NOT_WRITTEN: Duration = Duration::from_secs(60);

/// What came of sending an item; the probe after an answer that says nothing of it.
struct ItemCame {
    sent: Sent,
    probed: Option<Probed>,
}

impl<L: ItemLog + Ledger + Registry, A: Authority, C: Clock> Drainer<L, A, C> {
    /// Sends the item whose turn it is, where one comes before the documents' next action, and then looks at all anew; that
    /// action, where none does. Persons are listened to meanwhile. `None`: the gateway stops.
    pub(super) async fn items_first(
        &self,
        (drain, lane): (&mut Drain, &mut ItemLane),
        action: Action,
        (device, key): (&DeviceIdentity, &CmcKey),
        orders: &mut Orders,
        mut stop: Pin<&mut (impl Future<Output = ()> + Send)>,
    ) -> Result<Option<Action>, LedgerError> {
        let now = self.clock.moment();
        let (ticket, kept) = match self.turn((drain, lane), &action, now).await? {
            (Turn::Item(ticket), Some(kept)) => (ticket, kept),
            (Turn::Wait(until), _) => {
                drain.put_off(&action);
                return Ok(Some(Action::WaitUntil(until)));
            }
            (Turn::Documents | Turn::Item(_), _) => {
                return Ok(Some(self.wait_for_items(action, (drain, lane), now)));
            }
        };
        drain.put_off(&action);
        self.progress.begins(self.request(3));
        let came = {
            let sending = self.send_item(&kept, device, key);
            tokio::pin!(sending);
            loop {
                tokio::select! {
                    came = &mut sending => break came,
                    () = orders.arrived() => {
                        if let Some(asked) = orders.take() {
                            self.obey(drain, asked).await?;
                            lane.retry_now();
                        }
                    }
                    // In doubt is no harm: it is sent again.
                    () = &mut stop => return Ok(None),
                }
            }
        };
        self.item_came((drain, lane), (ticket, kept), came).await?;
        Ok(Some(Action::WaitUntil(Some(now))))
    }

    /// Whose turn it is, and the item.
    async fn turn(
        &self,
        (drain, lane): (&Drain, &ItemLane),
        action: &Action,
        now: Moment,
    ) -> Result<(Turn, Option<KeptItem>), LedgerError> {
        if self.catalogue.is_idle() {
            return Ok((Turn::Documents, None));
        }
        let named: Vec<Ticket> = match drain.fresh_head(action) {
            Some(document) => {
                let sale = self.ledger.unfinished(document).await?;
                named_and_waiting(&self.catalogue, &sale).collect()
            }
            None => Vec::new(),
        };
        Ok(self.catalogue.choose(|waiting| lane.turn(now, (drain, action), &named, waiting)))
    }

    /// A wait of the documents, ended earlier where an item is due before.
    fn wait_for_items(&self, action: Action, (drain, lane): (&Drain, &ItemLane), now: Moment) -> Action {
        let due = lane.due(now).filter(|_| drain.admits_items(&action) && !self.catalogue.is_idle());
        match (action, due) {
            (Action::WaitUntil(until), Some(due)) => {
                Action::WaitUntil(Some(until.map_or(due, |until| until.min(due))))
            }
            (action, _) => action,
        }
    }

    /// Whether something that this sale names waits to be saved: it is not bound ahead of that.
    pub(super) fn names_what_waits(&self, sale: &Sale) -> bool {
        !self.catalogue.is_idle() && named_and_waiting(&self.catalogue, sale).next().is_some()
    }

    /// Sends an item. What it leads to is decided by [`item_came`](Self::item_came).
    async fn send_item(&self, kept: &KeptItem, device: &DeviceIdentity, key: &CmcKey) -> ItemCame {
        if let Err(unreachable) = self.authority.connect().await {
            return ItemCame { sent: Sent::Not(unreachable), probed: None };
        }
        let request = item::encode(self.rules.now().format, device, &kept.item);
        let sent = self.authority.save(&request, device, key, &About::default()).await;
        if matches!(sent, Sent::Answered(_)) {
            self.progress.contact(self.clock.wall_ms());
        }
        let says_nothing =
            matches!(sent, Sent::InDoubt(_) | Sent::Answered(Verdict::Unsure(_) | Verdict::UnsureConfig(_)));
        let mut probed = None;
        if says_nothing {
            let found = self.authority.probe(device, Some(key)).await;
            if !matches!(found, Probed::Down(_)) {
                self.progress.contact(self.clock.wall_ms());
            }
            probed = Some(found);
        }
        ItemCame { sent, probed }
    }

    /// Tells both machines what came of it, and writes down where the item stands if that is decided.
    async fn item_came(
        &self,
        (drain, lane): (&mut Drain, &mut ItemLane),
        (ticket, kept): (Ticket, KeptItem),
        came: ItemCame,
    ) -> Result<(), LedgerError> {
        let ItemCame { sent, probed } = came;
        let now = self.clock.moment();
        let policy = self.rules.now().policy;
        drain.item_was_sent(now, &sent, (self.dice)());
        let mut judged = lane.sent(now, (ticket, kept.known), &sent, &policy, (self.dice)());
        if let Some(probed) = probed {
            if let Judged::Probe(words) = &judged {
                judged = lane.probed(now, ticket, (words, &probed), &policy, (self.dice)());
            }
            drain.item_was_probed(now, probed, (self.dice)());
        }
        if let Judged::Stands(standing) = judged {
            match self.settle_item(ticket, kept, standing).await {
                // On a full disk it stays in the queue: saved again it is the same.
                Err(error @ (LedgerError::DiskLow | LedgerError::Full | LedgerError::TooLarge)) => {
                    warn!(%error, "what KRA said to an item could not be written down: it is sent again later");
                    lane.put_off(ticket, now.after(NOT_WRITTEN));
                }
                settled => settled?,
            }
        }
        lane.keep(|ticket| self.catalogue.waits(ticket));
        self.catalogue.saving_is_refused(lane.closed().map(crate::queue::Words::in_short));
        Ok(())
    }

    async fn settle_item(
        &self,
        ticket: Ticket,
        kept: KeptItem,
        standing: ItemStanding,
    ) -> Result<(), LedgerError> {
        let _alone = self.catalogue.writing.lock().await;
        if !self.catalogue.waits(ticket) {
            // A later version was posted meanwhile: what KRA said is not about that.
            return Ok(());
        }
        let known = kept.known || standing == ItemStanding::Saved;
        let kept = KeptItem { standing, known, ..kept };
        self.ledger.put_items(std::slice::from_ref(&kept)).await?;
        let item_cd = &kept.item.code;
        match &kept.standing {
            ItemStanding::Queued => {}
            ItemStanding::Saved => info!(name: "item_saved", %item_cd, "item saved at KRA"),
            ItemStanding::Refused(kra) => error!(
                name: "item_refused",
                %item_cd,
                kra,
                "KRA refused an item: correct it and post it again; sales that name it are sent all the same"
            ),
            ItemStanding::Parked(kra) => error!(
                name: "item_parked",
                %item_cd,
                kra,
                "an item is set aside, its tries are spent: `etims-gateway queue retry {item_cd}` tries again"
            ),
        }
        self.catalogue.show([kept]);
        Ok(())
    }

    /// A sale is about to be sent: the items of it that KRA did not take are told together with it.
    pub(super) fn sale_goes(&self, sale: &Sale) {
        let codes = sale.invoice.lines.iter().map(|line| line.item_code.as_str());
        if self.catalogue.sale_sent(sale.invoice.trader_ref.as_str(), codes) {
            warn!(
                seq = sale.seq,
                trd_invc_no = %sale.invoice.trader_ref,
                "a sale is sent that names an item which KRA did not take"
            );
        }
    }
}

fn named_and_waiting<'a>(catalogue: &'a Catalogue, sale: &'a Sale) -> impl Iterator<Item = Ticket> + 'a {
    sale.invoice.lines.iter().filter_map(|line| catalogue.ticket(&line.item_code))
}
