//! The log of exchanges with KRA, as technicians read it.

use std::{fmt, io};

use tokio::sync::watch;

/// The log of exchanges with KRA: one line of JSON each, without keys and customers; the oldest go first.
pub trait ApiLog: fmt::Debug + Send + Sync + 'static {
    /// Rows with a greater number than `after`, oldest first, as many as make one page; `sale`: only those about the sale
    /// of this register's number. May wait for the disk.
    ///
    /// # Errors
    /// The files cannot be read.
    fn page(&self, after: u64, sale: Option<&str>) -> io::Result<LogPage>;

    /// The number of the newest row; changes when there is a newer one.
    fn newest(&self) -> watch::Receiver<u64>;

    /// Rows that could not be kept since the start: a full disk, or more than could be written.
    fn lost(&self) -> u64;
}

/// A page of the log of exchanges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogPage {
    /// Rows, each a line of JSON.
    pub rows: Vec<String>,
    /// The number of the last row that was looked at: where the next page begins.
    pub last: u64,
    /// There are more now.
    pub more: bool,
}
