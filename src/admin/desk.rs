//! Answers technicians' commands.

use std::sync::Arc;

use hyper::{Method, StatusCode};

use super::exchanges::exchanges;
use super::export::export;
use super::message::{QueuePage, QueueRow, StatusMessage};
use super::story::DocumentMessage;
use crate::gateway::ports::{
    ApiLog, Authority, Clock, Exports, ItemLog, Ledger, LedgerError, Registry, Sale, StoreHealth, Stories,
};
use crate::gateway::{Keeping, Operator, Printer, Registrar, Watch};
use crate::http::{Answer, Request};
use crate::pos::{Refusal, Reply, printed, technicians_order};
use crate::status::{alerts, degraded};

/// Documents of one page.
const PAGE: usize = 200;
/// Put before a running number, so that it means no register's number.
const BY_RUNNING_NUMBER: &str = "seq:";
/// Put before a register's number, so that it means no running number.
const BY_TRADER_REF: &str = "trd:";

/// Answers technicians.
pub struct AdminDesk<L, A, C> {
    /// The log and the device.
    pub ledger: Arc<L>,
    /// Keeps items.
    pub keeping: Keeping<L, C>,
    /// Knows how everything is.
    pub watch: Arc<Watch<L, A, C>>,
    /// Registers the device.
    pub registrar: Registrar,
    /// The log of exchanges with KRA.
    pub exchanges: Arc<dyn ApiLog>,
    /// Takes commands about the queue to the drain.
    pub operator: Operator,
    /// Prints receipts.
    pub printer: Arc<Printer<L>>,
}

impl<L: Exports + ItemLog + Ledger + Registry + Stories + StoreHealth, A: Authority, C: Clock>
    AdminDesk<L, A, C>
{
    /// One request.
    pub async fn answer(&self, request: Request) -> Answer {
        let segments: Vec<&str> = request.segments.iter().map(String::as_str).collect();
        match (&request.method, segments.as_slice()) {
            (&Method::GET, ["status"]) => self.status().await,
            (&Method::GET, ["log"]) => exchanges(&self.exchanges, &request).await,
            (&Method::GET, ["queue"]) => self.queue(request.query_value("after")).await,
            (&Method::GET, ["queue", id]) => self.document(id).await,
            (&Method::POST, ["queue", "retry-item"]) => self.retry_item(&request).await,
            (&Method::POST, ["queue", "retry-all"]) => self.wide_order(false, &request).await,
            (&Method::POST, ["queue", word @ ("park" | "retry" | "settle")]) => {
                self.order_about(word, &request).await
            }
            (&Method::GET, ["receipt", id]) => self.receipt(id, &request).await,
            (&Method::GET, ["series"]) => self.series().await,
            (&Method::POST, ["series", "adopt"]) => self.wide_order(true, &request).await,
            (&Method::POST, ["device", "init"]) => self.init_device(&request.body).await,
            (&Method::POST, ["device", "adopt"]) => self.adopt_device(&request).await,
            (&Method::POST, ["device", "moved"]) => self.device_moved(&request).await,
            (&Method::GET, ["device", "key"]) => self.key(),
            (&Method::POST, ["export"]) => export(&self.ledger, &request).await,
            _ => Answer::refusal(StatusCode::NOT_FOUND, "not_found", "this daemon knows no such command"),
        }
    }

    async fn status(&self) -> Answer {
        let snapshot = self.watch.full_snapshot().await;
        let alerts = alerts(&snapshot);
        Answer::json(StatusCode::OK, &StatusMessage { healthy: !degraded(&alerts), snapshot, alerts })
    }

    async fn queue(&self, after: Option<&str>) -> Answer {
        let after = match after.map(str::parse).transpose() {
            Ok(after) => after,
            Err(_) => {
                return Answer::refusal(
                    StatusCode::BAD_REQUEST,
                    "bad_query",
                    "after must be a running number",
                );
            }
        };
        match self.ledger.open_sales(after, PAGE).await {
            Ok(sales) => {
                let next = sales.last().map(|sale| sale.seq).filter(|_| sales.len() == PAGE);
                let documents = sales.iter().map(QueueRow::of).collect();
                let items = if after.is_none() { self.item_rows() } else { Vec::new() };
                Answer::json(StatusCode::OK, &QueuePage { documents, items, next })
            }
            Err(error) => unreadable(&error),
        }
    }

    async fn document(&self, id: &str) -> Answer {
        match self.meant(id).await {
            Ok(sales) if sales.len() > 1 => {
                Answer::refusal(StatusCode::CONFLICT, "ambiguous", &which_of(id, &sales))
            }
            Ok(sales) => match sales.first() {
                Some(sale) => match self.ledger.story(sale.seq).await {
                    Ok(story) => Answer::json(StatusCode::OK, &DocumentMessage::of(sale, &story)),
                    Err(error) => unreadable(&error),
                },
                None => match self.item(id) {
                    Some(item) => Answer::json(StatusCode::OK, &item),
                    None => {
                        let words = "no sale has this number, and no item this code";
                        Answer::refusal(StatusCode::NOT_FOUND, "not_found", words)
                    }
                },
            },
            Err(error) => unreadable(&error),
        }
    }

    /// All that a person may mean by this: a running number, or a register's own number, which may be all digits too.
    async fn meant(&self, id: &str) -> Result<Vec<Sale>, LedgerError> {
        let trader_refs = [Some(id), id.strip_prefix(BY_TRADER_REF)];
        let numbers = [Some(id), id.strip_prefix(BY_RUNNING_NUMBER)];
        let mut meant: Vec<Sale> = Vec::new();
        for trader_ref in trader_refs.into_iter().flatten() {
            meant.extend(self.ledger.find(trader_ref).await?);
        }
        for number in numbers.into_iter().flatten().filter_map(|number| number.parse().ok()) {
            meant.extend(self.by_number(number).await?);
        }
        meant.sort_by_key(|sale| sale.seq);
        meant.dedup_by_key(|sale| sale.seq);
        Ok(meant)
    }

    /// A receipt as a serial line carries it: a copy, unless the original is asked for and may be had.
    async fn receipt(&self, id: &str, request: &Request) -> Answer {
        let order = match technicians_order(request) {
            Ok(order) => order,
            Err(refusal) => return refused(refusal),
        };
        let sales = match self.meant(id).await {
            Ok(sales) => sales,
            Err(error) => return unreadable(&error),
        };
        let sale = match sales.as_slice() {
            [] => return refused(Refusal::NotFound { what: "sale" }),
            [sale] => sale.invoice.trader_ref.as_str(),
            more => return Answer::refusal(StatusCode::CONFLICT, "ambiguous", &which_of(id, more)),
        };
        let reply =
            printed(self.printer.print(sale, sale, order, |_| true).await).unwrap_or_else(Reply::from);
        let status = StatusCode::from_u16(reply.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Answer::bytes(
            status,
            hyper::header::HeaderValue::from_static("application/json"),
            reply.serial_body(),
        )
    }

    async fn by_number(&self, seq: u64) -> Result<Option<Sale>, LedgerError> {
        let (sales, _) = self.ledger.recent(seq.checked_add(1), None, 1).await?;
        Ok(sales.into_iter().next().filter(|sale| sale.seq == seq))
    }
}

/// Nobody is to settle the wrong sale.
fn which_of(id: &str, sales: &[Sale]) -> String {
    let each = sales.iter().map(|sale| {
        let (seq, trader_ref) = (sale.seq, &sale.invoice.trader_ref);
        format!("running number {seq}, which is the register's {trader_ref} (say {BY_RUNNING_NUMBER}{seq})")
    });
    let each: Vec<String> = each.collect();
    format!("{id} may mean more than one sale: {}", each.join("; "))
}

pub(super) fn unreadable(error: &LedgerError) -> Answer {
    Answer::refusal(StatusCode::SERVICE_UNAVAILABLE, "store_failed", &error.to_string())
}

pub(super) fn refused(refusal: Refusal) -> Answer {
    let reply = Reply::from(refusal);
    let status = StatusCode::from_u16(reply.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Answer::bytes(status, hyper::header::HeaderValue::from_static("application/json"), reply.body())
}
