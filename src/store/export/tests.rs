//! Every edit of an export is found, whatever is edited and however well.

use std::fs;
use std::path::Path;

use data_encoding::BASE64;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use super::line::write_line;
use super::*;
use crate::fiscal::Period;
use crate::store::record::{NewRecord, decode_record, encode_record};
use crate::store::tests::harness::{bind, clock, commit, event, options, seq_of, signed};
use crate::store::{Effect, Kind, Options, Record, Signer, Stamp, Store};

const DAY: i64 = 24 * 3600 * 1000;

/// A sale as the journal keeps it, of this many hundredths, on this day after the clock's.
fn sale(signer: &Signer, key: &str, hundredths: u32, day: i64) -> NewRecord {
    let amount = format!("{}.{:02}", hundredths / 100, hundredths % 100);
    let none = ["0.00", "0.00", "0.00"];
    let body = json!({
        "device": { "tin": "P051234567Z", "bhf_id": "00", "serial": "S" },
        "trader_ref": key, "receipt_type": "S", "sales_type": if key.starts_with('T') { "T" } else { "N" },
        "payment_type": "01", "confirmed_at": "20231115101500", "confirmed_by": "gateway",
        "customer_name": "=Wanjiku, \"W\"", "lines": [], "by_tax_type": [none, none, none, none, none],
        "total_taxable": amount, "total_tax": "1.00", "total": amount,
    });
    let stamp = Stamp { wall_ms: clock().wall_ms + day * DAY, ..clock() };
    let effect =
        Effect::Document { key: key.into(), content: [9; 32], queued: !key.starts_with('T'), credits: None };
    let mut sale = NewRecord {
        kind: Kind::Sale,
        stamp,
        origin: "tcp".into(),
        effect,
        body: body.to_string().into_bytes(),
        signature: None,
    };
    let bytes = Signer::document_bytes(sale.kind, &sale.stamp, &sale.origin, &sale.effect, &sale.body);
    sale.signature = Some(signer.sign(&bytes));
    sale
}

/// A store with sales on three days, some of them signed, closed and opened in between.
fn filled(dir: &Path) -> Store {
    let small = || Options { scrub_pause: std::time::Duration::ZERO, ..options() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for day in 0..3 {
            let (store, _) = Store::open(dir, small(), &mut |_| {}).unwrap();
            for place in 0..4 {
                let sale = sale(&store.signer(), &format!("S-{day}-{place}"), 11_600, day);
                let document = seq_of(&commit(&store, vec![sale]).await.unwrap());
                commit(&store, vec![bind(document, store.series().next)]).await.unwrap();
                commit(&store, vec![signed(document, &format!("SIGN{day}{place}"))]).await.unwrap();
            }
            commit(&store, vec![sale(&store.signer(), &format!("T-{day}"), 500, day)]).await.unwrap();
            commit(&store, vec![event("two\nlines")]).await.unwrap();
            store.close().await;
        }
    });
    Store::open(dir, small(), &mut |_| {}).unwrap().0
}

fn export(store: &Store, period: Period) -> String {
    let mut export = Export::begin(store, period).unwrap();
    let mut text = String::new();
    while let Some(page) = export.next_page(store).unwrap() {
        text.push_str(&page);
    }
    text + &export.finish(store, clock().wall_ms)
}

fn checked(text: &str) -> Result<ExportReport, ExportError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text).unwrap();
    verify_export(file.path())
}

fn days(from: Option<&str>, to: Option<&str>) -> Period {
    Period { from: from.map(|day| day.parse().unwrap()), to: to.map(|day| day.parse().unwrap()) }
}

#[test]
fn an_export_is_good_as_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path());
    let text = export(&store, Period::default());
    let report = checked(&text).unwrap();
    let manifest = &report.manifest;
    assert_eq!((manifest.first, manifest.last), (Some(1), Some(store.head().0)));
    assert_eq!((manifest.count, report.sales), (store.head().0, 15));
    assert!(report.checkpoints >= 2);
    let totals = |label: &str| {
        let totals = &manifest.totals[label];
        (totals.count, totals.tot_amt.as_str(), totals.tot_tax_amt.as_str())
    };
    assert_eq!(totals("NS"), (12, "1392.00", "12.00"));
    assert_eq!(totals("TS"), (3, "15.00", "3.00"));
    assert_eq!(manifest.head_before, "0".repeat(64));
    let line: Value =
        serde_json::from_str(text.lines().find(|line| line.contains("\"sale\"")).unwrap()).unwrap();
    assert_eq!((&line["content"]["total"], &line["effect"]["accepted"]), (&json!("116.00"), &json!("S-0-0")));

    // A stopped store gives the same, and nothing is written there.
    let clean = |text: &str| {
        text.lines().filter(|line| !line.starts_with("{\"manifest\"")).collect::<Vec<_>>().join("\n")
    };
    drop(store);
    let mut stopped = Vec::new();
    export_stopped(dir.path(), Period::default(), clock().wall_ms, &mut stopped).unwrap();
    let stopped = String::from_utf8(stopped).unwrap();
    checked(&stopped).unwrap();
    assert!(clean(&stopped).starts_with(&clean(&text)));
}

#[test]
fn a_period_is_what_lies_between_its_first_and_last_record() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path());
    // The clock stands at 2023-11-15 01:13 in Nairobi on day 0.
    let refs = |period| {
        let text = export(&store, period);
        checked(&text).unwrap();
        let mut stopped = Vec::new();
        export_stopped(dir.path(), period, clock().wall_ms, &mut stopped).unwrap();
        assert_eq!(String::from_utf8(stopped).unwrap(), text, "from the files, as from the store in use");
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter_map(|line| line["effect"]["accepted"].as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    let of_days = |days: &[i64]| -> Vec<String> {
        let of_day = |day: &i64| {
            (0..4).map(|place| format!("S-{day}-{place}")).chain([format!("T-{day}")]).collect::<Vec<_>>()
        };
        days.iter().flat_map(of_day).collect()
    };
    // Everything but sales has the clock of day 0, as after a wrong clock: what lies between goes along.
    assert_eq!(refs(days(Some("2023-11-16"), Some("2023-11-16"))), of_days(&[1]));
    assert_eq!(refs(days(Some("2023-11-17"), None)), of_days(&[2]));
    assert_eq!(refs(days(None, Some("2023-11-14"))), Vec::<String>::new());
    assert_eq!(refs(days(Some("2023-11-15"), Some("2023-11-15"))), of_days(&[0, 1, 2]));
    assert_eq!(refs(days(Some("2023-11-18"), None)), Vec::<String>::new());
}

/// One way to tamper, and the first record that must be found bad, where it is certain.
fn tampered(
    lines: &[String],
    how: usize,
    at: usize,
    other: usize,
    byte: usize,
) -> Option<(String, Option<u64>)> {
    let mut lines = lines.to_vec();
    let (at, other) = (at % lines.len(), other % lines.len());
    let records = lines.len() - 1;
    let number = |at: usize| u64::try_from(at + 1).unwrap();
    let mut expected = Some(number(at).min(number(records)));
    match how {
        // A letter.
        0 | 1 => {
            let mut bytes = lines[at].clone().into_bytes();
            let place = byte % bytes.len();
            bytes[place] = if bytes[place] == b'7' { b'8' } else { b'7' };
            lines[at] = String::from_utf8(bytes).ok()?;
            if at == records {
                expected = None;
            }
        }
        // A line gone, there twice, elsewhere, from elsewhere.
        2 => {
            lines.remove(at);
            if at == records {
                expected = Some(number(records));
            }
        }
        3 => {
            let line = lines[at].clone();
            lines.insert(at, line);
            expected = None;
        }
        4 => {
            if at == other {
                return None;
            }
            lines.swap(at, other);
            expected = if at.max(other) == records { None } else { Some(number(at.min(other))) };
        }
        5 => {
            lines.insert(at, String::new());
            expected = None;
        }
        // Cut off at any byte, or with something behind.
        6 => {
            let whole = lines.join("\n") + "\n";
            let cut = byte % whole.len();
            return Some((whole[..cut].to_owned(), None));
        }
        7 => return Some((lines.join("\n") + "\n\n", None)),
        8 => return Some((lines.join("\r\n") + "\r\n", Some(1))),
        // A forged record whose line is right in itself, alone or with everything after it chained anew.
        9 | 10 => {
            let at = at % records;
            let mut previous = None;
            for (place, line) in lines.iter_mut().enumerate().take(records).skip(at) {
                let mut record = record_of(line);
                if place == at {
                    if record.kind == Kind::Sale {
                        let text = String::from_utf8(record.body).unwrap();
                        record.body = text.replace("116.00", "16.00").replace("5.00", "0.05").into_bytes();
                    } else {
                        record.origin.push('x');
                    }
                }
                if let Some(previous) = previous {
                    record.previous = previous;
                }
                let forged = rewritten(record);
                previous = Some(forged.hash);
                *line = write_line(&forged).unwrap();
                if how == 9 {
                    break;
                }
            }
            expected = None;
        }
        _ => unreachable!(),
    }
    Some((lines.join("\n") + "\n", expected))
}

fn record_of(line: &str) -> Record {
    let line: Value = serde_json::from_str(line).unwrap();
    decode_record(&BASE64.decode(line["bytes"].as_str().unwrap().as_bytes()).unwrap()).unwrap()
}

/// With the hash that it now has.
fn rewritten(record: Record) -> Record {
    let new = NewRecord {
        kind: record.kind,
        stamp: record.stamp,
        origin: record.origin,
        effect: record.effect,
        body: record.body,
        signature: record.signature,
    };
    let mut bytes = Vec::new();
    encode_record(&mut bytes, record.seq, &record.previous, &new, record.used);
    decode_record(&bytes).unwrap()
}

#[test]
fn every_edit_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let text = export(&filled(dir.path()), Period::default());
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    checked(&text).unwrap();
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 1500,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let edits = (0_usize..11, any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0_usize..1_000_000);
    runner
        .run(&edits, |(how, at, other, byte)| {
            let (at, other) = (at.index(lines.len()), other.index(lines.len()));
            let Some((edited, expected)) = tampered(&lines, how, at, other, byte) else { return Ok(()) };
            prop_assert_ne!(&edited, &text);
            match checked(&edited) {
                Ok(_) => return Err(TestCaseError::fail(format!("edit {how} at line {at} was not found"))),
                Err(ExportError::Bad { seq, what }) => {
                    prop_assert!(
                        expected.is_none_or(|expected| seq == expected),
                        "edit {how} of line {at}: record {seq}: {what}, not {expected:?}"
                    );
                }
                Err(error) => return Err(TestCaseError::fail(error.to_string())),
            }
            Ok(())
        })
        .unwrap();
}

/// All of it signed anew with a key of one's own: good in itself, and told by its key.
#[test]
fn another_key_is_another_till() {
    let dir = tempfile::tempdir().unwrap();
    let text = export(&filled(dir.path()), Period::default());
    let ours = checked(&text).unwrap().manifest;
    let other_dir = tempfile::tempdir().unwrap();
    let other = export(&filled(other_dir.path()), Period::default());
    let theirs = checked(&other).unwrap().manifest;
    assert_ne!(ours.public_key, theirs.public_key);
    // Our records under their manifest.
    let mut lines: Vec<&str> = text.lines().collect();
    lines.pop();
    lines.push(other.lines().last().unwrap());
    let Err(ExportError::Bad { seq: 1, .. }) = checked(&(lines.join("\n") + "\n")) else {
        panic!("a manifest of another till")
    };
}
