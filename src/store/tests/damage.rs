//! Files that are not as they were written: told, never silently fewer records.

use std::path::Path;
use std::sync::Arc;

use super::harness::{
    check_index_against_journal, commit, open, open_fake, options, sale, sell, sell_and_sign, try_open,
};
use crate::store::codec::{length_u64, length_usize};
use crate::store::disk_fake::{FakeDisk, Random};
use crate::store::group::{BLOCK, HEADER, seal};
use crate::store::journal::{list_segments, segment_name};
use crate::store::scan::survey;
use crate::store::verify::verify_on;
use crate::store::{OpenError, Store, VerifyError, VerifyReport, verify};

#[tokio::test]
async fn a_lost_or_broken_index_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let sled = dir.path().join("sled");
    let (store, _) = open(dir.path());
    for number in 0..40 {
        sell_and_sign(&store, &format!("S{number}")).await;
        sell(&store, &format!("P{number}")).await;
    }
    store.close().await;
    let mut random = Random(5);
    for round in 0..12 {
        match round {
            0 => std::fs::remove_dir_all(&sled).unwrap(),
            1 => std::fs::write(sled.join("conf"), b"").unwrap(),
            2 => std::fs::write(dir.path().join("sled.opening"), b"").unwrap(),
            3 => std::fs::write(sled.join("db"), b"no database").unwrap(),
            4 => {
                let db = std::fs::read(sled.join("db")).unwrap();
                std::fs::write(sled.join("db"), &db[..db.len() / 2]).unwrap();
            }
            _ => {
                let mut db = std::fs::read(sled.join("db")).unwrap();
                for _ in 0..20 {
                    let at = random.below(db.len());
                    db[at] ^= 1 << random.below(8);
                }
                std::fs::write(sled.join("db"), db).unwrap();
            }
        }
        // sled panics on some of these; a real start is then ended, and the next one finds the marker.
        let path = dir.path().to_owned();
        let opened = std::panic::catch_unwind(|| try_open(&path));
        let (store, report) = match opened {
            Ok(opened) => opened.unwrap(),
            Err(_) => {
                assert!(dir.path().join("sled.opening").exists());
                open(dir.path())
            }
        };
        if round == 0 || round == 2 {
            assert!(report.rebuilt.is_some(), "round {round}: {report:?}");
        }
        wait_for_the_check(&store);
        if store.health().failed.is_some() {
            drop(store);
            let (store, report) = open(dir.path());
            assert!(report.rebuilt.is_some());
            check_index_against_journal(&store);
            store.close().await;
            continue;
        }
        check_index_against_journal(&store);
        assert!(store.health().quarantined <= 2);
        store.close().await;
    }
}

/// An unknown key is answered only after the check of the keys has ended.
fn wait_for_the_check(store: &Store) {
    let _ = store.find("a key that nobody has");
}

#[tokio::test]
async fn any_flip_in_the_journal_is_told_and_takes_no_record() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let options = options();
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    for number in 0..30 {
        sell_and_sign(&store, &format!("S{number}")).await;
        sell(&store, &format!("P{number}")).await;
    }
    let head = store.head().0;
    let health = store.health();
    assert!(health.segments >= 3);
    drop(store);
    let names: Vec<_> =
        list_segments(&Arc::clone(&disk)).unwrap().into_iter().map(|(n, _)| segment_name(n)).collect();
    let mut random = Random(11);
    let (mut told, mut harmless) = (0, 0);
    for _ in 0..120 {
        let copy = disk.fork();
        let name = &names[random.below(names.len())];
        copy.tamper(name, |bytes| {
            let at = random.below(bytes.len());
            bytes[at] ^= 1 << random.below(8);
        });
        let verified = verify_on(&copy, dir.path(), None, &mut |_| {});
        match open_fake(&copy, dir.path(), &options, false) {
            Err(OpenError::Damaged { .. } | OpenError::JournalBehind { .. }) => told += 1,
            Err(other) => panic!("{other}"),
            Ok((store, report)) => {
                // Padding, or the empty end of a segment.
                assert!(store.head().0 >= head, "records are missing: {report:?}");
                check_index_against_journal(&store);
                drop(store);
                harmless += 1;
                let _ = verified;
                continue;
            }
        }
        // The very last group cannot be told from a torn one by the journal alone: there the index knew better.
        if let Ok(VerifyReport { tail, last, .. }) = verified {
            assert!(tail.is_some() && last.0 < head);
        }
    }
    assert!(told > 20, "{told} told, {harmless} harmless");
}

/// Rewrites one group with other record bytes, all checksums right.
fn reseal(disk: &Arc<FakeDisk>, name: &str, group: usize, change: impl FnOnce(&mut Vec<u8>)) {
    disk.tamper(name, |bytes| {
        let mut id = [0; 16];
        id.copy_from_slice(&bytes[10..26]);
        let surveyed = survey(1, bytes, &id);
        let (offset, header) = surveyed.groups[group];
        let at = usize::try_from(offset).unwrap();
        let mut records = bytes[at..at + length_usize(header.length) - 4].to_vec();
        change(&mut records);
        seal(&mut records, header);
        assert_eq!(records.len(), header.padded());
        bytes[at..at + records.len()].copy_from_slice(&records);
    });
}

fn first_bad(disk: &Arc<FakeDisk>, dir: &Path) -> u64 {
    match verify_on(disk, dir, None, &mut |_| {}) {
        Err(VerifyError::Bad { seq, .. }) => seq,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn verify_finds_an_edited_a_removed_and_a_reordered_record() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let (store, _) = open_fake(&disk, dir.path(), &options(), false).unwrap();
    let mut sales = Vec::new();
    for number in 0..8 {
        sales.push(sell(&store, &format!("S{number}")).await);
    }
    let (head, key) = (store.head(), store.public_key());
    store.close().await;
    let report = verify_on(&disk, dir.path(), None, &mut |_| {}).unwrap();
    assert_eq!((report.last.0, report.sales, report.checkpoints), (head.0 + 1, 8, 1));
    assert_eq!((report.first, report.public_key, report.tail), ((1, [0; 32]), key, None));
    let name = segment_name(1);

    // One byte of a body, all checksums made good: the sale's signature does not hold.
    let edited = disk.fork();
    reseal(&edited, &name, 3, |group| {
        let last = group.len() - 100;
        group[last] ^= 1;
    });
    assert_eq!(first_bad(&edited, dir.path()), sales[2]);

    // The same without making them good.
    let flipped = disk.fork();
    flipped.tamper(&name, |bytes| bytes[3 * BLOCK + HEADER + 200] ^= 1);
    assert_eq!(first_bad(&flipped, dir.path()), sales[2]);

    let removed = disk.fork();
    removed.tamper(&name, |bytes| {
        bytes.drain(3 * BLOCK..4 * BLOCK);
        bytes.extend_from_slice(&[0; BLOCK]);
    });
    assert_eq!(first_bad(&removed, dir.path()), sales[2]);

    let reordered = disk.fork();
    reordered.tamper(&name, |bytes| {
        let (before, after) = bytes.split_at_mut(4 * BLOCK);
        before[3 * BLOCK..].swap_with_slice(&mut after[..BLOCK]);
    });
    assert_eq!(first_bad(&reordered, dir.path()), sales[2]);
}

#[tokio::test]
async fn verify_runs_beside_a_store_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    for number in 0..20 {
        sell_and_sign(&store, &format!("S{number}")).await;
    }
    let head = store.head();
    let report = verify(dir.path(), Some(head.0), &mut |_| {}).unwrap();
    assert_eq!(report.last, head);
    assert!(
        matches!(verify(dir.path(), Some(head.0 + 1), &mut |_| {}), Err(VerifyError::Bad { seq, .. }) if seq == head.0 + 1)
    );
    let nowhere = dir.path().join("nowhere");
    assert!(matches!(verify(&nowhere, None, &mut |_| {}), Err(VerifyError::NoStore { .. })));
}

fn newest_segment(journal: &Path) -> std::path::PathBuf {
    let paths = std::fs::read_dir(journal).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|ending| ending == "log")).max().unwrap()
}

#[tokio::test]
async fn a_missing_part_stops_the_start_and_is_not_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let key_file = dir.path().join("keys/signing.key");
    for number in 0..40 {
        sell_and_sign(&store, &format!("S{number}")).await;
    }
    sell(&store, "open").await;
    // The newest segment must be one that was filled with zeros beforehand: a grown one says nothing of its length.
    let journal = dir.path().join("journal");
    for number in 0.. {
        let length = std::fs::metadata(newest_segment(&journal)).unwrap().len();
        if length == u64::from(options().segment_size) && store.health().spare_ready {
            break;
        }
        assert!(number < 2000, "no spare in time");
        sell(&store, &format!("more-{number}")).await;
    }
    store.close().await;

    let key = std::fs::read(&key_file).unwrap();
    std::fs::remove_file(&key_file).unwrap();
    assert!(matches!(try_open(dir.path()), Err(OpenError::Key { .. })));
    std::fs::write(&key_file, b"").unwrap();
    assert!(matches!(try_open(dir.path()), Err(OpenError::Key { .. })));
    std::fs::write(&key_file, crate::store::keys::new_signing_key().unwrap()).unwrap();
    let other = try_open(dir.path()).unwrap_err();
    assert!(matches!(other, OpenError::Key { .. }) && other.exit_code() == 65);
    std::fs::write(&key_file, &key).unwrap();

    let away = dir.path().join("away");
    std::fs::rename(&journal, &away).unwrap();
    assert!(matches!(try_open(dir.path()), Err(OpenError::Damaged { .. })));
    std::fs::create_dir(&journal).unwrap();
    assert!(matches!(try_open(dir.path()), Err(OpenError::Damaged { .. })));
    std::fs::remove_dir(&journal).unwrap();
    std::fs::rename(&away, &journal).unwrap();

    let newest = newest_segment(&journal);
    let bytes = std::fs::read(&newest).unwrap();
    std::fs::write(&newest, &bytes[..bytes.len() - BLOCK]).unwrap();
    assert!(matches!(try_open(dir.path()), Err(OpenError::Damaged { .. })), "shorter than declared");
    // Found by the damage campaign: `verify` was content with a segment cut behind its last group, or in the middle of one.
    let verified = verify(dir.path(), None, &mut |_| {});
    assert!(matches!(&verified, Err(VerifyError::Bad { .. })), "{verified:?}");
    std::fs::write(&newest, &bytes).unwrap();

    let (store, report) = open(dir.path());
    assert!(report.rebuilt.is_none() && report.damage.is_empty());
    check_index_against_journal(&store);
}

/// Found by the damage campaign: `verify` called it damage, and `run` knew of none.
#[tokio::test]
async fn what_stands_behind_the_last_group_of_a_closed_segment_is_nobodys() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let options = options();
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    let signer = store.signer();
    for number in 0..20 {
        // Of four blocks each: they do not fill a segment to its end.
        commit(&store, vec![sale(&signer, &format!("S{number}"), 15_500)]).await.unwrap();
    }
    store.close().await;
    let closed = list_segments(&Arc::clone(&disk)).unwrap().len() - 1;
    assert!(closed >= 2);
    let behind = std::cell::Cell::new(0);
    let last_group = |copy: &Arc<FakeDisk>, segment: u32, harm: &dyn Fn(&mut [u8])| {
        copy.tamper(&segment_name(segment), |bytes| {
            let mut id = [0; 16];
            id.copy_from_slice(&bytes[10..26]);
            let surveyed = survey(segment, bytes, &id);
            let at = length_usize(u32::try_from(surveyed.end).unwrap());
            let (last, _) = surveyed.groups.last().unwrap();
            let last = length_usize(u32::try_from(*last).unwrap());
            // One that was grown ends there.
            if let Some(byte) = bytes.get_mut(at + 9) {
                *byte ^= 4;
                behind.set(behind.get() + 1);
            }
            harm(&mut bytes[last..at]);
        });
    };
    for segment in 1..=u32::try_from(closed).unwrap() {
        let copy = disk.fork();
        last_group(&copy, segment, &|_| {});
        assert!(verify_on(&copy, dir.path(), None, &mut |_| {}).is_ok(), "segment {segment}");
        let (store, report) = open_fake(&copy, dir.path(), &options, false).unwrap();
        assert_eq!(report.damage, [], "segment {segment}");
        assert_eq!(store.scrub_once(), [0; 0], "segment {segment}");
        store.close().await;

        let copy = disk.fork();
        last_group(&copy, segment, &|group| group.fill(0));
        assert!(verify_on(&copy, dir.path(), None, &mut |_| {}).is_err(), "segment {segment}");
        match open_fake(&copy, dir.path(), &options, false) {
            Err(OpenError::Damaged { damage, .. }) => assert_eq!(damage.segment, segment),
            Ok((store, report)) => {
                let told = report.damage.iter().any(|damage| damage.segment == segment);
                assert!(told || store.scrub_once() == [segment], "segment {segment}");
                store.close().await;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(behind.get() > 0, "no segment had room behind its last group");
}

#[tokio::test]
async fn old_damage_stops_the_start_only_if_it_touches_what_is_unfinished() {
    for touches in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let disk = Arc::new(FakeDisk::default());
        let options = options();
        let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
        let open_sale = sell(&store, "open").await;
        for number in 0..30 {
            sell_and_sign(&store, &format!("S{number}")).await;
        }
        // Replay will begin at this checkpoint; the segments before it are old.
        store.close().await;
        let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
        for number in 30..60 {
            sell_and_sign(&store, &format!("S{number}")).await;
        }
        let at = store.entry(open_sale).unwrap().unwrap().at;
        assert_eq!(at.segment, 1);
        store.close().await;
        let offset = if touches { length_usize(at.offset) + 300 } else { 5 * BLOCK + HEADER + 300 };
        disk.tamper(&segment_name(1), |bytes| bytes[offset] ^= 8);
        match open_fake(&disk, dir.path(), &options, false) {
            Err(OpenError::Damaged { damage, .. }) => assert!(touches && damage.segment == 1, "{damage}"),
            Ok((store, report)) => {
                assert!(!touches);
                assert_eq!((report.damage.len(), report.damage[0].segment), (1, 1));
                assert_eq!(report.damage[0].offset, length_u64(5 * BLOCK));
                assert!(store.find("open").unwrap().is_some());
                sell(&store, "goes on").await;
            }
            Err(other) => panic!("{other}"),
        }
        assert!(verify_on(&disk, dir.path(), None, &mut |_| {}).is_err());
    }
}
