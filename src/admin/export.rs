//! `export`: the log to whoever asked, as fast as he takes it.

use std::sync::Arc;

use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::HeaderValue;
use tokio::sync::mpsc;
use tracing::{Instrument, error, info, info_span};

use crate::fiscal::{NoDay, Period};
use crate::gateway::ports::Exports;
use crate::http::{Answer, Peer, Request};

/// Pages that wait for the reader, beside the one that is being made.
const AHEAD: usize = 2;

/// Begins the export and answers with its lines. What ends without a manifest is not whole, and the reader says so.
pub(super) async fn export<L: Exports>(ledger: &Arc<L>, request: &Request) -> Answer {
    let day = |name| request.query_value(name).map(str::parse).transpose();
    let period = match (day("from"), day("to")) {
        (Ok(from), Ok(to)) => Period { from, to },
        (Err(error @ NoDay), _) | (_, Err(error @ NoDay)) => {
            return Answer::refusal(StatusCode::BAD_REQUEST, "bad_query", &error.to_string());
        }
    };
    let who = match request.peer {
        Peer::Unix { uid: Some(uid), .. } => format!("user {uid}"),
        Peer::Unix { uid: None, .. } | Peer::Tcp(_) => "unknown".to_owned(),
    };
    let export = match ledger.begin_export(period, &who).await {
        Ok(export) => export,
        Err(error) => return super::desk::unreadable(&error),
    };
    info!(name: "export_begun", who, "the log is being exported");
    let (pages, taken) = mpsc::channel(AHEAD);
    tokio::spawn(feed(Arc::clone(ledger), export, pages).instrument(info_span!("export")));
    Answer::stream(StatusCode::OK, HeaderValue::from_static("application/x-ndjson"), taken)
}

/// Page after page, until the manifest, or until nobody takes them.
async fn feed<L: Exports>(ledger: Arc<L>, mut export: L::Export, pages: mpsc::Sender<Bytes>) {
    loop {
        let (lines, rest) = match ledger.export_on(export).await {
            Ok(page) => page,
            Err(error) => {
                error!(name: "export_broken", %error, "the export ends early, without a manifest");
                return;
            }
        };
        if pages.send(Bytes::from(lines)).await.is_err() {
            info!(name: "export_broken", "nobody takes the export any more");
            return;
        }
        match rest {
            Some(rest) => export = rest,
            None => return,
        }
    }
}
