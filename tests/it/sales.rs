//! The main job: a register posts a sale, KRA signs it, the register gets the receipt; and the same sale again is the
//! same sale.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{BHF_ID, SERIAL, Shop, TIN, eventually, on_both_wires};
use crate::kra::{Kra, Wire};
use crate::sale::{cents, line, qr_url, running_number, sale, sale_of, sale_with};
use crate::till::{Till, encoded};

on_both_wires! {
    signs_a_sale,
    says_the_same_again,
    signs_figures_of_every_kind,
    tells_pending_sales,
}

/// Checks an answer's members: exactly these, whatever their order.
#[track_caller]
fn expect_members(answer: &Value, members: &[&str]) {
    let mut found: Vec<&str> = answer.as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected = members.to_vec();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected, "{answer}");
}

const SIGNED: [&str; 13] = [
    "status",
    "trdInvcNo",
    "receiptNo",
    "totalReceiptNo",
    "invcNo",
    "signature",
    "internalData",
    "sdcId",
    "mrcNo",
    "sdcDateTime",
    "label",
    "qrUrl",
    "tempReceiptNo",
];

const PENDING: [&str; 7] =
    ["status", "trdInvcNo", "tempReceiptNo", "localSignature", "position", "retryAfter", "attention"];

fn is_digits(value: &Value, count: usize) -> bool {
    value.as_str().is_some_and(|text| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit()))
}

fn signs_a_sale(wire: Wire) {
    let kra = Kra::start(wire);
    // Three counters that differ, so that none can be taken for another.
    kra.set(json!({ "receipt_offset": { "sale": 100, "total": 500 } }));
    let shop = Shop::with(&kra);
    let gateway = shop.open_registered();
    let device = shop.till().get("/api/device/status/").expect(200);
    for (till, number) in [(shop.till(), "T1-1"), (gateway.till(), "T1-2")] {
        let signed = till.sell(number);
        let books = kra.books();
        let booked = books.sale(number).unwrap_or_else(|| panic!("{number} in {books:?}"));
        let label = signed["label"].clone();
        expect_members(&signed, &SIGNED);
        assert_eq!(signed["status"], "signed");
        assert_eq!(signed["trdInvcNo"], number);
        assert_eq!(label, "NS");
        for (ours, kras) in [
            ("receiptNo", "curRcptNo"),
            ("totalReceiptNo", "totRcptNo"),
            ("invcNo", "invcNo"),
            ("signature", "rcptSign"),
            ("internalData", "intrlData"),
            ("sdcDateTime", "sdcDateTime"),
        ] {
            assert_eq!(signed[ours], booked[kras], "{ours}: {signed} {booked}");
        }
        assert!(is_digits(&signed["sdcDateTime"], 14), "{signed}");
        assert_eq!(signed["sdcId"], device["sdcId"]);
        assert!(signed["mrcNo"].as_str().unwrap().starts_with("SIM"), "{signed}");
        assert_eq!(signed["qrUrl"], qr_url(signed["signature"].as_str().unwrap()));
        running_number(&signed);
        assert_eq!((cents(&booked["totAmt"]), cents(&booked["totTaxAmt"])), (11_600, 1_600));
    }
    kra.books().expect_in_order(&["T1-1", "T1-2"]);
}

#[track_caller]
fn expect_repeat(till: &Till, body: &Value, first: &Value) {
    let again = till.post("/api/sales/", body).expect(200);
    assert_eq!(again["repeat"], true, "{again}");
    let accepted_at = again["acceptedAt"].as_str().unwrap_or_default();
    assert!(accepted_at.len() >= 20 && accepted_at.as_bytes()[10] == b'T', "RFC 3339: {again}");
    for (name, value) in first.as_object().unwrap() {
        assert_eq!(&again[name], value, "{name}: {again} {first}");
    }
}

fn says_the_same_again(wire: Wire) {
    let kra = Kra::start(wire);
    let shop = Shop::with(&kra);
    let gateway = shop.open_registered();
    let till = shop.till();
    let body = sale("T1-1");
    let first = till.sell("T1-1");
    expect_repeat(&till, &body, &first);

    // The same sale however it is written: order of keys, numbers by value, null for absent, both ways in.
    let written = r#"{"itemList":[{"taxTyCd":"B","prc":"58.00","qty":2.0,"qtyUnitCd":"NO","pkgUnitCd":"NT",
        "itemNm":"Thing","itemClsCd":"5059690800","bcd":null,"itemCd":"KE2NTNO0000001"}],
        "custTin":null,"trdInvcNo":"T1-1"}"#;
    let again = gateway.till().post_text("/api/sales", written).expect(200);
    assert_eq!((&again["repeat"], &again["signature"]), (&json!(true), &first["signature"]));

    // Other content, however little it differs, is another sale.
    for other in [
        sale_of("T1-1", json!({ "qty": 3 })),
        sale_of("T1-1", json!({ "itemNm": "thing" })),
        // What would be filled in is not the same as what was left out.
        sale_with("T1-1", json!({ "pmtTyCd": "01" })),
        sale_with("T1-1", json!({ "itemList": [line(), line()] })),
    ] {
        let body = till.post("/api/sales/", &other).expect_error(409, "trdInvcNo_reused");
        assert!(body["message"].as_str().is_some_and(|text| !text.is_empty()), "{body}");
    }

    gateway.stop();
    let gateway = shop.open();
    expect_repeat(&till, &body, &first);
    till.post("/api/sales/", &sale_of("T1-1", json!({ "qty": 3 }))).expect_error(409, "trdInvcNo_reused");
    gateway.kill();
    let _gateway = shop.open();
    expect_repeat(&till, &body, &first);
    kra.books().expect_in_order(&["T1-1"]);
}

/// Decimals as numbers and as texts, discounts, all five letters, the edges of what is allowed.
fn signs_figures_of_every_kind(wire: Wire) {
    let kra = Kra::start(wire);
    let shop = Shop::with(&kra);
    let _gateway = shop.open_registered();
    let till = shop.till();
    let letters = ["A", "B", "C", "D", "E"];
    let lines: Vec<Value> = letters
        .iter()
        .map(|letter| {
            let mut line = line();
            line["taxTyCd"] = json!(letter);
            line["prc"] = json!("0.33");
            line["qty"] = json!("1.37");
            line
        })
        .collect();
    let many: Vec<Value> = (0..999).map(|_| line()).collect();
    let cases = [
        ("number", r#"{"prc":65,"qty":1}"#, 6_500),
        ("decimals", r#"{"prc":65.00,"qty":1.00}"#, 6_500),
        ("more zeros than matter", r#"{"prc":65.000,"qty":"1.0000"}"#, 6_500),
        ("text", r#"{"prc":"65.5","qty":"2"}"#, 13_100),
        ("no binary fraction", r#"{"prc":0.1,"qty":3}"#, 30),
        ("cents by cents", r#"{"prc":"19.99","qty":"0.07"}"#, 140),
        ("per cent off", r#"{"prc":100,"qty":1,"dcRt":10}"#, 9_000),
        ("amount off", r#"{"prc":"5800","qty":1,"dcAmt":580}"#, 522_000),
        ("for nothing", r#"{"prc":0,"qty":1}"#, 0),
        ("much", r#"{"prc":"99999999.99","qty":"99999"}"#, 999_989_999_900_001),
        (
            "checked",
            r#"{"prc":100,"qty":1,"splyAmt":100,"taxblAmt":86.21,"taxAmt":"13.79","totAmt":100}"#,
            10_000,
        ),
    ];
    for (name, changes, total) in cases {
        let signed = till.post("/api/sales/", &sale_of(name, serde_json::from_str(changes).unwrap()));
        signed.expect(201);
        let books = kra.books();
        assert_eq!(cents(&books.sale(name).unwrap()["totAmt"]), total, "{name}");
    }
    till.post("/api/sales/", &sale_with("all letters", json!({ "itemList": lines }))).expect(201);
    till.post("/api/sales/", &sale_with("999 lines", json!({ "itemList": many }))).expect(201);
    let customer = json!({
        "tin": TIN, "bhfId": BHF_ID, "pmtTyCd": "06", "rcptTyCd": "S", "salesTyCd": "N",
        "custTin": "A000000001B", "custNm": "Wanjikũ & Söhne <ltd> \"x\"", "custMblNo": "0712345678",
        "remark": "]]> & <!-- 100% -->", "cfmDt": "2026-01-02T03:04:05+03:00", "totAmt": "116", "totTaxAmt": 16,
    });
    till.post("/api/sales/", &sale_with("~ a customer!", customer)).expect(201);
    let invoices = kra.invoices(TIN);
    let invoice = invoices.iter().find(|it| it["trdInvcNo"] == "~ a customer!").unwrap();
    for (name, value) in [
        ("custNm", "Wanjikũ & Söhne <ltd> \"x\""),
        ("remark", "]]> & <!-- 100% -->"),
        ("custTin", "A000000001B"),
        ("pmtTyCd", "06"),
        ("cfmDt", "20260102030405"),
        ("salesDt", "20260102"),
    ] {
        assert_eq!(invoice[name], value, "{name}: {invoice}");
    }
    assert_eq!(kra.books().refused(), [] as [Value; 0], "KRA refused nothing");
    assert_eq!(kra.books().most_saving(), 1);
}

fn tells_pending_sales(wire: Wire) {
    let kra = Kra::start(wire);
    let shop = Shop::with(&kra);
    let _gateway = shop.open_registered();
    let till = shop.till();
    kra.line(false);
    let mut numbers = Vec::new();
    for position in 1..=3_u64 {
        let number = format!("P-{position}");
        let state = till.post("/api/sales/?wait=0", &sale(&number)).expect(202);
        for member in PENDING {
            assert!(!state[member].is_null(), "{member}: {state}");
        }
        let known = |name: &&String| {
            PENDING.contains(&name.as_str()) || matches!(name.as_str(), "inDoubt" | "nextCheck" | "label")
        };
        assert!(state.as_object().unwrap().keys().all(|name| known(&name)), "{state}");
        assert_eq!((&state["status"], &state["trdInvcNo"]), (&json!("pending"), &json!(number)));
        assert_eq!((&state["position"], &state["attention"]), (&json!(position), &json!(0)), "{state}");
        assert!(state["retryAfter"].is_u64(), "{state}");
        let short: Vec<&str> =
            state["localSignature"].as_str().unwrap().split(|c: char| !c.is_ascii_alphanumeric()).collect();
        assert_eq!(short.iter().map(|group| group.len()).collect::<Vec<_>>(), [4; 5], "{state}");
        running_number(&state);
        let whole = till.state(&number);
        let full = whole["localSignatureFull"].as_str().unwrap();
        assert!(full.starts_with(&short.concat()), "{whole}");
        assert_eq!(whole["tempReceiptNo"], state["tempReceiptNo"]);
        numbers.push(number);
    }
    expect_repeat(&till, &sale("P-1"), &json!({ "status": "pending", "trdInvcNo": "P-1" }));
    let queue = till.queue();
    assert_eq!((&queue["waiting"], &queue["rejected"], &queue["parked"]), (&json!(3), &json!(0), &json!(0)));

    // A wait for news ends with the time if there is none, and with the news if there are.
    let begun = Instant::now();
    let state = till.get("/api/sales/P-2/?wait=1").expect(200);
    assert_eq!(state["status"], "pending");
    assert!(begun.elapsed() >= Duration::from_millis(900), "{:?}", begun.elapsed());
    let waiting = std::thread::spawn({
        let till = till.clone();
        move || (till.get("/api/sales/P-3/?wait=30").expect(200), Instant::now())
    });
    kra.line(true);
    let (state, told) = waiting.join().unwrap();
    assert_eq!(state["status"], "signed", "{state}");
    assert!(told.duration_since(begun) < Duration::from_secs(20));
    for number in &numbers {
        assert_eq!(till.state(number)["status"], "signed");
    }
    kra.books().expect_in_order(&numbers);
}

#[test]
fn training_and_proforma_are_not_fiscal() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let _gateway = shop.open_registered();
    let till = shop.till();
    for (number, kind, label) in [("TR-1", "T", "TS"), ("PF-1", "P", "PS")] {
        let body = sale_with(number, json!({ "salesTyCd": kind }));
        let state = till.post("/api/sales/", &body).expect(200);
        assert_eq!(
            (&state["status"], &state["trdInvcNo"]),
            (&json!("not_fiscal"), &json!(number)),
            "{state}"
        );
        assert_eq!(till.state(number)["status"], "not_fiscal");
        assert_eq!(till.state(number)["label"], label);
        let again = till.post("/api/sales/", &body).expect(200);
        assert_eq!((&again["status"], &again["repeat"]), (&json!("not_fiscal"), &json!(true)));
    }
    till.sell("REAL");
    kra.books().expect_in_order(&["REAL"]);
    assert_eq!(till.queue()["waiting"], 0);
}

#[test]
fn paths_take_any_number_and_either_end() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let gateway = shop.open_registered();
    let till = gateway.till();
    let numbers = ["1", "T1/7", "a b", "100%", "%2F", "..", "x?y#z", "\"'<&>+", "~!@$^*()_=[]{}|;:,`\\"];
    for number in numbers {
        let signed = till.post("/api/sales", &sale(number)).expect(201);
        assert_eq!(signed["trdInvcNo"], number);
        for end in ["", "/"] {
            let state = till.get(&format!("/api/sales/{}{end}", encoded(number))).expect(200);
            assert_eq!(state["trdInvcNo"], number);
            assert_eq!(state["signature"], signed["signature"]);
        }
    }
    let longest = "L".repeat(50);
    till.post("/api/sales/", &sale(&longest)).expect(201);
    for unknown in ["nobody", "T1", "7", "%25", "a%2Bb"] {
        assert_eq!(till.get(&format!("/api/sales/{unknown}/")).status, 404, "{unknown}");
    }
    assert_eq!(till.get("/api/sales/T1/7/").status, 404, "a segment is decoded after splitting");
    for end in ["", "/"] {
        for path in ["/health", "/api/device/status", "/api/sales"] {
            till.get(&format!("{path}{end}")).expect(200);
        }
        assert_eq!(till.get(&format!("/nowhere{end}")).status, 404);
        let answer = till.ask("DELETE", &format!("/api/sales{end}"), None).unwrap();
        assert_eq!(answer.status, 405);
        assert!(answer.header("allow").is_some(), "{answer:?}");
    }
    let expected: Vec<&str> = numbers.iter().copied().chain([longest.as_str()]).collect();
    kra.books().expect_in_order(&expected);
}

#[test]
fn lists_sales_newest_first() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let _gateway = shop.open_registered();
    let till = shop.till();
    let numbers: Vec<String> = (1..=7).map(|n| format!("S-{n}")).collect();
    for number in &numbers[..5] {
        till.sell(number);
    }
    kra.line(false);
    for number in &numbers[5..] {
        till.sell_offline(number);
    }
    let list = |query: &str| -> (Vec<String>, Option<u64>) {
        let body = till.get(&format!("/api/sales/{query}")).expect(200);
        let sales = body["sales"].as_array().unwrap_or_else(|| panic!("sales in {body}"));
        let names = sales.iter().map(|sale| sale["trdInvcNo"].as_str().unwrap().to_owned()).collect();
        (names, body["next"].as_u64())
    };
    let newest_first: Vec<String> = numbers.iter().rev().cloned().collect();
    assert_eq!(list("").0, newest_first);
    assert_eq!(list("?status=pending").0, newest_first[..2]);
    assert_eq!(list("?status=signed").0, newest_first[2..]);
    assert_eq!(list("?status=rejected").0, [] as [String; 0]);
    let (mut pages, mut next) = (Vec::new(), None);
    loop {
        let before = next.map(|next| format!("&before={next}")).unwrap_or_default();
        let (page, after) = list(&format!("?limit=3{before}"));
        assert!(page.len() <= 3, "{page:?}");
        pages.extend(page);
        next = after;
        if next.is_none() {
            break;
        }
        assert!(pages.len() < 20, "the pages do not end: {pages:?}");
    }
    assert_eq!(pages, newest_first);
    let (page, next) = list("?status=signed&limit=2");
    assert_eq!(page, newest_first[2..4]);
    assert_eq!(list(&format!("?status=signed&limit=9&before={}", next.unwrap())).0, newest_first[4..]);
    for wrong in ["?limit=x", "?limit=-1", "?status=sold", "?before=x", "?wait=31"] {
        assert_eq!(till.get(&format!("/api/sales/{wrong}")).status, 400, "{wrong}");
    }
    for wrong in ["-1", "31", "x", "1.5"] {
        assert_eq!(till.get(&format!("/api/sales/S-1/?wait={wrong}")).status, 400, "{wrong}");
        assert_eq!(till.post(&format!("/api/sales/?wait={wrong}"), &sale("NEW")).status, 400, "{wrong}");
    }
}

/// Registers that count from 1 again: an old number without a time of the register's own is no repeat for ever.
#[test]
fn repeats_end_with_their_window() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra).set("sales.repeat_window", "\"2s\"");
    let gateway = shop.open_registered();
    let till = shop.till();
    let timed = sale_with("TIMED", json!({ "cfmDt": "20260102030405" }));
    let first = till.post("/api/sales/", &timed).expect(201);
    till.sell("PLAIN");
    assert_eq!(till.post("/api/sales/", &sale("PLAIN")).expect(200)["repeat"], true);
    let late = || {
        eventually("the window is over", || {
            let answer = till.post("/api/sales/", &sale("PLAIN"));
            (answer.status != 200).then_some(answer)
        })
    };
    let body = late().expect_error(409, "trdInvcNo_reused");
    assert!(
        body.to_string().contains(kra.books().sale("PLAIN").unwrap()["rcptSign"].as_str().unwrap()),
        "{body}"
    );
    expect_repeat(&till, &timed, &first);
    gateway.stop();
    let _gateway = shop.open();
    late().expect_error(409, "trdInvcNo_reused");
    expect_repeat(&till, &timed, &first);
    assert_eq!(till.get("/api/device/status/").expect(200)["serialNumber"], SERIAL);
}

/// How long a register is kept waiting for KRA.
#[test]
fn waits_as_long_as_told() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra).set("sales.realtime_wait", "\"300ms\"").set("kra.request_timeout", "\"10s\"");
    let _gateway = shop.open_registered();
    let till = shop.till();
    till.post("/api/sales/?wait=30", &sale("WARM")).expect(201);
    kra.fault(json!({ "fault": "slow", "function": crate::kra::SAVE, "args": { "ms": 1500 } }));
    let begun = Instant::now();
    assert_eq!(till.post("/api/sales/", &sale("SHORT")).status, 202, "KRA takes longer than the wait");
    assert!(begun.elapsed() < Duration::from_millis(1400), "{:?}", begun.elapsed());
    till.wait_status("SHORT", "signed");
    assert_eq!(till.post("/api/sales/?wait=30", &sale("LONG")).status, 201, "this register waits longer");
    let begun = Instant::now();
    assert_eq!(till.post("/api/sales/?wait=0", &sale("NOT-AT-ALL")).status, 202);
    assert!(begun.elapsed() < Duration::from_millis(1400), "{:?}", begun.elapsed());
    till.wait_status("NOT-AT-ALL", "signed");
    // While others are ahead nobody is kept waiting.
    till.sell_offline("AHEAD");
    let begun = Instant::now();
    assert_eq!(till.post("/api/sales/", &sale("BEHIND")).status, 202);
    assert!(begun.elapsed() < Duration::from_millis(1400), "{:?}", begun.elapsed());
}
