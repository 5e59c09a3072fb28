//! An item as it is posted, alone or in a batch: bytes to drafts.

use serde_json::value::RawValue;

use super::json::{BadJson, Object, read_document};
use crate::fiscal::{Amount, Fault, FaultCode, ITEM_FIELDS, ItemDraft, Quantity};
use crate::gateway::{MOST_SYNCED, PostedItem};

/// The largest body of a batch, bytes.
const LARGEST_BATCH: usize = 8 << 20;

/// The largest body that may come to this path (undecoded), where that is not the usual one.
pub fn max_body_of(path: &str) -> Option<usize> {
    matches!(path.trim_end_matches('/'), "/api/item/sync").then_some(LARGEST_BATCH)
}

/// Reads one item.
///
/// # Errors
/// The body is not one JSON object.
pub(super) fn parse_item(body: &[u8]) -> Result<PostedItem, BadJson> {
    read(read_document(body)?)
}

/// A batch: its entries are read one at a time, so that few of them are in memory at once.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    entries: Vec<Option<&'a RawValue>>,
}

impl<'a> Batch<'a> {
    /// Reads what holds the items together.
    ///
    /// # Errors
    /// The body is not one JSON object, or (inner) it is not a batch.
    pub(super) fn parse(body: &'a [u8]) -> Result<Result<Self, Vec<Fault>>, BadJson> {
        let mut faults = Vec::new();
        let head = Object::read(read_document(body)?, String::new(), &["items"], &mut faults)?;
        if head.raw("items").is_none() {
            faults.push(Fault::new("items", FaultCode::Required, "is required"));
        }
        let entries = head.objects("items", MOST_SYNCED, &mut faults);
        // One entry that is no object spoils no other: it is told with the others' faults.
        faults.retain(|fault| !fault.field.starts_with("items["));
        Ok(if faults.is_empty() { Ok(Self { entries }) } else { Err(faults) })
    }

    /// The items, so many at a time.
    pub(super) fn parts(&self, size: usize) -> impl Iterator<Item = Vec<PostedItem>> + '_ {
        self.entries.chunks(size).map(|part| part.iter().map(|entry| Self::item(*entry)).collect())
    }

    fn item(entry: Option<&RawValue>) -> PostedItem {
        let none = |words| PostedItem {
            draft: ItemDraft::default(),
            faults: vec![Fault::new("items", FaultCode::WrongType, words)],
        };
        match entry.map(read) {
            Some(Ok(item)) => item,
            Some(Err(_)) => none("holds an entry with a key that is not Unicode"),
            None => none("holds an entry that is not an object"),
        }
    }
}

fn read(raw: &RawValue) -> Result<PostedItem, BadJson> {
    let mut faults = Vec::new();
    let item = Object::read(raw, String::new(), &ITEM_FIELDS, &mut faults)?;
    let faults = &mut faults;
    let draft = ItemDraft {
        code: item.text("itemCd", faults),
        class: item.text("itemClsCd", faults),
        item_type: item.text("itemTyCd", faults),
        name: item.text("itemNm", faults),
        standard_name: item.text("itemStdNm", faults),
        origin: item.text("orgnNatCd", faults),
        package_unit: item.text("pkgUnitCd", faults),
        quantity_unit: item.text("qtyUnitCd", faults),
        tax_type: item.text("taxTyCd", faults),
        batch: item.text("btchNo", faults),
        barcode: item.text("bcd", faults),
        price: item.decimal("dftPrc", Amount::parse, faults),
        group_prices: ["grpPrcL1", "grpPrcL2", "grpPrcL3", "grpPrcL4", "grpPrcL5"]
            .map(|name| item.decimal(name, Amount::parse, faults)),
        additional: item.text("addInfo", faults),
        safety_quantity: item.decimal("sftyQty", Quantity::parse, faults),
        insured: item.text("isrcAplcbYn", faults),
        in_use: item.text("useYn", faults),
    };
    Ok(PostedItem { draft, faults: std::mem::take(faults) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(faults: &[Fault]) -> Vec<(&str, &str)> {
        faults.iter().map(|fault| (fault.field.as_str(), fault.code.word())).collect()
    }

    #[test]
    fn an_item_is_read_field_by_field() {
        let posted = parse_item(
            br#"{"itemCd":"A","dftPrc":"65.00","grpPrcL2":60,"sftyQty":2.5,"useYn":"N","bcd":null,"itemNam":"x"}"#,
        )
        .unwrap();
        assert_eq!(posted.draft.price, Amount::parse("65").ok());
        assert_eq!(posted.draft.group_prices[1], Amount::parse("60").ok());
        assert_eq!((posted.draft.code.as_deref(), posted.draft.barcode.as_deref()), (Some("A"), None));
        assert_eq!(words(&posted.faults), [("itemNam", "unknown_field")]);
        let wrong = parse_item(br#"{"itemCd":7,"dftPrc":"1e3"}"#).unwrap();
        assert_eq!(words(&wrong.faults), [("itemCd", "wrong_type"), ("dftPrc", "not_decimal")]);
        assert!(parse_item(b"[]").is_err());
    }

    #[test]
    fn a_batch_is_read_in_parts_and_one_bad_entry_spoils_no_other() {
        let body = br#"{"items":[{"itemCd":"A"},7,{"itemCd":"C"}]}"#;
        let batch = Batch::parse(body).unwrap().unwrap();
        let parts: Vec<_> = batch.parts(2).collect();
        assert_eq!((parts.len(), parts[0].len(), parts[1].len()), (2, 2, 1));
        assert_eq!(words(&parts[0][1].faults), [("items", "wrong_type")]);
        assert_eq!(parts[1][0].draft.code.as_deref(), Some("C"));
        for (body, expected) in [
            ("{}", ("items", "required")),
            (r#"{"items":{}}"#, ("items", "wrong_type")),
            (r#"{"items":[],"more":1}"#, ("more", "unknown_field")),
        ] {
            let faults = Batch::parse(body.as_bytes()).unwrap().unwrap_err();
            assert_eq!(words(&faults), [expected], "{body}");
        }
        let many = format!(r#"{{"items":[{}]}}"#, vec!["{}"; MOST_SYNCED + 1].join(","));
        let faults = Batch::parse(many.as_bytes()).unwrap().unwrap_err();
        assert_eq!(words(&faults), [("items", "too_many")]);
    }

    #[test]
    fn only_a_batch_may_be_that_large() {
        for (path, larger) in [
            ("/api/item/sync", true),
            ("/api/item/sync/", true),
            ("/api/item/", false),
            ("/api/sales/", false),
        ] {
            assert_eq!(max_body_of(path).is_some(), larger, "{path}");
        }
    }
}
