//! What a credit note must be.

use super::{Desk, SALE, edit, numbered};
use crate::simulator::settings::Settings;

/// A credit note over `qty` of the sale's two pieces, under this number.
fn note(number: u64, qty: &str, taxable: &str, tax: &str, total: &str) -> String {
    let note = edit(&numbered(number), r#""rcptTyCd":"S""#, r#""rcptTyCd":"R""#);
    let note = edit(&note, r#""orgInvcNo":0"#, r#""orgInvcNo":1"#);
    let note = edit(&note, r#""rfdDt":null,"rfdRsnCd":null"#, r#""rfdDt":"20250115113000","rfdRsnCd":"06""#);
    let note = edit(&note, r#""qty":2"#, &format!(r#""qty":{qty}"#));
    note.replace("100.00", taxable).replace("116.00", total).replace("16.00", tax)
}

fn whole(number: u64) -> String {
    note(number, "2", "100.00", "16.00", "116.00")
}

fn half(number: u64) -> String {
    note(number, "1", "50.00", "8.00", "58.00")
}

#[test]
fn what_is_refused() {
    for (from, to, words) in [
        (r#""orgInvcNo":1"#, r#""orgInvcNo":7"#, "orgInvcNo does not exist"),
        (r#""orgInvcNo":1"#, r#""orgInvcNo":0"#, "orgInvcNo does not exist"),
        (r#""orgInvcNo":1"#, r#""orgInvcNo":2"#, "orgInvcNo does not exist"),
        (r#""rfdDt":"20250115113000""#, r#""rfdDt":null"#, "Missing RfdDt Date"),
        (r#""rfdDt":"20250115113000""#, r#""rfdDt":"20250114235959""#, "Invalid rfdDt"),
        (r#""rfdRsnCd":"06""#, r#""rfdRsnCd":null"#, "Invalid RfdRsnCd"),
        (r#""custNm":"Walk-in""#, r#""custNm":"Somebody""#, "Invalid custNm. Expected: Walk-in"),
        (r#""custTin":null,"custNm""#, r#""custTin":"P000000001B","custNm""#, "Invalid custTin"),
        (r#""itemCd":"KE2NTNO0000001""#, r#""itemCd":"KE2NTNO0000002""#, "credited 2.00 of 0.00"),
    ] {
        let mut desk = Desk::new(Settings::default());
        assert_eq!(desk.sell(SALE).code, "000");
        let answer = desk.sell(&edit(&whole(2), from, to));
        assert_eq!(answer.code, "910", "{to}");
        assert!(answer.message.contains(words), "{to}: {}", answer.message);
        assert_eq!(desk.sell(&whole(2)).code, "000", "{to}");
    }
}

#[test]
fn no_more_comes_back_than_was_sold() {
    let mut desk = Desk::new(Settings::default());
    assert_eq!(desk.sell(SALE).code, "000");
    let too_many = desk.sell(&note(2, "3", "150.00", "24.00", "174.00"));
    assert!(
        too_many.message.contains("Invalid qty for itemSeq 1: credited 3.00 of 2.00"),
        "{}",
        too_many.message
    );
    assert_eq!(desk.sell(&half(2)).code, "000");
    let too_many = desk.sell(&whole(3));
    assert!(too_many.message.contains("credited 3.00 of 2.00"), "{}", too_many.message);
    let last = desk.sell(&half(3));
    assert_eq!(last.code, "000");
    assert_eq!((last.data.text_at("curRcptNo"), last.data.text_at("totRcptNo")), ("2", "3"));
    assert!(desk.sell(&half(4)).message.contains("credited 3.00 of 2.00"));
    // Another sale of the same goods does not mix with the first.
    assert_eq!(desk.sell(&numbered(4)).code, "000");
    assert!(desk.sell(&half(5)).message.contains("credited 3.00 of 2.00"));
    assert_eq!(desk.sell(&edit(&half(5), r#""orgInvcNo":1"#, r#""orgInvcNo":4"#)).code, "000");
}

#[test]
fn no_more_money_comes_back_than_was_paid() {
    let mut desk = Desk::new(Settings::default());
    let figures =
        |text: &str| text.replace("100.00", "90.00").replace("116.00", "104.40").replace("16.00", "14.40");
    let sale = edit(
        &figures(SALE),
        r#""splyAmt":104.40,"dcRt":0,"dcAmt":0"#,
        r#""splyAmt":116.00,"dcRt":10,"dcAmt":11.60"#,
    );
    let sold = desk.sell(&sale);
    assert_eq!(sold.code, "000", "{}", sold.message);
    let answer = desk.sell(&whole(2));
    assert!(
        answer.message.contains("Invalid totAmt for itemSeq 1: credited 116.00 of 104.40"),
        "{}",
        answer.message
    );
}

#[test]
fn an_original_without_a_name_cannot_be_credited() {
    let mut desk = Desk::new(Settings::default());
    assert_eq!(desk.sell(&edit(SALE, r#""custNm":"Walk-in""#, r#""custNm":null"#)).code, "000");
    let answer = desk.sell(&edit(&whole(2), r#""custNm":"Walk-in""#, r#""custNm":null"#));
    assert!(answer.message.contains("the original has none"), "{}", answer.message);
}
