//! The machine that empties the queue: events and the time in, one action out.
//!
//! One saving request is in flight, in order of acceptance; a number is bound before the first byte and stays with its
//! document until KRA's books decide. What the machine remembers is what a restart may forget: it is built anew from
//! the log, and a document found bound without an outcome is in doubt.

use std::collections::BTreeMap;

use super::alike::Alike;
use super::backoff::{self, Dice, Moment};
use super::doubt::{Absence, Afterwards, Doubt};
use super::line::Line;
use super::{Busy, Probed, Sent, Seq, Status, Verdict, Words};

mod answers;
mod commands;
mod function;
mod items;
mod look_ups;
mod messages;
mod pauses;
mod proofs;
mod series;
mod spent;
#[cfg(test)]
mod tests;

use answers::Standing;
use function::Function;
use proofs::Proofs;
use series::Series;
use spent::{Counting, Spent};

pub use commands::{Act, Subject};
pub use messages::{Action, Event, LookUp, NumberFate, Policy, Ruling, View, Waiting};
pub use pauses::Hold;
pub use proofs::Denied;
pub use series::Stopped;

/// What the shell is doing for us right now.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Doing {
    AskingAboutDoubt,
    AskingAboutSeries,
    AskingForProof(Seq, u64),
    AskingListForProof(Seq),
    Binding(Waiting, u64),
    Connecting(Waiting),
    Counting(Box<Counting>),
    Nothing,
    Probing,
    ProbingBefore(Waiting),
    Recording(Option<(Waiting, u64)>),
    Sending(Waiting, u64),
}

/// The machine. See the module's words.
#[derive(Clone, Debug)]
pub struct Drain {
    policy: Policy,
    started: Moment,
    line: Line,
    hold: Option<Hold>,
    series: Series,
    stopped: Option<Stopped>,
    doubt: Option<Doubt>,
    /// The head's own backoff, or KRA's wish to be left alone.
    not_before: Option<Moment>,
    /// Sends in a row that KRA was too busy for: a good look-up between two of them ends no quota.
    busy_sends: u32,
    /// Look-ups in a row that KRA was too busy for.
    busy_look_ups: u32,
    /// Documents that wait for something else to be there first, and until when.
    aside: BTreeMap<Seq, Moment>,
    /// The credit notes among them, and their sales: something new about a sale is a reason to try its note again.
    originals: BTreeMap<Seq, Seq>,
    /// Sales that KRA refused one after another.
    alike: Alike,
    /// BIND is on disk and nothing was sent under it since.
    unsent: Option<Seq>,
    /// A document whose tries are spent, set back for the next one.
    spent: Option<Spent>,
    /// A document whose canary KRA answered: one more try of it decides, for KRA may have come to itself just then.
    last_try: Option<Seq>,
    /// Documents that went ahead of it and met the same trouble.
    in_vain: Vec<Seq>,
    /// KRA answered a probe just before what is being sent.
    probed_well: bool,
    lost_in_a_row: u32,
    /// How often KRA was found away since a request last came through whole.
    away: u32,
    /// Look-ups in a row that failed though KRA answered.
    failed_look_ups: u32,
    /// A document in KRA's books without its proof, and its number: a person wants it looked up now.
    proof_wanted: Option<(Seq, u64)>,
    /// Those whose proof is looked up again in passing.
    proofs: Proofs,
    /// KRA's function to look up one invoice.
    look_up: Function,
    sent_at: Moment,
    asked_at: Moment,
    doing: Doing,
}

impl Drain {
    /// Goes by other pauses and time-outs from now on; what was set before runs to its end.
    pub const fn go_by(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// At a start: everything that is not in the log is unknown.
    pub fn new(policy: Policy, now: Moment) -> Self {
        Self {
            policy,
            started: now,
            line: Line::Closed,
            hold: None,
            series: Series::Unproven,
            stopped: None,
            doubt: None,
            not_before: None,
            busy_sends: 0,
            busy_look_ups: 0,
            aside: BTreeMap::new(),
            originals: BTreeMap::new(),
            alike: Alike::default(),
            unsent: None,
            spent: None,
            last_try: None,
            in_vain: Vec::new(),
            probed_well: false,
            lost_in_a_row: 0,
            away: 0,
            failed_look_ups: 0,
            proof_wanted: None,
            proofs: Proofs::default(),
            look_up: Function::default(),
            sent_at: now,
            asked_at: now,
            doing: Doing::Nothing,
        }
    }

    /// At a start: the sales that KRA refused since it last accepted one, in the order in which it did. What was refused
    /// alike before the start is not forgotten by it.
    pub fn recall(&mut self, now: Moment, refusals: &[(Seq, Words)]) {
        for (document, words) in refusals {
            self.alike.refused(*document, words);
        }
        if let Some((_, words)) = refusals.last().filter(|_| self.alike.is_enough()) {
            self.pause_for_canary(now, words);
        }
    }

    /// The line to KRA.
    pub const fn line(&self) -> Line {
        self.line
    }

    /// Why the queue waits though KRA answers.
    pub const fn hold(&self) -> Option<&Hold> {
        self.hold.as_ref()
    }

    /// Why nothing of the series is sent any more.
    pub const fn stopped(&self) -> Option<&Stopped> {
        self.stopped.as_ref()
    }

    /// The document in doubt, if one is.
    pub const fn doubt(&self) -> Option<&Doubt> {
        self.doubt.as_ref()
    }

    /// A fresh document would be sent at once: nothing in the way but the order.
    pub fn flows(&self) -> bool {
        self.line == Line::Closed
            && self.hold.is_none()
            && self.stopped.is_none()
            && self.not_before.is_none()
    }

    /// The document that is bound though not a byte was sent under its number: a clean stop may free it.
    pub const fn unsent(&self) -> Option<Seq> {
        self.unsent
    }

    /// This server has no look-up function: doubts cannot be settled by its books.
    pub fn no_look_up(&self) -> bool {
        self.look_up == Function::Missing
    }

    /// This server's look-up function has answered since the start.
    pub fn has_look_up(&self) -> bool {
        self.look_up == Function::There
    }

    /// Those who have stepped aside and are not yet due again, ascending.
    pub fn aside(&self, now: Moment) -> Vec<Seq> {
        let due = |(document, until): (&Seq, &Moment)| (now < *until).then_some(*document);
        let mut aside: Vec<Seq> = self.aside.iter().filter_map(due).chain(self.passed_over()).collect();
        aside.sort_unstable();
        aside
    }

    /// Takes one event and says what to do next.
    pub fn step(&mut self, now: Moment, event: Event, view: &View, dice: Dice) -> Action {
        self.aside.retain(|_, until| now < *until);
        self.originals.retain(|note, _| self.aside.contains_key(note));
        let doing = std::mem::replace(&mut self.doing, Doing::Nothing);
        match (event, doing) {
            (Event::Connected, Doing::Connecting(waiting)) if self.series == Series::Proven => {
                match waiting.bound {
                    Some(number) => self.send(now, waiting, number),
                    None => {
                        self.doing = Doing::Binding(waiting, view.next_number);
                        Action::Bind(waiting.document, view.next_number)
                    }
                }
            }
            (Event::Bound, Doing::Binding(waiting, number))
            | (Event::RecordedAndBound, Doing::Recording(Some((waiting, number)))) => {
                // It is bound anew only once what was unsure before is known not to be in KRA's books.
                let bound = Waiting { bound: Some(number), answered: false, unsure_sends: 0, ..waiting };
                if self.series != Series::Proven {
                    self.unsent = Some(bound.document);
                    return self.rest(now, view);
                }
                self.send(now, bound, number)
            }
            (Event::Unreachable(unreachable), Doing::Connecting(_)) => {
                self.unreachable(now, unreachable, dice);
                self.rest(now, view)
            }
            (Event::Sent(sent, allowed), Doing::Sending(waiting, number)) => {
                self.sent(now, (sent, allowed), Standing { waiting, number }, view, dice)
            }
            (Event::Probed(probed), Doing::Counting(counting)) => self.counted(now, *counting, probed, dice),
            // The probe was broken off: the send is in doubt, and no try.
            (_, Doing::Counting(counting)) => {
                let words = Words { message: "broken off".to_owned(), ..Words::default() };
                self.counted(now, *counting, Probed::Down(words), dice)
            }
            (Event::Probed(probed), Doing::ProbingBefore(waiting)) => {
                let well = probed == Probed::Up;
                self.probed(now, probed, dice);
                if !well {
                    return self.rest(now, view);
                }
                self.probed_well = true;
                self.doing = Doing::Connecting(waiting);
                Action::Connect
            }
            (Event::LookedUp(look_up), doing) => self.looked_up(now, look_up, doing, view, dice),
            (Event::Probed(probed), Doing::Probing) => {
                self.probed(now, probed, dice);
                self.rest(now, view)
            }
            (Event::LineReturned, _) => {
                self.line.returned(now);
                self.rest(now, view)
            }
            (Event::RetryNow, _) => {
                self.retry_now(now);
                self.rest(now, view)
            }
            _ => self.rest(now, view),
        }
    }

    /// Nothing is under way: what comes next?
    fn rest(&mut self, now: Moment, view: &View) -> Action {
        if let Some(action) = self.settle_spent() {
            return action;
        }
        if let Some(action) = self.park_with_original(view) {
            return action;
        }
        if let Line::Open { probe_at } = self.line {
            return self.at(now, probe_at, Doing::Probing, Action::Probe);
        }
        if let Some(hold) = &self.hold {
            let until = hold.until;
            if !hold.probed {
                return self.at(now, until, Doing::Probing, Action::Probe);
            }
        }
        if let Some((document, number)) = self.proof_wanted.take() {
            return self.ask_for_proof(now, document, number);
        }
        if self.stopped.is_some() {
            return Action::WaitUntil(None);
        }
        self.not_before = self.not_before.filter(|moment| now < *moment);
        let next_aside = self.aside.values().min().copied();
        let Some(head) = view.head else {
            if self.passed_over().next().is_some() {
                // Nobody is left to go ahead of them.
                self.take_back(None);
                self.alike.put_back(None);
                return Action::WaitUntil(Some(now));
            }
            return self.idle(now, next_aside);
        };
        if let Some(until) = self.not_before {
            return Action::WaitUntil(Some(until));
        }
        if let Some(number) = head.bound.filter(|_| self.unsent != Some(head.document)) {
            if self.doubt.as_ref().is_none_or(|doubt| doubt.document != head.document) {
                // Bound, answered, and no send of it unsure: KRA called its number taken.
                let contradictions = u32::from(head.answered && head.unsure_sends == 0);
                let doubt = Doubt::new(head.document, number, self.started, now);
                self.doubt = Some(Doubt { accepted: head.accepted, contradictions, ..doubt });
                if !head.answered {
                    return self.record(head.document, interrupted(head));
                }
            }
            let ask_at = self.doubt.as_ref().map_or(now, |doubt| doubt.ask_at);
            return self.at(
                now,
                ask_at,
                Doing::AskingAboutDoubt,
                Action::LookUp(number, Some(head.document)),
            );
        }
        match self.series {
            Series::Proven if self.no_look_up() && head.is_of_unknown_number() => {
                self.stop_before(view, head)
            }
            Series::Proven => self.connect(head),
            Series::AskingNext | Series::Unproven => {
                self.series = Series::AskingNext;
                self.doing = Doing::AskingAboutSeries;
                Action::LookUp(view.next_number, None)
            }
            Series::AskingPrevious => {
                self.doing = Doing::AskingAboutSeries;
                Action::LookUp(view.next_number - 1, None)
            }
        }
    }

    /// A credit note whose sale KRA does not get as things stand is set aside with it; KRA need not be there for that.
    fn park_with_original(&mut self, view: &View) -> Option<Action> {
        // Behind another one too: it is nobody's canary.
        let notes = [view.stranded, view.head, view.after];
        let unbound = notes.into_iter().flatten().filter(|note| note.bound.is_none());
        let why_parked = |note: Waiting| Some((note, note.original?.1.why_parked()?));
        let (note, why) = unbound.filter_map(why_parked).next()?;
        let ruling = Ruling {
            status: Status::Parked,
            attempts: note.attempts,
            unsure_sends: note.unsure_sends,
            number: NumberFate::Kept,
            proof: None,
            adopted: false,
            accepted: false,
            with_original: true,
            words: Words { message: why.to_owned(), ..Words::default() },
        };
        self.doing = Doing::Recording(None);
        Some(Action::Record(note.document, Box::new(ruling), None))
    }

    fn at(&mut self, now: Moment, due: Moment, doing: Doing, action: Action) -> Action {
        if now < due {
            return Action::WaitUntil(Some(due));
        }
        self.asked_at = now;
        self.doing = doing;
        action
    }

    /// What was tried before is tried again only while KRA answers a probe: so a try counts against the right one.
    fn connect(&mut self, waiting: Waiting) -> Action {
        if waiting.attempts > 0 || waiting.unsure_sends > 0 && waiting.bound.is_some() {
            self.doing = Doing::ProbingBefore(waiting);
            return Action::Probe;
        }
        self.probed_well = false;
        self.doing = Doing::Connecting(waiting);
        Action::Connect
    }

    fn send(&mut self, now: Moment, waiting: Waiting, number: u64) -> Action {
        self.sent_at = now;
        // From here on a byte may be on its way, until the shell says that none left.
        self.unsent = None;
        self.doing = Doing::Sending(waiting, number);
        Action::Send(waiting.document, number)
    }

    fn record(&mut self, document: Seq, ruling: Ruling) -> Action {
        self.record_and_bind(document, ruling, None)
    }

    fn record_and_bind(&mut self, document: Seq, ruling: Ruling, next: Option<(Waiting, u64)>) -> Action {
        self.doing = Doing::Recording(next);
        if ruling.status != Status::Pending {
            self.originals.retain(|note, original| {
                let waited = *original == document;
                if waited {
                    self.aside.remove(note);
                }
                !waited
            });
        }
        if ruling.status != Status::Pending || ruling.number != NumberFate::Kept {
            self.doubt = None;
            // Both ends of the series are looked at together.
            if self.series != Series::Proven {
                self.series = Series::Unproven;
            }
        }
        Action::Record(document, Box::new(ruling), next.map(|(waiting, number)| (waiting.document, number)))
    }
}

/// Bound, without an outcome, found at a start: something may have left.
fn interrupted(head: Waiting) -> Ruling {
    Ruling {
        status: Status::Pending,
        attempts: head.attempts,
        unsure_sends: head.unsure_sends + 1,
        number: NumberFate::Kept,
        proof: None,
        adopted: false,
        accepted: false,
        with_original: false,
        words: Words {
            message: "the gateway stopped while this was being sent".to_owned(),
            ..Words::default()
        },
    }
}
