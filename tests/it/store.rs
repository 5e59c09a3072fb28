//! G7: a damaged or half-missing store is told and stops the gateway, or is rebuilt from the journal; it is never
//! taken for an empty one.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::harness::{Gateway, PATIENCE, Shop, files_below};
use crate::kra::{Kra, Wire};
use crate::sale::sale;
use crate::standings::named;

/// A shop with five signed sales and two that wait, the gateway stopped or killed.
fn shop_with_sales(kra: &Kra, end: impl FnOnce(Gateway)) -> Shop {
    let shop = Shop::with(kra);
    let gateway = shop.open_registered();
    let till = shop.till();
    for number in 0..5 {
        till.sell(&format!("SIGNED-{number}"));
    }
    kra.line(false);
    for number in 0..2 {
        till.sell_offline(&format!("WAITING-{number}"));
    }
    end(gateway);
    shop
}

/// All sales of that shop are there, and end signed once.
#[track_caller]
fn expect_all_sales(kra: &Kra, shop: &Shop) {
    let till = shop.till();
    for number in 0..5 {
        let number = format!("SIGNED-{number}");
        let state = till.state(&number);
        assert_eq!(state["status"], "signed", "{state}");
        assert_eq!(state["signature"], kra.books().sale(&number).unwrap()["rcptSign"]);
        assert_eq!(till.post("/api/sales/", &sale(&number)).expect(200)["repeat"], true);
    }
    assert_eq!(till.queue()["waiting"], 2);
    kra.line(true);
    till.wait_status("WAITING-1", "signed");
    till.sell("AFTER");
    kra.books().expect_in_order(&[
        "SIGNED-0",
        "SIGNED-1",
        "SIGNED-2",
        "SIGNED-3",
        "SIGNED-4",
        "WAITING-0",
        "WAITING-1",
        "AFTER",
    ]);
}

/// The gateway does not start on this store: exit 65, and words that name what is wrong.
#[track_caller]
fn expect_stop(shop: &Shop, words: &[&str]) {
    let before = listing(&shop.state());
    let mut gateway = shop.spawn();
    let status = gateway.wait_end(PATIENCE);
    assert_eq!(status.code(), Some(65), "damaged data");
    assert!(!gateway.notices().iter().any(|line| line == "READY=1"), "it never was ready");
    let journal = shop.journal();
    let last = journal.rsplit("=== start").next().unwrap().to_lowercase();
    for word in words {
        assert!(last.contains(word), "{word:?} is said: {last}");
    }
    assert!(shop.till().connect().is_err(), "nobody is served");
    let after = listing(&shop.state());
    // The index may put a newer snapshot of itself in the place of its last one whenever it is opened.
    let snapshot =
        |file: &Path| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("snap."));
    let snapped = after.iter().any(|file| snapshot(file));
    for file in &before {
        assert!(after.contains(file) || (snapshot(file) && snapped), "{} is kept", file.display());
    }
}

fn listing(dir: &Path) -> Vec<PathBuf> {
    files_below(dir)
}

fn remove(path: PathBuf) {
    if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
}

#[test]
fn a_journal_that_is_gone_stops_it() {
    let kra = Kra::start(Wire::Json);
    let shop = shop_with_sales(&kra, Gateway::stop);
    remove(shop.state().join("journal"));
    expect_stop(&shop, &["journal"]);
    fs::create_dir(shop.state().join("journal")).unwrap();
    expect_stop(&shop, &["journal"]);
}

#[test]
fn only_keys_left_stops_it() {
    let kra = Kra::start(Wire::Json);
    let shop = shop_with_sales(&kra, Gateway::stop);
    remove(shop.state().join("journal"));
    remove(shop.state().join("sled"));
    expect_stop(&shop, &[]);
}

#[test]
fn a_missing_or_empty_key_stops_it() {
    let kra = Kra::start(Wire::Json);
    let shop = shop_with_sales(&kra, Gateway::stop);
    let keys = files_below(&shop.state().join("keys"));
    assert!(keys.len() >= 2, "the signing key and the device's: {keys:?}");
    for key in keys {
        let bytes = fs::read(&key).unwrap();
        if bytes.is_empty() {
            continue;
        }
        eprintln!("without {}", key.display());
        remove(key.clone());
        expect_stop(&shop, &["key"]);
        fs::write(&key, b"").unwrap();
        expect_stop(&shop, &["key"]);
        fs::write(&key, &bytes).unwrap();
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let _gateway = shop.open();
    expect_all_sales(&kra, &shop);
}

#[test]
fn another_tills_signing_key_stops_it() {
    let kra = Kra::start(Wire::Json);
    let shop = shop_with_sales(&kra, Gateway::stop);
    let other = Shop::with(&kra);
    other.open().stop();
    let signing = |shop: &Shop| {
        let keys = files_below(&shop.state().join("keys"));
        keys.into_iter().find(|key| key.to_string_lossy().contains("sign")).expect("a signing key")
    };
    fs::copy(signing(&other), signing(&shop)).unwrap();
    expect_stop(&shop, &["key"]);
}

#[test]
fn damage_in_the_journal_stops_it() {
    let kra = Kra::start(Wire::Json);
    // Killed, so that nothing after the waiting sales vouches for them.
    let shop = shop_with_sales(&kra, |gateway| {
        std::thread::sleep(std::time::Duration::from_millis(1500));
        gateway.stop();
    });
    let mut damaged = 0;
    for file in files_below(&shop.state().join("journal")) {
        let mut bytes = fs::read(&file).unwrap();
        let needle = b"WAITING-0";
        if let Some(place) = bytes.windows(needle.len()).position(|window| window == needle) {
            bytes[place] ^= 0x20;
            fs::write(&file, bytes).unwrap();
            damaged += 1;
        }
    }
    assert_eq!(damaged, 1);
    expect_stop(&shop, &["damage", "salvage"]);
}

#[test]
fn a_queue_that_is_gone_is_rebuilt() {
    for killed in [false, true] {
        let kra = Kra::start(Wire::Json);
        let shop = shop_with_sales(&kra, if killed { Gateway::kill } else { Gateway::stop });
        remove(shop.state().join("sled"));
        let _gateway = shop.open();
        let journal = shop.journal();
        let last = journal.rsplit("=== start").next().unwrap();
        assert!(last.contains("WARN") && last.contains("made anew from the journal"), "it says so: {last}");
        expect_all_sales(&kra, &shop);
    }
}

#[test]
fn a_queue_that_is_damaged_is_rebuilt() {
    for damage in ["flipped", "cut", "noise"] {
        let kra = Kra::start(Wire::Json);
        let shop = shop_with_sales(&kra, Gateway::stop);
        for file in files_below(&shop.state().join("sled")) {
            let mut bytes = fs::read(&file).unwrap();
            match damage {
                "flipped" => bytes.iter_mut().step_by(97).for_each(|byte| *byte ^= 0x55),
                "cut" => bytes.truncate(bytes.len() / 2),
                _ => bytes = (0..bytes.len()).map(|place| u8::try_from(place * 31 % 251).unwrap()).collect(),
            }
            fs::write(&file, bytes).unwrap();
        }
        // Opening the damaged one may end the gateway once, as the service manager would see; then it is put aside.
        let mut gateway = shop.spawn();
        let mut starts = 1;
        let _gateway = loop {
            if gateway.becomes_ready() {
                break gateway;
            }
            starts += 1;
            assert!(starts <= 3, "{damage}: it does not start");
            gateway = shop.spawn();
        };
        expect_all_sales(&kra, &shop);
        let put_aside = fs::read_dir(shop.state())
            .unwrap()
            .any(|entry| entry.unwrap().file_name().to_string_lossy().starts_with("sled.bad"));
        assert!(put_aside, "{damage}: the damaged one is kept for whoever looks into it");
    }
}

/// Found by the damage campaign: the end of the journal was cut as if torn, before the index could say that it had been
/// acknowledged.
#[test]
fn a_journal_that_lost_its_end_is_left_as_it_is() {
    let kra = Kra::start(Wire::Json);
    let shop = shop_with_sales(&kra, Gateway::stop);
    let newest = named(&shop.state().join("journal"), ".log").pop().unwrap();
    let mut bytes = fs::read(&newest).unwrap();
    let place = bytes.windows(9).position(|window| window == b"WAITING-0").unwrap() / 4096 * 4096;
    // What is left of the group's beginning is no header.
    bytes[place..].fill(0);
    bytes[place..place + 100].fill(0x5a);
    fs::write(&newest, &bytes).unwrap();
    expect_stop(&shop, &["lost: waiting-0, waiting-1", "salvage"]);
    assert_eq!(fs::read(&newest).unwrap(), bytes, "what may be salvaged is still there");
}

/// Found by the damage campaign: an index that was found wrong while the daemon started was taken for a damaged store, and
/// systemd was told not to start it again.
#[test]
fn an_index_that_fails_while_it_is_read_is_made_anew() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let gateway = shop.open_registered();
    let till = shop.till();
    till.sell("SIGNED");
    kra.fault(
        json!({ "fault": "result_cd", "count": 1, "args": { "code": "910", "message": "Invalid custNm" } }),
    );
    till.post("/api/sales/?wait=20", &sale("REJECTED")).expect(422);
    // Behind a checkpoint: a replay alone brings none of them back.
    gateway.stop();
    fs::remove_file(shop.state().join("sled/db")).unwrap();
    let mut gateway = shop.spawn();
    if !gateway.becomes_ready() {
        let code = gateway.wait_end(PATIENCE).code();
        assert!(!matches!(code, None | Some(0 | 65 | 66 | 78)), "it is started again: {code:?}");
        gateway = shop.open();
    }
    // The check of the keys may end it later, too.
    let signed = till.ask("GET", "/api/sales/SIGNED/", None).ok().filter(|answer| answer.status == 200);
    if signed.is_none() {
        gateway.wait_end(PATIENCE);
        gateway = shop.open();
    }
    assert_eq!(till.state("SIGNED")["status"], "signed");
    assert_eq!(till.state("REJECTED")["status"], "rejected");
    gateway.stop();
    shop.command(&["verify"]).expect(0);
}

/// Found by the damage campaign: one bit flipped in the device's key was read as another key, which KRA would refuse.
#[test]
fn a_device_key_that_is_not_as_it_was_written_stops_it() {
    let kra = Kra::start(Wire::Json);
    let shop = shop_with_sales(&kra, Gateway::stop);
    let path = shop.state().join("keys/cmc.key");
    let whole = fs::read(&path).unwrap();
    let mut flipped = whole.clone();
    flipped[2] ^= 1;
    for damaged in [&flipped[..], &whole[..5]] {
        fs::write(&path, damaged).unwrap();
        expect_stop(&shop, &["cmc.key", "damaged", "backup"]);
    }
    // A person who writes it anew writes one line.
    let key = String::from_utf8(whole).unwrap().lines().next().unwrap().to_owned();
    fs::write(&path, format!("{key}\n")).unwrap();
    let _gateway = shop.open();
    expect_all_sales(&kra, &shop);
}

#[test]
fn two_on_one_store_do_not_run() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let gateway = shop.open_registered();
    let till = shop.till();
    till.sell("ONE");
    // Sockets of its own, the same state.
    shop.change("unix.path", &format!("{:?}", shop.path("till-2.sock")));
    shop.change("admin.path", &format!("{:?}", shop.path("admin-2.sock")));
    let mut second = shop.spawn();
    let status = second.wait_end(PATIENCE);
    assert!(!matches!(status.code(), None | Some(0)), "the second refuses: {status}");
    drop(second);
    // The same sockets too.
    shop.change("unix.path", &format!("{:?}", shop.path("till.sock")));
    shop.change("admin.path", &format!("{:?}", shop.path("admin.sock")));
    let mut third = shop.spawn();
    let status = third.wait_end(PATIENCE);
    assert!(!matches!(status.code(), None | Some(0)), "the third refuses: {status}");
    drop(third);
    till.sell("TWO");
    gateway.till().sell("THREE");
    shop.command(&["status"]).expect(0);
    gateway.stop();
    kra.books().expect_in_order(&["ONE", "TWO", "THREE"]);
}

/// On KRA's own environments a store is made on request only: a partition that is not mounted is no new till.
#[test]
fn no_store_is_made_by_itself_in_earnest() {
    let shop = Shop::bare()
        .set("kra.environment", "\"sandbox\"")
        .set("kra.base_url", "\"https://127.0.0.1:9/etims-api\"");
    let mut gateway = shop.spawn();
    let status = gateway.wait_end(PATIENCE);
    assert_eq!(status.code(), Some(66), "no store there");
    assert!(shop.journal().contains("store init"), "what to do: {}", shop.journal());
    shop.command(&["store", "init"]).expect(0);
    shop.open().stop();
    let key = || {
        let keys = files_below(&shop.state().join("keys"));
        keys.iter().map(|key| fs::read(key).unwrap()).collect::<Vec<_>>()
    };
    let before = key();
    let again = shop.command(&["store", "init"]);
    assert!(again.text().contains("already"), "never over one that is there: {again:#?}");
    assert_eq!(key(), before);
    shop.command(&["verify"]).expect(0);
}
