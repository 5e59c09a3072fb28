//! G9: the device's key and what is known of customers stay where they belong.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::follower::Follower;
use crate::harness::{BHF_ID, SERIAL, Shop, TIN, files_below, on_both_wires};
use crate::kra::{Kra, LOOK_UP, SAVE, Wire};
use crate::sale::sale_with;

on_both_wires! { stay_where_they_belong }

const CUSTOMER: [&str; 4] =
    ["Wanjiku Kamau-Otieno", "A987654321Q", "0799887766", "leave at the gate of house 77"];

/// As KRA may write it back.
const SPELT_OTHERWISE: [&str; 4] = ["WANJIKU", "OTIENO", "a987654321q", "+254799887766"];

fn holds(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle.as_bytes())
}

#[track_caller]
fn expect_none(what: &str, text: &[u8], secrets: &[&str]) {
    for secret in secrets {
        assert!(!holds(text, secret), "{what} holds {secret:?}");
    }
}

/// No customer, however KRA spelt him.
#[track_caller]
fn expect_nobody(what: &str, text: &[u8]) {
    expect_none(what, text, &CUSTOMER);
    expect_none(what, text, &SPELT_OTHERWISE);
}

fn stay_where_they_belong(wire: Wire) {
    let kra = Kra::start(wire);
    let shop = Shop::unregistered(&kra).set("log.level", "\"trace\"");
    let gateway = shop.open();
    let till = shop.till();
    let identity = json!({ "tin": TIN, "bhfId": BHF_ID, "serialNumber": SERIAL });
    let first = till.post("/api/device/init/", &identity).expect(200);
    let key = first["cmcKey"].as_str().unwrap();
    let [name, tin, mobile, remark] = CUSTOMER;
    let customer = |number: &str| {
        sale_with(number, json!({ "custNm": name, "custTin": tin, "custMblNo": mobile, "remark": remark }))
    };

    // A sale on every way that it can go: signed, lost and looked up, refused, waiting.
    till.post("/api/sales/", &customer("SIGNED")).expect(201);
    kra.fault(json!({ "fault": "lose_answer", "count": 1, "function": SAVE }));
    kra.fault(json!({ "fault": "html", "count": 1, "function": LOOK_UP }));
    till.post("/api/sales/?wait=0", &customer("LOST")).expect(202);
    till.wait_status("LOST", "signed");
    kra.clear_faults();
    kra.fault(json!({ "fault": "result_cd", "count": 1, "function": SAVE, "args": { "code": "910", "message": format!("Invalid qty of {} {} {}", name.to_uppercase(), tin.to_lowercase(), mobile.replacen('0', "+254", 1)) } }));
    till.post("/api/sales/?wait=20", &customer("REFUSED")).expect(422);
    kra.clear_faults();
    kra.fault(json!({ "fault": "wrong_key", "function": SAVE }));
    till.post("/api/sales/?wait=0", &customer("WAITING")).expect(202);
    kra.wait_struck(2);

    let mut said = Vec::new();
    let mut hear = |what: &str, answer: crate::till::Answer| {
        let headers = format!("{:?}", answer.headers).into_bytes();
        said.push((what.to_owned(), [headers, answer.body].concat()));
    };
    hear("the second answer to init", till.post("/api/device/init/", &identity));
    hear("the device's status", till.get("/api/device/status/"));
    hear("health", till.get("/health/"));
    hear("metrics", till.get("/metrics"));
    hear("the list", till.get("/api/sales/"));
    for number in ["SIGNED", "LOST", "REFUSED", "WAITING"] {
        hear(number, till.get(&format!("/api/sales/{number}/")));
    }
    hear("a refusal", till.post("/api/sales/", &sale_with("BAD", json!({ "custNm": name, "custTin": format!("{tin}{tin}"), "custMblNo": mobile.repeat(3), "remark": format!("{remark}\u{7}") }))));
    hear(
        "a reused number",
        till.post(
            "/api/sales/",
            &sale_with("SIGNED", json!({ "custNm": format!("{name} "), "remark": remark })),
        ),
    );
    hear("a refused sale", till.post("/api/sales/", &customer("REFUSED")));
    hear(
        "broken JSON",
        till.post_text("/api/sales/", &format!("{{\"custNm\":\"{name}\",\"{tin}\":{mobile}")),
    );
    hear("an unknown field", till.post("/api/sales/", &sale_with("BAD", json!({ "custName": name }))));
    let events = Follower::from_the_first(&till).until(|event| event.kind() == "alert.raised");
    assert!(events.iter().any(|event| event.kind() == "sale.rejected"), "{events:#?}");
    said.push(("the events".to_owned(), format!("{events:?}").into_bytes()));
    for (what, text) in &said {
        expect_none(what, text, &[key]);
        expect_none(what, text, &CUSTOMER);
    }
    for args in [
        &["status"][..],
        &["status", "--json"],
        &["queue", "list"],
        &["queue", "list", "--json"],
        &["queue", "show", "REFUSED"],
        &["log"],
        &["log", "--json"],
        &["log", "--sale", "REFUSED"],
        &["verify"],
        &["config", "check"],
    ] {
        let ended = shop.command(args);
        expect_none(&format!("{args:?}"), ended.text().as_bytes(), &[key]);
        expect_nobody(&format!("{args:?}"), ended.text().as_bytes());
    }
    gateway.stop();
    expect_clean_log(&shop, key);
    let journal = shop.journal();
    assert!(journal.lines().count() > 20, "at level trace there is something to read");
    expect_none("the journal", journal.as_bytes(), &[key]);
    expect_nobody("the journal", journal.as_bytes());
    expect_in_files(&shop.state(), key);
}

/// Everything that was said to KRA is in the log of exchanges, and nobody in it.
#[track_caller]
fn expect_clean_log(shop: &Shop, key: &str) {
    let log = shop.command(&["log", "--json"]).out.clone();
    for looked_for in ["SIGNED", "LOST", "REFUSED", "WAITING", "selectInitOsdcInfo"] {
        assert!(log.contains(looked_for), "{looked_for} is in the log of exchanges");
    }
    expect_none("the log of exchanges", log.as_bytes(), &[key, TIN]);
    expect_none("the log of exchanges", log.as_bytes(), &CUSTOMER);
}

/// The key is in its own file and in no other; customers are in the raw records and nowhere else.
#[track_caller]
fn expect_in_files(state: &Path, key: &str) {
    let (mut key_is_kept, mut customers_are_kept) = (false, false);
    for file in files_below(state) {
        let bytes = fs::read(&file).unwrap();
        let place = file.strip_prefix(state).unwrap();
        let what = place.display().to_string();
        if place.starts_with("keys") {
            key_is_kept |= holds(&bytes, key);
            let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&file).unwrap().permissions());
            assert_eq!(mode & 0o077, 0, "{what} is for the gateway alone: {mode:o}");
        } else {
            expect_none(&what, &bytes, &[key]);
        }
        if place.starts_with("journal") {
            customers_are_kept |= holds(&bytes, CUSTOMER[0]);
        } else {
            expect_none(&what, &bytes, &CUSTOMER);
        }
    }
    assert!(key_is_kept && customers_are_kept, "what was searched is what is kept");
}
