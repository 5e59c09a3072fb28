//! Edge, out: the journal is the truth, sled the queue over it.
