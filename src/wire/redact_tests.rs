//! What is shown, what is masked; and that nothing personal comes through, whatever the body.

use proptest::prelude::*;

use super::*;

const KEY: &str = "0123456789abcdef0123456789ABCDEF";

fn answer_of(body: &str) -> String {
    redact(b"", body.as_bytes(), &[KEY]).answer
}

#[test]
fn answers() {
    for (body, expected) in [
        ("", "null"),
        (
            r#"{"resultCd":"000","resultMsg":"It is succeeded","data":null}"#,
            r#"{"resultCd":"000","resultMsg":"It is succeeded","data":null}"#,
        ),
        (
            "<R><resultCd>000</resultCd><data><curRcptNo>4</curRcptNo><rcptSign>ABCDEFGH12345678</rcptSign></data></R>",
            r#"{"resultCd":"000","data":{"curRcptNo":"4","rcptSign":"ABCDEFGH12345678"}}"#,
        ),
        (
            r#"{"data":{"info":{"tin":"P051234567Z","taxprNm":"Duka Moja","cmcKey":"0123456789abcdef0123456789ABCDEF","dvcId":"9","mgrTelNo":"0712345678","other":"x"}}}"#,
            r#"{"data":{"info":{"tin":"****","taxprNm":"****","cmcKey":"****","dvcId":"9","mgrTelNo":"****","other":"****"}}}"#,
        ),
        (
            r#"{"resultCd":"910","resultMsg":"custTin A987654321Q of Jane Doe (0712 345 678) is not active","custNm":"Jane Doe"}"#,
            r#"{"resultCd":"910","resultMsg":"custTin **** of **** (****) is not active","custNm":"****"}"#,
        ),
        (
            r#"{"resultCd":"P051234567Z","A987654321Q":1,"invcNo":42}"#,
            r#"{"resultCd":"****","****1":"****","invcNo":"42"}"#,
        ),
        (
            "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>",
            r#"{"text":"502 Bad Gateway nginx"}"#,
        ),
        ("upstream timed out for P051234567Z", r#"{"text":"upstream timed out for ****"}"#),
        (r#"{"resultCd":"000","custNm":"Jane D"#, r#"{"unread":"neither JSON nor well-formed XML"}"#),
        ("<R><custNm>Jane D", r#"{"unread":"neither JSON nor well-formed XML"}"#),
        ("\"Jane", r#"{"unread":"neither JSON nor well-formed XML"}"#),
    ] {
        assert_eq!(answer_of(body), expected, "{body}");
    }
    assert_eq!(redact(b"", b"\xff\xfe", &[]).answer, r#"{"unread":"not UTF-8"}"#);
    assert_eq!(redact(b"", &vec![b' '; LONGEST_READ + 1], &[]).answer, r#"{"unread":"too long to be kept"}"#);
}

#[test]
fn what_the_request_told_is_masked_in_the_answer() {
    let request = br#"{"tin":"P051234567Z","cmcKey":"k","trdInvcNo":"T1-7","invcNo":7,"custNm":"Wanjiku O'Brien","custMblNo":"0799887766",
        "remark":"gate of house 77","itemList":[{"itemSeq":1,"itemCd":"KE2NTNO0000001","itemNm":"Bread","totAmt":65.00}]}"#;
    let answer = r#"{"responseHeader":{"responseRefID":"8f14e45f-ceea-467f-a9d4-000000000001","debugMessage":"WANJIKU O&apos;BRIEN, tel +254799887766, at the Gate of House 77: \u0042read not known"}}"#;
    let redacted = redact(request, answer.as_bytes(), &[KEY]);
    assert_eq!(
        redacted.request,
        r#"{"tin":"****","cmcKey":"****","trdInvcNo":"T1-7","invcNo":"7","custNm":"****","custMblNo":"****","remark":"****","itemList":[{"itemSeq":"1","itemCd":"KE2NTNO0000001","itemNm":"****","totAmt":"65.00"}]}"#
    );
    assert_eq!(redacted.message.as_deref(), Some("****, tel +****, at the ****: Bread not known"));
    assert_eq!(redacted.reference.as_deref(), Some("8f14e45f-ceea-467f-a9d4-000000000001"));
}

#[test]
fn a_large_sale_is_cut_and_still_json() {
    let line = r#"{"itemSeq":1,"itemCd":"KE2NTNO0000001","itemNm":"Bread","qty":1,"prc":65.00,"taxTyCd":"C","totAmt":65.00}"#;
    let body = format!(r#"{{"invcNo":7,"itemList":[{}]}}"#, vec![line; 999].join(","));
    let redacted = redact(body.as_bytes(), b"", &[]);
    assert!(redacted.request.len() < 2 * LONGEST_KEPT, "{} bytes", redacted.request.len());
    let value: serde_json::Value = serde_json::from_str(&redacted.request).unwrap();
    assert!(value["itemList"].as_array().unwrap().last().unwrap().as_str().unwrap().ends_with(" more"));
}

/// What is personal in one sale.
#[derive(Clone, Debug)]
struct Person {
    name: String,
    pin: String,
    phone: String,
    key: String,
}

fn person() -> impl Strategy<Value = Person> {
    let name = "[A-Z][a-z]{4,8} [A-Z]'?[a-z]{4,8}";
    (name, "[A-Z][0-9]{9}[A-Z]", "07[0-9]{8}", "[0-9a-f]{32}").prop_map(|(name, pin, phone, key)| Person {
        name,
        pin,
        phone,
        key,
    })
}

/// The ways in which a value may be written inside a body of this format, before the body's own escaping.
fn disguised(value: &str, way: usize) -> String {
    match way % 6 {
        0 => value.to_owned(),
        1 => value.to_uppercase(),
        2 => value.replace(' ', "  ").replace('\'', "&apos;"),
        3 => value.chars().map(|c| format!("&#{};", u32::from(c))).collect(),
        4 => value.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect(),
        _ => value.bytes().map(|byte| format!("%{byte:02X}")).collect(),
    }
}

fn json(fields: &[(String, String)]) -> String {
    let fields: Vec<String> = fields
        .iter()
        .enumerate()
        .map(|(at, (name, value))| {
            // Each field once; the last two nested, as KRA's data are.
            let value = if at % 2 == 0 {
                quoted(value)
            } else {
                let units: String = value.encode_utf16().map(|unit| format!("\\u{unit:04X}")).collect();
                format!("\"{units}\"")
            };
            format!("{}:{value}", quoted(name))
        })
        .collect();
    format!("{{\"resultCd\":\"910\",\"data\":{{{}}}}}", fields.join(","))
}

fn xml(fields: &[(String, String)]) -> String {
    let fields: Vec<String> = fields
        .iter()
        .enumerate()
        .map(|(at, (name, value))| {
            let value: String = if at % 2 == 0 {
                value.replace('&', "&amp;").replace('<', "&lt;")
            } else {
                value.chars().map(|c| format!("&#x{:X};", u32::from(c))).collect()
            };
            format!("<{name}>{value}</{name}>")
        })
        .collect();
    format!("<R><resultCd>910</resultCd><data>{}</data></R>", fields.join(""))
}

/// Letters and digits alone, in lower case, every escape undone.
fn essence(text: &str) -> String {
    let text = Scrubber::default().code(text);
    let whole = if text == MASK { String::new() } else { text };
    whole.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

fn expect_nothing_of(person: &Person, redacted: &Redacted) -> Result<(), TestCaseError> {
    for text in [&redacted.request, &redacted.answer, redacted.message.as_ref().unwrap_or(&String::new())] {
        // A PIN that came through would make `code` mask the whole: looked for by itself.
        for value in [&person.name, &person.pin, &person.phone[1..].to_owned(), &person.key] {
            let value: String =
                value.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
            let raw: String =
                text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
            prop_assert!(!raw.contains(&value) && !essence(text).contains(&value), "{value} in {text}");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_personal_comes_through(
        person in person(),
        names in proptest::sample::subsequence(
            vec!["resultMsg", "invcNo", "itemNm", "remark", "trdInvcNo", "anything", "debugMessage", "orgInvcNo", "title"], 1..9),
        ways in proptest::collection::vec(0usize..6, 9),
        which in proptest::collection::vec(0usize..4, 9),
        before in "[a-z .,:]{0,12}",
    ) {
        let values = [&person.name, &person.pin, &person.phone, &person.key];
        let request = format!(
            r#"{{"tin":"P000000000A","custTin":{},"custNm":{},"custMblNo":{}}}"#,
            quoted(&person.pin), quoted(&person.name), quoted(&person.phone)
        );
        let fields: Vec<(String, String)> = names
            .iter()
            .zip(ways.iter().zip(&which))
            .map(|(name, (way, which))| ((*name).to_owned(), format!("{before} {} .", disguised(values[*which], *way))))
            .collect();
        for body in [json(&fields), xml(&fields)] {
            expect_nothing_of(&person, &redact(request.as_bytes(), body.as_bytes(), &[&person.key]))?;
            expect_nothing_of(&person, &redact(body.as_bytes(), request.as_bytes(), &[&person.key]))?;
        }
        // Pages and plain words of somebody on the way.
        for body in [format!("<html><b>{before}</b> {}</html>", fields[0].1), format!("{before}x {}", fields[0].1)] {
            expect_nothing_of(&person, &redact(request.as_bytes(), body.as_bytes(), &[&person.key]))?;
        }
        // Bodies that broke off.
        let body = json(&fields);
        for end in (0..body.len()).step_by(29).filter(|end| body.is_char_boundary(*end)) {
            expect_nothing_of(&person, &redact(request.as_bytes(), &body.as_bytes()[..end], &[&person.key]))?;
        }
    }

    #[test]
    fn whatever_comes_is_answered_with_json(bytes in proptest::collection::vec(any::<u8>(), 0..300), text in "\\PC{0,60}") {
        for body in [bytes, text.clone().into_bytes(), format!("{{{}:{}}}", quoted(&text), quoted(&text)).into_bytes()] {
            let redacted = redact(&body, &body, &[]);
            serde_json::from_str::<serde_json::Value>(&redacted.request).unwrap();
            serde_json::from_str::<serde_json::Value>(&redacted.answer).unwrap();
        }
    }
}
