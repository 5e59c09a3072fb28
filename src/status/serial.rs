//! The serial ports: whether each is open, why not, and what came over it since the start.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde::{Deserialize, Serialize};

/// What happens on a line, by its stable word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineEvent {
    /// A frame that was damaged on the line.
    Damaged,
    /// What we sent ourselves came back.
    Echo,
    /// A burst of what this port does not speak.
    Foreign,
    /// Another request while one was being worked on.
    Overrun,
    /// The last request again: its reply was sent again.
    Repeat,
    /// A request, worked on.
    Request,
    /// A count that was just used for another request.
    SeqReuse,
    /// Too slow: a frame or line that was not ended in time.
    TimedOut,
    /// A frame into which another one broke.
    Torn,
    /// A sale as a line without a check of its own.
    Unchecked,
    /// Something to be sent that the line did not take.
    Unsent,
}

impl LineEvent {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Damaged,
        Self::Echo,
        Self::Foreign,
        Self::Overrun,
        Self::Repeat,
        Self::Request,
        Self::SeqReuse,
        Self::TimedOut,
        Self::Torn,
        Self::Unchecked,
        Self::Unsent,
    ];

    /// Its word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Damaged => "damaged",
            Self::Echo => "echo",
            Self::Foreign => "foreign",
            Self::Overrun => "overrun",
            Self::Repeat => "repeat",
            Self::Request => "request",
            Self::SeqReuse => "seq_reuse",
            Self::TimedOut => "timed_out",
            Self::Torn => "torn",
            Self::Unchecked => "unchecked",
            Self::Unsent => "unsent",
        }
    }
}

/// One serial port, for whoever uses it and whoever looks at it.
#[derive(Debug)]
pub struct SerialPort {
    name: String,
    settings: String,
    state: Mutex<State>,
    events: [AtomicU64; LineEvent::ALL.len()],
}

#[derive(Debug)]
struct State {
    /// Why it is not open; `None`: it is.
    closed: Option<String>,
    since: Instant,
}

impl SerialPort {
    /// A port that was not opened yet: its path, and its settings in words.
    pub fn new(name: impl Into<String>, settings: impl Into<String>) -> Self {
        let state = State { closed: Some("it is being opened".to_owned()), since: Instant::now() };
        Self {
            name: name.into(),
            settings: settings.into(),
            state: Mutex::new(state),
            events: Default::default(),
        }
    }

    /// Its path.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// So many of these happened.
    pub fn count(&self, event: LineEvent, times: u64) {
        self.events[event as usize].fetch_add(times, Ordering::Relaxed);
    }

    /// How many of these happened.
    pub fn counted(&self, event: LineEvent) -> u64 {
        self.events[event as usize].load(Ordering::Relaxed)
    }

    /// It was opened (`None`), or cannot be used, and why. True: that is news.
    pub fn stands(&self, closed: Option<String>) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let news = state.closed != closed;
        if state.closed.is_some() != closed.is_some() {
            state.since = Instant::now();
        }
        state.closed = closed;
        news
    }

    /// It now.
    pub fn snapshot(&self) -> SerialSnapshot {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        SerialSnapshot {
            port: self.name.clone(),
            settings: self.settings.clone(),
            open: state.closed.is_none(),
            reason: state.closed.clone(),
            seconds: state.since.elapsed().as_secs(),
            events: LineEvent::ALL
                .into_iter()
                .map(|event| (event.word().to_owned(), self.counted(event)))
                .collect(),
        }
    }
}

/// A serial port's part of the snapshot.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SerialSnapshot {
    /// Its path.
    pub port: String,
    /// Protocol, speed and character, in words.
    pub settings: String,
    /// It is open.
    pub open: bool,
    /// Why it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// For how long that has been so, seconds.
    pub seconds: u64,
    /// What came over it since the start, by word.
    #[serde(default)]
    pub events: std::collections::BTreeMap<String, u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_news_once() {
        let port = SerialPort::new("/dev/ttyUSB0", "frame, 9600 8N1");
        let absent = || Some("it is not there".to_owned());
        for (closed, news) in
            [(absent(), true), (absent(), false), (None, true), (None, false), (absent(), true)]
        {
            assert_eq!(port.stands(closed.clone()), news, "{closed:?}");
            assert_eq!((port.snapshot().open, port.snapshot().reason), (closed.is_none(), closed));
        }
    }

    #[test]
    fn what_is_counted_comes_out_by_its_word() {
        let port = SerialPort::new("p", "s");
        for (times, event) in (1..).zip(LineEvent::ALL) {
            port.count(event, times);
        }
        for (times, event) in (1..).zip(LineEvent::ALL) {
            assert_eq!((port.counted(event), port.snapshot().events[event.word()]), (times, times));
        }
    }
}
