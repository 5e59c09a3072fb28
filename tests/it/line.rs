//! The till's own line comes back: the kernel says so, and the gateway does not wait for its next probe.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::harness::{eventually, say_skipped, within};
use crate::till::Till;

/// A network of its own with nothing but loopback: a simulator and a gateway in it, and a cable that is pulled by a word.
const SCRIPT: &str = r#"
ip link set lo up || exit 1
mkfifo simulator
"$GATEWAY" simulator --listen 127.0.0.1:9443 >simulator 2>&1 &
first=$!
read -r listening <simulator
ip link set lo "$FIRST"
"$GATEWAY" run --config config.toml 2>gateway.log &
second=$!
echo started
while read -r state; do ip link set lo "$state" && echo "$state"; done
kill $first $second
wait
"#;

#[test]
fn the_kernels_news_starts_a_probe_at_once() {
    let directory = tempfile::tempdir().unwrap();
    configure(directory.path());
    let Some(mut network) = Network::start(directory.path(), "up") else { return };
    let till = Till::unix(&directory.path().join("till.sock"));
    eventually("the device is registered", || status(&till, "active"));
    network.say("down");
    till.sell_offline("PULLED");
    eventually("the gateway knows that KRA is away", || {
        (till.get("/health/").expect(200)["kra"] == "down").then_some(())
    });
    network.say("up");
    // The next probe by itself may be an hour away, and a connection begun on the dead line gives up after ten seconds.
    within(Duration::from_secs(5), "the sale is signed soon after the line came back", || {
        (till.state("PULLED")["status"] == "signed").then_some(())
    });
}

#[test]
fn a_till_that_was_switched_on_without_its_line_registers_when_the_line_comes() {
    let directory = tempfile::tempdir().unwrap();
    configure(directory.path());
    let Some(mut network) = Network::start(directory.path(), "down") else { return };
    let till = Till::unix(&directory.path().join("till.sock"));
    eventually("the gateway is there", || status(&till, "pending"));
    till.sell_offline("EARLY");
    network.say("up");
    within(Duration::from_secs(5), "the device is registered and its sale signed", || {
        (till.state("EARLY")["status"] == "signed").then_some(())
    });
}

fn status(till: &Till, expected: &str) -> Option<()> {
    let answer = till.ask("GET", "/api/device/status/", None).ok()?;
    (answer.expect(200)["status"] == expected).then_some(())
}

fn configure(directory: &Path) {
    let path = |name: &str| directory.join(name);
    let text = format!(
        "state_dir = {state:?}\n[device]\ntin = \"P051234567Z\"\nserial_number = \"TILL-0001\"\n\
         [kra]\nenvironment = \"custom\"\nbase_url = \"http://127.0.0.1:9443/etims-api\"\nwire = \"xml\"\n\
         [http]\nlisten = []\n[unix]\npath = {till:?}\n[admin]\npath = {admin:?}\n\
         [delivery]\nbackoff_initial = \"10m\"\nbackoff_max = \"1h\"\nprobe_max = \"1h\"\n",
        state = path("state"),
        till = path("till.sock"),
        admin = path("admin.sock"),
    );
    fs::write(path("config.toml"), text).unwrap();
}

struct Network {
    script: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// What the gateway says; shown when the test fails.
    journal: PathBuf,
}

impl Network {
    /// `first`: how the cable is when the gateway starts. `None`, and said: it cannot be made here.
    fn start(directory: &Path, first: &str) -> Option<Self> {
        let network = Self::try_start(directory, first);
        if network.is_none() {
            say_skipped(
                "SKIPPED: no network namespace can be made here (unshare, ip), so no cable was pulled",
            );
        }
        network
    }

    fn try_start(directory: &Path, first: &str) -> Option<Self> {
        let mut script = Command::new("unshare")
            .args(["--user", "--map-root-user", "--net", "sh", "-c", SCRIPT])
            .env("FIRST", first)
            .env("GATEWAY", env!("CARGO_BIN_EXE_etims-gateway"))
            .current_dir(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let (orders, answers) = (script.stdin.take(), BufReader::new(script.stdout.take().unwrap()));
        let mut network = Self { script, orders, answers, journal: directory.join("gateway.log") };
        (network.line() == "started").then_some(network)
    }

    fn say(&mut self, state: &str) {
        writeln!(self.orders.as_mut().unwrap(), "{state}").unwrap();
        assert_eq!(self.line(), state);
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let journal = fs::read_to_string(&self.journal).unwrap_or_default();
            eprintln!("--- the gateway's journal:\n{journal}--- end of the journal");
        }
        drop(self.orders.take());
        let _ = self.script.wait();
    }
}
