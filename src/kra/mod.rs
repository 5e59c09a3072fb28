//! Edge, out: HTTP and HTTPS to KRA.
