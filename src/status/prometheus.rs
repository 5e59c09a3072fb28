//! The snapshot and the counters in Prometheus' text format. Written by hand: the well-kept crate for it writes
//! OpenMetrics, which `promtool check metrics` does not take.
//!
//! No label holds anything of a sale, a customer or the device: only words of our own.

use std::collections::BTreeMap;

use super::page::{Page, seconds};
use super::{Alert, Counters, Distribution, Posting, SkewSnapshot, Snapshot};

/// Everything that is rendered.
#[derive(Debug)]
pub struct Measured<'a> {
    /// How everything stands.
    pub snapshot: &'a Snapshot,
    /// What is active of it.
    pub alerts: &'a [Alert],
    /// What was counted since the start.
    pub counters: &'a Counters,
    /// How long commits took, microseconds.
    pub commit: &'a Distribution,
    /// How long groups took to be written and synced, microseconds.
    pub sync: &'a Distribution,
    /// Records of one group.
    pub records: &'a Distribution,
    /// Exchanges that could not be logged.
    pub log_lost: u64,
}

/// The function that saves sales, the one that looks them up, and those that only probe.
const SAVE: &str = "saveTrnsSalesOsdc";
const LOOK_UP: &str = "selectInvoiceDetails";
const PROBES: [&str; 2] = ["selectNoticeList", "selectOsdcStatus"];

/// Outcomes that are always shown, so that a rate has a zero to begin with.
const VERDICTS: [&str; 11] = [
    "accepted",
    "accepted_without_proof",
    "busy",
    "config",
    "device",
    "duplicate",
    "odd",
    "out_of_sequence",
    "refused",
    "unsure",
    "wait",
];
const LOOK_UPS: [&str; 6] = ["absent", "busy", "failed", "found", "missing", "refused"];
const PROBED: [&str; 3] = ["down", "refused", "up"];

/// The page for `GET /metrics`.
pub fn prometheus(measured: &Measured<'_>) -> String {
    let mut page = Page(String::with_capacity(16 << 10));
    page.gauge("etims_build_info", "The version that runs; always 1.");
    page.sample("etims_build_info", &[("version", &measured.snapshot.version)], 1);
    queue(&mut page, measured.snapshot);
    items(&mut page, measured.snapshot);
    kra(&mut page, measured.snapshot);
    exchanges(&mut page, measured);
    sales(&mut page, measured);
    serial(&mut page, measured.snapshot);
    store(&mut page, measured);
    super::lists::metrics(&mut page, &measured.snapshot.lists);
    clock(&mut page, measured);
    process(&mut page, measured);
    page.0
}

fn queue(page: &mut Page, snapshot: &Snapshot) {
    let queue = &snapshot.queue;
    page.gauge(
        "etims_queue_documents",
        "Documents that are not finished, by where they stand; pending includes those in doubt.",
    );
    for (state, count) in [
        ("accepted_no_proof", queue.accepted_no_proof),
        ("parked", queue.parked),
        ("pending", queue.waiting),
        ("rejected", queue.rejected),
    ] {
        page.sample("etims_queue_documents", &[("state", state)], count);
    }
    page.one_gauge(
        "etims_queue_in_doubt_documents",
        "Pending documents that may be in KRA's books.",
        queue.in_doubt,
    );
    page.one_gauge(
        "etims_queue_oldest_age_seconds",
        "Age of the oldest pending document; 0 where none waits.",
        queue.oldest_age_seconds,
    );
    page.one_gauge(
        "etims_queue_offline_warn_seconds",
        "Age of the oldest pending document that alerts.",
        snapshot.offline_warn_seconds,
    );
}

fn items(page: &mut Page, snapshot: &Snapshot) {
    let items = &snapshot.items;
    page.one_gauge("etims_items", "Items in the catalogue.", items.total);
    page.one_gauge("etims_items_queued", "Items that wait to be saved at KRA.", items.queued);
    page.one_gauge("etims_items_refused", "Items that KRA refused, or whose tries are spent.", items.aside);
}

fn kra(page: &mut Page, snapshot: &Snapshot) {
    let kra = &snapshot.kra;
    page.one_gauge("etims_kra_up", "1 while KRA answers (the breaker is closed).", u8::from(kra.up));
    page.one_gauge(
        "etims_kra_held",
        "1 while KRA answers and nothing is sent: device, credentials or configuration.",
        u8::from(kra.held.is_some()),
    );
    page.one_gauge(
        "etims_series_stopped",
        "1 while the number series is stopped until a person has looked.",
        u8::from(kra.series_stopped.is_some()),
    );
    page.gauge("etims_device_state", "1 for the state that the device is in with KRA.");
    for state in ["active", "failed", "held", "pending", "unregistered"] {
        page.sample("etims_device_state", &[("state", state)], u8::from(snapshot.device.status == state));
    }
    if !kra.certificates.is_empty() {
        page.gauge(
            "etims_certificate_remaining_seconds",
            "How long a certificate in use is still good; negative where it has ended.",
        );
        for certificate in &kra.certificates {
            page.sample(
                "etims_certificate_remaining_seconds",
                &[("of", &certificate.of)],
                certificate.remaining_seconds,
            );
        }
    }
}

fn exchanges(page: &mut Page, measured: &Measured<'_>) {
    let all = measured.counters.exchanges();
    let of = |functions: &[&str]| -> BTreeMap<&'static str, u64> {
        let mut found = BTreeMap::new();
        for ((function, outcome), count) in &all {
            if functions.contains(function) {
                *found.entry(*outcome).or_default() += count;
            }
        }
        found
    };
    let saves = of(&[SAVE]);
    let count = |outcome: &str| saves.get(outcome).copied().unwrap_or(0);
    let tries: u64 = saves.values().sum();
    let unreachable = all.get(&("connect", "unreachable")).copied().unwrap_or(0);
    page.one_counter(
        "etims_delivery_attempts_total",
        "Tries to bring a document to KRA, those included for which no connection came about.",
        tries + unreachable,
    );
    page.one_counter(
        "etims_delivery_sends_total",
        "Saving requests of which something was sent.",
        tries - count("not_sent"),
    );
    page.one_counter(
        "etims_delivery_lost_answers_total",
        "Saving requests whose answer was lost: looked up before anything is sent again.",
        count("in_doubt"),
    );
    page.words(
        "etims_delivery_verdicts_total",
        "KRA's answers to saving requests, by what they mean.",
        "class",
        &VERDICTS,
        &saves,
    );
    page.words(
        "etims_kra_look_ups_total",
        "Invoices that KRA was asked for, by what came of it.",
        "outcome",
        &LOOK_UPS,
        &of(&[LOOK_UP]),
    );
    page.words(
        "etims_kra_probes_total",
        "Cheap questions whether KRA is there, by what came of them.",
        "outcome",
        &PROBED,
        &of(&PROBES),
    );
    page.one_counter(
        "etims_kra_connections_failed_total",
        "Connections for saving requests that did not come about.",
        unreachable,
    );
    page.histogram("etims_kra_exchange_duration_seconds", "How long exchanges with KRA took, by function.");
    for (function, took) in measured.counters.kra() {
        page.distribution("etims_kra_exchange_duration_seconds", &[("function", function)], &took, seconds);
    }
    page.one_counter(
        "etims_api_log_lost_total",
        "Exchanges that could not be kept in the log of exchanges.",
        measured.log_lost,
    );
}

fn sales(page: &mut Page, measured: &Measured<'_>) {
    page.counter("etims_sales_posted_total", "Sales that registers posted, by what came of it.");
    for posting in Posting::ALL {
        page.sample(
            "etims_sales_posted_total",
            &[("result", posting.word())],
            measured.counters.postings(posting),
        );
    }
    page.histogram(
        "etims_sale_accept_duration_seconds",
        "From a sale's request in hand to its record on the disk.",
    );
    page.distribution("etims_sale_accept_duration_seconds", &[], &measured.counters.accept(), seconds);
    page.counter("etims_http_requests_total", "Requests of the till API, by the status of the answer.");
    for (code, count) in measured.counters.http() {
        page.sample("etims_http_requests_total", &[("code", &code.to_string())], count);
    }
}

/// Nothing where no port is configured.
fn serial(page: &mut Page, snapshot: &Snapshot) {
    if snapshot.serial.is_empty() {
        return;
    }
    page.gauge("etims_serial_port_open", "1 while the serial port is open.");
    for port in &snapshot.serial {
        page.sample("etims_serial_port_open", &[("port", &port.port)], u8::from(port.open));
    }
    page.counter("etims_serial_events_total", "What came over serial ports, by what it was.");
    for port in &snapshot.serial {
        for (event, count) in &port.events {
            page.sample("etims_serial_events_total", &[("port", &port.port), ("event", event)], *count);
        }
    }
}

fn store(page: &mut Page, measured: &Measured<'_>) {
    let store = &measured.snapshot.store;
    page.one_gauge(
        "etims_store_up",
        "1 while the last write and sync of the store went well.",
        u8::from(store.works),
    );
    page.one_gauge("etims_store_last_record", "Running number of the newest record.", store.last_record);
    page.one_gauge("etims_store_journal_bytes", "Size of the journal.", store.journal_bytes);
    page.histogram(
        "etims_store_commit_duration_seconds",
        "From a commit's handing in to its being on the disk, the wait for its turn included.",
    );
    page.distribution("etims_store_commit_duration_seconds", &[], measured.commit, seconds);
    page.histogram("etims_store_sync_duration_seconds", "One write and fdatasync of a group of records.");
    page.distribution("etims_store_sync_duration_seconds", &[], measured.sync, seconds);
    page.histogram("etims_store_group_records", "Records that went with one fdatasync.");
    page.distribution("etims_store_group_records", &[], measured.records, |size| size.to_string());
    page.one_gauge(
        "etims_disk_free_bytes",
        "Free space on the disk of the state directory.",
        store.free_bytes,
    );
    page.one_gauge(
        "etims_disk_min_free_bytes",
        "Free space below which new sales are refused.",
        store.min_free_bytes,
    );
    if let Some(ready) = store.reserve {
        page.one_gauge(
            "etims_store_reserve_ready",
            "1 while the reserve for a full disk (storage.reserve) stands ready.",
            u8::from(ready),
        );
    }
    let Some(disk) = &measured.snapshot.disk else { return };
    page.one_gauge(
        "etims_disk_size_bytes",
        "Size of the file system of the state directory.",
        disk.total_bytes,
    );
    page.one_gauge(
        "etims_store_index_bytes",
        "Size of the files of the queue's index (sled).",
        disk.index_bytes,
    );
    let Some(wear) = &disk.wear else { return };
    page.gauge(
        "etims_emmc_life_time_estimate",
        "Life used of an eMMC: 1 is up to 10 %, 2 up to 20 %, 11 beyond what it was made for.",
    );
    for (cells, used) in ["a", "b"].into_iter().zip(wear.life_time) {
        page.sample("etims_emmc_life_time_estimate", &[("device", &wear.device), ("cells", cells)], used);
    }
    page.gauge("etims_emmc_pre_eol_info", "Reserve blocks of an eMMC: 1 normal, 2 warning, 3 urgent.");
    page.sample("etims_emmc_pre_eol_info", &[("device", &wear.device)], wear.pre_eol);
}

fn clock(page: &mut Page, measured: &Measured<'_>) {
    let clock = &measured.snapshot.clock;
    page.one_gauge(
        "etims_clock_synchronised",
        "1 while something keeps the wall clock right.",
        u8::from(clock.synchronised),
    );
    page.one_gauge(
        "etims_clock_behind",
        "1 while the wall clock is behind what is past: the build, or a record.",
        u8::from(clock.behind.is_some()),
    );
    page.one_counter("etims_clock_steps_total", "Jumps of the wall clock.", measured.counters.clock_steps());
    let skews = [("date", clock.server), ("resultDt", clock.kra)];
    if skews.iter().any(|(_, skew)| skew.is_some()) {
        page.gauge(
            "etims_clock_skew_seconds",
            "How far KRA's clock is ahead of ours, by what the last answer said.",
        );
        for (told, SkewSnapshot { ahead_ms, .. }) in
            skews.into_iter().filter_map(|(told, skew)| Some((told, skew?)))
        {
            let sign = if ahead_ms < 0 { "-" } else { "" };
            let value = format!("{sign}{}", seconds(ahead_ms.unsigned_abs().saturating_mul(1000)));
            page.sample("etims_clock_skew_seconds", &[("told", told)], value);
        }
    }
}

fn process(page: &mut Page, measured: &Measured<'_>) {
    let process = measured.snapshot.process;
    page.one_gauge("etims_process_resident_memory_bytes", "Memory of the daemon.", process.resident_bytes);
    page.one_gauge("etims_process_uptime_seconds", "Time since the daemon's start.", process.uptime_seconds);
    page.gauge(
        "etims_webhook_waiting_seconds",
        "How long a webhook has not taken the event that is next for it.",
    );
    for webhook in &measured.snapshot.waiting_webhooks {
        page.sample("etims_webhook_waiting_seconds", &[("webhook", &webhook.name)], webhook.seconds);
    }
    page.one_gauge("etims_alerts", "Alerts that are active.", measured.alerts.len());
    page.gauge("etims_alert_active", "1 for each kind of alert that is active; the text is in `status`.");
    let mut codes: Vec<&str> = measured.alerts.iter().map(|alert| alert.code.as_str()).collect();
    codes.sort_unstable();
    codes.dedup();
    for code in codes {
        page.sample("etims_alert_active", &[("code", code)], 1);
    }
}

#[cfg(test)]
#[path = "prometheus_tests.rs"]
mod tests;
