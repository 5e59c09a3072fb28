//! What time it is: the wall clock, the clock that never jumps, and whether the first is to be trusted.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use crate::gateway::ports::{Behind, Clock, Reading};
use crate::queue::Moment;
use crate::store::Stamp;

/// The machine's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct MachineClock;

impl Clock for MachineClock {
    fn moment(&self) -> Moment {
        Moment(since_boot_ms())
    }

    fn wall_ms(&self) -> i64 {
        wall_ms(SystemTime::now())
    }

    fn synchronised(&self) -> bool {
        synchronised() && self.behind().is_none()
    }

    fn kept(&self) -> bool {
        synchronised()
    }

    fn behind(&self) -> Option<Behind> {
        behind(self.wall_ms(), BUILT_AT_MS, NEWEST_RECORD_MS.load(Ordering::Relaxed))
    }

    fn believe(&self) {
        NEWEST_RECORD_MS.store(self.wall_ms(), Ordering::Relaxed);
    }

    fn reading(&self) -> Reading {
        // Whoever is put to sleep between the two looks would see a jump where there is none.
        loop {
            let (before, wall_ms, after) = (since_boot_ms(), self.wall_ms(), since_boot_ms());
            if after - before < 100 {
                return Reading { wall_ms, at: Moment(after) };
            }
        }
    }
}

/// When this program was made, milliseconds since 1970; 1970 where the build did not know.
const BUILT_AT_MS: i64 = match option_env!("BUILT_AT_UNIX_SECONDS") {
    Some(seconds) => match i64::from_str_radix(seconds, 10) {
        Ok(seconds) => seconds * 1000,
        Err(_) => 0,
    },
    None => 0,
};

/// How far a good clock may be set back without being behind a record, milliseconds.
const SET_BACK_MS: i64 = 10_000;

/// The wall clock of the newest record that was written with a clock to be trusted.
static NEWEST_RECORD_MS: AtomicI64 = AtomicI64::new(i64::MIN);

/// At a start: what the log's newest records say.
pub(super) fn learn(newest_trusted_ms: Option<i64>) {
    if let Some(newest) = newest_trusted_ms {
        NEWEST_RECORD_MS.fetch_max(newest, Ordering::Relaxed);
    }
}

const fn behind(wall_ms: i64, built_at_ms: i64, newest_record_ms: i64) -> Option<Behind> {
    if wall_ms < built_at_ms {
        Some(Behind::Build)
    } else if wall_ms.saturating_add(SET_BACK_MS) < newest_record_ms {
        Some(Behind::Record)
    } else {
        None
    }
}

/// A wall clock's time in milliseconds since 1970.
pub(super) fn wall_ms(at: SystemTime) -> i64 {
    match at.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |millis| -millis),
    }
}

/// When something is accepted now: for records. A clock that is behind what is past counts as not synchronised.
pub fn stamp() -> Stamp {
    let stamp = Stamp {
        wall_ms: MachineClock.wall_ms(),
        boot: boot_id(),
        monotonic_ms: since_boot_ms(),
        synchronised: MachineClock.synchronised(),
    };
    if stamp.synchronised {
        NEWEST_RECORD_MS.fetch_max(stamp.wall_ms, Ordering::Relaxed);
    }
    stamp
}

/// Milliseconds since the machine was started, sleep included.
fn since_boot_ms() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    let (seconds, nanos) =
        (u64::try_from(time.tv_sec).unwrap_or(0), u64::try_from(time.tv_nsec).unwrap_or(0));
    seconds.saturating_mul(1000).saturating_add(nanos / 1_000_000)
}

/// The kernel's id of this boot; all zero where it gives none, and then no two readings are compared.
fn boot_id() -> [u8; 16] {
    static BOOT: OnceLock<[u8; 16]> = OnceLock::new();
    *BOOT.get_or_init(|| {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let hex: String = text.trim().chars().filter(|c| *c != '-').collect();
        data_encoding::HEXLOWER
            .decode(hex.as_bytes())
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .unwrap_or_default()
    })
}

/// The kernel's word on whether something keeps the wall clock right (NTP, PTP, a radio).
#[allow(unsafe_code)] // The one call for which there is no safe crate; it reads and changes nothing.
fn synchronised() -> bool {
    // SAFETY: all-zero is a valid `timex`: integers only.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a live, writable `timex`; `modes` is 0, so that nothing is set.
    let state = unsafe { libc::adjtimex(&raw mut timex) };
    state >= 0 && timex.status & libc::STA_UNSYNC == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_clock_is_behind_of() {
        for (wall, built, record, expected) in [
            (1_000_000, 0, i64::MIN, None),
            (1_000_000, 1_000_001, i64::MIN, Some(Behind::Build)),
            (1_000_000, 1_000_000, 1_010_000, None),
            (1_000_000, 1_000_000, 1_010_001, Some(Behind::Record)),
            (-5, 0, i64::MIN, Some(Behind::Build)),
            (i64::MAX, 0, i64::MAX, None),
        ] {
            assert_eq!(behind(wall, built, record), expected, "{wall} {built} {record}");
        }
    }
}
