//! The sales that KRA refused and nobody has settled: who posted each, and what there is to say about it. In memory, so that
//! every answer to a register can say how many are its own.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::ledger::JournalLedger;
use super::reading::Reader;
use crate::gateway::ports::{LedgerError, OpenRefusal};
use crate::queue::Seq;

/// What is known of them; which of them are still open, the store knows.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<BTreeMap<Seq, OpenRefusal>>);

impl Refusals {
    /// Those that were open when the store was opened.
    pub(super) fn read(reader: &Reader) -> Result<Self, LedgerError> {
        let refusals = Self::default();
        for document in reader.store.rejected() {
            refusals.note(reader.refusal(document)?);
        }
        Ok(refusals)
    }

    fn note(&self, refusal: OpenRefusal) {
        self.known().insert(refusal.seq, refusal);
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<Seq, OpenRefusal>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl JournalLedger {
    /// KRA has just refused this document.
    pub(super) async fn note_refusal(&self, document: Seq) -> Result<(), LedgerError> {
        let refusal = self.reading(move |reader| reader.refusal(document)).await?;
        self.refusals.note(refusal);
        Ok(())
    }

    /// Those that are open now, in order of acceptance; others are forgotten.
    pub(super) fn open_refusals_now(&self) -> Vec<OpenRefusal> {
        let open = self.store().rejected();
        let mut known = self.refusals.known();
        if known.is_empty() {
            return Vec::new();
        }
        known.retain(|document, _| open.binary_search(document).is_ok());
        known.values().cloned().collect()
    }
}
