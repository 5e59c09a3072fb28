//! The running daemon: whether it answers, of which version it is, how the device stands, and its alerts.

use hyper::Method;

use super::super::control::{self, ControlError};
use super::Finding;
use crate::admin::StatusMessage;
use crate::config::Settings;

const SUBJECT: &str = "daemon";
const DEVICE: &str = "device";
/// Alerts about things that have a line of their own here.
const TOLD_ELSEWHERE: [&str; 3] = ["device", "disk_wear", "serial_port"];

/// Asks it; `None` where there is nobody to ask.
pub(super) async fn look(settings: &Settings) -> (Vec<Finding>, Option<StatusMessage>) {
    let said = control::ask(&settings.admin.path, Method::GET, "/status", None).await;
    let message = said.and_then(|(_, answer)| {
        serde_json::from_value::<StatusMessage>(answer)
            .map_err(|error| ControlError::Broken(error.to_string()))
    });
    match message {
        Ok(message) => (of_running(&message, env!("CARGO_PKG_VERSION")), Some(message)),
        Err(error) => (vec![not_there(&error)], None),
    }
}

fn not_there(error: &ControlError) -> Finding {
    match error {
        ControlError::NotPermitted(_) => Finding::warn(SUBJECT, error.to_string(), "run doctor with sudo"),
        ControlError::NotRunning { .. } => Finding::fail(
            SUBJECT,
            error.to_string(),
            "systemctl start etims-gateway; if it ends again, journalctl -u etims-gateway -e says why",
        ),
        ControlError::Broken(_) => Finding::fail(
            SUBJECT,
            error.to_string(),
            "systemctl restart etims-gateway, then run doctor again",
        ),
    }
}

/// `version`: of this program.
fn of_running(message: &StatusMessage, version: &str) -> Vec<Finding> {
    let snapshot = &message.snapshot;
    let mut findings = vec![if snapshot.version == version {
        Finding::ok(SUBJECT, format!("{version} runs since {}", duration(snapshot.process.uptime_seconds)))
    } else {
        let found = format!("{} runs, and {version} is installed", snapshot.version);
        Finding::warn(SUBJECT, found, "systemctl restart etims-gateway")
    }];
    findings.push(device(message));
    let queue = &snapshot.queue;
    findings.push(Finding::ok(
        "queue",
        format!(
            "{} waiting, {} in doubt, {} set aside, {} refused",
            queue.waiting, queue.in_doubt, queue.parked, queue.rejected
        ),
    ));
    for alert in message.alerts.iter().filter(|alert| !TOLD_ELSEWHERE.contains(&alert.code.as_str())) {
        let advice = "etims-gateway status shows it until it is over";
        findings.push(Finding::warn("alert", format!("{}: {}", alert.code, alert.message), advice));
    }
    findings
}

fn device(message: &StatusMessage) -> Finding {
    let device = &message.snapshot.device;
    let who = [&device.tin, &device.bhf_id, &device.serial_number].map(|part| part.as_deref().unwrap_or("-"));
    let who = who.join(" / ");
    let why = device.reason.as_deref().unwrap_or("no reason was given");
    match device.status.as_str() {
        "active" => {
            let sdc_id = device.sdc_id.as_deref().unwrap_or("-");
            Finding::ok(DEVICE, format!("active: {who}, SCU id {sdc_id}"))
        }
        "pending" => Finding::warn(
            DEVICE,
            format!("pending: {who} is not registered yet ({why}); sales are taken and wait"),
            "it registers by itself once KRA is reached: see the lines below",
        ),
        "held" => Finding::fail(
            DEVICE,
            format!("held: {why}"),
            "if the store was moved to this hardware on purpose: etims-gateway device moved --reason TEXT",
        ),
        "failed" => Finding::fail(
            DEVICE,
            format!("failed: {why}"),
            "etims-gateway device init, once it is put right; a device registered elsewhere: device adopt",
        ),
        status => Finding::fail(
            DEVICE,
            format!("{status}: no taxpayer and branch are known, and no sale is taken"),
            "set device.tin, device.bhf_id and device.serial_number, or etims-gateway device init",
        ),
    }
}

fn duration(seconds: u64) -> String {
    humantime::format_duration(std::time::Duration::from_secs(seconds)).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;
    use crate::status::{Alert, Snapshot};

    fn message(status: &str) -> StatusMessage {
        let mut snapshot = Snapshot { version: "1.0".to_owned(), ..Snapshot::default() };
        snapshot.device.status = status.to_owned();
        StatusMessage { healthy: true, snapshot, alerts: Vec::new() }
    }

    #[test]
    fn how_a_device_stands() {
        for (status, level) in [
            ("active", Level::Ok),
            ("pending", Level::Warn),
            ("held", Level::Fail),
            ("failed", Level::Fail),
            ("unregistered", Level::Fail),
        ] {
            let found = device(&message(status));
            assert_eq!((found.level, found.advice.is_some()), (level, level != Level::Ok), "{status}");
            assert!(found.found.starts_with(status), "{found}");
        }
    }

    #[test]
    fn another_version_and_alerts_are_told() {
        let mut message = message("active");
        assert!(of_running(&message, "1.0").iter().all(|it| it.level == Level::Ok));
        let alert = |code: &str| Alert { code: code.to_owned(), about: None, message: "m".to_owned() };
        message.alerts = vec![alert("series_stopped"), alert("disk_wear")];
        let found = of_running(&message, "1.1");
        let warned: Vec<&str> =
            found.iter().filter(|it| it.level == Level::Warn).map(|it| it.subject).collect();
        assert_eq!(warned, ["daemon", "alert"], "{found:?}");
    }

    #[test]
    fn nobody_to_ask() {
        let source = std::io::Error::from(std::io::ErrorKind::NotFound);
        assert_eq!(not_there(&ControlError::NotRunning { path: "/x".into(), source }).level, Level::Fail);
        assert_eq!(not_there(&ControlError::NotPermitted("/x".into())).level, Level::Warn);
        assert_eq!(not_there(&ControlError::Broken("cut".to_owned())).level, Level::Fail);
    }
}
