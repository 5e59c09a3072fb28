//! Receipts as whole pages: each kind, on narrow and on wide paper, compared with what is kept under `golden/`. `UPDATE_GOLDEN=1`
//! writes them anew; the difference is then read by a person.

use std::path::Path;

use crate::fiscal::{
    Amount, BhfId, Codes, DeviceIdentity, DeviceSerial, Draft, DraftLine, Invoice, KraDateTime, Proof,
    Quantity, Rate, Rates, Rules, TaxConvention, Tin, qr_url,
};

use super::*;

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn line(name: &str, quantity: &str, price: &str, tax_type: &str) -> DraftLine {
    DraftLine {
        item_code: some("KE2NTNO0000001"),
        name: some(name),
        package_unit: some("NT"),
        quantity_unit: some("NO"),
        quantity: Some(Quantity::parse(quantity).unwrap()),
        price: Some(Amount::parse(price).unwrap()),
        tax_type: some(tax_type),
        ..DraftLine::default()
    }
}

fn invoice(draft: Draft) -> Invoice {
    let device = DeviceIdentity {
        tin: Tin::new("P051234567Z").unwrap(),
        bhf_id: BhfId::new("00").unwrap(),
        serial: DeviceSerial::new("TILL-0001").unwrap(),
    };
    let codes = Codes::built_in();
    let rules = Rules {
        device: &device,
        convention: TaxConvention::default(),
        rates: Rates::default(),
        codes: &codes,
        now: KraDateTime::parse("20250115101530").unwrap(),
        clock_synchronised: true,
    };
    Invoice::new(draft, &rules).unwrap()
}

fn draft(lines: Vec<DraftLine>) -> Draft {
    Draft { trader_ref: some("T1-000123"), lines, ..Draft::default() }
}

fn mixed() -> Draft {
    let discounted = DraftLine {
        discount_rate: Some(Rate::parse("10").unwrap()),
        ..line("Cooking oil, fortified with vitamin A, 5 l jerry can", "2", "1349", "B")
    };
    Draft {
        customer_tin: some("A012345678Z"),
        customer_name: some("Mwangi Hardware Ltd"),
        payment_type: some("06"),
        ..draft(vec![
            line("Maize flour 2 kg", "3", "189.50", "A"),
            discounted,
            line("Bread 400 g", "1", "65", "C"),
            line("Newspaper", "1", "60", "D"),
            line("Kerosene", "1.5", "196", "E"),
        ])
    }
}

fn heading() -> Heading {
    Heading {
        name: "Duka la Mama Njeri".to_owned(),
        address: some("Moi Avenue 12, Nairobi"),
        top_message: some("Karibu"),
        bottom_message: some("Asante, come again"),
    }
}

fn proof() -> Proof {
    Proof {
        receipt_no: 8,
        total_receipt_no: 15,
        internal_data: "ABCDEFGHIJKLMNOPQRSTUVWXYZ".to_owned(),
        signature: "ABCDEFGHIJKLMNOP".to_owned(),
        issued_at: KraDateTime::parse_kra("20250115101533").unwrap(),
    }
}

fn link() -> String {
    let (tin, bhf_id) = (Tin::new("P051234567Z").unwrap(), BhfId::new("00").unwrap());
    qr_url("etims-sbx.kra.go.ke", &tin, &bhf_id, "ABCDEFGHIJKLMNOP")
}

/// Gives the receipt of this sale to a test.
fn with_receipt<T>(sale: Draft, mut kind: &str, run: impl FnOnce(&Receipt<'_>) -> T) -> T {
    let (invoice, heading, proof, link) = (invoice(sale), heading(), proof(), link());
    let slip = Slip {
        number: "P-12-ABCD",
        signature: "ABCD-EFGH-IJKL-MNOP-QRST",
        accepted_at: KraDateTime::parse_kra("20250115101530").unwrap(),
    };
    let simulated = kind.strip_prefix("simulated ").inspect(|rest| kind = rest).is_some();
    let copy = kind.strip_prefix("copy of ").inspect(|rest| kind = rest).is_some();
    let standing = match kind {
        "signed" => Standing::Signed(Signed { proof: &proof, scu_id: "KRACU0100000001", qr_url: &link }),
        "waiting" => Standing::Waiting(slip),
        "refused" => Standing::Refused(slip),
        "not fiscal" => Standing::NotFiscal,
        other => panic!("no such kind: {other}"),
    };
    // KRA gives a number to what it has signed: a slip may come before that.
    let original = matches!(standing, Standing::Signed(_)).then_some("KRACU0100000001/7");
    let original_trader_ref = Some("T1-000100").filter(|_| invoice.original.is_some());
    let trader_ref = invoice.trader_ref.as_str();
    run(&Receipt {
        heading: &heading,
        invoice: &invoice,
        trader_ref,
        standing,
        copy,
        original,
        original_trader_ref,
        simulated,
    })
}

fn credit_note() -> Draft {
    Draft {
        receipt_type: some("R"),
        original_trader_ref: some("T1-000100"),
        refund_reason: some("06"),
        ..mixed()
    }
}

fn check_golden(name: &str, given: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/receipts").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, given).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(given, kept, "{name}: not as it was");
}

/// ESC/POS as a person can read it.
fn readable(bytes: &[u8]) -> String {
    let mut out = String::new();
    for byte in bytes {
        match byte {
            b'\n' => out.push('\n'),
            b' '..=b'~' => out.push(char::from(*byte)),
            other => out.push_str(&format!("<{other:02x}>")),
        }
    }
    out
}

#[test]
fn each_kind_as_it_is_printed() {
    let one = |tax_type| draft(vec![line("Thing", "2", "58", tax_type)]);
    let training = Draft { sales_type: some("T"), ..one("B") };
    let training_note = Draft { sales_type: some("T"), ..credit_note() };
    let proforma = Draft { sales_type: some("P"), ..one("B") };
    for (name, sale, kind) in [
        ("sale-a", one("A"), "signed"),
        ("sale-b", one("B"), "signed"),
        ("sale-c", one("C"), "signed"),
        ("sale-d", one("D"), "signed"),
        ("sale-e", one("E"), "signed"),
        ("sale-mixed", mixed(), "signed"),
        ("sale-mixed-copy", mixed(), "copy of signed"),
        ("credit-note", credit_note(), "signed"),
        ("credit-note-copy", credit_note(), "copy of signed"),
        ("credit-note-provisional", credit_note(), "waiting"),
        ("credit-note-refused", credit_note(), "refused"),
        ("credit-note-training", training_note, "not fiscal"),
        ("provisional", mixed(), "waiting"),
        ("refused", one("B"), "refused"),
        ("training", training, "not fiscal"),
        ("proforma", proforma, "not fiscal"),
        ("simulator", one("B"), "simulated signed"),
    ] {
        with_receipt(sale, kind, |receipt| {
            for width in [32, 42, 48, 64] {
                let printed = text(receipt, width);
                let longest = printed.lines().map(|line| line.chars().count()).max();
                assert!(longest.is_some_and(|longest| longest <= width), "{name} on {width}:\n{printed}");
                check_golden(&format!("{name}-{width}.txt"), &printed);
            }
            check_golden(&format!("{name}-42.escpos"), &readable(&escpos(receipt, 42)));
            let facts = serde_json::to_string_pretty(&json(receipt)).unwrap();
            check_golden(&format!("{name}.json"), &format!("{facts}\n"));
        });
    }
}

#[test]
fn every_width_holds_every_row() {
    for kind in ["signed", "copy of signed", "waiting", "refused", "simulated signed"] {
        for width in 0..130 {
            let printed = with_receipt(mixed(), kind, |receipt| text(receipt, width));
            let fits = |line: &str| line.chars().count() <= width.max(NARROWEST);
            assert!(printed.lines().all(fits), "{kind} on {width}:\n{printed}");
        }
    }
}

#[test]
fn only_what_kra_signed_looks_like_a_receipt() {
    for kind in ["waiting", "refused"] {
        with_receipt(mixed(), kind, |receipt| {
            let printed = text(receipt, 80);
            assert!(printed.contains("THIS IS NOT AN OFFICIAL RECEIPT"), "{printed}");
            assert!(
                printed.contains("P-12-ABCD") && printed.contains("ABCD-EFGH-IJKL-MNOP-QRST"),
                "{printed}"
            );
            for fiscal in ["SCU", "TAX INVOICE", "http", "CU INVOICE", "KRACU"] {
                assert!(!printed.contains(fiscal), "{fiscal} on {printed}");
            }
            assert_eq!(json(receipt)["official"], false);
        });
    }
    let copy = with_receipt(mixed(), "copy of signed", |receipt| escpos(receipt, 42));
    let big = b"\x1d!\x11\x1bE\x01";
    let times = copy.windows(big.len()).filter(|window| window == big).count();
    assert_eq!(times, 2, "COPY in big letters above and below");
    with_receipt(mixed(), "simulated signed", |receipt| {
        assert!(text(receipt, 42).contains("SIMULATOR"));
        assert_eq!(json(receipt)["official"], false);
    });
}

/// What a camera reads from the text form.
fn scanned(printed: &str) -> Vec<String> {
    let drawn: Vec<Vec<char>> = printed
        .lines()
        .filter(|line| line.chars().any(|c| "\u{2580}\u{2584}\u{2588}".contains(c)))
        .map(|line| line.chars().collect())
        .collect();
    let (scale, margin) = (4, 8);
    let width = drawn.iter().map(Vec::len).max().unwrap_or_default();
    let dark = |x: usize, y: usize| {
        let c = drawn.get(y / 2).and_then(|line| line.get(x)).copied().unwrap_or(' ');
        c == '\u{2588}' || c == if y.is_multiple_of(2) { '\u{2580}' } else { '\u{2584}' }
    };
    let side = |modules: usize| (modules + 2 * margin) * scale;
    let mut image =
        rqrr::PreparedImage::prepare_from_greyscale(side(width), side(drawn.len() * 2), |x, y| {
            let (x, y) = (x / scale, y / scale);
            if x >= margin && y >= margin && dark(x - margin, y - margin) { 0 } else { 255 }
        });
    image.detect_grids().iter().map(|grid| grid.decode().unwrap().1).collect()
}

#[test]
fn the_qr_code_leads_to_kras_page() {
    let printed = with_receipt(mixed(), "signed", |receipt| text(receipt, 64));
    assert_eq!(scanned(&printed), [link()]);
    // Where the paper is too narrow the link is there all the same.
    let narrow = with_receipt(mixed(), "signed", |receipt| text(receipt, 32));
    assert!(scanned(&narrow).is_empty());
    assert!(narrow.replace('\n', "").contains(&link()), "{narrow}");
    let orders = with_receipt(mixed(), "signed", |receipt| escpos(receipt, 32));
    let stored = [b"1P0", link().as_bytes()].concat();
    assert!(orders.windows(stored.len()).any(|window| window == stored));
}

#[test]
fn letters_that_a_printer_does_not_have_are_question_marks() {
    let sale = || draft(vec![line("Chai caf\u{e9} \u{8336}", "1", "5", "B")]);
    let bytes = with_receipt(sale(), "signed", |receipt| escpos(receipt, 42));
    assert!(bytes.windows(11).any(|window| window == b"Chai caf\x82 ?"));
    assert!(with_receipt(sale(), "signed", |receipt| text(receipt, 42)).contains("Chai caf\u{e9} \u{8336}"));
}
