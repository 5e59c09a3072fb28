//! What a person asks for: what it may change, and what the machine does differently from then on.

use std::time::Duration;

use super::{Action, Doing, Drain, Moment, NumberFate, Ruling, Series};
use crate::queue::{Command, Declined, OriginalStands, Seen, Seq, Settlement, Status, Words};

/// A look-up must have failed so long before a person may settle what is in doubt.
const FAILED_LONG_ENOUGH: Duration = Duration::from_secs(15 * 60);

/// The document that a command names, as it stands now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// How it stands.
    pub standing: Seen,
    /// KRA's last words about it.
    pub words: Words,
    /// How a credit note's sale stands.
    pub original: Option<OriginalStands>,
}

/// What an obeyed command does: to be recorded with it, in one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// What becomes of the document it names; `None` where the command changes the machine alone.
    pub ruling: Option<Ruling>,
    /// What is done, for the person.
    pub said: &'static str,
}

impl Drain {
    /// The document whose request is on the line.
    pub const fn on_the_line(&self) -> Option<Seq> {
        match &self.doing {
            Doing::Sending(waiting, _) => Some(waiting.document),
            _ => None,
        }
    }

    /// Whether the action that was asked for last can wait for a person's command: what KRA said is written down first.
    pub const fn can_wait(&self, action: &Action) -> bool {
        !matches!(action, Action::Record(..)) && !matches!(self.doing, Doing::Counting(_))
    }

    /// The action that was asked for last is not carried out now: something else comes first.
    pub fn put_off(&mut self, action: &Action) {
        if let (Action::Send(document, _), Doing::Sending(waiting, _)) = (action, &self.doing)
            && waiting.unsure_sends == 0
        {
            self.unsent = Some(*document);
        }
        self.doing = Doing::Nothing;
    }

    /// Whether the rules of delivery allow what a person asks for, and what it changes. Nothing is changed yet.
    ///
    /// # Errors
    /// Why not.
    pub fn judge(&self, now: Moment, command: &Command, subject: Option<&Subject>) -> Result<Act, Declined> {
        let Some((document, seen)) = command.document() else {
            return match command {
                Command::AdoptSeries(next) => self.judge_adoption(*next),
                _ if self.stopped.is_some() => Ok(Act {
                    ruling: None,
                    said: "every hold and pause is ended; the number series stays stopped: `etims-gateway series show` says why",
                }),
                _ => Ok(Act { ruling: None, said: "every hold and pause is ended" }),
            };
        };
        let subject = subject.ok_or(Declined::Unknown)?;
        if self.on_the_line() == Some(document) {
            return Err(Declined::OnTheLine);
        }
        if seen != subject.standing {
            return Err(Declined::Changed(subject.standing));
        }
        let case = Case { machine: self, now, document, subject };
        match command {
            Command::Park(..) => case.park(),
            Command::AdoptSeries(_) | Command::Retry(..) | Command::RetryAll => case.retry(),
            Command::Settle(_, _, settlement) => case.settle(*settlement),
        }
    }

    fn judge_adoption(&self, next: Option<u64>) -> Result<Act, Declined> {
        let Some(stopped) = &self.stopped else {
            return refuse("the series is not stopped: there is nothing to adopt");
        };
        match next {
            Some(next) if !self.no_look_up() && stopped.expected != Some(next) => refuse(
                "a number is taken from a person only where KRA has no look-up function, or has itself said that it expects \
                 that number: leave --next out, and KRA's books are walked",
            ),
            Some(0) => refuse("numbers begin with 1"),
            None if self.no_look_up() => {
                refuse("this KRA has no function to look up invoices: name the next number with --next")
            }
            _ => Ok(Act { ruling: None, said: "the series is adopted" }),
        }
    }

    /// Whether nothing that was sent for this document can land any more, if KRA's books do not have it.
    pub fn landed(&self, now: Moment, document: Seq) -> bool {
        let doubt = self.doubt.as_ref().filter(|doubt| doubt.document == document);
        let sent = doubt.map_or(self.started, |doubt| doubt.last_sent);
        now.since(sent) >= self.policy.request_timeout.saturating_mul(2)
    }

    /// The series goes on behind KRA's books; `named`: with a number that they cannot prove; `bound`: the document that is
    /// still bound, and its number. What was sent for that one may still land.
    pub fn adopted(&mut self, now: Moment, named: bool, bound: Option<(Seq, u64)>) {
        self.stopped = None;
        self.doubt.take_if(|doubt| bound != Some((doubt.document, doubt.number)));
        if let Some(doubt) = &mut self.doubt {
            doubt.ask_at = now;
            doubt.contradictions = 0;
        }
        self.unsent.take_if(|unsent| bound.is_none_or(|(document, _)| document != *unsent));
        self.series = if named { Series::Proven } else { Series::Unproven };
    }

    /// What a parked document becomes when everything is retried.
    pub fn release(parked: Subject) -> Ruling {
        let unsure_sends = parked.standing.unsure_sends;
        Ruling { unsure_sends, ..moved(Status::Pending, NumberFate::Released, parked.words) }
    }

    /// What was asked for is on disk: the machine goes on from there.
    pub fn obey(&mut self, now: Moment, command: &Command, act: &Act) {
        match command {
            Command::AdoptSeries(_) => {}
            Command::RetryAll => self.retry_now(now),
            Command::Park(document, _) | Command::Settle(document, ..) => self.gone(*document),
            Command::Retry(document, seen) => {
                self.aside.remove(document);
                self.take_back(Some(*document));
                self.not_before = None;
                if seen.status == Status::AcceptedNoProof {
                    self.proof_wanted = seen.invoice_no.map(|number| (*document, number));
                }
                if act.ruling.is_none() {
                    self.line.returned(now);
                }
                if let Some(doubt) = self.doubt.as_mut().filter(|doubt| doubt.document == *document) {
                    doubt.ask_at = now;
                }
                // What KRA's books say now decides anew whether the series stands still for its sake.
                self.stopped.take_if(|stopped| stopped.document == Some(*document));
            }
        }
    }

    /// This document is no longer the machine's business.
    fn gone(&mut self, document: Seq) {
        self.aside.remove(&document);
        self.proofs.remove(document);
        self.proof_wanted.take_if(|(wanted, _)| *wanted == document);
        self.take_back(Some(document));
        if self.unsent == Some(document) {
            self.unsent = None;
        }
        if self.doubt.as_ref().is_some_and(|doubt| doubt.document == document) {
            self.doubt = None;
            // What became of its number KRA's books say, before anything else is sent.
            self.series = Series::Unproven;
        }
        if self.stopped.as_ref().is_some_and(|stopped| stopped.document == Some(document)) {
            self.stopped = None;
            self.series = Series::Unproven;
        }
    }
}

/// One command about one document.
struct Case<'a> {
    machine: &'a Drain,
    now: Moment,
    document: Seq,
    subject: &'a Subject,
}

impl Case<'_> {
    /// It may be in KRA's books.
    fn in_doubt(&self) -> bool {
        let Seen { status, invoice_no, unsure_sends, .. } = self.subject.standing;
        let unsent = self.machine.unsent == Some(self.document);
        status == Status::Pending && (unsure_sends > 0 || (invoice_no.is_some() && !unsent))
    }

    fn becomes(&self, status: Status, number: NumberFate, said: &'static str) -> Result<Act, Declined> {
        let standing = self.subject.standing;
        let pending = status == Status::Pending;
        let ruling = Ruling {
            attempts: if pending { 0 } else { standing.attempts },
            unsure_sends: if pending { standing.unsure_sends } else { 0 },
            ..moved(status, number, self.subject.words.clone())
        };
        Ok(Act { ruling: Some(ruling), said })
    }

    fn park(&self) -> Result<Act, Declined> {
        match self.subject.standing.status {
            Status::Pending if self.in_doubt() => refuse(
                "KRA may have it: its number cannot go to another sale. `queue retry` looks it up now; where that cannot \
                 be done, `queue settle`",
            ),
            Status::Pending => self.becomes(
                Status::Parked,
                NumberFate::Released,
                "parked: it is not sent until it is retried",
            ),
            Status::Parked => refuse("it is parked already"),
            Status::Rejected => {
                refuse("KRA refused it, so it is not sent anyway: settle it, or post the corrected sale")
            }
            Status::AcceptedNoProof => refuse("KRA has it: there is nothing to send"),
            Status::NotFiscal | Status::Settled | Status::Signed => Err(Declined::Unknown),
        }
    }

    fn retry(&self) -> Result<Act, Declined> {
        let only = |said| Ok(Act { ruling: None, said });
        // Put back, it would be set aside again at once.
        let stays = self.subject.original.and_then(OriginalStands::why_parked);
        if let (Some(why), Status::Parked | Status::Rejected) = (stays, self.subject.standing.status) {
            return refuse(why);
        }
        match self.subject.standing.status {
            Status::Pending if self.in_doubt() => only("KRA's books are asked about it now"),
            Status::Pending => only("it is tried again as soon as it is its turn"),
            Status::Parked => {
                self.becomes(Status::Pending, NumberFate::Released, "released: it waits in its old place")
            }
            Status::Rejected => {
                self.becomes(Status::Pending, NumberFate::Released, "it is sent again, in its old place")
            }
            Status::AcceptedNoProof => only("KRA's books are asked for its proof now"),
            Status::NotFiscal | Status::Settled | Status::Signed => Err(Declined::Unknown),
        }
    }

    fn settle(&self, settlement: Settlement) -> Result<Act, Declined> {
        match (self.subject.standing.status, settlement) {
            (Status::NotFiscal | Status::Settled | Status::Signed, _) => Err(Declined::Unknown),
            (Status::AcceptedNoProof, Settlement::Accepted) => {
                self.becomes(Status::Settled, NumberFate::Kept, "settled: KRA has it")
            }
            (Status::AcceptedNoProof, _) if !self.machine.proofs.denies(self.document) => refuse(
                "KRA called it accepted and its number is used: it can be settled as accepted only, unless KRA's books say                  otherwise; `queue retry` asks them now",
            ),
            (Status::AcceptedNoProof, Settlement::Elsewhere) => {
                self.becomes(Status::Settled, NumberFate::Kept, "settled: KRA has it in another way")
            }
            (Status::AcceptedNoProof, Settlement::NotAccepted) => {
                self.becomes(Status::Settled, NumberFate::Kept, "settled: KRA does not have it")
            }
            (Status::Pending, _) if self.in_doubt() => self.settle_doubt(settlement),
            (_, Settlement::Accepted) => refuse(
                "no request of it is unanswered, so KRA cannot have it from this gateway: if KRA has it in another way, \
                 settle it as elsewhere",
            ),
            (_, Settlement::Elsewhere) => {
                self.becomes(Status::Settled, NumberFate::Released, "settled: KRA has it in another way")
            }
            (_, Settlement::NotAccepted) => {
                self.becomes(Status::Settled, NumberFate::Released, "settled: KRA does not have it")
            }
        }
    }

    /// What only KRA's books could say a person says in their place.
    fn settle_doubt(&self, settlement: Settlement) -> Result<Act, Declined> {
        let machine = self.machine;
        let doubt = machine.doubt.as_ref().filter(|doubt| doubt.document == self.document);
        // Nothing is asked while the series stands still: the look-up has said all it can.
        let stopped = machine.stopped.is_some();
        let since = doubt.map_or(machine.started, |doubt| doubt.unanswered_since);
        if !machine.no_look_up() && !stopped && self.now.since(since) < FAILED_LONG_ENOUGH {
            return refuse(
                "KRA's books can still say whether it is in: a person decides only where KRA has no look-up, where it has \
                 failed for 15 minutes, or where it could not prove that the invoice is this sale",
            );
        }
        let timeout = machine.policy.request_timeout.saturating_mul(2);
        let landed = machine.landed(self.now, self.document);
        let absent =
            doubt.is_some_and(|doubt| doubt.absent_at.is_some_and(|at| at >= doubt.last_sent.after(timeout)));
        match settlement {
            Settlement::Accepted if self.subject.standing.invoice_no.is_none() => {
                self.becomes(Status::Settled, NumberFate::Kept, "settled: KRA has it")
            }
            Settlement::Accepted => self.becomes(
                Status::Settled,
                NumberFate::Used,
                "settled: KRA has it, and its number is used",
            ),
            _ if !landed => refuse(
                "a request that timed out may still arrive: wait until twice kra.request_timeout has passed since it was \
                 sent, and try again",
            ),
            Settlement::NotAccepted if !absent => refuse(
                "KRA's books do not say that its number is free, and only that proves that it is not in: settle it as \
                 accepted or elsewhere, or wait for the look-up",
            ),
            Settlement::Elsewhere => self.becomes(
                Status::Settled,
                NumberFate::Released,
                "settled: KRA has it in another way; what became of its number KRA's books are asked before the next sale",
            ),
            Settlement::NotAccepted => {
                self.becomes(Status::Settled, NumberFate::Released, "settled: KRA does not have it")
            }
        }
    }
}

fn refuse(why: &str) -> Result<Act, Declined> {
    Err(Declined::NotAllowed(why.to_owned()))
}

/// A person's word in the place of KRA's.
const fn moved(status: Status, number: NumberFate, words: Words) -> Ruling {
    Ruling {
        status,
        attempts: 0,
        unsure_sends: 0,
        number,
        proof: None,
        adopted: false,
        accepted: false,
        with_original: false,
        words,
    }
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
