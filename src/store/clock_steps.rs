//! Jumps of the wall clock as records of the log, and what its newest records say about the clock.

use serde::Serialize;

use super::bodies::to_json;
use super::ledger::JournalLedger;
use super::{Effect, Kind, Store};
use crate::gateway::ports::{ClockLog, ClockStep, LedgerError, Reading};
use crate::queue::Moment;

/// Records that are looked at for the newest one written with a clock to be trusted.
const NEWEST: usize = 64;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StepBody {
    clock: &'static str,
    from_ms: i64,
    to_ms: i64,
    by_ms: i64,
}

impl ClockLog for JournalLedger {
    async fn record_clock_step(&self, step: ClockStep) -> Result<(), LedgerError> {
        let ClockStep { from_ms, to_ms } = step;
        let body = to_json(&StepBody { clock: "stepped", from_ms, to_ms, by_ms: step.by_ms() });
        self.commit(vec![self.record_of(Kind::Event, Effect::None, body)]).await.map(|_| ())
    }

    async fn last_reading(&self) -> Option<Reading> {
        let newest = self.reading(|reader| {
            let records = reader.store.records_before(None, None, 1);
            Ok(records.ok().and_then(|records| Some((records.first()?.stamp, reader.now))))
        });
        let (last, now) = newest.await.ok()??;
        last.same_boot(&now).then_some(Reading { wall_ms: last.wall_ms, at: Moment(last.monotonic_ms) })
    }
}

/// The wall clock of the newest record that was written with a clock to be trusted, of the last ones. What cannot be
/// read says nothing about the clock.
pub fn newest_trusted_ms(store: &Store) -> Option<i64> {
    let records = store.records_before(None, None, NEWEST).unwrap_or_default();
    records.iter().filter(|record| record.stamp.synchronised).map(|record| record.stamp.wall_ms).max()
}
