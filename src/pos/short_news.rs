//! What a register on a serial line asks beside what HTTP has: who is there, its last sale, and the next few events.

use std::time::{Duration, Instant};

use super::desk::{Desk, ledger_refusal};
use super::event::EventTold;
use super::refusal::Refusal;
use super::reply::{Hello, News, Reply};
use crate::gateway::ports::{Authority, Clock, EventLog, Happened, ItemLog, Ledger, Registry, StoreHealth};
use crate::queue::Seq;

/// Events of one answer.
const MOST: usize = 8;
/// Bytes of the events of one answer: with what is around them they fit a frame.
const ROOM: usize = 65_000;
/// How long the log is read for one answer: what is left comes with the next one.
const PATIENCE: Duration = Duration::from_secs(5);

impl<L: EventLog + ItemLog + Ledger + Registry + StoreHealth, A: Authority, C: Clock> Desk<L, A, C> {
    pub(super) async fn hello(&self, origin: &str, prefix: &str) -> Result<Reply, Refusal> {
        let last = match self.taking.ledger.last_from(origin).await.map_err(|error| ledger_refusal(&error))? {
            Some(sale) => Some(Box::new(self.shown(&sale, prefix).await?)),
            None => None,
        };
        Ok(Reply::Hello(Hello {
            proto: 1,
            boot: self.boot,
            now: self.taking.clock.kra_now().rfc3339(),
            accepting: self.taking.takes_sales(),
            last,
        }))
    }

    pub(super) async fn last_sale(&self, origin: &str, prefix: &str) -> Result<Reply, Refusal> {
        let last = self.taking.ledger.last_from(origin).await.map_err(|error| ledger_refusal(&error))?;
        let sale = last.ok_or(Refusal::NotFound { what: "sale" })?;
        Ok(Reply::SaleShown(Box::new(self.shown(&sale, prefix).await?)))
    }

    /// The next events; without `after`, none, and where they go on from. A port with a prefix hears of the sales that have
    /// it only.
    pub(super) async fn news(&self, after: Option<Seq>, prefix: &str) -> Result<Reply, Refusal> {
        let log = &self.taking.ledger;
        let began = Instant::now();
        let mut news = News { events: Vec::new(), next: after.unwrap_or(Seq::MAX).min(log.last_record()) };
        // A page with no events says nothing about whether there are more.
        while news.events.is_empty() && news.next < log.last_record() && began.elapsed() < PATIENCE {
            let page = log.events(news.next, MOST).await.map_err(|error| ledger_refusal(&error))?;
            let device = log.device();
            let told = EventTold { registration: device.registration(), portal_host: &self.portal, prefix };
            let mut room = ROOM;
            let mut all = true;
            for event in &page.events {
                if another_registers(&event.what, prefix) {
                    news.next = event.id;
                    continue;
                }
                let text = told.json(event);
                // Alone it is left out rather than standing in the way of all others for ever.
                if text.len() > room && news.events.is_empty() {
                    news.next = event.id;
                    continue;
                }
                if text.len() > room {
                    all = false;
                    break;
                }
                room -= text.len();
                news.next = event.id;
                news.events.push(text);
            }
            if all {
                news.next = page.read_to;
            }
        }
        Ok(Reply::News(news))
    }
}

/// A sale whose number lacks this port's prefix. The register could not ask for it, and with its own prefix taken off, a
/// sale of its own may read the same.
fn another_registers(what: &Happened, prefix: &str) -> bool {
    matches!(what, Happened::Sale(sale) if !sale.invoice.trader_ref.as_str().starts_with(prefix))
}
