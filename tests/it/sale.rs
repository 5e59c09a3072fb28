//! What a register sells.

use serde_json::{Value, json};

use crate::harness::{BHF_ID, TIN};

/// Two pieces at 58.00, taxed at 16 per cent: 116.00, of which 16.00 is tax.
pub(crate) fn sale(number: &str) -> Value {
    json!({ "trdInvcNo": number, "itemList": [line()] })
}

/// Its line.
pub(crate) fn line() -> Value {
    json!({
        "itemCd": "KE2NTNO0000001",
        "itemClsCd": "5059690800",
        "itemNm": "Thing",
        "pkgUnitCd": "NT",
        "qtyUnitCd": "NO",
        "qty": 2,
        "prc": 58,
        "taxTyCd": "B",
    })
}

/// A sale with some of its fields changed.
pub(crate) fn sale_with(number: &str, changes: Value) -> Value {
    changed(sale(number), changes)
}

/// A sale whose one line has some of its fields changed.
pub(crate) fn sale_of(number: &str, changes: Value) -> Value {
    json!({ "trdInvcNo": number, "itemList": [changed(line(), changes)] })
}

/// With these members over those that are there; a null takes one away.
fn changed(mut object: Value, changes: Value) -> Value {
    let members = object.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            members.remove(name);
        } else {
            members.insert(name.clone(), value.clone());
        }
    }
    object
}

/// The running number in a `tempReceiptNo`, which must be one: `P-7-ABCD`.
#[track_caller]
pub(crate) fn running_number(state: &Value) -> u64 {
    let text = state["tempReceiptNo"].as_str().unwrap_or_else(|| panic!("tempReceiptNo in {state}"));
    let parts: Vec<&str> = text.split('-').collect();
    let [letter, number, hash] = parts[..] else { panic!("tempReceiptNo {text}") };
    assert_eq!(letter, "P", "{text}");
    assert!(hash.len() == 4 && hash.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'7')), "{text}");
    number.parse().unwrap_or_else(|_| panic!("tempReceiptNo {text}"))
}

/// What the QR code of a sale with this signature must lead to.
pub(crate) fn qr_url(signature: &str) -> String {
    format!(
        "https://etims-sbx.kra.go.ke/common/link/etims/receipt/indexEtimsReceiptData?Data={TIN}{BHF_ID}{signature}"
    )
}

/// An amount as the books show it, in hundredths.
#[track_caller]
pub(crate) fn cents(amount: &Value) -> i64 {
    let text = amount.as_str().unwrap_or_else(|| panic!("amount {amount}"));
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let number = format!("{whole}{decimals:0<2}");
    number.parse().unwrap_or_else(|_| panic!("amount {amount}"))
}
