//! KRA's proof of an accepted invoice, and what the till may print.

use super::KraDateTime;

/// The five fields with which KRA answers for an accepted invoice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// `curRcptNo`: the count of receipts of this kind.
    pub receipt_no: u64,
    /// `totRcptNo`: the count of all receipts.
    pub total_receipt_no: u64,
    /// `intrlData`: 26 characters.
    pub internal_data: String,
    /// `rcptSign`: 16 characters.
    pub signature: String,
    /// `sdcDateTime`: the official time of the receipt.
    pub issued_at: KraDateTime,
}
