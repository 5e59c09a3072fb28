//! hyper over any stream; used by `pos` and `admin`.
