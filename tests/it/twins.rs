//! G6: the same sale posted by many at once is one sale; of different ones under one number, one wins.

use std::sync::Barrier;
use std::thread;

use serde_json::{Value, json};

use crate::harness::{Shop, on_both_wires};
use crate::kra::{Kra, Wire};
use crate::sale::{cents, running_number, sale, sale_of};
use crate::till::{Answer, Till};

on_both_wires! { many_at_once }

/// Posts all bodies at the same moment, each over a connection of its own.
fn at_once(till: &Till, target: &str, bodies: &[Value]) -> Vec<Answer> {
    let start = Barrier::new(bodies.len());
    thread::scope(|scope| {
        let posts: Vec<_> = bodies
            .iter()
            .map(|body| {
                let start = &start;
                scope.spawn(move || {
                    let mut connection = till.connect().unwrap();
                    let request = till.request("POST", target, Some(body.to_string().as_bytes()));
                    start.wait();
                    connection.send(&request).unwrap();
                    connection.answer().unwrap()
                })
            })
            .collect();
        posts.into_iter().map(|post| post.join().unwrap()).collect()
    })
}

fn many_at_once(wire: Wire) {
    let kra = Kra::start(wire);
    let shop = Shop::with(&kra);
    let gateway = shop.open_registered();
    let mut expected = Vec::new();
    for (round, till) in [shop.till(), gateway.till(), shop.till(), gateway.till()].iter().enumerate() {
        let online = round < 2;
        kra.line(online);
        let target = if online { "/api/sales/?wait=20" } else { "/api/sales/?wait=0" };
        let taken = if online { 201 } else { 202 };

        let number = format!("TWIN-{round}");
        let answers = at_once(till, target, &vec![sale(&number); 8]);
        let first: Vec<&Answer> = answers.iter().filter(|answer| answer.status == taken).collect();
        assert_eq!(first.len(), 1, "one takes it: {answers:?}");
        let running = running_number(&first[0].json());
        for answer in &answers {
            let body = answer.json();
            assert_eq!(running_number(&body), running, "{answers:?}");
            if answer.status != taken {
                assert_eq!((answer.status, &body["repeat"]), (200, &json!(true)), "{answers:?}");
            }
        }
        expected.push(number);

        let number = format!("RIVAL-{round}");
        let rivals: Vec<Value> = (1..=8).map(|qty| sale_of(&number, json!({ "qty": qty }))).collect();
        let answers = at_once(till, target, &rivals);
        let winners: Vec<usize> = (0..8).filter(|place| answers[*place].status == taken).collect();
        assert_eq!(winners.len(), 1, "one wins: {answers:?}");
        for (place, answer) in answers.iter().enumerate() {
            if !winners.contains(&place) {
                answer.expect_error(409, "trdInvcNo_reused");
            }
        }
        kra.line(true);
        till.wait_status(&number, "signed");
        let paid = cents(&kra.books().sale(&number).unwrap()["totAmt"]);
        assert_eq!(paid, i64::try_from(winners[0] + 1).unwrap() * 5800, "the winner's content");
        assert_eq!(till.post("/api/sales/", &rivals[winners[0]]).expect(200)["repeat"], true);
        expected.push(number);
    }
    kra.books().expect_in_order(&expected);
}
