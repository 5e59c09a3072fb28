use crate::fiscal::{Amount, KraDateTime, Quantity};
use crate::wire::sale::{self, SaleBinding, TraderTexts};

use super::*;

const SALE: &str = r#"{"trdInvcNo":"TILL3-000123","invcNo":"42","orgInvcNo":0,"custTin":null,"rcptTyCd":"S",
    "cfmDt":"2025-01-15 10:15:30","totItemCnt":1,"totTaxblAmt":100,"totTaxAmt":16.0,"totAmt":"116.00","odd":{"x":[1]},
    "receipt":{"curRcptNo ":41,"totRcptNo":42,"intrlData":"ABCDEFGHIJKLMNOPQRSTUVWXYZ","rcptSign":"ABCDEFGHIJKLMNOP",
        "sdcDateTime":"2025-01-15 10:15:33.0"},
    "itemList":[{"itemSeq":1,"itemCd":"KE2NTNO0000001","qty":2.00,"prc":58,"taxTyCd":"B","totAmt":116.00}]}"#;

fn ask(http_status: u16, body: &str) -> LookedUp {
    read(42, &Answer { http_status, retry_after: None, content_type: None, body: body.as_bytes() })
}

fn answer(code: &str, data: &str) -> String {
    format!(r#"{{"resultCd":"{code}","resultMsg":"said","resultDt":"20250115101533","data":{data}}}"#)
}

#[test]
fn the_question() {
    let device = sale::tests::sample().device;
    let request = encode(Format::Json, &device, 42);
    assert_eq!(request.body, br#"{"tin":"P000000000A","bhfId":"00","cmcKey":"","invcNo":42}"#);
    let request = encode(Format::Xml, &device, 42);
    let xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><InvoiceDetailsReq><tin>P000000000A</tin>\
        <bhfId>00</bhfId><cmcKey></cmcKey><invcNo>42</invcNo></InvoiceDetailsReq>";
    assert_eq!(String::from_utf8(request.body).unwrap(), xml);
}

#[test]
fn a_sale_in_every_shape_of_answer() {
    let flat = SALE.replace("\"receipt\":{", "").replace("33.0\"},", "33.0\",");
    for body in [
        answer("000", &format!(r#"{{"salesList":[{SALE}]}}"#)),
        answer("0000", &format!(r#"{{"salesList":{SALE}}}"#)),
        answer("000", &format!(r#"{{"salesList":[{},{SALE}]}}"#, SALE.replace("\"42\"", "41"))),
        answer("000", SALE),
        answer("000", &format!("[{SALE}]")),
        answer("000", &format!(r#"{{"salesList":[{flat}]}}"#)),
        format!(r#"{{"responseHeader":{{"responseCode":200}},"responseBody":{}}}"#, answer("000", SALE)),
    ] {
        let LookedUp::Found(found) = ask(200, &body) else { panic!("{:?} from {body}", ask(200, &body)) };
        assert_eq!(found.invoice_no, Some(42));
        assert_eq!(found.trader_ref.as_deref(), Some("TILL3-000123"));
        assert_eq!(found.receipt_type.as_deref(), Some("S"));
        assert_eq!(found.original_invoice_no, Some(0));
        assert_eq!(found.confirmed_at, KraDateTime::parse_kra("20250115101530").ok());
        assert_eq!(found.total_taxable, Amount::from_hundredths(10_000));
        assert_eq!(found.total_tax, Amount::from_hundredths(1_600));
        assert_eq!(found.total, Amount::from_hundredths(11_600));
        let lines = found.lines.unwrap();
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].item_code.as_deref(), Some("KE2NTNO0000001"));
        assert_eq!(lines[0].quantity, Quantity::from_hundredths(200));
        assert_eq!(lines[0].price, Amount::from_hundredths(5_800));
        assert_eq!(lines[0].tax_type.as_deref(), Some("B"));
        assert_eq!(lines[0].total, Amount::from_hundredths(11_600));
        let proof = found.proof.unwrap();
        assert_eq!((proof.receipt_no, proof.total_receipt_no), (41, 42));
        assert_eq!(proof.issued_at.to_string(), "20250115101533");
    }
}

#[test]
fn what_we_send_is_what_we_read_back() {
    let invoice = sale::tests::sample();
    let trader = TraderTexts::default();
    let binding = SaleBinding {
        invoice_no: 42,
        original_invoice_no: None,
        confirmed_at: invoice.confirmed_at,
        sold_on: invoice.confirmed_at.date(),
        trader: &trader,
    };
    let sent = sale::encode(Format::Xml, &invoice, &binding).body;
    let sent = String::from_utf8(sent).unwrap();
    let sale = sent.split_once("<TrnsSalesSaveWrReq>").unwrap().1.replace("</TrnsSalesSaveWrReq>", "");
    let body = format!(
        "<InvoiceDetailsRes><resultCd>000</resultCd><data><salesList><item>{sale}</item></salesList></data>\
        </InvoiceDetailsRes>"
    );
    let LookedUp::Found(found) = ask(200, &body) else { panic!("{:?}", ask(200, &body)) };
    assert_eq!(found.trader_ref.as_deref(), Some(invoice.trader_ref.as_str()));
    assert_eq!(found.total, Some(invoice.total));
    assert_eq!(found.lines.unwrap()[0].price, Some(invoice.lines[0].price));
    assert_eq!(found.proof, None);
}

#[test]
fn what_cannot_be_read_is_unknown_and_not_different() {
    let body = answer("000", r#"{"salesList":[{"invcNo":42,"totAmt":"1,16.00","cfmDt":"yesterday"}]}"#);
    let LookedUp::Found(found) = ask(200, &body) else { panic!() };
    assert_eq!(*found, FoundInvoice { invoice_no: Some(42), ..FoundInvoice::default() });
}

#[test]
fn every_other_answer() {
    let name = |looked_up: &LookedUp| match looked_up {
        LookedUp::Busy(_) => "busy",
        LookedUp::Refused(_) => "refused",
        LookedUp::Absent => "absent",
        LookedUp::Failed(_) => "failed",
        LookedUp::Found(_) => "found",
        LookedUp::Missing(_) => "missing",
    };
    for (http_status, body, expected) in [
        (200, answer("001", "null"), "absent"),
        (404, answer("001", "null"), "absent"),
        (502, answer("001", "null"), "failed"),
        (200, "<r><resultCd>001</resultCd></r>".to_owned(), "absent"),
        (200, answer("000", "null"), "failed"),
        (200, answer("000", "{\"salesList\":[]}"), "failed"),
        (200, answer("000", "{\"salesList\":[{\"invcNo\":41,\"totAmt\":1}]}"), "failed"),
        (200, answer("912", "null"), "missing"),
        (404, String::new(), "missing"),
        (404, "<html/>".to_owned(), "missing"),
        (405, String::new(), "failed"),
        (200, answer("901", "null"), "refused"),
        (200, answer("999", "null"), "failed"),
        (200, answer("990", "null"), "busy"),
        (200, "<html>maintenance</html>".to_owned(), "failed"),
        (200, String::new(), "failed"),
        (503, String::new(), "failed"),
    ] {
        let looked_up = ask(http_status, &body);
        assert_eq!(name(&looked_up), expected, "HTTP {http_status} {body}: {looked_up:?}");
    }
}

#[test]
fn a_list_of_sales() {
    let device = sale::tests::sample().device;
    let since = KraDateTime::parse_kra("20250115100530").unwrap();
    let request = encode_list(Format::Json, &device, since);
    assert_eq!(request.function, Function::SelectTrnsSalesList);
    let json = br#"{"tin":"P000000000A","bhfId":"00","cmcKey":"","lastReqDt":"20250115100530"}"#;
    assert_eq!(request.body, json);

    let ask = |body: &str| {
        read_list(
            42,
            &Answer { http_status: 200, retry_after: None, content_type: None, body: body.as_bytes() },
        )
    };
    let other = SALE.replace("\"42\"", "41");
    let found = ask(&answer("000", &format!(r#"{{"salesList":[{other},{SALE}]}}"#)));
    assert!(matches!(&found, LookedUp::Found(sale) if sale.proof.is_some()), "{found:?}");
    // A list may be cut short, and a sale without its number is anybody's.
    let nameless = SALE.replace(r#""invcNo":"42","#, "");
    for list in ["[]".to_owned(), format!("[{other}]"), format!("[{nameless}]")] {
        let told = ask(&answer("000", &format!(r#"{{"salesList":{list}}}"#)));
        assert!(matches!(&told, LookedUp::Failed(_)), "{told:?} from {list}");
    }
    assert_eq!(ask(&answer("001", "null")), LookedUp::Absent);
    assert!(matches!(ask(&answer("912", "null")), LookedUp::Missing(_)));
}
