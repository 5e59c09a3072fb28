//! G2: whatever is lost on the line, KRA has each sale exactly once, and the register hears the truth.

use serde_json::{Value, json};

use crate::harness::{Shop, on_both_wires};
use crate::kra::{Kra, LOOK_UP, SAVE, Wire};
use crate::sale::sale;

on_both_wires! {
    each_loss_ends_signed_once,
    the_lookup_fails_too,
    lost_over_a_restart,
}

fn shop(kra: &Kra) -> Shop {
    Shop::with(kra).set("kra.connect_timeout", "\"300ms\"").set("kra.request_timeout", "\"700ms\"")
}

fn losses(wire: Wire) -> Vec<(&'static str, Value)> {
    let bad = match wire {
        Wire::Json => "bad_json",
        Wire::Xml => "bad_xml",
    };
    let mut losses = vec![
        ("answer lost after KRA took it", json!({ "fault": "lose_answer" })),
        ("closed before KRA took it", json!({ "fault": "close_after_read" })),
        ("closed before it was read", json!({ "fault": "close_before_read" })),
        ("no answer", json!({ "fault": "hang" })),
        ("nothing read after the head", json!({ "fault": "hang_before_read" })),
        ("answer too late", json!({ "fault": "slow", "args": { "ms": 1500 } })),
        ("half an answer", json!({ "fault": "half_body" })),
        ("half an answer, not taken", json!({ "fault": "half_body", "args": { "processed": false } })),
        ("maintenance page", json!({ "fault": "html" })),
        ("maintenance page, taken", json!({ "fault": "html", "args": { "processed": true } })),
        ("broken answer", json!({ "fault": bad })),
        ("broken answer, not taken", json!({ "fault": bad, "args": { "processed": false } })),
        // It lands before the same bytes are sent again ...
        ("ghost in time", json!({ "fault": "late", "args": { "ms": 300 } })),
        // ... and after.
        ("ghost too late", json!({ "fault": "late", "args": { "ms": 1200 } })),
        ("unknown error", json!({ "fault": "result_cd", "args": { "code": "999" } })),
        ("unknown code", json!({ "fault": "result_cd", "args": { "code": "987" } })),
    ];
    for status in [500, 502, 503, 504, 408] {
        losses.push(("server error", json!({ "fault": "http_status", "args": { "status": status } })));
        let args = json!({ "status": status, "processed": true });
        losses.push(("server error, taken", json!({ "fault": "http_status", "args": args })));
    }
    losses
}

fn each_loss_ends_signed_once(wire: Wire) {
    let kra = Kra::start(wire);
    let shop = shop(&kra);
    let _gateway = shop.open_registered();
    let till = shop.till();
    till.sell("FIRST");
    let mut expected = vec!["FIRST".to_owned()];
    for (round, (what, fault)) in losses(wire).into_iter().enumerate() {
        let (lost, behind) = (format!("LOST-{round}"), format!("BEHIND-{round}"));
        let mut order = fault.clone();
        order["function"] = json!(SAVE);
        order["count"] = json!(1);
        kra.clear_faults();
        kra.fault(order);
        let said = till.post("/api/sales/?wait=0", &sale(&lost)).expect(202);
        assert_eq!(said["status"], "pending", "{what}");
        till.sell_offline(&behind);
        for number in [&lost, &behind] {
            let state = till.wait_status(number, "signed");
            let books = kra.books();
            let booked = books.sale(number).unwrap_or_else(|| panic!("{what}: {number} is in the books"));
            assert_eq!(state["signature"], booked["rcptSign"], "{what}: {number}");
            assert_eq!(state["invcNo"], booked["invcNo"], "{what}: {number}");
            assert_eq!(state["receiptNo"], booked["curRcptNo"], "{what}: {number}");
            assert_eq!(state["sdcDateTime"], booked["sdcDateTime"], "{what}: 14 digits, looked up or not");
        }
        assert_eq!(kra.struck(), [1], "{what}: the fault struck");
        expected.extend([lost, behind]);
    }
    // Nothing that a ghost left may land now.
    std::thread::sleep(std::time::Duration::from_millis(1300));
    assert_eq!(kra.books().numbers(), expected);
    assert_eq!(till.queue()["inDoubt"], 0);
    let health = till.get("/health/").expect(200);
    assert_eq!(health["status"], "healthy", "{health}");
}

/// The answer is lost and the look-up is in trouble itself, more than once: nothing is sent again on a guess.
fn the_lookup_fails_too(wire: Wire) {
    let kra = Kra::start(wire);
    let shop = shop(&kra);
    let _gateway = shop.open_registered();
    let till = shop.till();
    till.sell("FIRST");
    let troubles = [
        json!({ "fault": "http_status", "args": { "status": 500 } }),
        json!({ "fault": "http_status", "args": { "status": 503 } }),
        json!({ "fault": "lose_answer" }),
        json!({ "fault": "html" }),
        json!({ "fault": "result_cd", "args": { "code": "999" } }),
    ];
    let mut expected = vec!["FIRST".to_owned()];
    for (round, trouble) in troubles.into_iter().enumerate() {
        let number = format!("LOST-{round}");
        kra.clear_faults();
        kra.fault_on_sales("lose_answer", 1);
        let mut order = trouble.clone();
        order["function"] = json!(LOOK_UP);
        kra.fault(order);
        let before = kra.asked(SAVE);
        till.sell_offline(&number);
        kra.wait_struck(3);
        let state = till.state(&number);
        assert_eq!(
            (&state["status"], &state["inDoubt"]),
            (&json!("pending"), &json!(true)),
            "{trouble}: {state}"
        );
        assert_eq!(kra.asked(SAVE), before + 1, "{trouble}: not sent again");
        assert_eq!(till.queue()["inDoubt"], 1, "{trouble}");
        kra.clear_faults();
        let state = till.wait_status(&number, "signed");
        assert_eq!(kra.asked(SAVE), before + 1, "{trouble}: the proof was looked up, nothing sent again");
        assert_eq!(state["signature"], kra.books().sale(&number).unwrap()["rcptSign"]);
        expected.push(number);
    }
    kra.books().expect_in_order(&expected);
}

/// Killed while the outcome is open; both when KRA has it and when it has not.
fn lost_over_a_restart(wire: Wire) {
    let kra = Kra::start(wire);
    let shop = shop(&kra);
    let mut gateway = shop.open_registered();
    let till = shop.till();
    till.sell("FIRST");
    let mut expected = vec!["FIRST".to_owned()];
    for (round, fault) in ["slow", "hang", "lose_answer", "close_after_read"].into_iter().enumerate() {
        let number = format!("LOST-{round}");
        kra.clear_faults();
        kra.fault_on_sales(fault, 1);
        till.sell_offline(&number);
        kra.wait_struck(1);
        gateway.kill();
        gateway = shop.open();
        let state = till.wait_status(&number, "signed");
        assert_eq!(state["signature"], kra.books().sale(&number).unwrap()["rcptSign"], "{fault}");
        expected.push(number);
        kra.books();
    }
    assert_eq!(kra.books().numbers(), expected);
}
