//! The number series, the look-up, and invoices from elsewhere.

use serde_json::json;

use super::{Desk, SALE, json, now, numbered};
use crate::simulator::functions::Function;
use crate::simulator::json as our_json;
use crate::simulator::settings::{Duplicate, ReceiptOffset, Settings};
use crate::simulator::tree::Tree;

fn look_up(desk: &mut Desk, number: u64) -> (String, Tree) {
    let body = format!(r#"{{"tin":"P000000000A","bhfId":"00","cmcKey":"KEY","invcNo":{number}}}"#);
    let answer = desk.post(Function::InvoiceDetails, &body);
    (answer.code, answer.data)
}

#[test]
fn the_counter_moves_on_acceptance_only() {
    let mut desk = Desk::new(Settings::default());
    assert_eq!(desk.sell(&numbered(2)).message, "Invalid invcNo sequence, expected: 1 but found: 2");
    assert_eq!(desk.sell(&numbered(0)).message, "Invalid invcNo sequence, expected: 1 but found: 0");
    assert_eq!(desk.sell(SALE).code, "000");
    assert_eq!(desk.sell(SALE).code, "994");
    assert_eq!(desk.sell(&numbered(3)).message, "Invalid invcNo sequence, expected: 2 but found: 3");
    assert_eq!(desk.sell(&numbered(2)).code, "000");
    desk.office.settings.duplicate = Duplicate::Sequence;
    let again = desk.sell(&numbered(2));
    assert_eq!(
        (again.code.as_str(), again.message.as_str()),
        ("910", "Invalid invcNo sequence, expected: 3 but found: 2")
    );
    assert_eq!(desk.next(), 3);
}

#[test]
fn proofs_are_whole_and_differ() {
    let receipt_offset = ReceiptOffset { sale: 10, credit_note: 20, total: 100 };
    let mut desk = Desk::new(Settings { receipt_offset, ..Settings::default() });
    let first = desk.sell(SALE).data;
    let second = desk.sell(&numbered(2)).data;
    assert_eq!((first.text_at("curRcptNo"), first.text_at("totRcptNo")), ("11", "101"));
    assert_eq!((second.text_at("curRcptNo"), second.text_at("totRcptNo")), ("12", "102"));
    assert_eq!((first.text_at("intrlData").len(), first.text_at("rcptSign").len()), (26, 16));
    assert_eq!(first.text_at("sdcDateTime"), now().stamp());
    assert_ne!(first.text_at("rcptSign"), second.text_at("rcptSign"));
}

#[test]
fn the_look_up_gives_the_whole_sale_and_its_proof() {
    let mut desk = Desk::new(Settings::default());
    assert_eq!(look_up(&mut desk, 1), ("001".to_owned(), Tree::Null));
    let proof = desk.sell(SALE).data;
    let (code, data) = look_up(&mut desk, 1);
    assert_eq!(code, "000");
    let sale = &data.list_at("salesList")[0];
    let receipt = sale.at("receipt").unwrap();
    for name in ["curRcptNo", "totRcptNo", "intrlData", "rcptSign"] {
        assert_eq!(receipt.at(name), proof.at(name), "{name}");
    }
    assert_eq!(receipt.text_at("sdcDateTime"), "2025-01-15 12:00:00.0");
    // All that was sent is there again, but for the key.
    let sent = json(SALE);
    let found = json(&our_json::render(sale));
    for (name, value) in sent.as_object().unwrap() {
        match name.as_str() {
            "cmcKey" => assert!(found.get(name).is_none()),
            "receipt" => assert_eq!(found["receipt"]["rcptPbctDt"], value["rcptPbctDt"]),
            _ => assert_eq!(&found[name], value, "{name}"),
        }
    }
    assert_eq!(look_up(&mut desk, 2).0, "001");
}

#[test]
fn careless_answers() {
    let mut desk = Desk::new(Settings { sloppy: true, ..Settings::default() });
    let proof = desk.sell(SALE).data;
    assert_eq!(proof.at("curRcptNo "), Some(&Tree::text("1")));
    let (_, data) = look_up(&mut desk, 1);
    assert_eq!(data.list_at("salesList")[0].at("totAmt"), Some(&Tree::text("116.00")));
}

#[test]
fn invoices_from_elsewhere() {
    let mut desk = Desk::new(Settings::default());
    let foreign = |desk: &mut Desk, sale: serde_json::Value| {
        desk.office.book_foreign(&our_json::parse(&sale.to_string()).unwrap(), now())
    };
    let branch = json!({"tin": "P000000000A", "bhfId": "00"});
    foreign(&mut desk, branch.clone()).unwrap();
    assert_eq!(desk.sell(SALE).code, "994");
    assert_eq!(desk.sell(&numbered(2)).code, "000");
    let ours = json!({"tin": "P000000000A", "bhfId": "00", "invcNo": 5, "trdInvcNo": "TILL3-000124"});
    foreign(&mut desk, ours).unwrap();
    assert_eq!(desk.next(), 6);
    assert_eq!(look_up(&mut desk, 5).1.list_at("salesList")[0].text_at("trdInvcNo"), "TILL3-000124");
    assert!(foreign(&mut desk, json!({"tin": "P000000000A", "bhfId": "00", "invcNo": 5})).is_err());
    assert!(foreign(&mut desk, json!({"tin": "P000000000A", "bhfId": "00", "totAmt": "x"})).is_err());
    assert!(foreign(&mut desk, json!({"bhfId": "00"})).is_err());
    let report = desk.office.books.report(1);
    let sales = report[0]["sales"].as_array().unwrap();
    assert_eq!(
        sales.iter().map(|sale| sale["foreign"].as_bool().unwrap()).collect::<Vec<_>>(),
        [false, true]
    );
    assert_eq!(report[0]["refused"][0]["resultCd"], "994");
}

#[test]
fn a_series_begun_elsewhere() {
    let mut desk = Desk::new(Settings::default());
    let branch = desk.office.books.branch("P000000000A", "00").unwrap();
    assert!(branch.start_at(42) && !branch.start_at(0));
    assert_eq!(desk.sell(SALE).code, "910");
    assert_eq!(desk.sell(&numbered(42)).code, "000");
    assert!(!desk.office.books.branch("P000000000A", "00").unwrap().start_at(42));
}
