//! A stream that gives up on a client that is too slow, and the clock it goes by.
//!
//! hyper alone cannot tell a connection that rests between two requests from one that trickles its headers, and waits
//! for ever for a client that takes no answer.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep};

use super::limits::Limits;

/// What a connection is doing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    /// Reading the head of a request; it must be there by then.
    Head(Instant),
    /// Between two requests; the next must begin by then.
    Idle(Instant),
    /// A request is in hand; its body has its own clock.
    Busy,
}

/// The clock of one connection, shared by its stream and its requests.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    phase: Arc<Mutex<Phase>>,
    /// The client has said something.
    spoke: watch::Sender<bool>,
    header: Duration,
    idle: Duration,
    stall: Duration,
}

impl Pace {
    /// Starts as if the first byte of a request had come: a new connection is there to ask something.
    pub(super) fn new(limits: &Limits) -> Pace {
        let phase = Arc::new(Mutex::new(Phase::Head(Instant::now() + limits.header_timeout)));
        Pace {
            phase,
            spoke: watch::Sender::new(false),
            header: limits.header_timeout,
            idle: limits.idle_timeout,
            stall: limits.body_timeout,
        }
    }

    /// The head of a request is there; it is in hand until the guard is dropped with the end of its answer.
    pub(super) fn busy(&self) -> InHand {
        self.set(Phase::Busy);
        InHand(self.clone())
    }

    /// The server stops: a request that is half said has one more second.
    pub(super) fn hurry(&self) {
        if let Phase::Head(deadline) = self.get() {
            self.set(Phase::Head(deadline.min(Instant::now() + Duration::from_secs(1))));
        }
    }

    /// Resolves once the client has said something.
    pub(super) async fn spoken(&self) {
        let mut spoke = self.spoke.subscribe();
        let _ = spoke.wait_for(|spoke| *spoke).await;
    }

    fn first_byte(&self, now: Instant) {
        self.spoke.send_if_modified(|spoke| !std::mem::replace(spoke, true));
        if let Phase::Idle(_) = self.get() {
            self.set(Phase::Head(now + self.header));
        }
    }

    fn read_deadline(&self) -> Option<Instant> {
        match self.get() {
            Phase::Head(deadline) | Phase::Idle(deadline) => Some(deadline),
            Phase::Busy => None,
        }
    }

    fn get(&self) -> Phase {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, phase: Phase) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = phase;
    }
}

/// A request in hand.
#[derive(Debug)]
pub(super) struct InHand(Pace);

impl Drop for InHand {
    fn drop(&mut self) {
        self.0.set(Phase::Idle(Instant::now() + self.0.idle));
    }
}

/// A stream under a [`Pace`].
///
/// It also puts words to the answers that hyper writes by itself when it cannot read a request (400, 414, 431), which
/// have no body.
pub(super) struct Paced<S> {
    stream: S,
    pace: Pace,
    read_timer: Pin<Box<Sleep>>,
    write_timer: Option<Pin<Box<Sleep>>>,
    instead: Vec<u8>,
}

impl<S> Paced<S> {
    pub(super) fn new(stream: S, pace: Pace) -> Paced<S> {
        let read_timer = Box::pin(tokio::time::sleep(Duration::ZERO));
        Paced { stream, pace, read_timer, write_timer: None, instead: Vec::new() }
    }

    /// A write that made no progress: is it time to give up?
    fn stalled(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let stall = self.pace.stall;
        let timer = self.write_timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(stall)));
        timer.as_mut().poll(cx).map(|()| too_slow("the client takes no answer"))
    }
}

fn too_slow(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let now = Instant::now();
        let deadline = this.pace.read_deadline();
        if deadline.is_some_and(|deadline| deadline <= now) {
            return Poll::Ready(Err(too_slow("no request in time")));
        }
        let before = buf.filled().len();
        if let Poll::Ready(result) = Pin::new(&mut this.stream).poll_read(cx, buf) {
            if buf.filled().len() > before {
                this.pace.first_byte(now);
            }
            return Poll::Ready(result);
        }
        let Some(deadline) = deadline else { return Poll::Pending };
        if this.read_timer.deadline() != deadline {
            this.read_timer.as_mut().reset(deadline);
        }
        this.read_timer.as_mut().poll(cx).map(|()| Err(too_slow("no request in time")))
    }
}

impl<S: AsyncWrite + Unpin> Paced<S> {
    /// Sends what stands in for hyper's own answer.
    fn poll_instead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.instead.is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, &self.instead) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => {
                    self.instead.drain(..written);
                    self.write_timer = None;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return self.stalled(cx).map(Err),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_instead(cx))?;
        if let Some(worded) = worded(buf) {
            this.instead = worded;
            return Poll::Ready(Ok(buf.len()));
        }
        match Pin::new(&mut this.stream).poll_write(cx, buf) {
            Poll::Ready(result) => {
                this.write_timer = None;
                Poll::Ready(result)
            }
            Poll::Pending => this.stalled(cx).map(Err),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_instead(cx))?;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_instead(cx))?;
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}

/// Our words for an answer that hyper wrote by itself; none for any other bytes. Ours always have a body when they
/// are refusals, so an empty one is hyper's.
fn worded(written: &[u8]) -> Option<Vec<u8>> {
    let head = written.strip_suffix(b"\r\n\r\n")?;
    let lower = std::str::from_utf8(head).ok()?.to_ascii_lowercase();
    let (line, headers) = lower.split_once("\r\n")?;
    if lower.contains("\r\n\r\n") || !headers.split("\r\n").any(|header| header == "content-length: 0") {
        return None;
    }
    let status = line.strip_prefix("http/1.1 ").or_else(|| line.strip_prefix("http/1.0 "))?.get(..3)?;
    let (reason, body) = match status {
        "400" => (
            "Bad Request",
            r#"{"error":"bad_request","message":"the request is not HTTP/1.1 as we can read it"}"#,
        ),
        "414" => (
            "URI Too Long",
            r#"{"error":"head_too_large","message":"the address of the request is too long"}"#,
        ),
        "431" => (
            "Request Header Fields Too Large",
            r#"{"error":"head_too_large","message":"the headers of the request are too large"}"#,
        ),
        _ => return None,
    };
    Some(closing(&format!("{status} {reason}"), "", body))
}

/// A whole JSON answer that ends the connection, as bytes; `more` are further header lines, each with its line end.
pub(super) fn closing(status: &str, more: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let fixed = "content-type: application/json\r\nconnection: close";
    format!("HTTP/1.1 {status}\r\n{fixed}\r\n{more}content-length: {length}\r\n\r\n{body}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::worded;

    #[test]
    fn only_empty_refusals_get_words() {
        let check = |written: &str, expected: Option<&str>| {
            let found = worded(written.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap());
            match expected {
                None => assert_eq!(found, None, "{written}"),
                Some(part) => assert!(
                    found.as_ref().is_some_and(|f| f.starts_with("HTTP/1.1 ") && f.contains(part)),
                    "{found:?}"
                ),
            }
        };
        let end = "connection: close\r\ncontent-length: 0\r\ndate: x\r\n\r\n";
        check(&format!("HTTP/1.1 400 Bad Request\r\n{end}"), Some("bad_request"));
        check(&format!("HTTP/1.1 431 Request Header Fields Too Large\r\n{end}"), Some("431 Request"));
        check(&format!("HTTP/1.1 414 URI Too Long\r\n{end}"), Some("too long"));
        check(&format!("HTTP/1.1 204 No Content\r\n{end}"), None);
        check("HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\n{}", None);
        check("HTTP/1.1 400 Bad Request\r\ncontent-length: 20\r\n\r\n", None);
        check("\r\n\r\n", None);
    }
}
