//! From what a till asks to what it is answered, whichever way it came.

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{ALLOW, HeaderValue};
use tracing::{error, info};

use super::follow::{follow, wanted};
use super::refusal::{Refusal, Unavailable};
use super::reply::{Reply, SaleList};
use super::routes::{Call, route};
use super::{
    CodesShown, DeviceActive, DeviceStatus, Health, HealthWord, ItemClassesShown, LineWord, NoticesShown,
    QueueCounts, SaleFacts, SaleRequest, SaleState, Waiting, parse_device_request, without_prefix,
};
use crate::fiscal::{Fault, FaultCode, KraDateTime, Label, Registration};
use crate::gateway::ports::{
    Authority, Clock, EventLog, ItemLog, Ledger, LedgerError, Registry, Sale, StoreHealth,
};
use crate::gateway::{
    Keeping, Page, Posted, Print, Printer, Refresher, Refused, Registered, Registrar, Taken, Taking, Watch,
};
use crate::http::{Answer, Peer, Request};
use crate::queue::Status;
use crate::status::{Posting, alerts, degraded};

/// When asking again is worth while: KRA is there and the sale is on its way.
const SOON: u64 = 2;
/// The same: KRA is away.
const LATER: u64 = 30;

/// Answers tills.
#[derive(Debug)]
pub struct Desk<L, A, C> {
    /// Takes sales.
    pub taking: Taking<L, C>,
    /// Keeps items.
    pub keeping: Keeping<L, C>,
    /// Fetches KRA's codes.
    pub refresher: Refresher,
    /// Knows how everything is.
    pub watch: Arc<Watch<L, A, C>>,
    /// The host of KRA's portal, for the link in the QR code.
    pub portal: String,
    /// Prints receipts.
    pub printer: Arc<Printer<L>>,
    /// Registers the device.
    pub registrar: Registrar,
    /// Which start of the gateway this is.
    pub boot: u64,
}

impl<L: EventLog + ItemLog + Ledger + Registry + StoreHealth, A: Authority, C: Clock> Desk<L, A, C> {
    /// One request over HTTP.
    pub async fn answer(&self, request: Request) -> Answer {
        let origin = match request.peer {
            Peer::Tcp(_) => "tcp",
            Peer::Unix { .. } => "unix",
        };
        let reply = match route(&request) {
            Ok(Call::Events { after }) => match wanted(&request, after) {
                Ok(wanted) => return follow(&self.taking.ledger, &self.portal, &request.method, wanted),
                Err(refusal) => refusal.into(),
            },
            Ok(Call::Metrics) => {
                let content_type = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
                return Answer::bytes(StatusCode::OK, content_type, self.watch.metrics().await);
            }
            Ok(call) => self.reply(call, origin, "").await,
            Err(refusal) => refusal.into(),
        };
        let status = StatusCode::from_u16(reply.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut answer = Answer::bytes(status, HeaderValue::from_static(reply.content_type()), reply.body());
        if let Some(seconds) = reply.retry_after() {
            answer = answer.retry_after(seconds);
        }
        match reply.allow() {
            Some(methods) => answer.with(ALLOW, HeaderValue::from_static(methods)),
            None => answer,
        }
    }

    /// One call, by whichever carrier. `origin`: the port or socket; `prefix`: put before the register's own numbers.
    pub async fn reply(&self, call: Call, origin: &str, prefix: &str) -> Reply {
        let told = matches!(call, Call::LastSale | Call::PostSale { .. } | Call::ShowSale { .. });
        let result = match call {
            Call::Codes(class) => self.codes(&class),
            Call::DeviceStatus => Ok(Reply::DeviceStatus(Box::new(self.device_status()))),
            // A stream and a page are no replies: only HTTP carries them.
            Call::Events { .. } | Call::Metrics => Err(Refusal::NotFound { what: "path" }),
            Call::Health => Ok(Reply::Health(self.health().await)),
            Call::Hello => self.hello(origin, prefix).await,
            Call::ItemClasses { question, limit } => {
                let (book, now) = (self.taking.book.now(), self.taking.clock.kra_now());
                Ok(Reply::ItemClasses(ItemClassesShown::of(&book, &question, limit, now)))
            }
            Call::Notices => {
                let (book, now) = (self.taking.book.now(), self.taking.clock.kra_now());
                Ok(Reply::Notices(NoticesShown::of(&book, now)))
            }
            Call::InitDevice(body) => self.init_device(&body).await,
            Call::LastSale => self.last_sale(origin, prefix).await,
            Call::ListItems { words, limit } => Ok(self.list_items(&words, limit)),
            Call::ListSales { status, limit, before } => self.list(status, limit, before).await,
            Call::News { after } => self.news(after, prefix).await,
            Call::PrintReceipt { trader_ref, order, room } => {
                let own = format!("{prefix}{trader_ref}");
                let fits = |page: &Page| {
                    room.is_none_or(|room| Reply::Receipt(page.clone()).serial_body().len() <= room)
                };
                printed(self.printer.print(&own, &trader_ref, order, fits).await)
            }
            Call::PostItem(body) => self.post_item(&body).await,
            Call::PostSale { body, wait } => self.post_sale(&body, origin, prefix, wait).await,
            Call::ShowItem(code) => self.show_item(&code),
            Call::SyncItems(body) => self.sync_items(&body).await,
            Call::ShowSale { trader_ref, wait } => {
                self.show(&format!("{prefix}{trader_ref}"), prefix, wait).await
            }
        };
        let reply = result.unwrap_or_else(Reply::from);
        if told { reply.with_attention(self.open_refusals_of(origin)) } else { reply }
    }

    fn codes(&self, class: &str) -> Result<Reply, Refusal> {
        let (book, now) = (self.taking.book.now(), self.taking.clock.kra_now());
        let shown = CodesShown::of(&book, class, now);
        shown.map(Reply::Codes).ok_or(Refusal::NotFound { what: "class of codes" })
    }

    async fn post_sale(
        &self,
        body: &[u8],
        origin: &str,
        prefix: &str,
        wait: Option<Duration>,
    ) -> Result<Reply, Refusal> {
        let SaleRequest { draft, faults } = SaleRequest::parse(body, prefix)?;
        let taken = self.taking.accept(Posted { draft, faults }, origin, wait).await;
        self.taking.counters.posted(match &taken {
            Ok(Taken { repeat: false, .. }) => Posting::Accepted,
            Ok(Taken { repeat: true, .. }) => Posting::Repeated,
            Err(Refused::Faults(_) | Refused::Reused { .. }) => Posting::Refused,
            Err(Refused::Ledger(_) | Refused::NotRegistered | Refused::OfflineLimit(_)) => {
                Posting::Unavailable
            }
        });
        match taken {
            Ok(Taken { sale, repeat: false }) => {
                let seq = sale.seq;
                info!(
                    name: "sale_accepted",
                    seq,
                    trd_invc_no = %sale.invoice.trader_ref,
                    total = %sale.invoice.total,
                    status = sale.status.word(),
                    "sale accepted"
                );
                // Just accepted, so it is the last in the queue.
                let position = self.taking.ledger.counts().waiting.max(1);
                Ok(Reply::accepted(self.state(&sale, prefix, Some(position))))
            }
            Ok(Taken { sale, repeat: true }) => {
                let accepted_at = accepted_at(&sale);
                let position = self.position(&sale).await?;
                Ok(Reply::repeated(self.state(&sale, prefix, position).repeated(accepted_at)))
            }
            Err(refused) => Err(self.refusal(refused, prefix).await),
        }
    }

    /// The answer to a posted sale that takes longer than its register can wait; `None`: it is not on the disk yet.
    pub(super) async fn so_far(&self, body: &[u8], origin: &str, prefix: &str) -> Option<Reply> {
        let SaleRequest { draft, faults } = SaleRequest::parse(body, prefix).ok()?;
        let reply = match self.taking.so_far(&Posted { draft, faults }).await? {
            Ok(sale) => {
                let position = self.position(&sale).await.ok()?;
                Reply::accepted(self.state(&sale, prefix, position))
            }
            Err(refused) => self.refusal(refused, prefix).await.into(),
        };
        Some(reply.with_attention(self.open_refusals_of(origin)))
    }

    async fn refusal(&self, refused: Refused, prefix: &str) -> Refusal {
        let unavailable = |why, retry_after| Refusal::Unavailable { why, retry_after };
        match refused {
            Refused::Faults(faults) => Refusal::Faults(faults),
            Refused::Ledger(error) => ledger_refusal(&error),
            Refused::NotRegistered => unavailable(Unavailable::NotRegistered, LATER),
            Refused::OfflineLimit(_) => unavailable(Unavailable::OfflineLimit, LATER),
            Refused::Reused { same_content, known } => {
                let stored = if same_content {
                    let position = self.position(&known).await.unwrap_or(None);
                    let state = self.state(&known, prefix, position).repeated(accepted_at(&known));
                    Some(Box::new(state))
                } else {
                    None
                };
                Refusal::TraderRefReused { stored }
            }
        }
    }

    async fn show(&self, trader_ref: &str, prefix: &str, wait: Duration) -> Result<Reply, Refusal> {
        let found = self.taking.show(trader_ref, wait).await.map_err(|error| ledger_refusal(&error))?;
        let sale = found.ok_or(Refusal::NotFound { what: "sale" })?;
        Ok(Reply::SaleShown(Box::new(self.shown(&sale, prefix).await?)))
    }

    /// A sale as a look-up shows it.
    pub(super) async fn shown(&self, sale: &Sale, prefix: &str) -> Result<SaleState, Refusal> {
        let position = self.position(sale).await?;
        Ok(self.state(sale, prefix, position).in_full(accepted_at(sale), &sale.signature))
    }

    async fn list(
        &self,
        status: Option<Status>,
        limit: usize,
        before: Option<u64>,
    ) -> Result<Reply, Refusal> {
        let (sales, next) =
            self.taking.ledger.recent(before, status, limit).await.map_err(|error| ledger_refusal(&error))?;
        let sales =
            sales.iter().map(|sale| self.state(sale, "", None).in_full(accepted_at(sale), &sale.signature));
        Ok(Reply::Sales(SaleList { sales: sales.collect(), next }))
    }

    /// Its place in the queue, from 1, while it is pending.
    async fn position(&self, sale: &Sale) -> Result<Option<u64>, Refusal> {
        if sale.status != Status::Pending {
            return Ok(None);
        }
        let ahead = self.taking.ledger.ahead_of(sale.seq).await.map_err(|error| ledger_refusal(&error))?;
        Ok(Some(ahead + 1))
    }

    fn state(&self, sale: &Sale, prefix: &str, position: Option<u64>) -> SaleState {
        let ledger = &self.taking.ledger;
        let device = ledger.device();
        let sight = self.taking.progress.sight();
        let waiting = position.map(|position| Waiting {
            position,
            retry_after: if sight.flows { SOON } else { LATER },
            in_doubt: sale.in_doubt(),
            next_check: sight
                .next_check
                .filter(|_| sale.in_doubt())
                .and_then(|seconds| i64::try_from(seconds).ok())
                .and_then(|seconds| KraDateTime::from_unix(self.taking.clock.kra_now().unix() + seconds)),
        });
        let label = Label::original(sale.invoice.receipt_type, sale.invoice.sales_type);
        SaleState::of(&SaleFacts {
            trader_ref: without_prefix(sale.invoice.trader_ref.as_str(), prefix),
            status: sale.status,
            label: label.expect("an invoice is of a kind that has a label"),
            running_number: sale.seq,
            record_hash: &sale.hash,
            signature: &sale.signature,
            device: &sale.invoice.device,
            registration: device.registration(),
            portal_host: &self.portal,
            invoice_no: sale.invoice_no,
            proof: sale.proof.as_ref(),
            words: sale.words.as_ref(),
            original: sale.named_original().map(|own| without_prefix(own, prefix)),
            original_elsewhere: sale.original_elsewhere(),
            replaces: sale.invoice.replaces.as_ref().map(|old| without_prefix(old.as_str(), prefix)),
            replaced_by: sale.replaced_by().map(|new| without_prefix(new, prefix)),
            settled_as: sale.settled_as(),
            waiting,
        })
    }

    /// How many sales of this register KRA has refused that nobody has settled: by the port or socket that they came by.
    fn open_refusals_of(&self, origin: &str) -> u64 {
        let ledger = &self.taking.ledger;
        if ledger.counts().rejected == 0 {
            return 0;
        }
        let own = ledger.open_refusals().into_iter().filter(|refusal| refusal.origin == origin).count();
        u64::try_from(own).unwrap_or(u64::MAX)
    }

    async fn init_device(&self, body: &[u8]) -> Result<Reply, Refusal> {
        let identity = parse_device_request(body)?;
        match self.registrar.register(identity).await.map_err(|error| ledger_refusal(&error))? {
            Registered::Already(_, registration) => {
                Ok(Reply::DeviceActive(DeviceActive::again(&registration)))
            }
            Registered::Away(words) => Err(Refusal::KraAway {
                message: words.message,
                retry_after: LATER,
                result_cd: words.result_cd,
            }),
            Registered::Differs(_) => Err(Refusal::DeviceDiffers),
            Registered::Now(_, registration, key) => {
                Ok(Reply::DeviceActive(DeviceActive::first(&registration, &key)))
            }
            Registered::Refused(words) => Err(Refusal::KraRefused {
                message: words.message,
                retry_after: LATER,
                result_cd: words.result_cd,
            }),
        }
    }

    fn device_status(&self) -> DeviceStatus {
        let snapshot = self.watch.snapshot();
        let device = self.taking.ledger.device();
        let contact = self.taking.progress.sight().last_contact_ms;
        let contact = contact.and_then(|millis| KraDateTime::from_unix(millis.div_euclid(1000)));
        let registration: Option<&Registration> = device.registration();
        DeviceStatus::new(
            device.identity(),
            registration,
            &snapshot.device.status,
            (line(snapshot.kra.up), contact),
            &snapshot.public_key,
            counts(&snapshot.queue),
        )
    }

    async fn health(&self) -> Health {
        let snapshot = self.watch.fresh_snapshot().await;
        let status = match (snapshot.store.works, degraded(&alerts(&snapshot))) {
            (false, _) => HealthWord::Unhealthy,
            (true, false) => HealthWord::Healthy,
            (true, true) => HealthWord::Degraded,
        };
        Health {
            status,
            kra: line(snapshot.kra.up),
            db: line(snapshot.store.works),
            queue: counts(&snapshot.queue),
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

/// What came of a print, as the till hears it.
pub(crate) fn printed(print: Result<Print, LedgerError>) -> Result<Reply, Refusal> {
    match print.map_err(|error| ledger_refusal(&error))? {
        Print::NotPrintable(status) => Err(Refusal::NotPrintable(status)),
        Print::Page(page) => Ok(Reply::Receipt(page)),
        Print::TooLong => Err(Refusal::ReceiptTooLong),
        Print::Unknown => Err(Refusal::NotFound { what: "sale" }),
    }
}

fn accepted_at(sale: &Sale) -> KraDateTime {
    KraDateTime::from_unix(sale.accepted_ms.div_euclid(1000)).unwrap_or(sale.invoice.confirmed_at)
}

const fn line(up: bool) -> LineWord {
    if up { LineWord::Up } else { LineWord::Down }
}

const fn counts(queue: &crate::status::QueueSnapshot) -> QueueCounts {
    QueueCounts {
        waiting: queue.waiting,
        in_doubt: queue.in_doubt,
        parked: queue.parked,
        rejected: queue.rejected,
        oldest_age_seconds: queue.oldest_age_seconds,
    }
}

pub(super) fn ledger_refusal(error: &LedgerError) -> Refusal {
    let (why, retry_after) = match error {
        LedgerError::CannotReplace(why) => {
            return Refusal::Faults(vec![Fault::new("replaces", FaultCode::NotAllowed, why)]);
        }
        LedgerError::DiskLow => (Unavailable::DiskLow, LATER),
        LedgerError::Failed(why) => {
            error!(name: "store_failed", why, "the store failed");
            (Unavailable::StoreFailed, LATER)
        }
        LedgerError::Full => (Unavailable::QueueFull, LATER),
        LedgerError::NotLeft(why) => {
            return Refusal::Faults(vec![Fault::new("itemList", FaultCode::ExceedsOriginal, why)]);
        }
        // It changed between two looks at it: asked again, the answer fits.
        LedgerError::OriginalChanged => (Unavailable::StoreFailed, SOON),
        LedgerError::OtherDevice => (Unavailable::NotRegistered, SOON),
        LedgerError::Stopping => (Unavailable::Stopping, SOON),
        LedgerError::TooLarge => return Refusal::TooLarge { limit: 1 << 20 },
    };
    Refusal::Unavailable { why, retry_after }
}
