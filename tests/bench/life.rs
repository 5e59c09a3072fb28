//! Six years of a till in a minute or two: 200,000 sales come, are bound and signed, their segments are compressed and
//! retired, a few are never finished and taken along. Prints what the store takes on the disk and in memory meanwhile, and
//! how it starts afterwards, with its index and without. The clock is an artificial one: sixteen minutes a sale.
//!
//! `cargo bench --bench life`; `cargo bench --bench life -- SALES` for another number.

#![allow(clippy::print_stdout, reason = "a benchmark prints its result")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run may stop")]

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use etims_gateway::store::{
    Binding, Committed, Effect, Kind, NewRecord, Options, Seq, Signer, Stamp, Status, Store, verify,
};

const SALES: u64 = 200_000;
/// Sales that are under way at a time, and commits that wait at a time.
const LIVE: u64 = 256;
const AT_ONCE: usize = 16;
/// One sale in so many is parked and stays.
const PARKED: u64 = 20_000;
const MINUTE: i64 = 60_000;

/// 1 January 2020.
static WALL: AtomicI64 = AtomicI64::new(1_577_836_800_000);

fn clock() -> Stamp {
    let wall_ms = WALL.load(Ordering::Relaxed);
    Stamp { wall_ms, boot: [1; 16], monotonic_ms: wall_ms.unsigned_abs(), synchronised: true }
}

fn options() -> Options {
    Options {
        create: true,
        max_documents: u64::MAX,
        retention: Some(Duration::from_secs(1830 * 86_400)),
        // The pauses are of the artificial clock, or of no time at all.
        retire_pause: Duration::from_millis(1),
        upkeep_pause: Duration::from_millis(5),
        checkpoint_quiet: Duration::from_millis(200),
        ..Options::new(clock)
    }
}

/// As the gateway writes them, so that they compress as they do in a shop.
fn sale(signer: &Signer, number: u64) -> NewRecord {
    let price = 50 + number * 7919 % 9000;
    let total = format!("{price}.00");
    let tax = format!("{}.{:02}", price * 16 / 116, number % 100);
    let line = |item: u64| {
        format!(
            r#"{{"item_code":"KE2NTBA{:07}","item_class":"50161509","name":"Item {item} of the shelf","package_unit":"NT","packages":"1.00","quantity_unit":"BA","quantity":"1.00","price":"{total}","supply":"{total}","discount_rate":"0.00","discount":"0.00","tax_type":"B","taxable":"{total}","tax":"{tax}","total":"{total}"}}"#,
            item * 31 % 5000
        )
    };
    let body = format!(
        r#"{{"device":{{"tin":"P051234567Z","bhf_id":"00","serial":"dvcv1130"}},"trader_ref":"T1-{number:08}","receipt_type":"S","sales_type":"N","payment_type":"01","confirmed_at":"{}","confirmed_by":"gateway","lines":[{},{},{}],"by_tax_type":[["0.00","0.00","0.00"],["16.00","{total}","{tax}"],["0.00","0.00","0.00"],["0.00","0.00","0.00"],["8.00","0.00","0.00"]],"total_taxable":"{total}","total_tax":"{tax}","total":"{total}"}}"#,
        20_200_101_000_000 + number,
        line(number),
        line(number + 17),
        line(number * 3)
    );
    let mut content = [0; 32];
    content[..8].copy_from_slice(&number.to_be_bytes());
    let effect = Effect::Document { key: format!("T1-{number:08}"), content, queued: true, credits: None };
    let mut record = record(Kind::Sale, effect, body.into_bytes());
    let bytes =
        Signer::document_bytes(record.kind, &record.stamp, &record.origin, &record.effect, &record.body);
    record.signature = Some(signer.sign(&bytes));
    record
}

fn record(kind: Kind, effect: Effect, body: Vec<u8>) -> NewRecord {
    NewRecord { kind, stamp: clock(), origin: "life".into(), effect, body, signature: None }
}

fn bind(document: Seq, number: u64, sale: &[u8]) -> NewRecord {
    let request = String::from_utf8_lossy(sale).replace('"', "\\\"");
    let body = format!(
        r#"{{"invoice_no":{number},"original_invoice_no":0,"confirmed_at":"20200101000000","function":"saveTrnsSalesOsdc","format":"json","key_at":60,"request":"{request}"}}"#
    );
    record(Kind::Bind, Effect::Bound { document, number }, body.into_bytes())
}

fn outcome(document: Seq, number: u64, status: Status) -> NewRecord {
    let issued = issued_at(clock().wall_ms);
    let body = format!(
        r#"{{"proof":{{"receipt_no":{number},"total_receipt_no":{number},"internal_data":"{:026X}","signature":"{:016X}","issued_at":"{issued}"}},"words":{{}}}}"#,
        u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835),
        number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    );
    let sign = format!("{:016X}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let binding = if status == Status::Signed { Binding::Used { sign } } else { Binding::Keep };
    let effect = Effect::Moved { document, status, attempts: 0, unsure_sends: 0, binding };
    let body = if status == Status::Signed {
        body.into_bytes()
    } else {
        b"{\"words\":{\"message\":\"no\"}}".to_vec()
    };
    record(Kind::Outcome, effect, body)
}

/// KRA's 14 digits, in Nairobi.
fn issued_at(wall_ms: i64) -> String {
    let seconds = wall_ms / 1000 + 3 * 3600;
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Civil from days (Howard Hinnant).
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (day, month) = (doy - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
    let year = yoe + era * 400 + i64::from(month <= 2);
    format!("{year:04}{month:02}{day:02}{:02}{:02}{:02}", of_day / 3600, of_day / 60 % 60, of_day % 60)
}

async fn commit_all(store: &Store, records: Vec<NewRecord>) -> Vec<Seq> {
    let mut committed = Vec::new();
    let mut records = records.into_iter().peekable();
    while records.peek().is_some() {
        let tasks: Vec<_> = records
            .by_ref()
            .take(AT_ONCE)
            .map(|record| {
                let store = store.clone();
                tokio::spawn(async move { store.commit(vec![record]).await.unwrap() })
            })
            .collect();
        for task in tasks {
            match &task.await.unwrap()[0] {
                Committed::New { seq, .. } => committed.push(*seq),
                Committed::Known(entry) => panic!("known: {entry:?}"),
            }
        }
    }
    committed
}

fn churn(dir: &Path, sales: u64) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    let (store, _) = Store::open(dir, options(), &mut |_| {}).unwrap();
    println!("sales   plain  packed   journal MiB  sled KiB  RSS MiB (peak)  first record  seconds");
    let begun = Instant::now();
    let mut number = 0;
    while number < sales {
        let numbers: Vec<u64> = (number + 1..=number + LIVE).collect();
        number += LIVE;
        let new: Vec<_> = numbers.iter().map(|number| sale(&store.signer(), *number)).collect();
        let bodies: Vec<_> = new.iter().map(|record| record.body.clone()).collect();
        let documents = runtime.block_on(commit_all(&store, new));
        let binds = documents.iter().zip(&numbers).zip(&bodies);
        let binds = binds.map(|((document, number), body)| bind(*document, *number, body)).collect();
        runtime.block_on(commit_all(&store, binds));
        let outcomes = documents.iter().zip(&numbers).map(|(document, number)| {
            let status = if number % PARKED == 1 { Status::Parked } else { Status::Signed };
            outcome(*document, *number, status)
        });
        runtime.block_on(commit_all(&store, outcomes.collect()));
        WALL.fetch_add(16 * MINUTE * i64::try_from(LIVE).unwrap(), Ordering::Relaxed);
        if number % 25_600 == 0 || number >= sales {
            tell(&store, dir, number, begun);
        }
    }
    // What is due is done, without new sales.
    std::thread::sleep(Duration::from_secs(15));
    tell(&store, dir, number, begun);
    runtime.block_on(store.close());
    std::fs::write(dir.join("clock"), WALL.load(Ordering::Relaxed).to_string()).unwrap();
}

fn tell(store: &Store, dir: &Path, number: u64, begun: Instant) {
    let mut files = [0u64; 2];
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir.join("journal")).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        files[usize::from(name.ends_with(".pack"))] +=
            u64::from(name.ends_with(".log") || name.ends_with(".pack"));
        bytes += entry.metadata().map_or(0, |file| file.len());
    }
    let sled = std::fs::metadata(dir.join("sled/db")).map_or(0, |file| file.len());
    println!(
        "{number:6}  {:5}  {:6}  {:12}  {:8}  {:7} ({})  {:12}  {:7}",
        files[0],
        files[1],
        bytes >> 20,
        sled >> 10,
        memory("VmRSS"),
        memory("VmHWM"),
        store.first_seq(),
        begun.elapsed().as_secs()
    );
}

/// MiB, from the kernel.
fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() >> 10
}

fn open(dir: &Path) {
    let wall = std::fs::read_to_string(dir.join("clock")).unwrap().parse().unwrap();
    WALL.store(wall, Ordering::Relaxed);
    let begun = Instant::now();
    let (store, report) = Store::open(dir, options(), &mut |_| {}).unwrap();
    let opened = begun.elapsed();
    let begun = Instant::now();
    assert!(store.find("a key that nobody has").unwrap().is_none());
    let unknown = begun.elapsed();
    let checked = memory("VmRSS");
    // Every tenth of the newest keys, finished long ago or not.
    let begun = Instant::now();
    let mut found = 0;
    for number in (1..SALES).step_by(10) {
        if let Some(entry) = store.find(&format!("T1-{number:08}")).unwrap() {
            assert!(!store.read(entry.at).unwrap().body.is_empty());
            found += 1;
        }
    }
    println!(
        "  opened in {} ms (replayed {}, rebuilt {:?}, compacted {:?}, damage {}); a new key is known to be new after {} ms; \
         {found} finished sales read in {} ms; unfinished {}; RSS {checked} MiB once the keys were checked, now {}, peak {}",
        opened.as_millis(),
        report.replayed,
        report.rebuilt,
        report.compacted,
        report.damage.len(),
        unknown.as_millis(),
        begun.elapsed().as_millis(),
        store.unfinished(None, usize::MAX).unwrap().len(),
        memory("VmRSS"),
        memory("VmHWM")
    );
}

fn check(dir: &Path) {
    let begun = Instant::now();
    let report = verify(dir, None, &mut |_| {}).unwrap();
    println!(
        "  verified records {} to {} in {} segments, {} sales: {} ms, peak {} MiB",
        report.first.0,
        report.last.0,
        report.segments,
        report.sales,
        begun.elapsed().as_millis(),
        memory("VmHWM")
    );
}

fn main() {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["churn", dir, sales] => churn(Path::new(dir), sales.parse().unwrap()),
        ["open", dir] => open(Path::new(dir)),
        ["check", dir] => check(Path::new(dir)),
        _ => {
            // On the disk that is to be measured: /tmp may be memory.
            let place = std::env::var_os("STORE_BENCH_DIR")
                .map_or_else(|| std::env::current_dir().unwrap(), Into::into);
            let dir = tempfile::tempdir_in(place).unwrap();
            let path = dir.path().join("store");
            let run = |what: &str, arguments: &[&str]| {
                println!("{what}:");
                let (command, rest) = arguments.split_first().unwrap();
                let child = Command::new(std::env::current_exe().unwrap())
                    .arg(command)
                    .arg(&path)
                    .args(rest)
                    .status();
                assert!(child.unwrap().success());
            };
            let sales = words.first().copied().unwrap_or("200000");
            run("churn", &["churn", sales]);
            run("a start", &["open"]);
            run("another start", &["open"]);
            std::fs::remove_dir_all(path.join("sled")).unwrap();
            run("a start without the index", &["open"]);
            run("verify", &["check"]);
        }
    }
}
