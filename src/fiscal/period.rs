//! Days in Nairobi, and the times between two of them.

use std::fmt;
use std::str::FromStr;

/// Nairobi is three hours ahead, always.
const NAIROBI_MS: i64 = 3 * 3600 * 1000;
const DAY_MS: i64 = 24 * 3600 * 1000;

/// A day in Nairobi, written `2026-11-25`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Day(jiff::civil::Date);

/// A text that is no day.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a day is written YYYY-MM-DD, such as 2026-11-25")]
pub struct NoDay;

impl FromStr for Day {
    type Err = NoDay;

    fn from_str(text: &str) -> Result<Self, NoDay> {
        let shape = text.len() == 10
            && text.bytes().enumerate().all(|(place, byte)| match place {
                4 | 7 => byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        let date = if shape { text.parse().ok() } else { None };
        date.map(Self).ok_or(NoDay)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.0)
    }
}

impl Day {
    /// Its first millisecond, since 1970 (UTC).
    fn begins_ms(self) -> i64 {
        let since = self.0.since(jiff::civil::date(1970, 1, 1)).map_or(0, |span| i64::from(span.get_days()));
        since.saturating_mul(DAY_MS).saturating_sub(NAIROBI_MS)
    }

    /// The last one, of the same.
    fn ends_ms(self) -> i64 {
        self.begins_ms().saturating_add(DAY_MS - 1)
    }
}

/// Days, both included; a side that is not given is open.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Period {
    /// The first day; none: from the beginning.
    pub from: Option<Day>,
    /// The last day; none: up to now.
    pub to: Option<Day>,
}

impl Period {
    /// Whether this moment, in milliseconds since 1970 (UTC), lies on its days.
    pub fn holds(&self, wall_ms: i64) -> bool {
        self.from.is_none_or(|from| wall_ms >= from.begins_ms())
            && self.to.is_none_or(|to| wall_ms <= to.ends_ms())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_and_begin_in_nairobi() {
        for (text, begins_ms) in [
            ("1970-01-01", Some(-NAIROBI_MS)),
            ("1970-01-02", Some(DAY_MS - NAIROBI_MS)),
            ("2026-11-25", Some(1_795_554_000_000)),
            ("2024-02-29", Some(1_709_154_000_000)),
            ("2023-02-29", None),
            ("2026-11-5", None),
            ("20261125", None),
            ("2026-11-25T00:00", None),
            ("", None),
            ("yesterday", None),
        ] {
            let day = text.parse::<Day>().ok();
            assert_eq!(day.map(Day::begins_ms), begins_ms, "{text}");
            assert!(day.is_none_or(|day| day.to_string() == text && day.ends_ms() - day.begins_ms() == DAY_MS - 1));
        }
    }

    #[test]
    fn a_period_holds_its_first_and_last_millisecond() {
        let day = |text: &str| Some(text.parse::<Day>().unwrap());
        let check = |period: Period, offset: i64, expected: bool| {
            assert_eq!(period.holds(1_795_554_000_000 + offset), expected, "{period:?} {offset}");
        };
        let one = Period { from: day("2026-11-25"), to: day("2026-11-25") };
        for (offset, expected) in [(-1, false), (0, true), (DAY_MS - 1, true), (DAY_MS, false)] {
            check(one, offset, expected);
            check(Period { to: None, ..one }, offset, expected || offset > 0);
            check(Period { from: None, ..one }, offset, expected || offset < 0);
            check(Period::default(), offset, true);
        }
    }
}
