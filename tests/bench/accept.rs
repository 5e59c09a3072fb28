//! Durable accepts through the whole gateway: a real daemon, registers on its Unix socket, KRA away. Each accept is
//! HTTP, JSON, checks, signature and one synced record; what is printed are ratios to what the disk gives (see
//! `limit`), measured in turns in the same run.

#![allow(clippy::print_stdout, reason = "a benchmark prints its result")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run may stop")]

mod limit;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use limit::{Awake, Limit, Round, median, ratio};

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_millis(1500);
const WARM_UP: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_secs(30);

/// Each sale of the run has a number of its own.
static NEXT_SALE: AtomicU64 = AtomicU64::new(1);

fn main() {
    // On the disk that the project is on: /tmp may be memory.
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let gateway = Gateway::start(directory.path());
    let limit = Limit::new(directory.path()).unwrap();
    let _awake = Awake::new();
    println!(
        "accepts through the whole gateway, against append + fdatasync by as many writers; medians of {ROUNDS} rounds"
    );
    for (registers, rate_aim, p99_aim) in [(1, "0.45", "3.00"), (64, "0.20", "-")] {
        let append = |_: usize| || limit.append();
        let accept = |_: usize| {
            let mut register = Register::connect(&gateway.socket);
            move || register.sell()
        };
        Round::run(registers, WARM_UP, append);
        Round::run(registers, WARM_UP, accept);
        let rounds: Vec<(Round, Round)> = (0..ROUNDS)
            .map(|_| (Round::run(registers, ROUND, append), Round::run(registers, ROUND, accept)))
            .collect();
        report(registers, &rounds, rate_aim, p99_aim);
    }
}

fn report(registers: usize, rounds: &[(Round, Round)], rate_aim: &str, p99_aim: &str) {
    let per_second = rounds.iter().map(|(limit, gateway)| {
        let (limit, gateway) = (limit.per_second(), gateway.per_second());
        (hundredths(gateway.into(), limit.into()), limit, gateway)
    });
    let (rate, limit, gateway) = median(per_second);
    let latency = |per_mille| {
        let of_both = rounds.iter().map(|(limit, gateway)| {
            let (limit, gateway) = (limit.at(per_mille), gateway.at(per_mille));
            (hundredths(gateway.as_nanos(), limit.as_nanos()), limit, gateway)
        });
        median(of_both)
    };
    let ((p50, p50_limit, p50_here), (p99, p99_limit, p99_here)) = (latency(500), latency(990));
    println!("{registers} register(s), KRA away");
    println!("  accepts a second  {} of the limit (aim {rate_aim})   {gateway} of {limit}", decimal(rate));
    println!(
        "  p50               {} times the limit's           {p50_here:.0?}, {p50_limit:.0?}",
        decimal(p50)
    );
    println!(
        "  p99               {} times the limit's (aim {p99_aim})  {p99_here:.0?}, {p99_limit:.0?}",
        decimal(p99)
    );
    if registers > 1 {
        let spread = median(rounds.iter().map(|(_, gateway)| {
            let each = gateway.each_at(990);
            let (slowest, middle) = (each[each.len() - 1], median(each.iter().copied()));
            (hundredths(slowest.as_nanos(), middle.as_nanos()), slowest, middle)
        }));
        let (spread, slowest, middle) = spread;
        println!(
            "  slowest register  its p99 is {} times the median register's (aim 10.00)  {slowest:.0?}, {middle:.0?}",
            decimal(spread)
        );
    }
}

fn hundredths(over: u128, under: u128) -> u128 {
    over * 100 / under.max(1)
}

fn decimal(hundredths: u128) -> String {
    ratio(hundredths, 100)
}

/// A register that keeps its connection.
struct Register {
    stream: UnixStream,
    answer: Vec<u8>,
}

impl Register {
    fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream, answer: Vec::new() }
    }

    /// Posts a sale and waits until it is accepted.
    fn sell(&mut self) {
        let number = NEXT_SALE.fetch_add(1, Ordering::Relaxed);
        let body = format!(
            "{{\"trdInvcNo\":\"BENCH-{number:08}\",\"totAmt\":\"414.00\",\"itemList\":[\
             {{\"itemCd\":\"KE2NTNO0000001\",\"itemClsCd\":\"5059690800\",\"itemNm\":\"Bread, white, 400 g\",\
             \"pkgUnitCd\":\"NT\",\"qtyUnitCd\":\"NO\",\"qty\":1,\"prc\":\"65.00\",\"taxTyCd\":\"C\"}},\
             {{\"itemCd\":\"KE2NTNO0000003\",\"itemClsCd\":\"5059690800\",\"itemNm\":\"Cooking oil, 1 l\",\
             \"pkgUnitCd\":\"NT\",\"qtyUnitCd\":\"NO\",\"qty\":1,\"prc\":\"349.00\",\"taxTyCd\":\"B\"}}]}}"
        );
        let (status, answer) = self.ask("POST /api/sales/", &body);
        assert_eq!(status, 202, "{answer}");
    }

    /// Status and body of the answer to a request.
    fn ask(&mut self, what: &str, body: &str) -> (u16, String) {
        let request = format!(
            "{what} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream.write_all(request.as_bytes()).unwrap();
        self.answer.clear();
        let mut piece = [0; 4096];
        loop {
            let length = self.stream.read(&mut piece).unwrap();
            assert!(length > 0, "the gateway hung up: {}", String::from_utf8_lossy(&self.answer));
            self.answer.extend_from_slice(&piece[..length]);
            if let Some(whole) = whole_answer(&self.answer) {
                return whole;
            }
        }
    }
}

/// Status and body, once all of the answer is there.
fn whole_answer(bytes: &[u8]) -> Option<(u16, String)> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    })?;
    (body.len() >= length).then(|| (status, body.to_owned()))
}

/// A gateway whose device was registered before KRA went away.
struct Gateway {
    child: Child,
    socket: PathBuf,
}

impl Gateway {
    fn start(directory: &Path) -> Self {
        let kra = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let socket = directory.join("till.sock");
        let config = directory.join("config.toml");
        let settings = format!(
            "state_dir = {:?}\n[kra]\nenvironment = \"simulator\"\nbase_url = \"http://{kra}/etims-api\"\n\
             [http]\nlisten = []\n[unix]\npath = {socket:?}\n[admin]\npath = {:?}\n[sales]\nrealtime_wait = \"0s\"\n\
             [storage]\nmax_documents = 10000000\nmin_free = \"8MiB\"\n[log]\nlevel = \"warn\"\nformat = \"text\"\n",
            directory.join("state"),
            directory.join("admin.sock"),
        );
        std::fs::write(&config, settings).unwrap();
        let start = |words: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_etims-gateway"));
            command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()
        };
        let mut simulator = start(&["simulator", "--listen", &kra]);
        let child = start(&["run", "--config", config.to_str().unwrap()]);
        let gateway = Self { child, socket };
        let deadline = Instant::now() + PATIENCE;
        let device = r#"{"tin":"P000000000A","bhfId":"00","serialNumber":"BENCH-1"}"#;
        loop {
            let is_registered = UnixStream::connect(&gateway.socket).is_ok() && {
                Register::connect(&gateway.socket).ask("POST /api/device/init/", device).0 == 200
            };
            if is_registered {
                break;
            }
            assert!(Instant::now() < deadline, "the device was not registered");
            thread::sleep(Duration::from_millis(20));
        }
        simulator.kill().unwrap();
        simulator.wait().unwrap();
        gateway
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
