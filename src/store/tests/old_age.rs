//! Attacks on the housekeeping: what happens between two of its looks, on a full disk, and in a storm of old documents.

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use super::harness::{
    DEADLINE, bind, check_index_against_journal, commit, event, open_fake, options, outcome, sale, sell,
    seq_of, signed,
};
use crate::queue::{Seq, Status};
use crate::store::disk_fake::FakeDisk;
use crate::store::standing::Checkpoint;
use crate::store::upkeep::{Done, Upkeep};
use crate::store::verify::verify_on;
use crate::store::{Binding, Kind, NewRecord, Options, Store};

const NOW: i64 = 1_700_000_000_000;

fn retiring() -> Options {
    Options {
        checkpoint_bytes: 20_000,
        retire_pause: Duration::ZERO,
        retention: Some(Duration::ZERO),
        proof_time: |_| Some(NOW),
        ..options()
    }
}

/// Begins a new segment.
async fn roll(store: &Store) {
    let segments = store.health().segments;
    while store.health().segments == segments {
        commit(store, vec![event(&"x".repeat(9_000))]).await.unwrap();
    }
}

/// Until a checkpoint covers all that was committed before.
async fn checkpoint(store: &Store) {
    let before = store.head().0;
    let deadline = Instant::now() + DEADLINE;
    commit(store, vec![event(&"x".repeat(21_000))]).await.unwrap();
    loop {
        let latest = store.latest(Kind::Checkpoint).map(|at| store.read(at).unwrap());
        if latest.is_some_and(|latest| Checkpoint::decode(&latest.body).unwrap().indexed >= before) {
            return;
        }
        assert!(Instant::now() < deadline, "no checkpoint");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Goes on with the housekeeping until `segment` is retired.
fn keep_until_retired(upkeep: &mut Upkeep, segment: u32) {
    let deadline = Instant::now() + DEADLINE;
    loop {
        match upkeep.round() {
            Done::Retired(retired) if retired == segment => return,
            Done::Retired(_) | Done::Asked | Done::Carried(_) | Done::Packed(_) => {}
            other => panic!("segment {segment} stays: {other:?}"),
        }
        assert!(Instant::now() < deadline, "segment {segment} stays");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A place where a thread waits until it is let go.
struct Gate(Mutex<(bool, bool)>, Condvar);

static GATE: Gate = Gate(Mutex::new((false, false)), Condvar::new());

impl Gate {
    fn pass(&self) {
        let mut state = self.0.lock().unwrap();
        state.0 = true;
        self.1.notify_all();
        drop(self.1.wait_timeout_while(state, DEADLINE, |(_, open)| !*open).unwrap());
    }

    fn wait_for_somebody(&self) {
        let state = self.0.lock().unwrap();
        let waited = self.1.wait_timeout_while(state, DEADLINE, |(there, _)| !*there).unwrap();
        assert!(!waited.1.timed_out());
    }

    fn open(&self) {
        self.0.lock().unwrap().1 = true;
        self.1.notify_all();
    }
}

#[tokio::test]
async fn a_sale_that_finishes_while_its_segment_is_looked_through_does_not_stay_without_its_record() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let wait_at_the_gate = |body: &[u8]| {
        if body == b"gate" {
            GATE.pass();
        }
        Some(NOW)
    };
    let options = Options { proof_time: wait_at_the_gate, ..retiring() };
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    roll(&store).await;
    let late = sell(&store, "late").await;
    let done = sell(&store, "done").await;
    let settled = outcome(done, Status::Settled, 0, Binding::Release);
    commit(&store, vec![NewRecord { body: b"gate".to_vec(), ..settled }]).await.unwrap();
    for _ in 0..5 {
        roll(&store).await;
    }
    checkpoint(&store).await;
    roll(&store).await;
    let mut upkeep = store.upkeep(&options);
    keep_until_retired(&mut upkeep, 1);

    let looking = std::thread::spawn(move || (upkeep.round(), upkeep));
    GATE.wait_for_somebody();
    // It was seen unfinished; now it is finished, and a checkpoint says that nobody needs the segment.
    commit(&store, vec![outcome(late, Status::Settled, 0, Binding::Release)]).await.unwrap();
    checkpoint(&store).await;
    GATE.open();
    let (_, mut upkeep) = looking.join().unwrap();
    if store.first_seq() <= late {
        keep_until_retired(&mut upkeep, 2);
    }
    assert!(store.first_seq() > late);
    assert_eq!(store.find("late").unwrap(), None, "its number may be used again");
    sell(&store, "late").await;
    check_index_against_journal(&store);
    drop(store);
    std::fs::remove_dir_all(dir.path().join("sled")).unwrap();
    let (store, report) = open_fake(&disk, dir.path(), &options, false).unwrap();
    assert!(report.damage.is_empty(), "{report:?}");
    check_index_against_journal(&store);
}

/// Sales that wait.
async fn sell_many(store: &Store, count: usize) -> Vec<Seq> {
    let mut sold = Vec::new();
    for number in 0..count {
        let new = sale(&store.signer(), &format!("W{number}"), 100);
        sold.push(seq_of(&commit(store, vec![new]).await.unwrap()));
    }
    sold
}

#[tokio::test]
async fn many_old_documents_are_taken_along_in_few_groups_and_others_get_their_turn() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let options = Options { segment_size: 512 << 10, ..retiring() };
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    let count = sell_many(&store, 110).await.len();
    for _ in 0..2 {
        checkpoint(&store).await;
        roll(&store).await;
    }
    let mut upkeep = store.upkeep(&options);
    let (mut carried, mut rounds) = (0, 0);
    loop {
        let before = disk.operations();
        match upkeep.round() {
            Done::Carried(some) => {
                let operations = disk.operations() - before;
                assert!(some <= 40, "{some} at once");
                // A group is a write and a sync; a new segment may have to be made, and a checkpoint may come between.
                assert!(rounds == 0 || operations <= 10, "{operations} operations for {some}");
                carried += usize::try_from(some).unwrap();
                rounds += 1;
            }
            Done::Asked => std::thread::sleep(Duration::from_millis(1)),
            Done::Retired(1) => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(carried > 80 && rounds > 2, "{carried} in {rounds} rounds");
    assert_eq!(store.counts().waiting, u64::try_from(count).unwrap());
    check_index_against_journal(&store);
    verify_on(&disk, dir.path(), None, &mut |_| {}).unwrap();
}

#[tokio::test]
async fn what_the_waiting_sales_will_need_is_not_used_to_take_old_ones_along() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let options = retiring();
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    let waiting = sell_many(&store, 60).await;
    for _ in 0..2 {
        checkpoint(&store).await;
        roll(&store).await;
    }
    let mut upkeep = store.upkeep(&options);
    let done = loop {
        // As much as was promised, and a little: whatever compressing frees, somebody else takes.
        disk.leave_free(store.health().room.needed + (1 << 20) + 4096);
        match upkeep.round() {
            Done::Packed(_) => {}
            done => break done,
        }
    };
    assert!(matches!(&done, Done::Waiting(why) if why.contains("needed")), "{done:?}");
    for (number, document) in (1..).zip(waiting) {
        commit(&store, vec![bind(document, number)]).await.unwrap();
        commit(&store, vec![signed(document, "S")]).await.unwrap();
    }
}
