//! When KRA is asked for its lists: at the start, then once a day; with backoff where that fails, and left alone for long
//! where KRA says so (result code 990: too many views).

use std::time::Duration;

use super::backoff::{Dice, Moment, pause, spread};

/// The shortest time between two rounds that went well; up to `DAILY_SPREAD` is added, so that tills do not come together.
const DAILY: Duration = Duration::from_secs(22 * 3600);
const DAILY_SPREAD: Duration = Duration::from_secs(4 * 3600);
/// What was confirmed so lately is not asked for again only because of a start.
const JUST_NOW: Duration = Duration::from_secs(3600);
/// Backoff after a round that did not.
const FAILED_FIRST: Duration = Duration::from_secs(30);
const FAILED_LONGEST: Duration = Duration::from_secs(3600);
/// However the dice fall.
const FAILED_LEAST: Duration = Duration::from_secs(2);
/// How long KRA is left alone where it does not say how long, and the most that doubling makes of it.
const BUSY_FIRST: Duration = Duration::from_secs(60);
const BUSY_LONGEST: Duration = Duration::from_secs(12 * 3600);

/// The times at which KRA is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListPace {
    due: Moment,
    closed_until: Moment,
    failures: u32,
    busy: u32,
}

impl ListPace {
    /// At the start, where KRA's last word is so old (`None`: there is none): at once where nothing is known, else within
    /// `window`, for a whole town may start at one time. What was confirmed just now is left for the next day: whoever
    /// starts again and again uses up no quota.
    pub fn at_start(now: Moment, age: Option<Duration>, window: Duration, dice: Dice) -> Self {
        let due = match age {
            None => now,
            Some(age) if age < JUST_NOW => {
                now.after(DAILY.saturating_sub(age)).after(spread(DAILY_SPREAD, dice))
            }
            Some(_) => now.after(spread(window, dice)),
        };
        Self { due, closed_until: Moment(0), failures: 0, busy: 0 }
    }

    /// When the next round is due.
    pub fn due(&self) -> Moment {
        self.due.max(self.closed_until)
    }

    /// KRA wants to be left alone at this moment, whoever asks.
    pub fn closed(&self, now: Moment) -> bool {
        now < self.closed_until
    }

    /// A round went well.
    pub fn went_well(&mut self, now: Moment, dice: Dice) {
        let due = now.after(DAILY).after(spread(DAILY_SPREAD, dice));
        *self = Self { due, closed_until: Moment(0), failures: 0, busy: 0 };
    }

    /// A round did not.
    pub fn failed(&mut self, now: Moment, dice: Dice) {
        self.due = now.after(pause(FAILED_FIRST, FAILED_LONGEST, self.failures, dice).max(FAILED_LEAST));
        self.failures = self.failures.saturating_add(1);
    }

    /// KRA wants to be left alone: for `at_least` by its code, `asked` by its own word; twice as long each time again.
    pub fn left_alone(&mut self, now: Moment, at_least: Option<Duration>, asked: Option<Duration>) {
        let first = at_least.unwrap_or(BUSY_FIRST);
        let doubled = 2_u32.checked_pow(self.busy).and_then(|factor| first.checked_mul(factor));
        let wait = doubled.map_or(BUSY_LONGEST, |wait| wait.min(BUSY_LONGEST));
        self.closed_until = now.after(wait.max(asked.unwrap_or_default()));
        self.due = self.closed_until;
        self.busy = self.busy.saturating_add(1);
    }

    /// Somebody wants a round now; it comes once KRA may be asked again.
    pub fn wanted(&mut self, now: Moment) {
        self.due = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment(1_000_000);
    const MOST: Dice = Dice(u64::MAX - 1);

    fn seconds(pace: &ListPace) -> u64 {
        pace.due().since(NOW).as_secs()
    }

    #[test]
    fn at_the_start() {
        let window = Duration::from_secs(30);
        let hours = |hours: u64| Some(Duration::from_secs(hours * 3600));
        assert_eq!(ListPace::at_start(NOW, None, window, Dice(20_000)).due(), NOW);
        assert_eq!(seconds(&ListPace::at_start(NOW, hours(1), window, Dice(20_000))), 20);
        assert!(seconds(&ListPace::at_start(NOW, hours(30), window, MOST)) <= 30);
        assert_eq!(seconds(&ListPace::at_start(NOW, hours(0), window, Dice(0))), 22 * 3600);
        let minute = Some(Duration::from_secs(60));
        assert_eq!(seconds(&ListPace::at_start(NOW, minute, window, Dice(1000))), 22 * 3600 - 60 + 1);
    }

    #[test]
    fn daily_but_not_all_at_one_time() {
        let mut pace = ListPace::at_start(NOW, None, Duration::ZERO, Dice(0));
        for (dice, hours) in [(Dice(0), 22), (Dice(4 * 3_600_000), 26)] {
            pace.went_well(NOW, dice);
            assert_eq!(seconds(&pace), hours * 3600);
        }
    }

    #[test]
    fn failures_wait_longer_and_longer_up_to_an_hour() {
        let mut pace = ListPace::at_start(NOW, None, Duration::ZERO, Dice(0));
        for most in [30, 60, 120, 240, 480, 960, 1920, 3600, 3600] {
            let mut least = pace;
            least.failed(NOW, Dice(0));
            assert_eq!(seconds(&least), 2);
            pace.failed(NOW, Dice(most * 1000));
            assert_eq!(seconds(&pace), most);
            assert!(!pace.closed(NOW));
        }
        pace.went_well(NOW, Dice(0));
        pace.failed(NOW, Dice(30_000));
        assert_eq!(seconds(&pace), 30);
    }

    #[test]
    fn a_quota_is_kept_to_whoever_asks() {
        let quarter = Some(Duration::from_secs(900));
        let mut pace = ListPace::at_start(NOW, None, Duration::ZERO, Dice(0));
        for minutes in [15, 30, 60, 120, 240, 480, 720, 720] {
            pace.left_alone(NOW, quarter, None);
            assert_eq!(seconds(&pace), minutes * 60);
            pace.wanted(NOW);
            assert_eq!(seconds(&pace), minutes * 60, "somebody wants it");
            assert!(pace.closed(NOW) && !pace.closed(pace.due()));
        }
        pace.went_well(NOW, Dice(0));
        pace.left_alone(NOW, None, None);
        assert_eq!(seconds(&pace), 60);
        pace.went_well(NOW, Dice(0));
        pace.left_alone(NOW, quarter, Some(Duration::from_secs(5000)));
        assert_eq!(seconds(&pace), 5000);
    }

    #[test]
    fn wanted_now() {
        let mut pace = ListPace::at_start(NOW, None, Duration::ZERO, Dice(0));
        pace.went_well(NOW, Dice(0));
        pace.wanted(NOW.after(Duration::from_secs(5)));
        assert_eq!(seconds(&pace), 5);
    }
}
