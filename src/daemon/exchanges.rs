//! What becomes of each exchange with KRA once it is over: a row of the log, and an event for whoever debugs.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::debug;

use super::clock::{MachineClock, wall_ms};
use crate::fiscal::KraDateTime;
use crate::gateway::ports::Clock;
use crate::gateway::{LastExchange, Lookout, Skew};
use crate::kra::{Exchange, Observer};
use crate::status::Counters;
use crate::store::api_log::{ExchangeLog, Row};
use crate::wire::Function;

/// Tells everybody who wants to know of an exchange. Waits for nothing.
pub(super) fn observer(log: Arc<ExchangeLog>, counters: Arc<Counters>, lookout: Arc<Lookout>) -> Observer {
    Box::new(move |exchange: &Exchange| {
        say(exchange);
        count(exchange, &counters);
        look(exchange, &lookout);
        log.put(row(exchange));
    })
}

fn count(exchange: &Exchange, counters: &Counters) {
    let nothing_sent = exchange.function.is_none() || exchange.outcome == "not_sent";
    counters.exchanged(function(exchange), exchange.outcome, (!nothing_sent).then_some(exchange.took));
}

fn look(exchange: &Exchange, lookout: &Lookout) {
    let took_ms = millis(exchange.took);
    let sent_ms = wall_ms(exchange.started_at);
    let received_ms = sent_ms.saturating_add(i64::try_from(took_ms).unwrap_or(i64::MAX));
    let skew = |told: Option<i64>| told.map(|told| Skew::measured(told, sent_ms, received_ms));
    let last = LastExchange {
        ended: MachineClock.moment(),
        function: function(exchange),
        outcome: exchange.outcome,
        result_cd: exchange.result_cd.clone(),
        http_status: exchange.http_status,
        took_ms,
    };
    if let Some(until) = exchange.certificate_until {
        lookout.certificate(until);
    }
    lookout.exchange(last, skew(exchange.date), skew(exchange.result_dt));
}

fn function(exchange: &Exchange) -> &'static str {
    exchange.function.map_or("connect", Function::name)
}

/// What was asked and how it went, never what was in it.
fn say(exchange: &Exchange) {
    debug!(
        function = function(exchange),
        trader_ref = exchange.trader_ref.as_deref().unwrap_or(""),
        invoice_no = exchange.invoice_no.unwrap_or_default(),
        http_status = exchange.http_status.unwrap_or_default(),
        result_cd = exchange.result_cd.as_deref().unwrap_or(""),
        outcome = exchange.outcome,
        took_ms = millis(exchange.took),
        trouble = exchange.trouble.as_deref().unwrap_or(""),
        "exchange with KRA"
    );
}

fn row(exchange: &Exchange) -> Row {
    let took = millis(exchange.took);
    Row {
        at: rfc3339(exchange.started_at),
        monotonic_ms: MachineClock.moment().0.saturating_sub(took),
        function: function(exchange),
        trader_ref: exchange.trader_ref.clone(),
        seq: exchange.document,
        invoice_no: exchange.invoice_no,
        attempt: exchange.attempt,
        duration_ms: took,
        bytes_out: exchange.sent_bytes,
        bytes_in: exchange.received_bytes,
        http_status: exchange.http_status,
        result_cd: exchange.result_cd.clone(),
        outcome: exchange.outcome,
        trouble: exchange.trouble.clone(),
        bodies: exchange.bodies.clone(),
    }
}

fn millis(took: std::time::Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}

/// Nairobi time with milliseconds; the first moment of 1970 for a clock that stands before it.
fn rfc3339(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(since.as_secs()).ok().and_then(KraDateTime::from_unix);
    let text = seconds.map(KraDateTime::rfc3339).unwrap_or_default();
    let (time, offset) = text.split_at(text.len().saturating_sub("+03:00".len()));
    format!("{time}.{:03}{offset}", since.subsec_millis())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_have_milliseconds() {
        for (millis, expected) in
            [(0, "1970-01-01T03:00:00.000+03:00"), (1_764_093_301_007, "2025-11-25T20:55:01.007+03:00")]
        {
            assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_millis(millis)), expected);
        }
        assert_eq!(rfc3339(UNIX_EPOCH - Duration::from_secs(5)), "1970-01-01T03:00:00.000+03:00");
    }
}
