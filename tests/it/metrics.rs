//! What a monitor reads: exact counts after a story, and every metric that the shipped rules name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::json;

use crate::harness::{Shop, eventually, on_both_wires};
use crate::kra::{Kra, LOOK_UP, SAVE, Wire};
use crate::sale::sale;
use crate::till::Till;

on_both_wires! { counts_are_exact }

/// The page, by series.
fn metrics(till: &Till) -> BTreeMap<String, String> {
    let answer = till.get("/metrics");
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    let text = answer.text();
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// One series; 0 where there is none.
fn one(metrics: &BTreeMap<String, String>, series: &str) -> u64 {
    metrics.get(series).map_or(0, |value| value.parse().unwrap_or_else(|_| panic!("{series} {value}")))
}

fn counts_are_exact(wire: Wire) {
    let kra = Kra::start(wire);
    let shop =
        Shop::with(&kra).set("kra.connect_timeout", "\"300ms\"").set("kra.request_timeout", "\"700ms\"");
    let gateway = shop.open_registered();
    let till = shop.till();
    for n in 0..3 {
        till.sell(&format!("S-{n}"));
    }
    till.post("/api/sales/", &sale("S-0")).expect(200);
    till.post("/api/sales/", &json!({ "trdInvcNo": "BAD", "itemList": [] })).expect(400);
    kra.fault_on_sales("lose_answer", 1);
    till.post("/api/sales/?wait=0", &sale("LOST")).expect(202);
    till.wait_status("LOST", "signed");
    kra.clear_faults();
    let args = json!({ "code": "910", "message": "Invalid qty" });
    kra.fault(json!({ "fault": "result_cd", "count": 1, "function": SAVE, "args": args }));
    till.post("/api/sales/?wait=20", &sale("REFUSED")).expect(422);
    kra.clear_faults();
    kra.line(false);
    till.sell_offline("WAITS");
    let seen = eventually("the breaker is open", || {
        let seen = metrics(&till);
        (one(&seen, "etims_kra_up") == 0).then_some(seen)
    });
    for (series, expected) in [
        ("etims_queue_documents{state=\"pending\"}", 1),
        ("etims_queue_documents{state=\"rejected\"}", 1),
        ("etims_queue_documents{state=\"parked\"}", 0),
        ("etims_queue_in_doubt_documents", 0),
        ("etims_sales_posted_total{result=\"accepted\"}", 6),
        ("etims_sales_posted_total{result=\"repeated\"}", 1),
        ("etims_sales_posted_total{result=\"refused\"}", 1),
        ("etims_sales_posted_total{result=\"unavailable\"}", 0),
        ("etims_sale_accept_duration_seconds_count", 6),
        ("etims_delivery_verdicts_total{class=\"accepted\"}", 3),
        ("etims_delivery_verdicts_total{class=\"refused\"}", 1),
        ("etims_delivery_lost_answers_total", 1),
        ("etims_delivery_sends_total", 5),
        ("etims_kra_look_ups_total{outcome=\"found\"}", kra.asked(LOOK_UP) - 1),
        ("etims_kra_exchange_duration_seconds_count{function=\"saveTrnsSalesOsdc\"}", 5),
        ("etims_http_requests_total{code=\"201\"}", 3),
        ("etims_http_requests_total{code=\"400\"}", 1),
        ("etims_http_requests_total{code=\"422\"}", 1),
        ("etims_device_state{state=\"active\"}", 1),
        ("etims_alert_active{code=\"rejected\"}", 1),
        ("etims_alert_active{code=\"kra_down\"}", 1),
        ("etims_store_up", 1),
        ("etims_series_stopped", 0),
        ("etims_api_log_lost_total", 0),
    ] {
        // The first look-up of a start asks for the number that nobody has.
        assert_eq!(one(&seen, series), expected, "{series}: {seen:#?}");
    }
    let commits = one(&seen, "etims_store_commit_duration_seconds_count");
    let groups = one(&seen, "etims_store_sync_duration_seconds_count");
    assert!(
        commits >= 12 && groups > 0 && groups <= one(&seen, "etims_store_group_records_sum"),
        "{seen:#?}"
    );
    for series in ["etims_process_resident_memory_bytes", "etims_disk_size_bytes", "etims_disk_free_bytes"] {
        assert!(one(&seen, series) > 1000, "{series}");
    }
    // KRA's time was looked at, and this machine's own clock is what both go by.
    for told in ["resultDt", "date"] {
        let skew = &seen[&format!("etims_clock_skew_seconds{{told=\"{told}\"}}")];
        let whole: i64 = skew.split('.').next().unwrap().parse().unwrap();
        assert!(whole.abs() <= 2, "{told} {skew}");
    }
    kra.line(true);
    till.wait_status("WAITS", "signed");
    assert_eq!(one(&metrics(&till), "etims_delivery_verdicts_total{class=\"accepted\"}"), 4);
    gateway.stop();
}

/// The shipped rules, as far as they must hold true: every metric in an expression is one of ours, every rule says what to do.
#[test]
fn the_shipped_rules_name_what_there_is() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/examples/prometheus-rules.yml");
    let text = std::fs::read_to_string(&path).unwrap();
    let rules = rules(&text);
    assert!(rules.len() >= 15, "{} rules", rules.len());

    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra).set("serial", "[{ port = \"/dev/none\" }]");
    let gateway = shop.open_registered();
    let till = shop.till();
    till.sell("S-1");
    kra.line(false);
    till.sell_offline("S-2");
    let page = till.get("/metrics").text();
    let mut known: BTreeSet<&str> =
        page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    // Shown only where there is such a thing: flash that tells its wear, TLS to KRA.
    let sometimes =
        ["etims_emmc_life_time_estimate", "etims_emmc_pre_eol_info", "etims_certificate_remaining_seconds"];
    known.extend(sometimes);
    for rule in &rules {
        let expression = &rule["expr"];
        let names: Vec<&str> = expression
            .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .filter(|word| word.starts_with("etims_"))
            .collect();
        assert!(!names.is_empty() || expression.starts_with("up{"), "{expression}");
        for name in names {
            let family =
                ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
            assert!(known.contains(family), "{name} of {} is not in /metrics", rule["alert"]);
        }
        assert!(["page", "ticket"].contains(&rule["severity"].as_str()), "{rule:?}");
        assert!(rule["summary"].len() > 20 && rule["description"].len() > 60, "{rule:?}");
    }
    gateway.stop();
}

/// The alerts of a rule file, each as its keys. Reads only the plain form that our file keeps to, and refuses any other.
fn rules(text: &str) -> Vec<BTreeMap<String, String>> {
    let lines: Vec<&str> =
        text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')).collect();
    assert_eq!(lines[..3], ["groups:", "  - name: etims-gateway", "    rules:"]);
    let mut rules: Vec<BTreeMap<String, String>> = Vec::new();
    let mut block = "";
    for line in &lines[3..] {
        assert!(!line.contains('\t') && line.trim_end() == *line, "{line:?}");
        let (key, value) = line.trim_start().trim_start_matches("- ").split_once(':').expect(line);
        match (line.len() - line.trim_start().len(), key) {
            (6, "alert") => {
                block = "";
                rules.push(BTreeMap::new());
            }
            (8, "labels" | "annotations") => {
                assert_eq!(value, "", "{line}");
                block = key;
                continue;
            }
            (8, "expr" | "for") => block = "",
            (10, "severity") => assert_eq!(block, "labels", "{line}"),
            (10, "summary" | "description") => assert_eq!(block, "annotations", "{line}"),
            _ => panic!("{line}"),
        }
        let value = value.strip_prefix(' ').expect(line);
        let quoted = value.len() > 1 && value.starts_with('"') && value.ends_with('"');
        // What would need quotes in YAML has them.
        let plain = !value
            .starts_with(['{', '[', '&', '*', '!', '|', '>', '\'', '"', '%', '@', '`', '#', '-'])
            && !value.contains(": ")
            && !value.contains(" #");
        assert!(quoted || plain, "{line}");
        let known = rules.last_mut().expect(line).insert(key.to_owned(), value.trim_matches('"').to_owned());
        assert_eq!(known, None, "twice: {line}");
    }
    rules
}
