//! `doctor`: the installation as a technician would go through it, from the configuration to KRA.
//!
//! Each room looks at one thing and makes [`Finding`]s of it: what it reads are plain facts, what follows from them is a
//! pure function with a table beside it. Nothing is changed, nothing but one probe goes to KRA, and a port or store that a
//! daemon has is left alone.

mod clock;
mod configuration;
mod daemon;
mod disk;
mod examine;
mod files;
mod finding;
mod line;
mod listening;
mod serial;

pub use examine::doctor;
use finding::{Finding, Level};
