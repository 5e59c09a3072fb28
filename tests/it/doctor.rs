//! `doctor`: what is wrong with an installation is found, with what to do.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::harness::{Shop, eventually, files_below, on_both_wires};
use crate::kra::{Kra, SAVE, Wire};
use crate::pty::Line;

on_both_wires! { a_till_in_order_and_its_line }

/// The findings about one thing: level and words.
fn findings(shop: &Shop, subject: &str) -> Vec<(String, String)> {
    let report = shop.command(&["doctor", "--json"]).json();
    let about = |finding: &&Value| finding["subject"] == subject;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = report["findings"].as_array().expect("findings");
    for finding in all {
        let bad = finding["level"] != "ok";
        assert_eq!(finding["advice"].is_string(), bad, "what is not in order has its advice: {finding}");
    }
    all.iter().filter(about).map(|it| (text(&it["level"]), text(&it["found"]))).collect()
}

#[track_caller]
fn expect(shop: &Shop, subject: &str, level: &str, words: &str) {
    let found = findings(shop, subject);
    assert!(found.iter().any(|(own, text)| own == level && text.contains(words)), "{subject}: {found:?}");
}

fn a_till_in_order_and_its_line(wire: Wire) {
    let kra = Kra::start(wire);
    let shop = Shop::with(&kra);
    expect(&shop, "daemon", "fail", "cannot be reached");
    let _gateway = shop.open_registered();
    shop.till().sell("S-1");
    let (saved, before) = (kra.asked(SAVE), kra.books().sales().len());
    for (subject, words) in
        [("daemon", "runs since"), ("device", "active"), ("state", "files"), ("KRA", "answers")]
    {
        expect(&shop, subject, "ok", words);
    }
    let report = shop.command(&["doctor"]);
    assert!(report.out.contains("ok    device         active"), "{report:#?}");
    assert_eq!((kra.asked(SAVE), kra.books().sales().len()), (saved, before), "it saves nothing");
    kra.line(false);
    expect(&shop, "KRA", "fail", "127.0.0.1");
    shop.command(&["doctor"]).expect(1);
}

#[test]
fn a_configuration_that_is_wrong_is_all_there_is() {
    let shop = Shop::bare().set("kra.wire", "\"soap\"");
    let report = shop.command(&["doctor"]);
    report.expect(1);
    assert!(report.out.contains("FAIL  configuration") && report.out.contains("kra.wire"), "{report:#?}");
}

#[test]
fn files_that_others_may_read_and_keys_that_are_empty() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let gateway = shop.open_registered();
    expect(&shop, "state", "ok", "files");
    let key = files_below(&shop.state())
        .into_iter()
        .find(|path| path.ends_with("cmc.key"))
        .expect("the device's key");
    fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    expect(&shop, "state", "fail", "others may read");
    gateway.stop();
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    fs::write(&key, "").unwrap();
    expect(&shop, "state", "fail", "empty: ");
}

#[test]
fn serial_ports_of_a_running_and_of_a_stopped_daemon() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let _line = Line::plugged(&shop, "register-1");
    let port = |name: &str| format!("{{ port = {:?} }}", shop.path(name));
    shop.change("serial", &format!("[{}, {}]", port("register-1"), port("register-2")));
    expect(&shop, "serial", "ok", "can be opened");
    expect(&shop, "serial", "fail", "register-2: it is not there");
    let _gateway = shop.open_registered();
    eventually("the daemon has the port", || {
        findings(&shop, "serial")
            .iter()
            .any(|(level, text)| level == "ok" && text.contains("open, 0 requests"))
            .then_some(())
    });
    expect(&shop, "serial", "fail", "register-2: it is not there");
}

#[test]
fn an_address_that_another_program_has() {
    let kra = Kra::start(Wire::Json);
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap();
    let shop = Shop::with(&kra).set("http.listen", &format!("[\"{address}\"]"));
    expect(&shop, "till API", "warn", "is in use");
}

#[test]
fn a_certificate_that_does_not_verify() {
    let kra = Kra::start_tls(Wire::Json);
    let shop = Shop::with(&kra);
    expect(&shop, "KRA", "ok", "answers");
    expect(&shop, "certificate", "ok", "is good for");
    let stranger = Kra::start_tls(Wire::Json);
    let shop = Shop::with(&kra).set("kra.base_url", &format!("\"{}\"", stranger.base_url()));
    expect(&shop, "KRA", "fail", "issuer");
}
