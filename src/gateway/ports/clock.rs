//! The time, as the verbs see it.

use std::future::Future;

use super::LedgerError;
use crate::fiscal::KraDateTime;
use crate::queue::Moment;

/// What time it is.
pub trait Clock: Send + Sync + 'static {
    /// On a clock that never jumps.
    fn moment(&self) -> Moment;

    /// The wall clock, milliseconds since 1970.
    fn wall_ms(&self) -> i64;

    /// Whether the wall clock is to be trusted: something keeps it right, and it is behind nothing that is past.
    fn synchronised(&self) -> bool;

    /// Something keeps it right, whether or not it is behind.
    fn kept(&self) -> bool;

    /// What is past and yet ahead of the wall clock.
    fn behind(&self) -> Option<Behind>;

    /// The wall clock is right though it is behind a record, by KRA's own word: that record's clock was wrong.
    fn believe(&self);

    /// Both clocks at one moment.
    fn reading(&self) -> Reading {
        Reading { wall_ms: self.wall_ms(), at: self.moment() }
    }

    /// The wall clock as KRA writes it; the first second of 1970 where the clock stands before that.
    fn kra_now(&self) -> KraDateTime {
        let fallback = || KraDateTime::from_unix(0).expect("1970 is a time");
        KraDateTime::from_unix(self.wall_ms().div_euclid(1000)).unwrap_or_else(fallback)
    }
}

/// What a wall clock can be behind of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// The making of this program.
    Build,
    /// The newest record that was written with a clock to be trusted.
    Record,
}

/// Both clocks at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The wall clock, milliseconds since 1970.
    pub wall_ms: i64,
    /// The clock that never jumps.
    pub at: Moment,
}

/// The wall clock jumped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockStep {
    /// What it would have shown, milliseconds since 1970.
    pub from_ms: i64,
    /// What it showed instead.
    pub to_ms: i64,
}

impl ClockStep {
    /// How far forward, milliseconds; negative where it went back.
    pub const fn by_ms(self) -> i64 {
        self.to_ms.saturating_sub(self.from_ms)
    }
}

/// Where jumps of the clock are written down.
pub trait ClockLog: Send + Sync + 'static {
    /// Commits a chained record of it.
    ///
    /// # Errors
    /// It could not be recorded.
    fn record_clock_step(&self, step: ClockStep) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Both clocks as the newest record of this run of the machine has them; none where the machine was started since.
    fn last_reading(&self) -> impl Future<Output = Option<Reading>> + Send;
}
