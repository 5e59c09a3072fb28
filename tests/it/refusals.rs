//! Whatever a register sends: a clear no, with the field named where one is wrong, and nothing changed.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Shop, eventually};
use crate::kra::{Kra, Wire};
use crate::sale::{line, running_number, sale, sale_of, sale_with};
use crate::till::Till;

/// What must not change.
fn standing(till: &Till) -> (Value, Value) {
    let mut queue = till.queue();
    queue.as_object_mut().unwrap().remove("oldestAgeSeconds");
    (queue, till.get("/api/sales/").expect(200)["sales"].clone())
}

#[test]
fn bad_fields_are_named() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let _gateway = shop.open_registered();
    let till = shop.till();
    kra.line(false);
    let before = running_number(&till.sell_offline("BEFORE"));
    let standing_before = standing(&till);

    let lines = |count: usize| Value::Array(vec![line(); count]);
    let of = |changes: Value| sale_of("BAD", changes);
    let with = |changes: Value| sale_with("BAD", changes);
    let raw = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let cases = [
        (with(json!({ "trdInvcNo": null })), "trdInvcNo"),
        (with(json!({ "trdInvcNo": "" })), "trdInvcNo"),
        (with(json!({ "trdInvcNo": " 1" })), "trdInvcNo"),
        (with(json!({ "trdInvcNo": 1 })), "trdInvcNo"),
        (with(json!({ "trdInvcNo": "é" })), "trdInvcNo"),
        (with(json!({ "trdInvcNo": "x".repeat(51) })), "trdInvcNo"),
        (with(json!({ "trdInvcNo": "a\u{0}b" })), "trdInvcNo"),
        (with(json!({ "itemList": null })), "itemList"),
        (with(json!({ "itemList": [] })), "itemList"),
        (with(json!({ "itemList": {} })), "itemList"),
        (with(json!({ "itemList": [1] })), "itemList[0]"),
        (with(json!({ "itemList": lines(1000) })), "itemList"),
        (with(json!({ "invoiceNumber": 7 })), "invoiceNumber"),
        (with(json!({ "custTin": "P05123456Z" })), "custTin"),
        (with(json!({ "custNm": "x".repeat(61) })), "custNm"),
        (with(json!({ "custNm": "a\u{1b}[31mb" })), "custNm"),
        (with(json!({ "remark": "two\nlines" })), "remark"),
        (with(json!({ "remark": "\u{7f}" })), "remark"),
        (with(json!({ "pmtTyCd": "99" })), "pmtTyCd"),
        (with(json!({ "rcptTyCd": "X" })), "rcptTyCd"),
        (with(json!({ "salesTyCd": "X" })), "salesTyCd"),
        (with(json!({ "cfmDt": "yesterday" })), "cfmDt"),
        (with(json!({ "cfmDt": "20260231000000" })), "cfmDt"),
        (with(json!({ "tin": "A000000000B" })), "tin"),
        (with(json!({ "bhfId": "01" })), "bhfId"),
        (with(json!({ "totAmt": 117 })), "totAmt"),
        (with(json!({ "totTaxAmt": 17 })), "totTaxAmt"),
        (with(json!({ "totAmt": -116 })), "totAmt"),
        (with(json!({ "rcptTyCd": "R" })), "rfdRsnCd"),
        (with(json!({ "rfdRsnCd": "01" })), "rfdRsnCd"),
        (with(json!({ "replaces": "NOBODY" })), "replaces"),
        (of(json!({ "qty": null })), "itemList[0].qty"),
        (of(json!({ "qty": 0 })), "itemList[0].qty"),
        (of(json!({ "qty": -1 })), "itemList[0].qty"),
        (of(json!({ "qty": "1.001" })), "itemList[0].qty"),
        (of(json!({ "qty": true })), "itemList[0].qty"),
        (of(json!({ "qty": "many" })), "itemList[0].qty"),
        (of(json!({ "qty": "NaN" })), "itemList[0].qty"),
        (of(json!({ "qty": " 1" })), "itemList[0].qty"),
        (of(json!({ "qty": "1e3" })), "itemList[0].qty"),
        (of(json!({ "prc": null })), "itemList[0].prc"),
        (of(json!({ "prc": -1 })), "itemList[0].prc"),
        (of(json!({ "prc": "1,50" })), "itemList[0].prc"),
        (of(json!({ "prc": "99999999999999999999" })), "itemList[0].prc"),
        (of(json!({ "itemCd": null })), "itemList[0].itemCd"),
        (of(json!({ "itemNm": null })), "itemList[0].itemNm"),
        (of(json!({ "itemNm": "x\ty" })), "itemList[0].itemNm"),
        (of(json!({ "pkgUnitCd": "ZZ" })), "itemList[0].pkgUnitCd"),
        (of(json!({ "pkgUnitCd": "U" })), "itemList[0].pkgUnitCd"),
        (of(json!({ "qtyUnitCd": "ZZ" })), "itemList[0].qtyUnitCd"),
        (of(json!({ "taxTyCd": "F" })), "itemList[0].taxTyCd"),
        (of(json!({ "taxTyCd": null })), "itemList[0].taxTyCd"),
        (of(json!({ "taxAmt": 15.99 })), ""),
        (of(json!({ "taxAmt": 15.90 })), "itemList[0].taxAmt"),
        (of(json!({ "totAmt": 1 })), "itemList[0].totAmt"),
        (of(json!({ "splyAmt": 1 })), "itemList[0].splyAmt"),
        (of(json!({ "dcRt": 101 })), "itemList[0].dcRt"),
        (of(json!({ "dcAmt": 117 })), "itemList[0].dcAmt"),
        (of(json!({ "quantity": 1 })), "itemList[0].quantity"),
    ];
    let mut refused = 0_u64;
    for (body, field) in &cases {
        // One that is off by a cent only is right, and is asked for under its own number below.
        if !field.is_empty() {
            till.post("/api/sales/", body).expect_field(field);
            refused += 1;
        }
    }
    let line = line().to_string();
    for (text, field) in [
        (format!(r#"{{"trdInvcNo":"BAD","trdInvcNo":"BAD","itemList":[{line}]}}"#), "trdInvcNo"),
        (format!(r#"{{"trdInvcNo":"BAD","itemList":[{line}],"itemList":[{line}]}}"#), "itemList"),
        (
            format!(
                r#"{{"trdInvcNo":"BAD","itemList":[{}]}}"#,
                line.replace("\"qty\":2", "\"qty\":2,\"qty\":2")
            ),
            "itemList[0].qty",
        ),
        (
            format!(r#"{{"trdInvcNo":"BAD","itemList":[{}]}}"#, line.replace("\"qty\":2", "\"qty\":2e0")),
            "itemList[0].qty",
        ),
        (
            format!(r#"{{"trdInvcNo":"BAD","itemList":[{}]}}"#, line.replace("\"prc\":58", "\"prc\":58.001")),
            "itemList[0].prc",
        ),
        (format!(r#"{{"trdInvcNo":"BAD","remark":"\ud800","itemList":[{line}]}}"#), "remark"),
    ] {
        till.post_text("/api/sales/", &text).expect_field(field);
        refused += 1;
    }
    // All faults at once.
    let body = raw(r#"{"trdInvcNo":"","pmtTyCd":"99","itemList":[{"itemCd":"X","qty":0,"taxTyCd":"Q"}]}"#);
    let answer = till.post("/api/sales/", &body);
    for field in [
        "trdInvcNo",
        "pmtTyCd",
        "itemList[0].qty",
        "itemList[0].taxTyCd",
        "itemList[0].itemNm",
        "itemList[0].prc",
    ] {
        answer.expect_field(field);
    }
    for body in [
        json!({}),
        json!({ "tin": "x", "bhfId": 0 }),
        json!({ "tin": "P051234567Z", "bhfId": "00", "serialNumber": "" }),
    ] {
        assert_eq!(till.post("/api/device/init/", &body).status, 400, "{body}");
    }

    assert_eq!(standing(&till), standing_before, "nothing changed");
    till.post("/api/sales/?wait=0", &sale_of("BY A CENT", json!({ "taxAmt": 15.99 }))).expect(202);
    let after = running_number(&till.sell_offline("AFTER"));
    assert!(after - before < refused / 4, "refusals leave nothing in the log: {before} to {after}");
    kra.line(true);
    till.wait_status("AFTER", "signed");
    till.sell("GOOD");
    kra.books().expect_in_order(&["BEFORE", "BY A CENT", "AFTER", "GOOD"]);
}

#[test]
fn bad_bodies_are_refused() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let gateway = shop.open_registered();
    let till = shop.till();
    till.sell("BEFORE");
    let standing_before = standing(&till);
    let nested = |open: &str, close: &str| format!("{}{}", open.repeat(100_000), close.repeat(100_000));
    let good = sale("BAD").to_string();
    let bodies = [
        String::new(),
        " \n".to_owned(),
        "{".to_owned(),
        "null".to_owned(),
        "[]".to_owned(),
        "\"sale\"".to_owned(),
        "12".to_owned(),
        "{\"trdInvcNo\":BAD}".to_owned(),
        "<sale/>".to_owned(),
        "{'trdInvcNo':'BAD'}".to_owned(),
        format!("{good}{good}"),
        good[..good.len() - 1].to_owned(),
        format!("\u{feff}{good}"),
        nested("[", "]"),
        nested("{\"a\":", "}"),
        "[".repeat(100_000),
        format!("{{\"itemList\":{}}}", nested("[", "]")),
    ];
    for till in [till.clone(), gateway.till()] {
        for target in ["/api/sales/", "/api/device/init/"] {
            for body in &bodies {
                let answer = till.post_text(target, body);
                let shown: String = body.chars().take(40).collect();
                assert!(matches!(answer.status, 400), "{target} {shown:?}: {answer:?}");
                assert!(answer.body.len() < 64 * 1024, "{target} {shown:?}: {} bytes", answer.body.len());
                let body = answer.json();
                assert!(
                    body["error"] == "bad_json" || body["errors"].is_array(),
                    "{target} {shown:?}: {body}"
                );
            }
            let not_utf8 = till.ask("POST", target, Some(b"{\"trdInvcNo\":\"\xff\"}")).unwrap();
            not_utf8.expect_error(400, "bad_json");
            // More than may be: refused, whether or not all of it is read.
            let large = vec![b' '; 3 << 20];
            if let Ok(answer) = till.ask("POST", target, Some(&large)) {
                assert_eq!(answer.status, 413, "{target}");
            }
        }
        let many = (0..5000).map(|n| format!("X-H-{n}: {n}\r\n")).collect::<String>();
        let mut connection = till.connect().unwrap();
        let _ = connection.send(format!("GET /health/ HTTP/1.1\r\nHost: localhost\r\n{many}\r\n").as_bytes());
        if let Ok(answer) = connection.answer() {
            assert_eq!(answer.status, 431);
        }
        for nonsense in [
            "\0\0\0\0\r\n\r\n",
            "GET\r\n\r\n",
            "HELO\r\n\r\n",
            "GET / HTTP/9.9\r\n\r\n",
            "\u{16}\u{3}\u{1}\r\n\r\n",
        ] {
            let mut connection = till.connect().unwrap();
            let _ = connection.send(nonsense.as_bytes());
            if let Ok(answer) = connection.answer() {
                assert!((400..600).contains(&answer.status), "{nonsense:?}: {answer:?}");
            }
        }
    }
    assert_eq!(standing(&till), standing_before, "nothing changed");
    till.sell("GOOD");
    gateway.till().sell("GOOD TOO");
    kra.books().expect_in_order(&["BEFORE", "GOOD", "GOOD TOO"]);
}

/// Clients that stop half way, say nothing, or go away cost nobody anything.
#[test]
fn slow_and_vanished_clients_cost_nothing() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let gateway = shop.open_registered();
    let (tcp, unix) = (gateway.till(), shop.till());
    tcp.sell("BEFORE");
    let body = sale("HALF").to_string();
    let request = tcp.request("POST", "/api/sales/", Some(body.as_bytes()));
    let mut held = Vec::new();
    for till in [&tcp, &unix] {
        for cut in [1, 20, request.len() - body.len(), request.len() - 1] {
            let mut connection = till.connect().unwrap();
            connection.send(&request[..cut]).unwrap();
            held.push(connection);
            // And one that goes away at the same place.
            let mut connection = till.connect().unwrap();
            connection.send(&request[..cut]).unwrap();
        }
    }
    for _ in 0..300 {
        // Beyond the limit the gateway may hang up at once.
        held.extend(tcp.connect());
    }
    // On its own socket a register does not even notice.
    let begun = Instant::now();
    unix.sell("MEANWHILE");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(unix.get("/api/sales/HALF/").status, 404, "half a sale is none");

    // One that asks and goes away before the answer has sold all the same.
    let vanished = sale("VANISHED").to_string();
    let mut connection = unix.connect().unwrap();
    connection.send(&unix.request("POST", "/api/sales/", Some(vanished.as_bytes()))).unwrap();
    connection.end_of_request();
    drop(connection);
    unix.wait_status("MEANWHILE", "signed");
    eventually("the vanished register's sale is there", || {
        (unix.get("/api/sales/VANISHED/").status == 200).then_some(())
    });
    unix.wait_status("VANISHED", "signed");
    assert_eq!(unix.post("/api/sales/", &sale("VANISHED")).expect(200)["repeat"], true);

    drop(held);
    eventually("TCP is served again", || {
        tcp.ask("GET", "/health/", None).ok().filter(|answer| answer.status == 200)
    });
    tcp.sell("AFTER");
    kra.books().expect_in_order(&["BEFORE", "MEANWHILE", "VANISHED", "AFTER"]);
}

/// A register may keep its connection, and may ask before it has heard.
#[test]
fn connections_are_kept() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let gateway = shop.open_registered();
    for (round, till) in [shop.till(), gateway.till()].iter().enumerate() {
        let mut connection = till.connect().unwrap();
        connection.set_patience(Duration::from_secs(20));
        let bodies: Vec<String> = (0..5).map(|n| sale(&format!("K-{round}-{n}")).to_string()).collect();
        for body in &bodies {
            connection.send(&till.request("POST", "/api/sales/", Some(body.as_bytes()))).unwrap();
            assert_eq!(connection.answer().unwrap().status, 201);
        }
        let all: Vec<u8> = bodies
            .iter()
            .flat_map(|body| till.request("POST", "/api/sales/", Some(body.as_bytes())))
            .collect();
        connection.send(&all).unwrap();
        for _ in &bodies {
            assert_eq!(connection.answer().unwrap().expect(200)["repeat"], true);
        }
    }
    assert_eq!(kra.books().sales().len(), 10);
}
