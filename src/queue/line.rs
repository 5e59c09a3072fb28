//! The line to KRA as the drain sees it: a circuit breaker and its probes.

use std::time::Duration;

use super::{Dice, Moment, backoff};

/// Whether KRA is believed to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// KRA answered last.
    Closed,
    /// KRA is away: nothing is sent, nobody's attempts are used, a cheap probe looks for its return.
    Open {
        /// When the next probe is due.
        probe_at: Moment,
    },
}

impl Line {
    /// KRA was found away.
    pub const fn is_open(&self) -> bool {
        matches!(self, Self::Open { .. })
    }

    /// KRA was found away, having been so `before` times since a request last came through whole; `longest`: the
    /// longest pause between two probes, but where KRA itself said how long it wants to be left alone.
    pub fn lost(
        &mut self,
        now: Moment,
        before: u32,
        (initial, longest, told): (Duration, Duration, Option<Duration>),
        dice: Dice,
    ) {
        let pause = backoff::pause(initial, longest, before, dice).max(told.unwrap_or_default());
        *self = Self::Open { probe_at: now.after(pause) };
    }

    /// The till's own link, address or route came back: no reason to wait for the next probe.
    pub fn returned(&mut self, now: Moment) {
        if let Self::Open { probe_at } = self {
            *probe_at = now;
        }
    }
}
