//! The machine against a small KRA that keeps real books, loses requests and answers, and lets timed-out requests land
//! late; with restarts between any two steps, others numbering in the same series, and operators at any moment.

mod items;
mod kra;
mod log;
mod lost_records;
mod notes;
mod proofs;
mod property;
mod registered;
mod scenarios;
mod stopped;
mod taken;
mod world;

use std::time::Duration;

use super::Policy;
use crate::fiscal::{KraDateTime, Proof};
use crate::queue::Words;

const TIMEOUT: Duration = Duration::from_secs(120);

fn policy() -> Policy {
    Policy {
        backoff_initial: Duration::from_secs(1),
        backoff_max: Duration::from_secs(300),
        probe_max: Duration::from_secs(30),
        max_attempts: 12,
        request_timeout: TIMEOUT,
    }
}

fn words(message: &str) -> Words {
    Words { message: message.to_owned(), ..Words::default() }
}

fn proof(signature: &str, number: u64) -> Proof {
    Proof {
        receipt_no: number,
        total_receipt_no: number,
        internal_data: "I".repeat(26),
        signature: signature.to_owned(),
        issued_at: KraDateTime::from_unix(1_700_000_000).unwrap(),
    }
}
