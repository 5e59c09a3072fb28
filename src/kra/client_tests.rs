use std::sync::Arc;
use std::sync::Mutex as StdMutex;

use crate::fiscal::{BhfId, DeviceSerial, Tin};
use crate::kra::raw_server::{Act, DEADLINE, RawServer, reply, write};
use crate::kra::{BaseUrl, Exchange};
use crate::queue::Words;

use crate::wire::{Paths, sign};

use super::*;

const KEY: &str = "SECRETKEY0123456789";

const ACCEPTED: &str = r#"{"resultCd":"000","resultMsg":"ok","data":{"curRcptNo":1,"totRcptNo":1,
    "intrlData":"ABCDEFGHIJKLMNOPQRSTUVWXYZ","rcptSign":"ABCDEFGHIJKLMNOP","sdcDateTime":"20250115101533"}}"#;

fn device() -> DeviceIdentity {
    DeviceIdentity {
        tin: Tin::new("P000000000A").unwrap(),
        bhf_id: BhfId::new("00").unwrap(),
        serial: DeviceSerial::new("GW 1").unwrap(),
    }
}

fn key() -> CmcKey {
    CmcKey::new(KEY).unwrap()
}

fn sale() -> FrozenRequest {
    let body = br#"{"cmcKey":"","trdInvcNo":"T-1","invcNo":1}"#.to_vec();
    FrozenRequest { function: Function::SaveTrnsSalesOsdc, format: Format::Json, body, key_at: 11 }
}

fn about() -> About {
    About { document: Some(5), trader_ref: Some("T-1".into()), invoice_no: Some(1), attempt: Some(1) }
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

type Log = Arc<StdMutex<Vec<Exchange>>>;

fn client(settings: Settings) -> (Client, Log) {
    let log = Log::default();
    let kept = Arc::clone(&log);
    let observer = Box::new(move |exchange: &Exchange| kept.lock().unwrap().push(exchange.clone()));
    (Client::new(settings, observer).unwrap(), log)
}

fn plain(server: &RawServer) -> (Client, Log) {
    client(settings(&format!("http://{}/etims-api/", server.address)))
}

async fn send(client: &Client) -> Sent {
    client.connect().await.unwrap();
    client.save(&sale(), &device(), &key(), &about()).await
}

fn in_doubt(sent: Sent) -> Words {
    match sent {
        Sent::InDoubt(words) => words,
        other => panic!("must be in doubt: {other:?}"),
    }
}

fn accepted(sent: &Sent) -> bool {
    matches!(sent, Sent::Answered(Verdict::Accepted(_)))
}

#[tokio::test]
async fn one_connection_serves_many_saves() {
    let server = RawServer::start(vec![vec![
        Act::Read,
        reply(200, ACCEPTED),
        Act::Read,
        reply(200, r#"{"resultCd":"910","resultMsg":"custNm"}"#),
        Act::Read,
        write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n11\r\n{\"resultCd\":\"994\"\r\n1\r\n}\r\n0\r\n\r\n"),
        Act::Hang,
    ]])
    .await;
    let (client, log) = plain(&server);
    assert!(accepted(&send(&client).await));
    assert!(matches!(send(&client).await, Sent::Answered(Verdict::Refused(_))));
    assert!(matches!(send(&client).await, Sent::Answered(Verdict::Duplicate(_))));
    let seen = server.seen();
    assert_eq!((seen.connections, seen.requests.len()), (1, 3));
    let log = log.lock().unwrap();
    let outcomes: Vec<_> = log.iter().map(|exchange| (exchange.outcome, exchange.http_status)).collect();
    assert_eq!(outcomes, [("accepted", Some(200)), ("refused", Some(200)), ("duplicate", Some(200))]);
    assert_eq!(log[1].result_cd.as_deref(), Some("910"));
    assert_eq!(log[0].trader_ref.as_deref(), Some("T-1"));
}

#[tokio::test]
async fn what_a_request_looks_like() {
    let server =
        RawServer::start(vec![vec![Act::Read, reply(200, ACCEPTED)], vec![Act::Read, reply(200, "{}")]])
            .await;
    let mut settings = settings(&format!("http://{}/etims-api", server.address));
    settings.sign_requests = true;
    settings.paths.set(Function::SelectInvoiceDetails, "/selectInvoiceDetail").unwrap();
    let (client, _) = client(settings);
    send(&client).await;
    client.look_up(7, &device(), &key(), &About::default()).await;
    let requests = server.seen().requests;
    let (head, body) = requests[0].split_once("\r\n\r\n").unwrap();
    assert_eq!(body, format!(r#"{{"cmcKey":"{KEY}","trdInvcNo":"T-1","invcNo":1}}"#));
    let signature = sign::value(&key(), body.as_bytes());
    for line in [
        "POST /etims-api/saveTrnsSalesOsdc HTTP/1.1".to_owned(),
        format!("host: {}", server.address),
        format!("user-agent: etims-gateway/{}", env!("CARGO_PKG_VERSION")),
        "content-type: application/json".to_owned(),
        "tin: P000000000A".to_owned(),
        "bhfid: 00".to_owned(),
        format!("cmckey: {KEY}"),
        format!("x-signature: {signature}"),
    ] {
        assert!(head.lines().any(|given| given == line), "{line} in {head}");
    }
    assert!(requests[1].starts_with("POST /etims-api/selectInvoiceDetail HTTP/1.1\r\n"));
    assert!(
        requests[1]
            .ends_with(&format!(r#"{{"tin":"P000000000A","bhfId":"00","cmcKey":"{KEY}","invcNo":7}}"#))
    );
}

#[tokio::test]
async fn a_connection_the_server_closed_is_not_used() {
    let script = || vec![Act::Read, reply(200, ACCEPTED)];
    let server = RawServer::start(vec![script(), script()]).await;
    let (client, _) = plain(&server);
    assert!(accepted(&send(&client).await));
    server.until(|seen| seen.closed == 1).await;
    assert!(accepted(&send(&client).await));
    let seen = server.seen();
    assert_eq!((seen.connections, seen.requests.len()), (2, 2));
}

#[tokio::test]
async fn a_connection_the_server_spoke_on_unasked_is_not_used() {
    let unasked = write("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n");
    let script = vec![Act::Read, reply(200, ACCEPTED), unasked];
    let server = RawServer::start(vec![script, vec![Act::Read, reply(200, ACCEPTED)]]).await;
    let (client, _) = plain(&server);
    assert!(accepted(&send(&client).await));
    server.until(|seen| seen.closed == 1).await;
    assert!(accepted(&send(&client).await));
    assert_eq!(server.seen().connections, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_closed_between_connect_and_save_tells_the_truth() {
    // The server closes as soon as it has accepted: whether the client sees it in time or not, the request was
    // never read, and nothing is sent a second time.
    for _ in 0..20 {
        let server = RawServer::start(vec![vec![Act::Close], vec![Act::Read, reply(200, ACCEPTED)]]).await;
        let (client, log) = plain(&server);
        client.connect().await.unwrap();
        server.until(|seen| seen.closed == 1).await;
        let sent = client.save(&sale(), &device(), &key(), &about()).await;
        match &sent {
            Sent::Not(unreachable) => assert_eq!(unreachable.at, Step::Lost),
            Sent::InDoubt(_) => {}
            Sent::Answered(_) => panic!("{sent:?}"),
        }
        let seen = server.seen();
        assert_eq!((seen.connections, seen.requests.len()), (1, 0), "{sent:?}");
        let outcome = if matches!(sent, Sent::Not(_)) { "not_sent" } else { "in_doubt" };
        assert_eq!(log.lock().unwrap()[0].outcome, outcome);
        // What stood is gone: a save without a new connection goes nowhere.
        let again = client.save(&sale(), &device(), &key(), &about()).await;
        assert!(matches!(again, Sent::Not(Unreachable { at: Step::Lost, .. })));
    }
}

#[tokio::test]
async fn a_close_seen_in_time_is_not_sent() {
    let server = RawServer::start(vec![vec![Act::Close]]).await;
    let (client, _) = plain(&server);
    client.connect().await.unwrap();
    server.until(|seen| seen.closed == 1).await;
    // The runtime has polled the socket once more since the server closed it.
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
    let sent = client.save(&sale(), &device(), &key(), &about()).await;
    assert!(matches!(sent, Sent::Not(Unreachable { at: Step::Lost, .. })), "{sent:?}");
}

#[tokio::test]
async fn everything_else_that_goes_wrong_is_in_doubt() {
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"resultCd\":\"000\"";
    let many_fields = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(200));
    for (name, script) in [
        ("closed after reading", vec![Act::Read, Act::Close]),
        ("half a head", vec![Act::Read, write("HTTP/1.1 200 O"), Act::Close]),
        ("half a body", vec![Act::Read, write(half), Act::Close]),
        (
            "half a chunked body",
            vec![
                Act::Read,
                write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n{\"resultCd\":\"000\""),
                Act::Close,
            ],
        ),
        ("no HTTP", vec![Act::Read, write("SSH-2.0-OpenSSH\r\n\r\n"), Act::Close]),
        (
            "a length too many",
            vec![
                Act::Read,
                write("HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n"),
                Act::WriteEndlessly(b' '),
            ],
        ),
        ("an endless body", vec![Act::Read, write("HTTP/1.1 200 OK\r\n\r\n"), Act::WriteEndlessly(b' ')]),
        ("an endless head", vec![Act::Read, write("HTTP/1.1 200 OK\r\nx: "), Act::WriteEndlessly(b'x')]),
        ("too many fields", vec![Act::Read, write(many_fields), Act::Hang]),
    ] {
        let server = RawServer::start(vec![script, vec![Act::Read, reply(200, ACCEPTED)]]).await;
        let (client, log) = plain(&server);
        let words = in_doubt(send(&client).await);
        assert!(!words.message.is_empty(), "{name}");
        assert_eq!(log.lock().unwrap()[0].outcome, "in_doubt", "{name}");
        let seen = server.seen();
        assert_eq!((seen.connections, seen.requests.len()), (1, 1), "{name}: sent once");
        // The connection is gone, on both sides; the next save takes another.
        server.until(|seen| seen.closed == 1).await;
        assert!(accepted(&send(&client).await), "{name}");
        assert_eq!(server.seen().connections, 2, "{name}");
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_in_doubt_and_dropped() {
    for script in [
        vec![Act::Read, Act::Hang],
        vec![Act::Hang],
        vec![Act::Read, write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"), Act::Hang],
    ] {
        let server = RawServer::start(vec![script, vec![Act::Read, reply(200, ACCEPTED)]]).await;
        let mut settings = settings(&format!("http://{}", server.address));
        settings.request_timeout = Duration::from_millis(100);
        let (client, _) = client(settings);
        let began = Instant::now();
        let words = in_doubt(send(&client).await);
        assert!(words.message.contains("within"), "{}", words.message);
        assert!(began.elapsed() >= Duration::from_millis(100));
        server.until(|seen| seen.closed == 1).await;
        assert!(accepted(&send(&client).await));
    }
}

#[tokio::test]
async fn answers_that_are_not_kras() {
    let page = "<html><head><title>Maintenance</title></head><body>back soon<br></body></html>";
    let server = RawServer::start(vec![
        vec![Act::Read, reply(200, page), Act::Hang],
        vec![Act::Read, reply(503, page), Act::Hang],
    ])
    .await;
    let (client, _) = plain(&server);
    for expected in [200, 503] {
        let Sent::Answered(Verdict::Unsure(words)) = send(&client).await else { panic!() };
        assert_eq!(words.http_status, Some(expected));
    }
    // After an answer that cannot be read the connection is not used again, though the server would.
    assert_eq!(server.seen().connections, 2);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = RawServer::start(vec![vec![Act::Read, reply(200, ACCEPTED)]]).await;
    let moved = format!(
        "HTTP/1.1 307 Moved\r\nLocation: http://{}/x\r\nContent-Length: 0\r\n\r\n",
        elsewhere.address
    );
    let server = RawServer::start(vec![vec![Act::Read, write(moved), Act::Hang]]).await;
    let (client, _) = plain(&server);
    let Sent::Answered(Verdict::Config(words)) = send(&client).await else { panic!() };
    assert_eq!(words.http_status, Some(307));
    assert_eq!(elsewhere.seen().connections, 0);
}

#[tokio::test]
async fn connection_close_is_honoured() {
    let last = format!(
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{ACCEPTED}",
        ACCEPTED.len()
    );
    let server = RawServer::start(vec![
        vec![Act::Read, write(last), Act::Hang],
        vec![Act::Read, reply(200, ACCEPTED), Act::Hang],
    ])
    .await;
    let (client, _) = plain(&server);
    assert!(accepted(&send(&client).await));
    assert!(accepted(&send(&client).await));
    assert_eq!(server.seen().connections, 2);
}

#[tokio::test]
async fn how_long_kra_wants_to_be_left_alone_is_read_with_every_status() {
    for status in [429, 503] {
        let answer = format!("HTTP/1.1 {status} X\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n");
        let server = RawServer::start(vec![vec![Act::Read, write(&answer), Act::Hang]]).await;
        let (client, _) = plain(&server);
        let Sent::Answered(verdict) = send(&client).await else { panic!() };
        assert_eq!(verdict.words().unwrap().retry_after, Some(Duration::from_secs(7)));
    }
}

#[tokio::test]
async fn what_never_came_to_a_connection_is_not_sent() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (refused, log) = client(settings(&format!("http://{address}")));
    let unreachable = refused.connect().await.unwrap_err();
    assert_eq!(unreachable.at, Step::Connect);
    assert!(unreachable.why.contains(&address.to_string()), "{}", unreachable.why);
    assert_eq!(log.lock().unwrap()[0].outcome, "unreachable");
    assert!(matches!(refused.probe(&device(), None).await, Probed::Down(_)));
    assert!(matches!(refused.look_up(1, &device(), &key(), &About::default()).await, LookedUp::Failed(_)));
    let Initialised::NotSent(unreachable) = refused.initialise(&device()).await else { panic!() };
    assert_eq!(unreachable.at, Step::Connect);

    let (nameless, _) = client(settings("https://kra.invalid"));
    assert_eq!(nameless.connect().await.unwrap_err().at, Step::Dns);
}

#[tokio::test]
async fn look_ups_take_a_fresh_connection() {
    let found = r#"{"resultCd":"000","data":{"salesList":[{"invcNo":7,"totAmt":116.00}]}}"#;
    let server = RawServer::start(vec![
        vec![Act::Read, reply(200, ACCEPTED), Act::Hang],
        vec![Act::Read, reply(200, found), Act::Hang],
        vec![Act::Read, reply(200, r#"{"resultCd":"001"}"#), Act::Hang],
        vec![Act::Read, reply(404, "nothing here"), Act::Hang],
        vec![Act::Read, Act::Close],
    ])
    .await;
    let (client, log) = plain(&server);
    assert!(accepted(&send(&client).await));
    let looked_up = client.look_up(7, &device(), &key(), &About::default()).await;
    assert!(matches!(looked_up, LookedUp::Found(found) if found.invoice_no == Some(7)));
    assert_eq!(client.look_up(8, &device(), &key(), &About::default()).await, LookedUp::Absent);
    assert!(matches!(client.look_up(8, &device(), &key(), &About::default()).await, LookedUp::Missing(_)));
    assert!(matches!(client.look_up(8, &device(), &key(), &About::default()).await, LookedUp::Failed(_)));
    assert_eq!(server.seen().connections, 5);
    let log = log.lock().unwrap();
    let outcomes: Vec<_> = log.iter().map(|exchange| (exchange.outcome, exchange.invoice_no)).collect();
    let expected = [
        ("accepted", Some(1)),
        ("found", Some(7)),
        ("absent", Some(8)),
        ("missing", Some(8)),
        ("failed", Some(8)),
    ];
    assert_eq!(outcomes, expected);
}

#[tokio::test]
async fn probes_on_both_wires() {
    let server = RawServer::start(vec![
        vec![Act::Read, reply(200, r#"{"resultCd":"001"}"#)],
        vec![Act::Read, reply(200, "<OsdcStatusRes><resultCd>000</resultCd></OsdcStatusRes>")],
        vec![Act::Read, reply(200, r#"{"resultCd":"901","resultMsg":"not a valid device"}"#)],
        vec![Act::Read, reply(200, r#"{"resultCd":"901","resultMsg":"not a valid device"}"#)],
    ])
    .await;
    let (json, _) = plain(&server);
    assert_eq!(json.probe(&device(), Some(&key())).await, Probed::Up);
    let mut settings = settings(&format!("http://{}/etims-api", server.address));
    settings.format = Format::Xml;
    settings.sign_requests = true;
    let (xml, _) = client(settings);
    assert_eq!(xml.probe(&device(), None).await, Probed::Up);
    assert_eq!(xml.probe(&device(), None).await, Probed::Up, "nothing to refuse yet");
    assert!(matches!(xml.probe(&device(), Some(&key())).await, Probed::Refused(_)));
    let requests = server.seen().requests;
    assert!(requests[0].starts_with("POST /etims-api/selectNoticeList HTTP/1.1\r\n"), "{}", requests[0]);
    assert!(requests[0].contains("\"lastReqDt\":\"20"));
    let query = "tin=P000000000A&bhfId=00&dvcSrlNo=GW%201";
    assert!(requests[1].starts_with(&format!("GET /etims-api/selectOsdcStatus?{query} HTTP/1.1\r\n")));
    assert!(requests[1].contains("\r\naccept: application/xml\r\n"));
    assert!(!requests[1].contains("cmckey") && !requests[1].contains("x-signature"));
    assert!(requests[3].contains(&format!("\r\ncmckey: {KEY}\r\n")) && !requests[3].contains("x-signature"));
}

#[tokio::test]
async fn registering() {
    let answer = format!(r#"{{"resultCd":"000","data":{{"info":{{"cmcKey":"{KEY}","sdcId":"KRACU1"}}}}}}"#);
    let server = RawServer::start(vec![
        vec![Act::Read, reply(200, &answer)],
        vec![Act::Read, Act::Close],
        vec![Act::Close],
    ])
    .await;
    let mut settings = settings(&format!("http://{}", server.address));
    settings.sign_requests = true;
    let (client, log) = client(settings);
    let initialised = client.initialise(&device()).await;
    assert_eq!(initialised, Initialised::Answered { http_status: 200, body: answer.into_bytes() });
    assert!(!format!("{initialised:?} {:?}", log.lock().unwrap()).contains(KEY));
    let request = server.seen().requests[0].clone();
    assert!(request.starts_with("POST /selectInitOsdcInfo HTTP/1.1\r\n"));
    assert!(!request.contains("cmcKey") && !request.contains("cmckey") && !request.contains("x-signature"));
    assert!(matches!(client.initialise(&device()).await, Initialised::InDoubt(_)));
    // Closed before it was read: the truth is "in doubt", unless it was noticed before the first byte.
    assert!(matches!(client.initialise(&device()).await, Initialised::InDoubt(_) | Initialised::NotSent(_)));
    assert_eq!(server.seen().requests.len(), 2);
}

#[tokio::test]
async fn the_key_is_in_no_words() {
    let echo = format!(r#"{{"resultCd":"901","resultMsg":"cmcKey {KEY} is not valid, {KEY}!"}}"#);
    let server =
        RawServer::start(vec![vec![Act::Read, reply(200, &echo)], vec![Act::Read, reply(200, &echo)]]).await;
    let (client, log) = plain(&server);
    let Sent::Answered(Verdict::Device(words)) = send(&client).await else { panic!() };
    assert_eq!(words.message, "cmcKey **** is not valid, ****!");
    let Probed::Refused(words) = client.probe(&device(), Some(&key())).await else { panic!() };
    assert!(!words.message.contains(KEY));
    assert!(!format!("{:?}", log.lock().unwrap()).contains(KEY));
    assert!(
        !format!(
            "{:?}",
            Call::filled(&sale(), &device(), &key(), &about()).request(&client.caller.settings).headers()
        )
        .contains(KEY)
    );
}

#[tokio::test]
async fn what_an_exchange_tells_of_time_and_bodies() {
    let body = format!(
        r#"{{"resultCd":"000","resultDt":"20250115130003","cmcKey":"{KEY}","resultMsg":"key {KEY}"}}"#
    );
    let dated = format!(
        "HTTP/1.1 200 OK\r\nDate: Wed, 15 Jan 2025 10:00:00 GMT\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let server =
        RawServer::start(vec![vec![Act::Read, write(dated.clone())], vec![Act::Read, write(dated)]]).await;
    let (client, log) = plain(&server);
    send(&client).await;
    let Initialised::Answered { .. } = client.initialise(&device()).await else { panic!() };
    let log = log.lock().unwrap();
    assert_eq!((log[0].date, log[0].result_dt), (Some(1_736_935_200), Some(1_736_935_203)));
    assert_eq!((log[0].document, log[0].attempt), (Some(5), Some(1)));
    let shown = format!("{log:?} {:?} {:?}", log[0].bodies.redacted(), log[1].bodies.redacted());
    assert!(!shown.contains(KEY), "{shown}");
    assert!(log[1].bodies.redacted().answer.contains("withheld"));
    assert!(log[0].bodies.redacted().request.contains("T-1"));
}

#[tokio::test]
async fn a_retry_after_date_is_counted_from_the_answers_own() {
    let busy = "HTTP/1.1 429 X\r\nDate: Wed, 15 Jan 2025 10:00:00 GMT\r\n\
        Retry-After: Wed, 15 Jan 2025 10:02:00 GMT\r\nContent-Length: 0\r\n\r\n";
    let server = RawServer::start(vec![vec![Act::Read, write(busy), Act::Hang]]).await;
    let (client, _) = plain(&server);
    let Sent::Answered(verdict) = send(&client).await else { panic!() };
    assert_eq!(verdict.words().unwrap().retry_after, Some(Duration::from_secs(120)));
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_no_connection_behind() {
    let server =
        RawServer::start(vec![vec![Act::Read, Act::Hang], vec![Act::Read, reply(200, ACCEPTED)]]).await;
    let (client, _) = plain(&server);
    client.connect().await.unwrap();
    {
        let (request, device, key, about) = (sale(), device(), key(), about());
        let save = client.save(&request, &device, &key, &about);
        let read = server.until(|seen| seen.requests.len() == 1);
        tokio::select! {
            sent = save => panic!("{sent:?}"),
            () = read => {}
        }
    }
    server.until(|seen| seen.closed == 1).await;
    assert!(accepted(&send(&client).await));
    assert_eq!(server.seen().connections, 2);
}

#[path = "published_tests.rs"]
mod published;
