//! A device that is brought in anew, or given another key, while the drain goes on.

use super::kra::Mood;
use super::world::World;
use crate::queue::drain::{Action, Event};
use crate::queue::{Dice, Status};

/// Found by a reader: with a key that KRA gave again, the series counted as looked at.
#[test]
fn whatever_is_under_way_the_series_is_looked_at_before_the_next_send() {
    // The device changes during or after one of the actions of a first sale.
    for (changed_after, during) in
        [(0, false), (1, true), (1, false), (2, true), (2, false), (3, true), (3, false)]
    {
        let mut world = World::new(3);
        let mut event = Event::Woken;
        let mut seen = Vec::new();
        for nth in 0..100 {
            let view = world.log.view(&world.drain, world.now);
            let action = world.drain.step(world.now, event, &view, Dice(0));
            seen.push(action.clone());
            if nth == changed_after && during {
                world.drain.registered();
            }
            event = world.carry_out(action, Mood::Answers, 0);
            if nth == changed_after && !during {
                world.drain.registered();
            }
            if world.log.kept.iter().all(|kept| kept.status == Status::Signed) {
                break;
            }
        }
        assert_eq!(world.kra.books.len(), 3, "{seen:?}");
        let rest = &seen[changed_after + 1..];
        let sent = rest.iter().position(|action| matches!(action, Action::Send(..))).unwrap();
        let looked = rest[..sent].iter().any(|action| matches!(action, Action::LookUp(_, None)));
        assert!(looked, "{changed_after} {during}: {seen:?}");
    }
}
