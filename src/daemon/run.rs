//! The daemon's life, as a list to read aloud.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use super::clock::{MachineClock, stamp};
use super::sockets::{self, Sockets};
use super::{tasks, wiring};
use crate::admin::AdminDesk;
use crate::config::Settings;
use crate::gateway::ports::{Device, LedgerError, Registry};
use crate::gateway::{Drainer, Progress, Taking, Watch, expect_device, finish_registration};
use crate::http::{Guard, GuardError, Limits, ListenError, Request, serve};
use crate::kra::{Client, SettingsFault};
use crate::pos::Desk;
use crate::store::{JournalLedger, LedgerOpenError, OpenError, OpenReport, Options, Store};
use crate::systemd::{Notify, PassedSocket};

/// How long registers and technicians are given to take their answers at a stop.
const LAST_ANSWERS: Duration = Duration::from_secs(3);
/// How long the drain is given at a stop: its own patience, and a commit.
const LAST_OUTCOME: Duration = Duration::from_secs(6);

/// The daemon did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration names another device than the one that is registered here.
    #[error(
        "the configuration names PIN {configured}, and this store belongs to the device of PIN {registered}: \
         set device.* back, or give the new device a state directory of its own"
    )]
    OtherDevice {
        /// What the configuration says.
        configured: String,
        /// What the store says.
        registered: String,
    },
    /// A directory could not be made.
    #[error("making the directory {path}: {source}")]
    Directory {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The guard of the till API.
    #[error("http.token_file: {0}")]
    Guard(#[from] GuardError),
    /// KRA's settings.
    #[error("{0}")]
    Kra(#[from] SettingsFault),
    /// The ledger.
    #[error("{0}")]
    Ledger(#[from] LedgerOpenError),
    /// A socket.
    #[error("{0}")]
    Listen(#[from] ListenError),
    /// Something at the very start of the store's use.
    #[error("{0}")]
    Store(#[from] OpenError),
    /// The store failed while a registration was finished.
    #[error("{0}")]
    StoreFailed(#[from] LedgerError),
    /// A token that cannot be read.
    #[error("http.token_file: {0}")]
    Token(String),
    /// A setting.
    #[error("{0}")]
    Unusable(#[from] wiring::Unusable),
}

/// Why the daemon ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// It was told to.
    Asked,
    /// The store failed, or a task ended that never should: the service manager starts it again.
    Failed(String),
}

/// Makes an empty store, once, on a till that is new.
///
/// # Errors
/// There is one already, or the disk says no.
pub fn make_store(settings: &Settings) -> Result<bool, StartError> {
    make_directory(&settings.state_dir)?;
    let options = Options { create: true, ..wiring::store_options(settings) };
    let (store, report) = Store::open(&settings.state_dir, options, &mut |_| {})?;
    drop(store);
    Ok(report.created)
}

/// Runs the daemon until it is told to stop.
///
/// # Errors
/// It could not start; nothing was accepted.
pub async fn run(settings: Settings, passed: Vec<PassedSocket>) -> Result<Stopped, StartError> {
    let started = std::time::Instant::now();
    make_directory(&settings.state_dir)?;
    let store = open_store(&settings).await?;
    let parts = Parts::new(&settings, store.clone())?;
    finish_registration(parts.ledger.as_ref()).await?;
    if let Some(identity) = wiring::configured_device(&settings) {
        expect_device(&identity, parts.ledger.as_ref()).await?;
    }

    let (stop, stopping) = watch::channel(false);
    let mut servers = parts.serve(&settings, passed, &stopping).await?;
    let (stop_drain, drain_stopping) = watch::channel(false);
    let mut drain = tokio::spawn(parts.drainer(&settings).run(told(drain_stopping)));
    let registrar = tokio::spawn(tasks::register(
        wiring::configured_device(&settings),
        Arc::clone(&parts.ledger),
        Arc::clone(&parts.authority),
        Arc::clone(&parts.registering),
        Arc::clone(&parts.progress),
        (wiring::registrar_pause(&settings), wiring::dice),
    ));
    let line = tokio::spawn(tasks::watch_line(Arc::clone(&parts.progress)));
    let store_watch = tokio::spawn(tasks::watch_store(Arc::clone(&parts.watch)));

    Notify::Ready.send();
    let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    info!(version = env!("CARGO_PKG_VERSION"), took_ms, "ready");

    let ended = tokio::select! {
        () = asked_to_stop() => Stopped::Asked,
        why = store_watch => Stopped::Failed(why.unwrap_or_else(|error| format!("the store's watch ended: {error}"))),
        drained = &mut drain => Stopped::Failed(match drained {
            Ok(Ok(())) => "the drain ended by itself".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(error) => format!("the drain ended early: {error}"),
        }),
    };

    Notify::Stopping.send();
    match &ended {
        Stopped::Asked => info!("stopping"),
        Stopped::Failed(why) => error!(why, "stopping: the store or the drain failed"),
    }
    registrar.abort();
    line.abort();
    // Registers first: what they were promised is answered while the drain still runs.
    let _ = stop.send(true);
    let all = async { while servers.join_next().await.is_some() {} };
    if tokio::time::timeout(LAST_ANSWERS, all).await.is_err() {
        warn!("some clients did not take their answers in time");
    }
    let _ = stop_drain.send(true);
    if !drain.is_finished() && tokio::time::timeout(LAST_OUTCOME, drain).await.is_err() {
        warn!("a request to KRA is still on the line: its sale is looked up at the next start");
    }
    store.close().await;
    info!("stopped");
    Ok(ended)
}

/// What the tasks share.
struct Parts {
    ledger: Arc<JournalLedger>,
    authority: Arc<Client>,
    progress: Arc<Progress>,
    clock: Arc<MachineClock>,
    watch: Arc<Watch<JournalLedger, Client, MachineClock>>,
    registering: Arc<Mutex<()>>,
}

impl Parts {
    fn new(settings: &Settings, store: Store) -> Result<Self, StartError> {
        let ledger = JournalLedger::open(store, &settings.state_dir, stamp, &wiring::terms(settings))?;
        check_device(settings, &ledger)?;
        let ledger = Arc::new(ledger);
        let authority = Arc::new(Client::new(wiring::kra_settings(settings)?, wiring::observer())?);
        let progress = Arc::new(Progress::default());
        let clock = Arc::new(MachineClock);
        let watch = Arc::new(Watch {
            ledger: Arc::clone(&ledger),
            authority: Arc::clone(&authority),
            clock: Arc::clone(&clock),
            progress: Arc::clone(&progress),
            shown: wiring::shown(settings),
        });
        Ok(Self { ledger, authority, progress, clock, watch, registering: Arc::new(Mutex::new(())) })
    }

    fn drainer(&self, settings: &Settings) -> Drainer<JournalLedger, Client, MachineClock> {
        Drainer {
            ledger: Arc::clone(&self.ledger),
            authority: Arc::clone(&self.authority),
            clock: Arc::clone(&self.clock),
            progress: Arc::clone(&self.progress),
            rules: wiring::sending_rules(settings),
            dice: wiring::dice,
        }
    }

    /// Binds every socket, and answers on all of them.
    async fn serve(
        &self,
        settings: &Settings,
        passed: Vec<PassedSocket>,
        stopping: &watch::Receiver<bool>,
    ) -> Result<JoinSet<()>, StartError> {
        let desk = Arc::new(Desk {
            taking: Taking {
                rules: wiring::taking_rules(settings),
                ledger: Arc::clone(&self.ledger),
                progress: Arc::clone(&self.progress),
                clock: Arc::clone(&self.clock),
            },
            watch: Arc::clone(&self.watch),
            portal: settings.kra.portal.clone(),
            registering: Arc::clone(&self.registering),
        });
        let admin_desk = Arc::new(AdminDesk {
            ledger: Arc::clone(&self.ledger),
            watch: Arc::clone(&self.watch),
            progress: Arc::clone(&self.progress),
            registering: Arc::clone(&self.registering),
        });
        let Sockets { till, admin } = sockets::bind(settings, passed).await?;
        let guard = sockets::guard(settings, &till, read_token(settings)?)?;
        let limits = wiring::limits(settings);
        let mut servers = JoinSet::new();
        for listener in till {
            info!(address = %listener, "listening for registers");
            let desk = Arc::clone(&desk);
            let handler = move |request: Request| {
                let desk = Arc::clone(&desk);
                async move { desk.answer(request).await }
            };
            servers.spawn(serve(listener, limits.clone(), guard.clone(), handler, stopping.clone()));
        }
        let handler = move |request: Request| {
            let desk = Arc::clone(&admin_desk);
            async move { desk.answer(request).await }
        };
        servers.spawn(serve(admin, Limits::default(), Guard::local(), handler, stopping.clone()));
        Ok(servers)
    }
}

async fn open_store(settings: &Settings) -> Result<Store, StartError> {
    let dir = settings.state_dir.clone();
    let options = wiring::store_options(settings);
    let opened = tokio::task::spawn_blocking(move || {
        let mut last = None;
        Store::open(&dir, options, &mut |progress| {
            if last != Some(progress.step) {
                info!(step = ?progress.step, total = progress.total, "opening the store");
                last = Some(progress.step);
            }
        })
    });
    let (store, report) =
        opened.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
    tell_opened(&report, &settings.state_dir);
    Ok(store)
}

fn tell_opened(report: &OpenReport, dir: &Path) {
    let dir = dir.display();
    if report.created {
        info!(%dir, "an empty store was made");
    }
    if let Some(cut) = &report.cut {
        warn!(
            segment = cut.segment,
            offset = cut.offset,
            "the last write was cut off by a power cut; nothing of it was acknowledged"
        );
    }
    if let Some(why) = &report.rebuilt {
        warn!(why, "the queue's index was made anew from the journal");
    }
    if let Some(path) = &report.quarantined {
        warn!(path = %path.display(), "the index that was not trusted is kept there");
    }
    for damage in &report.damage {
        error!(%damage, "the journal is damaged in finished records: run `etims-gateway verify`");
    }
    info!(%dir, start = report.epoch, replayed = report.replayed, "store open");
}

fn check_device(settings: &Settings, ledger: &impl Registry) -> Result<(), StartError> {
    let Device::Active(registered, _) = ledger.device() else { return Ok(()) };
    match wiring::configured_device(settings) {
        Some(configured) if configured != registered => Err(StartError::OtherDevice {
            configured: format!(
                "{}, branch {}, serial {}",
                configured.tin, configured.bhf_id, configured.serial
            ),
            registered: format!(
                "{}, branch {}, serial {}",
                registered.tin, registered.bhf_id, registered.serial
            ),
        }),
        _ => Ok(()),
    }
}

fn read_token(settings: &Settings) -> Result<Option<String>, StartError> {
    let Some(file) = &settings.http.token_file else { return Ok(None) };
    let secret = file
        .read(settings.credentials_directory.as_deref())
        .map_err(|error| StartError::Token(error.to_string()))?;
    Ok(Some(secret.expose().to_owned()))
}

fn make_directory(dir: &Path) -> Result<(), StartError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|source| StartError::Directory { path: dir.display().to_string(), source })
}

async fn told(mut stopping: watch::Receiver<bool>) {
    // A sender that is gone means the same.
    let _ = stopping.wait_for(|stop| *stop).await;
}

/// SIGTERM or SIGINT. A reload is noticed and answered: this version reads its configuration at a start only.
async fn asked_to_stop() {
    let (Ok(mut terminate), Ok(mut interrupt), Ok(mut reload)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()), signal(SignalKind::hangup()))
    else {
        return std::future::pending().await;
    };
    loop {
        tokio::select! {
            _ = terminate.recv() => return,
            _ = interrupt.recv() => return,
            _ = reload.recv() => {
                Notify::Reloading.send();
                warn!("a changed configuration takes effect at the next start: restart the gateway");
                Notify::Ready.send();
            }
        }
    }
}
