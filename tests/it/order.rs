//! G3: KRA gets the sales in the order in which they were accepted, numbered without a gap, one at a time.

use crate::harness::{Shop, on_both_wires};
use crate::kra::{Kra, Wire};
use crate::sale::running_number;

on_both_wires! { over_an_outage_and_restarts }

fn over_an_outage_and_restarts(wire: Wire) {
    let kra = Kra::start(wire);
    let shop = Shop::with(&kra);
    let gateway = shop.open_registered();
    let till = shop.till();
    let mut accepted: Vec<(u64, String)> = Vec::new();
    let mut take = |count: usize, online: bool| {
        for _ in 0..count {
            let number = format!("S-{}", accepted.len());
            let state = if online { till.sell(&number) } else { till.sell_offline(&number) };
            accepted.push((running_number(&state), number));
        }
    };
    take(5, true);
    kra.line(false);
    take(10, false);
    gateway.stop();
    let gateway = shop.open();
    take(5, false);
    gateway.kill();
    let gateway = shop.open();
    take(5, false);
    kra.line(true);
    // While those drain, more come in.
    take(10, false);
    till.wait_drained();
    gateway.kill();
    let _gateway = shop.open();
    take(3, true);
    assert!(accepted.is_sorted_by(|one, next| one.0 < next.0), "running numbers go up: {accepted:?}");
    let numbers: Vec<&String> = accepted.iter().map(|(_, number)| number).collect();
    kra.books().expect_in_order(&numbers);
    assert_eq!(kra.books().most_saving(), 1);
    for (running, number) in &accepted {
        let state = till.state(number);
        assert_eq!((running_number(&state), state["status"].as_str()), (*running, Some("signed")));
    }
}
