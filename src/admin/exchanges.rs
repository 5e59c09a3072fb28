//! `log`: pages of the log of exchanges with KRA.

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::time::timeout;

use crate::gateway::ports::ApiLog;
use crate::http::{Answer, Request};

/// The longest that a page waits for its first row: a stop of the daemon must not wait for who follows the log.
const LONGEST_WAIT: u64 = 2;

/// A page of `log`.
#[derive(Debug, Deserialize, Serialize)]
pub struct LogMessage {
    /// Rows, oldest first.
    pub rows: Vec<Box<RawValue>>,
    /// The number of the last row that was looked at: the next page's `after`.
    pub last: u64,
    /// There are more now.
    pub more: bool,
    /// The number of the newest row.
    pub newest: u64,
    /// Rows that could not be kept since the daemon's start.
    pub lost: u64,
}

/// `?after=N&sale=TRDINVCNO&wait=SECONDS`: rows after that one; with `wait`, once there is one.
pub(super) async fn exchanges(log: &Arc<dyn ApiLog>, request: &Request) -> Answer {
    let number = |name| request.query_value(name).map_or(Ok(0), str::parse::<u64>);
    let (Ok(after), Ok(wait)) = (number("after"), number("wait")) else {
        return Answer::refusal(StatusCode::BAD_REQUEST, "bad_query", "after and wait must be whole numbers");
    };
    let mut newest = log.newest();
    let wait = Duration::from_secs(wait.min(LONGEST_WAIT));
    if !wait.is_zero() {
        // Nothing new within the time is an answer too.
        let _ = timeout(wait, newest.wait_for(|newest| *newest > after)).await;
    }
    let newest = *newest.borrow();
    let sale = request.query_value("sale").map(str::to_owned);
    let reader = Arc::clone(log);
    let page = tokio::task::spawn_blocking(move || reader.page(after, sale.as_deref())).await;
    let page = page.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    match page {
        Ok(page) => {
            // A row that is no JSON was not written by us.
            let rows = page.rows.into_iter().filter_map(|row| RawValue::from_string(row).ok()).collect();
            let (last, more, lost) = (page.last, page.more, log.lost());
            Answer::json(StatusCode::OK, &LogMessage { rows, last, more, newest, lost })
        }
        Err(error) => {
            let message = format!("the log of exchanges cannot be read: {error}");
            Answer::refusal(StatusCode::INTERNAL_SERVER_ERROR, "log_unreadable", &message)
        }
    }
}
