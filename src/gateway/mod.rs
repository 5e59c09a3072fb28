//! What the product does: a file per verb; awaits ports, opens nothing, spawns nothing.

pub mod ports;
