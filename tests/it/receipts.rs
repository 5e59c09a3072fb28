//! What a till prints: the original once, copies after that, and no slip that could be taken for a receipt.

use serde_json::{Value, json};

use crate::harness::{Shop, TIN, eventually, on_both_wires};
use crate::kra::{Kra, SAVE, Wire};
use crate::sale::{qr_url, sale, sale_with};
use crate::till::Till;

on_both_wires! { a_receipt_is_what_kra_signed_and_its_original_is_given_once }

fn print(till: &Till, number: &str, query: &str) -> String {
    let answer = till.get(&format!("/api/sales/{number}/receipt/?{query}"));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.text()
}

/// In groups of four, as on paper.
fn grouped(value: &Value) -> String {
    let letters: Vec<char> = value.as_str().unwrap().chars().collect();
    letters.chunks(4).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join("-")
}

fn a_receipt_is_what_kra_signed_and_its_original_is_given_once(wire: Wire) {
    let kra = Kra::start(wire);
    let shop = Shop::with(&kra)
        .set("trader.name", "\"Duka la Mama Njeri, Moi Avenue\"")
        .set("trader.bottom_message", "\"Asante\"");
    let gateway = shop.open_registered();
    let till = shop.till();
    let state = till.sell("ONE");
    let original = print(&till, "ONE", "width=48");
    let cu_invoice_no = format!("{}/{}", state["sdcId"].as_str().unwrap(), state["receiptNo"]);
    let counters = format!("{}/{} NS", state["receiptNo"], state["totalReceiptNo"]);
    for part in [
        "Duka la Mama Njeri, Moi Avenue",
        &format!("PIN: {TIN}"),
        "TAX INVOICE",
        "58.00 x 2",
        "116.00B",
        &cu_invoice_no,
        &counters,
        &grouped(&state["internalData"]),
        &grouped(&state["signature"]),
        "Asante",
    ] {
        assert!(original.contains(part), "{part} is not on\n{original}");
    }
    let link = qr_url(state["signature"].as_str().unwrap());
    assert!(original.replace('\n', "").contains(&link), "{link} is not on\n{original}");
    assert!(!original.contains("COPY") && !original.contains("OFFICIAL"), "{original}");

    let copy = print(&till, "ONE", "width=48");
    assert!(copy.contains("COPY") && copy.contains(&counters.replace("NS", "CS")), "{copy}");
    assert!(copy.contains(&grouped(&state["signature"])), "{copy}");
    // The paper jammed: once.
    assert_eq!(print(&till, "ONE", "width=48&again=1"), original);
    assert_eq!(print(&till, "ONE", "width=48&again=1"), copy);

    // What was printed, and what stood on it, is known after whatever happens, and whoever the trader is by then.
    till.sell("TWO");
    assert!(print(&till, "TWO", "copy=1").contains("COPY"));
    gateway.kill();
    shop.change("trader.name", "\"Somebody else\"");
    let gateway = shop.open();
    assert_eq!(print(&till, "ONE", "width=48"), copy);
    assert_eq!(print(&till, "ONE", "width=48&again=1"), copy);
    assert!(!print(&till, "TWO", "").contains("COPY"), "a copy leaves the original unprinted");
    assert!(print(&till, "TWO", "again=0&copy=0").contains("COPY"));
    let asked = kra.asked(SAVE);
    assert_eq!(asked, 2, "nothing is sent for a print");
    gateway.stop();
    shop.command(&["verify"]).expect(0);
}

#[test]
fn two_tills_that_print_at_once_get_one_original() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let _gateway = shop.open_registered();
    let till = shop.till();
    for round in 0..10 {
        let number = format!("S-{round}");
        till.sell(&number);
        let pages: Vec<String> = std::thread::scope(|scope| {
            let asked: Vec<_> = (0..4).map(|_| scope.spawn(|| print(&till, &number, ""))).collect();
            asked.into_iter().map(|page| page.join().unwrap()).collect()
        });
        let originals = pages.iter().filter(|page| !page.contains("COPY")).count();
        assert_eq!(originals, 1, "{pages:#?}");
    }
}

#[test]
fn before_kra_signed_a_slip_says_what_it_is_not() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let _gateway = shop.open_registered();
    let till = shop.till();
    till.sell("FIRST");
    kra.line(false);
    let pending = till.sell_offline("WAITS");
    for _ in 0..2 {
        let slip = print(&till, "WAITS", "width=64");
        for part in [
            "THIS IS NOT AN OFFICIAL RECEIPT",
            "PROVISIONAL SLIP",
            pending["tempReceiptNo"].as_str().unwrap(),
            pending["localSignature"].as_str().unwrap(),
        ] {
            assert!(slip.contains(part), "{part} is not on\n{slip}");
        }
        for fiscal in ["TAX INVOICE", "SCU", "http", "COPY"] {
            assert!(!slip.contains(fiscal), "{fiscal} is on\n{slip}");
        }
    }
    kra.line(true);
    till.wait_status("WAITS", "signed");
    let original = print(&till, "WAITS", "");
    assert!(original.contains("TAX INVOICE") && !original.contains("COPY"), "{original}");

    let args = json!({ "code": "910", "message": "Invalid qty" });
    kra.fault(json!({ "fault": "result_cd", "count": 1, "function": SAVE, "args": args }));
    till.post("/api/sales/?wait=20", &sale("REFUSED")).expect(422);
    let refused = print(&till, "REFUSED", "width=64");
    assert!(refused.contains("REFUSED BY KRA") && !refused.contains("TAX INVOICE"), "{refused}");
    let training = sale_with("PRACTICE", json!({ "salesTyCd": "T" }));
    till.post("/api/sales/", &training).expect(200);
    let practice = print(&till, "PRACTICE", "width=64");
    assert!(practice.contains("OFFICIAL") && practice.contains("TS"), "{practice}");

    kra.line(false);
    till.sell_offline("PARKED");
    shop.command(&["queue", "park", "PARKED"]).expect(0);
    till.get("/api/sales/PARKED/receipt/").expect_error(409, "not_printable");
    till.get("/api/sales/NOBODY/receipt/").expect_error(404, "not_found");
    for query in ["format=pdf", "width=31", "width=251", "width=x", "again=1&copy=1", "copy=yes", "colour=1"]
    {
        till.get(&format!("/api/sales/FIRST/receipt/?{query}")).expect_error(400, "bad_query");
    }
    till.post("/api/sales/FIRST/receipt/", &json!({})).expect_error(405, "method_not_allowed");
}

#[test]
fn printers_and_technicians_get_it_in_their_own_form() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let _gateway = shop.open_registered();
    let till = shop.till();
    let state = till.sell("ONE");
    let facts = till.get("/api/sales/ONE/receipt/?format=json").expect(200);
    assert_eq!(
        (&facts["label"], &facts["copy"], &facts["official"]),
        (&json!("NS"), &json!(false), &json!(true))
    );
    assert_eq!(facts["scu"]["signature"], grouped(&state["signature"]));
    assert_eq!(facts["qrUrl"], state["qrUrl"]);
    let orders = till.get("/api/sales/ONE/receipt/?format=escpos&width=32");
    assert_eq!((orders.status, orders.header("content-type")), (200, Some("application/octet-stream")));
    assert!(orders.body.starts_with(b"\x1b@") && orders.body.ends_with(b"\x1dVB\x00"));
    let stored = [b"1P0", state["qrUrl"].as_str().unwrap().as_bytes()].concat();
    assert!(orders.body.windows(stored.len()).any(|window| window == stored));

    till.sell("TWO");
    let said = |args: &[&str]| shop.command(&[&["receipt"], args].concat()).expect(0).out.clone();
    assert!(said(&["TWO"]).contains("COPY"), "a technician gets a copy");
    let original = said(&["TWO", "--original"]);
    assert!(original.contains("TAX INVOICE") && !original.contains("COPY"), "{original}");
    assert!(!said(&["TWO", "--original"]).contains("COPY"), "once more");
    assert!(said(&["TWO", "--original"]).contains("COPY"), "no third time");
    let facts: Value = serde_json::from_str(&said(&["TWO", "--format", "json"])).unwrap();
    assert_eq!((&facts["copy"], facts.get("st")), (&json!(true), None));
    shop.command(&["receipt", "NOBODY"]).expect(1);
    shop.command(&["receipt", "TWO", "--width", "31"]).expect(64);
    eventually("the prints are in the log", || {
        let printed =
            shop.command(&["export"]).out.lines().filter(|line| line.contains("\"printed\":\"TWO\"")).count();
        (printed == 2).then_some(())
    });
}
