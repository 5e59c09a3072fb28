//! Damage where nobody has looked for long: it stops a start only if something unfinished, or the keys, are touched.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::harness::{DEADLINE, open_fake, sell, sell_and_sign};
use super::retain::{checkpoint_and_roll, keep_house, packing, retiring};
use crate::store::disk::Disk;
use crate::store::disk_fake::FakeDisk;
use crate::store::journal::segment_name;
use crate::store::pack::pack_name;
use crate::store::{OpenReport, Options, ReadError, Store};

/// Why the store does not open: the exit code; `None`: it opens.
fn refused(disk: &Arc<FakeDisk>, dir: &Path, options: &Options) -> Option<u8> {
    open_fake(disk, dir, options, false).err().map(|error| error.exit_code())
}

async fn sell_five(store: &Store, name: &str) {
    for number in 0..5 {
        sell_and_sign(store, &format!("{name}{number}")).await;
    }
}

/// Goes on until the oldest segment is retired: nothing that every start needs is in the next ones then.
fn retire_one(store: &Store, options: &Options) {
    let mut upkeep = store.upkeep(options);
    let deadline = Instant::now() + DEADLINE;
    while store.first_seq() == 1 {
        assert!(Instant::now() < deadline, "nothing is retired: {:?}", upkeep.round());
        upkeep.round();
    }
}

fn segments_of(report: &OpenReport) -> Vec<u32> {
    report.damage.iter().map(|damage| damage.segment).collect()
}

#[tokio::test]
async fn a_waiting_sale_whose_segment_is_missing_stops_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let options = retiring();
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    checkpoint_and_roll(&store).await;
    let first = sell(&store, "first").await;
    checkpoint_and_roll(&store).await;
    sell_five(&store, "S").await;
    checkpoint_and_roll(&store).await;
    let later = sell(&store, "later").await;
    for _ in 0..3 {
        checkpoint_and_roll(&store).await;
    }
    let at = |document| store.entry(document).unwrap().unwrap().at.segment;
    let (first, later) = (at(first), at(later));
    // KRA's word of now.
    sell_and_sign(&store, "now").await;
    let finished = later - 1;
    assert!(first == 2 && first < finished);
    retire_one(&store, &options);
    drop(store);
    let whole = disk;
    for rebuilt in [false, true] {
        for missing in [vec![first], vec![later], vec![first, later], (first..=later).collect()] {
            let disk = whole.fork();
            for segment in &missing {
                disk.remove(&segment_name(*segment)).unwrap();
            }
            if rebuilt {
                std::fs::remove_dir_all(dir.path().join("sled")).unwrap_or_default();
            }
            assert_eq!(refused(&disk, dir.path(), &options), Some(65), "{missing:?}, index lost: {rebuilt}");
        }
    }
    drop(open_fake(&whole, dir.path(), &options, false).unwrap());
    let disk = whole.fork();
    disk.remove(&segment_name(finished)).unwrap();
    let (_, report) = open_fake(&disk, dir.path(), &options, false).expect("only finished sales are touched");
    assert_eq!(segments_of(&report), [finished]);
}

#[tokio::test]
async fn a_start_without_its_index_is_refused_if_the_oldest_segments_are_missing() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let options = retiring();
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    for name in ["A", "B", "C", "D"] {
        sell_five(&store, name).await;
        checkpoint_and_roll(&store).await;
    }
    retire_one(&store, &options);
    drop(store);
    for segment in [2, 3] {
        disk.remove(&segment_name(segment)).unwrap();
    }
    let (store, report) = open_fake(&disk, dir.path(), &options, false).expect("the index knows the keys");
    assert_eq!(segments_of(&report), [3, 2]);
    drop(store);
    std::fs::remove_dir_all(dir.path().join("sled")).unwrap();
    assert_eq!(refused(&disk, dir.path(), &options), Some(65), "nobody knows the keys");
}

#[tokio::test]
async fn a_block_that_cannot_be_read_in_an_old_finished_segment_does_not_stop_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let options = packing();
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    checkpoint_and_roll(&store).await;
    sell_five(&store, "S").await;
    let finished = store.find("S0").unwrap().unwrap().at.segment;
    checkpoint_and_roll(&store).await;
    let waiting = sell(&store, "waits").await;
    let needed = store.entry(waiting).unwrap().unwrap().at.segment;
    for _ in 0..3 {
        checkpoint_and_roll(&store).await;
    }
    drop(store);
    let plain = disk.fork();
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    keep_house(&store, &options);
    drop(store);
    for (disk, name) in [(&plain, segment_name(finished)), (&disk, pack_name(finished))] {
        let disk = disk.fork();
        disk.spoil(&name);
        let (store, report) = open_fake(&disk, dir.path(), &options, false).expect(&name);
        assert_eq!(segments_of(&report), [finished], "{name}");
        assert!(matches!(store.find("S0"), Err(ReadError::Io { segment, .. }) if segment == finished));
        assert_eq!(store.counts().waiting, 1);
    }
    plain.spoil(&segment_name(needed));
    assert_eq!(refused(&plain, dir.path(), &options), Some(65), "a waiting sale is in it");
}
