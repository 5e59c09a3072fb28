//! Start and stop of the daemon, and its long tasks.

pub mod clock;
