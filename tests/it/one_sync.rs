//! One fdatasync for each commit group, and none missing before an answer: seen in the system calls of the daemon
//! itself, with strace.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Registers that post at the same time, and sales that each of them posts, one after the other.
const REGISTERS: usize = 8;
const SALES: usize = 12;

/// How long anything may take; everything is slow under strace.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn each_group_is_synced_once_and_before_its_answers() {
    if Command::new("strace").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        crate::harness::say_skipped(
            "SKIPPED: strace is not installed (apt-get install strace), so nobody has watched the syncs",
        );
        return;
    }
    let directory = tempfile::Builder::new().prefix("etims-sync-").tempdir().unwrap();
    let mut daemon = Daemon::start(directory.path());
    daemon.wait_until_it_takes_sales(&directory.path().join("till.sock"));
    let registers: Vec<_> = (0..REGISTERS)
        .map(|register| {
            let socket = directory.path().join("till.sock");
            thread::spawn(move || (0..SALES).map(|sale| post(&socket, register, sale)).collect::<Vec<_>>())
        })
        .collect();
    let posted: Vec<String> = registers.into_iter().flat_map(|register| register.join().unwrap()).collect();
    let trace = daemon.stop();
    let calls = parse(&trace);
    let groups = calls.iter().filter(|call| call.is_group()).count();
    let wrong = judge(&calls, &posted);
    assert!(wrong.is_empty(), "{wrong:#?}\nThe trace:\n{}", shortened(&trace));
    eprintln!("{} sales of {REGISTERS} registers: {groups} groups, each synced once", posted.len());
}

/// The daemon under strace, in a directory of its own, with nobody where KRA should be.
struct Daemon {
    child: Child,
    trace: std::path::PathBuf,
}

impl Daemon {
    fn start(directory: &Path) -> Self {
        let notify = UnixDatagram::bind(directory.join("notify.sock")).unwrap();
        notify.set_read_timeout(Some(PATIENCE)).unwrap();
        let config = directory.join("config.toml");
        let text = format!(
            "state_dir = {state:?}\n[device]\ntin = \"P051234567Z\"\nserial_number = \"TILL-0001\"\n\
             [kra]\nenvironment = \"custom\"\nbase_url = \"http://127.0.0.1:9/etims-api\"\n\
             [http]\nlisten = []\n[unix]\npath = {till:?}\n[admin]\npath = {admin:?}\n\
             [sales]\nrealtime_wait = \"0s\"\n[storage]\nmin_free = \"1MiB\"\nreserve = \"8MiB\"\n\
             [log]\nformat = \"text\"\n",
            state = directory.join("state"),
            till = directory.join("till.sock"),
            admin = directory.join("admin.sock"),
        );
        fs::write(&config, text).unwrap();
        let trace = directory.join("trace");
        // -D: the daemon is our child, and strace its grandchild's parent: a signal to the child reaches the daemon.
        let child = Command::new("strace")
            .args(["-D", "-f", "-y", "-s", "1048576", "-o"])
            .arg(&trace)
            .args(["-e", "trace=pwrite64,pwritev,pwritev2,write,writev,sendto,sendmsg,fdatasync,fsync"])
            .arg(env!("CARGO_BIN_EXE_etims-gateway"))
            .args(["run", "--config"])
            .arg(&config)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("NOTIFY_SOCKET", directory.join("notify.sock"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let daemon = Self { child, trace };
        let mut message = [0; 4096];
        loop {
            let length = notify.recv(&mut message).expect("the daemon says READY under strace");
            if message[..length].split(|byte| *byte == b'\n').any(|line| line == b"READY=1") {
                return daemon;
            }
        }
    }

    /// Until it has heard that nobody is where KRA should be, it may not know yet whose till it is.
    fn wait_until_it_takes_sales(&self, socket: &Path) {
        let deadline = Instant::now() + PATIENCE;
        while !ask(socket, "GET /api/device/status/ HTTP/1.1\r\n", "").contains("\"status\":\"pending\"") {
            assert!(Instant::now() < deadline, "the device never becomes pending");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops it cleanly and reads the trace to its end.
    fn stop(&mut self) -> String {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success(), "a clean stop");
        let end = format!("{} +++ exited with 0 +++", self.child.id());
        let deadline = Instant::now() + PATIENCE;
        loop {
            let trace = String::from_utf8_lossy(&fs::read(&self.trace).unwrap()).into_owned();
            if trace.lines().any(|line| line.split_whitespace().eq(end.split_whitespace())) {
                return trace;
            }
            assert!(Instant::now() < deadline, "strace does not end");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Posts a sale and waits for its answer; its number.
fn post(socket: &Path, register: usize, sale: usize) -> String {
    let number = format!("REG{register:02}-SALE{sale:03}");
    let body = format!(
        "{{\"trdInvcNo\":\"{number}\",\"itemList\":[{{\"itemCd\":\"KE2NTNO0000001\",\"itemClsCd\":\"5059690800\",\
         \"itemNm\":\"Bread\",\"pkgUnitCd\":\"NT\",\"qtyUnitCd\":\"NO\",\"qty\":1,\"prc\":65,\"taxTyCd\":\"C\"}}]}}"
    );
    let answer = ask(socket, "POST /api/sales/ HTTP/1.1\r\nContent-Type: application/json\r\n", &body);
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    number
}

fn ask(socket: &Path, head: &str, body: &str) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = body.len();
    write!(stream, "{head}Host: localhost\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// A system call, from the line where it began to the line where it ended.
#[derive(Debug)]
struct Call {
    name: String,
    text: String,
    result: String,
    began: usize,
    ended: usize,
}

impl Call {
    /// On a segment of the journal that is in use; spares and half-made ones have other names.
    fn is_on_journal(&self) -> bool {
        let Some((_, rest)) = self.text.split_once("/journal/") else { return false };
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        digits > 0 && rest[digits..].starts_with(".log>")
    }

    fn is_group(&self) -> bool {
        self.name.starts_with("pwrite") && self.is_on_journal()
    }

    fn is_sync(&self) -> bool {
        matches!(self.name.as_str(), "fdatasync" | "fsync") && self.is_on_journal()
    }

    fn is_answer_to(&self, number: &str) -> bool {
        matches!(self.name.as_str(), "write" | "writev" | "sendto" | "sendmsg")
            && self.text.contains("HTTP/1.1 202 ")
            && self.text.contains(&format!("\\\"{number}\\\""))
    }
}

/// Puts together what strace wrote in one line or, where another thread came between, in two.
fn parse(trace: &str) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut unfinished: BTreeMap<&str, (String, usize)> = BTreeMap::new();
    for (at, line) in trace.lines().enumerate() {
        let Some((thread, rest)) = line.trim_start().split_once(' ') else { continue };
        let rest = rest.trim_start();
        if let Some(begun) = rest.strip_suffix("<unfinished ...>") {
            unfinished.insert(thread, (begun.to_owned(), at));
            continue;
        }
        let (whole, began) = match rest.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>")) {
            Some((_, end)) => match unfinished.remove(thread) {
                Some((begun, began)) => (begun + end, began),
                None => continue,
            },
            None => (rest.to_owned(), at),
        };
        let Some((call, result)) = whole.rsplit_once(" = ") else { continue };
        let Some((name, _)) = call.split_once('(') else { continue };
        let (name, result) = (name.to_owned(), result.trim().to_owned());
        calls.push(Call { name, text: call.to_owned(), result, began, ended: at });
    }
    calls.sort_by_key(|call| call.began);
    calls
}

/// Says what is wrong: a group not synced exactly once before the next one is written, a sync that failed or has no
/// group, an answer before its sale was synced.
fn judge(calls: &[Call], posted: &[String]) -> Vec<String> {
    let groups: Vec<&Call> = calls.iter().filter(|call| call.is_group()).collect();
    let syncs: Vec<&Call> = calls.iter().filter(|call| call.is_sync()).collect();
    let mut wrong = Vec::new();
    if groups.is_empty() {
        wrong.push("no group was written".to_owned());
    }
    for (place, group) in groups.iter().enumerate() {
        let next = groups.get(place + 1).map_or(usize::MAX, |next| next.began);
        let count = syncs.iter().filter(|sync| sync.began > group.ended && sync.ended < next).count();
        if count != 1 {
            wrong.push(format!("the group written in line {} was synced {count} times", group.began + 1));
        }
    }
    if syncs.len() != groups.len() {
        wrong.push(format!("{} groups, but {} syncs", groups.len(), syncs.len()));
    }
    wrong.extend(
        syncs.iter().filter(|sync| sync.result != "0").map(|sync| format!("a sync failed: {sync:?}")),
    );
    for number in posted {
        let Some(group) = groups.iter().find(|group| group.text.contains(number.as_str())) else {
            wrong.push(format!("{number} is in no group"));
            continue;
        };
        let Some(answer) = calls.iter().find(|call| call.is_answer_to(number)) else {
            wrong.push(format!("{number} was not answered"));
            continue;
        };
        if !syncs
            .iter()
            .any(|sync| sync.began > group.ended && sync.ended < answer.began && sync.result == "0")
        {
            wrong.push(format!("{number} was answered in line {} before it was synced", answer.began + 1));
        }
    }
    wrong
}

/// The lines that matter, cut short.
fn shortened(trace: &str) -> String {
    let lines = trace.lines().enumerate();
    let matter = lines.filter(|(_, line)| line.contains("/journal/") || line.contains("HTTP/1.1"));
    matter.map(|(at, line)| format!("{}: {}\n", at + 1, line.chars().take(160).collect::<String>())).collect()
}

#[test]
fn a_trace_with_a_fault_is_found_out() {
    const WRITE: &str = "7 pwrite64(13</s/journal/0000000001.log>, \"..A-1..\", 4096, 4096) = 4096\n";
    const SYNC: &str = "7 fdatasync(13</s/journal/0000000001.log>) = 0\n";
    const BEGUN: &str = "7 fdatasync(13</s/journal/0000000001.log> <unfinished ...>\n";
    const ENDED: &str = "7 <... fdatasync resumed>)         = 0\n";
    const FAILED: &str = "7 fdatasync(13</s/journal/0000000001.log>) = -1 EIO (Input/output error)\n";
    const SPARE: &str = "8 fdatasync(14</s/journal/making-spare-2>) = 0\n";
    const ANSWER: &str =
        "9 sendto(14<socket:[3]>, \"HTTP/1.1 202 Accepted\\r\\n{\\\"trdInvcNo\\\":\\\"A-1\\\"}\", 9) = 9\n";
    for (lines, points) in [
        (&[WRITE, SYNC, ANSWER][..], 0),
        (&[WRITE, BEGUN, SPARE, ENDED, ANSWER], 0),
        (&[WRITE, BEGUN, ANSWER, ENDED], 1),
        (&[WRITE, ANSWER, SYNC], 1),
        (&[WRITE, SYNC, SYNC, ANSWER], 2),
        (&[WRITE, WRITE, SYNC, ANSWER], 2),
        (&[WRITE, ANSWER], 3),
        (&[WRITE, FAILED, ANSWER], 2),
        (&[WRITE, SPARE, ANSWER], 3),
        (&[WRITE, SYNC], 1),
        (&[], 2),
    ] {
        let trace = lines.concat();
        let wrong = judge(&parse(&trace), &["A-1".to_owned()]);
        assert_eq!(wrong.len(), points, "{trace}{wrong:#?}");
    }
}
