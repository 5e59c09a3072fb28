//! A finished receipt as text, with its QR code. What is on it comes from KRA's books and the gateway's answer, not
//! from the till.

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};
use serde_json::Value;

use crate::fiscal::{Amount, group_in_fours};

/// Characters on a line.
const WIDTH: usize = 46;

/// Who sells.
pub(super) struct Trader<'a> {
    /// The whole name; what KRA's form takes of it is cut short.
    pub(super) name: &'a str,
    /// The PIN.
    pub(super) tin: &'a str,
    /// The branch.
    pub(super) bhf_id: &'a str,
}

/// The receipt of a signed sale. `invoice` is the sale as KRA's books have it; `sale` is what the gateway answers for
/// it.
pub(super) fn receipt(invoice: &Value, sale: &Value, trader: &Trader<'_>) -> Vec<String> {
    let mut paper = Paper::default();
    paper.head(invoice, trader);
    paper.goods(invoice);
    paper.taxes(invoice);
    paper.control_unit(sale);
    paper.till(invoice, sale);
    paper.lines
}

/// The QR code that leads to `url`. On a terminal with colours: dark on light whatever the terminal's own colours;
/// else dark where the character is, as on paper. `None` where the text is too long for a QR code.
pub(super) fn qr_code(url: &str, is_coloured: bool) -> Option<Vec<String>> {
    let code = QrCode::with_error_correction_level(url, EcLevel::L).ok()?;
    let drawn = code.render::<Dense1x2>().build();
    let paint = |line: &str| {
        if is_coloured { format!("\x1b[38;5;16;48;5;231m{line}\x1b[0m") } else { line.trim_end().to_owned() }
    };
    Some(drawn.lines().map(paint).collect())
}

/// An amount with its thousands apart: `2,193.20`.
pub(super) fn money(amount: &Value) -> String {
    let written = amount.as_str().map_or_else(|| amount.to_string(), str::to_owned);
    let Ok(amount) = Amount::parse(&written) else { return written };
    let plain = amount.to_string();
    let (whole, cents) = plain.split_once('.').unwrap_or((&plain, "00"));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}.{cents:0<2}")
}

/// The receipt as it grows.
#[derive(Default)]
struct Paper {
    lines: Vec<String>,
}

impl Paper {
    fn head(&mut self, invoice: &Value, trader: &Trader<'_>) {
        self.centred("*** SIMULATOR: NOT A FISCAL RECEIPT ***");
        self.centred(trader.name);
        self.centred(text(&invoice["receipt"]["adrs"]));
        self.centred(&format!("PIN {}  branch {}", trader.tin, trader.bhf_id));
        self.centred("TAX INVOICE");
        self.rule();
        self.pair("Buyer", text(&invoice["custNm"]));
        self.pair("Buyer PIN", text(&invoice["custTin"]));
        self.rule();
    }

    fn goods(&mut self, invoice: &Value) {
        let lines = invoice["itemList"].as_array().map(Vec::as_slice).unwrap_or_default();
        let (mut before, mut discounts) = (Amount::ZERO, Amount::ZERO);
        for line in lines {
            self.line(text(&line["itemNm"]));
            let letter = text(&line["taxTyCd"]);
            let exempt = if letter == "A" { "-EX" } else { "" };
            let sum = format!("{}{letter}{exempt}", money(&line["splyAmt"]));
            self.pair(&format!("  {} x {}", money(&line["prc"]), quantity(&line["qty"])), &sum);
            let (supply, discount) = (amount(&line["splyAmt"]), amount(&line["dcAmt"]));
            if discount > Amount::ZERO {
                let rate = quantity(&line["dcRt"]);
                self.pair(&format!("  discount {rate}%"), &format!("({})", money(&line["dcAmt"])));
            }
            before = before.checked_add(supply).unwrap_or(before);
            discounts = discounts.checked_add(discount).unwrap_or(discounts);
        }
        self.rule();
        if discounts > Amount::ZERO {
            self.pair("TOTAL BEFORE DISCOUNT", &money(&Value::from(before.to_string())));
            self.pair("TOTAL DISCOUNT AWARDED", &format!("({})", money(&Value::from(discounts.to_string()))));
        }
        self.pair("SUB TOTAL", &money(&invoice["totTaxblAmt"]));
        self.pair("VAT", &money(&invoice["totTaxAmt"]));
        self.pair("TOTAL", &money(&invoice["totAmt"]));
        self.pair("CASH", &money(&invoice["totAmt"]));
        self.pair("ITEMS NUMBER", &lines.len().to_string());
        self.rule();
    }

    fn taxes(&mut self, invoice: &Value) {
        self.line(&format!("{:<10}{:>18}{:>18}", "TAX", "TAXABLE", "VAT"));
        for letter in ["A", "B", "C", "D", "E"] {
            let rate = match letter {
                "A" => "EX".to_owned(),
                "D" => "NON-VAT".to_owned(),
                _ => format!("{}%", quantity(&invoice[format!("taxRt{letter}")])),
            };
            let taxable = money(&invoice[format!("taxblAmt{letter}")]);
            let tax = money(&invoice[format!("taxAmt{letter}")]);
            self.line(&format!("{:<10}{taxable:>18}{tax:>18}", format!("{letter}-{rate}")));
        }
        self.rule();
    }

    fn control_unit(&mut self, sale: &Value) {
        let unit = text(&sale["sdcId"]);
        let (date, time) = spelled_out(text(&sale["sdcDateTime"]));
        self.centred("SCU INFORMATION");
        self.pair(&format!("Date: {date}"), &format!("Time: {time}"));
        self.pair("SCU ID:", unit);
        self.pair("CU INVOICE NO.:", &format!("{unit}/{}", sale["invcNo"]));
        let counter = format!("{}/{} {}", sale["receiptNo"], sale["totalReceiptNo"], text(&sale["label"]));
        self.pair("RECEIPT NUMBER:", &counter);
        self.line("Internal Data:");
        self.centred(&group_in_fours(text(&sale["internalData"])));
        self.line("Receipt Signature:");
        self.centred(&group_in_fours(text(&sale["signature"])));
        self.rule();
    }

    fn till(&mut self, invoice: &Value, sale: &Value) {
        let (date, time) = spelled_out(text(&invoice["cfmDt"]));
        self.centred("TIS INFORMATION");
        self.pair("Receipt number:", text(&sale["trdInvcNo"]));
        self.pair("Provisional number:", text(&sale["tempReceiptNo"]));
        self.pair(&format!("Date: {date}"), &format!("Time: {time}"));
        self.rule();
    }

    /// A line; nothing where there is nothing to say.
    fn line(&mut self, text: &str) {
        if !text.trim().is_empty() {
            self.lines.push(text.trim_end().to_owned());
        }
    }

    fn centred(&mut self, text: &str) {
        self.line(&format!("{text:^WIDTH$}"));
    }

    /// Name on the left, value on the right; nothing where there is no value.
    fn pair(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            let room = WIDTH.saturating_sub(name.chars().count());
            self.line(&format!("{name}{value:>room$}"));
        }
    }

    fn rule(&mut self) {
        self.line(&"-".repeat(WIDTH));
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn amount(value: &Value) -> Amount {
    let written = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Amount::parse(&written).unwrap_or(Amount::ZERO)
}

/// A quantity or rate without needless zeros: `2.5`, `16`.
fn quantity(value: &Value) -> String {
    let plain = amount(value).to_string();
    if plain.contains('.') { plain.trim_end_matches('0').trim_end_matches('.').to_owned() } else { plain }
}

/// `20250115101530` as `15/01/2025` and `10:15:30`; anything else as it is.
fn spelled_out(stamp: &str) -> (String, String) {
    if stamp.len() != 14 || !stamp.bytes().all(|byte| byte.is_ascii_digit()) {
        return (stamp.to_owned(), String::new());
    }
    let date = format!("{}/{}/{}", &stamp[6..8], &stamp[4..6], &stamp[..4]);
    (date, format!("{}:{}:{}", &stamp[8..10], &stamp[10..12], &stamp[12..14]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn amounts_are_grouped() {
        for (given, written) in [
            (json!(65), "65.00"),
            (json!("1475"), "1,475.00"),
            (json!(2193.2), "2,193.20"),
            (json!("1234567.05"), "1,234,567.05"),
            (json!("-1000.5"), "-1,000.50"),
            (json!("0.00"), "0.00"),
        ] {
            assert_eq!(money(&given), written);
        }
        assert_eq!(quantity(&json!("2.50")), "2.5");
        assert_eq!(quantity(&json!(10)), "10");
    }

    #[test]
    fn a_receipt_says_all_that_must_be_said() {
        let invoice = json!({
            "receipt": {"adrs": null}, "custNm": "Walk-in customer", "custTin": null,
            "cfmDt": "20250115101530", "totTaxblAmt": "541.55", "totTaxAmt": "86.65", "totAmt": "628.20",
            "taxRtB": 16, "taxRtC": 0, "taxRtE": 8, "taxblAmtA": 0, "taxblAmtB": "541.55", "taxblAmtC": 0,
            "taxblAmtD": 0, "taxblAmtE": 0, "taxAmtA": 0, "taxAmtB": "86.65", "taxAmtC": 0, "taxAmtD": 0, "taxAmtE": 0,
            "itemList": [{"itemNm": "Cooking oil, 1 l", "prc": "349.00", "qty": "2", "splyAmt": "698.00",
                "dcRt": "10", "dcAmt": "69.80", "taxTyCd": "B"}]
        });
        let sale = json!({
            "trdInvcNo": "TILL1-0003", "tempReceiptNo": "P-12-ABCD", "sdcId": "KRACU0100000001", "invcNo": 4,
            "receiptNo": 4, "totalReceiptNo": 5, "label": "NS", "sdcDateTime": "20250115101533",
            "internalData": "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "signature": "ABCDEFGHIJKLMNOP"
        });
        let trader = Trader { name: "Duka Moja", tin: "P000000000A", bhf_id: "00" };
        let receipt = receipt(&invoice, &sale, &trader);
        assert!(receipt.iter().all(|line| line.chars().count() <= WIDTH), "{receipt:#?}");
        assert!(receipt[0].contains("SIMULATOR"));
        let whole = receipt.join("\n");
        for part in [
            "Duka Moja",
            "PIN P000000000A  branch 00",
            "349.00 x 2                           698.00B",
            "discount 10%                         (69.80)",
            "TOTAL DISCOUNT AWARDED                 (69.80)",
            "TOTAL                                   628.20",
            "B-16%                 541.55             86.65",
            "A-EX                    0.00              0.00",
            "Date: 15/01/2025                Time: 10:15:33",
            "CU INVOICE NO.:              KRACU0100000001/4",
            "RECEIPT NUMBER:                         4/5 NS",
            "ABCD-EFGH-IJKL-MNOP-QRST-UVWX-YZ",
            "P-12-ABCD",
        ] {
            assert!(whole.contains(part), "{part} is not in\n{whole}");
        }
        assert!(!whole.contains("null") && !whole.contains("Buyer PIN"), "{whole}");
    }

    #[test]
    fn qr_codes_are_square_and_painted_only_where_asked() {
        let url = "https://etims-sbx.kra.go.ke/common/link/etims/receipt/indexEtimsReceiptData?Data=P000000000A00ABCDEFGHIJKLMNOP";
        let painted = qr_code(url, true).unwrap();
        let width = painted[1].chars().filter(|c| " ▀▄█".contains(*c)).count();
        assert_eq!(painted.len(), width.div_ceil(2));
        assert!(painted[0].starts_with("\x1b["));
        assert!(!qr_code(url, false).unwrap().concat().contains('\x1b'));
        assert_eq!(qr_code(&"x".repeat(3000), false), None);
    }
}
