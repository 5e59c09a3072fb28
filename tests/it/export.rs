//! The journal for an inspector: whole, signed, and every edit of it found on any machine.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::harness::{BHF_ID, Ended, SERIAL, Shop, TIN, binary, files_below, on_both_wires, run};
use crate::kra::{Kra, SAVE, Wire};
use crate::sale::{sale, sale_with};

on_both_wires! { what_was_sold_is_in_it }

/// Checks an export where nothing else of the till is: no configuration, no store.
fn verify_elsewhere(file: &Path, args: &[&str]) -> Ended {
    let elsewhere = tempfile::tempdir().unwrap();
    let mut command = binary();
    command.current_dir(elsewhere.path()).arg("verify").arg(file).args(args);
    run(command)
}

fn lines(export: &str) -> Vec<Value> {
    export
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

fn write(shop: &Shop, name: &str, text: &str) -> PathBuf {
    let path = shop.path(name);
    fs::write(&path, text).unwrap();
    path
}

fn of_kind<'a>(lines: &'a [Value], kind: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["kind"] == kind).collect()
}

fn what_was_sold_is_in_it(wire: Wire) {
    let kra = Kra::start(wire);
    let shop = Shop::unregistered(&kra);
    shop.command(&["export"]).expect(66);
    let gateway = shop.open();
    let till = shop.till();
    let identity = json!({ "tin": TIN, "bhfId": BHF_ID, "serialNumber": SERIAL });
    let key = till.post("/api/device/init/", &identity).expect(200)["cmcKey"].as_str().unwrap().to_owned();
    till.sell("SIGNED");
    till.post("/api/sales/", &sale_with("BOOK", json!({ "custNm": "=cmd|'/c calc'!A0", "salesTyCd": "T" })))
        .expect(200);
    let args = json!({ "code": "910", "message": "Invalid qty" });
    kra.fault(json!({ "fault": "result_cd", "count": 1, "function": SAVE, "args": args }));
    till.post("/api/sales/?wait=20", &sale("REFUSED")).expect(422);

    let export = shop.command(&["export"]);
    let export = &export.expect(0).out;
    assert!(!export.contains(&key), "the device's key is in no export");
    let records = lines(export);
    let (manifest, records) = records.split_last().unwrap();
    let manifest = &manifest["manifest"];
    for (record, number) in records.iter().zip(1_u64..) {
        assert_eq!(record["record"], number, "every record, from the first");
    }
    let sold: Vec<&Value> =
        of_kind(records, "sale").iter().map(|sale| &sale["content"]["trader_ref"]).collect();
    assert_eq!(sold, ["SIGNED", "BOOK", "REFUSED"]);
    let states: Vec<&Value> = of_kind(records, "outcome").iter().map(|it| &it["effect"]["status"]).collect();
    assert_eq!(states, ["signed", "rejected"]);
    let signed = of_kind(records, "outcome")[0];
    let books = kra.books();
    assert_eq!(signed["content"]["proof"]["signature"], books.sale("SIGNED").unwrap()["rcptSign"]);
    assert_eq!(of_kind(records, "registration").len(), 1);
    // Whoever exports is written down, in the export too.
    let act = of_kind(records, "admin").into_iter().next_back().unwrap();
    assert_eq!(
        (&act["content"]["act"], act["record"].as_u64()),
        (&json!("export"), manifest["last"].as_u64())
    );
    assert_eq!(manifest["totals"]["NS"], json!({ "count": 2, "totAmt": "232.00", "totTaxAmt": "32.00" }));
    assert_eq!(manifest["totals"]["TS"]["count"], 1);
    assert_eq!(manifest["publicKey"], till.get("/api/device/status/").expect(200)["publicKey"]);

    let file = write(&shop, "export.ndjson", export);
    let checked = verify_elsewhere(&file, &[]);
    assert!(checked.expect(0).out.contains(manifest["publicKey"].as_str().unwrap()), "{checked:#?}");
    assert_eq!(verify_elsewhere(&file, &["--json"]).expect(0).json()["manifest"], *manifest);

    // For reading: a table, with formulas defused.
    let table = shop.command(&["export", "--format", "csv"]);
    let table = &table.expect(0).out;
    assert!(table.starts_with("record,time,kind,origin,trdInvcNo,") && table.ends_with("\r\n"), "{table}");
    assert!(table.contains(",SIGNED,S,N,") && !table.contains("=cmd"), "{table}");

    // From the files of a stopped gateway: nothing is written there.
    gateway.stop();
    let before: Vec<_> =
        files_below(&shop.state()).into_iter().map(|path| (fs::read(&path).unwrap(), path)).collect();
    let stopped = shop.command(&["export"]);
    let file = write(&shop, "stopped.ndjson", &stopped.expect(0).out);
    verify_elsewhere(&file, &[]).expect(0);
    assert!(stopped.out.starts_with(export.rsplit_once("\n{\"manifest\"").unwrap().0), "the same records");
    for (bytes, path) in before {
        assert!(fs::read(&path).unwrap() == bytes, "{} was changed", path.display());
    }
}

#[test]
fn a_period_is_given_in_days_of_nairobi() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let _gateway = shop.open_registered();
    shop.till().sell("TODAY");
    let day = |seconds: i64| {
        let now = jiff::Timestamp::now().as_second() + 3 * 3600 + seconds;
        jiff::Timestamp::from_second(now).unwrap().strftime("%Y-%m-%d").to_string()
    };
    let (yesterday, today, tomorrow) = (day(-86_400), day(0), day(86_400));
    let sold = |args: &[&str]| {
        let export = shop.command(&[&["export"], args].concat());
        let file = write(&shop, "period.ndjson", &export.expect(0).out);
        verify_elsewhere(&file, &[]).expect(0);
        of_kind(&lines(&export.out), "sale").len()
    };
    assert_eq!(sold(&["--from", &yesterday, "--to", &tomorrow]), 1);
    assert_eq!(sold(&["--from", &yesterday]), 1);
    assert_eq!(sold(&["--to", &yesterday]), 0);
    assert_eq!(sold(&["--from", &tomorrow]), 0);
    shop.command(&["export", "--from", &today, "--to", &yesterday]).expect(64);
    shop.command(&["export", "--from", "yesterday"]).expect(64);
}

#[test]
fn every_edit_of_an_export_is_found() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let gateway = shop.open_registered();
    let till = shop.till();
    for number in 0..4 {
        till.sell(&format!("S-{number}"));
    }
    gateway.stop();
    let export = shop.command(&["export"]);
    let lines: Vec<&str> = export.expect(0).out.lines().collect();
    let records = lines.len() - 1;
    let third = lines.iter().position(|line| line.contains("\"trader_ref\":\"S-2\"")).unwrap();
    let changed = |place: usize, from: &str, to: &str| {
        assert!(lines[place].contains(from), "{from}: {}", lines[place]);
        let mut lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        lines[place] = lines[place].replacen(from, to, 1);
        lines.join("\n") + "\n"
    };
    let without = |place: usize| {
        let mut lines = lines.clone();
        lines.remove(place);
        lines.join("\n") + "\n"
    };
    let mut swapped = lines.clone();
    swapped.swap(third, third + 1);
    let mut doubled = lines.clone();
    doubled.insert(third, lines[third]);
    let number = |place: usize| Some(u64::try_from(place + 1).unwrap());
    let edits = [
        ("an amount", changed(third, "\"total\":\"116.00\"", "\"total\":\"16.00\""), number(third)),
        ("a hash", changed(third, "\"hash\":\"", "\"hash\":\"0"), number(third)),
        ("the exact bytes", changed(third, "\"bytes\":\"AAA", "\"bytes\":\"AAB"), number(third)),
        ("a removed sale", without(third), number(third)),
        ("a removed first record", without(0), number(0)),
        ("a removed last record", without(records - 1), number(records - 1)),
        ("a removed manifest", without(records), number(records)),
        ("two records in the wrong order", swapped.join("\n") + "\n", number(third)),
        ("a record there twice", doubled.join("\n") + "\n", number(third + 1)),
        ("the sums", changed(records, "464.00", "364.00"), None),
        ("the end cut off", export.out[..export.out.len() - 10].to_owned(), None),
        ("half of it", export.out[..export.out.len() / 2].to_owned(), None),
        ("nothing", String::new(), None),
        ("something behind it", format!("{}x\n", export.out), None),
    ];
    for (what, text, first_bad) in edits {
        let file = write(&shop, "edited.ndjson", &text);
        let told = verify_elsewhere(&file, &["--json"]);
        let told = told.expect(1).json();
        assert_eq!(told["ok"], false, "{what}");
        assert!(
            first_bad.is_none() || told["firstBadRecord"].as_u64() == first_bad,
            "{what}: {told}, not {first_bad:?}"
        );
        let told = verify_elsewhere(&file, &[]);
        told.expect(1);
        assert!(told.err.contains("record "), "{what}: {told:#?}");
    }
    verify_elsewhere(&shop.path("missing.ndjson"), &[]).expect(66);
}
