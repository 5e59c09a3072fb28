//! A store of small segments that does its housekeeping all the time, against a model that knows only what was
//! acknowledged: keys are used again, the index is lost, set back to its last checkpoint or out of room, the power goes.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::harness::{DEADLINE, bind, commit, event, open_fake, options, outcome, sale};
use crate::queue::{Seq, Status};
use crate::store::disk_fake::FakeDisk;
use crate::store::upkeep::Done;
use crate::store::verify::verify_on;
use crate::store::{Binding, Committed, Kind, NewRecord, Options, Store};

/// What may happen; the number picks a key, or a seed.
#[derive(Clone, Debug)]
enum Deed {
    Bind(u8),
    Doubt(u8),
    Finish(u8),
    Free(u8),
    FullIndex,
    House(u8),
    IndexGoesBack,
    LoseIndex,
    PowerCut(u8),
    Reject(u8),
    Roll,
    Sell(u8),
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        10 => any::<u8>().prop_map(Deed::Sell),
        4 => any::<u8>().prop_map(Deed::Bind),
        2 => any::<u8>().prop_map(Deed::Doubt),
        1 => any::<u8>().prop_map(Deed::Free),
        2 => any::<u8>().prop_map(Deed::Reject),
        6 => any::<u8>().prop_map(Deed::Finish),
        4 => any::<u8>().prop_map(Deed::House),
        5 => Just(Deed::Roll),
        1 => Just(Deed::FullIndex),
        2 => Just(Deed::IndexGoesBack),
        1 => Just(Deed::LoseIndex),
        1 => any::<u8>().prop_map(Deed::PowerCut),
    ];
    proptest::collection::vec(deed, 40..120)
}

/// A document as it was acknowledged last.
#[derive(Clone, Debug, PartialEq)]
struct Stands {
    seq: Seq,
    status: Status,
    attempts: u32,
    unsure_sends: u32,
    number: Option<u64>,
}

struct Shop {
    dir: tempfile::TempDir,
    disk: Arc<FakeDisk>,
    options: Options,
    store: Option<Store>,
    model: BTreeMap<String, Stands>,
    /// The checkpoint at which the index was copied.
    copied: Option<Seq>,
    number: u64,
    retired: usize,
    again: usize,
    back: usize,
}

pub(super) fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            // sled removes old snapshots meanwhile.
            let _ = std::fs::copy(entry.path(), target);
        }
    }
}

impl Shop {
    fn store(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    /// What survives of the index if the power goes now: as it was at a checkpoint, or later.
    fn copy_index(&mut self) {
        let store = self.store();
        let latest = store.latest(Kind::Checkpoint).map(|at| store.read(at).unwrap().seq);
        if latest != self.copied {
            let copy = self.dir.path().join("copy");
            let _ = std::fs::remove_dir_all(&copy);
            copy_tree(&self.dir.path().join("sled"), &copy);
            self.copied = latest;
        }
    }

    fn open(&mut self, disturbed: bool) {
        let (store, report) = open_fake(&self.disk, self.dir.path(), &self.options, false).unwrap();
        assert!(report.damage.is_empty(), "{report:?}");
        // A checkpoint may have come after the copy was made: then it is as if sled had lost what it had synced.
        let latest = store.latest(Kind::Checkpoint).map(|at| store.read(at).unwrap().seq);
        assert!(disturbed || report.rebuilt.is_none() || latest != self.copied, "{report:?}");
        let deadline = Instant::now() + DEADLINE;
        while !store.keys_are_checked() {
            assert!(Instant::now() < deadline, "the keys are checked");
            std::thread::sleep(Duration::from_micros(200));
        }
        // A copy that was made while sled wrote may lack a key: it is found out, and the next start makes the index anew.
        let lacking = store.find("nobody's").is_err();
        self.store = Some(store);
        if lacking {
            self.store = None;
            let (store, report) = open_fake(&self.disk, self.dir.path(), &self.options, false).unwrap();
            assert!(report.rebuilt.is_some() && report.damage.is_empty(), "{report:?}");
            self.store = Some(store);
        }
    }

    fn pick(&self, which: u8) -> Option<(String, Stands)> {
        let open: Vec<_> = self.model.iter().filter(|(_, stands)| !stands.status.is_finished()).collect();
        let pick = usize::from(which).checked_rem(open.len())?;
        Some((open[pick].0.clone(), open[pick].1.clone()))
    }

    async fn change(&mut self, which: u8, make: impl Fn(&mut Stands, u64) -> NewRecord) {
        let Some((key, mut stands)) = self.pick(which) else { return };
        self.number += 1;
        let record = make(&mut stands, self.number);
        commit(self.store(), vec![record]).await.unwrap();
        self.model.insert(key, stands);
    }

    async fn sell(&mut self, which: u8) {
        let key = format!("K{}", which % 10);
        let new = sale(&self.store().signer(), &key, 200 + usize::from(which) * 20);
        let committed = commit(self.store(), vec![new]).await.unwrap();
        let known = self.model.get(&key).cloned();
        match &committed[0] {
            Committed::Known(entry) => {
                assert_eq!(known.as_ref().map(|stands| stands.seq), Some(entry.seq), "{key}")
            }
            Committed::New { seq, .. } => {
                // Only a finished one may have left.
                assert!(
                    known.as_ref().is_none_or(|stands| stands.status.is_finished()),
                    "{key} is forgotten: {known:?}"
                );
                assert!(
                    known.as_ref().is_none_or(|stands| stands.seq < self.store().first_seq()),
                    "{key} was kept"
                );
                self.again += usize::from(known.is_some());
                let begun =
                    Stands { seq: *seq, status: Status::Pending, attempts: 0, unsure_sends: 0, number: None };
                self.model.insert(key, begun);
            }
        }
    }

    fn keep_house(&mut self, rounds: u8) {
        let options = self.options.clone();
        let mut upkeep = self.store().upkeep(&options);
        let deadline = Instant::now() + DEADLINE;
        let mut left = rounds % 12 + 1;
        while left > 0 {
            assert!(Instant::now() < deadline);
            match upkeep.round() {
                Done::Nothing => break,
                // A full index is opened anew by the next commit.
                Done::Waiting(why) if why.contains("no storage space") => break,
                Done::Waiting(why) => panic!("{why}"),
                Done::Asked => std::thread::sleep(Duration::from_micros(200)),
                Done::Retired(_) => {
                    self.retired += 1;
                    left -= 1;
                }
                Done::Carried(_) | Done::Packed(_) => left -= 1,
            }
            self.copy_index();
        }
    }

    fn check(&self) {
        let store = self.store();
        for (key, stands) in &self.model {
            match store.find(key).unwrap() {
                Some(entry) => {
                    let number = entry.bound.map(|bound| bound.number);
                    let (seq, status) = (entry.seq, entry.status);
                    let Stands { attempts, unsure_sends, .. } = *stands;
                    assert_eq!((entry.attempts, entry.unsure_sends), (attempts, unsure_sends), "{key}");
                    assert_eq!((seq, status, number), (stands.seq, stands.status, stands.number), "{key}");
                    let original = store.read(entry.at).unwrap();
                    assert_eq!((original.kind, original.seq), (Kind::Sale, seq));
                    assert!(original.body.starts_with(format!("sale {key} ").as_bytes()));
                    let bytes = entry.bound.map(|bound| store.read(bound.at).unwrap().body);
                    assert_eq!(bytes, number.map(|number| format!("bytes of {number}").into_bytes()));
                }
                None => assert!(
                    stands.status.is_finished() && stands.seq < store.first_seq(),
                    "{key} is lost: {stands:?}"
                ),
            }
        }
        let open = self.model.values().filter(|stands| !stands.status.is_finished());
        let mut open: Vec<Seq> = open.map(|stands| stands.seq).collect();
        open.sort_unstable();
        let listed: Vec<Seq> =
            store.unfinished(None, usize::MAX).unwrap().iter().map(|entry| entry.seq).collect();
        assert_eq!(listed, open);
    }

    #[allow(clippy::too_many_lines, reason = "a table: what each deed does")]
    async fn act(&mut self, deed: &Deed) {
        match *deed {
            Deed::Sell(which) => self.sell(which).await,
            Deed::Bind(which) => {
                self.change(which, |stands, number| {
                    *stands = Stands { number: Some(number), ..stands.clone() };
                    bind(stands.seq, number)
                })
                .await;
            }
            Deed::Doubt(which) => {
                self.change(which, |stands, _| {
                    (stands.status, stands.attempts, stands.unsure_sends) = (Status::Pending, 1, 3);
                    outcome(stands.seq, Status::Pending, 3, Binding::Keep)
                })
                .await;
            }
            Deed::Free(which) => {
                self.change(which, |stands, _| {
                    *stands = Stands {
                        seq: stands.seq,
                        status: Status::Pending,
                        attempts: 1,
                        unsure_sends: 0,
                        number: None,
                    };
                    NewRecord {
                        kind: Kind::Admin,
                        ..outcome(stands.seq, Status::Pending, 0, Binding::Release)
                    }
                })
                .await;
            }
            Deed::Reject(which) => {
                self.change(which, |stands, _| {
                    (stands.status, stands.attempts, stands.unsure_sends) = (Status::Rejected, 1, 0);
                    outcome(stands.seq, Status::Rejected, 0, Binding::Keep)
                })
                .await;
            }
            Deed::Finish(which) => {
                self.change(which, |stands, _| {
                    (stands.status, stands.attempts, stands.unsure_sends) = (Status::Settled, 1, 0);
                    outcome(stands.seq, Status::Settled, 0, Binding::Keep)
                })
                .await;
            }
            // Enough for a checkpoint, and a new segment whose BASE knows of it.
            Deed::Roll => {
                for _ in 0..8 {
                    commit(self.store(), vec![event(&"x".repeat(9_000))]).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
            Deed::House(rounds) => self.keep_house(rounds),
            Deed::FullIndex => self.store().fill_disk_under_index(),
            Deed::IndexGoesBack => {
                self.copy_index();
                self.store = None;
                if self.copied.is_some() {
                    std::fs::remove_dir_all(self.dir.path().join("sled")).unwrap();
                    self.back += 1;
                    copy_tree(&self.dir.path().join("copy"), &self.dir.path().join("sled"));
                }
                self.open(false);
            }
            Deed::LoseIndex => {
                self.store = None;
                std::fs::remove_dir_all(self.dir.path().join("sled")).unwrap();
                self.open(true);
            }
            Deed::PowerCut(seed) => {
                self.store = None;
                self.disk = self.disk.after_power_cut(u64::from(seed));
                self.open(false);
            }
        }
        // A full index is mended by the next commit.
        if !matches!(deed, Deed::FullIndex) && self.store().health().failed.is_none() {
            self.copy_index();
            self.check();
        }
    }
}

/// How many segments were retired, keys used again, and indexes set back.
async fn live(deeds: &[Deed]) -> (usize, usize, usize) {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FakeDisk::default());
    let options = Options {
        checkpoint_bytes: 30_000,
        retire_pause: Duration::ZERO,
        retention: Some(Duration::ZERO),
        proof_time: |_| Some(1_700_000_000_000),
        ..options()
    };
    let mut shop = Shop {
        dir,
        disk,
        options,
        store: None,
        model: BTreeMap::new(),
        copied: None,
        number: 0,
        retired: 0,
        again: 0,
        back: 0,
    };
    shop.open(false);
    for deed in deeds {
        shop.act(deed).await;
    }
    // An outcome that a full index left unseen.
    shop.sell(0).await;
    shop.check();
    verify_on(&shop.disk, shop.dir.path(), None, &mut |_| {}).unwrap();
    shop.act(&Deed::LoseIndex).await;
    verify_on(&shop.disk, shop.dir.path(), None, &mut |_| {}).unwrap();
    (shop.retired, shop.again, shop.back)
}

#[test]
fn nothing_acknowledged_is_lost_forgotten_or_taken_twice() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let [retired, again, back] = [const { AtomicUsize::new(0) }; 3];
    let mut runner = TestRunner::new(Config { cases: 12, ..Config::default() });
    let lived = runner.run(&deeds(), |deeds| {
        let happened = runtime.block_on(live(&deeds));
        retired.fetch_add(happened.0, Ordering::Relaxed);
        again.fetch_add(happened.1, Ordering::Relaxed);
        back.fetch_add(happened.2, Ordering::Relaxed);
        Ok(())
    });
    lived.unwrap();
    let happened = [retired, again, back].map(AtomicUsize::into_inner);
    assert!(happened[0] > 40 && happened[1] > 8 && happened[2] > 8, "{happened:?}");
}
