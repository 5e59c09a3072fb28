//! G4 and G5: trouble with the device, the configuration or KRA holds the queue and harms no sale; a sale that KRA
//! refuses for good is set aside and holds up nobody.

use serde_json::{Value, json};

use crate::harness::{BHF_ID, Shop, TIN, eventually, on_both_wires};
use crate::kra::{Kra, LOOK_UP, SAVE, Wire};
use crate::sale::sale;

on_both_wires! {
    trouble_holds_the_queue,
    client_error_is_looked_up_and_holds,
    refused_sale_is_set_aside,
    refused_after_a_lost_answer,
    a_stranger_in_the_series_stops_it,
}

fn trouble_holds_the_queue(wire: Wire) {
    let kra = Kra::start(wire);
    let shop =
        Shop::with(&kra).set("kra.connect_timeout", "\"300ms\"").set("kra.request_timeout", "\"700ms\"");
    let mut gateway = shop.open_registered();
    let till = shop.till();
    till.sell("FIRST");
    let code = |code: &str| json!({ "fault": "result_cd", "args": { "code": code } });
    let status = |status: u16| json!({ "fault": "http_status", "args": { "status": status } });
    let troubles = [
        ("not a valid device", json!({ "fault": "wrong_key" })),
        ("no header information", code("900")),
        ("not for this kind of device", code("903")),
        ("device not found", code("E04")),
        ("method error", code("912")),
        ("path unknown", status(404)),
        ("wrong verb", status(405)),
        ("not allowed", status(403)),
        ("no token", status(401)),
        ("moved", status(302)),
        ("no such media type", status(415)),
    ];
    let mut expected = vec!["FIRST".to_owned()];
    for (round, (what, trouble)) in troubles.into_iter().enumerate() {
        let (head, behind) = (format!("HEAD-{round}"), format!("BEHIND-{round}"));
        let mut order = trouble;
        order["function"] = json!(SAVE);
        kra.clear_faults();
        kra.fault(order);
        let probes = kra.asked(wire.probe());
        till.sell_offline(&head);
        till.sell_offline(&behind);
        kra.wait_struck(3);
        assert!(kra.asked(wire.probe()) >= probes + 2, "{what}: each new try comes after a good probe");
        for number in [&head, &behind] {
            let state = till.state(number);
            assert_eq!(state["status"], "pending", "{what}: {state}");
        }
        let queue = till.queue();
        assert_eq!(
            (&queue["waiting"], &queue["parked"], &queue["rejected"]),
            (&json!(2), &json!(0), &json!(0)),
            "{what}"
        );
        let health = till.get("/health/").expect(200);
        assert_eq!(health["status"], "degraded", "{what}: {health}");
        assert_eq!(kra.books().numbers(), expected, "{what}");
        if round == 0 {
            // A start in the middle of it changes nothing.
            gateway.kill();
            gateway = shop.open();
            let struck = *kra.struck().last().unwrap();
            kra.wait_struck(struck + 1);
            assert_eq!(till.state(&head)["status"], "pending");
        }
        kra.clear_faults();
        till.wait_status(&behind, "signed");
        expected.extend([head, behind]);
        kra.books().expect_in_order(&expected);
        eventually(&format!("{what}: healthy again"), || {
            (till.get("/health/").expect(200)["status"] == "healthy").then_some(())
        });
    }
}

/// Another product's repeat of an accepted invoice got 899: the books are asked before it is believed.
fn client_error_is_looked_up_and_holds(wire: Wire) {
    let kra = Kra::start(wire);
    let shop =
        Shop::with(&kra).set("kra.connect_timeout", "\"300ms\"").set("kra.request_timeout", "\"700ms\"");
    let _gateway = shop.open_registered();
    let till = shop.till();
    till.sell("FIRST");
    kra.fault(json!({ "fault": "result_cd", "function": SAVE, "args": { "code": "899" } }));
    let looked_up = kra.asked(LOOK_UP);
    till.sell_offline("HEAD");
    till.sell_offline("BEHIND");
    kra.wait_struck(3);
    assert!(kra.asked(LOOK_UP) > looked_up, "the books are asked");
    for number in ["HEAD", "BEHIND"] {
        assert_eq!(till.state(number)["status"], "pending", "{number}");
    }
    let health = till.get("/health/").expect(200);
    assert_eq!(health["status"], "degraded", "{health}");
    kra.clear_faults();
    till.wait_status("BEHIND", "signed");
    kra.books().expect_in_order(&["FIRST", "HEAD", "BEHIND"]);
}

#[track_caller]
fn expect_rejected(body: &Value, number: &str, code: &str) {
    assert_eq!((&body["error"], &body["trdInvcNo"]), (&json!("kra_rejected"), &json!(number)), "{body}");
    assert_eq!(
        (&body["resultCd"], &body["kraMessage"]),
        (&json!(code), &json!("Invalid custNm [<custNm>]")),
        "{body}"
    );
}

fn refused_sale_is_set_aside(wire: Wire) {
    let kra = Kra::start(wire);
    let shop = Shop::with(&kra);
    let gateway = shop.open_registered();
    let till = shop.till();
    till.sell("FIRST");
    let refuse = |code: &str| {
        let args = json!({ "code": code, "message": "Invalid custNm [<custNm>]" });
        kra.fault(json!({ "fault": "result_cd", "count": 1, "function": SAVE, "args": args }));
    };
    refuse("910");
    let body = till.post("/api/sales/?wait=20", &sale("BAD-1")).expect(422);
    expect_rejected(&body, "BAD-1", "910");
    assert_eq!(body["attention"], 1, "who waited for it is told at once: {body}");
    // Refused while nobody waited: the register learns it later.
    refuse("913");
    till.sell_offline("BAD-2");
    let state = till.wait_status("BAD-2", "rejected");
    assert_eq!(
        (&state["resultCd"], &state["kraMessage"]),
        (&json!("913"), &json!("Invalid custNm [<custNm>]")),
        "{state}"
    );
    assert!(state["signature"].is_null() && state["qrUrl"].is_null(), "nothing to print: {state}");

    // The number that they did not use goes to the next.
    let next = till.sell("NEXT");
    assert_eq!(next["invcNo"], 2);
    for (number, code) in [("BAD-1", "910"), ("BAD-2", "913")] {
        expect_rejected(&till.post("/api/sales/", &sale(number)).expect(422), number, code);
    }
    let queue = till.queue();
    assert_eq!((&queue["waiting"], &queue["rejected"]), (&json!(0), &json!(2)), "{queue}");
    assert_eq!(till.get("/health/").expect(200)["status"], "degraded");
    kra.line(false);
    assert_eq!(till.sell_offline("LATER")["attention"], 2, "the register is told of its open refusals");
    kra.line(true);
    till.wait_status("LATER", "signed");

    // Everybody who has to act is told the same: what happened, to which slip, and the way out.
    let slip = till.state("BAD-2")["tempReceiptNo"].as_str().unwrap().to_owned();
    eventually("the journal has the alert", || shop.journal().contains(&slip).then_some(()));
    let told = [shop.journal(), shop.command(&["status"]).out, till.state("BAD-2")["advice"].to_string()];
    for text in told {
        for part in [&slip, "not valid", "tax is due", "replaces", "no credit note"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    gateway.kill();
    let gateway = shop.open();
    let again = till.post("/api/sales/", &sale("BAD-1")).expect(422);
    expect_rejected(&again, "BAD-1", "910");
    assert_eq!((&again["attention"], &till.queue()["rejected"]), (&json!(2), &json!(2)), "{again}");
    assert_eq!(till.sell("LAST")["attention"], 2);
    assert_eq!(till.post("/api/sales/", &json!({})).expect(400)["attention"], 2);
    // Another register has nothing to do with it.
    assert_eq!(gateway.till().sell("OTHER")["attention"], json!(null));
    kra.books().expect_in_order(&["FIRST", "NEXT", "LATER", "LAST", "OTHER"]);
}

/// KRA refuses what it may have taken before: the number goes to nobody else until its books have been asked.
fn refused_after_a_lost_answer(wire: Wire) {
    let kra = Kra::start(wire);
    let shop =
        Shop::with(&kra).set("kra.connect_timeout", "\"300ms\"").set("kra.request_timeout", "\"700ms\"");
    let _gateway = shop.open_registered();
    let till = shop.till();
    till.sell("FIRST");
    kra.fault_on_sales("close_after_read", 1);
    let args = json!({ "code": "910", "message": "Invalid remark [<remark>]" });
    kra.fault(json!({ "fault": "result_cd", "count": 1, "function": SAVE, "args": args }));
    till.sell_offline("BAD");
    till.sell_offline("BEHIND");
    till.wait_status("BAD", "rejected");
    let state = till.wait_status("BEHIND", "signed");
    assert_eq!(state["invcNo"], 2);
    kra.books().expect_in_order(&["FIRST", "BEHIND"]);
}

/// Somebody else numbers in this series (a cloned card, another product): nothing more is sent, and nothing is lost.
fn a_stranger_in_the_series_stops_it(wire: Wire) {
    let kra = Kra::start(wire);
    let shop = Shop::with(&kra);
    let gateway = shop.open_registered();
    let till = shop.till();
    till.sell("FIRST");
    kra.foreign(json!({ "tin": TIN, "bhfId": BHF_ID, "trdInvcNo": "STRANGER" }));
    till.sell_offline("HEAD");
    till.sell_offline("BEHIND");
    let health = eventually("health says so", || {
        let health = till.get("/health/").expect(200);
        (health["status"] == "degraded").then_some(health)
    });
    assert_eq!((&health["kra"], &health["queue"]["rejected"]), (&json!("up"), &json!(0)), "{health}");
    // Sales are taken all along, and a start changes nothing.
    gateway.stop();
    let _gateway = shop.open_registered();
    till.sell_offline("LATER");
    // KRA's books are asked anew after a start; until they have answered, the queue only waits.
    let seen = eventually("the stranger is named", || {
        let seen = shop.command(&["status"]);
        seen.out.contains("STRANGER").then_some(seen)
    });
    seen.expect(1);
    for number in ["HEAD", "BEHIND", "LATER"] {
        assert_eq!(till.state(number)["status"], "pending", "{number}");
    }
    kra.books().expect_in_order(&["FIRST", "STRANGER"]);
}
