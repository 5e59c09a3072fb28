//! What the commands that talk to the daemon have in common: the socket, the runtime, the errors.

use std::path::Path;

use hyper::{Method, StatusCode};
use serde_json::Value;

use super::Exit;
use super::control::{self, ControlError};
use super::run::load;

/// Asks the daemon of this configuration; errors are printed, and become the exit code.
pub(super) fn ask(
    config: Option<&Path>,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<(StatusCode, Value), Exit> {
    let settings = load(config).ok_or(Exit::Configuration)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        eprintln!("etims-gateway: {error}");
        Exit::Internal
    })?;
    runtime.block_on(control::ask(&settings.admin.path, method, path, body)).map_err(|error| {
        eprintln!("etims-gateway: {error}");
        match error {
            ControlError::NotPermitted(_) => Exit::Permission,
            ControlError::Broken(_) | ControlError::NotRunning { .. } => Exit::Unavailable,
        }
    })
}

/// The words of a refusal.
pub(super) fn words(answer: &Value) -> String {
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    if let Some(message) = text(answer, "message") {
        return message;
    }
    // Faults of fields, all at once.
    let faults = answer.get("errors").and_then(Value::as_array).into_iter().flatten();
    let faults: Vec<String> =
        faults.filter_map(|it| Some(format!("{}: {}", text(it, "field")?, text(it, "message")?))).collect();
    if faults.is_empty() { answer.to_string() } else { faults.join("; ") }
}

/// Prints a refusal; the exit code it means.
pub(super) fn ended_as(status: StatusCode, answer: &Value) -> Exit {
    eprintln!("etims-gateway: {}", words(answer));
    match status {
        StatusCode::BAD_REQUEST => Exit::Usage,
        StatusCode::SERVICE_UNAVAILABLE => Exit::Unavailable,
        _ => Exit::Problem,
    }
}

/// A path segment, encoded.
pub(super) fn segment(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}
