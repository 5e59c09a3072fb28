//! What the disk gives: append + fdatasync of 2 KiB, each in a 4 KiB block of its own, in one zero-filled file, at the
//! same number of writers, each a thread. Every ratio that is printed is to this, measured in turns in the same run.

#![allow(clippy::print_stdout, reason = "a benchmark says what is amiss")]
#![allow(dead_code, reason = "each benchmark takes what it needs")]

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes that a record takes on disk.
const BLOCK: usize = 4096;

/// Bytes of it that are not padding.
const RECORD: usize = 2048;

/// Bytes of the zero-filled file; writing begins again at its start.
const FILE: usize = 64 << 20;

/// How long each of a number of writers took for each of its writes.
pub(crate) struct Round {
    /// Each writer's times, sorted.
    pub(crate) writers: Vec<Vec<Duration>>,
    /// From the first start to the last end.
    pub(crate) took: Duration,
}

impl Round {
    /// Runs so many writers at once, each with its own `write`, for about this long.
    pub(crate) fn run<W>(writers: usize, long: Duration, write: impl Fn(usize) -> W + Sync) -> Self
    where
        W: FnMut(),
    {
        let over = AtomicBool::new(false);
        let gate = std::sync::Barrier::new(writers + 1);
        thread::scope(|scope| {
            let handles: Vec<_> = (0..writers)
                .map(|writer| {
                    let (over, gate, write) = (&over, &gate, &write);
                    scope.spawn(move || {
                        let mut write = write(writer);
                        let mut times = Vec::new();
                        gate.wait();
                        while !over.load(Ordering::Relaxed) {
                            let began = Instant::now();
                            write();
                            times.push(began.elapsed());
                        }
                        times.sort_unstable();
                        times
                    })
                })
                .collect();
            gate.wait();
            let began = Instant::now();
            thread::sleep(long);
            over.store(true, Ordering::Relaxed);
            let writers =
                handles.into_iter().map(|handle| handle.join().expect("a writer panicked")).collect();
            Self { writers, took: began.elapsed() }
        })
    }

    /// Writes in a second.
    pub(crate) fn per_second(&self) -> u64 {
        let writes: usize = self.writers.iter().map(Vec::len).sum();
        let writes = u128::try_from(writes).expect("a count fits");
        u64::try_from(writes * 1_000_000_000 / self.took.as_nanos().max(1)).expect("a rate fits")
    }

    /// The time that so many of a thousand writes did not exceed.
    pub(crate) fn at(&self, per_mille: usize) -> Duration {
        let mut all: Vec<Duration> = self.writers.iter().flatten().copied().collect();
        all.sort_unstable();
        quantile(&all, per_mille)
    }

    /// The same for each writer alone, sorted.
    pub(crate) fn each_at(&self, per_mille: usize) -> Vec<Duration> {
        let mut each: Vec<Duration> = self.writers.iter().map(|times| quantile(times, per_mille)).collect();
        each.sort_unstable();
        each
    }
}

/// The value at so many of a thousand of sorted values; zero of none.
pub(crate) fn quantile(sorted: &[Duration], per_mille: usize) -> Duration {
    let place = (sorted.len() * per_mille / 1000).min(sorted.len().saturating_sub(1));
    sorted.get(place).copied().unwrap_or_default()
}

/// The middle one of some values.
pub(crate) fn median<T: Ord + Copy>(values: impl IntoIterator<Item = T>) -> T {
    let mut values: Vec<T> = values.into_iter().collect();
    values.sort_unstable();
    values[values.len() / 2]
}

/// `over / under` with two decimals.
pub(crate) fn ratio(over: u128, under: u128) -> String {
    let hundredths = over * 100 / under.max(1);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// The file that the limit is measured on.
pub(crate) struct Limit {
    file: File,
    next: AtomicUsize,
}

impl Limit {
    /// Makes and fills the file in `directory`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn new(directory: &Path) -> io::Result<Self> {
        let path = directory.join("limit");
        let mut file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        file.write_all(&vec![0; FILE])?;
        file.sync_all()?;
        Ok(Self { file, next: AtomicUsize::new(0) })
    }

    /// Writes one record into a block of its own and syncs it.
    pub(crate) fn append(&self) {
        let mut block = [0; BLOCK];
        block[..RECORD].fill(0xA5);
        let at = self.next.fetch_add(1, Ordering::Relaxed) % (FILE / BLOCK) * BLOCK;
        let at = u64::try_from(at).expect("an offset fits");
        self.file.write_all_at(&block, at).expect("the limit's file takes what was written there before");
        self.file.sync_data().expect("the limit's file can be synced");
    }
}

/// Keeps the processors from falling asleep between two syncs, which on a virtual machine costs more than the sync
/// itself. At the idle policy, so that everything else goes before it at once: a niced thread would hold up whatever
/// wakes on its processor until the next tick.
pub(crate) struct Awake {
    spinners: Vec<Child>,
}

impl Awake {
    /// Begins to spin on each processor; where `chrt` (util-linux) is missing, says that figures may be worse.
    pub(crate) fn new() -> Self {
        // Ends by itself when this process is gone.
        let spin =
            "while kill -0 \"$1\" 2>/dev/null; do i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done; done";
        let ours = std::process::id().to_string();
        let start = |_| {
            let mut command = Command::new("chrt");
            command.args(["--idle", "0", "sh", "-c", spin, "sh", &ours]).stdin(Stdio::null()).spawn()
        };
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let spinners: Vec<Child> = (0..processors).map_while(|at| start(at).ok()).collect();
        if spinners.is_empty() {
            println!("chrt is not there: the processors may fall asleep, and figures be worse for it");
        }
        Self { spinners }
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        for spinner in &mut self.spinners {
            let _ = spinner.kill();
            let _ = spinner.wait();
        }
    }
}
