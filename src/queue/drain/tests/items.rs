//! Documents and items together: one saving request at a time, neither in the other's way for long.

use proptest::prelude::*;

use super::kra::{MOODS, Mood, probe};
use super::policy;
use super::world::World;
use crate::queue::drain::{Action, Event};
use crate::queue::{
    Dice, ItemLane, Judged, Moment, Probed, Sent, Seq, Status, Step, Ticket, Turn, Unreachable, Verdict,
    Words,
};

/// The items beside the documents.
struct Shop {
    world: World,
    lane: ItemLane,
    waiting: Vec<Ticket>,
    /// Items that KRA never takes well: it refuses them, or answers nothing that can be read.
    poison: Vec<(Ticket, Mood)>,
    /// The documents that name an item.
    names: Vec<(Seq, Ticket)>,
    ended: u64,
    /// Documents in KRA's books while an item that they name still waited.
    ahead: Vec<Seq>,
}

impl Shop {
    fn named(&self, document: Seq) -> Vec<Ticket> {
        let named = self.names.iter().filter(|(it, _)| *it == document).map(|(_, ticket)| *ticket);
        named.filter(|ticket| self.waiting.contains(ticket)).collect()
    }

    fn save(&mut self, ticket: Ticket, mood: Mood, dice: Dice) {
        let poison = self.poison.iter().find(|(it, _)| *it == ticket).map(|(_, mood)| *mood);
        let mood = if mood == Mood::Answers { poison.unwrap_or(mood) } else { mood };
        let words = Words { message: "said".to_owned(), ..Words::default() };
        let sent = match mood {
            Mood::Away => Sent::Not(Unreachable { at: Step::Connect, why: "refused".to_owned() }),
            Mood::Answers => Sent::Answered(Verdict::AcceptedWithoutProof(words)),
            Mood::RefusesForGood => Sent::Answered(Verdict::Refused(words)),
            Mood::RefusesForNow => Sent::Answered(Verdict::Wait(words)),
            Mood::Odd => Sent::Answered(Verdict::Odd(words)),
            _ => Sent::InDoubt(words),
        };
        let now = self.world.now;
        self.world.drain.item_was_sent(now, &sent, dice);
        let mut judged = self.lane.sent(now, (ticket, false), &sent, &policy(), dice);
        if let Judged::Probe(words) = judged {
            let probed = if poison.is_some() { Probed::Up } else { probe(mood) };
            judged = self.lane.probed(now, ticket, (&words, &probed), &policy(), dice);
            self.world.drain.item_was_probed(now, probed, dice);
        }
        if let Judged::Stands(_) = judged {
            self.waiting.retain(|other| *other != ticket);
            self.ended += 1;
        }
    }

    /// One step of both machines.
    fn step(&mut self, event: Event, mood: Mood, luck: u64) -> Event {
        let now = self.world.now;
        let view = self.world.log.view(&self.world.drain, now);
        let action = self.world.drain.step(now, event, &view, Dice(luck));
        let head = self.world.drain.fresh_head(&action);
        let named = head.map(|document| self.named(document)).unwrap_or_default();
        let turn =
            self.lane.turn(now, (&self.world.drain, &action), &named, &mut self.waiting.iter().copied());
        match turn {
            Turn::Item(ticket) => {
                // A document that may be sent waits only for what it names.
                let idle = matches!(action, Action::WaitUntil(_));
                let held = !named.is_empty() && named.iter().any(|named| self.lane.holds(*named));
                assert!(idle || held, "item {ticket:?} goes before {action:?}");
                self.world.drain.put_off(&action);
                self.save(ticket, mood, Dice(luck));
                self.world.now = now.after(std::time::Duration::from_millis(1));
                Event::Woken
            }
            Turn::Wait(until) => {
                let until = until.expect("an item that holds a document is tried again at some time");
                self.world.drain.put_off(&action);
                self.world.now = until.max(now);
                Event::Woken
            }
            Turn::Documents => {
                if let Action::Bind(document, _) = action
                    && self.named(document).iter().any(|ticket| self.lane.holds(*ticket))
                {
                    self.ahead.push(document);
                }
                let due = self.lane.due(now).filter(|_| self.world.drain.admits_items(&action));
                let action = match (action, due.filter(|_| !self.waiting.is_empty())) {
                    (Action::WaitUntil(until), Some(due)) => {
                        Action::WaitUntil(Some(until.map_or(due, |until| until.min(due))))
                    }
                    // Nothing is bound ahead of what it names.
                    (Action::Record(document, ruling, Some((next, number))), _) => {
                        let bind = self.named(next).is_empty().then_some((next, number));
                        Action::Record(document, ruling, bind)
                    }
                    (action, _) => action,
                };
                self.world.carry_out(action, mood, luck)
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(1_000), ..ProptestConfig::default() })]

    /// Whatever KRA does for a while: no item delays a document that does not name it, none goes behind a document that
    /// names it while there is hope for it, and in the end every item was saved or set aside and every document is signed.
    #[test]
    fn items_and_documents_come_to_their_ends(
        documents in 1_u64..6, items in 0_u64..5, names in prop::collection::vec((1_u64..6, 0_u64..5), 0..6),
        script in prop::collection::vec((0..MOODS.len(), any::<bool>(), any::<u64>()), 0..120),
        poison in prop::collection::vec((0_u64..5, 0_usize..4), 0..3),
    ) {
        let moods = [Mood::Odd, Mood::RefusesForGood, Mood::RefusesForNow, Mood::ServerError];
        let mut shop = Shop {
            world: World::new(documents),
            lane: ItemLane::default(),
            waiting: (0..items).map(Ticket).collect(),
            poison: poison.into_iter().map(|(item, mood)| (Ticket(item), moods[mood])).collect(),
            names: names.into_iter().map(|(document, item)| (document, Ticket(item))).collect(),
            ended: 0,
            ahead: Vec::new(),
        };
        let mut event = Event::Woken;
        for (mood, well, luck) in script {
            let mood = if well || MOODS[mood] == Mood::SaysTaken { Mood::Answers } else { MOODS[mood] };
            event = shop.step(event, mood, luck);
            shop.world.kra.ghosts_land(shop.world.now);
        }
        let deadline: Moment = shop.world.now.after(std::time::Duration::from_secs(14 * 24 * 3600));
        let pending = |shop: &Shop| shop.world.log.kept.iter().any(|kept| kept.status == Status::Pending);
        let mut round = 0;
        while pending(&shop) || !shop.waiting.is_empty() {
            round += 1;
            prop_assert!(round < 20_000 && shop.world.now < deadline, "it never comes to rest: {:?}", shop.waiting);
            event = shop.step(event, Mood::Answers, round);
            shop.world.kra.ghosts_land(shop.world.now);
        }
        prop_assert_eq!(shop.ended, items);
        prop_assert!(shop.ahead.is_empty(), "bound before what they name: {:?}", shop.ahead);
        prop_assert!(shop.world.drain.stopped().is_none());
    }
}
