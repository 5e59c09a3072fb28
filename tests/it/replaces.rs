//! A corrected sale takes the place of one that KRA refused, once, and both say so.

use std::thread;

use serde_json::{Value, json};

use crate::harness::{Dice, Shop, on_both_wires};
use crate::kra::{Kra, SAVE, Wire};
use crate::sale::{sale, sale_with};
use crate::till::Till;

on_both_wires! { takes_the_place_of_a_refused_sale }

/// A sale that KRA refuses.
fn refused(kra: &Kra, till: &Till, number: &str) -> Value {
    let args = json!({ "code": "910", "message": "Invalid remark [<remark>]" });
    kra.fault(json!({ "fault": "result_cd", "count": 1, "function": SAVE, "args": args }));
    till.post("/api/sales/?wait=20", &sale(number)).expect(422)
}

fn correction(number: &str, old: &str) -> Value {
    sale_with(number, json!({ "replaces": old }))
}

fn takes_the_place_of_a_refused_sale(wire: Wire) {
    let kra = Kra::start(wire);
    let shop = Shop::with(&kra);
    let gateway = shop.open_registered();
    let till = shop.till();
    till.sell("FIRST");
    refused(&kra, &till, "BAD");
    kra.line(false);
    till.sell_offline("WAITS");

    // Only what KRA refused is replaced, and each other case is told in its own words.
    for (old, part) in [("NOBODY", "no sale here"), ("FIRST", "credit note"), ("WAITS", "still waits")] {
        let fault = till.post("/api/sales/", &correction("NEW", old)).expect_field("replaces");
        assert!(fault["message"].as_str().unwrap().contains(part), "{part}: {fault}");
    }
    till.post("/api/sales/", &correction("SELF", "SELF")).expect_field("replaces");
    assert_eq!(till.get("/api/sales/NEW/").status, 404);
    assert_eq!(till.queue()["rejected"], 1);

    let taken = till.post("/api/sales/?wait=0", &correction("GOOD", "BAD")).expect(202);
    assert_eq!((&taken["replaces"], &taken["attention"]), (&json!("BAD"), &json!(0)), "{taken}");
    assert_eq!(till.queue()["rejected"], 0, "the refusal is closed at once, before KRA has the correction");
    let old = till.state("BAD");
    assert_eq!((&old["status"], &old["replacedBy"]), (&json!("settled"), &json!("GOOD")), "{old}");
    assert!(old["advice"].as_str().unwrap().contains("GOOD"), "{old}");
    gateway.kill();

    let gateway = shop.open();
    assert_eq!(till.state("BAD")["replacedBy"], "GOOD");
    // The same again is the same sale; another correction comes too late.
    let again = till.post("/api/sales/?wait=0", &correction("GOOD", "BAD")).expect(200);
    assert_eq!((&again["repeat"], &again["replaces"]), (&json!(true), &json!("BAD")), "{again}");
    till.post("/api/sales/", &sale("GOOD")).expect_error(409, "trdInvcNo_reused");
    let fault = till.post("/api/sales/", &correction("TWICE", "BAD")).expect_field("replaces");
    assert!(fault["message"].as_str().unwrap().contains("replaced already"), "{fault}");
    kra.line(true);
    assert_eq!(till.wait_status("GOOD", "signed")["replaces"], "BAD");

    // What was replaced cannot be sent any more, by nobody.
    let retry = shop.command(&["queue", "retry", "BAD"]);
    assert!(retry.expect(1).err.contains("finished"), "{retry:#?}");
    let shown = shop.command(&["queue", "show", "BAD"]);
    for part in ["refused by KRA for good: 910", "the sale GOOD was posted in its place", "settled"] {
        assert!(shown.expect(0).out.contains(part), "{part}: {shown:#?}");
    }
    // A correction may be refused too, and be corrected.
    let args = json!({ "code": "913", "message": "Invalid remark [<remark>]" });
    refused(&kra, &till, "BAD-2");
    kra.fault(json!({ "fault": "result_cd", "count": 1, "function": SAVE, "args": args }));
    till.post("/api/sales/?wait=20", &correction("BAD-3", "BAD-2")).expect(422);
    till.post("/api/sales/?wait=20", &correction("GOOD-3", "BAD-3")).expect(201);
    assert_eq!(till.queue()["rejected"], 0);
    assert_eq!(till.get("/health/").expect(200)["status"], "healthy");
    gateway.stop();
    shop.command(&["verify"]).expect(0);
    kra.books().expect_in_order(&["FIRST", "WAITS", "GOOD", "GOOD-3"]);
}

/// Two registers and a technician at the same moment: one of them is the first, and the others are told.
#[test]
fn only_one_takes_the_place() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let _gateway = shop.open_registered();
    let till = shop.till();
    let mut retried = 0;
    for round in 0..6 {
        let old = format!("BAD-{round}");
        refused(&kra, &till, &old);
        kra.line(false);
        let answers: Vec<u16> = thread::scope(|scope| {
            let posts: Vec<_> = ["A", "B"]
                .map(|letter| {
                    let (till, body) = (till.clone(), correction(&format!("{letter}-{round}"), &old));
                    scope.spawn(move || till.post("/api/sales/?wait=0", &body).status)
                })
                .into_iter()
                .collect();
            retried += u32::from(shop.command(&["queue", "retry", &old]).code == Some(0));
            posts.into_iter().map(|post| post.join().unwrap()).collect()
        });
        let taken = answers.iter().filter(|status| **status == 202).count();
        assert!(taken <= 1 && answers.iter().all(|status| matches!(status, 202 | 400)), "{answers:?}");
        let state = till.state(&old);
        assert_eq!(state["status"] == "settled", taken == 1, "{answers:?} {state}");
        assert_eq!(state["replacedBy"].is_string(), taken == 1, "{state}");
        kra.line(true);
        till.wait_drained();
    }
    let books = kra.books();
    assert_eq!(books.sales().len(), 6, "each was sold once: {:?}", books.numbers());
    eprintln!("a technician was first {retried} times of 6");
}

/// Killed around the correction's acceptance: both sales changed, or neither did.
#[test]
fn both_change_or_neither() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let mut gateway = shop.open_registered();
    let till = shop.till();
    let mut dice = Dice::new();
    for round in 0..8 {
        let (old, new) = (format!("BAD-{round}"), format!("GOOD-{round}"));
        refused(&kra, &till, &old);
        kra.line(false);
        let (poster, body) = (till.clone(), correction(&new, &old).to_string());
        let post = thread::spawn(move || poster.ask("POST", "/api/sales/?wait=0", Some(body.as_bytes())));
        thread::sleep(std::time::Duration::from_micros(dice.below(3000)));
        gateway.kill();
        let answered = post.join().unwrap().is_ok_and(|answer| answer.status == 202);
        gateway = shop.open();
        let replaced = till.state(&old)["status"] == "settled";
        assert_eq!(till.get(&format!("/api/sales/{new}/")).status == 200, replaced, "round {round}");
        assert!(replaced || !answered, "round {round}: what was answered is there");
        till.post("/api/sales/?wait=0", &correction(&new, &old));
        assert_eq!(till.state(&old)["replacedBy"], new.as_str());
        kra.line(true);
        till.wait_status(&new, "signed");
    }
    assert_eq!(kra.books().sales().len(), 8);
}
