//! `verify FILE`: checks an export alone, on any machine.

use std::io;
use std::path::Path;

use serde_json::{Value, json};

use super::{Exit, say};
use crate::store::{ExportError, ExportReport, verify_export};

/// Checks it; needs no configuration and no store.
pub(super) fn verify_file(path: &Path, as_json: bool) -> Exit {
    match verify_export(path) {
        Ok(report) => {
            say(&if as_json { describe(&report).to_string() } else { text(&report, path) });
            Exit::Ok
        }
        Err(error) => {
            if as_json {
                let seq = match &error {
                    ExportError::Bad { seq, .. } => Some(*seq),
                    ExportError::Io { .. } => None,
                };
                say(&json!({ "ok": false, "firstBadRecord": seq, "message": error.to_string() }).to_string());
            } else {
                eprintln!("etims-gateway: {error}");
            }
            match error {
                ExportError::Bad { .. } => Exit::Problem,
                ExportError::Io { source, .. } => match source.kind() {
                    io::ErrorKind::NotFound => Exit::NoInput,
                    io::ErrorKind::PermissionDenied => Exit::Permission,
                    _ => Exit::Internal,
                },
            }
        }
    }
}

fn describe(report: &ExportReport) -> Value {
    json!({
        "ok": true,
        "manifest": report.manifest,
        "sales": report.sales,
        "checkpoints": report.checkpoints,
    })
}

fn text(report: &ExportReport, path: &Path) -> String {
    let manifest = &report.manifest;
    let records = match (manifest.first, manifest.last) {
        (Some(first), Some(last)) => format!("{first} to {last}"),
        _ => "none in this period".to_owned(),
    };
    let day = |day: &Option<String>, open: &str| day.clone().unwrap_or_else(|| open.to_owned());
    let (from, to) =
        (day(&manifest.period.from, "the beginning"), day(&manifest.period.to, "the newest record"));
    let mut text = format!(
        "{}: as the till wrote it\n\
         period      {from} to {to}, written {} by version {}\n\
         records     {records}\n\
         sales       {}, each with the till's signature\n\
         checkpoints {}, signed\n",
        path.display(),
        manifest.written_at.as_deref().unwrap_or("at an unknown time"),
        manifest.version,
        report.sales,
        report.checkpoints,
    );
    for (label, totals) in &manifest.totals {
        text.push_str(&format!(
            "{label}          {} receipts, total {}, tax {}\n",
            totals.count, totals.tot_amt, totals.tot_tax_amt
        ));
    }
    text.push_str(&format!(
        "chain       {} before, {} after\n\
         public key  {}\n\
         Compare the public key with the one that `etims-gateway status` shows on the till.",
        manifest.head_before, manifest.head_after, manifest.public_key
    ));
    text
}
