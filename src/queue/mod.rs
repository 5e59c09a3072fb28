//! Store and forward: decisions about waiting documents; pure, like `fiscal`.

mod document;

pub use document::{Seq, Status};
