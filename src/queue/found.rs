//! An invoice as KRA's books show it: what a look-up is compared with.

use crate::fiscal::{Amount, KraDateTime, Proof, Quantity};

/// What `selectInvoiceDetails` answers, as far as it could be read. A field that KRA left out, or wrote so that it
/// cannot be read, is `None`: equality is then unprovable, not false.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundInvoice {
    /// `invcNo`.
    pub invoice_no: Option<u64>,
    /// `trdInvcNo`.
    pub trader_ref: Option<String>,
    /// `rcptTyCd`, KRA's letter.
    pub receipt_type: Option<String>,
    /// `orgInvcNo`; 0 where there is none.
    pub original_invoice_no: Option<u64>,
    /// `cfmDt`.
    pub confirmed_at: Option<KraDateTime>,
    /// `totTaxblAmt`.
    pub total_taxable: Option<Amount>,
    /// `totTaxAmt`.
    pub total_tax: Option<Amount>,
    /// `totAmt`.
    pub total: Option<Amount>,
    /// `itemList`; `None` where it is missing or cannot be read.
    pub lines: Option<Vec<FoundLine>>,
    /// `rcptSign` alone: what the series is recognised by.
    pub signature: Option<String>,
    /// The five proof fields, where all of them could be read.
    pub proof: Option<Proof>,
}

/// One line of a [`FoundInvoice`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundLine {
    /// `itemCd`.
    pub item_code: Option<String>,
    /// `qty`.
    pub quantity: Option<Quantity>,
    /// `prc`.
    pub price: Option<Amount>,
    /// `taxTyCd`, KRA's letter.
    pub tax_type: Option<String>,
    /// `totAmt`.
    pub total: Option<Amount>,
}
