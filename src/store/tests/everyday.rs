//! The usual life of a store.

use std::collections::HashSet;

use super::harness::{
    DEADLINE, bind, commit, event, open, options, outcome, sale, sell, sell_and_sign, seq_of, signed,
    try_open,
};
use crate::queue::Status;
use crate::store::{
    Binding, CommitError, Committed, Condition, Effect, Kind, LastAccepted, OpenError, Options, SeriesState,
    Store,
};

#[tokio::test]
async fn a_sale_goes_its_way_and_is_found_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (store, report) = open(dir.path());
    assert!(report.created);
    assert_eq!(store.head().0, 2);
    assert_eq!(store.genesis().public_key, store.public_key());
    assert!(store.latest(Kind::Genesis).is_some());

    let document = sell(&store, "A-1").await;
    let entry = store.entry(document).unwrap().unwrap();
    assert_eq!((entry.status, entry.key.as_str()), (Status::Pending, "A-1"));
    assert_eq!(store.find("A-1").unwrap().unwrap(), entry);
    assert_eq!(store.first_pending_but(|_| false).unwrap().unwrap(), entry);
    assert_eq!(store.counts().waiting, 1);
    assert_eq!(store.counts().oldest_waiting, Some(entry.accepted));
    let record = store.read(entry.at).unwrap();
    assert!(record.body.starts_with(b"sale A-1"));

    commit(&store, vec![bind(document, 1)]).await.unwrap();
    commit(&store, vec![outcome(document, Status::Pending, 1, Binding::Keep)]).await.unwrap();
    assert_eq!(store.counts().in_doubt, 1);
    let waiter = store.finished().register(document);
    commit(&store, vec![signed(document, "SIGN")]).await.unwrap();
    tokio::time::timeout(DEADLINE, waiter).await.unwrap();

    let entry = store.find("A-1").unwrap().unwrap();
    assert_eq!((entry.status, entry.bound.unwrap().number), (Status::Signed, 1));
    assert_eq!(store.read(entry.outcome.unwrap()).unwrap().body, b"what KRA said");
    assert_eq!(store.read(entry.bound.unwrap().at).unwrap().body, b"bytes of 1");
    assert_eq!(store.entry(document).unwrap(), None);
    let series = SeriesState {
        next: 2,
        last: Some(LastAccepted { number: 1, sign: "SIGN".into(), document: Some(document) }),
    };
    assert_eq!(store.series(), series);
    let (head, counts) = (store.head(), store.counts());
    assert_eq!((counts.waiting, counts.documents_total), (0, 1));
    store.close().await;

    let (store, report) = open(dir.path());
    assert!(!report.created && report.rebuilt.is_none() && report.cut.is_none(), "{report:?}");
    assert_eq!(store.head().0, head.0 + 1, "one checkpoint");
    assert_eq!(store.find("A-1").unwrap().unwrap(), entry);
    assert_eq!(store.series(), series);
    assert_eq!(store.counts(), counts);
}

#[tokio::test]
async fn a_known_key_is_never_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let document = sell_and_sign(&store, "A").await;
    let head = store.head();
    let again = commit(&store, vec![sale(&store.signer(), "A", 10), event("x")]).await.unwrap();
    assert!(matches!(&again[..], [Committed::Known(entry)] if entry.seq == document), "{again:?}");
    assert_eq!(store.head(), head);
}

#[tokio::test]
async fn of_two_who_want_the_same_document_one_is_too_late() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let document = sell(&store, "OLD").await;
    commit(&store, vec![outcome(document, Status::Rejected, 0, Binding::Keep)]).await.unwrap();
    let refused = [Condition { document, status: Status::Rejected }];
    let settle = || outcome(document, Status::Settled, 0, Binding::Release);
    let replacing = vec![sale(&store.signer(), "NEW", 10), settle()];
    let retry = vec![outcome(document, Status::Pending, 0, Binding::Release)];
    let (replaced, retried) = tokio::join!(
        store.commit_if(replacing.clone(), refused.to_vec()),
        store.commit_if(retry.clone(), refused.to_vec())
    );
    assert!(matches!(&replaced.unwrap()[..], [Committed::New { .. }, Committed::New { .. }]));
    let changed = CommitError::Changed { document, expected: Status::Rejected, found: Some(Status::Settled) };
    let late = retried.unwrap_err();
    assert!(late == changed || matches!(late, CommitError::Changed { found: None, .. }), "{late}");
    let head = store.head();
    assert!(matches!(store.commit_if(retry, refused.to_vec()).await, Err(CommitError::Changed { .. })));
    let again = store.commit_if(replacing, refused.to_vec()).await.unwrap();
    assert!(matches!(&again[..], [Committed::Known(entry)] if entry.key == "NEW"), "a repeat is a repeat");
    assert_eq!(store.head(), head, "nothing was written");
    assert_eq!(store.find("OLD").unwrap().unwrap().status, Status::Settled);
}

#[tokio::test]
async fn twins_become_one() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let mut tasks = tokio::task::JoinSet::new();
    for twin in 0..40 {
        let store = store.clone();
        tasks.spawn(async move {
            let sale = sale(&store.signer(), &format!("T-{}", twin % 4), 500);
            match &commit(&store, vec![sale]).await.unwrap()[0] {
                Committed::New { seq, .. } => (true, *seq),
                Committed::Known(entry) => (false, entry.seq),
            }
        });
    }
    let answers = tasks.join_all().await;
    assert_eq!(answers.iter().filter(|(new, _)| *new).count(), 4);
    assert_eq!(answers.iter().map(|(_, seq)| *seq).collect::<HashSet<_>>().len(), 4);
    assert_eq!(store.counts().waiting, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_writers_are_all_served() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..64 {
        let store = store.clone();
        tasks.spawn(async move {
            for round in 0..12 {
                sell(&store, &format!("W{writer}-{round}")).await;
            }
        });
    }
    tokio::time::timeout(DEADLINE, tasks.join_all()).await.expect("nobody is starved");
    assert_eq!(store.counts().waiting, 64 * 12);
    let unfinished = page_through(&store);
    assert_eq!(unfinished.len(), 64 * 12);
    assert!(unfinished.is_sorted());
    drop(store);

    let (store, report) = open(dir.path());
    assert!(report.rebuilt.is_none(), "{report:?}");
    assert_eq!(page_through(&store), unfinished);
}

fn page_through(store: &Store) -> Vec<u64> {
    let mut found = Vec::new();
    loop {
        let page = store.unfinished(found.last().copied(), 100).unwrap();
        if page.is_empty() {
            return found;
        }
        found.extend(page.iter().map(|entry| entry.seq));
    }
}

#[tokio::test]
async fn records_are_listed_from_both_ends_over_segments() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    for number in 0..60 {
        sell_and_sign(&store, &format!("L{number}")).await;
    }
    assert!(store.health().segments > 3);
    let all = store.records_after(None, None, usize::MAX).unwrap();
    assert_eq!(
        all.iter().map(|record| record.seq).collect::<Vec<_>>(),
        (1..=store.head().0).collect::<Vec<_>>()
    );
    for pair in all.windows(2) {
        assert_eq!(pair[1].previous, pair[0].hash);
    }
    let mut newest = store.records_before(None, None, usize::MAX).unwrap();
    newest.reverse();
    assert_eq!(newest, all);

    let sales: Vec<_> = all.iter().filter(|record| record.kind == Kind::Sale).cloned().collect();
    let mut found = Vec::new();
    let mut before = None;
    loop {
        let page = store.records_before(before, Some(Kind::Sale), 7).unwrap();
        let Some(last) = page.last() else { break };
        before = Some(last.seq);
        found.extend(page);
    }
    found.reverse();
    assert_eq!(found, sales);
    let some = store.records_after(Some(sales[10].seq), Some(Kind::Sale), 5).unwrap();
    assert_eq!(some, sales[11..16]);
}

#[tokio::test]
async fn commits_that_break_a_rule_are_refused_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(dir.path(), Options { max_documents: 2, ..options() }, &mut |_| {}).unwrap();
    let signer = store.signer();
    let head = store.head();
    let refused = async |records| commit(&store, records).await.unwrap_err();
    assert!(matches!(refused(vec![]).await, CommitError::Invalid(_)));
    let mut unsigned = sale(&signer, "U", 10);
    unsigned.signature = None;
    assert!(matches!(refused(vec![unsigned]).await, CommitError::Invalid(_)));
    let two = vec![sale(&signer, "1", 10), sale(&signer, "2", 10)];
    assert!(matches!(refused(two).await, CommitError::Invalid(_)));
    assert!(matches!(refused(vec![sale(&signer, "", 10)]).await, CommitError::Invalid(_)));
    assert!(matches!(refused(vec![sale(&signer, "B", 70_000)]).await, CommitError::TooLarge { .. }));
    let mut own = event("x");
    own.kind = Kind::Checkpoint;
    assert!(matches!(refused(vec![own]).await, CommitError::Invalid(_)));
    let unknown = vec![event("kept out"), bind(77, 1)];
    assert!(matches!(refused(unknown).await, CommitError::NoSuchDocument { document: 77, .. }));
    assert_eq!(store.head(), head);

    let first = sell(&store, "1").await;
    let unbound = refused(vec![signed(first, "S")]).await;
    assert!(matches!(unbound, CommitError::NoSuchDocument { .. }));
    let in_one = commit(&store, vec![bind(first, 1), signed(first, "S")]).await.unwrap();
    assert_eq!(in_one.len(), 2);
    assert_eq!(store.series().next, 2);
    assert!(matches!(refused(vec![bind(first, 6)]).await, CommitError::NoSuchDocument { .. }));

    sell(&store, "2").await;
    sell(&store, "3").await;
    assert_eq!(refused(vec![sale(&signer, "4", 10)]).await, CommitError::QueueFull { waiting: 2 });
    let mut training = sale(&signer, "T", 10);
    let Effect::Document { queued, .. } = &mut training.effect else { unreachable!() };
    *queued = false;
    let training = seq_of(&commit(&store, vec![training]).await.unwrap());
    assert_eq!(store.find("T").unwrap().unwrap().status, Status::NotFiscal);
    assert_eq!(store.entry(training).unwrap(), None);
    let closing = store.clone();
    closing.close().await;
    assert_eq!(refused(vec![event("late")]).await, CommitError::Stopping);
}

#[tokio::test]
async fn a_store_is_made_only_where_that_is_allowed_and_opened_once() {
    let dir = tempfile::tempdir().unwrap();
    let none = Store::open(dir.path(), Options { create: false, ..options() }, &mut |_| {}).unwrap_err();
    assert!(matches!(none, OpenError::NoStore { .. }) && none.exit_code() == 66);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    let (store, _) = open(dir.path());
    assert!(matches!(try_open(dir.path()), Err(OpenError::Locked { .. })));
    drop(store);
    open(dir.path());
}

#[tokio::test]
async fn an_interrupted_first_start_is_done_again() {
    let dir = tempfile::tempdir().unwrap();
    // The power went off after the key was made, and in the middle of the first segment.
    std::fs::create_dir(dir.path().join("journal.making")).unwrap();
    std::fs::write(dir.path().join("journal.making/0000000001.log"), b"half").unwrap();
    let key = crate::store::keys::new_signing_key().unwrap();
    crate::store::write_secret(&dir.path().join("keys"), "signing.key", &key).unwrap();
    let none = Store::open(dir.path(), Options { create: false, ..options() }, &mut |_| {}).unwrap_err();
    assert!(matches!(none, OpenError::NoStore { .. }));
    let (store, report) = open(dir.path());
    assert!(report.created);
    assert_eq!(store.public_key(), crate::store::Signer::from_pkcs8(&key).unwrap().public_key());
    sell(&store, "A").await;
}

#[tokio::test]
async fn a_store_is_reopened_many_times() {
    let dir = tempfile::tempdir().unwrap();
    let mut keys: Vec<String> = Vec::new();
    for round in 0..12 {
        let (store, report) = open(dir.path());
        assert_eq!(report.epoch, round + 1);
        assert!(report.rebuilt.is_none() && report.cut.is_none(), "{report:?}");
        for key in &keys {
            assert!(store.find(key).unwrap().is_some());
        }
        let key = format!("R{round}");
        sell_and_sign(&store, &key).await;
        keys.push(key);
        keys.push(format!("P{round}"));
        sell(&store, &format!("P{round}")).await;
        assert_eq!(store.counts().waiting, round + 1);
        if round % 3 == 0 {
            store.close().await;
        }
    }
}

#[tokio::test]
async fn a_quiet_store_writes_one_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let quick = Options { checkpoint_quiet: std::time::Duration::from_millis(20), ..options() };
    let (store, _) = Store::open(dir.path(), quick, &mut |_| {}).unwrap();
    let mut head = store.watch_head();
    let document = sell(&store, "A").await;
    let checkpoint = tokio::time::timeout(DEADLINE, head.wait_for(|(seq, _)| *seq == document + 1)).await;
    checkpoint.unwrap().unwrap();
    assert!(store.latest(Kind::Checkpoint).is_some());
    store.close().await;
    let (store, report) = open(dir.path());
    assert_eq!(store.head().0, document + 1, "nothing new, no second checkpoint");
    assert_eq!(report.replayed, 0);
}
