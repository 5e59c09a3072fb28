//! kill -9 in the middle of work, on real files: what was acknowledged before is there afterwards.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::harness::{
    bind, check_index_against_journal, commit, item, on_shelf, open, options, sell, signed,
};
use crate::store::disk_fake::Random;
use crate::store::{Kind, Options, Stamp, Store, verify};

const DIRECTORY: &str = "ETIMS_TEST_KILL_DIRECTORY";

/// Works without end in a process of its own, and says what was acknowledged.
#[test]
#[ignore = "the child process of the test below"]
fn child() {
    let Some(dir) = std::env::var_os(DIRECTORY) else { return };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    let busy = Options { checkpoint_bytes: 200_000, segment_size: 256 << 10, ..options() };
    let (store, _) = Store::open(dir.as_ref(), busy, &mut |_| {}).unwrap();
    runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        let round = store.head().0;
        for writer in 0..8 {
            let store = store.clone();
            tasks.spawn(async move {
                for number in 0.. {
                    let key = format!("K{round}-{writer}-{number}");
                    let document = sell(&store, &key).await;
                    say(&format!("sold {key}"));
                    if writer == 0 {
                        commit(&store, vec![bind(document, store.series().next)]).await.unwrap();
                        commit(&store, vec![signed(document, "SIGN")]).await.unwrap();
                        say(&format!("signed {key}"));
                    }
                }
            });
        }
        tasks.spawn(async move {
            for number in 0u64.. {
                let items = [format!("K{round}-item"), format!("K{round}-{number}")];
                let body = format!("{number}");
                commit(&store, items.iter().map(|key| item(key, &body)).collect()).await.unwrap();
                say(&format!("kept K{round}-item {number}"));
            }
        });
        tasks.join_all().await;
    });
}

/// Works and keeps house without end: segments are compressed and retired as soon as may be.
#[test]
#[ignore = "the child process of the test of the housekeeping"]
fn keeper() {
    let Some(dir) = std::env::var_os(DIRECTORY) else { return };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    let (store, _) = Store::open(dir.as_ref(), keeping(), &mut |_| {}).unwrap();
    runtime.block_on(async {
        let round = store.head().0;
        for number in 0.. {
            let key = format!("K{round}-{number}");
            let document = sell(&store, &key).await;
            say(&format!("sold {key}"));
            if number % 10 == 0 {
                // Written once: taken along from then on.
                commit(&store, vec![item(&key, "kept")]).await.unwrap();
                say(&format!("kept {key} "));
            }
            if number % 40 != 0 {
                commit(&store, vec![bind(document, store.series().next)]).await.unwrap();
                commit(&store, vec![signed(document, "SIGN")]).await.unwrap();
                say(&format!("signed {key}"));
            }
        }
    });
}

fn keeping() -> Options {
    Options {
        checkpoint_bytes: 100_000,
        retention: Some(Duration::from_millis(1)),
        retire_pause: Duration::ZERO,
        upkeep_pause: Duration::from_millis(3),
        proof_time: |_| Some(super::harness::clock().wall_ms),
        compact_above: 0,
        clock: moving,
        ..options()
    }
}

/// A clock that goes, so that what was taken along is not over at once; never a month ahead of KRA's.
fn moving() -> Stamp {
    let since = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let still = super::harness::clock();
    let wall_ms = still.wall_ms + i64::try_from(since % (10 * 86_400_000)).unwrap();
    Stamp { wall_ms, monotonic_ms: since, ..still }
}

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9_while_segments_are_compressed_and_retired() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = Random(47);
    let mut said: Vec<String> = Vec::new();
    for round in 0..8 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::tests::killed::keeper", "--ignored", "--nocapture"])
            .env(DIRECTORY, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let wanted = 60 + random.below(300);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut heard = 0;
        while heard < wanted {
            let line = lines.next().expect("the child works until it is killed");
            heard += usize::from(note(&mut said, line));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines {
            note(&mut said, line);
        }

        let (store, report) = Store::open(dir.path(), options(), &mut |_| {}).unwrap();
        assert!(report.damage.is_empty() && report.rebuilt.is_none(), "round {round}: {report:?}");
        let items = on_shelf(&store, Kind::Item);
        for line in said.iter().filter_map(|line| line.strip_prefix("kept ")) {
            assert!(items.contains_key(line.trim_end()), "{line}");
        }
        let finished: HashSet<&str> = said.iter().filter_map(|line| line.strip_prefix("signed ")).collect();
        let mut gone = 0;
        for key in said.iter().filter_map(|line| line.strip_prefix("sold ")) {
            match store.find(key).unwrap() {
                Some(entry) => {
                    store.read(entry.at).unwrap();
                    assert!(!finished.contains(key) || entry.status == crate::queue::Status::Signed);
                }
                // The kill came between the commit and the child's word for it.
                None => gone += 1,
            }
        }
        let unfinished = store.unfinished(None, usize::MAX).unwrap().len();
        let open = said.iter().filter(|line| line.starts_with("sold ") && line.ends_with("-0")).count();
        assert!(unfinished >= open, "{unfinished} of {open}");
        assert!(round < 4 || gone > 0, "nothing was retired");
        check_index_against_journal(&store);
        verify(dir.path(), Some(store.head().0), &mut |_| {}).unwrap();
    }
}

/// One line in one write, so that no kill leaves half of it after a whole one.
fn say(line: &str) {
    std::io::stdout().lock().write_all(format!("{line}\n").as_bytes()).unwrap();
}

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = Random(31);
    let mut said: Vec<String> = Vec::new();
    for round in 0..6 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::tests::killed::child", "--ignored", "--nocapture"])
            .env(DIRECTORY, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let wanted = 50 + random.below(400);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut heard = 0;
        while heard < wanted {
            let line = lines.next().expect("the child works until it is killed");
            heard += usize::from(note(&mut said, line));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it still said before it died was acknowledged too.
        for line in lines {
            note(&mut said, line);
        }

        let (store, report) = open(dir.path());
        assert!(report.damage.is_empty() && report.rebuilt.is_none(), "round {round}: {report:?}");
        let items = on_shelf(&store, Kind::Item);
        for line in &said {
            let (what, key) = line.split_once(' ').unwrap();
            if let ("kept", Some((key, number))) = (what, key.split_once(' ')) {
                let number: u64 = number.parse().unwrap();
                assert!(items[key].parse::<u64>().unwrap() >= number, "{line}: {}", items[key]);
                assert!(items.contains_key(&key.replace("item", &number.to_string())), "{line}");
                continue;
            }
            let entry = store.find(key).unwrap().unwrap_or_else(|| panic!("{line}, and lost"));
            assert!(what == "sold" || entry.status == crate::queue::Status::Signed, "{line}: {entry:?}");
        }
        check_index_against_journal(&store);
        verify(dir.path(), Some(store.head().0), &mut |_| {}).unwrap();
    }
}

/// Keeps a whole line of the child's; the test runner writes others.
fn note(said: &mut Vec<String>, line: String) -> bool {
    let ours = ["sold K", "signed K", "kept K"].iter().any(|begin| line.starts_with(begin));
    if ours {
        said.push(line);
    }
    ours
}
