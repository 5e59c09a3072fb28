//! The log as an inspector gets it.

use super::LedgerError;
use crate::fiscal::Period;

/// Exports of the log: signed lines of text.
pub trait Exports: Send + Sync + 'static {
    /// An export under way.
    type Export: Send + 'static;

    /// Commits that somebody exports, then finds the records of the period: up to the newest, this act included, where
    /// the period is open. `who`: on whose behalf.
    ///
    /// # Errors
    /// Nothing is exported.
    fn begin_export(
        &self,
        period: Period,
        who: &str,
    ) -> impl Future<Output = Result<Self::Export, LedgerError>> + Send;

    /// The next lines, and how to go on; after the signed manifest, which is the last line, there is nothing to go on with.
    ///
    /// # Errors
    /// The log cannot be read: the export has no end, and must not look as if it had one.
    fn export_on(
        &self,
        export: Self::Export,
    ) -> impl Future<Output = Result<(String, Option<Self::Export>), LedgerError>> + Send;
}
