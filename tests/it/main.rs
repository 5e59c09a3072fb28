#![allow(clippy::unwrap_used)]
mod one_sync;
