//! Whoever wants to be told, at one address.

use std::fmt;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::tls;
use crate::gateway::ports::{Delivery, Posted, Receiver};

/// How long a connection may take, TLS included.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an answer may take once the connection stands.
const ANSWER: Duration = Duration::from_secs(20);
/// What of an answer's body is read, and for how long, so that the other side sees its answer taken: bytes.
const BODY: (usize, Duration) = (64 << 10, Duration::from_secs(2));
/// The longest head of an answer, bytes.
const HEAD: usize = 16 << 10;

/// Where events are POSTed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// With TLS.
    pub https: bool,
    /// Name or IP address, an IPv6 address without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The path as it was written, at least a slash.
    pub path: String,
}

impl fmt::Display for Address {
    /// Without the path: it may hold a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.https { "https" } else { "http" }, self.authority())
    }
}

impl Address {
    fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == if self.https { 443 } else { 80 } { host } else { format!("{host}:{}", self.port) }
    }
}

/// Posts to one address.
#[derive(Clone, Debug)]
pub struct WebReceiver {
    address: Address,
}

impl WebReceiver {
    /// For this address.
    pub const fn new(address: Address) -> Self {
        Self { address }
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, String> {
        let Address { https, host, port, .. } = &self.address;
        let stream = TcpStream::connect((host.as_str(), *port)).await;
        let stream = stream.map_err(|error| format!("{}: {error}", self.address))?;
        if *https { Ok(Box::new(tls::handshake(host, stream).await?)) } else { Ok(Box::new(stream)) }
    }

    async fn exchange(&self, stream: Box<dyn Stream>, delivery: Delivery) -> Result<Posted, String> {
        let failed = |error: hyper::Error| format!("{}: {error}", self.address);
        let request = Request::post(&self.address.path)
            .header(HOST, self.address.authority())
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("etims-gateway/", env!("CARGO_PKG_VERSION")))
            .header(CONNECTION, "close")
            .header("idempotency-key", delivery.key)
            .header("etims-event-id", delivery.id)
            .body(Full::new(Bytes::from(delivery.body)))
            .map_err(|error| format!("{}: {error}", self.address))?;
        let (mut sender, connection) =
            http1::Builder::new().max_buf_size(HEAD).handshake(TokioIo::new(stream)).await.map_err(failed)?;
        let work = async {
            let (head, body) = sender.send_request(request).await.map_err(failed)?.into_parts();
            let (bytes, time) = BODY;
            // Only the status counts; a body that does not end is nobody's matter.
            let _ = timeout(time, Limited::new(body, bytes).collect()).await;
            let retry_after = head.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            let seconds = retry_after.and_then(|text| text.trim().parse().ok());
            Ok(Posted::Answered(head.status.as_u16(), seconds.map(Duration::from_secs)))
        };
        tokio::pin!(work, connection);
        tokio::select! {
            posted = &mut work => posted,
            // It may have ended just behind the answer.
            _ = &mut connection => work.await,
        }
    }
}

impl Receiver for WebReceiver {
    async fn post(&self, delivery: Delivery) -> Posted {
        let too_slow = |what: &str| Posted::Failed(format!("{} {what}", self.address));
        let stream = match timeout(CONNECT, self.connect()).await {
            Err(_) => return too_slow("does not answer"),
            Ok(Err(why)) => return Posted::Failed(why),
            Ok(Ok(stream)) => stream,
        };
        match timeout(ANSWER, self.exchange(stream, delivery)).await {
            Err(_) => too_slow("took the event and does not answer"),
            Ok(Err(why)) => Posted::Failed(why),
            Ok(Ok(posted)) => posted,
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Somebody in between, with a certificate of his own making, learns nothing.
    #[tokio::test]
    async fn a_certificate_that_nobody_vouches_for_is_told_nothing() {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let between = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config)).accept(stream).await.is_ok()
        });
        let address = Address { https: true, host: "localhost".into(), port, path: "/".into() };
        let delivery = Delivery { id: 7, key: "k-7".into(), body: "{}".into() };
        let posted = WebReceiver::new(address).post(delivery).await;
        assert!(matches!(&posted, Posted::Failed(why) if why.contains("localhost")), "{posted:?}");
        assert!(!between.await.unwrap(), "the handshake must not come about");
    }

    #[test]
    fn an_address_is_shown_without_its_path() {
        let address =
            |https, host: &str, port| Address { https, host: host.into(), port, path: "/t0ken".into() };
        assert_eq!(address(true, "hooks.example", 443).to_string(), "https://hooks.example");
        assert_eq!(address(false, "192.168.1.9", 8080).to_string(), "http://192.168.1.9:8080");
        assert_eq!(address(false, "fd00::1", 80).to_string(), "http://[fd00::1]");
    }
}
