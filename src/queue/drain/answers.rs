//! What each answer of KRA leads to.

use super::{
    Absence, Action, Afterwards, Dice, Doubt, Drain, LookUp, Moment, NumberFate, Ruling, Sent, Series,
    Status, Verdict, View, Waiting, Words, backoff,
};
use crate::fiscal::Proof;
use crate::queue::{Equality, Step, Unreachable};

/// After so many rounds in which KRA calls a number taken and shows no invoice under it, nobody can go on alone.
const CONTRADICTIONS: u32 = 3;

impl Drain {
    pub(super) fn sent(
        &mut self,
        now: Moment,
        sent: Sent,
        waiting: Waiting,
        number: u64,
        view: &View,
        dice: Dice,
    ) -> Action {
        let verdict = match sent {
            Sent::Not(unreachable) => return self.not_sent(now, unreachable, waiting, view, dice),
            Sent::InDoubt(words) => Verdict::Unsure(words),
            Sent::Answered(verdict) => verdict,
        };
        self.lost_in_a_row = 0;
        if !matches!(verdict, Verdict::Busy { .. }) {
            self.busy = 0;
        }
        if !matches!(verdict, Verdict::Config(_) | Verdict::Device(_)) {
            self.hold = None;
        }
        let standing = Standing { waiting, number };
        match verdict {
            Verdict::Accepted(proof) => {
                let fresh = |next: &Waiting| next.bound.is_none() && self.series == Series::Proven;
                let next = view.after.filter(fresh).map(|next| (next, number + 1));
                self.record_and_bind(waiting.document, standing.accepted(proof, false), next)
            }
            Verdict::AcceptedWithoutProof(words) | Verdict::Unsure(words) => {
                self.in_doubt(now, &standing, words, 1)
            }
            Verdict::UnsureConfig(words) => {
                let action = self.in_doubt(now, &standing, words.clone(), 1);
                if let Some(doubt) = &mut self.doubt {
                    doubt.afterwards = Afterwards::Hold(words);
                }
                action
            }
            Verdict::Busy { words, at_least } => {
                let pause =
                    backoff::pause(self.policy.backoff_initial, self.policy.backoff_max, self.busy, dice);
                let told = at_least.unwrap_or_default().saturating_mul(1 << self.busy.min(6));
                self.busy = self.busy.saturating_add(1);
                self.not_before = Some(now.after(pause.max(told)));
                self.definite_for_now(now, &standing, words, 0)
            }
            Verdict::Config(words) => {
                self.hold_for(now, false, words.clone(), dice);
                self.definite_for_now(now, &standing, words, 0)
            }
            Verdict::Device(words) => {
                self.hold_for(now, true, words.clone(), dice);
                self.definite_for_now(now, &standing, words, 0)
            }
            Verdict::Duplicate(words) => self.in_doubt_by_contradiction(now, &standing, words),
            Verdict::Odd(words) => {
                let pause = self.policy.backoff_initial
                    + backoff::pause(
                        self.policy.backoff_initial,
                        self.policy.backoff_max,
                        waiting.attempts,
                        dice,
                    );
                self.not_before = Some(now.after(pause));
                self.definite_for_now(now, &standing, words, 1)
            }
            Verdict::OutOfSequence { expected, found, words } => {
                if found == number && expected == number + 1 && waiting.unsure_sends > 0 {
                    return self.in_doubt_by_contradiction(now, &standing, words);
                }
                self.stop(number, format!("we sent invoice number {number}, KRA expects {expected}"));
                self.definite_for_now(now, &standing, words, 0)
            }
            Verdict::Refused(words) => self.definite(now, &standing, Afterwards::Reject(words), dice),
            Verdict::Wait(words) => self.definite(now, &standing, Afterwards::StepAside(words), dice),
        }
    }

    fn not_sent(
        &mut self,
        now: Moment,
        unreachable: Unreachable,
        waiting: Waiting,
        view: &View,
        dice: Dice,
    ) -> Action {
        let in_doubt = self.doubt.as_ref().is_some_and(|doubt| doubt.document == waiting.document);
        if waiting.unsure_sends == 0 && !in_doubt {
            self.unsent = Some(waiting.document);
        }
        // A kept connection that KRA closed meanwhile: the next one is fresh, and its failure speaks for itself.
        self.lost_in_a_row = self.lost_in_a_row.saturating_add(1);
        if unreachable.at != Step::Lost || self.lost_in_a_row > 1 {
            self.unreachable(now, unreachable, dice);
        }
        self.rest(now, view)
    }

    /// It may be in. The number and the bytes stay; KRA's books are asked.
    fn in_doubt(&mut self, now: Moment, standing: &Standing, words: Words, unsure_sends: u32) -> Action {
        let document = standing.waiting.document;
        match &mut self.doubt {
            Some(doubt) if doubt.document == document => {
                doubt.last_sent = self.sent_at;
                doubt.ask_at = now;
                doubt.resends = doubt.resends.saturating_add(1);
                doubt.afterwards = Afterwards::SendAgain;
            }
            _ => self.doubt = Some(Doubt::new(document, standing.number, self.sent_at, now)),
        }
        self.record(document, standing.pending(words, 0, unsure_sends))
    }

    /// KRA calls the number taken: an answer, but one that only its books can confirm.
    fn in_doubt_by_contradiction(&mut self, now: Moment, standing: &Standing, words: Words) -> Action {
        let action = self.in_doubt(now, standing, words, 0);
        if let Some(doubt) = &mut self.doubt {
            doubt.contradictions = doubt.contradictions.saturating_add(1);
        }
        action
    }

    /// A definite answer that leaves the document waiting. Without an unsure send its number is free again: it is
    /// bound anew at the next try, and BIND without outcome keeps meaning doubt.
    fn definite_for_now(&mut self, now: Moment, standing: &Standing, words: Words, attempts: u32) -> Action {
        if standing.waiting.unsure_sends == 0 {
            return self.record(
                standing.waiting.document,
                Ruling { number: NumberFate::Released, ..standing.pending(words, attempts, 0) },
            );
        }
        if let Some(doubt) = &mut self.doubt {
            doubt.ask_at = doubt.ask_at.max(now);
        }
        self.record(standing.waiting.document, standing.pending(words, attempts, 0))
    }

    /// KRA refused it, for good or for now. With an earlier unsure send its number is free only after a late look-up.
    fn definite(&mut self, now: Moment, standing: &Standing, afterwards: Afterwards, dice: Dice) -> Action {
        if standing.waiting.unsure_sends > 0 {
            let words = match &afterwards {
                Afterwards::Hold(words) | Afterwards::Reject(words) | Afterwards::StepAside(words) => {
                    words.clone()
                }
                Afterwards::SendAgain => Words::default(),
            };
            if let Some(doubt) = &mut self.doubt {
                doubt.ask_at = now;
                doubt.afterwards = afterwards;
            }
            return self.record(standing.waiting.document, standing.pending(words, 0, 0));
        }
        self.set_aside(now, standing, afterwards, dice)
    }

    fn set_aside(&mut self, now: Moment, standing: &Standing, afterwards: Afterwards, dice: Dice) -> Action {
        let Waiting { document, attempts, .. } = standing.waiting;
        let (status, tries, words) = match afterwards {
            Afterwards::Reject(words) => (Status::Rejected, 0, words),
            Afterwards::Hold(words) => (Status::Pending, 0, words),
            Afterwards::SendAgain => (Status::Pending, 0, Words::default()),
            Afterwards::StepAside(words) => {
                let pause =
                    backoff::pause(self.policy.backoff_initial, self.policy.backoff_max, attempts, dice);
                self.aside.insert(document, now.after(pause + self.policy.backoff_initial));
                (Status::Pending, 1, words)
            }
        };
        let ruling = Ruling {
            status,
            unsure_sends: 0,
            number: NumberFate::Released,
            ..standing.pending(words, tries, 0)
        };
        self.record(document, ruling)
    }

    pub(super) fn doubt_answered(&mut self, now: Moment, look_up: LookUp, view: &View, dice: Dice) -> Action {
        let (Some(mut doubt), Some(head)) = (self.doubt.take(), view.head) else {
            return self.rest(now, view);
        };
        let standing = Standing { waiting: head, number: doubt.number };
        match look_up {
            LookUp::Found { trader_ref, equality, .. } => {
                self.found(now, doubt, &standing, equality, trader_ref, view)
            }
            LookUp::Absent | LookUp::Missing(_)
                if let Absence::Until(moment) = doubt.absence(self.asked_at, self.policy.request_timeout) =>
            {
                doubt.ask_at = moment;
                self.doubt = Some(doubt);
                self.rest(now, view)
            }
            LookUp::Absent => self.absent(now, doubt, &standing, view, dice),
            LookUp::Missing(_) => self.without_look_up(now, doubt, &standing, view),
            LookUp::Failed(words) => {
                doubt.failures = doubt.failures.saturating_add(1);
                let pause =
                    backoff::pause(self.policy.backoff_initial, self.policy.probe_max, doubt.failures, dice);
                doubt.ask_at = now.after(pause);
                self.doubt = Some(doubt);
                if words.http_status.is_none() {
                    self.line.lost(now, self.policy.backoff_initial, self.policy.probe_max, dice);
                }
                self.rest(now, view)
            }
        }
    }

    /// KRA shows an invoice under the number in doubt.
    fn found(
        &mut self,
        now: Moment,
        doubt: Doubt,
        standing: &Standing,
        equality: Option<Equality>,
        trader_ref: Option<String>,
        view: &View,
    ) -> Action {
        match equality {
            Some(Equality::Equal(Some(proof))) => {
                if view.last.as_ref().is_some_and(|(_, sign)| *sign == proof.signature) {
                    let why = format!(
                        "KRA shows under number {} the signature of the invoice before it",
                        doubt.number
                    );
                    self.stop(doubt.number, why);
                    self.doubt = Some(doubt);
                    return self.rest(now, view);
                }
                self.record(standing.waiting.document, standing.accepted(proof, true))
            }
            Some(Equality::Equal(None)) => {
                let words = Words {
                    message: "KRA has this invoice but does not show its proof".to_owned(),
                    ..Words::default()
                };
                self.record(
                    standing.waiting.document,
                    Ruling {
                        status: Status::AcceptedNoProof,
                        unsure_sends: 0,
                        number: NumberFate::Used,
                        adopted: true,
                        ..standing.pending(words, 0, 0)
                    },
                )
            }
            Some(Equality::Different(field)) => {
                let stranger =
                    trader_ref.map_or_else(|| "another sale".to_owned(), |it| format!("sale {it}"));
                let why = format!(
                    "KRA holds {stranger} under our number {} ({field} differs): another till or product numbers in this series",
                    doubt.number
                );
                self.stop(doubt.number, why.clone());
                let words = Words { message: why, ..Words::default() };
                self.record(
                    standing.waiting.document,
                    Ruling { unsure_sends: 0, number: NumberFate::Released, ..standing.pending(words, 0, 0) },
                )
            }
            Some(Equality::Unprovable(_)) | None => {
                let field = match equality {
                    Some(Equality::Unprovable(field)) => field,
                    _ => "the sale",
                };
                let why = format!(
                    "KRA holds an invoice under our number {} but does not show {field}: whether it is ours nobody can say",
                    doubt.number
                );
                self.stop(doubt.number, why);
                self.doubt = Some(doubt);
                self.rest(now, view)
            }
        }
    }

    /// KRA does not have it, and what was sent can no longer land.
    fn absent(
        &mut self,
        now: Moment,
        mut doubt: Doubt,
        standing: &Standing,
        view: &View,
        dice: Dice,
    ) -> Action {
        match std::mem::replace(&mut doubt.afterwards, Afterwards::SendAgain) {
            Afterwards::SendAgain => {
                if doubt.contradictions >= CONTRADICTIONS {
                    let why =
                        format!("KRA calls number {} taken, and shows no invoice under it", doubt.number);
                    self.stop(doubt.number, why);
                    self.doubt = Some(doubt);
                    return self.rest(now, view);
                }
                self.send_again(now, doubt, standing, view)
            }
            Afterwards::Hold(words) => {
                self.hold_for(now, false, words, dice);
                self.doubt = Some(doubt);
                self.rest(now, view)
            }
            afterwards => self.set_aside(now, standing, afterwards, dice),
        }
    }

    fn send_again(&mut self, now: Moment, mut doubt: Doubt, standing: &Standing, view: &View) -> Action {
        // Answered at once and again in doubt: the next look waits for the time-out by itself, so this is no tight loop.
        doubt.ask_at = now;
        self.doubt = Some(doubt);
        if self.series != Series::Proven {
            self.series = Series::AskingPrevious;
            if view.next_number > 1 {
                self.asked_at = now;
                self.doing = super::Doing::AskingAboutSeries;
                return Action::LookUp(view.next_number - 1, None);
            }
            self.series = Series::Proven;
        }
        self.doing = super::Doing::Connecting(Waiting { bound: Some(standing.number), ..standing.waiting });
        Action::Connect
    }

    /// This server has no look-up: the same bytes again, and "it is taken" then means that it was in.
    fn without_look_up(&mut self, now: Moment, doubt: Doubt, standing: &Standing, view: &View) -> Action {
        if doubt.contradictions > 0 {
            if standing.waiting.unsure_sends > 0 {
                let words = Words {
                    message: "KRA says that this number is in; it has no function to show the proof"
                        .to_owned(),
                    ..Words::default()
                };
                return self.record(
                    standing.waiting.document,
                    Ruling {
                        status: Status::AcceptedNoProof,
                        unsure_sends: 0,
                        number: NumberFate::Used,
                        ..standing.pending(words, 0, 0)
                    },
                );
            }
            self.stop(
                doubt.number,
                format!("KRA calls number {} taken, and we never sent it before", doubt.number),
            );
            self.doubt = Some(doubt);
            return self.rest(now, view);
        }
        if !matches!(doubt.afterwards, Afterwards::SendAgain) {
            let why = format!(
                "number {} was refused after an answer was lost, and this server shows no invoices",
                doubt.number
            );
            self.stop(doubt.number, why);
            self.doubt = Some(doubt);
            return self.rest(now, view);
        }
        self.series = Series::Proven;
        self.send_again(now, doubt, standing, view)
    }

    pub(super) fn series_answered(&mut self, now: Moment, look_up: LookUp, view: &View, dice: Dice) {
        let next = view.next_number;
        match (look_up, self.series) {
            (LookUp::Missing(_), _) => self.series = Series::Proven,
            (LookUp::Failed(words), _) => {
                if words.http_status.is_none() {
                    self.line.lost(now, self.policy.backoff_initial, self.policy.probe_max, dice);
                } else {
                    let pause = backoff::pause(self.policy.backoff_initial, self.policy.probe_max, 3, dice);
                    self.not_before = Some(now.after(pause + self.policy.backoff_initial));
                }
            }
            (LookUp::Absent, Series::AskingPrevious) => {
                let last = next - 1;
                self.stop(next, format!("our next number is {next}, and KRA does not have number {last}"));
            }
            (LookUp::Absent, _) => {
                self.series = if next > 1 { Series::AskingPrevious } else { Series::Proven };
            }
            (LookUp::Found { signature, trader_ref, .. }, Series::AskingPrevious) => {
                // An accepted number whose proof we never had proves nothing, and contradicts nothing.
                let known = |(number, sign): &&(u64, String)| *number + 1 == next && !sign.is_empty();
                let ours = view.last.as_ref().filter(known).map(|(_, sign)| sign);
                if ours.is_none_or(|ours| signature.as_ref() == Some(ours)) {
                    self.series = Series::Proven;
                } else {
                    let theirs = trader_ref.unwrap_or_else(|| "?".to_owned());
                    let last = next - 1;
                    let why = format!(
                        "KRA holds sale {theirs} under number {last}, not the one that we sent under it"
                    );
                    self.stop(last, why);
                }
            }
            (LookUp::Found { trader_ref, .. }, _) => {
                let theirs = trader_ref.unwrap_or_else(|| "?".to_owned());
                let why = format!(
                    "our next number is {next}, and KRA already holds sale {theirs} under it: another till or product numbers in this series"
                );
                self.stop(next, why);
            }
        }
    }
}

/// The document in hand and the number it is bound to.
struct Standing {
    waiting: Waiting,
    number: u64,
}

impl Standing {
    fn accepted(&self, proof: Proof, adopted: bool) -> Ruling {
        Ruling {
            status: Status::Signed,
            unsure_sends: 0,
            number: NumberFate::Used,
            proof: Some(proof),
            adopted,
            ..self.pending(Words::default(), 0, 0)
        }
    }

    fn pending(&self, words: Words, attempts: u32, unsure_sends: u32) -> Ruling {
        Ruling {
            status: Status::Pending,
            attempts: self.waiting.attempts.saturating_add(attempts),
            unsure_sends: self.waiting.unsure_sends.saturating_add(unsure_sends),
            number: NumberFate::Kept,
            proof: None,
            adopted: false,
            words,
        }
    }
}
