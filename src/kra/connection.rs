//! One HTTP/1.1 connection, driven by whoever uses it: no task of its own, so dropping it closes it, and between
//! exchanges nothing happens on it.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, DATE, HeaderName, RETRY_AFTER};
use hyper::http::response::Parts;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use crate::wire::tree::MAX_BYTES;

use super::dial::Stream;

/// How long a connection that was just used may take to be ready again.
const SETTLE: Duration = Duration::from_secs(1);
/// The most bytes that an answer's head may have.
const HEAD_BYTES: usize = 64 * 1024;
/// The most fields that an answer's head may have.
const HEAD_FIELDS: usize = 100;

type Driver = http1::Connection<TokioIo<Box<dyn Stream>>, Full<Bytes>>;

/// A connection on which one request at a time is sent.
pub(super) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    /// `None` once the connection has ended.
    driver: Option<Driver>,
}

/// A whole answer.
pub(super) struct Received {
    pub(super) http_status: u16,
    pub(super) content_type: Option<String>,
    pub(super) retry_after: Option<String>,
    pub(super) date: Option<String>,
    pub(super) body: Bytes,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// The request came back unsent: no byte of it was given to the stream.
    NotSent(String),
    /// Anything else.
    InDoubt {
        why: String,
        /// Where the answer's head still came.
        http_status: Option<u16>,
    },
}

impl Connection {
    /// HTTP over this stream. Nothing is sent.
    pub(super) async fn over(stream: Box<dyn Stream>) -> Result<Self, String> {
        let opened = http1::Builder::new()
            .max_buf_size(HEAD_BYTES)
            .max_headers(HEAD_FIELDS)
            .handshake(TokioIo::new(stream))
            .await;
        let (sender, driver) = opened.map_err(|error| error.to_string())?;
        Ok(Self { sender, driver: Some(driver) })
    }

    /// Whether it can take a request, as far as can be told without sending one: the server may have closed it, or
    /// said something unasked.
    pub(super) async fn stands(&mut self) -> bool {
        // Lets the runtime see what the kernel knows before the socket is asked.
        tokio::task::yield_now().await;
        let Self { sender, driver } = self;
        let ready = timeout(SETTLE, drive(driver, sender.ready())).await;
        matches!(ready, Ok(Ok(()))) && driver.is_some() && !sender.is_closed()
    }

    /// Sends one request and reads its whole answer, without a limit of time. Follows nothing, repeats nothing.
    pub(super) async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Received, NoAnswer> {
        let response = self.begin(request).await?;
        self.whole(response).await
    }

    /// Sends one request and reads the head of its answer.
    pub(super) async fn begin(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, NoAnswer> {
        let Self { sender, driver } = self;
        let response = drive(driver, sender.try_send_request(request)).await;
        response.map_err(|mut failed| {
            // hyper hands a request back only while it has not begun to write it.
            let unsent = failed.take_message().is_some();
            let why = chain(failed.error());
            if unsent { NoAnswer::NotSent(why) } else { NoAnswer::InDoubt { why, http_status: None } }
        })
    }

    /// Reads the rest of an answer.
    pub(super) async fn whole(&mut self, response: Response<Incoming>) -> Result<Received, NoAnswer> {
        let (head, body) = response.into_parts();
        let collected = drive(&mut self.driver, Limited::new(body, MAX_BYTES).collect()).await;
        let body = collected.map_err(|error| {
            let why = if error.is::<LengthLimitError>() {
                format!("the answer is longer than {MAX_BYTES} bytes")
            } else {
                format!("the answer broke off: {error}")
            };
            NoAnswer::InDoubt { why, http_status: Some(head.status.as_u16()) }
        })?;
        Ok(Received { body: body.to_bytes(), ..Received::head(&head) })
    }

    /// Reads the next piece of an answer's body; `None`: it was the last.
    pub(super) async fn piece(&mut self, body: &mut Incoming) -> Result<Option<Bytes>, String> {
        loop {
            match drive(&mut self.driver, body.frame()).await {
                None => return Ok(None),
                Some(Err(error)) => return Err(format!("the answer broke off: {error}")),
                // Trailers say nothing to us.
                Some(Ok(frame)) => {
                    if let Ok(piece) = frame.into_data() {
                        return Ok(Some(piece));
                    }
                }
            }
        }
    }
}

impl Received {
    /// An answer's head, its body not read.
    pub(super) fn head(head: &Parts) -> Self {
        let header = |name: HeaderName| {
            head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        Self {
            http_status: head.status.as_u16(),
            content_type: header(CONTENT_TYPE),
            retry_after: header(RETRY_AFTER),
            date: header(DATE),
            body: Bytes::new(),
        }
    }
}

/// Does `work` while keeping the connection going. A connection that ends is dropped at once, which hands back a
/// request that it never took up.
async fn drive<W: Future>(driver: &mut Option<Driver>, work: W) -> W::Output {
    let mut work = pin!(work);
    poll_fn(|cx| {
        if let Some(running) = driver
            && Pin::new(running).poll(cx).is_ready()
        {
            *driver = None;
        }
        match work.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(output),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// An error with what is behind it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        words.push_str(": ");
        words.push_str(&error.to_string());
        source = error.source();
    }
    words
}
