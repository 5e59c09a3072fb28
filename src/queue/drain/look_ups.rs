//! What KRA's books lead to: a doubt settled, the series proven, or stopped.

use super::answers::Standing;
use super::spent::others_wait;
use super::{
    Absence, Action, Afterwards, Dice, Doing, Doubt, Drain, LookUp, Moment, NumberFate, Ruling, Series, View,
    Waiting, Words, backoff,
};
use crate::queue::Equality;

/// After so many rounds in which KRA calls a number taken and shows no invoice under it, nobody can go on alone.
const CONTRADICTIONS: u32 = 3;

impl Drain {
    /// A look-up came back: for a doubt, for the series, for a proof.
    pub(super) fn looked_up(
        &mut self,
        now: Moment,
        look_up: LookUp,
        doing: Doing,
        view: &View,
        dice: Dice,
    ) -> Action {
        let look_up = match (&doing, look_up) {
            // The list is another function, and need not be whole.
            (Doing::AskingListForProof(_), LookUp::Absent) => LookUp::Failed(Words::default()),
            (Doing::AskingListForProof(_), look_up) => look_up,
            (_, look_up) => self.look_up.told(look_up),
        };
        match (doing, look_up) {
            (Doing::AskingForProof(document, number), LookUp::Missing(_)) => {
                self.ask_list_for_proof(document, number)
            }
            (Doing::AskingForProof(document, _) | Doing::AskingListForProof(document), look_up) => {
                self.proof_answered(now, document, look_up, view, dice)
            }
            (doing @ (Doing::AskingAboutDoubt | Doing::AskingAboutSeries), look_up) => {
                match self.look_up_came_through(now, look_up, dice) {
                    Some(look_up) if doing == Doing::AskingAboutDoubt => {
                        return self.doubt_answered(now, look_up, view, dice);
                    }
                    Some(look_up) => self.series_answered(look_up, view),
                    None => {}
                }
                self.rest(now, view)
            }
            _ => self.rest(now, view),
        }
    }

    /// A look-up that says something about the invoice comes back; the others are dealt with here.
    fn look_up_came_through(&mut self, now: Moment, look_up: LookUp, dice: Dice) -> Option<LookUp> {
        match look_up {
            LookUp::Busy(busy) => {
                self.leave_alone(now, &busy, self.busy_look_ups, dice);
                self.busy_look_ups = self.busy_look_ups.saturating_add(1);
            }
            LookUp::Refused(words) => self.hold_for(now, true, words, dice),
            LookUp::Failed(words) if words.http_status.is_none() => self.lost(now, None, dice),
            LookUp::Failed(words) => {
                // KRA is there and in trouble: asked again later and later.
                let (initial, longest) = (self.policy.backoff_initial, self.policy.probe_max);
                let pause = backoff::pause(initial, longest, self.failed_look_ups, dice);
                self.failed_look_ups = self.failed_look_ups.saturating_add(1);
                self.not_before =
                    Some(now.after((initial + pause).max(words.retry_after.unwrap_or_default())));
            }
            told => {
                (self.away, self.busy_look_ups, self.failed_look_ups) = (0, 0, 0);
                return Some(told);
            }
        }
        None
    }

    pub(super) fn doubt_answered(&mut self, now: Moment, look_up: LookUp, view: &View, dice: Dice) -> Action {
        let (Some(mut doubt), Some(head)) = (self.doubt.take(), view.head) else {
            return self.rest(now, view);
        };
        let standing = Standing { waiting: head, number: doubt.number };
        doubt.absent_at = (look_up == LookUp::Absent).then_some(self.asked_at);
        if !matches!(look_up, LookUp::Missing(_)) {
            doubt.unanswered_since = now;
        }
        match look_up {
            LookUp::Found { trader_ref, equality, .. } => {
                self.found(now, doubt, &standing, (equality, trader_ref), view)
            }
            LookUp::Absent | LookUp::Missing(_)
                if let Absence::Until(moment) = doubt.absence(self.asked_at, self.policy.request_timeout) =>
            {
                doubt.ask_at = moment;
                self.keep_doubt(now, doubt, view)
            }
            LookUp::Absent => self.absent(now, doubt, &standing, view, dice),
            LookUp::Missing(_) => self.without_look_up(now, doubt, &standing, view, dice),
            LookUp::Busy(_) | LookUp::Failed(_) | LookUp::Refused(_) => self.keep_doubt(now, doubt, view),
        }
    }

    fn keep_doubt(&mut self, now: Moment, doubt: Doubt, view: &View) -> Action {
        self.doubt = Some(doubt);
        self.rest(now, view)
    }

    /// Nobody can go on alone: the doubt stays, the series stops.
    fn stop_in_doubt(&mut self, now: Moment, doubt: Doubt, why: String, view: &View) -> Action {
        let (number, expected) = (doubt.number, doubt.expected);
        self.doubt = Some(doubt);
        self.stop(number, why);
        if let Some(stopped) = &mut self.stopped {
            stopped.expected = expected;
        }
        self.rest(now, view)
    }

    /// KRA shows an invoice under the number in doubt.
    fn found(
        &mut self,
        now: Moment,
        doubt: Doubt,
        standing: &Standing,
        (equality, trader_ref): (Option<Equality>, Option<String>),
        view: &View,
    ) -> Action {
        let (document, number) = (standing.waiting.document, doubt.number);
        match equality {
            Some(Equality::Equal(Some(proof))) => {
                // Whatever KRA said of it before: it is in.
                self.hold = None;
                self.alike.accepted();
                self.record(document, standing.accepted(proof, true))
            }
            Some(Equality::Equal(None)) => {
                self.hold = None;
                let words = "KRA has this invoice but does not show its proof";
                self.without_proof(now, standing, words, true)
            }
            Some(Equality::Different(field)) => {
                let stranger =
                    trader_ref.map_or_else(|| "another sale".to_owned(), |it| format!("sale {it}"));
                let why = format!(
                    "KRA holds {stranger} under our number {number} ({field} differs): another till or product \
                     numbers in this series"
                );
                self.stop(number, why.clone());
                let pending = standing.pending(Words { message: why, ..Words::default() }, 0, 0);
                self.record(document, Ruling { unsure_sends: 0, number: NumberFate::Released, ..pending })
            }
            Some(Equality::Unprovable(field)) => {
                let why = format!(
                    "KRA holds an invoice under our number {number} whose {field} is not, or not readably, ours: \
                     whether it is this sale a person has to say"
                );
                self.stop_in_doubt(now, doubt, why, view)
            }
            None => self.keep_doubt(now, doubt, view),
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
        let number = doubt.number;
        if doubt.accepted {
            let why = format!("KRA called number {number} accepted, and does not show it");
            return self.stop_in_doubt(now, doubt, why, view);
        }
        match std::mem::replace(&mut doubt.afterwards, Afterwards::SendAgain) {
            Afterwards::Hold(words) => {
                self.hold_for(now, false, words, dice);
                self.keep_doubt(now, doubt, view)
            }
            Afterwards::SendAgain if doubt.contradictions >= CONTRADICTIONS => {
                let why = format!("KRA calls number {number} taken, and shows no invoice under it");
                self.stop_in_doubt(now, doubt, why, view)
            }
            Afterwards::SendAgain if standing.waiting.unsure_sends == 0 => {
                // KRA called the number taken and has nothing under it. A send of ours is unsure from here on: that has
                // to be on disk before it leaves, or a restart would take the next refusal for a definite one.
                doubt.counted_ahead = true;
                self.doubt = Some(doubt);
                let message = "KRA called its number taken and has nothing under it: sent again".to_owned();
                let words = Words { message, ..Words::default() };
                self.record(standing.waiting.document, standing.pending(words, 0, 1))
            }
            Afterwards::SendAgain => self.send_again(now, doubt, standing, view),
            Afterwards::GiveWay(words) if others_wait(view, standing.waiting.document) => {
                self.give_way(standing, words, 0)
            }
            Afterwards::GiveWay(words) => {
                // Nobody is behind it: it is tried as long as that is so.
                doubt.afterwards = Afterwards::GiveWay(words);
                self.send_again(now, doubt, standing, view)
            }
            afterwards => self.set_aside(now, standing, &afterwards, dice),
        }
    }

    fn send_again(&mut self, now: Moment, mut doubt: Doubt, standing: &Standing, view: &View) -> Action {
        // Answered at once and again in doubt: the next look waits for the time-out by itself, so this is no tight loop.
        doubt.ask_at = now;
        self.doubt = Some(doubt);
        if self.series != Series::Proven && view.next_number > 1 {
            self.series = Series::AskingPrevious;
            self.asked_at = now;
            self.doing = Doing::AskingAboutSeries;
            return Action::LookUp(view.next_number - 1, None);
        }
        self.series = Series::Proven;
        self.connect(Waiting { bound: Some(standing.number), ..standing.waiting })
    }

    /// This server has no look-up: the same bytes again, and "it is taken" then means that it was in.
    fn without_look_up(
        &mut self,
        now: Moment,
        mut doubt: Doubt,
        standing: &Standing,
        view: &View,
        dice: Dice,
    ) -> Action {
        let number = doubt.number;
        if doubt.accepted {
            let words = "KRA accepted it; this server has no function to show the proof";
            return self.without_proof(now, standing, words, false);
        }
        if doubt.contradictions > 0 && standing.waiting.unsure_sends > 0 {
            let words = "KRA says that this number is in; this server has no function to show the proof";
            return self.without_proof(now, standing, words, false);
        }
        if doubt.contradictions > 0 {
            let why = format!("KRA calls number {number} taken, and we never sent it before");
            return self.stop_in_doubt(now, doubt, why, view);
        }
        match std::mem::replace(&mut doubt.afterwards, Afterwards::SendAgain) {
            Afterwards::Hold(words) => {
                self.hold_for(now, false, words, dice);
                self.keep_doubt(now, doubt, view)
            }
            Afterwards::GiveWay(words) if !others_wait(view, standing.waiting.document) => {
                doubt.afterwards = Afterwards::GiveWay(words);
                self.send_again(now, doubt, standing, view)
            }
            Afterwards::GiveWay(_) | Afterwards::Park(_) => {
                let why = format!(
                    "the tries of the sale under number {number} are spent, and this server does not say whether it is in"
                );
                self.stop_in_doubt(now, doubt, why, view)
            }
            Afterwards::Reject(_) | Afterwards::StepAside(_) => {
                let why = format!(
                    "number {number} was refused after an answer was lost, and this server shows no invoices"
                );
                self.stop_in_doubt(now, doubt, why, view)
            }
            Afterwards::SendAgain | Afterwards::StepBack(_) => {
                self.series = Series::Proven;
                self.send_again(now, doubt, standing, view)
            }
        }
    }
}
