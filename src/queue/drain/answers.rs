//! What each answer to a send leads to.

use std::time::Duration;

use super::{
    Action, Afterwards, Busy, Dice, Doubt, Drain, Moment, NumberFate, Ruling, Sent, Series, Status, Verdict,
    View, Waiting, Words, backoff,
};
use crate::fiscal::Proof;
use crate::queue::alike::Fate;
use crate::queue::{Step, Unreachable};

/// What a code asks us to wait is doubled at most so often: a quarter of an hour becomes eight hours.
const MOST_DOUBLINGS: u32 = 5;

impl Drain {
    pub(super) fn sent(
        &mut self,
        now: Moment,
        (sent, allowed): (Sent, Option<u32>),
        standing: Standing,
        view: &View,
        dice: Dice,
    ) -> Action {
        let Standing { waiting, number } = standing;
        let verdict = match sent {
            Sent::Not(unreachable) => {
                self.probed_well = false;
                return self.not_sent(now, unreachable, waiting, view, dice);
            }
            Sent::InDoubt(words) => Verdict::Unsure(words),
            Sent::Answered(verdict) => {
                self.away = 0;
                if !matches!(verdict, Verdict::Busy(_)) {
                    self.busy_sends = 0;
                }
                verdict
            }
        };
        self.after_a_send(now, &verdict);
        let well = std::mem::take(&mut self.probed_well);
        match verdict {
            Verdict::Accepted(proof) => {
                // Who was passed over for it may come before the next in view.
                let in_order = self.passed_over().next().is_none();
                self.alike.accepted();
                self.canary_answered(waiting.document);
                // Behind a number that the series does not stand at nobody has looked.
                let fresh =
                    |next: &Waiting| in_order && number == view.next_number && self.is_bound_unseen(next);
                let next = view.after.filter(fresh).map(|next| (next, number + 1));
                self.record_and_bind(waiting.document, standing.accepted(proof, false), next)
            }
            Verdict::AcceptedWithoutProof(words) => {
                self.canary_answered(waiting.document);
                self.accepted_without_proof(now, &standing, words)
            }
            Verdict::Unsure(words) => {
                self.probed_well = well;
                self.unsure(now, standing, words, allowed, dice)
            }
            Verdict::UnsureConfig(words) => {
                let action = self.in_doubt(now, &standing, words.clone(), 1);
                if let Some(doubt) = &mut self.doubt {
                    doubt.afterwards = Afterwards::Hold(words);
                }
                action
            }
            Verdict::Busy(busy) => {
                self.leave_alone(now, &busy, self.busy_sends, dice);
                self.busy_sends = self.busy_sends.saturating_add(1);
                self.definite_for_now(now, &standing, busy.words, 0)
            }
            Verdict::Config(words) => {
                self.hold_for(now, false, words.clone(), dice);
                self.definite_for_now(now, &standing, words, 0)
            }
            Verdict::Device(words) => {
                self.hold_for(now, true, words.clone(), dice);
                self.definite_for_now(now, &standing, words, 0)
            }
            Verdict::Duplicate(words) => self.in_doubt_by_contradiction(now, standing, words, None),
            Verdict::Odd(words) => self.odd(now, &standing, words, view, dice),
            Verdict::OutOfSequence { expected, found, words } => {
                // KRA may leave out what it found: that is what we sent.
                let ours = found == number || found == 0;
                if ours && expected == number + 1 {
                    return self.in_doubt_by_contradiction(now, standing, words, Some(expected));
                }
                self.stop(number, format!("we sent invoice number {number}, KRA expects {expected}"));
                if let Some(stopped) = &mut self.stopped {
                    stopped.expected = Some(expected);
                }
                self.definite_for_now(now, &standing, words, 0)
            }
            Verdict::Refused(words) => {
                self.canary_answered(waiting.document);
                self.definite(now, &standing, Afterwards::Reject(words), dice)
            }
            Verdict::Wait(words) => {
                self.canary_answered(waiting.document);
                self.definite(now, &standing, Afterwards::StepAside(words), dice)
            }
        }
    }

    /// What it says of KRA, whatever it says of the document.
    fn after_a_send(&mut self, now: Moment, verdict: &Verdict) {
        self.lost_in_a_row = 0;
        if !matches!(verdict, Verdict::Config(_) | Verdict::Device(_) | Verdict::UnsureConfig(_)) {
            self.hold = None;
        }
        // Where it may be in, the doubt waits as told.
        let in_doubt = matches!(
            verdict,
            Verdict::AcceptedWithoutProof(_)
                | Verdict::Duplicate(_)
                | Verdict::Unsure(_)
                | Verdict::UnsureConfig(_)
        );
        if let Some(told) = verdict.words().filter(|_| !in_doubt).and_then(|words| words.retry_after) {
            self.left_alone_for(now, told);
        }
    }

    pub(super) fn own_pause(&self, tries: u32, dice: Dice) -> Duration {
        backoff::pause(self.policy.backoff_initial, self.policy.backoff_max, tries, dice)
    }

    /// The next document may be bound in the same commit: nothing is to be looked at before.
    fn is_bound_unseen(&self, next: &Waiting) -> bool {
        let untried = next.bound.is_none() && next.attempts == 0;
        let sure = !(self.no_look_up() && next.is_of_unknown_number());
        untried && sure && next.may_go() && self.series == Series::Proven
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
    pub(super) fn in_doubt(
        &mut self,
        now: Moment,
        standing: &Standing,
        words: Words,
        unsure_sends: u32,
    ) -> Action {
        self.doubt_about(now, standing, &words);
        self.record(standing.waiting.document, standing.pending(words, 0, unsure_sends))
    }

    /// A server that is down for an hour is not asked before about what it may have taken.
    pub(super) fn doubt_about(&mut self, now: Moment, standing: &Standing, words: &Words) {
        let document = standing.waiting.document;
        let ask_at = now.after(words.retry_after.unwrap_or_default());
        match &mut self.doubt {
            Some(doubt) if doubt.document == document => {
                doubt.last_sent = self.sent_at;
                doubt.ask_at = ask_at;
                doubt.afterwards = Afterwards::SendAgain;
            }
            _ => {
                self.doubt =
                    Some(Doubt { ask_at, ..Doubt::new(document, standing.number, self.sent_at, now) })
            }
        }
    }

    /// In by its code; only KRA's books can still show the proof.
    fn accepted_without_proof(&mut self, now: Moment, standing: &Standing, words: Words) -> Action {
        self.doubt_about(now, standing, &words);
        if let Some(doubt) = &mut self.doubt {
            doubt.accepted = true;
        }
        let ruling = Ruling { accepted: true, ..standing.pending(words, 0, 1) };
        self.record(standing.waiting.document, ruling)
    }

    /// KRA calls the number taken: an answer, but one that only its books can confirm. Without an earlier send that is unsure
    /// too: somebody on the way may have repeated the request, and this is the answer to the repeat.
    fn in_doubt_by_contradiction(
        &mut self,
        now: Moment,
        mut standing: Standing,
        words: Words,
        expected: Option<u64>,
    ) -> Action {
        self.doubt_about(now, &standing, &words);
        if let Some(doubt) = &mut self.doubt {
            doubt.contradictions = doubt.contradictions.saturating_add(1);
            doubt.expected = expected.or(doubt.expected);
            // The send that was counted before it left has its answer, and nobody else's is meant by it.
            let answered = u32::from(std::mem::take(&mut doubt.counted_ahead));
            standing.waiting.unsure_sends = standing.waiting.unsure_sends.saturating_sub(answered);
        }
        self.record(standing.waiting.document, standing.pending(words, 0, 0))
    }

    /// KRA wants to be left alone: as long as it says, or as long as its code asks for, doubled for each time that it
    /// said so `before`.
    pub(super) fn leave_alone(&mut self, now: Moment, busy: &Busy, before: u32, dice: Dice) {
        let floor = busy.floor.unwrap_or_default().saturating_mul(1 << before.min(MOST_DOUBLINGS));
        let pause = self.own_pause(before, dice).max(floor).max(busy.words.retry_after.unwrap_or_default());
        self.not_before = Some(now.after(pause.max(self.policy.backoff_initial)));
    }

    /// A definite answer that leaves the document waiting. Without an unsure send its number is free again: it is
    /// bound anew at the next try, and BIND without outcome keeps meaning doubt.
    pub(super) fn definite_for_now(
        &mut self,
        now: Moment,
        standing: &Standing,
        words: Words,
        attempts: u32,
    ) -> Action {
        let pending = standing.pending(words, attempts, 0);
        if standing.waiting.unsure_sends == 0 {
            let ruling = Ruling { number: NumberFate::Released, ..pending };
            return self.record(standing.waiting.document, ruling);
        }
        if let Some(doubt) = &mut self.doubt {
            doubt.ask_at = doubt.ask_at.max(now);
        }
        self.record(standing.waiting.document, pending)
    }

    /// KRA refused it, for good or for now. With an earlier unsure send its number is free only after a late look-up.
    pub(super) fn definite(
        &mut self,
        now: Moment,
        standing: &Standing,
        afterwards: Afterwards,
        dice: Dice,
    ) -> Action {
        if standing.waiting.unsure_sends == 0 {
            return self.set_aside(now, standing, &afterwards, dice);
        }
        let words = afterwards.words();
        if let Some(doubt) = &mut self.doubt {
            doubt.ask_at = now;
            doubt.afterwards = afterwards;
        }
        self.record(standing.waiting.document, standing.pending(words, 0, 0))
    }

    /// Its number is free; the document goes where the refusal sends it.
    pub(super) fn set_aside(
        &mut self,
        now: Moment,
        standing: &Standing,
        afterwards: &Afterwards,
        dice: Dice,
    ) -> Action {
        let Waiting { document, attempts, .. } = standing.waiting;
        let (status, tries) = match afterwards {
            Afterwards::Reject(words) => {
                let fate = self.alike.refused(document, words);
                if fate != Fate::SetAside {
                    self.pause_for_canary(now, words);
                }
                (if fate == Fate::Spared { Status::Pending } else { Status::Rejected }, 0)
            }
            Afterwards::GiveWay(_)
            | Afterwards::Hold(_)
            | Afterwards::SendAgain
            | Afterwards::StepBack(_) => (Status::Pending, 0),
            Afterwards::Park(_) => (Status::Parked, 0),
            Afterwards::StepAside(_) if attempts.saturating_add(1) >= self.policy.max_attempts => {
                (Status::Parked, 1)
            }
            Afterwards::StepAside(_) => {
                let pause = self.own_pause(attempts, dice) + self.policy.backoff_initial;
                self.aside.insert(document, now.after(pause));
                if let Some((original, _)) = standing.waiting.original {
                    self.originals.insert(document, original);
                }
                (Status::Pending, 1)
            }
        };
        let pending = standing.pending(afterwards.words(), tries, 0);
        self.record(document, Ruling { status, unsure_sends: 0, number: NumberFate::Released, ..pending })
    }
}

/// The document in hand and the number it is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) waiting: Waiting,
    pub(super) number: u64,
}

impl Standing {
    /// In KRA's books, with its proof.
    pub(super) fn accepted(&self, proof: Proof, adopted: bool) -> Ruling {
        Ruling {
            status: Status::Signed,
            unsure_sends: 0,
            number: NumberFate::Used,
            proof: Some(proof),
            adopted,
            ..self.pending(Words::default(), 0, 0)
        }
    }

    /// In KRA's books, its proof not to be had.
    pub(super) fn accepted_no_proof(&self, message: &str, adopted: bool) -> Ruling {
        let words = Words { message: message.to_owned(), ..Words::default() };
        Ruling {
            status: Status::AcceptedNoProof,
            unsure_sends: 0,
            number: NumberFate::Used,
            adopted,
            ..self.pending(words, 0, 0)
        }
    }

    /// Still waiting, with so many more tries and unsure sends.
    pub(super) fn pending(&self, words: Words, attempts: u32, unsure_sends: u32) -> Ruling {
        Ruling {
            status: Status::Pending,
            attempts: self.waiting.attempts.saturating_add(attempts),
            unsure_sends: self.waiting.unsure_sends.saturating_add(unsure_sends),
            number: NumberFate::Kept,
            proof: None,
            adopted: false,
            accepted: false,
            with_original: false,
            words,
        }
    }
}
