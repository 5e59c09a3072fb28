//! The newest sale of each port or socket: what a register that was restarted compares its own with. In memory from the
//! first time that it is asked for or sold; before that it is looked for in the journal, from its end.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::ledger::JournalLedger;
use super::reading::{Reader, read_failed};
use super::{Effect, Kind, ReadError};
use crate::fiscal::TraderRef;
use crate::gateway::ports::{LedgerError, Sale};
use crate::queue::Seq;

/// Sales of one step backwards.
const PAGE: usize = 256;
/// Sales that are looked through at most: a shop's last weeks. A register whose last sale is older hears of none, and what
/// it sends again is known by its number all the same.
const MOST: usize = 50_000;

/// By port: running number and the register's number.
#[derive(Debug, Default)]
pub(super) struct NewestSales(Mutex<HashMap<String, (Seq, Option<String>)>>);

impl NewestSales {
    /// A sale was committed.
    pub(super) fn sold(&self, origin: &str, seq: Seq, trader_ref: &TraderRef) {
        self.note(origin, seq, Some(trader_ref.to_string()));
    }

    /// What was found; what was sold meanwhile is newer.
    fn note(&self, origin: &str, seq: Seq, trader_ref: Option<String>) {
        let mut newest = self.locked();
        let known = newest.entry(origin.to_owned()).or_default();
        if seq >= known.0 {
            *known = (seq, trader_ref);
        }
    }

    fn of(&self, origin: &str) -> Option<Option<String>> {
        self.locked().get(origin).map(|(_, trader_ref)| trader_ref.clone())
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<String, (Seq, Option<String>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl JournalLedger {
    pub(super) async fn newest_sale(&self, origin: &str) -> Result<Option<Sale>, LedgerError> {
        if self.newest.of(origin).is_none() {
            let wanted = origin.to_owned();
            let found = self.reading(move |reader| reader.newest_from(&wanted)).await?;
            let (seq, trader_ref) = found.map_or((0, None), |(seq, trader_ref)| (seq, Some(trader_ref)));
            self.newest.note(origin, seq, trader_ref);
        }
        match self.newest.of(origin).flatten() {
            Some(trader_ref) => self.reading(move |reader| reader.find(&trader_ref)).await,
            None => Ok(None),
        }
    }
}

impl Reader {
    fn newest_from(&self, origin: &str) -> Result<Option<(Seq, String)>, LedgerError> {
        let (mut before, mut looked) = (None, 0);
        while looked < MOST {
            let sales = match self.store.records_before(before, Some(Kind::Sale), PAGE) {
                Ok(sales) => sales,
                // Older than what can be read; the damage has an alert of its own.
                Err(ReadError::Damaged(_)) => return Ok(None),
                Err(error) => return Err(read_failed(&error)),
            };
            for sale in &sales {
                before = Some(sale.seq);
                if let Effect::Document { key, .. } = &sale.effect
                    && sale.origin == origin
                {
                    return Ok(Some((sale.seq, key.clone())));
                }
            }
            if sales.len() < PAGE {
                break;
            }
            looked += sales.len();
        }
        Ok(None)
    }
}
