//! One screen for a technician.

use std::fmt::Write;

use super::{Alert, Snapshot};

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
            "{}: {} records, journal {} MiB, {} MiB free",
            store.dir,
            store.last_record,
            store.journal_bytes >> 20,
            store.free_bytes >> 20
        ),
    );
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
