//! When to try again: exponential, capped, with full jitter. The dice are thrown elsewhere.

use std::time::Duration;

/// A moment on a clock that never jumps: milliseconds since some fixed start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub u64);

impl Moment {
    /// This much later.
    pub fn after(self, pause: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(pause.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long from `earlier` to this; zero where it lies behind.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// One throw: any 64 bits, each as likely as any other.
#[derive(Clone, Copy, Debug)]
pub struct Dice(pub u64);

/// A pause anywhere between nothing and `initial × 2^failures`, at most `longest` (full jitter).
pub(super) fn pause(initial: Duration, longest: Duration, failures: u32, dice: Dice) -> Duration {
    spread(ceiling(initial, longest, failures), dice)
}

/// A pause anywhere between nothing and `ceiling`.
pub(super) fn spread(ceiling: Duration, dice: Dice) -> Duration {
    let millis = u64::try_from(ceiling.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(if millis == u64::MAX { dice.0 } else { dice.0 % (millis + 1) })
}

/// `initial × 2^failures`, at most `longest`.
fn ceiling(initial: Duration, longest: Duration, failures: u32) -> Duration {
    2_u32
        .checked_pow(failures)
        .and_then(|factor| initial.checked_mul(factor))
        .map_or(longest, |it| it.min(longest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_doubles_is_capped_and_jittered() {
        let second = Duration::from_secs(1);
        let cap = Duration::from_secs(300);
        for (failures, most) in
            [(0, 1), (1, 2), (5, 32), (8, 256), (9, 300), (31, 300), (32, 300), (u32::MAX, 300)]
        {
            let most = Duration::from_secs(most);
            assert_eq!(pause(second, cap, failures, Dice(0)), Duration::ZERO);
            let millis = u64::try_from(most.as_millis()).unwrap();
            assert_eq!(pause(second, cap, failures, Dice(millis)), most, "after {failures} failures");
            assert_eq!(pause(second, cap, failures, Dice(millis + 1)), Duration::ZERO);
        }
    }

    #[test]
    fn many_tills_do_not_come_back_together() {
        let window = Duration::from_secs(30);
        let mut seconds = [0_u32; 30];
        let mut dice = 1_u64;
        for _ in 0..100_000 {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let pause = spread(window, Dice(dice >> 16));
            seconds[usize::try_from(pause.as_secs().min(29)).unwrap()] += 1;
        }
        let mean = 100_000 / 30;
        assert!(seconds.iter().all(|tills| *tills < mean * 3 / 2), "{seconds:?}");
    }
}
