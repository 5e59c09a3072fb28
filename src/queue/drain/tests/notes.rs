//! Credit notes: never before their sale, and in nobody's way.

use super::kra::{Mood, Whose};
use super::log::Kept;
use super::world::World;
use crate::queue::drain::Event;
use crate::queue::{Command, Dice, Moment, Seq, Status};

/// Documents from 1 on; each pair is a credit note and its sale.
fn world(documents: u64, notes: &[(Seq, Seq)]) -> World {
    let mut world = World::new(documents);
    for (note, sale) in notes {
        *world.log.kept(*note) = Kept::note(*note, *sale);
    }
    world
}

/// KRA answers what it is asked, until it is asked nothing for a minute.
fn drain(world: &mut World) {
    let until = world.now.after(std::time::Duration::from_secs(60));
    let mut event = Event::Woken;
    while world.now < until && world.log.kept.iter().any(|kept| kept.status == Status::Pending) {
        let view = world.log.view(&world.drain, world.now);
        let action = world.drain.step(world.now, event, &view, Dice(world.now.0));
        event = world.carry_out(action, Mood::Answers, 1);
    }
}

fn books(world: &World) -> Vec<Seq> {
    let ours = |whose: &Whose| match whose {
        Whose::Ours(document) => *document,
        Whose::Foreign(_) => panic!("nobody else numbers here"),
    };
    world.kra.books.iter().map(ours).collect()
}

fn order(
    world: &mut World,
    command: fn(Seq, crate::queue::Seen) -> Command,
    document: Seq,
) -> Result<(), String> {
    let seen = world.log.kept(document).seen();
    world.order(command(document, seen)).map_err(|declined| declined.to_string())
}

#[test]
fn a_note_waits_for_its_sale_and_follows_it_at_once() {
    let mut world = world(4, &[(2, 1), (4, 3)]);
    world.kra.poison = vec![(1, Mood::RefusesForNow)];
    drain(&mut world);
    assert_eq!(books(&world), [3, 4], "those behind go on");
    assert_eq!(world.log.kept(2).status, Status::Pending);
    world.kra.poison.clear();
    // Whenever the sale is tried again, the note is not kept waiting longer.
    let mut went: Vec<(Seq, Moment)> = Vec::new();
    let mut event = Event::Woken;
    while books(&world).len() < 4 {
        let before = books(&world).len();
        let view = world.log.view(&world.drain, world.now);
        let action = world.drain.step(world.now, event, &view, Dice(7));
        event = world.carry_out(action, Mood::Answers, 1);
        went.extend(books(&world).get(before).map(|document| (*document, world.now)));
    }
    assert_eq!(went.iter().map(|(document, _)| *document).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(went[0].1, went[1].1);
}

#[test]
fn a_note_is_set_aside_with_its_sale_though_kra_is_away_and_goes_on_with_it() {
    let mut world = world(5, &[(3, 2), (5, 2)]);
    // KRA is away, and another one is first in line.
    let mut event = Event::Woken;
    let mut beat = |world: &mut World, beats: u32| {
        for _ in 0..beats {
            let view = world.log.view(&world.drain, world.now);
            let action = world.drain.step(world.now, event.clone(), &view, Dice(3));
            event = world.carry_out(action, Mood::Away, 1);
        }
    };
    beat(&mut world, 5);
    order(&mut world, Command::Park, 2).unwrap();
    beat(&mut world, 5);
    let statuses = |world: &mut World| [2, 3, 5].map(|document| world.log.kept(document).status);
    assert_eq!(statuses(&mut world), [Status::Parked; 3]);
    let declined = order(&mut world, Command::Retry, 3).unwrap_err();
    assert!(declined.contains("goes on with it"), "{declined}");
    // One that a person parked stays where it is.
    order(&mut world, Command::Retry, 2).unwrap();
    assert_eq!(statuses(&mut world), [Status::Pending; 3]);
    order(&mut world, Command::Park, 5).unwrap();
    order(&mut world, Command::Park, 2).unwrap();
    beat(&mut world, 5);
    order(&mut world, Command::Retry, 2).unwrap();
    assert_eq!(statuses(&mut world), [Status::Pending, Status::Pending, Status::Parked]);
    drain(&mut world);
    assert_eq!(books(&world), [1, 2, 3, 4]);
}

#[test]
fn a_note_on_a_refused_sale_is_sent_never() {
    let mut world = world(3, &[(2, 1)]);
    world.kra.poison = vec![(1, Mood::RefusesForGood)];
    drain(&mut world);
    assert_eq!(books(&world), [3]);
    assert_eq!([1, 2].map(|it| world.log.kept(it).status), [Status::Rejected, Status::Parked]);
    // Refused by mistake, and sent again.
    world.kra.poison.clear();
    order(&mut world, Command::Retry, 1).unwrap();
    drain(&mut world);
    assert_eq!(books(&world), [3, 1, 2]);
}
