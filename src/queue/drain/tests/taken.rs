//! KRA calls a number taken: what that proves, and what it does not.

use super::kra::{Mood, Shows, Whose};
use super::world::World;
use super::{TIMEOUT, words};
use crate::queue::drain::{Action, Event};
use crate::queue::{Command, Dice, Sent, Status, Verdict};

/// Goes on until this is asked for; it is not answered.
fn until(world: &mut World, event: Event, mood: Mood, wanted: impl Fn(&Action) -> bool) -> Action {
    let mut event = event;
    for _ in 0..100 {
        let view = world.log.view(&world.drain, world.now);
        let action = world.drain.step(world.now, event, &view, Dice(0));
        if wanted(&action) {
            return action;
        }
        event = world.carry_out(action, mood, 1);
    }
    panic!("it never came to that: {:?} {:?}", world.drain, world.log.kept)
}

fn is_send(action: &Action) -> bool {
    matches!(action, Action::Send(..))
}

fn is_look_up(action: &Action) -> bool {
    matches!(action, Action::LookUp(..))
}

/// Found by a reader: one server of KRA's that did not have the look-up made a sale that was never booked one that is in.
#[test]
fn a_look_up_that_has_answered_is_not_gone_because_one_server_says_so() {
    for first in [Mood::SaysTaken, Mood::LosesRequest] {
        let mut world = World::new(1);
        let send = until(&mut world, Event::Woken, Mood::Answers, is_send);
        let mut event = world.carry_out(send, first, 1);
        if first == Mood::LosesRequest {
            let again = until(&mut world, event, Mood::Answers, is_send);
            event = world.carry_out(again, Mood::SaysTaken, 1);
        }
        // KRA's books say once that the number is free; then nothing but servers without the function.
        let free = until(&mut world, event, Mood::Answers, is_look_up);
        let mut event = world.carry_out(free, Mood::Answers, 1);
        for _ in 0..50 {
            let view = world.log.view(&world.drain, world.now);
            let action = world.drain.step(world.now, event, &view, Dice(0));
            assert!(!is_send(&action), "nothing is sent while KRA's books say nothing");
            event = world.carry_out(action, Mood::LooksNothingUp, 1);
        }
        assert_eq!(world.log.kept[0].status, Status::Pending, "{first:?}");
        assert!(!world.drain.no_look_up() && world.drain.stopped().is_none(), "{:?}", world.drain);
        let send = until(&mut world, event, Mood::Answers, is_send);
        world.carry_out(send, Mood::Answers, 1);
        assert_eq!(world.kra.books, [Whose::Ours(1)]);
    }
}

/// Found by a reader: a send is counted as unsure before it leaves, and was taken for one whose answer was lost.
#[test]
fn only_a_lost_answer_makes_taken_mean_that_it_is_in() {
    let mut world = World::new(1);
    let send = until(&mut world, Event::Woken, Mood::Answers, is_send);
    let event = world.carry_out(send, Mood::SaysTaken, 1);
    // The number is free by KRA's books, and is called taken a second time.
    let send = until(&mut world, event, Mood::Answers, is_send);
    assert_eq!(world.log.kept[0].unsure_sends, 1, "counted before it leaves");
    let event = world.carry_out(send, Mood::SaysTaken, 1);
    until(&mut world, event, Mood::Answers, is_look_up);
    assert_eq!(world.log.kept[0].unsure_sends, 0, "it was answered");
    // From here on it is a server that shows nothing, and a stranger has the number.
    world.restart(true);
    world.stranger();
    world.kra.shows = Shows::Nothing;
    let waits = |action: &Action| *action == Action::WaitUntil(None);
    until(&mut world, Event::Woken, Mood::Answers, waits);
    assert!(world.drain.stopped().is_some(), "{:?}", world.drain);
    assert_eq!(world.log.kept[0].status, Status::Pending);
}

/// Found by a reader: the number was taken for free, though the sale was in under it.
#[test]
fn a_request_that_was_repeated_on_the_way_is_found_in_kras_books() {
    let mut world = World::new(2);
    let send = until(&mut world, Event::Woken, Mood::Answers, is_send);
    let event = world.carry_out(send, Mood::Repeated, 1);
    let send = until(&mut world, event, Mood::Answers, is_send);
    assert_eq!((world.log.kept[0].status, send), (Status::Signed, Action::Send(2, 2)));
}

/// Its books do not show it: they are the last word only so often, and what KRA expects can be gone on with.
#[test]
fn a_number_that_kra_calls_taken_and_shows_nothing_under_stops_the_series() {
    let mut world = World::new(1);
    let mut event = Event::Woken;
    for _ in 0..3 {
        let send = until(&mut world, event, Mood::Answers, is_send);
        assert_eq!(send, Action::Send(1, 1));
        let words = words("Invalid invcNo sequence");
        event = Event::Sent(Sent::Answered(Verdict::OutOfSequence { expected: 2, found: 1, words }), None);
    }
    until(&mut world, event, Mood::Answers, |action| *action == Action::WaitUntil(None));
    let stopped = world.drain.stopped().unwrap();
    assert_eq!((stopped.number, stopped.document, stopped.expected), (1, Some(1), Some(2)));
    assert_eq!(world.log.kept[0].bound, Some(1));
    world.now = world.now.after(2 * TIMEOUT);
    world.order(Command::AdoptSeries(Some(2))).unwrap();
    assert_eq!(world.log.kept[0].bound, None, "a person says so");
}

/// Found by the property test: after a start the next refusal was taken for the answer to all that was sent.
#[test]
fn a_start_does_not_forget_that_a_number_was_called_taken() {
    let mut world = World::new(1);
    world.kra.shows = Shows::Nothing;
    let send = until(&mut world, Event::Woken, Mood::Answers, is_send);
    let event = world.carry_out(send, Mood::Repeated, 1);
    let record = until(&mut world, event, Mood::Answers, |action| matches!(action, Action::Record(..)));
    world.carry_out(record, Mood::Answers, 1);
    world.restart(false);
    let waits = |action: &Action| *action == Action::WaitUntil(None) || is_send(action);
    assert!(!is_send(&until(&mut world, Event::Woken, Mood::Answers, waits)), "{:?}", world.drain);
    assert_eq!(world.drain.stopped().unwrap().document, Some(1));
}
