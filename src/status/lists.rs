//! KRA's lists in a snapshot, and what somebody must know of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Snapshot;
use super::page::Page;
use crate::fiscal::Rate;

/// How long a change of rates is told, seconds: prices and registers may have to be changed too.
const RATES_TOLD: u64 = 7 * 24 * 3600;

/// KRA's lists.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListsSnapshot {
    /// Codes, item classes, notices.
    pub lists: Vec<ListSnapshot>,
    /// The rates in force, by tax type, in per cent.
    pub rates: BTreeMap<String, String>,
    /// They are KRA's; false: the built-in ones, KRA's were not fetched yet.
    pub rates_from_kra: bool,
    /// The last change of rates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_change: Option<RateChangeSnapshot>,
    /// Lists that could not be meant and were not taken over, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<String>,
    /// The newest notices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<NoticeSnapshot>,
}

/// One list.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListSnapshot {
    /// `codes`, `item_classes` or `notices`.
    pub name: String,
    /// How many rows of KRA's are here.
    pub rows: u64,
    /// When KRA last confirmed it, RFC 3339; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<String>,
    /// How long ago that was, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_seconds: Option<u64>,
    /// It was not confirmed for 48 hours, or never.
    pub stale: bool,
    /// What came of the last question since the start: `news`, `nothing_new`, `busy`, `failed`, `missing`, `not_kept` or
    /// `refused`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// Why, where it did not go well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// A change of rates.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RateChangeSnapshot {
    /// The rates before.
    pub from: String,
    /// The rates since.
    pub to: String,
    /// When sales began to be taken by them, RFC 3339.
    pub at: String,
    /// KRA's time of the answer that brought them, 14 digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kra_time: Option<String>,
    /// How long ago, seconds.
    pub age_seconds: u64,
}

/// A text from KRA.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NoticeSnapshot {
    /// KRA's number.
    pub number: u64,
    /// Its title.
    pub title: String,
    /// When it was published, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<String>,
}

/// What somebody must know of KRA's lists.
pub(super) fn raise(snapshot: &Snapshot, raise: &mut impl FnMut(&str, String)) {
    let lists = &snapshot.lists;
    if let Some(change) = lists.rate_change.as_ref().filter(|change| change.age_seconds < RATES_TOLD) {
        let RateChangeSnapshot { from, to, at, .. } = change;
        raise(
            "rates_changed",
            format!(
                "KRA changed the tax rates: {to} (before: {from}). Sales taken since {at} are taxed by the new ones; those taken \
                 before keep theirs. Check the registers' own rates and prices. This is told for a week"
            ),
        );
    }
    if !lists.refused.is_empty() {
        raise(
            "lists_refused",
            format!(
                "KRA's lists say what cannot be meant, and were not taken over: {}. The lists before hold on, and KRA is asked \
                 again; if it stays so, ask KRA's support",
                lists.refused.join("; ")
            ),
        );
    }
    // Without a line there is another alert.
    let old = |list: &&ListSnapshot| list.stale && list.age_seconds.is_some() && list.name != "notices";
    if let Some(list) = lists.lists.iter().find(old).filter(|_| snapshot.kra.up) {
        raise(
            "lists_stale",
            format!(
                "KRA's {} were last confirmed {} hours ago{}: a rate or a code may have changed since. They are asked for again \
                 by themselves",
                list.name.replace('_', " "),
                list.age_seconds.unwrap_or_default() / 3600,
                list.why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default()
            ),
        );
    }
}

/// The lists for one screen: label and value.
pub(super) fn lines(lists: &ListsSnapshot, line: &mut impl FnMut(&str, String)) {
    let rates: Vec<String> = lists.rates.iter().map(|(letter, rate)| format!("{letter} {rate} %")).collect();
    if !rates.is_empty() {
        let whose = if lists.rates_from_kra { "" } else { " (built in: KRA's were not fetched yet)" };
        line("tax rates", format!("{}{whose}", rates.join(", ")));
    }
    for (index, list) in lists.lists.iter().enumerate() {
        let ListSnapshot { name, rows, as_of, stale, outcome, why, .. } = list;
        let as_of =
            as_of.as_deref().map_or_else(|| "never fetched".to_owned(), |as_of| format!("as of {as_of}"));
        let stale = if *stale { ", STALE" } else { "" };
        let trouble = match (outcome, why) {
            (Some(outcome), Some(why)) => format!("; last asked: {}: {why}", outcome.replace('_', " ")),
            _ => String::new(),
        };
        let label = if index == 0 { "KRA's lists" } else { "" };
        line(label, format!("{rows} {}, {as_of}{stale}{trouble}", name.replace('_', " ")));
    }
    for (index, NoticeSnapshot { number, title, published }) in lists.notices.iter().enumerate() {
        let published = published.as_deref().map(|at| format!("{at}: ")).unwrap_or_default();
        line(if index == 0 { "KRA's notices" } else { "" }, format!("{published}{title} (number {number})"));
    }
}

/// The lists for monitors.
pub(super) fn metrics(page: &mut Page, lists: &ListsSnapshot) {
    page.gauge("etims_list_rows", "Rows of KRA's lists that are here.");
    for list in &lists.lists {
        page.sample("etims_list_rows", &[("list", &list.name)], list.rows);
    }
    page.gauge(
        "etims_list_age_seconds",
        "How long ago KRA last confirmed a list; not there where it never did.",
    );
    for (list, age) in lists.lists.iter().filter_map(|list| Some((list, list.age_seconds?))) {
        page.sample("etims_list_age_seconds", &[("list", &list.name)], age);
    }
    page.gauge("etims_list_stale", "1 while a list was not confirmed for 48 hours, or never fetched.");
    for list in &lists.lists {
        page.sample("etims_list_stale", &[("list", &list.name)], u8::from(list.stale));
    }
    page.gauge("etims_list_outcome", "What came of the last question for a list since the start; always 1.");
    for (list, outcome) in lists.lists.iter().filter_map(|list| Some((list, list.outcome.as_ref()?))) {
        page.sample("etims_list_outcome", &[("list", &list.name), ("outcome", outcome)], 1);
    }
    page.gauge("etims_tax_rate_ratio", "The rate that sales are taxed by, by KRA's letter: 0.16 is 16 %.");
    for (letter, rate) in &lists.rates {
        let Some(rate) = Rate::parse(rate).ok().filter(|rate| !rate.is_negative()) else { continue };
        let ratio = format!("{}.{:04}", rate.hundredths() / 10_000, rate.hundredths() % 10_000);
        page.sample("etims_tax_rate_ratio", &[("type", letter)], ratio);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(change: impl FnOnce(&mut ListsSnapshot)) -> Snapshot {
        let mut snapshot = Snapshot::default();
        snapshot.kra.up = true;
        change(&mut snapshot.lists);
        snapshot
    }

    fn codes(snapshot: &Snapshot) -> Vec<String> {
        let mut codes = Vec::new();
        raise(snapshot, &mut |code, _| codes.push(code.to_owned()));
        codes
    }

    fn list(name: &str, age_seconds: Option<u64>, stale: bool) -> ListSnapshot {
        ListSnapshot { name: name.to_owned(), age_seconds, stale, ..ListSnapshot::default() }
    }

    #[test]
    fn a_change_of_rates_is_told_for_a_week() {
        for (age_seconds, expected) in
            [(0, &["rates_changed"][..]), (RATES_TOLD - 1, &["rates_changed"]), (RATES_TOLD, &[])]
        {
            let change = RateChangeSnapshot { age_seconds, ..RateChangeSnapshot::default() };
            assert_eq!(codes(&snapshot(|lists| lists.rate_change = Some(change))), expected, "{age_seconds}");
        }
    }

    #[test]
    fn refused_and_stale_lists_are_told() {
        assert_eq!(
            codes(&snapshot(|lists| lists.refused = vec!["class 04: x".to_owned()])),
            ["lists_refused"]
        );
        for (list, expected) in [
            (list("codes", Some(200_000), true), &["lists_stale"][..]),
            (list("item_classes", Some(200_000), true), &["lists_stale"]),
            (list("notices", Some(200_000), true), &[]),
            (list("codes", None, true), &[]),
            (list("codes", Some(5), false), &[]),
        ] {
            let mut snapshot = snapshot(|lists| lists.lists = vec![list]);
            assert_eq!(codes(&snapshot), expected);
            snapshot.kra.up = false;
            assert_eq!(codes(&snapshot), Vec::<String>::new(), "the line is down: that is told already");
        }
    }

    #[test]
    fn one_screen() {
        let mut text = Vec::new();
        let snapshot = snapshot(|lists| {
            lists.rates.insert("B".to_owned(), "16.00".to_owned());
            lists.lists = vec![ListSnapshot {
                rows: 7,
                outcome: Some("busy".to_owned()),
                why: Some("990 too many views".to_owned()),
                ..list("item_classes", None, true)
            }];
            lists.notices =
                vec![NoticeSnapshot { number: 3, title: "Closed on Monday".to_owned(), published: None }];
        });
        lines(&snapshot.lists, &mut |label, value| text.push(format!("{label}|{value}")));
        assert_eq!(
            text,
            [
                "tax rates|B 16.00 % (built in: KRA's were not fetched yet)",
                "KRA's lists|7 item classes, never fetched, STALE; last asked: busy: 990 too many views",
                "KRA's notices|Closed on Monday (number 3)",
            ]
        );
    }
}
