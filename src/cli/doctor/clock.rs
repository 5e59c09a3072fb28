//! The clock: whether something keeps it right, and how it stands against KRA's.

use super::Finding;
use crate::daemon::clock::MachineClock;
use crate::gateway::ports::{Behind, Clock};

const SUBJECT: &str = "clock";
/// Sales that are so much ahead of KRA are refused (delivery rules, section 10), seconds.
const REFUSED_AT: u64 = 600;
/// A clock that is kept right is not so far away, seconds.
const ODD_AT: u64 = 60;

/// This machine's clock by itself.
pub(super) fn look() -> Finding {
    judge(MachineClock.kept(), MachineClock.behind())
}

fn judge(kept: bool, behind: Option<Behind>) -> Finding {
    let advice = "timedatectl set-ntp true; without a line: a clock with a battery (hwclock), set by hand";
    match (behind, kept) {
        (Some(Behind::Build), _) => {
            Finding::fail(SUBJECT, "it is behind the day on which this program was made", advice)
        }
        (Some(Behind::Record), _) => {
            Finding::fail(SUBJECT, "it is behind a sale that was taken already", advice)
        }
        (None, true) => Finding::ok(SUBJECT, "something keeps it right"),
        (None, false) => Finding::warn(
            SUBJECT,
            "nothing keeps it right: times of sales are marked as not sure, and nothing old is removed",
            advice,
        ),
    }
}

/// Against the clock of the server that answered, seconds: positive where that is ahead of ours.
pub(super) fn against_kra(ahead: i64) -> Finding {
    let found = match ahead {
        0 => "the same as KRA's".to_owned(),
        1.. => format!("KRA's is {ahead} s ahead"),
        _ => format!("KRA's is {} s behind", ahead.unsigned_abs()),
    };
    let advice = "timedatectl shows what keeps it; a sale far in KRA's future cannot be sent as it is";
    match ahead.unsigned_abs() {
        REFUSED_AT.. => Finding::fail(SUBJECT, found, advice),
        ODD_AT.. => Finding::warn(SUBJECT, found, advice),
        _ => Finding::ok(SUBJECT, found),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn clocks() {
        for (kept, behind, level) in [
            (true, None, Level::Ok),
            (false, None, Level::Warn),
            (true, Some(Behind::Build), Level::Fail),
            (false, Some(Behind::Record), Level::Fail),
        ] {
            assert_eq!(judge(kept, behind).level, level, "{kept} {behind:?}");
        }
        for (ahead, level) in [
            (0, Level::Ok),
            (-59, Level::Ok),
            (60, Level::Warn),
            (-599, Level::Warn),
            (600, Level::Fail),
            (i64::MIN, Level::Fail),
        ] {
            assert_eq!(against_kra(ahead).level, level, "{ahead}");
        }
    }
}
