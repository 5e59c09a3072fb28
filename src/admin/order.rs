//! Who orders something, why, and how that is answered.

use hyper::StatusCode;

use crate::gateway::ports::Acted;
use crate::http::{Answer, Peer, Request};

/// The longest reason, bytes.
const REASON_MAX: usize = 1000;

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
