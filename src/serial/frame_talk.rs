//! The conversation on a port that speaks frames: receiver and exchange together.

use std::sync::Arc;
use std::time::Duration;

use super::ascii::in_ascii;
use super::exchange::{Exchange, Next};
use super::frame::{ACK, CAN, Frame, NAK, SYN};
use super::receiver::{Heard, Receiver, Tally};
use super::request::{Answer, Asked, Request};
use super::talk::{Deed, Standing};
use crate::status::{LineEvent, SerialPort};

/// The conversation.
#[derive(Debug)]
pub(super) struct FrameTalk {
    receiver: Receiver,
    exchange: Exchange,
    typing: Typing,
    /// The line has seven data bits.
    seven_bit: bool,
    port: Arc<SerialPort>,
}

/// What a person typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Typing {
    /// A word is being answered.
    Answered,
    /// The port was closed since: nobody waits for the answer.
    Left,
    /// Nothing.
    Nothing,
}

impl FrameTalk {
    pub(super) const fn new(baud: u32, seven_bit: bool, port: Arc<SerialPort>) -> Self {
        Self {
            receiver: Receiver::new(baud),
            exchange: Exchange::new(),
            typing: Typing::Nothing,
            seven_bit,
            port,
        }
    }

    pub(super) fn on_byte(
        &mut self,
        byte: u8,
        now: Duration,
        standing: impl FnOnce() -> Standing,
    ) -> Option<Deed> {
        let heard = self.receiver.receive(byte, now);
        self.count_dropped();
        match heard? {
            Heard::Damaged { nak } => nak.then(|| Deed::Say(vec![NAK])),
            Heard::Enquiry => Some(Deed::Say(vec![self.presence(standing)])),
            Heard::Foreign(speaker) => Some(Deed::Foreign(speaker)),
            Heard::Frame(frame, check) => self.on_frame(frame, check, now, standing),
            Heard::Word(word) => {
                // A person can ask again.
                if self.is_busy() || self.typing != Typing::Nothing {
                    return None;
                }
                self.typing = Typing::Answered;
                let stopping = standing().stopping;
                Some(Deed::Ask(Request { asked: Asked::Word(word), data: Vec::new(), stopping }))
            }
        }
    }

    fn on_frame(
        &mut self,
        frame: Frame,
        check: u32,
        now: Duration,
        standing: impl FnOnce() -> Standing,
    ) -> Option<Deed> {
        match self.exchange.on_frame(frame, check, now) {
            Next::Busy => None,
            Next::Overrun => {
                self.port.count(LineEvent::Overrun, 1);
                None
            }
            Next::Repeat(reply) => {
                self.port.count(LineEvent::Repeat, 1);
                Some(Deed::Say(reply))
            }
            Next::Work { frame: Frame { seq, kind, data }, reused } => {
                self.port.count(LineEvent::Request, 1);
                self.port.count(LineEvent::SeqReuse, u64::from(reused));
                let stopping = standing().stopping;
                Some(Deed::Ask(Request { asked: Asked::by_frame(kind, seq), data, stopping }))
            }
        }
    }

    /// The answer to ENQ.
    fn presence(&self, standing: impl FnOnce() -> Standing) -> u8 {
        if self.is_busy() {
            return SYN;
        }
        let Standing { accepting, stopping } = standing();
        if accepting && !stopping { ACK } else { CAN }
    }

    pub(super) const fn is_busy(&self) -> bool {
        self.exchange.working().is_some()
    }

    pub(super) fn on_answer(&mut self, answer: Answer, typed: bool) -> Option<Deed> {
        if typed {
            let typing = std::mem::replace(&mut self.typing, Typing::Nothing);
            return (typing == Typing::Answered).then_some(Deed::Say(answer.body));
        }
        let (seq, kind) = self.exchange.working()?;
        let reply = self.reply(answer, seq, kind);
        self.exchange.on_reply(&reply).then_some(Deed::Say(reply))
    }

    fn reply(&self, Answer { status, body }: Answer, seq: u8, kind: u8) -> Vec<u8> {
        let letter = |status: u16| if status < 400 { kind.to_ascii_lowercase() } else { b'e' };
        let data = if self.seven_bit { in_ascii(body) } else { body };
        let frame = Frame { seq, kind: letter(status), data };
        frame.encode().unwrap_or_else(|error| {
            tracing::error!(
                name: "serial_reply_lost",
                port = self.port.name(),
                %error,
                "a reply fits no frame"
            );
            let Answer { status, body } = Answer::internal();
            let frame = Frame { seq, kind: letter(status), data: body };
            frame.encode().expect("it is short, and text")
        })
    }

    pub(super) fn on_closed(&mut self) {
        self.receiver.reset();
        self.exchange.on_closed();
        if self.typing == Typing::Answered {
            self.typing = Typing::Left;
        }
    }

    pub(super) fn due(&mut self, now: Duration) -> Option<Deed> {
        self.exchange.elapsed(now).then(|| Deed::Say(vec![SYN]))
    }

    pub(super) fn silent(&mut self, now: Duration) {
        self.receiver.elapsed(now);
        self.count_dropped();
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        [self.receiver.deadline(), self.exchange.deadline()].into_iter().flatten().min()
    }

    fn count_dropped(&mut self) {
        let Tally { damaged, echoes, foreign, timed_out, torn } = self.receiver.take_tally();
        for (event, times) in [
            (LineEvent::Damaged, damaged),
            (LineEvent::Echo, echoes),
            (LineEvent::Foreign, foreign),
            (LineEvent::TimedOut, timed_out),
            (LineEvent::Torn, torn),
        ] {
            if times > 0 {
                self.port.count(event, times);
            }
        }
    }
}
