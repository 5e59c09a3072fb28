//! The log of exchanges with KRA: lines of JSON in `api-log/`, for technicians, never the truth of anything.
//!
//! Rows are numbered from 1 on, over all starts. A file holds a quarter of `api_log.max_size` at most and is named after
//! its first row; the oldest file goes when a new one is begun, so that all together never exceed the size. A file is never
//! renamed: whoever follows the log just goes on to the next. Nothing is synced: after a power cut the last rows may be
//! missing or half written, and readers skip such.
//!
//! [`ExchangeLog::put`] never waits: a thread of its own redacts and writes. What it cannot keep (a full disk, too much at
//! once) is counted and said once, and the drain does not notice.

mod files;
mod reader;
mod row;
mod writer;

pub use reader::read_page;
pub use row::Row;
pub use writer::{Bounds, ExchangeLog};
