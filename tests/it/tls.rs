//! An ERP on another machine: TLS and a token on TCP, and nobody without them.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::harness::{Gateway, PATIENCE, Shop};
use crate::kra::{Kra, Wire};
use crate::sale::sale;

const TOKEN: &str = "a-long-token-0123456789";

/// A certificate for `localhost` in the shop's directory, set in its configuration; what a client must trust.
fn secured(shop: Shop) -> (Shop, Arc<ClientConfig>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    for (name, content) in [
        ("till.pem", made.cert.pem()),
        ("till.key", made.signing_key.serialize_pem()),
        ("till.token", TOKEN.to_owned()),
    ] {
        fs::write(shop.path(name), content).unwrap();
    }
    let path = |name: &str| format!("{:?}", shop.path(name));
    let (certificate, key, token) = (path("till.pem"), path("till.key"), path("till.token"));
    let shop = shop
        .set("http.tls_certificate", &certificate)
        .set("http.tls_key", &key)
        .set("http.token_file", &token);
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (shop, Arc::new(client))
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// What is answered to one request over TLS.
fn ask(address: SocketAddr, client: &Arc<ClientConfig>, token: Option<&str>, body: &str) -> String {
    let name = ServerName::try_from("localhost").unwrap();
    let session = ClientConnection::new(Arc::clone(client), name).unwrap();
    let mut stream = StreamOwned::new(session, connect(address));
    let token = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    write!(
        stream,
        "POST /api/sales/ HTTP/1.1\r\nHost: localhost\r\n{token}Content-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = Vec::new();
    // A server may end without the protocol's own goodbye.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

fn tcp(gateway: &Gateway) -> SocketAddr {
    let addresses = crate::harness::listeners(gateway.pid());
    assert_eq!(addresses.len(), 1, "{addresses:?}");
    addresses[0]
}

#[test]
fn a_sale_comes_over_tls_and_with_the_token_only() {
    let kra = Kra::start(Wire::Json);
    let (shop, client) = secured(Shop::with(&kra));
    shop.command(&["config", "check"]).expect(0);
    let gateway = shop.open_registered();
    let address = tcp(&gateway);
    let body = sale("OVER-TLS").to_string();
    for token in [None, Some("another")] {
        let answer = ask(address, &client, token, &body);
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    }
    let answer = ask(address, &client, Some(TOKEN), &body);
    assert!(answer.starts_with("HTTP/1.1 201 ") && answer.contains("OVER-TLS"), "{answer}");

    // In the clear nobody is heard, and it costs the others nothing.
    let mut clear = connect(address);
    write!(clear, "GET /health/ HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = clear.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&answer));
    let _silent = connect(address);
    let answer = ask(address, &client, Some(TOKEN), &sale("SECOND").to_string());
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    // The Unix socket is as it was.
    shop.till().sell("LOCAL");
    kra.books().expect_in_order(&["OVER-TLS", "SECOND", "LOCAL"]);
    gateway.stop();
    let key = fs::read_to_string(shop.path("till.key")).unwrap();
    let secret = key.lines().nth(1).unwrap();
    assert!(!shop.journal().contains(secret) && !shop.journal().contains(TOKEN));
}

#[test]
fn a_certificate_that_cannot_be_used_is_told_before_anything_starts() {
    let kra = Kra::start(Wire::Json);
    let (shop, _) = secured(Shop::with(&kra));
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    for (name, content) in [
        ("till.key", other.signing_key.serialize_pem()),
        ("till.key", "no key".to_owned()),
        ("till.pem", "no certificate".to_owned()),
    ] {
        let right = fs::read(shop.path(name)).unwrap();
        fs::write(shop.path(name), content).unwrap();
        for args in [&["run"][..], &["config", "check"]] {
            let ended = shop.command(args);
            ended.expect(78);
            assert!(ended.text().contains("http.tls_"), "{name}: {ended:?}");
        }
        fs::write(shop.path(name), right).unwrap();
    }
    fs::remove_file(shop.path("till.pem")).unwrap();
    shop.command(&["run"]).expect(78);
}
