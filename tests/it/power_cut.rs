//! G1: killed at any moment, whatever KRA does: every sale that was answered is there and reaches KRA exactly once, in
//! the order in which it was accepted.
//!
//! `ETIMS_ROUNDS` sets the number of rounds (6), `ETIMS_SEED` the dice.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Dice, Shop, on_both_wires};
use crate::kra::{Kra, SAVE, Wire};
use crate::sale::{running_number, sale};
use crate::till::{Till, encoded};

/// Registers that post at the same time.
const REGISTERS: usize = 4;
/// Most sales of a register in one round: enough for any moment, few enough to drain.
const SALES: usize = 60;

on_both_wires! { every_answered_sale_survives }

/// What became of one post.
struct Posted {
    number: String,
    /// The answer; none if the gateway was gone before it came.
    answer: Option<(u16, Value)>,
}

/// What registers and the power have in common.
#[derive(Default)]
struct Scene {
    gone: AtomicBool,
    answers: AtomicU64,
}

impl Scene {
    /// Waits for the moment of the cut: in the middle of the posting, or some time after its start.
    fn wait_for_the_moment(&self, dice: &mut Dice) {
        if dice.below(3) == 0 {
            thread::sleep(Duration::from_millis(dice.below(500)));
            return;
        }
        let enough = dice.below(u64::try_from(REGISTERS * SALES * 3 / 4).unwrap());
        let deadline = Instant::now() + Duration::from_secs(5);
        while self.answers.load(Ordering::Relaxed) < enough && Instant::now() < deadline {
            thread::sleep(Duration::from_micros(50));
        }
        thread::sleep(Duration::from_micros(dice.below(3000)));
    }
}

/// A register that posts as fast as it can until the gateway is gone.
fn post_until_gone(till: &Till, round: u64, register: usize, scene: &Scene) -> Vec<Posted> {
    let mut posted = Vec::new();
    for place in 0..SALES {
        if scene.gone.load(Ordering::Relaxed) {
            break;
        }
        let number = format!("{round}-{register}-{place}");
        let wait = if place % 7 == 0 { 1 } else { 0 };
        let body = sale(&number).to_string();
        let answer = till.ask("POST", &format!("/api/sales/?wait={wait}"), Some(body.as_bytes()));
        let answer = answer.ok().map(|answer| (answer.status, answer.json()));
        let lost = answer.is_none();
        scene.answers.fetch_add(1, Ordering::Relaxed);
        posted.push(Posted { number, answer });
        if lost {
            break;
        }
    }
    posted
}

/// How KRA is in this round.
fn set_the_scene(kra: &Kra, round: u64, dice: &mut Dice) {
    kra.clear_faults();
    match round % 3 {
        0 => {}
        1 => kra.line(false),
        _ => {
            for _ in 0..6 {
                let faults =
                    ["lose_answer", "close_after_read", "half_body", "http_status", "slow", "late", "html"];
                let fault = faults[usize::try_from(dice.below(7)).unwrap()];
                let mut order = json!({ "fault": fault, "count": 1 + dice.below(3), "function": SAVE });
                if matches!(fault, "slow" | "late") {
                    order["args"] = json!({ "ms": dice.below(400) });
                }
                kra.fault(order);
            }
        }
    }
}

fn every_answered_sale_survives(wire: Wire) {
    let rounds = std::env::var("ETIMS_ROUNDS").ok().map_or(6, |rounds| rounds.parse().expect("ETIMS_ROUNDS"));
    let mut dice = Dice::new();
    let kra = Kra::start(wire);
    let shop =
        Shop::with(&kra).set("kra.connect_timeout", "\"250ms\"").set("kra.request_timeout", "\"500ms\"");
    let till = shop.till();
    let mut gateway = shop.open_registered();
    let mut answered: BTreeMap<String, u64> = BTreeMap::new();
    for round in 0..rounds {
        set_the_scene(&kra, round, &mut dice);
        let scene = Scene::default();
        let posted: Vec<Posted> = thread::scope(|scope| {
            let registers: Vec<_> = (0..REGISTERS)
                .map(|register| {
                    let (till, scene) = (&till, &scene);
                    scope.spawn(move || post_until_gone(till, round, register, scene))
                })
                .collect();
            scene.wait_for_the_moment(&mut dice);
            gateway.kill();
            scene.gone.store(true, Ordering::Relaxed);
            registers.into_iter().flat_map(|register| register.join().unwrap()).collect()
        });
        // The power may go again while the gateway finds out what is left.
        for _ in 0..dice.below(3) {
            let starting = shop.spawn();
            thread::sleep(Duration::from_millis(dice.below(150)));
            starting.kill();
        }
        gateway = shop.open();
        let lost = posted.iter().filter(|posted| posted.answer.is_none()).count();
        eprintln!(
            "round {round}: {} sales posted, {lost} answers lost, {} sales before",
            posted.len(),
            answered.len()
        );
        for Posted { number, answer } in posted {
            let running = match answer {
                Some((201 | 202, said)) => {
                    let running = running_number(&said);
                    let state = till.get(&format!("/api/sales/{}/", encoded(&number)));
                    let state = state.expect(200);
                    assert_eq!(running_number(&state), running, "round {round}: {number} as it was answered");
                    running
                }
                Some((status, body)) => panic!("round {round}: {number}: {status} {body}"),
                // What a register does that heard nothing: the same again.
                None => {
                    let again = till.post("/api/sales/?wait=0", &sale(&number));
                    assert!(matches!(again.status, 200..=202), "round {round}: {number}: {again:?}");
                    running_number(&again.json())
                }
            };
            assert!(answered.insert(number, running).is_none());
        }
    }
    kra.clear_faults();
    till.wait_drained();

    let books = kra.books();
    let mut by_running_number: Vec<(u64, &str)> =
        answered.iter().map(|(number, running)| (*running, number.as_str())).collect();
    by_running_number.sort_unstable();
    let accepted: Vec<&str> = by_running_number.iter().map(|(_, number)| *number).collect();
    assert_eq!(books.numbers(), accepted, "each once, in the order of acceptance");
    for (booked, expected) in books.sales().iter().zip(1_u64..) {
        assert_eq!(booked["invcNo"], expected, "numbers without a gap");
        let state = till.state(booked["trdInvcNo"].as_str().unwrap());
        assert_eq!(
            (&state["status"], &state["signature"]),
            (&json!("signed"), &booked["rcptSign"]),
            "{booked}"
        );
    }
    shop.command(&["verify"]).expect(0);
    gateway.stop();
    shop.command(&["verify"]).expect(0);
}
