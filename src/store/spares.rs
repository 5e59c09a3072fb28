//! Zero-filled segments made ahead by a thread of their own: overwriting zeros is twice as fast as growing a file.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::store::codec::length_u64;
use crate::store::disk::Disk;

/// How many stand ready.
const WANTED: usize = 2;
/// After a failure (a full disk, usually) the next try comes this much later, or when a spare is taken.
const PAUSE: Duration = Duration::from_secs(30);
const CHUNK: usize = 64 << 10;

/// The spare segments and the thread that makes them.
pub(crate) struct Spares {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    ready: Vec<String>,
    stopping: bool,
    /// Somebody took one: try at once, whatever went wrong before.
    wanted: bool,
}

impl Spares {
    /// Starts the thread: it keeps what earlier runs left, if it is whole and all zero, and makes what is missing.
    pub(crate) fn start(disk: Arc<dyn Disk>, segment_size: u32) -> io::Result<Self> {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("store-spares".into())
            .spawn(move || theirs.keep_ready(&*disk, u64::from(segment_size)))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// No spares at all: every segment is grown.
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Self { shared: Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() }), thread: None }
    }

    /// The name of a segment that stands ready, if one does.
    pub(crate) fn take(&self) -> Option<String> {
        let mut state = self.shared.state();
        state.wanted = true;
        self.shared.changed.notify_all();
        state.ready.pop()
    }

    /// Whether one stands ready.
    pub(crate) fn ready(&self) -> bool {
        !self.shared.state().ready.is_empty()
    }

    /// Waits until one stands ready.
    #[cfg(test)]
    pub(crate) fn wait_ready(&self) {
        let state = self.shared.state();
        let waited = self
            .shared
            .changed
            .wait_timeout_while(state, Duration::from_secs(30), |state| state.ready.is_empty())
            .unwrap();
        assert!(!waited.1.timed_out(), "no spare in time");
    }
}

impl Drop for Spares {
    fn drop(&mut self) {
        self.shared.state().stopping = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed; there is nothing to add.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep_ready(&self, disk: &dyn Disk, size: u64) {
        let mut next = match self.adopt(disk, size) {
            Ok(next) => next,
            Err(error) => {
                tracing::warn!(%error, "spare segments cannot be looked through; new ones are made");
                1_000_000
            }
        };
        loop {
            {
                let state = self.state();
                let full = |state: &mut State| !state.stopping && state.ready.len() >= WANTED;
                let mut state = self.changed.wait_while(state, full).unwrap_or_else(PoisonError::into_inner);
                if state.stopping {
                    return;
                }
                state.wanted = false;
            }
            let name = format!("spare-{next}");
            next += 1;
            match self.make(disk, &name, size) {
                Ok(true) => {
                    self.state().ready.push(name);
                    self.changed.notify_all();
                }
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(%error, "no spare segment could be made; segments grow instead, which is slower");
                    let _ = disk.remove(&making(&name));
                    let idle = |state: &mut State| !state.stopping && !state.wanted;
                    let state = self.state();
                    drop(self.changed.wait_timeout_while(state, PAUSE, idle));
                }
            }
        }
    }

    /// Takes over whole spares of the right length, removes the rest; the first free number.
    fn adopt(&self, disk: &dyn Disk, size: u64) -> io::Result<u64> {
        let mut next = 1;
        for (name, length) in disk.list()? {
            if name.starts_with("making-") {
                disk.remove(&name)?;
            }
            let Some(number) = name.strip_prefix("spare-").and_then(|digits| digits.parse::<u64>().ok())
            else {
                continue;
            };
            next = next.max(number + 1);
            if length == size && all_zero(disk, &name, size)? {
                self.state().ready.push(name);
                self.changed.notify_all();
            } else {
                disk.remove(&name)?;
            }
        }
        Ok(next)
    }

    /// False: the store is being closed.
    fn make(&self, disk: &dyn Disk, name: &str, size: u64) -> io::Result<bool> {
        let unfinished = making(name);
        let file = disk.create(&unfinished)?;
        let zeros = vec![0; CHUNK];
        let mut at = 0;
        while at < size {
            if self.state().stopping {
                disk.remove(&unfinished)?;
                return Ok(false);
            }
            let chunk = &zeros[..usize::try_from(size - at).unwrap_or(CHUNK).min(CHUNK)];
            file.write_at(chunk, at)?;
            at += length_u64(chunk.len());
        }
        file.sync_data()?;
        disk.rename(&unfinished, name)?;
        disk.sync_names()?;
        Ok(true)
    }
}

fn making(name: &str) -> String {
    format!("making-{name}")
}

fn all_zero(disk: &dyn Disk, name: &str, size: u64) -> io::Result<bool> {
    let file = disk.open(name)?;
    let mut buffer = vec![0; CHUNK];
    let mut at = 0;
    while at < size {
        let read = file.read_at(&mut buffer, at)?;
        if read == 0 || buffer[..read].iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        at += length_u64(read);
    }
    Ok(true)
}
