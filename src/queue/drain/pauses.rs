//! Why nothing is sent for a while: the line, the device, the configuration, many refused alike; and what ends it.

use std::time::Duration;

use super::{Drain, Policy};
use crate::queue::alike::CANARY_PAUSE;
use crate::queue::{Dice, Line, Moment, Probed, Step, Unreachable, Words, backoff};

/// Why the queue waits though KRA answers: our configuration, or the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// True: the device or its credentials; false: the configuration.
    pub device: bool,
    /// KRA's words.
    pub words: Words,
    /// When it is tried again.
    pub until: Moment,
    /// KRA answered a probe since: the head may be tried.
    pub(super) probed: bool,
    failures: u32,
}

impl Drain {
    pub(super) fn unreachable(&mut self, now: Moment, unreachable: Unreachable, dice: Dice) {
        let words = Words { message: unreachable.why, ..Words::default() };
        if unreachable.at == Step::Trust {
            self.hold_for(now, true, words, dice);
        } else {
            self.lost(now, None, dice);
        }
    }

    /// KRA is away: nothing is sent until a probe finds it again, and no probe before it wants one.
    pub(super) fn lost(&mut self, now: Moment, told: Option<Duration>, dice: Dice) {
        let Policy { backoff_initial, probe_max, .. } = self.policy;
        self.line.lost(now, self.away, (backoff_initial, probe_max, told), dice);
        self.away = self.away.saturating_add(1);
    }

    /// KRA said how long it wants to be left alone: nothing is sent or looked up before.
    pub(super) fn left_alone_for(&mut self, now: Moment, told: Duration) {
        self.not_before = self.not_before.max(Some(now.after(told)));
    }

    pub(super) fn hold_for(&mut self, now: Moment, device: bool, words: Words, dice: Dice) {
        let failures = self.hold.as_ref().map_or(0, |hold| hold.failures.saturating_add(1));
        let Policy { backoff_initial, probe_max, .. } = self.policy;
        // A little is sure, so that a refusal is not asked for again at once.
        let jittered =
            backoff::pause(backoff_initial, probe_max.saturating_sub(backoff_initial), failures, dice);
        let until = now.after((backoff_initial + jittered).max(words.retry_after.unwrap_or_default()));
        self.hold = Some(Hold { device, words, until, probed: false, failures });
    }

    /// Not these sales are wrong, so many refused alike: the next one is tried as a canary after a pause.
    pub(super) fn pause_for_canary(&mut self, now: Moment, words: &Words) {
        let message = format!("several sales in a row were refused alike: {}", words.message);
        let words = Words { message, ..words.clone() };
        let until = now.after(CANARY_PAUSE);
        self.hold = Some(Hold { device: false, words, until, probed: false, failures: 0 });
    }

    pub(super) fn probed(&mut self, now: Moment, probed: Probed, dice: Dice) {
        match probed {
            Probed::Down(words) => self.lost(now, words.retry_after, dice),
            Probed::Refused(words) => {
                self.line = Line::Closed;
                self.hold_for(now, true, words, dice);
            }
            Probed::Up => {
                self.line = Line::Closed;
                if let Some(hold) = &mut self.hold {
                    hold.probed = true;
                }
            }
        }
    }

    pub(super) fn retry_now(&mut self, now: Moment) {
        self.line.returned(now);
        self.not_before = None;
        self.take_back(None);
        self.aside.clear();
        if let Some(hold) = &mut self.hold {
            hold.until = now;
        }
        if let Some(doubt) = &mut self.doubt {
            doubt.ask_at = now;
        }
    }
}
