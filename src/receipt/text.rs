//! A receipt as plain text, for a printer that knows letters only.

use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

use super::Receipt;
use super::layout::rows;
use super::row::{NARROWEST, Row, Size, centred, columns, pair, wrap};

/// The receipt for paper of so many characters, at least [`NARROWEST`]; each line ends with a line feed. The QR code is drawn
/// where the paper is wide enough for it, and its link is written out in any case. What must stand out stands alone between
/// lines of stars: plain text knows no bigger letters.
pub fn text(receipt: &Receipt<'_>, width: usize) -> String {
    let width = width.max(NARROWEST);
    let mut out = String::new();
    for line in rows(receipt).iter().flat_map(|row| lines(row, width)) {
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

fn lines(row: &Row, width: usize) -> Vec<String> {
    match row {
        Row::Centred(text, Size::Plain) => {
            wrap(text, width).iter().map(|line| centred(line, width)).collect()
        }
        Row::Centred(text, Size::Double) => {
            let (stars, blank) = ("*".repeat(width), String::new());
            let mut lines = vec![stars.clone(), blank.clone()];
            lines.extend(wrap(text, width).iter().map(|line| centred(line, width)));
            lines.extend([blank, stars]);
            lines
        }
        Row::Left(text) => wrap(text, width),
        Row::Pair(name, value) => pair(name, value, width),
        Row::Rule => vec!["-".repeat(width)],
        Row::Columns(cells) => columns(cells, width),
        Row::Qr(link) => {
            let mut lines: Vec<String> =
                qr_code(link, width).unwrap_or_default().iter().map(|line| centred(line, width)).collect();
            lines.extend(wrap(link, width));
            lines
        }
    }
}

/// The QR code in half blocks, two modules to a character; `None` where it is wider than the paper.
fn qr_code(link: &str, width: usize) -> Option<Vec<String>> {
    let code = QrCode::with_error_correction_level(link, EcLevel::L).ok()?;
    let drawn: Vec<String> = code.render::<Dense1x2>().build().lines().map(str::to_owned).collect();
    drawn.iter().all(|line| line.chars().count() <= width).then_some(drawn)
}
