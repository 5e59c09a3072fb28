//! KRA's lists as they are shown to people.

use super::code_book::{Book, age, is_stale};
use super::take_lists::rates_text;
use crate::fiscal::{KraDateTime, ListSource, TaxType};
use crate::status::{ListSnapshot, ListsSnapshot, NoticeSnapshot, RateChangeSnapshot};

/// Notices that are shown.
const NOTICES_SHOWN: usize = 3;

/// The lists at this moment.
pub(super) fn lists_snapshot(book: &Book, now: KraDateTime) -> ListsSnapshot {
    let fetched = book.codes.lists().filter(|list| list.source != ListSource::BuiltIn);
    let codes = fetched.map(|list| list.codes().len()).sum();
    let list = |name: &str, rows: usize, as_of: Option<KraDateTime>, functions: &[&str]| {
        let outcome = functions.iter().find_map(|function| book.outcomes.get(function));
        ListSnapshot {
            name: name.to_owned(),
            rows: u64::try_from(rows).unwrap_or(u64::MAX),
            as_of: as_of.map(KraDateTime::rfc3339),
            age_seconds: as_of.map(|as_of| age(as_of, now).as_secs()),
            stale: is_stale(as_of, now),
            outcome: outcome.map(|(word, _)| (*word).to_owned()),
            why: outcome.map(|(_, why)| why.clone()).filter(|why| !why.is_empty()),
        }
    };
    let both = "selectTrnsPurchaseSalesItemList";
    ListsSnapshot {
        lists: vec![
            list("codes", codes, book.codes_as_of(), &["selectCodeList", both]),
            list("item_classes", book.classes.len(), book.classes_as_of(), &["selectItemClsList", both]),
            list("notices", book.notices.len(), book.notices_as_of(), &["selectNoticeList"]),
        ],
        rates: TaxType::ALL
            .map(|tax_type| (tax_type.letter().to_owned(), book.rates.of(tax_type).to_string()))
            .into_iter()
            .collect(),
        rates_from_kra: book.list_as_of(crate::fiscal::Codes::TAX_TYPE).is_some(),
        rate_change: book.rate_change.map(|change| RateChangeSnapshot {
            from: rates_text(&change.from),
            to: rates_text(&change.to),
            at: change.at.rfc3339(),
            kra_time: change.told.map(|told| told.to_string()),
            age_seconds: age(change.at, now).as_secs(),
        }),
        refused: book.refused.iter().map(|(class, why)| format!("class {class}: {why}")).collect(),
        notices: book
            .notices
            .iter()
            .take(NOTICES_SHOWN)
            .map(|notice| NoticeSnapshot {
                number: notice.number,
                title: notice.title.clone(),
                published: notice.published.map(KraDateTime::rfc3339),
            })
            .collect(),
    }
}
