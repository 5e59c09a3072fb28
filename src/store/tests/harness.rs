//! Records and stores for the tests.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::queue::{Seq, Status};
use crate::store::disk::Disk;
use crate::store::disk_fake::FakeDisk;
use crate::store::genesis::write_first_segment;
use crate::store::journal::list_segments;
use crate::store::keys::new_signing_key;
use crate::store::record::decode_record;
use crate::store::recovery::open_on;
use crate::store::spares::Spares;
use crate::store::{
    Binding, Bound, CommitError, Committed, Credited, Effect, Entry, Kind, LastAccepted, NewRecord,
    OpenError, OpenReport, Options, Printed, Record, SeriesState, Signer, Stamp, Store, read_secret,
    write_secret,
};

pub(in crate::store) const DEADLINE: Duration = Duration::from_secs(60);

/// A clock that says the same always: the store decides nothing by it.
pub(in crate::store) fn clock() -> Stamp {
    Stamp { wall_ms: 1_700_000_000_000, boot: [7; 16], monotonic_ms: 5, synchronised: true }
}

/// Small segments, no checkpoints by time.
pub(in crate::store) fn options() -> Options {
    Options {
        create: true,
        segment_size: 64 << 10,
        checkpoint_quiet: Duration::from_secs(3600),
        checkpoint_every: Duration::from_secs(3600),
        checkpoint_bytes: u64::MAX,
        upkeep_pause: Duration::from_secs(3600),
        ..Options::new(clock)
    }
}

pub(in crate::store) fn try_open(dir: &Path) -> Result<(Store, OpenReport), OpenError> {
    Store::open(dir, options(), &mut |_| {})
}

pub(in crate::store) fn open(dir: &Path) -> (Store, OpenReport) {
    try_open(dir).unwrap()
}

pub(in crate::store) fn record(kind: Kind, effect: Effect, body: Vec<u8>) -> NewRecord {
    NewRecord { kind, stamp: clock(), origin: "test".into(), effect, body, signature: None }
}

pub(in crate::store) fn event(text: &str) -> NewRecord {
    record(Kind::Event, Effect::None, text.as_bytes().to_vec())
}

/// A signed sale of about `size` bytes.
pub(in crate::store) fn sale(signer: &Signer, key: &str, size: usize) -> NewRecord {
    let content = crate::store::record::sha256(key.as_bytes());
    let mut body = format!("sale {key} ").into_bytes();
    body.resize(body.len().max(size), b'.');
    let mut sale =
        record(Kind::Sale, Effect::Document { key: key.into(), content, queued: true, credits: None }, body);
    let bytes = Signer::document_bytes(sale.kind, &sale.stamp, &sale.origin, &sale.effect, &sale.body);
    sale.signature = Some(signer.sign(&bytes));
    sale
}

/// An item's record.
pub(in crate::store) fn item(key: &str, body: &str) -> NewRecord {
    record(Kind::Item, Effect::Shelved { key: key.into() }, body.as_bytes().to_vec())
}

/// What stands on a shelf, by key.
pub(in crate::store) fn on_shelf(store: &Store, kind: Kind) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let each = &mut |record: Record| {
        let Effect::Shelved { key } = record.effect else { panic!("{record:?}") };
        assert_eq!(record.kind, kind);
        assert_eq!(found.insert(key, String::from_utf8(record.body).unwrap()), None, "one row a key");
    };
    store.read_shelf(kind, each).unwrap();
    found
}

pub(in crate::store) fn bind(document: Seq, number: u64) -> NewRecord {
    record(Kind::Bind, Effect::Bound { document, number }, format!("bytes of {number}").into_bytes())
}

pub(in crate::store) fn outcome(
    document: Seq,
    status: Status,
    unsure_sends: u32,
    binding: Binding,
) -> NewRecord {
    let effect = Effect::Moved { document, status, attempts: 1, unsure_sends, binding };
    record(Kind::Outcome, effect, b"what KRA said".to_vec())
}

pub(in crate::store) fn signed(document: Seq, sign: &str) -> NewRecord {
    outcome(document, Status::Signed, 0, Binding::Used { sign: sign.into() })
}

/// Commits, with a deadline.
pub(in crate::store) async fn commit(
    store: &Store,
    records: Vec<NewRecord>,
) -> Result<Vec<Committed>, CommitError> {
    tokio::time::timeout(DEADLINE, store.commit(records)).await.expect("a commit ends in time")
}

pub(in crate::store) fn seq_of(committed: &[Committed]) -> Seq {
    match &committed[0] {
        Committed::New { seq, .. } => *seq,
        Committed::Known(entry) => panic!("known: {entry:?}"),
    }
}

pub(in crate::store) async fn sell(store: &Store, key: &str) -> Seq {
    let sale = sale(&store.signer(), key, 900);
    seq_of(&commit(store, vec![sale]).await.unwrap())
}

/// Sells, binds the series' next number and has KRA sign it.
pub(in crate::store) async fn sell_and_sign(store: &Store, key: &str) -> Seq {
    let document = sell(store, key).await;
    commit(store, vec![bind(document, store.series().next)]).await.unwrap();
    commit(store, vec![signed(document, &format!("SIGN-{key}"))]).await.unwrap();
    document
}

/// Opens a store whose journal is on a fake disk; it is made if the disk is empty.
pub(in crate::store) fn open_fake(
    disk: &Arc<FakeDisk>,
    dir: &Path,
    options: &Options,
    with_spares: bool,
) -> Result<(Store, OpenReport), OpenError> {
    let io = |source| OpenError::Io { step: "test", path: dir.to_owned(), source };
    let keys = dir.join("keys");
    let key = match read_secret(&keys, "signing.key").unwrap() {
        Some(key) => key,
        None => {
            let key = new_signing_key().unwrap();
            write_secret(&keys, "signing.key", &key).unwrap();
            key
        }
    };
    let shared: Arc<dyn Disk> = Arc::new(Arc::clone(disk));
    if list_segments(&*shared).map_err(io)?.is_empty() {
        write_first_segment(&*shared, &Signer::from_pkcs8(&key).unwrap(), options).map_err(io)?;
    }
    let lock = std::fs::File::create(dir.join("lock")).unwrap();
    let spares =
        |disk, plan| if with_spares { Spares::start(disk, plan).map_err(io) } else { Ok(Spares::none(plan)) };
    let (committer, report) = open_on(shared, spares, dir, options.clone(), lock, &mut |_| {})?;
    if with_spares {
        committer.writer.spares().wait_ready(|| disk.faulted());
    }
    Store::start(committer, report, dir)
}

/// The index must hold exactly what the journal's records make of the documents, whatever way it came about.
#[allow(clippy::too_many_lines, reason = "a table: what each effect makes of a document")]
pub(in crate::store) fn check_index_against_journal(store: &Store) {
    // A checkpoint may come at any time.
    let head = store.head().0;
    let records = store.records_after(None, None, usize::MAX).unwrap();
    assert!(records.last().unwrap().seq >= head, "every record up to the head is there");
    let mut documents: BTreeMap<Seq, Entry> = BTreeMap::new();
    let mut series = SeriesState::default();
    let mut shelf = BTreeMap::new();
    let first = records.first().unwrap().seq;
    if first > 1 {
        let base = crate::store::standing::Base::decode(&records[0].body).unwrap();
        series = base.standing.series;
    }
    for (number, record) in (first..).zip(&records) {
        assert_eq!(record.seq, number);
        match &record.effect {
            Effect::Document { key, .. } => {
                let entry = store.find(key).unwrap().expect("an accepted document is found");
                assert_eq!(entry.seq, record.seq);
                assert_eq!(store.read(entry.at).unwrap(), *record);
                let begun = Entry {
                    status: Status::Pending,
                    bound: None,
                    attempts: 0,
                    unsure_sends: 0,
                    outcome: None,
                    printed: None,
                    credited: None,
                    ..entry
                };
                documents.insert(record.seq, begun);
            }
            Effect::Carried(carried) => {
                let entry = store.find(&carried.key).unwrap().expect("what was carried is found");
                let begun = Entry {
                    status: carried.status,
                    bound: carried.bound.map(|(number, _)| Bound {
                        number,
                        at: entry.bound.map_or(entry.at, |bound| bound.at),
                    }),
                    attempts: carried.attempts,
                    unsure_sends: carried.unsure_sends,
                    credited: carried.credited.map(|(by, _)| Credited {
                        by,
                        at: entry.credited.map_or(entry.at, |credited| credited.at),
                    }),
                    credits: carried.credits,
                    ..entry
                };
                documents.insert(carried.document, begun);
            }
            // A document whose records are no longer kept.
            Effect::Bound { document, .. } | Effect::Moved { document, .. }
                if *document < first && !documents.contains_key(document) =>
            {
                if let (Effect::Moved { binding: Binding::Used { sign }, .. }, Some(number)) =
                    (&record.effect, record.used)
                {
                    let last = LastAccepted { number, sign: sign.clone(), document: Some(*document) };
                    series = SeriesState { next: number + 1, last: Some(last) };
                }
            }
            Effect::Bound { document, number } => {
                let entry = documents.get_mut(document).unwrap();
                let at = store.find(&entry.key).unwrap().unwrap().bound.map(|bound| bound.at);
                entry.bound = at.map(|at| Bound { number: *number, at });
            }
            Effect::Moved { document, status, attempts, unsure_sends, binding } => {
                let entry = documents.get_mut(document).unwrap();
                (entry.status, entry.attempts, entry.unsure_sends) = (*status, *attempts, *unsure_sends);
                entry.outcome = store.find(&entry.key).unwrap().unwrap().outcome;
                assert!(entry.outcome.is_some() || record.kind != Kind::Outcome);
                match binding {
                    Binding::Keep => {}
                    Binding::Release => entry.bound = None,
                    Binding::Used { sign } => {
                        let number = entry.bound.unwrap().number;
                        let last = LastAccepted { number, sign: sign.clone(), document: Some(*document) };
                        series = SeriesState { next: number + 1, last: Some(last) };
                    }
                }
            }
            Effect::Printed { document, again, .. } => {
                if let Some(entry) = documents.get_mut(document) {
                    let at = store.find(&entry.key).unwrap().unwrap().printed.map(|printed| printed.at);
                    entry.printed = at.map(|at| Printed { again: *again, at });
                }
            }
            Effect::Shelved { key } => {
                let body = String::from_utf8(record.body.clone()).unwrap();
                shelf.insert((record.kind, key.clone()), body);
            }
            Effect::Reshelved { kind, key, part } => {
                let original = decode_record(part.bytes(&record.body).unwrap()).unwrap();
                shelf.insert((*kind, key.clone()), String::from_utf8(original.body).unwrap());
            }
            Effect::Credited { document, .. } => {
                if let Some(entry) = documents.get_mut(document) {
                    let at = store.find(&entry.key).unwrap().unwrap().credited.map(|credited| credited.at);
                    entry.credited = at.map(|at| Credited { by: record.seq, at });
                }
            }
            Effect::Credits { document, original } => {
                documents.get_mut(document).unwrap().credits = Some(*original);
            }
            Effect::Series { next, last } => series = SeriesState { next: *next, last: last.clone() },
            Effect::None | Effect::Alerts | Effect::Hardware | Effect::Kept { .. } | Effect::Retired(_) => {}
        }
    }
    assert_eq!(store.series(), series);
    for kind in [Kind::Item, Kind::Codes] {
        let expected = shelf.iter().filter(|((of, _), _)| *of == kind);
        let expected: BTreeMap<_, _> = expected.map(|((_, key), body)| (key.clone(), body.clone())).collect();
        assert_eq!(on_shelf(store, kind), expected);
    }
    for entry in documents.values() {
        assert_eq!(store.find(&entry.key).unwrap().as_ref(), Some(entry));
    }
    let unfinished: Vec<_> =
        documents.values().filter(|entry| !entry.status.is_finished()).cloned().collect();
    assert_eq!(store.unfinished(None, usize::MAX).unwrap(), unfinished);
    let pending: Vec<_> = unfinished.iter().filter(|entry| entry.status == Status::Pending).collect();
    let counts = store.counts();
    assert_eq!(counts.waiting, u64::try_from(pending.len()).unwrap());
    if first == 1 {
        assert_eq!(counts.documents_total, u64::try_from(documents.len()).unwrap());
    }
    assert_eq!(counts.oldest_waiting, pending.first().map(|entry| entry.accepted));
    assert_eq!(store.first_pending_but(|_| false).unwrap().as_ref(), pending.first().copied());
}
