//! Each row of the receiver's table, and what noise of any kind cannot do.

use super::*;
use crate::serial::frame::MAX_DATA;
use crate::serial::tests::{EXAMPLES, Example, SALE};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A receiver and its clock: bytes come 1 ms apart.
struct Line {
    receiver: Receiver,
    now: Duration,
    heard: Vec<Heard>,
}

impl Line {
    fn new() -> Self {
        Self { receiver: Receiver::new(9600), now: ms(1000), heard: Vec::new() }
    }

    /// The time goes on, and the receiver is told whenever it asked to be.
    fn silence(&mut self, pause: Duration) -> &mut Self {
        let end = self.now + pause;
        while let Some(deadline) = self.receiver.deadline().filter(|deadline| *deadline <= end) {
            self.receiver.elapsed(deadline);
        }
        self.now = end;
        self
    }

    fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        for byte in bytes.as_ref() {
            self.silence(ms(1));
            self.heard.extend(self.receiver.receive(*byte, self.now));
        }
        self
    }

    fn heard(&mut self) -> Vec<Heard> {
        std::mem::take(&mut self.heard)
    }
}

fn frame(seq: u8, kind: u8, data: &str) -> Vec<u8> {
    Frame { seq, kind, data: data.as_bytes().to_vec() }.encode().unwrap()
}

/// What a good frame of the register is heard as.
fn good(bytes: &[u8]) -> Heard {
    let data = bytes[1 + HEAD..bytes.len() - TAIL - 1].to_vec();
    let seq = u8::from_str_radix(std::str::from_utf8(&bytes[5..7]).unwrap(), 16).unwrap();
    Heard::Frame(Frame { seq, kind: bytes[7], data }, checksum(&bytes[1..bytes.len() - TAIL]))
}

const NAKED: Heard = Heard::Damaged { nak: true };
const SUPPRESSED: Heard = Heard::Damaged { nak: false };

#[test]
fn the_worked_examples_are_read_byte_for_byte() {
    for Example { seq, kind, data, bytes } in EXAMPLES {
        let mut line = Line::new();
        let heard = line.send(bytes).heard();
        if kind.is_ascii_uppercase() {
            let check = u32::from_str_radix(&bytes[bytes.len() - TAIL..bytes.len() - 1], 16).unwrap();
            let frame = Frame { seq: *seq, kind: *kind, data: data.as_bytes().to_vec() };
            assert_eq!(heard, [Heard::Frame(frame, check)]);
        } else {
            assert_eq!(heard, [], "our own frame came back: {bytes:?}");
            assert_eq!(line.receiver.take_tally(), Tally { echoes: 1, ..Tally::default() });
        }
        // Nothing of it is left behind.
        assert_eq!(line.send(SALE).heard(), [good(SALE.as_bytes())]);
    }
}

#[test]
fn what_comes_is_answered_as_the_table_says() {
    let check = |bytes: &[u8], expected: &[Heard]| {
        assert_eq!(Line::new().send(bytes).heard(), expected, "{:?}", String::from_utf8_lossy(bytes));
    };
    let sale = SALE.as_bytes();
    let changed = |place: usize, byte: u8| {
        let mut bytes = sale.to_vec();
        bytes[place] = byte;
        bytes
    };
    let end = sale.len();
    check(b"\x05\x05", &[Heard::Enquiry, Heard::Enquiry]);
    check(&changed(1, b'g'), &[NAKED]);
    check(&changed(6, b'a'), &[NAKED]);
    check(&changed(7, b'1'), &[NAKED]);
    check(&changed(3, b'7'), &[NAKED]);
    check(&changed(3, b'9'), &[NAKED]);
    check(&changed(20, b'\t'), &[NAKED]);
    check(&changed(20, b'!'), &[NAKED]);
    check(&changed(end - 2, b'E'), &[NAKED]);
    check(&changed(end - 2, b'f'), &[NAKED]);
    check(&changed(end - 1, b'\r'), &[NAKED]);
    // A beginning, or an enquiry, wherever it comes.
    for torn in 1..end {
        check(&[&sale[..torn], sale].concat(), &[good(sale)]);
        check(&[&sale[..torn], &[ENQ]].concat(), &[Heard::Enquiry]);
        check(&[&sale[..torn], &[ENQ], sale].concat(), &[Heard::Enquiry, good(sale)]);
    }
    // What follows a damaged frame is thrown away, but no beginning is.
    check(&[&changed(20, b'!')[..], b"and more", sale].concat(), &[NAKED, good(sale)]);
    check(&[&changed(20, b'!')[..], b"and more\x05"].concat(), &[NAKED, Heard::Enquiry]);
    // Frames without a pause between them.
    check(&[sale, &frame(3, b'T', "")[..]].concat(), &[good(sale), good(&frame(3, b'T', ""))]);
}

#[test]
fn naks_are_few() {
    let mut line = Line::new();
    let bad = SALE.replace("130.00", "103.00");
    let mut naks = Vec::new();
    for _ in 0..60 {
        let heard = line.send(&bad).heard();
        if heard == [NAKED] {
            naks.push(line.now);
        } else {
            assert_eq!(heard, [SUPPRESSED]);
        }
    }
    let span = *naks.last().unwrap() - naks[0];
    assert!(naks.windows(2).all(|pair| pair[1] - pair[0] >= NAK_GAP), "{naks:?}");
    assert!(naks.windows(5).all(|five| five[4] - five[0] >= ms(1000)), "{naks:?}");
    assert!(naks.len() >= 30 && span > ms(8000), "{naks:?}");
    line.silence(ms(200)).heard();
    assert_eq!(line.receiver.take_tally().damaged, 60);
}

#[test]
fn pauses_are_taken_up_to_half_a_second() {
    let hello = frame(0, b'H', r#"{"proto":1}"#);
    // Each byte comes 1 ms after the one before, and three of them after such a pause more.
    for (pause, heard) in [(ms(450), true), (ms(498), true), (ms(499), false), (ms(620), false)] {
        let mut line = Line::new();
        for byte in &hello {
            let long = matches!(*byte, b'{' | ETX | LF);
            line.silence(if long { pause } else { Duration::ZERO }).send([*byte]);
        }
        let found = line.heard();
        assert_eq!(found.contains(&good(&hello)), heard, "{pause:?}: {found:?}");
        let naked = found.iter().any(|it| matches!(it, Heard::Damaged { .. }));
        assert!(!naked, "silence is not answered: {found:?}");
        assert_eq!(line.receiver.take_tally().timed_out, u64::from(!heard), "{pause:?}");
    }
}

#[test]
fn a_whole_frame_has_its_time() {
    // 154 bytes at 9600 take 0.16 s: two seconds are given. The longest takes 68 s: three times that.
    let receiver = Receiver::new(9600);
    assert_eq!(receiver.whole_frame(136), ms(2000));
    assert_eq!(receiver.whole_frame(MAX_DATA), ms(204_853));
    assert_eq!(Receiver::new(115_200).whole_frame(MAX_DATA), ms(17_071));

    let mut line = Line::new();
    for byte in SALE.bytes() {
        line.silence(ms(20)).send([byte]);
    }
    assert!(!line.heard().iter().any(|it| matches!(it, Heard::Frame(..) | Heard::Damaged { .. })));
    assert_eq!(line.receiver.take_tally().timed_out, 1, "154 bytes in 3.2 s");
}

#[test]
fn a_pause_of_our_own_drops_nothing() {
    let mut line = Line::new();
    line.send(&SALE[..50]);
    // The machine was busy for two seconds; the bytes had come in time, and are handed in before the clock is looked at.
    line.now += ms(2000);
    for byte in SALE[50..].bytes() {
        line.heard.extend(line.receiver.receive(byte, line.now));
    }
    line.receiver.elapsed(line.now);
    assert_eq!(line.heard(), [good(SALE.as_bytes())]);
}

#[test]
fn foreign_registers_are_named_and_never_answered() {
    let datecs = b"\x01\x24\x20\x4A\x05\x30\x30\x39\x33\x03";
    let datecs_x = b"\x01\x30\x30\x32\x3B\x21\x30\x30\x35\x3A\x31\x05\x30\x31\x3F\x33\x03";
    let tremol = b"\x02\x23\x21\x60\x36\x32\x0A";
    let check = |bytes: &[u8], speaker| {
        let mut line = Line::new();
        for _ in 0..3 {
            assert_eq!(line.send(bytes).heard(), [Heard::Foreign(speaker)], "{bytes:?}");
            line.silence(ms(100));
        }
        assert_eq!(line.receiver.take_tally(), Tally { foreign: 3, ..Tally::default() });
        assert_eq!(line.send(SALE).heard(), [good(SALE.as_bytes())]);
    };
    check(datecs, Speaker::Datecs);
    check(datecs_x, Speaker::Datecs);
    check(tremol, Speaker::Tremol);
    check(b"\x04", Speaker::Tremol);
    check(b"\x09", Speaker::Tremol);
    check(b"{\"op\":\"status\"}\n", Speaker::Lines);
    check(b"\xF0\x81\x05\x0F", Speaker::Noise);
    check(b"hullo\n", Speaker::Typed);
    check(b"STATUS\n", Speaker::Noise);
    // Straight after something else nothing is named: it may be the middle of anything.
    let heard = Line::new().send(frame(1, b'T', "")).send(b"\x01\x24").heard();
    assert_eq!(heard[1], Heard::Foreign(Speaker::Noise));
}

#[test]
fn an_enquiry_within_noise_is_noise_until_there_was_silence() {
    let mut line = Line::new();
    assert_eq!(line.send(b"\x80\x05").heard(), [Heard::Foreign(Speaker::Noise)]);
    assert_eq!(line.silence(ms(90)).send(b"\x05").heard(), []);
    assert_eq!(line.silence(ms(101)).send(b"\x05").heard(), [Heard::Enquiry]);
    // No noise hides a beginning.
    assert_eq!(line.send(b"\x80\x05").send(SALE).heard()[1], good(SALE.as_bytes()));
}

#[test]
fn our_own_single_bytes_are_an_echo() {
    for byte in [ACK, NAK, SYN, CAN] {
        let mut line = Line::new();
        assert_eq!(line.send([byte]).send(SALE).heard(), [good(SALE.as_bytes())]);
        assert_eq!(line.receiver.take_tally(), Tally { echoes: 1, ..Tally::default() });
    }
}

#[test]
fn words_are_known_after_silence_and_when_their_line_ends() {
    let check = |bytes: &[u8], expected: &[Heard]| {
        assert_eq!(Line::new().send(bytes).heard(), expected, "{:?}", String::from_utf8_lossy(bytes));
    };
    check(b"status\n", &[Heard::Word(Word::Status)]);
    check(b"queue\r\n", &[Heard::Word(Word::Queue)]);
    check(b"help\r", &[Heard::Word(Word::Help)]);
    check(b"last", &[]);
    check(b"lasts\n", &[Heard::Foreign(Speaker::Typed)]);
    check(b"stat\n", &[Heard::Foreign(Speaker::Typed)]);
    check(b"status", &[]);
    // Not within a frame, nor straight after one.
    check(&[&SALE.as_bytes()[..30], b"status"].concat(), &[]);
    check(&[&SALE.as_bytes()[..30], b"status\n"].concat(), &[NAKED]);
    check(&[SALE.as_bytes(), b"status\n"].concat(), &[good(SALE.as_bytes()), Heard::Foreign(Speaker::Noise)]);
    // A beginning breaks into a word.
    check(&[b"stat", SALE.as_bytes()].concat(), &[good(SALE.as_bytes())]);
}

#[test]
fn a_person_types_slowly() {
    let mut line = Line::new();
    for byte in b"status\n" {
        line.silence(ms(400)).send([*byte]);
    }
    assert_eq!(line.heard(), [Heard::Word(Word::Status)]);
    // A slip, a pause, and again from the start.
    line.silence(ms(300));
    for byte in b"sttastatus\n" {
        line.silence(ms(400)).send([*byte]);
    }
    assert_eq!(line.heard().last(), Some(&Heard::Word(Word::Status)));
    // While a word is being typed the line is free.
    line.silence(ms(300)).send("sta").silence(ms(150));
    assert_eq!(line.send([ENQ]).heard(), [Heard::Enquiry]);
    line.silence(ms(300)).send("sta").silence(ms(150));
    assert_eq!(line.send(SALE).heard(), [good(SALE.as_bytes())]);
    // A line that is not ended is forgotten after a minute.
    line.silence(ms(300)).send("stat").silence(ms(60_000)).send("us\n");
    assert!(!line.heard().contains(&Heard::Word(Word::Status)));
}

#[test]
fn lengths() {
    let mut line = Line::new();
    let longest = Frame { seq: 1, kind: b'S', data: vec![b'x'; MAX_DATA] }.encode().unwrap();
    assert_eq!(line.send(&longest).heard(), [good(&longest)]);
    // Promised, and never sent: nothing is set aside for it.
    line.send(b"\x1EFFFF01Sabc");
    assert!(line.receiver.collected.capacity() < 64);
    line.silence(ms(500));
    assert_eq!(line.receiver.take_tally().timed_out, 1);
    assert_eq!(line.receiver.collected.capacity(), 0);
    assert_eq!(line.send(frame(1, b'S', "")).heard(), [good(&frame(1, b'S', ""))]);
}

#[test]
fn every_single_bit_error_is_caught() {
    let mut caught = 0;
    for place in 0..SALE.len() {
        for bit in 0..8 {
            let mut bytes = SALE.as_bytes().to_vec();
            bytes[place] ^= 1 << bit;
            let mut line = Line::new();
            let heard = line.send(&bytes).silence(ms(3000)).heard();
            assert!(
                !heard.iter().any(|it| matches!(it, Heard::Frame(..))),
                "byte {place}, bit {bit}: {heard:?}"
            );
            assert_eq!(line.send(SALE).heard(), [good(SALE.as_bytes())], "byte {place}, bit {bit}");
            caught += usize::from(heard.contains(&NAKED));
        }
    }
    // The others make no frame at all, an enquiry, or a frame that waits for bytes.
    assert!(caught > 1150, "{caught} of {} are told at once", 8 * SALE.len());
}

#[test]
fn every_exchange_of_neighbours_is_caught() {
    for place in 1 + HEAD..SALE.len() - TAIL - 2 {
        let mut bytes = SALE.as_bytes().to_vec();
        bytes.swap(place, place + 1);
        if bytes != SALE.as_bytes() {
            assert_eq!(Line::new().send(&bytes).heard(), [NAKED], "at {place}");
        }
    }
}

#[test]
fn ten_megabytes_of_noise_are_bounded() {
    let mut line = Line::new();
    let (mut state, mut naks, mut largest) = (0x2545_F491_4F6C_DD1D_u64, Vec::new(), 0);
    // 115200 baud: 11,520 bytes a second.
    for count in 0..10_u64 << 20 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        line.now = Duration::from_micros(count * 87);
        match line.receiver.receive(state.to_be_bytes()[3], line.now) {
            Some(Heard::Frame(frame, _)) => panic!("noise is no frame: {frame:?}"),
            Some(Heard::Damaged { nak: true }) => naks.push(line.now),
            _ => {}
        }
        largest = largest.max(line.receiver.collected.capacity());
    }
    assert!(naks.windows(5).all(|five| five[4] - five[0] >= ms(1000)), "fewer than five a second");
    assert!(naks.len() > 1000, "{}", naks.len());
    assert!(largest <= 1 << 17, "{largest}");
    assert_eq!(line.silence(ms(100)).send(SALE).heard(), [good(SALE.as_bytes())]);
}

proptest::proptest! {
    #[test]
    fn what_is_sent_is_heard(seq: u8, kind in b'A'..=b'Z', text in "[ -~\u{A0}-\u{2FFF}]{0,300}") {
        let bytes = frame(seq, kind, &text);
        proptest::prop_assert_eq!(Line::new().send(&bytes).heard(), vec![good(&bytes)]);
    }

    /// Noise, a torn frame, a good one: one execution. Only noise that ends within a frame's beginning could hide it, and
    /// RS ends that.
    #[test]
    fn whatever_came_before_a_good_frame_is_heard(
        noise in proptest::collection::vec(proptest::num::u8::ANY, 0..400),
        torn in 0..SALE.len(),
    ) {
        let mut line = Line::new();
        line.send(&noise).send(&SALE[..torn]).send(SALE);
        let frames: Vec<_> = line.heard().into_iter().filter(|it| matches!(it, Heard::Frame(..))).collect();
        proptest::prop_assert_eq!(frames, vec![good(SALE.as_bytes())]);
    }

    /// Any bytes at any time: no panic, little memory, no answer to what is no frame.
    #[test]
    fn nothing_that_comes_breaks_the_receiver(
        pieces in proptest::collection::vec(
            (proptest::collection::vec(proptest::prop_oneof![
                2 => proptest::num::u8::ANY,
                1 => proptest::sample::select(b"\x1E\x05\x03\n\r0F1S{statushelp".to_vec()),
            ], 0..40), 0..700_u64),
            0..40,
        ),
    ) {
        let mut line = Line::new();
        for (bytes, pause) in pieces {
            line.send(&bytes).silence(ms(pause));
            proptest::prop_assert!(line.receiver.collected.capacity() <= 4096);
        }
        proptest::prop_assert!(!line.heard().iter().any(|it| matches!(it, Heard::Frame(..))));
        line.silence(ms(500));
        proptest::prop_assert_eq!(line.send(SALE).heard(), vec![good(SALE.as_bytes())]);
    }
}
