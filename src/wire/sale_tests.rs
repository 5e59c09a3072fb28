use crate::fiscal::{
    Amount, BhfId, CmcKey, Customer, DeviceIdentity, DeviceSerial, Quantity, Rate, TaxTotal, TimeSource, Tin,
    TraderRef,
};
use crate::wire::tree::Tree;

use super::*;

fn amount(text: &str) -> Amount {
    Amount::parse(text).unwrap()
}

/// The complete sale of KRA's documentation in our own figures: two pieces at 58.00, letter B, cash.
pub(in crate::wire) fn sample() -> Invoice {
    let total = |rate: &str, taxable: &str, tax: &str| TaxTotal {
        rate: Rate::parse(rate).unwrap(),
        taxable: amount(taxable),
        tax: amount(tax),
    };
    let quantity = Quantity::parse("2").unwrap();
    let line = InvoiceLine {
        item_code: "KE2NTNO0000001".to_owned(),
        item_class: Some("5059690800".to_owned()),
        name: "Thing".to_owned(),
        barcode: None,
        package_unit: "NT".to_owned(),
        packages: quantity,
        quantity_unit: "NO".to_owned(),
        quantity,
        price: amount("58"),
        supply: amount("116"),
        discount_rate: Rate::ZERO,
        discount: Amount::ZERO,
        insurance: None,
        tax_type: TaxType::B,
        taxable: amount("100"),
        tax: amount("16"),
        total: amount("116"),
    };
    Invoice {
        trader_ref: TraderRef::new("TILL3-000123").unwrap(),
        device: DeviceIdentity {
            tin: Tin::new("P000000000A").unwrap(),
            bhf_id: BhfId::new("00").unwrap(),
            serial: DeviceSerial::new("GW-1").unwrap(),
        },
        receipt_type: ReceiptType::Sale,
        sales_type: SalesType::Normal,
        payment_type: "01".to_owned(),
        confirmed_at: KraDateTime::parse_kra("20250115101530").unwrap(),
        confirmed_by: TimeSource::Register,
        customer: Customer { name: Some("Walk-in".to_owned()), ..Customer::default() },
        remark: None,
        original: None,
        refund_reason: None,
        replaces: None,
        lines: vec![line],
        by_tax_type: [
            total("0", "0", "0"),
            total("16", "100", "16"),
            total("0", "0", "0"),
            total("0", "0", "0"),
            total("8", "0", "0"),
        ],
        total_taxable: amount("100"),
        total_tax: amount("16"),
        total: amount("116"),
    }
}

fn texts() -> TraderTexts {
    TraderTexts { name: Some("Shop".to_owned()), ..TraderTexts::default() }
}

fn filled(format: Format, invoice: &Invoice, trader: &TraderTexts, original: Option<u64>) -> String {
    let binding = SaleBinding {
        invoice_no: 42,
        original_invoice_no: original,
        confirmed_at: invoice.confirmed_at,
        sold_on: invoice.confirmed_at.date(),
        trader,
    };
    let request = encode(format, invoice, &binding);
    assert_eq!(request.function, Function::SaveTrnsSalesOsdc);
    assert_eq!(request.format, format);
    String::from_utf8(request.fill(&CmcKey::new("0123456789ABCDEF").unwrap())).unwrap()
}

const GOLDEN_JSON: &str = concat!(
    r#"{"tin":"P000000000A","bhfId":"00","cmcKey":"0123456789ABCDEF","trdInvcNo":"TILL3-000123","invcNo":42,"#,
    r#""orgInvcNo":0,"custTin":null,"custNm":"Walk-in","salesTyCd":"N","rcptTyCd":"S","pmtTyCd":"01","#,
    r#""salesSttsCd":"02","cfmDt":"20250115101530","salesDt":"20250115","stockRlsDt":"20250115101530","#,
    r#""cnclReqDt":null,"cnclDt":null,"rfdDt":null,"rfdRsnCd":null,"totItemCnt":1,"#,
    r#""taxblAmtA":0,"taxblAmtB":100.00,"taxblAmtC":0,"taxblAmtD":0,"taxblAmtE":0,"#,
    r#""taxRtA":0,"taxRtB":16,"taxRtC":0,"taxRtD":0,"taxRtE":8,"#,
    r#""taxAmtA":0,"taxAmtB":16.00,"taxAmtC":0,"taxAmtD":0,"taxAmtE":0,"#,
    r#""totTaxblAmt":100.00,"totTaxAmt":16.00,"totAmt":116.00,"prchrAcptcYn":"N","remark":null,"#,
    r#""regrId":"gw","regrNm":"gw","modrId":"gw","modrNm":"gw","#,
    r#""receipt":{"custTin":null,"custMblNo":null,"rcptPbctDt":"20250115101530","trdeNm":"Shop","adrs":null,"#,
    r#""topMsg":null,"btmMsg":null,"prchrAcptcYn":"N"},"#,
    r#""itemList":[{"itemSeq":1,"itemCd":"KE2NTNO0000001","itemClsCd":"5059690800","itemNm":"Thing","bcd":null,"#,
    r#""pkgUnitCd":"NT","pkg":2,"qtyUnitCd":"NO","qty":2,"prc":58.00,"splyAmt":116.00,"dcRt":0,"dcAmt":0,"#,
    r#""isrccCd":null,"isrccNm":null,"isrcRt":null,"isrcAmt":null,"#,
    r#""taxTyCd":"B","taxblAmt":100.00,"taxAmt":16.00,"totAmt":116.00}]}"#,
);

const GOLDEN_XML: &str = concat!(
    r#"<?xml version="1.0" encoding="UTF-8"?><TrnsSalesSaveWrReq>"#,
    "<tin>P000000000A</tin><bhfId>00</bhfId><cmcKey>0123456789ABCDEF</cmcKey>",
    "<trdInvcNo>TILL3-000123</trdInvcNo><invcNo>42</invcNo><orgInvcNo>0</orgInvcNo>",
    "<custNm>Walk-in</custNm><salesTyCd>N</salesTyCd><rcptTyCd>S</rcptTyCd><pmtTyCd>01</pmtTyCd>",
    "<salesSttsCd>02</salesSttsCd><cfmDt>20250115101530</cfmDt><salesDt>20250115</salesDt>",
    "<stockRlsDt>20250115101530</stockRlsDt><totItemCnt>1</totItemCnt>",
    "<taxblAmtA>0</taxblAmtA><taxblAmtB>100.00</taxblAmtB><taxblAmtC>0</taxblAmtC>",
    "<taxblAmtD>0</taxblAmtD><taxblAmtE>0</taxblAmtE>",
    "<taxRtA>0</taxRtA><taxRtB>16</taxRtB><taxRtC>0</taxRtC><taxRtD>0</taxRtD><taxRtE>8</taxRtE>",
    "<taxAmtA>0</taxAmtA><taxAmtB>16.00</taxAmtB><taxAmtC>0</taxAmtC><taxAmtD>0</taxAmtD><taxAmtE>0</taxAmtE>",
    "<totTaxblAmt>100.00</totTaxblAmt><totTaxAmt>16.00</totTaxAmt><totAmt>116.00</totAmt>",
    "<prchrAcptcYn>N</prchrAcptcYn><regrId>gw</regrId><regrNm>gw</regrNm><modrId>gw</modrId><modrNm>gw</modrNm>",
    "<receipt><rcptPbctDt>20250115101530</rcptPbctDt><trdeNm>Shop</trdeNm><prchrAcptcYn>N</prchrAcptcYn></receipt>",
    "<itemList><item><itemSeq>1</itemSeq><itemCd>KE2NTNO0000001</itemCd><itemClsCd>5059690800</itemClsCd>",
    "<itemNm>Thing</itemNm><pkgUnitCd>NT</pkgUnitCd><pkg>2</pkg><qtyUnitCd>NO</qtyUnitCd><qty>2</qty>",
    "<prc>58.00</prc><splyAmt>116.00</splyAmt><dcRt>0</dcRt><dcAmt>0</dcAmt><taxTyCd>B</taxTyCd>",
    "<taxblAmt>100.00</taxblAmt><taxAmt>16.00</taxAmt><totAmt>116.00</totAmt></item></itemList>",
    "</TrnsSalesSaveWrReq>",
);

#[test]
fn the_sample_sale_in_both_formats() {
    assert_eq!(filled(Format::Json, &sample(), &texts(), None), GOLDEN_JSON);
    assert_eq!(filled(Format::Xml, &sample(), &texts(), None), GOLDEN_XML);
}

#[test]
fn a_credit_note_points_back_and_says_why_and_when() {
    let mut note = sample();
    note.receipt_type = ReceiptType::CreditNote;
    note.original = Some(Original::TraderRef(TraderRef::new("TILL3-000100").unwrap()));
    note.refund_reason = Some("06".to_owned());
    note.customer = Customer { tin: Some(Tin::new("A123456789Z").unwrap()), ..Customer::default() };
    note.remark = Some("a \"b\" <c> & d".to_owned());
    note.lines[0].quantity = Quantity::parse("1.5").unwrap();
    for format in [Format::Json, Format::Xml] {
        let text = filled(format, &note, &texts(), Some(41));
        let tree = Tree::read(text.as_bytes()).unwrap();
        for (field, expected) in [
            ("orgInvcNo", "41"),
            ("rcptTyCd", "R"),
            ("rfdDt", "20250115101530"),
            ("rfdRsnCd", "06"),
            ("custTin", "A123456789Z"),
            ("custNm", DEFAULT_CUSTOMER_NAME),
            ("remark", "a \"b\" <c> & d"),
        ] {
            assert_eq!(tree.text(field), Some(expected), "{field}");
        }
        assert_eq!(tree.field("receipt").unwrap().text("custTin"), Some("A123456789Z"));
        assert_eq!(tree.list("itemList").unwrap()[0].text("qty"), Some("1.50"));
    }
    note.original = Some(Original::InvoiceNo(7));
    assert!(filled(Format::Json, &note, &texts(), None).contains(r#""orgInvcNo":7,"#));
}

#[test]
fn the_day_of_the_sale_stays_when_the_time_is_that_of_sending() {
    let invoice = sample();
    let trader = texts();
    let binding = SaleBinding {
        invoice_no: 1,
        original_invoice_no: None,
        confirmed_at: KraDateTime::parse_kra("20250301080000").unwrap(),
        sold_on: invoice.confirmed_at.date(),
        trader: &trader,
    };
    let request = encode(Format::Json, &invoice, &binding);
    let tree = Tree::read(&request.body).unwrap();
    assert_eq!(tree.text("cfmDt"), Some("20250301080000"));
    assert_eq!(tree.text("salesDt"), Some("20250115"));
    assert_eq!(request.trader_ref().as_deref(), Some("TILL3-000123"));
}

#[test]
fn long_texts_are_cut_between_characters() {
    for (text, longest, expected) in [
        (Some("Duka la Mzee Ngũgĩ wa Thiong'o"), 20, Some("Duka la Mzee Ngũgĩ w")),
        (Some("0123456789012345678 0"), 20, Some("0123456789012345678")),
        (Some("a\u{7}b\n"), 20, Some("ab")),
        (Some("  "), 20, None),
        (Some("ééé"), 2, Some("éé")),
        (None, 2, None),
    ] {
        assert_eq!(cut(text, longest).as_deref(), expected);
    }
}

proptest::proptest! {
    #[test]
    fn every_text_survives_both_formats(name in "[^\\p{Cc}\u{fffe}\u{ffff}]{1,60}") {
        let mut invoice = sample();
        invoice.lines[0].name = name.clone();
        for format in [Format::Json, Format::Xml] {
            let text = filled(format, &invoice, &texts(), None);
            let tree = Tree::read(text.as_bytes()).unwrap();
            let line = &tree.list("itemList").unwrap()[0];
            proptest::prop_assert_eq!(line.text("itemNm").unwrap_or(""), name.trim());
        }
    }
}
