//! One line for what became of a document, for a person who follows the journal.

use tracing::{error, info, warn};

use super::ports::Sale;
use crate::queue::drain::Ruling;
use crate::queue::{Seq, Status};
use crate::wire::redact;

/// Tells a ruling that is on disk. `sale`: where KRA said something about it.
pub(super) fn tell_outcome((seq, sale): (Seq, Option<&Sale>), number: Option<u64>, ruling: &Ruling) {
    let invc_no = number.unwrap_or_default();
    let trd_invc_no = sale.map(|sale| sale.invoice.trader_ref.as_str()).unwrap_or_default();
    // KRA may repeat what must not stand in the journal.
    let kra = ruling.words.in_short();
    let kra = sale.map_or_else(|| redact::without([], &kra), |sale| sale.without_customer(&kra));
    let (attempts, unsure_sends) = (ruling.attempts, ruling.unsure_sends);
    match (&ruling.status, &ruling.proof) {
        (Status::Signed, Some(proof)) => {
            let (receipt_no, adopted) = (proof.receipt_no, ruling.adopted);
            info!(seq, invc_no, receipt_no, adopted, "sale signed by KRA");
        }
        (Status::Rejected, _) => {
            error!(
                seq,
                %trd_invc_no,
                invc_no,
                kra,
                "KRA refused a sale for good, its slip is not valid: `etims-gateway queue show {seq}` says what can be done"
            );
        }
        (Status::AcceptedNoProof, _) => {
            error!(
                seq,
                %trd_invc_no,
                invc_no,
                kra,
                "KRA has a sale and its proof could not be had: `etims-gateway queue show {seq}` says what can be done"
            );
        }
        (Status::Parked, _) if ruling.with_original => warn!(
            seq,
            %trd_invc_no,
            kra,
            "a credit note is set aside with its sale: `etims-gateway queue show {seq}` says what can be done"
        ),
        (Status::Parked, _) => error!(
            seq,
            %trd_invc_no,
            invc_no,
            kra,
            attempts,
            "a sale is set aside, its tries are spent: `etims-gateway queue show {seq}` says what can be done"
        ),
        _ => warn!(seq, %trd_invc_no, invc_no, kra, attempts, unsure_sends, "a sale stays in the queue"),
    }
}
