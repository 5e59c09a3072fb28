//! The catalogue: every item, in memory as small as may be, over what the store keeps.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::ports::{ItemLog, KeptItem, LedgerError};
use crate::fiscal::{Draft, Item};
use crate::queue::{ItemStanding, Ticket, Turn};

mod packed;

use packed::{name_and_barcode, pack, unpack};

/// The most items: a supermarket's.
pub const MOST_ITEMS: usize = 30_000;

/// Items set aside that an alert and a list name one by one.
pub const MOST_NAMED: usize = 20;

/// The catalogue. Looks take a moment; changes are written to disk first, by one writer at a time.
#[derive(Debug, Default)]
pub struct Catalogue {
    state: Mutex<State>,
    /// Held by who changes an item, from the look at it until it is on disk and shown here.
    pub(super) writing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    items: HashMap<Box<str>, Held>,
    /// Those that wait to be saved at KRA, in the order in which they were posted.
    queue: BTreeMap<Ticket, Box<str>>,
    last_ticket: u64,
    /// Those that KRA refused, or whose tries are spent; and the last sale that was sent naming each.
    aside: BTreeMap<Box<str>, Option<Box<str>>>,
    /// Why no item is saved though KRA answers.
    refused: Option<String>,
}

#[derive(Debug)]
struct Held {
    packed: Box<str>,
    standing: Standing,
    known: bool,
    changed_ms: i64,
}

/// [`ItemStanding`], smaller.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Standing {
    Queued(Ticket),
    Saved,
    Refused(Box<str>),
    Parked(Box<str>),
}

impl Held {
    fn kept(&self, code: &str) -> KeptItem {
        let standing = match &self.standing {
            Standing::Queued(_) => ItemStanding::Queued,
            Standing::Saved => ItemStanding::Saved,
            Standing::Refused(words) => ItemStanding::Refused(words.to_string()),
            Standing::Parked(words) => ItemStanding::Parked(words.to_string()),
        };
        let item = unpack(code, &self.packed);
        KeptItem { item, standing, known: self.known, changed_ms: self.changed_ms }
    }
}

/// How many items there are, and how many stand where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ItemCounts {
    /// All of them.
    pub total: u64,
    /// Waiting to be saved at KRA.
    pub queued: u64,
    /// Refused by KRA, or their tries spent.
    pub aside: u64,
}

impl Catalogue {
    /// Reads all items from the store; how many are missing for damage. Blocks.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn load(log: &impl ItemLog) -> Result<(Self, u64), LedgerError> {
        let catalogue = Self::default();
        let missing = log.read_items(&mut |kept| catalogue.show([kept]))?;
        Ok((catalogue, missing))
    }

    /// Shows what is on disk.
    pub(super) fn show(&self, items: impl IntoIterator<Item = KeptItem>) {
        let mut state = self.state();
        for KeptItem { item, standing, known, changed_ms } in items {
            state.forget(&item.code);
            let code: Box<str> = item.code.as_str().into();
            let standing = match standing {
                ItemStanding::Queued => {
                    state.last_ticket += 1;
                    let ticket = Ticket(state.last_ticket);
                    state.queue.insert(ticket, code.clone());
                    Standing::Queued(ticket)
                }
                ItemStanding::Saved => Standing::Saved,
                ItemStanding::Refused(words) => {
                    state.aside.insert(code.clone(), None);
                    Standing::Refused(words.into())
                }
                ItemStanding::Parked(words) => {
                    state.aside.insert(code.clone(), None);
                    Standing::Parked(words.into())
                }
            };
            state.items.insert(code, Held { packed: pack(&item), standing, known, changed_ms });
        }
    }

    /// One item.
    pub fn get(&self, code: &str) -> Option<KeptItem> {
        self.state().items.get(code).map(|held| held.kept(code))
    }

    /// Whether an item stands here as it is given, with nothing left to do about it.
    pub(super) fn compare(&self, item: &Item) -> Compared {
        match self.state().items.get(item.code.as_str()) {
            None => Compared::New,
            Some(held) if *held.packed != *pack(item) => Compared::Different { known: held.known },
            Some(Held { standing: Standing::Queued(_), .. }) => Compared::Same(ItemStanding::Queued),
            Some(Held { standing: Standing::Saved, .. }) => Compared::Same(ItemStanding::Saved),
            Some(held) => Compared::SetAside { known: held.known, changed_ms: held.changed_ms },
        }
    }

    /// Items whose code or name holds these words, or whose barcode they are, whatever the case; by code, at most `limit`.
    pub fn search(&self, words: &str, limit: usize) -> Vec<KeptItem> {
        let words = words.trim().to_lowercase();
        let state = self.state();
        let fits = |code: &str, held: &Held| {
            let (name, barcode) = name_and_barcode(&held.packed);
            words.is_empty()
                || code.to_lowercase().contains(&words)
                || name.to_lowercase().contains(&words)
                || barcode.to_lowercase() == words
        };
        let mut found: Vec<_> = state.items.iter().filter(|(code, held)| fits(code, held)).collect();
        found.sort_unstable_by_key(|(code, _)| *code);
        found.into_iter().take(limit).map(|(code, held)| held.kept(code)).collect()
    }

    /// Fills in what the lines of a sale do not say of items that are here.
    pub(super) fn fill_in(&self, draft: &mut Draft) {
        let state = self.state();
        for line in &mut draft.lines {
            let Some(code) = line.item_code.as_deref() else { continue };
            let Some(held) = state.items.get(code) else { continue };
            let item = unpack(code, &held.packed);
            line.item_class.get_or_insert(item.class);
            line.name.get_or_insert(item.name);
            line.package_unit.get_or_insert(item.package_unit);
            line.quantity_unit.get_or_insert(item.quantity_unit);
            line.price.get_or_insert(item.price);
            if line.barcode.is_none() {
                line.barcode = item.barcode;
            }
            line.tax_type.get_or_insert_with(|| item.tax_type.letter().to_owned());
        }
    }

    /// How many stand where.
    pub fn counts(&self) -> ItemCounts {
        let state = self.state();
        let count = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
        ItemCounts {
            total: count(state.items.len()),
            queued: count(state.queue.len()),
            aside: count(state.aside.len()),
        }
    }

    /// Lets somebody say whose turn it is among those that wait, in their order; with the item, where it is one's.
    pub(super) fn choose(
        &self,
        choose: impl FnOnce(&mut dyn Iterator<Item = Ticket>) -> Turn,
    ) -> (Turn, Option<KeptItem>) {
        let state = self.state();
        let turn = choose(&mut state.queue.keys().copied());
        let Turn::Item(ticket) = turn else { return (turn, None) };
        let kept = state.queue.get(&ticket).and_then(|code| Some(state.items.get(code)?.kept(code)));
        // A named one that was replaced meanwhile: the next look finds the new version.
        if kept.is_none() { (Turn::Wait(None), None) } else { (turn, kept) }
    }

    /// Nothing waits.
    pub(super) fn is_idle(&self) -> bool {
        self.state().queue.is_empty()
    }

    /// The ticket of an item that waits.
    pub(super) fn ticket(&self, code: &str) -> Option<Ticket> {
        match self.state().items.get(code)?.standing {
            Standing::Queued(ticket) => Some(ticket),
            Standing::Saved | Standing::Refused(_) | Standing::Parked(_) => None,
        }
    }

    /// Whether this version still waits.
    pub(super) fn waits(&self, ticket: Ticket) -> bool {
        self.state().queue.contains_key(&ticket)
    }

    /// A sale is sent that names these items: those that KRA did not take are told together with it. Whether
    /// it names any.
    pub(super) fn sale_sent<'a>(&self, trader_ref: &str, codes: impl Iterator<Item = &'a str>) -> bool {
        let mut state = self.state();
        let mut names_any = false;
        for code in codes {
            if let Some(named_by) = state.aside.get_mut(code) {
                *named_by = Some(trader_ref.into());
                names_any = true;
            }
        }
        names_any
    }

    /// The last sale that was sent naming this item, which KRA did not take.
    pub fn sale_naming(&self, code: &str) -> Option<String> {
        self.state().aside.get(code)?.as_ref().map(ToString::to_string)
    }

    /// KRA refuses to save any item, in these words; `None`: it does not.
    pub(super) fn saving_is_refused(&self, words: Option<String>) {
        self.state().refused = words;
    }

    /// Why no item is saved though KRA answers.
    pub fn refused(&self) -> Option<String> {
        self.state().refused.clone()
    }

    /// The first items that KRA refused or whose tries are spent, and the last sale that was sent naming each.
    pub fn set_aside(&self, limit: usize) -> Vec<(KeptItem, Option<String>)> {
        let state = self.state();
        let kept = state.aside.iter().filter_map(|(code, named_by)| {
            let named_by = named_by.as_ref().map(ToString::to_string);
            state.items.get(code).map(|held| (held.kept(code), named_by))
        });
        kept.take(limit).collect()
    }

    /// The first items that wait, in their order.
    pub fn queued(&self, limit: usize) -> Vec<KeptItem> {
        let state = self.state();
        let kept = state.queue.values().filter_map(|code| state.items.get(code).map(|held| held.kept(code)));
        kept.take(limit).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An item that was posted, beside the one that is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Compared {
    /// There was none with its code.
    New,
    /// It is another.
    Different {
        /// KRA has an earlier version.
        known: bool,
    },
    /// It is the same, and waits or is saved.
    Same(ItemStanding),
    /// It is the same, and KRA did not take it.
    SetAside { known: bool, changed_ms: i64 },
}

impl State {
    fn forget(&mut self, code: &str) {
        if let Some(Held { standing: Standing::Queued(ticket), .. }) = self.items.get(code) {
            self.queue.remove(ticket);
        }
        self.aside.remove(code);
    }
}

#[cfg(test)]
#[path = "catalogue/tests.rs"]
mod tests;
