//! Tries that count, and what follows when they are spent: the next document goes ahead as a canary. If KRA answers it, the
//! first one is tried once more, for KRA may have come to itself just then, and is parked if that comes to nothing; if the
//! canary meets the same trouble, KRA is at fault, and both keep their places.

use std::time::Duration;

use super::answers::Standing;
use super::{
    Action, Afterwards, Dice, Doing, Drain, Moment, NumberFate, Probed, Ruling, Seq, View, Waiting, Words,
};

/// So many canaries in vain are remembered.
const MOST_IN_VAIN: usize = 64;

/// A document whose tries are spent, set back for the next one. It is not bound to a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spent {
    pub(super) waiting: Waiting,
    words: Words,
    /// The canary met the same trouble: KRA is at fault.
    start_anew: bool,
}

/// A send in doubt after which KRA is probed, before it is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Counting {
    standing: Standing,
    words: Words,
    allowed: u32,
}

impl Drain {
    /// Those that wait for another document, ascending: they stepped aside, or their tries are spent and the next one is to
    /// tell whose fault that is. How long they wait says nothing of the line.
    pub fn waiting_for_another(&self, now: Moment, view: &View) -> Vec<Seq> {
        let mut waiting = self.aside(now);
        let spent = view.head.filter(|head| head.attempts >= self.policy.max_attempts);
        waiting.extend(spent.map(|head| head.document));
        waiting.sort_unstable();
        waiting.dedup();
        waiting
    }

    /// The document that was set back for a canary.
    pub(super) fn set_back(&self) -> Option<Seq> {
        self.spent.as_ref().map(|spent| spent.waiting.document)
    }

    /// Those that are passed over now: the one that was set back, those that went ahead of it in vain before, and those that
    /// KRA refused like others before them.
    pub(super) fn passed_over(&self) -> impl Iterator<Item = Seq> {
        let in_vain = self.in_vain.iter().filter(|_| self.spent.is_some());
        self.set_back().into_iter().chain(in_vain.copied()).chain(self.alike.spared().iter().copied())
    }

    /// A person decided about it, or nobody is behind it: it has its place again.
    pub(super) fn take_back(&mut self, document: Option<Seq>) {
        if document.is_none() || self.set_back() == document {
            self.spent = None;
        }
        self.last_try.take_if(|it| document.is_none_or(|document| document == *it));
        match document {
            None => self.in_vain.clear(),
            Some(document) => {
                self.in_vain.retain(|it| *it != document);
                self.alike.put_back(Some(document));
            }
        }
    }

    /// It may be in. It counts as a try only if KRA was well just before and just after.
    pub(super) fn unsure(
        &mut self,
        now: Moment,
        standing: Standing,
        words: Words,
        allowed: Option<u32>,
        dice: Dice,
    ) -> Action {
        if self.is_canary(standing.waiting.document) {
            return self.same_trouble(now, &standing, words, dice);
        }
        if !std::mem::take(&mut self.probed_well) {
            return self.in_doubt(now, &standing, words, 1);
        }
        let allowed = allowed.unwrap_or(self.policy.max_attempts);
        self.doing = Doing::Counting(Box::new(Counting { standing, words, allowed }));
        Action::Probe
    }

    /// The probe after a send in doubt came back.
    pub(super) fn counted(&mut self, now: Moment, counting: Counting, probed: Probed, dice: Dice) -> Action {
        let Counting { standing, words, allowed } = counting;
        let well = probed == Probed::Up;
        self.probed(now, probed, dice);
        self.doubt_about(now, &standing, &words);
        let ruling = standing.pending(words, u32::from(well), 1);
        if well {
            let pause = self.own_pause(ruling.attempts, dice);
            if let Some(doubt) = &mut self.doubt {
                doubt.ask_at = doubt.ask_at.max(now.after(pause));
                if self.last_try.take_if(|document| *document == standing.waiting.document).is_some() {
                    doubt.afterwards = Afterwards::Park(ruling.words.clone());
                } else if ruling.attempts >= allowed {
                    doubt.afterwards = Afterwards::GiveWay(ruling.words.clone());
                }
            }
        }
        self.record(standing.waiting.document, ruling)
    }

    /// HTTP refused the request without a word about the document: a try, and the number is free where it never was in
    /// doubt.
    pub(super) fn odd(
        &mut self,
        now: Moment,
        standing: &Standing,
        words: Words,
        view: &View,
        dice: Dice,
    ) -> Action {
        let waiting = standing.waiting;
        if self.is_canary(waiting.document) {
            self.canary_failed(now, waiting.document, words.retry_after, dice);
            return self.definite_for_now(now, standing, words, 0);
        }
        if self.last_try.take_if(|document| *document == waiting.document).is_some() {
            return self.definite(now, standing, Afterwards::Park(words), dice);
        }
        let spent = waiting.attempts.saturating_add(1) >= self.policy.max_attempts;
        if spent && waiting.unsure_sends == 0 && others_wait(view, waiting.document) {
            return self.give_way(standing, words, 1);
        }
        let pause = self.own_pause(waiting.attempts, dice);
        self.left_alone_for(now, self.policy.backoff_initial + pause);
        if let Some(doubt) = self.doubt.as_mut().filter(|_| spent) {
            doubt.afterwards = Afterwards::GiveWay(words.clone());
        }
        self.definite_for_now(now, standing, words, 1)
    }

    /// Its number is free: it goes to the next document, and this one waits for what becomes of that.
    pub(super) fn give_way(&mut self, standing: &Standing, words: Words, attempts: u32) -> Action {
        let pending = standing.pending(words.clone(), attempts, 0);
        let ruling = Ruling { unsure_sends: 0, number: NumberFate::Released, ..pending };
        let waiting = Waiting {
            bound: None,
            unsure_sends: 0,
            answered: false,
            accepted: false,
            attempts: ruling.attempts,
            ..standing.waiting
        };
        self.spent = Some(Spent { waiting, words, start_anew: false });
        self.record(standing.waiting.document, ruling)
    }

    fn is_canary(&self, document: Seq) -> bool {
        self.spent.as_ref().is_some_and(|spent| spent.waiting.document != document && !spent.start_anew)
    }

    /// KRA gave a definite answer about this document: if it was a canary, the one before it is at fault, should it meet
    /// the same trouble again. It has its place from now on: the very next view shows it.
    pub(super) fn canary_answered(&mut self, document: Seq) {
        self.last_try.take_if(|it| *it == document);
        if self.is_canary(document) {
            self.last_try = self.spent.take().map(|spent| spent.waiting.document);
            self.in_vain.clear();
        }
    }

    /// The next time another one goes ahead: two sales that are both at fault must not stop a shop.
    fn canary_failed(&mut self, now: Moment, canary: Seq, told: Option<Duration>, dice: Dice) {
        self.lost(now, told, dice);
        if self.in_vain.len() == MOST_IN_VAIN {
            self.in_vain.clear();
        }
        self.in_vain.push(canary);
        if let Some(spent) = &mut self.spent {
            spent.start_anew = true;
        }
    }

    fn same_trouble(&mut self, now: Moment, standing: &Standing, words: Words, dice: Dice) -> Action {
        self.probed_well = false;
        self.canary_failed(now, standing.waiting.document, words.retry_after, dice);
        self.doubt_about(now, standing, &words);
        if let Some(doubt) = &mut self.doubt {
            doubt.afterwards = Afterwards::StepBack(words.clone());
        }
        let ruling = Ruling { attempts: 0, ..standing.pending(words, 0, 1) };
        self.record(standing.waiting.document, ruling)
    }

    /// What the canary said of KRA is written down, before anything else is done.
    pub(super) fn settle_spent(&mut self) -> Option<Action> {
        let Spent { waiting, words, .. } = self.spent.take_if(|spent| spent.start_anew)?;
        let standing = Standing { waiting: Waiting { attempts: 0, ..waiting }, number: 0 };
        let ruling = Ruling { number: NumberFate::Released, ..standing.pending(words, 0, 0) };
        self.doing = Doing::Recording(None);
        Some(Action::Record(waiting.document, Box::new(ruling), None))
    }
}

/// Another document could be sent in the place of this one.
pub(super) fn others_wait(view: &View, document: Seq) -> bool {
    view.after.is_some_and(|after| after.document != document && after.bound.is_none() && after.may_go())
}
