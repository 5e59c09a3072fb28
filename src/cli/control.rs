//! The commands' way to the daemon: a small client of its admin socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;

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
        source: std::io::Error,
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
    let stream = UnixStream::connect(socket).await.map_err(|source| match source.kind() {
        std::io::ErrorKind::PermissionDenied => ControlError::NotPermitted(socket.to_owned()),
        _ => ControlError::NotRunning { path: socket.to_owned(), source },
    })?;
    let exchange = async {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let bytes = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("content-type", "application/json")
            .body(Full::new(bytes))
            .expect("the path is ours");
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let collected = Limited::new(answer.into_body(), LONGEST_ANSWER).collect().await;
        connection.abort();
        Ok::<_, hyper::Error>((status, collected.map(http_body_util::Collected::to_bytes)))
    };
    let broken = |why: String| ControlError::Broken(why);
    let (status, bytes) = tokio::time::timeout(PATIENCE, exchange)
        .await
        .map_err(|_| broken("it took too long".to_owned()))?
        .map_err(|error| broken(error.to_string()))?;
    Ok((status, bytes.map_err(|error| broken(error.to_string()))?))
}
