//! G1 to G4 and G6: killed or stopped at any moment, under load, with whatever KRA and the line do meanwhile: every sale that
//! was answered is there and reaches KRA exactly once, in the order in which it was accepted.
//!
//! `ETIMS_ROUNDS` sets the number of rounds on each wire (10), `ETIMS_SEED` the dice; the seed is printed.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Dice, Gateway, PATIENCE, Shop, on_both_wires};
use crate::kra::{Kra, LOOK_UP, SAVE, Wire};
use crate::sale::{running_number, sale, sale_of};
use crate::till::{Till, encoded};

/// Registers that post at the same time.
const REGISTERS: u64 = 8;
/// Most sales of a register in one round: enough for any moment, few enough to drain.
const SALES: u64 = 40;
/// The log is checked whole after so many rounds, and at the end.
const VERIFY_AFTER: u64 = 10;

on_both_wires! { every_answered_sale_survives }

/// What became of one post.
struct Posted {
    number: String,
    /// The answer; none if the gateway was gone before it came.
    answer: Option<(u16, Value)>,
}

/// What registers, trouble and the power have in common.
#[derive(Default)]
struct Scene {
    gone: AtomicBool,
    answers: AtomicU64,
    /// Registers post as fast as they can; otherwise as customers come.
    crowded: bool,
}

impl Scene {
    /// Waits for the moment of the cut: after so many answers, or so much time.
    fn wait_for_the_moment(&self, dice: &mut Dice) {
        if dice.below(3) == 0 {
            thread::sleep(Duration::from_millis(dice.below(1500)));
            return;
        }
        let enough = dice.below(REGISTERS * SALES * 3 / 4);
        let deadline = Instant::now() + Duration::from_secs(3);
        while self.answers.load(Ordering::Relaxed) < enough && Instant::now() < deadline {
            thread::sleep(Duration::from_micros(50));
        }
        thread::sleep(Duration::from_micros(dice.below(3000)));
    }

    fn is_over(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    /// Waits, at most until the gateway is gone.
    fn pause(&self, pause: Duration) {
        let end = Instant::now() + pause;
        while !self.is_over() && Instant::now() < end {
            thread::sleep(Duration::from_millis(1).min(pause));
        }
    }
}

/// What was counted over all rounds.
#[derive(Debug, Default)]
struct Counted {
    kills: u64,
    kills_during_start: u64,
    stops: u64,
    lost_answers: u64,
    repeats: u64,
    /// By name.
    faults_struck: BTreeMap<String, u64>,
    cuts_of_the_line: u64,
}

/// A register that posts until the gateway is gone.
fn post_until_gone(till: &Till, round: u64, register: u64, scene: &Scene, mut dice: Dice) -> Vec<Posted> {
    let mut posted = Vec::new();
    for place in 0..SALES {
        if scene.is_over() {
            break;
        }
        let number = format!("{round}-{register}-{place}");
        let wait = u64::from(place % 7 == 0);
        let body = sale(&number).to_string();
        let answer = till.ask("POST", &format!("/api/sales/?wait={wait}"), Some(body.as_bytes()));
        let answer = answer.ok().map(|answer| (answer.status, answer.json()));
        let lost = !answer.as_ref().is_some_and(|(status, _)| matches!(status, 201 | 202));
        scene.answers.fetch_add(1, Ordering::Relaxed);
        posted.push(Posted { number, answer });
        if lost {
            break;
        }
        if !scene.crowded {
            scene.pause(Duration::from_millis(dice.below(60)));
        }
    }
    posted
}

/// Faults that end by themselves, or with the fault, and leave everybody his place.
const FAULTS: [(&str, &[&str]); 19] = [
    ("lose_answer", &[]),
    ("close_after_read", &[]),
    ("close_before_read", &[]),
    ("half_body", &[]),
    ("half_body", &["processed=false"]),
    ("hang", &[]),
    ("hang_before_read", &[]),
    ("html", &[]),
    ("html", &["processed=true"]),
    ("bad_json", &[]),
    ("bad_xml", &["processed=false"]),
    ("late", &["ms"]),
    ("slow", &["ms"]),
    ("slow_body", &[]),
    ("http_status", &["status=500", "processed=true"]),
    ("http_status", &["status=503"]),
    ("http_status", &["status=429", "retry_after=0"]),
    ("wrong_key", &[]),
    ("result_cd", &["code=894"]),
];

fn some_fault(dice: &mut Dice) -> Value {
    let (fault, settings) = FAULTS[usize::try_from(dice.below(FAULTS.len() as u64)).unwrap()];
    let mut args = serde_json::Map::new();
    for setting in settings {
        let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
        let value = match (name, value) {
            // Before the sender gives up, about then, and after.
            ("ms", _) => json!(dice.below(900)),
            ("code", code) => json!(code),
            (_, other) => serde_json::from_str(other).unwrap(),
        };
        args.insert(name.to_owned(), value);
    }
    let mut order = json!({ "fault": fault, "count": 1 + dice.below(4), "args": args });
    match dice.below(6) {
        0 => {}
        1 => order["function"] = json!(LOOK_UP),
        _ => order["function"] = json!(SAVE),
    }
    order
}

/// Faults come and go, and the line with them, over rounds and starts, until all is over.
fn make_trouble(kra: &Kra, over: &AtomicBool, counted: &Mutex<Counted>, mut dice: Dice) {
    let pause = |most: u64, dice: &mut Dice| {
        let end = Instant::now() + Duration::from_millis(dice.below(most));
        while !over.load(Ordering::Relaxed) && Instant::now() < end {
            thread::sleep(Duration::from_millis(2));
        }
    };
    while !over.load(Ordering::Relaxed) {
        match dice.below(12) {
            0 => {
                kra.line(false);
                counted.lock().unwrap().cuts_of_the_line += 1;
                pause(400, &mut dice);
                kra.line(true);
            }
            1 => {
                // KRA is well for a while.
                end_trouble(kra, counted);
                pause(1000, &mut dice);
            }
            2 => end_trouble(kra, counted),
            _ => kra.fault(some_fault(&mut dice)),
        }
        pause(150, &mut dice);
    }
    end_trouble(kra, counted);
}

fn end_trouble(kra: &Kra, counted: &Mutex<Counted>) {
    let struck = kra.struck_by_name();
    kra.clear_faults();
    let counts = &mut counted.lock().unwrap().faults_struck;
    for (name, times) in struck.into_iter().filter(|(_, times)| *times > 0) {
        *counts.entry(name).or_default() += times;
    }
}

/// Ends the trouble, whatever becomes of the test.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The shop over all rounds.
struct Loop<'a> {
    kra: &'a Kra,
    shop: Shop,
    till: Till,
    /// Running numbers of what was answered, by the register's number.
    answered: BTreeMap<String, u64>,
    counted: &'a Mutex<Counted>,
}

fn every_answered_sale_survives(wire: Wire) {
    let rounds =
        std::env::var("ETIMS_ROUNDS").ok().map_or(10, |rounds| rounds.parse().expect("ETIMS_ROUNDS"));
    let mut dice = Dice::new();
    let kra = Kra::start(wire);
    let shop = Shop::with(&kra)
        .set("kra.connect_timeout", "\"250ms\"")
        .set("kra.request_timeout", "\"500ms\"")
        // Nobody's tries are spent here: that a canary goes ahead is another test's business.
        .set("delivery.max_attempts", "1000");
    let till = shop.till();
    let gateway = shop.open_registered();
    let counted = Mutex::default();
    let mut all = Loop { kra: &kra, shop, till, answered: BTreeMap::new(), counted: &counted };
    let over = AtomicBool::new(false);
    let gateway = thread::scope(|scope| {
        let _end = Over(&over);
        let trouble = dice.another();
        scope.spawn(|| make_trouble(&kra, &over, &counted, trouble));
        (0..rounds).fold(gateway, |gateway, round| all.round(round, gateway, &mut dice))
    });
    all.wait_drained();
    all.check_books();
    all.verify();
    gateway.stop();
    all.verify();
    let counted = counted.lock().unwrap();
    eprintln!("{rounds} rounds on the {} wire, {} sales: {counted:#?}", wire.name(), all.answered.len());
}

impl Loop<'_> {
    /// Registers post, the power goes, the gateway starts again, and what was answered is there.
    fn round(&mut self, round: u64, gateway: Gateway, dice: &mut Dice) -> Gateway {
        let scene = Scene { crowded: dice.below(3) == 0, ..Scene::default() };
        let posted: Vec<Posted> = thread::scope(|scope| {
            let (till, scene) = (&self.till, &scene);
            let registers: Vec<_> = (0..REGISTERS)
                .map(|register| {
                    let dice = dice.another();
                    scope.spawn(move || post_until_gone(till, round, register, scene, dice))
                })
                .collect();
            scene.wait_for_the_moment(dice);
            let mut counted = self.counted.lock().unwrap();
            if dice.below(4) == 0 {
                counted.stops += 1;
                drop(counted);
                gateway.stop();
            } else {
                counted.kills += 1;
                drop(counted);
                gateway.kill();
            }
            scene.gone.store(true, Ordering::Relaxed);
            registers.into_iter().flat_map(|register| register.join().unwrap()).collect()
        });
        // The power may go again while the gateway finds out what is left.
        for _ in 0..dice.below(3) {
            let starting = self.shop.spawn();
            thread::sleep(Duration::from_millis(dice.below(200)));
            starting.kill();
            self.counted.lock().unwrap().kills_during_start += 1;
        }
        let gateway = self.shop.open();
        eprintln!("round {round}: {} sales posted, {} before", posted.len(), self.answered.len());
        self.check_answers(round, posted, dice);
        if (round + 1).is_multiple_of(VERIFY_AFTER) {
            self.verify();
        }
        gateway
    }

    /// After the start: what was answered is there as it was answered; what was not is taken now, once.
    fn check_answers(&mut self, round: u64, posted: Vec<Posted>, dice: &mut Dice) {
        for Posted { number, answer } in posted {
            let running = match answer {
                Some((201 | 202, said)) => {
                    let running = running_number(&said);
                    let state = self.till.get(&format!("/api/sales/{}/", encoded(&number))).expect(200);
                    assert_eq!(running_number(&state), running, "round {round}: {number} as it was answered");
                    if said["status"] == "signed" {
                        assert_eq!(state["signature"], said["signature"], "round {round}: {number} {state}");
                    }
                    if dice.below(8) == 0 {
                        self.post_again(round, &number, running);
                    }
                    running
                }
                Some((status, body)) if body["error"] != "stopping" => {
                    panic!("round {round}: {number}: {status} {body}")
                }
                // What a register does that heard nothing, or that it should come again: the same again.
                _ => {
                    self.counted.lock().unwrap().lost_answers += 1;
                    let again = self.till.post("/api/sales/?wait=0", &sale(&number));
                    let body = again.json();
                    let known = body["repeat"] == true;
                    assert_eq!(
                        again.status,
                        if known { 200 } else { 202 },
                        "round {round}: {number}: {body}"
                    );
                    running_number(&body)
                }
            };
            assert!(self.answered.insert(number, running).is_none());
        }
    }

    /// The same again is the same sale; the same number with other goods is not taken.
    fn post_again(&self, round: u64, number: &str, running: u64) {
        let again = self.till.post("/api/sales/?wait=0", &sale(number)).expect(200);
        assert_eq!(
            (&again["repeat"], running_number(&again)),
            (&json!(true), running),
            "round {round}: {number}: {again}"
        );
        let other = self.till.post("/api/sales/?wait=0", &sale_of(number, json!({ "qty": 3 })));
        assert_eq!(other.status, 409, "round {round}: {number}: {other:?}");
        self.counted.lock().unwrap().repeats += 1;
    }

    /// The whole chain: a signature for each sale, by a program that was built to be debugged.
    fn verify(&self) {
        self.shop.long_command(&["verify"], 10 * PATIENCE).expect(0);
    }

    /// As long as it gets on.
    fn wait_drained(&self) {
        let waiting = || self.till.queue()["waiting"].as_u64().expect("queue.waiting is a number");
        let (mut left, mut since) = (waiting(), Instant::now());
        while left > 0 {
            thread::sleep(Duration::from_millis(50));
            let now = waiting();
            if now < left {
                (left, since) = (now, Instant::now());
            }
            assert!(since.elapsed() < PATIENCE, "{left} sales wait, and nothing gets on");
        }
    }

    fn check_books(&self) {
        let books = self.kra.books();
        let mut by_running_number: Vec<(u64, &str)> =
            self.answered.iter().map(|(number, running)| (*running, number.as_str())).collect();
        by_running_number.sort_unstable();
        let accepted: Vec<&str> = by_running_number.iter().map(|(_, number)| *number).collect();
        // Each once, in the order of acceptance, numbers without a gap.
        books.expect_numbered(&accepted);
        for booked in books.sales() {
            let state = self.till.state(booked["trdInvcNo"].as_str().unwrap());
            assert_eq!(
                (&state["status"], &state["signature"], &state["invcNo"]),
                (&json!("signed"), &booked["rcptSign"], &booked["invcNo"]),
                "{booked}"
            );
        }
        let queue = self.till.queue();
        assert_eq!((&queue["parked"], &queue["rejected"]), (&json!(0), &json!(0)), "{queue}");
    }
}
