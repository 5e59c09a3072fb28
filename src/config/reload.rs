//! What a running daemon takes over from a changed configuration, and what waits for its next start.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;

use super::load::Loaded;
use super::settings::{Http, Kra, Log, Settings};

/// The keys that a reload takes over at once. All others are bound to sockets, files or the store, and count from the
/// next start on.
pub const LIVE: &[&str] = &[
    "delivery.backoff_initial",
    "delivery.backoff_max",
    "delivery.cfm_dt",
    "delivery.max_attempts",
    "delivery.probe_max",
    "http.allowed_origins",
    "http.token_file",
    "kra.connect_timeout",
    "kra.request_timeout",
    "log.level",
    "sales.offline_limit",
    "sales.offline_warn",
    "sales.realtime_wait",
    "sales.repeat_window",
    "trader.address",
    "trader.bottom_message",
    "trader.name",
    "trader.top_message",
];

/// What differs between two configurations, by key.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Changes {
    /// Taken over.
    pub live: Vec<String>,
    /// As before until the next start.
    pub at_restart: Vec<String>,
}

impl Loaded {
    /// Takes over from `fresh` what can change without a restart; everything else stays as it is here.
    pub fn take_over(&mut self, fresh: &Loaded) -> Changes {
        let opened =
            self.settings.http.listen.iter().any(|address| !address.ip().to_canonical().is_loopback());
        let mut settings = self.settings.with_live_of(&fresh.settings);
        // The addresses listened on are still the old ones, and the rule about them holds.
        let token_stays = opened && settings.http.token_file.is_none();
        if token_stays {
            settings.http.token_file = self.settings.http.token_file.clone();
        }
        let held = |loaded: &Loaded| -> BTreeMap<String, Option<String>> {
            loaded.effective.iter().map(|held| (held.key.clone(), held.value.clone())).collect()
        };
        let (before, after) = (held(self), held(fresh));
        let mut changes = Changes::default();
        for key in before.keys().chain(after.keys().filter(|key| !before.contains_key(*key))) {
            let value = |held: &BTreeMap<String, Option<String>>| held.get(key).cloned().flatten();
            if value(&before) == value(&after) {
                continue;
            }
            let live = LIVE.contains(&key.as_str()) && !(token_stays && key == "http.token_file");
            if live { &mut changes.live } else { &mut changes.at_restart }.push(key.clone());
        }
        for held in self.effective.iter_mut().filter(|held| changes.live.contains(&held.key)) {
            if let Some(fresh) = fresh.effective.iter().find(|fresh| fresh.key == held.key) {
                held.clone_from(fresh);
            }
        }
        self.settings = settings;
        changes
    }

    /// The configuration that holds, as a digest for each key that has a value: enough to see what changed, and nothing that
    /// could be read. Secrets are in files; their names count, their content does not.
    pub fn digests(&self) -> BTreeMap<String, String> {
        let digest = |value: &str| {
            let hash = ring::digest::digest(&ring::digest::SHA256, value.as_bytes());
            HEXLOWER.encode(&hash.as_ref()[..16])
        };
        let held = self.effective.iter().filter_map(|held| Some((held.key.clone(), held.value.as_ref()?)));
        held.map(|(key, value)| {
            let digest = digest(&format!("{key} = {value}"));
            (key, digest)
        })
        .collect()
    }
}

impl Settings {
    /// These settings with the live ones of others.
    fn with_live_of(&self, fresh: &Settings) -> Settings {
        Settings {
            trader: fresh.trader.clone(),
            http: Http {
                allowed_origins: fresh.http.allowed_origins.clone(),
                token_file: fresh.http.token_file.clone(),
                ..self.http.clone()
            },
            kra: Kra {
                connect_timeout: fresh.kra.connect_timeout,
                request_timeout: fresh.kra.request_timeout,
                ..self.kra.clone()
            },
            sales: fresh.sales.clone(),
            delivery: fresh.delivery.clone(),
            log: Log { level: fresh.log.level, ..self.log.clone() },
            ..self.clone()
        }
    }
}
