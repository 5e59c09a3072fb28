//! What is refused, with which code and words.

use super::{Desk, INIT, SALE, call, edit, now};
use crate::simulator::functions::Function;
use crate::simulator::office::Office;
use crate::simulator::settings::Settings;

#[test]
#[allow(clippy::too_many_lines, reason = "one table")]
fn sales_that_are_refused() {
    let mut desk = Desk::new(Settings::default());
    let long = format!(r#""trdeNm":"{}""#, "x".repeat(21));
    for (from, to, code, words) in [
        // Presence, kind and length.
        (r#""taxblAmtD":0,"#, "", "910", "[<taxblAmtD>] cannot be Null"),
        (r#""taxRtE":8,"#, "", "910", "[<taxRtE>] cannot be Null"),
        (r#""taxAmtA":0,"#, r#""taxAmtA":null,"#, "910", "[<taxAmtA>] cannot be Null"),
        (r#""trdInvcNo":"TILL3-000123""#, r#""trdInvcNo":"""#, "910", "[<trdInvcNo>] cannot be empty"),
        (r#""trdeNm":"Shop""#, long.as_str(), "910", "[<receipt><trdeNm>] is longer than 20"),
        (r#""remark":null"#, r#""remark":5"#, "910", "[<remark>] is not a text"),
        (r#""remark":null"#, r#""remark":"a\u0007b""#, "910", "[<remark>] has control characters"),
        (r#""invcNo":1,"#, r#""invcNo":"1","#, "910", "[<invcNo>] is not a number"),
        (r#""invcNo":1,"#, r#""invcNo":1.0,"#, "910", "[<invcNo>] is not a whole number"),
        (r#""prc":58.00"#, r#""prc":58.000"#, "910", "[<itemList><prc>] is not a number"),
        (r#""prc":58.00"#, r#""prc":5.8e1"#, "910", "[<itemList><prc>] is not a number"),
        (r#""prc":58.00"#, r#""prc":-58.00"#, "910", "[<itemList><prc>] is negative"),
        (r#""prc":58.00"#, r#""prc":12345678901234567"#, "910", "[<itemList><prc>] has more than 18 digits"),
        (r#""itemNm":"Thing","#, "", "910", "[<itemList><itemNm>] cannot be Null"),
        (r#""receipt":{"#, r#""receipt":null,"r":{"#, "910", "[<receipt>] cannot be Null"),
        (r#""itemList":["#, r#""itemList":[],"i":["#, "910", "[<itemList>] is empty"),
        (r#""itemList":["#, r#""itemList":7,"i":["#, "910", "[<itemList>] is not a list"),
        (r#""itemList":["#, r#""itemList":[1,"#, "910", "[<itemList>] is not an object"),
        (r#""remark":null"#, r#""remark":null,"remark":null"#, "910", "given twice"),
        // Dates.
        (r#""cfmDt":"20250115101530""#, r#""cfmDt":"20250115120101""#, "910", "[<cfmDt>] lies in the future"),
        (r#""cfmDt":"20250115101530""#, r#""cfmDt":"20250229101530""#, "910", "[<cfmDt>] is not a time"),
        (r#""salesDt":"20250115""#, r#""salesDt":"20250116""#, "910", "[<salesDt>] lies in the future"),
        (r#""salesDt":"20250115""#, r#""salesDt":"2025-1-5""#, "910", "[<salesDt>] is not a date"),
        (r#""stockRlsDt":"20250115101530""#, r#""stockRlsDt":"""#, "910", "[<stockRlsDt>] is not a time"),
        // Code lists.
        (r#""pkgUnitCd":"NT""#, r#""pkgUnitCd":"U""#, "913", "[<itemList><pkgUnitCd>]"),
        (r#""qtyUnitCd":"NO""#, r#""qtyUnitCd":"KGM""#, "913", "[<itemList><qtyUnitCd>]"),
        (r#""taxTyCd":"B""#, r#""taxTyCd":"F""#, "913", "[<itemList><taxTyCd>]"),
        (r#""itemClsCd":"5059690800""#, r#""itemClsCd":"50X""#, "913", "[<itemList><itemClsCd>]"),
        (r#""pmtTyCd":"01""#, r#""pmtTyCd":"08""#, "913", "[<pmtTyCd>]"),
        (r#""rcptTyCd":"S""#, r#""rcptTyCd":"C""#, "913", "[<rcptTyCd>]"),
        (r#""salesTyCd":"N""#, r#""salesTyCd":"T""#, "913", "[<salesTyCd>]"),
        (r#""salesSttsCd":"02""#, r#""salesSttsCd":"01""#, "913", "[<salesSttsCd>]"),
        (r#""rfdRsnCd":null"#, r#""rfdRsnCd":"14""#, "913", "[<rfdRsnCd>]"),
        (r#""prchrAcptcYn":"N","remark""#, r#""prchrAcptcYn":"X","remark""#, "913", "[<prchrAcptcYn>]"),
        // Numbers and lines.
        (r#""invcNo":1,"#, r#""invcNo":2,"#, "910", "Invalid invcNo sequence, expected: 1 but found: 2"),
        (
            r#""invcNo":1,"#,
            r#""invcNo":99999999999999999999999999999999999999,"#,
            "910",
            "Invalid invcNo sequence",
        ),
        (r#""orgInvcNo":0"#, r#""orgInvcNo":1"#, "910", "Invalid orgInvcNo"),
        (r#""totItemCnt":1"#, r#""totItemCnt":2"#, "910", "Invalid totItemCnt. Expected: 1, But Found: 2"),
        (r#""itemSeq":1"#, r#""itemSeq":0"#, "910", "Invalid itemSeq. Expected: 1, But Found: 0"),
        (r#""pkg":2"#, r#""pkg":0"#, "910", "Invalid pkg"),
        (r#""qty":2"#, r#""qty":0.00"#, "910", "Invalid qty"),
        // Tax.
        (r#""taxRtB":16"#, r#""taxRtB":18"#, "910", "Rule taxRtB failed. Expected: 16.00, But Found: 18.00"),
        (
            r#""splyAmt":116.00"#,
            r#""splyAmt":116.01"#,
            "910",
            "Invalid splyAmt for itemSeq 1. Expected: 116.00",
        ),
        (
            r#""dcAmt":0"#,
            r#""dcAmt":1"#,
            "910",
            "Invalid dcAmt for itemSeq 1. Expected: 0.00, But Found: 1.00",
        ),
        (
            r#""taxblAmt":100.00"#,
            r#""taxblAmt":116.00"#,
            "910",
            "Invalid taxblAmt for itemSeq 1. Expected: 100.00, But Found: 116.00",
        ),
        (
            r#""taxAmt":16.00"#,
            r#""taxAmt":16.01"#,
            "910",
            "Invalid taxAmt for itemSeq 1. Expected: 16.00, But Found: 16.01",
        ),
        (r#""taxblAmtB":100.00"#, r#""taxblAmtB":99.99"#, "910", "Invalid taxblAmtB. Expected: 100.00"),
        (r#""taxblAmtE":0"#, r#""taxblAmtE":1"#, "910", "Invalid taxblAmtE. Expected: 0.00"),
        (r#""taxAmtB":16.00"#, r#""taxAmtB":16"0"#, "910", "not JSON"),
        (r#""taxAmtC":0"#, r#""taxAmtC":0.01"#, "910", "Invalid taxAmtC. Expected: 0.00"),
        (
            r#""totTaxblAmt":100.00"#,
            r#""totTaxblAmt":116.00"#,
            "910",
            "Invalid totTaxblAmt. Expected: 100.00",
        ),
        (r#""totTaxAmt":16.00"#, r#""totTaxAmt":0"#, "910", "Invalid totTaxAmt. Expected: 16.00"),
        (
            r#""totAmt":116.00,"#,
            r#""totAmt":116.01,"#,
            "910",
            "Invalid totAmt. Expected: 116.00, But Found: 116.01",
        ),
        (
            r#""totAmt":116.00}"#,
            r#""totAmt":100.00}"#,
            "910",
            "Invalid totAmt for itemSeq 1. Expected: 116.00",
        ),
        // Who.
        (r#""cmcKey":"KEY","#, "", "900", "cmcKey"),
        (r#""tin":"P000000000A","#, "", "900", "tin"),
        (r#""bhfId":"00""#, r#""bhfId":"01""#, "901", "bhfId differs"),
    ] {
        let answer = desk.sell(&edit(SALE, from, to));
        assert_eq!(answer.code, code, "{to}: {}", answer.message);
        assert!(answer.message.contains(words), "{to}: {}", answer.message);
        assert_eq!(desk.next(), 1, "a refusal must not move the counter: {to}");
    }
    assert_eq!(desk.sell(SALE).code, "000");
}

#[test]
fn what_is_left_out_or_odd_but_right_is_accepted() {
    let cases = [
        (r#""pmtTyCd":"01","#, r#""pmtTyCd":"","#),
        (r#""pmtTyCd":"01","#, ""),
        (r#""salesTyCd":"N","#, ""),
        (r#""custTin":null,"custNm":"Walk-in","#, ""),
        (r#""remark":null"#, r#""remark":"naïve – 商","rptNo":3"#),
        (r#""cfmDt":"20250115101530""#, r#""cfmDt":"20250115120100""#),
        (r#""pkg":2"#, r#""pkg":1"#),
        (r#""dcRt":0"#, r#""dcRt":0.00"#),
    ];
    for (from, to) in cases {
        let answer = Desk::new(Settings::default()).sell(&edit(SALE, from, to));
        assert_eq!(answer.code, "000", "{to}: {}", answer.message);
    }
}

/// The body with the line and the sums of another convention in it.
fn in_figures(rate: &str, figures: [&str; 6]) -> String {
    let [qty, prc, supply, taxable, tax, total] = figures;
    let sale = edit(SALE, r#""taxRtB":16"#, &format!(r#""taxRtB":{rate}"#));
    let sale = edit(
        &sale,
        r#""qty":2,"prc":58.00,"splyAmt":116.00"#,
        &format!(r#""qty":{qty},"prc":{prc},"splyAmt":{supply}"#),
    );
    let sale = edit(
        &sale,
        r#""taxblAmt":100.00,"taxAmt":16.00,"totAmt":116.00}"#,
        &format!(r#""taxblAmt":{taxable},"taxAmt":{tax},"totAmt":{total}}}"#),
    );
    let sale = edit(&sale, r#""taxblAmtB":100.00"#, &format!(r#""taxblAmtB":{taxable}"#));
    let sale = edit(&sale, r#""taxAmtB":16.00"#, &format!(r#""taxAmtB":{tax}"#));
    edit(
        &sale,
        r#""totTaxblAmt":100.00,"totTaxAmt":16.00,"totAmt":116.00"#,
        &format!(r#""totTaxblAmt":{taxable},"totTaxAmt":{tax},"totAmt":{total}"#),
    )
}

#[test]
fn each_convention_takes_its_own_figures_only() {
    use crate::simulator::Convention::{GrossPriceNetTaxable as I2, GrossTaxable as I1, NetPrice as X};
    let rows = [
        (I2, "16", ["1", "100", "100", "86.21", "13.79", "100"]),
        (I2, "16", ["100", "100", "10000", "8620.69", "1379.31", "10000"]),
        (I2, "16", ["1", "1302.07", "1302.07", "1122.47", "179.60", "1302.07"]),
        (I2, "16", ["24", "522", "12528", "10800", "1728", "12528"]),
        (I1, "16", ["12", "500", "6000", "6000", "827.59", "6000"]),
        (I1, "18", ["10", "3500", "35000", "35000", "5338.98", "35000"]),
        (X, "16", ["1", "0.50", "0.50", "0.50", "0.08", "0.58"]),
        (X, "16", ["100", "147", "14700", "14700", "2352", "17052"]),
    ];
    for convention in [I2, I1, X] {
        for (own, rate, figures) in rows {
            let rates = serde_json::json!({ "rates": { "B": rate } });
            let settings = Settings { convention, ..Settings::default() }.changed(&rates).unwrap();
            let answer = Desk::new(settings).sell(&in_figures(rate, figures));
            let expected = if own == convention { "000" } else { "910" };
            assert_eq!(answer.code, expected, "{convention:?} {figures:?}: {}", answer.message);
        }
    }
    // The tax split that was refused live.
    let answer =
        Desk::new(Settings::default()).sell(&in_figures("16", ["1", "100", "100", "100.00", "16", "116"]));
    assert!(answer.message.contains("Expected: 86.21, But Found: 100.00"), "{}", answer.message);
    // Tax in whole units.
    let settings =
        Settings { convention: I1, ..Settings::default() }.changed(&serde_json::json!({"rates": {"B": 18}}));
    let answer =
        Desk::new(settings.unwrap()).sell(&in_figures("18", ["2", "3500", "7000", "7000", "1068", "7000"]));
    assert!(answer.message.contains("Expected: 1067.80, But Found: 1068.00"), "{}", answer.message);
}

#[test]
fn discounts() {
    for (line, code) in [
        // Amount and percent agree, in either direction of rounding.
        (["100", "10", "580", "4500", "720", "5220"], "000"),
        (["100", "0", "0", "5000", "800", "5800"], "000"),
        (["100", "0", "580", "4500", "720", "5220"], "910"),
        (["100", "33.33", "1933.33", "3333.34", "533.33", "3866.67"], "000"),
        (["100", "100", "5800", "0", "0", "0"], "000"),
        (["100", "100", "5800.01", "0", "0", "0"], "910"),
    ] {
        let [qty, percent, discount, taxable, tax, total] = line;
        let sale = in_figures("16", [qty, "58.00", "5800", taxable, tax, total]);
        let sale = edit(&sale, r#""dcRt":0,"dcAmt":0"#, &format!(r#""dcRt":{percent},"dcAmt":{discount}"#));
        let answer = Desk::new(Settings::default()).sell(&sale);
        assert_eq!(answer.code, code, "{line:?}: {}", answer.message);
    }
}

#[test]
fn registration() {
    let mut office = Office::new(Settings::default());
    let mut init = |body: &str| office.answer(&call(Function::Initialise, body, ""), now());
    for (body, code) in [
        ("", "911"),
        ("  ", "911"),
        ("{", "910"),
        ("[]", "910"),
        (r#"{"tin":"P000000000A","bhfId":"00"}"#, "910"),
        (r#"{"tin":"p000000000a","bhfId":"00","dvcSrlNo":"x"}"#, "910"),
        (r#"{"tin":"P000000000A","bhfId":"A0","dvcSrlNo":"x"}"#, "910"),
        (r#"{"tin":"P000000000B","bhfId":"00","dvcSrlNo":"x"}"#, "901"),
    ] {
        assert_eq!(init(body).code, code, "{body}");
    }
    let first = init(INIT);
    assert_eq!(first.code, "000");
    let info = first.data.at("info").unwrap();
    assert!(info.text_at("sdcId").starts_with("KRACU") && info.text_at("mrcNo").len() == 11);
    let again = init(INIT);
    assert_eq!((again.code.as_str(), again.data), ("902", crate::simulator::tree::Tree::Null));
}

#[test]
fn a_forgotten_device_must_register_again_and_its_invoices_stay() {
    let mut desk = Desk::new(Settings::default());
    assert_eq!(desk.sell(SALE).code, "000");
    desk.office.books.branch("P000000000A", "00").unwrap().device = None;
    assert_eq!(desk.sell(SALE).code, "901");
    let answer = desk.office.answer(&call(Function::Initialise, INIT, ""), now());
    desk.key = answer.data.at("info").unwrap().text_at("cmcKey").to_owned();
    assert_eq!(desk.sell(&super::numbered(2)).code, "000");
}

#[test]
fn items() {
    const ITEM: &str = r#"{"tin":"P000000000A","bhfId":"00","cmcKey":"KEY","itemCd":"KE2NTNO0000001",
        "itemClsCd":"5059690800","itemTyCd":"2","itemNm":"Thing","orgnNatCd":"KE","pkgUnitCd":"NT","qtyUnitCd":"NO",
        "taxTyCd":"B","dftPrc":58.00,"isrcAplcbYn":"N","useYn":"Y","regrId":"a","regrNm":"a","modrId":"a","modrNm":"a"}"#;
    let mut desk = Desk::new(Settings { require_items: true, ..Settings::default() });
    let without = desk.sell(SALE);
    assert!(without.message.contains("do not exist in your stock"), "{}", without.message);
    for (from, to, code, words) in [
        (r#""itemTyCd":"2""#, r#""itemTyCd":"4""#, "913", "[<itemTyCd>]"),
        (r#""orgnNatCd":"KE""#, r#""orgnNatCd":"Kenya""#, "913", "[<orgnNatCd>]"),
        (r#""pkgUnitCd":"NT""#, r#""pkgUnitCd":"BX""#, "913", "[<pkgUnitCd>]"),
        (r#""dftPrc":58.00"#, r#""dftPrc":"58.00""#, "910", "[<dftPrc>]"),
        (r#""modrNm":"a""#, r#""modrNm":"""#, "910", "[<modrNm>]"),
    ] {
        let answer = desk.post(Function::SaveItem, &edit(ITEM, from, to));
        assert_eq!(answer.code, code, "{to}");
        assert!(answer.message.contains(words), "{}", answer.message);
    }
    assert_eq!(desk.post(Function::SaveItem, ITEM).code, "000");
    assert_eq!(desk.post(Function::SaveItem, ITEM).code, "000");
    assert_eq!(desk.sell(SALE).code, "000");
    let list =
        |since: &str| format!(r#"{{"tin":"P000000000A","bhfId":"00","cmcKey":"KEY","lastReqDt":"{since}"}}"#);
    let items = desk.post(Function::ItemList, &list("20180101000000"));
    let items = items.data.list_at("itemList");
    assert_eq!(
        (items.len(), items[0].text_at("itemCd"), items[0].text_at("regBhfId")),
        (1, "KE2NTNO0000001", "00")
    );
    for (function, since, code) in [
        (Function::ItemList, "20250115120001", "001"),
        (Function::CodeList, "20180101000000", "000"),
        (Function::CodeList, "20250101000000", "001"),
        (Function::CodeList, "2025", "910"),
        (Function::ItemClasses, "20180101000000", "000"),
        (Function::Notices, "20180101000000", "000"),
        (Function::Notices, "20250101000000", "001"),
        (Function::PurchaseSalesItems, "20180101000000", "000"),
        (Function::SalesList, "20180101000000", "000"),
        (Function::SalesList, "20250115120001", "001"),
    ] {
        assert_eq!(desk.post(function, &list(since)).code, code, "{function:?} {since}");
    }
}
