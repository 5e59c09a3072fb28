//! Answers of KRA that ask for patience: what is waited for, what steps aside, and what is never set aside by itself.

use serde_json::json;

use crate::harness::{Shop, eventually, on_both_wires};
use crate::kra::{Kra, LOOK_UP, SAVE, Wire};
use crate::sale::sale;

on_both_wires! {
    a_busy_kra_is_waited_for,
    a_wish_to_be_left_alone_is_granted_in_doubt_too,
    a_sale_that_needs_something_first_steps_aside,
    one_sale_that_kra_never_takes_is_parked_and_holds_up_nobody,
    trouble_of_everybody_parks_nobody,
    many_refused_alike_are_not_set_aside,
    without_a_look_up_a_repeat_decides,
    careless_answers_are_read,
}

fn shop(kra: &Kra) -> Shop {
    Shop::with(kra).set("kra.connect_timeout", "\"300ms\"").set("kra.request_timeout", "\"700ms\"")
}

fn a_busy_kra_is_waited_for(wire: Wire) {
    let kra = Kra::start(wire);
    let shop = shop(&kra);
    let _gateway = shop.open_registered();
    let till = shop.till();
    till.sell("FIRST");
    let args = json!({ "status": 429, "retry_after": 1 });
    kra.fault(json!({ "fault": "http_status", "count": 2, "function": SAVE, "args": args }));
    let begun = std::time::Instant::now();
    for number in ["HEAD", "BEHIND"] {
        till.sell_offline(number);
    }
    till.wait_status("BEHIND", "signed");
    assert_eq!(kra.struck(), [2]);
    assert!(begun.elapsed() >= std::time::Duration::from_secs(2), "it waited as told: {:?}", begun.elapsed());
    kra.books().expect_in_order(&["FIRST", "HEAD", "BEHIND"]);
}

/// A server that is down and says for how long: neither the sale that it may have nor its books are touched before.
fn a_wish_to_be_left_alone_is_granted_in_doubt_too(wire: Wire) {
    let kra = Kra::start(wire);
    let shop = shop(&kra);
    let _gateway = shop.open_registered();
    let till = shop.till();
    till.sell("FIRST");
    let args = json!({ "status": 503, "retry_after": 3 });
    for function in [SAVE, LOOK_UP] {
        kra.fault(json!({ "fault": "http_status", "count": 1, "function": function, "args": args }));
    }
    let begun = std::time::Instant::now();
    till.sell_offline("HEAD");
    till.wait_status("HEAD", "signed");
    assert_eq!(kra.struck(), [1, 1]);
    assert!(begun.elapsed() >= std::time::Duration::from_secs(6), "it waited as told: {:?}", begun.elapsed());
    kra.books().expect_in_order(&["FIRST", "HEAD"]);
}

fn a_sale_that_needs_something_first_steps_aside(wire: Wire) {
    let kra = Kra::start(wire);
    let shop = shop(&kra);
    let _gateway = shop.open_registered();
    let till = shop.till();
    till.sell("FIRST");
    let args = json!({ "code": "922", "message": "Sales data first" });
    kra.fault(json!({ "fault": "result_cd", "count": 1, "function": SAVE, "args": args }));
    for number in ["HEAD", "BEHIND"] {
        till.sell_offline(number);
    }
    till.wait_status("HEAD", "signed");
    till.wait_status("BEHIND", "signed");
    kra.books().expect_in_order(&["FIRST", "BEHIND", "HEAD"]);
}

/// KRA is well and has nothing to say about one sale but trouble: G4, though no answer is a refusal.
fn one_sale_that_kra_never_takes_is_parked_and_holds_up_nobody(wire: Wire) {
    for (what, order) in [
        (
            "an unknown code",
            json!({ "fault": "result_cd", "args": { "code": "777", "message": "No such rule" } }),
        ),
        ("bad request", json!({ "fault": "http_status", "args": { "status": 400 } })),
        ("server error", json!({ "fault": "http_status", "args": { "status": 500 } })),
        ("lost connections", json!({ "fault": "close_after_read" })),
    ] {
        let kra = Kra::start(wire);
        let shop = shop(&kra).set("delivery.max_attempts", "3").set("log.level", "\"info\"");
        let _gateway = shop.open_registered();
        let till = shop.till();
        till.sell("FIRST");
        let mut order = order;
        order["function"] = json!(SAVE);
        order["sale"] = json!("ODD");
        kra.fault(order);
        for number in ["ODD", "BEHIND-1", "BEHIND-2"] {
            till.sell_offline(number);
        }
        till.wait_status("BEHIND-1", "signed");
        till.wait_status("BEHIND-2", "signed");
        till.wait_status("ODD", "parked");
        till.sell("LATER");
        kra.books().expect_in_order(&["FIRST", "BEHIND-1", "BEHIND-2", "LATER"]);
        let parked = eventually("the journal says so", || {
            let journal = shop.journal();
            journal.lines().find(|line| line.contains("its tries are spent")).map(str::to_owned)
        });
        assert!(parked.contains("ERROR") && parked.contains("trd_invc_no=ODD"), "{what}: {parked}");
        // What was wrong at KRA is put right, and a person says so.
        kra.clear_faults();
        shop.command(&["queue", "retry", "ODD"]).expect(0);
        till.wait_status("ODD", "signed");
        kra.books().expect_in_order(&["FIRST", "BEHIND-1", "BEHIND-2", "LATER", "ODD"]);
        if std::env::var_os("SHOW_JOURNAL").is_some() {
            let journal = shop.journal();
            eprintln!("{what}\n{journal}\n{}", shop.command(&["queue", "show", "ODD"]).expect(0).out);
        }
    }
}

/// Whatever KRA says to everybody is no fault of a sale, however often it is said.
fn trouble_of_everybody_parks_nobody(wire: Wire) {
    for (what, order) in [
        ("unknown error", json!({ "fault": "result_cd", "args": { "code": "999" } })),
        ("bad request", json!({ "fault": "http_status", "args": { "status": 400 } })),
        ("server error", json!({ "fault": "http_status", "args": { "status": 500 } })),
    ] {
        let kra = Kra::start(wire);
        let shop = shop(&kra)
            .set("kra.request_timeout", "\"400ms\"")
            .set("delivery.max_attempts", "2")
            .set("delivery.backoff_max", "\"100ms\"");
        let gateway = shop.open_registered();
        let till = shop.till();
        till.sell("FIRST");
        let mut order = order;
        order["function"] = json!(SAVE);
        kra.fault(order);
        for number in ["HEAD", "BEHIND", "LAST"] {
            till.sell_offline(number);
        }
        kra.wait_struck(8);
        let queue = till.queue();
        assert_eq!(
            (&queue["waiting"], &queue["parked"], &queue["rejected"]),
            (&json!(3), &json!(0), &json!(0)),
            "{what}"
        );
        kra.clear_faults();
        till.wait_drained();
        // Where KRA came to itself while a canary was ahead of the first, that one went first.
        let books = kra.books();
        let mut numbers = books.numbers();
        numbers.sort();
        assert_eq!(
            (numbers.join(" "), &till.queue()["parked"]),
            ("BEHIND FIRST HEAD LAST".to_owned(), &json!(0))
        );
        gateway.stop();
    }
}

/// A changed rate or code list must not set a day's sales aside.
fn many_refused_alike_are_not_set_aside(wire: Wire) {
    let kra = Kra::start(wire);
    let shop = shop(&kra);
    let gateway = shop.open_registered();
    let till = shop.till();
    till.sell("FIRST");
    let args = json!({ "code": "910", "message": "Rule taxRtB failed. Expected: 18, But Found: 16" });
    kra.fault(json!({ "fault": "result_cd", "function": SAVE, "args": args }));
    for place in 0..12 {
        let number = format!("S-{place}");
        if place < 5 {
            // Whoever waits is told, the fifth too, with which the pause begins.
            till.post("/api/sales/?wait=20", &sale(&number)).expect(422);
        } else {
            till.sell_offline(&number);
        }
    }
    eventually("the pause is told", || shop.command(&["status"]).out.contains("refused alike").then_some(()));
    let queue = till.queue();
    assert_eq!((&queue["rejected"], &queue["waiting"]), (&json!(5), &json!(7)), "{queue}");
    assert_eq!(till.get("/health/").expect(200)["status"], "degraded");
    assert_eq!(kra.struck(), [5], "nothing more is tried at once");
    // A start does not forget it.
    gateway.stop();
    let _gateway = shop.open();
    eventually("the pause is told", || shop.command(&["status"]).out.contains("refused alike").then_some(()));
    assert_eq!(kra.struck(), [5], "a start is no reason to try");
    // What was wrong is put right, and somebody has looked.
    kra.clear_faults();
    shop.command(&["queue", "retry", "--all"]).expect(0);
    till.wait_drained();
    assert_eq!(kra.books().sales().len(), 1 + 7);
    assert_eq!(till.queue()["rejected"], 5);
}

/// A server that cannot show its books: the same bytes again, and "it is taken" then says that it was in.
fn without_a_look_up_a_repeat_decides(wire: Wire) {
    for duplicate in ["994", "sequence"] {
        let kra = Kra::start(wire);
        kra.set(json!({ "duplicate": duplicate }));
        kra.fault(json!({ "fault": "http_status", "function": LOOK_UP, "args": { "status": 404 } }));
        let shop = shop(&kra);
        let _gateway = shop.open_registered();
        let till = shop.till();
        till.sell("FIRST");
        kra.fault_on_sales("lose_answer", 1);
        till.sell_offline("TAKEN");
        till.wait_status("TAKEN", "accepted_no_proof");
        kra.fault_on_sales("close_after_read", 1);
        till.sell_offline("NOT-TAKEN");
        let state = till.wait_status("NOT-TAKEN", "signed");
        assert_eq!(state["invcNo"], 3);
        kra.books().expect_in_order(&["FIRST", "TAKEN", "NOT-TAKEN"]);
    }
}

/// Careless answers: stray spaces in keys, numbers as texts.
fn careless_answers_are_read(wire: Wire) {
    let kra = Kra::start(wire);
    kra.set(json!({ "sloppy": true }));
    let shop = shop(&kra);
    let _gateway = shop.open_registered();
    let till = shop.till();
    till.sell("FIRST");
    kra.fault_on_sales("lose_answer", 1);
    till.sell_offline("LOST");
    let state = till.wait_status("LOST", "signed");
    let books = kra.books();
    let booked = books.sale("LOST").unwrap();
    assert_eq!((&state["receiptNo"], &state["signature"]), (&booked["curRcptNo"], &booked["rcptSign"]));
    assert_eq!(kra.asked(SAVE), 2);
    books.expect_in_order(&["FIRST", "LOST"]);
}
