//! What we tell the service manager. Without one (`$NOTIFY_SOCKET` not set) nothing is sent and nothing fails.

use std::time::Duration;

use sd_notify::NotifyState;
use tracing::debug;

/// A message to the service manager.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Notify<'a> {
    /// Started, or done with a reload: `READY=1`.
    Ready,
    /// Re-reading the configuration; must be followed by [`Notify::Ready`].
    Reloading,
    /// Starting takes longer: the service manager is to wait at least this long from now on.
    Extend(Duration),
    /// One line for `systemctl status`.
    Status(&'a str),
    /// Stopping.
    Stopping,
    /// Still working.
    Watchdog,
}

impl Notify<'_> {
    /// Sends it. A service manager that cannot be reached is not our trouble: it is noted at debug level.
    pub fn send(self) {
        let line;
        let sent = match self {
            Notify::Ready => sd_notify::notify(&[NotifyState::Ready]),
            // The time lets systemd tell this reload's READY from one that was under way before it.
            Notify::Reloading => NotifyState::monotonic_usec_now()
                .and_then(|now| sd_notify::notify(&[NotifyState::Reloading, now])),
            Notify::Status(text) => {
                // A line break would begin another assignment.
                line = text.replace(['\n', '\r'], " ");
                sd_notify::notify(&[NotifyState::Status(&line)])
            }
            Notify::Extend(by) => {
                let micros = u32::try_from(by.as_micros()).unwrap_or(u32::MAX);
                sd_notify::notify(&[NotifyState::ExtendTimeoutUsec(micros)])
            }
            Notify::Stopping => sd_notify::notify(&[NotifyState::Stopping]),
            Notify::Watchdog => sd_notify::notify(&[NotifyState::Watchdog]),
        };
        if let Err(error) = sent {
            debug!(error = &error as &dyn std::error::Error, notification = ?self, "service manager not told");
        }
    }
}

/// How often [`Notify::Watchdog`] is to be sent: half of `WatchdogSec=`; none when it is not set for this process.
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2).filter(|interval| !interval.is_zero())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;
    use std::process::Command;
    use std::time::Duration;

    use super::{Notify, watchdog_interval};

    #[test]
    fn the_service_manager_hears_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // The variable is the process's own matter, so the sending is done by another process: this test binary.
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "systemd::notify::tests::tells_everything"])
            .env("NOTIFY_SOCKET", &path)
            .env("WATCHDOG_USEC", "30000000")
            .env_remove("WATCHDOG_PID")
            .output()
            .unwrap();
        assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
        let hear = || {
            let mut buffer = [0; 512];
            let length = socket.recv(&mut buffer).unwrap();
            String::from_utf8(buffer[..length].to_vec()).unwrap()
        };
        assert_eq!(hear().trim(), "READY=1");
        let reloading = hear();
        assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
        assert_eq!(hear().trim(), "STATUS=2 waiting READY=1");
        assert_eq!(hear().trim(), "EXTEND_TIMEOUT_USEC=90000000");
        assert_eq!(hear().trim(), "WATCHDOG=1");
        assert_eq!(hear().trim(), "STOPPING=1");
    }

    #[test]
    #[ignore = "run by the test above, in a process with NOTIFY_SOCKET"]
    fn tells_everything() {
        assert_eq!(watchdog_interval(), Some(Duration::from_secs(15)));
        for message in [
            Notify::Ready,
            Notify::Reloading,
            Notify::Status("2 waiting\nREADY=1"),
            Notify::Extend(Duration::from_secs(90)),
            Notify::Watchdog,
            Notify::Stopping,
        ] {
            message.send();
        }
    }
}
