//! A device that a person knows more about than the gateway can find out: brought in, put right, moved.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::harness::{BHF_ID, PATIENCE, SERIAL, Shop, TIN, eventually, on_both_wires, say_skipped};
use crate::kra::{INITIALISE, Kra, LOOK_UP, SAVE, Wire};
use crate::till::Till;

on_both_wires! { registered_elsewhere, key_given_again }

fn status(till: &Till) -> Value {
    till.get("/api/device/status/").expect(200)
}

fn wait_device(till: &Till, word: &str) {
    eventually(&format!("the device is {word}"), || (status(till)["status"] == word).then_some(()));
}

/// Writes KRA's key where a technician would; the path.
fn key_file(shop: &Shop, key: &str) -> String {
    let path = shop.path("kra-key.txt");
    fs::write(&path, format!("{key}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The records of the log about what people did.
fn acts(shop: &Shop) -> String {
    let export = shop.command(&["export", "--from", "2000-01-01", "--to", "2100-01-01"]);
    export
        .expect(0)
        .out
        .lines()
        .filter(|line| line.contains("\"ADMIN\"") || line.contains("device-"))
        .collect()
}

/// Another product registered the device and sold with it: KRA says 902. With KRA's values the device comes in, and what was
/// sold meanwhile is sent under the numbers that follow.
fn registered_elsewhere(wire: Wire) {
    let kra = Kra::start(wire);
    let old = Shop::unregistered(&kra);
    let gateway = old.open();
    let identity = json!({ "tin": TIN, "bhfId": BHF_ID, "serialNumber": SERIAL });
    let registered = old.till().post("/api/device/init/", &identity).expect(200);
    let [key, sdc_id, mrc_no, device_id] =
        ["cmcKey", "sdcId", "mrcNo", "deviceId"].map(|name| registered[name].as_str().unwrap().to_owned());
    old.till().sell("OLD-1");
    old.till().sell("OLD-2");
    gateway.stop();

    let shop = Shop::with(&kra);
    let gateway = shop.open();
    let till = shop.till();
    wait_device(&till, "failed");
    till.sell_offline("W-1");
    till.sell_offline("W-2");
    let asked = kra.asked(INITIALISE);
    let file = key_file(&shop, &key);
    let values = ["--sdc-id", &sdc_id, "--mrc-no", &mrc_no, "--dvc-id", &device_id];
    let adopt = |more: &[&str]| {
        let args: Vec<&str> = ["device", "adopt"].iter().chain(&values).chain(more).copied().collect();
        shop.command(&args)
    };
    // What is missing is named, and nothing changes.
    let missing = adopt(&["--key-file", &file]);
    assert!(missing.expect(1).err.contains("--next-invc-no"), "{missing:#?}");
    assert!(adopt(&["--next-invc-no", "3"]).expect(1).err.contains("--key-file"));
    adopt(&["--key-file", "/nowhere", "--next-invc-no", "3"]).expect(66);
    let part =
        shop.command(&["device", "adopt", "--key-file", &file, "--sdc-id", &sdc_id, "--next-invc-no", "3"]);
    assert!(part.expect(1).err.contains("--mrc-no"), "{part:#?}");
    let stranger = shop.command(&[
        "device",
        "adopt",
        "--tin",
        "A000000000B",
        "--key-file",
        &file,
        "--sdc-id",
        "X",
        "--mrc-no",
        "Y",
        "--next-invc-no",
        "1",
    ]);
    assert!(stranger.expect(1).err.contains(TIN), "{stranger:#?}");
    assert_eq!(status(&till)["status"], "failed");

    let adopted =
        adopt(&["--key-file", &file, "--next-invc-no", "3", "--reason", "changed the product", "--json"]);
    assert_eq!(adopted.expect(0).json()["changed"], true);
    assert_eq!(till.wait_status("W-2", "signed")["invcNo"], 4);
    let shown = status(&till);
    assert_eq!(
        (&shown["status"], &shown["sdcId"], &shown["deviceId"]),
        (&json!("active"), &json!(sdc_id), &json!(device_id))
    );
    gateway.kill();

    let gateway = shop.open();
    assert_eq!(till.sell("AFTER")["mrcNo"], mrc_no);
    assert_eq!(kra.asked(INITIALISE), asked, "KRA is not asked to register it again");
    kra.books().expect_in_order(&["OLD-1", "OLD-2", "W-1", "W-2", "AFTER"]);
    // Who did it and why is in the signed log; the key is nowhere.
    let acts = acts(&shop);
    assert!(
        acts.contains("device-adopt") && acts.contains("changed the product") && acts.contains("uid "),
        "{acts}"
    );
    shop.command(&["verify"]).expect(0);
    for text in [shop.journal(), acts, adopted.text()] {
        assert!(!text.contains(&key), "the key is told");
    }
    gateway.stop();
    // A number that is configured later is no longer used.
    shop.change("device.next_invc_no", "7");
    let _gateway = shop.open_registered();
    assert!(shop.journal().contains("device.next_invc_no is not used any more"));
    assert_eq!(till.sell("LAST")["invcNo"], 6);
}

/// The device is registered anew, elsewhere: the old key is refused from now on.
fn new_key(kra: &Kra) -> String {
    kra.forget_device(TIN, BHF_ID);
    let other = Shop::unregistered(kra);
    let elsewhere = other.open();
    let identity = json!({ "tin": TIN, "bhfId": BHF_ID, "serialNumber": SERIAL });
    let again = other.till().post("/api/device/init/", &identity).expect(200);
    elsewhere.stop();
    again["cmcKey"].as_str().unwrap().to_owned()
}

/// Whoever had the key may have sold with it: both ends of the series are looked at before the next sale is sent.
#[test]
fn with_another_key_the_series_is_looked_at_again() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let _gateway = shop.open_registered();
    let till = shop.till();
    till.sell("S-1");
    let looked_up = kra.asked(LOOK_UP);
    till.sell("S-2");
    assert_eq!(kra.asked(LOOK_UP), looked_up);
    let file = key_file(&shop, &new_key(&kra));
    kra.foreign(json!({ "tin": TIN, "bhfId": BHF_ID, "trdInvcNo": "STRANGER" }));
    shop.command(&["device", "adopt", "--key-file", &file]).expect(0);
    let sent = kra.asked(SAVE);
    till.sell_offline("S-3");
    let status = || shop.command(&["status"]).out;
    eventually("the series has stopped", || status().contains("STRANGER").then_some(()));
    assert_eq!(kra.asked(SAVE), sent, "nothing is sent before");
    shop.command(&["series", "adopt", "--reason", "sold elsewhere"]).expect(0);
    assert_eq!(till.wait_status("S-3", "signed")["invcNo"], 4);
}

/// KRA gave the device a new key: the old one is refused, everything waits, and the new one takes its place.
fn key_given_again(wire: Wire) {
    let kra = Kra::start(wire);
    let shop = Shop::with(&kra);
    let gateway = shop.open_registered();
    let till = shop.till();
    till.sell("S-1");
    gateway.stop();
    let old = fs::read_to_string(shop.state().join("keys/cmc.key")).unwrap();

    let key = new_key(&kra);
    assert_ne!(old.trim(), key);

    let _gateway = shop.open_registered();
    till.sell_offline("S-2");
    wait_device(&till, "held");
    let file = key_file(&shop, &key);
    let wrong = shop.command(&["device", "adopt", "--key-file", &file, "--next-invc-no", "9"]);
    assert!(wrong.expect(1).err.contains("series adopt"), "{wrong:#?}");
    shop.command(&["device", "adopt", "--key-file", &file]).expect(0);
    assert_eq!(till.wait_status("S-2", "signed")["invcNo"], 2);
    wait_device(&till, "active");
    // The old key is put aside, not lost.
    assert_eq!(fs::read_to_string(shop.state().join("keys/cmc.key.old.1")).unwrap(), old);
    kra.books().expect_in_order(&["S-1", "S-2"]);
}

/// The serial number was mistyped, and the shop sold before KRA was reached. What was sold stays, the number is put right, and
/// a configuration that nobody has corrected yet does not keep the shop from selling.
#[test]
fn mistyped_serial_number_is_put_right() {
    let kra = Kra::start(Wire::Json);
    kra.line(false);
    let shop = Shop::with(&kra).set("device.serial_number", "\"MISTYPED\"");
    let gateway = shop.open();
    let till = shop.till();
    till.sell_offline("S-1");
    gateway.stop();

    // Who corrects the configuration alone is told the way.
    shop.change("device.serial_number", &format!("{SERIAL:?}"));
    let mut gateway = shop.spawn();
    assert_eq!(gateway.wait_end(PATIENCE).code(), Some(78));
    assert!(shop.journal().contains("device adopt --serial"), "the way out is named");
    shop.change("device.serial_number", "\"MISTYPED\"");
    let gateway = shop.open();
    assert!(shop.command(&["device", "adopt"]).expect(1).err.contains("nothing to adopt"));
    let other = shop.command(&["device", "adopt", "--bhf-id", "01", "--serial", SERIAL]);
    assert!(other.expect(1).err.contains("state directory of its own"), "{other:#?}");
    shop.command(&["device", "adopt", "--serial", SERIAL, "--reason", "typing error"]).expect(0);
    assert_eq!(status(&till)["serialNumber"], SERIAL);
    till.sell_offline("S-2");
    gateway.kill();

    let gateway = shop.open();
    assert!(shop.journal().contains("correct device.serial_number"));
    assert_eq!(status(&till)["serialNumber"], SERIAL);
    kra.line(true);
    till.wait_status("S-2", "signed");
    kra.books().expect_in_order(&["S-1", "S-2"]);
    gateway.stop();

    let gateway = shop.open_registered();
    assert!(
        shop.command(&["device", "adopt", "--serial", "THIRD"]).expect(1).err.contains("registered under")
    );
    gateway.stop();
    shop.change("device.serial_number", &format!("{SERIAL:?}"));
    let _gateway = shop.open_registered();
    till.sell("S-3");
    assert_eq!(kra.asked(INITIALISE), 1);
}

/// Runs the gateway where `/sys/block` shows this disk, in a mount namespace of its own; needs root.
fn on_disk(shop: &Shop, cid: &str) -> bool {
    let disks = shop.path(&format!("sys-block-{cid}"));
    fs::create_dir_all(disks.join("mmcblk0/device")).unwrap();
    fs::write(disks.join("mmcblk0/device/cid"), format!("{cid}\n")).unwrap();
    let script = "mount --bind \"$0\" /sys/block && exec \"$@\"";
    let wrapper = ["unshare", "--mount", "sh", "-c", script, disks.to_str().unwrap()].map(str::to_owned);
    let tried = Command::new(&wrapper[0]).args(&wrapper[1..]).arg("true").stderr(Stdio::null()).status();
    shop.run_in(&wrapper);
    tried.is_ok_and(|status| status.success())
}

/// A card that was put into another till, or copied: sales are taken, nothing is sent until a person says that it is right.
#[test]
fn other_hardware_is_noticed() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    if !on_disk(&shop, "first") {
        return say_skipped("SKIPPED other_hardware_is_noticed: it needs unshare(1) and root");
    }
    let gateway = shop.open_registered();
    let till = shop.till();
    till.sell("S-1");
    assert!(
        shop.command(&["device", "moved", "--reason", "no"]).expect(0).out.contains("nothing to confirm")
    );
    gateway.stop();

    assert!(on_disk(&shop, "second"));
    let gateway = shop.open();
    let held = status(&till);
    assert_eq!((&held["status"], &held["serialNumber"]), (&json!("held"), &json!(SERIAL)), "{held}");
    till.sell_offline("S-2");
    assert_eq!(till.get("/health/").expect(200)["status"], "degraded");
    let seen = shop.command(&["status"]);
    for part in ["block/mmcblk0/cid", "device moved --reason"] {
        assert!(seen.expect(1).out.contains(part), "{part}: {seen:#?}");
    }
    eventually("the journal says so", || shop.journal().contains("device moved --reason").then_some(()));
    gateway.kill();
    let gateway = shop.open();
    till.sell_offline("S-3");
    assert_eq!(status(&till)["status"], "held", "a start changes nothing");
    assert_eq!(kra.books().numbers(), ["S-1"]);

    shop.command(&["device", "moved"]).expect(64);
    shop.command(&["device", "moved", "--reason", " "]).expect(64);
    let moved = shop.command(&["device", "moved", "--reason", "new board", "--json"]);
    assert_eq!(moved.expect(0).json()["changed"], true);
    till.wait_status("S-3", "signed");
    kra.books().expect_in_order(&["S-1", "S-2", "S-3"]);
    gateway.kill();
    let gateway = shop.open_registered();
    till.sell("S-4");
    assert!(acts(&shop).contains("new board"));
    gateway.stop();
    // Back on the first one it is another machine again.
    assert!(on_disk(&shop, "first"));
    let _gateway = shop.open();
    assert_eq!(status(&till)["status"], "held");
}
