//! Papers that KRA fills in itself: what it knows of a taxpayer, its notices, an invoice from elsewhere.

use super::books::Device;
use super::clock::Moment;
use super::code_lists;
use super::tree::Tree;

/// When the built-in lists and notices were last changed.
pub(super) const FOUNDED: &str = "20240101000000";

/// The notice that is there from the beginning.
pub(super) fn notice() -> Tree {
    Tree::object([
        ("noticeNo", Tree::number(1)),
        ("title", Tree::text("Simulator")),
        ("cont", Tree::text("This is the simulator: nothing sent here reaches KRA.")),
        ("dtlUrl", Tree::text("http://localhost/")),
        ("regrNm", Tree::text("simulator")),
        ("regDt", Tree::text(FOUNDED)),
    ])
}

/// What a registration answers.
pub(super) fn taxpayer(tin: &str, bhf_id: &str, device: &Device) -> Tree {
    let info = Tree::object([
        ("tin", Tree::text(tin)),
        ("taxprNm", Tree::text("Simulated Trader Limited")),
        ("bsnsActv", Tree::text("Retail")),
        ("bhfId", Tree::text(bhf_id)),
        (
            "bhfNm",
            Tree::text(if bhf_id == "00" { "Headquarter".to_owned() } else { format!("Branch {bhf_id}") }),
        ),
        ("bhfOpenDt", Tree::text("20240101")),
        ("prvncNm", Tree::text("NAIROBI")),
        ("dstrtNm", Tree::text("WESTLANDS")),
        ("sctrNm", Tree::text("PARKLANDS")),
        ("locDesc", Tree::text("Simulated Road 1")),
        ("hqYn", Tree::text(if bhf_id == "00" { "Y" } else { "N" })),
        ("mgrNm", Tree::text("Simulated Manager")),
        ("mgrTelNo", Tree::text("0700000000")),
        ("mgrEmail", Tree::text("manager@example.com")),
        ("dvcId", Tree::text(&*device.device_id)),
        ("sdcId", Tree::text(&*device.scu_id)),
        ("mrcNo", Tree::text(&*device.mrc_no)),
        ("cmcKey", Tree::text(&*device.key)),
    ]);
    Tree::object([("info", info)])
}

/// A sale as another till would send it: one line, outside VAT.
pub(super) fn foreign_sale(invoice_no: u64, now: Moment) -> Tree {
    let zero = |names: &[&str]| -> Vec<(String, Tree)> {
        let each = names.iter().flat_map(|name| code_lists::LETTERS.map(|letter| format!("{name}{letter}")));
        each.map(|name| (name, Tree::number("0.00"))).collect()
    };
    let (text, amount) = (|text: &str| Tree::text(text), || Tree::number("10.00"));
    let line = Tree::object([
        ("itemSeq", Tree::number(1)),
        ("itemCd", text("KE2NTNO9999999")),
        ("itemClsCd", text("99010000")),
        ("itemNm", text("Sold elsewhere")),
        ("pkgUnitCd", text("NT")),
        ("pkg", Tree::number(1)),
        ("qtyUnitCd", text("NO")),
        ("qty", Tree::number(1)),
        ("prc", amount()),
        ("splyAmt", amount()),
        ("dcRt", Tree::number(0)),
        ("dcAmt", Tree::number(0)),
        ("taxTyCd", text("D")),
        ("taxblAmt", amount()),
        ("taxAmt", Tree::number("0.00")),
        ("totAmt", amount()),
    ]);
    let receipt = Tree::object([("rcptPbctDt", Tree::text(now.stamp())), ("prchrAcptcYn", text("N"))]);
    let head = Tree::object([
        ("cmcKey", text("-")),
        ("trdInvcNo", Tree::text(format!("ELSEWHERE-{invoice_no}"))),
        ("invcNo", Tree::number(invoice_no)),
        ("orgInvcNo", Tree::number(0)),
        ("custNm", text("Somebody")),
        ("salesTyCd", text("N")),
        ("rcptTyCd", text("S")),
        ("pmtTyCd", text("01")),
        ("salesSttsCd", text("02")),
        ("cfmDt", Tree::text(now.stamp())),
        ("salesDt", Tree::text(now.date())),
        ("totItemCnt", Tree::number(1)),
        ("totTaxblAmt", amount()),
        ("totTaxAmt", Tree::number("0.00")),
        ("totAmt", amount()),
        ("prchrAcptcYn", text("N")),
        ("regrId", text("else")),
        ("regrNm", text("else")),
        ("modrId", text("else")),
        ("modrNm", text("else")),
        ("receipt", receipt),
        ("itemList", Tree::List(vec![line])),
    ]);
    let zeros = zero(&["taxblAmt", "taxRt", "taxAmt"]);
    zeros.into_iter().fold(head, |sale, (name, value)| sale.with(&name, value)).with("taxblAmtD", amount())
}
