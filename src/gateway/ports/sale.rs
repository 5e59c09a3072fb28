//! A sale as it is kept.

use std::time::Duration;

use crate::fiscal::{Invoice, Original as Named, Proof, ReceiptType, Tin, TraderRef};
use crate::queue::{Seen, SentAs, Seq, Settlement, Status, Words};
use crate::wire::sale::TraderTexts;
use crate::wire::{FrozenRequest, redact};

/// A sale as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sale {
    /// Its running number.
    pub seq: Seq,
    /// The port or socket that it came by.
    pub origin: String,
    /// The hash of its record.
    pub hash: [u8; 32],
    /// Our signature over its content and acceptance time.
    pub signature: [u8; 64],
    /// Wall clock at acceptance, milliseconds since 1970.
    pub accepted_ms: i64,
    /// How long ago that was, by a clock that does not jump where the machine was not restarted since.
    pub age: Duration,
    /// The wall clock was not synchronised when it was accepted.
    pub clock_doubtful: bool,
    /// The wall clock was wrong then, perhaps, and the age is right: the machine was not restarted since.
    pub time_can_be_mended: bool,
    /// The hash of the request's content.
    pub content: [u8; 32],
    /// The sale.
    pub invoice: Invoice,
    /// The sale that a credit note undoes, where that is in these books.
    pub credits: Option<Seq>,
    /// It is a credit note, and its sale waits for KRA.
    pub waits_for_sale: bool,
    /// Where it stands.
    pub status: Status,
    /// The number it is, or was last, bound to.
    pub invoice_no: Option<u64>,
    /// Tries used.
    pub attempts: u32,
    /// Sends whose outcome is unknown.
    pub unsure_sends: u32,
    /// KRA's proof.
    pub proof: Option<Proof>,
    /// KRA's last words about it.
    pub words: Option<Words>,
    /// The person's act that put it where it stands, if one did.
    pub acted: Option<Acted>,
}

/// What a person did, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acted {
    /// The command's word.
    pub act: String,
    /// Why, in the person's words.
    pub reason: Option<String>,
    /// Who.
    pub who: String,
}

/// The word for a refused sale that a correction took the place of.
const REPLACED: &str = "replaced";

impl Acted {
    /// A register posted this sale in the place of a refused one.
    pub fn replaced_by(sale: &TraderRef) -> Self {
        Self { act: REPLACED.to_owned(), reason: None, who: sale.to_string() }
    }

    /// As what it closed a document, if it did.
    pub fn settlement(&self) -> Option<Settlement> {
        Settlement::from_word(self.act.strip_prefix("settle-")?)
    }
}

impl Sale {
    /// The register's number of the sale that took this one's place, where one did.
    pub fn replaced_by(&self) -> Option<&str> {
        self.acted.as_ref().filter(|acted| acted.act == REPLACED).map(|acted| acted.who.as_str())
    }

    /// The register's number of the sale that a credit note undoes, as the note was posted.
    pub fn named_original(&self) -> Option<&str> {
        match &self.invoice.original {
            Some(Named::TraderRef(own)) => Some(own.as_str()),
            Some(Named::InvoiceNo(_)) | None => None,
        }
    }

    /// KRA's number of an invoice that was made elsewhere, which a credit note undoes: what is left of that is not known.
    pub fn original_elsewhere(&self) -> Option<u64> {
        match self.invoice.original {
            Some(Named::InvoiceNo(number)) => Some(number),
            Some(Named::TraderRef(_)) | None => None,
        }
    }

    /// As what a person closed it.
    pub fn settled_as(&self) -> Option<Settlement> {
        self.acted.as_ref().filter(|_| self.status == Status::Settled)?.settlement()
    }

    /// KRA's last words about it with nothing in them of its customer, as journal and alerts may show them.
    pub fn words_without_customer(&self) -> Option<Words> {
        let words = self.words.clone()?;
        Some(Words { message: self.without_customer(&words.message), ..words })
    }

    /// The text with nothing in it of the sale's customer, however it is spelt.
    pub fn without_customer(&self, text: &str) -> String {
        let customer = &self.invoice.customer;
        let tin = customer.tin.as_ref().map(Tin::as_str);
        let values = [tin, customer.name.as_deref(), customer.mobile.as_deref()];
        redact::without(values.into_iter().flatten(), text)
    }

    /// How it stands: what a command about it has to say.
    pub const fn seen(&self) -> Seen {
        Seen {
            status: self.status,
            invoice_no: self.invoice_no,
            attempts: self.attempts,
            unsure_sends: self.unsure_sends,
        }
    }

    /// It is no sale.
    pub fn is_credit_note(&self) -> bool {
        self.invoice.receipt_type == ReceiptType::CreditNote
    }

    /// It may be in KRA's books, and nobody knows yet.
    pub fn in_doubt(&self) -> bool {
        self.status == Status::Pending && self.unsure_sends > 0
    }
}

/// What BIND keeps: a number and the exact bytes that are sent under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The number, and what else KRA's books would show.
    pub sent_as: SentAs,
    /// The bytes.
    pub request: FrozenRequest,
    /// What its receipt says of the trader.
    pub trader: TraderTexts,
}

/// What a receipt is printed from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Printing {
    /// The sale.
    pub sale: Sale,
    /// What is said of the trader, where it was frozen with a number.
    pub trader: Option<TraderTexts>,
    /// The sale that a credit note undoes, where that is in these books.
    pub original: Option<super::Original>,
    /// The print of the original, if it was printed.
    pub printed: Option<PrintedOriginal>,
}

/// That the original of a receipt was printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrintedOriginal {
    /// Once more, after the paper jammed.
    pub again: bool,
    /// How long ago, by a clock that does not jump where the machine was not restarted since.
    pub age: Duration,
}
