//! One screen for a technician.

use std::fmt::Write;

use super::{Alert, CertificateSnapshot, ExchangeSnapshot, ItemsSnapshot, SerialSnapshot, Snapshot};

/// The status as text, one fact a line.
pub fn status_text(snapshot: &Snapshot, alerts: &[Alert]) -> String {
    let mut text = String::new();
    let mut line = |label: &str, value: String| {
        writeln!(text, "{label:<14}{value}").expect("a String takes all");
    };
    line(
        "gateway",
        format!("etims-gateway {} ({}, {})", snapshot.version, snapshot.environment, snapshot.wire),
    );
    let device = &snapshot.device;
    let known = |it: &Option<String>| it.clone().unwrap_or_else(|| "-".to_owned());
    line(
        "device",
        match (&device.tin, &device.bhf_id) {
            (Some(tin), Some(bhf_id)) => {
                format!(
                    "{}: PIN {tin}, branch {bhf_id}, serial {}",
                    device.status,
                    known(&device.serial_number)
                )
            }
            _ => device.status.clone(),
        },
    );
    if device.sdc_id.is_some() {
        line("", format!("SCU {}, device id {}", known(&device.sdc_id), known(&device.device_id)));
    }
    line(
        "KRA",
        format!(
            "{}, last contact {}",
            if snapshot.kra.up { "up" } else { "down" },
            snapshot.kra.last_contact.as_deref().unwrap_or("never")
        ),
    );
    waiting(snapshot, &mut line);
    line(
        "last receipt",
        snapshot.last_signed.as_ref().map_or_else(
            || "none yet".to_owned(),
            |last| format!("{}, invoice number {}, {}", last.trd_invc_no, last.invc_no, last.sdc_date_time),
        ),
    );
    let store = &snapshot.store;
    line(
        "store",
        format!(
            "{}: {} records, journal {} MiB, {} MiB free{}",
            store.dir,
            store.last_record,
            store.journal_bytes >> 20,
            store.free_bytes >> 20,
            reserve_words(store.reserve)
        ),
    );
    ports(&snapshot.serial, &mut line);
    surroundings(snapshot, &mut line);
    line("public key", snapshot.public_key.clone());
    match alerts {
        [] => line("alerts", "none".to_owned()),
        some => {
            for (index, alert) in some.iter().enumerate() {
                line(if index == 0 { "alerts" } else { "" }, format!("{}: {}", alert.code, alert.message));
            }
        }
    }
    text
}

/// What waits for KRA: documents, and items.
fn waiting(snapshot: &Snapshot, line: &mut impl FnMut(&str, String)) {
    let queue = &snapshot.queue;
    line(
        "queue",
        match queue.waiting {
            0 => "empty".to_owned(),
            waiting => format!(
                "{waiting} waiting ({} in doubt), the oldest for {}",
                queue.in_doubt,
                humantime::format_duration(std::time::Duration::from_secs(queue.oldest_age_seconds))
            ),
        },
    );
    if queue.parked + queue.rejected > 0 {
        line("", format!("{} parked, {} refused by KRA", queue.parked, queue.rejected));
    }
    items(&snapshot.items, line);
}

/// A line for the items, where there are any.
fn items(items: &ItemsSnapshot, line: &mut impl FnMut(&str, String)) {
    let mut told = format!("{} in the catalogue", items.total);
    for (count, what) in [(items.queued, "waiting for KRA"), (items.aside, "not taken by KRA")] {
        if count > 0 {
            write!(told, ", {count} {what}").expect("a String takes all");
        }
    }
    if items.total > 0 {
        line("items", told);
    }
}

/// A line for each serial port.
fn ports(ports: &[SerialSnapshot], line: &mut impl FnMut(&str, String)) {
    for (index, port) in ports.iter().enumerate() {
        let state = match &port.reason {
            None => "open".to_owned(),
            Some(reason) => format!("NOT USABLE for {}: {reason}", span(port.seconds)),
        };
        line(if index == 0 { "serial" } else { "" }, format!("{} ({}): {state}", port.port, port.settings));
    }
}

/// KRA's lists, the last exchange, the clock, the disk.
fn surroundings(snapshot: &Snapshot, line: &mut impl FnMut(&str, String)) {
    super::lists::lines(&snapshot.lists, line);
    if let Some(last) = &snapshot.kra.last_exchange {
        let code = last.result_cd.as_ref().map(|code| format!(" {code}")).unwrap_or_default();
        let ExchangeSnapshot { function, outcome, took_ms, age_seconds, .. } = last;
        line(
            "last exchange",
            format!("{function}: {outcome}{code}, took {took_ms} ms, {} ago", span(*age_seconds)),
        );
    }
    for CertificateSnapshot { of, until, .. } in &snapshot.kra.certificates {
        line("certificate", format!("of {of}, good until {until}"));
    }
    let clock = &snapshot.clock;
    let kept = match (&clock.behind, clock.synchronised) {
        (Some(behind), _) => format!("wrong: it stands before {behind}"),
        (None, true) => "synchronised".to_owned(),
        (None, false) => "not synchronised".to_owned(),
    };
    let skew = clock.kra.or(clock.server).map(|skew| {
        let millis = std::time::Duration::from_millis(skew.ahead_ms.unsigned_abs());
        let way = if skew.ahead_ms < 0 { "behind" } else { "ahead" };
        match skew.certain_ms {
            0 => "KRA's shows the same".to_owned(),
            _ => format!("KRA's is {} {way}", humantime::format_duration(millis)),
        }
    });
    line("clock", format!("{kept}; {}", skew.as_deref().unwrap_or("KRA's was not seen yet")));
    if let Some(disk) = &snapshot.disk {
        let wear = match &disk.wear {
            Some(wear) => format!(
                "{}: {} of its life used",
                wear.device,
                used(wear.life_time.into_iter().max().unwrap_or(0))
            ),
            None => "it tells no wear".to_owned(),
        };
        line("disk", format!("{} MiB, index {} MiB; {wear}", disk.total_bytes >> 20, disk.index_bytes >> 20));
    }
    let process = snapshot.process;
    line(
        "process",
        format!(
            "running for {}, {} MiB resident",
            span(process.uptime_seconds),
            process.resident_bytes >> 20
        ),
    );
}

fn span(seconds: u64) -> String {
    humantime::format_duration(std::time::Duration::from_secs(seconds)).to_string()
}

/// Tenths of a life, as an eMMC counts them.
fn used(tenths: u8) -> String {
    match tenths {
        0 => "an unknown part".to_owned(),
        1..=10 => format!("up to {} %", u32::from(tenths) * 10),
        _ => "all and more".to_owned(),
    }
}

/// The reserve for a full disk.
const fn reserve_words(ready: Option<bool>) -> &'static str {
    match ready {
        Some(true) => ", reserve ready",
        Some(false) => ", no reserve",
        None => "",
    }
}
