//! Edge, in: what a technician may ask, on a socket of its own.
