//! `verify`: checks the chain, the checksums and the signatures of the whole log.

use std::path::{Path, PathBuf};

use data_encoding::{BASE64, HEXLOWER};
use hyper::Method;
use serde_json::{Value, json};

use super::run::load;
use super::verify_file::verify_file;
use super::{Exit, VerifyArgs, control, say};
use crate::store::{VerifyError, VerifyReport, verify};

/// Checks a stopped daemon's store, or a running one's up to what it had written when asked. Writes nothing.
pub fn run_verify(config: Option<&Path>, arguments: &VerifyArgs) -> Exit {
    if let Some(file) = arguments.path.as_ref().filter(|path| path.is_file()) {
        return verify_file(file, arguments.output.json);
    }
    if let Some(path) = arguments.path.as_ref().filter(|path| {
        std::fs::metadata(path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
    }) {
        eprintln!(
            "etims-gateway: there is no {}: name an export or the directory of a store",
            path.display()
        );
        return Exit::NoInput;
    }
    let (dir, up_to) = match &arguments.path {
        Some(dir) => (dir.clone(), None),
        None => match configured(config) {
            Ok(found) => found,
            Err(exit) => return exit,
        },
    };
    let result = verify(&dir, up_to, &mut |_| {});
    let json = arguments.output.json;
    match result {
        Ok(report) => {
            say(&if json { describe(&report).to_string() } else { text(&report, &dir) });
            Exit::Ok
        }
        Err(error) => {
            let exit = match &error {
                VerifyError::Bad { .. } => Exit::Problem,
                VerifyError::Io { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
                    Exit::Permission
                }
                VerifyError::Io { .. } => Exit::Internal,
                VerifyError::NoStore { .. } => Exit::NoInput,
            };
            if json {
                let seq = match &error {
                    VerifyError::Bad { seq, .. } => Some(*seq),
                    _ => None,
                };
                say(&json!({ "ok": false, "firstBadRecord": seq, "message": error.to_string() }).to_string());
            } else {
                eprintln!("etims-gateway: {error}");
            }
            exit
        }
    }
}

/// The configured store; beside a running daemon, only up to its last record: what comes after is being written.
fn configured(config: Option<&Path>) -> Result<(PathBuf, Option<u64>), Exit> {
    let settings = load(config).ok_or(Exit::Configuration)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        eprintln!("etims-gateway: {error}");
        Exit::Internal
    })?;
    let answer = runtime.block_on(control::ask(&settings.admin.path, Method::GET, "/status", None));
    let up_to = answer.ok().and_then(|(_, status)| status["store"]["lastRecord"].as_u64());
    Ok((settings.state_dir, up_to))
}

fn describe(report: &VerifyReport) -> Value {
    json!({
        "ok": true,
        "publicKey": BASE64.encode(&report.public_key),
        "firstRecord": report.first.0,
        "lastRecord": report.last.0,
        "vouchedRecord": report.vouched,
        "chainHead": HEXLOWER.encode(&report.last.1),
        "segments": report.segments,
        "sales": report.sales,
        "checkpoints": report.checkpoints,
        "unfinishedTail": report.tail.is_some(),
    })
}

fn text(report: &VerifyReport, dir: &Path) -> String {
    let tail = if report.tail.is_some() {
        "\nthe last write was cut off and never acknowledged; the next start removes it"
    } else {
        ""
    };
    let vouched = match report.last.0.saturating_sub(report.vouched) {
        0 => format!("up to record {}, the last one, by a signature over the chain", report.vouched),
        more => format!(
            "up to record {} by a signature over the chain; of the {more} after it none was changed, but the end of the \
             log may have been written again without one of them",
            report.vouched
        ),
    };
    format!(
        "{}: every record is as it was written\n\
         records     {} to {}\n\
         vouched for {vouched}\n\
         sales       {}, each with our signature\n\
         checkpoints {}, signed\n\
         chain head  {}\n\
         public key  {}{tail}",
        dir.display(),
        report.first.0,
        report.last.0,
        report.sales,
        report.checkpoints,
        HEXLOWER.encode(&report.last.1),
        BASE64.encode(&report.public_key),
    )
}
