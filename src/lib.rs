//! etims-gateway: a store-and-forward daemon between a shop's cash registers and KRA's eTIMS OSCU service.
//!
//! # Bird's eye
//!
//! A register posts a sale over loopback HTTP, a Unix socket or a serial line. The sale is checked and its tax counted ([`fiscal`]),
//! signed, written to a synced journal ([`store`]), and only then answered. A drain ([`queue`] decides,
//! [`gateway::Drainer`] does) carries it to KRA in order, exactly once in effect, whenever the line is there. When KRA
//! answers in time the register gets the fiscal receipt at once; otherwise a provisional one.
//!
//! # The map
//!
//! ```text
//! main > cli > daemon > { pos  admin  http  serial  kra  webhook  store  systemd  config } > gateway > { wire  status  receipt } > queue > fiscal
//! ```
//!
//! Arrows go one way, and edges do not know each other (`pos` and `admin` ride on `http`, `pos` on `serial` too).
//!
//! | room | knows |
//! |---|---|
//! | [`fiscal`] | the rules: amounts, tax, codes, what makes an invoice |
//! | [`queue`] | decisions about waiting documents: what an answer leads to, when to send, ask, wait or stop |
//! | [`wire`] | KRA's formats, XML and JSON: our values to KRA's bytes and back |
//! | [`gateway`] | what the product does, a file a verb, over small ports |
//! | [`receipt`] | what a till prints: a receipt's facts, laid out for any paper |
//! | [`status`] | one snapshot of everything, and what somebody must act on |
//! | [`pos`], [`admin`] | what a till, what a technician may ask |
//! | [`http`] | HTTP/1.1 in: limits, Host, Origin, token |
//! | [`serial`] | serial lines in: frames and lines, what is damaged, repeated or foreign; ports that come and go |
//! | [`kra`] | HTTP out: one connection at a time, and whether a byte left |
//! | [`webhook`] | HTTP out, to whoever wants to be told of sales and alerts |
//! | [`store`] | the journal (truth), sled (queue and indexes over it), keys |
//! | [`simulator`] | a strict KRA on loopback; nothing else imports it |
//!
//! # What is true everywhere
//!
//! - `fiscal`, `queue` and `wire` have no I/O, no async and no clock: the time and the dice are arguments.
//! - KRA's abbreviations stop at `wire` and `pos`.
//! - Accepting a sale never waits for KRA; only the answer may, after the commit. No answer leaves before the sync.
//! - A number and the exact bytes are on disk before their first byte leaves; an outcome is on disk before anybody is told.
//! - Nothing is ever sent twice by itself: after a lost answer KRA's books are asked first.

pub mod admin;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod fiscal;
pub mod gateway;
pub mod http;
pub mod kra;
pub mod pos;
pub mod queue;
pub mod receipt;
pub mod serial;
pub mod simulator;
pub mod status;
pub mod store;
pub mod systemd;
pub mod webhook;
pub mod wire;

/// Runs the command that the command line names.
pub fn main() -> std::process::ExitCode {
    cli::dispatch().into()
}
