use super::*;

#[test]
fn built_in_lists_have_what_kra_listed() {
    let codes = Codes::built_in();
    for (class, count) in [
        (Codes::TAX_TYPE, 5),
        (Codes::COUNTRY, 1),
        (Codes::PAYMENT, 7),
        (Codes::QUANTITY_UNIT, 43),
        (Codes::TRANSACTION_TYPE, 4),
        (Codes::PACKAGE_UNIT, 52),
        (Codes::ITEM_TYPE, 3),
        (Codes::REFUND_REASON, 13),
        (Codes::RECEIPT_TYPE, 2),
    ] {
        assert_eq!(codes.list(class).map(|list| list.codes().count()), Some(count), "class {class}");
    }
}

#[test]
fn codes_are_found_by_class() {
    let codes = Codes::built_in();
    for (class, code, known) in [
        (Codes::QUANTITY_UNIT, "U", true),
        (Codes::PACKAGE_UNIT, "U", false),
        (Codes::PACKAGE_UNIT, "BX", false),
        (Codes::QUANTITY_UNIT, "BX", true),
        (Codes::QUANTITY_UNIT, "kg", false),
        (Codes::PAYMENT, "08", false),
        (Codes::PAYMENT, "1", false),
        (Codes::COUNTRY, "KE", true),
        (Codes::COUNTRY, "ZA", true),
        (Codes::COUNTRY, "ke", false),
        (Codes::COUNTRY, "KEN", false),
        (Codes::REFUND_REASON, "13", true),
        (Codes::REFUND_REASON, "14", false),
        ("99", "01", false),
    ] {
        assert_eq!(codes.contains(class, code), known, "{class} {code}");
    }
    assert_eq!(codes.name(Codes::PAYMENT, "06"), Some("Mobile Money"));
    assert_eq!(codes.name(Codes::COUNTRY, "ZA"), None);
}

fn when() -> KraDateTime {
    KraDateTime::parse("20250115101530").unwrap()
}

fn code(code: &str, rate: Option<&str>) -> Code {
    let columns = [rate.map(str::to_owned), None, None];
    Code { code: code.to_owned(), name: format!("{code}!"), columns, in_use: true, ..Code::default() }
}

fn fetched(class: &str, codes: &[Code]) -> CodeList {
    CodeList::new(class, "", ListSource::Kra(when()), codes.iter().cloned())
}

fn taxes(rates: [&str; 5]) -> Vec<Code> {
    TaxType::ALL.iter().zip(rates).map(|(letter, rate)| code(letter.letter(), Some(rate))).collect()
}

#[test]
fn a_fetched_list_takes_the_place_of_the_built_in_one() {
    let codes = Codes::built_in();
    assert_eq!(codes.rates(), Rates::default());
    let news = vec![fetched(Codes::TAX_TYPE, &taxes(["0", "14", "0", "0.00", "8.000"]))];
    let Merged { mut codes, changed, refused } = codes.merged(news, false);
    assert_eq!((changed, refused), (vec![Codes::TAX_TYPE.to_owned()], vec![]));
    assert_eq!(codes.rates().of(TaxType::B), Rate::parse("14").unwrap());
    assert_eq!(codes.rates().of(TaxType::E), Rates::default().of(TaxType::E));
    assert!(codes.contains(Codes::PAYMENT, "01"));

    codes.put(fetched(Codes::COUNTRY, &[code("KE", None)]));
    assert!(codes.contains(Codes::COUNTRY, "KE") && !codes.contains(Codes::COUNTRY, "ZA"));
}

#[test]
fn later_news_change_what_they_name_and_the_same_again_is_no_news() {
    let whole = vec![
        fetched(Codes::TAX_TYPE, &taxes(["0", "16", "0", "0", "8"])),
        fetched(Codes::PAYMENT, &[code("01", None), code("02", None)]),
        fetched("99", &[code("X", None)]),
    ];
    let first = Codes::built_in().merged(whole.clone(), true);
    assert_eq!(first.changed.len(), 3);
    assert_eq!(first.codes.merged(whole, false).changed, Vec::<String>::new());

    let gone = Code { in_use: false, ..code("02", None) };
    let news = vec![
        fetched(Codes::TAX_TYPE, &[code("B", Some("14"))]),
        fetched(Codes::PAYMENT, std::slice::from_ref(&gone)),
    ];
    let then = first.codes.merged(news, false);
    assert_eq!((then.changed.len(), then.refused.len()), (2, 0));
    assert_eq!(then.codes.rates().of(TaxType::B), Rate::parse("14").unwrap());
    assert_eq!(then.codes.rates().of(TaxType::E), Rate::parse("8").unwrap());
    assert!(then.codes.contains(Codes::PAYMENT, "01") && !then.codes.contains(Codes::PAYMENT, "02"));
    assert_eq!(then.codes.name(Codes::PAYMENT, "02"), Some("02!"));
    assert!(then.codes.contains("99", "X"));
}

#[test]
fn lists_that_cannot_be_meant_change_nothing() {
    let codes = Codes::built_in();
    let lacking = |letter: &str| -> Vec<Code> {
        taxes(["0", "16", "0", "0", "8"]).into_iter().filter(|code| code.code != letter).collect()
    };
    let closed = CodeList { in_use: false, ..fetched(Codes::QUANTITY_UNIT, &[code("U", None)]) };
    for (list, words) in [
        (fetched(Codes::TAX_TYPE, &taxes(["0", "-1", "0", "0", "8"])), "the rate of B is -1,"),
        (fetched(Codes::TAX_TYPE, &taxes(["0", "100.01", "0", "0", "8"])), "the rate of B is 100.01,"),
        (fetched(Codes::TAX_TYPE, &taxes(["0", "16", "0", "0", "16%"])), "the rate of E is 16%,"),
        (fetched(Codes::TAX_TYPE, &taxes(["0", "16.005", "0", "0", "8"])), "the rate of B is 16.005,"),
        (fetched(Codes::TAX_TYPE, &taxes(["0", "", "0", "0", "8"])), "the rate of B is missing,"),
        (
            fetched(Codes::TAX_TYPE, &taxes(["0", &"9".repeat(90), "0", "0", "8"])),
            "the rate of B is 99999999999999999999,",
        ),
        (fetched(Codes::TAX_TYPE, &lacking("E")), "no code E"),
        (fetched(Codes::TAX_TYPE, &[]), "no code A"),
        (fetched(Codes::PAYMENT, &[code("02", None)]), "no code 01"),
        (fetched(Codes::RECEIPT_TYPE, &[code("S", None)]), "no code R"),
        (fetched(Codes::TRANSACTION_TYPE, &[code("T", None)]), "no code N"),
        (closed, "not in use"),
    ] {
        let class = list.class.clone();
        let merged = codes.merged(vec![list], true);
        assert_eq!((&merged.codes, merged.changed.len()), (&codes, 0), "{words}");
        let [(refused, fault)] = merged.refused.as_slice() else { panic!("one is refused: {words}") };
        assert_eq!(*refused, class);
        assert!(fault.to_string().contains(words), "{fault}");
    }
    // One bad list does not keep out the others, and all rates that may be are taken.
    let bounds = fetched(Codes::TAX_TYPE, &taxes(["0", "100", "0.5", "0", "8"]));
    let bad = fetched(Codes::PAYMENT, &[]);
    let merged = codes.merged(vec![bounds, bad], true);
    assert_eq!((merged.changed, merged.refused.len()), (vec![Codes::TAX_TYPE.to_owned()], 1));
}
