//! What happened, in the order of the log, for those who follow it.

use std::future::Future;

use super::{LedgerError, Sale};
use crate::fiscal::{DeviceIdentity, Registration};
use crate::queue::{Seq, Words};
use crate::status::{AlertChange, AlertKey};

/// The signed log as a log of events. An event is a record that tells somebody something: its id is the record's running
/// number, so ids only grow, are never given twice, and survive every restart.
pub trait EventLog: Send + Sync + 'static {
    /// The newest record.
    fn last_record(&self) -> Seq;

    /// The oldest record that is still kept.
    fn first_record(&self) -> Seq;

    /// Resolves once there are records after this one.
    fn grown_beyond(&self, record: Seq) -> impl Future<Output = ()> + Send + 'static;

    /// The next events after this record, at most `most`, the oldest first. Reads a bounded part of the log: a page with
    /// few or no events says nothing about whether there are more; [`EventPage::read_to`] does.
    ///
    /// # Errors
    /// The store cannot be read. Damage is no error here: it is passed over, and the page says what was lost.
    fn events(&self, after: Seq, most: usize) -> impl Future<Output = Result<EventPage, LedgerError>> + Send;
}

/// The alerts in the log.
pub trait AlertLog: Send + Sync + 'static {
    /// Commits an alert that begins or is over, and all that stand from then on.
    ///
    /// # Errors
    /// It was not recorded.
    fn record_alert(
        &self,
        change: &AlertChange,
        standing: &[AlertKey],
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// The alerts that stand after the last such change.
    ///
    /// # Errors
    /// The store cannot be read.
    fn standing_alerts(&self) -> impl Future<Output = Result<Vec<AlertKey>, LedgerError>> + Send;
}

/// A part of the log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EventPage {
    /// What happened, the oldest first.
    pub events: Vec<Event>,
    /// The last record that was looked at: where to go on.
    pub read_to: Seq,
    /// Records that cannot be read any more, first and last.
    pub lost: Vec<(Seq, Seq)>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The running number of its record.
    pub id: Seq,
    /// The wall clock then, milliseconds since 1970.
    pub at_ms: i64,
    /// What.
    pub what: Happened,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Happened {
    /// A condition that somebody must act on begins, or is over.
    Alert(Box<AlertChange>),
    /// The device stands differently with KRA.
    Device(Box<DeviceNews>),
    /// A sale is no longer pending, or was closed; as it stood then.
    Sale(Box<Sale>),
}

/// How the device stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceNews {
    /// Registered.
    Active(DeviceIdentity, Registration),
    /// KRA said no.
    Failed(DeviceIdentity, Words),
    /// Configured; KRA is to be asked.
    Pending(DeviceIdentity),
}
