//! Sales in KRA's books whose proof is looked up again.

use std::time::Duration;

use super::kra::{Mood, Shows, Whose};
use super::log::Kept;
use super::world::World;
use super::{TIMEOUT, words};
use crate::queue::drain::{Action, Denied, Event, LookUp};
use crate::queue::{Busy, Command, Dice, Moment, Settlement, Status, Words};

/// One sale that KRA has and does not show the proof of; nothing else to do.
fn without_proof() -> World {
    let mut world = World::new(1);
    world.kra.shows = Shows::NoProof;
    let mut event = Event::Woken;
    while world.log.kept[0].status == Status::Pending {
        let view = world.log.view(&world.drain, world.now);
        let action = world.drain.step(world.now, event, &view, Dice(0));
        event = world.carry_out(action, Mood::HidesProof, 1);
    }
    assert_eq!(world.log.kept[0].status, Status::AcceptedNoProof);
    let view = world.log.view(&world.drain, world.now);
    let action = world.drain.step(world.now, event, &view, Dice(0));
    assert!(matches!(action, Action::WaitUntil(Some(_))), "{action:?}");
    world
}

fn step(world: &mut World, event: Event) -> Action {
    let view = world.log.view(&world.drain, world.now);
    world.drain.step(world.now, event, &view, Dice(7))
}

/// Goes on until the next look-up is asked for.
fn next_look_up(world: &mut World) -> Action {
    let mut event = Event::Woken;
    for _ in 0..10 {
        let action = step(world, event);
        if matches!(action, Action::LookUp(..)) {
            return action;
        }
        assert!(!matches!(action, Action::WaitUntil(None)), "nobody looks for it any more");
        event = world.carry_out(action, Mood::Answers, 1);
    }
    panic!("no look-up: {:?}", world.drain)
}

#[test]
fn a_missing_proof_is_looked_up_again_ever_later_until_it_is_there() {
    let mut world = without_proof();
    let mut last = world.now;
    let mut pauses = Vec::new();
    for _ in 0..14 {
        assert_eq!(next_look_up(&mut world), Action::LookUp(1, Some(1)));
        pauses.push(world.now.since(last));
        last = world.now;
        let answer = world.kra.look_up(1, Some(1), Mood::Answers);
        assert!(matches!(step(&mut world, Event::LookedUp(answer)), Action::WaitUntil(Some(_))));
    }
    let second = Duration::from_secs(1);
    assert!(pauses[0] >= 60 * second && pauses[0] < 62 * second, "{pauses:?}");
    for (pause, doublings) in pauses[1..].iter().zip(1..) {
        let most = (60 * second * 2_u32.pow(doublings)).min(3600 * second);
        assert!(*pause >= most / 2 && *pause <= most + second, "{pauses:?}");
    }
    world.kra.shows = Shows::All;
    let look_up = next_look_up(&mut world);
    let found = world.carry_out(look_up, Mood::Answers, 1);
    let record = step(&mut world, found);
    let event = world.carry_out(record, Mood::Answers, 1);
    assert_eq!((world.log.kept[0].status, world.kra.books.len()), (Status::Signed, 1));
    assert_eq!(step(&mut world, event), Action::WaitUntil(None), "nothing is left to be asked");
}

#[test]
fn a_proof_is_asked_for_only_while_no_sale_waits_and_given_up_for_one() {
    let mut world = without_proof();
    world.log.kept.push(Kept::waiting(2));
    world.now = world.now.after(Duration::from_secs(3600));
    assert_eq!(step(&mut world, Event::Woken), Action::Connect, "the sale first");
    world.drain.put_off(&Action::Connect);
    world.log.kept.pop();
    assert_eq!(step(&mut world, Event::Woken), Action::LookUp(1, Some(1)));
    assert!(world.drain.in_passing());
    // A register posts a sale while KRA is being asked.
    world.log.kept.push(Kept::waiting(2));
    assert_eq!(step(&mut world, Event::Woken), Action::Connect);
    assert!(!world.drain.in_passing());
    let mut event = Event::Connected;
    while world.log.kept[1].status == Status::Pending {
        let action = step(&mut world, event);
        event = world.carry_out(action, Mood::Answers, 1);
    }
    // What was broken off is asked again, though not at once: sales in a row are not each a look-up.
    let action = step(&mut world, event);
    let Action::WaitUntil(Some(until)) = action else { panic!("{action:?}") };
    assert!(until.since(world.now) >= Duration::from_secs(8), "{until:?} {:?}", world.now);
    assert_eq!(next_look_up(&mut world), Action::LookUp(1, Some(1)));
}

#[test]
fn trouble_with_a_proof_is_no_trouble_of_the_sales() {
    let hour = Duration::from_secs(3600);
    let failed = Words { http_status: Some(500), ..words("500") };
    for trouble in [
        LookUp::Absent,
        LookUp::Busy(Busy { words: Words { retry_after: Some(2 * hour), ..words("429") }, floor: None }),
        LookUp::Failed(words("no line")),
        LookUp::Failed(failed),
        LookUp::Missing(words("404")),
        LookUp::Refused(words("901")),
    ] {
        let mut world = without_proof();
        assert_eq!(next_look_up(&mut world), Action::LookUp(1, Some(1)));
        let asked = world.now;
        let mut action = step(&mut world, Event::LookedUp(trouble.clone()));
        if action == Action::LookUpInList(1, 1) {
            action = step(&mut world, Event::LookedUp(trouble.clone()));
        }
        assert!(matches!(action, Action::WaitUntil(Some(_))), "{trouble:?}: {action:?}");
        assert!(world.drain.flows() && world.drain.hold().is_none(), "{trouble:?}");
        let mut early = world.log.kept.clone();
        early.push(Kept::waiting(2));
        std::mem::swap(&mut world.log.kept, &mut early);
        assert_eq!(step(&mut world, Event::Woken), Action::Connect, "{trouble:?}");
        world.drain.put_off(&Action::Connect);
        world.log.kept = early;
        assert_eq!(next_look_up(&mut world), Action::LookUp(1, Some(1)), "{trouble:?}");
        let told = matches!(trouble, LookUp::Busy(_));
        assert_eq!(world.now.since(asked) >= 2 * hour, told, "{trouble:?}: KRA says how long");
    }
}

#[test]
fn a_start_begins_anew_and_a_settled_one_is_forgotten() {
    let mut world = without_proof();
    world.now = world.now.after(Duration::from_secs(7));
    world.restart(true);
    let started = world.now;
    assert_eq!(next_look_up(&mut world), Action::LookUp(1, Some(1)));
    let pause = world.now.since(started);
    assert!(pause >= Duration::from_secs(60) && pause < Duration::from_secs(62), "{pause:?}");
    // The list is what counts: what is no longer on it is asked for no more.
    world.drain.recall_without_proof(world.now, &[]);
    assert_eq!(step(&mut world, Event::Woken), Action::WaitUntil(None));
}

#[test]
fn many_missing_proofs_are_asked_for_one_after_another() {
    let mut world = without_proof();
    let many: Vec<_> = (1..=2_000).map(|document| (document, document)).collect();
    world.drain = crate::queue::drain::Drain::new(super::policy(), world.now);
    world.drain.recall_without_proof(world.now, &many);
    let started = world.now;
    let mut event = Event::Woken;
    let mut asked: Vec<Moment> = Vec::new();
    while world.now.since(started) < Duration::from_secs(3600) {
        let action = step(&mut world, event);
        event = match action {
            Action::LookUp(..) => {
                asked.push(world.now);
                Event::LookedUp(LookUp::Absent)
            }
            other => world.carry_out(other, Mood::Answers, 1),
        };
    }
    assert!((300..=360).contains(&asked.len()), "{} in an hour", asked.len());
    assert!(asked.is_sorted_by_key(|it| it.0));
}

#[test]
fn where_single_invoices_are_not_shown_the_proof_is_looked_for_in_the_list_of_sales() {
    let mut world = without_proof();
    world.kra.shows = Shows::OnlyLists;
    world.restart(true);
    assert_eq!(next_look_up(&mut world), Action::LookUp(1, Some(1)));
    let answer = world.kra.look_up(1, Some(1), Mood::Answers);
    assert_eq!(step(&mut world, Event::LookedUp(answer)), Action::LookUpInList(1, 1));
    assert!(world.drain.in_passing(), "a sale breaks it off");
    let answer = world.kra.look_up_in_list(1, 1, Mood::Answers);
    let action = step(&mut world, Event::LookedUp(answer));
    let Action::Record(1, ruling, None) = &action else { panic!("{action:?}") };
    assert!(ruling.status == Status::Signed && ruling.adopted, "{ruling:?}");
}

#[test]
fn what_is_not_in_the_list_of_sales_is_looked_for_again_later() {
    for lists in [false, true] {
        let mut world = without_proof();
        world.kra.shows = Shows::Nothing;
        world.restart(true);
        assert_eq!(next_look_up(&mut world), Action::LookUp(1, Some(1)));
        let answer = world.kra.look_up(1, Some(1), Mood::Answers);
        assert_eq!(step(&mut world, Event::LookedUp(answer)), Action::LookUpInList(1, 1));
        let not_in_it = Words { http_status: Some(200), ..words("it is not in the list") };
        let answer = if lists { LookUp::Failed(not_in_it) } else { LookUp::Missing(words("404")) };
        let action = step(&mut world, Event::LookedUp(answer));
        assert!(matches!(action, Action::WaitUntil(Some(_))), "{action:?}");
        assert_eq!(next_look_up(&mut world), Action::LookUp(1, Some(1)));
    }
}

/// Found by a reader: KRA's books spoke against it, and nobody was told or could do anything.
#[test]
fn a_sale_that_kras_books_do_not_show_is_told_and_is_a_persons_to_settle() {
    let settlements = [Settlement::Accepted, Settlement::Elsewhere, Settlement::NotAccepted];
    let allowed = |world: &World| {
        let subject = world.log.subject(1).unwrap();
        settlements.map(|it| {
            let settle = Command::Settle(1, subject.standing, it);
            world.drain.judge(world.now, &settle, Some(&subject)).is_ok()
        })
    };
    let stranger = Some("somebody's".to_owned());
    for (books, number_of) in [(vec![], None), (vec![Whose::Foreign(1)], stranger)] {
        let mut world = without_proof();
        world.kra.shows = Shows::All;
        world.kra.books = books;
        assert_eq!(allowed(&world), [true, false, false]);
        let started = world.now;
        loop {
            assert_eq!(next_look_up(&mut world), Action::LookUp(1, Some(1)));
            let late = world.now >= started.after(2 * TIMEOUT);
            let answer = world.kra.look_up(1, Some(1), Mood::Answers);
            step(&mut world, Event::LookedUp(answer));
            let denied: Vec<_> = world.drain.denied().cloned().collect();
            if late || number_of.is_some() {
                assert_eq!(denied, [Denied { document: 1, number: 1, stranger: number_of }]);
                break;
            }
            assert_eq!(denied, [], "what was sent may still land");
        }
        assert_eq!(allowed(&world), [true; 3]);
        // What fails says nothing; what is there after all ends it.
        assert_eq!(next_look_up(&mut world), Action::LookUp(1, Some(1)));
        step(&mut world, Event::LookedUp(LookUp::Failed(words("no line"))));
        assert_eq!(world.drain.denied().count(), 1);
        world.kra.books = vec![Whose::Ours(1)];
        world.kra.shows = Shows::NoProof;
        assert_eq!(next_look_up(&mut world), Action::LookUp(1, Some(1)));
        let answer = world.kra.look_up(1, Some(1), Mood::Answers);
        step(&mut world, Event::LookedUp(answer));
        assert_eq!((world.drain.denied().count(), allowed(&world)), (0, [true, false, false]));
    }
}
