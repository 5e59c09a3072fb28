//! Accepts connections until told to stop, then waits for what is in hand.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::timeout;
use tracing::{debug, warn};

use super::answer::Answer;
use super::connection::{Shared, serve_connection, told_to_stop};
use super::guard::Guard;
use super::limits::Limits;
use super::listen::{Accepted, Listener};
use super::paced;
use super::request::{Peer, Request};

/// Connections beyond the limit that are told so at one time; further ones are closed without a word.
const TURNED_AWAY: usize = 64;

/// Serves `listener` until `shutdown` holds true (or its sender is gone). Then no connection is accepted any more,
/// the listener is closed, idle connections end, requests in hand are finished, streams end; it returns when the last
/// handler has ended. The caller bounds that time.
///
/// `handler` is called for each request that passes the guard and the limits, in a task of its own that goes on when
/// the client hangs up.
pub async fn serve<H, F>(
    listener: Listener,
    limits: Limits,
    guard: Guard,
    handler: H,
    shutdown: watch::Receiver<bool>,
) where
    H: Fn(Request) -> F + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let (alive, mut ended) = mpsc::channel(1);
    let places = Arc::new(Semaphore::new(limits.max_connections));
    let turned_away = Arc::new(Semaphore::new(TURNED_AWAY));
    let shared = Arc::new(Shared { limits, guard, handler, shutdown: shutdown.clone(), alive });
    let mut stop = std::pin::pin!(told_to_stop(shutdown));
    let secured = !listener.is_in_the_clear();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.as_mut() => break,
        };
        let accepted = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                after_failed_accept(&listener, &error).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            debug!(listener = %listener, "connection limit reached");
            shared.limits.counters.answered(503);
            if let Ok(word) = Arc::clone(&turned_away).try_acquire_owned() {
                tokio::spawn(async move {
                    match accepted {
                        // No handshake for somebody who is not served.
                        Accepted::Tcp(..) if secured => {}
                        Accepted::Tcp(stream, ..) => turn_away(stream).await,
                        Accepted::Unix(stream, _) => turn_away(stream).await,
                    }
                    drop(word);
                });
            }
            continue;
        };
        let (shared, tls) = (Arc::clone(&shared), listener.tls.clone());
        tokio::spawn(async move {
            let _alive = shared.alive.clone();
            match (accepted, tls) {
                (Accepted::Tcp(stream, peer, local), Some(tls)) => {
                    match tls.accept(stream, shared.limits.header_timeout).await {
                        Ok(stream) => serve_connection(stream, Peer::Tcp(peer), Some(local), shared).await,
                        Err(error) => {
                            debug!(%peer, error = &error as &dyn std::error::Error, "no TLS with a client");
                        }
                    }
                }
                (Accepted::Tcp(stream, peer, local), None) => {
                    serve_connection(stream, Peer::Tcp(peer), Some(local), shared).await
                }
                (Accepted::Unix(stream, peer), _) => serve_connection(stream, peer, None, shared).await,
            }
            drop(place);
        });
    }
    drop(listener);
    drop(shared);
    // Ends when the last sender is gone: no connection and no handler is left.
    let _none = ended.recv().await;
}

/// Says 503 and closes. What the client sent is read and forgotten for a moment: closing over it would reset the
/// connection before the answer is read.
async fn turn_away(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let body = r#"{"error":"busy","message":"too many connections; try again","retryAfter":1}"#;
    let answer = paced::closing("503 Service Unavailable", "retry-after: 1\r\n", body);
    let told = async {
        stream.write_all(&answer).await?;
        stream.shutdown().await?;
        let mut forgotten = [0; 1024];
        while stream.read(&mut forgotten).await? > 0 {}
        io::Result::Ok(())
    };
    if timeout(Duration::from_secs(1), told).await.is_err() {
        debug!("a client that was turned away did not close");
    }
}

/// A connection that broke before it was accepted is nobody's matter; out of file descriptors or memory, a pause lets
/// others end first.
async fn after_failed_accept(listener: &Listener, error: &io::Error) {
    let broken =
        [io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset, io::ErrorKind::ConnectionRefused];
    if broken.contains(&error.kind()) {
        return;
    }
    warn!(
        name: "cannot_accept",
        listener = %listener,
        error = error as &dyn std::error::Error,
        "cannot accept a connection; trying again in 1 s"
    );
    tokio::time::sleep(Duration::from_secs(1)).await;
}
