//! Lines of JSON and typed words (1.11): bytes to lines, lines to requests, answers to lines. Told the time.

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::frame::{LF, MAX_DATA, checksum};
use super::request::{Answer, Asked};
use super::speaker::{Speaker, Word};

/// Silence before which no first byte names its speaker, and which ends what is foreign.
const QUIET: Duration = Duration::from_millis(100);
/// The longest time that a line may take.
const WHOLE_LINE: Duration = Duration::from_secs(60);
/// The longest `seq` that is given back, in bytes.
const LONGEST_SEQ: usize = 64;

/// What was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HeardLine {
    /// Something else begins; never to be answered.
    Foreign(Speaker),
    /// A line of JSON, without its end.
    Json(Vec<u8>),
    /// More than a line carries; the rest is skipped.
    TooLong,
    /// A word that a person typed.
    Word(Word),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Between lines; `quiet` after [`QUIET`].
    Start {
        quiet: bool,
    },
    Line,
    /// The rest of a line that was too long.
    Skipping,
    /// Until the line ends, or silence.
    Foreign,
}

/// The receiver of a port that speaks lines.
#[derive(Debug)]
pub(super) struct LineReceiver {
    state: State,
    collected: Vec<u8>,
    begun: Duration,
    last: Duration,
}

impl LineReceiver {
    pub(super) const fn new() -> Self {
        Self {
            state: State::Start { quiet: true },
            collected: Vec::new(),
            begun: Duration::ZERO,
            last: Duration::ZERO,
        }
    }

    /// The port was closed: nothing that was begun goes on.
    pub(super) fn reset(&mut self) {
        self.state = State::Start { quiet: true };
        self.collected = Vec::new();
    }

    /// One byte came at `now`.
    pub(super) fn receive(&mut self, byte: u8, now: Duration) -> Option<HeardLine> {
        self.last = now;
        match (self.state, byte) {
            (_, b'\r') => None,
            (State::Start { .. }, LF) => None,
            (State::Start { .. }, b'{' | b'a'..=b'z') => {
                self.state = State::Line;
                self.begun = now;
                self.collected.push(byte);
                None
            }
            (State::Start { quiet }, _) => {
                self.state = State::Foreign;
                Some(HeardLine::Foreign(if quiet { Speaker::of(byte) } else { Speaker::Noise }))
            }
            (State::Skipping | State::Foreign, LF) => {
                self.state = State::Start { quiet: false };
                None
            }
            (State::Skipping | State::Foreign, _) => None,
            (State::Line, LF) => {
                self.state = State::Start { quiet: false };
                Some(heard(std::mem::take(&mut self.collected)))
            }
            (State::Line, _) if self.collected.len() == MAX_DATA => {
                self.collected = Vec::new();
                self.state = State::Skipping;
                Some(HeardLine::TooLong)
            }
            (State::Line, _) => {
                self.collected.push(byte);
                None
            }
        }
    }

    /// When [`elapsed`](Self::elapsed) is to be called, if no byte comes before.
    pub(super) fn deadline(&self) -> Option<Duration> {
        match self.state {
            State::Start { quiet: true } => None,
            State::Start { quiet: false } | State::Foreign => Some(self.last + QUIET),
            State::Line | State::Skipping => Some(self.begun + WHOLE_LINE),
        }
    }

    /// The time is `now`, and all bytes that came before have been handed in. True: a line was not ended in time.
    pub(super) fn elapsed(&mut self, now: Duration) -> bool {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return false;
        }
        let dropped = self.state == State::Line;
        self.collected = Vec::new();
        // What still comes of a line that was dropped is no line of its own.
        self.state = if now >= self.last + QUIET { State::Start { quiet: true } } else { State::Foreign };
        dropped
    }
}

fn heard(line: Vec<u8>) -> HeardLine {
    if line.first() == Some(&b'{') {
        return HeardLine::Json(line);
    }
    match Word::from_text(line.trim_ascii_end()) {
        Some(word) => HeardLine::Word(word),
        None => HeardLine::Foreign(Speaker::Typed),
    }
}

/// What a line asks, and how its answer is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LineRequest {
    pub(super) asked: Asked,
    pub(super) data: Vec<u8>,
    pub(super) form: LineForm,
}

/// How an answer is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LineForm {
    /// With a check of its own, as the request had one.
    pub(super) checked: bool,
    /// The request's `seq`, as it wrote it.
    seq: Option<String>,
}

/// A line of JSON as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'a> {
    #[serde(borrow)]
    op: Cow<'a, str>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    seq: Option<&'a RawValue>,
}

/// Reads a line.
pub(super) fn read_line(line: Vec<u8>) -> LineRequest {
    let (json, check) = parted(&line);
    let checked = check.is_some();
    let refused = |asked, data| {
        let form = LineForm { checked, seq: None };
        LineRequest { asked, data, form }
    };
    if check.is_some_and(|check| !holds(check, json)) {
        return refused(Asked::BadCheck, Vec::new());
    }
    let envelope: Option<Envelope<'_>> =
        std::str::from_utf8(json).ok().and_then(|text| serde_json::from_str(text).ok());
    let Some(Envelope { op, data, seq }) = envelope else {
        return refused(Asked::BadLine, json.to_vec());
    };
    let plain = |seq: &str| seq.len() <= LONGEST_SEQ && !seq.starts_with(['{', '[']);
    if seq.is_some_and(|seq| !plain(seq.get())) {
        return refused(Asked::BadLine, json.to_vec());
    }
    let data = data.map(RawValue::get).filter(|data| *data != "null").unwrap_or_default();
    let form = LineForm { checked, seq: seq.map(|seq| seq.get().to_owned()) };
    LineRequest { asked: Asked::by_operation(&op), data: data.as_bytes().to_vec(), form }
}

/// The line before its check, and the check: what stands after a tab behind the object's end.
fn parted(line: &[u8]) -> (&[u8], Option<&[u8]>) {
    let end = line.iter().rposition(|byte| *byte == b'}').map_or(0, |place| place + 1);
    match line[end..].iter().position(|byte| *byte == b'\t') {
        Some(tab) => (&line[..end + tab], Some(&line[end + tab + 1..])),
        None => (line, None),
    }
}

fn holds(check: &[u8], json: &[u8]) -> bool {
    let digits = check.len() == 8 && check.iter().all(u8::is_ascii_hexdigit);
    let check = std::str::from_utf8(check).ok().filter(|_| digits);
    check.and_then(|check| u32::from_str_radix(check, 16).ok()) == Some(checksum(json))
}

/// An answer as a line, its end included.
pub(super) fn write_line(answer: Answer, form: &LineForm) -> Vec<u8> {
    let mut line = answer.body;
    if let Some(seq) = &form.seq
        && line.last() == Some(&b'}')
    {
        line.pop();
        line.extend_from_slice(format!(",\"seq\":{seq}}}").as_bytes());
    }
    if form.checked {
        let check = checksum(&line);
        line.extend_from_slice(format!("\t{check:08X}").as_bytes());
    }
    line.push(LF);
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    struct Port {
        receiver: LineReceiver,
        now: Duration,
    }

    impl Port {
        fn new() -> Self {
            Self { receiver: LineReceiver::new(), now: ms(1000) }
        }

        fn silence(&mut self, pause: Duration) -> u32 {
            let end = self.now + pause;
            let mut dropped = 0;
            while let Some(deadline) = self.receiver.deadline().filter(|deadline| *deadline <= end) {
                dropped += u32::from(self.receiver.elapsed(deadline));
            }
            self.now = end;
            dropped
        }

        /// At 115200 baud.
        fn send(&mut self, bytes: impl AsRef<[u8]>) -> Vec<HeardLine> {
            let mut heard = Vec::new();
            for byte in bytes.as_ref() {
                self.silence(Duration::from_micros(87));
                heard.extend(self.receiver.receive(*byte, self.now));
            }
            heard
        }
    }

    fn json(text: &str) -> HeardLine {
        HeardLine::Json(text.as_bytes().to_vec())
    }

    #[test]
    fn lines_are_told_apart_by_their_first_byte() {
        let check = |bytes: &[u8], expected: &[HeardLine]| {
            let heard = Port::new().send(bytes);
            assert_eq!(heard, expected, "{:?}", String::from_utf8_lossy(bytes));
        };
        check(b"{\"op\":1}\n", &[json("{\"op\":1}")]);
        check(b"\r\n\n{\"op\":1}\r\n{}\n", &[json("{\"op\":1}"), json("{}")]);
        check(b"status\r\nlast\n", &[HeardLine::Word(Word::Status), HeardLine::Word(Word::Last)]);
        check(b"hullo\n", &[HeardLine::Foreign(Speaker::Typed)]);
        check(b"\x01\x24\x20\x4A\x05\n{}\n", &[HeardLine::Foreign(Speaker::Datecs), json("{}")]);
        check(b"\x1E000001T\x037F8B2881\n", &[HeardLine::Foreign(Speaker::Frame)]);
        check(b"\x05", &[HeardLine::Foreign(Speaker::Frame)]);
        check(b"\x02\x23\x21\x60{}\n", &[HeardLine::Foreign(Speaker::Tremol)]);
        // Silence ends what is foreign, too.
        let mut port = Port::new();
        port.send(b"\x01\x24");
        port.silence(ms(100));
        assert_eq!(port.send("{}\n"), [json("{}")]);
    }

    #[test]
    fn lines_have_their_length_and_time() {
        let mut port = Port::new();
        let longest = format!("{{{}}}", "x".repeat(MAX_DATA - 2));
        assert!(port.send(format!("{longest}\n")) == [json(&longest)]);
        let heard = port.send(format!("{longest}x"));
        assert_eq!(heard, [HeardLine::TooLong]);
        assert_eq!(
            port.send(format!("{longest}\n{{}}\n")),
            [json("{}")],
            "one 400, and on with the next line"
        );
        assert_eq!(port.send("{\"op\""), []);
        assert_eq!((port.silence(ms(59_900)), port.silence(ms(200))), (0, 1));
        assert_eq!(port.send("{}\n"), [json("{}")]);
        assert_eq!(port.receiver.collected.capacity(), 0);
    }

    #[test]
    fn the_rest_of_a_line_that_took_too_long_is_no_line() {
        let mut port = Port::new();
        port.send("{\"op\":\"sale\",\"data\":");
        let mut dropped = 0;
        // A piece now and then, and no silence where the minute is over.
        for _ in 0..1201 {
            dropped += port.silence(ms(50));
            assert_eq!(port.send(" "), []);
        }
        assert_eq!(dropped, 1);
        assert_eq!(port.send("{\"trdInvcNo\":\"1\"}}\n"), []);
        assert_eq!(port.send("{}\n"), [json("{}")]);
    }

    #[test]
    fn the_worked_lines_hold() {
        let state = read_line(b"{\"op\":\"status\"}\t55CCF620".to_vec());
        assert_eq!((state.asked, state.data, state.form.checked), (Asked::State, Vec::new(), true));
        let sale = "{\"trdInvcNo\":\"T1-000123\",\"rcptTyCd\":\"S\",\"salesTyCd\":\"N\",\"pmtTyCd\":\"01\",\
            \"itemList\":[{\"itemCd\":\"KE2NTNO0000001\",\"qty\":2}],\"totAmt\":130.00}";
        let line = format!("{{\"op\":\"sale\",\"data\":{sale}}}\tC5B72EF1");
        let read = read_line(line.clone().into_bytes());
        assert_eq!((read.asked, read.data), (Asked::Sale, sale.as_bytes().to_vec()));
        for place in 0..line.len() {
            for bit in 0..8 {
                let mut damaged = line.clone().into_bytes();
                damaged[place] ^= 1 << bit;
                if damaged[place] == LF
                    || damaged.eq_ignore_ascii_case(line.as_bytes()) && place + 8 >= line.len()
                {
                    continue;
                }
                let asked = read_line(damaged).asked;
                assert!(
                    matches!(asked, Asked::BadCheck | Asked::BadLine),
                    "byte {place}, bit {bit}: {asked:?}"
                );
            }
        }
    }

    proptest::proptest! {
        /// Any bytes: no panic, little memory, and a good line after them is heard.
        #[test]
        fn nothing_that_comes_breaks_the_receiver(
            pieces in proptest::collection::vec(proptest::prop_oneof![
                2 => proptest::num::u8::ANY,
                1 => proptest::sample::select(b"{}\"op:\t\n\r status".to_vec()),
            ], 0..400),
        ) {
            let mut port = Port::new();
            for heard in port.send(&pieces) {
                if let HeardLine::Json(line) = heard {
                    write_line(Answer { status: 200, body: b"{}".to_vec() }, &read_line(line).form);
                }
            }
            proptest::prop_assert!(port.receiver.collected.capacity() <= 1024);
            let heard = port.send("\n{}\n");
            proptest::prop_assert_eq!(heard.last(), Some(&json("{}")));
        }
    }

    #[test]
    fn what_a_line_asks() {
        let check = |line: &str, asked: Asked, data: &str, checked: bool| {
            let read = read_line(line.as_bytes().to_vec());
            assert_eq!((read.asked, read.form.checked), (asked, checked), "{line}");
            assert_eq!(String::from_utf8_lossy(&read.data), data, "{line}");
        };
        check(r#"{"op":"last"}"#, Asked::Last, "", false);
        check(r#"{"op":"last","data":null}"#, Asked::Last, "", false);
        check(
            r#"{ "op" : "query" , "data" : {"trdInvcNo":"1\t2"} }"#,
            Asked::Query,
            r#"{"trdInvcNo":"1\t2"}"#,
            false,
        );
        check("{\"op\":\t\"hello\"\t}", Asked::Hello, "", false);
        check(r#"{"op":"dance"}"#, Asked::Unknown, "", false);
        for bad in
            [r#"{"data":{}}"#, r#"{"op":"last","op":"last"}"#, r#"{"op":"last","x":1}"#, "{", r#"{"op":5}"#]
        {
            check(bad, Asked::BadLine, bad, false);
        }
        check(r#"{"op":"last","seq":{"a":1}}"#, Asked::BadLine, r#"{"op":"last","seq":{"a":1}}"#, false);
        for bad in ["", "55CCF62", "55CCF6200", "55CCF621", "+5CCF620", "55CCF62G"] {
            check(&format!("{{\"op\":\"status\"}}\t{bad}"), Asked::BadCheck, "", true);
        }
    }

    #[test]
    fn answers_echo_the_count_and_carry_a_check_where_the_request_did() {
        let check = |request: &str, expected: &str| {
            let form = read_line(request.as_bytes().to_vec()).form;
            let answer = Answer { status: 200, body: br#"{"st":200}"#.to_vec() };
            assert_eq!(String::from_utf8(write_line(answer, &form)).unwrap(), expected, "{request}");
        };
        check(r#"{"op":"status"}"#, "{\"st\":200}\n");
        check(r#"{"op":"status","seq":7}"#, "{\"st\":200,\"seq\":7}\n");
        check(r#"{"op":"status","seq":"a\"b"}"#, "{\"st\":200,\"seq\":\"a\\\"b\"}\n");
        let bare = format!("{{\"st\":200}}\t{:08X}\n", checksum(b"{\"st\":200}"));
        check("{\"op\":\"status\"}\t55CCF620", &bare);
    }
}
