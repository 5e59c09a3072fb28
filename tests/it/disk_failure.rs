//! G7 where the disk fails: a write or sync that is refused is never tried again and never acknowledged; the process ends,
//! the next start goes on in a new segment, and every sale that was answered is there, once at KRA.
//!
//! The refusals are real ones: strace has the kernel refuse the system call of the unchanged binary; ext4 is told to meet
//! an error of its own; a file system is mounted read-only.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::harness::{PATIENCE, Shop, eventually, files_below, say_skipped};
use crate::kra::{Kra, Wire};
use crate::mount::{Kind, Mount};
use crate::sale::sale;

/// How a start that met a failing disk ended, and that nobody would call it a damaged store.
#[track_caller]
fn expect_clear_stop(shop: &Shop, code: Option<i32>, words: &[&str]) {
    assert!(!matches!(code, None | Some(0 | 65 | 66 | 78)), "the service manager starts it again: {code:?}");
    let journal = shop.journal();
    let last = journal.rsplit("=== start").next().unwrap().to_lowercase();
    assert!(words.iter().any(|word| last.contains(word)), "one of {words:?} is said: {last}");
}

fn has_strace() -> bool {
    let there = Command::new("strace").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if there.is_err() {
        say_skipped("SKIPPED: strace is not installed (apt-get install strace), so no sync was made to fail");
    }
    there.is_ok()
}

fn segments(shop: &Shop) -> BTreeSet<String> {
    let names = files_below(&shop.state().join("journal"));
    let names = names.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned());
    names.filter(|name| name.ends_with(".log")).collect()
}

/// The n-th write or sync of the committer on the journal is refused.
fn refuse(shop: &Shop, call: &str, errno: &str, nth: u32) {
    let mut words = vec!["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "signal=none"];
    let inject = format!("inject={call}:error={errno}:when={nth}+");
    let trace = format!("trace={call}");
    words.extend(["-e", &trace, "-e", &inject]);
    let mut words: Vec<String> = words.into_iter().map(str::to_owned).collect();
    for name in segments(shop) {
        words.extend(["-P".to_owned(), shop.state().join("journal").join(name).display().to_string()]);
    }
    words.push("--".to_owned());
    shop.run_in(&words);
}

/// One shop after another meets the failure at another commit: of the sale, of its number, of KRA's word.
#[test]
fn a_write_or_sync_that_fails_is_not_acknowledged_nor_forgotten() {
    if !has_strace() {
        return;
    }
    // The first on each thread is the start's, which writes the last group again.
    let each_step = (2..=6).map(|nth| ("fdatasync", "EIO", nth));
    let others = [("fdatasync", "EROFS", 3), ("pwrite64", "EIO", 4), ("pwrite64", "ENOSPC", 3)];
    for (call, errno, nth) in each_step.chain(others) {
        let case = format!("{call} number {nth} says {errno}");
        let kra = Kra::start(Wire::Json);
        let shop = Shop::with(&kra);
        let gateway = shop.open_registered();
        let till = shop.till();
        till.sell("BEFORE");
        gateway.stop();
        let before = segments(&shop);

        refuse(&shop, call, errno, nth);
        let mut gateway = shop.open();
        let mut answered = vec!["BEFORE".to_owned()];
        let mut refused = None;
        for number in 0..8 {
            let number = format!("S-{number}");
            let Ok(answer) = till.ask("POST", "/api/sales/", Some(sale(&number).to_string().as_bytes()))
            else {
                refused = Some(number);
                break;
            };
            match answer.status {
                201 | 202 => answered.push(number),
                503 => {
                    answer.expect_error(503, "store_failed");
                    refused = Some(number);
                    break;
                }
                status => panic!("{case}: {status}"),
            }
        }
        let refused = refused.unwrap_or_else(|| panic!("{case}: nothing was refused"));
        let code = gateway.wait_end(PATIENCE).code();
        expect_clear_stop(&shop, code, &["of the journal failed", "takes no more records"]);
        drop(gateway);

        shop.run_in(&[]);
        let gateway = shop.open_registered();
        for number in &answered {
            till.wait_status(number, "signed");
        }
        // The register repeats what it got no answer to: once in effect, whatever survived.
        let state = till.post("/api/sales/", &sale(&refused));
        assert!(matches!(state.status, 200..=202), "{case}: {state:?}");
        till.wait_status(&refused, "signed");
        till.sell("AFTER");
        let grown = segments(&shop).difference(&before).count();
        assert_eq!(grown, 1, "{case}: the next start goes on in a new segment");
        shop.command(&["verify"]).expect(0);
        gateway.stop();
        answered.extend([refused, "AFTER".to_owned()]);
        kra.books().expect_in_order(&answered);
    }
}

/// A worn card: ext4 meets an error, and the kernel takes no more writes, under the running gateway.
#[test]
fn a_file_system_that_turns_read_only_stops_it_and_loses_nothing() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let Some(mount) = Mount::under(&shop, Kind::Ext4, 64) else { return };
    let mut gateway = shop.open_registered();
    let till = shop.till();
    till.sell("SIGNED");
    kra.line(false);
    till.sell_offline("WAITING");
    if !mount.break_down() {
        return;
    }
    let refused = till.ask("POST", "/api/sales/?wait=0", Some(sale("REFUSED").to_string().as_bytes()));
    if let Ok(answer) = refused {
        answer.expect_error(503, "store_failed");
    }
    let code = gateway.wait_end(PATIENCE).code();
    expect_clear_stop(&shop, code, &["read-only", "input/output error"]);
    drop(gateway);
    // The service manager starts it again, on a disk that is still read-only.
    let mut again = shop.spawn();
    let code = again.wait_end(PATIENCE).code();
    expect_clear_stop(&shop, code, &["read-only", "input/output error"]);
    drop(again);

    mount.again(&shop);
    kra.line(true);
    let gateway = shop.open_registered();
    till.wait_status("WAITING", "signed");
    assert_eq!(till.state("SIGNED")["status"], "signed");
    till.sell("REFUSED");
    shop.command(&["verify"]).expect(0);
    gateway.stop();
    kra.books().expect_in_order(&["SIGNED", "WAITING", "REFUSED"]);
}

/// Nothing is begun on a disk that cannot be written, and what is there can still be checked.
#[test]
fn a_read_only_disk_is_a_clear_stop() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let Some(mount) = Mount::under(&shop, Kind::Tmpfs, 64) else { return };
    let gateway = shop.open_registered();
    let till = shop.till();
    till.sell("BEFORE");
    gateway.stop();
    mount.remount("ro");
    let mut gateway = shop.spawn();
    let code = gateway.wait_end(PATIENCE).code();
    expect_clear_stop(&shop, code, &["mounted read-only"]);
    drop(gateway);
    shop.command(&["verify"]).expect(0);
    mount.remount("rw");
    let gateway = shop.open_registered();
    assert_eq!(till.post("/api/sales/", &sale("BEFORE")).expect(200)["repeat"], Value::Bool(true));
    till.sell("AFTER");
    gateway.stop();
    kra.books().expect_in_order(&["BEFORE", "AFTER"]);
}

/// Without the mark that a failed run leaves there is nothing to go by; it is gone once it was heeded.
#[test]
fn the_mark_of_a_failure_is_heeded_once() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let gateway = shop.open_registered();
    shop.till().sell("ONE");
    gateway.stop();
    fs::write(shop.state().join("journal.failed"), "as if").unwrap();
    shop.open_registered().stop();
    assert!(!shop.state().join("journal.failed").exists());
    let gateway = shop.open_registered();
    eventually("it sells", || (shop.till().sell("TWO")["status"] == "signed").then_some(()));
    gateway.stop();
    kra.books().expect_in_order(&["ONE", "TWO"]);
}
