//! One HTTP request with a JSON answer, over TCP or a Unix socket: what a register does.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// Longest answer that is read.
const LONGEST: usize = 8 * 1024 * 1024;

/// Who is asked.
#[derive(Clone, Debug)]
pub(super) enum Peer {
    /// Over TCP.
    Tcp(SocketAddr),
    /// Over a Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "http://{address}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// HTTP status.
    pub(super) status: u16,
    /// The body; a text where it is no JSON.
    pub(super) body: Value,
}

/// Why there is no answer.
#[derive(Debug, Error)]
#[error("{method} {path} at {peer}: {trouble}")]
pub(super) struct CallError {
    method: Method,
    path: String,
    peer: Peer,
    trouble: Trouble,
}

impl CallError {
    /// Nobody listens there.
    pub(super) fn is_refused(&self) -> bool {
        matches!(&self.trouble, Trouble::Connect(error) if error.kind() == std::io::ErrorKind::ConnectionRefused)
    }
}

#[derive(Debug, Error)]
enum Trouble {
    #[error("no connection ({0})")]
    Connect(std::io::Error),
    #[error("no whole answer ({0})")]
    Http(hyper::Error),
    #[error("the answer broke off or is too long ({0})")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    #[error("no answer within {0:?}")]
    Late(Duration),
}

impl Peer {
    /// Asks for what is at a path.
    ///
    /// # Errors
    /// When no whole answer comes within `limit`.
    pub(super) async fn get(&self, path: &str, limit: Duration) -> Result<Answer, CallError> {
        self.call(Method::GET, path, None, limit).await
    }

    /// Posts JSON to a path.
    ///
    /// # Errors
    /// When no whole answer comes within `limit`.
    pub(super) async fn post(&self, path: &str, body: &Value, limit: Duration) -> Result<Answer, CallError> {
        self.call(Method::POST, path, Some(body), limit).await
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        limit: Duration,
    ) -> Result<Answer, CallError> {
        let called = async {
            match self {
                Self::Tcp(address) => {
                    let stream = TcpStream::connect(address).await.map_err(Trouble::Connect)?;
                    exchange(stream, request(&address.to_string(), &method, path, body)).await
                }
                Self::Unix(socket) => {
                    let stream = UnixStream::connect(socket).await.map_err(Trouble::Connect)?;
                    exchange(stream, request("localhost", &method, path, body)).await
                }
            }
        };
        let outcome = match tokio::time::timeout(limit, called).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Trouble::Late(limit)),
        };
        outcome.map_err(|trouble| CallError { method, path: path.to_owned(), peer: self.clone(), trouble })
    }
}

fn request(host: &str, method: &Method, path: &str, body: Option<&Value>) -> Request<Full<Bytes>> {
    let request =
        Request::builder().method(method).uri(path).header("Host", host).header("Connection", "close");
    let built = match body {
        Some(body) => request.header("Content-Type", "application/json").body(Full::from(body.to_string())),
        None => request.body(Full::default()),
    };
    built.expect("the paths and headers here are plain ASCII")
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Answer, Trouble>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(Trouble::Http)?;
    let driver = tokio::spawn(connection);
    let answered = async {
        let response = sender.send_request(request).await.map_err(Trouble::Http)?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), LONGEST).collect().await.map_err(Trouble::Body)?;
        let bytes = body.to_bytes();
        let text = || Value::from(String::from_utf8_lossy(&bytes));
        Ok(Answer { status, body: serde_json::from_slice(&bytes).unwrap_or_else(|_| text()) })
    }
    .await;
    driver.abort();
    answered
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    /// Answers one connection with this text; hands back what was asked.
    async fn answer_once(listener: TcpListener, text: &'static str) -> String {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = [0; 1000];
        let length = stream.read(&mut asked).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        String::from_utf8(asked[..length].to_vec()).unwrap()
    }

    #[tokio::test]
    async fn asks_and_reads_status_and_body() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = Peer::Tcp(listener.local_addr().unwrap());
        let server = tokio::spawn(answer_once(
            listener,
            "HTTP/1.1 202 Accepted\r\nContent-Length: 20\r\n\r\n{\"status\":\"pending\"}",
        ));
        let answer = peer.post("/api/sales/", &serde_json::json!({"trdInvcNo": "1"}), SOON).await.unwrap();
        assert_eq!((answer.status, answer.body["status"].as_str()), (202, Some("pending")));
        let asked = server.await.unwrap();
        assert!(asked.starts_with("POST /api/sales/ HTTP/1.1\r\n"), "{asked}");
        assert!(asked.ends_with("\r\n\r\n{\"trdInvcNo\":\"1\"}"), "{asked}");
    }

    #[tokio::test]
    async fn says_why_there_is_no_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = Peer::Tcp(listener.local_addr().unwrap());
        let server = tokio::spawn(answer_once(listener, "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{"));
        let error = peer.get("/x/", SOON).await.unwrap_err();
        assert!(error.to_string().contains("broke off") && !error.is_refused(), "{error}");
        server.await.unwrap();
        let error = peer.get("/x/", SOON).await.unwrap_err();
        assert!(
            error.is_refused() && error.to_string().starts_with("GET /x/ at http://127.0.0.1:"),
            "{error}"
        );
    }
}
