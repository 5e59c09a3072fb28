//! A device is registered once, its key is handed out once and kept, and sales wait for it where they can.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{BHF_ID, Dice, PATIENCE, SERIAL, Shop, TIN, eventually, on_both_wires};
use crate::kra::{INITIALISE, Kra, Wire};
use crate::sale::sale;
use crate::till::Till;

on_both_wires! {
    answers_with_the_key_once,
    kra_refuses,
    kra_is_away,
    registers_itself_at_start,
    lost_answer_is_told,
    killed_right_after_the_answer,
    key_finds_no_place,
    stopped_while_registering,
    hung_up_while_registering,
    sells_before_kra_has_answered,
    corrected_configuration,
    another_identity_while_sales_wait,
}

fn identity() -> Value {
    json!({ "tin": TIN, "bhfId": BHF_ID, "serialNumber": SERIAL })
}

fn status(till: &Till) -> Value {
    till.get("/api/device/status/").expect(200)
}

/// The key is masked: there, and nothing of it to be read but perhaps its end.
#[track_caller]
fn expect_masked(answer: &Value, key: &str) {
    let masked = answer["cmcKey"].as_str().unwrap_or_else(|| panic!("cmcKey in {answer}"));
    assert!(!masked.is_empty(), "{answer}");
    for start in 0..=key.len() - 5 {
        assert!(!masked.contains(&key[start..start + 5]), "{masked} shows the key {key}");
    }
}

fn answers_with_the_key_once(wire: Wire) {
    let kra = Kra::start(wire);
    let shop = Shop::unregistered(&kra);
    let gateway = shop.open();
    let till = shop.till();
    assert_eq!(status(&till)["status"], "unregistered");
    let refused = till.post("/api/sales/", &sale("EARLY"));
    let body = refused.expect_error(503, "not_registered");
    assert!(body["retryAfter"].is_u64() && body["message"].is_string(), "{body}");
    assert!(refused.header("retry-after").is_some_and(|value| value.parse::<u64>().is_ok()), "{refused:?}");

    let first = till.post("/api/device/init/", &identity()).expect(200);
    let key = first["cmcKey"].as_str().unwrap();
    assert_eq!(key.len(), 32, "{first}");
    assert_eq!(first["status"], "active");
    assert!(first["sdcId"].as_str().unwrap().starts_with("KRACU"), "{first}");
    assert!(first["mrcNo"].as_str().unwrap().starts_with("SIM"), "{first}");
    assert_eq!(first["taxpayerName"], "Simulated Trader Limited");
    assert!(first["deviceId"].as_str().is_some_and(|id| !id.is_empty()), "{first}");

    let again = till.post("/api/device/init", &identity()).expect(200);
    expect_masked(&again, key);
    for member in ["deviceId", "status", "sdcId", "mrcNo", "taxpayerName"] {
        assert_eq!(again[member], first[member], "{member}");
    }
    let shown = status(&till);
    assert_eq!(shown["deviceId"], first["deviceId"]);
    assert_eq!(
        (&shown["tin"], &shown["bhfId"], &shown["serialNumber"]),
        (&json!(TIN), &json!(BHF_ID), &json!(SERIAL))
    );
    assert_eq!(
        (&shown["status"], &shown["sdcId"], &shown["kra"]),
        (&json!("active"), &first["sdcId"], &json!("up"))
    );
    assert!(shown["publicKey"].as_str().is_some_and(|key| key.len() >= 40), "{shown}");
    assert!(shown["lastContact"].is_string(), "{shown}");
    assert_eq!(
        shown["queue"],
        json!({ "waiting": 0, "inDoubt": 0, "parked": 0, "rejected": 0, "oldestAgeSeconds": shown["queue"]["oldestAgeSeconds"] })
    );
    assert!(!shown.to_string().contains(key), "the status shows the key");

    for other in [
        json!({ "tin": "A000000000B", "bhfId": BHF_ID, "serialNumber": SERIAL }),
        json!({ "tin": TIN, "bhfId": "01", "serialNumber": SERIAL }),
        json!({ "tin": TIN, "bhfId": BHF_ID, "serialNumber": "TILL-0002" }),
    ] {
        till.post("/api/device/init/", &other).expect_error(409, "device_differs");
    }
    till.sell("S-1");
    assert_eq!(kra.asked(INITIALISE), 1, "KRA is asked once");

    gateway.stop();
    let _gateway = shop.open();
    assert_eq!(status(&till)["status"], "active");
    expect_masked(&till.post("/api/device/init/", &identity()).expect(200), key);
    till.post("/api/device/init/", &json!({ "tin": TIN, "bhfId": BHF_ID, "serialNumber": "X" }))
        .expect_error(409, "device_differs");
    till.sell("S-2");
    assert_eq!(kra.asked(INITIALISE), 1, "KRA is asked once, over all starts");
    kra.books().expect_in_order(&["S-1", "S-2"]);
}

fn kra_refuses(wire: Wire) {
    for code in ["901", "902"] {
        let kra = Kra::start(wire);
        let shop = Shop::unregistered(&kra);
        let _gateway = shop.open();
        let till = shop.till();
        kra.fault(json!({ "fault": "result_cd", "function": INITIALISE, "args": { "code": code, "message": "No such device" } }));
        let asked = kra.asked(INITIALISE);
        let answer = till.post("/api/device/init/", &identity());
        let body = answer.expect(502);
        assert_eq!(body["resultCd"], code, "{body}");
        assert!(body["error"].is_string() && body["message"].is_string(), "{body}");
        assert_eq!(kra.asked(INITIALISE), asked + 1);
        let shown = status(&till);
        assert_eq!((&shown["status"], &shown["tin"]), (&json!("failed"), &json!(TIN)), "{shown}");
        // Taxpayer and branch are known: a shop goes on selling while KRA is being written to.
        till.sell_offline(&format!("WAITS-{code}"));

        kra.clear_faults();
        let body = till.post("/api/device/init/", &identity()).expect(200);
        assert_eq!(body["cmcKey"].as_str().unwrap().len(), 32, "a person may try again");
        till.wait_status(&format!("WAITS-{code}"), "signed");
    }
}

fn kra_is_away(wire: Wire) {
    let kra = Kra::start(wire);
    kra.line(false);
    let shop = Shop::unregistered(&kra);
    let _gateway = shop.open();
    let till = shop.till();
    let answer = till.post("/api/device/init/", &identity());
    let body = answer.expect(503);
    assert!(
        body["error"].is_string() && body["message"].is_string() && body["retryAfter"].is_u64(),
        "{body}"
    );
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    let shown = status(&till);
    assert_eq!((&shown["status"], &shown["kra"]), (&json!("pending"), &json!("down")), "{shown}");
    for number in ["A", "B"] {
        let state = till.post("/api/sales/", &sale(number)).expect(202);
        assert_eq!(state["status"], "pending");
    }
    kra.line(true);
    till.wait_status("B", "signed");
    assert_eq!(status(&till)["status"], "active");
    kra.books().expect_in_order(&["A", "B"]);
}

fn registers_itself_at_start(wire: Wire) {
    let kra = Kra::start(wire);
    let shop = Shop::with(&kra);
    let gateway = shop.open_registered();
    let till = shop.till();
    till.sell("S-1");
    let books = kra.books();
    assert!(books.has_device());
    expect_masked(
        &till.post("/api/device/init/", &identity()).expect(200),
        "nothing that a mask would ever show",
    );
    gateway.stop();
    let _gateway = shop.open();
    till.sell("S-2");
    assert_eq!(kra.asked(INITIALISE), 1);
}

/// The answer with the key is lost on the line: nobody has the key. The gateway says so and asks no more than once
/// again; when KRA has taken the device off its books, it is registered anew.
fn lost_answer_is_told(wire: Wire) {
    let kra = Kra::start(wire);
    kra.fault(json!({ "fault": "lose_answer", "count": 1, "function": INITIALISE }));
    let shop = Shop::with(&kra);
    let gateway = shop.open();
    let till = shop.till();
    till.sell_offline("WAITS");
    eventually("the device is failed", || (status(&till)["status"] == "failed").then_some(()));
    let asked = kra.asked(INITIALISE);
    assert!(asked <= 2, "asked {asked} times: each further request harms the device at KRA");
    gateway.stop();
    let _gateway = shop.open();
    assert_eq!(status(&till)["status"], "failed");
    assert_eq!(kra.asked(INITIALISE), asked, "a start asks no more");

    kra.forget_device(TIN, BHF_ID);
    let body = till.post("/api/device/init/", &identity()).expect(200);
    assert_eq!(body["cmcKey"].as_str().unwrap().len(), 32);
    till.wait_status("WAITS", "signed");
}

/// Killed at any moment around KRA's answer: what comes back has the key, or knows that it has not.
fn killed_right_after_the_answer(wire: Wire) {
    let mut dice = Dice::new();
    let mut kept = 0;
    for round in 0..6 {
        let kra = Kra::start(wire);
        let shop = Shop::with(&kra);
        let gateway = shop.spawn();
        kra.wait_books("KRA registers the device", crate::kra::Books::has_device);
        thread::sleep(Duration::from_micros(dice.below(30_000)));
        gateway.kill();
        let _gateway = shop.open();
        let till = shop.till();
        let word = eventually("the device's state is known", || {
            let status = status(&till);
            let word = status["status"].as_str().unwrap().to_owned();
            (word != "pending").then_some(word)
        });
        if word == "failed" {
            kra.forget_device(TIN, BHF_ID);
            let body = till.post("/api/device/init/", &identity()).expect(200);
            assert_eq!(body["cmcKey"].as_str().unwrap().len(), 32);
        } else {
            assert_eq!(word, "active", "round {round}");
            kept += 1;
        }
        let number = format!("S-{round}");
        till.post("/api/sales/?wait=0", &sale(&number));
        till.wait_status(&number, "signed");
        kra.books().expect_in_order(&[number]);
    }
    eprintln!("the key was kept in {kept} of 6 rounds");
}

/// KRA's answer came and the key found no place: the answer is read again until it does. KRA is not asked again, and
/// sales are taken all the while, over a restart too.
fn key_finds_no_place(wire: Wire) {
    let kra = Kra::start(wire);
    let shop = Shop::with(&kra);
    shop.command(&["store", "init"]).expect(0);
    let key = shop.state().join("keys").join("cmc.key");
    std::fs::create_dir(&key).unwrap();
    let gateway = shop.open();
    let till = shop.till();
    kra.wait_books("KRA registers the device", crate::kra::Books::has_device);
    eventually("the gateway tries again", || {
        (shop.journal().matches("registering the device failed").count() >= 1).then_some(())
    });
    till.sell_offline("S-1");
    gateway.kill();
    let _gateway = shop.open();
    till.sell_offline("S-2");
    assert_eq!(status(&till)["status"], "pending");
    std::fs::remove_dir(&key).unwrap();
    till.wait_status("S-2", "signed");
    assert_eq!(status(&till)["status"], "active");
    assert_eq!(kra.asked(INITIALISE), 1, "KRA gives the key once");
    kra.books().expect_in_order(&["S-1", "S-2"]);
}

/// A stop while KRA is about to answer waits for the answer, and ends in time where none comes.
fn stopped_while_registering(wire: Wire) {
    for by_hand in [false, true] {
        let kra = Kra::start(wire);
        kra.fault(json!({ "fault": "slow", "count": 1, "function": INITIALISE, "args": { "ms": 5000 } }));
        let shop = if by_hand { Shop::unregistered(&kra) } else { Shop::with(&kra) };
        let shop = shop.set("kra.request_timeout", "\"20s\"");
        let mut gateway = shop.open();
        let till = shop.till();
        let register = by_hand.then(|| {
            let till = till.clone();
            thread::spawn(move || {
                till.ask("POST", "/api/device/init/", Some(identity().to_string().as_bytes()))
            })
        });
        kra.wait_struck(1);
        gateway.terminate();
        assert_eq!(gateway.wait_end(Duration::from_secs(10)).code(), Some(0));
        if let Some(register) = register {
            // It was answered or cut off; the key is here all the same.
            let _ = register.join().unwrap();
        }
        let _gateway = shop.open();
        assert_eq!(status(&till)["status"], "active");
        till.sell("S-1");
        assert_eq!(kra.asked(INITIALISE), 1);
    }
    let kra = Kra::start(wire);
    kra.fault(json!({ "fault": "hang", "count": 1, "function": INITIALISE }));
    let shop = Shop::with(&kra).set("kra.request_timeout", "\"20s\"");
    let mut gateway = shop.open();
    kra.wait_struck(1);
    gateway.terminate();
    assert_eq!(gateway.wait_end(Duration::from_secs(10)).code(), Some(0));
    let _gateway = shop.open_registered();
    assert_eq!(kra.asked(INITIALISE), 2, "one more after an unknown outcome");
}

/// Who hangs up before KRA has answered finds the device registered.
fn hung_up_while_registering(wire: Wire) {
    let kra = Kra::start(wire);
    kra.fault(json!({ "fault": "slow", "count": 1, "function": INITIALISE, "args": { "ms": 1000 } }));
    let shop = Shop::unregistered(&kra);
    let _gateway = shop.open();
    let till = shop.till();
    let mut connection = till.connect().unwrap();
    let body = identity().to_string();
    connection.send(&till.request("POST", "/api/device/init/", Some(body.as_bytes()))).unwrap();
    kra.wait_struck(1);
    drop(connection);
    let again = till.post("/api/device/init/", &identity()).expect(200);
    expect_masked(&again, "nothing that a mask would ever show");
    assert_eq!((status(&till)["status"].as_str(), kra.asked(INITIALISE)), (Some("active"), 1));
}

/// Sales are taken from the first moment, while KRA is still being looked for.
fn sells_before_kra_has_answered(wire: Wire) {
    let kra = Kra::start(wire);
    kra.fault(json!({ "fault": "hang", "function": wire.probe() }));
    let shop = Shop::with(&kra);
    let _gateway = shop.open();
    let till = shop.till();
    till.sell_offline("S-1");
    assert_eq!((status(&till)["status"].as_str(), kra.asked(INITIALISE)), (Some("pending"), 0));
    kra.clear_faults();
    till.wait_status("S-1", "signed");
}

/// What is sold while the device is pending belongs to it: no other identity and no other KRA takes it over. As long as
/// nothing is sold, a corrected configuration counts.
fn corrected_configuration(wire: Wire) {
    let kra = Kra::start(wire);
    kra.line(false);
    let shop = Shop::with(&kra).set("device.serial_number", "\"MISTYPED\"");
    let gateway = shop.open();
    let till = shop.till();
    eventually("the device is pending", || (status(&till)["status"] == "pending").then_some(()));
    gateway.stop();

    shop.change("device.serial_number", &format!("{SERIAL:?}"));
    let gateway = shop.open();
    assert_eq!(status(&till)["serialNumber"], SERIAL);
    assert!(shop.journal().contains("names another device"), "it is said");
    let other = json!({ "tin": TIN, "bhfId": BHF_ID, "serialNumber": "TILL-0002" });
    till.post("/api/device/init/", &other).expect_error(409, "device_differs");
    till.sell_offline("S-1");
    gateway.stop();

    for (key, wrong, right) in [
        ("device.serial_number", "\"TILL-0002\"".to_owned(), format!("{SERIAL:?}")),
        ("device.tin", "\"A000000000B\"".to_owned(), format!("{TIN:?}")),
        ("kra.environment", "\"simulator\"".to_owned(), "\"custom\"".to_owned()),
    ] {
        shop.change(key, &wrong);
        let mut gateway = shop.spawn();
        assert_eq!(gateway.wait_end(PATIENCE).code(), Some(78), "{key}");
        shop.change(key, &right);
    }
    let _gateway = shop.open();
    kra.line(true);
    till.wait_status("S-1", "signed");
    kra.books().expect_in_order(&["S-1"]);
}

/// Not configured, but asked for by a till: once it has sold, another till cannot make it another device.
fn another_identity_while_sales_wait(wire: Wire) {
    let kra = Kra::start(wire);
    kra.line(false);
    let shop = Shop::unregistered(&kra);
    let _gateway = shop.open();
    let till = shop.till();
    let mistyped = json!({ "tin": TIN, "bhfId": BHF_ID, "serialNumber": "MISTYPED" });
    till.post("/api/device/init/", &mistyped).expect(503);
    till.post("/api/device/init/", &identity()).expect(503);
    assert_eq!(status(&till)["serialNumber"], SERIAL, "nothing was sold: it is put right");
    till.sell_offline("S-1");
    till.post("/api/device/init/", &mistyped).expect_error(409, "device_differs");
    assert_eq!(status(&till)["serialNumber"], SERIAL);
    kra.line(true);
    till.wait_status("S-1", "signed");
    kra.books().expect_in_order(&["S-1"]);
}
