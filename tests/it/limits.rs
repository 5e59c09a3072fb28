//! Bounds: when no more sales are taken, the register is told why and when to come again, and known sales are known
//! all the same.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Shop, eventually};
use crate::kra::{Kra, SAVE, Wire};
use crate::sale::sale;
use crate::till::Till;

/// A sale is refused for now, with this word.
#[track_caller]
fn expect_unavailable(till: &Till, number: &str, word: &str) -> Value {
    let answer = till.post("/api/sales/?wait=0", &sale(number));
    let body = answer.expect_error(503, word);
    assert!(body["message"].is_string() && body["retryAfter"].is_u64(), "{body}");
    assert_eq!(answer.header("retry-after"), Some(body["retryAfter"].to_string().as_str()), "{answer:?}");
    assert_eq!(till.get(&format!("/api/sales/{number}/")).status, 404, "{number} was not taken");
    body
}

#[test]
fn a_full_queue_refuses() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra).set("storage.max_documents", "3");
    let gateway = shop.open_registered();
    let till = shop.till();
    kra.line(false);
    for number in ["A", "B", "C"] {
        till.sell_offline(number);
    }
    expect_unavailable(&till, "D", "queue_full");
    assert!(shop.command(&["status"]).out.contains("new sales are refused: the queue holds"));
    assert_eq!(till.post("/api/sales/", &sale("A")).expect(200)["repeat"], true);
    gateway.kill();
    let _gateway = shop.open();
    expect_unavailable(&till, "D", "queue_full");
    kra.line(true);
    till.wait_status("C", "signed");
    till.sell("D");
    kra.books().expect_in_order(&["A", "B", "C", "D"]);
}

#[test]
fn a_full_disk_refuses() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let gateway = shop.open_registered();
    let till = shop.till();
    till.sell("A");
    gateway.stop();
    // More than any disk here has.
    shop.change("storage.min_free", "\"1TiB\"");
    let gateway = shop.open();
    eventually("the disk is found low", || {
        let answer = till.post("/api/sales/?wait=0", &sale("B"));
        (answer.status == 503).then_some(())
    });
    expect_unavailable(&till, "C", "disk_low");
    assert_eq!(till.post("/api/sales/", &sale("A")).expect(200)["repeat"], true);
    assert_eq!(till.state("A")["status"], "signed");
    assert_eq!(till.get("/health/").expect(200)["status"], "degraded");
    gateway.stop();
    shop.change("storage.min_free", "\"1MiB\"");
    let _gateway = shop.open();
    till.sell("C");
}

/// KRA wants something else first: that says nothing about the line, and keeps no other sale from being taken.
#[test]
fn a_sale_that_waits_for_another_is_not_offline() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra)
        .set("sales.offline_warn", "\"1s\"")
        .set("sales.offline_limit", "\"2s\"")
        .set("delivery.backoff_initial", "\"10m\"")
        .set("delivery.backoff_max", "\"1d\"");
    let _gateway = shop.open_registered();
    let till = shop.till();
    till.sell("FIRST");
    let args = json!({ "code": "922", "message": "Sales data first" });
    kra.fault(json!({ "fault": "result_cd", "count": 1, "function": SAVE, "args": args }));
    till.sell_offline("ASIDE");
    kra.wait_struck(1);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(4) {
        let number = format!("MORE-{}", begun.elapsed().as_millis());
        till.post("/api/sales/?wait=0", &sale(&number)).expect(202);
        till.wait_status(&number, "signed");
    }
    assert_eq!(till.state("ASIDE")["status"], "pending", "it is there, older than the limit");
    assert_eq!(till.get("/health/").expect(200)["status"], "healthy");
}

#[test]
fn too_long_offline_refuses_where_asked_to() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra).set("sales.offline_warn", "\"1s\"").set("sales.offline_limit", "\"2s\"");
    let gateway = shop.open_registered();
    let till = shop.till();
    kra.line(false);
    till.sell_offline("A");
    let mut more = 0;
    eventually("the limit is reached", || {
        more += 1;
        let answer = till.post("/api/sales/?wait=0", &sale(&format!("MORE-{more}")));
        (answer.status == 503).then_some(())
    });
    expect_unavailable(&till, "LATE", "offline_limit");
    let said = shop.command(&["status"]).out;
    assert!(said.contains("longer than sales.offline_limit") && !said.contains("taken and kept"), "{said}");
    // An age is not forgotten over a restart.
    gateway.stop();
    let _gateway = shop.open();
    eventually("the limit holds after a restart", || {
        more += 1;
        let answer = till.post("/api/sales/?wait=0", &sale(&format!("MORE-{more}")));
        (answer.status == 503).then_some(())
    });
    assert_eq!(till.post("/api/sales/", &sale("A")).expect(200)["repeat"], json!(true));
    kra.line(true);
    till.wait_drained();
    till.sell("LATE");
    assert_eq!(kra.books().sale("LATE").map(|sale| &sale["foreign"]), Some(&json!(false)));
}

/// KRA is there, and takes one sale never: the next one is to tell whose fault that is, so the next one is taken.
#[test]
fn a_sale_whose_tries_are_spent_closes_no_shop() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra)
        .set("sales.offline_warn", "\"1s\"")
        .set("sales.offline_limit", "\"2s\"")
        .set("delivery.max_attempts", "2");
    let _gateway = shop.open_registered();
    let till = shop.till();
    till.sell("FIRST");
    kra.fault(json!({
        "fault": "result_cd", "function": SAVE, "sale": "ODD", "args": { "code": "777", "message": "No such rule" }
    }));
    let begun = Instant::now();
    till.sell_offline("ODD");
    eventually("its tries are spent and it is older than the limit", || {
        let tries = shop.command(&["queue", "show", "ODD", "--json"]).expect(0).json()["attempts"].as_u64();
        (tries >= Some(2) && begun.elapsed() > Duration::from_secs(3)).then_some(())
    });
    till.post("/api/sales/?wait=0", &sale("NEXT")).expect(202);
    till.wait_status("NEXT", "signed");
    till.wait_status("ODD", "parked");
    till.sell("LATER");
}
