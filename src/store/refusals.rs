//! The sales that KRA refused and nobody has settled: who posted each, and what there is to say about it. In memory, so that
//! every answer to a register can say how many are its own.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::ledger::JournalLedger;
use super::reading::Reader;
use crate::gateway::ports::{LedgerError, OpenRefusal};
use crate::queue::{Seq, Words};

/// What is known of them; which of them are still open, the store knows.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<BTreeMap<Seq, OpenRefusal>>);

impl Refusals {
    /// Those that were open when the store was opened.
    pub(super) fn read(reader: &Reader) -> Result<Self, LedgerError> {
        let refusals = Self::default();
        for document in reader.store.rejected() {
            refusals.known().insert(document, reader.refusal(document, None)?);
        }
        Ok(refusals)
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<Seq, OpenRefusal>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl JournalLedger {
    /// KRA refuses this document with these words: noted before that is on disk, so that whoever waits for it is told of it.
    pub(super) async fn note_refusal(&self, document: Seq, words: &Words) -> Result<(), LedgerError> {
        let words = words.clone();
        let refusal = self.reading(move |reader| reader.refusal(document, Some(words))).await?;
        let open = self.store().rejected();
        let mut known = self.refusals.known();
        known.retain(|document, _| open.binary_search(document).is_ok());
        known.insert(document, refusal);
        Ok(())
    }

    /// Those that are open now, in order of acceptance.
    pub(super) fn open_refusals_now(&self) -> Vec<OpenRefusal> {
        let known = self.refusals.known();
        let open = self.store().rejected();
        open.iter().filter_map(|document| known.get(document)).cloned().collect()
    }
}
