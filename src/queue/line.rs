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
        /// How often in a row it was found away.
        failures: u32,
        /// When the next probe is due.
        probe_at: Moment,
    },
}

impl Line {
    /// KRA was found away.
    pub fn lost(&mut self, now: Moment, initial: Duration, probe_max: Duration, dice: Dice) {
        let failures = match self {
            Self::Closed => 0,
            Self::Open { failures, .. } => failures.saturating_add(1),
        };
        *self =
            Self::Open { failures, probe_at: now.after(backoff::pause(initial, probe_max, failures, dice)) };
    }

    /// The till's own link, address or route came back: no reason to wait for the next probe.
    pub fn returned(&mut self, now: Moment) {
        if let Self::Open { probe_at, .. } = self {
            *probe_at = now;
        }
    }
}
