//! Store and forward: decisions about waiting documents; pure, like `fiscal`.
