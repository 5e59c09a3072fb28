//! The demo claims nothing that is not so, and leaves nothing behind.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{PATIENCE, binary, on_both_wires, run};
use crate::kra::Wire;

on_both_wires!(all_of_the_story_is_true);

fn all_of_the_story_is_true(wire: Wire) {
    let place = tempfile::tempdir().unwrap();
    let mut demo = binary();
    demo.args(["demo", "--wire", wire.name()]).env("TMPDIR", place.path());
    let began = Instant::now();
    let ended = run(demo);
    ended.expect(0);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    for words in [
        "201 signed",
        "202 pending",
        "kill -9 ",
        "SIMULATOR",
        "CU INVOICE NO:",
        "signed NC on TILL1-0003",
        "All true: 8 sales, ",
    ] {
        assert!(ended.out.contains(words), "{words} is not in\n{}", ended.out);
    }
    assert!(!ended.out.contains("WRONG"), "{}", ended.out);
    assert!(!ended.out.contains('\x1b'), "colours, and no terminal: {}", ended.out);
    assert_eq!(left_in(place.path()), Vec::<String>::new());
}

#[test]
fn kept_running_it_can_be_tried_until_it_is_told_to_end() {
    let place = tempfile::tempdir().unwrap();
    let mut demo = Kept(
        binary().args(["demo", "--keep"]).env("TMPDIR", place.path()).stdout(Stdio::piped()).spawn().unwrap(),
    );
    let mut lines = BufReader::new(demo.0.stdout.take().unwrap()).lines().map_while(Result::ok);
    let config = lines.find_map(|line| Some(line.split_once(" status --config ")?.1.to_owned()));
    let config = config.expect("the demo says how to look at the gateway's status");
    let rest = thread::spawn(move || lines.collect::<Vec<_>>().join("\n"));
    let status = |config: &str| {
        let mut command = binary();
        command.args(["status", "--config", config]);
        run(command)
    };
    assert!(status(&config).expect(0).out.contains("P000000000A"));
    kill_process(Pid::from_raw(i32::try_from(demo.0.id()).unwrap()).unwrap(), Signal::INT).unwrap();
    let deadline = Instant::now() + PATIENCE;
    let code = loop {
        if let Some(ended) = demo.0.try_wait().unwrap() {
            break ended.code();
        }
        assert!(Instant::now() < deadline, "the demo does not end");
        thread::sleep(Duration::from_millis(10));
    };
    let rest = rest.join().unwrap();
    assert_eq!(code, Some(0), "{rest}");
    assert!(rest.contains("All true: "), "{rest}");
    assert_eq!(left_in(place.path()).len(), 1, "the directory is kept");
    status(&config).expect(69);
}

struct Kept(Child);

impl Drop for Kept {
    fn drop(&mut self) {
        // Asked, not killed: it has children of its own to end.
        let _ = kill_process(Pid::from_raw(i32::try_from(self.0.id()).unwrap()).unwrap(), Signal::TERM);
        let _ = self.0.wait();
    }
}

fn left_in(directory: &Path) -> Vec<String> {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
