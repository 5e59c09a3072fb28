//! What a technician orders about the queue and the series: who, why, and how that is answered.

use hyper::StatusCode;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::desk::AdminDesk;
use super::series::SeriesMessage;
use crate::gateway::Order;
use crate::gateway::ports::{
    Acted, Authority, Clock, Exports, ItemLog, Ledger, Registry, StoreHealth, Stories,
};
use crate::http::{Answer, Peer, Request};
use crate::queue::{Command, Declined, Seen, Seq, Settlement, Status};

/// The longest reason, bytes.
const REASON_MAX: usize = 1000;

/// How a document stood when the technician looked at it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeenMessage {
    /// Where it stood.
    pub status: String,
    /// The number it was bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invc_no: Option<u64>,
    /// Tries used.
    pub attempts: u32,
    /// Sends whose outcome was unknown.
    pub unsure_sends: u32,
}

/// An order about one document.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OrderMessage {
    /// Its running number.
    pub id: Seq,
    /// How it was seen to stand.
    pub seen: SeenMessage,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// As what it is settled.
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    pub settled_as: Option<String>,
}

/// An order about all documents, or the series.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WideOrderMessage {
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The number that the series goes on with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// What was done.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct DoneMessage {
    /// In words.
    pub done: String,
}

impl<L: Exports + ItemLog + Ledger + Registry + Stories + StoreHealth, A: Authority, C: Clock>
    AdminDesk<L, A, C>
{
    /// `queue retry`, `queue park`, `queue settle` of one document.
    pub(super) async fn order_about(&self, word: &str, request: &Request) -> Answer {
        let order = match read::<OrderMessage>(request).and_then(|message| about(word, message)) {
            Ok((command, reason)) => (command, reason),
            Err(why) => return bad_request(&why),
        };
        self.give(order, request).await
    }

    /// `queue retry --all`, `series adopt`.
    pub(super) async fn wide_order(&self, series: bool, request: &Request) -> Answer {
        match read::<WideOrderMessage>(request) {
            Ok(message) if series => {
                self.give((Command::AdoptSeries(message.next), message.reason), request).await
            }
            Ok(message) => {
                let answer = self.give((Command::RetryAll, message.reason), request).await;
                // They are released by the same word; what fails here is tried again with it.
                if let Err(error) = self.keeping.release_parked().await {
                    tracing::error!(%error, "parked items could not be released");
                }
                answer
            }
            Err(why) => bad_request(&why),
        }
    }

    /// `series show`.
    pub(super) async fn series(&self) -> Answer {
        match self.operator.series().await {
            Ok(books) => Answer::json(StatusCode::OK, &SeriesMessage::of(&books)),
            Err(declined) => declined_as(&declined),
        }
    }

    async fn give(&self, (command, reason): (Command, Option<String>), request: &Request) -> Answer {
        let Acted { reason, who, .. } = match by(request, command.word(), reason) {
            Ok(acted) => acted,
            Err(why) => return bad_request(&why),
        };
        match self.operator.ask(Order { command, reason, who }).await {
            Ok(done) => Answer::json(StatusCode::OK, &DoneMessage { done }),
            Err(declined) => declined_as(&declined),
        }
    }
}

pub(super) fn read<T: DeserializeOwned>(request: &Request) -> Result<T, String> {
    serde_json::from_slice(&request.body).map_err(|error| format!("the order is not understood: {error}"))
}

fn about(word: &str, message: OrderMessage) -> Result<(Command, Option<String>), String> {
    let OrderMessage { id, seen, reason, settled_as } = message;
    let status = Status::from_word(&seen.status).ok_or("seen.status is no state of a document")?;
    let seen =
        Seen { status, invoice_no: seen.invc_no, attempts: seen.attempts, unsure_sends: seen.unsure_sends };
    let command = match (word, settled_as) {
        ("park", None) => Command::Park(id, seen),
        ("retry", None) => Command::Retry(id, seen),
        ("settle", Some(word)) => {
            let settlement =
                Settlement::from_word(&word).ok_or("as must be accepted, elsewhere or not-accepted")?;
            Command::Settle(id, seen, settlement)
        }
        _ => return Err("`as` belongs to settle, and settle needs it".to_owned()),
    };
    Ok((command, reason))
}

fn declined_as(declined: &Declined) -> Answer {
    let (status, word) = match declined {
        Declined::Changed(_) => (StatusCode::CONFLICT, "changed"),
        Declined::NotAllowed(_) => (StatusCode::CONFLICT, "not_allowed"),
        Declined::NotRecorded(_) => (StatusCode::SERVICE_UNAVAILABLE, "store_failed"),
        Declined::OnTheLine => (StatusCode::CONFLICT, "on_the_line"),
        Declined::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        Declined::Unknown => (StatusCode::CONFLICT, "unknown"),
    };
    Answer::refusal(status, word, &declined.to_string())
}

/// The act as it is recorded: the caller is who the kernel says it is.
pub(super) fn by(request: &Request, act: &str, reason: Option<String>) -> Result<Acted, String> {
    if reason.as_ref().is_some_and(|reason| reason.len() > REASON_MAX || reason.chars().any(char::is_control))
    {
        return Err(format!("the reason must be one line of at most {REASON_MAX} bytes"));
    }
    Ok(Acted { act: act.to_owned(), reason, who: who(request) })
}

/// The caller, as the administration socket knows it.
pub(super) fn who(request: &Request) -> String {
    match request.peer {
        Peer::Unix { uid: Some(uid), .. } => format!("uid {uid}"),
        Peer::Unix { uid: None, .. } | Peer::Tcp(_) => "unknown".to_owned(),
    }
}

pub(super) fn bad_request(why: &str) -> Answer {
    Answer::refusal(StatusCode::BAD_REQUEST, "bad_request", why)
}
