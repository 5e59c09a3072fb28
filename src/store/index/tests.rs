use super::*;
use crate::queue::Status;
use crate::store::disk_fake::Random;
use crate::store::effect::{Binding, Effect};
use crate::store::entry::Entry;
use crate::store::fold::{Placed, after};
use crate::store::record::{Kind, Located, SaleHeader, Stamp};
use crate::store::reindex::fold_light;
use crate::store::replay::Light;

const JOURNAL: [u8; 16] = [2; 16];

fn light(seq: Seq, kind: Kind, effect: Effect) -> Light {
    let at = Located { segment: 1, offset: u32::try_from(seq).unwrap() * 4096, length: 100, crc: 1 };
    Light { seq, kind, stamp: Stamp::default(), at, effect }
}

#[test]
fn an_index_whose_file_sled_still_holds_is_opened_a_moment_later() {
    let dir = tempfile::tempdir().unwrap();
    drop(Index::open(dir.path(), &JOURNAL).unwrap());
    let file = std::fs::File::open(dir.path().join("db")).unwrap();
    let deadline = Instant::now() + LET_GO;
    while file.try_lock().is_err() {
        assert!(Instant::now() < deadline);
    }
    let (path, held) = (dir.path().to_owned(), Instant::now());
    let opening = std::thread::spawn(move || Index::open(&path, &JOURNAL).map(|_| held.elapsed()));
    std::thread::sleep(Duration::from_millis(100));
    drop(file);
    let waited = opening.join().unwrap().unwrap();
    assert!(waited >= Duration::from_millis(100), "{waited:?}");
}

/// Documents that come, are bound, doubted, freed and finished in random order.
fn history(length: u64, random: &mut Random) -> Vec<Light> {
    let mut open: Vec<(Seq, bool)> = Vec::new();
    let mut found = Vec::new();
    for seq in 1..=length {
        let pick = random.below(open.len().max(1));
        let effect = match (random.below(4), open.get(pick).copied()) {
            (0, _) | (_, None) => {
                open.push((seq, false));
                Effect::Document { key: format!("K{seq}"), content: [1; 32], queued: true, credits: None }
            }
            (1, Some((document, false))) => {
                open[pick].1 = true;
                Effect::Bound { document, number: seq }
            }
            (step, Some((document, _))) => {
                let status = if step == 2 { Status::Pending } else { Status::Signed };
                let binding = if random.coin() { Binding::Keep } else { Binding::Release };
                if status == Status::Signed {
                    open.remove(pick);
                }
                Effect::Moved { document, status, attempts: 1, unsure_sends: 1, binding }
            }
        };
        found.push(light(seq, Kind::Outcome, effect));
    }
    found
}

/// What the journal would say of the sale.
fn complete(row: Row) -> Result<Entry, IndexError> {
    let sale = SaleHeader { key: format!("K{}", row.seq), content: [1; 32], accepted: Stamp::default() };
    Ok(row.with(sale))
}

fn replay(index: &Index, records: &[Light]) {
    let mut changes = Changes::default();
    for record in records {
        fold_light(index, &complete, &mut changes, record).unwrap();
    }
    index.apply(&changes, records.last().map_or(0, |record| record.seq)).unwrap();
}

fn everything(index: &Index) -> Vec<Vec<(IVec, IVec)>> {
    [&index.queue, &index.by_key].map(|tree| tree.iter().map(Result::unwrap).collect()).into()
}

#[test]
fn a_replay_over_a_later_state_ends_at_the_same_state() {
    let mut random = Random(21);
    for round in 0..12 {
        let dir = tempfile::tempdir().unwrap();
        let records = history(80, &mut random);
        let step_by_step = Index::open(&dir.path().join("a"), &JOURNAL).unwrap();
        let begun = random.below(40);
        let stood = begun + random.below(40);
        let later = Index::open(&dir.path().join("b"), &JOURNAL).unwrap();
        for (number, record) in records.iter().enumerate() {
            replay(&step_by_step, std::slice::from_ref(record));
            if number < stood {
                replay(&later, std::slice::from_ref(record));
            }
        }
        // A finished document whose removal from `queue` did not reach the disk any more.
        let finished = records[begun..stood].iter().rev().find_map(|record| match record.effect {
            Effect::Moved { document, status: Status::Signed, .. } => Some(document),
            _ => None,
        });
        if let Some(document) = finished.filter(|_| round % 2 == 0) {
            let sale = records.iter().find(|record| record.seq == document).unwrap();
            let before = Placed {
                seq: sale.seq,
                kind: sale.kind,
                stamp: sale.stamp,
                at: sale.at,
                effect: &sale.effect,
            };
            let left_over = after(None, before).unwrap().rows().open.unwrap();
            later
                .put_rows(BTreeMap::from([(bucket_of(document), vec![(document, Some(left_over))])]))
                .unwrap();
        }
        replay(&later, &records[begun..]);
        assert_eq!(everything(&later), everything(&step_by_step));
        assert_eq!(later.applied().unwrap(), step_by_step.applied().unwrap());
        step_by_step.survey().unwrap();
    }
}

#[test]
fn after_an_error_nothing_more_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let index = Index::open(&dir.path().join("a"), &JOURNAL).unwrap();
    index.queue.insert(seq_key(0), b"no bucket").unwrap();
    assert!(index.row(4).is_err());
    assert!(index.row(5).is_err());
    assert!(index.find("x").is_err());
    assert!(index.trouble().is_some());
    drop(index);
    assert!(Index::open(&dir.path().join("a"), &[3; 16]).is_err(), "another journal's index");
}
