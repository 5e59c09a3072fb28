//! The bytes that a sale is sent as: made once, when it is bound to a number, and sent again as they are.

use tracing::warn;

use super::drain_queue::Drainer;
use super::ports::{Authority, Bound, Clock, ItemLog, Ledger, LedgerError, Registry, Sale};
use super::print_receipt::trader_texts;
use super::sale_time::{Accepted, SaleTime};
use crate::fiscal::{KraDateTime, Original, TimeSource};
use crate::queue::SentAs;
use crate::status::FastRegister;
use crate::wire::sale::{self, SaleBinding};

impl<L: ItemLog + Ledger + Registry, A: Authority, C: Clock> Drainer<L, A, C> {
    /// The exact bytes that a sale is sent as under this number.
    pub(super) async fn freeze(&self, sale: &Sale, number: u64) -> Result<Bound, LedgerError> {
        // What KRA takes for the present: by its own word, else by a clock of ours that is to be trusted.
        let now = self.clock.kra_now();
        let by_kra = self.lookout.now().kra_now(self.clock.wall_ms());
        let present = by_kra.or_else(|| self.clock.synchronised().then_some(now));
        let original = match sale.credits {
            Some(original) => Some(self.ledger.original(original).await?.ok_or_else(|| no_original(sale))?),
            None => None,
        };
        // A credit note is never older than its sale, whatever clocks say.
        let earliest = original.as_ref().map(|original| original.confirmed_at);
        let sold_at = self.sold_at(sale, present).await?;
        let sold_at = earliest.map_or(sold_at, |earliest| earliest.max(sold_at));
        let rules = self.rules.now();
        let sent_at = present.unwrap_or(now);
        let sent_at = earliest.map_or(sent_at, |earliest| earliest.max(sent_at));
        let confirmed_at = if rules.time_of_sending { sent_at } else { sold_at };
        let original_invoice_no = match (&original, &sale.invoice.original) {
            (Some(original), _) => Some(original.invoice_no.ok_or_else(|| no_original(sale))?),
            (None, Some(Original::InvoiceNo(number))) => Some(*number),
            (None, Some(Original::TraderRef(_))) => return Err(no_original(sale)),
            (None, None) => None,
        };
        let registration = self.ledger.device();
        let trader = trader_texts(&rules.trader, registration.registration());
        let binding = SaleBinding {
            invoice_no: number,
            original_invoice_no,
            confirmed_at,
            sold_on: sold_at.date(),
            trader: &trader,
        };
        let request = sale::encode(rules.format, &sale.invoice, &binding);
        self.sale_goes(sale);
        let original_invoice_no = original_invoice_no.unwrap_or(0);
        let sent_as = SentAs { invoice_no: number, original_invoice_no, confirmed_at };
        Ok(Bound { sent_as, request, trader })
    }

    /// When it was sold, as KRA may be told.
    async fn sold_at(&self, sale: &Sale, now: Option<KraDateTime>) -> Result<KraDateTime, LedgerError> {
        let told = sale.invoice.confirmed_at;
        let accepted = if !sale.clock_doubtful {
            Accepted::Surely
        } else if sale.time_can_be_mended {
            Accepted::Ago(sale.age)
        } else {
            let (earliest, latest) = self.ledger.sure_times_around(sale.seq).await?;
            let time = |millis: i64| KraDateTime::from_unix(millis.div_euclid(1000));
            Accepted::Between(earliest.and_then(time), latest.and_then(time))
        };
        let time = SaleTime { told, source: sale.invoice.confirmed_by, accepted };
        let for_kra = time.for_kra(now);
        let ahead = told > for_kra && sale.invoice.confirmed_by != TimeSource::Gateway;
        let news = ahead.then(|| FastRegister {
            origin: sale.origin.clone(),
            trd_invc_no: sale.invoice.trader_ref.to_string(),
            cfm_dt: told.to_string(),
            told: for_kra.to_string(),
        });
        self.progress.register_clock(&sale.origin, news);
        if ahead {
            warn!(
                name: "sale_from_the_future",
                seq = sale.seq,
                confirmed_at = %told,
                "a sale's time lies in the future: KRA is told the present; set the register's clock"
            );
        }
        Ok(for_kra)
    }
}

/// A credit note without its sale's number would be taken for a sale.
fn no_original(note: &Sale) -> LedgerError {
    LedgerError::Failed(format!("credit note {}: the number of its sale is not known", note.seq))
}
