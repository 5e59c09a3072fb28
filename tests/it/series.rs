//! The series of invoice numbers: where somebody else used ours it stops, says so, and has a way out.

use serde_json::{Value, json};

use crate::harness::{BHF_ID, Shop, TIN, copy_dir, eventually, on_both_wires};
use crate::kra::{Kra, Wire};
use crate::till::Till;

on_both_wires! { a_cloned_till_stops_the_series_and_it_is_adopted }

fn wait_stopped(shop: &Shop) -> Value {
    eventually("the series has stopped", || {
        let shown = shop.command(&["series", "show", "--json"]);
        (shown.code == Some(1)).then(|| shown.json())
    })
}

fn health(till: &Till) -> Value {
    till.get("/health/").expect(200)["status"].clone()
}

/// The card was copied into a second till, which sells under our numbers.
fn a_cloned_till_stops_the_series_and_it_is_adopted(wire: Wire) {
    let kra = Kra::start(wire);
    let shop = Shop::with(&kra);
    let gateway = shop.open_registered();
    let till = shop.till();
    till.sell("FIRST");
    let shown = shop.command(&["series", "show"]);
    assert!(shown.expect(0).out.contains("free: the next sale gets it"), "{shown:#?}");
    let nothing = shop.command(&["series", "adopt", "--reason", "curious"]);
    assert!(nothing.expect(1).err.contains("not stopped"), "{nothing:#?}");
    gateway.stop();

    let clone = Shop::with(&kra);
    copy_dir(&shop.state(), &clone.state());
    let other = clone.open_registered();
    clone.till().sell("CLONE-1");
    clone.till().sell("CLONE-2");
    other.stop();

    let gateway = shop.open_registered();
    till.sell_offline("HEAD");
    till.sell_offline("BEHIND");
    let books = wait_stopped(&shop);
    assert_eq!((&books["next"], &books["last"]["invcNo"]), (&json!(2), &json!(1)), "{books}");
    assert_eq!(
        (&books["kraNext"]["state"], &books["kraNext"]["trdInvcNo"]),
        (&json!("there"), &json!("CLONE-1")),
        "{books}"
    );
    assert_eq!(books["kraLast"]["rcptSign"], books["last"]["rcptSign"], "{books}");
    let shown = shop.command(&["series", "show"]);
    for part in ["KRA'S BOOKS", "CLONE-1", "series adopt"] {
        assert!(shown.expect(1).out.contains(part), "{part}: {shown:#?}");
    }
    assert_eq!(health(&till), "degraded");
    let status = shop.command(&["status"]);
    assert!(status.expect(1).out.contains("CLONE-1"), "the alert names the stranger: {status:#?}");

    // Selling goes on, through a kill too; nothing is sent.
    gateway.kill();
    let gateway = shop.open_registered();
    till.sell_offline("LATER");
    wait_stopped(&shop);
    assert_eq!(kra.books().numbers(), ["FIRST", "CLONE-1", "CLONE-2"]);

    shop.command(&["series", "adopt"]).expect(64);
    let named = shop.command(&["series", "adopt", "--reason", "guess", "--next", "9"]);
    named.expect(1);
    let adopted = shop.command(&["series", "adopt", "--reason", "the copy was destroyed", "--json"]);
    assert!(adopted.expect(0).json()["done"].as_str().unwrap().contains("number 4"), "{adopted:#?}");
    assert_eq!(till.wait_status("LATER", "signed")["invcNo"], 6);
    assert_eq!(till.wait_status("HEAD", "signed")["invcNo"], 4);
    eventually("health is well again", || (health(&till) == "healthy").then_some(()));
    shop.command(&["series", "show"]).expect(0);
    gateway.kill();

    let gateway = shop.open_registered();
    assert_eq!(till.sell("AFTER")["invcNo"], 7);
    gateway.stop();
    shop.command(&["verify"]).expect(0);
    let export = shop.command(&["export", "--from", "2000-01-01", "--to", "2100-01-01"]);
    let export = &export.expect(0).out;
    for part in ["the copy was destroyed", "series-adopt", "CLONE-2", "uid "] {
        assert!(export.contains(part), "{part} is in the log");
    }
    kra.books().expect_in_order(&["FIRST", "CLONE-1", "CLONE-2", "HEAD", "BEHIND", "LATER", "AFTER"]);
}

/// A stranger came in while the line was cut: found before anything is sent.
#[test]
fn killed_between_stop_and_adoption() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let mut gateway = shop.open_registered();
    let till = shop.till();
    till.sell("FIRST");
    for round in 0..3 {
        let sold = format!("S-{round}");
        kra.foreign(json!({ "tin": TIN, "bhfId": BHF_ID, "trdInvcNo": format!("STRANGER-{round}") }));
        till.sell_offline(&sold);
        wait_stopped(&shop);
        gateway.kill();
        gateway = shop.open_registered();
        wait_stopped(&shop);
        shop.command(&["series", "adopt", "--reason", "known"]).expect(0);
        gateway.kill();
        gateway = shop.open_registered();
        till.wait_status(&sold, "signed");
    }
    let expected = ["FIRST", "STRANGER-0", "S-0", "STRANGER-1", "S-1", "STRANGER-2", "S-2"];
    kra.books().expect_in_order(&expected);
}
