//! The body of an answer: whole, in pieces with pauses, or cut off half-way.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE};
use hyper::{Response, StatusCode};
use thiserror::Error;
use tokio::time::Sleep;

/// The connection is to be closed here and now, without an answer or with half of one.
#[derive(Debug, Error)]
#[error("connection dropped on purpose")]
pub(super) struct Dropped;

/// An answer's body.
#[derive(Debug)]
pub(super) struct Reply {
    pieces: VecDeque<Bytes>,
    pause: Duration,
    waiting: Option<Pin<Box<Sleep>>>,
    cut: bool,
}

impl Reply {
    /// The whole text at once.
    pub(super) fn whole(status: StatusCode, content_type: &'static str, text: String) -> Response<Reply> {
        let pieces = if text.is_empty() { VecDeque::new() } else { VecDeque::from([Bytes::from(text)]) };
        respond(status, content_type, Reply { pieces, pause: Duration::ZERO, waiting: None, cut: false })
    }

    /// The text in eight pieces.
    pub(super) fn trickle(content_type: &'static str, text: String, pause: Duration) -> Response<Reply> {
        let text = Bytes::from(text);
        let size = text.len().div_ceil(8).max(1);
        let cuts = (0..text.len()).step_by(size);
        let pieces = cuts.map(|from| text.slice(from..text.len().min(from + size))).collect();
        respond(StatusCode::OK, content_type, Reply { pieces, pause, waiting: None, cut: false })
    }

    /// Half the text under the whole text's Content-Length, then the end of the connection.
    pub(super) fn half(content_type: &'static str, text: String) -> Response<Reply> {
        let length = text.len();
        let half = Bytes::from(text).slice(..length / 2);
        // The pause lets the half leave before the connection does.
        let pause = Duration::from_millis(20);
        let reply = Reply { pieces: VecDeque::from([half]), pause, waiting: None, cut: true };
        let mut response = respond(StatusCode::OK, content_type, reply);
        response.headers_mut().insert(CONTENT_LENGTH, length.into());
        response
    }
}

fn respond(status: StatusCode, content_type: &'static str, reply: Reply) -> Response<Reply> {
    let mut response = Response::new(reply);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(content_type));
    response
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Dropped;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Dropped>>> {
        if let Some(sleep) = &mut self.waiting {
            ready!(sleep.as_mut().poll(context));
            self.waiting = None;
        }
        match self.pieces.pop_front() {
            Some(piece) => {
                if !self.pause.is_zero() {
                    self.waiting = Some(Box::pin(tokio::time::sleep(self.pause)));
                }
                Poll::Ready(Some(Ok(Frame::data(piece))))
            }
            None if self.cut => Poll::Ready(Some(Err(Dropped))),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty() && !self.cut
    }

    fn size_hint(&self) -> SizeHint {
        if self.cut {
            return SizeHint::new();
        }
        SizeHint::with_exact(
            self.pieces.iter().map(|piece| u64::try_from(piece.len()).unwrap_or(u64::MAX)).sum(),
        )
    }
}
