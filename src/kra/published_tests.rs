use super::*;
use crate::gateway::ports::Publisher;
use crate::wire::lists::Told;

fn since() -> KraDateTime {
    KraDateTime::parse_kra("20180101000000").unwrap()
}

async fn ask(client: &Client) -> Told {
    client.published((Function::SelectItemClsList, since()), &device(), &key()).await
}

/// An answer with so many classes, which repeats our key where a name should be.
fn classes(count: u32) -> String {
    let rows: Vec<String> = (0..count)
        .map(|n| format!(r#"{{"itemClsCd":"{n}","itemClsNm":"{KEY} of {n}","useYn":"Y"}}"#))
        .collect();
    let list = rows.join(",");
    format!(
        r#"{{"resultCd":"000","resultMsg":"ok","resultDt":"20250115101533","data":{{"itemClsList":[{list}]}}}}"#
    )
}

#[tokio::test]
async fn a_long_list_is_read_as_it_comes_without_our_key() {
    let body = classes(20_000);
    let server = RawServer::start(vec![vec![Act::Read, reply(200, &body), Act::Hang]]).await;
    let (client, log) = plain(&server);
    let Told::News(listed, at) = ask(&client).await else { panic!("news") };
    assert_eq!(
        (listed.classes.len(), at.map(|at| at.to_string()).as_deref()),
        (20_000, Some("20250115101533"))
    );
    let mut classes = crate::fiscal::ItemClasses::default();
    for bucket in 0..=u8::MAX {
        classes.merge(bucket, &listed.classes, true);
    }
    assert_eq!(classes.find("19999").unwrap().name, "**** of 19999");
    assert!((0..=u8::MAX).all(|bucket| !classes.bucket(bucket).contains("SECRET")));
    let log = log.lock().unwrap();
    let [exchange] = log.as_slice() else { panic!("one exchange") };
    assert_eq!((exchange.outcome, exchange.received_bytes), ("news", body.len()));
    assert_eq!((exchange.result_cd.as_deref(), exchange.http_status), (Some("000"), Some(200)));
    assert!(exchange.bodies.bytes() < 1000, "the answer is not kept: {}", exchange.bodies.bytes());
    assert!(server.seen().requests[0].ends_with(r#""lastReqDt":"20180101000000"}"#));
}

#[tokio::test]
async fn what_is_no_whole_answer_brings_nothing() {
    let whole = classes(100);
    let cut = |length: usize| {
        vec![
            Act::Read,
            write(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{whole}")),
            Act::Close,
        ]
    };
    for (script, words) in [
        (cut(whole.len() + 1), "broke off"),
        (
            vec![
                Act::Read,
                write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"res\r\n"),
                Act::Close,
            ],
            "broke off",
        ),
        (
            vec![Act::Read, reply(200, &whole[..whole.len() - 9]), Act::Hang],
            "neither JSON nor well-formed XML",
        ),
        (vec![Act::Read, reply(200, ""), Act::Hang], "an empty body"),
        (vec![Act::Read, reply(200, "<html>maintenance</html>"), Act::Hang], "no resultCd"),
        (vec![Act::Read, Act::Close], "connection closed"),
        (vec![Act::Read, reply(503, &whole), Act::Hang], "ok"),
    ] {
        let server = RawServer::start(vec![script]).await;
        let (client, log) = plain(&server);
        let Told::Failed(said) = ask(&client).await else { panic!("failed: {words}") };
        assert!(said.message.contains(words), "{words}: {}", said.message);
        assert_eq!(log.lock().unwrap()[0].outcome, "failed");
    }
}

#[tokio::test]
async fn no_server_and_no_such_function() {
    let (client, log) = client(settings("http://127.0.0.1:9/"));
    assert!(matches!(ask(&client).await, Told::Failed(_)));
    let exchange = log.lock().unwrap()[0].clone();
    assert_eq!((exchange.outcome, exchange.function), ("unreachable", None));
    let busy = r#"{"resultCd":"990","resultMsg":"too many views"}"#;
    for (status, body, missing) in
        [(404, "", true), (200, r#"{"resultCd":"912"}"#, true), (200, busy, false), (429, "", false)]
    {
        let server = RawServer::start(vec![vec![Act::Read, reply(status, body), Act::Hang]]).await;
        let (client, _) = plain(&server);
        match ask(&client).await {
            Told::Missing(_) => assert!(missing, "HTTP {status} {body}"),
            Told::Busy(_) => assert!(!missing, "HTTP {status} {body}"),
            other => panic!("HTTP {status} {body}: {other:?}"),
        }
    }
}
