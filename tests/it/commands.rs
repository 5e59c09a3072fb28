//! What a technician types.

use std::fs;

use serde_json::{Value, json};

use crate::harness::{BHF_ID, SERIAL, Shop, TIN, copy_dir, eventually, files_below, on_both_wires};
use crate::kra::{Kra, SAVE, Wire};
use crate::sale::{running_number, sale};

on_both_wires! { status_tells_how_it_stands }

/// Whether a text stands anywhere in a JSON value.
fn mentions(value: &Value, text: &str) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| mentions(item, text)),
        Value::Object(members) => members.values().any(|member| mentions(member, text)),
        Value::String(own) => own == text,
        _ => false,
    }
}

fn status_tells_how_it_stands(wire: Wire) {
    let kra = Kra::start(wire);
    let shop = Shop::with(&kra);
    shop.command(&["status"]).expect(69);
    let gateway = shop.open_registered();
    let till = shop.till();
    till.sell("S-1");
    let ended = shop.command(&["status"]);
    ended.expect(0);
    for text in [TIN, SERIAL] {
        assert!(ended.out.contains(text), "{text}: {ended:#?}");
    }
    let as_json = shop.command(&["status", "--json"]);
    as_json.expect(0);
    assert!(mentions(&as_json.json(), TIN), "{as_json:#?}");

    kra.line(false);
    till.sell_offline("S-2");
    eventually("status says that KRA is away", || (shop.command(&["status"]).code == Some(1)).then_some(()));
    let as_json = shop.command(&["status", "--json"]);
    as_json.expect(1).json();
    kra.line(true);
    till.wait_status("S-2", "signed");
    eventually("status is well again", || (shop.command(&["status"]).code == Some(0)).then_some(()));
    gateway.stop();
    let ended = shop.command(&["status"]);
    ended.expect(69);
    assert!(!ended.err.is_empty(), "{ended:#?}");
}

#[test]
fn the_queue_is_shown() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let gateway = shop.open_registered();
    let till = shop.till();
    till.sell("SIGNED");
    let args = json!({ "code": "910", "message": "Invalid qty" });
    kra.fault(json!({ "fault": "result_cd", "count": 1, "function": SAVE, "args": args }));
    till.post("/api/sales/?wait=20", &sale("REFUSED")).expect(422);
    kra.line(false);
    let waiting = running_number(&till.sell_offline("WAITING"));

    let list = shop.command(&["queue", "list"]);
    list.expect(0);
    for (text, there) in
        [("REFUSED", true), ("WAITING", true), ("SIGNED", false), ("rejected", true), ("pending", true)]
    {
        assert_eq!(list.out.contains(text), there, "{text}: {list:#?}");
    }
    let list = shop.command(&["queue", "list", "--json"]);
    let list = list.expect(0).json();
    assert!(mentions(&list, "REFUSED") && mentions(&list, "WAITING") && !mentions(&list, "SIGNED"), "{list}");
    for id in ["WAITING", &waiting.to_string()] {
        let shown = shop.command(&["queue", "show", id]);
        shown.expect(0);
        assert!(shown.out.contains("WAITING") && shown.out.contains("pending"), "{shown:#?}");
        let shown = shop.command(&["queue", "show", id, "--json"]);
        assert!(mentions(&shown.expect(0).json(), "WAITING"), "{shown:#?}");
    }
    let shown = shop.command(&["queue", "show", "REFUSED"]);
    shown.expect(0);
    assert!(shown.out.contains("910") && shown.out.contains("Invalid qty"), "{shown:#?}");
    let unknown = shop.command(&["queue", "show", "NOBODY"]);
    assert!(matches!(unknown.code, Some(1 | 64 | 66)), "{unknown:#?}");
    gateway.stop();
    shop.command(&["queue", "list"]).expect(69);
}

#[test]
fn verify_finds_what_was_tampered_with() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    shop.command(&["verify"]).expect(66);
    let gateway = shop.open_registered();
    let till = shop.till();
    let numbers: Vec<u64> = (0..5).map(|n| running_number(&till.sell(&format!("VERIFY-{n}")))).collect();
    shop.command(&["verify"]).expect(0);
    gateway.stop();
    let before = files_below(&shop.state()).len();
    shop.command(&["verify"]).expect(0);
    assert_eq!(files_below(&shop.state()).len(), before, "verify writes nothing");
    let verified = shop.command(&["verify", "--json"]).expect(0).json();
    assert!(verified["vouchedRecord"].is_u64(), "{verified}");
    assert_eq!(verified["vouchedRecord"], verified["lastRecord"], "all of a stopped gateway's log is signed");

    // A byte of the third sale is another one, in a copy.
    let whole = shop.path("whole");
    copy_dir(&shop.state(), &whole);
    let mut tampered = 0;
    for file in files_below(&shop.state().join("journal")) {
        let mut bytes = fs::read(&file).unwrap();
        let needle = b"VERIFY-2";
        if let Some(place) = bytes.windows(needle.len()).position(|window| window == needle) {
            bytes[place + needle.len() - 1] = b'7';
            fs::write(&file, bytes).unwrap();
            tampered += 1;
        }
    }
    assert_eq!(tampered, 1, "the sale is in one segment");
    let ended = shop.command(&["verify"]);
    ended.expect(1);
    let named = |number: u64| {
        let digits = |c: char| !c.is_ascii_digit();
        ended.text().split(digits).any(|word| word == number.to_string())
    };
    assert!(named(numbers[2]), "the record {} is named: {ended:#?}", numbers[2]);
    fs::remove_dir_all(shop.state()).unwrap();
    copy_dir(&whole, &shop.state());
    shop.command(&["verify"]).expect(0);
}

#[test]
fn the_key_is_shown_on_request_only() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::unregistered(&kra);
    let gateway = shop.open();
    let identity = json!({ "tin": TIN, "bhfId": BHF_ID, "serialNumber": SERIAL });
    let key =
        shop.till().post("/api/device/init/", &identity).expect(200)["cmcKey"].as_str().unwrap().to_owned();
    gateway.stop();
    let shop = shop
        .set("device.tin", &format!("{TIN:?}"))
        .set("device.bhf_id", &format!("{BHF_ID:?}"))
        .set("device.serial_number", &format!("{SERIAL:?}"));
    let _gateway = shop.open();
    let masked = shop.command(&["device", "init"]);
    masked.expect(0);
    assert!(!masked.text().contains(&key), "masked unless asked for");
    let shown = shop.command(&["device", "init", "--show-key"]);
    shown.expect(0);
    assert!(shown.out.contains(&key), "{shown:#?}");
}

#[test]
fn what_cannot_be_printed_is_no_success() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let _gateway = shop.open_registered();
    shop.till().sell("S-1");
    for args in [&["status"][..], &["queue", "list"], &["verify"], &["receipt", "S-1"]] {
        let mut command = crate::harness::binary();
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let ended = command.args(args).arg("--config").arg(shop.config()).stdout(full).output().unwrap();
        assert_eq!(ended.status.code(), Some(70), "{args:?}: {ended:?}");
        assert!(String::from_utf8_lossy(&ended.stderr).contains("standard output"), "{args:?}: {ended:?}");
    }
    shop.command(&["verify", "/nowhere/at/all"]).expect(66);
    let said = shop.command(&["device", "init", "--tin", "bad"]).text();
    assert!(said.contains("tin: ") && !said.contains('{'), "{said}");
}
