//! KRA's time: Nairobi, three hours ahead of UTC all year.

use std::time::Duration;

use jiff::civil::{Date, DateTime};
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

/// One instant as KRA's clock shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment {
    at: Timestamp,
}

impl Moment {
    /// Now, by this machine's clock moved by `offset` seconds.
    pub(super) fn now(offset: i64) -> Moment {
        let now = Timestamp::now();
        Moment { at: now.checked_add(SignedDuration::from_secs(offset)).unwrap_or(now) }
    }

    /// The moment that 14 digits stand for, if they are a real date and time.
    pub(super) fn parse(digits: &str) -> Option<Moment> {
        let moment = civil(digits)?.to_zoned(nairobi()).ok()?;
        Some(Moment { at: moment.timestamp() })
    }

    /// This much later.
    pub(super) fn after(self, wait: Duration) -> Moment {
        Moment { at: self.at.checked_add(wait).unwrap_or(self.at) }
    }

    /// `yyyyMMddHHmmss`.
    pub(super) fn stamp(self) -> String {
        self.civil().strftime("%Y%m%d%H%M%S").to_string()
    }

    /// `yyyyMMdd`.
    pub(super) fn date(self) -> String {
        self.civil().strftime("%Y%m%d").to_string()
    }

    /// RFC 3339, in UTC, for people who read the books.
    pub(super) fn rfc3339(self) -> String {
        self.at.to_string()
    }

    fn civil(self) -> DateTime {
        self.at.to_zoned(nairobi()).datetime()
    }
}

fn nairobi() -> TimeZone {
    TimeZone::fixed(Offset::constant(3))
}

/// Whether 8 digits are a real date.
pub(super) fn is_date(digits: &str) -> bool {
    date(digits).is_some()
}

/// `yyyyMMddHHmmss` as `yyyy-MM-dd HH:mm:ss.f`, the way the look-up of an invoice writes the receipt's time.
pub(super) fn spelled_out(digits: &str) -> String {
    civil(digits).map(|at| at.strftime("%Y-%m-%d %H:%M:%S.0").to_string()).unwrap_or_default()
}

fn date(digits: &str) -> Option<Date> {
    if digits.len() != 8 || !digits.is_ascii() {
        return None;
    }
    Date::new(
        number(&digits[..4])?,
        i8::try_from(number(&digits[4..6])?).ok()?,
        i8::try_from(number(&digits[6..])?).ok()?,
    )
    .ok()
    .filter(|date| date.year() >= 1)
}

fn civil(digits: &str) -> Option<DateTime> {
    if digits.len() != 14 || !digits.is_ascii() {
        return None;
    }
    let part = |range| -> Option<i8> { i8::try_from(number(&digits[range])?).ok() };
    let time = jiff::civil::Time::new(part(8..10)?, part(10..12)?, part(12..14)?, 0).ok()?;
    Some(date(&digits[..8])?.to_datetime(time))
}

fn number(digits: &str) -> Option<i16> {
    if digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_dates_only() {
        for good in ["20250115101530", "20240229000000", "19991231235959"] {
            assert_eq!(Moment::parse(good).map(Moment::stamp).as_deref(), Some(good));
        }
        for bad in [
            "20250229000000",
            "20250115246000",
            "2025011510153",
            "2025011510153x",
            "20251315101530",
            "202é115101530",
        ] {
            assert_eq!(Moment::parse(bad), None, "{bad}");
        }
        assert!(is_date("20240229") && !is_date("20230229") && !is_date("2023022") && !is_date("202é022"));
    }

    #[test]
    fn nairobi_is_three_hours_ahead() {
        let moment = Moment::parse("20250101013000").unwrap();
        assert_eq!(moment.rfc3339(), "2024-12-31T22:30:00Z");
        assert_eq!(moment.date(), "20250101");
        assert_eq!(spelled_out("20250115101533"), "2025-01-15 10:15:33.0");
    }
}
