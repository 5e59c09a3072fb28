//! What KRA's lists bring is taken over: on the disk first, then in everybody's book.

use std::sync::Arc;

use tracing::{info, warn};

use super::code_book::{Book, MOST_NOTICES};
use super::match_items::match_items;
use super::ports::{Asked, Clock, ItemLog, LedgerError, ListPart, ListShelf, RateChange};
use super::refresh_codes::{Refreshing, Trouble};
use crate::fiscal::{CodeList, Codes, KraDateTime, Merged, NewItemClasses, Rates, TaxType};
use crate::wire::Function;
use crate::wire::lists::{self, Listed, Notice};

/// How many buckets go in one commit: sales come between two.
const BUCKETS_AT_ONCE: usize = 16;
/// A time of KRA's that is further ahead of ours would hide what comes until then.
const MOST_AHEAD: i64 = 24 * 3600;
/// New notices that are told in the journal at one time.
const MOST_TOLD: usize = 5;

impl<L: ItemLog + ListShelf, A, C: Clock> Refreshing<L, A, C> {
    /// Takes over what `function` brought; `at`: KRA's time of it; `whole`: KRA was asked for everything.
    pub(super) async fn take(
        &self,
        function: Function,
        mut listed: Listed,
        at: Option<KraDateTime>,
        whole: bool,
    ) -> Result<(), Trouble> {
        if listed.skipped > 0 {
            warn!(
                name: "list_not_taken",
                function = function.name(),
                rows = listed.skipped,
                "rows of KRA's list have no code that can be used: left out"
            );
        }
        let refused = if lists::brings_codes(function) {
            self.take_codes(std::mem::take(&mut listed.codes), at, whole).await?
        } else {
            false
        };
        // None at all is no whole list of classes.
        if lists::brings_classes(function) && !listed.classes.is_empty() {
            self.take_classes(&listed.classes, whole).await?;
        }
        if !listed.items.is_empty() {
            let book = self.book.now();
            let matched =
                match_items(&*self.ledger, &self.catalogue, listed.items, &book.codes, self.clock.wall_ms());
            matched.await.map_err(|error| Trouble::Failed("not_kept", error.to_string()))?;
        }
        if !listed.notices.is_empty() {
            self.take_notices(listed.notices).await?;
        }
        // What could not be meant is asked for again.
        self.confirm(function, at, !refused).await
    }

    /// True: a list was refused.
    async fn take_codes(
        &self,
        news: Vec<CodeList>,
        at: Option<KraDateTime>,
        whole: bool,
    ) -> Result<bool, Trouble> {
        let book = self.book.now();
        let Merged { codes, changed, refused } = book.codes.merged(news, whole);
        let rates = codes.rates();
        let change = RateChange { from: book.rates, to: rates, at: self.clock.kra_now(), told: at };
        let rate_change = if rates == book.rates { book.rate_change } else { Some(change) };
        let parts = changed.iter().filter_map(|class| codes.list(class)).map(|list| {
            let change = rate_change.filter(|_| list.class == Codes::TAX_TYPE);
            ListPart::Codes(list.clone(), change)
        });
        self.keep(parts.collect()).await?;
        let refused: Vec<(String, String)> =
            refused.into_iter().map(|(class, fault)| (class, fault.to_string())).collect();
        for (class, why) in refused.iter().filter(|it| !book.refused.contains(it)) {
            warn!(name: "list_not_taken", class, why, "KRA's list of this class is not taken over: the one before holds on");
        }
        let some_refused = !refused.is_empty();
        // Only this task replaces the book.
        self.book.replace(Book { codes, rates, rate_change, refused, ..Book::clone(&book) });
        if rates != book.rates {
            warn!(
                name: "rates_changed",
                from = rates_text(&book.rates),
                to = rates_text(&rates),
                kra_time = at.map(|at| at.to_string()).unwrap_or_default(),
                "KRA changed the tax rates: sales from now on are taxed by the new ones, those accepted before keep theirs"
            );
        }
        if !changed.is_empty() {
            info!(name: "lists_taken", classes = changed.join(", "), "KRA's code lists were taken over");
        }
        Ok(some_refused)
    }

    async fn take_classes(&self, news: &NewItemClasses, whole: bool) -> Result<(), Trouble> {
        let mut classes = self.book.now().classes.clone();
        let mut changed = 0_usize;
        let mut parts = Vec::new();
        for bucket in 0..=u8::MAX {
            if classes.merge(bucket, news, whole) {
                changed += 1;
                parts.push(ListPart::Bucket(bucket, Arc::clone(classes.bucket(bucket))));
            }
            if parts.len() == BUCKETS_AT_ONCE {
                self.keep(std::mem::take(&mut parts)).await?;
            }
            // Whoever sells comes first.
            tokio::task::yield_now().await;
        }
        self.keep(parts).await?;
        if changed > 0 {
            info!(name: "lists_taken", rows = news.len(), classes = classes.len(), "KRA's item classes were taken over");
        }
        self.book.replace(Book { classes, ..Book::clone(&self.book.now()) });
        Ok(())
    }

    async fn take_notices(&self, news: Vec<Notice>) -> Result<(), Trouble> {
        let book = self.book.now();
        let mut notices: Vec<Notice> = book
            .notices
            .iter()
            .filter(|known| news.iter().all(|notice| notice.number != known.number))
            .cloned()
            .collect();
        let unknown = news.iter().filter(|notice| !book.notices.contains(notice));
        for notice in unknown.take(MOST_TOLD) {
            let published = notice.published.map(|at| at.to_string()).unwrap_or_default();
            info!(number = notice.number, title = notice.title, published, "a notice from KRA");
        }
        notices.extend(news);
        lists::sort_newest_first(&mut notices);
        notices.truncate(MOST_NOTICES);
        if notices != book.notices {
            self.keep(vec![ListPart::Notices(notices.clone())]).await?;
            self.book.replace(Book { notices, ..Book::clone(&book) });
        }
        Ok(())
    }

    /// KRA's word is good as of now; `taken`: all of it was taken over, so that only what comes later is asked for.
    pub(super) async fn confirm(
        &self,
        function: Function,
        at: Option<KraDateTime>,
        taken: bool,
    ) -> Result<(), Trouble> {
        let book = self.book.now();
        let name = function.name();
        let now = self.clock.kra_now();
        let sane = |at: &KraDateTime| !self.clock.synchronised() || at.unix() <= now.unix() + MOST_AHEAD;
        let at = at.filter(sane);
        let before = book.asked.get(name).and_then(|asked| asked.watermark);
        let watermark = if taken { at.or(before) } else { before };
        let asked = Asked { function: name.to_owned(), watermark, as_of: at.unwrap_or(now) };
        self.keep(vec![ListPart::Asked(asked.clone())]).await?;
        let mut book = Book::clone(&book);
        book.asked.insert(name.to_owned(), asked);
        self.book.replace(book);
        Ok(())
    }

    async fn keep(&self, parts: Vec<ListPart>) -> Result<(), Trouble> {
        if parts.is_empty() {
            return Ok(());
        }
        let kept = self.ledger.keep_lists(parts).await;
        kept.map_err(|error: LedgerError| Trouble::Failed("not_kept", error.to_string()))
    }
}

/// `A 0.00, B 16.00, ...`.
pub(super) fn rates_text(rates: &Rates) -> String {
    let one = |tax_type: TaxType| format!("{} {}", tax_type.letter(), rates.of(tax_type));
    TaxType::ALL.map(one).join(", ")
}

#[cfg(test)]
#[path = "take_lists_tests.rs"]
mod tests;
