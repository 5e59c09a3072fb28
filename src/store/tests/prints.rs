//! The original of a receipt is printed once, and once more where the paper jammed; whatever happens to the index.

use std::sync::Arc;

use super::harness::{
    bind, check_index_against_journal, commit, event, open_fake, record, sale, sell, sell_and_sign, signed,
};
use super::retain::{checkpoint_and_roll, keep_house, packing, retiring};
use crate::queue::Seq;
use crate::store::disk_fake::FakeDisk;
use crate::store::{CommitError, Effect, Kind, NewRecord, Store};

fn print(document: Seq, key: &str, again: bool) -> NewRecord {
    record(Kind::Event, Effect::Printed { document, key: key.to_owned(), again }, b"printed".to_vec())
}

async fn refused(store: &Store, record: NewRecord) -> bool {
    matches!(commit(store, vec![record]).await, Err(CommitError::NoSuchDocument { .. }))
}

fn printed(store: &Store, key: &str) -> Option<bool> {
    let printed = store.find(key).unwrap().unwrap().printed?;
    let record = store.read(printed.at).unwrap();
    assert!(matches!(record.effect, Effect::Printed { again, .. } if again == printed.again), "{record:?}");
    Some(printed.again)
}

#[tokio::test]
async fn an_original_is_printed_once_and_once_more() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let options = packing();
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    let waiting = sell(&store, "WAITS").await;
    assert!(refused(&store, print(waiting, "WAITS", false)).await, "KRA has not signed it");
    assert!(refused(&store, print(99, "NOBODY", false)).await);
    let one = sell_and_sign(&store, "ONE").await;
    let two = sell_and_sign(&store, "TWO").await;
    assert!(refused(&store, print(two, "ONE", false)).await, "another sale has this number");
    assert!(refused(&store, print(one, "ONE", true)).await, "not before it was printed once");
    assert_eq!(printed(&store, "ONE"), None);

    // Two at the same time: one of them has the original.
    let (first, second) = tokio::join!(
        commit(&store, vec![print(one, "ONE", false)]),
        commit(&store, vec![print(one, "ONE", false)])
    );
    assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
    assert_eq!(printed(&store, "ONE"), Some(false));
    commit(&store, vec![print(one, "ONE", true)]).await.unwrap();
    assert_eq!(printed(&store, "ONE"), Some(true));
    assert!(refused(&store, print(one, "ONE", true)).await);
    check_index_against_journal(&store);

    // In the same commit as the signature, and far behind it; then all of it out of the records.
    let three = sell(&store, "THREE").await;
    commit(&store, vec![bind(three, store.series().next)]).await.unwrap();
    commit(&store, vec![signed(three, "S3")]).await.unwrap();
    for _ in 0..3 {
        checkpoint_and_roll(&store).await;
    }
    commit(&store, vec![print(three, "THREE", false)]).await.unwrap();
    commit(&store, vec![print(two, "TWO", false), event("other")]).await.unwrap();
    keep_house(&store, &options);
    let standing = |store: &Store| ["ONE", "TWO", "THREE"].map(|key| printed(store, key));
    assert_eq!(standing(&store), [Some(true), Some(false), Some(false)]);
    drop(store);
    let (store, report) = open_fake(&disk, dir.path(), &options, false).unwrap();
    assert!(report.rebuilt.is_none(), "{report:?}");
    assert_eq!(standing(&store), [Some(true), Some(false), Some(false)]);
    check_index_against_journal(&store);
    drop(store);
    std::fs::remove_dir_all(dir.path().join("sled")).unwrap();
    let (store, report) = open_fake(&disk, dir.path(), &options, false).unwrap();
    assert!(report.rebuilt.is_some() && report.damage.is_empty(), "{report:?}");
    assert_eq!(standing(&store), [Some(true), Some(false), Some(false)]);
    assert!(refused(&store, print(two, "TWO", false)).await);
    check_index_against_journal(&store);
}

#[tokio::test]
async fn what_was_printed_leaves_with_its_sale() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let options = retiring();
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    let old = sell_and_sign(&store, "OLD").await;
    for _ in 0..3 {
        checkpoint_and_roll(&store).await;
    }
    commit(&store, vec![print(old, "OLD", false)]).await.unwrap();
    sell_and_sign(&store, "LAST").await;
    checkpoint_and_roll(&store).await;
    keep_house(&store, &options);
    assert_eq!(store.find("OLD").unwrap(), None, "its time is over");
    check_index_against_journal(&store);
    drop(store);
    std::fs::remove_dir_all(dir.path().join("sled")).unwrap();
    let (store, report) = open_fake(&disk, dir.path(), &options, false).unwrap();
    assert!(report.damage.is_empty(), "{report:?}");
    commit(&store, vec![sale(&store.signer(), "OLD", 5)]).await.unwrap();
    assert_eq!(printed(&store, "OLD"), None);
    check_index_against_journal(&store);
}
