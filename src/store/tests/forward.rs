//! Reading the journal forwards, a page at a time.

use std::os::unix::fs::FileExt;

use super::harness::{commit, event, open, sell, sell_and_sign};
use crate::queue::Seq;
use crate::store::{Cursor, Kind, ReadError, Record, Store};

/// Everything after `after`, by pages of `most`; the number of pages is bounded.
fn by_pages(store: &Store, after: Seq, kinds: Option<&[Kind]>, most: usize) -> Vec<Record> {
    let mut cursor = Cursor::after(after);
    let mut found = Vec::new();
    for _ in 0..10_000 {
        if cursor.read_to() >= store.head().0 {
            return found;
        }
        let page = store.read_on(&mut cursor, kinds, most).unwrap();
        assert!(page.len() <= most);
        assert!(page.last().is_none_or(|record| record.seq <= cursor.read_to()));
        found.extend(page);
    }
    panic!("no end at {cursor:?}");
}

async fn some_segments(store: &Store) -> Vec<Record> {
    for number in 0..40 {
        sell_and_sign(store, &format!("F{number}")).await;
        // Groups of several records, and of several blocks.
        let events = (0..number % 4).map(|_| event(&"x".repeat(3000))).collect::<Vec<_>>();
        if !events.is_empty() {
            commit(store, events).await.unwrap();
        }
    }
    assert!(store.health().segments > 3);
    let mut all = store.records_before(None, None, usize::MAX).unwrap();
    all.reverse();
    all
}

#[tokio::test]
async fn pages_of_any_size_from_any_number_on_say_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let all = some_segments(&store).await;
    for most in [1, 2, 7, 1000] {
        assert_eq!(by_pages(&store, 0, None, most), all, "pages of {most}");
    }
    let kinds = [Kind::Sale, Kind::Event];
    for after in 0..=store.head().0 {
        let wanted: Vec<_> =
            all.iter().filter(|it| it.seq > after && kinds.contains(&it.kind)).cloned().collect();
        assert_eq!(by_pages(&store, after, Some(&kinds), 50), wanted, "after {after}");
        assert_eq!(store.record(after).unwrap().as_ref(), all.iter().find(|it| it.seq == after));
    }
    assert_eq!(store.record(store.head().0 + 1).unwrap(), None);
    assert_eq!(store.first_seq(), 1);
    drop(store);
    let (store, _) = open(dir.path());
    assert_eq!(
        by_pages(&store, 0, None, 9)[..all.len()],
        all,
        "after a restart, with closed segments as files"
    );
    assert_eq!(store.record(all[5].seq).unwrap().unwrap(), all[5]);
}

#[tokio::test]
async fn whoever_follows_gets_each_record_once() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let mut cursor = Cursor::after(store.head().0);
    assert!(store.read_on(&mut cursor, None, 10).unwrap().is_empty());
    let mut found = Vec::new();
    for number in 0..60 {
        let document = sell(&store, &format!("L{number}")).await;
        let page = store.read_on(&mut cursor, Some(&[Kind::Sale]), 10).unwrap();
        assert_eq!(page.iter().map(|record| record.seq).collect::<Vec<_>>(), [document]);
        assert_eq!(cursor.read_to(), store.head().0);
        found.extend(page);
        assert!(store.read_on(&mut cursor, Some(&[Kind::Sale]), 10).unwrap().is_empty());
    }
    assert_eq!(found.len(), 60);
}

#[tokio::test]
async fn damage_is_told_and_can_be_passed() {
    for in_header in [false, true] {
        check_damage(in_header).await;
    }
}

async fn check_damage(in_header: bool) {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let all = some_segments(&store).await;
    // A record in the middle of the first segment: its group's checksum no longer holds, or nor does its header.
    let path = dir.path().join("journal/0000000001.log");
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut bytes = vec![0; 64 << 10];
    let read = file.read_at(&mut bytes, 0).unwrap();
    let text = b"sale F1 ";
    let at = bytes[..read].windows(text.len()).position(|window| window == text).unwrap();
    let at = if in_header { at - at % 4096 } else { at };
    file.write_all_at(b"SALE", u64::try_from(at).unwrap()).unwrap();

    let mut cursor = Cursor::after(0);
    let mut found = Vec::new();
    let mut passed = Vec::new();
    while cursor.read_to() < store.head().0 {
        match store.read_on(&mut cursor, None, 5) {
            Ok(page) => found.extend(page),
            Err(ReadError::Damaged(damage)) => {
                assert_eq!(damage.segment, 1);
                let before = cursor.read_to();
                assert!(store.skip_damage(&mut cursor).unwrap());
                passed.extend(before + 1..=cursor.read_to());
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(passed.len(), 1, "{passed:?}");
    let rest: Vec<_> = all.iter().filter(|record| !passed.contains(&record.seq)).cloned().collect();
    assert_eq!(found, rest);
    assert!(matches!(store.record(passed[0]), Err(ReadError::Damaged(_))));
}
