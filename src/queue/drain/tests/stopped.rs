//! A series that has stopped while a document is in doubt.

use super::kra::{Mood, Whose};
use super::world::World;
use super::{TIMEOUT, words};
use crate::queue::drain::{Action, Event};
use crate::queue::{Command, Dice, Sent, Verdict};

fn step(world: &mut World, event: Event) -> Action {
    let view = world.log.view(&world.drain, world.now);
    world.drain.step(world.now, event, &view, Dice(0))
}

/// Goes on until something is sent, or the series has stopped.
fn until_sent(world: &mut World, event: Event) -> Option<Action> {
    let mut event = event;
    for _ in 0..100 {
        let action = step(world, event);
        if matches!(action, Action::Send(..)) {
            return Some(action);
        }
        if world.drain.stopped().is_some() && world.drain.can_wait(&action) {
            return None;
        }
        event = world.carry_out(action, Mood::Answers, 1);
    }
    panic!("neither sent nor stopped: {:?}", world.drain)
}

/// Found by a reader: "KRA's books are asked about it now" was said, and nobody asked.
fn is_asked_when_it_is_retried(mut world: World) {
    assert_eq!(world.drain.stopped().unwrap().document, Some(1));
    let number = world.log.kept(1).bound.unwrap();
    let seen = world.log.kept(1).seen();
    assert_eq!(step(&mut world, Event::Woken), Action::WaitUntil(None));
    world.order(Command::Retry(1, seen)).unwrap();
    assert_eq!(step(&mut world, Event::Woken), Action::LookUp(number, Some(1)));
}

#[test]
fn a_sequence_error_after_a_lost_answer() {
    let mut world = World::new(1);
    let send = until_sent(&mut world, Event::Woken).unwrap();
    let lost = world.carry_out(send, Mood::LosesRequest, 1);
    assert_eq!(until_sent(&mut world, lost), Some(Action::Send(1, 1)));
    let sequence = Verdict::OutOfSequence { expected: 9, found: 1, words: words("sequence") };
    let record = step(&mut world, Event::Sent(Sent::Answered(sequence), None));
    world.carry_out(record, Mood::Answers, 1);
    assert_eq!(world.log.kept(1).bound, Some(1), "it may be in");
    is_asked_when_it_is_retried(world);
}

#[test]
fn a_number_before_it_that_kra_does_not_have_or_has_of_another() {
    for before in [vec![], vec![Whose::Foreign(1)]] {
        let mut world = World::new(1);
        world.log.next_number = 2;
        world.log.last = Some((1, "OURS".to_owned()));
        world.log.bind(1, 2);
        world.kra.books = before;
        world.now = world.now.after(TIMEOUT);
        world.restart(false);
        assert_eq!(until_sent(&mut world, Event::Woken), None);
        is_asked_when_it_is_retried(world);
    }
}
