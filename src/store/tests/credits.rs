//! What credit notes have taken of a document is known whatever happens to the index, and of two at once one is second.

use std::sync::Arc;

use super::harness::{
    bind, check_index_against_journal, commit, open_fake, outcome, record, sale, sell, sell_and_sign, seq_of,
    signed,
};
use super::retain::{checkpoint_and_roll, keep_house, packing, retiring};
use crate::queue::{Seq, Status};
use crate::store::disk_fake::FakeDisk;
use crate::store::{Binding, CommitError, Committed, Effect, Kind, NewRecord, Signer, Store};

fn credited(document: Seq, key: &str, after: Option<Seq>, takes: bool) -> NewRecord {
    let effect = Effect::Credited { document, key: key.to_owned(), after, takes };
    record(Kind::Event, effect, format!("after {after:?}").into_bytes())
}

/// A credit note on `original`.
fn note(signer: &Signer, key: &str, original: Seq) -> NewRecord {
    let mut note = sale(signer, key, 300);
    let Effect::Document { credits, .. } = &mut note.effect else { unreachable!() };
    *credits = Some(original);
    let bytes = Signer::document_bytes(note.kind, &note.stamp, &note.origin, &note.effect, &note.body);
    note.signature = Some(signer.sign(&bytes));
    note
}

/// A credit note and what it takes, in one commit; the running number of what is taken by now.
async fn credit(
    store: &Store,
    key: &str,
    original: (Seq, &str),
    after: Option<Seq>,
) -> Result<Seq, CommitError> {
    let records = vec![note(&store.signer(), key, original.0), credited(original.0, original.1, after, true)];
    commit(store, records).await.map(|committed| seq_of(&committed[1..]))
}

fn taken(store: &Store, key: &str) -> Option<Seq> {
    let credited = store.find(key).unwrap().unwrap().credited?;
    let record = store.read(credited.at).unwrap();
    assert!(matches!(record.effect, Effect::Credited { .. }) && record.seq == credited.by, "{record:?}");
    Some(credited.by)
}

fn is_changed<T: std::fmt::Debug>(result: Result<T, CommitError>) -> bool {
    matches!(result, Err(CommitError::CreditChanged { .. }))
}

#[tokio::test]
async fn of_two_at_once_one_is_second() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let options = packing();
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    let waits = (sell(&store, "WAITS").await, "WAITS");
    let one = (sell_and_sign(&store, "ONE").await, "ONE");

    for original in [waits, one] {
        let names = [format!("A-{}", original.1), format!("B-{}", original.1)];
        let (first, second) = tokio::join!(
            credit(&store, &names[0], original, None),
            credit(&store, &names[1], original, None)
        );
        assert!(first.is_ok() && is_changed(second), "the second sees what the first left");
        let by = taken(&store, original.1);
        assert_eq!(by, first.ok());
        assert!(store.find(&names[1]).unwrap().is_none(), "nothing of it was written");
        let first = store.find(&names[0]).unwrap().unwrap();
        assert_eq!(first.credits, Some(original.0));
        credit(&store, &names[1], original, by).await.unwrap();
        // Given back, as after a refusal: in the commit of the note's outcome.
        let refused = outcome(first.seq, Status::Rejected, 0, Binding::Keep);
        let back = credited(original.0, original.1, taken(&store, original.1), false);
        commit(&store, vec![refused, back]).await.unwrap();
        // The same is the same document, and takes nothing more, though what it was worked out from is long gone.
        let by = taken(&store, original.1);
        let again =
            vec![note(&store.signer(), &names[1], original.0), credited(original.0, original.1, None, true)];
        let known = commit(&store, again).await.unwrap();
        assert!(matches!(&known[..], [Committed::Known(entry)] if entry.key == names[1]), "{known:?}");
        assert_eq!(taken(&store, original.1), by);
        check_index_against_journal(&store);
    }
    assert!(matches!(
        credit(&store, "N", (99, "NOBODY"), None).await,
        Err(CommitError::NoSuchDocument { .. })
    ));
    assert!(matches!(
        credit(&store, "N", (one.0, "WAITS"), None).await,
        Err(CommitError::NoSuchDocument { .. })
    ));

    // What KRA refused cannot be credited any more; what was taken can still be given back.
    let bad = (sell(&store, "BAD").await, "BAD");
    let by = credit(&store, "N-BAD", bad, None).await.unwrap();
    commit(&store, vec![outcome(bad.0, Status::Rejected, 0, Binding::Keep)]).await.unwrap();
    assert!(is_changed(credit(&store, "M-BAD", bad, Some(by)).await));
    commit(&store, vec![credited(bad.0, bad.1, Some(by), false)]).await.unwrap();
    // A sale that took its place has the note from now on.
    let good = sell(&store, "GOOD").await;
    let note = store.find("N-BAD").unwrap().unwrap().seq;
    let effect = Effect::Credits { document: note, original: good };
    commit(&store, vec![record(Kind::Event, effect, b"moved".to_vec())]).await.unwrap();
    assert_eq!(store.find("N-BAD").unwrap().unwrap().credits, Some(good));
    check_index_against_journal(&store);

    let standing = |store: &Store| {
        let taken = ["WAITS", "ONE", "BAD"].map(|key| taken(store, key));
        (taken, store.find("N-BAD").unwrap().unwrap().credits)
    };
    let before = standing(&store);
    for _ in 0..3 {
        checkpoint_and_roll(&store).await;
    }
    keep_house(&store, &options);
    assert_eq!(standing(&store), before);
    drop(store);
    let (store, report) = open_fake(&disk, dir.path(), &options, false).unwrap();
    assert!(report.rebuilt.is_none(), "{report:?}");
    assert_eq!(standing(&store), before);
    drop(store);
    std::fs::remove_dir_all(dir.path().join("sled")).unwrap();
    let (store, report) = open_fake(&disk, dir.path(), &options, false).unwrap();
    assert!(report.rebuilt.is_some() && report.damage.is_empty(), "{report:?}");
    assert_eq!(standing(&store), before);
    check_index_against_journal(&store);
}

#[tokio::test]
async fn sixty_at_once_are_all_decided() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let (store, _) = open_fake(&disk, dir.path(), &packing(), true).unwrap();
    let original = sell_and_sign(&store, "ONE").await;
    let tries: Vec<_> = (0..60)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move {
                loop {
                    let after = taken(&store, "ONE");
                    match credit(&store, &format!("N-{number}"), (original, "ONE"), after).await {
                        Err(CommitError::CreditChanged { .. }) => {}
                        other => return other.unwrap(),
                    }
                }
            })
        })
        .collect();
    let mut places = Vec::new();
    for one in tries {
        places.push(one.await.unwrap());
    }
    assert_eq!(taken(&store, "ONE"), places.iter().max().copied());
    check_index_against_journal(&store);
}

#[tokio::test]
async fn what_was_taken_goes_along_with_what_is_not_finished_and_leaves_with_what_is() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let options = retiring();
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    let waits = (sell(&store, "WAITS").await, "WAITS");
    credit(&store, "N-WAITS", waits, None).await.unwrap();
    let old = (sell_and_sign(&store, "OLD").await, "OLD");
    let note = note(&store.signer(), "N-OLD", old.0);
    let note = seq_of(&commit(&store, vec![note, credited(old.0, old.1, None, true)]).await.unwrap());
    commit(&store, vec![bind(note, store.series().next)]).await.unwrap();
    commit(&store, vec![signed(note, "SN")]).await.unwrap();
    let by = taken(&store, "WAITS");
    for _ in 0..3 {
        checkpoint_and_roll(&store).await;
    }
    sell_and_sign(&store, "LAST").await;
    checkpoint_and_roll(&store).await;
    keep_house(&store, &options);
    assert_eq!(store.find("OLD").unwrap(), None, "its time is over");
    assert_eq!(store.find("N-OLD").unwrap(), None);
    let standing = |store: &Store| (taken(store, "WAITS"), store.find("N-WAITS").unwrap().unwrap().credits);
    assert_eq!(standing(&store), (by, Some(waits.0)));
    check_index_against_journal(&store);
    drop(store);
    std::fs::remove_dir_all(dir.path().join("sled")).unwrap();
    let (store, report) = open_fake(&disk, dir.path(), &options, false).unwrap();
    assert!(report.damage.is_empty(), "{report:?}");
    assert_eq!(standing(&store), (by, Some(waits.0)));
    check_index_against_journal(&store);
    // A number that was used again belongs to another document.
    commit(&store, vec![sale(&store.signer(), "OLD", 5)]).await.unwrap();
    assert_eq!(taken(&store, "OLD"), None);
    check_index_against_journal(&store);
}
