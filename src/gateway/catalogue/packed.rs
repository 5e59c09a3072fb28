//! An item in little memory: its fields in one text, between characters that no field holds.

use crate::fiscal::{Amount, Item, Quantity, TaxType};

/// No text of an item holds control characters.
const BETWEEN: char = '\u{1f}';

/// All of it but its code.
pub(super) fn pack(item: &Item) -> Box<str> {
    let mut packed = String::with_capacity(96);
    let mut put = |text: &str| {
        packed.push_str(text);
        packed.push(BETWEEN);
    };
    let or_none = |text: &Option<String>| text.clone().unwrap_or_default();
    for text in [&item.class, &item.item_type, &item.name, &item.origin] {
        put(text);
    }
    for text in [&item.package_unit, &item.quantity_unit] {
        put(text);
    }
    put(item.tax_type.letter());
    put(&item.price.to_string());
    put(if item.insured { "Y" } else { "" });
    put(if item.in_use { "" } else { "N" });
    for text in [&item.standard_name, &item.batch, &item.barcode, &item.additional] {
        put(&or_none(text));
    }
    put(&item.safety_quantity.map(|quantity| quantity.to_string()).unwrap_or_default());
    for price in item.group_prices {
        put(&price.map(|price| price.to_string()).unwrap_or_default());
    }
    packed.into_boxed_str()
}

/// The name in a packed item, and its barcode.
pub(super) fn name_and_barcode(packed: &str) -> (&str, &str) {
    let mut fields = packed.split(BETWEEN);
    (fields.nth(2).unwrap_or_default(), fields.nth(9).unwrap_or_default())
}

/// The item again. What was packed here is always one.
pub(super) fn unpack(code: &str, packed: &str) -> Item {
    let mut fields = packed.split(BETWEEN);
    let mut text = || fields.next().unwrap_or_default().to_owned();
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    let (class, item_type, name, origin) = (text(), text(), text(), text());
    let (package_unit, quantity_unit) = (text(), text());
    let tax_type = TaxType::from_letter(&text()).unwrap_or(TaxType::B);
    let price = Amount::parse(&text()).unwrap_or(Amount::ZERO);
    let (insured, in_use) = (text() == "Y", text() != "N");
    let (standard_name, batch, barcode) = (some(text()), some(text()), some(text()));
    let additional = some(text());
    let safety_quantity = Quantity::parse(&text()).ok();
    let group_prices = [(); 5].map(|()| Amount::parse(&text()).ok());
    Item {
        code: code.to_owned(),
        class,
        item_type,
        name,
        standard_name,
        origin,
        package_unit,
        quantity_unit,
        tax_type,
        batch,
        barcode,
        price,
        group_prices,
        additional,
        safety_quantity,
        insured,
        in_use,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(in crate::gateway) fn items() -> impl Strategy<Value = Item> {
        let optional = |longest: &'static str| proptest::option::of(longest);
        let price = || (0i64..10_000_000).prop_map(|cents| Amount::from_hundredths(cents).unwrap());
        let texts = ("[0-9]{1,10}", "[^\\p{C}]{1,40}", "[A-Z]{2}", "[A-Z]{1,3}", "[A-Z]{1,3}");
        let others = (optional("[a-z]{1,9}"), optional("[0-9]{1,9}"), optional("[0-9]{1,13}"), optional("x"));
        let figures = (
            price(),
            proptest::array::uniform5(proptest::option::of(price())),
            proptest::option::of((0i64..1000).prop_map(|it| Quantity::from_hundredths(it).unwrap())),
        );
        (texts, others, figures, 0usize..5, any::<bool>(), any::<bool>()).prop_map(
            |(texts, others, figures, tax, insured, in_use)| Item {
                code: "KE2NTNO0000001".into(),
                class: texts.0,
                item_type: "2".into(),
                name: texts.1,
                origin: texts.2,
                package_unit: texts.3,
                quantity_unit: texts.4,
                standard_name: others.0,
                batch: others.1,
                barcode: others.2,
                additional: others.3,
                tax_type: TaxType::ALL[tax],
                price: figures.0,
                group_prices: figures.1,
                safety_quantity: figures.2,
                insured,
                in_use,
            },
        )
    }

    proptest! {
        #[test]
        fn an_item_comes_back_as_it_went(item in items()) {
            let packed = pack(&item);
            let (name, barcode) = name_and_barcode(&packed);
            prop_assert_eq!((name, barcode), (item.name.as_str(), item.barcode.as_deref().unwrap_or_default()));
            prop_assert_eq!(unpack(&item.code, &packed), item);
        }
    }
}
