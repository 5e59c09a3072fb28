//! What the lane of items may do beside the documents, and what it learns of the line for both.

use super::{Action, Doing, Drain};
use crate::queue::{Dice, Moment, Probed, Sent, Seq, Step, Verdict};

impl Drain {
    /// Whether an item may be sent while nothing of the series is: KRA is there, wants something, and nothing is in doubt.
    pub fn admits_items(&self, action: &Action) -> bool {
        let idle = matches!(action, Action::WaitUntil(_)) || self.fresh_head(action).is_some();
        // A stopped series moves only by a person's word; items are no part of it.
        let settled = self.doubt.is_none() || self.stopped.is_some();
        let held = self.hold.as_ref().is_some_and(|hold| !hold.probed);
        idle && settled && !held && !self.line.is_open() && self.not_before.is_none()
    }

    /// The document that is about to be sent for the first time, or again after a definite answer: what it names goes first.
    pub fn fresh_head(&self, action: &Action) -> Option<Seq> {
        match (action, &self.doing) {
            (Action::Connect, Doing::Connecting(waiting)) if waiting.bound.is_none() => {
                Some(waiting.document)
            }
            (Action::Probe, Doing::ProbingBefore(waiting)) if waiting.bound.is_none() => {
                Some(waiting.document)
            }
            _ => None,
        }
    }

    /// What the sending of an item says of KRA, for the documents as well.
    pub fn item_was_sent(&mut self, now: Moment, sent: &Sent, dice: Dice) {
        match sent {
            Sent::Not(unreachable) => {
                // A kept connection that KRA closed meanwhile: the next one is fresh, and its failure speaks for itself.
                self.lost_in_a_row = self.lost_in_a_row.saturating_add(1);
                if unreachable.at != Step::Lost || self.lost_in_a_row > 1 {
                    self.unreachable(now, unreachable.clone(), dice);
                }
            }
            // The probe that follows says more.
            Sent::InDoubt(_) => self.lost_in_a_row = 0,
            Sent::Answered(verdict) => {
                (self.lost_in_a_row, self.away) = (0, 0);
                match verdict {
                    Verdict::Busy(busy) => {
                        self.leave_alone(now, busy, self.busy_sends, dice);
                        self.busy_sends = self.busy_sends.saturating_add(1);
                        return;
                    }
                    Verdict::Device(words) => self.hold_for(now, true, words.clone(), dice),
                    Verdict::Config(_) | Verdict::UnsureConfig(_) => {}
                    // The device is good. What is held for the documents' own sake, they find out themselves.
                    _ => self.hold = self.hold.take().filter(|hold| !hold.device),
                }
                self.busy_sends = 0;
                if let Some(told) = verdict.words().and_then(|words| words.retry_after) {
                    self.left_alone_for(now, told);
                }
            }
        }
    }

    /// What a probe after an item's lost answer found.
    pub fn item_was_probed(&mut self, now: Moment, probed: Probed, dice: Dice) {
        self.probed(now, probed, dice);
    }
}
