//! The service manager's watchdog is fed while the gateway gets on, and no longer once a part of it hangs: each is made to
//! hang in the kernel, by strace.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{Gateway, Shop, eventually, say_skipped, within};
use crate::kra::{Kra, Wire};
use crate::sale::sale;

/// As systemd passes `WatchdogSec=3s`.
const WATCHDOG_USEC: &str = "3000000";

/// How long a part that hangs may go unnoticed here: KRA's own time, twice the watchdog's, and a busy machine's.
const NOTICED: Duration = Duration::from_secs(60);

fn fed(gateway: &Gateway) -> usize {
    gateway.notices().iter().filter(|line| *line == "WATCHDOG=1").count()
}

/// From now on this system call of the gateway's takes for ever, whichever thread makes it.
struct Hanging(Child);

impl Hanging {
    fn make(gateway: &Gateway, call: &str) -> Option<Hanging> {
        let child = Command::new("strace")
            .args(["-f", "-qq", "-o", "/dev/null", "-p", &gateway.pid().to_string()])
            .arg(format!("--trace={call}"))
            .arg(format!("--inject={call}:delay_enter=600000000"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(child) = child else {
            say_skipped(
                "SKIPPED: strace is not installed (apt-get install strace), so nothing was made to hang",
            );
            return None;
        };
        let mut hanging = Hanging(child);
        let traced = || {
            let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).unwrap();
            let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:")).unwrap().trim();
            if tracer != "0" {
                return Some(true);
            }
            hanging.0.try_wait().unwrap().map(|_| false)
        };
        if eventually("strace has attached, or may not", traced) {
            return Some(hanging);
        }
        say_skipped("SKIPPED: strace may not attach to a process here, so nothing was made to hang");
        None
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until the watchdog is no longer fed, and what systemd would kill it for.
fn expect_not_fed(gateway: &Gateway) {
    let mut last = (fed(gateway), Instant::now());
    within(NOTICED, "the watchdog is no longer fed", || {
        let now = fed(gateway);
        if now != last.0 {
            last = (now, Instant::now());
        }
        (last.1.elapsed() > Duration::from_secs(5)).then_some(())
    });
}

#[test]
fn is_fed_while_all_is_well_and_without_a_device() {
    let shop = Shop::bare().env("WATCHDOG_USEC", WATCHDOG_USEC);
    let gateway = shop.open();
    within(NOTICED, "it is fed for longer than any part may hang", || (fed(&gateway) > 20).then_some(()));
    assert!(!shop.journal().contains("parts of the gateway hang"), "nothing hangs");
    gateway.stop();
}

#[test]
fn is_not_fed_once_the_drain_hangs() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra).env("WATCHDOG_USEC", WATCHDOG_USEC);
    let gateway = shop.open_registered();
    shop.till().sell("W-1");
    eventually("it is fed", || (fed(&gateway) > 2).then_some(()));
    let Some(hanging) = Hanging::make(&gateway, "connect") else { return };
    // The next thing that the drain does is to connect.
    kra.line(false);
    shop.till().post("/api/sales/?wait=0", &sale("W-2")).expect(202);
    expect_not_fed(&gateway);
    // What the service manager does then; a thread that strace holds does not die.
    drop(hanging);
    gateway.kill();
    kra.line(true);
    let gateway = shop.open();
    shop.till().wait_status("W-2", "signed");
    gateway.stop();
}

#[test]
fn is_not_fed_once_the_store_hangs_which_is_named() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra).env("WATCHDOG_USEC", WATCHDOG_USEC);
    let gateway = shop.open_registered();
    let till = shop.till();
    till.sell("W-1");
    let Some(hanging) = Hanging::make(&gateway, "fdatasync") else { return };
    let mut register = till.connect().unwrap();
    register.send(&till.request("POST", "/api/sales/", Some(sale("W-2").to_string().as_bytes()))).unwrap();
    expect_not_fed(&gateway);
    let journal = shop.journal();
    let named = journal.lines().find(|line| line.contains("parts of the gateway hang"));
    assert!(named.is_some_and(|line| line.contains("store")), "{named:?}");
    drop(hanging);
    gateway.kill();
    let gateway = shop.open();
    // No answer was given, so whether it survived is nobody's claim: the register's repeat settles it.
    let again = till.post("/api/sales/", &sale("W-2"));
    assert!(matches!(again.status, 200 | 201), "{again:?}");
    till.wait_status("W-2", "signed");
    gateway.stop();
    kra.books().expect_in_order(&["W-1", "W-2"]);
}
