//! The store against the limit of its disk, in one run, in turns, as ratios: absolute numbers say little on a shared machine.
//!
//! The limit: append + fdatasync of 2 KiB (one 4 KiB block) into a zero-filled file at the same number of writers, each writer
//! a thread with blocks of its own, all in one file. The store: `Store::commit` of a sale with a body of 2 KiB, each signed by
//! its writer, a tokio task; the signature is in the rate, not in the latencies of a commit.
//!
//! `cargo bench --bench store -- start` measures instead how a store with 100,000 waiting sales starts.

#![allow(clippy::print_stdout, reason = "a benchmark prints its result")]
#![allow(clippy::float_arithmetic, reason = "ratios of times are not money")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run may stop")]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use etims_gateway::store::{Effect, Kind, NewRecord, Options, Signer, Stamp, Store};

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_millis(1200);
const BLOCK: usize = 4096;
const BODY: usize = 2048;
const LIMIT_FILE: u64 = 64 << 20;

fn clock() -> Stamp {
    Stamp { wall_ms: 1_700_000_000_000, boot: [1; 16], monotonic_ms: 0, synchronised: true }
}

/// Commits a second, and latencies in microseconds.
struct Figures {
    rate: f64,
    p50: f64,
    p99: f64,
}

fn figures(mut latencies: Vec<Duration>, took: Duration) -> Figures {
    latencies.sort_unstable();
    let at = |percent: usize| latencies[(latencies.len() - 1) * percent / 100].as_secs_f64() * 1e6;
    let count = u32::try_from(latencies.len()).unwrap();
    Figures { rate: f64::from(count) / took.as_secs_f64(), p50: at(50), p99: at(99) }
}

fn zero_filled(path: &Path) -> File {
    let file = File::options().read(true).write(true).create_new(true).open(path).unwrap();
    let zeros = vec![0; 1 << 20];
    for at in (0..LIMIT_FILE).step_by(1 << 20) {
        file.write_all_at(&zeros, at).unwrap();
    }
    file.sync_all().unwrap();
    file
}

fn limit(file: &File, next: &AtomicU64, writers: usize) -> Figures {
    let mut block = [0; BLOCK];
    block[..BODY].fill(b'x');
    let begun = Instant::now();
    let latencies = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..writers)
            .map(|_| {
                scope.spawn(|| {
                    let mut latencies = Vec::new();
                    while begun.elapsed() < ROUND {
                        let start = Instant::now();
                        let at = next.fetch_add(4096, Ordering::Relaxed) % LIMIT_FILE;
                        file.write_all_at(&block, at).unwrap();
                        file.sync_data().unwrap();
                        latencies.push(start.elapsed());
                    }
                    latencies
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    figures(latencies, begun.elapsed())
}

fn sale(signer: &Signer, number: u64) -> NewRecord {
    let key = format!("BENCH-{number}");
    let mut sale = NewRecord {
        kind: Kind::Sale,
        stamp: clock(),
        origin: "bench".into(),
        effect: Effect::Document { key, content: [3; 32], queued: true, credits: None },
        body: vec![b'x'; BODY],
        signature: None,
    };
    let bytes = Signer::document_bytes(sale.kind, &sale.stamp, &sale.origin, &sale.effect, &sale.body);
    sale.signature = Some(signer.sign(&bytes));
    sale
}

async fn store(store: &Store, next: &Arc<AtomicU64>, writers: usize) -> Figures {
    let begun = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..writers {
        let (store, next) = (store.clone(), Arc::clone(next));
        tasks.spawn(async move {
            let signer = store.signer();
            let mut latencies = Vec::new();
            while begun.elapsed() < ROUND {
                let sale = sale(&signer, next.fetch_add(1, Ordering::Relaxed));
                let start = Instant::now();
                store.commit(vec![sale]).await.unwrap();
                latencies.push(start.elapsed());
            }
            latencies
        });
    }
    let latencies = tasks.join_all().await.into_iter().flatten().collect();
    figures(latencies, begun.elapsed())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

const WAITING: u64 = 100_000;

/// Opens the store in a fresh process, pages through everything that waits, and prints time and memory.
fn start_of_a_store(dir: &Path) {
    let options = Options { max_documents: u64::MAX, ..Options::new(clock) };
    let begun = Instant::now();
    let (store, report) = Store::open(dir, options, &mut |_| {}).unwrap();
    let opened = begun.elapsed();
    let mut after = None;
    let mut walked = 0;
    loop {
        let page = store.unfinished(after, 256).unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.seq);
        walked += page.len();
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let memory = |name: &str| status.lines().find(|line| line.starts_with(name)).unwrap_or(name).to_owned();
    println!(
        "  opened in {} ms, replayed {}, rebuilt {:?}; walked {walked}; {} {}",
        opened.as_millis(),
        report.replayed,
        report.rebuilt,
        memory("VmRSS"),
        memory("VmHWM")
    );
}

fn fill(path: &Path) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let options = Options { create: true, max_documents: u64::MAX, ..Options::new(clock) };
    let (opened, _) = Store::open(path, options, &mut |_| {}).unwrap();
    let next = Arc::new(AtomicU64::new(0));
    while opened.counts().waiting < WAITING {
        runtime.block_on(store(&opened, &next, 64));
    }
    runtime.block_on(opened.close());
}

fn measure_starts() {
    let dir = tempfile::tempdir_in(place()).unwrap();
    let path = dir.path().join("store");
    fill(&path);
    let run = |what: &str| {
        println!("{what}:");
        let child =
            std::process::Command::new(std::env::current_exe().unwrap()).arg("open").arg(&path).status();
        assert!(child.unwrap().success());
    };
    run("closed well");
    run("ended without a close");
    let bytes = std::fs::metadata(path.join("sled/db")).unwrap().len();
    println!("sled/db has {} KiB", bytes >> 10);
    std::fs::remove_dir_all(path.join("sled")).unwrap();
    run("index lost");
}

/// On the disk that is to be measured: /tmp may be memory.
fn place() -> std::path::PathBuf {
    std::env::var_os("STORE_BENCH_DIR").map_or_else(|| std::env::current_dir().unwrap(), Into::into)
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["open", dir] => start_of_a_store(Path::new(dir)),
        ["fill", dir] => fill(Path::new(dir)),
        ["start", ..] => measure_starts(),
        _ => compare(),
    }
}

fn compare() {
    let dir = tempfile::tempdir_in(place()).unwrap();
    let file = zero_filled(&dir.path().join("limit"));
    let block = AtomicU64::new(0);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let options = Options { create: true, max_documents: u64::MAX, ..Options::new(clock) };
    let (opened, _) = Store::open(&dir.path().join("store"), options, &mut |_| {}).unwrap();
    let next = Arc::new(AtomicU64::new(0));

    // An idle virtual processor sleeps deeply and wakes late: threads of the lowest priority keep them awake.
    let awake = AtomicBool::new(true);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                let _ = rustix::process::setpriority_process(None, 19);
                while awake.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        for writers in [1, 64] {
            let (mut rate, mut p50, mut p99) = (Vec::new(), Vec::new(), Vec::new());
            limit(&file, &block, writers);
            for _ in 0..ROUNDS {
                let limit = limit(&file, &block, writers);
                let store = runtime.block_on(store(&opened, &next, writers));
                rate.push(store.rate / limit.rate);
                p50.push(store.p50 / limit.p50);
                p99.push(store.p99 / limit.p99);
                println!(
                    "  {writers:2} writers: limit {:7.0}/s p50 {:6.0} us p99 {:6.0} us; store {:7.0}/s p50 {:6.0} us p99 {:6.0} us",
                    limit.rate, limit.p50, limit.p99, store.rate, store.p50, store.p99
                );
            }
            println!(
                "{writers:2} writers, store to limit: {:.2} of its commits a second, p50 {:.2} times, p99 {:.2} times",
                median(rate),
                median(p50),
                median(p99)
            );
        }
        awake.store(false, Ordering::Relaxed);
    });
    runtime.block_on(opened.close());
}
