//! A clock that is wrong: what is measured, marked and told, and that KRA is never told a time in its future.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::harness::{Shop, TIN, eventually, on_both_wires, say_skipped};
use crate::kra::{Kra, Wire};
use crate::sale::sale_with;

on_both_wires! { kras_clock_is_measured_and_nothing_is_sent_from_its_future }

fn status(shop: &Shop) -> Value {
    shop.command(&["status", "--json"]).json()
}

/// Waits until an alert of this kind is active; the status then.
fn wait_alert(shop: &Shop, code: &str) -> Value {
    eventually(&format!("the alert {code}"), || {
        let status = status(shop);
        let active = status["alerts"].as_array().unwrap().iter().any(|alert| alert["code"] == code);
        active.then_some(status)
    })
}

fn kras_clock_is_measured_and_nothing_is_sent_from_its_future(wire: Wire) {
    let kra = Kra::start(wire);
    let shop = Shop::with(&kra);
    let gateway = shop.open_registered();
    let till = shop.till();
    till.sell("S-1");
    let same = status(&shop);
    let ahead = same["clock"]["kra"]["aheadMs"].as_i64().unwrap();
    assert!(ahead.abs() < 2_000 && same["clock"]["kra"]["certainMs"] == 0, "{same:#}");

    // KRA lags ten minutes behind: for KRA, every sale of now is one of the future.
    gateway.stop();
    kra.set(json!({ "clock_offset": -600 }));
    let gateway = shop.open_registered();
    let till = shop.till();
    till.sell("S-2");
    till.sell("S-3");
    kra.books().expect_in_order(&["S-1", "S-2", "S-3"]);
    let lagging = wait_alert(&shop, "clock_skew");
    let ahead = lagging["clock"]["kra"]["aheadMs"].as_i64().unwrap();
    assert!((-603_000..-597_000).contains(&ahead), "{lagging:#}");
    assert!(lagging["clock"]["server"]["certainMs"] == 0, "the server's Date is right: {lagging:#}");
    assert_eq!(till.get("/health/").expect(200)["status"], "healthy", "a clock does not change health");
    shop.command(&["status"]).expect(0);
    let skew = till.get("/metrics").text();
    assert!(
        skew.contains("etims_clock_skew_seconds{told=\"resultDt\"} -59")
            || skew.contains("told=\"resultDt\"} -60"),
        "{skew}"
    );
    let text = shop.command(&["status"]).out.clone();
    for label in ["clock ", "last exchange ", "disk ", "process "] {
        assert!(text.lines().any(|line| line.starts_with(label)), "{label}: {text}");
    }

    kra.set(json!({ "clock_offset": 0 }));
    till.sell("S-4");
    let well = status(&shop);
    assert!(well["alerts"].as_array().unwrap().iter().all(|alert| alert["code"] != "clock_skew"), "{well:#}");
    gateway.stop();
}

/// Now and so many seconds, as KRA writes times.
fn in_nairobi(seconds: i64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let at = jiff::Timestamp::from_second(i64::try_from(now).unwrap() + 3 * 3600 + seconds).unwrap();
    at.strftime("%Y%m%d%H%M%S").to_string()
}

/// The time that KRA was told of a sale.
fn told(kra: &Kra, number: &str) -> String {
    let invoices = kra.invoices(TIN);
    let invoice = invoices.iter().find(|invoice| invoice["trdInvcNo"] == number).unwrap();
    invoice["cfmDt"].as_str().unwrap_or_else(|| panic!("{invoice}")).to_owned()
}

/// Found by a reader: it was a line in the journal only. Each way in has its own clock.
#[test]
fn a_register_ahead_of_kra_is_told_until_its_clock_is_right() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let gateway = shop.open_registered();
    let (till, other) = (shop.till(), gateway.till());
    till.sell("S-1");
    let ahead = in_nairobi(300);
    till.post("/api/sales/", &sale_with("AHEAD", json!({ "cfmDt": ahead }))).expect(201);
    let alert = wait_alert(&shop, "register_clock");
    let fast = &alert["clock"]["fastRegisters"][0];
    assert_eq!((&fast["trdInvcNo"], &fast["cfmDt"]), (&json!("AHEAD"), &json!(ahead)), "{alert:#}");
    let told = told(&kra, "AHEAD");
    assert!(told < ahead, "KRA was told {told}");
    other.sell("ANOTHER");
    wait_alert(&shop, "register_clock");
    till.post("/api/sales/", &sale_with("RIGHT", json!({ "cfmDt": in_nairobi(-5) }))).expect(201);
    eventually("it is over", || {
        let status = status(&shop);
        status["alerts"]
            .as_array()
            .unwrap()
            .iter()
            .all(|alert| alert["code"] != "register_clock")
            .then_some(())
    });
}

/// `delivery.cfm_dt`: a sale of an hour ago is told KRA with its own time, or with that of sending.
#[test]
fn kra_is_told_the_time_of_the_sale_or_of_sending() {
    for (cfm_dt, of_sale) in [("sale", true), ("sending", false)] {
        let kra = Kra::start(Wire::Json);
        let shop = Shop::with(&kra).set("delivery.cfm_dt", &format!("\"{cfm_dt}\""));
        let _gateway = shop.open_registered();
        let till = shop.till();
        let sold_at = in_nairobi(-3600);
        till.post("/api/sales/", &sale_with("OLD", json!({ "cfmDt": sold_at }))).expect(201);
        let told = told(&kra, "OLD");
        if of_sale {
            assert_eq!(told, sold_at);
        } else {
            assert!(told > in_nairobi(-60) && told <= in_nairobi(0), "{told}");
        }
    }
}

/// A library that gives a program another wall clock; nothing in the gateway itself can.
fn other_clock() -> Option<PathBuf> {
    let mut found =
        fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path().join("faketime/libfaketime.so.1"));
    found.find(|path| path.exists())
}

/// Sets the clock of the gateways of a shop, in libfaketime's words: `-1d`, `+2h`, `@2020-01-01 00:00:00`.
fn set_clock(file: &Path, to: &str) {
    let new = file.with_extension("new");
    fs::write(&new, format!("{to}\n")).unwrap();
    fs::rename(new, file).unwrap();
}

fn shop_with_clock(kra: &Kra, library: &Path) -> (Shop, PathBuf) {
    let shop = Shop::with(kra);
    let file = shop.path("clock");
    let shop = shop
        .env("LD_PRELOAD", library.to_str().unwrap())
        .env("FAKETIME_TIMESTAMP_FILE", file.to_str().unwrap())
        .env("FAKETIME_NO_CACHE", "1")
        // The clock that never jumps stays as it is.
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    (shop, file)
}

#[test]
fn a_wrong_clock_is_told_marked_and_harms_no_sale() {
    let Some(library) = other_clock() else {
        return say_skipped(
            "SKIPPED a_wrong_clock_is_told_marked_and_harms_no_sale: libfaketime is not installed",
        );
    };
    let kra = Kra::start(Wire::Json);
    let (shop, clock) = shop_with_clock(&kra, &library);

    // Hours ahead: the sale's time is in KRA's future, and it is taken and signed all the same.
    set_clock(&clock, "+3h");
    let gateway = shop.open_registered();
    let till = shop.till();
    till.sell("AHEAD");
    let books = kra.books();
    assert!(books.sale("AHEAD").is_some());
    let ahead = wait_alert(&shop, "clock_skew");
    let skew = ahead["clock"]["server"]["aheadMs"].as_i64().unwrap();
    assert!((-10_805_000..-10_795_000).contains(&skew), "{ahead:#}");

    // Set back while it runs: a chained record says so.
    set_clock(&clock, "-1d");
    eventually("the jump is told", || shop.journal().contains("the wall clock jumped").then_some(()));
    eventually("the jump is counted", || {
        till.get("/metrics").text().lines().any(|line| line == "etims_clock_steps_total 1").then_some(())
    });
    till.sell("BEHIND");
    let age = status(&shop)["queue"]["oldestAgeSeconds"].as_u64().unwrap();
    assert_eq!(age, 0, "ages do not go by the wall clock");

    // Set back while it does not run.
    gateway.stop();
    set_clock(&clock, "-2d");
    let gateway = shop.open_registered();
    eventually("the jump over the stop is told", || {
        (shop.journal().matches("the wall clock jumped").count() == 2).then_some(())
    });

    // Before the program was made.
    set_clock(&clock, "@2020-01-01 00:00:00");
    let behind = wait_alert(&shop, "clock");
    assert!(behind["clock"]["behind"].is_string(), "{behind:#}");
    let till = shop.till();
    till.sell("2020");
    assert_eq!(till.get("/health/").expect(200)["status"], "healthy");
    // A register's own time of years after that cannot be judged by such a clock.
    till.post("/api/sales/", &sale_with("OWN", json!({ "cfmDt": "20250115101530" }))).expect(201);
    gateway.stop();
    kra.books().expect_in_order(&["AHEAD", "BEHIND", "2020", "OWN"]);
    shop.command(&["verify"]).expect(0);
}
