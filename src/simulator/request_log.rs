//! The last requests as they came in, for tests and for whoever debugs a register. Keys are blotted out.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

/// Most requests kept.
const REQUESTS: usize = 2000;
/// Most bytes of bodies kept.
const BYTES: usize = 32 * 1024 * 1024;

/// The log.
#[derive(Debug, Default)]
pub(super) struct RequestLog {
    entries: VecDeque<Entry>,
    bytes: usize,
    last: u64,
}

/// One request.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry {
    pub(super) n: u64,
    pub(super) received_at: String,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) function: Option<&'static str>,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
    /// Of the body before anything was blotted out, in hexadecimal: equal for equal bytes.
    pub(super) sha256: String,
    pub(super) outcome: String,
}

impl RequestLog {
    /// Keeps a request; the oldest go when it gets too much. Its number, from 1.
    pub(super) fn push(&mut self, mut entry: Entry) -> u64 {
        self.last += 1;
        entry.n = self.last;
        self.bytes += entry.body.len();
        self.entries.push_back(entry);
        while self.entries.len() > REQUESTS || self.bytes > BYTES {
            let Some(oldest) = self.entries.pop_front() else { break };
            self.bytes -= oldest.body.len();
        }
        self.last
    }

    /// Notes how a request ended, if it is still here.
    pub(super) fn end(&mut self, n: u64, outcome: String) {
        if let Some(entry) = self.entries.iter_mut().rev().find(|entry| entry.n == n) {
            entry.outcome = outcome;
        }
    }

    /// The requests after this number.
    pub(super) fn after(&self, n: u64) -> Vec<&Entry> {
        self.entries.iter().filter(|entry| entry.n > n).collect()
    }
}

/// A body with the device key blotted out, on either wire, whether or not the key is right.
pub(super) fn blotted(body: &str) -> String {
    const NAME: &str = "cmcKey";
    let mut shown = String::with_capacity(body.len());
    let mut rest = body;
    while let Some(place) = rest.find(NAME) {
        let (before, after) = rest.split_at(place + NAME.len());
        let value = after.trim_start_matches(['"', ':', '>', ' ', '\t', '\r', '\n']);
        let end = value.find(['"', '<']).unwrap_or(value.len());
        shown.push_str(before);
        shown.push_str(&after[..after.len() - value.len()]);
        if end > 0 {
            shown.push_str("****");
        }
        rest = &value[end..];
    }
    shown.push_str(rest);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_blotted_out() {
        for (body, shown) in [
            (r#"{"tin":"P","cmcKey" : "secret","a":1}"#, r#"{"tin":"P","cmcKey" : "****","a":1}"#),
            ("<cmcKey>secret</cmcKey>\n<a>1</a>", "<cmcKey>****</cmcKey>\n<a>1</a>"),
            (r#"{"cmcKey":"secr"#, r#"{"cmcKey":"****"#),
            ("<cmcKey></cmcKey>", "<cmcKey></cmcKey>"),
            ("cmcKey", "cmcKey"),
            ("none", "none"),
        ] {
            assert_eq!(blotted(body), shown);
        }
    }

    #[test]
    fn the_oldest_go_first() {
        let mut log = RequestLog::default();
        let entry = |body: &str| Entry {
            n: 0,
            received_at: String::new(),
            method: String::new(),
            path: String::new(),
            function: None,
            headers: BTreeMap::new(),
            body: body.to_owned(),
            sha256: String::new(),
            outcome: String::new(),
        };
        let mib = "x".repeat(1024 * 1024);
        for _ in 0..40 {
            log.push(entry(&mib));
        }
        assert_eq!(log.after(0).len(), 32);
        assert_eq!(log.after(39).len(), 1);
        for _ in 0..3000 {
            log.push(entry(""));
        }
        assert_eq!(log.after(0).len(), REQUESTS);
        log.end(3040, "000".to_owned());
        assert_eq!(log.after(3039)[0].outcome, "000");
    }
}
