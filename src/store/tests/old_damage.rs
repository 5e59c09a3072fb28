//! Damage where nobody has looked for long: it stops a start only if something unfinished, or the keys, are touched.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::harness::{
    DEADLINE, bind, check_index_against_journal, commit, open_fake, sale, sell, sell_and_sign, signed,
};
use super::retain::{checkpoint_and_roll, keep_house, packing, packs, retiring};
use crate::store::codec::length_u64;
use crate::store::disk::Disk;
use crate::store::disk_fake::FakeDisk;
use crate::store::journal::segment_name;
use crate::store::pack::{CHUNK, PackHeader, Table, pack_name, table_of};
use crate::store::upkeep::Done;
use crate::store::verify::verify_on;
use crate::store::{Committed, Cursor, OpenReport, Options, ReadError, Store, VerifyError};

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

/// Where the parts of a compressed segment are.
fn parts_of(disk: &Arc<FakeDisk>, segment: u32) -> PackHeader {
    let mut block = vec![0; 4096];
    disk.open(&pack_name(segment)).unwrap().read_at(&mut block, 0).unwrap();
    PackHeader::decode(&block).unwrap()
}

/// A sale accepted in one compressed segment, whose body is not as it was written any more, and signed in the next. The
/// index is there, with a mark of its own, and is not to be trusted.
async fn finished_over_damage(dir: &Path, options: &Options) -> Arc<FakeDisk> {
    let disk = Arc::new(FakeDisk::default());
    let (store, _) = open_fake(&disk, dir, options, false).unwrap();
    // The first segment has records that every start needs.
    checkpoint_and_roll(&store).await;
    let over = sell(&store, "over").await;
    checkpoint_and_roll(&store).await;
    commit(&store, vec![bind(over, 1)]).await.unwrap();
    commit(&store, vec![signed(over, "SIGN")]).await.unwrap();
    sell(&store, "waits").await;
    for _ in 0..3 {
        checkpoint_and_roll(&store).await;
    }
    keep_house(&store, options);
    drop(store);
    assert!(packs(&disk).contains(&2));
    disk.tamper(&pack_name(2), |bytes| bytes[4096 + 100] ^= 1);
    std::fs::write(dir.join("sled/original"), b"").unwrap();
    std::fs::write(dir.join("sled.opening"), b"").unwrap();
    disk
}

/// Whether an index that is kept, in its place or aside, is the one that was marked.
fn original_is_kept(dir: &Path) -> bool {
    let mut places = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    places.any(|place| place.join("original").exists())
}

#[tokio::test]
async fn an_index_is_made_anew_over_damage_in_the_body_of_a_finished_sale() {
    let dir = tempfile::tempdir().unwrap();
    let options = packing();
    let disk = finished_over_damage(dir.path(), &options).await;
    let (store, report) =
        open_fake(&disk, dir.path(), &options, false).expect("nothing unfinished is touched");
    assert!(report.rebuilt.is_some() && report.damage.is_empty(), "{report:?}");
    assert!(report.quarantined.is_some() && original_is_kept(dir.path()));
    assert!(!dir.path().join("sled/original").exists());
    assert_eq!((store.counts().waiting, store.series().next), (1, 2));
    assert!(matches!(store.find("over"), Err(ReadError::Damaged(_))), "known, though it cannot be read");
    assert!(!store.scrub_once().is_empty(), "told by the reading through");
}

#[tokio::test]
async fn an_index_that_cannot_be_made_anew_over_damage_is_kept_and_the_start_refused() {
    let dir = tempfile::tempdir().unwrap();
    let options = packing();
    let disk = finished_over_damage(dir.path(), &options).await;
    let table = usize::try_from(parts_of(&disk, 2).effects.offset).unwrap();
    disk.tamper(&pack_name(2), |bytes| bytes[table + 1] ^= 1);
    for start in 1..=3 {
        assert_eq!(refused(&disk, dir.path(), &options), Some(65), "start {start}");
        assert!(dir.path().join("sled/original").exists(), "start {start} took it away");
    }
}

#[tokio::test]
async fn an_index_that_cannot_be_made_anew_over_a_damaged_segment_is_kept_and_the_start_refused() {
    let dir = tempfile::tempdir().unwrap();
    let options = packing();
    let disk = Arc::new(FakeDisk::default());
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    // The first segment has records that every start needs.
    checkpoint_and_roll(&store).await;
    let over = sell(&store, "over").await;
    checkpoint_and_roll(&store).await;
    commit(&store, vec![bind(over, 1), signed(over, "SIGN")]).await.unwrap();
    checkpoint_and_roll(&store).await;
    drop(store);
    disk.tamper(&segment_name(2), |bytes| bytes[4096 + 300] ^= 1);
    std::fs::write(dir.path().join("sled/original"), b"").unwrap();
    std::fs::write(dir.path().join("sled.opening"), b"").unwrap();
    for start in 1..=3 {
        assert_eq!(refused(&disk, dir.path(), &options), Some(65), "start {start}");
        assert!(dir.path().join("sled/original").exists(), "start {start} took it away");
    }
}

#[tokio::test]
async fn a_reader_gets_past_damage_in_a_compressed_segment() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let options = Options { segment_size: 512 << 10, ..packing() };
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    checkpoint_and_roll(&store).await;
    for number in 0..12 {
        sell_five(&store, &format!("S{number}-")).await;
    }
    for _ in 0..3 {
        checkpoint_and_roll(&store).await;
    }
    let all = store.records_after(None, None, usize::MAX).unwrap();
    drop(store);
    let plain = disk.fork();
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    keep_house(&store, &options);
    drop(store);
    let chunk = usize::try_from(parts_of(&disk, 2).span.end).unwrap() / CHUNK / 2;
    assert!(chunk > 0, "damage in the middle");
    plain.tamper(&segment_name(2), |bytes| bytes[chunk * CHUNK..][..CHUNK].fill(0));
    disk.tamper(&pack_name(2), |bytes| {
        let at = 4096 + (bytes.len() - 4096) / 2;
        bytes[at] ^= 1;
    });
    for disk in [plain, disk] {
        let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
        let (mut cursor, mut read, mut skips) = (Cursor::after(0), Vec::new(), 0);
        while cursor.read_to() < all.last().unwrap().seq {
            match store.read_on(&mut cursor, None, 50) {
                Ok(mut page) => read.append(&mut page),
                Err(error) => {
                    skips += 1;
                    assert!(skips < 200, "stuck at {cursor:?}: {error}");
                    assert!(store.skip_damage(&mut cursor).unwrap());
                }
            }
        }
        read.retain(|record| record.seq <= all.last().unwrap().seq);
        let lost = all.len() - read.len();
        assert!(skips > 0 && (1..=60).contains(&lost), "{skips} times, {lost} of {} lost", all.len());
        assert!(read.iter().all(|record| *record == all[usize::try_from(record.seq).unwrap() - 1]));
    }
}

/// Changes what a compressed segment says of its records, with checksums that hold; `add` puts a table behind the others.
fn say_otherwise(
    disk: &Arc<FakeDisk>,
    segment: u32,
    change: impl FnOnce(&mut PackHeader, &mut dyn FnMut(&[u8], usize) -> Table),
) {
    let mut header = parts_of(disk, segment);
    disk.tamper(&pack_name(segment), |bytes| {
        change(&mut header, &mut |packed, unpacked| {
            let table = table_of(length_u64(bytes.len()), packed, unpacked);
            bytes.extend_from_slice(packed);
            table
        });
        bytes[..4096].copy_from_slice(&header.encode());
    });
}

#[tokio::test]
async fn a_table_of_a_compressed_segment_that_says_something_else_than_its_records_is_found_out() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let options = packing();
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    sell_five(&store, "S").await;
    for _ in 0..3 {
        checkpoint_and_roll(&store).await;
    }
    keep_house(&store, &options);
    drop(store);
    verify_on(&disk, dir.path(), None, &mut |_| {}).unwrap();
    let found_out = |disk: &Arc<FakeDisk>, wrong: &str| match verify_on(disk, dir.path(), None, &mut |_| {}) {
        Err(VerifyError::Bad { damage, .. }) => {
            assert!(damage.segment == 1 && damage.what.contains(wrong), "{wrong}: {damage}");
        }
        other => panic!("{wrong}: {other:?}"),
    };
    let header = disk.fork();
    say_otherwise(&header, 1, |header, _| header.span.head[0] ^= 1);
    found_out(&header, "header");
    let keys = disk.fork();
    say_otherwise(&keys, 1, |header, add| header.keys = add(&[], 0));
    found_out(&keys, "table of keys");
    let nothing = zstd::bulk::compress(&[], 3).unwrap();
    say_otherwise(&disk, 1, |header, add| header.effects = add(&nothing, 0));
    found_out(&disk, "table of effects");

    std::fs::remove_dir_all(dir.path().join("sled")).unwrap();
    let (store, report) = open_fake(&disk, dir.path(), &options, false).expect("the records are whole");
    assert!(report.rebuilt.is_some() && report.damage.is_empty(), "{report:?}");
    check_index_against_journal(&store);
    let again = commit(&store, vec![sale(&store.signer(), "S1", 900)]).await.unwrap();
    assert!(matches!(again[..], [Committed::Known(_)]), "{again:?}");
}

#[tokio::test]
async fn damage_in_the_header_of_a_compressed_segment_stops_no_compression_and_is_told_by_the_retention() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let options = packing();
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    checkpoint_and_roll(&store).await;
    let waits = sell(&store, "waits").await;
    let at = store.entry(waits).unwrap().unwrap().at.segment;
    checkpoint_and_roll(&store).await;
    for name in ["A", "B"] {
        sell_five(&store, name).await;
        checkpoint_and_roll(&store).await;
    }
    checkpoint_and_roll(&store).await;
    keep_house(&store, &options);
    assert!(!packs(&disk).contains(&at) && packs(&disk).contains(&(at + 1)), "{:?}", packs(&disk));
    commit(&store, vec![bind(waits, store.series().next)]).await.unwrap();
    commit(&store, vec![signed(waits, "SIGN")]).await.unwrap();
    for _ in 0..3 {
        checkpoint_and_roll(&store).await;
    }
    drop(store);
    disk.tamper(&pack_name(at + 1), |bytes| bytes[40] ^= 1);

    let options = retiring();
    let (store, report) =
        open_fake(&disk, dir.path(), &options, false).expect("only finished sales are touched");
    assert_eq!(segments_of(&report), [at + 1]);
    assert_eq!(store.scrub_once(), [0; 0], "those beside it are whole, and what is damaged was told");
    // KRA's word of now.
    sell_and_sign(&store, "now").await;
    // The oldest goes; the next one is before the damaged one.
    let mut upkeep = store.upkeep(&options);
    let (deadline, mut why) = (Instant::now() + DEADLINE, String::new());
    while why.is_empty() {
        assert!(Instant::now() < deadline);
        match upkeep.round() {
            Done::Waiting(waiting) => why = waiting,
            Done::Nothing | Done::Asked => std::thread::sleep(std::time::Duration::from_millis(1)),
            Done::Carried(_) | Done::Packed(_) | Done::Retired(_) => {}
        }
    }
    assert!(why.contains(&format!("segment {at}, the oldest, or the one after it is damaged")), "{why}");
    let packed = packs(&disk);
    assert!(!packed.contains(&at) && packed.iter().any(|segment| *segment > at + 3), "{packed:?}");
    assert!(store.find("waits").unwrap().is_some_and(|entry| entry.status.is_finished()));
}
