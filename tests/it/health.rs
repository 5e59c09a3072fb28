//! What a monitor asks.

use serde_json::{Value, json};

use crate::harness::{Shop, eventually, on_both_wires};
use crate::kra::{Kra, Wire};

on_both_wires! { tells_how_it_stands }

#[track_caller]
fn expect_shape(health: &Value) {
    assert!(
        health["version"].as_str().is_some_and(|text| text.starts_with(env!("CARGO_PKG_VERSION"))),
        "{health}"
    );
    assert_eq!(health["db"], "up", "{health}");
    for count in ["waiting", "inDoubt", "parked", "rejected"] {
        assert!(health["queue"][count].is_u64(), "{count}: {health}");
    }
    let mut keys: Vec<&String> = health.as_object().unwrap().keys().collect();
    keys.sort();
    assert_eq!(keys, ["db", "kra", "queue", "status", "version"]);
}

fn tells_how_it_stands(wire: Wire) {
    let kra = Kra::start(wire);
    let shop = Shop::with(&kra);
    let gateway = shop.open_registered();
    let till = gateway.till();
    till.sell("S-1");
    let health = till.get("/health/").expect(200);
    expect_shape(&health);
    assert_eq!((&health["status"], &health["kra"]), (&json!("healthy"), &json!("up")), "{health}");

    kra.line(false);
    till.sell_offline("S-2");
    let health = eventually("health sees that KRA is away", || {
        let health = till.get("/health").expect(200);
        (health["kra"] == "down").then_some(health)
    });
    expect_shape(&health);
    assert_eq!((&health["status"], &health["queue"]["waiting"]), (&json!("degraded"), &json!(1)), "{health}");
    kra.line(true);
    till.wait_status("S-2", "signed");
    eventually("health is well again", || {
        let health = till.get("/health/").expect(200);
        (health["status"] == "healthy" && health["kra"] == "up").then_some(())
    });
}

#[test]
fn a_device_that_is_not_active_is_told() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::unregistered(&kra);
    let gateway = shop.open();
    let health = shop.till().get("/health/").expect(200);
    expect_shape(&health);
    assert_eq!(health["status"], "degraded", "not registered: {health}");
    gateway.stop();

    kra.line(false);
    let shop = Shop::with(&kra);
    let _gateway = shop.open();
    let health = eventually("health sees that KRA is away", || {
        let health = shop.till().get("/health/").expect(200);
        (health["kra"] == "down").then_some(health)
    });
    assert_eq!(health["status"], "degraded", "KRA away: {health}");
}
