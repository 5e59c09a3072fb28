//! KRA's formats: our values to KRA's bytes and back; pure; the only home of KRA field names.

mod frozen;

pub use frozen::{Format, FrozenRequest, Function};
