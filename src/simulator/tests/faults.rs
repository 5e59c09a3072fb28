//! Each fault as a client that knows nothing of HTTP libraries sees it.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use ring::hmac;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{INIT, SALE, numbered};
use crate::simulator::{Controls, Fault, FaultArgs, FaultOrder, Options, Tls, bind};

pub(super) const XML: &str = "application/xml; charset=utf-8";
/// Longest wait for what must come.
const LIMIT: Duration = Duration::from_secs(10);

/// A simulator being served.
pub(super) struct Running {
    pub(super) address: SocketAddr,
    control: SocketAddr,
    pub(super) controls: Controls,
    task: JoinHandle<()>,
}

impl Running {
    pub(super) async fn start() -> Running {
        Running::with(Options::default()).await
    }

    async fn with(options: Options) -> Running {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let simulator = bind(Options { listen, ..options }).await.unwrap();
        let (address, control) = (simulator.address(), simulator.control_address().unwrap());
        let controls = simulator.controls();
        let task = tokio::spawn(simulator.serve(std::future::pending()));
        Running { address, control, controls, task }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A connection, and the device that speaks over it.
pub(super) struct Client<S = TcpStream> {
    stream: S,
    buffer: Vec<u8>,
    pub(super) key: String,
}

pub(super) struct Response {
    pub(super) status: u16,
    head: String,
    pub(super) body: String,
}

impl Response {
    pub(super) fn header(&self, name: &str) -> &str {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }

    pub(super) fn json(&self) -> Value {
        super::json(&self.body)
    }
}

impl Client {
    pub(super) async fn connect(running: &Running) -> Client {
        Client::to(running.address).await
    }

    async fn to(address: SocketAddr) -> Client {
        Client::over(TcpStream::connect(address).await.unwrap())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    fn over(stream: S) -> Client<S> {
        Client { stream, buffer: Vec::new(), key: String::new() }
    }

    /// Registers the device; its key.
    pub(super) async fn register(&mut self, body: &str) -> String {
        let answer = self.post("selectInitOsdcInfo", body).await.json();
        self.key = answer["data"]["info"]["cmcKey"].as_str().unwrap().to_owned();
        self.key.clone()
    }

    pub(super) fn request(
        &self,
        verb: &str,
        path: &str,
        content_type: &str,
        more: &str,
        body: &str,
    ) -> Vec<u8> {
        format!(
            "{verb} /etims-api/{path} HTTP/1.1\r\nHost: localhost\r\ntin: P000000000A\r\nbhfId: 00\r\ncmcKey: {}\r\n\
             Content-Type: {content_type}\r\n{more}Content-Length: {}\r\n\r\n{body}",
            self.key,
            body.len()
        )
        .into_bytes()
    }

    pub(super) async fn post(&mut self, path: &str, body: &str) -> Response {
        self.send(&self.request("POST", path, "application/json", "", body)).await
    }

    pub(super) async fn post_xml(&mut self, path: &str, body: &str, signature: &str) -> Response {
        let more = if signature.is_empty() { String::new() } else { format!("X-Signature: {signature}\r\n") };
        self.send(&self.request("POST", path, XML, &more, body)).await
    }

    pub(super) async fn send(&mut self, request: &[u8]) -> Response {
        self.try_send(request).await.expect("an answer")
    }

    /// The answer, or what is left of it when the connection ends.
    async fn try_send(&mut self, request: &[u8]) -> Result<Response, String> {
        // The other side may have hung up already; what it said before is still to be read.
        let _ = self.stream.write_all(request).await;
        timeout(LIMIT, self.answer()).await.expect("an answer or an end in time")
    }

    async fn answer(&mut self) -> Result<Response, String> {
        loop {
            let text = String::from_utf8_lossy(&self.buffer).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let mut response = Response {
                    status: head.split(' ').nth(1).unwrap().parse().unwrap(),
                    head: head.to_owned(),
                    body: String::new(),
                };
                let length: usize = response.header("content-length").parse().expect("a length");
                if body.len() >= length {
                    response.body = body[..length].to_owned();
                    self.buffer.drain(..head.len() + 4 + length);
                    return Ok(response);
                }
            }
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(0) => return Err(text),
                Ok(_) => {}
                Err(error) => {
                    assert!(
                        matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
                        "{error}"
                    );
                    return Err(text);
                }
            }
        }
    }
}

/// The signature header's value.
pub(super) fn sign(key: &str, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    format!("hmac-sha256={}", BASE64.encode(hmac::sign(&key, body.as_bytes()).as_ref()))
}

fn accepted(controls: &Controls) -> u64 {
    controls.books()["devices"][0]["accepted"].as_u64().unwrap()
}

async fn lever(running: &Running, verb: &str, path: &str, body: &str) -> Response {
    let mut client = Client::to(running.control).await;
    let length = body.len();
    client
        .send(
            format!("{verb} /_sim/{path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}")
                .as_bytes(),
        )
        .await
}

/// Runs one sale into one fault, over the levers' own HTTP; then the line is good again and the sale is repeated.
/// `expected` is what the repeat says: 994 if the first was booked.
async fn strike(order: Value, expected: &str) -> Result<Response, String> {
    let running = Running::start().await;
    let mut client = Client::connect(&running).await;
    let key = client.register(INIT).await;
    let sale = SALE.replace("KEY", &key);
    let ordered = lever(&running, "POST", "faults", &order.to_string()).await;
    assert_eq!(ordered.status, 200, "{}", ordered.body);
    let outcome =
        client.try_send(&client.request("POST", "saveTrnsSalesOsdc", "application/json", "", &sale)).await;
    let listed = lever(&running, "GET", "faults", "").await.json();
    assert_eq!((&listed["faults"][0]["fired"], &listed["faults"][0]["active"]), (&json!(1), &json!(false)));
    let mut client = Client::connect(&running).await;
    client.key = key;
    let again = client.post("saveTrnsSalesOsdc", &sale).await.json();
    assert_eq!(again["resultCd"], expected, "{order}: {again}");
    let log = running.controls.requests(0);
    let outcomes: Vec<_> =
        log["requests"].as_array().unwrap().iter().map(|entry| entry["outcome"].clone()).collect();
    let name = order["fault"].as_str().unwrap();
    assert!(outcomes[1].as_str().unwrap().contains(name), "{outcomes:?}");
    assert!(!log.to_string().contains(&client.key), "the key must not be in the log");
    outcome
}

#[tokio::test]
async fn connections_that_end_without_an_answer() {
    for (fault, expected) in
        [("close_before_read", "000"), ("close_after_read", "000"), ("lose_answer", "994")]
    {
        let outcome = strike(json!({"fault": fault, "count": 1}), expected).await;
        assert_eq!(outcome.err().as_deref(), Some(""), "{fault}");
    }
}

#[tokio::test]
async fn answers_that_are_none() {
    for (order, expected, status, words) in [
        (json!({"fault": "html", "count": 1}), "000", 200, "<h1>"),
        (json!({"fault": "html", "count": 1, "args": {"processed": true}}), "994", 200, "<h1>"),
        (json!({"fault": "bad_json", "count": 1}), "994", 200, r#"{"resultCd":"000","data":{"#),
        (
            json!({"fault": "bad_xml", "count": 1, "args": {"processed": false}}),
            "000",
            200,
            "<Res><resultCd>",
        ),
        (json!({"fault": "http_status", "count": 1, "args": {"status": 502}}), "000", 502, ""),
        (
            json!({"fault": "http_status", "count": 1, "args": {"status": 504, "processed": true}}),
            "994",
            504,
            "",
        ),
        (json!({"fault": "result_cd", "count": 1}), "000", 200, r#""resultCd":"999""#),
        (
            json!({"fault": "result_cd", "count": 1, "args": {"code": "E04", "message": "gone"}}),
            "000",
            200,
            "gone",
        ),
        (
            json!({"fault": "result_cd", "count": 1, "args": {"code": "999", "processed": true}}),
            "994",
            200,
            r#""resultCd":"999""#,
        ),
        (json!({"fault": "wrong_key", "count": 1}), "000", 200, r#""resultCd":"901""#),
    ] {
        let answer = strike(order.clone(), expected).await.unwrap();
        assert_eq!(answer.status, status, "{order}");
        assert!(answer.body.contains(words), "{order}: {}", answer.body);
    }
    let order = json!({"fault": "http_status", "count": 1, "args": {"status": 429, "retry_after": 7}});
    assert_eq!(strike(order, "000").await.unwrap().header("retry-after"), "7");
}

#[tokio::test]
async fn half_an_answer() {
    let text =
        strike(json!({"fault": "half_body", "count": 1}), "994").await.err().expect("an end in the middle");
    let (head, body) = text.split_once("\r\n\r\n").expect("a whole head");
    let length: usize =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    assert_eq!(body.len(), length / 2);
    assert!(body.starts_with(r#"{"resultCd":"000""#), "{body}");
}

#[tokio::test]
async fn answers_that_take_their_time() {
    for (fault, least) in [("slow", 150), ("slow_body", 7 * 20)] {
        let ms = if fault == "slow" { 150 } else { 20 };
        let begun = Instant::now();
        let answer = strike(json!({"fault": fault, "count": 1, "args": {"ms": ms}}), "994").await.unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(least), "{fault}");
        assert_eq!(answer.json()["resultCd"], "000");
    }
    let running = Running::start().await;
    let mut client = Client::connect(&running).await;
    client.register(INIT).await;
    running.controls.set(&json!({"latency": 60})).unwrap();
    let begun = Instant::now();
    assert_eq!(client.post("saveTrnsSalesOsdc", &SALE.replace("KEY", &client.key)).await.status, 200);
    assert!(begun.elapsed() >= Duration::from_millis(60));
}

#[tokio::test]
async fn hanging_until_the_client_gives_up() {
    for fault in [Fault::Hang, Fault::HangBeforeRead] {
        let running = Running::start().await;
        let mut client = Client::connect(&running).await;
        let key = client.register(INIT).await;
        let sale = SALE.replace("KEY", &key);
        running.controls.add_fault(FaultOrder::new(fault).times(1)).await.unwrap();
        let request = client.request("POST", "saveTrnsSalesOsdc", "application/json", "", &sale);
        client.stream.write_all(&request).await.unwrap();
        let spent = |books: &Value| books["devices"][0]["requests"]["saveTrnsSalesOsdc"] == 1;
        running.controls.wait_until(LIMIT, spent).await.expect("the request arrives");
        assert!(
            timeout(Duration::from_millis(100), client.stream.readable()).await.is_err(),
            "{fault:?} answered"
        );
        assert_eq!(accepted(&running.controls), 0);
        drop(client);
        let mut client = Client::connect(&running).await;
        client.key = key;
        assert_eq!(client.post("saveTrnsSalesOsdc", &sale).await.json()["resultCd"], "000", "{fault:?}");
    }
}

#[tokio::test]
async fn the_ghost_lands_later() {
    let running = Running::start().await;
    let mut client = Client::connect(&running).await;
    let key = client.register(INIT).await;
    let args = FaultArgs { ms: Some(150), ..FaultArgs::default() };
    running.controls.add_fault(FaultOrder::new(Fault::Late).times(1).with(args)).await.unwrap();
    let request =
        client.request("POST", "saveTrnsSalesOsdc", "application/json", "", &SALE.replace("KEY", &key));
    assert!(client.try_send(&request).await.is_err());
    assert_eq!(accepted(&running.controls), 0);
    let landed = |books: &Value| books["devices"][0]["accepted"] == 1;
    running.controls.wait_until(LIMIT, landed).await.expect("it lands");
}

#[tokio::test]
async fn the_line_is_cut_and_comes_back() {
    let running = Running::start().await;
    let mut client = Client::connect(&running).await;
    let key = client.register(INIT).await;
    // Over KRA's own address: the answer comes before the cut.
    let order = r#"{"fault":"refuse"}"#;
    let head =
        format!("POST /_sim/faults HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{order}", order.len());
    let mut idle = Client::connect(&running).await;
    idle.key = key.clone();
    let answer = client.send(head.as_bytes()).await;
    assert_eq!(answer.json()["line"]["up"], false);
    let error = TcpStream::connect(running.address).await.expect_err("nothing listens");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    // A connection that stood is cut too.
    let request =
        idle.request("POST", "saveTrnsSalesOsdc", "application/json", "", &SALE.replace("KEY", &key));
    assert!(idle.try_send(&request).await.is_err());
    assert_eq!(lever(&running, "POST", "line", r#"{"up":true}"#).await.status, 200);
    let mut client = Client::connect(&running).await;
    client.key = key;
    assert_eq!(
        client.post("saveTrnsSalesOsdc", &SALE.replace("KEY", &client.key)).await.json()["resultCd"],
        "000"
    );
    running.controls.line(false).await;
    assert!(TcpStream::connect(running.address).await.is_err());
    running.controls.clear_faults().await;
    assert!(TcpStream::connect(running.address).await.is_ok());
    let args = FaultArgs { ms: Some(100), ..FaultArgs::default() };
    running.controls.add_fault(FaultOrder::new(Fault::Refuse).with(args)).await.unwrap();
    assert!(TcpStream::connect(running.address).await.is_err());
    let back = async {
        while TcpStream::connect(running.address).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(LIMIT, back).await.expect("the line comes back by itself");
}

#[tokio::test]
async fn a_fault_keeps_to_its_function() {
    let options =
        Options { faults: vec!["lose_answer@saveTrnsSalesOsdc=1".parse().unwrap()], ..Options::default() };
    let running = Running::with(options).await;
    let mut client = Client::connect(&running).await;
    let key = client.register(INIT).await;
    let list =
        format!(r#"{{"tin":"P000000000A","bhfId":"00","cmcKey":"{key}","lastReqDt":"20180101000000"}}"#);
    assert_eq!(client.post("selectNoticeList", &list).await.json()["resultCd"], "000");
    let request =
        client.request("POST", "saveTrnsSalesOsdc", "application/json", "", &SALE.replace("KEY", &key));
    assert!(client.try_send(&request).await.is_err());
    assert_eq!(accepted(&running.controls), 1);
    let bad = lever(&running, "POST", "faults", r#"{"fault":"refuse","count":2}"#).await;
    assert_eq!(bad.status, 400, "{}", bad.body);
    assert_eq!(lever(&running, "POST", "faults", r#"{"fault":"hnag"}"#).await.status, 400);
    assert_eq!(lever(&running, "GET", "nothing", "").await.status, 404);
    assert_eq!(lever(&running, "DELETE", "faults", "").await.json()["faults"], json!([]));
}

#[tokio::test]
async fn books_and_levers() {
    let running = Running::start().await;
    let mut client = Client::connect(&running).await;
    let key = client.register(INIT).await;
    for number in 1..=3 {
        let sale = numbered(number).replace("KEY", &key);
        assert_eq!(client.post("saveTrnsSalesOsdc", &sale).await.json()["resultCd"], "000");
    }
    let foreign = r#"{"tin":"P000000000A","bhfId":"00","trdInvcNo":"OTHER-1"}"#;
    assert_eq!(lever(&running, "POST", "books/foreign", foreign).await.json()["invcNo"], 4);
    let books = lever(&running, "GET", "books?after=2", "").await.json();
    let device = &books["devices"][0];
    assert_eq!(
        (&device["next"], &device["accepted"], &device["dvcSrlNo"]),
        (&json!(5), &json!(4), &json!("TILL/1"))
    );
    assert_eq!(device["sales"].as_array().unwrap().len(), 2);
    assert_eq!((&device["concurrent"], &books["concurrent"]), (&json!(1), &json!(1)));
    assert_eq!(books["requests"]["saveTrnsSalesOsdc"], 3);
    let raw = lever(&running, "GET", "books/raw?tin=P000000000A&after=3", "").await.json();
    assert_eq!(raw["invoices"][0]["trdInvcNo"], "OTHER-1");
    let settings = lever(&running, "POST", "settings", r#"{"convention":"net-price"}"#).await.json();
    assert_eq!(settings["convention"], "net-price");
    assert_eq!(
        lever(&running, "POST", "books/next", r#"{"tin":"P000000000A","bhfId":"00","next":9}"#).await.status,
        200
    );
    let forget = r#"{"tin":"P000000000A","bhfId":"00"}"#;
    assert_eq!(lever(&running, "POST", "devices/forget", forget).await.json()["forgotten"], true);
    let requests = lever(&running, "GET", "requests?after=3", "").await.json();
    assert_eq!(requests["requests"].as_array().unwrap().len(), 1);
    // The second listener is for the levers alone.
    let mut client = Client::to(running.control).await;
    assert_eq!(client.post("selectCodeList", "{}").await.status, 404);
}

#[tokio::test]
async fn saves_at_once_are_noticed() {
    let running = Running::start().await;
    let mut client = Client::connect(&running).await;
    let key = client.register(INIT).await;
    running.controls.add_fault(FaultOrder::new(Fault::Hang).times(2)).await.unwrap();
    let mut other = Client::connect(&running).await;
    other.key = key.clone();
    for client in [&mut client, &mut other] {
        let request =
            client.request("POST", "saveTrnsSalesOsdc", "application/json", "", &SALE.replace("KEY", &key));
        client.stream.write_all(&request).await.unwrap();
    }
    let both = |books: &Value| books["devices"][0]["concurrent"] == 2;
    running.controls.wait_until(LIMIT, both).await.expect("two in flight");
}

#[tokio::test]
async fn a_certificate_for_another_name() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem().into_bytes(), made.signing_key.serialize_pem().into_bytes());
    let faults = vec![FaultOrder::new(Fault::BadCertificate).times(1)];
    let tls = Some(Tls { certificate: certificate.clone(), key });
    let running = Running::with(Options { tls, faults, ..Options::default() }).await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&certificate).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TcpStream::connect(running.address).await.unwrap();
    let error = connector.connect(name.clone(), stream).await.expect_err("the wrong certificate");
    assert!(error.to_string().contains("certificate"), "{error}");
    let stream = TcpStream::connect(running.address).await.unwrap();
    let mut client = Client::over(connector.connect(name, stream).await.unwrap());
    client.register(INIT).await;
}
