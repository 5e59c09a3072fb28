//! Sockets that systemd opened for us (`.socket` units), so that tills wait out a restart instead of being refused.

// The one place where a number becomes a file descriptor that we own.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// A socket with the name its unit gave it (`FileDescriptorName=`, else the unit's name).
#[derive(Debug)]
pub struct PassedSocket {
    /// Name.
    pub name: String,
    /// The socket, close-on-exec.
    pub fd: OwnedFd,
}

/// The variables that describe the passed sockets cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the sockets passed by the service manager cannot be taken ($LISTEN_FDS, $LISTEN_PID): {0}")]
pub struct PassedSocketsError(io::Error);

static TAKEN: AtomicBool = AtomicBool::new(false);

/// Takes the sockets passed to this process; none without a service manager, and none on a second call. To be called
/// first thing in the program: whoever opens files before could be given the same numbers.
///
/// # Errors
/// The variables are malformed, or a number in them is no open file.
pub fn passed_sockets() -> Result<Vec<PassedSocket>, PassedSocketsError> {
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Ok(Vec::new());
    }
    let passed = sd_notify::listen_fds_with_names().map_err(PassedSocketsError)?;
    let own = |(number, name)| {
        // SAFETY: the service manager opened this descriptor for us (LISTEN_PID is ours, and setting close-on-exec on
        // it has just succeeded, so it is open), and TAKEN makes this the only owner.
        PassedSocket { name, fd: unsafe { OwnedFd::from_raw_fd(number) } }
    };
    Ok(passed.map(own).collect())
}

#[cfg(test)]
mod tests {
    use super::passed_sockets;

    #[test]
    fn none_without_a_service_manager() {
        assert!(passed_sockets().unwrap().is_empty());
        assert!(passed_sockets().unwrap().is_empty());
    }
}
