//! One port's conversation over any stream: bytes, answers and the time go in where they belong. Decides nothing.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{debug, info, warn};

use super::frame_talk::FrameTalk;
use super::line_talk::LineTalk;
use super::outbox::Outbox;
use super::request::{Answer, Asked, Request};
use super::speaker::Speaker;
use super::talk::{Deed, Standing, Talk};
use crate::status::{LineEvent, SerialPort};

/// The same stranger is told of at most once in this time (1.3).
const TOLD_AGAIN: Duration = Duration::from_secs(60);

/// What a port speaks (1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Frames, and typed words.
    Frame,
    /// Lines of JSON, and typed words.
    Lines,
}

/// What a link must know of its line.
#[derive(Clone, Copy, Debug)]
pub struct LinkSettings {
    /// What it speaks.
    pub protocol: Protocol,
    /// Bits a second.
    pub baud: u32,
    /// Seven data bits: replies are written in ASCII.
    pub seven_bit: bool,
}

/// Who answers, and how a stop is told.
#[derive(Debug)]
pub struct Answering<H, R> {
    /// Answers a request; called in a task of its own.
    pub answer: H,
    /// Whether a sale sent now would be taken. Must not wait.
    pub accepting: R,
    /// Holds true (or its sender is gone) once the gateway is being stopped.
    pub stop: watch::Receiver<bool>,
    /// Held until, after that, nothing is being worked on and every reply has been written.
    pub alive: mpsc::Sender<Infallible>,
}

/// Why a stream ended.
#[derive(Debug)]
pub enum Ended {
    /// Reading or writing failed.
    Failed(io::Error),
    /// The other side is gone.
    HungUp,
}

/// One port's conversation. It outlives its streams: what is being worked on goes on when the port is closed.
#[derive(Debug)]
pub struct Link<H, R> {
    talk: Talk,
    outbox: Outbox,
    work: JoinSet<(Answer, bool)>,
    answer: H,
    accepting: R,
    stop: watch::Receiver<bool>,
    stopping: bool,
    alive: Option<mpsc::Sender<Infallible>>,
    /// When which stranger was last told of.
    told: Vec<(Speaker, Duration)>,
    port: Arc<SerialPort>,
    epoch: Instant,
}

impl<H, R, F> Link<H, R>
where
    H: Fn(Request) -> F,
    F: Future<Output = Answer> + Send + 'static,
    R: Fn() -> bool,
{
    /// A link of this port; no stream is needed yet.
    pub fn new(settings: LinkSettings, port: Arc<SerialPort>, answering: Answering<H, R>) -> Self {
        let LinkSettings { protocol, baud, seven_bit } = settings;
        let talk = match protocol {
            Protocol::Frame => Talk::Frames(FrameTalk::new(baud, seven_bit, Arc::clone(&port))),
            Protocol::Lines => Talk::Lines(LineTalk::new(seven_bit, Arc::clone(&port))),
        };
        let Answering { answer, accepting, stop, alive } = answering;
        Self {
            talk,
            outbox: Outbox::default(),
            work: JoinSet::new(),
            answer,
            accepting,
            stopping: false,
            stop,
            alive: Some(alive),
            told: Vec::new(),
            port,
            epoch: Instant::now(),
        }
    }

    /// Speaks over this stream until it ends.
    pub async fn run(&mut self, stream: impl AsyncRead + AsyncWrite) -> Ended {
        let (reader, writer) = tokio::io::split(stream);
        let (mut reader, mut writer) = (std::pin::pin!(reader), std::pin::pin!(writer));
        let mut chunk = [0; 4096];
        let (mut next, mut end) = (0, 0);
        let ended = loop {
            while next < end && self.talk.takes_bytes() {
                self.on_byte(chunk[next]);
                next += 1;
            }
            if let Some(deed) = self.talk.due(self.now()) {
                self.carry_out(deed);
            }
            self.tell_when_idle();
            let deadline = [self.talk.deadline(), self.outbox.deadline()].into_iter().flatten().min();
            let deadline = deadline.map(|deadline| self.epoch + deadline);
            tokio::select! {
                // Bytes that came before their time was over are handed in first: the clock comes last.
                biased;
                Some(answered) = self.work.join_next() => self.on_answer(answered),
                () = stopped(&mut self.stop), if !self.stopping => self.stopping = true,
                wrote = writer.write(self.outbox.waiting()), if !self.outbox.is_empty() => match wrote {
                    Ok(0) => break Ended::HungUp,
                    Ok(count) => self.outbox.took(count, self.now()),
                    Err(error) => break Ended::Failed(error),
                },
                read = reader.read(&mut chunk), if next == end => match read {
                    Ok(0) => break Ended::HungUp,
                    Ok(count) => (next, end) = (0, count),
                    Err(error) => break Ended::Failed(error),
                },
                () = sleep_until(deadline.unwrap_or(self.epoch)), if deadline.is_some() => self.on_time(),
            }
        };
        self.talk.on_closed();
        self.outbox.clear();
        ended
    }

    /// Waits with no stream: what is being worked on is finished all the same.
    pub async fn rest(&mut self, pause: Duration) {
        let mut over = std::pin::pin!(sleep(pause));
        loop {
            self.tell_when_idle();
            tokio::select! {
                () = over.as_mut() => return,
                Some(answered) = self.work.join_next() => self.on_answer(answered),
                () = stopped(&mut self.stop), if !self.stopping => self.stopping = true,
            }
        }
    }

    fn now(&self) -> Duration {
        self.epoch.elapsed()
    }

    fn on_byte(&mut self, byte: u8) {
        let (now, stopping) = (self.now(), self.stopping);
        let accepting = &self.accepting;
        let standing = || Standing { accepting: accepting(), stopping };
        if let Some(deed) = self.talk.on_byte(byte, now, standing) {
            self.carry_out(deed);
        }
    }

    fn on_time(&mut self) {
        let now = self.now();
        self.talk.silent(now);
        if self.outbox.elapsed(now) {
            self.port.count(LineEvent::Unsent, 1);
            warn!(
                name: "serial_reply_lost",
                port = self.port.name(),
                "the line takes nothing: a reply was left out"
            );
        }
    }

    fn on_answer(&mut self, answered: Result<(Answer, bool), tokio::task::JoinError>) {
        // A task that ended early is our own fault, and the register's sale may be on the disk: it asks again.
        let (answer, typed) = answered.unwrap_or_else(|_| (Answer::internal(), false));
        if let Some(deed) = self.talk.on_answer(answer, typed) {
            self.carry_out(deed);
        }
    }

    fn carry_out(&mut self, deed: Deed) {
        match deed {
            Deed::Ask(request) => {
                let typed = matches!(request.asked, Asked::Word(_));
                debug!(port = self.port.name(), asked = ?request.asked, bytes = request.data.len(), "request");
                let answer = (self.answer)(request);
                self.work.spawn(async move { (answer.await, typed) });
            }
            Deed::Foreign(speaker) => self.tell(speaker),
            Deed::Say(bytes) => {
                if !self.outbox.put(&bytes, self.now()) {
                    self.port.count(LineEvent::Unsent, 1);
                }
            }
        }
    }

    fn tell(&mut self, speaker: Speaker) {
        let now = self.now();
        self.told.retain(|(_, at)| now < *at + TOLD_AGAIN);
        if self.told.iter().all(|(known, _)| *known != speaker) {
            self.told.push((speaker, now));
            let port = self.port.name();
            match speaker {
                // Each slip of a technician's fingers is nothing to worry about.
                Speaker::Typed => info!(name: "serial_speaker", port, speaker = speaker.word(), "{speaker}"),
                _ => warn!(name: "serial_speaker", port, speaker = speaker.word(), "{speaker}"),
            }
        }
    }

    /// Once the gateway is being stopped and nobody waits for anything: whoever stops it need not wait for this port.
    fn tell_when_idle(&mut self) {
        if self.stopping && self.work.is_empty() && self.outbox.is_empty() {
            self.alive = None;
        }
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // A sender that is gone means the same.
    let _ = stop.wait_for(|stop| *stop).await;
}

#[cfg(test)]
mod tests;
