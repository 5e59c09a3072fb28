//! What time it is: the wall clock, the clock that never jumps, and whether the first is to be trusted.

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use crate::gateway::ports::Clock;
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
        synchronised()
    }
}

/// A wall clock's time in milliseconds since 1970.
pub(super) fn wall_ms(at: SystemTime) -> i64 {
    match at.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |millis| -millis),
    }
}

/// When something is accepted now: for records.
pub fn stamp() -> Stamp {
    Stamp {
        wall_ms: MachineClock.wall_ms(),
        boot: boot_id(),
        monotonic_ms: since_boot_ms(),
        synchronised: synchronised(),
    }
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
