//! When a segment's time is over: pure, over what is known of it.

use std::io;
use std::time::Duration;

use crate::store::disk::Disk;
use crate::store::journal::segment_number;
use crate::store::pack::pack_number;
use crate::store::record::Stamp;

/// Between two retirements, at the least: a clock gone wrong takes one segment before somebody notices, not all.
pub(crate) const RETIRE_PAUSE: Duration = Duration::from_secs(60 * 60);
/// How far the till's clock may be ahead of KRA's latest word and still be believed.
const KRA_SILENCE: i64 = 31 * 86_400_000;

/// What is known of the oldest segment. Times are milliseconds since 1970 (UTC).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ages {
    /// By then everything in it had been accepted: when a later segment was begun, by a synchronised clock.
    pub(crate) accepted_by: i64,
    /// KRA's latest time among the proofs of its documents.
    pub(crate) signed_by: Option<i64>,
}

/// The time that ages are counted up to; `None`: not known well enough. `kra`: the newest time that KRA gave, or whether it
/// ever accepted anything. A clock that is synchronised with something wrong must not take five years away.
pub(crate) fn present(now: &Stamp, kra: Result<i64, bool>) -> Option<i64> {
    if !now.synchronised {
        return None;
    }
    match kra {
        Ok(latest) => Some(now.wall_ms.min(latest.saturating_add(KRA_SILENCE))),
        // It accepted something once and is silent: nothing confirms the clock.
        Err(true) => None,
        Err(false) => Some(now.wall_ms),
    }
}

impl Ages {
    /// The time of the youngest thing in it.
    pub(crate) fn youngest(&self) -> i64 {
        self.signed_by.map_or(self.accepted_by, |signed| signed.max(self.accepted_by))
    }

    /// Whether all of it is older than `retention`, at `present`.
    pub(crate) fn is_over(&self, retention: Duration, present: i64) -> bool {
        let retention = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
        self.youngest().saturating_add(retention) <= present
    }
}

/// Whether the last retirement is long enough ago. Another boot's monotonic clock says nothing: there the wall clock counts.
pub(crate) fn is_due(last: Option<&Stamp>, now: &Stamp, pause: Duration) -> bool {
    let Some(last) = last else { return true };
    let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
    if last.boot == now.boot {
        now.monotonic_ms.saturating_sub(last.monotonic_ms) >= pause_ms
    } else {
        now.wall_ms.saturating_sub(last.wall_ms).unsigned_abs() >= pause_ms
    }
}

/// Removes the files of segments before `first`; the bytes they had.
pub(crate) fn remove_before(disk: &dyn Disk, first: u32) -> io::Result<u64> {
    let mut freed = 0;
    for (name, length) in disk.list()? {
        if segment_number(&name).or(pack_number(&name)).is_some_and(|segment| segment < first) {
            disk.remove(&name)?;
            freed += length;
        }
    }
    if freed > 0 {
        disk.sync_names()?;
    }
    Ok(freed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000;

    const fn at(day: i64, synchronised: bool) -> Stamp {
        Stamp { wall_ms: day * DAY, boot: [1; 16], monotonic_ms: 0, synchronised }
    }

    #[test]
    fn the_clock_is_believed_as_far_as_kra_confirms_it() {
        let check = |now: Stamp, kra, days: Option<i64>| {
            assert_eq!(present(&now, kra), days.map(|days| days * DAY), "{now:?} {kra:?}");
        };
        check(at(5000, true), Ok(4990 * DAY), Some(5000));
        check(at(9000, true), Ok(4990 * DAY), Some(5021));
        check(at(5000, false), Ok(4990 * DAY), None);
        check(at(5000, true), Err(false), Some(5000));
        check(at(5000, true), Err(true), None);
    }

    #[test]
    fn a_segment_is_as_young_as_the_youngest_in_it() {
        let check = |accepted_by: i64, signed_by: Option<i64>, present: i64, over: bool| {
            let ages = Ages { accepted_by: accepted_by * DAY, signed_by: signed_by.map(|day| day * DAY) };
            let retention = Duration::from_secs(1830 * 86_400);
            assert_eq!(ages.is_over(retention, present * DAY), over, "{ages:?} {present}");
        };
        check(100, None, 1929, false);
        check(100, None, 1930, true);
        check(100, Some(90), 1930, true);
        check(100, Some(103), 1932, false);
        check(100, Some(103), 1933, true);
    }

    #[test]
    fn one_an_hour() {
        let stamp = |boot: u8, monotonic_ms, wall_ms| Stamp {
            wall_ms,
            boot: [boot; 16],
            monotonic_ms,
            synchronised: true,
        };
        let check = |last: Option<Stamp>, now: Stamp, due: bool| {
            assert_eq!(is_due(last.as_ref(), &now, RETIRE_PAUSE), due, "{last:?} {now:?}");
        };
        check(None, stamp(1, 0, 0), true);
        // The wall clock ran away: the monotonic one did not.
        check(Some(stamp(1, 1000, 0)), stamp(1, 3_600_000, 99 * DAY), false);
        check(Some(stamp(1, 1000, 0)), stamp(1, 3_601_000, 0), true);
        check(Some(stamp(1, 1000, 0)), stamp(2, 5, 3_599_000), false);
        check(Some(stamp(1, 1000, 0)), stamp(2, 5, 3_600_000), true);
        // Set back by years: it would otherwise never come again.
        check(Some(stamp(1, 1000, 900 * DAY)), stamp(2, 5, 5 * DAY), true);
    }
}
