//! The catalogue's items on the shelf.

use super::item_body::{read_item, write_item};
use super::ledger::JournalLedger;
use crate::gateway::ports::{ItemLog, KeptItem, LedgerError, Shelf, Shelved, Shelves};

impl ItemLog for JournalLedger {
    fn read_items(&self, each: &mut dyn FnMut(KeptItem)) -> Result<u64, LedgerError> {
        let mut unreadable = 0;
        let damaged =
            self.read_all(Shelf::Items, &mut |Shelved { key, content }| match read_item(&content)
                .filter(|kept| kept.item.code == key)
            {
                Some(kept) => each(kept),
                None => unreadable += 1,
            })?;
        Ok(damaged + unreadable)
    }

    async fn put_items(&self, items: &[KeptItem]) -> Result<(), LedgerError> {
        let entries =
            items.iter().map(|kept| Shelved { key: kept.item.code.clone(), content: write_item(kept) });
        self.put(Shelf::Items, entries.collect()).await
    }
}
