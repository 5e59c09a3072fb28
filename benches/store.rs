//! The store against the limit of its disk, in one run, in turns, as ratios: absolute numbers say little on a shared machine.
//!
//! The limit: append + fdatasync of 2 KiB (one 4 KiB block) into a zero-filled file at the same number of writers, each writer
//! a thread with blocks of its own, all in one file. The store: `Store::commit` of a sale with a body of 2 KiB, each signed by
//! its writer, a tokio task.

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
        effect: Effect::Document { key, content: [3; 32], queued: true },
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
                let start = Instant::now();
                let sale = sale(&signer, next.fetch_add(1, Ordering::Relaxed));
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

fn main() {
    // On the disk that is to be measured: /tmp may be memory.
    let place =
        std::env::var_os("STORE_BENCH_DIR").map_or_else(|| std::env::current_dir().unwrap(), Into::into);
    let dir = tempfile::tempdir_in(place).unwrap();
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
