//! How large, how many, how long.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::status::Counters;

/// Bounds on what clients may cost us.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Largest body, bytes.
    pub max_body: usize,
    /// Another limit for the body of some paths (given undecoded); none for the usual one.
    pub max_body_of: fn(&str) -> Option<usize>,
    /// Bodies in hand together; share one among listeners.
    pub all_bodies: BodyBudget,
    /// Most connections at one time on this listener; one more is answered 503 and closed.
    pub max_connections: usize,
    /// Largest request line and headers together, bytes, from 8192.
    pub max_head: usize,
    /// Longest time for the headers of a request, from its first byte, or from the start of the connection.
    pub header_timeout: Duration,
    /// Longest time for a body, and one second more for each [`Limits::SLOWEST_BODY`] bytes of it that came; also the
    /// longest time in which a client takes nothing of its answer.
    pub body_timeout: Duration,
    /// Longest pause between two requests of one connection.
    pub idle_timeout: Duration,
    /// Where answers are counted; share one among listeners.
    pub counters: Arc<Counters>,
}

impl Limits {
    /// Bytes per second below which a long body is given up.
    pub const SLOWEST_BODY: u32 = 16 * 1024;
}

impl Default for Limits {
    /// 1 MiB bodies, 256 connections, 64 MiB of bodies together, 16 KiB of headers; headers in 10 s, bodies in 30 s,
    /// 60 s idle.
    fn default() -> Limits {
        Limits {
            max_body: 1 << 20,
            max_body_of: |_| None,
            all_bodies: BodyBudget::new(64 << 20),
            max_connections: 256,
            max_head: 16 << 10,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            counters: Arc::default(),
        }
    }
}

/// Bytes of request bodies that may be in memory at one time; clones share the same budget.
#[derive(Clone, Debug)]
pub struct BodyBudget(Arc<Semaphore>);

impl BodyBudget {
    /// A budget of that many bytes.
    pub fn new(bytes: usize) -> BodyBudget {
        BodyBudget(Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))))
    }

    /// Takes bytes for as long as the share lives; none if they are not there now.
    pub(super) fn take(&self, bytes: usize) -> Option<BodyShare> {
        let bytes = u32::try_from(bytes).ok()?;
        Arc::clone(&self.0).try_acquire_many_owned(bytes).ok().map(BodyShare)
    }
}

/// A part of the budget, given back when dropped.
#[derive(Debug)]
pub(super) struct BodyShare(OwnedSemaphorePermit);

impl BodyShare {
    /// Makes two shares one.
    pub(super) fn add(&mut self, other: BodyShare) {
        self.0.merge(other.0);
    }
}

#[cfg(test)]
mod tests {
    use super::BodyBudget;

    #[test]
    fn shares_come_back() {
        let budget = BodyBudget::new(10);
        let mut first = budget.take(6).unwrap();
        assert!(budget.take(5).is_none());
        first.add(budget.take(4).unwrap());
        assert!(budget.clone().take(1).is_none());
        drop(first);
        assert!(budget.take(10).is_some());
    }
}
