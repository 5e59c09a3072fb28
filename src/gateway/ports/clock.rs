//! The time, as the verbs see it.

use crate::fiscal::KraDateTime;

/// What time it is.
pub trait Clock: Send + Sync + 'static {
    /// On a clock that never jumps.
    fn moment(&self) -> crate::queue::Moment;

    /// The wall clock, milliseconds since 1970.
    fn wall_ms(&self) -> i64;

    /// Whether the wall clock is synchronised.
    fn synchronised(&self) -> bool;

    /// The wall clock as KRA writes it; the first second of 1970 where the clock stands before that.
    fn kra_now(&self) -> KraDateTime {
        let fallback = || KraDateTime::from_unix(0).expect("1970 is a time");
        KraDateTime::from_unix(self.wall_ms().div_euclid(1000)).unwrap_or_else(fallback)
    }
}
