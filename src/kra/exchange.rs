//! One exchange with KRA as the API log keeps it: no key, no name, no PIN, no body.

use std::time::{Duration, SystemTime};

use crate::wire::Function;

/// What happened, told to the observer after each exchange and each failed way to KRA.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Which function was called; `None` where only a connection was made.
    pub function: Option<Function>,
    /// The register's number of the sale in it.
    pub trader_ref: Option<String>,
    /// The number that was looked up.
    pub invoice_no: Option<u64>,
    /// When it began, by the wall clock.
    pub started_at: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// The length of the request's body.
    pub sent_bytes: usize,
    /// The length of the answer's body.
    pub received_bytes: usize,
    /// The HTTP status, where an answer came.
    pub http_status: Option<u16>,
    /// `resultCd`, where it could be read.
    pub result_cd: Option<String>,
    /// What it means, in one word.
    pub outcome: &'static str,
    /// What went wrong on the way, where something did.
    pub trouble: Option<String>,
}

/// Who is told of exchanges.
pub type Observer = Box<dyn Fn(&Exchange) + Send + Sync>;
