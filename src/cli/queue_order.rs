//! `queue retry`, `queue park`, `queue settle`: a technician decides. Each order carries how the document was seen to stand.

use std::path::Path;

use hyper::{Method, StatusCode};
use serde::Serialize;

use super::ask::{ask, ended_as, segment};
use super::queue::not_understood;
use super::{Exit, Output, QueueParkArgs, QueueRetryArgs, QueueSettleArgs, SettledAs, say};
use crate::admin::{DoneMessage, ItemOrderMessage, OrderMessage, QueueRow, SeenMessage, WideOrderMessage};
use crate::queue::Settlement;

/// Sets a waiting document aside.
pub fn queue_park(config: Option<&Path>, arguments: &QueueParkArgs) -> Exit {
    let QueueParkArgs { id, reason, output } = arguments;
    about(config, "park", id, (reason.clone(), None), *output)
}

/// Tries a document again, or all.
pub fn queue_retry(config: Option<&Path>, arguments: &QueueRetryArgs) -> Exit {
    let QueueRetryArgs { id, reason, output, .. } = arguments;
    match id {
        Some(id) => match ask(config, Method::GET, &format!("/queue/{}", segment(id)), None) {
            Ok((StatusCode::OK, answer)) if answer.get("item").is_some() => {
                let item_cd = answer["item"]["itemCd"].as_str().unwrap_or_default().to_owned();
                let message = ItemOrderMessage { item_cd, reason: reason.clone() };
                give(config, "/queue/retry-item", &message, *output)
            }
            Ok(_) => about(config, "retry", id, (reason.clone(), None), *output),
            Err(exit) => exit,
        },
        None => {
            let message = WideOrderMessage { reason: reason.clone(), next: None };
            give(config, "/queue/retry-all", &message, *output)
        }
    }
}

/// Closes a document for good.
pub fn queue_settle(config: Option<&Path>, arguments: &QueueSettleArgs) -> Exit {
    let QueueSettleArgs { id, settled_as, reason, output } = arguments;
    let settlement = match settled_as {
        SettledAs::Accepted => Settlement::Accepted,
        SettledAs::Elsewhere => Settlement::Elsewhere,
        SettledAs::NotAccepted => Settlement::NotAccepted,
    };
    about(config, "settle", id, (Some(reason.clone()), Some(settlement.word().to_owned())), *output)
}

/// Looks at the document and gives the order about it as it was seen.
fn about(
    config: Option<&Path>,
    word: &str,
    id: &str,
    (reason, settled_as): (Option<String>, Option<String>),
    output: Output,
) -> Exit {
    let row: QueueRow = match ask(config, Method::GET, &format!("/queue/{}", segment(id)), None) {
        Ok((StatusCode::OK, answer)) if answer.get("item").is_some() => {
            eprintln!(
                "etims-gateway: this is an item: it can be retried, or posted again; there is no other order about it"
            );
            return Exit::Problem;
        }
        Ok((StatusCode::OK, answer)) => match serde_json::from_value(answer) {
            Ok(row) => row,
            Err(error) => return not_understood(&error),
        },
        Ok((status, answer)) => return ended_as(status, &answer),
        Err(exit) => return exit,
    };
    let seen = SeenMessage {
        status: row.status,
        invc_no: row.invc_no,
        attempts: row.attempts,
        unsure_sends: row.unsure_sends,
    };
    let message = OrderMessage { id: row.id, seen, reason, settled_as };
    give(config, &format!("/queue/{word}"), &message, output)
}

/// Gives an order and says what was done.
pub(super) fn give(config: Option<&Path>, path: &str, message: &impl Serialize, output: Output) -> Exit {
    let body = serde_json::to_value(message).expect("texts and numbers are always JSON");
    let answer = match ask(config, Method::POST, path, Some(&body)) {
        Ok((StatusCode::OK, answer)) => answer,
        Ok((status, answer)) => return ended_as(status, &answer),
        Err(exit) => return exit,
    };
    if output.json {
        say(&answer.to_string());
        return Exit::Ok;
    }
    match serde_json::from_value::<DoneMessage>(answer) {
        Ok(DoneMessage { done }) => {
            say(&done);
            Exit::Ok
        }
        Err(error) => not_understood(&error),
    }
}
