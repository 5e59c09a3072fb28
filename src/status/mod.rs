//! One snapshot of everything, many renderings.
