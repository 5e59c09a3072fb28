//! The shelf as the verbs see it: items and code lists instead of records.

use super::ledger::{JournalLedger, commit_failed};
use super::reading::read_failed;
use super::{Effect, Kind, NewRecord};
use crate::gateway::ports::{LedgerError, SHELVED_AT_ONCE, Shelf, Shelved, Shelves};

const fn kind_of(shelf: Shelf) -> Kind {
    match shelf {
        Shelf::Codes => Kind::Codes,
        Shelf::Items => Kind::Item,
    }
}

impl Shelves for JournalLedger {
    fn read_all(&self, shelf: Shelf, each: &mut dyn FnMut(Shelved)) -> Result<u64, LedgerError> {
        let mut give = |record: super::Record| {
            if let Effect::Shelved { key } = record.effect {
                each(Shelved { key, content: record.body });
            }
        };
        let damage = self.store.read_shelf(kind_of(shelf), &mut give).map_err(|error| read_failed(&error))?;
        Ok(u64::try_from(damage.len()).unwrap_or(u64::MAX))
    }

    async fn put(&self, shelf: Shelf, entries: Vec<Shelved>) -> Result<(), LedgerError> {
        if entries.len() > SHELVED_AT_ONCE {
            return Err(LedgerError::TooLarge);
        }
        if entries.is_empty() {
            return Ok(());
        }
        let stamp = (self.stamp)();
        let records = entries.into_iter().map(|Shelved { key, content }| NewRecord {
            kind: kind_of(shelf),
            stamp,
            origin: String::new(),
            effect: Effect::Shelved { key },
            body: content,
            signature: None,
        });
        self.store.commit(records.collect()).await.map(|_| ()).map_err(commit_failed)
    }
}
