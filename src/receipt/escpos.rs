//! A receipt for a printer that speaks ESC/POS: the printer's own big letters, its own QR code, and a cut at the end.

use super::Receipt;
use super::layout::rows;
use super::row::{NARROWEST, Row, Size, centred, columns, pair, wrap};

/// Reset.
const INITIALISE: &[u8] = b"\x1b@";
/// Characters of code page 858: Western Europe, with the euro sign.
const CODE_PAGE: &[u8] = b"\x1bt\x13";
const DOUBLE: &[u8] = b"\x1d!\x11";
const PLAIN: &[u8] = b"\x1d!\x00";
const BOLD: &[u8] = b"\x1bE\x01";
const NOT_BOLD: &[u8] = b"\x1bE\x00";
const TO_THE_MIDDLE: &[u8] = b"\x1ba\x01";
const TO_THE_LEFT: &[u8] = b"\x1ba\x00";
/// Feed to the knife, and cut all but a corner.
const CUT: &[u8] = b"\x1dVB\x00";

/// The receipt for paper of so many characters, at least [`NARROWEST`].
pub fn escpos(receipt: &Receipt<'_>, width: usize) -> Vec<u8> {
    let width = width.max(NARROWEST);
    let mut out = [INITIALISE, CODE_PAGE].concat();
    for row in rows(receipt) {
        match row {
            Row::Centred(text, Size::Double) => {
                out.extend([DOUBLE, BOLD].concat());
                put(&mut out, wrap(&text, width / 2).iter().map(|line| centred(line, width / 2)));
                out.extend([NOT_BOLD, PLAIN].concat());
            }
            Row::Centred(text, Size::Plain) => {
                put(&mut out, wrap(&text, width).iter().map(|line| centred(line, width)));
            }
            Row::Left(text) => put(&mut out, wrap(&text, width)),
            Row::Pair(name, value) => put(&mut out, pair(&name, &value, width)),
            Row::Rule => put(&mut out, ["-".repeat(width)]),
            Row::Columns(cells) => put(&mut out, columns(&cells, width)),
            Row::Qr(link) => {
                out.extend(TO_THE_MIDDLE);
                out.extend(qr_code(&link));
                out.extend(TO_THE_LEFT);
            }
        }
    }
    out.extend(CUT);
    out
}

fn put(out: &mut Vec<u8>, lines: impl IntoIterator<Item = impl AsRef<str>>) {
    for line in lines {
        out.extend(line.as_ref().trim_end().chars().map(in_code_page));
        out.push(b'\n');
    }
}

/// A character of code page 858; a question mark for what it does not have. No control character comes through: what a
/// register wrote gives the printer no orders.
fn in_code_page(c: char) -> u8 {
    /// From 80h to A8h, ADh to AFh: what these are in the code page.
    const HIGH: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø×ƒáíóúñÑªº¿";
    match c {
        ' '..='~' => u8::try_from(c).unwrap_or(b'?'),
        '½' => 0xab,
        '¼' => 0xac,
        '¡' => 0xad,
        '«' => 0xae,
        '»' => 0xaf,
        'Á' => 0xb5,
        'Â' => 0xb6,
        'À' => 0xb7,
        'ã' => 0xc6,
        'Ã' => 0xc7,
        'Ê' => 0xd2,
        'Ë' => 0xd3,
        'È' => 0xd4,
        '€' => 0xd5,
        'Í' => 0xd6,
        'Î' => 0xd7,
        'Ï' => 0xd8,
        'Ó' => 0xe0,
        'ß' => 0xe1,
        'Ô' => 0xe2,
        'Ò' => 0xe3,
        'õ' => 0xe4,
        'Õ' => 0xe5,
        'µ' => 0xe6,
        'Ú' => 0xe9,
        'Û' => 0xea,
        'Ù' => 0xeb,
        '±' => 0xf1,
        '÷' => 0xf6,
        '°' => 0xf8,
        '²' => 0xfd,
        '\u{a0}' => b' ',
        '\u{2010}'..='\u{2015}' => b'-',
        '\u{2018}' | '\u{2019}' => b'\'',
        '\u{201c}' | '\u{201d}' => b'"',
        other => HIGH
            .chars()
            .position(|known| known == other)
            .and_then(|place| u8::try_from(0x80 + place).ok())
            .unwrap_or(b'?'),
    }
}

/// The printer's own QR code: model 2, modules of 5 dots, the least error correction, as KRA's link is long.
fn qr_code(link: &str) -> Vec<u8> {
    let stored: Vec<u8> = [b"1P0", link.as_bytes()].concat();
    let orders: [&[u8]; 5] = [b"1A2\x00", b"1C\x05", b"1E0", &stored, b"1Q0"];
    let mut out = Vec::new();
    for order in orders {
        // The longest link is far below 64 KiB.
        let length = u16::try_from(order.len()).unwrap_or(u16::MAX);
        out.extend(b"\x1d(k");
        out.extend(length.to_le_bytes());
        out.extend(order);
    }
    out.push(b'\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_the_code_page_and_question_marks() {
        let bytes: Vec<u8> = "Café – ½ kg «Ñ» 50 € 日\x1b@\u{7f}".chars().map(in_code_page).collect();
        assert_eq!(bytes, b"Caf\x82 - \xab kg \xae\xa5\xaf 50 \xd5 ??@?");
        let high = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø×ƒáíóúñÑªº¿";
        assert_eq!(in_code_page('ƒ'), 0x9f);
        assert_eq!(in_code_page('¿'), 0xa8);
        assert_eq!(high.chars().count(), 0x29);
    }

    #[test]
    fn the_printers_own_qr_code() {
        let bytes = qr_code("https://k/1");
        let expected = b"\x1d(k\x04\x001A2\x00\x1d(k\x03\x001C\x05\x1d(k\x03\x001E0\x1d(k\x0e\x001P0https://k/1\x1d(k\x03\x001Q0\n";
        assert_eq!(bytes, expected);
    }
}
