//! The conversation on a port that speaks lines: one request line at a time, one answer line for each, in order.

use std::sync::Arc;
use std::time::Duration;

use super::ascii::in_ascii;
use super::lines::{HeardLine, LineForm, LineReceiver, LineRequest, read_line, write_line};
use super::request::{Answer, Asked, Request};
use super::talk::{Deed, Standing};
use crate::status::{LineEvent, SerialPort};

/// The conversation.
#[derive(Debug)]
pub(super) struct LineTalk {
    receiver: LineReceiver,
    /// What is being worked on; no byte is taken meanwhile.
    work: Option<Work>,
    seven_bit: bool,
    port: Arc<SerialPort>,
}

#[derive(Debug)]
struct Work {
    form: LineForm,
    /// The port was closed since: nobody waits.
    abandoned: bool,
}

impl LineTalk {
    pub(super) const fn new(seven_bit: bool, port: Arc<SerialPort>) -> Self {
        Self { receiver: LineReceiver::new(), work: None, seven_bit, port }
    }

    pub(super) fn on_byte(
        &mut self,
        byte: u8,
        now: Duration,
        standing: impl FnOnce() -> Standing,
    ) -> Option<Deed> {
        let LineRequest { asked, data, form } = match self.receiver.receive(byte, now)? {
            HeardLine::Foreign(speaker) => {
                self.port.count(LineEvent::Foreign, 1);
                return Some(Deed::Foreign(speaker));
            }
            HeardLine::Json(line) => read_line(line),
            HeardLine::TooLong => bare(Asked::TooLong),
            HeardLine::Word(word) => bare(Asked::Word(word)),
        };
        match &asked {
            Asked::Word(_) => {}
            Asked::BadCheck => self.port.count(LineEvent::Damaged, 1),
            asked => {
                self.port.count(LineEvent::Request, 1);
                self.port.count(LineEvent::Unchecked, u64::from(*asked == Asked::Sale && !form.checked));
            }
        }
        self.work = Some(Work { form, abandoned: false });
        Some(Deed::Ask(Request { asked, data, stopping: standing().stopping }))
    }

    pub(super) const fn is_busy(&self) -> bool {
        self.work.is_some()
    }

    pub(super) fn on_answer(&mut self, answer: Answer, typed: bool) -> Option<Deed> {
        let Work { form, .. } = self.work.take().filter(|work| !work.abandoned)?;
        if typed {
            return Some(Deed::Say(answer.body));
        }
        let Answer { status, body } = answer;
        let body = if self.seven_bit { in_ascii(body) } else { body };
        Some(Deed::Say(write_line(Answer { status, body }, &form)))
    }

    pub(super) fn on_closed(&mut self) {
        self.receiver.reset();
        if let Some(work) = &mut self.work {
            work.abandoned = true;
        }
    }

    pub(super) fn silent(&mut self, now: Duration) {
        if self.receiver.elapsed(now) {
            self.port.count(LineEvent::TimedOut, 1);
        }
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        self.receiver.deadline().filter(|_| !self.is_busy())
    }
}

fn bare(asked: Asked) -> LineRequest {
    LineRequest { asked, data: Vec::new(), form: LineForm::default() }
}
