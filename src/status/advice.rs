//! What a person is to do, in words that several places use.

/// What the shop must know of a sale that KRA refused after the slip was given (delivery, section 8).
pub fn advice_on_refused(trader_ref: &str) -> String {
    format!(
        "KRA has no invoice for this sale: the slip is not valid, and tax is due. Post the corrected sale under a new \
         trdInvcNo with \"replaces\":{trader_ref:?}; no credit note"
    )
}
