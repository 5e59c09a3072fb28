//! Told to stop, the gateway stops within ten seconds, whatever is under way, and forgets nothing.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Shop, on_both_wires};
use crate::kra::{Kra, SAVE, Wire};
use crate::sale::sale;

/// How long a stop may take.
const LIMIT: Duration = Duration::from_secs(10);

on_both_wires! { with_a_request_on_the_line }

#[test]
fn while_idle() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let mut gateway = shop.open_registered();
    shop.till().sell("S-1");
    // A register that keeps its connection open and says nothing does not keep the gateway.
    let _idle = shop.till().connect().unwrap();
    let begun = Instant::now();
    gateway.terminate();
    assert_eq!(gateway.wait_end(LIMIT).code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(5), "nothing is under way: {:?}", begun.elapsed());
    let notices = gateway.notices();
    let place = |line: &str| notices.iter().position(|said| said == line);
    assert!(place("READY=1").unwrap() < place("STOPPING=1").expect("STOPPING=1"), "{notices:?}");
    assert!(!shop.path("till.sock").exists() && !shop.path("admin.sock").exists(), "its sockets are gone");
    assert!(shop.till().connect().is_err());
}

#[test]
fn twice_told_and_while_kra_is_away() {
    let kra = Kra::start(Wire::Json);
    kra.line(false);
    let shop = Shop::with(&kra);
    let mut gateway = shop.open();
    shop.till().sell_offline("S-1");
    gateway.terminate();
    gateway.terminate();
    assert_eq!(gateway.wait_end(LIMIT).code(), Some(0));
    let mut gateway = shop.open();
    kra.line(true);
    shop.till().wait_status("S-1", "signed");
    gateway.signal(rustix::process::Signal::INT);
    assert_eq!(gateway.wait_end(LIMIT).code(), Some(0), "Ctrl-C is a clean stop too");
}

fn with_a_request_on_the_line(wire: Wire) {
    let kra = Kra::start(wire);
    let shop = Shop::with(&kra).set("kra.request_timeout", "\"20s\"");
    let mut gateway = shop.open_registered();
    let till = shop.till();
    till.sell("FIRST");
    let mut expected = vec!["FIRST".to_owned()];
    // One that KRA answers in time, one that it answers too late, one that it never answers.
    let faults = [
        json!({ "fault": "slow", "args": { "ms": 1000 } }),
        json!({ "fault": "slow", "args": { "ms": 15_000 } }),
        json!({ "fault": "hang" }),
    ];
    for (round, fault) in faults.into_iter().enumerate() {
        let number = format!("ON-THE-LINE-{round}");
        let mut order = fault;
        order["function"] = json!(SAVE);
        order["count"] = json!(1);
        kra.clear_faults();
        kra.fault(order);
        let register = thread::spawn({
            let (till, body) = (till.clone(), sale(&number).to_string());
            move || till.ask("POST", "/api/sales/?wait=30", Some(body.as_bytes()))
        });
        kra.wait_struck(1);
        gateway.terminate();
        let status = gateway.wait_end(LIMIT);
        assert_eq!(status.code(), Some(0), "{number}");
        assert!(gateway.notices().iter().any(|line| line == "STOPPING=1"), "{:?}", gateway.notices());
        // The register hears that its sale is taken, or that the line is gone; never that it was not taken.
        if let Ok(answer) = register.join().unwrap() {
            assert!(matches!(answer.status, 201 | 202), "{number}: {answer:?}");
        }
        // So short a time-out that the doubt is over soon.
        shop.change("kra.request_timeout", "\"1500ms\"");
        gateway = shop.open();
        let state = till.wait_status(&number, "signed");
        assert_eq!(state["signature"], kra.books().sale(&number).unwrap()["rcptSign"]);
        expected.push(number);
        gateway.stop();
        shop.change("kra.request_timeout", "\"20s\"");
        gateway = shop.open();
    }
    till.sell("LAST");
    expected.push("LAST".to_owned());
    assert_eq!(kra.books().numbers(), expected);
}
