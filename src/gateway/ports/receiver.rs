//! Whoever is told of events by being called.

use std::future::Future;
use std::time::Duration;

use super::LedgerError;
use crate::queue::Seq;

/// One address that events are POSTed to. Nothing here repeats anything by itself.
pub trait Receiver: Send + Sync + 'static {
    /// Posts one event; ends within a bounded time.
    fn post(&self, delivery: Delivery) -> impl Future<Output = Posted> + Send;
}

/// One event on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The event's id.
    pub id: Seq,
    /// The same for the same event of this log, another for any other event of any log.
    pub key: String,
    /// The event as JSON.
    pub body: String,
}

/// What became of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Posted {
    /// An HTTP status, and how long the receiver wants to be left alone.
    Answered(u16, Option<Duration>),
    /// No answer, and why.
    Failed(String),
}

/// How far somebody has been told of the log; survives power cuts.
pub trait Bookmarks: Send + Sync + 'static {
    /// Where the bookmark of this name lies; `None`: there is none, or it is of another log.
    ///
    /// # Errors
    /// It is there and cannot be read.
    fn bookmark(&self, name: &str) -> impl Future<Output = Result<Option<Seq>, LedgerError>> + Send;

    /// Puts it there; returns once it is on the disk.
    ///
    /// # Errors
    /// The old one may still be there.
    fn set_bookmark(&self, name: &str, read_to: Seq) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Forgets it.
    ///
    /// # Errors
    /// It may still be there.
    fn drop_bookmark(&self, name: &str) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// What sets this log's events apart from those of any other log.
    fn log_name(&self) -> String;
}
