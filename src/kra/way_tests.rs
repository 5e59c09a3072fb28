//! The way to KRA: proxy and TLS, over the loopback.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::fiscal::{BhfId, DeviceIdentity, DeviceSerial, Tin};
use crate::gateway::ports::Authority;
use crate::kra::raw_server::{Act, DEADLINE, RawServer, reply, write};
use crate::kra::{BaseUrl, Client, Proxy, RootsFault, Settings, SettingsFault};
use crate::queue::{Probed, Step};
use crate::wire::{Format, Paths};

fn device() -> DeviceIdentity {
    DeviceIdentity {
        tin: Tin::new("P000000000A").unwrap(),
        bhf_id: BhfId::new("00").unwrap(),
        serial: DeviceSerial::new("GW-1").unwrap(),
    }
}

fn settings(base_url: &str) -> Settings {
    Settings {
        base_url: BaseUrl::parse(base_url).unwrap(),
        format: Format::Json,
        sign_requests: false,
        paths: Paths::new(),
        connect_timeout: DEADLINE,
        request_timeout: DEADLINE,
        ca_certificates: None,
        proxy: None,
    }
}

fn client(settings: Settings) -> Client {
    Client::new(settings, Box::new(|_| {})).unwrap()
}

fn up() -> Vec<Act> {
    vec![Act::Read, reply(200, r#"{"resultCd":"000"}"#), Act::Hang]
}

struct Ca(CertifiedIssuer<'static, KeyPair>);

impl Ca {
    fn new() -> Self {
        Self::named("Test root")
    }

    fn named(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> Vec<u8> {
        self.0.pem().into_bytes()
    }

    /// A server whose certificate is for this name, valid in these years.
    fn acceptor(&self, name: &str, years: (i32, i32)) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
        params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

const GOOD_YEARS: (i32, i32) = (2020, 2090);

#[tokio::test]
async fn a_certificate_of_a_root_from_the_ca_file() {
    let ca = Ca::new();
    let server = RawServer::start_with(vec![up(), up()], Some(ca.acceptor("localhost", GOOD_YEARS))).await;
    let mut settings = settings(&format!("https://localhost:{}/x", server.address.port()));
    settings.ca_certificates = Some(ca.pem());
    let client = client(settings);
    assert_eq!(client.probe(&device(), None).await, Probed::Up);
    client.connect().await.unwrap();
    assert!(server.seen().requests[0].starts_with("POST /x/selectNoticeList HTTP/1.1\r\n"));
}

#[tokio::test]
async fn certificates_that_do_not_verify() {
    let ca = Ca::new();
    for (name, years, root, words) in [
        ("other.example", GOOD_YEARS, ca.pem(), "for another host"),
        ("localhost", (2020, 2021), ca.pem(), "expired, or the clock"),
        ("localhost", (2089, 2090), ca.pem(), "not valid yet, or the clock"),
        ("localhost", GOOD_YEARS, Ca::named("Another root").pem(), "issuer this machine does not know"),
        ("localhost", GOOD_YEARS, Ca::new().pem(), "signed by somebody else"),
    ] {
        let server = RawServer::start_with(vec![up(), up()], Some(ca.acceptor(name, years))).await;
        let mut settings = settings(&format!("https://localhost:{}", server.address.port()));
        settings.ca_certificates = Some(root);
        let client = client(settings);
        let unreachable = client.connect().await.unwrap_err();
        assert_eq!(unreachable.at, Step::Trust, "{unreachable:?}");
        assert!(unreachable.why.contains(words), "{}", unreachable.why);
        let Probed::Refused(said) = client.probe(&device(), None).await else { panic!() };
        assert!(said.message.contains(words), "{}", said.message);
        assert_eq!(server.seen().requests.len(), 0);
    }
}

#[tokio::test]
async fn a_server_without_tls() {
    for script in [vec![write("HTTP/1.1 400 Bad Request\r\n\r\n"), Act::Hang], vec![Act::Close]] {
        let server = RawServer::start(vec![script]).await;
        let mut settings = settings(&format!("https://localhost:{}", server.address.port()));
        settings.ca_certificates = Some(Ca::new().pem());
        assert_eq!(client(settings).connect().await.unwrap_err().at, Step::Handshake);
    }
}

#[tokio::test]
async fn a_handshake_that_takes_too_long() {
    let server = RawServer::start(vec![vec![Act::Hang]]).await;
    let mut settings = settings(&format!("https://localhost:{}", server.address.port()));
    settings.ca_certificates = Some(Ca::new().pem());
    settings.connect_timeout = Duration::from_millis(300);
    let unreachable = client(settings).connect().await.unwrap_err();
    assert_eq!(unreachable.at, Step::Handshake, "{}", unreachable.why);
    assert!(unreachable.why.contains("too long"));
}

#[test]
fn roots_are_checked_when_the_client_is_made() {
    let mut bad = settings("https://kra.example");
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (pem, expected) in [
        ("", RootsFault::NoCertificate),
        ("hello", RootsFault::NoCertificate),
        (broken, RootsFault::Unusable),
    ] {
        bad.ca_certificates = Some(pem.as_bytes().to_vec());
        let fault = Client::new(bad.clone(), Box::new(|_| {})).err();
        assert_eq!(fault, Some(SettingsFault::Roots(expected)), "{pem}");
    }
}

/// A proxy that lays real tunnels; what it was asked comes back through the channel.
async fn proxy() -> (std::net::SocketAddr, tokio::sync::mpsc::UnboundedReceiver<String>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, asked) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let tell = tell.clone();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap();
                let target = head.split(' ').nth(1).unwrap().to_owned();
                tell.send(head).unwrap();
                let mut onward = TcpStream::connect(target).await.unwrap();
                stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
                let _ = copy_bidirectional(&mut stream, &mut onward).await;
            });
        }
    });
    (address, asked)
}

#[tokio::test]
async fn through_a_proxy() {
    let (address, mut asked) = proxy().await;
    let ca = Ca::new();
    let encrypted = RawServer::start_with(vec![up()], Some(ca.acceptor("localhost", GOOD_YEARS))).await;
    let open = RawServer::start(vec![up()]).await;
    for (server, base_url) in [
        (&encrypted, format!("https://localhost:{}", encrypted.address.port())),
        (&open, format!("http://127.0.0.1:{}", open.address.port())),
    ] {
        let mut settings = settings(&base_url);
        settings.ca_certificates = Some(ca.pem());
        settings.proxy = Some(Proxy::parse(&format!("http://till:pass@{address}")).unwrap());
        assert_eq!(client(settings).probe(&device(), None).await, Probed::Up);
        let head = asked.recv().await.unwrap();
        let target = base_url.split_once("//").unwrap().1;
        assert!(head.starts_with(&format!("CONNECT {target} HTTP/1.1\r\n")), "{head}");
        assert!(head.contains("Proxy-Authorization: Basic dGlsbDpwYXNz\r\n"));
        let requests = server.seen().requests;
        assert!(requests[0].starts_with("POST /selectNoticeList HTTP/1.1\r\n"));
        assert!(!requests[0].to_lowercase().contains("proxy-authorization"));
    }
}

#[tokio::test]
async fn a_proxy_that_refuses() {
    let refusal = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";
    let server = RawServer::start(vec![vec![Act::Read, write(refusal), Act::Hang]]).await;
    let mut settings = settings("https://kra.invalid");
    settings.proxy = Some(Proxy::parse(&format!("http://{}", server.address)).unwrap());
    let unreachable = client(settings).connect().await.unwrap_err();
    assert_eq!(unreachable.at, Step::Connect);
    assert!(unreachable.why.contains("HTTP 403"), "{}", unreachable.why);
}
