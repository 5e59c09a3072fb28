//! A sale as the register says it: each value typed, nothing filled in, nothing checked against another.

use super::{Amount, Original, Quantity, Rate, TraderRef};

/// A sale as the register posted it, each value typed but nothing filled in and nothing checked against another.
/// Two requests with equal drafts are the same sale.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    /// `trdInvcNo`.
    pub trader_ref: Option<String>,
    /// `tin`: must be the device's.
    pub tin: Option<String>,
    /// `bhfId`: must be the device's.
    pub bhf_id: Option<String>,
    /// `rcptTyCd`.
    pub receipt_type: Option<String>,
    /// `salesTyCd`.
    pub sales_type: Option<String>,
    /// `pmtTyCd`.
    pub payment_type: Option<String>,
    /// `cfmDt`: RFC 3339 or 14 digits of Nairobi time.
    pub confirmed_at: Option<String>,
    /// `custTin`.
    pub customer_tin: Option<String>,
    /// `custNm`.
    pub customer_name: Option<String>,
    /// `custMblNo`.
    pub customer_mobile: Option<String>,
    /// `remark`.
    pub remark: Option<String>,
    /// `orgTrdInvcNo`: the original of a credit note, by the register's number.
    pub original_trader_ref: Option<String>,
    /// `orgInvcNo`: the original by KRA's number.
    pub original_invoice_no: Option<u64>,
    /// `rfdRsnCd`.
    pub refund_reason: Option<String>,
    /// `replaces`: the rejected sale that this one corrects.
    pub replaces: Option<String>,
    /// `totTaxAmt`, checked.
    pub total_tax: Option<Amount>,
    /// `totAmt`, checked.
    pub total: Option<Amount>,
    /// `itemList`.
    pub lines: Vec<DraftLine>,
}

/// One line of a [`Draft`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DraftLine {
    /// `itemCd`.
    pub item_code: Option<String>,
    /// `itemClsCd`.
    pub item_class: Option<String>,
    /// `itemNm`.
    pub name: Option<String>,
    /// `bcd`.
    pub barcode: Option<String>,
    /// `pkgUnitCd`.
    pub package_unit: Option<String>,
    /// `pkg`.
    pub packages: Option<Quantity>,
    /// `qtyUnitCd`.
    pub quantity_unit: Option<String>,
    /// `qty`.
    pub quantity: Option<Quantity>,
    /// `prc`.
    pub price: Option<Amount>,
    /// `dcRt`.
    pub discount_rate: Option<Rate>,
    /// `dcAmt`.
    pub discount: Option<Amount>,
    /// `isrccCd`.
    pub insurer_code: Option<String>,
    /// `isrccNm`.
    pub insurer_name: Option<String>,
    /// `isrcRt`.
    pub insurance_rate: Option<Rate>,
    /// `isrcAmt`.
    pub insured: Option<Amount>,
    /// `taxTyCd`.
    pub tax_type: Option<String>,
    /// `splyAmt`, checked.
    pub supply: Option<Amount>,
    /// `taxblAmt`, checked.
    pub taxable: Option<Amount>,
    /// `taxAmt`, checked.
    pub tax: Option<Amount>,
    /// `totAmt`, checked.
    pub total: Option<Amount>,
}

impl Draft {
    /// The register's number, where it is one: what a repeat is known by, before any rule is looked at.
    pub fn valid_trader_ref(&self) -> Option<TraderRef> {
        self.trader_ref.as_deref().and_then(|text| TraderRef::new(text).ok())
    }

    /// The sale that a real credit note names, in one way; what is wrong with it otherwise the rules say.
    pub fn named_original(&self) -> Option<Original> {
        let real = self.sales_type.as_deref().is_none_or(|code| code == "N");
        if self.receipt_type.as_deref() != Some("R") || !real {
            return None;
        }
        match (self.original_trader_ref.as_deref(), self.original_invoice_no.filter(|number| *number != 0)) {
            (Some(text), None) => TraderRef::new(text).ok().map(Original::TraderRef),
            (None, Some(number)) => Some(Original::InvoiceNo(number)),
            _ => None,
        }
    }
}
