//! What the last exchanges with KRA have shown beside their answers: KRA's clock, its certificate.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::fiscal::KraDateTime;
use crate::queue::Moment;

/// How far another clock is ahead of ours: somewhere between two bounds. The time of an answer is a whole second, and it
/// was written at some moment between our question and its arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skew {
    /// At least, milliseconds; negative where it is behind.
    pub least_ms: i64,
    /// At most, milliseconds.
    pub most_ms: i64,
}

impl Skew {
    /// The other clock showed `told` (seconds since 1970) between these two moments of ours (milliseconds).
    pub const fn measured(told: i64, sent_ms: i64, received_ms: i64) -> Self {
        let told_ms = told.saturating_mul(1000);
        Self {
            least_ms: told_ms.saturating_sub(received_ms),
            most_ms: told_ms.saturating_add(999).saturating_sub(sent_ms),
        }
    }

    /// The middle of the two, milliseconds.
    pub const fn middle_ms(self) -> i64 {
        self.least_ms.midpoint(self.most_ms)
    }

    /// What of it is certain: zero where both clocks may be right.
    pub const fn certain_ms(self) -> i64 {
        if self.least_ms > 0 {
            self.least_ms
        } else if self.most_ms < 0 {
            self.most_ms
        } else {
            0
        }
    }
}

/// One exchange, as it is shown to people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastExchange {
    /// When it ended.
    pub ended: Moment,
    /// KRA's function; `connect` where only a connection was made.
    pub function: &'static str,
    /// What it meant, in one word.
    pub outcome: &'static str,
    /// `resultCd`.
    pub result_cd: Option<String>,
    /// The HTTP status.
    pub http_status: Option<u16>,
    /// How long it took, milliseconds.
    pub took_ms: u64,
}

/// All that was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sightings {
    /// The last exchange.
    pub last: Option<LastExchange>,
    /// Against the `Date` of the last answer that had one.
    pub date: Option<Skew>,
    /// Against the `resultDt` of the last answer that had one.
    pub result_dt: Option<Skew>,
    /// When the certificate that KRA showed last ends, seconds since 1970.
    pub certificate_until: Option<i64>,
    /// Since when nothing has kept our clock right.
    pub unkept_since: Option<Moment>,
}

impl Sightings {
    /// KRA's clock was seen, and may be the same as ours.
    pub fn agrees(&self) -> bool {
        let near = |skew: Skew| skew.certain_ms().abs() < AGREES_MS;
        let mut seen = [self.date, self.result_dt].into_iter().flatten().peekable();
        seen.peek().is_some() && seen.all(near)
    }

    /// What KRA takes for the present, where our wall clock shows `wall_ms`: ours where both may be the same, else the
    /// earliest that KRA's clock may show. By `resultDt`, which is of the server that judges dates.
    pub fn kra_now(&self, wall_ms: i64) -> Option<KraDateTime> {
        let skew = self.result_dt.or(self.date)?;
        let ahead_ms = if skew.certain_ms() == 0 { 0 } else { skew.least_ms };
        KraDateTime::from_unix(wall_ms.saturating_add(ahead_ms).div_euclid(1000))
    }
}

/// Clocks that differ by less agree.
const AGREES_MS: i64 = 60_000;

/// What was seen, for whoever asks; told after each exchange.
#[derive(Debug, Default)]
pub struct Lookout(Mutex<Sightings>);

impl Lookout {
    /// An exchange is over. What it did not show stays as it was.
    pub fn exchange(&self, last: LastExchange, date: Option<Skew>, result_dt: Option<Skew>) {
        let mut seen = self.locked();
        seen.last = Some(last);
        seen.date = date.or(seen.date);
        seen.result_dt = result_dt.or(seen.result_dt);
    }

    /// KRA showed a certificate that ends then.
    pub fn certificate(&self, until: i64) {
        self.locked().certificate_until = Some(until);
    }

    /// Whether something keeps our clock right.
    pub fn clock_kept(&self, kept: bool, now: Moment) {
        let mut seen = self.locked();
        seen.unkept_since = if kept { None } else { seen.unkept_since.or(Some(now)) };
    }

    /// The wall clock jumped: what was measured against it means nothing any more.
    pub fn clock_stepped(&self) {
        let mut seen = self.locked();
        (seen.date, seen.result_dt) = (None, None);
    }

    /// All of it now.
    pub fn now(&self) -> Sightings {
        self.locked().clone()
    }

    fn locked(&self) -> MutexGuard<'_, Sightings> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_answer_says_about_the_clocks() {
        // told, sent, received; least, most, certain
        for (told, sent, received, least, most, certain) in [
            (100, 100_200, 100_300, -300, 799, 0),
            (100, 99_000, 101_000, -1_000, 1_999, 0),
            (100, 100_999, 100_999, -999, 0, 0),
            (400, 100_000, 100_050, 299_950, 300_999, 299_950),
            (100, 400_000, 400_050, -300_050, -299_001, -299_001),
            // A slow answer says little: it may have been written at either end of a minute.
            (130, 100_000, 160_000, -30_000, 30_999, 0),
            (i64::MAX, 0, 0, i64::MAX, i64::MAX, i64::MAX),
        ] {
            let skew = Skew::measured(told, sent, received);
            assert_eq!(
                (skew.least_ms, skew.most_ms, skew.certain_ms()),
                (least, most, certain),
                "{told} {sent} {received}"
            );
        }
        assert_eq!(Skew { least_ms: -300, most_ms: 799 }.middle_ms(), 249);
    }

    #[test]
    fn what_time_kra_has() {
        let at = |unix| KraDateTime::from_unix(unix);
        let with = |date, result_dt| Sightings { date, result_dt, ..Sightings::default() };
        let skew = |least_ms, most_ms| Some(Skew { least_ms, most_ms });
        for (seen, expected, agrees) in [
            (with(None, None), None, false),
            (with(skew(-300, 700), None), at(1_000), true),
            (with(skew(-300, 700), skew(-5_000, -4_000)), at(995), true),
            (with(skew(-300, 700), skew(299_500, 300_500)), at(1_299), false),
            (with(None, skew(-90_000, -80_000)), at(910), false),
        ] {
            assert_eq!((seen.kra_now(1_000_000), seen.agrees()), (expected, agrees), "{seen:?}");
        }
    }

    #[test]
    fn since_when_nobody_keeps_the_clock() {
        let lookout = Lookout::default();
        for (kept, now, since) in
            [(false, 5, Some(5)), (false, 9, Some(5)), (true, 12, None), (false, 20, Some(20))]
        {
            lookout.clock_kept(kept, Moment(now));
            assert_eq!(lookout.now().unkept_since, since.map(Moment));
        }
    }

    #[test]
    fn what_an_exchange_does_not_show_stays() {
        let lookout = Lookout::default();
        let last = |outcome| LastExchange {
            ended: Moment(5),
            function: "f",
            outcome,
            result_cd: None,
            http_status: None,
            took_ms: 1,
        };
        let skew = Some(Skew { least_ms: 1, most_ms: 2 });
        lookout.exchange(last("up"), skew, None);
        lookout.exchange(last("down"), None, None);
        assert_eq!(
            (lookout.now().date, lookout.now().result_dt, lookout.now().last.unwrap().outcome),
            (skew, None, "down")
        );
        lookout.clock_stepped();
        assert_eq!(lookout.now().date, None);
    }
}
