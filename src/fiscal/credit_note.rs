//! What a credit note points back to, and what must and must not be said on it.

use super::check::Place;
use super::{Codes, FaultCode, ReceiptType, TraderRef};

/// Which invoice a credit note undoes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Original {
    /// Issued elsewhere, or known by KRA's number.
    InvoiceNo(u64),
    /// One of ours, by the register's number; KRA's number is filled in at binding.
    TraderRef(TraderRef),
}

/// Checks what points back: a credit note names its original one way and its reason; a sale names neither.
/// `orgInvcNo` 0 says "none", as KRA itself writes it.
pub(super) fn check_original(
    place: &mut Place<'_>,
    receipt_type: ReceiptType,
    named: Named,
    codes: &Codes,
) -> (Option<Original>, Option<String>) {
    let invoice_no = named.invoice_no.filter(|number| *number != 0);
    match receipt_type {
        ReceiptType::CreditNote => {
            let reason = place.needed("rfdRsnCd", named.reason);
            let reason = place.code("rfdRsnCd", reason, Codes::REFUND_REASON, codes);
            (check_named(place, named.own, named.trader_ref, invoice_no), reason)
        }
        ReceiptType::Sale => {
            let given = [
                ("orgTrdInvcNo", named.trader_ref.is_some()),
                ("orgInvcNo", invoice_no.is_some()),
                ("rfdRsnCd", named.reason.is_some()),
            ];
            for (name, _) in given.into_iter().filter(|(_, is_given)| *is_given) {
                place.fault(name, FaultCode::NotAllowed, "belongs on a credit note (rcptTyCd R) only");
            }
            (None, None)
        }
    }
}

/// What a draft says of its original.
pub(super) struct Named {
    /// The draft's own `trdInvcNo`.
    pub(super) own: Option<TraderRef>,
    /// `orgTrdInvcNo`.
    pub(super) trader_ref: Option<String>,
    /// `orgInvcNo`.
    pub(super) invoice_no: Option<u64>,
    /// `rfdRsnCd`.
    pub(super) reason: Option<String>,
}

fn check_named(
    place: &mut Place<'_>,
    own: Option<TraderRef>,
    trader_ref: Option<String>,
    invoice_no: Option<u64>,
) -> Option<Original> {
    match (trader_ref, invoice_no) {
        (Some(_), Some(_)) => {
            place.fault("orgInvcNo", FaultCode::Conflict, "must not be given together with orgTrdInvcNo");
            None
        }
        (None, None) => {
            if !place.is_any_unreadable(&["orgInvcNo"]) {
                let words = "is required on a credit note, or else orgInvcNo";
                place.fault("orgTrdInvcNo", FaultCode::Required, words);
            }
            None
        }
        (None, Some(number)) => Some(Original::InvoiceNo(number)),
        (Some(text), None) => {
            let original = place.trader_ref("orgTrdInvcNo", Some(text))?;
            if own.as_ref() == Some(&original) {
                place.fault(
                    "orgTrdInvcNo",
                    FaultCode::NotAllowed,
                    "must not be the credit note's own trdInvcNo",
                );
                return None;
            }
            Some(Original::TraderRef(original))
        }
    }
}
