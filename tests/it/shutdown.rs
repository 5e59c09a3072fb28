//! Told to stop, the gateway stops within ten seconds, whatever is under way, and forgets nothing.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Shop, eventually, on_both_wires, say_skipped, within};
use crate::kra::{INITIALISE, Kra, LOOK_UP, SAVE, Wire};
use crate::sale::sale;

/// How long a stop may take.
const LIMIT: Duration = Duration::from_secs(10);

on_both_wires! { with_a_request_on_the_line }

#[test]
fn while_idle() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let mut gateway = shop.open_registered();
    shop.till().sell("S-1");
    // A register that keeps its connection open and says nothing does not keep the gateway.
    let _idle = shop.till().connect().unwrap();
    let begun = Instant::now();
    gateway.terminate();
    assert_eq!(gateway.wait_end(LIMIT).code(), Some(0));
    assert!(begun.elapsed() < Duration::from_secs(5), "nothing is under way: {:?}", begun.elapsed());
    let notices = gateway.notices();
    let place = |line: &str| notices.iter().position(|said| said == line);
    assert!(place("READY=1").unwrap() < place("STOPPING=1").expect("STOPPING=1"), "{notices:?}");
    assert!(!shop.path("till.sock").exists() && !shop.path("admin.sock").exists(), "its sockets are gone");
    assert!(shop.till().connect().is_err());
}

/// A register that connected before the stop, and whose first request comes after it.
#[test]
fn with_a_request_on_its_way() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let mut gateway = shop.open_registered();
    let till = shop.till();
    let mut early = till.connect().unwrap();
    // Connections are accepted one after the other: the one before has been, too.
    till.get("/api/device/status/").expect(200);
    gateway.terminate();
    eventually("the stop has begun", || {
        gateway.notices().iter().any(|line| line == "STOPPING=1").then_some(())
    });
    early.send(&till.request("POST", "/api/sales/", Some(sale("S-1").to_string().as_bytes()))).unwrap();
    let answer = early.answer().expect("it is answered");
    assert!(matches!(answer.status, 201 | 202), "{answer:?}");
    assert_eq!(gateway.wait_end(LIMIT).code(), Some(0));
    let gateway = shop.open();
    shop.till().wait_status("S-1", "signed");
    gateway.stop();
}

#[test]
fn twice_told_and_while_kra_is_away() {
    let kra = Kra::start(Wire::Json);
    kra.line(false);
    let shop = Shop::with(&kra);
    let mut gateway = shop.open();
    shop.till().sell_offline("S-1");
    gateway.terminate();
    gateway.terminate();
    assert_eq!(gateway.wait_end(LIMIT).code(), Some(0));
    let mut gateway = shop.open();
    kra.line(true);
    shop.till().wait_status("S-1", "signed");
    gateway.signal(rustix::process::Signal::INT);
    assert_eq!(gateway.wait_end(LIMIT).code(), Some(0), "Ctrl-C is a clean stop too");
}

fn with_a_request_on_the_line(wire: Wire) {
    let kra = Kra::start(wire);
    let shop = Shop::with(&kra).set("kra.request_timeout", "\"20s\"");
    let mut gateway = shop.open_registered();
    let till = shop.till();
    till.sell("FIRST");
    let mut expected = vec!["FIRST".to_owned()];
    // One that KRA answers in time, one that it answers too late, one that it never answers.
    let faults = [
        json!({ "fault": "slow", "args": { "ms": 1000 } }),
        json!({ "fault": "slow", "args": { "ms": 15_000 } }),
        json!({ "fault": "hang" }),
    ];
    for (round, fault) in faults.into_iter().enumerate() {
        let number = format!("ON-THE-LINE-{round}");
        let mut order = fault;
        order["function"] = json!(SAVE);
        order["count"] = json!(1);
        kra.clear_faults();
        kra.fault(order);
        let register = thread::spawn({
            let (till, body) = (till.clone(), sale(&number).to_string());
            move || till.ask("POST", "/api/sales/?wait=30", Some(body.as_bytes()))
        });
        kra.wait_struck(1);
        gateway.terminate();
        let status = gateway.wait_end(LIMIT);
        assert_eq!(status.code(), Some(0), "{number}");
        assert!(gateway.notices().iter().any(|line| line == "STOPPING=1"), "{:?}", gateway.notices());
        // The register hears that its sale is taken, whatever KRA does.
        let answer = register.join().unwrap().expect("the register is answered");
        assert!(matches!(answer.status, 201 | 202), "{number}: {answer:?}");
        // So short a time-out that the doubt is over soon.
        shop.change("kra.request_timeout", "\"1500ms\"");
        gateway = shop.open();
        let state = till.wait_status(&number, "signed");
        assert_eq!(state["signature"], kra.books().sale(&number).unwrap()["rcptSign"]);
        expected.push(number);
        gateway.stop();
        shop.change("kra.request_timeout", "\"20s\"");
        gateway = shop.open();
    }
    till.sell("LAST");
    expected.push("LAST".to_owned());
    assert_eq!(kra.books().numbers(), expected);
}

/// Whoever waits for KRA's word over a stop hears that the sale is taken, or how it stands; whoever follows events or takes
/// nothing of his answer keeps nobody.
#[test]
fn with_registers_that_wait_and_readers_that_do_not_read() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra).set("kra.request_timeout", "\"60s\"").set("sales.realtime_wait", "\"45s\"");
    let mut gateway = shop.open_registered();
    let till = shop.till();
    kra.fault(json!({ "fault": "hang", "function": SAVE }));
    let ask = |method: &str, target: &str, body: Option<String>| {
        let mut connection = till.connect().unwrap();
        connection.send(&till.request(method, target, body.as_deref().map(str::as_bytes))).unwrap();
        connection
    };
    let mut posting = ask("POST", "/api/sales/", Some(sale("ON-THE-LINE").to_string()));
    kra.wait_struck(1);
    let mut polling = ask("GET", "/api/sales/ON-THE-LINE/?wait=30", None);
    let mut follower = till.connect().unwrap();
    follower.send(&till.request("GET", "/api/events/?after=0", None)).unwrap();
    assert_eq!(follower.head().unwrap().status, 200);
    // One who asks for much and takes none of it.
    let mut deaf = till.connect().unwrap();
    for _ in 0..20 {
        deaf.send(&till.request("GET", "/api/sales/", None)).unwrap();
    }
    // What was asked before this is in hand once this is answered.
    for _ in 0..20 {
        till.get("/api/sales/ON-THE-LINE/").expect(200);
    }
    let begun = Instant::now();
    gateway.terminate();
    assert_eq!(gateway.wait_end(LIMIT).code(), Some(0));
    assert!(begun.elapsed() < LIMIT, "{:?}", begun.elapsed());
    let answer = posting.answer().expect("the register is answered");
    assert_eq!((answer.status, answer.json()["status"].as_str()), (202, Some("pending")), "{answer:?}");
    let answer = polling.answer().expect("the long poll is answered");
    assert_eq!((answer.status, answer.json()["status"].as_str()), (200, Some("pending")), "{answer:?}");
    kra.clear_faults();
    shop.change("kra.request_timeout", "\"1500ms\"");
    let _gateway = shop.open();
    till.wait_status("ON-THE-LINE", "signed");
    kra.books().expect_in_order(&["ON-THE-LINE"]);
}

/// KRA is asked to register the device, and says nothing.
#[test]
fn with_a_registration_on_the_line() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra).set("kra.request_timeout", "\"60s\"");
    kra.fault(json!({ "fault": "hang", "function": INITIALISE }));
    let mut gateway = shop.open();
    kra.wait_struck(1);
    let till = shop.till();
    till.sell_offline("BEFORE");
    let begun = Instant::now();
    gateway.terminate();
    gateway.terminate();
    assert_eq!(gateway.wait_end(LIMIT).code(), Some(0));
    assert!(begun.elapsed() < LIMIT, "{:?}", begun.elapsed());
    kra.clear_faults();
    let gateway = shop.open();
    assert_eq!(till.state("BEFORE")["status"], "pending", "what was taken is there");
    gateway.stop();
    shop.command(&["verify"]).expect(0);
}

/// The disk takes a minute for each sync. Nothing that was not synced was acknowledged, so nobody needs to wait for it.
#[test]
fn with_a_disk_that_does_not_answer() {
    let strace = |args: &[&str]| {
        Command::new("strace")
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
    };
    if strace(&["--version"]).and_then(|mut child| child.wait()).is_err() {
        say_skipped(
            "SKIPPED: strace is not installed (apt-get install strace), so nobody has stopped on a slow disk",
        );
        return;
    }
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let mut gateway = shop.open_registered();
    let till = shop.till();
    till.sell("BEFORE");
    let pid = gateway.pid().to_string();
    let slow = [
        "-f",
        "-q",
        "-e",
        "trace=fdatasync,fsync",
        "-e",
        "inject=fdatasync,fsync:delay_enter=60000000",
        "-p",
        &pid,
    ];
    let mut strace = strace(&slow).unwrap();
    eventually("strace holds the gateway's threads", || {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        let traced = |task: std::io::Result<std::fs::DirEntry>| {
            let status = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap_or_default();
            status.lines().any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0"))
        };
        tasks.into_iter().all(traced).then_some(())
    });
    let body = sale("NEVER-SYNCED").to_string();
    let mut posting = till.connect().unwrap();
    posting.send(&till.request("POST", "/api/sales/?wait=0", Some(body.as_bytes()))).unwrap();
    till.get("/api/sales/BEFORE/").expect(200);
    gateway.terminate();
    within(LIMIT, "the gateway stops", || shop.journal().contains("INFO  stopped").then_some(()));
    // A thread that strace delays cannot die; as with a real disk, the kernel lets go of it in its own time.
    strace.kill().unwrap();
    strace.wait().unwrap();
    assert_eq!(gateway.wait_end(LIMIT).code(), Some(0));
    posting.set_patience(Duration::from_secs(5));
    if let Ok(answer) = posting.answer() {
        assert_eq!(answer.status, 503, "nothing is promised that is not synced: {answer:?}");
    }
    let gateway = shop.open();
    till.wait_status("BEFORE", "signed");
    gateway.stop();
    shop.command(&["verify"]).expect(0);
}

/// Its number is on disk, and not a byte of it was sent: a clean stop says so, and nobody has to ask KRA about it.
#[test]
fn a_number_that_nothing_was_sent_under_is_freed() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra).set("log.level", "\"debug\"");
    let mut gateway = shop.open_registered();
    let till = shop.till();
    till.sell("FIRST");
    let mut slow_disk = match slow_disk(gateway.pid()) {
        Some(slow_disk) => slow_disk,
        None => return say_skipped("SKIPPED: strace is not there or may not look at others: no slow disk"),
    };
    let binds = || shop.journal().matches("drain action=bind").count();
    let before = binds();
    till.sell_offline("UNSENT");
    within(LIMIT, "its number is being written down", || (binds() > before).then_some(()));
    gateway.terminate();
    assert_eq!(gateway.wait_end(LIMIT).code(), Some(0));
    let _ = slow_disk.wait();
    assert_eq!(kra.asked(SAVE), 1, "nothing was sent");

    let looked_up = kra.asked(LOOK_UP);
    let _gateway = shop.open();
    assert_eq!(till.wait_status("UNSENT", "signed")["invcNo"], 2);
    let shown = shop.command(&["queue", "show", "UNSENT"]);
    assert!(shown.expect(0).out.contains("not sent: the gateway stopped"), "{shown:#?}");
    assert_eq!(kra.asked(LOOK_UP), looked_up + 2, "both ends of the series, and no doubt");
}

/// Each flush of this process takes longer from now on; until it ends.
fn slow_disk(pid: u32) -> Option<Child> {
    let mut strace = Command::new("strace")
        .args(["-f", "-q", "-e", "trace=fdatasync", "-e", "inject=fdatasync:delay_enter=1200000", "-p"])
        .arg(pid.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    within(LIMIT, "strace looks at every thread, or ends", || {
        if strace.try_wait().unwrap().is_some() {
            return Some(false);
        }
        let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        let traced = |task: PathBuf| {
            let status = fs::read_to_string(task.join("status")).unwrap_or_default();
            !status.contains("TracerPid:\t0")
        };
        threads.map(|task| task.unwrap().path()).all(traced).then_some(true)
    })
    .then_some(strace)
}
