//! G7 on a full disk: new sales are refused in words, what waits is delivered, what is known is answered, and it all goes
//! on by itself once there is room. On a small file system in a mount namespace of the test's own.

use serde_json::Value;

use crate::harness::{PATIENCE, Shop, eventually};
use crate::kra::{Kra, Wire};
use crate::mount::{Kind, Mount};
use crate::sale::sale;
use crate::till::Till;

const MIB: u64 = 1 << 20;
/// Sales that wait when the disk fills up: their outcomes are more than the index has room for.
const WAITING: usize = 400;

fn waiting(number: usize) -> String {
    format!("WAITING-{number:03}")
}

fn store_of(shop: &Shop) -> Value {
    let ended = shop.command(&["status", "--json"]);
    ended.json()["store"].clone()
}

/// The alerts that stand, by their codes.
fn alerts(shop: &Shop) -> Vec<String> {
    let status = shop.command(&["status", "--json"]).json();
    let alerts = status["alerts"].as_array().cloned().unwrap_or_default();
    alerts.iter().map(|alert| alert["code"].as_str().unwrap().to_owned()).collect()
}

#[track_caller]
fn expect_refused(till: &Till, number: &str) {
    let answer = till.post("/api/sales/", &sale(number));
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    answer.expect_error(503, "disk_low");
}

#[track_caller]
fn expect_repeat(till: &Till, number: &str, status: &str) {
    let state = till.post("/api/sales/?wait=0", &sale(number)).expect(200);
    assert_eq!((&state["repeat"], &state["status"]), (&Value::Bool(true), &Value::from(status)), "{state}");
}

fn sells_again_when_there_is_room(kind: Kind) {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra)
        .set("storage.min_free", "\"4MiB\"")
        .set("sales.realtime_wait", "\"2s\"")
        .set("log.level", "\"info\"");
    let Some(mount) = Mount::under(&shop, kind, 56) else { return };
    let gateway = shop.open_registered();
    let till = shop.till();
    till.sell("SIGNED");
    eventually("the reserve stands ready", || (store_of(&shop)["reserve"] == true).then_some(()));
    kra.line(false);
    for number in 0..WAITING {
        till.sell_offline(&waiting(number));
    }

    // It is told before it comes to that.
    mount.leave_free(6 * MIB);
    eventually("it says that the disk is filling up", || {
        alerts(&shop).contains(&"disk_filling".to_owned()).then_some(())
    });
    assert_eq!(till.get("/health/").expect(200)["status"], "degraded");
    till.sell_offline("STILL-TAKEN");

    mount.leave_free(3 * MIB);
    expect_refused(&till, "REFUSED");
    eventually("it says that the disk is low", || {
        alerts(&shop).contains(&"disk_low".to_owned()).then_some(())
    });
    let health = till.get("/health/").expect(200);
    assert_eq!(
        (&health["status"], &health["db"]),
        (&Value::from("degraded"), &Value::from("up")),
        "{health}"
    );
    expect_repeat(&till, &waiting(0), "pending");
    till.get("/api/sales/REFUSED/").expect(404);

    // To the last byte: everything that waits is bound, sent and recorded all the same.
    mount.leave_free(0);
    kra.line(true);
    till.wait_status("STILL-TAKEN", "signed");
    till.wait_drained();
    expect_refused(&till, "REFUSED");
    expect_repeat(&till, "SIGNED", "signed");
    expect_repeat(&till, &waiting(7), "signed");

    // Killed and started on the full disk: it runs and answers, or says clearly why not.
    mount.leave_free(0);
    gateway.kill();
    let mut gateway = shop.spawn();
    if gateway.becomes_ready() {
        expect_repeat(&till, &waiting(8), "signed");
        expect_refused(&till, "REFUSED");
    } else {
        let code = gateway.wait_end(PATIENCE).code();
        assert!(!matches!(code, None | Some(0 | 65 | 78)), "the service manager starts it again: {code:?}");
        let journal = shop.journal();
        let last = journal.rsplit("=== start").next().unwrap();
        assert!(last.contains("disk is full") || last.contains("No space left"), "{last}");
    }

    // Room again: it sells by itself, or at the start that the service manager makes.
    mount.tidy();
    let gateway = if till.connect().is_ok() { gateway } else { shop.open_registered() };
    till.sell("AFTER");
    eventually("the reserve is made again", || (store_of(&shop)["reserve"] == true).then_some(()));
    // An opening of the index that found no room may have spoilt it: it was made anew then, and that stays told.
    eventually("nothing else is said any more", || {
        alerts(&shop).iter().all(|code| code == "store").then_some(())
    });
    shop.command(&["verify"]).expect(0);
    gateway.stop();
    shop.command(&["verify"]).expect(0);

    let mut expected = vec!["SIGNED".to_owned()];
    expected.extend((0..WAITING).map(waiting));
    expected.extend(["STILL-TAKEN", "AFTER"].map(str::to_owned));
    kra.books().expect_in_order(&expected);
    eprintln!("{kind:?}: {}", told(&shop));
}

/// What the journal says of the reserve and the index, for whoever runs this by hand.
fn told(shop: &Shop) -> String {
    let journal = shop.journal();
    let lines =
        journal.lines().filter(|line| line.contains("reserve") || line.contains("the index is open again"));
    lines.map(|line| format!("\n  {line}")).collect()
}

#[test]
fn on_tmpfs() {
    sells_again_when_there_is_room(Kind::Tmpfs);
}

#[test]
fn on_ext4() {
    sells_again_when_there_is_room(Kind::Ext4);
}
