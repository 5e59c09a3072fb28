//! What is measured beside the log and the queue, and the page that monitors read.

use std::sync::Arc;
use std::time::Duration;

use super::code_book::CodeBook;
use super::lookout::{LastExchange, Lookout, Skew};
use super::ports::{ApiLog, Authority, Clock, DiskFacts, Ledger, Registry, StoreHealth};
use super::watch_health::Watch;
use crate::fiscal::KraDateTime;
use crate::queue::Moment;
use crate::status::{
    CertificateSnapshot, Counters, DiskSnapshot, ExchangeSnapshot, Measured, ProcessSnapshot, SerialPort,
    SkewSnapshot, WearSnapshot, alerts, prometheus,
};

/// What counts and measures.
#[derive(Clone, Debug)]
pub struct Instruments {
    /// Counted since the start.
    pub counters: Arc<Counters>,
    /// Seen at the last exchanges with KRA.
    pub lookout: Arc<Lookout>,
    /// The serial ports.
    pub ports: Vec<Arc<SerialPort>>,
    /// The log of exchanges with KRA.
    pub exchanges: Arc<dyn ApiLog>,
    /// KRA's lists.
    pub book: CodeBook,
    /// The daemon's process at this moment.
    pub process: fn() -> ProcessSnapshot,
}

impl<L: Ledger + Registry + StoreHealth, A: Authority, C: Clock> Watch<L, A, C> {
    /// The disk below the store. Looks at it.
    pub async fn disk(&self) -> DiskSnapshot {
        disk_snapshot(self.ledger.disk_facts().await)
    }

    /// Everything in Prometheus' text format. KRA is not asked.
    pub async fn metrics(&self) -> String {
        let mut snapshot = self.snapshot();
        snapshot.disk = Some(self.disk().await);
        let timing = self.ledger.timing();
        prometheus(&Measured {
            snapshot: &snapshot,
            alerts: &alerts(&snapshot),
            counters: &self.instruments.counters,
            commit: &timing.commit,
            sync: &timing.sync,
            records: &timing.records,
            log_lost: self.instruments.exchanges.lost(),
        })
    }
}

fn disk_snapshot(facts: DiskFacts) -> DiskSnapshot {
    let wear = facts.wear.map(|wear| WearSnapshot {
        device: wear.device,
        life_time: wear.life_time,
        pre_eol: wear.pre_eol,
    });
    DiskSnapshot { total_bytes: facts.total_bytes, index_bytes: facts.index_bytes, wear }
}

pub(super) fn exchange_snapshot(last: LastExchange, now: Moment) -> ExchangeSnapshot {
    ExchangeSnapshot {
        function: last.function.to_owned(),
        outcome: last.outcome.to_owned(),
        result_cd: last.result_cd,
        http_status: last.http_status,
        took_ms: last.took_ms,
        age_seconds: now.since(last.ended).as_secs(),
    }
}

pub(super) const fn skew_snapshot(skew: Skew) -> SkewSnapshot {
    SkewSnapshot { ahead_ms: skew.middle_ms(), certain_ms: skew.certain_ms() }
}

/// KRA's certificate, where it showed one; `wall`: our clock.
pub(super) fn certificate_snapshot(until: i64, wall: Duration) -> Option<CertificateSnapshot> {
    Some(CertificateSnapshot {
        of: "kra".to_owned(),
        until: KraDateTime::from_unix(until)?.rfc3339(),
        remaining_seconds: until.saturating_sub(i64::try_from(wall.as_secs()).unwrap_or(i64::MAX)),
    })
}
