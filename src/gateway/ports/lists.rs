//! What KRA publishes, as the verbs see it: asked of KRA, and kept.

use std::future::Future;
use std::sync::Arc;

use super::LedgerError;
use crate::fiscal::{CmcKey, CodeList, DeviceIdentity, KraDateTime, Rates};
use crate::wire::Function;
use crate::wire::lists::{Notice, Told};

/// KRA, where it is asked for its lists.
pub trait Publisher: Send + Sync + 'static {
    /// What a function's list holds that was added or changed after a moment, on a connection of its own. Long lists take
    /// minutes, and are never in memory as KRA wrote them.
    fn published(
        &self,
        asked: (Function, KraDateTime),
        device: &DeviceIdentity,
        key: &CmcKey,
    ) -> impl Future<Output = Told> + Send;
}

/// A part of KRA's lists that is kept by itself, in the place of the one that was kept before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListPart {
    /// How a function was last asked with success.
    Asked(Asked),
    /// A bucket of the item classes.
    Bucket(u8, Arc<str>),
    /// A list of codes; of the tax types, with the change of rates that came with it or before it.
    Codes(CodeList, Option<RateChange>),
    /// The newest notices.
    Notices(Vec<Notice>),
}

/// How a function was last asked with success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Which, by KRA's name.
    pub function: String,
    /// KRA's time of its last answer that was taken over whole: what came later is asked for next. `None`: all is.
    pub watermark: Option<KraDateTime>,
    /// When KRA last said something readable, by its clock.
    pub as_of: KraDateTime,
}

/// The rates were changed by KRA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateChange {
    /// The rates before.
    pub from: Rates,
    /// The rates since.
    pub to: Rates,
    /// When sales began to be taken by them.
    pub at: KraDateTime,
    /// KRA's own time of the answer that brought them.
    pub told: Option<KraDateTime>,
}

/// KRA's lists, kept on disk.
pub trait ListShelf: Send + Sync + 'static {
    /// Gives all that is kept to `each`, in no promised order. Blocks. The answer says how many parts could not be read.
    ///
    /// # Errors
    /// The store cannot be read.
    fn read_lists(&self, each: &mut dyn FnMut(ListPart)) -> Result<u64, LedgerError>;

    /// Keeps these parts: returns after the sync. Many go in several commits, in this order, so that sales come between.
    ///
    /// # Errors
    /// Not all was kept; what comes first in the order may be.
    fn keep_lists(&self, parts: Vec<ListPart>) -> impl Future<Output = Result<(), LedgerError>> + Send;
}
