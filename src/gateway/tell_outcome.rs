//! One line for what became of a document, for a person who follows the journal.

use tracing::field::display;
use tracing::{error, info, warn};

use super::ports::Sale;
use crate::queue::drain::Ruling;
use crate::queue::{Seq, Status};
use crate::wire::redact;

/// Tells a ruling that is on disk. `sent`: the register's own number, where it is at hand; `sale`: where KRA said something
/// about it.
pub(super) fn tell_outcome(
    (seq, sent, sale): (Seq, Option<String>, Option<&Sale>),
    number: Option<u64>,
    ruling: &Ruling,
) {
    let invc_no = number.unwrap_or_default();
    let trd_invc_no = sale.map(|sale| sale.invoice.trader_ref.as_str()).or(sent.as_deref()).map(display);
    let result_cd = ruling.words.result_cd.as_deref();
    // KRA may repeat what must not stand in the journal.
    let kra = ruling.words.in_short();
    let kra = sale.map_or_else(|| redact::without([], &kra), |sale| sale.without_customer(&kra));
    let (attempts, unsure_sends) = (ruling.attempts, ruling.unsure_sends);
    match (&ruling.status, &ruling.proof) {
        (Status::Signed, Some(proof)) => {
            let (receipt_no, adopted) = (proof.receipt_no, ruling.adopted);
            info!(name: "sale_signed", seq, trd_invc_no, invc_no, receipt_no, adopted, "sale signed by KRA");
        }
        (Status::Rejected, _) => {
            error!(
                name: "sale_rejected",
                seq,
                trd_invc_no,
                invc_no,
                result_cd,
                kra,
                "KRA refused a sale for good, its slip is not valid: `etims-gateway queue show {seq}` says what can be done"
            );
        }
        (Status::AcceptedNoProof, _) => {
            error!(
                name: "sale_without_proof",
                seq,
                trd_invc_no,
                invc_no,
                result_cd,
                kra,
                "KRA has a sale and its proof could not be had: `etims-gateway queue show {seq}` says what can be done"
            );
        }
        (Status::Parked, _) if ruling.with_original => warn!(
            name: "sale_parked",
            seq,
            trd_invc_no,
            kra,
            "a credit note is set aside with its sale: `etims-gateway queue show {seq}` says what can be done"
        ),
        (Status::Parked, _) => error!(
            name: "sale_parked",
            seq,
            trd_invc_no,
            invc_no,
            result_cd,
            kra,
            attempts,
            "a sale is set aside, its tries are spent: `etims-gateway queue show {seq}` says what can be done"
        ),
        _ => warn!(
            name: "sale_waits",
            seq,
            trd_invc_no,
            invc_no,
            result_cd,
            kra,
            attempts,
            unsure_sends,
            "a sale stays in the queue"
        ),
    }
}
