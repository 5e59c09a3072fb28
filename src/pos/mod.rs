//! Edge, in: what a till may ask.
