//! Store and forward: decisions about waiting documents; pure, like `fiscal`.

mod document;
mod found;
mod verdict;

pub use document::{Seq, Status};
pub use found::{FoundInvoice, FoundLine};
pub use verdict::{LookedUp, Probed, Sent, Step, Unreachable, Verdict, Words};
