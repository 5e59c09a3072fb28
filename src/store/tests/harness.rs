//! Records and stores for the tests.

use std::path::Path;
use std::time::Duration;

use crate::queue::{Seq, Status};
use crate::store::{
    Binding, CommitError, Committed, Effect, Kind, NewRecord, OpenError, OpenReport, Options, Signer, Stamp,
    Store,
};

pub(super) const DEADLINE: Duration = Duration::from_secs(60);

/// A clock that says the same always: the store decides nothing by it.
pub(super) fn clock() -> Stamp {
    Stamp { wall_ms: 1_700_000_000_000, boot: [7; 16], monotonic_ms: 5, synchronised: true }
}

/// Small segments, no checkpoints by time.
pub(super) fn options() -> Options {
    Options {
        create: true,
        segment_size: 64 << 10,
        checkpoint_quiet: Duration::from_secs(3600),
        checkpoint_every: Duration::from_secs(3600),
        checkpoint_bytes: u64::MAX,
        ..Options::new(clock)
    }
}

pub(super) fn try_open(dir: &Path) -> Result<(Store, OpenReport), OpenError> {
    Store::open(dir, options(), &mut |_| {})
}

pub(super) fn open(dir: &Path) -> (Store, OpenReport) {
    try_open(dir).unwrap()
}

fn record(kind: Kind, effect: Effect, body: Vec<u8>) -> NewRecord {
    NewRecord { kind, stamp: clock(), origin: "test".into(), effect, body, signature: None }
}

pub(super) fn event(text: &str) -> NewRecord {
    record(Kind::Event, Effect::None, text.as_bytes().to_vec())
}

/// A signed sale of about `size` bytes.
pub(super) fn sale(signer: &Signer, key: &str, size: usize) -> NewRecord {
    let content = crate::store::record::sha256(key.as_bytes());
    let mut body = format!("sale {key} ").into_bytes();
    body.resize(body.len().max(size), b'.');
    let mut sale = record(Kind::Sale, Effect::Document { key: key.into(), content, queued: true }, body);
    let bytes = Signer::document_bytes(sale.kind, &sale.stamp, &sale.origin, &sale.effect, &sale.body);
    sale.signature = Some(signer.sign(&bytes));
    sale
}

pub(super) fn bind(document: Seq, number: u64) -> NewRecord {
    record(Kind::Bind, Effect::Bound { document, number }, format!("bytes of {number}").into_bytes())
}

pub(super) fn outcome(document: Seq, status: Status, unsure_sends: u32, binding: Binding) -> NewRecord {
    let effect = Effect::Moved { document, status, attempts: 1, unsure_sends, binding };
    record(Kind::Outcome, effect, b"what KRA said".to_vec())
}

pub(super) fn signed(document: Seq, sign: &str) -> NewRecord {
    outcome(document, Status::Signed, 0, Binding::Used { sign: sign.into() })
}

/// Commits, with a deadline.
pub(super) async fn commit(store: &Store, records: Vec<NewRecord>) -> Result<Vec<Committed>, CommitError> {
    tokio::time::timeout(DEADLINE, store.commit(records)).await.expect("a commit ends in time")
}

pub(super) fn seq_of(committed: &[Committed]) -> Seq {
    match &committed[0] {
        Committed::New { seq, .. } => *seq,
        Committed::Known(entry) => panic!("known: {entry:?}"),
    }
}

pub(super) async fn sell(store: &Store, key: &str) -> Seq {
    let sale = sale(&store.signer(), key, 900);
    seq_of(&commit(store, vec![sale]).await.unwrap())
}

/// Sells, binds the series' next number and has KRA sign it.
pub(super) async fn sell_and_sign(store: &Store, key: &str) -> Seq {
    let document = sell(store, key).await;
    commit(store, vec![bind(document, store.series().next)]).await.unwrap();
    commit(store, vec![signed(document, &format!("SIGN-{key}"))]).await.unwrap();
    document
}
