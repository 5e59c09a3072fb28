//! Room made ahead by a thread of its own: zero-filled segments, because overwriting zeros is twice as fast as growing a
//! file and needs nothing of a full disk, and the reserve, which is given up when even that is used up.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::store::codec::length_u64;
use crate::store::disk::Disk;

/// How many stand ready.
const WANTED: usize = 2;
/// While there is no room, or after a failure, the next try comes this much later, or when something is taken.
const PAUSE: Duration = Duration::from_secs(5);
/// A spare is made only where it leaves so much for others, the index among them.
const LEFT_FREE: u64 = 4 << 20;
const CHUNK: usize = 64 << 10;
/// The reserve's file, in the journal's directory: full of zeros, really written.
pub(crate) const RESERVE: &str = "reserve";

/// What is to be kept ready.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Bytes of a segment.
    pub(crate) segment_size: u32,
    /// Bytes of the reserve, at least a segment; 0: none.
    pub(crate) reserve: u64,
    /// The reserve is made only where so much stays free beside it.
    pub(crate) min_free: u64,
}

/// The thread that makes them.
pub(crate) struct Spares {
    stock: Arc<Stock>,
    thread: Option<JoinHandle<()>>,
}

/// What stands ready.
pub(crate) struct Stock {
    plan: Plan,
    state: Mutex<State>,
    changed: Condvar,
    /// Zeros left in the segment that is being written, bytes.
    begun: AtomicU64,
}

#[derive(Default)]
struct State {
    ready: Vec<String>,
    reserve: bool,
    stopping: bool,
    /// Somebody took something: try at once, whatever went wrong before.
    wanted: bool,
}

/// What is to be made next.
enum Task {
    Reserve,
    Spare,
}

impl Spares {
    /// Starts the thread: it keeps what earlier runs left, if it is whole and all zero, and makes what is missing.
    pub(crate) fn start(disk: Arc<dyn Disk>, plan: Plan) -> io::Result<Self> {
        let stock = Arc::new(Stock::new(plan));
        let theirs = Arc::clone(&stock);
        let thread = std::thread::Builder::new()
            .name("store-spares".into())
            .spawn(move || theirs.keep_ready(&*disk))?;
        Ok(Self { stock, thread: Some(thread) })
    }

    /// No spares at all: every segment is grown.
    #[cfg(test)]
    pub(crate) fn none(plan: Plan) -> Self {
        Self { stock: Arc::new(Stock::new(Plan { reserve: 0, ..plan })), thread: None }
    }

    /// What stands ready, for those who watch.
    pub(crate) const fn stock(&self) -> &Arc<Stock> {
        &self.stock
    }

    /// The name of a segment that stands ready, if one does.
    pub(crate) fn take(&self) -> Option<String> {
        let mut state = self.stock.state();
        state.wanted = true;
        self.stock.changed.notify_all();
        state.ready.pop()
    }

    /// Whether the reserve stood ready; it is the caller's now, and made again once there is room.
    pub(crate) fn take_reserve(&self) -> bool {
        let mut state = self.stock.state();
        state.wanted = true;
        self.stock.changed.notify_all();
        std::mem::take(&mut state.reserve)
    }

    /// Waits until everything stands ready, or never will: the disk has failed.
    #[cfg(test)]
    pub(crate) fn wait_ready(&self, failed: impl Fn() -> bool) {
        let deadline = std::time::Instant::now() + Duration::from_secs(120);
        while self.stock.missing(&self.stock.state()).is_some() && !failed() {
            assert!(std::time::Instant::now() < deadline, "no spare in time");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Spares {
    fn drop(&mut self) {
        self.stock.state().stopping = true;
        self.stock.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed; there is nothing to add.
            let _ = thread.join();
        }
    }
}

/// Removes the reserve, so that its room is there for whoever needs it; whether there was one.
pub(crate) fn give_up_reserve(disk: &dyn Disk) -> io::Result<bool> {
    match disk.remove(RESERVE) {
        Ok(()) => disk.sync_names().map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

impl Stock {
    fn new(plan: Plan) -> Self {
        Self { plan, state: Mutex::default(), changed: Condvar::new(), begun: AtomicU64::new(0) }
    }

    /// Bytes that can be written without anything new from the disk.
    pub(crate) fn prepared(&self) -> u64 {
        let spares = length_u64(self.state().ready.len()) * u64::from(self.plan.segment_size);
        spares + self.begun.load(Ordering::Relaxed)
    }

    /// Whether a segment stands ready.
    pub(crate) fn spare_ready(&self) -> bool {
        !self.state().ready.is_empty()
    }

    /// Whether the reserve stands ready; `None`: none is wanted.
    pub(crate) fn reserve(&self) -> Option<bool> {
        (self.plan.reserve > 0).then(|| self.state().reserve)
    }

    /// What the reserve will take, where it does not stand ready.
    pub(crate) fn reserve_missing(&self) -> u64 {
        if self.state().reserve { 0 } else { self.plan.reserve }
    }

    /// So many zeros are left in the segment that is being written.
    pub(crate) fn begun(&self, left: u64) {
        self.begun.store(left, Ordering::Relaxed);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn missing(&self, state: &State) -> Option<Task> {
        if state.ready.len() < WANTED {
            Some(Task::Spare)
        } else if self.plan.reserve > 0 && !state.reserve {
            Some(Task::Reserve)
        } else {
            None
        }
    }

    fn keep_ready(&self, disk: &dyn Disk) {
        let mut next = match self.adopt(disk) {
            Ok(next) => next,
            Err(error) => {
                tracing::warn!(%error, "spare segments cannot be looked through; new ones are made");
                1_000_000
            }
        };
        let mut told = false;
        loop {
            let task = {
                let full = |state: &mut State| !state.stopping && self.missing(state).is_none();
                let mut state =
                    self.changed.wait_while(self.state(), full).unwrap_or_else(PoisonError::into_inner);
                if state.stopping {
                    return;
                }
                state.wanted = false;
                self.missing(&state)
            };
            let Some(task) = task else { continue };
            let (name, size, left) = match task {
                Task::Reserve => (RESERVE.to_owned(), self.plan.reserve, self.plan.min_free),
                Task::Spare => (format!("spare-{next}"), u64::from(self.plan.segment_size), LEFT_FREE),
            };
            next += 1;
            // Filling up what little is left would take it from the index and from others.
            let fits = disk.free().is_ok_and(|free| free >= size.saturating_add(left));
            let made = if fits { self.make(disk, &name, size) } else { Ok(false) };
            match (made, &task) {
                (Ok(true), task) => {
                    let mut state = self.state();
                    match task {
                        Task::Reserve => state.reserve = true,
                        Task::Spare => state.ready.push(name),
                    }
                    drop(state);
                    self.changed.notify_all();
                    told = false;
                    continue;
                }
                (Ok(false), _) => {}
                (Err(error), _) => {
                    if !told {
                        tracing::warn!(
                            name: "no_room_ahead",
                            %error,
                            name,
                            "no room could be made ahead; tried again every few seconds"
                        );
                    }
                    told = true;
                    let _ = disk.remove(&making(&name));
                }
            }
            let idle = |state: &mut State| !state.stopping && !state.wanted;
            drop(self.changed.wait_timeout_while(self.state(), PAUSE, idle));
        }
    }

    /// Takes over what is whole and of the right length, removes the rest; the first free number.
    fn adopt(&self, disk: &dyn Disk) -> io::Result<u64> {
        let mut next = 1;
        for (name, length) in disk.list()? {
            if name.starts_with("making-") {
                disk.remove(&name)?;
            }
            let number = name.strip_prefix("spare-").and_then(|digits| digits.parse::<u64>().ok());
            let size = match number {
                Some(_) => u64::from(self.plan.segment_size),
                None if name == RESERVE => self.plan.reserve,
                None => continue,
            };
            next = next.max(number.unwrap_or(0) + 1);
            if length != size || !all_zero(disk, &name, size)? {
                disk.remove(&name)?;
                continue;
            }
            let mut state = self.state();
            match number {
                Some(_) => state.ready.push(name),
                None => state.reserve = true,
            }
            drop(state);
            self.changed.notify_all();
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
