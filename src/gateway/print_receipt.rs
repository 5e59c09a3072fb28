//! A sale's receipt for a printer: the original once, copies after that, and a slip that says what it is not while KRA has
//! not signed.

use std::sync::Arc;
use std::time::Duration;

use super::drain_queue::SendingRules;
use super::live::Live;
use super::ports::{Ledger, LedgerError, Printing, Registry, Sale};
use crate::fiscal::{
    KraDateTime, Original as Named, Registration, local_signature, qr_url, temporary_receipt_no,
};
use crate::queue::{OriginalStands, Status};
use crate::receipt::{Heading, Receipt, Signed, Slip, Standing, escpos, json, text};
use crate::wire::sale::TraderTexts;

/// For so long after the original was printed it may be printed once more: the paper jammed.
const JAMMED: Duration = Duration::from_secs(15 * 60);

/// What receipts are printed from.
#[derive(Debug)]
pub struct Printer<L> {
    /// The log and the device.
    pub ledger: Arc<L>,
    /// What the configuration says of the trader.
    pub rules: Live<SendingRules>,
    /// The host of KRA's portal, for the link in the QR code.
    pub portal: String,
    /// This KRA is a simulator.
    pub simulated: bool,
}

/// For what kind of printer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageFormat {
    /// One that speaks ESC/POS.
    Escpos,
    /// A till that lays the facts out itself.
    Json,
    /// One that knows letters only.
    Text,
}

impl PageFormat {
    /// From its word.
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "escpos" => Some(Self::Escpos),
            "json" => Some(Self::Json),
            "text" => Some(Self::Text),
            _ => None,
        }
    }
}

/// Whether the original is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The original once more, if it was printed just now; else as it comes.
    Again,
    /// The original, if it was never printed; else a copy.
    AsItComes,
    /// A copy, and the original stays unprinted.
    Copy,
}

/// What a till, or a technician, wants printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrintOrder {
    /// Whether the original is wanted.
    pub which: Which,
    /// For what kind of printer.
    pub format: PageFormat,
    /// Characters on a line; at least [`NARROWEST`](crate::receipt::NARROWEST) are taken.
    pub width: usize,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Print {
    /// A sale that stands like this has nothing that may be printed.
    NotPrintable(Status),
    /// The receipt or slip.
    Page(Page),
    /// It is too long for whom it is for; that it was printed is not recorded.
    TooLong,
    /// There is no such sale.
    Unknown,
}

/// A receipt, ready for its printer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Page {
    /// Orders for the printer.
    Escpos(Vec<u8>),
    /// The facts.
    Json(serde_json::Value),
    /// Lines.
    Text(String),
}

impl<L: Ledger + Registry> Printer<L> {
    /// Prints the receipt of the sale with this number; `shown_as`: the number as its register knows it; `fits`: whether a
    /// page can be carried to it. That an original was printed is on the disk before it is given away.
    ///
    /// # Errors
    /// The store cannot be read, or takes no record.
    pub async fn print(
        &self,
        trader_ref: &str,
        shown_as: &str,
        order: PrintOrder,
        fits: impl Fn(&Page) -> bool + Send,
    ) -> Result<Print, LedgerError> {
        let Some(printing) = self.ledger.printing(trader_ref).await? else { return Ok(Print::Unknown) };
        let sale = &printing.sale;
        let original = match sale.status {
            Status::Signed => original(&printing, order.which),
            Status::NotFiscal | Status::Pending | Status::Rejected => None,
            Status::AcceptedNoProof | Status::Parked | Status::Settled => {
                return Ok(Print::NotPrintable(sale.status));
            }
        };
        let copy = sale.status == Status::Signed && original.is_none();
        let page = self.page(&printing, shown_as, copy, order);
        if !fits(&page) {
            return Ok(Print::TooLong);
        }
        match original {
            // Somebody else was given it meanwhile.
            Some(Original { again }) if !self.ledger.record_print(sale, again).await? => {
                Ok(Print::Page(self.page(&printing, shown_as, true, order)))
            }
            _ => Ok(Print::Page(page)),
        }
    }

    fn page(&self, printing: &Printing, shown_as: &str, copy: bool, order: PrintOrder) -> Page {
        let sale = &printing.sale;
        let device = self.ledger.device();
        let registration = device.registration();
        let trader = match &printing.trader {
            Some(frozen) => frozen.clone(),
            None => trader_texts(&self.rules.now().trader, registration),
        };
        let heading = Heading {
            name: trader.name.unwrap_or_default(),
            address: trader.address,
            top_message: trader.top_message,
            bottom_message: trader.bottom_message,
        };
        let number = temporary_receipt_no(sale.seq, &sale.hash);
        let signature = local_signature(&sale.signature);
        let accepted_at = accepted_at(sale);
        let slip = Slip { number: &number, signature: &signature, accepted_at };
        let link = sale.proof.as_ref().map(|proof| {
            qr_url(&self.portal, &sale.invoice.device.tin, &sale.invoice.device.bhf_id, &proof.signature)
        });
        let scu_id = registration.map_or("", |registration| registration.scu_id.as_str());
        let standing = match (sale.status, &sale.proof, &link) {
            (Status::NotFiscal, ..) => Standing::NotFiscal,
            (Status::Rejected, ..) => Standing::Refused(slip),
            (Status::Signed, Some(proof), Some(link)) => {
                Standing::Signed(Signed { proof, scu_id, qr_url: link })
            }
            _ => Standing::Waiting(slip),
        };
        let original_no = original_number(printing).map(|number| format!("{scu_id}/{number}"));
        let original_trader_ref = match (&printing.original, &sale.invoice.original) {
            (Some(original), _) => Some(original.trader_ref.as_str()),
            (None, Some(Named::TraderRef(own))) => Some(own.as_str()),
            (None, Some(Named::InvoiceNo(_)) | None) => None,
        };
        // What its port puts before the register's own numbers.
        let prefix = sale.invoice.trader_ref.as_str().strip_suffix(shown_as).unwrap_or_default();
        let receipt = Receipt {
            heading: &heading,
            invoice: &sale.invoice,
            trader_ref: shown_as,
            standing,
            copy,
            original: original_no.as_deref(),
            original_trader_ref: original_trader_ref.map(|own| own.strip_prefix(prefix).unwrap_or(own)),
            simulated: self.simulated,
        };
        match order.format {
            PageFormat::Escpos => Page::Escpos(escpos(&receipt, order.width)),
            PageFormat::Json => Page::Json(json(&receipt)),
            PageFormat::Text => Page::Text(text(&receipt, order.width)),
        }
    }
}

/// The number that KRA's receipt of a credit note's sale carries; of one made elsewhere, that which the register gave.
fn original_number(printing: &Printing) -> Option<u64> {
    match (&printing.original, &printing.sale.invoice.original) {
        (Some(original), _) if original.stands == OriginalStands::Accepted => {
            original.receipt_no.or(original.invoice_no)
        }
        (None, Some(Named::InvoiceNo(number))) => Some(*number),
        _ => None,
    }
}

/// A print that is to be the original.
struct Original {
    /// Once more, because the paper jammed.
    again: bool,
}

/// `None`: it is to be a copy.
fn original(printing: &Printing, which: Which) -> Option<Original> {
    match (which, &printing.printed) {
        (Which::Copy, _) => None,
        (_, None) => Some(Original { again: false }),
        (Which::Again, Some(printed)) if !printed.again && printed.age <= JAMMED => {
            Some(Original { again: true })
        }
        (_, Some(_)) => None,
    }
}

fn accepted_at(sale: &Sale) -> KraDateTime {
    KraDateTime::from_unix(sale.accepted_ms.div_euclid(1000)).unwrap_or(sale.invoice.confirmed_at)
}

/// What is printed of the trader: the configuration's word, else KRA's.
pub(super) fn trader_texts(configured: &TraderTexts, registration: Option<&Registration>) -> TraderTexts {
    let name = registration.map(|it| it.taxpayer_name.clone()).filter(|name| !name.is_empty());
    TraderTexts {
        name: configured.name.clone().or(name),
        address: configured.address.clone().or_else(|| registration.and_then(|it| it.address.clone())),
        ..configured.clone()
    }
}
