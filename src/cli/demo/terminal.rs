//! What a terminal shows of money and of QR codes.

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};
use serde_json::Value;

use crate::fiscal::Amount;

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
