//! Store and forward: decisions about waiting documents; pure, like `fiscal`.
//!
//! ```text
//!             BIND                 answered: in
//!   pending ────────► in flight ────────────────────► signed
//!      ▲                 │  │ answered: refused for good
//!      │  absent, late   │  └─────────────────────────► rejected ──► settled
//!      │  enough         │ lost, unreadable, unsure
//!      └──────────── in doubt ── look-up: equal ─────► signed / accepted_no_proof
//!                        └────── look-up: different ─► the series stops
//! ```
//!
//! Tries spent: the number goes to the next document, a canary; answered, the first has one more try and is then `parked`;
//! the same trouble, and both keep their places. A person's commands (`command`) are judged between the machine's actions:
//! `park`, `retry`, `settle`; a stopped series goes on after a walk through KRA's books (`adoption`).
//!
//! A credit note is never sent before its sale is in KRA's books (`original`); those behind it do not wait for it.
//!
//! What survives a power cut is in the log: acceptance, BIND before the first byte, outcomes. What is only here (the
//! breaker, pauses, who stepped aside) is found out again after a start.

pub mod adoption;
mod alike;
mod backoff;
mod command;
mod document;
mod doubt;
pub mod drain;
mod equality;
mod found;
mod item_lane;
mod line;
mod list_pace;
mod original;
mod verdict;

pub use backoff::{Dice, Moment};
pub use command::{Command, Declined, Seen, Settlement};
pub use document::{Seq, Status};
pub use doubt::{Absence, Afterwards, Doubt};
pub use equality::{Equality, SentAs, compare};
pub use found::{FoundInvoice, FoundLine};
pub use item_lane::{ItemLane, ItemStanding, Judged, Ticket, Turn};
pub use line::Line;
pub use list_pace::ListPace;
pub use original::OriginalStands;
pub use verdict::{Busy, LookedUp, Probed, Sent, Step, Unreachable, Verdict, Words};
