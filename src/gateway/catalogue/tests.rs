use super::*;
use crate::fiscal::{Amount, DraftLine, TaxType};

fn item(code: &str, name: &str) -> Item {
    Item {
        code: code.into(),
        class: "5059690800".into(),
        item_type: "2".into(),
        name: name.into(),
        standard_name: None,
        origin: "KE".into(),
        package_unit: "NT".into(),
        quantity_unit: "NO".into(),
        tax_type: TaxType::E,
        batch: None,
        barcode: Some(format!("61{code}")),
        price: Amount::parse("65").unwrap(),
        group_prices: [None; 5],
        additional: None,
        safety_quantity: None,
        insured: false,
        in_use: true,
    }
}

fn kept(code: &str, name: &str, standing: ItemStanding) -> KeptItem {
    KeptItem { item: item(code, name), standing, known: false, changed_ms: 5 }
}

#[test]
fn an_item_takes_the_place_of_the_one_with_its_code() {
    let catalogue = Catalogue::default();
    catalogue.show([kept("A", "Bread", ItemStanding::Queued), kept("B", "Milk", ItemStanding::Queued)]);
    let first = catalogue.ticket("A").unwrap();
    assert_eq!(catalogue.counts(), ItemCounts { total: 2, queued: 2, aside: 0 });
    catalogue.show([kept("A", "Brown bread", ItemStanding::Queued)]);
    assert!(!catalogue.waits(first) && catalogue.ticket("A").unwrap() > catalogue.ticket("B").unwrap());
    assert_eq!(catalogue.counts(), ItemCounts { total: 2, queued: 2, aside: 0 });
    let refused = ItemStanding::Refused("910 no".into());
    catalogue.show([kept("A", "Brown bread", refused.clone())]);
    assert_eq!(catalogue.counts(), ItemCounts { total: 2, queued: 1, aside: 1 });
    assert_eq!(catalogue.get("A"), Some(kept("A", "Brown bread", refused)));
    catalogue.sale_sent("T-1", ["A", "B", "C"].into_iter());
    let aside = catalogue.set_aside(9);
    assert_eq!((aside.len(), aside[0].1.as_deref()), (1, Some("T-1")));
    catalogue.show([kept("A", "Brown bread", ItemStanding::Saved)]);
    assert_eq!(catalogue.counts(), ItemCounts { total: 2, queued: 1, aside: 0 });
    assert!(catalogue.get("a").is_none());
}

#[test]
fn what_is_posted_is_new_different_or_the_same() {
    let catalogue = Catalogue::default();
    catalogue.show([kept("A", "Bread", ItemStanding::Queued)]);
    let known = KeptItem { known: true, ..kept("B", "Milk", ItemStanding::Parked("lost".into())) };
    catalogue.show([known]);
    for (posted, expected) in [
        (item("C", "Bread"), Compared::New),
        (item("A", "Bread"), Compared::Same(ItemStanding::Queued)),
        (item("A", "bread"), Compared::Different { known: false }),
        (item("B", "Milk"), Compared::SetAside { known: true, changed_ms: 5 }),
        (item("B", "Cream"), Compared::Different { known: true }),
    ] {
        assert_eq!(catalogue.compare(&posted), expected, "{posted:?}");
    }
}

#[test]
fn a_search_looks_at_code_name_and_barcode() {
    let catalogue = Catalogue::default();
    let named = [("KE01", "White Bread"), ("KE02", "Milk"), ("KE03", "Brown bread")];
    catalogue.show(named.map(|(code, name)| kept(code, name, ItemStanding::Saved)));
    let codes = |words: &str, limit: usize| -> Vec<String> {
        catalogue.search(words, limit).into_iter().map(|kept| kept.item.code).collect()
    };
    assert_eq!(codes("bread", 9), ["KE01", "KE03"]);
    assert_eq!(codes("BREAD", 1), ["KE01"]);
    assert_eq!(codes("ke0", 9), ["KE01", "KE02", "KE03"]);
    assert_eq!(codes("61KE02", 9), ["KE02"]);
    assert_eq!(codes("", 2), ["KE01", "KE02"]);
    assert!(codes("tea", 9).is_empty());
}

#[test]
fn a_line_is_filled_in_where_it_says_nothing() {
    let catalogue = Catalogue::default();
    catalogue.show([kept("A", "Bread", ItemStanding::Queued)]);
    let bare = DraftLine { item_code: Some("A".into()), ..DraftLine::default() };
    let own = DraftLine {
        name: Some("Toast".into()),
        price: Some(Amount::parse("70").unwrap()),
        tax_type: Some("B".into()),
        ..bare.clone()
    };
    let unknown = DraftLine { item_code: Some("Z".into()), ..DraftLine::default() };
    let mut draft =
        Draft { lines: vec![bare, own, unknown.clone(), DraftLine::default()], ..Draft::default() };
    catalogue.fill_in(&mut draft);
    let [bare, own, other, none] = &draft.lines[..] else { panic!() };
    assert_eq!(bare.name.as_deref(), Some("Bread"));
    assert_eq!(bare.item_class.as_deref(), Some("5059690800"));
    assert_eq!((bare.package_unit.as_deref(), bare.quantity_unit.as_deref()), (Some("NT"), Some("NO")));
    assert_eq!((bare.tax_type.as_deref(), bare.barcode.as_deref()), (Some("E"), Some("61A")));
    assert_eq!((bare.price, bare.quantity), (Amount::parse("65").ok(), None));
    assert_eq!((own.name.as_deref(), own.tax_type.as_deref()), (Some("Toast"), Some("B")));
    assert_eq!(own.price, Amount::parse("70").ok());
    assert_eq!((other, none), (&unknown, &DraftLine::default()));
}

#[test]
fn those_that_wait_are_chosen_in_their_order() {
    let catalogue = Catalogue::default();
    assert!(catalogue.is_idle());
    catalogue.show(["B", "A", "C"].map(|code| kept(code, "x", ItemStanding::Queued)));
    let order: Vec<String> = catalogue.queued(9).into_iter().map(|kept| kept.item.code).collect();
    assert_eq!(order, ["B", "A", "C"]);
    let (turn, chosen) = catalogue.choose(|waiting| Turn::Item(waiting.nth(1).unwrap()));
    let ticket = catalogue.ticket("A").unwrap();
    assert_eq!((turn, chosen.unwrap().item.code.as_str()), (Turn::Item(ticket), "A"));
    assert_eq!(catalogue.choose(|_| Turn::Documents), (Turn::Documents, None));
}
