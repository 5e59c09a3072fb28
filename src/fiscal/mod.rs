//! The rules: values and decisions. No I/O, async, clock, randomness or serde.
