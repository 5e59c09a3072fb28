//! A credit note against the sale that it names: which that is, whether it can be credited, and how much of it is left.

use tracing::warn;

use super::accept_sale::Refused;
use super::ports::{Credit, Creditable};
use crate::fiscal::{Fault, FaultCode, Invoice, Original, SalesType, credit};
use crate::queue::{Settlement, Status};

/// Checks a credit note against the sale that it names, which it is completed by; what it takes of that. `None`: it is on an
/// invoice that was made elsewhere, or is practice, and nobody knows what is left.
///
/// # Errors
/// Each names the field, and says what is left where that is what it is about.
pub(super) fn credited_by(
    note: &mut Invoice,
    named: &Original,
    found: Option<&Creditable>,
) -> Result<Option<Credit>, Refused> {
    let field = match named {
        Original::InvoiceNo(_) => "orgInvcNo",
        Original::TraderRef(_) => "orgTrdInvcNo",
    };
    let Some(found) = found else {
        return match named {
            Original::InvoiceNo(org_invc_no) => {
                let trd_invc_no = &note.trader_ref;
                warn!(
                    %trd_invc_no,
                    org_invc_no,
                    "a credit note on an invoice that is not in these books: what is left of that is not checked here"
                );
                Ok(None)
            }
            Original::TraderRef(_) => {
                let words = "names no sale of these books; one that was made elsewhere, or longer ago than sales are kept, is \
                             named by KRA's number: orgInvcNo";
                Err(refused(Fault::new(field, FaultCode::NotFound, words)))
            }
        };
    };
    if let Some(words) = why_not(found) {
        return Err(refused(Fault::new(field, FaultCode::NotAllowed, words)));
    }
    credit(&found.sale.invoice, field, note).map_err(Refused::Faults)?;
    let taken = found.take(note).map_err(Refused::Faults)?;
    note.original = Some(Original::TraderRef(taken.trader_ref.clone()));
    Ok(Some(taken))
}

fn refused(fault: Fault) -> Refused {
    Refused::Faults(vec![fault])
}

/// Why a sale that stands like this cannot be credited, for a cashier.
fn why_not(original: &Creditable) -> Option<&'static str> {
    let sale = &original.sale;
    if sale.invoice.sales_type != SalesType::Normal {
        // Told with all else that is wrong.
        return None;
    }
    match (sale.status, sale.settled_as()) {
        (Status::Rejected, _) => Some(
            "names a sale that KRA refused: there is no invoice to credit; post the corrected sale under a new trdInvcNo, with \
             replaces",
        ),
        (Status::Settled, Some(Settlement::Accepted)) if sale.invoice_no.is_some() => None,
        (Status::Settled, Some(Settlement::Accepted)) => {
            Some("names a sale whose number in KRA's books is not known: name it by that number, orgInvcNo")
        }
        (Status::Settled, Some(Settlement::Elsewhere)) => {
            Some("names a sale that was given to KRA in another way: it is credited there")
        }
        (Status::Settled, Some(Settlement::NotAccepted)) => {
            Some("names a sale that KRA does not have: there is no invoice to credit")
        }
        (Status::Settled, None) => Some("names a sale that another one has replaced: credit that one"),
        (
            Status::AcceptedNoProof | Status::NotFiscal | Status::Parked | Status::Pending | Status::Signed,
            _,
        ) => None,
    }
}
