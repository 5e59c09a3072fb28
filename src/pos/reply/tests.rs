//! Each answer's status and exact members.

use serde_json::{Value, json};

use super::*;
use crate::fiscal::{CmcKey, DeviceIdentity, Fault, FaultCode, KraDateTime, Label, Proof, Registration};
use crate::pos::{
    LineWord, QueueCounts, SaleFacts, Unavailable, Waiting, parse_device_request, without_prefix,
};
use crate::queue::Words;

fn device() -> DeviceIdentity {
    parse_device_request(br#"{"tin":"P000000000A","bhfId":"00","serialNumber":"GW-1"}"#).unwrap()
}

fn registration() -> Registration {
    Registration {
        device_id: "9990001".to_owned(),
        scu_id: "KRACU013000001".to_owned(),
        mrc_no: "WIS01000001".to_owned(),
        taxpayer_name: "Shop".to_owned(),
        ..Registration::default()
    }
}

fn time() -> KraDateTime {
    KraDateTime::parse("20250115101533").unwrap()
}

/// A sale in `status`, with everything known that may be known.
fn state(status: Status) -> SaleState {
    let (device, registration) = (device(), registration());
    let proof = Proof {
        receipt_no: 41,
        total_receipt_no: 42,
        internal_data: "D".repeat(26),
        signature: "ABCDEFGHIJKLMNOP".to_owned(),
        issued_at: time(),
    };
    let words = Words {
        result_cd: Some("910".to_owned()),
        message: "bad itemClsCd".to_owned(),
        http_status: Some(200),
        field: Some("itemClsCd".to_owned()),
        retry_after: None,
    };
    SaleState::of(&SaleFacts {
        trader_ref: without_prefix("A/000123", "A/"),
        status,
        label: Label::SaleNormal,
        running_number: 7,
        record_hash: &[0; 32],
        signature: &[0; 64],
        device: &device,
        registration: Some(&registration),
        portal_host: "etims.kra.go.ke",
        invoice_no: Some(42),
        proof: Some(&proof),
        words: Some(&words),
        original: None,
        original_elsewhere: None,
        replaces: None,
        replaced_by: None,
        settled_as: None,
        waiting: Some(Waiting { position: 3, retry_after: 5, in_doubt: true, next_check: Some(time()) }),
    })
}

fn check(reply: &Reply, http_status: u16, expected: Value) {
    assert_eq!(reply.http_status(), http_status, "{reply:?}");
    let body: Value = serde_json::from_slice(&reply.body()).unwrap();
    assert_eq!(body, expected);
    let serial = reply.serial_body();
    let start = format!("{{\"st\":{http_status},");
    assert!(serial.starts_with(start.as_bytes()), "{}", String::from_utf8_lossy(&serial));
    let mut with_status = expected;
    with_status["st"] = json!(http_status);
    assert_eq!(serde_json::from_slice::<Value>(&serial).unwrap(), with_status);
}

#[test]
fn signed() {
    let expected = json!({
        "status": "signed", "trdInvcNo": "000123", "receiptNo": 41, "totalReceiptNo": 42, "invcNo": 42,
        "signature": "ABCDEFGHIJKLMNOP", "internalData": "D".repeat(26), "sdcId": "KRACU013000001",
        "mrcNo": "WIS01000001", "sdcDateTime": "20250115101533", "label": "NS",
        "qrUrl": "https://etims.kra.go.ke/common/link/etims/receipt/indexEtimsReceiptData?Data=P000000000A00ABCDEFGHIJKLMNOP",
        "tempReceiptNo": "P-7-AAAA",
    });
    check(&Reply::accepted(state(Status::Signed)), 201, expected.clone());
    let mut repeat = expected;
    repeat["repeat"] = json!(true);
    repeat["acceptedAt"] = json!("2025-01-15T10:15:33+03:00");
    check(&Reply::repeated(state(Status::Signed).repeated(time())), 200, repeat);
}

#[test]
fn pending() {
    let expected = json!({
        "status": "pending", "trdInvcNo": "000123", "label": "NS", "tempReceiptNo": "P-7-AAAA",
        "localSignature": "AAAA-AAAA-AAAA-AAAA-AAAA", "position": 3, "retryAfter": 5, "attention": 0,
        "inDoubt": true, "nextCheck": "2025-01-15T10:15:33+03:00",
    });
    check(&Reply::accepted(state(Status::Pending)), 202, expected.clone());
    let mut attention = expected.clone();
    attention["attention"] = json!(2);
    check(&Reply::accepted(state(Status::Pending).with_attention(2)), 202, attention);
    let mut shown = expected;
    shown["acceptedAt"] = json!("2025-01-15T10:15:33+03:00");
    shown["localSignatureFull"] = json!("A".repeat(103));
    let full = state(Status::Pending).in_full(time(), &[0; 64]);
    check(&Reply::SaleShown(Box::new(full)), 200, shown);
}

#[test]
fn refused_by_kra() {
    let reply = Reply::accepted(state(Status::Rejected));
    let expected = json!({
        "error": "kra_rejected", "message": Refusal::KraRejected(Box::new(state(Status::Rejected))).message(),
        "status": "rejected", "trdInvcNo": "000123", "label": "NS", "tempReceiptNo": "P-7-AAAA",
        "kraMessage": "bad itemClsCd", "resultCd": "910", "field": "itemClsCd",
        "advice": state(Status::Rejected).advice().unwrap(),
    });
    assert!(expected["message"].as_str().unwrap().contains("\"replaces\":\"000123\""), "{expected}");
    check(&reply, 422, expected.clone());
    let mut attention = expected;
    attention["attention"] = json!(3);
    check(&reply.with_attention(3), 422, attention);
    assert_eq!(Reply::repeated(state(Status::Rejected).repeated(time())).http_status(), 422);
    assert_eq!(Reply::SaleShown(Box::new(state(Status::Rejected))).http_status(), 200);
}

#[test]
fn other_states_are_neither_signed_nor_pending() {
    for (status, word, keys) in [
        (Status::NotFiscal, "not_fiscal", vec!["localSignature"]),
        (Status::Parked, "parked", vec!["advice", "field", "kraMessage", "resultCd"]),
        (Status::AcceptedNoProof, "accepted_no_proof", vec!["advice", "invcNo"]),
        (Status::Settled, "settled", vec!["invcNo"]),
    ] {
        let reply = Reply::accepted(state(status));
        assert_eq!(reply.http_status(), 200);
        let body: Value = serde_json::from_slice(&reply.body()).unwrap();
        assert_eq!(body["status"], word);
        let mut expected = vec!["label", "status", "tempReceiptNo", "trdInvcNo"];
        expected.extend(keys);
        expected.sort_unstable();
        let found: Vec<&String> = body.as_object().unwrap().keys().collect();
        assert_eq!(found, expected, "{word}");
    }
}

#[test]
fn refusals_have_a_word_and_a_message() {
    let faults = vec![
        Fault::new("itemList[0].qty", FaultCode::Negative, "must be more than 0"),
        Fault::new("totAmt", FaultCode::Mismatch, "should be 1.00 but is 2.00"),
    ];
    check(
        &Refusal::Faults(faults).into(),
        400,
        json!({"errors": [
            {"field": "itemList[0].qty", "code": "negative", "message": "itemList[0].qty must be more than 0"},
            {"field": "totAmt", "code": "mismatch", "message": "totAmt should be 1.00 but is 2.00"},
        ]}),
    );
    let full = Reply::from(Refusal::Unavailable { why: Unavailable::QueueFull, retry_after: 60 });
    let message = "Too many sales wait for KRA. No sale is taken until some of them are sent.";
    let expected = json!({"error": "queue_full", "message": message, "retryAfter": 60});
    check(&full.clone().with_attention(0), 503, expected.clone());
    let mut attention = expected;
    attention["attention"] = json!(1);
    check(&full.with_attention(1), 503, attention);
    let low = Refusal::Unavailable { why: Unavailable::DiskLow, retry_after: 60 };
    check(&low.clone().into(), 503, json!({"error": "disk_low", "message": low.message(), "retryAfter": 60}));
    assert_eq!(Reply::from(low).retry_after(), Some(60));
    let away = Refusal::KraAway {
        message: "no answer".to_owned(),
        retry_after: 30,
        result_cd: Some("894".to_owned()),
    };
    check(
        &away.into(),
        503,
        json!({"error": "kra_away", "message": "no answer", "retryAfter": 30, "resultCd": "894"}),
    );
    let reused = Refusal::TraderRefReused { stored: None };
    check(&reused.clone().into(), 409, json!({"error": "trdInvcNo_reused", "message": reused.message()}));
    let late = Reply::from(Refusal::TraderRefReused { stored: Some(Box::new(state(Status::Pending))) });
    let body: Value = serde_json::from_slice(&late.body()).unwrap();
    assert_eq!(
        (late.http_status(), &body["error"], &body["status"]),
        (409, &json!("trdInvcNo_reused"), &json!("pending"))
    );
    let method = Reply::from(Refusal::MethodNotAllowed { allow: "GET" });
    assert_eq!((method.http_status(), method.allow()), (405, Some("GET")));
}

#[test]
fn a_serial_frame_holds_what_fits_and_says_what_is_missing() {
    let faults = |count: usize| -> Reply {
        let one =
            |index: usize| Fault::new(format!("itemList[{index}].qty"), FaultCode::Required, "is required");
        Refusal::Faults((0..count).map(one).collect()).into()
    };
    let few: Value = serde_json::from_slice(&faults(3).serial_body()).unwrap();
    assert_eq!((few["errors"].as_array().map(Vec::len), few.get("more")), (Some(3), None));
    let many = faults(2000);
    assert!(many.body().len() > SERIAL_LIMIT, "the case is large enough");
    let serial = many.serial_body();
    assert!(serial.len() <= SERIAL_LIMIT);
    let serial: Value = serde_json::from_slice(&serial).unwrap();
    let kept = serial["errors"].as_array().unwrap().len();
    assert_eq!(serial["more"], json!(2000 - kept));
    let all: Value = serde_json::from_slice(&many.body()).unwrap();
    assert_eq!((all["errors"].as_array().map(Vec::len), all.get("more")), (Some(2000), None));
}

#[test]
fn the_key_is_told_once_and_never_printed() {
    let key = CmcKey::new("0123456789abcdef").unwrap();
    let first = DeviceActive::first(&registration(), &key);
    assert!(!format!("{first:?}").contains("0123456789abcdef"));
    let expected = |key: &str| {
        json!({"deviceId": "9990001", "cmcKey": key, "status": "active", "sdcId": "KRACU013000001",
               "mrcNo": "WIS01000001", "taxpayerName": "Shop"})
    };
    check(&Reply::DeviceActive(first), 200, expected("0123456789abcdef"));
    check(&Reply::DeviceActive(DeviceActive::again(&registration())), 200, expected("****"));
}

#[test]
fn status_and_health() {
    let queue = QueueCounts { waiting: 3, in_doubt: 1, parked: 0, rejected: 2, oldest_age_seconds: 90 };
    let counts = json!({"waiting": 3, "inDoubt": 1, "parked": 0, "rejected": 2, "oldestAgeSeconds": 90});
    let line = (LineWord::Up, Some(time()));
    let status = DeviceStatus::new(Some(&device()), Some(&registration()), "active", line, "PUBLIC", queue);
    check(
        &Reply::DeviceStatus(Box::new(status)),
        200,
        json!({
            "deviceId": "9990001", "tin": "P000000000A", "bhfId": "00", "serialNumber": "GW-1", "status": "active",
            "sdcId": "KRACU013000001", "kra": "up", "lastContact": "2025-01-15T10:15:33+03:00",
            "publicKey": "PUBLIC", "queue": counts,
        }),
    );
    let health =
        |status, db| Reply::Health(Health { status, kra: LineWord::Down, db, queue, version: "0.1.0" });
    let expected =
        json!({"status": "degraded", "kra": "down", "db": "up", "queue": counts, "version": "0.1.0"});
    check(&health(HealthWord::Degraded, LineWord::Up), 200, expected);
    assert_eq!(health(HealthWord::Unhealthy, LineWord::Down).http_status(), 503);
}

#[test]
fn lists_are_pages() {
    let list = Reply::Sales(SaleList { sales: vec![state(Status::Settled)], next: Some(7) });
    let body: Value = serde_json::from_slice(&list.body()).unwrap();
    assert_eq!((&body["sales"][0]["trdInvcNo"], &body["next"]), (&json!("000123"), &json!(7)));
    check(&Reply::Sales(SaleList::default()), 200, json!({"sales": []}));
}
