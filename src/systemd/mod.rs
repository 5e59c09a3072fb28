//! Edge: the service manager and the journal.
