//! A sale that corrects one that KRA refused: both change in one commit, so that no crash and no technician comes between.

use super::ledger::JournalLedger;
use super::{Condition, NewRecord};
use crate::fiscal::{ReceiptType, TraderRef};
use crate::gateway::ports::{Acted, LedgerError, Sale};
use crate::queue::Status;
use crate::queue::drain::{NumberFate, Ruling};

impl JournalLedger {
    /// What becomes of `old` in the commit of `new`, which must be of the same kind, and how it has to stand then.
    pub(super) async fn replacement(
        &self,
        old: &TraderRef,
        new: (&TraderRef, ReceiptType),
    ) -> Result<(NewRecord, Condition), LedgerError> {
        let key = old.to_string();
        let found = self.reading(move |reader| reader.find(&key)).await?;
        let (new, kind) = new;
        let sale = match found {
            Some(sale) if sale.status == Status::Rejected && sale.invoice.receipt_type != kind => {
                return Err(LedgerError::CannotReplace(
                    "names a document of another kind: a sale replaces a sale, a credit note a credit note",
                ));
            }
            Some(sale) if sale.status == Status::Rejected => sale,
            other => return Err(LedgerError::CannotReplace(why_not(other.as_ref()))),
        };
        let ruling = Ruling {
            status: Status::Settled,
            attempts: sale.attempts,
            unsure_sends: sale.unsure_sends,
            number: NumberFate::Kept,
            proof: None,
            adopted: false,
            accepted: false,
            with_original: false,
            words: sale.words.unwrap_or_default(),
        };
        let outcome = self.outcome_record(sale.seq, &ruling, Some(&Acted::replaced_by(new)));
        Ok((outcome, Condition { document: sale.seq, status: Status::Rejected }))
    }
}

/// Why this sale cannot be replaced, for a cashier.
pub(super) fn why_not(old: Option<&Sale>) -> &'static str {
    match old.map(|sale| (sale.status, sale.replaced_by())) {
        None => "must name a sale that KRA refused; no sale here has that number",
        Some((Status::AcceptedNoProof | Status::Signed, _)) => {
            "names a sale that KRA has accepted: it is corrected by a credit note"
        }
        Some((Status::NotFiscal, _)) => "names a training sale or quotation, which KRA never gets",
        Some((Status::Parked, _)) => {
            "names a sale that is set aside and not refused: a technician decides about it"
        }
        Some((Status::Pending, _)) => "names a sale that still waits for KRA and is not refused",
        Some((Status::Settled, Some(_))) => "names a sale that another one has replaced already",
        Some((Status::Settled, None)) => "names a sale that a technician has closed",
        // It was refused again between two looks.
        Some((Status::Rejected, _)) => "names a sale that changes at this moment: send it again",
    }
}
