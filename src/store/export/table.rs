//! The lines of an export as a table for reading (RFC 4180). It proves nothing: the lines do.

use serde::Deserialize;
use serde_json::Value;

/// Its columns.
const COLUMNS: &[&str] = &[
    "record",
    "time",
    "kind",
    "origin",
    "trdInvcNo",
    "rcptTyCd",
    "salesTyCd",
    "totTaxblAmt",
    "totTaxAmt",
    "totAmt",
    "document",
    "status",
    "invcNo",
    "receiptNo",
    "rcptSign",
    "message",
    "hash",
];

/// Turns lines into rows.
#[derive(Debug, Default)]
pub struct Table {
    begun: bool,
    ended: bool,
}

/// What a row is made from.
#[derive(Deserialize)]
struct Line {
    record: u64,
    #[serde(default)]
    time: Option<String>,
    kind: String,
    origin: String,
    #[serde(default)]
    effect: Value,
    #[serde(default)]
    content: Value,
    hash: String,
}

impl Table {
    /// The rows of some whole lines of an export, the head of the table before the first. The manifest has no row.
    pub fn rows(&mut self, lines: &str) -> String {
        let mut out = String::new();
        if !self.begun {
            self.begun = true;
            push_row(&mut out, COLUMNS.iter().map(|name| (*name).to_owned()));
        }
        for line in lines.lines() {
            match serde_json::from_str::<Line>(line) {
                Ok(line) => push_row(&mut out, cells(&line)),
                Err(_) => self.ended |= is_manifest(line),
            }
        }
        out
    }

    /// Looks at lines that nobody wants as rows.
    pub fn look_for_the_end(&mut self, lines: &str) {
        self.ended |= lines.lines().next_back().is_some_and(is_manifest);
    }

    /// The manifest came: nothing is missing.
    pub fn is_whole(&self) -> bool {
        self.ended
    }
}

/// Whether it is the last line of an export.
pub(super) fn is_manifest(line: &str) -> bool {
    line.starts_with("{\"manifest\":")
}

/// In the order of [`COLUMNS`].
fn cells(line: &Line) -> impl Iterator<Item = String> {
    let Line { record, time, kind, origin, effect, content, hash } = line;
    let (sale, proof, words) = (kind == "sale", &content["proof"], &content["words"]);
    let of_sale = |name: &str| if sale { text(&content[name]) } else { String::new() };
    let number = [&effect["invcNo"], &effect["boundTo"]].into_iter().map(text).find(|text| !text.is_empty());
    [
        record.to_string(),
        time.clone().unwrap_or_default(),
        kind.clone(),
        origin.clone(),
        of_sale("trader_ref"),
        of_sale("receipt_type"),
        of_sale("sales_type"),
        of_sale("total_taxable"),
        of_sale("total_tax"),
        of_sale("total"),
        text(&effect["document"]),
        text(&effect["status"]),
        number.unwrap_or_default(),
        text(&proof["receipt_no"]),
        text(&effect["rcptSign"]),
        [text(&words["result_cd"]), text(&words["message"])].join(" ").trim().to_owned(),
        hash.clone(),
    ]
    .into_iter()
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn push_row(out: &mut String, cells: impl Iterator<Item = String>) {
    for (place, cell) in cells.enumerate() {
        if place > 0 {
            out.push(',');
        }
        out.push_str(&quoted(&defused(&cell)));
    }
    out.push_str("\r\n");
}

/// A cell that a spreadsheet would take for a formula begins with an apostrophe instead.
fn defused(cell: &str) -> String {
    let digits = cell.strip_prefix('-').unwrap_or(cell);
    let number = !digits.is_empty() && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.'));
    if !number && cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']) {
        format!("'{cell}")
    } else {
        cell.to_owned()
    }
}

fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\r', '\n', ';', '\t']) || cell.starts_with(' ') || cell.ends_with(' ') {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_formulas_defused() {
        for (cell, expected) in [
            ("", ""),
            ("A-1", "A-1"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("=HYPERLINK(\"http://x\")", "\"'=HYPERLINK(\"\"http://x\"\")\""),
            ("+254700000000", "'+254700000000"),
            ("-1+1", "'-1+1"),
            ("-12.50", "-12.50"),
            ("--1", "'--1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "\"'\t=1\""),
            ("＝1+1", "'＝1+1"),
        ] {
            assert_eq!(quoted(&defused(cell)), expected, "{cell:?}");
        }
    }

    #[test]
    fn the_manifest_ends_the_table() {
        let mut table = Table::default();
        let rows =
            table.rows("{\"record\":7,\"time\":null,\"kind\":\"event\",\"origin\":\"\",\"hash\":\"ab\"}\n");
        assert_eq!(rows.lines().count(), 2);
        assert!(
            rows.starts_with("record,time,kind,") && rows.ends_with("\r\n7,,event,,,,,,,,,,,,,,ab\r\n"),
            "{rows}"
        );
        assert!(!table.is_whole());
        assert_eq!(table.rows("{\"manifest\":{},\"signature\":\"\"}\n"), "");
        assert!(table.is_whole());
    }
}
