//! The commands' way to the daemon: a small client of its admin socket.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Answers are pages of a list at most.
const LONGEST_ANSWER: usize = 16 << 20;
/// A registration may take KRA's whole patience, a verification that of the disk.
const PATIENCE: Duration = Duration::from_secs(600);

/// The daemon did not answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ControlError {
    /// Nobody listens there.
    #[error(
        "the daemon cannot be reached at {path}: {source}; is it running? (systemctl status etims-gateway)"
    )]
    NotRunning {
        /// The admin socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// This user may not ask.
    #[error("not permitted to ask the daemon at {0}: use sudo")]
    NotPermitted(PathBuf),
    /// It began to answer and did not end.
    #[error("the daemon's answer did not come through: {0}")]
    Broken(String),
}

/// Asks the daemon: the HTTP status and the JSON of the answer.
///
/// # Errors
/// The daemon did not answer.
pub(super) async fn ask(
    socket: &Path,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<(StatusCode, Value), ControlError> {
    let (status, bytes) = fetch(socket, method, path, body).await?;
    let value = serde_json::from_slice(&bytes).map_err(|error| ControlError::Broken(error.to_string()))?;
    Ok((status, value))
}

/// Asks the daemon: the HTTP status and the answer as it was written.
///
/// # Errors
/// The daemon did not answer.
pub(super) async fn fetch(
    socket: &Path,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Result<(StatusCode, Bytes), ControlError> {
    let stream = connect(socket).await?;
    let exchange = async {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let answer = sender.send_request(request(method, path, body)).await?;
        let status = answer.status();
        let collected = Limited::new(answer.into_body(), LONGEST_ANSWER).collect().await;
        connection.abort();
        Ok::<_, hyper::Error>((status, collected.map(http_body_util::Collected::to_bytes)))
    };
    let broken = |why: String| ControlError::Broken(why);
    let (status, bytes) = timeout(PATIENCE, exchange)
        .await
        .map_err(|_| broken("it took too long".to_owned()))?
        .map_err(|error| broken(error.to_string()))?;
    Ok((status, bytes.map_err(|error| broken(error.to_string()))?))
}

/// What came of an answer in pieces.
pub(super) enum Streamed {
    /// All of it was taken.
    Whole,
    /// The daemon said no: its answer.
    Refused(Value),
    /// `take` did not take a piece.
    NotTaken(io::Error),
}

/// Asks the daemon for something long, and gives its pieces to `take` as they come.
///
/// # Errors
/// The daemon did not answer, or not to the end.
pub(super) async fn stream(
    socket: &Path,
    method: Method,
    path: &str,
    take: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<Streamed, ControlError> {
    let broken = |error: hyper::Error| ControlError::Broken(error.to_string());
    let late = |_| ControlError::Broken("it took too long".to_owned());
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(connect(socket).await?)).await.map_err(broken)?;
    let _connection = AbortOnDrop(tokio::spawn(connection));
    let answer = timeout(PATIENCE, sender.send_request(request(method, path, None))).await.map_err(late)?;
    let (head, mut body) = answer.map_err(broken)?.into_parts();
    if head.status != StatusCode::OK {
        let bytes = Limited::new(body, LONGEST_ANSWER).collect().await;
        let bytes = bytes.map_err(|error| ControlError::Broken(error.to_string()))?.to_bytes();
        let answer =
            serde_json::from_slice(&bytes).map_err(|error| ControlError::Broken(error.to_string()))?;
        return Ok(Streamed::Refused(answer));
    }
    while let Some(frame) = timeout(PATIENCE, body.frame()).await.map_err(late)? {
        let Ok(piece) = frame.map_err(broken)?.into_data() else { continue };
        if let Err(error) = take(&piece) {
            return Ok(Streamed::NotTaken(error));
        }
    }
    Ok(Streamed::Whole)
}

/// Ends the connection's task with whoever waits for its answer.
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn connect(socket: &Path) -> Result<UnixStream, ControlError> {
    UnixStream::connect(socket).await.map_err(|source| match source.kind() {
        io::ErrorKind::PermissionDenied => ControlError::NotPermitted(socket.to_owned()),
        _ => ControlError::NotRunning { path: socket.to_owned(), source },
    })
}

fn request(method: Method, path: &str, body: Option<&Value>) -> Request<Full<Bytes>> {
    let bytes = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost")
        .header("content-type", "application/json")
        .body(Full::new(bytes))
        .expect("the path is ours")
}
