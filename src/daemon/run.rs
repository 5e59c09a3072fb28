//! The daemon's life, as a list to read aloud.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use super::attend::{Attendance, attended};
use super::clock::{self, MachineClock, stamp};
use super::process::process;
use super::reload::{Configuration, LiveSettings, Reloading};
use super::signals::{Signals, Told};
use super::sockets::{self, Sockets};
use super::stop::Stop;
use super::{exchanges, ports, tasks, webhooks, wiring};
use crate::admin::AdminDesk;
use crate::config::{Environment, Settings};
use crate::fiscal::DeviceIdentity;
use crate::gateway::ports::{ApiLog, LedgerError, Registry};
use crate::gateway::{
    Asks, Catalogue, CodeBook, Drainer, Instruments, Keeping, Operator, Orders, Printer, Progress,
    RefreshAsks, Refresher, Refreshing, Registering, Registrar, Taking, Watch, expect_device,
    finish_registration,
};
use crate::http::{Guard, GuardError, Limits, ListenError, Request, serve};
use crate::kra::{Client, SettingsFault};
use crate::pos::Desk;
use crate::store::api_log::ExchangeLog;
use crate::store::{
    JournalLedger, LedgerOpenError, OpenError, OpenReport, Options, Store, newest_trusted_ms,
};
use crate::systemd::{Notify, PassedSocket};

/// The daemon did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration names another device than the one that is registered here, or that sales wait for.
    #[error(
        "the configuration names PIN {configured}, and this store and its sales belong to the device of PIN {registered}: \
         set device.* back, or give the new device a state directory of its own. A serial number that was mistyped is put \
         right by setting it back, starting, and `etims-gateway device adopt --serial RIGHT`; then correct the configuration"
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
    /// The items cannot be read.
    #[error("the catalogue of items: {0}")]
    Catalogue(LedgerError),
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
    /// Signals cannot be listened to.
    #[error("listening for signals: {0}")]
    Signals(std::io::Error),
    /// Something at the very start of the store's use.
    #[error("{0}")]
    Store(#[from] OpenError),
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
    let options = Options { create: true, ..wiring::store_options(settings)? };
    let (store, report) = Store::open(&settings.state_dir, options, &mut |_| {})?;
    drop(store);
    Ok(report.created)
}

/// Runs the daemon until it is told to stop.
///
/// # Errors
/// It could not start; nothing was accepted.
pub async fn run(configuration: Configuration, passed: Vec<PassedSocket>) -> Result<Stopped, StartError> {
    let started = std::time::Instant::now();
    let settings = &configuration.loaded.settings;
    let mut signals = Signals::listen().map_err(StartError::Signals)?;
    make_directory(&settings.state_dir)?;
    // Nothing is promised to anybody yet: a stop need not wait for the disk.
    let (store, boot) = tokio::select! {
        opened = open_store(settings) => opened?,
        () = signals.stop() => return Ok(Stopped::Asked),
    };
    let (parts, Asked { asks, orders, refreshes }) = Parts::new(settings, store.clone()).await?;
    let configured = tokio::select! {
        prepared = prepare(&configuration, parts.ledger.as_ref()) => prepared?,
        () = signals.stop() => {
            std::mem::forget(parts);
            return Ok(Stopped::Asked);
        }
    };

    let (stop, stopping) = watch::channel(false);
    let mut attendance = Attendance::begin();
    let Served { mut servers, lines, guard } =
        parts.serve(settings, (passed, boot), &stopping, &mut attendance).await?;
    webhooks::start(settings, (&parts.ledger, &parts.progress), &stopping, &mut servers);
    let (stop_drain, drain_stopping) = watch::channel(false);
    let mut drain = tokio::spawn(parts.drainer().run(orders, told(drain_stopping)));
    let mut registrar = tokio::spawn(parts.registering(configured).run(asks, stopping.clone()));
    let refreshing = tokio::spawn(parts.refreshing().run(refreshes, stopping.clone()));
    let line = tokio::spawn(tasks::watch_line(Arc::clone(&parts.progress)));
    let watch = attendance.watch("watch");
    let mut store_watch = tokio::spawn(tasks::watch_store(Arc::clone(&parts.watch), watch));
    let attendance = tokio::spawn(attendance.run(Arc::clone(&parts.progress), store.clone()));
    let mut reloading = parts.reloading(configuration, guard);

    Notify::Ready.send();
    let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    info!(name: "ready", version = env!("CARGO_PKG_VERSION"), took_ms, "ready");

    let ended = loop {
        tokio::select! {
            told = signals.next() => match told {
                Told::Stop => break Stopped::Asked,
                Told::Reload => tokio::select! {
                    () = reloading.reload() => {}
                    () = signals.stop() => break Stopped::Asked,
                },
            },
            why = &mut store_watch => break Stopped::Failed(why.unwrap_or_else(|error| format!("the store's watch ended: {error}"))),
            drained = &mut drain => break Stopped::Failed(match drained {
                Ok(Ok(())) => "the drain ended by itself".to_owned(),
                Ok(Err(error)) => error.to_string(),
                Err(error) => format!("the drain ended early: {error}"),
            }),
            ended = &mut registrar => break Stopped::Failed(match ended {
                Ok(()) => "the registrar ended by itself".to_owned(),
                Err(error) => format!("the registrar ended early: {error}"),
            }),
        }
    };

    let last = Stop::begin();
    Notify::Stopping.send();
    match &ended {
        Stopped::Asked => info!(name: "stopping", "stopping"),
        Stopped::Failed(why) => error!(name: "failed", why, "stopping: the store or a task failed"),
    }
    line.abort();
    attendance.abort();
    refreshing.abort();
    last.answer(&stop, &parts.progress, servers).await;
    let _ = stop_drain.send(true);
    last.end_requests(drain, registrar).await;
    // Registers on serial lines are told how things are up to here.
    drop(lines);
    if !last.close(store, Arc::clone(&parts.exchanges)).await {
        std::mem::forget((parts, reloading));
    }
    info!(name: "stopped", "stopped");
    Ok(ended)
}

/// What the tasks share.
struct Parts {
    ledger: Arc<JournalLedger>,
    authority: Arc<Client>,
    exchanges: Arc<ExchangeLog>,
    catalogue: Arc<Catalogue>,
    progress: Arc<Progress>,
    clock: Arc<MachineClock>,
    watch: Arc<Watch<JournalLedger, Client, MachineClock>>,
    registrar: Registrar,
    operator: Operator,
    live: Arc<LiveSettings>,
    book: CodeBook,
    refresher: Refresher,
}

/// What the long tasks are asked.
struct Asked {
    asks: Asks,
    orders: Orders,
    refreshes: RefreshAsks,
}

impl Parts {
    async fn new(settings: &Settings, store: Store) -> Result<(Self, Asked), StartError> {
        let ledger = JournalLedger::open(store, &settings.state_dir, stamp, &wiring::terms(settings))?;
        let ledger = Arc::new(ledger);
        let shelf = Arc::clone(&ledger);
        let opened = tokio::task::spawn_blocking(move || CodeBook::open(shelf.as_ref())).await;
        let book = opened.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        let shelf = Arc::clone(&ledger);
        let loaded = tokio::task::spawn_blocking(move || Catalogue::load(shelf.as_ref())).await;
        let loaded = loaded.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        let (catalogue, missing) = loaded.map_err(StartError::Catalogue)?;
        if missing > 0 {
            error!(
                name: "items_missing",
                missing,
                "items are missing from the catalogue, their records are damaged: post them again"
            );
        }
        let catalogue = Arc::new(catalogue);
        let exchanges = Arc::new(ExchangeLog::open(&settings.state_dir, wiring::log_bounds(settings)));
        let instruments = Instruments {
            counters: Arc::default(),
            lookout: Arc::default(),
            ports: ports::ports(settings),
            exchanges: Arc::clone(&exchanges) as Arc<dyn ApiLog>,
            book: book.clone(),
            process,
        };
        let (counters, lookout) = (Arc::clone(&instruments.counters), Arc::clone(&instruments.lookout));
        let observer = exchanges::observer(Arc::clone(&exchanges), counters, lookout);
        let authority = Arc::new(Client::new(wiring::kra_settings(settings)?, observer)?);
        let progress = Arc::new(Progress::default());
        let live = Arc::new(LiveSettings::of(settings));
        let clock = Arc::new(MachineClock);
        let watch = Arc::new(Watch {
            ledger: Arc::clone(&ledger),
            catalogue: Arc::clone(&catalogue),
            authority: Arc::clone(&authority),
            clock: Arc::clone(&clock),
            progress: Arc::clone(&progress),
            instruments,
            shown: live.shown.clone(),
        });
        let (registrar, asks) = Registrar::new();
        let (operator, orders) = Operator::new();
        let (refresher, refreshes) = Refresher::new();
        let parts = Self {
            ledger,
            authority,
            exchanges,
            catalogue,
            progress,
            clock,
            watch,
            registrar,
            operator,
            live,
            book,
            refresher,
        };
        Ok((parts, Asked { asks, orders, refreshes }))
    }

    fn drainer(&self) -> Drainer<JournalLedger, Client, MachineClock> {
        Drainer {
            ledger: Arc::clone(&self.ledger),
            catalogue: Arc::clone(&self.catalogue),
            authority: Arc::clone(&self.authority),
            clock: Arc::clone(&self.clock),
            progress: Arc::clone(&self.progress),
            lookout: Arc::clone(&self.watch.instruments.lookout),
            rules: self.live.sending.clone(),
            dice: wiring::dice,
        }
    }

    fn refreshing(&self) -> Refreshing<JournalLedger, Client, MachineClock> {
        Refreshing {
            ledger: Arc::clone(&self.ledger),
            authority: Arc::clone(&self.authority),
            clock: Arc::clone(&self.clock),
            progress: Arc::clone(&self.progress),
            rules: self.live.sending.clone(),
            book: self.book.clone(),
            catalogue: Arc::clone(&self.catalogue),
            dice: wiring::dice,
        }
    }

    fn keeping(&self) -> Keeping<JournalLedger, MachineClock> {
        Keeping {
            rules: self.live.taking.clone(),
            book: self.book.clone(),
            ledger: Arc::clone(&self.ledger),
            catalogue: Arc::clone(&self.catalogue),
            progress: Arc::clone(&self.progress),
            clock: Arc::clone(&self.clock),
        }
    }

    fn registering(
        &self,
        configured: Option<DeviceIdentity>,
    ) -> Registering<JournalLedger, Client, MachineClock> {
        Registering {
            registry: Arc::clone(&self.ledger),
            authority: Arc::clone(&self.authority),
            clock: Arc::clone(&self.clock),
            progress: Arc::clone(&self.progress),
            configured,
            pause: self.live.registrar_pause.clone(),
            dice: wiring::dice,
        }
    }

    fn reloading(&self, configuration: Configuration, guard: Guard) -> Reloading {
        Reloading {
            configuration,
            live: Arc::clone(&self.live),
            authority: Arc::clone(&self.authority),
            guard,
            ledger: Arc::clone(&self.ledger),
            progress: Arc::clone(&self.progress),
            refresher: self.refresher.clone(),
        }
    }

    /// Binds every socket, and answers on all of them.
    async fn serve(
        &self,
        settings: &Settings,
        (passed, boot): (Vec<PassedSocket>, u64),
        stopping: &watch::Receiver<bool>,
        attendance: &mut Attendance,
    ) -> Result<Served, StartError> {
        let printer = Arc::new(Printer {
            ledger: Arc::clone(&self.ledger),
            rules: self.live.sending.clone(),
            portal: settings.kra.portal.clone(),
            simulated: settings.kra.environment == Environment::Simulator,
        });
        let desk = Arc::new(Desk {
            taking: Taking {
                rules: self.live.taking.clone(),
                book: self.book.clone(),
                ledger: Arc::clone(&self.ledger),
                catalogue: Arc::clone(&self.catalogue),
                progress: Arc::clone(&self.progress),
                clock: Arc::clone(&self.clock),
                counters: Arc::clone(&self.watch.instruments.counters),
            },
            keeping: self.keeping(),
            refresher: self.refresher.clone(),
            watch: Arc::clone(&self.watch),
            portal: settings.kra.portal.clone(),
            printer: Arc::clone(&printer),
            registrar: self.registrar.clone(),
            boot,
        });
        let admin_desk = Arc::new(AdminDesk {
            ledger: Arc::clone(&self.ledger),
            keeping: self.keeping(),
            watch: Arc::clone(&self.watch),
            registrar: self.registrar.clone(),
            exchanges: Arc::clone(&self.exchanges) as Arc<dyn ApiLog>,
            operator: self.operator.clone(),
            printer,
        });
        let Sockets { till, admin } =
            sockets::bind(settings, passed, wiring::tls(settings)?.as_ref()).await?;
        let guard = sockets::guard(settings, &till, wiring::token(settings)?)?;
        let counters = Arc::clone(&self.watch.instruments.counters);
        let limits = Limits { counters, ..wiring::limits(settings) };
        let mut servers = JoinSet::new();
        for listener in till {
            info!(name: "listening", address = %listener, "listening for registers");
            let desk = Arc::clone(&desk);
            let handler = move |request: Request| {
                let desk = Arc::clone(&desk);
                async move { desk.answer(request).await }
            };
            let server = serve(listener, limits.clone(), guard.clone(), handler, stopping.clone());
            servers.spawn(attended(server, attendance.watch("till API")));
        }
        let handler = move |request: Request| {
            let desk = Arc::clone(&admin_desk);
            async move { desk.answer(request).await }
        };
        let server = serve(admin, Limits::default(), Guard::local(), handler, stopping.clone());
        servers.spawn(attended(server, attendance.watch("admin socket")));
        let lines = ports::start(settings, &desk, &self.watch.instruments.ports, stopping, &mut servers);
        Ok(Served { servers, lines, guard })
    }
}

/// Who answers registers and technicians.
struct Served {
    /// They end once everybody was answered after a stop.
    servers: JoinSet<()>,
    /// The serial ports; they end when this is dropped.
    lines: JoinSet<()>,
    guard: Guard,
}

/// Each step of opening the store may take so long, whatever the service manager's patience with a start is.
const STEP: Duration = Duration::from_secs(90);

/// The store, and which start of it this is.
async fn open_store(settings: &Settings) -> Result<(Store, u64), StartError> {
    let dir = settings.state_dir.clone();
    let options = wiring::store_options(settings)?;
    let opened = tokio::task::spawn_blocking(move || {
        let mut last = None;
        let opened = Store::open(&dir, options, &mut |progress| {
            Notify::Extend(STEP).send();
            if last != Some(progress.step) {
                info!(step = ?progress.step, total = progress.total, "opening the store");
                last = Some(progress.step);
            }
        })?;
        clock::learn(newest_trusted_ms(&opened.0));
        Ok::<_, OpenError>(opened)
    });
    let (store, report) =
        opened.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
    tell_opened(&report, &settings.state_dir);
    Ok((store, report.epoch))
}

fn tell_opened(report: &OpenReport, dir: &Path) {
    let dir = dir.display();
    if report.created {
        info!(name: "store_made", %dir, "an empty store was made");
    }
    if let Some(cut) = &report.cut {
        warn!(
            name: "torn_write_cut",
            segment = cut.segment,
            offset = cut.offset,
            "the last write was cut off by a power cut; nothing of it was acknowledged"
        );
    }
    if let Some(why) = &report.rebuilt {
        warn!(name: "index_rebuilt", why, "the queue's index was made anew from the journal");
    }
    if let Some(path) = &report.quarantined {
        warn!(name: "index_rebuilt", path = %path.display(), "the index that was not trusted is kept there");
    }
    for damage in &report.damage {
        error!(
            name: "journal_damaged",
            %damage,
            "the journal is damaged in finished records: run `etims-gateway verify`"
        );
    }
    info!(name: "store_open", %dir, start = report.epoch, replayed = report.replayed, "store open");
}

/// What is written down before anybody is served; the device that is to be registered.
async fn prepare(
    configuration: &Configuration,
    ledger: &JournalLedger,
) -> Result<Option<DeviceIdentity>, StartError> {
    let configured = prepare_device(&configuration.loaded.settings, ledger).await?;
    if let Err(error) = ledger.note_configuration(&configuration.loaded.digests(), "start").await {
        error!(%error, "the configuration of this start could not be written into the log");
    }
    Ok(configured)
}

/// What is known of the device before the first register is served. What cannot be written down now is tried again
/// by the registrar: it is no reason to take no sales. The device that is to be registered, where the configuration says.
async fn prepare_device(
    settings: &Settings,
    ledger: &JournalLedger,
) -> Result<Option<DeviceIdentity>, StartError> {
    if let Err(error) = finish_registration(ledger).await {
        error!(
            name: "device_waits",
            %error,
            "KRA's answer to the device's registration waits: it could not be read to its end"
        );
    }
    tell_first_number(settings.device.next_invc_no, ledger);
    let Some(configured) = wiring::configured_device(settings) else { return Ok(None) };
    let device = ledger.device();
    if let Some(known) = device.identity().filter(|known| **known != configured)
        && ledger.instead_of().as_ref() == Some(&configured)
    {
        warn!(
            name: "device_differs",
            configured = %configured.serial, serial = %known.serial,
            "the configuration still has the serial number that was put right: correct device.serial_number"
        );
        return Ok(Some(known.clone()));
    }
    if let Some(known) = device.identity().filter(|known| **known != configured)
        && (device.registration().is_some() || ledger.has_documents())
    {
        let words = |it: &DeviceIdentity| format!("{}, branch {}, serial {}", it.tin, it.bhf_id, it.serial);
        return Err(StartError::OtherDevice { configured: words(&configured), registered: words(known) });
    }
    if let Err(error) = expect_device(&configured, ledger).await {
        error!(name: "device_waits", %error, "the configured device cannot be written down yet");
    }
    Ok(Some(configured))
}

/// `device.next_invc_no` counts once, when the device is registered.
fn tell_first_number(configured: u64, ledger: &JournalLedger) {
    // 1 is also what stands there when nothing does.
    if let Some(begun_with) = ledger.first_number().filter(|it| *it != configured && configured != 1) {
        warn!(
            name: "first_number_unused",
            configured,
            begun_with,
            next = ledger.next_number(),
            "device.next_invc_no is not used any more: this device's series began with another number, and goes on from \
             what KRA has; `etims-gateway series adopt` is the way to change it"
        );
    }
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
