//! The lane of items beside the queue of documents: what is decided about saving them at KRA. Pure, as the drain is.
//!
//! Items belong to no number series: one in doubt is simply sent again. They go when no document may, but those that the
//! next sale names go ahead of it, as long as there is hope that KRA takes them soon.

use std::collections::BTreeMap;
use std::time::Duration;

use super::drain::{Action, Drain, Event, Policy};
use super::{Dice, Moment, Probed, Sent, Verdict, Words, backoff};

/// After so many tries in vain an item no longer holds the sale that names it: KRA may take the sale all the same, and others
/// wait behind it.
const HOLDS_FOR: u32 = 3;
/// `994` says "overlapped data" of an item that is there already.
const OVERLAPPED: &str = "994";

/// A version of an item that waits: a later version has another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Where an item stands with KRA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ItemStanding {
    /// It waits to be saved.
    Queued,
    /// KRA has it as it is here.
    Saved,
    /// KRA said no to it, in these words.
    Refused(String),
    /// Its tries are spent; the last one ended in these words.
    Parked(String),
}

impl ItemStanding {
    /// The word for it in answers.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Parked(_) => "parked",
            Self::Queued => "queued",
            Self::Refused(_) => "refused",
            Self::Saved => "saved",
        }
    }

    /// What KRA said, where it did not take it.
    pub fn words(&self) -> Option<&str> {
        match self {
            Self::Parked(words) | Self::Refused(words) => Some(words),
            Self::Queued | Self::Saved => None,
        }
    }
}

/// What follows from an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judged {
    /// It is tried again later; nothing is written.
    Later,
    /// KRA is asked whether it is there: if so, this was the item's fault, and a try of it.
    Probe(Words),
    /// This is where it stands now.
    Stands(ItemStanding),
}

/// What comes before the next action of the documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Nothing.
    Documents,
    /// This item is sent.
    Item(Ticket),
    /// The next document names an item that is tried again only then; nothing else waits.
    Wait(Option<Moment>),
}

/// Tries of one item, in memory alone: a start begins anew.
#[derive(Clone, Copy, Debug, Default)]
struct Tries {
    /// Answers that counted against it.
    attempts: u32,
    /// All of them in vain, those included that said more of the configuration than of the item.
    in_vain: u32,
    not_before: Option<Moment>,
    /// A send of it ended without an answer: KRA may have it.
    unsure: bool,
}

/// The function that saves items is refused, or not there: items wait, sales go on.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Closed {
    until: Moment,
    words: Words,
    failures: u32,
}

/// See the module's words.
#[derive(Clone, Debug, Default)]
pub struct ItemLane {
    tries: BTreeMap<Ticket, Tries>,
    closed: Option<Closed>,
}

impl ItemLane {
    /// The first of those that wait, in their order, whose turn it is.
    pub fn next(&self, now: Moment, waiting: impl IntoIterator<Item = Ticket>) -> Option<Ticket> {
        if self.closed.as_ref().is_some_and(|closed| now < closed.until) {
            return None;
        }
        waiting.into_iter().find(|ticket| self.is_due(now, *ticket))
    }

    /// Whose turn it is. `named`: those of the waiting that the document names which is about to be sent for the first time
    /// ([`Drain::fresh_head`]).
    pub fn turn(
        &self,
        now: Moment,
        (drain, action): (&Drain, &Action),
        named: &[Ticket],
        waiting: &mut dyn Iterator<Item = Ticket>,
    ) -> Turn {
        if !drain.admits_items(action) {
            return Turn::Documents;
        }
        if drain.fresh_head(action).is_none() {
            return self.next(now, waiting).map_or(Turn::Documents, Turn::Item);
        }
        let mut holding = named.iter().copied().filter(|ticket| self.holds(*ticket)).peekable();
        if holding.peek().is_none() {
            return Turn::Documents;
        }
        // Where all of them are tried later, others may go meanwhile.
        let next = self.next(now, holding).or_else(|| self.next(now, waiting));
        next.map_or_else(|| Turn::Wait(self.due(now)), Turn::Item)
    }

    fn is_due(&self, now: Moment, ticket: Ticket) -> bool {
        let not_before = self.tries.get(&ticket).and_then(|tries| tries.not_before);
        not_before.is_none_or(|until| now >= until)
    }

    /// When, at the earliest, one comes to its turn that does not have it now; `None`: nobody waits for a time.
    pub fn due(&self, now: Moment) -> Option<Moment> {
        let later = |until: &Moment| now < *until;
        let closed = self.closed.as_ref().map(|closed| closed.until).filter(later);
        closed.or_else(|| self.tries.values().filter_map(|tries| tries.not_before).filter(later).min())
    }

    /// Whether a sale that names this item waits for it.
    pub fn holds(&self, ticket: Ticket) -> bool {
        self.tries.get(&ticket).is_none_or(|tries| tries.in_vain < HOLDS_FOR)
    }

    /// Why no item is saved though KRA answers.
    pub fn closed(&self) -> Option<&Words> {
        self.closed.as_ref().map(|closed| &closed.words)
    }

    /// A person wants the next try now.
    pub fn retry_now(&mut self) {
        self.closed = None;
        self.tries.values_mut().for_each(|tries| tries.not_before = None);
    }

    /// The same, where that is what happened.
    pub fn hear(&mut self, event: &Event) {
        if *event == Event::RetryNow {
            self.retry_now();
        }
    }

    /// What became of a send. `known`: KRA has saved an earlier version of it.
    pub fn sent(
        &mut self,
        now: Moment,
        (ticket, known): (Ticket, bool),
        sent: &Sent,
        policy: &Policy,
        dice: Dice,
    ) -> Judged {
        let verdict = match sent {
            // Nobody's fault, and nothing left.
            Sent::Not(_) => return Judged::Later,
            Sent::InDoubt(words) => return self.unsure(ticket, words),
            Sent::Answered(verdict) => verdict,
        };
        if !matches!(verdict, Verdict::Config(_)) {
            self.closed = None;
        }
        match verdict {
            // There is no proof to an item: `000` alone says that KRA has it.
            Verdict::Accepted(_) | Verdict::AcceptedWithoutProof(_) => self.ends(ticket, ItemStanding::Saved),
            Verdict::Unsure(words) | Verdict::UnsureConfig(words) => self.unsure(ticket, words),
            Verdict::Busy(_) | Verdict::Device(_) => Judged::Later,
            Verdict::Config(words) => {
                self.tries.entry(ticket).or_default().in_vain += 1;
                let failures = self.closed.as_ref().map_or(0, |closed| closed.failures.saturating_add(1));
                let Policy { backoff_initial, probe_max, .. } = *policy;
                let pause = backoff_initial + backoff::pause(backoff_initial, probe_max, failures, dice);
                let told = words.retry_after.unwrap_or_default();
                let until = now.after(pause.max(told));
                self.closed = Some(Closed { until, words: words.clone(), failures });
                Judged::Later
            }
            Verdict::Duplicate(words) => {
                let unsure = self.tries.get(&ticket).is_some_and(|tries| tries.unsure);
                let overlapped = words.result_cd.as_deref() == Some(OVERLAPPED);
                // It is there: by a send whose answer was lost, or put there by somebody before us. What was saved before and
                // is called double now was not changed.
                if overlapped && (unsure || !known) {
                    return self.ends(ticket, ItemStanding::Saved);
                }
                self.ends(ticket, ItemStanding::Refused(words.in_short()))
            }
            Verdict::Refused(words) => self.ends(ticket, ItemStanding::Refused(words.in_short())),
            Verdict::Odd(words) | Verdict::OutOfSequence { words, .. } | Verdict::Wait(words) => {
                self.counts(now, ticket, words, policy, dice)
            }
        }
    }

    /// What came of it could not be written down: it is sent again, but not before this.
    pub fn put_off(&mut self, ticket: Ticket, until: Moment) {
        self.tries.entry(ticket).or_default().not_before = Some(until);
    }

    /// What the probe after a lost answer found. Nothing is known of the item while KRA is away.
    pub fn probed(
        &mut self,
        now: Moment,
        ticket: Ticket,
        (words, probed): (&Words, &Probed),
        policy: &Policy,
        dice: Dice,
    ) -> Judged {
        if *probed == Probed::Up { self.counts(now, ticket, words, policy, dice) } else { Judged::Later }
    }

    fn unsure(&mut self, ticket: Ticket, words: &Words) -> Judged {
        self.tries.entry(ticket).or_default().unsure = true;
        Judged::Probe(words.clone())
    }

    fn ends(&mut self, ticket: Ticket, standing: ItemStanding) -> Judged {
        self.tries.remove(&ticket);
        Judged::Stands(standing)
    }

    /// A try of this item.
    fn counts(&mut self, now: Moment, ticket: Ticket, words: &Words, policy: &Policy, dice: Dice) -> Judged {
        let tries = self.tries.entry(ticket).or_default();
        tries.attempts = tries.attempts.saturating_add(1);
        tries.in_vain = tries.in_vain.saturating_add(1);
        if tries.attempts >= policy.max_attempts {
            return self.ends(ticket, ItemStanding::Parked(words.in_short()));
        }
        let before = tries.attempts.saturating_sub(1);
        let pause = backoff::pause(policy.backoff_initial, policy.backoff_max, before, dice);
        let pause: Duration = (policy.backoff_initial + pause).max(words.retry_after.unwrap_or_default());
        tries.not_before = Some(now.after(pause));
        Judged::Later
    }

    /// Of these alone anything is still to be remembered.
    pub fn keep(&mut self, waits: impl Fn(Ticket) -> bool) {
        self.tries.retain(|ticket, _| waits(*ticket));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::queue::{Busy, Step, Unreachable};

    const POLICY: Policy = Policy {
        backoff_initial: Duration::from_secs(1),
        backoff_max: Duration::from_secs(300),
        probe_max: Duration::from_secs(30),
        max_attempts: 4,
        request_timeout: Duration::from_secs(120),
    };
    const NOW: Moment = Moment(1_000_000);
    const DICE: Dice = Dice(7);
    const A: Ticket = Ticket(1);

    fn words(code: &str) -> Words {
        Words { result_cd: Some(code.into()), message: "said".into(), ..Words::default() }
    }

    fn answered(verdict: Verdict) -> Sent {
        Sent::Answered(verdict)
    }

    #[test]
    fn what_each_answer_leads_to() {
        let refused = |text: &str| Judged::Stands(ItemStanding::Refused(text.into()));
        for (sent, known, judged) in [
            (
                answered(Verdict::AcceptedWithoutProof(words("000"))),
                false,
                Judged::Stands(ItemStanding::Saved),
            ),
            (answered(Verdict::Refused(words("910"))), false, refused("910 said")),
            (answered(Verdict::Duplicate(words("994"))), false, Judged::Stands(ItemStanding::Saved)),
            (answered(Verdict::Duplicate(words("994"))), true, refused("994 said")),
            (answered(Verdict::Wait(words("922"))), false, Judged::Later),
            (answered(Verdict::Odd(words("400"))), false, Judged::Later),
            (answered(Verdict::Config(words("912"))), false, Judged::Later),
            (answered(Verdict::Device(words("901"))), false, Judged::Later),
            (answered(Verdict::Busy(Busy { words: words("990"), floor: None })), false, Judged::Later),
            (answered(Verdict::Unsure(words("999"))), false, Judged::Probe(words("999"))),
            (Sent::InDoubt(words("-")), false, Judged::Probe(words("-"))),
            (Sent::Not(Unreachable { at: Step::Connect, why: "refused".into() }), false, Judged::Later),
        ] {
            let mut lane = ItemLane::default();
            assert_eq!(lane.sent(NOW, (A, known), &sent, &POLICY, DICE), judged, "{sent:?} {known}");
        }
    }

    #[test]
    fn an_outage_uses_no_tries_and_an_item_that_fails_beside_good_probes_is_set_aside() {
        let mut lane = ItemLane::default();
        let lost = Sent::InDoubt(words("lost"));
        let down = Probed::Down(Words::default());
        for _ in 0..50 {
            assert!(matches!(lane.sent(NOW, (A, false), &lost, &POLICY, DICE), Judged::Probe(_)));
            assert_eq!(lane.probed(NOW, A, (&words("lost"), &down), &POLICY, DICE), Judged::Later);
            assert_eq!(lane.next(NOW, [A]), Some(A));
            assert!(lane.holds(A));
        }
        let mut now = NOW;
        for number in 1..4 {
            lane.sent(now, (A, false), &lost, &POLICY, DICE);
            let judged = lane.probed(now, A, (&words("lost"), &Probed::Up), &POLICY, DICE);
            assert_eq!(judged, Judged::Later);
            assert_eq!(lane.next(now, [A]), None, "it has a pause of its own");
            assert_eq!(lane.next(now, [A, Ticket(2)]), Some(Ticket(2)), "others have not");
            assert_eq!(lane.holds(A), number < 3);
            now = lane.due(now).unwrap();
            assert_eq!(lane.next(now, [A]), Some(A));
        }
        lane.sent(now, (A, false), &lost, &POLICY, DICE);
        let judged = lane.probed(now, A, (&words("lost"), &Probed::Up), &POLICY, DICE);
        assert_eq!(judged, Judged::Stands(ItemStanding::Parked("lost said".into())));
        assert_eq!(lane.due(now), None);
    }

    #[test]
    fn what_could_not_be_written_down_is_not_sent_again_at_once() {
        let mut lane = ItemLane::default();
        let until = NOW.after(Duration::from_secs(60));
        lane.put_off(A, until);
        assert_eq!((lane.next(NOW, [A]), lane.due(NOW)), (None, Some(until)));
        assert!(lane.holds(A));
        assert_eq!(lane.next(until, [A]), Some(A));
    }

    #[test]
    fn after_a_lost_answer_994_means_that_it_is_there() {
        let mut lane = ItemLane::default();
        lane.sent(NOW, (A, true), &Sent::InDoubt(words("lost")), &POLICY, DICE);
        let judged = lane.sent(NOW, (A, true), &answered(Verdict::Duplicate(words("994"))), &POLICY, DICE);
        assert_eq!(judged, Judged::Stands(ItemStanding::Saved));
    }

    #[test]
    fn a_server_without_the_function_closes_the_lane_and_not_the_queue() {
        let mut lane = ItemLane::default();
        let config = answered(Verdict::Config(words("912")));
        let mut now = NOW;
        for number in 1..=3 {
            assert_eq!(lane.next(now, [A]), Some(A));
            lane.sent(now, (A, false), &config, &POLICY, DICE);
            assert_eq!(lane.next(now, [A, Ticket(2)]), None);
            assert_eq!(lane.closed(), Some(&words("912")));
            assert_eq!(lane.holds(A), number < 3, "the sale goes on without it");
            let due = lane.due(now).unwrap();
            assert!(due.since(now) <= POLICY.probe_max + POLICY.backoff_initial);
            now = due;
        }
        lane.retry_now();
        assert_eq!(lane.next(now, [A]), Some(A));
    }

    fn any_answer() -> impl Strategy<Value = (Sent, bool)> {
        let words = || words("999");
        let sent = prop_oneof![
            3 => Just(answered(Verdict::AcceptedWithoutProof(words()))),
            1 => Just(answered(Verdict::Refused(words()))),
            1 => Just(answered(Verdict::Config(words()))),
            1 => Just(answered(Verdict::Device(words()))),
            1 => Just(answered(Verdict::Odd(words()))),
            2 => Just(answered(Verdict::Wait(words()))),
            2 => Just(answered(Verdict::Unsure(words()))),
            2 => Just(Sent::InDoubt(words())),
            1 => Just(Sent::Not(Unreachable { at: Step::Connect, why: "refused".into() })),
        ];
        (sent, any::<bool>())
    }

    proptest! {
        /// Whatever KRA answers for a while: once it answers well, every item is saved or was set aside, each by an answer
        /// of its own, and none is tried more often than the policy allows.
        #[test]
        fn every_item_is_saved_or_set_aside(
            answers in proptest::collection::vec(any_answer(), 0..80), items in 1u64..6, dice: u64,
        ) {
            let mut lane = ItemLane::default();
            let mut waiting: Vec<Ticket> = (0..items).map(Ticket).collect();
            let mut answers = answers.into_iter();
            let mut now = NOW;
            let mut steps = 0;
            while !waiting.is_empty() {
                steps += 1;
                prop_assert!(steps < 500, "it comes to no end");
                let Some(ticket) = lane.next(now, waiting.iter().copied()) else {
                    let due = lane.due(now);
                    prop_assert!(due.is_some(), "somebody waits for ever");
                    now = due.unwrap();
                    continue;
                };
                let well = (answered(Verdict::AcceptedWithoutProof(words("000"))), true);
                let (sent, up) = answers.next().unwrap_or(well);
                let dice = Dice(dice);
                let judged = match lane.sent(now, (ticket, false), &sent, &POLICY, dice) {
                    Judged::Probe(words) => {
                        let probed = if up { Probed::Up } else { Probed::Down(Words::default()) };
                        lane.probed(now, ticket, (&words, &probed), &POLICY, dice)
                    }
                    judged => judged,
                };
                if matches!(judged, Judged::Stands(_)) {
                    waiting.retain(|other| *other != ticket);
                }
            }
            prop_assert!(lane.tries.is_empty());
        }
    }
}
