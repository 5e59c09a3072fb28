//! Reading closed segments through in the background, so that damage is known before it is needed.

use std::time::Duration;

use crate::store::error::ReadError;
use crate::store::options::Damage;
use crate::store::shared::Shared;

/// Between two readings of everything.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Runs until the store is closed.
pub(crate) fn scrub(shared: &Shared, pause: Duration) {
    loop {
        for segment in shared.journal.closed() {
            if shared.stopped_within(pause) {
                return;
            }
            match shared.journal.check(segment) {
                Ok(()) => {}
                // It was retired meanwhile.
                Err(_) if !shared.journal.knows(segment) => {}
                Err(ReadError::Damaged(damage)) => shared.note_damage(damage),
                Err(error) => shared.note_damage(Damage { segment, offset: 0, what: error.to_string() }),
            }
        }
        if shared.stopped_within(DAY) {
            return;
        }
    }
}
