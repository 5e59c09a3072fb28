//! The long life of a store: segments compressed and retired, unfinished documents taken along, and the power cut anywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::harness::{
    DEADLINE, bind, check_index_against_journal, clock, commit, event, item, on_shelf, open_fake, options,
    outcome, sale, sell, sell_and_sign, seq_of, signed,
};
use crate::queue::{Seq, Status};
use crate::store::disk::{Disk, DiskFile};
use crate::store::disk_fake::{FakeDisk, Fault};
use crate::store::journal::{list_segments, segment_name};
use crate::store::pack::{Pack, key_hash, pack_name, table_holds};
use crate::store::standing::Checkpoint;
use crate::store::upkeep::{Done, Upkeep};
use crate::store::verify::verify_on;
use crate::store::{
    Binding, CommitError, Effect, Entry, Kind, NewRecord, OpenReport, Options, ReadError, Stamp, Store,
    VerifyError,
};

pub(super) const NOW: i64 = 1_700_000_000_000;
const DAY: i64 = 86_400_000;

/// A checkpoint every few groups; nothing is retired.
pub(super) fn packing() -> Options {
    Options { checkpoint_bytes: 20_000, retire_pause: Duration::ZERO, proof_time: |_| Some(NOW), ..options() }
}

/// The same, and whatever is finished may go at once.
pub(super) fn retiring() -> Options {
    Options { retention: Some(Duration::ZERO), ..packing() }
}

/// Does all the housekeeping there is to do; what was done.
pub(super) fn keep_house(store: &Store, options: &Options) -> Vec<Done> {
    let mut upkeep = store.upkeep(options);
    let mut done = Vec::new();
    let deadline = Instant::now() + DEADLINE;
    loop {
        assert!(Instant::now() < deadline && done.len() < 500, "the housekeeping comes to no end: {done:?}");
        match upkeep.round() {
            Done::Nothing | Done::Waiting(_) => return done,
            Done::Asked => std::thread::sleep(Duration::from_millis(1)),
            something => done.push(something),
        }
        // With no retention at all, what is taken along is over at once.
        if done.iter().filter(|done| matches!(done, Done::Retired(_))).count() == 8 {
            return done;
        }
    }
}

/// Waits until the latest checkpoint covers what was committed before, then begins a new segment, whose BASE says so.
pub(super) async fn checkpoint_and_roll(store: &Store) {
    try_to_roll(store).await.unwrap();
}

async fn try_to_roll(store: &Store) -> Result<(), CommitError> {
    let before = store.head().0;
    let deadline = Instant::now() + DEADLINE;
    commit(store, vec![event(&"x".repeat(21_000))]).await?;
    loop {
        let latest = store.latest(Kind::Checkpoint).map(|at| store.read(at)).transpose();
        let latest = latest.map_err(CommitError::Unreadable)?;
        if latest.is_some_and(|latest| Checkpoint::decode(&latest.body).unwrap().indexed >= before) {
            break;
        }
        assert!(Instant::now() < deadline, "no checkpoint");
        if let Some(why) = store.health().failed {
            return Err(CommitError::Failed(why));
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let segments = store.health().segments;
    while store.health().segments == segments {
        commit(store, vec![event(&"x".repeat(9_000))]).await?;
    }
    Ok(())
}

pub(super) fn packs(disk: &Arc<FakeDisk>) -> Vec<u32> {
    let segments = list_segments(disk).unwrap();
    segments
        .into_iter()
        .map(|(segment, _)| segment)
        .filter(|segment| Pack::open(disk, *segment).is_ok())
        .collect()
}

/// Opens with the index as it is, and once more with the index made anew; both must be what the journal says.
pub(super) fn open_twice(disk: &Arc<FakeDisk>, dir: &Path, options: &Options) -> (Store, OpenReport) {
    let (store, report) = open_fake(disk, dir, options, false).expect("it opens");
    assert!(report.damage.is_empty(), "{report:?}");
    check_index_against_journal(&store);
    let standing = documents(&store);
    drop(store);
    std::fs::remove_dir_all(dir.join("sled")).unwrap();
    let (store, report) = open_fake(disk, dir, options, false).expect("it opens with an index made anew");
    // A sum over all rows that differed would be here.
    assert!(report.damage.is_empty() && report.rebuilt.is_some(), "{report:?}");
    check_index_against_journal(&store);
    assert_eq!(documents(&store), standing);
    (store, report)
}

/// Number, status, attempts, unsure sends, its number in KRA's series, bodies.
type Stands = (Seq, Status, u32, u32, Option<u64>, Vec<Vec<u8>>);

/// All unfinished documents: how they stand, and the bytes of their records.
fn documents(store: &Store) -> Vec<Stands> {
    let entries = store.unfinished(None, usize::MAX).unwrap();
    let bodies = |entry: &crate::store::Entry| {
        let places = [Some(entry.at), entry.bound.map(|bound| bound.at), entry.outcome];
        places.into_iter().flatten().map(|at| store.read(at).unwrap().body).collect()
    };
    entries
        .iter()
        .map(|entry| {
            let number = entry.bound.map(|bound| bound.number);
            (entry.seq, entry.status, entry.attempts, entry.unsure_sends, number, bodies(entry))
        })
        .collect()
}

#[tokio::test]
async fn a_compressed_segment_is_read_like_any_other() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let options = packing();
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    let waiting = sell(&store, "waits").await;
    for number in 0..80 {
        sell_and_sign(&store, &format!("S{number}")).await;
    }
    checkpoint_and_roll(&store).await;
    let before: Vec<_> = store.records_after(None, None, usize::MAX).unwrap();
    let bytes = store.health().journal_bytes;
    let done = keep_house(&store, &options);
    let packed = packs(&disk);
    assert!(packed.len() >= 3 && done.len() == packed.len(), "{done:?}");
    assert!(!packed.contains(&1), "a document in it is not finished");
    let now = store.health().journal_bytes;
    assert!(now < bytes - 100_000, "{now} of {bytes}");
    for segment in &packed {
        assert!(
            disk_names(&disk).iter().all(|name| *name != segment_name(*segment)),
            "the plain one is gone"
        );
    }

    // A checkpoint may have come meanwhile.
    assert_eq!(store.records_after(None, None, before.len()).unwrap(), before);
    let newest_first: Vec<_> = before.iter().rev().cloned().collect();
    let last = before.last().unwrap().seq;
    assert_eq!(store.records_before(Some(last + 1), None, usize::MAX).unwrap(), newest_first);
    for record in &before {
        assert_eq!(store.record(record.seq).unwrap().as_ref(), Some(record));
    }
    check_index_against_journal(&store);
    verify_on(&disk, dir.path(), None, &mut |_| {}).unwrap();
    drop(store);
    let (store, _) = open_twice(&disk, dir.path(), &options);
    assert_eq!(store.records_after(None, None, before.len()).unwrap(), before);
    assert_eq!(store.entry(waiting).unwrap().unwrap().status, Status::Pending);

    // Once it is finished, its segment is compressed too.
    commit(&store, vec![bind(waiting, store.series().next)]).await.unwrap();
    commit(&store, vec![signed(waiting, "LATE")]).await.unwrap();
    keep_house(&store, &options);
    assert!(packs(&disk).contains(&1));
    drop(store);
    open_twice(&disk, dir.path(), &options);
}

fn disk_names(disk: &Arc<FakeDisk>) -> Vec<String> {
    use crate::store::disk::Disk;
    disk.list().unwrap().into_iter().map(|(name, _)| name).collect()
}

#[tokio::test]
async fn the_keys_of_a_compressed_segment_are_known() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let options = packing();
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    for number in 0..30 {
        sell_and_sign(&store, &format!("S{number}")).await;
    }
    checkpoint_and_roll(&store).await;
    keep_house(&store, &options);
    let held = |key: &str| {
        packs(&disk).iter().any(|segment| {
            let keys = Pack::open(&disk, *segment).unwrap().key_bytes().unwrap();
            table_holds(&keys, key_hash(key))
        })
    };
    assert!((0..10).all(|number| held(&format!("S{number}"))));
    assert!((0..1000).all(|number| !held(&format!("T{number}"))));
}

#[tokio::test]
async fn damage_in_a_compressed_segment_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let options = packing();
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    for number in 0..30 {
        sell_and_sign(&store, &format!("S{number}")).await;
    }
    checkpoint_and_roll(&store).await;
    keep_house(&store, &options);
    drop(store);
    let segment = packs(&disk)[0];
    let length = list_file(&disk, &pack_name(segment));
    let mut told = 0;
    for at in (0..length).step_by(length / 97 + 1) {
        let copy = disk.fork();
        copy.tamper(&pack_name(segment), |bytes| bytes[at] ^= 4);
        let verified = verify_on(&copy, dir.path(), None, &mut |_| {});
        assert!(matches!(verified, Err(VerifyError::Bad { .. })), "byte {at}: {verified:?}");
        match open_fake(&copy, dir.path(), &options, false) {
            Ok((store, report)) => {
                // In the header: known at once. Elsewhere: when it is read.
                let Ok(records) = store.records_after(None, None, usize::MAX) else {
                    told += 1;
                    continue;
                };
                assert!(records.len() > 60 && (report.damage.is_empty() || at < 4096));
                let scrubbed = store.scrub_once();
                assert!(!scrubbed.is_empty() || !report.damage.is_empty(), "byte {at} is never told");
                told += 1;
            }
            Err(error) => {
                assert_eq!(error.exit_code(), 65, "byte {at}: {error}");
                told += 1;
            }
        }
    }
    assert!(told > 60, "{told}");
    let cut = disk.fork();
    cut.tamper(&pack_name(segment), |bytes| bytes.truncate(length / 2));
    assert!(matches!(verify_on(&cut, dir.path(), None, &mut |_| {}), Err(VerifyError::Bad { .. })));
}

fn list_file(disk: &Arc<FakeDisk>, name: &str) -> usize {
    use crate::store::disk::Disk;
    let length = disk.list().unwrap().into_iter().find(|(other, _)| other == name).unwrap().1;
    usize::try_from(length).unwrap()
}

/// A disk that lists once what was there before.
struct Stale {
    disk: Arc<FakeDisk>,
    before: Mutex<Option<Vec<(String, u64)>>>,
}

impl Disk for Stale {
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        self.before.lock().unwrap().take().map_or_else(|| self.disk.list(), Ok)
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.disk.open(name)
    }

    fn create(&self, _: &str) -> io::Result<Box<dyn DiskFile>> {
        panic!("verify writes nothing")
    }

    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        panic!("verify writes nothing")
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        panic!("verify writes nothing")
    }

    fn sync_names(&self) -> io::Result<()> {
        panic!("verify writes nothing")
    }

    fn free(&self) -> io::Result<u64> {
        Ok(0)
    }
}

#[tokio::test]
async fn a_segment_that_is_retired_while_a_check_begins_does_not_fail_it() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let options = retiring();
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    for number in 0..4 {
        sell_and_sign(&store, &format!("S{number}")).await;
        checkpoint_and_roll(&store).await;
    }
    let (before, up_to) = (disk.list().unwrap(), store.head().0);
    keep_house(&store, &options);
    assert!(store.first_seq() > 1);
    let stale = Stale { disk: Arc::clone(&disk), before: Mutex::new(Some(before)) };
    let report = verify_on(&stale, dir.path(), Some(up_to), &mut |_| {}).unwrap();
    assert!(report.first.0 == store.first_seq() && report.last.0 >= up_to, "{report:?}");
    assert!(stale.before.lock().unwrap().is_none());
}

#[tokio::test]
async fn a_document_that_leaves_while_it_is_looked_up_is_gone_or_where_it_was_taken_to() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let options = retiring();
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    let waits = sell(&store, "waits").await;
    sell_and_sign(&store, "finished").await;
    for _ in 0..3 {
        checkpoint_and_roll(&store).await;
    }
    sell_and_sign(&store, "now").await;
    let upkeep = Mutex::new(store.upkeep(&options));
    let before = store.find("waits").unwrap().unwrap();
    // All of it happens at the first look.
    let after = store.find_while("waits", || retire_up_to(&store, &upkeep, waits)).unwrap().unwrap();
    assert!(after.at != before.at && after == Entry { at: after.at, ..before });
    assert_eq!(store.find("finished").unwrap(), None);
}

#[tokio::test]
async fn a_finished_document_that_leaves_while_it_is_looked_up_is_not_known() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let options = retiring();
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    let finished = sell_and_sign(&store, "finished").await;
    for _ in 0..3 {
        checkpoint_and_roll(&store).await;
    }
    sell_and_sign(&store, "now").await;
    let upkeep = Mutex::new(store.upkeep(&options));
    let found = store.find_while("finished", || retire_up_to(&store, &upkeep, finished));
    assert_eq!(found.unwrap(), None);
}

/// Goes on until the segment with this document is no longer kept.
fn retire_up_to(store: &Store, upkeep: &Mutex<Upkeep>, document: Seq) {
    let deadline = Instant::now() + DEADLINE;
    while store.first_seq() <= document {
        assert!(Instant::now() < deadline);
        upkeep.lock().unwrap().round();
    }
}

#[tokio::test]
async fn a_retired_segment_leaves_and_the_chain_stays_whole() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let options = retiring();
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    let genesis = store.read(store.latest(Kind::Genesis).unwrap()).unwrap();
    let waiting = sell(&store, "waits").await;
    commit(&store, vec![bind(waiting, 1)]).await.unwrap();
    commit(&store, vec![outcome(waiting, Status::Pending, 2, Binding::Keep)]).await.unwrap();
    let parked = sell(&store, "parked").await;
    commit(&store, vec![outcome(parked, Status::Parked, 0, Binding::Keep)]).await.unwrap();
    let standing = documents(&store);
    let sale_of = |store: &Store, key: &str| store.read(store.find(key).unwrap().unwrap().at).unwrap();
    let original = sale_of(&store, "waits");
    for number in 0..40 {
        let document = sell(&store, &format!("S{number}")).await;
        commit(&store, vec![outcome(document, Status::Settled, 0, Binding::Release)]).await.unwrap();
    }
    checkpoint_and_roll(&store).await;
    let done = keep_house(&store, &options);
    let retired: Vec<_> = done.iter().filter(|done| matches!(done, Done::Retired(_))).collect();
    assert!(retired.len() >= 3, "{done:?}");

    let report = verify_on(&disk, dir.path(), None, &mut |_| {}).unwrap();
    assert_eq!(report.first.0, store.first_seq());
    assert!(report.first.0 > original.seq && report.first.1 != [0; 32]);
    assert_eq!(documents(&store), standing, "state, numbers and bytes are what they were");
    assert_eq!(sale_of(&store, "waits"), original, "number, hash and signature too");
    assert_eq!(store.read(store.latest(Kind::Genesis).unwrap()).unwrap(), genesis);
    assert_eq!(store.find("S0").unwrap(), None);
    assert_eq!(store.first_pending_but(|_| false).unwrap().unwrap().seq, waiting);
    check_index_against_journal(&store);
    let mark = store.read(store.latest(Kind::Retire).unwrap()).unwrap();
    let text = String::from_utf8(mark.body).unwrap();
    assert!(text.contains("is no longer kept: records ") && text.contains(" finished sales"), "{text}");

    // Its number may be used again, and that sale stays.
    let again = sell(&store, "S0").await;
    drop(store);
    let (store, _) = open_twice(&disk, dir.path(), &options);
    assert_eq!(store.find("S0").unwrap().unwrap().seq, again);
    assert_eq!(documents(&store).len(), standing.len() + 1);
    assert_eq!(store.genesis().public_key, store.public_key());

    // What was taken along goes on as if nothing had been.
    commit(&store, vec![signed(waiting, "SIGN")]).await.unwrap();
    assert_eq!(store.series().next, 2);
    assert_eq!(store.find("waits").unwrap().unwrap().status, Status::Signed);
    drop(store);
    let (store, _) = open_twice(&disk, dir.path(), &options);
    // And leaves in its turn, with the segment that it was taken along to.
    for number in 0..3 {
        checkpoint_and_roll(&store).await;
        sell_and_sign(&store, &format!("L{number}")).await;
    }
    keep_house(&store, &options);
    assert_eq!(store.find("waits").unwrap(), None);
    assert!(store.find("parked").unwrap().is_some());
    drop(store);
    open_twice(&disk, dir.path(), &options);
}

/// A sale that the ledger can read.
pub(super) fn readable(signer: &crate::store::Signer, key: &str) -> NewRecord {
    let none = ["0.00", "0.00", "0.00"];
    let body = serde_json::json!({
        "device": { "tin": "P051234567Z", "bhf_id": "00", "serial": "S" },
        "trader_ref": key, "receipt_type": "S", "sales_type": "N", "payment_type": "01",
        "confirmed_at": "20231115101500", "confirmed_by": "gateway", "lines": [],
        "by_tax_type": [none, none, none, none, none],
        "total_taxable": "0.00", "total_tax": "0.00", "total": "0.00",
    });
    let mut sale = NewRecord { body: body.to_string().into_bytes(), ..sale(signer, key, 0) };
    let bytes =
        crate::store::Signer::document_bytes(sale.kind, &sale.stamp, &sale.origin, &sale.effect, &sale.body);
    sale.signature = Some(signer.sign(&bytes));
    sale
}

#[tokio::test]
async fn what_was_taken_along_is_listed_after_everything_younger() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let options = retiring();
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    let mut waiting = Vec::new();
    for key in ["old-1", "old-2", "old-3"] {
        waiting.push(seq_of(&commit(&store, vec![readable(&store.signer(), key)]).await.unwrap()));
    }
    for number in 0..12 {
        let document = sell(&store, &format!("S{number}")).await;
        commit(&store, vec![outcome(document, Status::Settled, 0, Binding::Release)]).await.unwrap();
    }
    checkpoint_and_roll(&store).await;
    checkpoint_and_roll(&store).await;
    let young = seq_of(&commit(&store, vec![readable(&store.signer(), "young")]).await.unwrap());
    keep_house(&store, &options);
    assert!(store.first_seq() > waiting[2] && store.find("S11").unwrap().is_none());

    let reader = crate::store::reading::Reader { store: store.clone(), now: clock() };
    let list = |before, limit| {
        let (sales, next) = reader.recent(before, None, limit).unwrap();
        (sales.iter().map(|sale| sale.seq).collect::<Vec<_>>(), next)
    };
    assert_eq!(list(None, 10), (vec![young, waiting[2], waiting[1], waiting[0]], None));
    assert_eq!(list(None, 2), (vec![young, waiting[2]], Some(waiting[2])));
    assert_eq!(list(Some(waiting[2]), 2), (vec![waiting[1], waiting[0]], Some(waiting[0])));
    assert_eq!(list(Some(waiting[0]), 2), (vec![], None));
    assert_eq!(list(Some(waiting[1] + 1), 1), (vec![waiting[1]], Some(waiting[1])), "by its number");
}

#[tokio::test]
async fn a_segment_that_is_missing_without_a_mark_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let options = retiring();
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    for number in 0..60 {
        sell_and_sign(&store, &format!("S{number}")).await;
    }
    checkpoint_and_roll(&store).await;
    drop(store);
    let whole = disk.fork();
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    assert!(keep_house(&store, &options).iter().any(|done| matches!(done, Done::Retired(1))));
    drop(store);
    // The oldest kept one gone too, and one gone that nothing retired.
    for copy in [disk.fork(), whole] {
        use crate::store::disk::Disk;
        let oldest = list_segments(&copy).unwrap()[0].0;
        let name =
            disk_names(&copy).into_iter().find(|name| name.starts_with(&format!("{oldest:010}"))).unwrap();
        copy.remove(&name).unwrap();
        let verified = verify_on(&copy, dir.path(), None, &mut |_| {});
        assert!(matches!(verified, Err(VerifyError::Bad { .. })), "{verified:?}");
    }
    // A file that could not be removed is no harm, and the next start removes it.
    assert!(verify_on(&disk, dir.path(), None, &mut |_| {}).is_ok());
}

#[tokio::test]
async fn a_new_sale_does_not_wait_for_the_check_of_the_keys() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let options = packing();
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    for number in 0..60 {
        sell_and_sign(&store, &format!("S{number}")).await;
    }
    checkpoint_and_roll(&store).await;
    keep_house(&store, &options);
    sell(&store, "in the open segment").await;
    assert!(packs(&disk).len() > 2);
    drop(store);
    // An index that has lost two keys, and a check that has not come to them.
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    let _ = store.find("a key that nobody has");
    store.begin_check_of_keys();
    assert_eq!(store.find("a new one").unwrap(), None, "answered while the check runs");
    // The tables are at hand then: the next new one does not read them all again.
    packs(&disk).into_iter().for_each(|segment| disk.spoil(&pack_name(segment)));
    let (tell, told) = std::sync::mpsc::channel();
    let asking = store.clone();
    std::thread::spawn(move || tell.send(asking.find("the next new one").map(|found| found.is_some())));
    assert_eq!(told.recv_timeout(DEADLINE).expect("it waits for the check").ok(), Some(false));
    disk.mend();
    for lost in ["S3", "in the open segment"] {
        store.forget_key(lost);
        let asked = {
            let store = store.clone();
            std::thread::spawn(move || store.find(lost))
        };
        std::thread::sleep(Duration::from_millis(30));
        assert!(!asked.is_finished(), "{lost} is in the journal: the check must say why it is not found");
        store.end_check_of_keys();
        assert!(asked.join().unwrap().is_err(), "{lost}");
        store.begin_check_of_keys();
    }
}

#[tokio::test]
async fn a_key_that_the_index_lost_is_not_new_while_the_store_stops() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let options = packing();
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    for number in 0..5 {
        sell_and_sign(&store, &format!("S{number}")).await;
    }
    let _ = store.find("a key that nobody has");
    store.begin_check_of_keys();
    store.forget_key("S3");
    let asked = {
        let store = store.clone();
        std::thread::spawn(move || store.find("S3"))
    };
    std::thread::sleep(Duration::from_millis(30));
    store.stop_check_of_keys();
    assert_eq!(asked.join().unwrap(), Err(ReadError::Stopping));
    // What comes now is not told apart any better; what is surely new is.
    assert_eq!(store.find("S3"), Err(ReadError::Stopping));
    let again = commit(&store, vec![sale(&store.signer(), "S3", 900)]).await;
    assert_eq!(again, Err(CommitError::Stopping));
    assert_eq!(store.find("surely new"), Ok(None));
    assert!(store.find("S2").unwrap().is_some());
}

#[tokio::test]
async fn the_index_is_made_smaller_and_a_crash_in_between_is_as_if_nothing_had_been() {
    let dir = tempfile::tempdir().unwrap();
    let small = Options { compact_above: 0, ..options() };
    let open = |options: &Options| Store::open(dir.path(), options.clone(), &mut |_| {}).unwrap();
    let (store, _) = open(&options());
    for number in 0..150 {
        sell_and_sign(&store, &format!("S{number}")).await;
    }
    sell(&store, "open").await;
    store.close().await;
    let (sled, new, old) =
        (dir.path().join("sled"), dir.path().join("sled.new"), dir.path().join("sled.old"));
    let (store, report) = open(&small);
    let (before, after) = report.compacted.expect("the file is larger than four times nearly nothing");
    assert!(after <= before && report.rebuilt.is_none() && report.damage.is_empty(), "{report:?}");
    assert!(!new.exists() && !old.exists());
    check_index_against_journal(&store);
    store.close().await;

    for state in 0..3 {
        match state {
            0 => std::fs::create_dir(&new).unwrap(),
            1 => std::fs::rename(&sled, &old).unwrap(),
            _ => std::fs::create_dir(&old).unwrap(),
        }
        let (store, report) = open(&options());
        assert!(report.rebuilt.is_none() && report.quarantined.is_none(), "state {state}: {report:?}");
        assert!(!new.exists() && !old.exists());
        check_index_against_journal(&store);
        store.close().await;
    }
}

static WALL: AtomicI64 = AtomicI64::new(NOW);
static SYNCHRONISED: AtomicBool = AtomicBool::new(true);
static KRA: AtomicI64 = AtomicI64::new(NOW);

#[tokio::test]
async fn nothing_younger_than_the_retention_goes_and_no_clock_gone_wrong_takes_more() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let options = Options {
        clock: || Stamp {
            wall_ms: WALL.load(Ordering::SeqCst),
            synchronised: SYNCHRONISED.load(Ordering::SeqCst),
            ..clock()
        },
        proof_time: |_| Some(KRA.load(Ordering::SeqCst)),
        retention: Some(Duration::from_secs(1830 * 86_400)),
        ..packing()
    };
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    for number in 0..40 {
        sell_and_sign(&store, &format!("S{number}")).await;
    }
    checkpoint_and_roll(&store).await;
    let retired = |store: &Store, wall: i64, synchronised: bool, kra: i64| {
        WALL.store(wall, Ordering::SeqCst);
        SYNCHRONISED.store(synchronised, Ordering::SeqCst);
        KRA.store(kra, Ordering::SeqCst);
        keep_house(store, &options).into_iter().filter(|done| matches!(done, Done::Retired(_))).count()
    };
    let five_years = 1830 * DAY;
    assert_eq!(retired(&store, NOW + five_years - 1, true, NOW + five_years - 1), 0);
    assert_eq!(retired(&store, NOW + five_years + DAY, false, NOW), 0, "not synchronised");
    assert_eq!(retired(&store, NOW + five_years + DAY, true, NOW), 0, "KRA's word is five years old");
    assert_eq!(
        retired(&store, NOW + five_years + DAY, true, NOW + 2 * DAY),
        0,
        "KRA signed two days after acceptance"
    );
    // KRA's word of today confirms the clock; the proofs of these documents say the same here, so they are as young.
    assert_eq!(retired(&store, NOW + five_years + DAY, true, NOW + five_years), 0);
    assert!(store.find("S0").unwrap().is_some());
    assert!(verify_on(&disk, dir.path(), None, &mut |_| {}).is_ok());
}

static STRAYING: AtomicI64 = AtomicI64::new(NOW);

#[tokio::test]
async fn a_segment_begun_by_a_clock_synchronised_with_something_wrong_makes_nothing_older() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let five_years = 1830 * DAY;
    let options = Options {
        clock: || Stamp { wall_ms: STRAYING.load(Ordering::SeqCst), ..clock() },
        proof_time: |body| (body == b"KRA").then_some(NOW),
        retention: Some(Duration::from_secs(1830 * 86_400)),
        ..packing()
    };
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    // Nothing of KRA's says how old it is.
    let young = sell(&store, "young").await;
    commit(&store, vec![outcome(young, Status::Settled, 0, Binding::Keep)]).await.unwrap();
    STRAYING.store(NOW - five_years - DAY, Ordering::SeqCst);
    checkpoint_and_roll(&store).await;
    STRAYING.store(NOW, Ordering::SeqCst);
    for _ in 0..3 {
        checkpoint_and_roll(&store).await;
    }
    let now = sell(&store, "now").await;
    commit(&store, vec![bind(now, 1)]).await.unwrap();
    commit(&store, vec![NewRecord { body: b"KRA".to_vec(), ..signed(now, "SIGN") }]).await.unwrap();
    keep_house(&store, &options);
    assert_eq!(store.first_seq(), 1);
    assert!(store.find("young").unwrap().is_some());
}

#[tokio::test]
async fn one_segment_an_hour() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let options = Options { retire_pause: Duration::from_secs(3600), ..retiring() };
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    for number in 0..60 {
        sell_and_sign(&store, &format!("S{number}")).await;
    }
    checkpoint_and_roll(&store).await;
    // The pins of the first segment are taken along first, and the clock stands still.
    let mut retired = 0;
    for _ in 0..4 {
        retired +=
            keep_house(&store, &options).iter().filter(|done| matches!(done, Done::Retired(_))).count();
    }
    assert_eq!(retired, 1);
}

/// Some sales, some of them signed, and housekeeping between them, until the disk fails.
async fn work(store: &Store, round: u64, options: &Options, told: &mut Told) -> Result<(), CommitError> {
    let kept = [format!("I{round}"), "always".to_owned()];
    commit(store, kept.iter().map(|key| item(key, &format!("{round}"))).collect()).await?;
    told.kept.insert(kept[0].clone());
    for number in 0..4 {
        let key = format!("S{round}-{number}");
        let new = sale(&store.signer(), &key, 15_000);
        let document = seq_of(&commit(store, vec![new]).await?);
        told.sold.insert(key.clone(), document);
        if number % 2 == 0 {
            commit(store, vec![bind(document, store.series().next)]).await?;
            let words = vec![signed(document, "SIGN"), event(&"printed ".repeat(700))];
            commit(store, words).await?;
            told.signed.push(key);
        }
    }
    try_to_roll(store).await?;
    keep_house(store, options);
    let document = seq_of(&commit(store, vec![sale(&store.signer(), &format!("L{round}"), 900)]).await?);
    told.sold.insert(format!("L{round}"), document);
    keep_house(store, options);
    Ok(())
}

/// What was acknowledged.
#[derive(Default)]
struct Told {
    sold: BTreeMap<String, Seq>,
    signed: Vec<String>,
    kept: BTreeSet<String>,
}

/// Everything acknowledged is there or was retired, and the store goes on.
async fn check(disk: &Arc<FakeDisk>, dir: &Path, options: &Options, told: &Told) {
    let (store, report) = open_fake(disk, dir, options, false).expect("a power cut is no damage");
    assert!(report.damage.is_empty(), "{report:?}");
    check_index_against_journal(&store);
    let items = on_shelf(&store, Kind::Item);
    assert!(told.kept.iter().all(|key| items.contains_key(key)), "{items:?}");
    for (key, seq) in &told.sold {
        match store.find(key).unwrap() {
            Some(entry) => {
                assert_eq!(entry.seq, *seq);
                let record = store.read(entry.at).unwrap();
                assert!(record.body.starts_with(format!("sale {key} ").as_bytes()));
                assert!(!told.signed.contains(key) || entry.status == Status::Signed, "{entry:?}");
            }
            None => assert!(told.signed.contains(key) && *seq < store.first_seq(), "{key} is lost"),
        }
    }
    verify_on(disk, dir, None, &mut |_| {}).unwrap();
    keep_house(&store, options);
    sell(&store, &format!("after-{}", store.head().0)).await;
    check_index_against_journal(&store);
    verify_on(disk, dir, None, &mut |_| {}).unwrap();
    drop(store);
}

/// False: the fault did not come.
async fn cut_while_keeping_house(nth: u64, fault: Fault, seed: u64, options: &Options) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let mut told = Told::default();
    let (store, _) = open_fake(&disk, dir.path(), options, false).unwrap();
    work(&store, 1, options, &mut told).await.unwrap();
    disk.plan(nth, fault);
    if let Err(error) = work(&store, 2, options, &mut told).await {
        let unreadable =
            matches!(error, CommitError::Unreadable(ReadError::Io { .. } | ReadError::Damaged(_)));
        assert!(unreadable || matches!(error, CommitError::Failed(_)), "{error}");
    }
    drop(store);
    let came = disk.faulted();
    disk.mend();
    let disk =
        if fault == Fault::PowerOff || seed.is_multiple_of(2) { disk.after_power_cut(seed) } else { disk };
    if seed.is_multiple_of(3) {
        let _ = std::fs::remove_dir_all(dir.path().join("sled"));
    }
    check(&disk, dir.path(), options, &told).await;
    let disk = disk.after_power_cut(seed + 1);
    check(&disk, dir.path(), options, &told).await;
    drop(open_twice(&disk, dir.path(), options));
    came
}

async fn cut_everywhere(options: Options, fault: Fault) {
    let mut seed = if fault == Fault::PowerOff { 0 } else { 1000 };
    for nth in 1.. {
        seed += 1;
        if !cut_while_keeping_house(nth, fault, seed, &options).await {
            assert!(nth > 30, "only {nth} operations");
            break;
        }
    }
}

#[tokio::test]
async fn the_power_goes_off_at_every_operation_of_a_compression() {
    cut_everywhere(packing(), Fault::PowerOff).await;
}

#[tokio::test]
async fn the_power_goes_off_at_every_operation_of_a_retirement() {
    cut_everywhere(retiring(), Fault::PowerOff).await;
}

#[tokio::test]
async fn every_write_and_sync_of_the_housekeeping_fails_once() {
    cut_everywhere(packing(), Fault::Error).await;
    cut_everywhere(retiring(), Fault::Error).await;
}

/// What may happen to a document.
#[derive(Clone, Debug)]
enum Deed {
    Sell,
    Bind(usize),
    Doubt(usize),
    Free(usize),
    Park(usize),
    Reject(usize),
    Sign(usize),
    House,
    Reopen,
    Rebuild,
    Keep(usize),
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        6 => Just(Deed::Sell),
        4 => any::<usize>().prop_map(Deed::Bind),
        2 => any::<usize>().prop_map(Deed::Doubt),
        2 => any::<usize>().prop_map(Deed::Free),
        1 => any::<usize>().prop_map(Deed::Park),
        1 => any::<usize>().prop_map(Deed::Reject),
        5 => any::<usize>().prop_map(Deed::Sign),
        2 => Just(Deed::House),
        1 => Just(Deed::Reopen),
        1 => Just(Deed::Rebuild),
        4 => (0..5usize).prop_map(Deed::Keep),
    ];
    proptest::collection::vec(deed, 20..60)
}

/// A document as it should stand.
#[derive(Clone, Debug, PartialEq)]
struct Model {
    status: Status,
    unsure_sends: u32,
    number: Option<u64>,
}

#[allow(clippy::too_many_lines, reason = "a table: what each deed makes of a document")]
async fn act(deeds: &[Deed]) {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let options = retiring();
    let (mut store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    let mut model: BTreeMap<Seq, Model> = BTreeMap::new();
    let mut kept = BTreeMap::new();
    let mut number = 0;
    for (step, deed) in deeds.iter().enumerate() {
        let pick = |which: usize| {
            let open: Vec<_> = model.iter().collect();
            open.get(which.checked_rem(open.len()).unwrap_or(0)).map(|(seq, it)| (**seq, (*it).clone()))
        };
        let mut records: Vec<NewRecord> = Vec::new();
        let mut after = None;
        match deed {
            Deed::Sell => {
                let new = sale(&store.signer(), &format!("K{step}"), 9_000);
                let document = seq_of(&commit(&store, vec![new]).await.unwrap());
                model.insert(document, Model { status: Status::Pending, unsure_sends: 0, number: None });
            }
            Deed::Bind(which) => {
                if let Some((document, was)) = pick(*which) {
                    number += 1;
                    records.push(bind(document, number));
                    after = Some((document, Model { number: Some(number), ..was }));
                }
            }
            Deed::Doubt(which) => {
                if let Some((document, was)) = pick(*which) {
                    records.push(outcome(document, Status::Pending, 3, Binding::Keep));
                    after = Some((document, Model { status: Status::Pending, unsure_sends: 3, ..was }));
                }
            }
            // As a person does it: no OUTCOME, and the number is free.
            Deed::Free(which) => {
                if let Some((document, _)) = pick(*which) {
                    let free = outcome(document, Status::Pending, 0, Binding::Release);
                    records.push(NewRecord { kind: Kind::Admin, ..free });
                    after =
                        Some((document, Model { status: Status::Pending, unsure_sends: 0, number: None }));
                }
            }
            Deed::Park(which) | Deed::Reject(which) => {
                if let Some((document, was)) = pick(*which) {
                    let status =
                        if matches!(deed, Deed::Park(_)) { Status::Parked } else { Status::Rejected };
                    records.push(outcome(document, status, 0, Binding::Keep));
                    after = Some((document, Model { status, unsure_sends: 0, ..was }));
                }
            }
            Deed::Sign(which) => {
                if let Some((document, _)) = pick(*which) {
                    records.push(outcome(document, Status::Settled, 0, Binding::Keep));
                    commit(&store, records.clone()).await.unwrap();
                    records.clear();
                    model.remove(&document);
                }
            }
            Deed::Keep(which) => {
                let (key, body) = (format!("I{which}"), format!("{step}"));
                commit(&store, vec![item(&key, &body)]).await.unwrap();
                kept.insert(key, body);
            }
            Deed::House => {
                keep_house(&store, &options);
            }
            Deed::Reopen | Deed::Rebuild => {
                drop(store);
                if matches!(deed, Deed::Rebuild) {
                    std::fs::remove_dir_all(dir.path().join("sled")).unwrap();
                }
                let (opened, report) = open_fake(&disk, dir.path(), &options, false).unwrap();
                assert!(report.damage.is_empty(), "{report:?}");
                store = opened;
            }
        }
        if let Some((document, now)) = after {
            commit(&store, records).await.unwrap();
            model.insert(document, now);
        }
        let there: BTreeMap<Seq, Model> = store
            .unfinished(None, usize::MAX)
            .unwrap()
            .into_iter()
            .map(|entry| {
                let record = store.read(entry.at).unwrap();
                assert!(record.seq == entry.seq && matches!(record.effect, Effect::Document { .. }));
                let number = entry.bound.map(|bound| bound.number);
                (entry.seq, Model { status: entry.status, unsure_sends: entry.unsure_sends, number })
            })
            .collect();
        assert_eq!(there, model, "after {step}: {deed:?}");
        assert_eq!(on_shelf(&store, Kind::Item), kept, "after {step}: {deed:?}");
    }
    drop(store);
    let (store, _) = open_twice(&disk, dir.path(), &options);
    assert_eq!(store.unfinished(None, usize::MAX).unwrap().len(), model.len());
    verify_on(&disk, dir.path(), None, &mut |_| {}).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn whatever_is_unfinished_stands_as_it_stood(deeds in deeds()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(act(&deeds));
    }
}
