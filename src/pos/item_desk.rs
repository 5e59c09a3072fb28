//! What a till asks about items, and what it is answered.

use std::time::Duration;

use super::desk::{Desk, ledger_refusal};
use super::item_reply::{ItemKept, ItemsShown, ItemsSynced};
use super::item_request::{Batch, parse_item};
use super::refusal::Refusal;
use super::reply::Reply;
use crate::fiscal::{Fault, FaultCode};
use crate::gateway::ports::{Authority, Clock, ItemLog, SHELVED_AT_ONCE};
use crate::gateway::{MOST_ITEMS, NotKept, Refreshed, Synced};

/// How long a batch waits for KRA's codes.
const PATIENCE: Duration = Duration::from_secs(1);

impl<L: ItemLog, A: Authority, C: Clock> Desk<L, A, C> {
    pub(super) async fn post_item(&self, body: &[u8]) -> Result<Reply, Refusal> {
        match self.keeping.keep(parse_item(body)?).await {
            Ok((came, kept)) => Ok(Reply::ItemKept(ItemKept::new(came, &kept))),
            Err(NotKept::Faults(faults)) => Err(Refusal::Faults(faults)),
            Err(NotKept::Ledger(error)) => Err(ledger_refusal(&error)),
            Err(NotKept::Full) => {
                let words = format!("finds no place: the catalogue holds {MOST_ITEMS} items and is full");
                Err(Refusal::Faults(vec![Fault::new("itemCd", FaultCode::TooMany, &words)]))
            }
        }
    }

    pub(super) async fn sync_items(&self, body: &[u8]) -> Result<Reply, Refusal> {
        let batch = Batch::parse(body)?.map_err(Refusal::Faults)?;
        // KRA's codes first; where KRA is away or slow, they are checked by those of the last time.
        let stale = self.refresher.refresh_now(PATIENCE).await != Refreshed::Fresh;
        let mut synced = Synced::default();
        // Sales come between two parts.
        for part in batch.parts(SHELVED_AT_ONCE) {
            self.keeping.keep_part(part, &mut synced).await.map_err(|error| ledger_refusal(&error))?;
        }
        Ok(Reply::ItemsSynced(Box::new(ItemsSynced::new(synced, stale))))
    }

    pub(super) fn show_item(&self, code: &str) -> Result<Reply, Refusal> {
        let kept = self.keeping.catalogue.get(code).ok_or(Refusal::NotFound { what: "item" })?;
        Ok(Reply::Item(Box::new(kept.into())))
    }

    pub(super) fn list_items(&self, words: &str, limit: usize) -> Reply {
        let found = self.keeping.catalogue.search(words, limit);
        Reply::Items(Box::new(ItemsShown::new(found, self.keeping.clock.kra_now())))
    }
}
