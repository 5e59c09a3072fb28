//! A technician's words on a serial port (1.11), answered with a few lines of plain text. None changes anything.

use std::time::Duration;

use super::desk::Desk;
use super::sale_state::without_prefix;
use crate::fiscal::KraDateTime;
use crate::gateway::ports::{Authority, Clock, EventLog, Ledger, Registry, Sale, StoreHealth};
use crate::serial::Word;
use crate::status::{Snapshot, alerts};

/// Waiting sales that `queue` names.
const NAMED: usize = 5;

/// The answer to a word.
pub(super) async fn in_words<L, A, C>(desk: &Desk<L, A, C>, word: Word, origin: &str, prefix: &str) -> String
where
    L: EventLog + Ledger + Registry + StoreHealth,
    A: Authority,
    C: Clock,
{
    let lines = match word {
        Word::Help => vec![
            "help    this".to_owned(),
            "status  how the gateway is".to_owned(),
            "queue   what waits for KRA".to_owned(),
            "last    the last sale from this port".to_owned(),
        ],
        Word::Last => vec![match desk.taking.ledger.last_from(origin).await {
            Ok(Some(sale)) => sale_line(&sale, prefix),
            Ok(None) => "no sale from this port yet".to_owned(),
            Err(error) => format!("the store cannot be read: {error}"),
        }],
        Word::Queue => {
            let mut lines = vec![queue_line(&desk.watch.snapshot())];
            match desk.taking.ledger.open_sales(None, NAMED).await {
                Ok(sales) => lines.extend(sales.iter().map(|sale| sale_line(sale, ""))),
                Err(error) => lines.push(format!("the store cannot be read: {error}")),
            }
            lines
        }
        Word::Status => {
            let snapshot = desk.watch.snapshot();
            let taken = if desk.taking.takes_sales() { "sales are taken" } else { "sales are NOT taken" };
            let mut lines = vec![queue_line(&snapshot), state_line(&snapshot), taken.to_owned()];
            let codes: Vec<String> = alerts(&snapshot).into_iter().map(|alert| alert.code).collect();
            if !codes.is_empty() {
                lines.push(format!("alerts: {}; see `etims-gateway status`", codes.join(", ")));
            }
            lines
        }
    };
    // A terminal at the other end is told where its lines begin.
    lines.into_iter().map(|line| line + "\r\n").collect()
}

fn queue_line(snapshot: &Snapshot) -> String {
    let queue = &snapshot.queue;
    let mut line = format!("queue {}", queue.waiting);
    if queue.waiting > 0 {
        line.push_str(&format!(", oldest {}", clock_words(Duration::from_secs(queue.oldest_age_seconds))));
    }
    for (count, words) in
        [(queue.in_doubt, "in doubt"), (queue.parked, "parked"), (queue.rejected, "refused by KRA")]
    {
        if count > 0 {
            line.push_str(&format!(", {count} {words}"));
        }
    }
    line
}

fn state_line(snapshot: &Snapshot) -> String {
    let store = match (snapshot.store.works, snapshot.store.disk.as_str()) {
        (false, _) => "FAILED",
        (true, "low") => "FULL",
        (true, "filling") => "filling",
        (true, _) => "ok",
    };
    let clock = if snapshot.clock.synchronised { "synced" } else { "not synced" };
    let contact = snapshot.kra.last_contact.as_deref().unwrap_or("never");
    let line = if snapshot.kra.up { "up" } else { "unreachable" };
    format!(
        "storage {store} {} MiB free, clock {clock}, device {}, KRA {line}, last contact {contact}",
        snapshot.store.free_bytes >> 20,
        snapshot.device.status
    )
}

fn sale_line(sale: &Sale, prefix: &str) -> String {
    let trader_ref = without_prefix(sale.invoice.trader_ref.as_str(), prefix);
    let at = KraDateTime::from_unix(sale.accepted_ms.div_euclid(1000)).map(KraDateTime::rfc3339);
    let number = sale.invoice_no.map(|number| format!(", invoice number {number}")).unwrap_or_default();
    format!(
        "{trader_ref} {}, total {}, accepted {}{number}",
        sale.status.word(),
        sale.invoice.total,
        at.unwrap_or_default()
    )
}

/// As `00:04:10`, however many hours.
fn clock_words(span: Duration) -> String {
    let seconds = span.as_secs();
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{QueueSnapshot, StoreSnapshot};

    #[test]
    fn a_few_lines_say_how_things_are() {
        let queue =
            QueueSnapshot { waiting: 3, parked: 1, oldest_age_seconds: 250, ..QueueSnapshot::default() };
        let store = StoreSnapshot { works: true, free_bytes: 5 << 20, ..StoreSnapshot::default() };
        let snapshot = Snapshot { queue, store, ..Snapshot::default() };
        assert_eq!(queue_line(&snapshot), "queue 3, oldest 00:04:10, 1 parked");
        assert!(state_line(&snapshot).starts_with("storage ok 5 MiB free, clock not synced,"));
        assert_eq!(clock_words(Duration::from_secs(360_001)), "100:00:01");
    }
}
