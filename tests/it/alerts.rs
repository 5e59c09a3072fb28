//! What somebody must act on is told once when it begins and once when it is over, over every restart.

use std::time::Duration;

use serde_json::json;

use crate::follower::{Event, Follower};
use crate::harness::{BHF_ID, Shop, TIN, eventually, within};
use crate::kra::{Kra, SAVE, Wire};
use crate::sale::sale_with;
use crate::till::Till;

/// How often this condition was raised and cleared, in the log and in the journal.
#[track_caller]
fn expect_told(shop: &Shop, till: &Till, code: &str, (raised, cleared): (usize, usize)) {
    let last = {
        // Something that comes after all that was told so far.
        let mut follower = Follower::open(till, "/api/events/");
        till.post("/api/sales/?wait=0", &crate::sale::sale(&format!("MARK-{code}-{raised}-{cleared}")))
            .expect(202);
        follower.comments.remove(0)
    };
    let last: u64 = last.rsplit(' ').next().unwrap().parse().unwrap();
    let mut follower = Follower::from_the_first(till);
    let mut told: Vec<Event> = Vec::new();
    while let Ok(Some(event)) = follower.try_next(Duration::from_millis(500)) {
        if event.id > last {
            break;
        }
        told.push(event);
    }
    let count = |kind: &str| {
        told.iter().filter(|event| event.kind() == kind && event.data["alert"]["code"] == code).count()
    };
    assert_eq!((count("alert.raised"), count("alert.cleared")), (raised, cleared), "{code}: {told:#?}");
    let journal = shop.journal();
    let lines = |level: &str| {
        journal
            .lines()
            .filter(|line| line.contains(level) && line.contains(&format!("alert={code:?}")))
            .count()
    };
    assert_eq!(
        (lines("ERROR") + lines("WARN"), lines("INFO")),
        (raised, cleared),
        "the journal's lines of {code}"
    );
}

fn raised(code: &'static str) -> impl Fn(&Event) -> bool {
    move |event| event.kind() == "alert.raised" && event.data["alert"]["code"] == code
}

fn cleared(code: &'static str) -> impl Fn(&Event) -> bool {
    move |event| event.kind() == "alert.cleared" && event.data["alert"]["code"] == code
}

#[test]
fn an_old_sale_is_told_once_over_a_kill() {
    let kra = Kra::start(Wire::Xml);
    let shop = Shop::with(&kra).set("sales.offline_warn", "\"1s\"");
    let gateway = shop.open_registered();
    let till = shop.till();
    kra.line(false);
    till.sell_offline("OLD");
    let told = Follower::from_the_first(&till).until(raised("offline")).pop().unwrap();
    let words = told.data["alert"]["message"].as_str().unwrap();
    assert!(words.contains("etims-gateway status"), "it says what to do: {words}");
    gateway.kill();
    let gateway = shop.open();
    // Still so, and known to be so.
    eventually("the command shows it", || {
        shop.command(&["status"]).out.contains("oldest unsent").then_some(())
    });
    expect_told(&shop, &till, "offline", (1, 0));
    kra.line(true);
    Follower::from_the_first(&till).until(cleared("offline"));
    gateway.kill();
    let _gateway = shop.open_registered();
    till.wait_drained();
    expect_told(&shop, &till, "offline", (1, 1));
}

#[test]
fn each_refused_sale_is_an_alert_that_says_what_to_do() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let gateway = shop.open_registered();
    let till = shop.till();
    let refuse = |number: &str| {
        let args = json!({ "code": "910", "message": "Invalid remark [<remark>]" });
        kra.fault(json!({ "fault": "result_cd", "count": 1, "function": SAVE, "args": args }));
        till.sell_offline(number);
        till.wait_status(number, "rejected")
    };
    let state = refuse("BAD-1");
    let told = Follower::from_the_first(&till).until(raised("rejected")).pop().unwrap();
    let words = told.data["alert"]["message"].as_str().unwrap();
    let slip = state["tempReceiptNo"].as_str().unwrap();
    for part in ["BAD-1", slip, "116.00", "910", "Invalid remark", "\"replaces\":\"BAD-1\"", "tax is due"] {
        assert!(words.contains(part), "{part}: {words}");
    }
    assert_eq!(
        told.data["alert"]["about"].to_string(),
        slip.split('-').nth(1).unwrap(),
        "by its running number"
    );
    assert!(shop.journal().contains(slip), "a technician finds the slip in the journal");
    gateway.kill();
    let _gateway = shop.open_registered();
    till.sell("BETWEEN");
    refuse("BAD-2");
    let told = Follower::from_the_first(&till).until(|event| {
        raised("rejected")(event) && event.data["alert"]["message"].as_str().unwrap().contains("BAD-2")
    });
    assert_eq!(told.iter().filter(|event| raised("rejected")(event)).count(), 2, "each once: {told:#?}");
    expect_told(&shop, &till, "rejected", (2, 0));
}

#[test]
fn a_stopped_series_is_told_once_over_a_restart() {
    let kra = Kra::start(Wire::Xml);
    let shop = Shop::with(&kra);
    let gateway = shop.open_registered();
    let till = shop.till();
    till.sell("FIRST");
    kra.foreign(json!({ "tin": TIN, "bhfId": BHF_ID, "trdInvcNo": "STRANGER" }));
    till.sell_offline("HEAD");
    let told = Follower::from_the_first(&till).until(raised("series_stopped")).pop().unwrap();
    let words = told.data["alert"]["message"].as_str().unwrap();
    assert!(words.contains("STRANGER"), "{words}");
    gateway.stop();
    let _gateway = shop.open_registered();
    eventually("it is found again", || shop.command(&["status"]).out.contains("STRANGER").then_some(()));
    expect_told(&shop, &till, "series_stopped", (1, 0));
}

/// A person's decision is an event like KRA's, and ends the alert that asked for it.
#[test]
fn what_a_person_decides_is_told_and_ends_the_alert() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let gateway = shop.open_registered();
    let till = shop.till();
    let mut follower = Follower::open(&till, "/api/events/");
    let mut wait = |kind: &str, wanted: &dyn Fn(&Event) -> bool| {
        follower.until(|event| event.kind() == kind && wanted(event)).pop().unwrap()
    };
    let as_shown = |event: &Event| {
        let mut state = till.state(event.sale());
        state.as_object_mut().unwrap().remove("attention");
        assert_eq!(event.data["sale"], state, "as GET shows it");
    };
    let parked = |event: &Event| event.data["alert"]["code"] == "parked";
    let about = |id: u64| move |event: &Event| event.data["alert"]["about"] == id;

    kra.line(false);
    till.sell_offline("ASIDE");
    shop.command(&["queue", "park", "ASIDE", "--reason", "to be asked about"]).expect(0);
    as_shown(&wait("sale.parked", &|event| event.sale() == "ASIDE"));
    wait("alert.raised", &parked);
    shop.command(&["queue", "settle", "ASIDE", "--as", "elsewhere", "--reason", "on KRA's page"]).expect(0);
    as_shown(&wait("sale.settled", &|event| event.sale() == "ASIDE"));
    wait("alert.cleared", &parked);
    kra.line(true);

    let mut refuse = |number: &str| {
        let args = json!({ "code": "910", "message": "Invalid remark [<remark>]" });
        kra.fault(json!({ "fault": "result_cd", "count": 1, "function": SAVE, "args": args }));
        till.sell_offline(number);
        till.wait_status(number, "rejected");
        let event = wait("sale.rejected", &|event| event.sale() == number);
        as_shown(&event);
        let slip = event.data["sale"]["tempReceiptNo"].as_str().unwrap();
        let id = slip.split('-').nth(1).unwrap().parse::<u64>().unwrap();
        wait("alert.raised", &about(id));
        id
    };
    let (replaced, retried) = (refuse("BAD-1"), refuse("BAD-2"));
    gateway.kill();
    let _gateway = shop.open_registered();
    let mut follower = Follower::from_the_first(&till);
    let mut wait = |kind: &str, wanted: &dyn Fn(&Event) -> bool| {
        follower.until(|event| event.kind() == kind && wanted(event)).pop().unwrap()
    };
    till.post("/api/sales/?wait=0", &sale_with("GOOD", json!({ "replaces": "BAD-1" }))).expect(202);
    as_shown(&wait("sale.settled", &|event| event.sale() == "BAD-1"));
    wait("alert.cleared", &about(replaced));
    shop.command(&["queue", "retry", "BAD-2"]).expect(0);
    as_shown(&wait("sale.signed", &|event| event.sale() == "BAD-2"));
    wait("alert.cleared", &about(retried));
    expect_told(&shop, &till, "rejected", (2, 2));
    expect_told(&shop, &till, "parked", (1, 1));
}

/// A line that is gone for a moment is nobody's matter; one that stays away is told, and its return.
#[test]
fn the_line_is_told_when_it_stays_away() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let _gateway = shop.open_registered();
    let till = shop.till();
    till.sell("FIRST");
    kra.line(false);
    till.sell_offline("BLINK");
    kra.line(true);
    till.wait_status("BLINK", "signed");
    kra.line(false);
    till.sell_offline("AWAY");
    let mut follower = Follower::from_the_first(&till);
    follower.until(raised("kra_down"));
    kra.line(true);
    till.wait_status("AWAY", "signed");
    within(Duration::from_secs(40), "the return is told", || {
        follower.try_next(Duration::from_millis(200)).ok().flatten().filter(cleared("kra_down"))
    });
    expect_told(&shop, &till, "kra_down", (1, 1));
}
