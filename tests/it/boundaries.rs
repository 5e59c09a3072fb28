//! G7 at the edges of a store: another store's files, a newer version's, keys that are not there, no store at all, a directory
//! that is somebody else's. Each is a stop with the exit code of the manual and words that say what to do; nothing on the
//! disk is changed, and no store is begun.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::harness::{PATIENCE, Shop, files_below, say_skipped};
use crate::kra::{Kra, Wire};
use crate::standings::named;

/// A shop with a sale in its books and one that waits, stopped.
fn shop(kra: &Kra) -> Shop {
    kra.line(true);
    let shop = Shop::with(kra);
    let gateway = shop.open_registered();
    shop.till().sell("SIGNED");
    kra.line(false);
    shop.till().sell_offline("WAITING");
    gateway.stop();
    shop
}

fn content(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    // Who has it open is no part of a store.
    let files = files_below(dir).into_iter().filter(|path| path.file_name().unwrap() != "lock");
    files.map(|path| (path.clone(), fs::read(&path).unwrap())).collect()
}

/// It does not start, says this, and leaves all as it is; a second start does the same.
#[track_caller]
fn expect_stop(shop: &Shop, code: i32, words: &[&str]) {
    let before = content(&shop.state());
    for _ in 0..2 {
        let mut gateway = shop.spawn();
        let status = gateway.wait_end(PATIENCE);
        let journal = shop.journal();
        let last = journal.rsplit("=== start").next().unwrap();
        assert_eq!(status.code(), Some(code), "{last}");
        for word in words {
            assert!(last.contains(word), "{word:?} is said: {last}");
        }
        assert!(!gateway.notices().iter().any(|line| line == "READY=1"), "it never was ready");
        let after = content(&shop.state());
        let names = |content: &BTreeMap<PathBuf, Vec<u8>>| content.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&after), names(&before), "no file comes or goes");
        assert!(after == before, "nothing is changed");
    }
}

/// The gateway and its sales are there again once it was put right.
#[track_caller]
fn expect_all_well(shop: &Shop) {
    let gateway = shop.open();
    assert_eq!(shop.till().state("SIGNED")["status"], "signed");
    assert_eq!(shop.till().state("WAITING")["status"], "pending");
    gateway.stop();
    shop.command(&["verify"]).expect(0);
}

fn newest(shop: &Shop) -> PathBuf {
    named(&shop.state().join("journal"), ".log").pop().unwrap()
}

#[test]
fn another_tills_journal_stops_it() {
    let kra = Kra::start(Wire::Json);
    let (ours, theirs) = (shop(&kra), Shop::with(&kra));
    theirs.open().stop();
    let (path, foreign) = (newest(&ours), fs::read(newest(&theirs)).unwrap());
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &foreign).unwrap();
    expect_stop(&ours, 65, &["signing.key", "another"]);
    fs::write(&path, &whole).unwrap();
    // As a segment behind ours, as somebody who puts two backups into one directory gets it.
    let behind = ours.state().join("journal/0000000002.log");
    assert!(!behind.exists());
    fs::write(&behind, &foreign).unwrap();
    expect_stop(&ours, 65, &["segment 2", "another segment under this name"]);
    ours.command(&["verify"]).expect(1);
    let into = ours.path("new").display().to_string();
    let salvaged = ours.command(&["salvage", &ours.state().display().to_string(), "--into", &into]);
    assert!(
        salvaged.expect(1).out.contains("segment 2 at byte 0: records of another journal"),
        "{salvaged:?}"
    );
    assert_eq!(ours.command(&["verify", &into, "--json"]).expect(0).json()["sales"], 2);
    fs::remove_file(&behind).unwrap();
    // In the middle of ours.
    let mut mixed = whole.clone();
    let end = whole.iter().rposition(|byte| *byte != 0).unwrap() / 4096 * 4096 + 4096;
    mixed[end..end + 4096].copy_from_slice(&foreign[..4096]);
    fs::write(&path, &mixed).unwrap();
    expect_stop(&ours, 65, &["0000000001.log", "another"]);
    assert!(ours.command(&["verify"]).expect(1).text().contains("another journal"));
    fs::write(&path, &whole).unwrap();
    expect_all_well(&ours);
}

/// A bug it found: `verify` took a newer version's last group, and another journal's, for a write that was cut off.
#[test]
fn a_newer_versions_journal_stops_it() {
    let kra = Kra::start(Wire::Json);
    let shop = shop(&kra);
    let path = newest(&shop);
    let whole = fs::read(&path).unwrap();
    let groups: Vec<usize> =
        (0..whole.len()).step_by(4096).filter(|at| whole[*at..].starts_with(&whole[..8])).collect();
    for at in [groups[0], groups[groups.len() / 2], groups[groups.len() - 1]] {
        let mut newer = whole.clone();
        // The format, and the header's checksum after it.
        assert_eq!(u16::from_be_bytes([newer[at + 8], newer[at + 9]]), 1);
        newer[at + 9] = 2;
        let sum = crc32c::crc32c(&newer[at..at + 220]).to_be_bytes();
        newer[at + 220..at + 224].copy_from_slice(&sum);
        fs::write(&path, &newer).unwrap();
        expect_stop(&shop, 65, &["newer version", "0000000001.log"]);
        shop.command(&["verify"]).expect(1);
        let into = shop.path("new").display().to_string();
        let salvaged = shop.command(&["salvage", &shop.state().display().to_string(), "--into", &into]);
        assert!(salvaged.expect(65).err.contains("newer version"), "{salvaged:?}");
    }
    fs::write(&path, &whole).unwrap();
    expect_all_well(&shop);
}

#[test]
fn a_keys_directory_that_is_missing_or_empty_stops_it() {
    let kra = Kra::start(Wire::Json);
    let shop = shop(&kra);
    let (keys, aside) = (shop.state().join("keys"), shop.path("keys-aside"));
    fs::rename(&keys, &aside).unwrap();
    expect_stop(&shop, 65, &["signing.key", "no new key is made by itself"]);
    fs::create_dir(&keys).unwrap();
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o700)).unwrap();
    expect_stop(&shop, 65, &["signing.key", "no new key is made by itself"]);
    fs::remove_dir(&keys).unwrap();
    fs::rename(&aside, &keys).unwrap();
    expect_all_well(&shop);
}

/// An unmounted partition looks like this.
#[test]
fn where_no_store_is_none_is_begun_in_earnest() {
    for environment in ["sandbox", "production"] {
        let shop = Shop::bare().set("kra.environment", &format!("{environment:?}"));
        for exists in [false, true] {
            if exists {
                fs::create_dir_all(shop.state()).unwrap();
            }
            let mut gateway = shop.spawn();
            let status = gateway.wait_end(PATIENCE);
            let journal = shop.journal();
            assert_eq!(status.code(), Some(66), "{environment}: {journal}");
            assert!(journal.contains("store init") && journal.contains("not be mounted"), "{journal}");
            let made: Vec<PathBuf> = content(&shop.state()).into_keys().collect();
            assert_eq!(made, [""; 0].map(PathBuf::from), "{environment}: nothing was made");
        }
        shop.command(&["verify"]).expect(66);
        shop.command(&["export"]).expect(66);
    }
}

/// Somebody copied the store back as root.
#[test]
fn a_store_of_somebody_else_stops_it() {
    let kra = Kra::start(Wire::Json);
    let shop = shop(&kra);
    if !rustix::process::geteuid().is_root() {
        return say_skipped("SKIPPED: only the superuser can become another user");
    }
    // It may enter the directory and read its settings.
    let config = shop.config();
    fs::set_permissions(config.parent().unwrap(), fs::Permissions::from_mode(0o777)).unwrap();
    fs::set_permissions(&config, fs::Permissions::from_mode(0o644)).unwrap();
    let wrapper = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    shop.run_in(&wrapper.map(str::to_owned));
    for mode in [0o700, 0o755] {
        fs::set_permissions(shop.state(), fs::Permissions::from_mode(mode)).unwrap();
        expect_stop(&shop, 77, &["ermission denied", "belongs to the user that the service runs as"]);
    }
    shop.run_in(&[]);
    expect_all_well(&shop);
}
