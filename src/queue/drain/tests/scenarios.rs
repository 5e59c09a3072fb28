//! Single ways through the machine.

use std::time::Duration;

use super::kra::{Mood, Whose, not_found};
use super::world::World;
use super::{TIMEOUT, words};
use crate::queue::drain::{Action, Doing, Event, LookUp};
use crate::queue::{Busy, Command, Dice, Moment, Probed, Sent, Status, Step, Unreachable, Verdict, Words};

/// Runs the machine from a start with this log and these moods until it waits or stops, and gives its actions.
fn actions(world: &mut World, moods: &[Mood]) -> Vec<Action> {
    let mut event = Event::Woken;
    let mut seen = Vec::new();
    for mood in moods {
        let view = world.log.view(&world.drain, world.now);
        let action = world.drain.step(world.now, event, &view, Dice(0));
        seen.push(action.clone());
        event = world.carry_out(action, *mood, 1);
    }
    seen
}

#[test]
fn both_ends_of_the_series_are_looked_at_before_the_first_send() {
    let mut world = World::new(1);
    world.log.next_number = 8;
    world.kra.books = (90..97).map(Whose::Ours).collect();
    world.log.last = Some((7, world.kra.signature(7)));
    let seen = actions(&mut world, &[Mood::Answers; 6]);
    assert_eq!(
        seen[..4],
        [Action::LookUp(8, None), Action::LookUp(7, None), Action::Connect, Action::Bind(1, 8)]
    );
    assert_eq!(seen[4], Action::Send(1, 8));
}

#[test]
fn a_series_that_somebody_else_uses_stops_before_anything_is_sent() {
    // A restored backup: KRA is further than our log.
    let mut world = World::new(1);
    world.log.next_number = 2;
    world.kra.books = (90..93).map(Whose::Ours).collect();
    world.log.last = Some((1, world.kra.signature(1)));
    let seen = actions(&mut world, &[Mood::Answers; 4]);
    assert!(!seen.iter().any(|action| matches!(action, Action::Send(..) | Action::Bind(..))), "{seen:?}");
    assert_eq!(world.drain.stopped().unwrap().number, 2);

    // Another log: the number before ours is not the one that we know.
    let mut world = World::new(1);
    world.log.next_number = 2;
    world.log.last = Some((1, "ANOTHERSIGNATURE".to_owned()));
    world.kra.books = vec![Whose::Ours(90)];
    let seen = actions(&mut world, &[Mood::Answers; 4]);
    assert!(!seen.iter().any(|action| matches!(action, Action::Send(..) | Action::Bind(..))), "{seen:?}");
    assert_eq!(world.drain.stopped().unwrap().number, 1);
}

#[test]
fn an_outage_binds_nothing_and_uses_no_attempts() {
    let mut world = World::new(3);
    let mut event = Event::Woken;
    for step in 0..200 {
        let view = world.log.view(&world.drain, world.now);
        let action = world.drain.step(world.now, event, &view, Dice(step));
        assert!(!matches!(action, Action::Send(..) | Action::Bind(..)), "{action:?}");
        event = world.carry_out(action, Mood::Away, step);
    }
    assert!(world.log.kept.iter().all(|kept| kept.attempts == 0 && kept.bound.is_none()));
    assert!(!world.drain.flows());
}

#[test]
fn an_absence_counts_only_once_the_request_can_no_longer_land() {
    let mut world = World::new(1);
    // Asked for the number, sent, lost: the look-up at once says absent; nothing is sent before the time-out.
    let seen = actions(
        &mut world,
        &[
            Mood::Answers,
            Mood::Answers,
            Mood::Answers,
            Mood::LosesRequest,
            Mood::Answers,
            Mood::Answers,
            Mood::Answers,
        ],
    );
    let Action::WaitUntil(Some(until)) = seen[6] else { panic!("{seen:?}") };
    assert_eq!(until, Moment(TIMEOUT.as_millis().try_into().unwrap()));
    assert_eq!(
        actions(&mut world, &[Mood::Answers; 4]),
        [Action::LookUp(1, Some(1)), Action::Probe, Action::Connect, Action::Send(1, 1)]
    );
}

/// Runs until the sale is sent, answered with this verdict; `series`: what the look-up before it says; gives the world and what came after.
fn after_answer(series: LookUp, verdict: Verdict, then: &[Event]) -> (World, Vec<Action>) {
    let mut world = World::new(1);
    let mut seen = Vec::new();
    let mut events = vec![Event::Woken, Event::LookedUp(series), Event::Connected, Event::Bound];
    events.push(Event::Sent(Sent::Answered(verdict), None));
    events.extend_from_slice(then);
    for event in events {
        let view = world.log.view(&world.drain, world.now);
        let action = world.drain.step(world.now, event, &view, Dice(0));
        if let Action::Bind(document, number) = action {
            world.log.bind(document, number);
        }
        if let Action::Record(document, ruling, _) = &action {
            world.log.record(*document, ruling);
        }
        if let Action::WaitUntil(Some(until)) = action {
            world.now = until.max(world.now);
        }
        seen.push(action);
    }
    (world, seen)
}

#[test]
fn what_kra_called_accepted_is_never_sent_again() {
    let accepted = || Verdict::AcceptedWithoutProof(words("four of five"));
    let gone = || LookUp::Missing(not_found());
    let missing = || Event::LookedUp(gone());
    let then = [Event::Recorded, missing(), Event::Woken, missing(), Event::Recorded];
    let (world, seen) = after_answer(gone(), accepted(), &then);
    assert_eq!(world.log.kept[0].status, Status::AcceptedNoProof, "{seen:?}");
    assert_eq!(world.log.next_number, 2, "its number is used");

    let absent = || Event::LookedUp(LookUp::Absent);
    let then = [Event::Recorded, absent(), Event::Woken, absent(), Event::Woken];
    let (world, seen) = after_answer(LookUp::Absent, accepted(), &then);
    assert!(world.drain.stopped().is_some(), "{seen:?}");
    assert_eq!(seen.iter().filter(|action| matches!(action, Action::Send(..))).count(), 1);
}

const HOUR: Duration = Duration::from_secs(3600);

/// KRA's words, with the wish to be left alone for an hour.
fn in_an_hour(message: &str) -> Words {
    Words { retry_after: Some(HOUR), http_status: Some(503), ..words(message) }
}

/// Found by a reader: only with 429 it was granted; a server that was down for an hour was asked again within seconds.
#[test]
fn a_wish_to_be_left_alone_is_granted_to_the_second() {
    let until = Moment(0).after(HOUR);
    let told = || in_an_hour("come back later");
    for verdict in [
        Verdict::AcceptedWithoutProof(told()),
        Verdict::Busy(Busy { words: told(), floor: None }),
        Verdict::Config(told()),
        Verdict::Device(told()),
        Verdict::Duplicate(told()),
        Verdict::Odd(told()),
        Verdict::Unsure(told()),
        Verdict::UnsureConfig(told()),
    ] {
        let (world, seen) = after_answer(LookUp::Absent, verdict.clone(), &[Event::Recorded]);
        assert_eq!(seen.last(), Some(&Action::WaitUntil(Some(until))), "{verdict:?}");
        // What registers are told of the next look is true.
        assert!(world.drain.doubt().is_none_or(|doubt| doubt.ask_at == until), "{verdict:?}");
    }
}

#[test]
fn a_look_up_and_a_probe_are_not_repeated_before_kra_wants_them() {
    let until = Moment(0).after(HOUR);
    let mut world = World::new(1);
    let view = world.log.view(&world.drain, world.now);
    world.drain.step(world.now, Event::Woken, &view, Dice(0));
    let failed = Event::LookedUp(LookUp::Failed(in_an_hour("maintenance")));
    assert_eq!(world.drain.step(world.now, failed, &view, Dice(0)), Action::WaitUntil(Some(until)));

    for probed in [Probed::Down(in_an_hour("maintenance")), Probed::Refused(in_an_hour("not yet"))] {
        let mut world = World::new(1);
        let away = Event::Unreachable(Unreachable { at: Step::Connect, why: "refused".to_owned() });
        let events = [Event::Woken, Event::LookedUp(LookUp::Absent), away];
        let seen = events.map(|event| world.drain.step(world.now, event, &view, Dice(0)));
        assert_eq!(seen[2], Action::Probe);
        let event = Event::Probed(probed.clone());
        let action = world.drain.step(world.now, event, &view, Dice(0));
        assert_eq!(action, Action::WaitUntil(Some(until)), "{probed:?}");
        // A person need not wait.
        assert_eq!(world.drain.step(world.now, Event::RetryNow, &view, Dice(0)), Action::Probe);
    }
}

#[test]
fn a_refused_look_up_holds_and_a_quota_waits() {
    let mut world = World::new(1);
    let view = world.log.view(&world.drain, world.now);
    assert_eq!(world.drain.step(world.now, Event::Woken, &view, Dice(0)), Action::LookUp(1, None));
    let refused = Event::LookedUp(LookUp::Refused(words("901")));
    let action = world.drain.step(world.now, refused, &view, Dice(0));
    assert!(matches!(action, Action::WaitUntil(Some(_))), "{action:?}");
    assert!(world.drain.hold().is_some_and(|hold| hold.device));

    let mut world = World::new(1);
    world.drain.step(world.now, Event::Woken, &view, Dice(0));
    let quarter = Duration::from_secs(900);
    let busy = Busy { words: words("990"), floor: Some(quarter) };
    let action = world.drain.step(world.now, Event::LookedUp(LookUp::Busy(busy)), &view, Dice(0));
    assert_eq!(action, Action::WaitUntil(Some(Moment(0).after(quarter))));
}

/// Found by a reader: every good look-up began the doubling anew, so that a sale in doubt asked again each quarter of an
/// hour for ever.
#[test]
fn a_quota_is_left_alone_for_twice_as_long_each_time() {
    for in_doubt in [false, true] {
        let mut world = World::new(1);
        let mut event = Event::Woken;
        let mut sent_at = Vec::new();
        while sent_at.len() < 9 {
            let view = world.log.view(&world.drain, world.now);
            let action = world.drain.step(world.now, event, &view, Dice(0));
            event = match action {
                Action::Send(..) => {
                    sent_at.push(world.now);
                    let quota = Busy { words: words("990"), floor: Some(Duration::from_secs(900)) };
                    let lost = in_doubt && sent_at.len() == 1;
                    // Neither a good look-up nor a lost answer is an answer to the send.
                    let lost = lost || (in_doubt && sent_at.len() == 4);
                    let sent = if lost {
                        Sent::InDoubt(words("lost request"))
                    } else {
                        Sent::Answered(Verdict::Busy(quota))
                    };
                    Event::Sent(sent, None)
                }
                action => world.carry_out(action, Mood::Answers, 1),
            };
        }
        let minutes: Vec<u64> = sent_at.windows(2).map(|two| two[1].since(two[0]).as_secs() / 60).collect();
        let expected: &[u64] = if in_doubt {
            &[2, 15, 30, 2, 60, 120, 240, 480]
        } else {
            &[15, 30, 60, 120, 240, 480, 480, 480]
        };
        assert_eq!(minutes, expected, "in doubt: {in_doubt}");
    }
}

#[test]
fn many_refused_alike_are_spared_until_a_canary_is_taken() {
    let mut world = World::new(8);
    let mut event = Event::Woken;
    let mut step = |world: &mut World, mood: Mood| {
        let view = world.log.view(&world.drain, world.now);
        let action = world.drain.step(world.now, std::mem::replace(&mut event, Event::Woken), &view, Dice(0));
        let sent = matches!(action, Action::Send(..));
        event = world.carry_out(action, mood, 1);
        sent
    };
    let count =
        |world: &World, status: Status| world.log.kept.iter().filter(|kept| kept.status == status).count();
    // Two hours of refusals, a sale at a time at most.
    while world.now < Moment(2 * 3_600_000) {
        step(&mut world, Mood::RefusesForGood);
        world.now = world.now.after(Duration::from_millis(100));
    }
    assert_eq!((count(&world, Status::Rejected), count(&world, Status::Pending)), (5, 3));
    assert!(world.drain.hold().is_some_and(|hold| hold.words.message.contains("alike")));
    // A start does not forget it: nothing is sent, and nobody else is set aside.
    world.restart(true);
    let refused: Vec<_> = (1..=5).map(|document| (document, words("910"))).collect();
    world.drain.recall(world.now, &refused);
    let started = world.now;
    let mut sent = 0;
    while world.now < started.after(Duration::from_secs(29 * 60)) {
        sent += u32::from(step(&mut world, Mood::RefusesForGood));
        world.now = world.now.after(Duration::from_millis(100));
    }
    assert_eq!((sent, count(&world, Status::Rejected)), (1, 5), "one canary in a quarter of an hour");
    // What was wrong is put right at KRA: the next canary is taken, and all behind it.
    while world.now < Moment(3 * 3_600_000) && count(&world, Status::Pending) > 0 {
        step(&mut world, Mood::Answers);
        world.now = world.now.after(Duration::from_millis(100));
    }
    assert_eq!((count(&world, Status::Rejected), count(&world, Status::Signed)), (5, 3));
    assert_eq!(world.drain.hold(), None);
}

/// Found by a reader: the sixth was the canary for ever, and nobody behind it was sent.
#[test]
fn six_bad_sales_do_not_stop_the_good_ones_behind_them() {
    let mut world = World::new(12);
    world.kra.poison = (1..=6).map(|document| (document, Mood::RefusesForGood)).collect();
    let mut event = Event::Woken;
    while world.now < Moment(3_600_000) {
        let view = world.log.view(&world.drain, world.now);
        let action = world.drain.step(world.now, event, &view, Dice(7));
        event = world.carry_out(action, Mood::Answers, 1);
        world.now = world.now.after(Duration::from_millis(100));
    }
    assert_eq!(world.kra.books, (7..=12).map(Whose::Ours).collect::<Vec<_>>());
    let (bad, good) = ([Status::Rejected; 6], [Status::Signed; 6]);
    assert_eq!(statuses(&world), [bad, good].concat(), "the sixth is judged alone once another was taken");
}

/// A rate was changed, and KRA refuses everybody: each quarter of an hour another one is the canary, and nobody is lost.
#[test]
fn whom_kra_refuses_alike_takes_turns() {
    let mut world = World::new(8);
    let mut event = Event::Woken;
    let mut sent = Vec::new();
    while world.now < Moment(2 * 3_600_000) {
        let view = world.log.view(&world.drain, world.now);
        let action = world.drain.step(world.now, event, &view, Dice(7));
        if let Action::Send(document, _) = action {
            sent.push(document);
        }
        event = world.carry_out(action, Mood::RefusesForGood, 1);
        world.now = world.now.after(Duration::from_millis(100));
    }
    assert_eq!(sent[..11], [1, 2, 3, 4, 5, 6, 7, 8, 6, 7, 8]);
    assert_eq!(statuses(&world), [[Status::Rejected; 5].as_slice(), &[Status::Pending; 3]].concat());
    // A person who puts one back has it tried next.
    let seen = world.log.kept(7).seen();
    world.order(Command::Retry(7, seen)).unwrap();
    hours(&mut world, 1);
    let first = world.kra.books.first();
    assert!(matches!(first, Some(Whose::Ours(6 | 7))), "{first:?}");
    assert_eq!(world.kra.books.len(), 3, "{:?}", world.kra.books);
}

/// Runs with a KRA that answers, for so many hours or until nothing waits but what is poisoned.
fn hours(world: &mut World, hours: u64) {
    let end = world.now.after(Duration::from_secs(hours * 3600));
    let mut event = Event::Woken;
    while world.now < end {
        let poisoned = |document| world.kra.poison.iter().any(|(it, _)| *it == document);
        if world.log.kept.iter().all(|it| it.status != Status::Pending || poisoned(it.document)) {
            return;
        }
        let view = world.log.view(&world.drain, world.now);
        let action = world.drain.step(world.now, event, &view, Dice(7));
        event = world.carry_out(action, Mood::Answers, 1);
    }
}

fn statuses(world: &World) -> Vec<Status> {
    world.log.kept.iter().map(|kept| kept.status).collect()
}

#[test]
fn a_sale_that_only_ever_meets_trouble_is_parked_once_the_next_is_answered() {
    for mood in [Mood::UnknownError, Mood::ServerError, Mood::LosesRequest, Mood::Odd] {
        let mut world = World::new(4);
        world.kra.poison = vec![(2, mood)];
        hours(&mut world, 24);
        let parked = [Status::Signed, Status::Parked, Status::Signed, Status::Signed];
        assert_eq!(world.kra.books, [1, 3, 4].map(Whose::Ours), "{mood:?}");
        // The canary is answered, and the last try comes to nothing.
        let view = world.log.view(&world.drain, world.now);
        let mut event = Event::Woken;
        let mut action = world.drain.step(world.now, event, &view, Dice(7));
        for _ in 0..200 {
            event = world.carry_out(action, Mood::Answers, 1);
            let view = world.log.view(&world.drain, world.now);
            action = world.drain.step(world.now, event, &view, Dice(7));
        }
        assert_eq!(statuses(&world), parked, "{mood:?}");
    }
}

/// Found by the property test: each was the other's canary, and those behind them waited for ever.
#[test]
fn two_bad_sales_in_a_row_do_not_stop_a_shop() {
    let mut world = World::new(5);
    world.kra.poison = vec![(1, Mood::UnknownError), (2, Mood::UnknownError)];
    hours(&mut world, 48);
    assert_eq!(world.kra.books, [3, 4, 5].map(Whose::Ours));
}

#[test]
fn trouble_of_everybody_uses_up_nobody() {
    let mut world = World::new(3);
    let mut event = Event::Woken;
    let end = Moment(0).after(Duration::from_secs(3 * 24 * 3600));
    while world.now < end {
        let view = world.log.view(&world.drain, world.now);
        let action = world.drain.step(world.now, event, &view, Dice(7));
        // Look-ups and probes go well; every sale gets 500.
        let mood = if matches!(action, Action::Send(..)) { Mood::ServerError } else { Mood::Answers };
        event = world.carry_out(action, mood, 1);
    }
    assert_eq!(statuses(&world), [Status::Pending; 3]);
    hours(&mut world, 24);
    assert_eq!(statuses(&world), [Status::Signed; 3]);
}

#[test]
fn a_try_counts_only_if_kra_was_well_before_and_after_it() {
    let mut world = World::new(2);
    let mut event = Event::Woken;
    for step in 0..2_000_u64 {
        let view = world.log.view(&world.drain, world.now);
        let action = world.drain.step(world.now, event, &view, Dice(step));
        // Whatever is sent is lost, and so is the probe right after it.
        let after = matches!(world.drain.doing, Doing::Counting(_));
        let mood = match action {
            Action::Send(..) => Mood::LosesRequest,
            Action::Probe if after => Mood::Away,
            _ => Mood::Answers,
        };
        event = world.carry_out(action, mood, 1);
    }
    assert!(world.log.kept[0].unsure_sends > 3, "{:?}", world.log.kept);
    assert!(world.log.kept.iter().all(|kept| kept.attempts == 0), "{:?}", world.log.kept);
}

#[test]
fn what_waits_for_something_else_is_parked_once_its_tries_are_spent() {
    let mut world = World::new(3);
    world.kra.poison = vec![(1, Mood::RefusesForNow)];
    hours(&mut world, 1);
    assert_eq!(world.kra.books, [2, 3].map(Whose::Ours), "it holds up nobody");
    let mut event = Event::Woken;
    for step in 0..400_u64 {
        let view = world.log.view(&world.drain, world.now);
        let action = world.drain.step(world.now, event, &view, Dice(step));
        event = world.carry_out(action, Mood::Answers, step);
    }
    assert_eq!(statuses(&world), [Status::Parked, Status::Signed, Status::Signed]);
    assert_eq!(world.log.kept[0].attempts, 12);
}
