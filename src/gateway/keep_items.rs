//! Items are posted and asked for: from the request to the catalogue, top to bottom.

use std::collections::HashSet;
use std::sync::Arc;

use super::accept_sale::TakingRules;
use super::catalogue::{Catalogue, Compared, MOST_ITEMS};
use super::code_book::CodeBook;
use super::live::Live;
use super::ports::{Acted, Clock, ItemLog, KeptItem, Ledger, LedgerError, SHELVED_AT_ONCE};
use super::progress::Progress;
use crate::fiscal::{Fault, Item, ItemDraft, ItemRules};
use crate::queue::ItemStanding;

/// The most items of one sync.
pub const MOST_SYNCED: usize = 10_000;

/// Keeps the catalogue.
#[derive(Debug)]
pub struct Keeping<L, C> {
    /// How items are checked.
    pub rules: Live<TakingRules>,
    /// KRA's codes and item classes.
    pub book: CodeBook,
    /// Where they are kept.
    pub ledger: Arc<L>,
    /// All of them.
    pub catalogue: Arc<Catalogue>,
    /// The drain, to nudge.
    pub progress: Arc<Progress>,
    /// The time.
    pub clock: Arc<C>,
}

/// What a posted item came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// It is new.
    Created,
    /// It is the same as before.
    Unchanged,
    /// It was there and is another now; or KRA had not taken it, and it is tried again.
    Updated,
}

/// Why an item was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotKept {
    /// There are as many items as may be.
    Full,
    /// What is wrong with it.
    Faults(Vec<Fault>),
    /// It could not be kept.
    Ledger(LedgerError),
}

/// What came of a person's wish to have an item tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retried {
    /// It had been set aside, and waits anew.
    Queued,
    /// KRA has it as it is.
    Saved,
    /// There is no such item.
    Unknown,
    /// It waits already.
    Waits,
}

/// One item of a batch, as far as it could be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PostedItem {
    /// What could be read.
    pub draft: ItemDraft,
    /// What could not, and why.
    pub faults: Vec<Fault>,
}

/// What became of a batch so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Synced {
    /// New ones.
    pub created: u64,
    /// Changed ones.
    pub updated: u64,
    /// Those that were as they are.
    pub unchanged: u64,
    /// Those that were not taken: the code where there is one, a stable word, and a sentence for a person.
    pub errors: Vec<(Option<String>, &'static str, String)>,
    /// Their codes, to tell a double.
    seen: HashSet<Box<str>>,
}

impl<L: ItemLog, C: Clock> Keeping<L, C> {
    /// Keeps one item; it waits to be saved at KRA from then on.
    ///
    /// # Errors
    /// Nothing was changed.
    pub async fn keep(&self, posted: PostedItem) -> Result<(Came, KeptItem), NotKept> {
        let item = self.check(posted).map_err(NotKept::Faults)?;
        let _alone = self.catalogue.writing.lock().await;
        let mut room = self.room();
        let (came, kept) = self.judge(item, &mut room).ok_or(NotKept::Full)?;
        if came != Came::Unchanged {
            self.ledger.put_items(std::slice::from_ref(&kept)).await.map_err(NotKept::Ledger)?;
            self.catalogue.show([kept.clone()]);
            self.progress.nudge();
        }
        Ok((came, kept))
    }

    /// Keeps the next part of a batch, at most [`SHELVED_AT_ONCE`] of it, in one commit. One bad item spoils no other; of two
    /// with one code the first is taken, and the second is told.
    ///
    /// # Errors
    /// The store could not take this part: nothing of it was changed.
    pub async fn keep_part(&self, part: Vec<PostedItem>, synced: &mut Synced) -> Result<(), LedgerError> {
        debug_assert!(part.len() <= SHELVED_AT_ONCE);
        let _alone = self.catalogue.writing.lock().await;
        let mut room = self.room();
        let mut changed = Vec::new();
        let mut counted = (0, 0, 0);
        let mut errors = Vec::new();
        let mut seen = Vec::new();
        for posted in part {
            let code = posted.draft.code.clone();
            let item = match self.check(posted) {
                Ok(item) => item,
                Err(faults) => {
                    errors.push(told(code, &faults));
                    continue;
                }
            };
            let double = synced.seen.contains(item.code.as_str()) || seen.contains(&item.code);
            if double {
                let words = "itemCd stands twice in this batch: the first of them was taken".to_owned();
                errors.push((code, "duplicate", words));
                continue;
            }
            seen.push(item.code.clone());
            let Some((came, kept)) = self.judge(item, &mut room) else {
                let words = format!("the catalogue is full: it holds {MOST_ITEMS} items");
                errors.push((code, "catalogue_full", words));
                continue;
            };
            match came {
                Came::Created => counted.0 += 1,
                Came::Updated => counted.1 += 1,
                Came::Unchanged => counted.2 += 1,
            }
            if came != Came::Unchanged {
                changed.push(kept);
            }
        }
        if !changed.is_empty() {
            self.ledger.put_items(&changed).await?;
            self.catalogue.show(changed);
            self.progress.nudge();
        }
        synced.created += counted.0;
        synced.updated += counted.1;
        synced.unchanged += counted.2;
        synced.errors.append(&mut errors);
        synced.seen.extend(seen.into_iter().map(String::into_boxed_str));
        Ok(())
    }

    fn check(&self, posted: PostedItem) -> Result<Item, Vec<Fault>> {
        let book = self.book.now();
        let grammar = self.rules.now().item_code;
        let rules = ItemRules { grammar, codes: &book.codes, classes: &book.classes };
        Item::check(posted.draft, posted.faults, &rules)
    }

    /// How many more new ones may come.
    fn room(&self) -> usize {
        MOST_ITEMS.saturating_sub(usize::try_from(self.catalogue.counts().total).unwrap_or(usize::MAX))
    }

    /// What an item comes to, and how it is kept from then on; `None`: there is no room for it.
    fn judge(&self, item: Item, room: &mut usize) -> Option<(Came, KeptItem)> {
        let now = self.clock.wall_ms();
        let queued =
            |item, known, changed_ms| KeptItem { item, standing: ItemStanding::Queued, known, changed_ms };
        Some(match self.catalogue.compare(&item) {
            Compared::New => {
                *room = room.checked_sub(1)?;
                (Came::Created, queued(item, false, now))
            }
            Compared::Different { known } => (Came::Updated, queued(item, known, now)),
            Compared::SetAside { known, changed_ms } => (Came::Updated, queued(item, known, changed_ms)),
            Compared::Same(standing) => {
                let known = standing == ItemStanding::Saved;
                (Came::Unchanged, KeptItem { standing, ..queued(item, known, now) })
            }
        })
    }
}

impl<L: ItemLog + Ledger, C: Clock> Keeping<L, C> {
    /// A person wants an item tried again that KRA did not take; recorded with who and why.
    ///
    /// # Errors
    /// Nothing was changed.
    pub async fn retry(&self, code: &str, acted: Acted) -> Result<Retried, LedgerError> {
        let _alone = self.catalogue.writing.lock().await;
        let Some(kept) = self.catalogue.get(code) else { return Ok(Retried::Unknown) };
        let retried = match &kept.standing {
            ItemStanding::Saved => return Ok(Retried::Saved),
            ItemStanding::Queued => Retried::Waits,
            ItemStanding::Parked(_) | ItemStanding::Refused(_) => Retried::Queued,
        };
        let why = acted.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        let acted = Acted { reason: Some(format!("item {code}{why}")), ..acted };
        self.ledger.act(&acted, None, &[]).await?;
        if retried == Retried::Queued {
            self.requeue(vec![kept]).await?;
        }
        self.progress.retry_now();
        Ok(retried)
    }

    /// Items whose tries are spent wait anew; those that KRA refused do not.
    ///
    /// # Errors
    /// Some of them stay parked.
    pub async fn release_parked(&self) -> Result<(), LedgerError> {
        let _alone = self.catalogue.writing.lock().await;
        let parked: Vec<KeptItem> = self
            .catalogue
            .set_aside(MOST_ITEMS)
            .into_iter()
            .map(|(kept, _)| kept)
            .filter(|kept| matches!(kept.standing, ItemStanding::Parked(_)))
            .collect();
        for part in parked.chunks(SHELVED_AT_ONCE) {
            self.requeue(part.to_vec()).await?;
        }
        Ok(())
    }

    async fn requeue(&self, items: Vec<KeptItem>) -> Result<(), LedgerError> {
        let queued = |kept| KeptItem { standing: ItemStanding::Queued, ..kept };
        let items: Vec<KeptItem> = items.into_iter().map(queued).collect();
        self.ledger.put_items(&items).await?;
        self.catalogue.show(items);
        self.progress.nudge();
        Ok(())
    }
}

/// The first thing that is wrong with an item, and how much more.
fn told(code: Option<String>, faults: &[Fault]) -> (Option<String>, &'static str, String) {
    let Some(first) = faults.first() else { return (code, "invalid", String::new()) };
    let message = match faults.len() {
        1 => first.message.clone(),
        more => {
            let others: Vec<&str> = faults[1..].iter().map(|fault| fault.field.as_str()).take(5).collect();
            format!("{}; and {} more: {}", first.message, more - 1, others.join(", "))
        }
    };
    (code, first.code.word(), message)
}
