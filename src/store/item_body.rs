//! The body of an ITEM record: JSON, readable in exports and by hand.

use serde::{Deserialize, Serialize};

use crate::fiscal::{Amount, Item, Quantity, TaxType};
use crate::gateway::ports::KeptItem;
use crate::queue::ItemStanding;

#[derive(Deserialize, Serialize)]
struct Body {
    code: String,
    class: String,
    item_type: String,
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    standard_name: Option<String>,
    origin: String,
    package_unit: String,
    quantity_unit: String,
    tax_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    batch: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    barcode: Option<String>,
    price: String,
    /// The five group prices; left out where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group_prices: Option<[Option<String>; 5]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    additional: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    safety_quantity: Option<String>,
    insured: bool,
    in_use: bool,
    /// Where it stands with KRA.
    kra: String,
    /// KRA's words, where it did not take it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    words: Option<String>,
    /// KRA has saved it, in this version or an earlier one.
    known: bool,
    changed_ms: i64,
}

/// The bytes of a record's body.
pub(super) fn write_item(kept: &KeptItem) -> Vec<u8> {
    let KeptItem { item, standing, known, changed_ms } = kept;
    let Item { code, class, item_type, name, standard_name, origin, package_unit, quantity_unit, .. } =
        item.clone();
    let prices = item.group_prices.map(|price| price.map(|price| price.to_string()));
    let body = Body {
        code,
        class,
        item_type,
        name,
        standard_name,
        origin,
        package_unit,
        quantity_unit,
        tax_type: item.tax_type.letter().to_owned(),
        batch: item.batch.clone(),
        barcode: item.barcode.clone(),
        price: item.price.to_string(),
        group_prices: prices.iter().any(Option::is_some).then_some(prices),
        additional: item.additional.clone(),
        safety_quantity: item.safety_quantity.map(|quantity| quantity.to_string()),
        insured: item.insured,
        in_use: item.in_use,
        kra: standing.word().to_owned(),
        words: standing.words().map(str::to_owned),
        known: *known,
        changed_ms: *changed_ms,
    };
    serde_json::to_vec(&body).expect("texts and numbers are always JSON")
}

/// Reads a body back; `None`: it is not one.
pub(super) fn read_item(body: &[u8]) -> Option<KeptItem> {
    let body: Body = serde_json::from_slice(body).ok()?;
    let mut group_prices = [None; 5];
    for (place, price) in group_prices.iter_mut().zip(body.group_prices.unwrap_or_default()) {
        *place = price.map(|price| Amount::parse(&price)).transpose().ok()?;
    }
    let words = body.words.unwrap_or_default();
    let standing = match body.kra.as_str() {
        "parked" => ItemStanding::Parked(words),
        "queued" => ItemStanding::Queued,
        "refused" => ItemStanding::Refused(words),
        "saved" => ItemStanding::Saved,
        _ => return None,
    };
    let item = Item {
        code: body.code,
        class: body.class,
        item_type: body.item_type,
        name: body.name,
        standard_name: body.standard_name,
        origin: body.origin,
        package_unit: body.package_unit,
        quantity_unit: body.quantity_unit,
        tax_type: TaxType::from_letter(&body.tax_type)?,
        batch: body.batch,
        barcode: body.barcode,
        price: Amount::parse(&body.price).ok()?,
        group_prices,
        additional: body.additional,
        safety_quantity: body.safety_quantity.map(|it| Quantity::parse(&it)).transpose().ok()?,
        insured: body.insured,
        in_use: body.in_use,
    };
    Some(KeptItem { item, standing, known: body.known, changed_ms: body.changed_ms })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_comes_back_as_it_went() {
        let price = |text| Amount::parse(text).ok();
        let item = Item {
            code: "KE2NTNO0000001".into(),
            class: "5059690800".into(),
            item_type: "2".into(),
            name: "Bread \"white\"".into(),
            standard_name: None,
            origin: "KE".into(),
            package_unit: "NT".into(),
            quantity_unit: "NO".into(),
            tax_type: TaxType::B,
            batch: None,
            barcode: None,
            price: Amount::parse("65").unwrap(),
            group_prices: [None; 5],
            additional: None,
            safety_quantity: None,
            insured: false,
            in_use: true,
        };
        let full = Item {
            standard_name: Some("Bread".into()),
            batch: Some("B1".into()),
            barcode: Some("6161".into()),
            group_prices: [price("1"), None, price("2.5"), None, price("0")],
            additional: Some("x".into()),
            safety_quantity: Quantity::parse("2.25").ok(),
            insured: true,
            in_use: false,
            ..item.clone()
        };
        for (item, standing, known) in [
            (item.clone(), ItemStanding::Queued, false),
            (full, ItemStanding::Refused("910 no".into()), true),
            (item.clone(), ItemStanding::Parked("lost".into()), false),
            (item, ItemStanding::Saved, true),
        ] {
            let kept = KeptItem { item, standing, known, changed_ms: 1_700_000_000_000 };
            let body = write_item(&kept);
            assert_eq!(read_item(&body), Some(kept));
            for cut in 0..body.len() {
                assert_eq!(read_item(&body[..cut]), None);
            }
        }
    }
}
