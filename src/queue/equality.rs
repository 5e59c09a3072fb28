//! Is the invoice that KRA shows under our number the one that we sent?

use super::{FoundInvoice, FoundLine};
use crate::fiscal::{Invoice, InvoiceLine, KraDateTime, Proof, ReceiptType};

/// What the comparison found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Equality {
    /// It is another invoice; the named field differs.
    Different(&'static str),
    /// It is ours, with the proof where KRA's answer holds all of it.
    Equal(Option<Proof>),
    /// KRA's answer does not hold the named field, or not readably, so nobody can say.
    Unprovable(&'static str),
}

/// What was sent under the number, beside the invoice itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentAs {
    /// `invcNo`.
    pub invoice_no: u64,
    /// `orgInvcNo`; 0 on a sale.
    pub original_invoice_no: u64,
    /// `cfmDt` as it was sent.
    pub confirmed_at: KraDateTime,
}

/// Compares KRA's invoice with ours. All that identifies a sale must agree; the order of lines is nobody's promise. A
/// field that KRA left out leaves equality unprovable, and so does any difference under our own `trdInvcNo`: only a
/// person may then say that the sale is not in.
pub fn compare(ours: &Invoice, sent: &SentAs, found: &FoundInvoice) -> Equality {
    let mut unknown = None;
    let mut different = None;
    let mut check = |field: &'static str, equal: Option<bool>| match equal {
        Some(true) => {}
        Some(false) => different = different.or(Some(field)),
        None => unknown = unknown.or(Some(field)),
    };
    let named = found.trader_ref.as_deref().map(|theirs| theirs == ours.trader_ref.as_str());
    match named {
        Some(equal) => check("trdInvcNo", Some(equal)),
        None => check("cfmDt", found.confirmed_at.map(|theirs| theirs == sent.confirmed_at)),
    }
    // A server that leaves the number out answered the question it was asked.
    check("invcNo", Some(found.invoice_no.is_none_or(|theirs| theirs == sent.invoice_no)));
    let letter = match ours.receipt_type {
        ReceiptType::CreditNote => "R",
        ReceiptType::Sale => "S",
    };
    check("rcptTyCd", found.receipt_type.as_deref().map(|theirs| theirs == letter));
    // On a sale the field says "none": left out, null and 0 are the same.
    let original = found.original_invoice_no.or((sent.original_invoice_no == 0).then_some(0));
    check("orgInvcNo", original.map(|theirs| theirs == sent.original_invoice_no));
    check("totTaxblAmt", found.total_taxable.map(|theirs| theirs == ours.total_taxable));
    check("totTaxAmt", found.total_tax.map(|theirs| theirs == ours.total_tax));
    check("totAmt", found.total.map(|theirs| theirs == ours.total));
    check("itemList", found.lines.as_deref().and_then(|lines| same_lines(ours, lines)));
    match (different, unknown) {
        (Some(field), _) if named == Some(true) => Equality::Unprovable(field),
        (Some(field), _) => Equality::Different(field),
        (None, Some(field)) => Equality::Unprovable(field),
        (None, None) => Equality::Equal(found.proof.clone()),
    }
}

/// Whether both have the same lines, in whatever order; `None` where a line of KRA's cannot be read whole.
fn same_lines(ours: &Invoice, theirs: &[FoundLine]) -> Option<bool> {
    let mut open: Vec<_> = ours.lines.iter().collect();
    for found in theirs {
        let item_code = found.item_code.as_deref()?;
        let (quantity, price, total) = (found.quantity?, found.price?, found.total?);
        let tax_type = found.tax_type.as_deref()?;
        let same = |line: &&InvoiceLine| {
            line.item_code == item_code
                && line.quantity == quantity
                && line.price == price
                && line.tax_type.letter() == tax_type
                && line.total == total
        };
        match open.iter().position(same) {
            Some(at) => {
                open.swap_remove(at);
            }
            None => return Some(false),
        }
    }
    Some(open.is_empty())
}
