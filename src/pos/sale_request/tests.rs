//! Bad requests of every kind, each with the exact field and word that it is refused with.

use serde_json::{Value, json};

use super::*;
use crate::fiscal::{
    BhfId, Codes, DeviceIdentity, DeviceSerial, KraDateTime, Original, Rates, TaxConvention, Tin,
};

/// Runs with the usual rules: default convention and rates, 2025-01-15 10:15:30, a clock that is right.
fn with_rules<T>(run: impl FnOnce(Rules<'_>) -> T) -> T {
    let device = DeviceIdentity {
        tin: Tin::new("P000000000A").unwrap(),
        bhf_id: BhfId::new("00").unwrap(),
        serial: DeviceSerial::new("GW-1").unwrap(),
    };
    let codes = Codes::built_in();
    run(Rules {
        device: &device,
        convention: TaxConvention::default(),
        rates: Rates::default(),
        codes: &codes,
        now: KraDateTime::parse("20250115101530").unwrap(),
        clock_synchronised: true,
    })
}

fn sale() -> Value {
    json!({"trdInvcNo": "T1-1", "itemList": [line()]})
}

fn line() -> Value {
    json!({"itemCd": "KE2NTNO0000001", "itemNm": "Thing", "pkgUnitCd": "NT", "qtyUnitCd": "NO", "qty": 2,
           "prc": "58.00", "taxTyCd": "B"})
}

fn run(body: &[u8]) -> Result<(Draft, Invoice), Refusal> {
    with_rules(|rules| check(body, "", &rules))
}

fn accept(body: &str) -> (Draft, Invoice) {
    run(body.as_bytes()).unwrap_or_else(|refusal| panic!("{body}: {refusal:?}"))
}

fn faults_of(body: &[u8]) -> Vec<Fault> {
    match run(body) {
        Err(Refusal::Faults(faults)) => faults,
        other => panic!("{}: {other:?}", String::from_utf8_lossy(body)),
    }
}

/// Checks field and word of each fault of `body`.
fn refuse(body: &str, expected: &[(&str, &str)]) {
    let faults = faults_of(body.as_bytes());
    let found: Vec<(&str, &str)> =
        faults.iter().map(|fault| (fault.field.as_str(), fault.code.word())).collect();
    assert_eq!(found, expected, "{body}");
}

/// The usual sale with `member` of the head written as `raw` JSON.
fn head_with(member: &str, raw: &str) -> String {
    let sale = sale().to_string();
    format!("{{\"{member}\":{raw},{}", &sale[1..])
}

/// The usual sale with `member` of its line written as `raw` JSON, in place of the usual one.
fn line_with(member: &str, raw: &str) -> String {
    let mut line = line();
    line.as_object_mut().unwrap().remove(member);
    let line = line.to_string();
    format!("{{\"trdInvcNo\":\"T1-1\",\"itemList\":[{{\"{member}\":{raw},{}]}}", &line[1..])
}

#[test]
fn a_sale_is_read_and_checked() {
    let (draft, invoice) = accept(&sale().to_string());
    assert_eq!(draft.trader_ref.as_deref(), Some("T1-1"));
    assert_eq!(draft.receipt_type, None, "nothing is filled in");
    assert_eq!(invoice.total.to_string(), "116.00");
}

#[test]
fn every_member_lands_in_its_field() {
    let names: Vec<&str> = SALE_FIELDS.into_iter().chain(LINE_FIELDS).collect();
    let text_of = |name: &str| Some(format!("text of {name}"));
    let mut head = serde_json::Map::new();
    for name in SALE_FIELDS {
        head.insert(name.to_owned(), json!(text_of(name)));
    }
    let mut line = serde_json::Map::new();
    for name in LINE_FIELDS {
        line.insert(name.to_owned(), json!(text_of(name)));
    }
    for (place, name) in
        ["pkg", "qty", "prc", "dcRt", "dcAmt", "isrcRt", "isrcAmt", "splyAmt", "taxblAmt", "taxAmt", "totAmt"]
            .into_iter()
            .enumerate()
    {
        line.insert(name.to_owned(), json!(place + 1));
    }
    head.insert("orgInvcNo".to_owned(), json!("77"));
    head.insert("totTaxAmt".to_owned(), json!(98));
    head.insert("totAmt".to_owned(), json!("99"));
    head.insert("itemList".to_owned(), json!([line]));
    let request = SaleRequest::parse(Value::Object(head).to_string().as_bytes(), "").unwrap();
    assert_eq!(request.faults, [], "{names:?} are all known");
    let hundredths = |whole: i64| whole * 100;
    let amount = |whole| Amount::from_hundredths(hundredths(whole));
    let expected = Draft {
        trader_ref: text_of("trdInvcNo"),
        tin: text_of("tin"),
        bhf_id: text_of("bhfId"),
        receipt_type: text_of("rcptTyCd"),
        sales_type: text_of("salesTyCd"),
        payment_type: text_of("pmtTyCd"),
        confirmed_at: text_of("cfmDt"),
        customer_tin: text_of("custTin"),
        customer_name: text_of("custNm"),
        customer_mobile: text_of("custMblNo"),
        remark: text_of("remark"),
        original_trader_ref: text_of("orgTrdInvcNo"),
        original_invoice_no: Some(77),
        refund_reason: text_of("rfdRsnCd"),
        replaces: text_of("replaces"),
        total_tax: amount(98),
        total: amount(99),
        lines: vec![DraftLine {
            item_code: text_of("itemCd"),
            item_class: text_of("itemClsCd"),
            name: text_of("itemNm"),
            barcode: text_of("bcd"),
            package_unit: text_of("pkgUnitCd"),
            packages: Quantity::from_hundredths(100),
            quantity_unit: text_of("qtyUnitCd"),
            quantity: Quantity::from_hundredths(200),
            price: amount(3),
            discount_rate: Rate::from_hundredths(400),
            discount: amount(5),
            insurer_code: text_of("isrccCd"),
            insurer_name: text_of("isrccNm"),
            insurance_rate: Rate::from_hundredths(600),
            insured: amount(7),
            tax_type: text_of("taxTyCd"),
            supply: amount(8),
            taxable: amount(9),
            tax: amount(10),
            total: amount(11),
        }],
    };
    assert_eq!(request.draft, expected);
}

#[test]
fn what_is_not_one_json_object_is_bad_json() {
    let deep = "[".repeat(100_000);
    let deep_objects = "{\"a\":".repeat(100_000);
    for (body, words) in [
        (b"".as_slice(), "empty"),
        (b" \r\n\t ", "empty"),
        (b"qty=2", "not JSON"),
        (b"{", "not JSON"),
        (b"{\"trdInvcNo\":}", "not JSON"),
        (b"{'trdInvcNo':'1'}", "not JSON"),
        (b"{\"qty\":01}", "not JSON"),
        (b"{\"qty\":.5}", "not JSON"),
        (b"{\"qty\":NaN}", "not JSON"),
        (b"{\"qty\":1,}", "not JSON"),
        (b"{\"remark\":\"a\nb\"}", "not JSON"),
        (b"{} {}", "not JSON"),
        (b"{}x", "not JSON"),
        (b"[]", "must be a JSON object"),
        (b"[{\"trdInvcNo\":\"1\"}]", "must be a JSON object"),
        (b"null", "must be a JSON object"),
        (b"5", "must be a JSON object"),
        (b"\"a secret name\"", "must be a JSON object"),
        (b"{\"remark\":\"\xff\"}", "not UTF-8 (byte 12)"),
        (b"{\"\\ud800\":1}", "not Unicode"),
        (deep.as_bytes(), "not JSON"),
        (deep_objects.as_bytes(), "not JSON"),
    ] {
        match run(body) {
            Err(Refusal::BadJson(bad)) => {
                let message = bad.to_string();
                assert!(message.contains(words), "{message} should say {words}");
                assert!(!message.contains("secret"), "{message}");
            }
            other => panic!("{:?}: {other:?}", &body[..body.len().min(40)]),
        }
    }
}

#[test]
fn depth_and_size_cost_neither_stack_nor_time() {
    let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    refuse(&head_with("remark", &nested), &[("remark", "wrong_type")]);
    refuse(&head_with("colour", &nested), &[("colour", "unknown_field")]);
    refuse(&line_with("qty", &nested), &[("itemList[0].qty", "wrong_type")]);
    let objects = format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
    refuse(&line_with("qty", &objects), &[("itemList[0].qty", "wrong_type")]);

    let started = std::time::Instant::now();
    let million = 1 << 20;
    refuse(&head_with("totAmt", &"9".repeat(million)), &[("totAmt", "too_large")]);
    refuse(&head_with("orgInvcNo", &"9".repeat(million)), &[("orgInvcNo", "too_large")]);
    refuse(&head_with("remark", &format!("\"{}\"", "x".repeat(million))), &[("remark", "too_long")]);
    let entries = format!("[{}0]", "0,".repeat(million / 2));
    let faults = faults_of(format!("{{\"trdInvcNo\":\"1\",\"itemList\":{entries}}}").as_bytes());
    assert_eq!(faults.len(), 1 + MAX_LINES);
    assert_eq!((faults[0].field.as_str(), faults[0].code), ("itemList", FaultCode::TooMany));
    let keys: String = (0..100_000).map(|n| format!("\"k{n}\":1,")).collect();
    let faults = faults_of(format!("{{{keys}\"trdInvcNo\":\"1\"}}").as_bytes());
    assert_eq!(faults.len(), 1 + 20 + 1, "{:?}", faults.last());
    assert_eq!(
        faults.last().map(|fault| fault.message.as_str()),
        Some("* stands for 99980 more unknown fields")
    );
    let twice = format!("{{{}\"tin\":null}}", "\"tin\":null,".repeat(million / 11));
    refuse(&twice, &[("trdInvcNo", "required"), ("tin", "duplicate_key"), ("itemList", "required")]);
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}

#[test]
fn numbers_are_read_by_their_digits() {
    for (raw, qty) in [
        ("65", "65.00"),
        ("65.0", "65.00"),
        ("65.00", "65.00"),
        ("65.000", "65.00"),
        ("\"65\"", "65.00"),
        ("\"65.00\"", "65.00"),
        ("0.01", "0.01"),
        ("0.29", "0.29"),
        ("1.15", "1.15"),
        ("99999999999.99", "99999999999.99"),
    ] {
        let request = SaleRequest::parse(line_with("qty", raw).as_bytes(), "").unwrap();
        assert_eq!(request.faults, [], "{raw}");
        assert_eq!(request.draft.lines[0].quantity.map(|qty| qty.to_string()).as_deref(), Some(qty), "{raw}");
    }
    for (raw, code) in [
        ("-2", "negative"),
        ("\"-2\"", "negative"),
        ("0", "not_positive"),
        ("-0", "not_positive"),
        ("1.005", "too_precise"),
        ("\"1.005\"", "too_precise"),
        ("1e2", "not_decimal"),
        ("1E+2", "not_decimal"),
        ("\"1e2\"", "not_decimal"),
        ("\"\"", "not_decimal"),
        ("\" 1\"", "not_decimal"),
        ("\"1,5\"", "not_decimal"),
        ("\"NaN\"", "not_decimal"),
        ("100000000000", "too_large"),
        ("true", "wrong_type"),
        ("[]", "wrong_type"),
        ("{\"a\":1}", "wrong_type"),
        ("null", "required"),
        ("\"\\ud800\"", "not_unicode"),
    ] {
        refuse(&line_with("qty", raw), &[("itemList[0].qty", code)]);
    }
}

#[test]
fn kras_invoice_number_is_whole() {
    let credit_note =
        |raw: &str| head_with("orgInvcNo", &format!("{raw},\"rcptTyCd\":\"R\",\"rfdRsnCd\":\"06\""));
    for raw in ["42", "\"42\"", "\"0042\""] {
        assert_eq!(accept(&credit_note(raw)).1.original, Some(Original::InvoiceNo(42)), "{raw}");
    }
    for (raw, code) in [
        ("42.5", "not_decimal"),
        ("4e1", "not_decimal"),
        ("\"\"", "not_decimal"),
        ("\"+42\"", "not_decimal"),
        ("-42", "negative"),
        ("18446744073709551616", "too_large"),
        ("false", "wrong_type"),
    ] {
        refuse(&credit_note(raw), &[("orgInvcNo", code)]);
    }
}

#[test]
fn texts_are_texts() {
    for (raw, code) in [
        ("5", "wrong_type"),
        ("true", "wrong_type"),
        ("[\"a\"]", "wrong_type"),
        ("\"a\\u0000b\"", "control_character"),
        ("\"a\\nb\"", "control_character"),
        ("\"a\\u007fb\"", "control_character"),
        ("\"\\ud83d\"", "not_unicode"),
        ("\"\\udc00\"", "not_unicode"),
    ] {
        refuse(&head_with("custNm", raw), &[("custNm", code)]);
        refuse(&line_with("itemNm", raw), &[("itemList[0].itemNm", code)]);
    }
    let (draft, _) = accept(&head_with("custNm", "\"caf\\u00e9 \\ud83d\\ude00\""));
    assert_eq!(draft.customer_name.as_deref(), Some("caf\u{e9} \u{1f600}"));
}

#[test]
fn null_is_absent() {
    let (with_null, _) = accept(&head_with("custTin", "null"));
    let (without, _) = accept(&sale().to_string());
    assert_eq!(with_null, without);
    assert_eq!(with_null.canonical_bytes(), without.canonical_bytes());
    refuse("{\"trdInvcNo\":null,\"itemList\":null}", &[("trdInvcNo", "required"), ("itemList", "required")]);
}

#[test]
fn the_same_content_has_the_same_bytes() {
    let one = r#"{"trdInvcNo":"1","totAmt":116,"itemList":[{"qty":2,"prc":58}]}"#;
    let other = r#" { "itemList" : [ { "prc":"58.00","bcd":null, "qty" : 2.000 } ],"totAmt":"116.0","trdInv\u0063No":"\u0031"}"#;
    let bytes = |body: &str| SaleRequest::parse(body.as_bytes(), "").unwrap().draft.canonical_bytes();
    assert_eq!(bytes(one), bytes(other));
    assert_ne!(bytes(one), bytes(&one.replace("58", "59")));
    // A default that is said is other content than one that is not.
    assert_ne!(bytes(one), bytes(&one.replace("\"totAmt\"", "\"pmtTyCd\":\"01\",\"totAmt\"")));
}

#[test]
fn unknown_and_doubled_keys_are_named() {
    refuse(&head_with("invcNo", "1"), &[("invcNo", "unknown_field")]);
    refuse(&line_with("qyt", "1"), &[("itemList[0].qyt", "unknown_field")]);
    refuse(&head_with("", "1"), &[("\"\"", "unknown_field")]);
    refuse(&head_with("trdInvcNo", "\"T1-2\""), &[("trdInvcNo", "duplicate_key")]);
    refuse(&head_with("remark", "null,\"remark\":null,\"remark\":\"x\""), &[("remark", "duplicate_key")]);
    refuse(&line_with("bcd", "\"1\",\"b\\u0063d\":\"2\""), &[("itemList[0].bcd", "duplicate_key")]);
    for (key, words) in [
        ("custName", "custName is not a known field; did you mean custNm?"),
        ("TRDINVCNO", "TRDINVCNO is not a known field; did you mean trdInvcNo?"),
        ("totAmnt", "totAmnt is not a known field; did you mean totAmt?"),
        ("colour", "colour is not a known field"),
        ("a\\u0007b", "a?b is not a known field"),
    ] {
        assert_eq!(faults_of(head_with(key, "1").as_bytes())[0].message, words);
    }
    let long = faults_of(head_with(&"k".repeat(100_000), "1").as_bytes());
    assert!(long[0].field.chars().count() == 41 && long[0].message.len() < 200, "{:?}", long[0].field);
}

#[test]
fn lists_hold_objects() {
    let with_list = |raw: &str| format!("{{\"trdInvcNo\":\"1\",\"itemList\":{raw}}}");
    refuse(&with_list("[]"), &[("itemList", "required")]);
    refuse(&with_list("{}"), &[("itemList", "wrong_type")]);
    refuse(&with_list("\"a\""), &[("itemList", "wrong_type")]);
    refuse(
        &with_list(&format!("[{},null,5]", line())),
        &[("itemList[1]", "wrong_type"), ("itemList[2]", "wrong_type")],
    );
    let lines = |count: usize| with_list(&json!(vec![line(); count]).to_string());
    assert_eq!(accept(&lines(999)).1.lines.len(), 999);
    refuse(&lines(1000), &[("itemList", "too_many")]);
}

#[test]
fn faults_of_reading_and_of_the_rules_come_together_and_once() {
    let body = r#"{"totAmt":"1","trdInvcNo":7,"colour":1,"pmtTyCd":"99","custTin":false,
        "itemList":[{"itemCd":"1","itemNm":"Thing","pkgUnitCd":"NT","qtyUnitCd":"NO","prc":-1,"qty":"2.001","taxTyCd":"B"},
                    {"itemCd":"1","itemNm":"Thing","pkgUnitCd":"NT","qtyUnitCd":"NO","prc":1,"qty":1,"taxTyCd":"Q","size":9}]}"#;
    refuse(
        body,
        &[
            ("trdInvcNo", "wrong_type"),
            ("pmtTyCd", "not_in_list"),
            ("custTin", "wrong_type"),
            ("itemList[0].qty", "too_precise"),
            ("itemList[0].prc", "negative"),
            ("itemList[1].taxTyCd", "not_in_list"),
            ("itemList[1].size", "unknown_field"),
            ("colour", "unknown_field"),
        ],
    );
    refuse(&head_with("totAmt", "117"), &[("totAmt", "mismatch")]);
    assert_eq!(
        faults_of(head_with("totAmt", "117").as_bytes())[0].message,
        "totAmt should be 116.00 but is 117.00"
    );
    refuse(&head_with("cfmDt", "\"2025-01-15T11:15:30+03:00\""), &[("cfmDt", "in_future")]);
    refuse(&head_with("rcptTyCd", "5"), &[("rcptTyCd", "wrong_type")]);
}

#[test]
fn messages_hold_no_value_of_the_request() {
    let body = r#"{"trdInvcNo":"Jane Doe\n","custTin":"Jane Doe","custNm":"Jane Doe\n","cfmDt":"Jane Doe","rcptTyCd":"Jane Doe",
        "pmtTyCd":"Jane Doe","totAmt":"Jane Doe","orgInvcNo":"Jane Doe","itemList":[{"taxTyCd":"Jane Doe","qty":"Jane Doe"}]}"#;
    for fault in faults_of(body.as_bytes()) {
        assert!(!fault.message.contains("Jane"), "{fault:?}");
    }
}

#[test]
fn a_ports_prefix_stands_before_the_registers_numbers() {
    let read = |body: &str| SaleRequest::parse(body.as_bytes(), "T1/").unwrap();
    let request = read(r#"{"trdInvcNo":"1","orgTrdInvcNo":"2","replaces":"3"}"#);
    assert_eq!(request.faults, []);
    assert_eq!(request.trader_ref().map(|number| number.to_string()).as_deref(), Some("T1/1"));
    assert_eq!(request.draft.original_trader_ref.as_deref(), Some("T1/2"));
    assert_eq!(request.draft.replaces.as_deref(), Some("T1/3"));
    for (number, word) in
        [("", "required"), (" 1", "bad_format"), (&"1".repeat(48), "too_long"), ("1\\n", "control_character")]
    {
        let request = read(&format!("{{\"trdInvcNo\":\"{number}\"}}"));
        assert_eq!(request.faults.len(), 1, "{number:?}");
        assert_eq!((request.faults[0].code.word(), request.trader_ref()), (word, None), "{number:?}");
    }
    assert_eq!(read(&format!("{{\"trdInvcNo\":\"{}\"}}", "1".repeat(47))).faults, []);
    assert_eq!(read("{}").draft.trader_ref, None, "what is not given gets no prefix");
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever bytes come: an answer, never a panic.
        #[test]
        fn any_bytes_are_answered(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = run(&body);
        }

        /// The same, for bytes that look like a sale.
        #[test]
        fn any_damaged_sale_is_answered(at in 0_usize..200, byte: u8, cut in 0_usize..400) {
            let mut body = sale().to_string().into_bytes();
            let at = at % body.len();
            body[at] = byte;
            body.truncate(cut);
            if let Err(Refusal::Faults(faults)) = run(&body) {
                prop_assert!(!faults.is_empty());
            }
        }

        /// A decimal's digits come through unchanged, however they are written.
        #[test]
        fn amounts_keep_their_digits(hundredths in 0..=Amount::LIMIT, quoted: bool) {
            let text = Amount::from_hundredths(hundredths).unwrap().to_string();
            let raw = if quoted { format!("\"{text}\"") } else { text };
            let request = SaleRequest::parse(line_with("prc", &raw).as_bytes(), "").unwrap();
            prop_assert_eq!(request.draft.lines[0].price.map(Amount::hundredths), Some(hundredths));
        }
    }
}
