//! Is the invoice that KRA shows under our number the one that we sent?

use super::FoundInvoice;
use crate::fiscal::{Invoice, KraDateTime, Proof, ReceiptType};

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

/// Compares KRA's invoice with ours. All that identifies a sale must agree; a field that KRA left out decides nothing
/// by itself, and leaves equality unprovable unless another field already differs.
pub fn compare(ours: &Invoice, sent: &SentAs, found: &FoundInvoice) -> Equality {
    let mut missing = None;
    let mut check = |field: &'static str, equal: Option<bool>| match equal {
        Some(true) => None,
        Some(false) => Some(field),
        None => {
            missing.get_or_insert(field);
            None
        }
    };
    let letter = match ours.receipt_type {
        ReceiptType::CreditNote => "R",
        ReceiptType::Sale => "S",
    };
    let trader_ref = found.trader_ref.as_deref().map(|theirs| theirs == ours.trader_ref.as_str());
    let identified = match trader_ref {
        Some(equal) => check("trdInvcNo", Some(equal)),
        None => check("cfmDt", found.confirmed_at.map(|theirs| theirs == sent.confirmed_at)),
    };
    // A server that leaves the number out answered the question it was asked.
    let number = found.invoice_no.is_some_and(|theirs| theirs != sent.invoice_no).then_some("invcNo");
    let different = identified
        .or(number)
        .or_else(|| check("rcptTyCd", found.receipt_type.as_deref().map(|theirs| theirs == letter)))
        .or_else(|| {
            // On a sale the field says "none": left out, null and 0 are the same.
            let theirs = found.original_invoice_no.or((sent.original_invoice_no == 0).then_some(0));
            check("orgInvcNo", theirs.map(|theirs| theirs == sent.original_invoice_no))
        })
        .or_else(|| check("totTaxblAmt", found.total_taxable.map(|theirs| theirs == ours.total_taxable)))
        .or_else(|| check("totTaxAmt", found.total_tax.map(|theirs| theirs == ours.total_tax)))
        .or_else(|| check("totAmt", found.total.map(|theirs| theirs == ours.total)))
        .or_else(|| match &found.lines {
            None => check("itemList", None),
            Some(lines) if lines.len() != ours.lines.len() => Some("itemList"),
            Some(lines) => lines.iter().zip(&ours.lines).find_map(|(theirs, line)| {
                check("itemList.itemCd", theirs.item_code.as_deref().map(|code| code == line.item_code))
                    .or_else(|| check("itemList.qty", theirs.quantity.map(|it| it == line.quantity)))
                    .or_else(|| check("itemList.prc", theirs.price.map(|it| it == line.price)))
                    .or_else(|| {
                        check(
                            "itemList.taxTyCd",
                            theirs.tax_type.as_deref().map(|it| it == line.tax_type.letter()),
                        )
                    })
                    .or_else(|| check("itemList.totAmt", theirs.total.map(|it| it == line.total)))
            }),
        });
    match (different, missing) {
        (Some(field), _) => Equality::Different(field),
        (None, Some(field)) => Equality::Unprovable(field),
        (None, None) => Equality::Equal(found.proof.clone()),
    }
}
