//! One connection: requests to KRA or to the levers, until either side closes it or the line is cut.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::controls::Controls;
use super::door;
use super::reply::Reply;
use super::state::State;

/// What is behind a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entrance {
    /// The levers alone; stays open when the line is cut.
    Controls,
    /// KRA, and the levers too.
    Kra,
}

/// Serves a connection to its end.
pub(super) async fn serve<S>(stream: S, state: Arc<State>, entrance: Entrance)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let controls = Controls::new(Arc::clone(&state));
    let at_the_levers = AtomicBool::new(false);
    let service = service_fn(|request: Request<Incoming>| {
        let lever = request.uri().path().starts_with("/_sim/");
        at_the_levers.store(lever, Ordering::Relaxed);
        let (state, controls) = (Arc::clone(&state), controls.clone());
        async move {
            match entrance {
                _ if lever => controls.receive(request).await,
                Entrance::Kra => door::receive(&state, request).await,
                Entrance::Controls => {
                    Ok(Reply::whole(StatusCode::NOT_FOUND, "text/plain", "only /_sim/ is here".to_owned()))
                }
            }
        }
    });
    let connection =
        http1::Builder::new().header_read_timeout(None).serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let mut line = state.line.subscribe();
    let up = *line.borrow_and_update();
    // A line that is back already was cut all the same.
    let cut = async {
        if entrance == Entrance::Controls || (up && line.changed().await.is_err()) {
            std::future::pending().await
        }
    };
    tokio::select! {
        // How it ended is in the log of requests; a connection dropped on purpose is an error to hyper.
        _ = connection.as_mut() => {}
        () = cut => {
            // Whoever cuts the line over this very connection is told that it worked.
            if at_the_levers.load(Ordering::Relaxed) {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
        }
    }
}
