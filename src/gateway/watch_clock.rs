//! Notices jumps of the wall clock, writes them down and tells of them.

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::measure::Instruments;
use super::ports::{Behind, Clock, ClockLog, ClockStep, Reading};

/// A clock that is slewed moves less than this between two looks; one that moves more has been set.
const STEP_MS: i64 = 3_000;

/// Looks at the clock now and then.
#[derive(Debug)]
pub struct ClockWatch<L, C> {
    log: Arc<L>,
    clock: Arc<C>,
    instruments: Instruments,
    last: Option<Reading>,
}

impl<L: ClockLog, C: Clock> ClockWatch<L, C> {
    /// At a start: a jump since the newest record of this run of the machine is one too.
    pub async fn open(log: Arc<L>, clock: Arc<C>, instruments: Instruments) -> Self {
        let last = log.last_reading().await;
        Self { log, clock, instruments, last }
    }

    /// Compares with the last look.
    pub async fn look(&mut self) {
        let now = self.clock.reading();
        self.instruments.lookout.clock_kept(self.clock.kept(), now.at);
        let jumped = self.last.and_then(|last| step(last, now));
        self.last = Some(now);
        if let Some(step) = jumped {
            let (by, forward) = (Duration::from_millis(step.by_ms().unsigned_abs()), step.by_ms() > 0);
            warn!(
                name: "clock_jumped",
                by = %humantime::format_duration(by),
                forward,
                "the wall clock jumped"
            );
            self.instruments.counters.clock_stepped();
            self.instruments.lookout.clock_stepped();
            if let Err(error) = self.log.record_clock_step(step).await {
                warn!(%error, "the jump of the clock could not be recorded");
            }
        }
        self.believe_kra();
    }

    /// A clock that something keeps right and that KRA agrees with is right: an earlier record was ahead of its time.
    fn believe_kra(&self) {
        let agrees = self.instruments.lookout.now().agrees();
        if agrees && self.clock.kept() && self.clock.behind() == Some(Behind::Record) {
            info!(
                name: "clock_believed",
                "the clock is behind earlier records, and KRA agrees with it: it is trusted again"
            );
            self.clock.believe();
        }
    }
}

/// Whether the wall clock went another way than the clock that never jumps.
fn step(last: Reading, now: Reading) -> Option<ClockStep> {
    let passed = i64::try_from(now.at.since(last.at).as_millis()).unwrap_or(i64::MAX);
    let step = ClockStep { from_ms: last.wall_ms.saturating_add(passed), to_ms: now.wall_ms };
    (step.by_ms().abs() >= STEP_MS).then_some(step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::Moment;

    #[test]
    fn jumps_and_what_is_none() {
        // wall and monotonic before, wall and monotonic now, by how much it jumped
        for (wall, at, wall_now, at_now, by) in [
            (1_000_000, 500, 1_000_500, 1_000, None),
            (1_000_000, 500, 1_002_400, 1_000, None),
            (1_000_000, 500, 1_003_500, 1_000, Some(3_000)),
            (1_000_000, 500, 997_500, 1_000, Some(-3_000)),
            // A machine that slept: both clocks went on.
            (1_000_000, 500, 87_400_000, 86_400_500, None),
            (1_000_000, 500, 1_000_000, 86_400_500, Some(-86_400_000)),
            (i64::MIN, 0, i64::MAX, 0, Some(i64::MAX)),
        ] {
            let last = Reading { wall_ms: wall, at: Moment(at) };
            let now = Reading { wall_ms: wall_now, at: Moment(at_now) };
            assert_eq!(step(last, now).map(ClockStep::by_ms), by, "{last:?} {now:?}");
        }
    }
}
