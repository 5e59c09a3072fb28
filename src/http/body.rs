//! Reads a body within its limits of size, time and memory.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::{Body as _, Bytes, Incoming};
use tokio::time::{Instant, timeout_at};

use super::answer::Answer;
use super::limits::{BodyShare, Limits};

/// What a refused body may still send before the connection is closed over it, so that clients which read nothing
/// until all is sent see the answer: bytes, and time.
const LINGER: (usize, Duration) = (16 << 20, Duration::from_secs(5));

/// A whole body and its share of the budget.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) bytes: Bytes,
    pub(super) share: Option<BodyShare>,
}

/// Why there is no body.
#[derive(Debug)]
pub(super) enum BodyFault {
    /// It broke off or was malformed.
    Broken(hyper::Error),
    /// The budget of all bodies is used up.
    Busy,
    /// It came too slowly.
    Slow,
    /// It is larger than this many bytes.
    TooLarge(usize),
}

impl BodyFault {
    pub(super) fn answer(&self) -> Answer {
        match self {
            BodyFault::Broken(error) => Answer::refusal(
                StatusCode::BAD_REQUEST,
                "bad_request",
                &format!("the body cannot be read: {error}"),
            ),
            BodyFault::Busy => Answer::refusal(
                StatusCode::SERVICE_UNAVAILABLE,
                "busy",
                "too many large requests at one time; repeat this one",
            )
            .retry_after(1),
            BodyFault::Slow => Answer::refusal(
                StatusCode::REQUEST_TIMEOUT,
                "too_slow",
                "the body did not arrive in time; repeat the request",
            ),
            BodyFault::TooLarge(most) => Answer::refusal(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                &format!("the body is larger than {most} bytes; send less at a time or raise http.max_body"),
            ),
        }
    }
}

/// Reads all of `body`, at most `most` bytes.
pub(super) async fn receive(
    body: &mut Incoming,
    most: usize,
    limits: &Limits,
) -> Result<Received, BodyFault> {
    if body.size_hint().lower() > u64::try_from(most).unwrap_or(u64::MAX) {
        return Err(BodyFault::TooLarge(most));
    }
    let start = Instant::now();
    let mut whole: Vec<u8> = Vec::new();
    let mut share: Option<BodyShare> = None;
    loop {
        let earned = u32::try_from(whole.len()).unwrap_or(u32::MAX) / Limits::SLOWEST_BODY;
        let deadline = start + limits.body_timeout + Duration::from_secs(u64::from(earned));
        let frame = match timeout_at(deadline, body.frame()).await {
            Err(_) => return Err(BodyFault::Slow),
            Ok(None) => return Ok(Received { bytes: whole.into(), share }),
            Ok(Some(Err(error))) => return Err(BodyFault::Broken(error)),
            Ok(Some(Ok(frame))) => frame,
        };
        // Trailers mean nothing here.
        let Ok(piece) = frame.into_data() else { continue };
        if piece.len() > most - whole.len() {
            return Err(BodyFault::TooLarge(most));
        }
        let more = limits.all_bodies.take(piece.len()).ok_or(BodyFault::Busy)?;
        match &mut share {
            Some(share) => share.add(more),
            None => share = Some(more),
        }
        whole.extend_from_slice(&piece);
    }
}

/// Reads on and forgets, so that the client gets to reading its answer.
pub(super) async fn discard(body: &mut Incoming) {
    let (most, time) = LINGER;
    let until = Instant::now() + time;
    let mut seen = 0;
    while seen < most {
        match timeout_at(until, body.frame()).await {
            Ok(Some(Ok(frame))) => seen += frame.data_ref().map_or(0, Bytes::len),
            _ => return,
        }
    }
}
