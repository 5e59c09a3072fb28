//! Registers on serial lines, over pseudo-terminals: serial-framing.md 1.12 point by point.

mod clients;
mod duplicates;
mod frames;
mod lines;
mod ports;

use crate::harness::{Gateway, Shop};
use crate::kra::Kra;
use crate::pty::Line;

/// A shop with a register on one line.
fn on_one_line(kra: &Kra, more: &str) -> (Shop, Line) {
    let shop = Shop::with(kra);
    let line = Line::plugged(&shop, "register-1");
    shop.change("serial", &format!("[{{ port = {:?}, baud = 115200{more} }}]", line.name()));
    (shop, line)
}

/// The same, with the gateway running.
fn open(kra: &Kra) -> (Shop, Gateway, Line) {
    let (shop, line) = on_one_line(kra, "");
    let gateway = shop.open_registered();
    line.wait_ready();
    (shop, gateway, line)
}

/// How often this happened on the shop's first port.
#[track_caller]
fn counted(gateway: &Gateway, event: &str) -> u64 {
    let page = gateway.till().get("/metrics").text();
    let end = format!("event=\"{event}\"}} ");
    let line = page.lines().find(|line| line.starts_with("etims_serial_events_total") && line.contains(&end));
    let line = line.unwrap_or_else(|| panic!("{event} in {page}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// The numbers of all sales that the gateway has.
fn numbers(shop: &Shop) -> Vec<String> {
    let list = shop.till().get("/api/sales/?limit=500").expect(200);
    let sales = list["sales"].as_array().unwrap().iter();
    sales.map(|sale| sale["trdInvcNo"].as_str().unwrap().to_owned()).collect()
}

/// How often the journal says this.
fn said(shop: &Shop, words: &str) -> usize {
    shop.journal().lines().filter(|line| line.contains(words)).count()
}
