//! An item of the catalogue, checked once: what may be sold and how KRA is told of it.

use super::check::Place;
use super::fault::Faults;
use super::item_code::{ItemCodeFault, ItemCodeGrammar};
use super::{Amount, Codes, Fault, FaultCode, ItemClasses, Quantity, TaxType};

/// The members of an item, in KRA's order.
pub const ITEM_FIELDS: [&str; 21] = [
    "itemCd",
    "itemClsCd",
    "itemTyCd",
    "itemNm",
    "itemStdNm",
    "orgnNatCd",
    "pkgUnitCd",
    "qtyUnitCd",
    "taxTyCd",
    "btchNo",
    "bcd",
    "dftPrc",
    "grpPrcL1",
    "grpPrcL2",
    "grpPrcL3",
    "grpPrcL4",
    "grpPrcL5",
    "addInfo",
    "sftyQty",
    "isrcAplcbYn",
    "useYn",
];

/// An item as it was posted: each value typed, nothing filled in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ItemDraft {
    /// `itemCd`.
    pub code: Option<String>,
    /// `itemClsCd`.
    pub class: Option<String>,
    /// `itemTyCd`.
    pub item_type: Option<String>,
    /// `itemNm`.
    pub name: Option<String>,
    /// `itemStdNm`.
    pub standard_name: Option<String>,
    /// `orgnNatCd`.
    pub origin: Option<String>,
    /// `pkgUnitCd`.
    pub package_unit: Option<String>,
    /// `qtyUnitCd`.
    pub quantity_unit: Option<String>,
    /// `taxTyCd`.
    pub tax_type: Option<String>,
    /// `btchNo`.
    pub batch: Option<String>,
    /// `bcd`.
    pub barcode: Option<String>,
    /// `dftPrc`.
    pub price: Option<Amount>,
    /// `grpPrcL1` to `grpPrcL5`.
    pub group_prices: [Option<Amount>; 5],
    /// `addInfo`.
    pub additional: Option<String>,
    /// `sftyQty`.
    pub safety_quantity: Option<Quantity>,
    /// `isrcAplcbYn`.
    pub insured: Option<String>,
    /// `useYn`.
    pub in_use: Option<String>,
}

/// An item that keeps every rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// `itemCd`: at most 20 printable ASCII characters, by the grammar that was set when it was taken.
    pub code: String,
    /// `itemClsCd`: at most 10 characters.
    pub class: String,
    /// `itemTyCd`: raw material, finished product, service.
    pub item_type: String,
    /// `itemNm`: at most 200 characters.
    pub name: String,
    /// `itemStdNm`: at most 200 characters.
    pub standard_name: Option<String>,
    /// `orgnNatCd`: a country.
    pub origin: String,
    /// `pkgUnitCd`.
    pub package_unit: String,
    /// `qtyUnitCd`.
    pub quantity_unit: String,
    /// `taxTyCd`.
    pub tax_type: TaxType,
    /// `btchNo`: at most 10 characters.
    pub batch: Option<String>,
    /// `bcd`: at most 20 characters.
    pub barcode: Option<String>,
    /// `dftPrc`: from 0.
    pub price: Amount,
    /// `grpPrcL1` to `grpPrcL5`: from 0.
    pub group_prices: [Option<Amount>; 5],
    /// `addInfo`: at most 7 characters.
    pub additional: Option<String>,
    /// `sftyQty`: from 0.
    pub safety_quantity: Option<Quantity>,
    /// `isrcAplcbYn`: no, where it was not said.
    pub insured: bool,
    /// `useYn`: yes, where it was not said.
    pub in_use: bool,
}

/// By what an item is checked.
#[derive(Clone, Copy, Debug)]
pub struct ItemRules<'a> {
    /// How codes are built (`kra.item_code`).
    pub grammar: ItemCodeGrammar,
    /// KRA's codes.
    pub codes: &'a Codes,
    /// KRA's item classes; where there are none, any is taken.
    pub classes: &'a ItemClasses,
}

impl Item {
    /// Checks a draft; `faults` are those that reading it found.
    ///
    /// # Errors
    /// Every fault at once, those of reading first.
    pub fn check(draft: ItemDraft, faults: Vec<Fault>, rules: &ItemRules<'_>) -> Result<Self, Vec<Fault>> {
        let mut faults = Faults::after(faults);
        let item = checked(&mut Place::head(&mut faults), draft, rules);
        match item.filter(|_| faults.count() == 0) {
            Some(item) => Ok(item),
            None => Err(faults.into_found()),
        }
    }
}

fn checked(place: &mut Place<'_>, draft: ItemDraft, rules: &ItemRules<'_>) -> Option<Item> {
    let code = item_code(place, draft.code, rules);
    let (class, hint) = item_class(place, draft.class, rules);
    let item_type = coded(place, "itemTyCd", draft.item_type, Codes::ITEM_TYPE, rules.codes);
    let name = place.needed_text("itemNm", draft.name, 200);
    let standard_name = place.text("itemStdNm", draft.standard_name, 200);
    let origin = coded(place, "orgnNatCd", draft.origin, Codes::COUNTRY, rules.codes);
    let package_unit = coded(place, "pkgUnitCd", draft.package_unit, Codes::PACKAGE_UNIT, rules.codes);
    let quantity_unit = coded(place, "qtyUnitCd", draft.quantity_unit, Codes::QUANTITY_UNIT, rules.codes);
    // KRA's hint, where the item does not say: its class is usually taxed so.
    let told = draft.tax_type.or_else(|| hint.map(|hint| hint.letter().to_owned()));
    let tax_type = tax_type(place, told, rules.codes);
    let batch = place.text("btchNo", draft.batch, 10);
    let barcode = place.text("bcd", draft.barcode, 20);
    let price = place.needed("dftPrc", draft.price);
    let price = place.not_negative("dftPrc", price, Amount::is_negative);
    let mut group_prices = draft.group_prices;
    for (name, price) in
        ["grpPrcL1", "grpPrcL2", "grpPrcL3", "grpPrcL4", "grpPrcL5"].into_iter().zip(&mut group_prices)
    {
        *price = place.not_negative(name, *price, Amount::is_negative);
    }
    let additional = place.text("addInfo", draft.additional, 7);
    let safety_quantity = place.not_negative("sftyQty", draft.safety_quantity, Quantity::is_negative);
    let insured = yes_or_no(place, "isrcAplcbYn", draft.insured);
    let in_use = yes_or_no(place, "useYn", draft.in_use);
    Some(Item {
        code: code?,
        class: class?,
        item_type: item_type?,
        name: name?,
        standard_name,
        origin: origin?,
        package_unit: package_unit?,
        quantity_unit: quantity_unit?,
        tax_type: tax_type?,
        batch,
        barcode,
        price: price?,
        group_prices,
        additional,
        safety_quantity,
        insured: insured.unwrap_or(false),
        in_use: in_use.unwrap_or(true),
    })
}

fn item_code(place: &mut Place<'_>, given: Option<String>, rules: &ItemRules<'_>) -> Option<String> {
    let code = place.needed("itemCd", given.filter(|code| !code.is_empty()))?;
    match rules.grammar.check(&code, rules.codes) {
        Ok(()) => Some(code),
        Err(fault) => {
            let too_long = fault == ItemCodeFault::Unfit && code.chars().count() > 20;
            let kind = if too_long { FaultCode::TooLong } else { FaultCode::BadFormat };
            place.fault("itemCd", kind, &fault.to_string());
            None
        }
    }
}

/// The class, and how KRA hints that it is taxed.
fn item_class(
    place: &mut Place<'_>,
    given: Option<String>,
    rules: &ItemRules<'_>,
) -> (Option<String>, Option<TaxType>) {
    let Some(class) = place.needed_text("itemClsCd", given, 10) else { return (None, None) };
    if rules.classes.is_empty() {
        return (Some(class), None);
    }
    match rules.classes.find(&class).filter(|known| known.in_use) {
        Some(known) => (Some(class), known.tax_type),
        None => {
            place.fault("itemClsCd", FaultCode::NotInList, "must be a class of KRA's list that is in use");
            (None, None)
        }
    }
}

fn coded(
    place: &mut Place<'_>,
    name: &str,
    given: Option<String>,
    class: &str,
    codes: &Codes,
) -> Option<String> {
    let given = place.needed(name, given);
    place.code(name, given, class, codes)
}

fn tax_type(place: &mut Place<'_>, given: Option<String>, codes: &Codes) -> Option<TaxType> {
    let code = coded(place, "taxTyCd", given, Codes::TAX_TYPE, codes)?;
    let known = TaxType::from_letter(&code);
    if known.is_none() {
        place.fault("taxTyCd", FaultCode::NotInList, "must be A, B, C, D or E");
    }
    known
}

fn yes_or_no(place: &mut Place<'_>, name: &str, given: Option<String>) -> Option<bool> {
    match given?.as_str() {
        "Y" => Some(true),
        "N" => Some(false),
        _ => {
            place.fault(name, FaultCode::NotInList, "must be Y or N");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> ItemDraft {
        let some = |text: &str| Some(text.to_owned());
        ItemDraft {
            code: some("KE2NTNO0000001"),
            class: some("5059690800"),
            item_type: some("2"),
            name: some("Bread"),
            origin: some("KE"),
            package_unit: some("NT"),
            quantity_unit: some("NO"),
            tax_type: some("B"),
            price: Some(Amount::parse("65").unwrap()),
            ..ItemDraft::default()
        }
    }

    fn check(draft: ItemDraft, grammar: ItemCodeGrammar) -> Result<Item, Vec<(String, &'static str)>> {
        let codes = Codes::built_in();
        let rules = ItemRules { grammar, codes: &codes, classes: &ItemClasses::default() };
        Item::check(draft, Vec::new(), &rules)
            .map_err(|faults| faults.into_iter().map(|fault| (fault.field, fault.code.word())).collect())
    }

    #[test]
    fn what_is_not_said_is_no_insurance_and_in_use() {
        let item = check(draft(), ItemCodeGrammar::TwoLetter).unwrap();
        assert!(!item.insured && item.in_use);
        let said = ItemDraft { insured: Some("Y".into()), in_use: Some("N".into()), ..draft() };
        let item = check(said, ItemCodeGrammar::TwoLetter).unwrap();
        assert!(item.insured && !item.in_use);
    }

    #[test]
    fn each_rule_has_its_fault() {
        type Change = fn(&mut ItemDraft);
        let cases: [(Change, &str, &str); 27] = [
            (|it| it.code = None, "itemCd", "required"),
            (|it| it.code = Some(String::new()), "itemCd", "required"),
            (|it| it.code = Some("KE2NTU0000001".into()), "itemCd", "bad_format"),
            (|it| it.code = Some("1".repeat(21)), "itemCd", "too_long"),
            (|it| it.class = None, "itemClsCd", "required"),
            (|it| it.class = Some("12345678901".into()), "itemClsCd", "too_long"),
            (|it| it.item_type = None, "itemTyCd", "required"),
            (|it| it.item_type = Some("4".into()), "itemTyCd", "not_in_list"),
            (|it| it.name = Some("  ".into()), "itemNm", "required"),
            (|it| it.name = Some("x".repeat(201)), "itemNm", "too_long"),
            (|it| it.name = Some("a\nb".into()), "itemNm", "control_character"),
            (|it| it.standard_name = Some("x".repeat(201)), "itemStdNm", "too_long"),
            (|it| it.origin = None, "orgnNatCd", "required"),
            (|it| it.origin = Some("Kenya".into()), "orgnNatCd", "not_in_list"),
            (|it| it.package_unit = Some("U".into()), "pkgUnitCd", "not_in_list"),
            (|it| it.quantity_unit = None, "qtyUnitCd", "required"),
            (|it| it.tax_type = Some("F".into()), "taxTyCd", "not_in_list"),
            (|it| it.tax_type = None, "taxTyCd", "required"),
            (|it| it.batch = Some("x".repeat(11)), "btchNo", "too_long"),
            (|it| it.barcode = Some("x".repeat(21)), "bcd", "too_long"),
            (|it| it.price = None, "dftPrc", "required"),
            (|it| it.price = Amount::from_hundredths(-1), "dftPrc", "negative"),
            (|it| it.group_prices[4] = Amount::from_hundredths(-1), "grpPrcL5", "negative"),
            (|it| it.additional = Some("12345678".into()), "addInfo", "too_long"),
            (|it| it.safety_quantity = Quantity::from_hundredths(-1), "sftyQty", "negative"),
            (|it| it.insured = Some("yes".into()), "isrcAplcbYn", "not_in_list"),
            (|it| it.in_use = Some("y".into()), "useYn", "not_in_list"),
        ];
        for (change, field, code) in cases {
            let mut changed = draft();
            change(&mut changed);
            assert_eq!(
                check(changed, ItemCodeGrammar::TwoLetter).unwrap_err(),
                [(field.to_owned(), code)],
                "{field}"
            );
        }
        let faults = check(ItemDraft::default(), ItemCodeGrammar::Free).unwrap_err();
        assert_eq!(faults.len(), 9, "all at once: {faults:?}");
    }

    #[test]
    fn the_grammar_is_a_setting() {
        for (code, grammar, taken) in [
            ("KE2NTNO0000001", ItemCodeGrammar::TwoLetter, true),
            ("KE2NTXU0000001", ItemCodeGrammar::TwoLetter, false),
            ("KE2NTXU0000001", ItemCodeGrammar::Padded, true),
            ("BREAD", ItemCodeGrammar::Padded, false),
            ("BREAD", ItemCodeGrammar::Free, true),
        ] {
            let item = check(ItemDraft { code: Some(code.into()), ..draft() }, grammar);
            assert_eq!(item.is_ok(), taken, "{code} {grammar:?}");
        }
    }

    #[test]
    fn a_class_must_be_in_kras_list_once_it_is_there_and_may_say_how_it_is_taxed() {
        let codes = Codes::built_in();
        let mut classes = ItemClasses::default();
        for bucket in 0..=u8::MAX {
            let lines = "5059690800\tBread\t4\tE\tN\tY\n5059690801\tOld bread\t4\tE\tN\tN\n5059690802\tCake\t4\t\tN\tY\n";
            classes.restore(bucket, lines);
        }
        let rules = ItemRules { grammar: ItemCodeGrammar::Free, codes: &codes, classes: &classes };
        let check = |class: &str, tax: Option<&str>| {
            let tax_type = tax.map(str::to_owned);
            let draft = ItemDraft { class: Some(class.into()), tax_type, ..draft() };
            let checked = Item::check(draft, Vec::new(), &rules);
            checked.map(|item| item.tax_type).map_err(|faults| faults[0].field.clone())
        };
        assert_eq!(check("5059690800", None), Ok(TaxType::E), "KRA's hint");
        assert_eq!(check("5059690800", Some("B")), Ok(TaxType::B), "a hint is no rule");
        assert_eq!(check("5059690802", None), Err("taxTyCd".into()));
        assert_eq!(check("5059690801", Some("B")), Err("itemClsCd".into()), "not in use");
        assert_eq!(check("5059690803", Some("B")), Err("itemClsCd".into()));
    }

    #[test]
    fn what_reading_found_is_told_once() {
        let codes = Codes::built_in();
        let classes = ItemClasses::default();
        let rules = ItemRules { grammar: ItemCodeGrammar::Free, codes: &codes, classes: &classes };
        let found = vec![Fault::new("dftPrc", FaultCode::NotDecimal, "must be a number")];
        let faults = Item::check(ItemDraft { price: None, ..draft() }, found.clone(), &rules);
        assert_eq!(faults, Err(found));
    }
}
