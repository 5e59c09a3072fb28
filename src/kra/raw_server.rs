//! A server for tests that does to the byte what it is told, and counts what it saw.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// How long a test waits for what must happen.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);

/// What the server does, one after another on one connection.
#[derive(Clone, Debug)]
pub(super) enum Act {
    /// Closes without reading.
    Close,
    /// Waits for the other side to close.
    Hang,
    /// Reads one request.
    Read,
    /// Writes these bytes.
    Write(Vec<u8>),
    /// Writes this byte until the other side goes away.
    WriteEndlessly(u8),
}

pub(super) fn write(text: impl Into<String>) -> Act {
    Act::Write(text.into().into_bytes())
}

/// A whole answer with a length.
pub(super) fn reply(status: u16, body: &str) -> Act {
    write(format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ))
}

/// What the server has seen so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) connections: usize,
    pub(super) closed: usize,
    /// Whole requests, head and body.
    pub(super) requests: Vec<String>,
}

pub(super) struct RawServer {
    pub(super) address: SocketAddr,
    seen: watch::Receiver<Seen>,
}

impl RawServer {
    /// Serves one connection after another by the next of these scripts; after the last it closes what comes.
    pub(super) async fn start(scripts: Vec<Vec<Act>>) -> Self {
        Self::start_with(scripts, None).await
    }

    pub(super) async fn start_with(scripts: Vec<Vec<Act>>, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, seen) = watch::channel(Seen::default());
        let tell = Arc::new(tell);
        let scripts = Arc::new(Mutex::new(VecDeque::from(scripts)));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let script = scripts.lock().unwrap().pop_front().unwrap_or_else(|| vec![Act::Close]);
                tell.send_modify(|seen| seen.connections += 1);
                tokio::spawn(serve(stream, tls.clone(), script, Arc::clone(&tell)));
            }
        });
        Self { address, seen }
    }

    pub(super) fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// Waits until what was seen is so.
    pub(super) async fn until(&self, so: impl FnMut(&Seen) -> bool) {
        timeout(DEADLINE, self.seen.clone().wait_for(so)).await.expect("it must happen").unwrap();
    }
}

async fn serve(
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    script: Vec<Act>,
    tell: Arc<watch::Sender<Seen>>,
) {
    match tls {
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                perform(stream, script, &tell).await;
            }
        }
        None => perform(stream, script, &tell).await,
    }
    tell.send_modify(|seen| seen.closed += 1);
}

async fn perform<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    script: Vec<Act>,
    tell: &watch::Sender<Seen>,
) {
    for act in script {
        match act {
            Act::Close => break,
            Act::Hang => {
                let mut rest = Vec::new();
                let _ = stream.read_to_end(&mut rest).await;
            }
            Act::Read => match read_request(&mut stream).await {
                Some(request) => tell.send_modify(|seen| seen.requests.push(request)),
                None => break,
            },
            Act::Write(bytes) => {
                if stream.write_all(&bytes).await.is_err() {
                    break;
                }
                let _ = stream.flush().await;
            }
            Act::WriteEndlessly(byte) => while stream.write_all(&[byte; 64 * 1024]).await.is_ok() {},
        }
    }
    let _ = stream.shutdown().await;
}

async fn read_request<S: AsyncRead + Unpin>(stream: &mut S) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    Some(head + &String::from_utf8(body).unwrap())
}
