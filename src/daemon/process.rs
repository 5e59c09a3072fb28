//! The daemon's own process, as the kernel sees it.

use std::sync::OnceLock;
use std::time::Instant;

use crate::status::ProcessSnapshot;

/// At this moment; the first call is the start.
pub(super) fn process() -> ProcessSnapshot {
    static START: OnceLock<Instant> = OnceLock::new();
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let page = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
    ProcessSnapshot {
        resident_bytes: resident_pages(&statm).unwrap_or(0).saturating_mul(page),
        uptime_seconds: START.get_or_init(Instant::now).elapsed().as_secs(),
    }
}

fn resident_pages(statm: &str) -> Option<u64> {
    statm.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory() {
        assert!(process().resident_bytes > 1 << 20);
        assert_eq!(resident_pages("9000 1234 1 2 0 3 0"), Some(1234));
        assert_eq!(resident_pages(""), None);
    }
}
