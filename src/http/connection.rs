//! One connection: each request is judged, read whole and handled in a task of its own.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::body::{Body as HyperBody, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{CONNECTION, EXPECT, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};
use tracing::debug;

use super::answer::{Answer, Body};
use super::body::{BodyFault, Received, discard, receive};
use super::guard::{Decision, Guard};
use super::limits::Limits;
use super::paced::{InHand, Pace, Paced};
use super::request::{Peer, Request, query, segments};

/// What all connections of a listener share.
pub(super) struct Shared<H> {
    pub(super) limits: Limits,
    pub(super) guard: Guard,
    pub(super) handler: H,
    pub(super) shutdown: watch::Receiver<bool>,
    /// Held by each connection and each handler that has not ended; nothing is sent.
    pub(super) alive: mpsc::Sender<Infallible>,
}

/// Serves one connection to its end. `local` is our address of a TCP connection.
pub(super) async fn serve_connection<S, H, F>(
    stream: S,
    peer: Peer,
    local: Option<SocketAddr>,
    shared: Arc<Shared<H>>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
    H: Fn(Request) -> F + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let pace = Pace::new(&shared.limits);
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let (shared, in_hand) = (Arc::clone(&shared), pace.busy());
        async move {
            let (answer, cors) = answer(request, peer, local, &shared).await;
            shared.limits.counters.answered(answer.status.as_u16());
            Ok::<_, Infallible>(response(answer, cors, in_hand, shared.shutdown.clone()))
        }
    });
    let stream = TokioIo::new(Paced::new(stream, pace.clone()));
    let connection = http1::Builder::new()
        .max_buf_size(shared.limits.max_head.max(8192))
        .header_read_timeout(None)
        // A client may close its sending half and still wait for the answer.
        .half_close(true)
        .serve_connection(stream, service);
    let mut connection = pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = told_to_stop(shared.shutdown.clone()) => {
            pace.hurry();
            // hyper would close at once where nothing was said yet: the first request may be on its way.
            tokio::select! {
                result = connection.as_mut() => result,
                () = pace.spoken() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            }
        }
    };
    if let Err(error) = result {
        debug!(?peer, error = &error as &dyn std::error::Error, "connection ended early");
    }
}

/// The answer to one request, and the headers that go with it for a web page.
async fn answer<H, F>(
    request: hyper::Request<Incoming>,
    peer: Peer,
    local: Option<SocketAddr>,
    shared: &Arc<Shared<H>>,
) -> (Answer, HeaderMap)
where
    H: Fn(Request) -> F + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let (head, mut body) = request.into_parts();
    let (refused, cors) = match shared.guard.decide(&head, local) {
        Decision::Answer(answer, cors) => (Some(answer), cors),
        Decision::Pass(cors) => (None, cors),
    };
    let decoded =
        segments(head.uri.path()).and_then(|path| Ok((path, query(head.uri.query().unwrap_or(""))?)));
    let outcome = match (refused, decoded) {
        (Some(answer), _) => Err(answer),
        (None, Err(bad)) => Err(Answer::refusal(StatusCode::BAD_REQUEST, "bad_request", &bad.to_string())),
        (None, Ok(decoded)) => {
            let most = (shared.limits.max_body_of)(head.uri.path()).unwrap_or(shared.limits.max_body);
            match receive(&mut body, most, &shared.limits).await {
                Ok(received) => Ok((decoded, received)),
                // Nothing more is read of a client that is slow already.
                Err(fault @ (BodyFault::Slow | BodyFault::Broken(_))) => {
                    return (closing(fault.answer()), cors);
                }
                Err(fault) => Err(fault.answer()),
            }
        }
    };
    match outcome {
        Ok(((segments, query), Received { bytes, share })) => {
            let path = head.uri.path().to_owned();
            let request = Request {
                method: head.method,
                path,
                segments,
                query,
                headers: head.headers,
                body: bytes,
                peer,
            };
            (handle(request, share, shared).await, cors)
        }
        Err(answer) => {
            // A client that waits for our word before it sends a body needs no more than the answer.
            let waits = head.headers.contains_key(EXPECT);
            if !body.is_end_stream() && !waits {
                discard(&mut body).await;
            }
            let unread = !body.is_end_stream();
            (if unread { closing(answer) } else { answer }, cors)
        }
    }
}

/// Waits for the word to stop; a sender that is gone counts as one.
pub(super) async fn told_to_stop(mut shutdown: watch::Receiver<bool>) {
    let _stopped_or_gone = shutdown.wait_for(|stop| *stop).await;
}

fn closing(answer: Answer) -> Answer {
    answer.with(CONNECTION, HeaderValue::from_static("close"))
}

/// Runs the handler in a task of its own: a client that hangs up drops this future, not that task.
async fn handle<H, F>(
    request: Request,
    share: Option<super::limits::BodyShare>,
    shared: &Arc<Shared<H>>,
) -> Answer
where
    H: Fn(Request) -> F + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let shared = Arc::clone(shared);
    let task = tokio::spawn(async move {
        let _alive = shared.alive.clone();
        let answer = (shared.handler)(request).await;
        drop(share);
        answer
    });
    task.await.unwrap_or_else(|error| {
        debug!(error = &error as &dyn std::error::Error, "handler did not end");
        Answer::refusal(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the request could not be finished; repeat it",
        )
    })
}

fn response(
    answer: Answer,
    cors: HeaderMap,
    in_hand: InHand,
    shutdown: watch::Receiver<bool>,
) -> hyper::Response<Outgoing> {
    let pieces = match answer.body {
        Body::Full(bytes) => Pieces::Full(Some(bytes).filter(|bytes| !bytes.is_empty())),
        Body::Stream(pieces) => {
            let stop = Box::pin(told_to_stop(shutdown));
            Pieces::Stream { pieces, stop }
        }
    };
    let mut response = hyper::Response::new(Outgoing { pieces, _in_hand: in_hand });
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    response.headers_mut().extend(cors);
    response
}

/// A body on its way out; the request is in hand until it is gone.
struct Outgoing {
    pieces: Pieces,
    _in_hand: InHand,
}

enum Pieces {
    Full(Option<Bytes>),
    Stream { pieces: mpsc::Receiver<Bytes>, stop: Pin<Box<dyn Future<Output = ()> + Send>> },
}

impl HyperBody for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.get_mut().pieces {
            Pieces::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Pieces::Stream { pieces, stop } => match pieces.poll_recv(cx) {
                Poll::Ready(piece) => Poll::Ready(piece.map(|bytes| Ok(Frame::data(bytes)))),
                Poll::Pending => stop.as_mut().poll(cx).map(|()| None),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.pieces, Pieces::Full(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.pieces {
            Pieces::Full(bytes) => {
                let length = bytes.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
            }
            Pieces::Stream { .. } => SizeHint::default(),
        }
    }
}
