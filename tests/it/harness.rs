//! The real binary in a directory of its own: started, told to stop, killed, started again.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::kra::Kra;
use crate::till::Till;

/// The taxpayer, branch and device of every test.
pub(crate) const TIN: &str = "P051234567Z";
pub(crate) const BHF_ID: &str = "00";
pub(crate) const SERIAL: &str = "TILL-0001";

/// How long anything that must come may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The binary under test.
pub(crate) fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_etims-gateway"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).stdin(Stdio::null());
    command
}

/// Says, past the test runner's capture, that a test could not be run here.
pub(crate) fn say_skipped(why: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{why}");
}

/// Looks again and again until `look` finds something.
pub(crate) fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, look)
}

/// Looks again and again until `look` finds something, at most this long.
pub(crate) fn within<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A shop: a directory with a configuration, and what gateways leave there. Prints the journal when the test fails.
pub(crate) struct Shop {
    dir: TempDir,
    keys: RefCell<BTreeMap<String, String>>,
    env: BTreeMap<String, String>,
    starts: Cell<u32>,
    /// What starts the binary, if not the test itself.
    wrapper: RefCell<Vec<String>>,
}

impl Drop for Shop {
    fn drop(&mut self) {
        if thread::panicking() {
            let journal = self.journal();
            let lines: Vec<&str> = journal.lines().collect();
            let left_out = lines.len().saturating_sub(150);
            eprintln!("--- the gateway's journal ({left_out} lines left out):");
            for line in &lines[left_out..] {
                eprintln!("{line}");
            }
            eprintln!("--- end of the journal");
        }
    }
}

impl Shop {
    /// A shop whose device registers itself with this KRA.
    pub(crate) fn with(kra: &Kra) -> Shop {
        Shop::unregistered(kra)
            .set("device.tin", &format!("{TIN:?}"))
            .set("device.bhf_id", &format!("{BHF_ID:?}"))
            .set("device.serial_number", &format!("{SERIAL:?}"))
    }

    /// A shop whose device is not configured.
    pub(crate) fn unregistered(kra: &Kra) -> Shop {
        let shop = Shop::bare()
            .set("kra.base_url", &format!("{:?}", kra.base_url()))
            .set("kra.wire", &format!("{:?}", kra.wire().name()));
        match kra.certificate() {
            Some(file) => shop.set("kra.ca_file", &format!("{file:?}")),
            None => shop,
        }
    }

    /// A shop without a KRA: nothing listens where it should be.
    pub(crate) fn bare() -> Shop {
        let dir = tempfile::Builder::new().prefix("etims-it-").tempdir().unwrap();
        let (keys, env, wrapper) = (RefCell::default(), BTreeMap::new(), RefCell::default());
        let shop = Shop { dir, keys, env, starts: Cell::new(0), wrapper };
        let path = |name: &str| format!("{:?}", shop.path(name));
        let keys = [
            ("state_dir", path("state")),
            ("unix.path", path("till.sock")),
            ("admin.path", path("admin.sock")),
            ("http.listen", "[\"127.0.0.1:0\"]".to_owned()),
            ("kra.environment", "\"custom\"".to_owned()),
            ("kra.base_url", "\"http://127.0.0.1:9/etims-api\"".to_owned()),
            ("kra.connect_timeout", "\"1s\"".to_owned()),
            ("kra.request_timeout", "\"2s\"".to_owned()),
            ("delivery.backoff_initial", "\"50ms\"".to_owned()),
            ("delivery.backoff_max", "\"500ms\"".to_owned()),
            ("delivery.probe_max", "\"300ms\"".to_owned()),
            ("sales.realtime_wait", "\"15s\"".to_owned()),
            ("storage.min_free", "\"1MiB\"".to_owned()),
            ("storage.reserve", "\"8MiB\"".to_owned()),
            ("log.level", "\"debug\"".to_owned()),
            ("log.format", "\"text\"".to_owned()),
        ];
        shop.keys.borrow_mut().extend(keys.map(|(key, value)| (key.to_owned(), value)));
        shop
    }

    /// Sets a key of the configuration to a TOML value; it counts from the next start.
    pub(crate) fn set(self, key: &str, value: &str) -> Shop {
        self.change(key, value);
        self
    }

    /// Sets an environment variable of the gateway.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Shop {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Changes a key of the configuration; it counts from the next start.
    pub(crate) fn change(&self, key: &str, value: &str) {
        self.keys.borrow_mut().insert(key.to_owned(), value.to_owned());
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path("state")
    }

    /// Writes the configuration as it is now.
    pub(crate) fn config(&self) -> PathBuf {
        let text: String =
            self.keys.borrow().iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        let path = self.path("config.toml");
        fs::write(&path, text).unwrap();
        path
    }

    /// Starts the gateway and waits until it is ready.
    pub(crate) fn open(&self) -> Gateway {
        let mut gateway = self.spawn();
        gateway.wait_ready();
        gateway
    }

    /// Starts the gateway and waits until its device is registered.
    pub(crate) fn open_registered(&self) -> Gateway {
        let gateway = self.open();
        let till = self.till();
        eventually("the device is active", || {
            let status = till.get("/api/device/status/").expect(200);
            (status["status"] == "active").then_some(())
        });
        gateway
    }

    /// Starts the gateway and does not wait.
    pub(crate) fn spawn(&self) -> Gateway {
        let start = self.starts.get() + 1;
        self.starts.set(start);
        let notify = Notices::listen(&self.path(&format!("notify-{start}.sock")));
        let journal = File::create(self.path(&format!("journal-{start:03}.txt"))).unwrap();
        let child = self
            .wrapped()
            .current_dir(self.dir.path())
            .arg("run")
            .arg("--config")
            .arg(self.config())
            .env("NOTIFY_SOCKET", &notify.path)
            .env("RUST_BACKTRACE", "1")
            .envs(&self.env)
            .stdout(journal.try_clone().unwrap())
            .stderr(journal)
            .spawn()
            .unwrap();
        Gateway { child, notify, ended: None }
    }

    /// From the next start on the gateway is run by this command, which is given it and its arguments and must become it.
    pub(crate) fn run_in(&self, wrapper: &[String]) {
        *self.wrapper.borrow_mut() = wrapper.to_vec();
    }

    fn wrapped(&self) -> Command {
        let wrapper = self.wrapper.borrow();
        let Some((first, others)) = wrapper.split_first() else { return binary() };
        let mut command = Command::new(first);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).stdin(Stdio::null());
        command.args(others).arg(env!("CARGO_BIN_EXE_etims-gateway"));
        command
    }

    /// What the gateway wrote to its output so far, over all starts.
    pub(crate) fn journal(&self) -> String {
        (1..=self.starts.get())
            .map(|start| {
                let text = fs::read(self.path(&format!("journal-{start:03}.txt"))).unwrap_or_default();
                format!("=== start {start}\n{}", String::from_utf8_lossy(&text))
            })
            .collect()
    }

    /// A register on the Unix socket.
    pub(crate) fn till(&self) -> Till {
        Till::unix(&self.path("till.sock"))
    }

    /// Runs a command of the binary with this shop's configuration to its end.
    pub(crate) fn command(&self, args: &[&str]) -> Ended {
        self.long_command(args, PATIENCE)
    }

    /// One that may take longer than others.
    pub(crate) fn long_command(&self, args: &[&str], patience: Duration) -> Ended {
        let mut command = self.wrapped();
        command.current_dir(self.dir.path()).args(args).arg("--config").arg(self.config());
        run_for(command, patience)
    }
}

/// A command that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    /// Both outputs.
    pub(crate) fn text(&self) -> String {
        format!("{}{}", self.out, self.err)
    }

    #[track_caller]
    pub(crate) fn expect(&self, code: i32) -> &Ended {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

/// Runs a command to its end; one that takes too long is killed and fails the test.
pub(crate) fn run(command: Command) -> Ended {
    run_for(command, PATIENCE)
}

fn run_for(mut command: Command, patience: Duration) -> Ended {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = child.stdout.take().unwrap();
    let mut err = child.stderr.take().unwrap();
    let drain = |pipe: &mut dyn std::io::Read| {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    thread::scope(|scope| {
        let out = scope.spawn(move || drain(&mut out));
        let err = scope.spawn(move || drain(&mut err));
        let status = wait_for_end(&mut child, patience);
        let ended = |code| Ended { code, out: out.join().unwrap(), err: err.join().unwrap() };
        match status {
            Some(status) => ended(status.code()),
            None => {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("{command:?} did not end: {:#?}", ended(None));
            }
        }
    })
}

fn wait_for_end(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        if Instant::now() >= deadline {
            return None;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// A running gateway; killed when it goes out of scope.
pub(crate) struct Gateway {
    child: Child,
    notify: Notices,
    ended: Option<ExitStatus>,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if self.ended.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Gateway {
    /// Waits for READY; fails at once if the gateway ends instead.
    #[track_caller]
    pub(crate) fn wait_ready(&mut self) {
        if let Some(status) = self.ready_or_ended() {
            panic!("the gateway ended instead of getting ready: {status}");
        }
    }

    /// Waits until it is ready, or has ended instead.
    #[track_caller]
    pub(crate) fn becomes_ready(&mut self) -> bool {
        self.ready_or_ended().is_none()
    }

    /// Waits for READY; how the gateway ended if it did so instead.
    #[track_caller]
    fn ready_or_ended(&mut self) -> Option<ExitStatus> {
        within(PATIENCE, "the gateway says READY=1", || {
            if self.notify.said("READY=1") {
                return Some(None);
            }
            self.ended = self.child.try_wait().unwrap();
            self.ended.map(Some)
        })
    }

    /// What it told the service manager so far.
    pub(crate) fn notices(&self) -> Vec<String> {
        self.notify.all()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop, as the service manager does.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(pid(&self.child), signal).unwrap();
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn wait_end(&mut self, limit: Duration) -> ExitStatus {
        let Some(status) = wait_for_end(&mut self.child, limit) else {
            panic!("the gateway did not end within {limit:?}");
        };
        self.ended = Some(status);
        status
    }

    /// Stops it cleanly.
    #[track_caller]
    pub(crate) fn stop(mut self) {
        self.terminate();
        let status = self.wait_end(Duration::from_secs(15));
        assert_eq!(status.code(), Some(0), "a clean stop");
    }

    /// Kills it with no chance to do anything: a power cut, as far as a process can have one.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.ended = Some(self.child.wait().unwrap());
    }

    /// Where it listens over TCP.
    pub(crate) fn tcp(&self) -> SocketAddr {
        let listeners = listeners(self.pid());
        assert_eq!(listeners.len(), 1, "one TCP listener: {listeners:?}");
        listeners[0]
    }

    /// A register over TCP.
    pub(crate) fn till(&self) -> Till {
        Till::tcp(self.tcp())
    }
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap()
}

/// Every TCP address on which a process listens, as the kernel knows them.
pub(crate) fn listeners(pid: u32) -> Vec<SocketAddr> {
    let listening = |entry: &Socket| entry.state == "0A";
    ["tcp", "tcp6"]
        .iter()
        .flat_map(|table| sockets(pid, table))
        .filter(listening)
        .map(|it| it.local)
        .collect()
}

/// Every UDP socket of a process.
pub(crate) fn datagram_sockets(pid: u32) -> Vec<SocketAddr> {
    ["udp", "udp6"].iter().flat_map(|table| sockets(pid, table)).map(|it| it.local).collect()
}

/// One line of `/proc/PID/net/tcp` and the like.
struct Socket {
    local: SocketAddr,
    state: String,
}

fn sockets(pid: u32, table: &str) -> Vec<Socket> {
    let fds = fs::read_dir(format!("/proc/{pid}/fd")).map(|fds| fds.collect::<Vec<_>>()).unwrap_or_default();
    let inodes: Vec<String> = fds
        .into_iter()
        .filter_map(|fd| fs::read_link(fd.ok()?.path()).ok())
        .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let text = fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
    let lines = text.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines
        .filter(|fields| fields.len() > 9 && inodes.iter().any(|inode| inode == fields[9]))
        .map(|fields| Socket { local: socket_address(fields[1]), state: fields[3].to_owned() })
        .collect()
}

/// `0100007F:20FC`: each group of four bytes in the machine's own order.
fn socket_address(text: &str) -> SocketAddr {
    let (address, port) = text.split_once(':').unwrap();
    let groups: Vec<u8> = (0..address.len() / 8)
        .flat_map(|group| u32::from_str_radix(&address[group * 8..][..8], 16).unwrap().to_ne_bytes())
        .collect();
    let port = u16::from_str_radix(port, 16).unwrap();
    match <[u8; 4]>::try_from(groups.as_slice()) {
        Ok(four) => SocketAddr::from((four, port)),
        Err(_) => SocketAddr::from((<[u8; 16]>::try_from(groups.as_slice()).unwrap(), port)),
    }
}

/// The service manager's end of NOTIFY_SOCKET.
struct Notices {
    path: PathBuf,
    lines: Arc<Mutex<Vec<String>>>,
    over: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl Notices {
    fn listen(path: &Path) -> Notices {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let over = Arc::new(AtomicBool::new(false));
        let (kept, end) = (Arc::clone(&lines), Arc::clone(&over));
        let reader = thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            while !end.load(Ordering::Relaxed) {
                if let Ok(length) = socket.recv(&mut buffer) {
                    let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                    kept.lock().unwrap().extend(text.lines().map(str::to_owned));
                }
            }
        });
        Notices { path: path.to_owned(), lines, over, reader: Some(reader) }
    }

    fn said(&self, line: &str) -> bool {
        self.lines.lock().unwrap().iter().any(|said| said == line)
    }

    fn all(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }
}

impl Drop for Notices {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

/// Dice for tests that try their luck on purpose: every throw follows from a seed that is printed on failure.
pub(crate) struct Dice(u64);

impl Dice {
    /// From ETIMS_SEED, or from the clock.
    pub(crate) fn new() -> Dice {
        let clock =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos();
        let seed = std::env::var("ETIMS_SEED")
            .ok()
            .map_or(u64::from(clock), |seed| seed.parse().expect("ETIMS_SEED"));
        eprintln!("ETIMS_SEED={seed}");
        Dice(seed)
    }

    /// Dice of their own, for a thread.
    pub(crate) fn another(&mut self) -> Dice {
        Dice(self.below(u64::MAX))
    }

    /// A number below this one (splitmix64).
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % limit
    }
}

/// Copies a directory with all that is in it.
pub(crate) fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Every file below a directory.
pub(crate) fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(files_below(&entry.path()));
        } else if entry.file_type().unwrap().is_file() {
            found.push(entry.path());
        }
    }
    found
}

/// Makes from each `fn name(wire: Wire)` a test on the XML wire and one on the JSON wire.
macro_rules! on_both_wires {
    ($($name:ident),* $(,)?) => {
        mod xml {
            $(#[test] fn $name() { super::$name(crate::kra::Wire::Xml); })*
        }
        mod json {
            $(#[test] fn $name() { super::$name(crate::kra::Wire::Json); })*
        }
    };
}
pub(crate) use on_both_wires;
