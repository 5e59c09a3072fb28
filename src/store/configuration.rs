//! Under which configuration the gateway worked: a record whenever it is another one.

use std::collections::BTreeMap;
use std::path::Path;

use data_encoding::HEXLOWER;
use serde::Serialize;

use super::keys::{read_secret, write_secret};
use super::record::sha256;
use super::{Effect, JournalLedger, Kind};
use crate::gateway::ports::LedgerError;

/// What was known last, beside the journal; lost, it is made again with a record more.
const KNOWN: &str = "configuration.known";

/// ADMIN: the gateway works under a changed configuration.
#[derive(Serialize)]
struct ConfigurationAct<'a> {
    act: &'static str,
    who: &'static str,
    digest: String,
    /// The keys whose values are others than before, by name only; none at the very first start.
    changed: &'a [String],
}

impl JournalLedger {
    /// Commits that this configuration (a digest for each key) holds from now on, if it is another one than was known
    /// last. `when`: `start` or `reload`.
    ///
    /// # Errors
    /// It could not be recorded.
    pub async fn note_configuration(
        &self,
        digests: &BTreeMap<String, String>,
        when: &'static str,
    ) -> Result<(), LedgerError> {
        let known = read_known(self.directory());
        if known.as_ref() == Some(digests) {
            return Ok(());
        }
        let text = serde_json::to_vec(digests).expect("texts are always JSON");
        let changed = known.map(|known| changed(&known, digests)).unwrap_or_default();
        let act = ConfigurationAct {
            act: "configuration",
            who: when,
            digest: HEXLOWER.encode(&sha256(&text)),
            changed: &changed,
        };
        let body = serde_json::to_vec(&act).expect("texts are always JSON");
        self.commit(vec![self.record_of(Kind::Admin, Effect::None, body)]).await?;
        write_secret(self.directory(), KNOWN, &text)
            .map_err(|error| LedgerError::Failed(format!("writing {KNOWN}: {error}")))
    }
}

fn read_known(dir: &Path) -> Option<BTreeMap<String, String>> {
    let text = read_secret(dir, KNOWN).ok()??;
    serde_json::from_slice(&text).ok()
}

fn changed(known: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Vec<String> {
    let keys: std::collections::BTreeSet<&String> = known.keys().chain(now.keys()).collect();
    keys.into_iter().filter(|key| known.get(*key) != now.get(*key)).cloned().collect()
}
