use std::io::{BufReader, Read};

use super::*;
use crate::wire::sale::tests::sample;

fn when(text: &str) -> KraDateTime {
    KraDateTime::parse_kra(text).unwrap()
}

fn asked_at() -> KraDateTime {
    when("20250101000000")
}

fn told(body: &str) -> Told {
    // A small buffer: rows lie across its borders.
    read(BufReader::with_capacity(7, body.as_bytes()), 200, asked_at())
}

fn news(body: &str) -> Listed {
    match told(body) {
        Told::News(listed, _) => *listed,
        other => panic!("no news: {other:?}\n{body}"),
    }
}

fn word(told: &Told) -> &'static str {
    match told {
        Told::Busy(_) => "busy",
        Told::Failed(_) => "failed",
        Told::Missing(_) => "missing",
        Told::News(..) => "news",
        Told::Nothing(_) => "nothing",
        Told::Refused(_) => "refused",
    }
}

fn failure(body: &str) -> String {
    match told(body) {
        Told::Failed(words) => words.message,
        other => panic!("{other:?}\n{body:.80}"),
    }
}

const JSON: &str = r#"{"resultCd":"000","resultMsg":"ok","resultDt":"20250115101533","extra":[1,{"a":[]}],"data":{
    "clsList":[{"cdCls":"04","cdClsNm":"Tax type","cdClsDesc":null,"useYn":"Y","userDfnNm1":"Rate","dtlList":[
        {"cd ":"A","cdNm":"A-EX","cdDesc":null,"useYn":"Y","srtOrd":1,"userDfnCd1":"0","userDfnCd2":"A-EX","userDfnCd3":null},
        {"cd":"B","cdNm":"B-16%","cdDesc":"B-16%","useYn":"N","srtOrd":"2","userDfnCd1":16.00,"userDfnCd2":"B","userDfnCd3":null}]},
      {"cdCls":7,"cdClsNm":"Payment","useYn":"N","dtlList":[]}],
    "itemClsList":[
        {"itemClsCd":"5059690800","itemClsNm":"Gro\u0063eries & \"more\"","itemClsLvl":5,"taxTyCd":"B","mjrTgYn":"Y","useYn":"Y"},
        null,
        {"itemClsCd":99010000,"itemClsNm":"","itemClsLvl":"2","taxTyCd":null,"mjrTgYn":null,"useYn":"N"}],
    "noticeList":{"noticeNo":7,"title":"T","cont":"a\nb","dtlUrl":"http://x/","regrNm":"K","regDt":"20250110000000"},
    "other":[[[]]]}}"#;

const XML: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<AnyRes><resultCd>000</resultCd><resultMsg>ok</resultMsg>\
    <resultDt>20250115101533</resultDt><extra><item>1</item></extra>\n<data>\
    <clsList>\n<item><cdCls>04</cdCls><cdClsNm>Tax type</cdClsNm><useYn>Y</useYn><dtlList>\
    <item><cd>A</cd><cdNm>A-EX</cdNm><useYn>Y</useYn><srtOrd>1</srtOrd><userDfnCd1>0</userDfnCd1><userDfnCd2>A-EX</userDfnCd2></item>\
    <item><cd> B </cd><cdNm>B-16%</cdNm><cdDesc>B-16%</cdDesc><useYn>N</useYn><srtOrd>2</srtOrd><userDfnCd1>16.00</userDfnCd1>\
    <userDfnCd2>B</userDfnCd2></item></dtlList></item>\
    <item><cdCls>7</cdCls><cdClsNm>Payment</cdClsNm><useYn>N</useYn><dtlList/></item></clsList>\
    <itemClsList><item><itemClsCd>5059690800</itemClsCd><itemClsNm>Gro&#99;eries &amp; <![CDATA[\"more\"]]></itemClsNm>\
    <itemClsLvl>5</itemClsLvl><taxTyCd>B</taxTyCd><mjrTgYn>Y</mjrTgYn><useYn>Y</useYn></item>\
    <item><itemClsCd>99010000</itemClsCd><itemClsNm/><itemClsLvl>2</itemClsLvl><taxTyCd></taxTyCd><useYn>N</useYn></item></itemClsList>\
    <noticeList><noticeNo>7</noticeNo><title>T</title><cont>a\nb</cont><dtlUrl>http://x/</dtlUrl><regrNm>K</regrNm>\
    <regDt>20250110000000</regDt></noticeList></data></AnyRes>";

#[test]
fn both_formats_read_alike() {
    for body in [JSON, XML] {
        let listed = news(body);
        let [taxes, payments] = listed.codes.as_slice() else { panic!("two lists: {:?}", listed.codes) };
        assert_eq!((taxes.class.as_str(), taxes.name.as_str(), taxes.in_use), ("04", "Tax type", true));
        assert_eq!(taxes.source, ListSource::Kra(when("20250115101533")));
        let codes: Vec<&Code> = taxes.codes().collect();
        assert_eq!(codes.iter().map(|code| code.code.as_str()).collect::<Vec<_>>(), ["A", "B"]);
        assert_eq!((codes[0].in_use, codes[0].order, codes[0].description.as_deref()), (true, Some(1), None));
        assert_eq!((codes[1].in_use, codes[1].order, codes[1].name.as_str()), (false, Some(2), "B-16%"));
        assert_eq!(codes[1].columns, [Some("16.00".to_owned()), Some("B".to_owned()), None]);
        assert_eq!((payments.class.as_str(), payments.in_use, payments.codes().len()), ("07", false, 0));

        let (classes, _) = crate::fiscal::ItemClasses::default().merged(&listed.classes, true);
        let class = classes.find("5059690800").unwrap();
        assert_eq!(
            (class.name, class.level, class.tax_type),
            ("Groceries & \"more\"", Some(5), Some(TaxType::B))
        );
        assert_eq!((class.major, class.in_use), (Some(true), true));
        let class = classes.find("99010000").unwrap();
        assert_eq!(
            (class.name, class.level, class.tax_type, class.major, class.in_use),
            ("", Some(2), None, None, false)
        );
        assert_eq!((classes.len(), listed.skipped), (2, 0));

        let notice = Notice {
            number: 7,
            title: "T".to_owned(),
            text: "a b".to_owned(),
            link: Some("http://x/".to_owned()),
            published: Some(when("20250110000000")),
        };
        assert_eq!(listed.notices, [notice]);
    }
}

#[test]
fn the_gateways_wrapping_and_what_stands_last() {
    for body in [
        r#"{"responseHeader":{"responseCode":200,"x":1},"responseBody":{"data":{"itemClsList":[{"itemClsCd":"1"}]},"resultCd":"0"}}"#,
        &format!(
            r#"{{"resultCd":"000","x":{}{},"data":{{"itemClsList":[{{"itemClsCd":"1"}}]}}}}"#,
            "[".repeat(100_000),
            "]".repeat(100_000)
        ),
        r#"{"header":{"responseCode":"200"},"body":{"resultCd ":0,"data":{"itemClsList ":{"itemClsCd":"1"}}}}"#,
        "\u{feff} {\"data\":{\"itemClsList\":[{\"itemClsCd\":\"1\"}]},\"resultCd\":\"0000\"} \n",
        " <r><data><itemClsList><item><itemClsCd>1</itemClsCd></item></itemClsList></data><resultCd>00</resultCd></r>",
        "<r><data><itemClsList><itemClsCd>1</itemClsCd></itemClsList></data><resultCd>00</resultCd></r>",
    ] {
        let Told::News(listed, answered_at) = told(body) else { panic!("{body:.80}") };
        assert_eq!((listed.classes.len(), answered_at), (1, None), "{body:.80}");
    }
    let list = r#"{"resultCd":"000","data":{"clsList":[{"cdCls":"04","dtlList":[{"cd":"A"}]}]}}"#;
    assert_eq!(news(list).codes[0].source, ListSource::Kra(asked_at()));
}

#[test]
fn what_the_codes_mean() {
    for (body, expected) in [
        (r#"{"resultCd":"001","resultDt":"20250115101533","data":null}"#, "nothing"),
        ("<r><resultCd>001</resultCd></r>", "nothing"),
        (r#"{"resultCd":"000","data":null}"#, "news"),
        (r#"{"resultCd":"000","data":{"itemClsList":null,"clsList":""}}"#, "news"),
        (r#"{"resultCd":"990"}"#, "busy"),
        (r#"{"resultCd":"901"}"#, "refused"),
        (r#"{"resultCd":"E04"}"#, "refused"),
        (r#"{"resultCd":"912"}"#, "missing"),
        (r#"{"resultCd":"999"}"#, "failed"),
        (r#"{"resultCd":"910"}"#, "failed"),
        (r#"{"resultCd":"777"}"#, "failed"),
        (r#"{"responseHeader":{"responseCode":404},"responseBody":null}"#, "missing"),
        (r#"{"responseHeader":{"responseCode":429},"responseBody":null}"#, "busy"),
        (r#"{"responseHeader":{"responseCode":400,"debugMessage":"no"},"responseBody":null}"#, "failed"),
    ] {
        assert_eq!(word(&told(body)), expected, "{body}");
    }
    let Told::Busy(busy) = told(r#"{"resultCd":"990"}"#) else { panic!("busy") };
    assert_eq!(busy.floor, Some(std::time::Duration::from_secs(900)));
    let Told::Nothing(at) = told(r#"{"resultCd":"001","resultDt":"20250115101533"}"#) else {
        panic!("nothing")
    };
    assert_eq!(at, Some(when("20250115101533")));
    for (http_status, body, expected) in [
        (404, "", "missing"),
        (429, "", "busy"),
        (401, "", "refused"),
        (503, "<html/>", "failed"),
        (500, r#"{"resultCd":"000","data":{"itemClsList":[{"itemClsCd":"1"}]}}"#, "failed"),
        (400, r#"{"resultCd":"990"}"#, "busy"),
    ] {
        let answer = Answer { http_status, retry_after: None, content_type: None, body: body.as_bytes() };
        assert_eq!(word(&read_failure(&answer)), expected, "HTTP {http_status}");
    }
}

#[test]
fn what_is_no_list_is_told_as_such() {
    let rows = |count: usize, row: &str| vec![row; count].join(",");
    let json = |inner: &str| format!(r#"{{"resultCd":"000","data":{{{inner}}}}}"#);
    let many_fields = (0..1001).map(|n| format!("\"f{n}\":1")).collect::<Vec<_>>().join(",");
    for (body, words) in [
        (String::new(), "empty body"),
        (" \n ".to_owned(), "empty body"),
        ("<html><body>maintenance</body></html>".to_owned(), "no resultCd"),
        (r#"{"data":{"itemClsList":[{"itemClsCd":"1"}]}}"#.to_owned(), "no resultCd"),
        ("[]".to_owned(), "no resultCd"),
        (JSON[..JSON.len() / 2].to_owned(), "neither JSON nor well-formed XML"),
        (XML[..XML.len() / 2].to_owned(), "neither JSON nor well-formed XML"),
        (format!("{JSON}x"), "neither JSON nor well-formed XML"),
        (format!("{XML}<x/>"), "neither JSON nor well-formed XML"),
        (json(r#""itemClsList":"x""#), "neither JSON nor well-formed XML"),
        (json(r#""itemClsList":[{"itemClsCd":"1"}}"#), "neither JSON nor well-formed XML"),
        ("<!DOCTYPE r [<!ENTITY a 'b'>]><r><resultCd>000</resultCd></r>".to_owned(), "document type"),
        ("<r><resultCd>&a;</resultCd></r>".to_owned(), "document type, an entity"),
        (json(&format!(r#""itemClsList":[{}{}]"#, "[".repeat(90), "]".repeat(90))), "nested too deeply"),
        (format!("<r>{}{}</r>", "<a>".repeat(70), "</a>".repeat(70)), "nested too deeply"),
        (json(&many_fields), "too many values"),
        (json(&format!(r#""clsList":[{}]"#, rows(501, r#"{"cdCls":"1"}"#))), "too many values"),
        (
            json(&format!(r#""clsList":[{{"cdCls":"1","dtlList":[{}]}}]"#, rows(20_001, r#"{"cd":"1"}"#))),
            "too many values",
        ),
        (json(r#""itemClsList":[{"itemClsCd":"1","itemClsCd":"2"}]"#), "different values"),
        (json(r#""itemClsList":[{"itemClsCd":"1"},{"itemClsCd":""},{"x":1}]"#), "most rows"),
    ] {
        let message = failure(&body);
        assert!(message.contains(words), "{body:.80}: {message}");
    }
    let most =
        (0..=crate::fiscal::MOST_CLASSES).map(|n| format!("{{\"itemClsCd\":\"{n}\"}}")).collect::<Vec<_>>();
    assert!(failure(&json(&format!(r#""itemClsList":[{}]"#, most.join(",")))).contains("too many values"));
    for first in ["", "{", "<"] {
        let endless = first.as_bytes().chain(std::io::repeat(b' '));
        let Told::Failed(words) = read(BufReader::new(endless), 200, asked_at()) else { panic!("endless") };
        assert!(words.message.contains("too large"), "{}", words.message);
    }
}

#[test]
fn one_bad_row_is_left_out() {
    let listed = news(
        r#"{"resultCd":"000","data":{"itemClsList":[{"itemClsCd":"1"},{"itemClsCd":"12345678901"},{"itemClsCd":"2"}],
            "clsList":[{"cdCls":"04","dtlList":[{"cd":"A"},{"cd":"has space"},{"cd":"E"}]},{"cdClsNm":"none"}]}}"#,
    );
    assert_eq!((listed.classes.len(), listed.codes.len(), listed.skipped), (2, 1, 3));
    assert_eq!(listed.codes[0].codes().len(), 2);
}

#[test]
fn notices_are_sorted_and_bounded() {
    let rows: Vec<String> = (0..200)
        .map(|n| {
            format!(
                r#"{{"noticeNo":{n},"title":"{}","cont":"c","regDt":"2025011000{:02}00"}}"#,
                "t".repeat(500),
                n % 60
            )
        })
        .collect();
    let listed = news(&format!(r#"{{"resultCd":"000","data":{{"noticeList":[{}]}}}}"#, rows.join(",")));
    assert_eq!(listed.notices.len(), 50);
    assert_eq!((listed.notices[0].number, listed.notices[0].title.len()), (179, 200));
    assert!(listed.notices.is_sorted_by_key(|notice| std::cmp::Reverse((notice.published, notice.number))));
}

#[test]
fn questions() {
    let device = sample().device;
    let since = when("20180101000000");
    assert_eq!(
        encode(Function::SelectCodeList, Format::Json, &device, since).body,
        br#"{"tin":"P000000000A","bhfId":"00","cmcKey":"","lastReqDt":"20180101000000"}"#
    );
    let xml = encode(Function::SelectTrnsPurchaseSalesItemList, Format::Xml, &device, since).body;
    let xml = String::from_utf8(xml).unwrap();
    assert!(xml.contains("<TrnsPurchaseSalesItemReq><tin>P000000000A</tin><bhfId>00</bhfId>"), "{xml}");
    assert!(xml.contains("<lastReqDt>20180101000000</lastReqDt></TrnsPurchaseSalesItemReq>"), "{xml}");
}

proptest::proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
        let _ = read(bytes.as_slice(), 200, asked_at());
    }

    #[test]
    fn no_damage_panics(at in 0..JSON.len(), byte: u8, xml: bool) {
        let mut body = if xml { XML } else { JSON }.as_bytes().to_vec();
        let at = at % body.len();
        body[at] = byte;
        let _ = read(body.as_slice(), 200, asked_at());
        let _ = read(&body[..at], 200, asked_at());
    }
}
