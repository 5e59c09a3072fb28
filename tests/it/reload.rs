//! SIGHUP: what can change without dropping a connection changes at once; a bad file changes nothing and is told whole.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::harness::{Gateway, Shop, eventually};
use crate::kra::{Kra, SAVE, Wire};
use crate::sale::sale;

/// Tells the gateway to read its configuration again, and waits until it has.
fn reload(shop: &Shop, gateway: &Gateway) {
    shop.config();
    reload_as_it_is(gateway);
}

fn reload_as_it_is(gateway: &Gateway) {
    let ready = || gateway.notices().iter().filter(|line| *line == "READY=1").count();
    let before = ready();
    gateway.signal(Signal::HUP);
    eventually("the reload is over", || (ready() > before).then_some(()));
}

/// The administrative acts in the log.
fn acts(shop: &Shop, name: &str) -> Vec<Value> {
    let export = shop.command(&["export"]);
    let lines = export.expect(0).out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.map(|line| line["content"].clone()).filter(|content| content["act"] == name).collect()
}

#[test]
fn what_is_live_changes_at_once_and_the_rest_is_named() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra).set("log.level", "\"info\"");
    let gateway = shop.open_registered();
    assert_eq!(acts(&shop, "configuration").len(), 1, "the first start is written down");
    let web = gateway.till().header("Origin", "https://pos.example");
    assert_eq!(web.get("/api/device/status/").status, 403);
    let mut kept = gateway.till().connect().unwrap();
    let plain = gateway.till();

    let token = shop.path("token");
    std::fs::write(&token, "first-token\n").unwrap();
    shop.change("http.allowed_origins", "[\"https://pos.example\"]");
    shop.change("http.token_file", &format!("{token:?}"));
    shop.change("sales.realtime_wait", "\"0s\"");
    shop.change("trader.name", "\"Mama Njeri Stores\"");
    shop.change("log.level", "\"debug\"");
    shop.change("kra.portal", "\"elsewhere.example\"");
    shop.change("storage.max_documents", "100");
    reload(&shop, &gateway);
    let notices = gateway.notices();
    let reloading = notices.iter().position(|line| line == "RELOADING=1").expect("RELOADING=1");
    assert!(notices[reloading + 1].starts_with("MONOTONIC_USEC="), "{notices:?}");

    // On a connection from before, too.
    kept.send(&plain.request("GET", "/api/device/status/", None)).unwrap();
    assert_eq!(kept.answer().unwrap().status, 401, "the token is asked for");
    let known = web.clone().header("Authorization", "Bearer first-token");
    assert_eq!(known.get("/api/device/status/").status, 200, "origin and token");
    kra.fault(json!({ "fault": "slow", "function": SAVE, "count": 1, "args": { "ms": 400 } }));
    shop.till().post("/api/sales/", &sale("NO-WAIT")).expect(202);
    shop.till().wait_status("NO-WAIT", "signed");
    let sent = kra.requests().into_iter().rfind(|request| request["function"] == SAVE).unwrap();
    assert!(sent["body"].as_str().unwrap().contains("Mama Njeri Stores"), "{sent}");
    let journal = shop.journal();
    let named: Vec<&str> = journal.lines().filter(|line| line.contains("at the next start")).collect();
    assert_eq!(named.len(), 1, "{named:?}");
    assert!(named[0].contains("kra.portal") && named[0].contains("storage.max_documents"), "{named:?}");
    assert!(!named[0].contains("http.token_file"), "{named:?}");
    assert!(journal.contains("DEBUG"), "the level is another one");

    let changed = acts(&shop, "configuration");
    assert_eq!(changed.len(), 2, "{changed:?}");
    assert_eq!(changed[1]["who"], "reload");
    assert_eq!(
        changed[1]["changed"],
        json!(["http.allowed_origins", "http.token_file", "log.level", "sales.realtime_wait", "trader.name"])
    );
    // Another token in the same file is another token.
    std::fs::write(&token, "second-token\n").unwrap();
    reload(&shop, &gateway);
    assert_eq!(known.get("/api/device/status/").status, 401);
    let known = web.header("Authorization", "Bearer second-token");
    assert_eq!(known.get("/api/device/status/").status, 200);
    assert_eq!(acts(&shop, "configuration").len(), 2, "nothing of the configuration changed");

    // What waited for a start is written down at the start.
    gateway.stop();
    let gateway = shop.open();
    let changed = acts(&shop, "configuration");
    assert_eq!((changed.len(), &changed[2]["changed"]), (3, &json!(["kra.portal", "storage.max_documents"])));
    gateway.kill();
    let _gateway = shop.open();
    assert_eq!(acts(&shop, "configuration").len(), 3, "the same configuration is no news");
}

#[test]
fn a_bad_file_is_told_whole_and_changes_nothing() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let gateway = shop.open_registered();
    let till = shop.till();
    let good = std::fs::read_to_string(shop.path("config.toml")).unwrap();
    let bad = good
        .replace("kra.wire = \"json\"", "kra.wire = \"morse\"")
        .replace("sales.realtime_wait = \"15s\"", "sales.realtime_wait = \"0s\"");
    assert_eq!(bad.len() + 1, good.len() + "morse".len() - "json".len());
    std::fs::write(shop.path("config.toml"), bad + "http.max_connections = -1\nsales.no_such_key = 1\n")
        .unwrap();
    reload_as_it_is(&gateway);
    let journal = shop.journal();
    for problem in ["kra.wire", "http.max_connections", "sales.no_such_key"] {
        let line = journal.lines().find(|line| line.contains("ERROR") && line.contains(problem));
        assert!(line.is_some(), "{problem}: {journal}");
    }
    till.sell("STILL-WAITS");
    // No file at all, and a token that cannot be used.
    std::fs::remove_file(shop.path("config.toml")).unwrap();
    reload_as_it_is(&gateway);
    till.sell("STILL-THE-SAME");
    assert_eq!(acts(&shop, "configuration").len(), 1);
    gateway.stop();
    kra.books().expect_in_order(&["STILL-WAITS", "STILL-THE-SAME"]);
}

/// Registers that sell all the time, on connections that stay open, notice nothing of twenty reloads.
#[test]
fn under_load_nothing_is_dropped() {
    const REGISTERS: usize = 4;
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let gateway = shop.open_registered();
    let over = AtomicBool::new(false);
    let sold: usize = thread::scope(|scope| {
        let registers: Vec<_> = (0..REGISTERS)
            .map(|register| {
                let (till, over) = (if register % 2 == 0 { gateway.till() } else { shop.till() }, &over);
                scope.spawn(move || {
                    let mut connection = till.connect().unwrap();
                    let mut sold = 0;
                    while !over.load(Ordering::Relaxed) {
                        let body = sale(&format!("{register}-{sold}")).to_string();
                        let request = till.request("POST", "/api/sales/?wait=0", Some(body.as_bytes()));
                        connection.send(&request).unwrap();
                        let answer = connection.answer().expect("no connection is dropped");
                        assert!(matches!(answer.status, 201 | 202), "{answer:?}");
                        sold += 1;
                    }
                    sold
                })
            })
            .collect();
        let deadline = Instant::now() + Duration::from_secs(20);
        for round in 0..20 {
            shop.change("sales.realtime_wait", if round % 2 == 0 { "\"1s\"" } else { "\"2s\"" });
            shop.change("delivery.probe_max", if round % 3 == 0 { "\"200ms\"" } else { "\"400ms\"" });
            reload(&shop, &gateway);
            assert!(Instant::now() < deadline, "{round} reloads take too long");
        }
        over.store(true, Ordering::Relaxed);
        registers.into_iter().map(|register| register.join().unwrap()).sum()
    });
    assert!(sold >= REGISTERS * 10, "{sold} sold");
    shop.till().wait_drained();
    assert_eq!(kra.books().sales().len(), sold);
    assert!(acts(&shop, "configuration").len() > 20);
    gateway.stop();
    shop.command(&["verify"]).expect(0);
}
