//! Attacks on the housekeeping: what happens between two of its looks, on a full disk, and in a storm of old documents.

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use super::harness::{
    DEADLINE, bind, check_index_against_journal, commit, event, open, open_fake, options, outcome, sale,
    sell, sell_and_sign, seq_of, signed,
};
use super::old_age_model::copy_tree;
use crate::queue::{Seq, Status};
use crate::store::disk_fake::FakeDisk;
use crate::store::options::{Progress, Step};
use crate::store::pack::pack_name;
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

#[tokio::test]
async fn a_segment_that_found_no_room_to_be_compressed_is_compressed_once_there_is_some() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let options = Options { retention: None, ..retiring() };
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    for _ in 0..3 {
        checkpoint(&store).await;
        roll(&store).await;
    }
    let mut upkeep = store.upkeep(&options);
    disk.leave_free(3000);
    let before = disk.operations();
    assert_eq!(upkeep.round(), Done::Nothing);
    assert_eq!(disk.operations(), before, "what is left is not touched");
    disk.leave_free(64 << 20);
    assert!(matches!(upkeep.round(), Done::Packed(_)));
}

#[tokio::test]
async fn an_index_that_cannot_be_made_smaller_refuses_no_start() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    for number in 0..150 {
        sell_and_sign(&store, &format!("S{number}")).await;
    }
    store.close().await;
    let new = dir.path().join("sled.new");
    let small = Options { compact_above: 0, ..super::harness::options() };
    // A name that leads to itself cannot be synced.
    let mut put_in_the_way = |progress: Progress| {
        if progress.step == Step::Rebuild {
            let _ = std::os::unix::fs::symlink("loop", new.join("loop"));
        }
    };
    let (store, report) = Store::open(dir.path(), small, &mut put_in_the_way).unwrap();
    assert!(report.compacted.is_none() && report.rebuilt.is_none() && report.damage.is_empty(), "{report:?}");
    assert!(!new.exists());
    check_index_against_journal(&store);
}

#[tokio::test]
async fn a_damaged_table_of_keys_refuses_no_new_sale_while_the_keys_are_checked() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let options = Options { retention: None, ..retiring() };
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    for number in 0..30 {
        sell_and_sign(&store, &format!("S{number}")).await;
    }
    checkpoint(&store).await;
    roll(&store).await;
    let mut upkeep = store.upkeep(&options);
    let Done::Packed(packed) = upkeep.round() else { panic!("nothing was compressed") };
    disk.tamper(&pack_name(packed.span.segment), |bytes| *bytes.last_mut().unwrap() ^= 1);
    let _ = store.find("a key that nobody has");
    store.begin_check_of_keys();
    let asked = {
        let store = store.clone();
        std::thread::spawn(move || store.find("new"))
    };
    std::thread::sleep(Duration::from_millis(30));
    assert!(!asked.is_finished(), "only the check can say");
    store.end_check_of_keys();
    drop(asked.join().unwrap());
}

#[tokio::test]
async fn an_index_made_anew_is_not_made_anew_again_after_a_power_cut() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let options = Options { retention: None, ..retiring() };
    let (store, _) = open_fake(&disk, dir.path(), &options, false).unwrap();
    sell_many(&store, 400).await;
    checkpoint(&store).await;
    drop(store);
    let [sled, then] = ["sled", "then"].map(|name| dir.path().join(name));
    std::fs::remove_dir_all(&sled).unwrap();
    let (store, report) = open_fake(&disk, dir.path(), &options, false).unwrap();
    assert!(report.rebuilt.is_some());
    // What was written by then; closing it writes the rest.
    copy_tree(&sled, &then);
    drop(store);
    std::fs::remove_dir_all(&sled).unwrap();
    std::fs::rename(&then, &sled).unwrap();
    let (store, report) = open_fake(&disk, dir.path(), &options, false).unwrap();
    assert_eq!(report.rebuilt, None);
    check_index_against_journal(&store);
}
