//! Items and code lists: the newest record of each key, through restarts, lost rows, damage and a long life.

use std::sync::Arc;

use super::harness::{
    check_index_against_journal, commit, event, item, on_shelf, open, open_fake, options, sell,
    sell_and_sign, try_open,
};
use super::retain::{checkpoint_and_roll, keep_house, open_twice, packing, packs, retiring};
use crate::store::disk_fake::FakeDisk;
use crate::store::journal::segment_name;
use crate::store::shelf::shelf_key;
use crate::store::upkeep::Done;
use crate::store::verify::verify_on;
use crate::store::{CommitError, Effect, Kind, NewRecord, Options, VerifyError};

#[tokio::test]
async fn the_newest_record_of_a_key_stands_after_a_restart_and_with_an_index_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let (store, _) = open_fake(&disk, dir.path(), &options(), false).unwrap();
    commit(&store, vec![item("A", "1"), item("B", "1")]).await.unwrap();
    sell(&store, "S").await;
    let codes = NewRecord { kind: Kind::Codes, ..item("A", "codes") };
    // Of two with one key in one commit, the later stays.
    commit(&store, vec![item("A", "2"), codes, item("A", "3")]).await.unwrap();
    let expected = [("A".to_owned(), "3".to_owned()), ("B".to_owned(), "1".to_owned())];
    assert!(on_shelf(&store, Kind::Item).into_iter().eq(expected.clone()));
    assert!(on_shelf(&store, Kind::Codes).into_iter().eq([("A".to_owned(), "codes".to_owned())]));
    check_index_against_journal(&store);
    drop(store);
    let (store, _) = open_twice(&disk, dir.path(), &options());
    assert!(on_shelf(&store, Kind::Item).into_iter().eq(expected));
    // Nothing of it counts as a document.
    assert_eq!((store.counts().waiting, store.counts().documents_total), (1, 1));
}

#[tokio::test]
async fn a_key_and_a_kind_are_as_they_must_be_or_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let head = store.head();
    let sale = NewRecord { kind: Kind::Event, ..item("A", "1") };
    let bare = NewRecord { effect: Effect::None, ..item("A", "1") };
    for records in [vec![item("", "1")], vec![item(&"k".repeat(129), "1")], vec![sale], vec![bare]] {
        let refused = commit(&store, records).await;
        assert!(matches!(refused, Err(CommitError::Invalid(_))), "{refused:?}");
    }
    assert_eq!(store.head(), head);
    commit(&store, vec![item(&"k".repeat(128), "1")]).await.unwrap();
}

#[tokio::test]
async fn a_row_that_the_index_lost_is_noticed_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let (store, _) = open_fake(&disk, dir.path(), &options(), false).unwrap();
    commit(&store, vec![item("A", "1"), item("B", "1")]).await.unwrap();
    store.close().await;
    let (store, report) = open_fake(&disk, dir.path(), &options(), false).unwrap();
    assert_eq!(report.rebuilt, None);
    store.forget_shelved(&shelf_key(Kind::Item, "A"));
    assert_eq!(on_shelf(&store, Kind::Item).len(), 1);
    store.close().await;
    let (store, report) = open_fake(&disk, dir.path(), &options(), false).unwrap();
    assert!(report.rebuilt.is_some() && report.damage.is_empty(), "{report:?}");
    assert_eq!(on_shelf(&store, Kind::Item).len(), 2);
}

#[tokio::test]
async fn a_store_from_before_there_was_a_shelf_opens_as_ever() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    sell_and_sign(&store, "S").await;
    store.close().await;
    {
        let index = sled::open(dir.path().join("sled")).unwrap();
        assert!(index.drop_tree("shelf").unwrap());
        index.flush().unwrap();
    }
    let (store, report) = open(dir.path());
    assert!(report.rebuilt.is_none() && report.damage.is_empty(), "{report:?}");
    commit(&store, vec![item("A", "1")]).await.unwrap();
    store.close().await;
    let (store, report) = open(dir.path());
    assert!(report.rebuilt.is_none() && report.damage.is_empty(), "{report:?}");
    assert_eq!(on_shelf(&store, Kind::Item).len(), 1);
}

#[tokio::test]
async fn what_stands_on_the_shelf_outlives_its_segment_and_the_rest_goes_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let options = retiring();
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    // More than are taken along at one time.
    let keys: Vec<String> = (0..1300).map(|number| format!("ITEM{number:05}")).collect();
    for part in keys.chunks(50) {
        commit(&store, part.iter().map(|key| item(key, "first")).collect()).await.unwrap();
    }
    let original = store.record(4).unwrap().unwrap();
    assert_eq!(original.kind, Kind::Item);
    for part in keys[1200..].chunks(50) {
        commit(&store, part.iter().map(|key| item(key, "second")).collect()).await.unwrap();
    }
    let first_of_them = store.head().0 - 200;
    let expected = on_shelf(&store, Kind::Item);
    assert_eq!(expected.len(), 1300);
    for round in 0..3 {
        checkpoint_and_roll(&store).await;
        sell_and_sign(&store, &format!("S{round}")).await;
        checkpoint_and_roll(&store).await;
        let done = keep_house(&store, &options);
        assert!(done.iter().any(|done| matches!(done, Done::Retired(_))), "{done:?}");
        assert_eq!(on_shelf(&store, Kind::Item), expected, "round {round}");
        check_index_against_journal(&store);
        verify_on(&disk, dir.path(), None, &mut |_| {}).unwrap();
    }
    assert!(store.first_seq() > first_of_them, "all of it was taken along");
    let mut found = None;
    store
        .read_shelf(Kind::Item, &mut |record| {
            if record.seq == original.seq {
                found = Some(record);
            }
        })
        .unwrap();
    assert_eq!(found, Some(original), "number, time and hash are what they were");
    drop(store);
    let (store, _) = open_twice(&disk, dir.path(), &options);
    assert_eq!(on_shelf(&store, Kind::Item), expected);
    commit(&store, vec![item(&keys[0], "third")]).await.unwrap();
    assert_eq!(on_shelf(&store, Kind::Item)[&keys[0]], "third");
}

#[tokio::test]
async fn a_compressed_segment_with_items_is_read_like_any_other() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let options = packing();
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    for number in 0..400 {
        commit(&store, vec![item(&format!("I{number}"), &"text ".repeat(60))]).await.unwrap();
    }
    checkpoint_and_roll(&store).await;
    let expected = on_shelf(&store, Kind::Item);
    keep_house(&store, &options);
    assert!(packs(&disk).len() >= 2);
    assert_eq!(on_shelf(&store, Kind::Item), expected);
    drop(store);
    let (store, _) = open_twice(&disk, dir.path(), &options);
    assert_eq!(on_shelf(&store, Kind::Item), expected);
}

#[tokio::test]
async fn damage_in_an_item_stops_nothing_is_told_and_ends_when_the_item_is_put_again() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let options = options();
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    commit(&store, vec![item("A", "1"), item("B", "the body of B")]).await.unwrap();
    for number in 0..70 {
        sell_and_sign(&store, &format!("S{number}")).await;
    }
    commit(&store, vec![event(&"x".repeat(40_000))]).await.unwrap();
    store.close().await;
    // The checkpoint of the close stands in a later segment: from now on the first one is not read at a start.
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    checkpointed(&store).await;
    store.close().await;
    disk.tamper(&segment_name(1), |bytes| {
        let at = bytes.windows(13).position(|window| window == b"the body of B").unwrap();
        bytes[at] ^= 1;
    });
    let (store, report) = open_fake(&disk, dir.path(), &options, false).unwrap();
    assert!(report.rebuilt.is_none(), "{report:?}");
    assert!(on_shelf(&store, Kind::Item).into_iter().eq([("A".to_owned(), "1".to_owned())]));
    assert_eq!(store.health().damage.len(), 1, "an alert stands on it");
    let verified = verify_on(&disk, dir.path(), None, &mut |_| {});
    assert!(matches!(verified, Err(VerifyError::Bad { .. })), "{verified:?}");
    commit(&store, vec![item("B", "2")]).await.unwrap();
    assert_eq!(on_shelf(&store, Kind::Item).len(), 2);
}

async fn checkpointed(store: &crate::store::Store) {
    for _ in 0..8 {
        commit(store, vec![event(&"x".repeat(9_000))]).await.unwrap();
    }
}

#[tokio::test]
async fn a_full_disk_leaves_its_room_to_the_sales() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) =
        crate::store::Store::open(dir.path(), Options { min_free: u64::MAX / 4, ..options() }, &mut |_| {})
            .unwrap();
    let refused = commit(&store, vec![item("A", "1")]).await;
    assert!(matches!(refused, Err(CommitError::DiskLow { .. })), "{refused:?}");
    drop(store);
    assert!(on_shelf(&try_open(dir.path()).unwrap().0, Kind::Item).is_empty());
}

#[tokio::test]
async fn salvage_keeps_the_items_that_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    commit(&store, vec![item("A", "1")]).await.unwrap();
    commit(&store, vec![item("B", "the body of B")]).await.unwrap();
    sell_and_sign(&store, "S").await;
    commit(&store, vec![item("A", "2")]).await.unwrap();
    sell(&store, "open").await;
    store.close().await;
    let path = dir.path().join("journal").join(segment_name(1));
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.windows(13).position(|window| window == b"the body of B").unwrap();
    bytes[at] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let into = tempfile::tempdir().unwrap();
    let into = into.path().join("new");
    let read_index = |path: &std::path::Path, id: &[u8; 16]| crate::store::known_documents(path, id);
    crate::store::salvage(dir.path(), &into, super::harness::clock, &read_index).unwrap();
    let (store, report) = open(&into);
    assert!(report.rebuilt.is_none() && report.damage.is_empty(), "{report:?}");
    check_index_against_journal(&store);
    assert!(on_shelf(&store, Kind::Item).into_iter().eq([("A".to_owned(), "2".to_owned())]));
}
