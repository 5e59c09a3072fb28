//! How far webhooks have been told: a small file each, written whole. Nothing else depends on them.

use std::io;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use super::keys::{read_secret, sync_directory, write_secret};
use super::ledger::JournalLedger;
use crate::gateway::ports::{Bookmarks, LedgerError};
use crate::queue::Seq;

/// The directory in the store's own.
const DIRECTORY: &str = "notify";

#[derive(Debug, Deserialize, Serialize)]
struct Bookmark {
    /// The journal's id: a bookmark beside another journal means nothing.
    journal: String,
    read_to: Seq,
}

impl Bookmarks for JournalLedger {
    async fn bookmark(&self, name: &str) -> Result<Option<Seq>, LedgerError> {
        let journal = self.journal_id();
        let read = self.with_file(name, |directory, file| read_secret(&directory, &file)).await?;
        let Some(bytes) = read else { return Ok(None) };
        let bookmark: Bookmark = serde_json::from_slice(&bytes)
            .map_err(|error| LedgerError::Failed(format!("{DIRECTORY}/{name}: {error}")))?;
        Ok(Some(bookmark.read_to).filter(|_| bookmark.journal == journal))
    }

    async fn set_bookmark(&self, name: &str, read_to: Seq) -> Result<(), LedgerError> {
        let bookmark = Bookmark { journal: self.journal_id(), read_to };
        let bytes = serde_json::to_vec(&bookmark).expect("texts and numbers are always JSON");
        // No secret, but the same care: the old one or the new one, whole.
        self.with_file(name, move |directory, file| write_secret(&directory, &file, &bytes)).await
    }

    async fn drop_bookmark(&self, name: &str) -> Result<(), LedgerError> {
        self.with_file(name, |directory, file| match std::fs::remove_file(directory.join(file)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(()) => sync_directory(&directory),
        })
        .await
    }

    fn log_name(&self) -> String {
        self.journal_id()
    }
}

impl JournalLedger {
    fn journal_id(&self) -> String {
        HEXLOWER.encode(&self.store().journal_id())
    }

    async fn with_file<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce(PathBuf, String) -> io::Result<T> + Send + 'static,
    ) -> Result<T, LedgerError> {
        let directory = self.directory().join(DIRECTORY);
        let file = format!("{name}.json");
        let failed = {
            let path = directory.join(&file);
            move |error: io::Error| LedgerError::Failed(format!("{}: {error}", Path::display(&path)))
        };
        let done = tokio::task::spawn_blocking(move || work(directory, file)).await;
        done.map_err(|error| LedgerError::Failed(error.to_string()))?.map_err(failed)
    }
}
