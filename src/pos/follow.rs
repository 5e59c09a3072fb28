//! `GET /api/events/`: events as they happen, as server-sent events.
//!
//! A follower holds one page of the log at a time. One that takes nothing stops its own reading and nothing else.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use hyper::header::{CACHE_CONTROL, HeaderValue};
use hyper::{Method, StatusCode};
use tokio::sync::mpsc;

use super::event::EventTold;
use super::refusal::Refusal;
use crate::gateway::ports::{EventLog, EventPage, Registry};
use crate::http::{Answer, Request};
use crate::queue::Seq;

/// Events of one page.
const PAGE: usize = 32;
/// Pieces that wait for a slow client.
const PIECES: usize = 2;
/// After news: how long more of it is gathered, so that a busy shop is not read for record by record.
const GATHER: Duration = Duration::from_millis(25);
/// Something is said at least this often, so that both ends notice a dead line.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Where a request wants to begin. A browser that comes back says it in `Last-Event-ID`, while its address still has the
/// `after` of its first visit.
///
/// # Errors
/// One of the two is no number.
pub(super) fn wanted(request: &Request, after: Option<Seq>) -> Result<Option<Seq>, Refusal> {
    match request.headers.get("last-event-id") {
        None => Ok(after),
        Some(id) => {
            let id = id.to_str().ok().and_then(|id| id.trim().parse().ok());
            id.map(Some).ok_or_else(|| Refusal::BadQuery("Last-Event-ID must be a whole number".to_owned()))
        }
    }
}

/// The answer: a stream that ends with the client, or with the server.
pub(super) fn follow<L: EventLog + Registry>(
    log: &Arc<L>,
    portal_host: &str,
    method: &Method,
    wanted: Option<Seq>,
) -> Answer {
    let (pieces, stream) = mpsc::channel(PIECES);
    if *method == Method::GET {
        let (log, portal_host) = (Arc::clone(log), portal_host.to_owned());
        tokio::spawn(async move {
            // An error: the client has gone.
            let _ = tell(&*log, &portal_host, wanted, &pieces).await;
        });
    }
    Answer::stream(StatusCode::OK, HeaderValue::from_static("text/event-stream"), stream)
        .with(CACHE_CONTROL, HeaderValue::from_static("no-store"))
}

/// The client takes nothing more.
struct Gone;

async fn tell(
    log: &(impl EventLog + Registry),
    portal_host: &str,
    wanted: Option<Seq>,
    pieces: &mpsc::Sender<Bytes>,
) -> Result<(), Gone> {
    let send = async |text: String| pieces.send(text.into()).await.map_err(|_| Gone);
    let (mut at, greeting) = beginning(wanted, log.first_record(), log.last_record());
    send(greeting).await?;
    loop {
        match log.events(at, PAGE).await {
            Ok(page) => {
                at = page.read_to;
                let text = written(&page, log, portal_host);
                if !text.is_empty() {
                    send(text).await?;
                }
            }
            Err(error) => return send(format!(": the log cannot be read: {error}\n\n")).await,
        }
        while at >= log.last_record() {
            tokio::select! {
                () = pieces.closed() => return Err(Gone),
                () = log.grown_beyond(at) => tokio::time::sleep(GATHER).await,
                () = tokio::time::sleep(KEEP_ALIVE) => send(": still here\n\n".to_owned()).await?,
            }
        }
    }
}

/// Where a follower begins, and what it is told of it.
fn beginning(wanted: Option<Seq>, first: Seq, last: Seq) -> (Seq, String) {
    match wanted {
        None => (last, format!(": events after {last}\n\n")),
        Some(after) if after > last => {
            (last, format!(": this log has no record {after} yet, its last is {last}: events after that\n\n"))
        }
        Some(after) if after.saturating_add(1) < first => {
            let before = first.saturating_sub(1);
            (before, format!(": records {} to {before} are not kept any more\n\n", after.saturating_add(1)))
        }
        Some(after) => (after, format!(": events after {after}\n\n")),
    }
}

fn written(page: &EventPage, log: &impl Registry, portal_host: &str) -> String {
    let mut text = String::new();
    if page.events.is_empty() && page.lost.is_empty() {
        return text;
    }
    let device = log.device();
    let told = EventTold { registration: device.registration(), portal_host, prefix: "" };
    for (first, last) in &page.lost {
        text.push_str(&format!(": records {first} to {last} cannot be read: run `etims-gateway verify`\n\n"));
    }
    for event in &page.events {
        text.push_str(&format!("id: {}\ndata: {}\n\n", event.id, told.json(event)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::beginning;

    #[test]
    fn a_follower_begins_where_it_ended() {
        let check = |wanted, (first, last), at, says: &str| {
            let (found, greeting) = beginning(wanted, first, last);
            assert_eq!(found, at, "{wanted:?} of {first}..{last}");
            assert!(greeting.contains(says), "{greeting}");
            assert!(greeting.starts_with(": ") && greeting.ends_with("\n\n"), "a comment: {greeting:?}");
        };
        check(None, (1, 90), 90, "after 90");
        check(Some(0), (1, 90), 0, "after 0");
        check(Some(17), (1, 90), 17, "after 17");
        check(Some(90), (1, 90), 90, "after 90");
        // Another log's number, or a log that was set back: waiting for 95 would pass over five events.
        check(Some(95), (1, 90), 90, "no record 95");
        check(Some(u64::MAX), (1, 90), 90, "its last is 90");
        check(Some(0), (50, 90), 49, "1 to 49 are not kept");
        check(Some(48), (50, 90), 49, "49 to 49");
        check(Some(49), (50, 90), 49, "after 49");
    }
}
