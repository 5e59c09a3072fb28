//! G10: nobody beyond this machine is listened to, and no web page open on it can post a sale.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::harness::{Shop, datagram_sockets, listeners};
use crate::kra::{Kra, Wire};
use crate::sale::sale;

#[test]
fn only_this_machine_is_listened_to() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let gateway = shop.open_registered();
    shop.till().sell("S-1");
    let tcp = listeners(gateway.pid());
    assert_eq!(tcp.len(), 1, "{tcp:?}");
    assert!(tcp.iter().all(|address| address.ip().is_loopback()), "{tcp:?}");
    let udp = datagram_sockets(gateway.pid());
    assert!(udp.iter().all(|address| address.ip().is_loopback()), "{udp:?}");
    let mode = |name: &str| fs::metadata(shop.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("till.sock"), mode("admin.sock")), (0o660, 0o600));
    for dir in ["state", "state/keys"] {
        assert_eq!(mode(dir) & 0o007, 0, "{dir} is closed to others: {:o}", mode(dir));
    }
    gateway.stop();

    let gateway = shop.set("http.listen", "[]").open();
    assert_eq!(listeners(gateway.pid()), [], "no TCP at all where none is asked for");
}

#[test]
fn beyond_loopback_takes_a_token_and_tls() {
    let shop = Shop::bare().set("http.listen", "[\"0.0.0.0:0\"]");
    for args in [&["run"][..], &["config", "check"]] {
        let ended = shop.command(args);
        ended.expect(78);
        assert!(ended.text().contains("http.listen"), "{ended:?}");
    }
}

#[test]
fn web_pages_cannot_sell() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra).set("http.allowed_origins", "[\"https://pos.example\"]");
    let gateway = shop.open_registered();
    let till = gateway.till();
    let body = sale("S-1").to_string();
    let post = |till: &crate::till::Till| till.post_text("/api/sales/", &body);

    for host in ["evil.example", "127.0.0.1.evil.example", "192.168.1.1", "10.0.0.1:8460"] {
        let answer = post(&till.clone().header("Host", host));
        assert_eq!(answer.status, 421, "{host}: {answer:?}");
    }
    for origin in ["https://evil.example", "null", "http://pos.example", "https://pos.example.evil.example"] {
        let answer = post(&till.clone().header("Origin", origin));
        assert_eq!(answer.status, 403, "{origin}: {answer:?}");
        assert_eq!(answer.header("access-control-allow-origin"), None, "{origin}: {answer:?}");
        let asked = till.clone().header("Origin", origin).header("Access-Control-Request-Method", "POST");
        let answer = asked.ask("OPTIONS", "/api/sales/", None).unwrap();
        assert_eq!(answer.status, 403, "{origin}: {answer:?}");
    }
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        let answer = post(&till.clone().header("Content-Type", kind));
        assert_eq!(answer.status, 415, "{kind}: {answer:?}");
    }
    assert_eq!(till.get("/api/sales/S-1/").status, 404, "none of them sold anything");
    assert_eq!(kra.books().sales(), [] as [serde_json::Value; 0]);

    for host in ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:8460"] {
        assert_eq!(till.clone().header("Host", host).get("/health/").status, 200, "{host}");
    }
    let page = till.clone().header("Origin", "https://pos.example");
    let answer = post(&page);
    answer.expect(201);
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://pos.example"));
}

#[test]
fn the_token_is_asked_for() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let token = shop.path("token");
    fs::write(&token, "s3cret-token\n").unwrap();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    let shop = shop.set("http.token_file", &format!("{token:?}"));
    let gateway = shop.open_registered();
    let till = gateway.till();
    for target in ["/api/sales/", "/api/device/status/", "/health/", "/nowhere/"] {
        let answer = till.get(target);
        assert_eq!(answer.status, 401, "{target}: {answer:?}");
        assert!(answer.header("www-authenticate").is_some(), "{answer:?}");
    }
    for wrong in ["Bearer s3cret", "Bearer s3cret-token2", "s3cret-token", "Basic czNjcmV0"] {
        let answer = till.clone().header("Authorization", wrong).post("/api/sales/", &sale("S-1"));
        assert_eq!(answer.status, 401, "{wrong}: {answer:?}");
    }
    till.clone().header("Authorization", "Bearer s3cret-token").post("/api/sales/", &sale("S-1")).expect(201);
    // Who may open the Unix socket needs none.
    shop.till().sell("S-2");
    assert!(!shop.journal().contains("s3cret-token"), "the token is not logged");
}

/// Whoever has the address may be gone at the next try: systemd starts again.
#[test]
fn an_address_in_use_is_no_fault_of_the_configuration() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let shop = Shop::bare().set("http.listen", &format!("[\"{}\"]", taken.local_addr().unwrap()));
    shop.command(&["run"]).expect(69);
    shop.command(&["config", "check"]).expect(0);
}
