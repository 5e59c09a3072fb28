//! What a till prints: the facts of one receipt, laid out as KRA's certifiers want them, for paper of any width; pure.
//!
//! [`Receipt`] holds everything that stands on the paper. `layout` puts it into [`Row`]s, in the order and the words that
//! are asked for (section 9 of the facts about KRA); [`text`] and [`escpos`] write those rows for a plain printer and for
//! one that speaks ESC/POS, and [`json`] gives the same facts to a till that lays them out itself.
//!
//! Before KRA has answered there is no receipt number, no signature and no QR code: what is printed then says in big letters
//! that it is no fiscal receipt.

mod escpos;
mod figures;
mod json;
mod layout;
mod row;
#[cfg(test)]
mod tests;
mod text;

use crate::fiscal::{Invoice, KraDateTime, Proof};

pub use escpos::escpos;
pub use json::json;
pub use row::{NARROWEST, Row, Size};
pub use text::text;

/// Everything that stands on one receipt.
#[derive(Clone, Copy, Debug)]
pub struct Receipt<'a> {
    /// Who sells.
    pub heading: &'a Heading,
    /// What was sold.
    pub invoice: &'a Invoice,
    /// The register's number of it, as that register knows it.
    pub trader_ref: &'a str,
    /// What KRA has said of it.
    pub standing: Standing<'a>,
    /// A further print of what was printed before.
    pub copy: bool,
    /// The CU invoice number of what a credit note undoes, once KRA has given it one.
    pub original: Option<&'a str>,
    /// The register's number of what a credit note undoes.
    pub original_trader_ref: Option<&'a str>,
    /// It was made on the simulator.
    pub simulated: bool,
}

/// Who sells, as it is printed above and below; frozen when the receipt is issued.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heading {
    /// The trader's name.
    pub name: String,
    /// Where the shop is.
    pub address: Option<String>,
    /// Printed above the goods.
    pub top_message: Option<String>,
    /// Printed at the end.
    pub bottom_message: Option<String>,
}

/// What KRA has said of a sale.
#[derive(Clone, Copy, Debug)]
pub enum Standing<'a> {
    /// Practice or a quotation: KRA is never told.
    NotFiscal,
    /// KRA refused it: the slip is not valid.
    Refused(Slip<'a>),
    /// KRA accepted it.
    Signed(Signed<'a>),
    /// KRA was not heard yet.
    Waiting(Slip<'a>),
}

/// What only KRA can give.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// The five fields.
    pub proof: &'a Proof,
    /// `sdcId`.
    pub scu_id: &'a str,
    /// The link in the QR code.
    pub qr_url: &'a str,
}

impl Signed<'_> {
    /// `sdcId/curRcptNo`: the number that a credit note must name.
    pub fn cu_invoice_no(&self) -> String {
        format!("{}/{}", self.scu_id, self.proof.receipt_no)
    }
}

/// What the gateway itself gives for a sale that KRA has not signed.
#[derive(Clone, Copy, Debug)]
pub struct Slip<'a> {
    /// `tempReceiptNo`.
    pub number: &'a str,
    /// `localSignature`.
    pub signature: &'a str,
    /// When the gateway took the sale.
    pub accepted_at: KraDateTime,
}
