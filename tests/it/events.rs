//! Whoever follows the events gets each one, once, in order: over any connection, restart and kill.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::follower::{Event, Follower};
use crate::harness::{PATIENCE, Shop, on_both_wires};
use crate::kra::{Kra, SAVE, Wire};
use crate::sale::sale;
use crate::till::Till;

on_both_wires! { each_event_comes_once_over_kills }

/// Takes what has come so far and is still to come until the connection breaks.
fn rest_of(mut follower: Follower) -> Vec<Event> {
    let mut events = Vec::new();
    while let Ok(Some(event)) = follower.try_next(PATIENCE) {
        events.push(event);
    }
    events
}

fn each_event_comes_once_over_kills(wire: Wire) {
    let kra = Kra::start(wire);
    let shop = Shop::with(&kra);
    let mut gateway = shop.open_registered();
    let till = shop.till();
    let mut follower = Follower::from_the_first(&till);
    let mut events = follower.until(|event| event.kind() == "device.active");
    let device = &events.last().unwrap().data["device"];
    assert_eq!(
        (&device["status"], &device["tin"]),
        (&json!("active"), &json!(crate::harness::TIN)),
        "{device}"
    );
    let mut sold = Vec::new();
    for round in 0..4 {
        for number in 0..3 {
            let name = format!("R{round}-{number}");
            till.post("/api/sales/?wait=0", &sale(&name)).expect(202);
            sold.push(name);
        }
        till.wait_status(sold.last().unwrap(), "signed");
        // Some are on their way when the power goes.
        kra.line(false);
        for number in 3..6 {
            let name = format!("R{round}-{number}");
            till.sell_offline(&name);
            sold.push(name);
        }
        let following = std::thread::spawn(move || rest_of(follower));
        if round % 2 == 0 {
            kra.line(true);
        }
        gateway.kill();
        events.extend(following.join().unwrap());
        kra.line(true);
        gateway = shop.open();
        follower = Follower::again(&till, events.last().map_or(0, |event| event.id));
    }
    till.wait_drained();
    events.extend(follower.until(|event| event.sale() == sold.last().unwrap()));
    assert!(events.windows(2).all(|pair| pair[0].id < pair[1].id), "ids only grow: {events:#?}");
    let signed: Vec<&str> =
        events.iter().filter(|event| event.kind() == "sale.signed").map(Event::sale).collect();
    assert_eq!(signed, sold, "each once, in the order of acceptance");
    for event in events.iter().filter(|event| event.kind() == "sale.signed") {
        let mut state = till.state(event.sale());
        state.as_object_mut().unwrap().remove("attention");
        assert_eq!(event.data["sale"], state, "as GET shows it");
    }
    // A second look at the log, from any place, says the same.
    let last = events.last().unwrap().id;
    let again = Follower::from_the_first(&till).until(|event| event.id == last);
    assert_eq!(again, events);
    let from = events.len() / 2;
    let half = Follower::open(&till, &format!("/api/events/?after={}", events[from].id))
        .until(|event| event.id == last);
    assert_eq!(half, events[from + 1..]);
}

#[test]
fn new_ones_only_where_nobody_says_after_what() {
    let kra = Kra::start(Wire::Xml);
    let shop = Shop::with(&kra);
    let gateway = shop.open_registered();
    shop.till().sell("BEFORE");
    let mut over_unix = Follower::open(&shop.till(), "/api/events");
    let mut over_tcp = Follower::open(&gateway.till(), "/api/events/");
    shop.till().sell("AFTER");
    for follower in [&mut over_unix, &mut over_tcp] {
        assert_eq!(follower.next().sale(), "AFTER");
    }
    let mut ahead = Follower::open(&shop.till(), "/api/events/?after=999999");
    assert!(ahead.comments[0].contains("no record 999999"), "{:?}", ahead.comments);
    shop.till().sell("LATER");
    assert_eq!(ahead.next().sale(), "LATER", "a number of another log is no reason to say nothing");
}

#[test]
fn only_what_can_be_followed_is_followed() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let _gateway = shop.open();
    let till = shop.till();
    for target in ["/api/events/?after=x", "/api/events/?after=-1", "/api/events/?since=1"] {
        till.get(target).expect_error(400, "bad_query");
    }
    till.clone().header("Last-Event-ID", "abc").get("/api/events/").expect_error(400, "bad_query");
    let refused = till.post("/api/events/", &json!({}));
    assert_eq!((refused.status, refused.header("allow")), (405, Some("GET")), "{refused:?}");
    let mut connection = till.connect().unwrap();
    connection.send(&till.request("HEAD", "/api/events/", None)).unwrap();
    let head = connection.head().unwrap();
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")), "{head:?}");
    // The same connection serves on: a HEAD has no body.
    connection.send(&till.request("GET", "/api/device/status/", None)).unwrap();
    connection.answer().unwrap().expect(200);
}

#[test]
fn a_stop_ends_the_streams() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let mut gateway = shop.open_registered();
    let mut idle = Follower::open(&shop.till(), "/api/events/");
    let _stuck = Follower::from_the_first(&gateway.till());
    gateway.terminate();
    let begun = Instant::now();
    assert_eq!(idle.try_next(Duration::from_secs(5)).unwrap(), None, "the stream is ended, not broken off");
    assert!(gateway.wait_end(Duration::from_secs(10)).success());
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn a_refusal_says_what_to_do() {
    let kra = Kra::start(Wire::Xml);
    let shop = Shop::with(&kra);
    let _gateway = shop.open_registered();
    let till = shop.till();
    let mut follower = Follower::open(&till, "/api/events/");
    let args = json!({ "code": "910", "message": "Invalid remark [<remark>]" });
    kra.fault(json!({ "fault": "result_cd", "count": 1, "function": SAVE, "args": args }));
    till.sell_offline("BAD");
    let data = follower.next_of("sale.rejected").data;
    let told = &data["sale"];
    assert_eq!(
        (&told["trdInvcNo"], &told["status"], &told["resultCd"], &told["kraMessage"]),
        (&json!("BAD"), &json!("rejected"), &json!("910"), &json!("Invalid remark [<remark>]")),
        "{data}"
    );
    for key in ["tempReceiptNo", "acceptedAt"] {
        assert!(told[key].is_string(), "{key}: {data}");
    }
    assert!(data["amount"].as_str().is_some_and(|amount| amount.contains('.')), "{data}");
    let advice = data["advice"].as_str().unwrap();
    for words in ["no invoice", "not valid", "tax is due", "\"replaces\":\"BAD\"", "no credit note"] {
        assert!(advice.contains(words), "{words}: {advice}");
    }
}

/// Followers that take nothing cost the registers nothing.
#[test]
fn slow_followers_slow_nobody() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra).set("log.level", "\"info\"");
    let _gateway = shop.open_registered();
    let till = shop.till();
    // More than a socket holds: followers that take nothing are really stuck.
    for number in 0..400 {
        till.post("/api/sales/?wait=0", &sale(&format!("EVENT-{number}"))).expect(202);
    }
    till.wait_drained();
    kra.line(false);
    till.sell_offline("OFF");
    let alone = median_accept(&till, "ALONE");
    let stuck: Vec<Follower> = (0..40).map(|_| Follower::from_the_first(&till)).collect();
    let beside = median_accept(&till, "BESIDE");
    let reading: Vec<_> = (0..20)
        .map(|_| {
            let mut follower = Follower::open(&till, "/api/events/");
            std::thread::spawn(move || follower.until(|event| event.sale() == "ALONG-99").len())
        })
        .collect();
    let along = median_accept(&till, "ALONG");
    eprintln!(
        "median accept: alone {alone:?}, beside 40 stuck followers {beside:?}, with 20 that read {along:?}"
    );
    for slowed in [beside, along] {
        assert!(slowed < alone * 3 + Duration::from_millis(10), "alone {alone:?}, with followers {slowed:?}");
    }
    kra.line(true);
    till.wait_drained();
    // Whoever wakes up at last has missed nothing.
    let last = stuck.into_iter().next_back().unwrap().until(|event| event.sale() == "ALONG-99");
    assert_eq!(last.iter().filter(|event| event.kind() == "sale.signed").count(), 400 + 1 + 300);
    for reader in reading {
        assert!(reader.join().unwrap() >= 300, "each has what was drained meanwhile");
    }
}

fn median_accept(till: &Till, prefix: &str) -> Duration {
    let mut times: Vec<Duration> = (0..100)
        .map(|number| {
            let body = sale(&format!("{prefix}-{number}"));
            let begun = Instant::now();
            till.post("/api/sales/?wait=0", &body).expect(202);
            begun.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() / 2]
}
