//! Edge, out: events POSTed to the address of whoever wants to be told.
//!
//! One request at a time on a connection of its own; no redirects, no proxy, the machine's own root certificates. What is
//! said and when, and what an answer means, is decided in [`gateway`](crate::gateway).

mod receiver;
mod tls;

pub use receiver::{Address, WebReceiver};
