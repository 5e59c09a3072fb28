//! The reference clients in C and Python, over a line that misbehaves: what makers of registers copy must get through.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{numbers, open};
use crate::harness::{PATIENCE, Shop, run, say_skipped};
use crate::kra::{Kra, Wire};
use crate::pty::{Line, NAK};
use crate::sale::sale;

/// How to start a client; `None`: what it needs is not installed.
type Client = fn(&Shop) -> Option<Vec<String>>;

const CLIENTS: [Client; 2] = [in_c, in_python];

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config/examples/register").join(name)
}

fn there(program: &str) -> bool {
    let found =
        Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        say_skipped(&format!("SKIPPED: {program} is not installed, so its reference client was not tried"));
    }
    found
}

fn in_c(shop: &Shop) -> Option<Vec<String>> {
    if !there("cc") {
        return None;
    }
    let program = shop.path("register");
    let mut cc = Command::new("cc");
    cc.args(["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror", "-O1", "-o"])
        .arg(&program);
    cc.args([source("register_posix.c"), source("etims_register.c")]);
    run(cc).expect(0);
    Some(vec![program.display().to_string()])
}

fn in_python(_: &Shop) -> Option<Vec<String>> {
    there("python3")
        .then(|| vec!["python3".to_owned(), "-B".to_owned(), source("register.py").display().to_string()])
}

/// Starts a client on this port with these requests.
fn start(client: &[String], port: &Path, requests: &[String]) -> Child {
    let mut child = Command::new(&client[0])
        .args(&client[1..])
        .arg(port)
        .arg("115200")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    for request in requests {
        writeln!(input, "{request}").unwrap();
    }
    child
}

/// Its answers, and whether it was content.
fn answers(child: Child) -> (Vec<String>, bool) {
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (text.lines().map(str::to_owned).collect(), output.status.success())
}

fn body(answer: &str, kind: char) -> Value {
    let (found, json) = answer.split_once(' ').unwrap();
    assert_eq!(found, kind.to_string(), "{answer}");
    serde_json::from_str(json).unwrap()
}

/// Carries bytes between two lines, frame by frame and single bytes as they come, through this fault; until told to stop.
fn relay(
    gateway: &Line,
    register: &Line,
    over: &AtomicBool,
    mut fault: impl FnMut(bool, Vec<u8>) -> Vec<u8>,
) {
    let (mut up, mut down) = (Vec::new(), Vec::new());
    while !over.load(Ordering::Relaxed) {
        let mut idle = true;
        for (from, to, held, upwards) in
            [(register, gateway, &mut up, true), (gateway, register, &mut down, false)]
        {
            let read = from.read();
            idle &= read.is_empty();
            held.extend(read);
            while let Some(end) = piece(held) {
                let whole: Vec<u8> = held.drain(..end).collect();
                let carried = fault(upwards, whole);
                if !carried.is_empty() {
                    to.send(carried);
                }
            }
        }
        if idle {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// The length of the next piece: a frame, or a single byte.
fn piece(held: &[u8]) -> Option<usize> {
    match held.first()? {
        0x1E => held.iter().position(|byte| *byte == b'\n').map(|place| place + 1),
        _ => Some(1),
    }
}

/// The line as it should be.
#[test]
fn the_reference_clients_sell() {
    for client in CLIENTS {
        let kra = Kra::start(Wire::Json);
        let (shop, _gateway, line) = open(&kra);
        let Some(command) = client(&shop) else { continue };
        let far = Line::plugged(&shop, "far-end");
        let over = Arc::new(AtomicBool::new(false));
        let requests = [
            format!("S {}", sale("C-1")),
            "T".to_owned(),
            r#"Q {"trdInvcNo":"C-1"}"#.to_owned(),
            "L".to_owned(),
            format!("S {}", json!({ "trdInvcNo": "C-2", "colour": "rot, größer" })),
            format!("S {}", sale("C-1")),
        ];
        let (found, good) = thread::scope(|scope| {
            scope.spawn(|| relay(&line, &far, &over, |_, bytes| bytes));
            let found = answers(start(&command, far.name(), &requests));
            over.store(true, Ordering::Relaxed);
            found
        });
        assert!(good && found.len() == 7, "{command:?}: {found:?}");
        assert_eq!(body(&found[0], 'h')["proto"], 1);
        assert_eq!(body(&found[1], 's')["st"], 201);
        assert_eq!(body(&found[2], 't')["status"], "active");
        assert_eq!(body(&found[3], 'q')["status"], "signed");
        assert_eq!(body(&found[4], 'l')["trdInvcNo"], "C-1");
        assert_eq!(body(&found[5], 'e')["st"], 400);
        assert_eq!(
            (&body(&found[6], 's')["st"], &body(&found[6], 's')["repeat"]),
            (&json!(200), &json!(true))
        );
        assert_eq!(numbers(&shop), ["C-1"]);
    }
}

/// Each way something can go wrong once, one after the other: damage, loss and echo of requests and replies.
#[test]
fn the_reference_clients_get_through_a_line_that_misbehaves() {
    for client in CLIENTS {
        let kra = Kra::start(Wire::Json);
        let (shop, _gateway, line) = open(&kra);
        let Some(command) = client(&shop) else { continue };
        let far = Line::plugged(&shop, "far-end");
        let over = Arc::new(AtomicBool::new(false));
        let requests: Vec<String> = (1..=5).map(|n| format!("S {}", sale(&format!("BAD-{n}")))).collect();
        let mut naks = 0;
        let (found, good) = thread::scope(|scope| {
            let naks = &mut naks;
            let (line, far, over) = (&line, &far, &over);
            scope.spawn(move || {
                // Whole frames upwards and downwards, HELLO and its reply not counted.
                let (mut up, mut down) = (0, 0);
                relay(line, far, over, |upwards, mut bytes| {
                    *naks += usize::from(!upwards && bytes == [NAK]);
                    if bytes.len() < 40 || bytes[7].eq_ignore_ascii_case(&b'h') {
                        return bytes;
                    }
                    let count = if upwards { &mut up } else { &mut down };
                    *count += 1;
                    match (upwards, *count) {
                        // The first request is damaged: NAK.
                        (true, 1) => bytes[30] ^= 8,
                        // The next one's reply is lost: silence.
                        (false, 2) => bytes.clear(),
                        // Another reply is damaged, and then cut short.
                        (false, 4) => bytes[20] ^= 1,
                        (false, 6) => bytes.truncate(25),
                        // A request is lost.
                        (true, 8) => bytes.clear(),
                        _ => {}
                    }
                    bytes
                });
            });
            let found = answers(start(&command, far.name(), &requests));
            over.store(true, Ordering::Relaxed);
            found
        });
        assert!(good && found.len() == 6, "{command:?}: {found:?}");
        for (n, answer) in (1..).zip(&found[1..]) {
            let body = body(answer, 's');
            assert_eq!(
                (&body["st"], &body["trdInvcNo"]),
                (&json!(201), &json!(format!("BAD-{n}"))),
                "{answer}"
            );
        }
        assert_eq!(naks, 1);
        let mut sold = numbers(&shop);
        sold.sort();
        assert_eq!(sold, ["BAD-1", "BAD-2", "BAD-3", "BAD-4", "BAD-5"]);
    }
}

/// The gateway is killed under a register and comes back while it tries again; and a line on which nobody is.
#[test]
fn the_reference_clients_wait_for_a_gateway_and_say_when_there_is_none() {
    for client in CLIENTS {
        let kra = Kra::start(Wire::Json);
        let (shop, gateway, line) = open(&kra);
        let Some(command) = client(&shop) else { continue };
        let far = Line::plugged(&shop, "far-end");
        let over = Arc::new(AtomicBool::new(false));
        gateway.kill();
        let requests = [format!("S {}", sale("AWAY-1"))];
        let (found, good, alone) = thread::scope(|scope| {
            scope.spawn(|| relay(&line, &far, &over, |_, bytes| bytes));
            let child = start(&command, far.name(), &requests);
            thread::sleep(Duration::from_millis(2500));
            let gateway = shop.open();
            let (found, good) = answers(child);
            gateway.kill();
            over.store(true, Ordering::Relaxed);
            // Nobody carries anything any more.
            (found, good, answers(start(&command, far.name(), &[])))
        });
        assert!(good && found.len() == 2, "{command:?}: {found:?}");
        assert!([201, 202].map(Value::from).contains(&body(&found[1], 's')["st"]), "{found:?}");
        let _gateway = shop.open();
        assert_eq!(numbers(&shop), ["AWAY-1"]);
        let (said, content) = alone;
        assert!(!content && said.len() == 1 && said[0].starts_with("! no gateway"), "{command:?}: {said:?}");
    }
}

/// A line whose other end makes noise and never stops, and an adapter that is pulled: each is told, and nobody waits for ever.
#[test]
fn the_reference_clients_come_to_an_end_whatever_the_line_does() {
    for client in CLIENTS {
        let shop = Shop::bare();
        let Some(command) = client(&shop) else { continue };
        for noise in [true, false] {
            let mut far = Line::plugged(&shop, "far-end");
            let child = start(&command, far.name(), &[]);
            // The first request, HELLO, is on its way.
            let heard = far.listen(PATIENCE, |heard| !heard.is_empty());
            assert!(!heard.is_empty(), "{command:?}");
            let began = Instant::now();
            let over = AtomicBool::new(false);
            let (said, good) = thread::scope(|scope| {
                if noise {
                    let (far, over) = (&far, &over);
                    scope.spawn(move || {
                        // Frames that never end, and what their tail is made of.
                        while !over.load(Ordering::Relaxed) {
                            far.read();
                            far.send(b"\x1E0000zz\xFF");
                            thread::sleep(Duration::from_millis(20));
                        }
                    });
                } else {
                    far.unplug();
                }
                let answers = answers(child);
                over.store(true, Ordering::Relaxed);
                answers
            });
            assert!(
                !good && said.len() == 1 && said[0].starts_with("! no gateway"),
                "{command:?}, noise {noise}: {said:?}"
            );
            assert!(began.elapsed() < Duration::from_secs(25), "{command:?}: {:?}", began.elapsed());
        }
    }
}
