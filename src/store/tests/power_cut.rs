//! Power cuts and failing writes at every step: nothing acknowledged is lost, nothing whole is called damaged.

use std::path::Path;
use std::sync::Arc;

use super::harness::{
    bind, check_index_against_journal, commit, event, item, open_fake, options, sale, sell, signed,
};
use crate::queue::Seq;
use crate::store::disk_fake::{FakeDisk, Fault, Random};
use crate::store::verify::verify_on;
use crate::store::{CommitError, Committed, NewRecord, OpenError, Options, ReadError, Store};

/// Records that were acknowledged: number and hash.
type Acknowledged = Vec<(Seq, [u8; 32])>;

/// Some sales, numbers and outcomes, over more than two segments, until the disk fails.
async fn work(store: &Store, round: u64, acknowledged: &mut Acknowledged) -> Result<(), CommitError> {
    let mut note = async |records: Vec<NewRecord>| {
        let committed = commit(store, records).await?;
        for one in &committed {
            let Committed::New { seq, hash, .. } = one else { panic!("known: {one:?}") };
            acknowledged.push((*seq, *hash));
        }
        Ok(acknowledged.last().unwrap().0)
    };
    let mut earlier = None;
    for number in 0..6 {
        let document = note(vec![sale(&store.signer(), &format!("S{round}-{number}"), 17_000)]).await?;
        if let Some(earlier) = earlier.replace(document) {
            note(vec![bind(earlier, store.series().next)]).await?;
            note(vec![signed(earlier, "SIGN"), event("printed")]).await?;
            note(vec![item("A", &format!("{round}-{number}")), item(&format!("I{round}-{number}"), "new")])
                .await?;
        }
    }
    Ok(())
}

/// Everything acknowledged is there, and the store goes on.
async fn check(disk: &Arc<FakeDisk>, dir: &Path, options: &Options, acknowledged: &Acknowledged) {
    let (store, report) = open_fake(disk, dir, options, false).expect("a power cut is no damage");
    assert!(report.damage.is_empty(), "{report:?}");
    let records = store.records_after(None, None, usize::MAX).unwrap();
    for (seq, hash) in acknowledged {
        let at = usize::try_from(*seq).unwrap() - 1;
        assert_eq!(records.get(at).map(|record| record.hash), Some(*hash), "record {seq} was acknowledged");
    }
    check_index_against_journal(&store);
    sell(&store, &format!("after-{}", store.head().0)).await;
    check_index_against_journal(&store);
    store.close().await;
    verify_on(disk, dir, None, &mut |_| {}).unwrap();
}

/// What is left of the index after the cut: as it is, as it was at the beginning of the run, or nothing.
fn leave_index(dir: &Path, older: &Path, choice: u64) {
    let sled = dir.join("sled");
    match choice % 3 {
        0 => {}
        1 if older.exists() => {
            let _ = std::fs::remove_dir_all(&sled);
            copy(older, &sled);
        }
        _ => {
            let _ = std::fs::remove_dir_all(&sled);
        }
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// One store after another on the same disk; in the second run the fault comes at operation `nth`. False: it did not come.
async fn cut_in_second_run(nth: u64, fault: Fault, seed: u64, with_spares: bool) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let older = dir.path().join("older");
    let disk = Arc::new(FakeDisk::default());
    let options = options();
    let mut acknowledged = Acknowledged::new();
    let (store, _) = open_fake(&disk, dir.path(), &options, with_spares).unwrap();
    work(&store, 1, &mut acknowledged).await.unwrap();
    if seed.is_multiple_of(2) {
        store.close().await;
    } else {
        drop(store);
    }
    copy(&dir.path().join("sled"), &older);

    disk.plan(nth, fault);
    let opened = open_fake(&disk, dir.path(), &options, with_spares);
    if let Ok((store, _)) = opened {
        let worked = work(&store, 2, &mut acknowledged).await;
        let failed = store.health().failed;
        if let Err(error) = worked {
            // Without power even what is needed to judge a commit may be unreadable.
            let unreadable = matches!(error, CommitError::Unreadable(ReadError::Io { .. }));
            assert!(unreadable || matches!(error, CommitError::Failed(_)), "{error}");
            assert!(unreadable || failed.is_some());
            let refused = commit(&store, vec![event("more")]).await.unwrap_err();
            assert!(matches!(refused, CommitError::Failed(_)), "it takes nothing more");
        } else {
            assert_eq!(failed, None);
        }
        if seed.is_multiple_of(3) {
            store.close().await;
        }
    }
    let came = disk.faulted();
    disk.mend();
    // The power goes off, or, after an error, only the daemon is started again: then the page cache is still there.
    let disk =
        if fault == Fault::PowerOff || seed.is_multiple_of(2) { disk.after_power_cut(seed) } else { disk };
    leave_index(dir.path(), &older, seed);
    check(&disk, dir.path(), &options, &acknowledged).await;
    // What the start repaired is on the disk: another cut takes none of it.
    check(&disk.after_power_cut(seed + 1), dir.path(), &options, &acknowledged).await;
    came
}

#[tokio::test]
async fn the_power_goes_off_at_every_operation() {
    let mut seed = 0;
    for nth in 1.. {
        let mut came = false;
        for _ in 0..3 {
            seed += 1;
            came |= cut_in_second_run(nth, Fault::PowerOff, seed, false).await;
        }
        if !came {
            assert!(nth > 40, "only {nth} operations");
            break;
        }
    }
}

#[tokio::test]
async fn every_write_and_sync_fails_once() {
    let mut seed = 0;
    for nth in 1.. {
        let mut came = false;
        for _ in 0..2 {
            seed += 1;
            came |= cut_in_second_run(nth, Fault::Error, seed, false).await;
        }
        if !came {
            assert!(nth > 40, "only {nth} operations");
            break;
        }
    }
}

#[tokio::test]
async fn the_power_goes_off_with_spare_segments_in_use() {
    let mut random = Random(77);
    for seed in 0..40 {
        let nth = 1 + random.next() % 90;
        cut_in_second_run(nth, Fault::PowerOff, seed, true).await;
    }
}

#[tokio::test]
async fn a_commit_is_one_write_and_one_sync() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let (store, _) = open_fake(&disk, dir.path(), &options(), false).unwrap();
    for number in 0..5 {
        let before = disk.operations();
        sell(&store, &format!("S{number}")).await;
        assert_eq!(disk.operations() - before, 2);
    }
}

#[tokio::test]
async fn a_failed_sync_is_not_tried_again_and_the_next_start_leaves_the_segment() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let options = options();
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    let first = sell(&store, "A").await;
    let segments = store.health().segments;
    // The next operations are one write and one sync.
    disk.plan(2, Fault::Error);
    let sale = sale(&store.signer(), "B", 900);
    assert!(matches!(commit(&store, vec![sale]).await, Err(CommitError::Failed(_))));
    let health = store.health();
    assert!(!health.last_sync_ok && health.failed.is_some());
    assert_eq!(store.head().0, first);
    assert_eq!(store.find("B").unwrap(), None, "not acknowledged, not shown");
    drop(store);

    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    assert!(store.find("B").unwrap().is_some(), "it was in the page cache, and is on the disk now");
    sell(&store, "C").await;
    assert_eq!(store.health().segments, segments + 1);
    assert_eq!(store.health().failed, None);
    check_index_against_journal(&store);
    drop(store);
    let disk = disk.after_power_cut(9);
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    assert!(store.find("B").unwrap().is_some() && store.find("C").unwrap().is_some());
}

#[tokio::test]
async fn the_journal_going_back_behind_the_index_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let options = options();
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    sell(&store, "kept").await;
    drop(store);
    let older = disk.fork();
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    sell(&store, "lost-1").await;
    let lost = sell(&store, "lost-2").await;
    drop(store);
    for _ in 0..2 {
        match open_fake(&older, dir.path(), &options, false) {
            Err(error @ OpenError::JournalBehind { .. }) => {
                assert_eq!(error.exit_code(), 65);
                let OpenError::JournalBehind { index_last, lost: keys, .. } = error else { unreachable!() };
                assert_eq!((index_last, keys), (lost, vec!["lost-1".to_owned(), "lost-2".to_owned()]));
            }
            other => panic!("{other:?}"),
        }
    }
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    check_index_against_journal(&store);
}
