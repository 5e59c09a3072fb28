//! SIGHUP: the configuration is read again, and what can change without dropping a connection changes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tracing::{error, info, warn};

use super::wiring;
use crate::config::{Changes, Loaded, Problems, Settings, process_environment};
use crate::gateway::{Live, Progress, Refresher, SendingRules, Shown, TakingRules};
use crate::http::Guard;
use crate::kra::Client;
use crate::store::JournalLedger;
use crate::systemd::{Notify, set_level};

/// The checked configuration, and where it came from.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// What holds.
    pub loaded: Loaded,
    /// The file that was named; none for the default one.
    pub path: Option<PathBuf>,
}

impl Configuration {
    /// Reads it, secrets included, as a start does; warnings go where the caller wants them.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(path: Option<PathBuf>, mut warn: impl FnMut(&str, &str)) -> Result<Self, Problems> {
        let loaded = Settings::load(path.as_deref(), process_environment())?;
        let warnings = loaded.check_secrets()?;
        for warning in loaded.warnings.iter().chain(&warnings) {
            warn(&warning.key, &warning.message);
        }
        Ok(Self { loaded, path })
    }
}

/// The settings that others go by and a reload replaces.
pub(super) struct LiveSettings {
    pub(super) taking: Live<TakingRules>,
    pub(super) sending: Live<SendingRules>,
    pub(super) shown: Live<Shown>,
    /// The longest pause between two tries to register.
    pub(super) registrar_pause: Live<Duration>,
}

impl LiveSettings {
    pub(super) fn of(settings: &Settings) -> Self {
        Self {
            taking: Live::new(wiring::taking_rules(settings)),
            sending: Live::new(wiring::sending_rules(settings)),
            shown: Live::new(wiring::shown(settings)),
            registrar_pause: Live::new(wiring::registrar_pause(settings)),
        }
    }

    fn replace(&self, settings: &Settings) {
        self.taking.replace(wiring::taking_rules(settings));
        self.sending.replace(wiring::sending_rules(settings));
        self.shown.replace(wiring::shown(settings));
        self.registrar_pause.replace(wiring::registrar_pause(settings));
    }
}

/// Everything that a reload reaches.
pub(super) struct Reloading {
    pub(super) configuration: Configuration,
    pub(super) live: Arc<LiveSettings>,
    pub(super) authority: Arc<Client>,
    pub(super) guard: Guard,
    pub(super) ledger: Arc<JournalLedger>,
    pub(super) progress: Arc<Progress>,
    pub(super) refresher: Refresher,
}

impl Reloading {
    /// Reads the configuration again and says what became of it. One that is bad in any way changes nothing.
    pub(super) async fn reload(&mut self) {
        Notify::Reloading.send();
        self.read_and_apply().await;
        Notify::Ready.send();
    }

    async fn read_and_apply(&mut self) {
        let path = self.configuration.path.clone();
        let read = || Configuration::read(path, |key, message| warn!(key, message, "the new configuration"));
        let fresh = match tokio::task::spawn_blocking(read).await {
            Ok(Ok(fresh)) => fresh,
            Ok(Err(problems)) => {
                for problem in problems.iter() {
                    error!(name: "configuration_wrong", %problem, "the new configuration is wrong");
                }
                error!(
                    name: "configuration_wrong",
                    problems = problems.0.len(),
                    "the configuration was not taken over: the old one holds on"
                );
                return;
            }
            Err(error) => {
                error!(
                    name: "configuration_wrong",
                    %error,
                    "the configuration could not be read again: the old one holds on"
                );
                return;
            }
        };
        let mut loaded = self.configuration.loaded.clone();
        let changes = loaded.take_over(&fresh.loaded);
        let settings = &loaded.settings;
        // The token's file is read again in any case: it may hold another one.
        let token = match wiring::token(settings) {
            Ok(token) => token,
            Err(error) => {
                error!(
                    name: "configuration_wrong",
                    %error,
                    "the configuration was not taken over: the old one holds on"
                );
                return;
            }
        };
        if let Err(error) = self.guard.replace(wiring::origins(settings), token) {
            error!(
                name: "configuration_wrong",
                %error,
                "the configuration was not taken over: the old one holds on"
            );
            return;
        }
        self.live.replace(settings);
        self.authority.set_timeouts(settings.kra.connect_timeout, settings.kra.request_timeout);
        set_level(wiring::log_level(settings));
        // Shorter pauses count at once.
        self.progress.nudge();
        // Who reloads may have heard of news from KRA: rates are KRA's, not the configuration's.
        self.refresher.refresh_soon();
        let digests = loaded.digests();
        self.configuration.loaded = loaded;
        tell(&changes);
        if let Err(error) = self.ledger.note_configuration(&digests, "reload").await {
            error!(%error, "the changed configuration holds, and could not be written into the log");
        }
    }
}

fn tell(changes: &Changes) {
    let Changes { live, at_restart } = changes;
    if live.is_empty() {
        info!(name: "configuration_taken", "the configuration was read again: nothing to take over");
    } else {
        info!(
            name: "configuration_taken",
            keys = live.join(", "),
            "the configuration was read again: taken over"
        );
    }
    if !at_restart.is_empty() {
        warn!(
            name: "configuration_waits",
            keys = at_restart.join(", "),
            "these settings were changed and take effect at the next start only"
        );
    }
}
