//! A journal written again by somebody who can write to the disk and does not have the key.

use std::sync::Arc;

use super::harness::{commit, event, open_fake, sell};
use super::retain::{checkpoint_and_roll, packing};
use crate::store::codec::length_u32;
use crate::store::disk_fake::FakeDisk;
use crate::store::effect::Effect;
use crate::store::group::{HEADER, Header, records, seal};
use crate::store::journal::{list_segments, read_segment, segment_name};
use crate::store::record::{Kind, Located, NewRecord, Record, encode_record, sha256};
use crate::store::scan::survey;
use crate::store::standing::{Base, Checkpoint, Standing};
use crate::store::verify::verify_on;
use crate::store::{Options, VerifyError, VerifyReport};

/// Makes a journal whole without one of its sales.
struct Forger {
    head: (u64, [u8; 32]),
    number: u64,
    standing: Standing,
}

impl Forger {
    /// Writes all records but the sale of this key and those of these kinds again: numbered, chained and summed up anew,
    /// with the signatures that they had.
    fn forge(disk: &Arc<FakeDisk>, journal: [u8; 16], without: &str, leave_out: &[Kind]) {
        let mut forger = Self { head: (0, [0; 32]), number: 1, standing: Standing::default() };
        for (segment, _) in list_segments(disk).unwrap() {
            let mut bytes = Vec::new();
            read_segment(disk, segment, &mut bytes).unwrap();
            let mut again = Vec::new();
            for (at, header) in survey(segment, &bytes, &journal).groups {
                let group = &bytes[usize::try_from(at).unwrap()..];
                let kept =
                    records(group, &header, segment, at).unwrap().into_iter().map(|(_, record)| record);
                let kept = kept.filter(|record| {
                    let cut = matches!(&record.effect, Effect::Document { key, .. } if key == without);
                    !cut && !leave_out.contains(&record.kind)
                });
                forger.group(&mut again, segment, header, kept.collect());
            }
            assert!(again.len() <= bytes.len());
            again.resize(bytes.len(), 0);
            disk.tamper(&segment_name(segment), |bytes| *bytes = again);
        }
    }

    fn group(&mut self, out: &mut Vec<u8>, segment: u32, header: Header, kept: Vec<Record>) {
        if kept.is_empty() {
            return;
        }
        let (first_seq, previous) = (self.head.0 + 1, self.head.1);
        let count = length_u32(kept.len());
        let mut buffer = vec![0; HEADER];
        for record in kept {
            let (used, record) = (record.used, self.fitted(record));
            let start = buffer.len();
            let length = encode_record(&mut buffer, self.head.0 + 1, &self.head.1, &record, used);
            let bytes = &buffer[start..];
            self.head = (self.head.0 + 1, sha256(bytes));
            let at = Located {
                segment,
                offset: length_u32(out.len() + start),
                length: length_u32(length),
                crc: crc32c::crc32c(bytes),
            };
            self.standing.apply(record.kind, &record.effect, used, at);
            if record.kind == Kind::Checkpoint {
                self.standing.checkpointed(Checkpoint::decode(&record.body).unwrap().replay_segment);
            }
        }
        seal(&mut buffer, Header { number: self.number, first_seq, count, previous, ..header });
        self.number += 1;
        out.append(&mut buffer);
    }

    /// What the store says of its own standing must fit, too.
    fn fitted(&self, record: Record) -> NewRecord {
        let Record { kind, stamp, origin, effect, body, signature, .. } = record;
        let standing = self.standing.clone();
        let body = match kind {
            Kind::Base => Base { standing, ..Base::decode(&body).unwrap() }.encode(),
            Kind::Checkpoint => Checkpoint { standing, ..Checkpoint::decode(&body).unwrap() }.encode(),
            _ => body,
        };
        NewRecord { kind, stamp, origin, effect, body, signature }
    }
}

fn verified(disk: &Arc<FakeDisk>) -> Result<VerifyReport, VerifyError> {
    verify_on(disk, std::path::Path::new("journal"), None, &mut |_| {})
}

fn refused(disk: &Arc<FakeDisk>) -> (u64, String) {
    match verified(disk) {
        Err(VerifyError::Bad { seq, damage }) => (seq, damage.what),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_journal_written_again_without_a_sale_and_without_the_key_is_found_out_or_not_vouched_for() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let options = packing();
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    for key in ["A", "B", "C"] {
        sell(&store, key).await;
    }
    checkpoint_and_roll(&store).await;
    let base = store.head().0 - 1;
    sell(&store, "D").await;
    checkpoint_and_roll(&store).await;
    drop(store);
    let options = Options { checkpoint_bytes: u64::MAX, ..options };
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    sell(&store, "E").await;
    commit(&store, vec![event("the last")]).await.unwrap();
    let (journal, last) = (store.journal_id(), store.head().0);
    drop(store);

    let honest = verified(&disk).unwrap();
    assert!(honest.checkpoints >= 2 && honest.last.0 == last && honest.sales == 5, "{honest:?}");
    // The third segment's BASE: what was written since is vouched for by nothing yet.
    let since = last - honest.vouched;
    assert!((2..=5).contains(&since), "{honest:?}");

    // Nothing left out: the forger's craft is good.
    let same = disk.fork();
    Forger::forge(&same, journal, "nothing", &[]);
    assert_eq!(verified(&same).unwrap(), honest);

    // The checkpoints that were there do not hold any more.
    let cut = disk.fork();
    Forger::forge(&cut, journal, "B", &[]);
    let (seq, what) = refused(&cut);
    assert!(
        what.contains("of a checkpoint") && what.contains("a record from 2 on") && seq > 4,
        "{seq}: {what}"
    );

    // Without them, the next segment begins with a signature that does not hold.
    let cut = disk.fork();
    Forger::forge(&cut, journal, "B", &[Kind::Checkpoint]);
    let (seq, what) = refused(&cut);
    assert!(what.contains("at the beginning of a segment") && what.contains("a record from 2 on"), "{what}");
    assert!(seq < base, "{seq}");

    // What was sold since the last signature can be cut out; it is not vouched for, and that is said.
    let cut = disk.fork();
    Forger::forge(&cut, journal, "E", &[]);
    let found = verified(&cut).unwrap();
    assert_eq!((found.vouched, found.last.0, found.sales), (honest.vouched, last - 1, 4), "{found:?}");
}

#[tokio::test]
async fn all_of_a_store_that_was_closed_is_vouched_for() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let (store, _) = open_fake(&disk, dir.path(), &packing(), false).unwrap();
    sell(&store, "A").await;
    let all = store.head().0;
    assert!(verified(&disk).unwrap().vouched < all);
    store.close().await;
    let closed = verified(&disk).unwrap();
    assert!(closed.last.0 == closed.vouched && closed.vouched > all, "{closed:?}");
}
