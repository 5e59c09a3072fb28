//! Exports of the log while the daemon runs.

use serde::Serialize;

use super::export::{Days, Export};
use super::reading::read_failed;
use super::{Effect, JournalLedger, Kind};
use crate::fiscal::Period;
use crate::gateway::ports::{Exports, LedgerError};

/// ADMIN: the log was exported.
#[derive(Serialize)]
struct ExportAct<'a> {
    act: &'static str,
    who: &'a str,
    period: Days,
}

impl Exports for JournalLedger {
    type Export = Export;

    async fn begin_export(&self, period: Period, who: &str) -> Result<Export, LedgerError> {
        let act = ExportAct { act: "export", who, period: period.into() };
        let body = serde_json::to_vec(&act).expect("texts are always JSON");
        self.commit(vec![self.record_of(Kind::Admin, Effect::None, body)]).await?;
        self.reading(move |reader| Export::begin(&reader.store, period).map_err(|error| read_failed(&error)))
            .await
    }

    async fn export_on(&self, mut export: Export) -> Result<(String, Option<Export>), LedgerError> {
        self.reading(move |reader| {
            let page = export.next_page(&reader.store).map_err(|error| read_failed(&error))?;
            Ok(match page {
                Some(page) => (page, Some(export)),
                None => (export.finish(&reader.store, reader.now.wall_ms), None),
            })
        })
        .await
    }
}
