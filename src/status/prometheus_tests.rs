//! The page is what `promtool check metrics` takes: read here by a small parser that knows its rules.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::*;
use crate::status::{
    CertificateSnapshot, DiskSnapshot, Histogram, MANY, QUICK, WaitingWebhook, WearSnapshot,
};

/// One family: its kind, its help, its samples in order.
#[derive(Default)]
struct Family {
    kind: String,
    samples: Vec<(String, BTreeMap<String, String>, String)>,
}

/// Reads a page and refuses what promtool does.
fn read(page: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut lines = page.lines().peekable();
    while let Some(line) = lines.next() {
        let (name, help) = line.strip_prefix("# HELP ").expect(line).split_once(' ').expect(line);
        assert!(!help.is_empty() && help.ends_with('.'), "{line}");
        let kind = lines.next().unwrap().strip_prefix(&format!("# TYPE {name} ")).expect(name).to_owned();
        let mut family = Family { kind, ..Family::default() };
        let mut series = BTreeSet::new();
        while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
            let (key, value) = line.rsplit_once(' ').expect(line);
            assert!(series.insert(key.to_owned()), "twice: {line}");
            let (sample, labels) = key.split_once('{').unwrap_or((key, "}"));
            let labels = labels.strip_suffix('}').expect(line);
            let labels = labels.split_terminator(',').map(|label| {
                let (label, text) = label.split_once("=\"").expect(line);
                assert!(label.bytes().all(|byte| byte.is_ascii_alphabetic()), "{line}");
                (label.to_owned(), text.strip_suffix('"').expect(line).to_owned())
            });
            assert!(value.parse::<rust_number::Number>().is_ok(), "{line}");
            family.samples.push((sample.to_owned(), labels.collect(), value.to_owned()));
        }
        check_names(name, &family);
        assert!(families.insert(name.to_owned(), family).is_none(), "{name} twice");
    }
    families
}

/// Numbers of the page, checked without binary floating point.
mod rust_number {
    pub(super) struct Number;

    impl std::str::FromStr for Number {
        type Err = ();

        fn from_str(text: &str) -> Result<Self, ()> {
            let digits = text.strip_prefix('-').unwrap_or(text);
            let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
            let all = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            if all(whole) && all(part) { Ok(Self) } else { Err(()) }
        }
    }
}

fn check_names(name: &str, family: &Family) {
    assert!(name.starts_with("etims_"), "{name}");
    assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
    for bad in ["_ms", "_milliseconds", "_micros", "_kb", "_mib", "_percent", "counter", "gauge", "histogram"]
    {
        assert!(!name.contains(bad), "{name} holds {bad}");
    }
    let ends = |suffixes: &[&str]| suffixes.iter().any(|suffix| name.ends_with(suffix));
    match family.kind.as_str() {
        "counter" => assert!(name.ends_with("_total"), "{name}"),
        "gauge" => assert!(!ends(&["_total", "_count", "_sum", "_bucket"]), "{name}"),
        "histogram" => {
            assert!(!ends(&["_total", "_count", "_sum", "_bucket"]), "{name}");
            check_histogram(name, family);
        }
        other => panic!("{name} is a {other}"),
    }
    if family.kind != "histogram" {
        assert!(family.samples.iter().all(|(sample, ..)| sample == name), "{name}");
    }
}

fn check_histogram(name: &str, family: &Family) {
    let mut last: BTreeMap<BTreeMap<String, String>, u64> = BTreeMap::new();
    for (sample, labels, value) in &family.samples {
        let mut labels = labels.clone();
        let bound = labels.remove("le");
        match sample.strip_prefix(name).unwrap() {
            "_bucket" => {
                let count: u64 = value.parse().unwrap();
                assert!(
                    bound.is_some() && last.insert(labels, count).is_none_or(|before| before <= count),
                    "{name}"
                );
            }
            "_count" => assert_eq!(last[&labels].to_string(), *value, "{name}: +Inf is the count"),
            "_sum" => {}
            other => panic!("{name}{other}"),
        }
    }
}

fn everything() -> (Snapshot, Counters) {
    let mut snapshot = Snapshot { version: "0.1.0".into(), ..Snapshot::default() };
    snapshot.disk = Some(DiskSnapshot {
        total_bytes: 1 << 33,
        index_bytes: 5,
        wear: Some(WearSnapshot { device: "mmcblk0".into(), life_time: [2, 11], pre_eol: 1 }),
    });
    snapshot.store.reserve = Some(true);
    snapshot.waiting_webhooks =
        vec![WaitingWebhook { name: "till".into(), event: 7, why: "HTTP 500".into(), seconds: 901 }];
    snapshot.clock.kra = Some(SkewSnapshot { ahead_ms: -1_500, certain_ms: -1_000 });
    snapshot.clock.server = Some(SkewSnapshot { ahead_ms: 20, certain_ms: 0 });
    let until = "2026-12-01T00:00:00+03:00".to_owned();
    snapshot.kra.certificates = vec![CertificateSnapshot { of: "kra".into(), until, remaining_seconds: -5 }];
    let counters = Counters::default();
    counters.answered(201);
    counters.posted(Posting::Accepted);
    counters.accepted_in(Duration::from_micros(1_500));
    counters.exchanged(SAVE, "accepted", Some(Duration::from_millis(30)));
    counters.exchanged(SAVE, "in_doubt", Some(Duration::from_millis(700)));
    counters.exchanged(SAVE, "not_sent", None);
    counters.exchanged("connect", "unreachable", None);
    counters.exchanged(LOOK_UP, "found", Some(Duration::from_millis(20)));
    counters.exchanged("selectOsdcStatus", "up", Some(Duration::from_secs(130)));
    (snapshot, counters)
}

fn page(snapshot: &Snapshot, alerts: &[Alert], counters: &Counters) -> String {
    let (quick, many) = (Histogram::new(QUICK), Histogram::new(MANY));
    quick.took(Duration::from_micros(800));
    many.add(54);
    let (quick, many) = (quick.now(), many.now());
    prometheus(&Measured {
        snapshot,
        alerts,
        counters,
        commit: &quick,
        sync: &quick,
        records: &many,
        log_lost: 3,
    })
}

#[test]
fn the_page_keeps_the_rules() {
    let (snapshot, counters) = everything();
    let alert = |code: &str| Alert { code: code.into(), about: None, message: "a \"text\"".into() };
    for (snapshot, alerts) in
        [(snapshot, vec![alert("store"), alert("store"), alert("disk_low")]), (Snapshot::default(), vec![])]
    {
        read(&page(&snapshot, &alerts, &counters));
    }
}

#[test]
fn what_the_page_says() {
    let (snapshot, counters) = everything();
    let page =
        page(&snapshot, &[Alert { code: "disk_low".into(), about: None, message: String::new() }], &counters);
    for line in [
        "etims_build_info{version=\"0.1.0\"} 1",
        "etims_queue_documents{state=\"pending\"} 0",
        "etims_delivery_attempts_total 4",
        "etims_delivery_sends_total 2",
        "etims_delivery_lost_answers_total 1",
        "etims_delivery_verdicts_total{class=\"accepted\"} 1",
        "etims_delivery_verdicts_total{class=\"refused\"} 0",
        "etims_kra_look_ups_total{outcome=\"found\"} 1",
        "etims_kra_probes_total{outcome=\"up\"} 1",
        "etims_kra_connections_failed_total 1",
        "etims_kra_exchange_duration_seconds_bucket{function=\"selectOsdcStatus\",le=\"120\"} 0",
        "etims_kra_exchange_duration_seconds_bucket{function=\"selectOsdcStatus\",le=\"+Inf\"} 1",
        "etims_kra_exchange_duration_seconds_sum{function=\"selectOsdcStatus\"} 130",
        "etims_kra_exchange_duration_seconds_count{function=\"saveTrnsSalesOsdc\"} 2",
        "etims_sale_accept_duration_seconds_bucket{le=\"0.002\"} 1",
        "etims_sale_accept_duration_seconds_sum 0.0015",
        "etims_http_requests_total{code=\"201\"} 1",
        "etims_sales_posted_total{result=\"accepted\"} 1",
        "etims_store_group_records_sum 54",
        "etims_store_sync_duration_seconds_sum 0.0008",
        "etims_clock_skew_seconds{told=\"resultDt\"} -1.5",
        "etims_clock_skew_seconds{told=\"date\"} 0.02",
        "etims_certificate_remaining_seconds{of=\"kra\"} -5",
        "etims_emmc_life_time_estimate{device=\"mmcblk0\",cells=\"b\"} 11",
        "etims_alert_active{code=\"disk_low\"} 1",
        "etims_alerts 1",
        "etims_api_log_lost_total 3",
    ] {
        assert!(page.lines().any(|found| found == line), "{line} in\n{page}");
    }
}

#[test]
fn microseconds_as_seconds() {
    for (micros, expected) in [
        (0, "0"),
        (1, "0.000001"),
        (250, "0.00025"),
        (1_000_000, "1"),
        (120_000_000, "120"),
        (u64::MAX, "18446744073709.551615"),
    ] {
        assert_eq!(seconds(micros), expected);
    }
}
