//! The server against clients of every kind, over real sockets on loopback.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::HeaderValue;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::{Answer, BodyBudget, Guard, Limits, Listener, Peer, Request, serve};

/// Longest a test waits for anything; reached only when something is wrong.
const PATIENCE: Duration = Duration::from_secs(20);

/// A time limit under test, short enough to wait for.
const SHORT: Duration = Duration::from_millis(500);

/// What the handler under test waits for and tells.
#[derive(Default)]
struct Stage {
    entered: Notify,
    go_on: Gate,
    left: Notify,
}

/// A gate that starts closed.
struct Gate(Semaphore);

impl Default for Gate {
    fn default() -> Self {
        Gate(Semaphore::new(0))
    }
}

struct Server {
    address: Option<SocketAddr>,
    stage: Arc<Stage>,
    stop: watch::Sender<bool>,
    done: JoinHandle<()>,
}

async fn start(limits: Limits) -> Server {
    start_on(Listener::tcp("127.0.0.1:0".parse().unwrap()).await.unwrap(), limits)
}

fn start_on(listener: Listener, limits: Limits) -> Server {
    let address = listener.local_addr();
    let guard = Guard::new(vec!["https://pos.example".to_owned()], address.as_slice(), None).unwrap();
    let (stop, shutdown) = watch::channel(false);
    let stage = Arc::new(Stage::default());
    let on_stage = Arc::clone(&stage);
    let handler = move |request| play(request, Arc::clone(&on_stage));
    let done = tokio::spawn(serve(listener, limits, guard, handler, shutdown));
    Server { address, stage, stop, done }
}

/// `/wait` waits for the stage; `/stream` sends a piece, then more until nobody takes them; all else tells what came.
async fn play(request: Request, stage: Arc<Stage>) -> Answer {
    match request.segments.first().map(String::as_str) {
        Some("wait") => {
            stage.entered.notify_one();
            stage.go_on.0.acquire().await.unwrap().forget();
            stage.left.notify_one();
            Answer::json(StatusCode::CREATED, &json!({"status": "done"}))
        }
        Some("stream") => {
            let (sender, pieces) = mpsc::channel(1);
            tokio::spawn(async move {
                let piece = Bytes::from(vec![b'x'; 64 << 10]);
                while request.segments.len() > 1 && sender.send(piece.clone()).await.is_ok() {}
                let _gone = sender.send(Bytes::from_static(b"data: 1\n\n")).await;
                sender.closed().await;
                stage.left.notify_one();
            });
            Answer::stream(StatusCode::OK, HeaderValue::from_static("text/event-stream"), pieces)
        }
        _ => {
            let peer = match request.peer {
                Peer::Tcp(_) => json!("tcp"),
                Peer::Unix { pid, uid } => json!({"pid": pid, "uid": uid}),
            };
            let said = json!({
                "method": request.method.as_str(), "path": request.path, "segments": request.segments,
                "query": request.query, "length": request.body.len(), "peer": peer,
                "body": String::from_utf8_lossy(&request.body[..request.body.len().min(100)]),
            });
            Answer::json(StatusCode::OK, &said)
        }
    }
}

impl Server {
    async fn connect(&self) -> Client<TcpStream> {
        Client { stream: TcpStream::connect(self.address.unwrap()).await.unwrap(), read: Vec::new() }
    }

    /// Tells it to stop and waits until it has.
    async fn finish(self) {
        self.stop.send_replace(true);
        soon(self.done).await.unwrap();
    }
}

async fn soon<F: Future>(future: F) -> F::Output {
    timeout(PATIENCE, future).await.expect("this happens in time")
}

struct Client<S> {
    stream: S,
    read: Vec<u8>,
}

#[derive(Debug)]
struct Heard {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Heard {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// A refusal with this status and code, in the form of all refusals.
    fn refuses(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert!(self.head.contains("content-type: application/json"), "{self:?}");
        assert_eq!(self.json()["error"], code, "{self:?}");
        assert!(self.json()["message"].as_str().is_some_and(|message| !message.is_empty()), "{self:?}");
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    async fn say(&mut self, text: impl AsRef<[u8]>) {
        soon(self.stream.write_all(text.as_ref())).await.unwrap();
    }

    async fn post(&mut self, path: &str, body: &str) -> Heard {
        self.say(posted(path, body)).await;
        self.hear().await
    }

    /// The next answer of known length.
    async fn hear(&mut self) -> Heard {
        let head = self.hear_head().await;
        let status = head[9..12].parse().unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |length| length.parse().unwrap());
        while self.read.len() < length {
            assert!(self.more().await > 0, "the body broke off: {head}");
        }
        let body = self.read.drain(..length).collect();
        Heard { status, head, body }
    }

    async fn hear_head(&mut self) -> String {
        loop {
            if let Some(end) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                return String::from_utf8(self.read.drain(..end + 4).collect()).unwrap();
            }
            assert!(
                self.more().await > 0,
                "closed before an answer: {:?}",
                String::from_utf8_lossy(&self.read)
            );
        }
    }

    /// Reads until the server closes or resets; gives what came.
    async fn hear_all(mut self) -> Vec<u8> {
        while self.more().await > 0 {}
        self.read
    }

    async fn more(&mut self) -> usize {
        let mut buffer = [0; 8192];
        let count = soon(self.stream.read(&mut buffer)).await.unwrap_or(0);
        self.read.extend_from_slice(&buffer[..count]);
        count
    }
}

fn posted(path: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[tokio::test]
async fn a_request_arrives_whole_and_decoded() {
    let server = start(Limits::default()).await;
    let mut client = server.connect().await;
    let said = client.post("/api/sales/A%2F1/?wait=30&q=a+b", "{\"x\":1}").await.json();
    assert_eq!(said["segments"], json!(["api", "sales", "A/1"]));
    assert_eq!(said["path"], "/api/sales/A%2F1/");
    assert_eq!(said["query"], json!([["wait", "30"], ["q", "a b"]]));
    assert_eq!(
        (&said["body"], &said["method"], &said["peer"]),
        (&json!("{\"x\":1}"), &json!("POST"), &json!("tcp"))
    );
    client.say("GET /%zz HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    client.hear().await.refuses(400, "bad_request");
    server.finish().await;
}

#[tokio::test]
async fn requests_follow_each_other_on_one_connection() {
    let server = start(Limits::default()).await;
    let mut client = server.connect().await;
    client.say([posted("/1", "{}"), posted("/2", "{\"a\":2}"), GET.to_owned()].concat()).await;
    for path in ["/1", "/2", "/"] {
        assert_eq!(client.hear().await.json()["path"], path);
    }
    client.say("POST /3 HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    client.say("3\r\n{\"a\r\n").await;
    client.say("4;x=y\r\n\":1}\r\n0\r\nTrailer: x\r\n\r\n").await;
    assert_eq!(client.hear().await.json()["body"], "{\"a\":1}");
    server.finish().await;
    assert!(client.hear_all().await.is_empty());
}

#[tokio::test]
async fn a_client_that_closes_its_sending_half_hears_the_answer() {
    let server = start(Limits::default()).await;
    let mut client = server.connect().await;
    client.say(posted("/wait", "{}")).await;
    client.stream.shutdown().await.unwrap();
    soon(server.stage.entered.notified()).await;
    server.stage.go_on.0.add_permits(1);
    assert_eq!(client.hear().await.status, 201);
    server.finish().await;
}

#[tokio::test]
async fn slow_headers_end_the_connection() {
    let server = start(Limits { header_timeout: SHORT, ..Limits::default() }).await;
    let silent = server.connect().await;
    let mut trickling = server.connect().await;
    let start = Instant::now();
    trickling.say("GET / HTTP/1.1\r\nHost: localhost\r\n").await;
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    while start.elapsed() < PATIENCE {
        ticks.tick().await;
        if trickling.stream.write_all(b"X: y\r\n").await.is_err() {
            break;
        }
    }
    assert!(start.elapsed() >= SHORT && start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    assert!(silent.hear_all().await.is_empty());
    server.finish().await;
}

#[tokio::test]
async fn an_idle_connection_rests_longer_than_headers_may_take_then_ends() {
    let limits = Limits { header_timeout: SHORT, idle_timeout: 3 * SHORT, ..Limits::default() };
    let server = start(limits).await;
    let mut client = server.connect().await;
    client.say(GET).await;
    assert_eq!(client.hear().await.status, 200);
    let start = Instant::now();
    assert!(client.hear_all().await.is_empty());
    assert!(start.elapsed() > 2 * SHORT, "{:?}", start.elapsed());
    server.finish().await;
}

#[tokio::test]
async fn slow_bodies_are_refused() {
    let server = start(Limits { body_timeout: SHORT, ..Limits::default() }).await;
    let mut client = server.connect().await;
    client.say("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\n{").await;
    client.hear().await.refuses(408, "too_slow");
    assert!(client.hear_all().await.is_empty());
    server.finish().await;
}

#[tokio::test]
async fn a_client_that_takes_no_answer_is_given_up() {
    let server = start(Limits { body_timeout: SHORT, ..Limits::default() }).await;
    let mut client = server.connect().await;
    client.say("GET /stream/endless HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    soon(server.stage.left.notified()).await;
    drop(client);
    server.finish().await;
}

#[tokio::test]
async fn a_client_that_vanishes_gives_back_its_place() {
    let server = start(Limits { max_connections: 1, ..Limits::default() }).await;
    for half in [
        "",
        "POST / HT",
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{",
    ] {
        let mut client = server.connect().await;
        client.say(half).await;
        drop(client);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut next = server.connect().await;
            next.say(GET).await;
            if next.hear().await.status == 200 {
                break;
            }
            assert!(Instant::now() < deadline, "the place of {half:?} never came back");
            tokio::task::yield_now().await;
        }
    }
    server.finish().await;
}

#[tokio::test]
async fn a_hang_up_does_not_stop_the_handler_and_the_end_waits_for_it() {
    let server = start(Limits::default()).await;
    let mut client = server.connect().await;
    client.say(posted("/wait", "{}")).await;
    soon(server.stage.entered.notified()).await;
    drop(client);
    server.stop.send_replace(true);
    let stage = Arc::clone(&server.stage);
    let mut done = server.done;
    assert!(timeout(SHORT, &mut done).await.is_err(), "it stopped over a handler at work");
    stage.go_on.0.add_permits(1);
    soon(stage.left.notified()).await;
    soon(done).await.unwrap();
}

#[tokio::test]
async fn shutdown_finishes_what_is_in_hand_and_closes_what_rests() {
    let server = start(Limits::default()).await;
    let (mut resting, fresh, mut busy, mut half) =
        (server.connect().await, server.connect().await, server.connect().await, server.connect().await);
    resting.say(GET).await;
    assert_eq!(resting.hear().await.status, 200);
    half.say("GET / HT").await;
    busy.say(posted("/wait", "{}")).await;
    soon(server.stage.entered.notified()).await;
    server.stop.send_replace(true);
    assert!(resting.hear_all().await.is_empty());
    assert!(fresh.hear_all().await.is_empty());
    assert!(half.hear_all().await.is_empty());
    assert!(TcpStream::connect(server.address.unwrap()).await.is_err(), "still accepting");
    server.stage.go_on.0.add_permits(1);
    let heard = busy.hear().await;
    assert_eq!((heard.status, heard.json()), (201, json!({"status": "done"})));
    assert!(busy.hear_all().await.is_empty());
    soon(server.done).await.unwrap();
}

#[tokio::test]
async fn three_hundred_connections_at_once() {
    let server = start(Limits { max_connections: 300, ..Limits::default() }).await;
    let mut clients = Vec::new();
    for _ in 0..300 {
        clients.push(server.connect().await);
    }
    for client in &mut clients {
        client.say(posted("/", "{}")).await;
    }
    for client in &mut clients {
        assert_eq!(client.hear().await.status, 200);
    }
    let mut beyond = server.connect().await;
    beyond.say(GET).await;
    let heard = beyond.hear().await;
    heard.refuses(503, "busy");
    assert!(heard.head.contains("retry-after: 1"), "{heard:?}");
    assert!(beyond.hear_all().await.is_empty());
    assert_eq!(clients[299].post("/", "{}").await.status, 200);
    drop(clients);
    server.finish().await;
}

#[tokio::test]
async fn heads_that_are_too_large_or_no_http() {
    let server = start(Limits::default()).await;
    let long = "a".repeat(20_000);
    for (said, status, code) in [
        (format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {long}\r\n\r\n"), 431, "head_too_large"),
        (
            format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "X: y\r\n".repeat(200)),
            431,
            "head_too_large",
        ),
        ("nonsense\r\n\r\n".to_owned(), 400, "bad_request"),
        ("GET / HTTP/1.1\r\nHost localhost\r\n\r\n".to_owned(), 400, "bad_request"),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400, "bad_request"),
    ] {
        let mut client = server.connect().await;
        client.say(said.as_bytes()).await;
        client.hear().await.refuses(status, code);
    }
    server.finish().await;
}

#[tokio::test]
async fn bodies_that_are_too_large() {
    fn sync_takes_more(path: &str) -> Option<usize> {
        (path.trim_end_matches('/') == "/api/item/sync").then_some(3 << 20)
    }
    let server = start(Limits { max_body_of: sync_takes_more, ..Limits::default() }).await;
    let (fits, over) = ("x".repeat(1 << 20), "x".repeat((1 << 20) + 1));
    let mut client = server.connect().await;
    assert_eq!(client.post("/", &fits).await.json()["length"], 1 << 20);
    client.post("/", &over).await.refuses(413, "too_large");
    assert_eq!(client.post("/", "{}").await.status, 200, "the same connection goes on");
    assert_eq!(client.post("/api/item/sync/", &over).await.json()["length"], (1 << 20) + 1);
    client.say("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    client.say(format!("100001\r\n{over}\r\n0\r\n\r\n")).await;
    client.hear().await.refuses(413, "too_large");
    let mut endless = server.connect().await;
    endless.say("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\nExpect: 100-continue\r\n\r\n").await;
    endless.hear().await.refuses(413, "too_large");
    assert!(endless.hear_all().await.is_empty());
    server.finish().await;
}

#[tokio::test]
async fn a_client_that_asks_first_is_told_to_go_on() {
    let server = start(Limits::default()).await;
    let mut client = server.connect().await;
    let head = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    client.say(head).await;
    assert!(client.hear_head().await.starts_with("HTTP/1.1 100 "));
    client.say("{}").await;
    assert_eq!(client.hear().await.json()["body"], "{}");
    server.finish().await;
}

#[tokio::test]
async fn all_bodies_together_are_bounded() {
    let server = start(Limits { all_bodies: BodyBudget::new(100), ..Limits::default() }).await;
    let mut holder = server.connect().await;
    holder.say(posted("/wait", &"x".repeat(60))).await;
    soon(server.stage.entered.notified()).await;
    let mut other = server.connect().await;
    other.post("/", &"x".repeat(60)).await.refuses(503, "busy");
    server.stage.go_on.0.add_permits(1);
    assert_eq!(holder.hear().await.status, 201);
    assert_eq!(other.post("/", &"x".repeat(60)).await.status, 200);
    server.finish().await;
}

#[tokio::test]
async fn the_guard_stands_before_the_handler() {
    let server = start(Limits::default()).await;
    let mut client = server.connect().await;
    client.say(posted("/", "{}").replace("localhost", "evil.example")).await;
    client.hear().await.refuses(421, "wrong_host");
    client.say(posted("/", "{}").replace("\r\n\r\n", "\r\nOrigin: https://evil.example\r\n\r\n")).await;
    client.hear().await.refuses(403, "origin_not_allowed");
    client.say(posted("/", "{}").replace("application/json", "text/plain")).await;
    client.hear().await.refuses(415, "not_json");
    client.say(posted("/", "{}").replace("\r\n\r\n", "\r\nOrigin: https://pos.example\r\n\r\n")).await;
    let heard = client.hear().await;
    assert_eq!(heard.status, 200);
    assert!(heard.head.contains("access-control-allow-origin: https://pos.example"), "{heard:?}");
    client.say("OPTIONS /x HTTP/1.1\r\nHost: localhost\r\nOrigin: https://pos.example\r\nAccess-Control-Request-Method: POST\r\n\r\n").await;
    let heard = client.hear().await;
    assert_eq!(heard.status, 204);
    assert!(heard.head.contains("access-control-allow-methods: GET, POST"), "{heard:?}");
    server.finish().await;
}

#[tokio::test]
async fn streams_send_each_piece_at_once_and_end_with_the_server() {
    let server = start(Limits::default()).await;
    let mut client = server.connect().await;
    client.say("GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(client.hear_head().await.contains("content-type: text/event-stream"));
    while !client.read.ends_with(b"data: 1\n\n\r\n") {
        assert!(client.more().await > 0);
    }
    let stage = Arc::clone(&server.stage);
    server.finish().await;
    assert!(client.hear_all().await.ends_with(b"0\r\n\r\n"), "a clean end");
    soon(stage.left.notified()).await;
}

#[tokio::test]
async fn unix_sockets_know_who_calls() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("till.sock");
    let server = start_on(Listener::unix(&path, 0o600, None).unwrap(), Limits::default());
    let mut client = Client { stream: UnixStream::connect(&path).await.unwrap(), read: Vec::new() };
    client.say("GET / HTTP/1.1\r\nHost: anything\r\n\r\n").await;
    let said = client.hear().await.json();
    assert_eq!(said["peer"]["pid"], std::process::id());
    assert!(said["peer"]["uid"].is_u64());
    client.say("GET / HTTP/1.1\r\n\r\n").await;
    assert_eq!(client.hear().await.status, 200);
    server.finish().await;
    assert!(!path.exists(), "the file is removed at close");
}

#[tokio::test]
async fn sockets_can_be_passed() {
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listener = Listener::from_fd(tcp.into()).unwrap();
    let server = start_on(listener, Limits::default());
    assert_eq!(server.connect().await.post("/", "{}").await.status, 200);
    server.finish().await;

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("till.sock");
    let unix = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let listener = Listener::from_fd(unix.into()).unwrap();
    assert_eq!(listener.to_string(), path.display().to_string());
    drop(listener);
    assert!(path.exists(), "the service manager's file is left alone");
    let connected = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = std::net::TcpStream::connect(connected.local_addr().unwrap()).unwrap();
    assert!(Listener::from_fd(stream.into()).is_err());
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let first = Listener::tcp("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = first.local_addr().unwrap();
    let error = Listener::tcp(address).await.unwrap_err().to_string();
    assert!(error.contains(&address.to_string()), "{error}");
}
