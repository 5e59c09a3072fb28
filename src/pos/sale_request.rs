//! A register's sale: bytes to a draft, and on to an invoice.

use crate::fiscal::{
    Amount, Draft, DraftLine, Fault, FaultCode, Invoice, LINE_FIELDS, MAX_LINES, Quantity, Rate, Rules,
    SALE_FIELDS, TraderRef, check_trader_ref,
};

use super::json::{BadJson, Object, read_document};
use super::refusal::Refusal;

/// A sale as far as it could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaleRequest {
    /// What could be read; a field that could not is absent.
    pub draft: Draft,
    /// What could not be read, and why; empty for a sale that may be looked up as a repeat.
    pub faults: Vec<Fault>,
}

impl SaleRequest {
    /// Reads a request body. `prefix` is put before the register's own numbers (`trdInvcNo`, `orgTrdInvcNo`,
    /// `replaces`); empty for all but serial ports that ask for it.
    ///
    /// # Errors
    /// The body is not one JSON object. All else is in [`faults`](Self::faults).
    pub fn parse(body: &[u8], prefix: &str) -> Result<Self, BadJson> {
        let document = read_document(body)?;
        let mut faults = Vec::new();
        let head = Object::read(document, String::new(), &SALE_FIELDS, &mut faults)?;
        let mut lines = Vec::new();
        for (index, entry) in head.objects("itemList", MAX_LINES, &mut faults).into_iter().enumerate() {
            lines.push(match entry {
                Some(raw) => {
                    let members =
                        Object::read(raw, format!("itemList[{index}]."), &LINE_FIELDS, &mut faults)?;
                    read_line(&members, &mut faults)
                }
                None => DraftLine::default(),
            });
        }
        let draft = Draft { lines, ..read_head(&head, prefix, &mut faults) };
        Ok(Self { draft, faults })
    }

    /// The register's number with its prefix, where it is one.
    pub fn trader_ref(&self) -> Option<TraderRef> {
        self.draft.valid_trader_ref()
    }

    /// Whether all of it could be read: only then its content can be compared with an earlier sale's.
    pub fn is_readable(&self) -> bool {
        self.faults.is_empty()
    }

    /// Checks it by all the rules.
    ///
    /// # Errors
    /// Every fault at once, those of reading included, in the order of the sale's fields.
    pub fn check(self, rules: &Rules<'_>) -> Result<(Draft, Invoice), Refusal> {
        let invoice =
            Invoice::after_reading(self.draft.clone(), self.faults, rules).map_err(Refusal::Faults)?;
        Ok((self.draft, invoice))
    }
}

/// Reads and checks a sale in one go.
///
/// # Errors
/// Not JSON, or every fault at once.
pub fn check(body: &[u8], prefix: &str, rules: &Rules<'_>) -> Result<(Draft, Invoice), Refusal> {
    SaleRequest::parse(body, prefix)?.check(rules)
}

fn read_head(head: &Object<'_>, prefix: &str, faults: &mut Vec<Fault>) -> Draft {
    Draft {
        trader_ref: read_trader_ref(head, "trdInvcNo", prefix, faults),
        tin: head.text("tin", faults),
        bhf_id: head.text("bhfId", faults),
        receipt_type: head.text("rcptTyCd", faults),
        sales_type: head.text("salesTyCd", faults),
        payment_type: head.text("pmtTyCd", faults),
        confirmed_at: head.text("cfmDt", faults),
        customer_tin: head.text("custTin", faults),
        customer_name: head.text("custNm", faults),
        customer_mobile: head.text("custMblNo", faults),
        remark: head.text("remark", faults),
        original_trader_ref: read_trader_ref(head, "orgTrdInvcNo", prefix, faults),
        original_invoice_no: head.whole("orgInvcNo", faults),
        refund_reason: head.text("rfdRsnCd", faults),
        replaces: read_trader_ref(head, "replaces", prefix, faults),
        total_tax: head.decimal("totTaxAmt", Amount::parse, faults),
        total: head.decimal("totAmt", Amount::parse, faults),
        lines: Vec::new(),
    }
}

/// A register's number, checked as the register wrote it and as it is with its prefix: an odd one is never looked up.
fn read_trader_ref(head: &Object<'_>, name: &str, prefix: &str, faults: &mut Vec<Fault>) -> Option<String> {
    let own = head.text(name, faults)?;
    let prefixed = format!("{prefix}{own}");
    let checked = check_trader_ref(&own).and_then(|_| check_trader_ref(&prefixed));
    match checked {
        Ok(_) => Some(prefixed),
        Err((code, words)) => {
            let counted = if prefix.is_empty() || code != FaultCode::TooLong {
                ""
            } else {
                ", this port's prefix included"
            };
            faults.push(Fault::new(name, code, &format!("{words}{counted}")));
            None
        }
    }
}

fn read_line(line: &Object<'_>, faults: &mut Vec<Fault>) -> DraftLine {
    DraftLine {
        item_code: line.text("itemCd", faults),
        item_class: line.text("itemClsCd", faults),
        name: line.text("itemNm", faults),
        barcode: line.text("bcd", faults),
        package_unit: line.text("pkgUnitCd", faults),
        packages: line.decimal("pkg", Quantity::parse, faults),
        quantity_unit: line.text("qtyUnitCd", faults),
        quantity: line.decimal("qty", Quantity::parse, faults),
        price: line.decimal("prc", Amount::parse, faults),
        discount_rate: line.decimal("dcRt", Rate::parse, faults),
        discount: line.decimal("dcAmt", Amount::parse, faults),
        insurer_code: line.text("isrccCd", faults),
        insurer_name: line.text("isrccNm", faults),
        insurance_rate: line.decimal("isrcRt", Rate::parse, faults),
        insured: line.decimal("isrcAmt", Amount::parse, faults),
        tax_type: line.text("taxTyCd", faults),
        supply: line.decimal("splyAmt", Amount::parse, faults),
        taxable: line.decimal("taxblAmt", Amount::parse, faults),
        tax: line.decimal("taxAmt", Amount::parse, faults),
        total: line.decimal("totAmt", Amount::parse, faults),
    }
}

#[cfg(test)]
mod tests;
