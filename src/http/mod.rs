//! HTTP/1.1 over TCP and Unix sockets, for `pos` and `admin`: what a request may be, who may send one, and how long
//! any part of it may take.
//!
//! [`serve()`] accepts on a [`Listener`]; each connection has a task, and each request's handler a task of its own
//! that goes on when the client hangs up. [`Guard`] decides who is heard. Nothing here knows a route.

mod answer;
mod body;
mod connection;
mod guard;
mod limits;
mod listen;
mod paced;
mod request;
mod serve;
#[cfg(test)]
mod tests;
mod tls;
mod unix_socket;

pub use answer::{Answer, Body};
pub use guard::{Guard, GuardError};
pub use limits::{BodyBudget, Limits};
pub use listen::{ListenError, Listener};
pub use request::{Peer, Request};
pub use serve::serve;
pub use tls::{ServerTls, TlsFault};
