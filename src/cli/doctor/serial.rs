//! The serial ports: open in the daemon, or whether they could be opened; and what hears the wrong thing.

use super::Finding;
use crate::config::{Serial, Settings};
use crate::daemon::port_settings;
use crate::serial::try_port;
use crate::status::{LineEvent, SerialSnapshot};

const SUBJECT: &str = "serial";

/// `running`: what the daemon says of its ports; a port that it has is not opened a second time.
pub(super) async fn look(settings: &Settings, running: Option<&[SerialSnapshot]>) -> Vec<Finding> {
    let boot = std::fs::read_to_string("/proc/cmdline").unwrap_or_default();
    let mut findings = Vec::new();
    for serial in &settings.serial {
        let port = serial.port.display().to_string();
        findings.extend(console(&port, &boot));
        findings.push(match running {
            Some(ports) => match ports.iter().find(|it| it.port == port) {
                Some(known) => of_running(known),
                None => Finding::warn(
                    SUBJECT,
                    format!("{port}: the daemon runs with a configuration without it"),
                    "systemctl restart etims-gateway",
                ),
            },
            None => tried(serial, &port).await,
        });
    }
    if settings.serial.is_empty() {
        findings.push(Finding::ok(SUBJECT, "no port is configured"));
    }
    findings
}

async fn tried(serial: &Serial, port: &str) -> Finding {
    match try_port(port_settings(serial)).await {
        Ok(()) => Finding::ok(SUBJECT, format!("{port}: it can be opened by this user")),
        Err(error) => Finding::fail(
            SUBJECT,
            format!("{port}: {error}"),
            "ls -l /dev/serial/by-id shows what is plugged in",
        ),
    }
}

fn of_running(port: &SerialSnapshot) -> Finding {
    let SerialSnapshot { port: name, settings, open, reason, events, .. } = port;
    if !open {
        let why = reason.as_deref().unwrap_or("it is not open");
        return Finding::fail(SUBJECT, format!("{name}: {why}"), "it is tried again by itself");
    }
    let count = |event: LineEvent| events.get(event.word()).copied().unwrap_or(0);
    let (good, odd) = (count(LineEvent::Request), count(LineEvent::Foreign) + count(LineEvent::Damaged));
    let found = format!("{name} ({settings}): open, {good} requests, {odd} bursts damaged or not understood");
    if odd > good {
        let advice = "the register may speak another protocol or at another speed: the journal says what was recognised";
        return Finding::warn(SUBJECT, found, advice);
    }
    Finding::ok(SUBJECT, found)
}

/// A kernel that writes its messages to the register's port.
fn console(port: &str, boot: &str) -> Option<Finding> {
    let name = port.strip_prefix("/dev/")?;
    let is_console = boot.split_whitespace().filter_map(|word| word.strip_prefix("console="));
    let is_console =
        is_console.map(|console| console.split(',').next().unwrap_or_default()).any(|it| it == name);
    is_console.then(|| {
        let found =
            format!("{port} is the kernel's console: its messages and a login prompt go to the register");
        let advice =
            format!("take console={name} off the boot line, and: systemctl mask serial-getty@{name}");
        Finding::fail(SUBJECT, found, advice)
    })
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    fn port(open: bool, events: &[(LineEvent, u64)]) -> SerialSnapshot {
        SerialSnapshot {
            port: "/dev/ttyS1".to_owned(),
            open,
            events: events.iter().map(|(event, count)| (event.word().to_owned(), *count)).collect(),
            ..SerialSnapshot::default()
        }
    }

    #[test]
    fn ports_of_a_running_daemon() {
        for (port, level) in [
            (port(true, &[]), Level::Ok),
            (port(true, &[(LineEvent::Request, 10), (LineEvent::Damaged, 1)]), Level::Ok),
            (port(true, &[(LineEvent::Foreign, 3)]), Level::Warn),
            (port(false, &[]), Level::Fail),
        ] {
            assert_eq!(of_running(&port).level, level, "{port:?}");
        }
    }

    #[test]
    fn the_kernels_console_is_no_registers_port() {
        for (boot, found) in [
            ("root=/dev/x console=ttyS1,115200 quiet", true),
            ("console=tty0 console=ttyS1", true),
            ("console=ttyS10", false),
            ("quiet", false),
        ] {
            assert_eq!(console("/dev/ttyS1", boot).is_some(), found, "{boot}");
        }
    }
}
