use super::*;
use crate::queue::{LookedUp, Probed};

const PROOF: &str = r#"{"curRcptNo":41,"totRcptNo":42,"intrlData":"ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "rcptSign":"ABCDEFGHIJKLMNOP","sdcDateTime":"20250115101533"}"#;

fn answer(http_status: u16, body: &str) -> Verdict {
    let content_type = Some("application/json");
    classify(&Answer { http_status, retry_after: None, content_type, body: body.as_bytes() })
}

fn name(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Accepted(_) => "accepted",
        Verdict::AcceptedWithoutProof(_) => "accepted without proof",
        Verdict::Busy { .. } => "busy",
        Verdict::Config(_) => "config",
        Verdict::Device(_) => "device",
        Verdict::Duplicate(_) => "duplicate",
        Verdict::Odd(_) => "odd",
        Verdict::OutOfSequence { .. } => "out of sequence",
        Verdict::Refused(_) => "refused",
        Verdict::Unsure(_) => "unsure",
        Verdict::UnsureConfig(_) => "unsure, else config",
        Verdict::Wait(_) => "wait",
    }
}

#[test]
fn every_code() {
    for (code, expected) in [
        ("001", "unsure"),
        ("891", "config"),
        ("892", "config"),
        ("893", "config"),
        ("894", "unsure"),
        ("895", "config"),
        ("896", "unsure"),
        ("899", "unsure, else config"),
        ("900", "device"),
        ("901", "device"),
        ("902", "unsure"),
        ("903", "device"),
        ("904", "unsure"),
        ("905", "device"),
        ("910", "refused"),
        ("911", "refused"),
        ("912", "config"),
        ("913", "refused"),
        ("921", "refused"),
        ("922", "wait"),
        ("990", "busy"),
        ("991", "unsure"),
        ("992", "unsure"),
        ("993", "unsure"),
        ("994", "duplicate"),
        ("995", "unsure"),
        ("999", "unsure"),
        ("E04", "device"),
        ("e04", "device"),
        ("E11", "unsure"),
        ("E31", "unsure"),
        ("9", "unsure"),
        ("91", "unsure"),
        ("9100", "unsure"),
        ("910x", "unsure"),
        ("998", "unsure"),
    ] {
        for (http_status, body) in [
            (200, format!(r#"{{"resultCd":"{code}","resultMsg":"no","data":null}}"#)),
            (400, format!("<r><resultCd>{code}</resultCd><resultMsg>no</resultMsg></r>")),
            (503, format!(r#"{{"responseHeader":{{}},"responseBody":{{"resultCd":"{code}"}}}}"#)),
        ] {
            let verdict = answer(http_status, &body);
            assert_eq!(name(&verdict), expected, "{code} with HTTP {http_status}");
        }
    }
}

#[test]
fn every_row_is_in_the_table_once() {
    for row in &CODES {
        assert_eq!(CODES.iter().filter(|other| other.code == row.code).count(), 1, "{}", row.code);
    }
}

#[test]
fn every_message() {
    for (message, expected) in [
        ("Invalid invcNo sequence, expected: 43 but found: 42", "out of sequence"),
        ("Invc No: 42 is invalid, use the expected value: 43", "out of sequence"),
        ("Items provided under the itemList section do not exist in your stock", "wait"),
        ("Stock IO is empty", "wait"),
        ("Insufficient Stock", "wait"),
        ("rsdQty mismatch. Expected: 4 but found: 5", "wait"),
        ("orgInvcNo does not exist", "wait"),
        ("Missing RfdDt Date", "refused"),
        ("Invalid RfdRsnCd", "refused"),
        ("Invalid taxblAmt for itemCd X. Expected: 86.21, But Found: 100.00", "refused"),
        ("Rule taxRtE failed", "refused"),
        ("Invalid pkg. Expected: 1, Found: 2", "refused"),
        ("Expected a value for itemNm", "refused"),
        ("Incorrect QtyUnitCd Prefix", "refused"),
        ("custTin cannot be Null", "refused"),
        ("tin cannot be Null", "device"),
        ("bhfId cannot be Null", "device"),
        ("Error occurred while validating item tax type: Please try again later", "unsure"),
        ("Query did not return a unique result: 3 results were returned", "device"),
        ("Unresolved variable : targetPath", "unsure"),
    ] {
        for (http_status, body) in [
            (200, format!(r#"{{"resultCd":"999","resultMsg":"{message}","data":null}}"#)),
            (200, format!("<r><resultCd>910</resultCd><resultMsg>Possible cause: {message}</resultMsg></r>")),
            (
                400,
                format!(
                    r#"{{"responseHeader":{{"responseCode":400,"debugMessage":"{message}"}},"responseBody":null}}"#
                ),
            ),
        ] {
            let verdict = answer(http_status, &body);
            assert_eq!(name(&verdict), expected, "{message} with HTTP {http_status}: {verdict:?}");
        }
    }
}

/// Found by a reader: `910 Invalid bhfId` declared five good slips invalid.
#[test]
fn no_sale_is_refused_for_what_the_gateway_filled_in() {
    for field in [
        "<tin>",
        "<bhfId>",
        "<cmcKey>",
        "<dvcSrlNo>",
        "<invcNo>",
        "<regrId>",
        "<regrNm>",
        "<modrId>",
        "<modrNm>",
        "<salesSttsCd>",
        "<receipt><trdeNm>",
        "<receipt><adrs>",
        "<receipt><topMsg>",
        "<receipt><btmMsg>",
    ] {
        let plain = field.trim_matches(['<', '>']).replace("><", ".");
        for code in ["910", "913"] {
            for message in [
                format!("Invalid {plain}"),
                format!("Invalid {plain} [{field}]"),
                format!("Check the code value [{field}] of trdInvcNo 000123"),
            ] {
                let body = format!(r#"{{"resultCd":"{code}","resultMsg":"{message}"}}"#);
                assert_eq!(name(&answer(200, &body)), "config", "{body}");
            }
        }
    }
}

/// Found by a reader: what named the number beside another field held the queue, or stopped the series.
#[test]
fn a_number_that_only_says_which_sale_is_meant_decides_nothing() {
    for (message, field) in [
        ("Invalid data for invcNo 42: [<custTin>]", "custTin"),
        ("Invalid custTin (tin P051234567Z, bhfId 00, invcNo 42)", "custTin"),
        ("Invalid pkg for invcNo 42. Expected: 1, Found: 2", "pkg"),
        ("Customer TIN is not registered", "custTin"),
    ] {
        let body = format!(r#"{{"resultCd":"910","resultMsg":"{message}"}}"#);
        let Verdict::Refused(words) = answer(200, &body) else {
            panic!("{message}: {:?}", answer(200, &body))
        };
        assert_eq!(words.field.as_deref(), Some(field), "{message}");
    }
}

/// Found by a reader: a database's words about a column of its own were taken for a refusal of the sale.
#[test]
fn a_database_refuses_no_sale() {
    for (code, message, expected) in [
        ("991", "Column 'rcpt_sign' cannot be null", "unsure"),
        ("991", "Column 'cust_tin' cannot be null", "unsure"),
        ("999", "ORA-01400: value can not be null (OSCU.TRNS_SALES.RCPT_SIGN)", "unsure"),
        ("894", "cannot be null", "unsure"),
        ("900", "header cannot be Null", "device"),
        ("910", "something cannot be Null", "refused"),
        ("991", "custNm cannot be Null", "refused"),
        ("991", "[<itemList><itemNm>] can not be null", "refused"),
        ("991", "[<bhfId>] cannot be Null", "device"),
        ("991", "trdeNm cannot be Null", "config"),
    ] {
        let body = format!(r#"{{"resultCd":"{code}","resultMsg":"{message}"}}"#);
        assert_eq!(name(&answer(200, &body)), expected, "{code} {message}");
    }
}

#[test]
fn every_status_without_a_code() {
    for (http_status, expected) in [
        (200, "unsure"),
        (204, "unsure"),
        (301, "config"),
        (302, "config"),
        (307, "config"),
        (400, "odd"),
        (401, "device"),
        (402, "config"),
        (403, "device"),
        (404, "config"),
        (405, "config"),
        (406, "config"),
        (408, "unsure"),
        (413, "odd"),
        (414, "odd"),
        (415, "config"),
        (418, "config"),
        (429, "busy"),
        (431, "odd"),
        (499, "config"),
        (500, "unsure"),
        (501, "unsure"),
        (502, "unsure"),
        (503, "unsure"),
        (504, "unsure"),
        (599, "unsure"),
        (999, "unsure"),
    ] {
        for body in ["", "<html><body>Service Unavailable<br></body></html>", "{\"status\":404}", "{\"resu"] {
            assert_eq!(name(&answer(http_status, body)), expected, "HTTP {http_status} {body:?}");
        }
    }
}

#[test]
fn accepted_only_with_the_whole_proof() {
    let body = format!(r#"{{"resultCd":"0000","resultMsg":"ok","data":{PROOF}}}"#);
    let Verdict::Accepted(proof) = answer(200, &body) else { panic!("{:?}", answer(200, &body)) };
    assert_eq!((proof.receipt_no, proof.total_receipt_no), (41, 42));
    assert_eq!(proof.signature, "ABCDEFGHIJKLMNOP");
    for data in ["null", "{}", r#"{"curRcptNo":41}"#, "[]"] {
        let body = format!(r#"{{"resultCd":"000","resultMsg":"ok","data":{data}}}"#);
        assert_eq!(name(&answer(200, &body)), "accepted without proof", "{data}");
    }
}

#[test]
fn success_is_never_talked_into_a_refusal() {
    let body = format!(r#"{{"resultCd":"000","resultMsg":"custTin cannot be Null","data":{PROOF}}}"#);
    assert_eq!(name(&answer(200, &body)), "accepted");
    let body = r#"{"resultCd":"000","resultMsg":"Invalid invcNo sequence, expected: 43 but found: 42"}"#;
    assert_eq!(name(&answer(200, body)), "accepted without proof");
}

#[test]
fn how_long_to_wait() {
    let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
    for (http_status, body, told, floor) in [
        (429, "", None, None),
        (429, "", Some(minutes(2)), None),
        (200, r#"{"resultCd":"990"}"#, None, Some(minutes(15))),
        (200, r#"{"resultCd":"990"}"#, Some(minutes(2)), Some(minutes(15))),
    ] {
        let body = body.as_bytes();
        let verdict = classify(&Answer { http_status, retry_after: told, content_type: None, body });
        let Verdict::Busy(busy) = verdict else { panic!("{verdict:?}") };
        assert_eq!((busy.words.retry_after, busy.floor), (told, floor));
    }
}

/// Found by a reader: `Retry-After` was kept with 429 alone, and with neither look-ups nor probes.
#[test]
fn what_kra_asks_to_be_left_alone_for_comes_with_every_answer() {
    let told = Some(Duration::from_secs(120));
    for http_status in [302, 400, 401, 404, 408, 413, 429, 500, 502, 503, 504] {
        for body in ["", r#"{"resultCd":"894"}"#, r#"{"responseHeader":{"responseCode":503}}"#] {
            let body = body.as_bytes();
            let answer = Answer { http_status, retry_after: told, content_type: None, body };
            let verdict = classify(&answer);
            assert_eq!(verdict.words().unwrap().retry_after, told, "{verdict:?}");
            match crate::wire::invoice_details::read(7, &answer) {
                LookedUp::Busy(Busy { words, .. })
                | LookedUp::Failed(words)
                | LookedUp::Missing(words)
                | LookedUp::Refused(words) => assert_eq!(words.retry_after, told, "{words:?}"),
                other => panic!("{other:?}"),
            }
            match crate::wire::probe::read(&answer) {
                Probed::Down(words) | Probed::Refused(words) => {
                    assert_eq!(words.retry_after, told, "{words:?}");
                }
                Probed::Up => panic!("HTTP {http_status} is no good answer"),
            }
        }
    }
}

#[test]
fn words_keep_what_kra_said() {
    let body = r#"{"resultCd":"913","resultMsg":"Check the code [<itemList><pkgUnitCd>]"}"#;
    let Verdict::Refused(words) = answer(200, body) else { panic!() };
    assert_eq!(words.result_cd.as_deref(), Some("913"));
    assert_eq!(words.field.as_deref(), Some("itemList.pkgUnitCd"));
    assert_eq!(words.http_status, Some(200));
    let Verdict::Unsure(words) = answer(502, "<html><p>down</p></html>") else { panic!() };
    assert_eq!(words.message, "HTTP 502 (application/json): the answer is not KRA's: it has no resultCd");
}

#[test]
fn some_codes_allow_fewer_attempts() {
    for (code, expected) in [
        (Some("991"), Some(3)),
        (Some("999"), Some(10)),
        (Some("997"), Some(2)),
        (Some("910"), None),
        (None, None),
    ] {
        let words = Words { result_cd: code.map(str::to_owned), ..Words::default() };
        assert_eq!(attempts_allowed(&words), expected, "{code:?}");
    }
}

proptest::proptest! {
    #[test]
    fn no_answer_panics(status in 0u16..1000, bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        classify(&Answer { http_status: status, retry_after: None, content_type: None, body: &bytes });
    }

    #[test]
    fn only_000_is_ever_accepted(code in "[0-9A-Z]{0,5}", message in "[ -!#-\\[\\]-~]{0,60}") {
        let body = format!(r#"{{"resultCd":"{code}","resultMsg":"{message}","data":{PROOF}}}"#);
        let accepted = matches!(answer(200, &body), Verdict::Accepted(_));
        proptest::prop_assert_eq!(accepted, !code.is_empty() && code.bytes().all(|byte| byte == b'0'));
    }
}
