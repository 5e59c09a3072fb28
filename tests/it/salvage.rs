//! `salvage`: what can be read of a damaged store goes on in a new one. What cannot is listed; nothing is sent again before
//! KRA's books were asked; the damaged store itself is not touched.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Dice, Ended, PATIENCE, Shop, files_below, within};
use crate::kra::{Kra, Wire};
use crate::sale::sale;
use crate::standings::{Kept, Standings, is_copy, lasting, named, used};

/// How long each kind of random damage is tried, where `ETIMS_SALVAGE` does not say how many stores.
const BUDGET: Duration = Duration::from_secs(12);

/// Whether one more store is to be tried.
fn goes_on(tried: usize, since: Instant) -> bool {
    match std::env::var("ETIMS_SALVAGE") {
        Ok(stores) => tried < stores.parse().expect("ETIMS_SALVAGE"),
        Err(_) => tried < 2 || since.elapsed() < BUDGET,
    }
}

fn content(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    files_below(dir).into_iter().map(|path| (path.clone(), fs::read(&path).unwrap())).collect()
}

/// Salvages the shop's state; afterwards that is the shop's state. The source is as it was.
#[track_caller]
fn salvage(shop: &Shop) -> (Ended, Value) {
    let (from, into) = (shop.state(), shop.path("new"));
    let before = content(&from);
    let ended =
        shop.command(&["salvage", from.to_str().unwrap(), "--into", into.to_str().unwrap(), "--json"]);
    assert!(content(&from) == before, "the source is not touched");
    assert!(matches!(ended.code, Some(0 | 1)), "{ended:?}");
    let said = ended.json();
    shop.change("state_dir", &format!("{into:?}"));
    let verified = shop.command(&["verify", "--json"]).expect(0).json();
    assert_eq!((&verified["chainHead"], &verified["lastRecord"]), (&said["chainHead"], &said["lastRecord"]));
    (ended, said)
}

/// The registers' numbers that it says are lost.
fn lost(said: &Value) -> Vec<String> {
    let sales = said["lostSales"].as_array().unwrap();
    sales.iter().filter_map(|sale| sale["trdInvcNo"].as_str().map(str::to_owned)).collect()
}

/// Whether it says that this sale is lost: by its running number, or as behind the last record that is left.
fn is_told(said: &Value, sale: &Value) -> bool {
    let slip = sale["tempReceiptNo"].as_str().unwrap();
    let record: u64 = slip.split('-').nth(1).unwrap().parse().unwrap();
    let within = |range: &Value| range[0].as_u64().unwrap() <= record && record <= range[1].as_u64().unwrap();
    said["lostRecords"].as_array().unwrap().iter().any(within)
        || said["endIsUnsure"] == true && record > said["lastKept"].as_u64().unwrap()
}

/// Those of these sales that are not in the shop's store any more. Each is told; `named`: by the register's number too.
#[track_caller]
fn gone(shop: &Shop, kept: &Kept, said: &Value, named: bool) -> Vec<String> {
    let gateway = shop.open();
    let till = shop.till();
    let lost = lost(said);
    let mut gone = Vec::new();
    for (number, expected) in &kept.sales {
        let answer = till.get(&format!("/api/sales/{number}/"));
        if answer.status == 404 {
            assert!(is_told(said, expected), "{number} is gone and not told: {said}");
            assert!(!named || lost.contains(number) || said["endIsUnsure"] == true, "{number}: {said}");
            gone.push(number.clone());
            continue;
        }
        let state = answer.expect(200);
        assert!(!lost.contains(number), "{number} is listed and there: {said}");
        let same = ["trdInvcNo", "localSignatureFull"].iter().all(|it| state[*it] == expected[*it]);
        assert!(same, "{state} for {expected}");
        // A lost outcome leaves a sale pending, and never makes it anything that KRA did not say.
        let status = state["status"] == expected["status"] || state["status"] == "pending";
        assert!(status, "{state} for {expected}");
    }
    gateway.stop();
    gone
}

/// Flips a byte in each place where the journal has these bytes, in groups after the n-th of them.
fn flip(shop: &Shop, needle: &str, skip: usize, most: usize) -> usize {
    let mut seen = 0;
    for file in named(&shop.state().join("journal"), ".log") {
        let mut bytes = fs::read(&file).unwrap();
        let places: Vec<usize> =
            (0..used(&bytes)).filter(|at| bytes[*at..].starts_with(needle.as_bytes())).collect();
        let mut groups: Vec<usize> = places.iter().map(|at| at / 4096).collect();
        groups.dedup();
        for group in groups {
            if seen >= skip && seen < skip + most {
                let place = *places.iter().find(|at| *at / 4096 == group).unwrap();
                bytes[place] ^= 0x20;
            }
            seen += 1;
        }
        fs::write(&file, bytes).unwrap();
    }
    seen
}

/// Lets a salvaged store send, with a person taking the series over where it stops: every sale that is left is once in KRA's
/// books and known to be there.
#[track_caller]
fn expect_drained(kra: &Kra, shop: &Shop, kept: &Kept, lost: &[String]) -> u32 {
    kra.line(true);
    let gateway = shop.open_registered();
    let till = shop.till();
    let mut adopted = 0;
    till.post("/api/sales/?wait=0", &sale("AFTERWARDS")).expect(202);
    within(PATIENCE, "nothing waits any more", || {
        let status = shop.command(&["status", "--json"]).json();
        let stopped = status["alerts"].as_array().unwrap().iter().any(|it| it["code"] == "series_stopped");
        if stopped && adopted < 3 {
            adopted += 1;
            shop.command(&["series", "adopt", "--reason", "the store was salvaged"]).expect(0);
        }
        (till.queue()["waiting"] == 0).then_some(())
    });
    assert_eq!(till.state("AFTERWARDS")["status"], "signed");
    let books = kra.books();
    for (number, before) in &kept.sales {
        // At most once, whatever happened.
        let booked = books.sale(number);
        if lost.contains(number) {
            continue;
        }
        let state = till.state(number);
        match before["status"].as_str().unwrap() {
            "signed" | "pending" => {
                assert_eq!(state["status"], "signed", "{state}");
                assert_eq!(state["signature"], booked.unwrap()["rcptSign"], "{number}");
            }
            // What was decided about these may be lost; then they are sent like any other.
            "rejected" | "parked" => {
                assert!(state["status"] == before["status"] || booked.is_some(), "{state}");
            }
            status => assert_eq!(state["status"], status, "{state}"),
        }
        if number != "PARKED" && number != "REJECTED" && number != "TRAINING" {
            assert_eq!(till.post("/api/sales/", &sale(number)).expect(200)["repeat"], true);
        }
    }
    let numbers: Vec<u64> = books.sales().iter().map(|it| it["invcNo"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "numbers without a gap");
    gateway.stop();
    shop.command(&["verify"]).expect(0);
    adopted
}

#[test]
fn a_whole_store_comes_out_as_it_was() {
    let kra = Kra::start(Wire::Json);
    let standings = Standings::make(&kra, 1);
    let root = fs::metadata(&standings.killed.dir).unwrap().uid() == 0;
    for kept in [&standings.killed, &standings.stopped] {
        let shop = kept.shop(&kra);
        if root {
            chown(shop.state(), Some(4711), Some(4712)).unwrap();
        }
        let (ended, said) = salvage(&shop);
        if root {
            for path in files_below(&shop.path("new")).into_iter().chain([shop.path("new")]) {
                let owner = fs::metadata(&path).unwrap();
                assert_eq!((owner.uid(), owner.gid()), (4711, 4712), "{}", path.display());
            }
        }
        ended.expect(0);
        assert_eq!(said["whole"], true, "{said}");
        // The same records, byte for byte: the chain's head is the old one's.
        assert_eq!(said["oldHead"]["hash"], kept.verified["chainHead"], "{said}");
        assert_eq!(said["oldHead"]["record"], kept.verified["lastRecord"]);
        let gateway = shop.open();
        for (number, expected) in &kept.sales {
            let state = lasting(&shop.till().state(number));
            assert_eq!(state, *expected);
        }
        assert!(is_copy(&shop.till(), "SIGNED-1"), "its original was printed before");
        assert!(!is_copy(&shop.till(), "SIGNED-LAST"), "its original was not");
        assert!(!shop.journal().contains("made anew"), "the index is as the journal has it");
        gateway.stop();
    }
}

#[test]
fn random_damage_takes_only_what_is_listed() {
    let kra = Kra::start(Wire::Json);
    let standings = Standings::make(&kra, 1);
    let mut dice = Dice::new();
    let since = Instant::now();
    let (mut tried, mut readable, mut missing) = (0, 0, 0);
    while goes_on(tried, since) {
        let stopped = dice.below(2) == 0;
        let kept = if stopped { &standings.stopped } else { &standings.killed };
        let shop = kept.shop(&kra);
        let journal = shop.state().join("journal");
        let mut files = named(&journal, ".log");
        files.extend(named(&journal, ".pack"));
        let mut harm = Vec::new();
        for _ in 0..=dice.below(3) {
            let chosen = usize::try_from(dice.below(files.len() as u64)).unwrap();
            if dice.below(6) == 0 {
                let file = files.remove(chosen);
                fs::remove_file(&file).unwrap();
                harm.push((file.file_name().unwrap().to_owned(), 0, 0));
                continue;
            }
            let file = &files[chosen];
            let mut bytes = fs::read(file).unwrap();
            let place = usize::try_from(dice.below(used(&bytes).max(1) as u64)).unwrap();
            let end = (place + [1, 512, 8192][usize::try_from(dice.below(3)).unwrap()]).min(bytes.len());
            bytes[place..end].iter_mut().for_each(|byte| *byte ^= 0x41);
            fs::write(file, bytes).unwrap();
            harm.push((file.file_name().unwrap().to_owned(), place, end - place));
        }
        let (_, said) = salvage(&shop);
        eprintln!("{harm:?}");
        let gone = gone(&shop, kept, &said, stopped);
        missing += gone.len();
        readable += kept.sales.len() - gone.len();
        tried += 1;
    }
    eprintln!("{tried} stores salvaged: {readable} sales read, {missing} listed as lost");
}

#[test]
fn random_damage_lets_nothing_be_sent_twice() {
    let mut dice = Dice::new();
    let since = Instant::now();
    let (mut tried, mut adopted, mut not_registered) = (0, 0, 0);
    while goes_on(tried, since) {
        let kra = Kra::start(Wire::Json);
        let standings = Standings::make(&kra, 0);
        let kept = if dice.below(2) == 0 { &standings.killed } else { &standings.stopped };
        let shop = kept.shop(&kra);
        let file = named(&shop.state().join("journal"), ".log").pop().unwrap();
        let mut bytes = fs::read(&file).unwrap();
        let content = used(&bytes) as u64;
        for _ in 0..=dice.below(4) {
            let place = usize::try_from(dice.below(content)).unwrap();
            let length = [1, 1, 4096, 16384][usize::try_from(dice.below(4)).unwrap()];
            let end = (place + length).min(bytes.len());
            bytes[place..end].iter_mut().for_each(|byte| *byte ^= 0x41);
        }
        fs::write(&file, bytes).unwrap();
        if dice.below(3) == 0 {
            fs::remove_dir_all(shop.state().join("sled")).unwrap();
        }
        let (_, said) = salvage(&shop);
        tried += 1;
        if !said["toDo"].as_array().unwrap().is_empty() {
            not_registered += 1;
            continue;
        }
        let gone = gone(&shop, kept, &said, false);
        adopted += expect_drained(&kra, &shop, kept, &gone);
    }
    eprintln!(
        "{tried} stores salvaged and drained, series adopted {adopted} times, {not_registered} without a device"
    );
}

#[test]
fn a_lost_outcome_is_found_in_kras_books() {
    let kra = Kra::start(Wire::Json);
    let standings = Standings::make(&kra, 0);
    // What KRA said to SIGNED-2, with the BIND of it: its sale is all that is left.
    let shop = standings.killed.shop(&kra);
    let signature = standings.killed.sales["SIGNED-2"]["signature"].as_str().unwrap();
    assert!(flip(&shop, signature, 0, 9) > 0);
    let (ended, said) = salvage(&shop);
    ended.expect(1);
    assert_eq!(lost(&said), [""; 0], "{said}");
    expect_drained(&kra, &shop, &standings.killed, &[]);
}

#[test]
fn a_receipt_that_was_printed_is_no_word_about_what_was_lost_before_it() {
    let kra = Kra::start(Wire::Json);
    let standings = Standings::make(&kra, 0);
    // Its number, its request and KRA's word are lost; what is left says that its original was printed.
    for kept in [&standings.killed, &standings.stopped] {
        let shop = kept.shop(&kra);
        let signature = kept.sales["SIGNED-2"]["signature"].as_str().unwrap();
        assert!(flip(&shop, signature, 0, 1) > 0);
        flip(&shop, "SIGNED-2", 1, 1);
        let (ended, said) = salvage(&shop);
        ended.expect(1);
        assert_eq!((&said["seriesSetBack"], &said["nextInvcNo"]), (&json!(true), &json!(3)), "{said}");
    }
    let shop = standings.killed.shop(&kra);
    expect_drained(&kra, &shop, &standings.killed, &[]);
}

#[test]
fn a_lost_number_before_one_in_doubt_is_found_in_kras_books() {
    let kra = Kra::start(Wire::Json);
    let standings = Standings::make(&kra, 0);
    let shop = standings.killed.shop(&kra);
    let signature = standings.killed.sales["SIGNED-3"]["signature"].as_str().unwrap();
    assert!(flip(&shop, signature, 0, 9) > 0);
    assert!(flip(&shop, "SIGNED-3", 1, 9) > 0);
    let (ended, said) = salvage(&shop);
    ended.expect(1);
    // One behind it is bound and unanswered: found in the books, it must not carry the series over the gap.
    assert_eq!((&said["seriesSetBack"], &said["nextInvcNo"]), (&json!(true), &json!(4)), "{said}");
    expect_drained(&kra, &shop, &standings.killed, &[]);
}

#[test]
fn a_lost_number_and_outcome_are_found_in_kras_books() {
    let kra = Kra::start(Wire::Json);
    let standings = Standings::make(&kra, 0);
    let shop = standings.stopped.shop(&kra);
    // All but the first group that names it: its number, its request and KRA's word.
    let signature = standings.stopped.sales["SIGNED-2"]["signature"].as_str().unwrap();
    assert!(flip(&shop, signature, 0, 9) > 0);
    assert!(flip(&shop, "SIGNED-2", 1, 9) > 1);
    let (ended, said) = salvage(&shop);
    ended.expect(1);
    assert_eq!(said["seriesSetBack"], true, "{said}");
    expect_drained(&kra, &shop, &standings.stopped, &[]);
}

#[test]
fn a_lost_sale_is_listed_and_the_others_go_on() {
    let kra = Kra::start(Wire::Json);
    let standings = Standings::make(&kra, 0);
    // After a clean stop the index is whole, and knows it.
    let shop = standings.stopped.shop(&kra);
    assert!(flip(&shop, "PENDING-1", 0, 1) > 0);
    shop.spawn().wait_end(PATIENCE);
    assert!(shop.journal().contains("salvage"), "{}", shop.journal());
    let (ended, said) = salvage(&shop);
    ended.expect(1);
    assert_eq!(lost(&said), ["PENDING-1"], "{said}");
    expect_drained(&kra, &shop, &standings.stopped, &lost(&said));
    assert!(kra.books().sale("PENDING-1").is_none());
}

#[test]
fn a_lost_end_leaves_nothing_to_be_sent_twice() {
    let kra = Kra::start(Wire::Json);
    let standings = Standings::make(&kra, 0);
    let shop = standings.stopped.shop(&kra);
    // From the number of the sale in doubt on, all is gone, and the index with it.
    let newest = named(&shop.state().join("journal"), ".log").pop().unwrap();
    let mut bytes = fs::read(&newest).unwrap();
    let mut groups: Vec<usize> =
        (0..used(&bytes)).filter(|at| bytes[*at..].starts_with(b"IN-DOUBT")).map(|at| at / 4096).collect();
    groups.dedup();
    bytes[groups[1] * 4096 + 300..].fill(0);
    fs::write(&newest, bytes).unwrap();
    fs::remove_dir_all(shop.state().join("sled")).unwrap();
    let (ended, said) = salvage(&shop);
    ended.expect(1);
    assert_eq!(said["endIsUnsure"], true, "{said}");
    let lost: Vec<String> =
        ["PENDING-0", "PENDING-1", "PENDING-2", "PARKED"].iter().map(|it| (*it).to_owned()).collect();
    expect_drained(&kra, &shop, &standings.stopped, &lost);
    assert!(kra.books().sale("IN-DOUBT").is_some());
}

#[test]
fn where_kra_cannot_be_asked_nothing_that_it_may_have_is_sent() {
    let kra = Kra::start(Wire::Json);
    let standings = Standings::make(&kra, 0);
    let shop = standings.stopped.shop(&kra);
    let signature = standings.stopped.sales["SIGNED-2"]["signature"].as_str().unwrap();
    assert!(flip(&shop, signature, 0, 9) > 0);
    assert!(flip(&shop, "SIGNED-2", 1, 9) > 1);
    salvage(&shop).0.expect(1);
    kra.fault(
        json!({ "fault": "http_status", "function": "selectInvoiceDetails", "args": { "status": 404 } }),
    );
    kra.line(true);
    let booked = kra.books().sales().len();
    let gateway = shop.open_registered();
    let till = shop.till();
    // The one that was bound when the gateway stopped is KRA's to know, and it does not say: it is taken for in, unproven.
    let stopped = within(PATIENCE, "the series stops", || {
        let status = shop.command(&["status", "--json"]).json();
        let alerts = status["alerts"].as_array().unwrap();
        alerts.iter().find(|it| it["code"] == "series_stopped").map(Value::to_string)
    });
    assert!(stopped.contains("portal"), "{stopped}");
    assert_eq!(till.state("SIGNED-2")["inDoubt"], true);
    assert_eq!(kra.books().sales().len(), booked, "nothing was sent");
    shop.command(&["queue", "settle", "SIGNED-2", "--as", "accepted", "--reason", "the portal shows it"])
        .expect(0);
    gateway.stop();
    assert_eq!(kra.books().sales().iter().filter(|sale| sale["trdInvcNo"] == "SIGNED-2").count(), 1);
    shop.command(&["verify"]).expect(0);
}

#[test]
fn what_it_refuses() {
    let kra = Kra::start(Wire::Json);
    let shop = Shop::with(&kra);
    let state = shop.state().display().to_string();
    let into = shop.path("new").display().to_string();
    shop.command(&["salvage", &state, "--into", &into]).expect(66);
    let gateway = shop.open_registered();
    shop.till().sell("ONE");
    let in_use = shop.command(&["salvage", &state, "--into", &into]);
    assert!(in_use.expect(69).err.contains("stop the gateway"), "{in_use:?}");
    gateway.stop();
    fs::create_dir(&into).unwrap();
    fs::write(Path::new(&into).join("something"), "of somebody").unwrap();
    shop.command(&["salvage", &state, "--into", &into]).expect(64);
    let inside = shop.state().join("journal/new").display().to_string();
    shop.command(&["salvage", &state, "--into", &inside]).expect(64);
    fs::remove_file(Path::new(&into).join("something")).unwrap();

    let key = shop.state().join("keys/signing.key");
    let bytes = fs::read(&key).unwrap();
    fs::remove_file(&key).unwrap();
    let without = shop.command(&["salvage", &state, "--into", &into]);
    assert!(without.expect(65).err.contains("signing.key"), "{without:?}");
    fs::write(&key, bytes).unwrap();
    // A salvage that was cut off is begun anew.
    fs::create_dir(Path::new(&into).join("salvage.unfinished")).unwrap();
    // The device's key is not right: everything else comes out, and it is said what to do.
    fs::write(shop.state().join("keys/cmc.key"), "half").unwrap();
    let said = shop.command(&["salvage", &state, "--into", &into]);
    assert!(said.expect(1).out.contains("to do: the device's key"), "{said:?}");
    shop.command(&["verify", &into]).expect(0);
}
