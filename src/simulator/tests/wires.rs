//! Both wires over a socket, as hand-made clients speak them.

use serde_json::json;

use super::faults::{Client, Running, XML, sign};
use super::{INIT, SALE, SALE_XML, edit};

#[tokio::test]
async fn the_same_sale_on_both_wires() {
    let running = Running::start().await;
    let mut client = Client::connect(&running).await;
    let key = client.register(INIT).await;
    let answer = client.post("saveTrnsSalesOsdc", &SALE.replace("KEY", &key)).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    assert_eq!(answer.json()["resultCd"], "000");

    let body = edit(&SALE_XML.replace("KEY", &key), "<invcNo>1<", "<invcNo>2<");
    let answer = client.post_xml("saveTrnsSalesOsdc", &body, &sign(&key, &body)).await;
    assert_eq!(answer.header("content-type"), "application/xml; charset=utf-8");
    assert!(answer.body.contains("<TrnsSalesSaveWrRes><resultCd>000</resultCd>"), "{}", answer.body);
    assert!(answer.body.contains("<data><curRcptNo>2</curRcptNo>"), "{}", answer.body);

    // Each is found again over the other wire, the same but for the number.
    let look_up = format!(
        "<InvoiceDetailsReq><tin>P000000000A</tin><bhfId>00</bhfId><cmcKey>{key}</cmcKey><invcNo>1</invcNo></InvoiceDetailsReq>"
    );
    let answer = client.post_xml("selectInvoiceDetails", &look_up, &sign(&key, &look_up)).await;
    assert!(answer.body.contains("<salesList><item><tin>"), "{}", answer.body);
    assert!(answer.body.contains("<prc>58.00</prc>"), "{}", answer.body);
    let absent = edit(&look_up, "<invcNo>1<", "<invcNo>9<");
    let answer = client.post_xml("selectInvoiceDetails", &absent, &sign(&key, &absent)).await;
    assert!(
        answer.body.contains("<resultCd>001</resultCd>") && !answer.body.contains("<data>"),
        "{}",
        answer.body
    );
    let body = format!(r#"{{"tin":"P000000000A","bhfId":"00","cmcKey":"{key}","invcNo":2}}"#);
    let found = client.post("selectInvoiceDetails", &body).await.json();
    let sale = &found["data"]["salesList"][0];
    assert_eq!((&sale["itemList"][0]["prc"], &sale["custTin"]), (&json!(58.00), &json!(null)));
    assert_eq!(sale["receipt"]["rcptSign"].as_str().unwrap().len(), 16);
}

#[tokio::test]
async fn registration_over_xml() {
    let running = Running::start().await;
    let mut client = Client::connect(&running).await;
    let body = "<DeviceVerificationReq><tin>P000000000A</tin><bhfId>00</bhfId><dvcSrlNo>T&amp;1</dvcSrlNo></DeviceVerificationReq>";
    let answer = client.send(&client.request("POST", "selectInitOsdcInfo", XML, "", body)).await;
    assert!(answer.body.contains("<DeviceVerificationRes><resultCd>000<"), "{}", answer.body);
    assert!(answer.body.contains("<info><tin>P000000000A</tin>"), "{}", answer.body);
    let again = client.send(&client.request("POST", "selectInitOsdcInfo", XML, "", body)).await;
    assert!(again.body.contains("<resultCd>902<") && !again.body.contains("<data>"), "{}", again.body);
    for (query, code) in [
        ("tin=P000000000A&bhfId=00&dvcSrlNo=T%261", "000"),
        ("tin=P000000000A&bhfId=00&dvcSrlNo=T2", "901"),
        ("tin=P000000000A&bhfId=01&dvcSrlNo=T%261", "901"),
        ("tin=P000000000A&bhfId=00", "910"),
    ] {
        let head = format!(
            "GET /etims-api/selectOsdcStatus?{query} HTTP/1.1\r\nHost: x\r\nAccept: application/xml\r\n\r\n"
        );
        let answer = client.send(head.as_bytes()).await;
        assert!(
            answer.body.contains(&format!("<OsdcStatusRes><resultCd>{code}<")),
            "{query}: {}",
            answer.body
        );
    }
}

#[tokio::test]
async fn xml_must_be_signed_and_well_made() {
    let running = Running::start().await;
    let mut client = Client::connect(&running).await;
    let key = client.register(INIT).await;
    let body = SALE_XML.replace("KEY", &key);
    let other = sign("0123456789abcdef0123456789abcdef", &body);
    for (signature, words) in [
        ("", "signature missing"),
        ("hmac-sha256=AAAA", "signature wrong"),
        ("hmac-sha256=???", "signature is not base64"),
        ("sha256=AAAA", "signature is not hmac-sha256"),
        (other.as_str(), "signature wrong"),
        (sign(&key, &format!("{body} ")).as_str(), "signature wrong"),
    ] {
        let answer = client.post_xml("saveTrnsSalesOsdc", &body, signature).await;
        assert!(
            answer.body.contains("<resultCd>901<") && answer.body.contains(words),
            "{signature}: {}",
            answer.body
        );
    }
    for (from, to, code, words) in [
        ("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", "<!DOCTYPE x>", "910", "document types"),
        ("<pmtTyCd>01</pmtTyCd>", "<pmtTyCd>01</pmtTyC>", "910", "not XML"),
        (
            "<rcptTyCd>S</rcptTyCd>\n <pmtTyCd>01</pmtTyCd>",
            "<pmtTyCd>01</pmtTyCd><rcptTyCd>S</rcptTyCd>",
            "910",
            "out of order",
        ),
        (
            "<qty>2</qty><prc>58.00</prc>",
            "<prc>58.00</prc><qty>2</qty>",
            "910",
            "[&lt;itemList&gt;] qty comes after prc",
        ),
        ("<qty>2</qty>", "<qty></qty>", "910", "[&lt;itemList&gt;&lt;qty&gt;] is not a number"),
        ("<pkgUnitCd>NT<", "<pkgUnitCd>U<", "913", "[&lt;itemList&gt;&lt;pkgUnitCd&gt;]"),
        ("<taxblAmtD>0</taxblAmtD>", "", "910", "[&lt;taxblAmtD&gt;] cannot be Null"),
    ] {
        let body = edit(&body, from, to);
        let answer = client.post_xml("saveTrnsSalesOsdc", &body, &sign(&key, &body)).await;
        assert!(answer.body.contains(&format!("<resultCd>{code}<")), "{to}: {}", answer.body);
        assert!(answer.body.contains(words), "{to}: {}", answer.body);
    }
    let wrong_root = body.replace("TrnsSalesSaveWrReq", "TrnsSalesSaveReq");
    let answer = client.post_xml("saveTrnsSalesOsdc", &wrong_root, &sign(&key, &wrong_root)).await;
    assert!(
        answer.body.contains("<resultCd>910<") && answer.body.contains("root element"),
        "{}",
        answer.body
    );
    running.controls.set(&json!({"unsigned": true})).unwrap();
    let answer = client.post_xml("saveTrnsSalesOsdc", &body, "").await;
    assert!(answer.body.contains("<resultCd>000<"), "{}", answer.body);
}

#[tokio::test]
async fn who_calls_stands_in_headers_and_body() {
    let running = Running::start().await;
    let mut client = Client::connect(&running).await;
    let key = client.register(INIT).await;
    let sale = SALE.replace("KEY", &key);
    for (header, changed, code) in [
        ("tin", "", "900"),
        ("tin", "tin: P000000000B\r\n", "901"),
        ("bhfId", "", "900"),
        ("bhfId", "bhfId: 01\r\n", "901"),
        ("cmcKey", "", "900"),
        ("cmcKey", "cmcKey: \r\n", "900"),
        ("cmcKey", "cmcKey: 0123456789abcdef0123456789abcdef\r\n", "901"),
    ] {
        let request =
            String::from_utf8(client.request("POST", "saveTrnsSalesOsdc", "application/json", "", &sale))
                .unwrap();
        let line = request.split_inclusive("\r\n").find(|line| line.starts_with(header)).unwrap();
        let answer = client.send(edit(&request, line, changed).as_bytes()).await;
        assert_eq!(answer.json()["resultCd"], code, "{changed}");
    }
    let wrong_everywhere = SALE.replace("KEY", "0123456789abcdef0123456789abcdef");
    client.key = "0123456789abcdef0123456789abcdef".to_owned();
    assert_eq!(client.post("saveTrnsSalesOsdc", &wrong_everywhere).await.json()["resultCd"], "901");
}

#[tokio::test]
async fn what_http_turns_away() {
    let running = Running::start().await;
    let mut client = Client::connect(&running).await;
    for (verb, path, content_type, status) in [
        ("POST", "selectEverything", "application/json", 404),
        ("GET", "saveTrnsSalesOsdc", "application/json", 405),
        ("POST", "selectOsdcStatus", "application/json", 405),
        ("POST", "saveTrnsSalesOsdc", "text/plain", 415),
        ("POST", "saveTrnsSalesOsdc/", "application/json", 404),
    ] {
        let answer = client.send(&client.request(verb, path, content_type, "", "{}")).await;
        assert_eq!(answer.status, status, "{verb} {path}");
    }
    let answer = client.send(&client.request("GET", "saveItem", "application/json", "", "")).await;
    assert_eq!((answer.json()["resultCd"].as_str(), answer.header("allow")), (Some("912"), "POST"));
    let endless = "x".repeat(8 * 1024 * 1024 + 1);
    let request = client.request("POST", "saveItem", "application/json", "", &endless);
    assert_eq!(client.send(&request).await.status, 413);
    let mut client = Client::connect(&running).await;
    let bytes = client.request("POST", "selectCodeList", "application/json", "", "{\"tin\":\"\u{0}\"}");
    assert_eq!(client.send(&bytes).await.json()["resultCd"], "910");
}

#[tokio::test]
async fn new_rates_are_news() {
    let running = Running::start().await;
    let mut client = Client::connect(&running).await;
    let key = client.register(INIT).await;
    let asked = client.post("selectNoticeList", &list(&key, "20180101000000")).await.json();
    let since = asked["resultDt"].as_str().unwrap().to_owned();
    assert_eq!(client.post("selectCodeList", &list(&key, &since)).await.json()["resultCd"], "001");
    running.controls.set(&json!({"rates": {"B": "18"}})).unwrap();
    let news = client.post("selectCodeList", &list(&key, &since)).await.json();
    assert_eq!(news["data"]["clsList"][0]["dtlList"][1]["userDfnCd1"], "18");
    let both = client.post("selectTrnsPurchaseSalesItemList", &list(&key, "20180101000000")).await.json();
    assert!(both["data"]["itemClsList"].is_array() && both["data"]["clsList"].is_array());
}

#[tokio::test]
async fn what_is_published_is_news_once() {
    let running = Running::start().await;
    let mut client = Client::connect(&running).await;
    let key = client.register(INIT).await;
    let whole = client.post("selectItemClsList", &list(&key, "20180101000000")).await.json();
    let since = whole["resultDt"].as_str().unwrap().to_owned();
    let built_in = whole["data"]["itemClsList"].as_array().unwrap().len();
    running
        .controls
        .publish(&json!({
            "syntheticClasses": 3,
            "itemClsList": [{"itemClsCd": "10101500", "useYn": "N"}],
            "clsList": [{"cdCls": "04", "dtlList": [{"cd": "B", "userDfnCd1": "-1"}]}],
            "noticeList": [{"noticeNo": 2, "title": "News"}],
        }))
        .unwrap();
    let news = client.post("selectItemClsList", &list(&key, &since)).await.json();
    assert_eq!(news["data"]["itemClsList"].as_array().map(Vec::len), Some(4));
    let whole = client.post("selectItemClsList", &list(&key, "20180101000000")).await.json();
    assert_eq!(whole["data"]["itemClsList"].as_array().map(Vec::len), Some(built_in + 4));
    let codes = client.post("selectCodeList", &list(&key, &since)).await.json();
    assert_eq!(
        codes["data"]["clsList"],
        json!([{"cdCls": "04", "dtlList": [{"cd": "B", "userDfnCd1": "-1"}]}])
    );
    let whole = client.post("selectCodeList", &list(&key, "20180101000000")).await.json();
    let taxes = &whole["data"]["clsList"][0];
    assert_eq!((&taxes["cdClsNm"], &taxes["dtlList"][1]["userDfnCd1"]), (&json!("Tax type"), &json!("-1")));
    assert_eq!(taxes["dtlList"][4]["userDfnCd1"], "8");
    let notices = client.post("selectNoticeList", &list(&key, &since)).await.json();
    assert_eq!(notices["data"]["noticeList"], json!([{"noticeNo": 2, "title": "News"}]));
    for wrong in [
        json!([]),
        json!({"classes": []}),
        json!({"syntheticClasses": -1}),
        json!({"syntheticClasses": 9_999_999}),
    ] {
        assert!(running.controls.publish(&wrong).is_err(), "{wrong}");
    }
}

fn list(key: &str, since: &str) -> String {
    format!(r#"{{"tin":"P000000000A","bhfId":"00","cmcKey":"{key}","lastReqDt":"{since}"}}"#)
}
