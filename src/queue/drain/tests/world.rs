//! Everything together: the machine, its log, KRA, a clock and a person.

use std::time::Duration;

use super::kra::{Kra, Mood, Whose, probe};
use super::log::{Kept, Log};
use super::policy;
use crate::queue::adoption::{Adoption, Claim, Finding, Page, Step as Walk, Tied};
use crate::queue::drain::{Action, Drain, Event, LookUp};
use crate::queue::{Command, Declined, Moment, Seq, Settlement, Status, Step, Unreachable};

pub(super) struct World {
    pub(super) kra: Kra,
    pub(super) log: Log,
    pub(super) drain: Drain,
    pub(super) now: Moment,
    /// As what documents were settled.
    pub(super) settled: Vec<(Seq, Settlement)>,
    strangers: u64,
    /// KRA's look-up has answered since the start.
    looked_up: bool,
}

impl World {
    pub(super) fn new(documents: u64) -> Self {
        let kept = (1..=documents).map(Kept::waiting).collect();
        let log = Log { kept, next_number: 1, ..Log::default() };
        let drain = Drain::new(policy(), Moment(0));
        Self {
            kra: Kra::default(),
            log,
            drain,
            now: Moment(0),
            settled: Vec::new(),
            strangers: 0,
            looked_up: false,
        }
    }

    /// One action of the machine, answered in this mood; the event that comes of it.
    pub(super) fn carry_out(&mut self, action: Action, mood: Mood, luck: u64) -> Event {
        match action {
            Action::Bind(document, number) => {
                self.log.bind(document, number);
                Event::Bound
            }
            Action::Connect if mood == Mood::Away => {
                Event::Unreachable(Unreachable { at: Step::Connect, why: "refused".to_owned() })
            }
            Action::Connect => Event::Connected,
            Action::LookUp(number, compared) => {
                // One that was never seen has to be believed.
                let mood = if mood == Mood::LooksNothingUp && !self.looked_up { Mood::Answers } else { mood };
                let look_up = self.kra.look_up(number, compared, mood);
                self.looked_up |= matches!(look_up, LookUp::Absent | LookUp::Found { .. });
                Event::LookedUp(look_up)
            }
            Action::LookUpInList(number, document) => {
                Event::LookedUp(self.kra.look_up_in_list(number, document, mood))
            }
            Action::Probe => Event::Probed(probe(mood)),
            Action::Record(document, ruling, bind) => {
                self.log.record(document, &ruling);
                if ruling.with_original {
                    self.log.rejoin();
                }
                match bind.filter(|_| luck.is_multiple_of(2)) {
                    Some((next, number)) => {
                        self.log.bind(next, number);
                        Event::RecordedAndBound
                    }
                    None => Event::Recorded,
                }
            }
            Action::Send(document, number) => {
                let original = self.log.kept(document).original;
                let in_books = original.is_none_or(|original| self.kra.holds(original));
                assert!(
                    in_books,
                    "{document} reaches KRA before the sale that it credits: {:?}",
                    self.kra.books
                );
                let sent = self.kra.send(self.now, document, number, mood, luck);
                if !matches!(mood, Mood::Answers | Mood::Away) {
                    self.now = self.now.after(Duration::from_millis(luck % 120_000));
                }
                Event::Sent(sent, None)
            }
            Action::WaitUntil(until) => {
                let sleeps = until.is_none() && self.drain.stopped().is_none();
                let waiting = self.log.kept.iter().find(|kept| kept.status == Status::Pending);
                assert!(!sleeps || waiting.is_none(), "it sleeps until somebody wakes it, and {waiting:?}");
                self.now =
                    until.map_or(self.now, |until| until.max(self.now)).after(Duration::from_millis(1));
                Event::Woken
            }
        }
    }

    /// What a clean stop does: a number under which nothing was sent is free again.
    fn free_unsent(&mut self) {
        let head = self.log.view(&self.drain, self.now).head;
        let unsent = head.filter(|head| self.drain.unsent() == Some(head.document) && head.bound.is_some());
        if let Some(head) = unsent.filter(|head| head.unsure_sends == 0) {
            let kept = self.log.kept(head.document);
            kept.bound = None;
            kept.answered = true;
        }
    }

    /// A start in the place of whatever was under way; half of the stops are clean.
    pub(super) fn restart(&mut self, clean: bool) {
        if clean {
            self.free_unsent();
        }
        self.drain = Drain::new(policy(), self.now);
        self.looked_up = false;
        self.drain.recall_without_proof(self.now, &self.log.without_proof());
    }

    /// Somebody else books in our series.
    pub(super) fn stranger(&mut self) {
        self.strangers += 1;
        self.kra.books.push(Whose::Foreign(self.strangers));
    }

    /// A person's command. What is said is true: only what is in KRA's books is settled as accepted, and only what is not
    /// as anything else.
    pub(super) fn order(&mut self, command: Command) -> Result<(), Declined> {
        if let Command::Settle(document, _, settlement) = command {
            let elsewhere = settlement != Settlement::Accepted;
            if self.kra.holds(document) == elsewhere {
                return Err(Declined::NotAllowed("it would be a lie".to_owned()));
            }
        }
        let document = command.document().map(|(document, _)| document);
        let subject = document.and_then(|document| self.log.subject(document));
        let act = self.drain.judge(self.now, &command, subject.as_ref())?;
        if let (Some(document), Some(ruling)) = (document, &act.ruling) {
            self.log.record(document, ruling);
        }
        match command {
            Command::AdoptSeries(named) => {
                let adopted = self.adopt(named);
                self.drain.recall_without_proof(self.now, &self.log.without_proof());
                return adopted;
            }
            Command::Settle(document, _, settlement) => {
                self.settled.push((document, settlement));
                self.log.kept(document).settled = Some(settlement);
            }
            Command::RetryAll => {
                for kept in &mut self.log.kept {
                    if kept.status == Status::Parked {
                        kept.release();
                    }
                }
            }
            Command::Park(..) | Command::Retry(..) => {}
        }
        self.drain.obey(self.now, &command, &act);
        self.log.rejoin();
        Ok(())
    }

    fn adopt(&mut self, named: Option<u64>) -> Result<(), Declined> {
        let view = self.log.view(&self.drain, self.now);
        let tied = view.head.and_then(|head| {
            let mut standing = self.log.subject(head.document)?.standing;
            if self.drain.unsent() != Some(head.document) {
                standing.unsure_sends = standing.unsure_sends.max(1);
            }
            let landed = self.drain.landed(self.now, head.document);
            Some(Tied {
                document: head.document,
                standing,
                number: head.bound?,
                landed,
                accepted: head.accepted,
            })
        });
        let mut adoption = match named {
            Some(next) => Adoption::named(next, view.last, tied, self.drain.no_look_up()),
            None => Adoption::walk(view.next_number, view.last, tied),
        };
        loop {
            match adoption.step() {
                Walk::Read(number) => {
                    let claim = self.claim(number, tied);
                    let ours = self.log.used.iter().rev().find(|(used, _)| *used == number);
                    let ours = ours.map(|(_, sign)| sign.clone());
                    adoption.read(Page { theirs: self.kra.page(number), ours, claim });
                }
                Walk::Write(finding) => {
                    if let Finding::Ours { number, document, .. } = &finding {
                        assert_eq!(self.kra.ours_under(*number), Some(*document), "adopted, and not there");
                    }
                    self.log.write_finding(&finding);
                }
                Walk::Finish(outcome) => {
                    self.log.set_series(&outcome);
                    let head = self.log.view(&self.drain, self.now).head;
                    let bound = head.and_then(|head| Some((head.document, head.bound?)));
                    self.drain.adopted(self.now, named.is_some(), bound);
                    return Ok(());
                }
                Walk::Refuse(why) => return Err(Declined::NotAllowed(why)),
            }
        }
    }

    fn claim(&self, number: u64, tied: Option<Tied>) -> Option<Claim> {
        let here = tied.filter(|tied| tied.number == number).map(|tied| tied.document);
        let named = self.kra.ours_under(number).filter(|document| self.log.subject(*document).is_some());
        let document = named.or(here)?;
        let standing = self.log.subject(document)?.standing;
        let equality = self.kra.compare(number, document);
        Some(Claim { document, trader_ref: document.to_string(), standing, equality })
    }
}
