//! What a receiver's answer means, and when the same event is posted again. Pure.

use std::time::Duration;

use super::ports::Posted;
use crate::queue::Dice;

/// The first pause.
const INITIAL: Duration = Duration::from_secs(1);
/// The longest pause of our own.
const LONGEST: Duration = Duration::from_secs(300);
/// The longest pause that a receiver may ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(3600);
/// So often an event is posted to a receiver that says it cannot take this one.
const MOST_REFUSALS: u32 = 5;

/// What comes after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Afterwards {
    /// It was taken.
    Next,
    /// The same event again after this pause.
    Again(Duration),
    /// The receiver will never take this one: it is left out, loudly, for the sake of those behind it.
    Skip,
}

/// What to do after `failures` earlier tries of this event came to nothing, and this.
///
/// A receiver that is away, busy or wrongly configured (401, 403, 404, a redirect) is waited for as long as it takes: the
/// events are safe in the log. Only one that says again and again that it cannot take this very event (400, 413, 415, 422)
/// is spared it.
pub(super) fn afterwards(posted: &Posted, failures: u32, dice: Dice) -> Afterwards {
    let asked = match posted {
        Posted::Answered(200..=299, _) => return Afterwards::Next,
        Posted::Answered(400 | 413 | 415 | 422, _) if failures + 1 >= MOST_REFUSALS => {
            return Afterwards::Skip;
        }
        Posted::Answered(_, asked) => asked.unwrap_or_default().min(LONGEST_ASKED),
        Posted::Failed(_) => Duration::ZERO,
    };
    let ceiling = 2_u32
        .checked_pow(failures)
        .and_then(|factor| INITIAL.checked_mul(factor))
        .map_or(LONGEST, |pause| pause.min(LONGEST));
    // Anywhere in the upper half: never at once, and not all tills of a chain at the same moment.
    let half = ceiling / 2;
    let span = u64::try_from(half.as_millis()).unwrap_or(u64::MAX);
    let pause = half + Duration::from_millis(dice.0 % span.saturating_add(1));
    Afterwards::Again(pause.max(asked))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_and_what_comes_after_them() {
        let answered = |status| Posted::Answered(status, None);
        let waits = |found: Afterwards, least: u64, most: u64| {
            let Afterwards::Again(pause) = found else { panic!("{found:?}") };
            let (least, most) = (Duration::from_secs(least) / 2, Duration::from_secs(most));
            assert!((least..=most).contains(&pause), "{pause:?} is not within {least:?}..{most:?}");
        };
        for dice in [0, 1, 499, u64::MAX / 3, u64::MAX].map(Dice) {
            for status in [200, 201, 202, 204, 299] {
                assert_eq!(afterwards(&answered(status), 7, dice), Afterwards::Next);
            }
            for status in [301, 308, 401, 403, 404, 405, 408, 410, 429, 500, 502, 503, 504, 100, 999] {
                waits(afterwards(&answered(status), 0, dice), 1, 1);
                waits(afterwards(&answered(status), 3, dice), 8, 8);
                for failures in [9, 31, 32, 5000, u32::MAX - 1] {
                    waits(afterwards(&answered(status), failures, dice), 300, 300);
                }
            }
            for status in [400, 413, 415, 422] {
                waits(afterwards(&answered(status), 3, dice), 8, 8);
                assert_eq!(afterwards(&answered(status), 4, dice), Afterwards::Skip, "{status}");
            }
            waits(afterwards(&Posted::Failed("away".to_owned()), 2, dice), 4, 4);
            let asked = |seconds| Posted::Answered(503, Some(Duration::from_secs(seconds)));
            waits(afterwards(&asked(0), 0, dice), 1, 1);
            assert_eq!(afterwards(&asked(90), 0, dice), Afterwards::Again(Duration::from_secs(90)));
            assert_eq!(afterwards(&asked(u64::MAX), 0, dice), Afterwards::Again(LONGEST_ASKED));
        }
    }
}
