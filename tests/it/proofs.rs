//! A sale that KRA has and whose proof could not be had: the proof is looked up again by itself, and holds up nobody.

use std::time::Duration;

use serde_json::json;

use crate::harness::{BHF_ID, Shop, TIN, eventually, within};
use crate::kra::{Kra, LOOK_UP, SAVE, Wire};

/// The first look is after a minute: so long do these tests take.
const A_MINUTE_AND_MORE: Duration = Duration::from_secs(100);

#[test]
fn a_missing_proof_turns_up_by_itself_and_a_sale_does_not_wait_for_it() {
    let kra = Kra::start(Wire::Xml);
    kra.set(json!({ "duplicate": "994" }));
    let shop =
        Shop::with(&kra).set("kra.connect_timeout", "\"300ms\"").set("kra.request_timeout", "\"700ms\"");
    kra.fault(json!({ "fault": "http_status", "function": LOOK_UP, "args": { "status": 404 } }));
    let gateway = shop.open_registered();
    let till = shop.till();
    till.sell("FIRST");
    kra.fault_on_sales("lose_answer", 1);
    till.sell_offline("TAKEN");
    till.wait_status("TAKEN", "accepted_no_proof");
    kra.clear_faults();
    gateway.stop();

    // KRA does not answer the look-up for as long as a request may take: longer than a register waits.
    shop.change("kra.request_timeout", "\"60s\"");
    let _gateway = shop.open();
    // Both ends of the series are looked at here.
    till.sell("BETWEEN");
    kra.fault(json!({ "fault": "hang", "count": 1, "function": LOOK_UP }));
    within(A_MINUTE_AND_MORE, "the proof is looked up", || (kra.struck() == [1]).then_some(()));
    till.sell("MEANWHILE");
    let state = within(A_MINUTE_AND_MORE, "the proof is there", || {
        let state = till.state("TAKEN");
        (state["status"] == "signed").then_some(state)
    });
    let books = kra.books();
    let booked = books.sale("TAKEN").unwrap();
    assert_eq!((&state["signature"], &state["invcNo"]), (&booked["rcptSign"], &booked["invcNo"]), "{state}");
    books.expect_in_order(&["FIRST", "TAKEN", "BETWEEN", "MEANWHILE"]);
    assert_eq!(kra.asked(SAVE), 5, "nothing was sent for the proof");
    assert_eq!(till.get("/health/").expect(200)["status"], "healthy");
}

#[test]
fn a_server_that_looks_nothing_up_shows_the_proof_in_its_list_of_sales() {
    for wire in [Wire::Json, Wire::Xml] {
        let kra = Kra::start(wire);
        kra.set(json!({ "duplicate": "994" }));
        let shop =
            Shop::with(&kra).set("kra.connect_timeout", "\"300ms\"").set("kra.request_timeout", "\"700ms\"");
        kra.fault(json!({ "fault": "http_status", "function": LOOK_UP, "args": { "status": 404 } }));
        let _gateway = shop.open_registered();
        let till = shop.till();
        till.sell("FIRST");
        kra.fault_on_sales("lose_answer", 1);
        till.sell_offline("TAKEN");
        till.wait_status("TAKEN", "accepted_no_proof");
        // A person does not wait for the minute.
        shop.command(&["queue", "retry", "TAKEN"]).expect(0);
        let state = till.wait_status("TAKEN", "signed");
        let books = kra.books();
        let booked = books.sale("TAKEN").unwrap();
        assert_eq!(
            (&state["signature"], &state["invcNo"]),
            (&booked["rcptSign"], &booked["invcNo"]),
            "{state}"
        );
        till.sell("BEHIND");
        kra.books().expect_in_order(&["FIRST", "TAKEN", "BEHIND"]);
        assert_eq!(kra.asked("selectTrnsSalesList"), 1);
    }
}

/// At a server that looks nothing up, "taken" after a lost answer is read as "in". Once its books show a stranger there, an
/// alert says so, and the sale is a person's to settle.
#[test]
fn a_stranger_taken_for_our_sale_is_told_and_settled() {
    let kra = Kra::start(Wire::Json);
    kra.set(json!({ "duplicate": "994" }));
    kra.fault(json!({ "fault": "http_status", "function": LOOK_UP, "args": { "status": 404 } }));
    let shop =
        Shop::with(&kra).set("kra.connect_timeout", "\"300ms\"").set("kra.request_timeout", "\"700ms\"");
    let _gateway = shop.open_registered();
    let till = shop.till();
    till.sell("FIRST");
    kra.foreign(json!({ "tin": TIN, "bhfId": BHF_ID, "trdInvcNo": "STRANGER" }));
    kra.fault_on_sales("close_after_read", 1);
    till.sell_offline("NOT-IN");
    till.wait_status("NOT-IN", "accepted_no_proof");
    let settle =
        ["queue", "settle", "NOT-IN", "--as", "not-accepted", "--reason", "the portal shows STRANGER"];
    shop.command(&settle).expect(1);
    kra.clear_faults();
    shop.command(&["queue", "retry", "NOT-IN"]).expect(0);
    eventually("the alert names the stranger", || {
        shop.command(&["status"]).out.contains("sale STRANGER").then_some(())
    });
    assert_eq!(till.get("/health/").expect(200)["status"], "degraded");
    shop.command(&settle).expect(0);
    till.wait_status("NOT-IN", "settled");
    assert_eq!(till.sell("AFTER")["invcNo"], 3);
    assert_eq!(kra.books().numbers(), ["FIRST", "STRANGER", "AFTER"]);
    eventually("health is well again", || {
        (till.get("/health/").expect(200)["status"] == "healthy").then_some(())
    });
}
