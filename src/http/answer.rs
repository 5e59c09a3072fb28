//! What a handler gives back.

use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use serde::Serialize;
use tokio::sync::mpsc;

/// An HTTP answer.
#[derive(Debug)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Headers; length and date are added when it is sent.
    pub headers: HeaderMap,
    /// Body.
    pub body: Body,
}

/// The body of an answer.
#[derive(Debug)]
pub enum Body {
    /// All of it.
    Full(Bytes),
    /// Pieces as they come, until the sender is dropped or the server stops; each piece is sent at once.
    Stream(mpsc::Receiver<Bytes>),
}

impl Answer {
    /// A JSON answer.
    ///
    /// A value that cannot be written as JSON (a map with keys that are no text) becomes a 500.
    pub fn json(status: StatusCode, value: &impl Serialize) -> Answer {
        match serde_json::to_vec(value) {
            Ok(bytes) => Answer::bytes(status, HeaderValue::from_static("application/json"), bytes),
            Err(error) => Answer::refusal(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                &format!("the answer cannot be written as JSON: {error}"),
            ),
        }
    }

    /// Plain text, UTF-8.
    pub fn text(status: StatusCode, text: impl Into<Bytes>) -> Answer {
        Answer::bytes(status, HeaderValue::from_static("text/plain; charset=utf-8"), text)
    }

    /// A whole body of any content type.
    pub fn bytes(status: StatusCode, content_type: HeaderValue, body: impl Into<Bytes>) -> Answer {
        let answer = Answer { status, headers: HeaderMap::new(), body: Body::Full(body.into()) };
        answer.with(CONTENT_TYPE, content_type)
    }

    /// A body in pieces, such as server-sent events. The channel's size bounds what waits for a slow client.
    pub fn stream(status: StatusCode, content_type: HeaderValue, pieces: mpsc::Receiver<Bytes>) -> Answer {
        let answer = Answer { status, headers: HeaderMap::new(), body: Body::Stream(pieces) };
        answer.with(CONTENT_TYPE, content_type)
    }

    /// `{"error": code, "message": message}`: the form of every refusal.
    pub fn refusal(status: StatusCode, code: &str, message: &str) -> Answer {
        #[derive(Serialize)]
        struct Refusal<'a> {
            error: &'a str,
            message: &'a str,
        }
        Answer::json(status, &Refusal { error: code, message })
    }

    /// The same with one more header; an earlier one of that name is replaced.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Answer {
        self.headers.insert(name, value);
        self
    }

    /// The same with `Retry-After`, in whole seconds.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Answer {
        self.with(RETRY_AFTER, HeaderValue::from(seconds))
    }
}
