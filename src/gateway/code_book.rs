//! KRA's lists in memory, as everybody goes by them: a question for a code never waits for KRA or for the disk.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::live::Live;
use super::ports::{Asked, ListPart, ListShelf, RateChange};
use crate::fiscal::{Codes, ItemClasses, KraDateTime, ListSource, Rates};
use crate::wire::lists::Notice;

/// What was not confirmed by KRA for longer is stale.
pub const STALE_AFTER: Duration = Duration::from_secs(48 * 3600);
/// Notices that are kept.
pub(super) const MOST_NOTICES: usize = 20;

/// The lists at one moment.
#[derive(Clone, Debug)]
pub struct Book {
    /// All classes of codes.
    pub codes: Codes,
    /// The rates by them: what a sale that is accepted now is taxed by.
    pub rates: Rates,
    /// KRA's item classes; empty until they were fetched.
    pub classes: ItemClasses,
    /// The newest notices, the newest first.
    pub notices: Vec<Notice>,
    /// The last change of rates.
    pub rate_change: Option<RateChange>,
    /// Lists of KRA's last answer that could not be meant: class and why. The ones before stay.
    pub refused: Vec<(String, String)>,
    /// When codes, item classes and notices were last confirmed, by function.
    pub asked: BTreeMap<String, Asked>,
    /// What came of the last question, by function: a word, and KRA's or our words where it did not go well.
    pub outcomes: BTreeMap<&'static str, (&'static str, String)>,
}

impl Default for Book {
    fn default() -> Self {
        let codes = Codes::built_in();
        Self {
            rates: codes.rates(),
            codes,
            classes: ItemClasses::default(),
            notices: Vec::new(),
            rate_change: None,
            refused: Vec::new(),
            asked: BTreeMap::new(),
            outcomes: BTreeMap::new(),
        }
    }
}

impl Book {
    /// When the lists of codes were last confirmed by KRA.
    pub fn codes_as_of(&self) -> Option<KraDateTime> {
        self.as_of(&["selectCodeList", "selectTrnsPurchaseSalesItemList"])
    }

    /// The same for one list: `None` while it is the built-in one.
    pub fn list_as_of(&self, class: &str) -> Option<KraDateTime> {
        self.codes.list(class).filter(|list| list.source != ListSource::BuiltIn)?;
        self.codes_as_of()
    }

    /// When the item classes were last confirmed by KRA; `None` where they were never fetched.
    pub fn classes_as_of(&self) -> Option<KraDateTime> {
        self.as_of(&["selectItemClsList", "selectTrnsPurchaseSalesItemList"])
            .filter(|_| !self.classes.is_empty())
    }

    /// Whether an item may be of this class: in use by KRA's list, or anything while that was never fetched.
    pub fn takes_item_class(&self, code: &str) -> bool {
        self.classes.is_empty() || self.classes.find(code).is_some_and(|class| class.in_use)
    }

    /// When KRA was last asked for notices.
    pub fn notices_as_of(&self) -> Option<KraDateTime> {
        self.as_of(&["selectNoticeList"])
    }

    fn as_of(&self, functions: &[&str]) -> Option<KraDateTime> {
        functions.iter().filter_map(|function| self.asked.get(*function)).map(|asked| asked.as_of).max()
    }

    fn restore(&mut self, part: ListPart) {
        match part {
            ListPart::Asked(asked) => {
                self.asked.insert(asked.function.clone(), asked);
            }
            ListPart::Bucket(bucket, lines) => self.classes.restore(bucket, &lines),
            ListPart::Codes(list, change) => {
                if list.class == Codes::TAX_TYPE {
                    self.rate_change = change;
                }
                // One that sales cannot be taken by was never kept: damage, or another version's.
                if list.check().is_ok() {
                    self.codes.put(list);
                }
            }
            ListPart::Notices(notices) => self.notices = notices,
        }
    }
}

/// Whether something that was confirmed then is stale now. A clock that stands before that says nothing.
pub fn is_stale(as_of: Option<KraDateTime>, now: KraDateTime) -> bool {
    as_of.is_none_or(|as_of| age(as_of, now) > STALE_AFTER)
}

/// How long ago that was; nothing for what lies ahead.
pub fn age(as_of: KraDateTime, now: KraDateTime) -> Duration {
    Duration::from_secs(u64::try_from(now.unix().saturating_sub(as_of.unix())).unwrap_or(0))
}

/// The lists, for everybody; clones show the same. Replaced whole by who fetches them.
#[derive(Clone, Debug)]
pub struct CodeBook(Live<Book>);

impl Default for CodeBook {
    fn default() -> Self {
        Self(Live::new(Book::default()))
    }
}

impl CodeBook {
    /// The book as it was kept, with the built-in lists where nothing was. Blocks while it is read.
    ///
    /// What cannot be read is missing, and then KRA is asked for everything again.
    pub fn open(shelf: &impl ListShelf) -> Self {
        let mut book = Book::default();
        let lost = match shelf.read_lists(&mut |part| book.restore(part)) {
            Ok(0) => None,
            Ok(lost) => Some(format!("{lost} parts of them are damaged")),
            Err(error) => Some(error.to_string()),
        };
        if let Some(why) = lost {
            tracing::error!(
                name: "lists_unread",
                why,
                "KRA's lists could not be read whole: what is missing is taken from the built-in lists until KRA is asked for \
                 everything again; compare the rates in `etims-gateway status`"
            );
            book.asked.values_mut().for_each(|asked| asked.watermark = None);
        }
        book.rates = book.codes.rates();
        Self(Live::new(book))
    }

    /// The lists as they are now, whole: for as long as one piece of work takes.
    pub fn now(&self) -> Arc<Book> {
        self.0.now()
    }

    /// Other lists, for everybody who asks from now on.
    pub(super) fn replace(&self, book: Book) {
        self.0.replace(book);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fiscal::{Code, CodeList, Rate, TaxType};
    use crate::gateway::ports::LedgerError;

    struct Shelf(Vec<ListPart>, Result<u64, LedgerError>);

    impl ListShelf for Shelf {
        fn read_lists(&self, each: &mut dyn FnMut(ListPart)) -> Result<u64, LedgerError> {
            self.0.iter().cloned().for_each(each);
            self.1.clone()
        }

        async fn keep_lists(&self, _: Vec<ListPart>) -> Result<(), LedgerError> {
            Err(LedgerError::Stopping)
        }
    }

    fn time(text: &str) -> KraDateTime {
        KraDateTime::parse_kra(text).unwrap()
    }

    fn taxes(standard: &str) -> ListPart {
        let codes = TaxType::ALL.map(|letter| Code {
            code: letter.letter().to_owned(),
            columns: [Some(if letter == TaxType::B { standard } else { "0" }.to_owned()), None, None],
            in_use: true,
            ..Code::default()
        });
        let source = ListSource::Kra(time("20250101000000"));
        ListPart::Codes(CodeList::new("04", "Tax", source, codes), None)
    }

    fn asked(function: &str, as_of: &str) -> ListPart {
        let as_of = time(as_of);
        ListPart::Asked(Asked { function: function.to_owned(), watermark: Some(as_of), as_of })
    }

    #[test]
    fn what_was_kept_is_there_again() {
        let parts = vec![
            taxes("14"),
            asked("selectCodeList", "20250101000000"),
            asked("selectItemClsList", "20250102000000"),
            ListPart::Bucket(0x1c, Arc::from("1\tone\t\t\t\tY\n")),
        ];
        let book = CodeBook::open(&Shelf(parts, Ok(0))).now();
        assert_eq!(book.rates.of(TaxType::B), Rate::parse("14").unwrap());
        assert_eq!(book.list_as_of("04"), Some(time("20250101000000")));
        assert_eq!(book.list_as_of("07"), None, "built in");
        assert_eq!(
            (book.classes.len(), book.classes_as_of().is_some()),
            (1, true),
            "{:?}",
            book.classes.find("1")
        );
        assert_eq!(book.notices_as_of(), None);
        assert!(book.takes_item_class("1") && !book.takes_item_class("2"));
        assert!(Book::default().takes_item_class("2"), "nothing was fetched");
    }

    #[test]
    fn where_parts_are_lost_all_is_asked_for_again() {
        for answer in [Ok(1), Err(LedgerError::Failed("x".to_owned()))] {
            let parts = vec![taxes("-1"), asked("selectCodeList", "20250101000000")];
            let book = CodeBook::open(&Shelf(parts, answer)).now();
            assert_eq!(book.rates, Rates::default());
            assert_eq!(book.asked["selectCodeList"].watermark, None);
        }
    }

    #[test]
    fn staleness() {
        let now = time("20250103000000");
        for (as_of, stale) in [
            (None, true),
            (Some("20250103000000"), false),
            (Some("20250101000000"), false),
            (Some("20241231235959"), true),
            (Some("20260101000000"), false),
        ] {
            assert_eq!(is_stale(as_of.map(time), now), stale, "{as_of:?}");
        }
    }
}
