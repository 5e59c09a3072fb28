//! A full disk: no new sale is taken, what becomes of the waiting ones finds its place, and it goes on by itself.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::harness::{
    bind, check_index_against_journal, commit, event, open, open_fake, options, sale, sell, sell_and_sign,
    signed,
};
use crate::store::disk::Disk;
use crate::store::disk_fake::FakeDisk;
use crate::store::verify::verify_on;
use crate::store::{CommitError, Committed, Options, RoomLevel, Store};

const KIB: u64 = 1 << 10;

fn with_reserve() -> Options {
    Options { segment_size: 512 << 10, reserve: 1 << 20, min_free: 100 * KIB, ..options() }
}

fn open_full(disk: &Arc<FakeDisk>, dir: &Path) -> Store {
    open_fake(disk, dir, &with_reserve(), true).unwrap().0
}

/// Until the thread that makes room ahead has seen that there is some.
fn wait_for_reserve(store: &Store) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while store.health().room.reserve != Some(true) {
        assert!(Instant::now() < deadline, "no reserve: {:?}", store.health());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn names(disk: &Arc<FakeDisk>) -> Vec<String> {
    disk.list().unwrap().into_iter().map(|(name, _)| name).collect()
}

#[tokio::test]
async fn what_was_accepted_is_bound_and_recorded_on_a_full_disk() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let store = open_full(&disk, dir.path());
    assert_eq!(store.health().room.level(), RoomLevel::Enough);
    // Two spares of 512 KiB, the rest of the first segment, and so much above the floor.
    disk.leave_free(3000 * KIB);
    let mut documents = Vec::new();
    let mut levels = vec![store.health().room.level()];
    let refused = loop {
        let key = format!("S{}", documents.len());
        match commit(&store, vec![sale(&store.signer(), &key, 3000)]).await {
            Ok(committed) => documents.push(super::harness::seq_of(&committed)),
            Err(error) => break error,
        }
        levels.push(store.health().room.level());
    };
    levels.dedup();
    assert!(documents.len() > 100, "{} sales", documents.len());
    assert!(matches!(refused, CommitError::DiskLow { .. }), "{refused}");
    // It was told before it came to that, and the last one taken left no room for another.
    assert_eq!(levels, [RoomLevel::Enough, RoomLevel::Filling, RoomLevel::Low]);
    assert_eq!(store.health().failed, None);

    // Known ones are answered.
    let again = commit(&store, vec![sale(&store.signer(), "S3", 3000)]).await.unwrap();
    assert!(matches!(&again[..], [Committed::Known(entry)] if entry.seq == documents[3]));

    // Somebody else takes all that is left above the floor. With the floor, the room ahead is what was promised: every
    // sale is bound and recorded, with request bytes half as long again as the sale.
    disk.leave_free(disk.free().unwrap().min(2900 * KIB));
    for (number, document) in (1..).zip(&documents) {
        let mut bound = bind(*document, number);
        bound.body = vec![b'x'; 4500];
        commit(&store, vec![bound]).await.unwrap();
        let mut outcome = signed(*document, "SIGN");
        outcome.body = vec![b'y'; 700];
        commit(&store, vec![outcome]).await.unwrap();
    }
    check_index_against_journal(&store);
    assert_eq!(store.health().room.needed, 0);
    store.close().await;
    verify_on(&disk, dir.path(), None, &mut |_| {}).unwrap();
}

#[tokio::test]
async fn the_journal_goes_on_in_its_reserve_and_then_waits_for_room() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let store = open_full(&disk, dir.path());
    wait_for_reserve(&store);
    let waiting = sell(&store, "waits").await;
    disk.leave_free(0);
    let refused = commit(&store, vec![sale(&store.signer(), "new", 900)]).await.unwrap_err();
    assert!(matches!(refused, CommitError::DiskLow { .. }), "{refused}");

    let mut written = 0;
    let full = loop {
        let mut event = event("x");
        event.body = vec![b'e'; 20_000];
        match commit(&store, vec![event]).await {
            Ok(_) => written += 20,
            Err(error) => break error,
        }
    };
    assert_eq!(full, CommitError::DiskFull);
    // The first segment, two spares and the reserve: half of it a segment, half of it room to grow.
    assert!((1900..2560).contains(&written), "{written} KiB");
    assert!(!names(&disk).iter().any(|name| name == "reserve"), "it is a segment now");
    let health = store.health();
    assert_eq!((health.failed, health.room.reserve), (None, Some(false)));
    assert_eq!(store.find("waits").unwrap().unwrap().seq, waiting, "what is known is answered");

    // A start on the full disk is possible, and takes nothing away.
    drop(store);
    let (store, report) = open_fake(&disk, dir.path(), &with_reserve(), false).unwrap();
    assert!(report.rebuilt.is_none() && report.damage.is_empty(), "{report:?}");
    let mut bound = bind(waiting, 1);
    bound.body = vec![b'x'; 20_000];
    assert_eq!(commit(&store, vec![bound]).await, Err(CommitError::DiskFull));
    store.close().await;

    disk.leave_free(64 << 20);
    let store = open_full(&disk, dir.path());
    wait_for_reserve(&store);
    commit(&store, vec![bind(waiting, 1)]).await.unwrap();
    commit(&store, vec![signed(waiting, "SIGN")]).await.unwrap();
    sell(&store, "new").await;
    check_index_against_journal(&store);
    store.close().await;
    verify_on(&disk, dir.path(), None, &mut |_| {}).unwrap();
}

#[tokio::test]
async fn an_index_that_found_no_room_is_opened_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    for number in 0..20 {
        sell_and_sign(&store, &format!("S{number}")).await;
        sell(&store, &format!("P{number}")).await;
    }
    let first = store.unfinished(None, 1).unwrap().remove(0);
    // In the middle of everything: before a sale, a number, an outcome, a repeat, and at the end.
    for round in 0..3 {
        store.fill_disk_under_index();
        sell(&store, &format!("new-{round}")).await;
        store.fill_disk_under_index();
        let known = commit(&store, vec![sale(&store.signer(), "S3", 900)]).await.unwrap();
        assert!(matches!(&known[..], [Committed::Known(_)]));
        assert_eq!(store.health().failed, None);
    }
    commit(&store, vec![bind(first.seq, store.series().next)]).await.unwrap();
    store.fill_disk_under_index();
    commit(&store, vec![signed(first.seq, "SIGN")]).await.unwrap();
    check_index_against_journal(&store);
    store.fill_disk_under_index();
    store.close().await;
    let (store, report) = open(dir.path());
    assert!(report.rebuilt.is_none() && report.replayed == 0, "{report:?}");
    check_index_against_journal(&store);
}
