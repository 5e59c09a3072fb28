//! A program that follows the gateway's events, as a web page or a back office would.

use std::io;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::PATIENCE;
use crate::till::{Connection, Till};

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) id: u64,
    pub(crate) data: Value,
}

impl Event {
    pub(crate) fn kind(&self) -> &str {
        self.data["type"].as_str().unwrap()
    }

    /// The register's number of the sale that it is about.
    pub(crate) fn sale(&self) -> &str {
        self.data["sale"]["trdInvcNo"].as_str().unwrap_or_default()
    }
}

/// A connection on which events come.
pub(crate) struct Follower {
    connection: Connection,
    unread: String,
    pub(crate) comments: Vec<String>,
}

impl Follower {
    /// Follows from the very first record on.
    #[track_caller]
    pub(crate) fn from_the_first(till: &Till) -> Follower {
        Follower::open(till, "/api/events/?after=0")
    }

    /// Comes back after an event, as a browser does: with an address that is out of date.
    #[track_caller]
    pub(crate) fn again(till: &Till, last: u64) -> Follower {
        Follower::open(&till.clone().header("Last-Event-ID", &last.to_string()), "/api/events/?after=0")
    }

    #[track_caller]
    pub(crate) fn open(till: &Till, target: &str) -> Follower {
        let mut connection = till.connect().unwrap();
        connection.send(&till.request("GET", target, None)).unwrap();
        let head = connection.head().unwrap();
        assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")), "{head:?}");
        let mut follower = Follower { connection, unread: String::new(), comments: Vec::new() };
        // Its first word is a comment that says where it begins.
        while follower.comments.is_empty() {
            follower.read_on(PATIENCE).unwrap();
            assert!(follower.take_block().is_none());
        }
        follower
    }

    /// The next event; an error when the connection breaks or nothing comes; `None` when the stream was ended.
    pub(crate) fn try_next(&mut self, patience: Duration) -> io::Result<Option<Event>> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(event) = self.take_block() {
                return Ok(Some(event));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            if !self.read_on(left)? {
                return Ok(None);
            }
        }
    }

    #[track_caller]
    pub(crate) fn next(&mut self) -> Event {
        self.try_next(PATIENCE).unwrap().expect("the stream goes on")
    }

    /// The next event of this type; others are passed over.
    #[track_caller]
    pub(crate) fn next_of(&mut self, kind: &str) -> Event {
        loop {
            let event = self.next();
            if event.kind() == kind {
                return event;
            }
        }
    }

    /// All up to and including the first event that is wanted.
    #[track_caller]
    pub(crate) fn until(&mut self, wanted: impl Fn(&Event) -> bool) -> Vec<Event> {
        let mut events = Vec::new();
        loop {
            let event = self.next();
            let last = wanted(&event);
            events.push(event);
            if last {
                return events;
            }
        }
    }

    fn read_on(&mut self, patience: Duration) -> io::Result<bool> {
        self.connection.set_patience(patience.max(Duration::from_millis(1)));
        let Some(chunk) = self.connection.chunk()? else { return Ok(false) };
        self.unread.push_str(std::str::from_utf8(&chunk).expect("events are UTF-8"));
        Ok(true)
    }

    /// Takes whole blocks from what came, up to the first event.
    fn take_block(&mut self) -> Option<Event> {
        while let Some((block, rest)) = self.unread.split_once("\n\n") {
            let (block, rest) = (block.to_owned(), rest.to_owned());
            self.unread = rest;
            let (mut id, mut data) = (None, None);
            for line in block.lines() {
                if let Some(comment) = line.strip_prefix(':') {
                    self.comments.push(comment.trim().to_owned());
                } else if let Some(text) = line.strip_prefix("id: ") {
                    assert_eq!(id.replace(text.parse().unwrap()), None, "{block}");
                } else if let Some(text) = line.strip_prefix("data: ") {
                    assert_eq!(data.replace(serde_json::from_str(text).unwrap()), None::<Value>, "{block}");
                } else {
                    panic!("a line that is no field: {line:?}");
                }
            }
            if let Some(data) = data {
                return Some(Event { id: id.expect("each event has an id"), data });
            }
        }
        None
    }
}
