//! What is looked for in the log's past: signatures by number, refusals, times that are sure.

use std::sync::Arc;
use std::time::Instant;

use super::harness::{
    DEADLINE, bind, clock, commit, event, open, open_fake, outcome, sale, sell, sell_and_sign, seq_of,
};
use super::retain::{checkpoint_and_roll, readable, retiring};
use crate::gateway::ports::{Chapter, Happened, Told};
use crate::queue::drain::{NumberFate, Ruling};
use crate::queue::{Seq, Status, Words};
use crate::store::disk_fake::FakeDisk;
use crate::store::reading::Reader;
use crate::store::{Binding, Effect, Kind, LastAccepted, NewRecord, Options, Stamp, Store, bodies};

fn reader(store: &Store) -> Reader {
    Reader { store: store.clone(), now: clock() }
}

fn foreign(number: u64, sign: &str) -> NewRecord {
    let last = Some(LastAccepted { number, sign: sign.to_owned(), document: None });
    let effect = Effect::Series { next: number + 1, last };
    NewRecord { kind: Kind::Foreign, effect, ..event("foreign") }
}

#[tokio::test]
async fn a_signature_is_found_by_its_number() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    assert_eq!(reader(&store).signature_under(1).unwrap(), None);
    sell_and_sign(&store, "A").await;
    commit(&store, vec![foreign(2, "F2")]).await.unwrap();
    // More than one page of other records lies in between.
    for _ in 0..600 {
        commit(&store, vec![event("noise")]).await.unwrap();
    }
    sell_and_sign(&store, "C").await;
    for (number, expected) in [(1, Some("SIGN-A")), (2, Some("F2")), (3, Some("SIGN-C")), (4, None)] {
        let found = reader(&store).signature_under(number).unwrap();
        assert_eq!(found.as_deref(), expected, "number {number}");
    }
}

#[tokio::test]
async fn a_signature_is_known_again_wherever_it_stands() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    sell_and_sign(&store, "A").await;
    commit(&store, vec![foreign(2, "F2")]).await.unwrap();
    for _ in 0..600 {
        commit(&store, vec![event("noise")]).await.unwrap();
    }
    sell_and_sign(&store, "C").await;
    for (signature, expected) in [("SIGN-A", Some(1)), ("F2", Some(2)), ("SIGN-C", Some(3)), ("NEW", None)] {
        assert_eq!(reader(&store).number_signed(signature), expected, "{signature}");
    }
}

async fn refuse(store: &Store, key: &str, code: &str) -> Seq {
    let document = sell(store, key).await;
    let number = store.series().next;
    let ruling = Ruling {
        status: Status::Rejected,
        attempts: 0,
        unsure_sends: 0,
        number: NumberFate::Released,
        proof: None,
        adopted: false,
        accepted: false,
        with_original: false,
        words: Words { result_cd: Some(code.to_owned()), ..Words::default() },
    };
    let outcome = outcome(document, Status::Rejected, 0, Binding::Release);
    let outcome = NewRecord { body: bodies::write_outcome(&ruling, None), ..outcome };
    commit(store, vec![bind(document, number), outcome]).await.unwrap();
    document
}

#[tokio::test]
async fn refusals_since_the_last_acceptance_are_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let codes = |store: &Store| -> Vec<(Seq, String)> {
        let found = reader(store).latest_refusals().unwrap();
        found.into_iter().map(|(document, words)| (document, words.result_cd.unwrap())).collect()
    };
    assert_eq!(codes(&store), []);
    refuse(&store, "OLD", "913").await;
    assert_eq!(codes(&store).len(), 1);
    sell_and_sign(&store, "GOOD").await;
    assert_eq!(codes(&store), [], "what KRA refused before it accepted one counts no more");
    let first = refuse(&store, "R-1", "910").await;
    let second = refuse(&store, "R-2", "911").await;
    assert_eq!(codes(&store), [(first, "910".to_owned()), (second, "911".to_owned())]);
    commit(&store, vec![outcome(first, Status::Settled, 0, Binding::Release)]).await.unwrap();
    assert_eq!(codes(&store), [(second, "911".to_owned())]);
}

#[tokio::test]
async fn times_that_are_sure_are_found_on_both_sides() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let at = |wall_ms, synchronised| Stamp { wall_ms, synchronised, ..clock() };
    let mut doubtful = sale(&store.signer(), "D", 10);
    let stamped = |wall_ms, synchronised| NewRecord { stamp: at(wall_ms, synchronised), ..event("e") };
    commit(&store, vec![stamped(1_000, true)]).await.unwrap();
    commit(&store, vec![stamped(7, false)]).await.unwrap();
    doubtful.stamp.synchronised = false;
    let document = seq_of(&commit(&store, vec![doubtful]).await.unwrap());
    assert_eq!(reader(&store).sure_times_around(document).unwrap(), (Some(1_000), None));
    commit(&store, vec![stamped(8, false)]).await.unwrap();
    commit(&store, vec![stamped(9_000, true)]).await.unwrap();
    assert_eq!(reader(&store).sure_times_around(document).unwrap(), (Some(1_000), Some(9_000)));
}

#[tokio::test]
async fn those_passed_over_are_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let (first, second) = (sell(&store, "A").await, sell(&store, "B").await);
    let found = |passed: &[Seq]| {
        let passed = passed.to_vec();
        store.first_pending_but(move |seq| passed.contains(&seq)).unwrap().map(|entry| entry.seq)
    };
    assert_eq!(found(&[]), Some(first));
    assert_eq!(found(&[first]), Some(second));
    assert_eq!(found(&[first, second]), None);
}

/// Goes on until the oldest segment, where these are, is retired and they are taken along.
fn take_along(store: &Store, options: &Options, documents: &[Seq]) {
    let mut upkeep = store.upkeep(options);
    let deadline = Instant::now() + DEADLINE;
    while store.first_seq() <= *documents.last().unwrap() {
        let done = upkeep.round();
        assert!(Instant::now() < deadline, "{done:?}");
    }
}

#[tokio::test]
async fn refusals_that_were_taken_along_are_not_newer_than_the_acceptance_after_them() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let options = retiring();
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    let mut refused = Vec::new();
    for number in 0..5 {
        refused.push(refuse(&store, &format!("R{number}"), "921").await);
    }
    checkpoint_and_roll(&store).await;
    checkpoint_and_roll(&store).await;
    sell_and_sign(&store, "accepted").await;
    checkpoint_and_roll(&store).await;
    assert_eq!(reader(&store).latest_refusals().unwrap(), []);
    take_along(&store, &options, &refused);
    assert_eq!(reader(&store).latest_refusals().unwrap(), []);
    // The acceptance goes too: what was taken along is older than all that is kept.
    let accepted = store.find("accepted").unwrap().unwrap().seq;
    for number in 0..3 {
        checkpoint_and_roll(&store).await;
        sell_and_sign(&store, &format!("S{number}")).await;
    }
    let last = store.series().last.unwrap().document.unwrap();
    checkpoint_and_roll(&store).await;
    checkpoint_and_roll(&store).await;
    take_along(&store, &options, &[accepted]);
    assert!(store.find("accepted").unwrap().is_none() && store.first_seq() <= last);
    assert_eq!(reader(&store).latest_refusals().unwrap(), []);
    let newest = refuse(&store, "newest", "922").await;
    let found = reader(&store).latest_refusals().unwrap();
    assert_eq!(found.iter().map(|(document, _)| *document).collect::<Vec<_>>(), [newest]);
}

#[tokio::test]
async fn what_becomes_of_a_sale_that_was_taken_along_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let options = retiring();
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    let mut sold = Vec::new();
    for key in ["signed", "settled"] {
        sold.push(seq_of(&commit(&store, vec![readable(&store.signer(), key)]).await.unwrap()));
    }
    let [signed, settled] = sold[..] else { panic!("two were sold") };
    for _ in 0..3 {
        checkpoint_and_roll(&store).await;
    }
    let ruling = |status, number| Ruling {
        status,
        attempts: 1,
        unsure_sends: 0,
        number,
        proof: None,
        adopted: false,
        accepted: false,
        with_original: false,
        words: Words::default(),
    };
    let moved = |document, status, number, binding| NewRecord {
        body: bodies::write_outcome(&ruling(status, number), None),
        ..outcome(document, status, 0, binding)
    };
    let before = store.head().0;
    let parked = moved(settled, Status::Parked, NumberFate::Kept, Binding::Keep);
    commit(&store, vec![parked]).await.unwrap();
    take_along(&store, &options, &sold);
    let used = Binding::Used { sign: "SIGN".into() };
    commit(&store, vec![bind(signed, 1)]).await.unwrap();
    commit(&store, vec![moved(signed, Status::Signed, NumberFate::Used, used)]).await.unwrap();
    commit(&store, vec![moved(settled, Status::Settled, NumberFate::Released, Binding::Release)])
        .await
        .unwrap();

    let (mut told, mut after) = (Vec::new(), before);
    while after < store.head().0 {
        let page = reader(&store).events(after, 100).unwrap();
        assert_eq!(page.lost, []);
        for event in page.events {
            let Happened::Sale(sale) = event.what else { continue };
            told.push((sale.seq, sale.status, sale.invoice_no, sale.invoice.trader_ref.to_string()));
        }
        after = page.read_to;
    }
    let chapters = |document| -> Vec<String> {
        let story = reader(&store).story(document).unwrap();
        assert!(story.is_sorted_by_key(|chapter| chapter.record));
        let word = |chapter: Chapter| match chapter.what {
            Told::Accepted(origin) => format!("accepted by {origin} as {}", chapter.record),
            Told::Bound(number) => format!("bound to {number}"),
            Told::Came(came) => format!("{:?}", came.status),
            Told::Acted(_) => "acted".to_owned(),
        };
        story.into_iter().map(word).collect()
    };
    assert!(store.first_seq() > settled, "their records are no longer kept");
    let accepted = |document| format!("accepted by test as {document}");
    assert_eq!(chapters(signed), [accepted(signed), "bound to 1".into(), "Signed".into()]);
    assert_eq!(chapters(settled), [accepted(settled), "Parked".into(), "Settled".into()]);

    let expected = [
        (settled, Status::Parked, None, "settled".to_owned()),
        (signed, Status::Signed, Some(1), "signed".to_owned()),
        (settled, Status::Settled, None, "settled".to_owned()),
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn times_around_a_sale_that_was_taken_along_are_those_of_others_that_were() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let options = retiring();
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    let mut sold = Vec::new();
    let sales = [("A", 1_000, true), ("B", 7, false), ("C", 8, false), ("D", 9, false), ("E", 9_000, true)];
    for (key, wall_ms, synchronised) in sales {
        let mut sale = sale(&store.signer(), key, 10);
        sale.stamp = Stamp { wall_ms, synchronised, ..clock() };
        sold.push(seq_of(&commit(&store, vec![sale]).await.unwrap()));
    }
    let around = |document| reader(&store).sure_times_around(document).unwrap();
    assert_eq!(around(sold[2]), (Some(1_000), Some(9_000)));
    for _ in 0..3 {
        checkpoint_and_roll(&store).await;
    }
    sell_and_sign(&store, "now").await;
    take_along(&store, &options, &sold);
    assert_eq!(around(sold[2]), (Some(1_000), Some(9_000)));
    assert_eq!(around(sold[0]).0, None, "nothing older is kept");
    commit(&store, vec![outcome(sold[4], Status::Settled, 0, Binding::Release)]).await.unwrap();
    assert_eq!(around(sold[2]), (Some(1_000), Some(clock().wall_ms)), "the oldest record that is kept");
}
