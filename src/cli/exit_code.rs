//! What the program says with its exit code, after sysexits(3).

use std::process::{ExitCode, Termination};

/// How a command ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum Exit {
    /// 0: done, healthy.
    Ok,
    /// 1: done, and found a problem: degraded, damaged, not all signed.
    Problem,
    /// 64: the command line is wrong.
    Usage,
    /// 65: the store is damaged; systemd does not restart the daemon.
    Damaged,
    /// 66: no store or file there.
    NoInput,
    /// 69: the daemon or KRA cannot be reached.
    Unavailable,
    /// 70: a fault of the program itself.
    Internal,
    /// 77: not permitted.
    Permission,
    /// 78: the configuration is wrong; systemd does not restart the daemon.
    Configuration,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Exit::Ok => 0,
            Exit::Problem => 1,
            Exit::Usage => 64,
            Exit::Damaged => 65,
            Exit::NoInput => 66,
            Exit::Unavailable => 69,
            Exit::Internal => 70,
            Exit::Permission => 77,
            Exit::Configuration => 78,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        self.into()
    }
}
