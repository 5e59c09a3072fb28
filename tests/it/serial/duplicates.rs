//! Points 1 and 5: whatever breaks, a sale is executed once, and nobody is told of one that is not on the disk.

use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{counted, numbers, open};
use crate::harness::{Gateway, eventually, say_skipped};
use crate::kra::{Kra, Wire};
use crate::pty::{CAN, ENQ, SYN, frame};
use crate::sale::{running_number, sale, sale_with};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// From now on the kernel keeps the gateway waiting in this way; `None`: this machine does not let us.
fn hold(gateway: &Gateway, inject: &str) -> Option<Held> {
    let pid = gateway.pid().to_string();
    let call = inject.split(':').next().unwrap();
    let trace = [format!("trace={call}"), format!("inject={inject}")];
    let strace = Command::new("strace")
        .args([
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            "signal=none",
            "-e",
            &trace[0],
            "-e",
            &trace[1],
            "-p",
            &pid,
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = strace else {
        say_skipped("SKIPPED: strace is not installed (apt-get install strace), so no sync was held");
        return None;
    };
    let traced = || {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        tasks.flatten().all(|task| {
            let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
            !status.contains("TracerPid:\t0\n")
        })
    };
    for _ in 0..500 {
        if child.try_wait().unwrap().is_some() {
            say_skipped(
                "SKIPPED: strace may not attach to a process of the same user here, so no sync was held",
            );
            return None;
        }
        if traced() {
            return Some(Held(child));
        }
        sleep(ms(10));
    }
    panic!("strace did not attach in 5 s");
}

/// Holds until it is dropped.
struct Held(Child);

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Killed before the commit: the register sends the same again, and it is executed once. Its ENQ is answered first.
#[test]
fn killed_between_receipt_and_commit() {
    let kra = Kra::start(Wire::Json);
    let (shop, gateway, line) = open(&kra);
    kra.line(false);
    let request = frame(5, 'S', &sale("KILLED-BEFORE").to_string());
    let Some(held) = hold(&gateway, "pwrite64:delay_enter=4000000") else { return };
    line.send(&request);
    let heard = line.hears(ms(1200));
    assert!(
        heard.len() >= 3 && heard.iter().all(|byte| *byte == SYN),
        "it works, and says nothing more: {heard:02X?}"
    );
    gateway.kill();
    drop(held);
    line.is_quiet();
    let gateway = shop.open();
    line.wait_ready();
    assert_eq!(numbers(&shop), Vec::<String>::new(), "nothing was written");
    line.send(&request);
    line.reply().expect(5, 's', 202);
    assert_eq!(numbers(&shop), ["KILLED-BEFORE"]);
    drop(gateway);
}

/// Killed between commit and reply: the cache is gone, the number is known: 200, and HELLO shows it.
#[test]
fn killed_between_commit_and_reply() {
    let kra = Kra::start(Wire::Json);
    let (shop, gateway, line) = open(&kra);
    let boot = line.ask(0, 'H', r#"{"proto":1}"#).body["boot"].clone();
    kra.line(false);
    let request = frame(5, 'S', &sale("KILLED-AFTER").to_string());
    // The sync is done, and the kernel does not say so.
    let Some(held) = hold(&gateway, "fdatasync:delay_exit=4000000") else { return };
    line.send(&request);
    let heard = line.hears(ms(1200));
    assert!(heard.len() >= 3 && heard.iter().all(|byte| *byte == SYN), "{heard:02X?}");
    gateway.kill();
    drop(held);
    let gateway = shop.open();
    line.wait_ready();
    let hello = line.ask(0, 'H', r#"{"proto":1}"#);
    let body = hello.expect(0, 'h', 200);
    assert_eq!(body["last"]["trdInvcNo"], "KILLED-AFTER");
    assert_ne!(body["boot"], boot);
    line.send(&request);
    let again = line.reply();
    let body = again.expect(5, 's', 200);
    assert_eq!((&body["repeat"], &body["status"]), (&Value::Bool(true), &Value::from("pending")));
    assert_eq!(numbers(&shop), ["KILLED-AFTER"]);
    assert_eq!(line.ask(6, 'L', "").expect(6, 'l', 200)["trdInvcNo"], "KILLED-AFTER");
    drop(gateway);
}

/// Point 5: the disk stands still for five seconds.
#[test]
fn syn_goes_on_while_the_disk_is_slow_and_nothing_is_executed_twice() {
    let kra = Kra::start(Wire::Json);
    let (shop, gateway, line) = open(&kra);
    kra.line(false);
    let request = frame(5, 'S', &sale("SLOW-DISK").to_string());
    let Some(held) = hold(&gateway, "fdatasync:delay_enter=5000000:when=1") else { return };
    line.send(&request);
    let began = Instant::now();
    let mut syns = Vec::new();
    let mut told = None;
    let mut sent_again = 0;
    while told.is_none() && began.elapsed() < Duration::from_secs(12) {
        // A register that is not patient enough.
        if began.elapsed() > ms(1500) * (sent_again + 1) && sent_again < 3 {
            sent_again += 1;
            line.send(&request);
            line.send([ENQ]);
        }
        let read = line.read();
        syns.extend(read.iter().filter(|byte| **byte == SYN).map(|_| began.elapsed()));
        if read.contains(&0x1E) {
            told = Some(began.elapsed());
        }
        sleep(ms(1));
    }
    let told = told.expect("a reply came");
    assert!(told > ms(4500), "not before the sync: {told:?}");
    assert!(syns[0] < ms(400), "the first within 200 ms, on a quiet machine: {:?}", syns[0]);
    let widest = syns.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(
        widest < ms(900) && syns.len() >= 15,
        "one every 250 ms: {} of them, {widest:?} apart",
        syns.len()
    );
    drop(held);
    line.hears(ms(300));
    line.send(&request);
    line.reply().expect(5, 's', 202);
    assert_eq!(numbers(&shop), ["SLOW-DISK"]);
    assert_eq!(counted(&gateway, "request"), 1);
}

/// The disk stands still for longer than a register waits: it is told so after ten seconds, and what it posted is not lost.
#[test]
fn a_disk_that_stands_still_is_told_before_the_register_gives_up() {
    let kra = Kra::start(Wire::Json);
    let (shop, line) = super::on_one_line(&kra, "");
    shop.change("sales.realtime_wait", "\"0s\"");
    let gateway = shop.open_registered();
    line.wait_ready();
    let Some(held) = hold(&gateway, "fdatasync:delay_enter=14000000:when=1") else { return };
    let began = Instant::now();
    line.send(frame(5, 'S', &sale("STUCK-DISK").to_string()));
    let reply = line.reply();
    let waited = began.elapsed();
    assert_eq!(reply.expect(5, 'e', 503)["error"], "busy");
    assert!(reply.syns > 30 && (ms(9_900)..ms(13_000)).contains(&waited), "{} SYN, {waited:?}", reply.syns);
    eventually("the disk is back", || (numbers(&shop) == ["STUCK-DISK"]).then_some(()));
    drop(held);
    let again = line.ask(6, 'S', &sale("STUCK-DISK").to_string());
    assert_eq!(again.expect(6, 's', 200)["repeat"], true);
}

/// The same, under a number that another sale has: that one's receipt is not for this one.
#[test]
fn a_disk_that_stands_still_gives_no_sale_the_receipt_of_another() {
    let kra = Kra::start(Wire::Json);
    let (shop, line) = super::on_one_line(&kra, "");
    shop.change("sales.realtime_wait", "\"0s\"");
    let gateway = shop.open_registered();
    line.wait_ready();
    line.ask(1, 'S', &sale("TAKEN").to_string());
    let signed = line.ask(2, 'Q', r#"{"trdInvcNo":"TAKEN","wait":30}"#);
    assert_eq!(signed.expect(2, 'q', 200)["status"], "signed");
    let Some(held) = hold(&gateway, "fdatasync:delay_enter=14000000:when=1") else { return };
    std::thread::scope(|scope| {
        let till = gateway.till();
        scope.spawn(move || till.post("/api/sales/?wait=0", &sale("HOLDS-THE-DISK")).expect(202));
        sleep(ms(500));
        let other = line.ask(3, 'S', &sale_with("TAKEN", json!({ "pmtTyCd": "02" })).to_string());
        assert_eq!(other.expect(3, 'e', 409)["error"], "trdInvcNo_reused");
        assert!(other.syns > 30, "{}", other.syns);
    });
    drop(held);
}

/// Rows of 1.9: a request that is lost or damaged, a reply that is lost or damaged, a cable pulled in the middle.
#[test]
fn what_breaks_on_the_line_is_mended_by_the_same_bytes() {
    let kra = Kra::start(Wire::Json);
    let (shop, gateway, mut line) = open(&kra);
    let request = frame(5, 'S', &sale("MENDED").to_string());
    // Lost on its way: nothing at all. Half of it: given up in silence.
    line.send(&request[..40]);
    line.is_quiet();
    // The reply is lost: the same bytes get the same bytes.
    line.send(&request);
    let first = line.reply();
    for _ in 0..3 {
        line.send(&request);
        assert_eq!(line.reply().bytes, first.bytes);
    }
    assert_eq!((counted(&gateway, "request"), counted(&gateway, "repeat")), (1, 3));
    // The register was restarted, and counts anew: another frame, the same sale.
    let hello = line.ask(0, 'H', r#"{"proto":1}"#);
    assert_eq!(hello.expect(0, 'h', 200)["last"]["trdInvcNo"], "MENDED");
    let again = line.ask(1, 'S', &sale("MENDED").to_string());
    assert_eq!(again.expect(1, 's', 200)["repeat"], true);
    // Without HELLO, its count meets the kept one with another content.
    let other = line.ask(1, 'S', &sale("OTHER").to_string());
    other.expect(1, 's', 201);
    assert_eq!(counted(&gateway, "seq_reuse"), 1);
    // A cable pulled in the middle of a frame.
    line.send(&frame(2, 'S', &sale("PULLED").to_string())[..50]);
    sleep(ms(50));
    line.unplug();
    sleep(ms(300));
    line.plug();
    line.wait_ready();
    line.send(&frame(2, 'S', &sale("PULLED").to_string())[50..]);
    line.is_quiet();
    // Two numbers for one sale are two sales.
    line.ask(3, 'S', &sale("TWICE-A").to_string()).expect(3, 's', 201);
    line.ask(4, 'S', &sale("TWICE-B").to_string()).expect(4, 's', 201);
    let mut found = numbers(&shop);
    found.sort();
    assert_eq!(found, ["MENDED", "OTHER", "TWICE-A", "TWICE-B"]);
}

/// A cable pulled while a sale is being worked on: it is taken, and its reply is there when the cable is back.
#[test]
fn a_sale_outlives_its_cable() {
    let kra = Kra::start(Wire::Json);
    let (shop, gateway, mut line) = open(&kra);
    let request = frame(5, 'S', &sale("PULLED-LATE").to_string());
    kra.line(false);
    line.ask(4, 'S', &sale("FIRST").to_string()).expect(4, 's', 202);
    kra.line(true);
    let Some(held) = hold(&gateway, "fdatasync:delay_enter=1500000:when=1") else { return };
    line.send(&request);
    sleep(ms(300));
    line.unplug();
    sleep(ms(400));
    line.plug();
    eventually("the sale is in", || numbers(&shop).contains(&"PULLED-LATE".to_owned()).then_some(()));
    drop(held);
    line.wait_ready();
    line.hears(ms(300));
    line.send(&request);
    let reply = line.reply();
    assert!(matches!(reply.body["st"].as_u64(), Some(201 | 202)), "the answer to the first: {reply:?}");
    assert!(running_number(&reply.body) > 0);
    assert_eq!(counted(&gateway, "repeat"), 1);
    assert_eq!(numbers(&shop).len(), 2);
}

/// At a stop what is being worked on is answered, and nothing is left in doubt.
#[test]
fn a_stop_answers_first() {
    let kra = Kra::start(Wire::Json);
    let (shop, mut gateway, line) = open(&kra);
    kra.line(false);
    let Some(held) = hold(&gateway, "fdatasync:delay_enter=800000:when=1") else { return };
    line.send(frame(5, 'S', &sale("AT-THE-STOP").to_string()));
    sleep(ms(200));
    gateway.terminate();
    line.reply().expect(5, 's', 202);
    drop(held);
    assert_eq!(gateway.wait_end(Duration::from_secs(15)).code(), Some(0));
    let _gateway = shop.open();
    assert_eq!(numbers(&shop), ["AT-THE-STOP"]);
}

/// While the last answer of KRA is waited for, everything that a register asks says that no sale is taken any more.
#[test]
fn during_a_stop_every_answer_says_that_no_sale_is_taken() {
    let kra = Kra::start(Wire::Json);
    let (shop, line) = super::on_one_line(&kra, "");
    shop.change("kra.request_timeout", "\"20s\"");
    let mut gateway = shop.open_registered();
    line.wait_ready();
    kra.fault(
        json!({ "fault": "slow", "count": 1, "function": "saveTrnsSalesOsdc", "args": { "ms": 5000 } }),
    );
    line.send(frame(5, 'S', &sale("LAST").to_string()));
    sleep(ms(500));
    gateway.terminate();
    let last = line.reply();
    assert!(last.syns > 3, "{last:?}");
    last.expect(5, 's', 202);
    assert_eq!(line.enquire(), CAN);
    assert_eq!(line.ask(0, 'H', r#"{"proto":1}"#).expect(0, 'h', 200)["accepting"], false);
    assert_eq!(line.ask(6, 'S', &sale("TOO-LATE").to_string()).expect(6, 'e', 503)["error"], "stopping");
    assert_eq!(line.ask(7, 'Q', r#"{"trdInvcNo":"LAST"}"#).expect(7, 'q', 200)["status"], "pending");
    assert_eq!(gateway.wait_end(Duration::from_secs(15)).code(), Some(0));
    let _gateway = shop.open();
    assert_eq!(numbers(&shop), ["LAST"]);
}
