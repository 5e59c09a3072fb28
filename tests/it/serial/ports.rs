//! The ports: several, unplugged and back, absent, in use, not permitted.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use super::{numbers, on_one_line, open, said};
use crate::harness::{Shop, eventually};
use crate::kra::{Kra, Wire};
use crate::pty::Line;
use crate::sale::sale;

fn port(shop: &Shop, name: &str) -> Value {
    let status = shop.command(&["status", "--json"]).json();
    let ports = status["serial"].as_array().unwrap_or_else(|| panic!("serial in {status}")).clone();
    let found = ports.into_iter().find(|port| port["port"].as_str().unwrap().ends_with(name));
    found.unwrap_or_else(|| panic!("{name} in {status}"))
}

/// Point 6.
#[test]
fn a_port_that_was_unplugged_is_opened_again_under_its_name() {
    let kra = Kra::start(Wire::Json);
    let (shop, gateway, mut line) = open(&kra);
    line.ask(1, 'S', &sale("BEFORE").to_string()).expect(1, 's', 201);
    for round in 2..=3_u8 {
        line.unplug();
        eventually("the port is told to be gone", || {
            (said(&shop, "serial port not usable") >= usize::from(round) - 1).then_some(())
        });
        assert_eq!(port(&shop, "register-1")["open"], false);
        std::thread::sleep(Duration::from_millis(700));
        line.plug();
        line.wait_ready();
        // What was answered on the cable that is gone is still known on this one.
        let repeat = line.ask(1, 'S', &sale("BEFORE").to_string());
        repeat.expect(1, 's', if round == 2 { 201 } else { 200 });
        line.ask(round, 'S', &sale(&format!("ROUND-{round}")).to_string()).expect(round, 's', 201);
    }
    assert_eq!(port(&shop, "register-1")["open"], true);
    assert_eq!(numbers(&shop).len(), 3);
    // A line for each change of state: gone, twice perhaps by another reason while its name was away, and back.
    let (gone, opened) = (said(&shop, "serial port not usable"), said(&shop, "serial port open"));
    assert_eq!(opened, 3);
    assert!((2..=4).contains(&gone), "{gone}");
    assert_eq!(numbers(&shop).iter().filter(|number| *number == "BEFORE").count(), 1);
    drop(gateway);
}

#[test]
fn a_port_that_cannot_be_opened_stops_nothing_and_says_why() {
    let kra = Kra::start(Wire::Json);
    let (shop, mut line) = on_one_line(&kra, "");
    line.unplug();
    fs::write(shop.path("register-2"), "").unwrap();
    let path = |name: &str| format!("{{ port = {:?} }}", shop.path(name));
    shop.change("serial", &format!("[{}, {}]", path("register-1"), path("register-2")));
    let gateway = shop.open_registered();
    gateway.till().sell("OVER-HTTP");
    let alert = eventually("the alert is raised", || {
        let status = shop.command(&["status", "--json"]).json();
        let alerts = status["alerts"].as_array()?.clone();
        alerts.into_iter().find(|alert| alert["code"] == "serial_port")
    });
    let message = alert["message"].as_str().unwrap();
    assert!(message.contains("register-1: it is not there"), "{message}");
    assert!(message.contains("register-2: it is not a serial port"), "{message}");
    let screen = shop.command(&["status"]).out;
    assert!(screen.contains("NOT USABLE") && screen.contains("frame, 9600 8N1"), "{screen}");
    assert_eq!(said(&shop, "serial port not usable"), 2, "one line a port, however often it is tried");
    let page = gateway.till().get("/metrics").text();
    assert!(
        page.lines()
            .any(|line| line.starts_with("etims_serial_port_open") && line.ends_with("register-1\"} 0"))
    );

    line.plug();
    line.wait_ready();
    line.ask(1, 'S', &sale("ON-THE-LINE").to_string()).expect(1, 's', 201);
    fs::remove_file(shop.path("register-2")).unwrap();
    let mut other = Line::plugged(&shop, "register-2");
    other.wait_ready();
    eventually("the alert is cleared", || (said(&shop, "alert cleared") > 0).then_some(()));
    assert_eq!(port(&shop, "register-2")["open"], true);
    other.unplug();
}

#[test]
fn two_gateways_do_not_share_a_port() {
    let kra = Kra::start(Wire::Json);
    let (shop, _gateway, line) = open(&kra);
    let other = Shop::bare().set("serial", &format!("[{{ port = {:?} }}]", line.name()));
    let _gateway = other.open();
    eventually("the other one says why", || (said(&other, "in use by another program") == 1).then_some(()));
    line.ask(1, 'S', &sale("MINE").to_string()).expect(1, 's', 201);
    assert_eq!(numbers(&shop), ["MINE"]);
}

#[test]
fn registers_that_all_count_from_one_have_a_prefix_each() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let lines = [Line::plugged(&shop, "register-1"), Line::plugged(&shop, "register-2")];
    let entry = |line: &Line, prefix: &str| format!("{{ port = {:?}, prefix = {prefix:?} }}", line.name());
    shop.change("serial", &format!("[{}, {}]", entry(&lines[0], "ONE-"), entry(&lines[1], "TWO-")));
    let _gateway = shop.open_registered();
    for line in &lines {
        line.wait_ready();
        let body = line.ask(1, 'S', &sale("1").to_string());
        assert_eq!(body.expect(1, 's', 201)["trdInvcNo"], "1");
    }
    let mut found = numbers(&shop);
    found.sort();
    assert_eq!(found, ["ONE-1", "TWO-1"]);
    // Each hears of its own.
    for (line, seq) in lines.iter().zip([2, 3]) {
        assert_eq!(line.ask(seq, 'L', "").expect(seq, 'l', 200)["trdInvcNo"], "1");
    }
    line_is_its_own(&lines[1], &shop);
}

/// The sale that a credit note names has the register's prefix too, on the way in and on the way back.
#[test]
fn a_credit_note_names_the_sale_of_its_own_register() {
    let kra = Kra::start(Wire::Json);
    let (shop, line) = on_one_line(&kra, ", prefix = \"ONE-\"");
    let gateway = shop.open_registered();
    line.wait_ready();
    gateway.till().post("/api/sales/?wait=30", &sale("1")).expect(201);
    let mut note = sale("2");
    for (name, value) in [("rcptTyCd", "R"), ("orgTrdInvcNo", "1"), ("rfdRsnCd", "06")] {
        note[name] = json!(value);
    }
    // The other register's sale of that number is not its own.
    line.ask(1, 'S', &note.to_string()).expect(1, 'e', 400);
    line.ask(2, 'S', &sale("1").to_string()).expect(2, 's', 201);
    let reply = line.ask(3, 'S', &note.to_string());
    let body = reply.expect(3, 's', 201);
    assert_eq!((&body["orgTrdInvcNo"], &body["label"]), (&json!("1"), &json!("NC")), "{body}");
    assert_eq!(gateway.till().state("ONE-2")["orgTrdInvcNo"], "ONE-1");
}

/// With the prefix taken off, another register's sale would read like its own.
#[test]
fn a_register_with_a_prefix_hears_no_news_of_the_same_number_from_elsewhere() {
    let kra = Kra::start(Wire::Json);
    let (shop, line) = on_one_line(&kra, ", prefix = \"ONE-\"");
    let gateway = shop.open_registered();
    line.wait_ready();
    for number in ["1", "2", "TWO-1"] {
        gateway.till().post("/api/sales/?wait=30", &sale(number)).expect(201);
    }
    let own = line.ask(1, 'S', &sale("1").to_string()).expect(1, 's', 201).clone();
    let (mut after, mut told) = (0, Vec::new());
    for seq in 2.. {
        let reply = line.ask(seq, 'N', &json!({ "after": after }).to_string());
        let body = reply.expect(seq, 'n', 200);
        let events = body["events"].as_array().unwrap();
        if events.is_empty() {
            break;
        }
        told.extend(events.iter().filter(|event| event["sale"].is_object()).cloned());
        after = body["next"].as_u64().unwrap();
    }
    let told: Vec<_> = told.iter().map(|event| &event["sale"]).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((&told[0]["trdInvcNo"], &told[0]["receiptNo"]), (&json!("1"), &own["receiptNo"]));
}

fn line_is_its_own(line: &Line, shop: &Shop) {
    line.ask(9, 'S', &sale("2").to_string()).expect(9, 's', 201);
    assert!(numbers(shop).contains(&"TWO-2".to_owned()));
    assert_eq!(line.ask(10, 'Q', &json!({ "trdInvcNo": "TWO-2" }).to_string()).kind, 'e');
}

/// Its configuration is checked like any other's.
#[test]
fn config_check_takes_serial_ports() {
    let shop = Shop::bare().set("serial", "[{ port = \"/dev/ttyS9\", baud = 19200, protocol = \"lines\" }]");
    shop.command(&["config", "check"]).expect(0);
    shop.change("serial", "[{ port = \"/dev/ttyS9\", baud = 1, protocol = \"datecs\" }]");
    let refused = shop.command(&["config", "check"]);
    let text = refused.expect(78).text();
    assert!(text.contains("serial[0].baud") && text.contains("serial[0].protocol"), "{text}");
}
