//! One exchange with KRA as its observer is told of it: for the log of exchanges, the counters and the clock.

use std::time::{Duration, SystemTime};

use crate::queue::Seq;
use crate::wire::Function;
use crate::wire::redact::Bodies;

/// What happened, told to the observer after each exchange and each failed way to KRA.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Which function was called; `None` where only a connection was made.
    pub function: Option<Function>,
    /// The register's number of the sale that it is about.
    pub trader_ref: Option<String>,
    /// The running number of that sale.
    pub document: Option<Seq>,
    /// The number that the sale is sent under, or that was looked up.
    pub invoice_no: Option<u64>,
    /// Which try of the sale it is, from 1.
    pub attempt: Option<u32>,
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
    /// The answer's `Date`, seconds since 1970.
    pub date: Option<i64>,
    /// The answer's `resultDt`, seconds since 1970.
    pub result_dt: Option<i64>,
    /// When the certificate that KRA showed last ends, seconds since 1970.
    pub certificate_until: Option<i64>,
    /// Both bodies. They show nothing of themselves until they are redacted.
    pub bodies: Bodies,
}

/// Who is told of exchanges.
pub type Observer = Box<dyn Fn(&Exchange) + Send + Sync>;
