//! The log's one writer, on a thread of its own: nobody who speaks with KRA waits for it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::watch;
use tracing::{info, warn};

use super::files::{Files, directory};
use super::reader::read_page;
use super::row::Row;
use crate::gateway::ports::{ApiLog, LogPage};
use crate::wire::redact::Bodies;

/// Rows that may wait for the writer.
const WAITING_ROWS: usize = 1_024;
/// Bytes of bodies that may wait for the writer; beyond, rows are kept without theirs.
const WAITING_BYTES: usize = 4 << 20;

/// How large the log may get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of all its files together.
    pub max_size: u64,
    /// Below this much free space on its disk nothing is added: the room is for what KRA answers about sales.
    pub min_free: u64,
}

/// The log of exchanges with KRA.
#[derive(Debug)]
pub struct ExchangeLog {
    state_dir: PathBuf,
    rows: Mutex<Option<SyncSender<Row>>>,
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    newest: watch::Sender<u64>,
    waiting_bytes: AtomicUsize,
    lost: AtomicU64,
}

impl ExchangeLog {
    /// Goes on with the log in this state directory. What cannot be read or written there is no reason not to start.
    pub fn open(state_dir: &Path, bounds: Bounds) -> Self {
        let files = Files::open(directory(state_dir), bounds.max_size);
        let (sender, receiver) = sync_channel(WAITING_ROWS);
        let shared = Arc::new(Shared {
            newest: watch::Sender::new(files.next() - 1),
            waiting_bytes: AtomicUsize::new(0),
            lost: AtomicU64::new(0),
        });
        let writer = Writer {
            files,
            state_dir: state_dir.to_owned(),
            min_free: bounds.min_free,
            shared: Arc::clone(&shared),
            trouble: false,
        };
        let thread = std::thread::Builder::new().name("api-log".into()).spawn(move || writer.run(&receiver));
        let (rows, writer) = match thread {
            Ok(thread) => (Some(sender), Some(thread)),
            Err(error) => {
                warn!(
                    name: "api_log_lost",
                    %error,
                    "no thread for the log of exchanges with KRA: none are kept in this run"
                );
                (None, None)
            }
        };
        Self { state_dir: state_dir.to_owned(), rows: Mutex::new(rows), shared, writer: Mutex::new(writer) }
    }

    /// Keeps a row, or counts it as lost. Never waits.
    pub fn put(&self, mut row: Row) {
        let bytes = row.bodies.bytes();
        if self.shared.waiting_bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) > WAITING_BYTES
        {
            row.bodies = Bodies::default();
            self.shared.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let refused = match rows.as_ref() {
            Some(rows) => match rows.try_send(row) {
                Ok(()) => return,
                Err(TrySendError::Full(row) | TrySendError::Disconnected(row)) => row,
            },
            None => row,
        };
        self.shared.waiting_bytes.fetch_sub(refused.bodies.bytes(), Ordering::Relaxed);
        self.shared.lost.fetch_add(1, Ordering::Relaxed);
    }

    /// Writes what waits, and ends. Blocks as long as the disk does.
    pub fn close(&self) {
        drop(self.rows.lock().unwrap_or_else(PoisonError::into_inner).take());
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A panic there has been printed.
        let _ = writer.map(JoinHandle::join);
    }
}

impl ApiLog for ExchangeLog {
    fn page(&self, after: u64, sale: Option<&str>) -> io::Result<LogPage> {
        match read_page(&self.state_dir, after, sale) {
            // Nothing was said to KRA yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(LogPage { last: after, ..LogPage::default() })
            }
            other => other,
        }
    }

    fn newest(&self) -> watch::Receiver<u64> {
        self.shared.newest.subscribe()
    }

    fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }
}

struct Writer {
    files: Files,
    state_dir: PathBuf,
    min_free: u64,
    shared: Arc<Shared>,
    /// The last row could not be kept, and that was said.
    trouble: bool,
}

impl Writer {
    fn run(mut self, rows: &Receiver<Row>) {
        while let Ok(row) = rows.recv() {
            let waited = row.bodies.bytes();
            let written = self.write(&row);
            self.shared.waiting_bytes.fetch_sub(waited, Ordering::Relaxed);
            match written {
                Ok(n) => {
                    self.shared.newest.send_replace(n);
                    if std::mem::take(&mut self.trouble) {
                        let lost = self.shared.lost.load(Ordering::Relaxed);
                        info!(name: "api_log_goes_on", lost, "exchanges with KRA are logged again");
                    }
                }
                Err(error) => {
                    self.shared.lost.fetch_add(1, Ordering::Relaxed);
                    if !std::mem::replace(&mut self.trouble, true) {
                        warn!(
                            name: "api_log_lost",
                            %error,
                            "exchanges with KRA cannot be logged; sales are not affected"
                        );
                    }
                }
            }
        }
    }

    fn write(&mut self, row: &Row) -> io::Result<u64> {
        if let Ok(stat) = rustix::fs::statvfs(&self.state_dir)
            && stat.f_bavail.saturating_mul(stat.f_frsize) < self.min_free
        {
            return Err(io::Error::other("the disk is nearly full"));
        }
        let n = self.files.next();
        let line = row.line(n, self.files.longest());
        self.files.append(&line)?;
        Ok(n)
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
