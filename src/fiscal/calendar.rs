//! Dates and times as KRA writes them: Nairobi time, UTC+3, no summer time, no zone marker.

use std::fmt;

/// A moment in whole seconds, printed as KRA's 14 digits of Nairobi time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KraDateTime {
    /// Seconds since 1970-01-01T00:00:00Z.
    unix: i64,
}

/// A day, printed as KRA's 8 digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KraDate(jiff::civil::Date);

/// The text is not a time that we read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a time such as 2025-01-15T10:15:30+03:00, or 14 digits of Nairobi time such as 20250115101530"
)]
pub struct TimeFault;

/// Nairobi is three hours ahead of UTC, always.
const NAIROBI_SECONDS: i64 = 3 * 3600;

impl KraDateTime {
    /// From seconds since 1970 (UTC), within the years 1970 to 9999.
    pub fn from_unix(unix: i64) -> Option<Self> {
        (0..=253_370_000_000).contains(&unix).then_some(Self { unix })
    }

    /// Seconds since 1970 (UTC).
    pub const fn unix(self) -> i64 {
        self.unix
    }

    /// Reads what a register may send: RFC 3339 with its offset, or 14 digits of Nairobi time.
    ///
    /// # Errors
    /// Any other text, and dates that do not exist.
    pub fn parse(text: &str) -> Result<Self, TimeFault> {
        if text.len() == 14 && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Self::parse_kra(text);
        }
        let timestamp: jiff::Timestamp = text.parse().map_err(|_| TimeFault)?;
        Self::from_unix(timestamp.as_second()).ok_or(TimeFault)
    }

    /// Reads what KRA may answer: 14 digits, or `yyyy-MM-dd HH:mm:ss` with an optional fraction, both Nairobi time.
    ///
    /// # Errors
    /// Any other text, and dates that do not exist.
    pub fn parse_kra(text: &str) -> Result<Self, TimeFault> {
        let digits: String = match text.split_once('.') {
            Some((whole, fraction)) if fraction.bytes().all(|byte| byte.is_ascii_digit()) => whole,
            Some(_) => return Err(TimeFault),
            None => text,
        }
        .chars()
        .filter(|c| !matches!(c, '-' | ' ' | ':' | 'T'))
        .collect();
        if digits.len() != 14 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(TimeFault);
        }
        let field = |range: std::ops::Range<usize>| digits[range].parse::<i16>().map_err(|_| TimeFault);
        let small = |range: std::ops::Range<usize>| digits[range].parse::<i8>().map_err(|_| TimeFault);
        let civil = jiff::civil::DateTime::new(
            field(0..4)?,
            small(4..6)?,
            small(6..8)?,
            small(8..10)?,
            small(10..12)?,
            small(12..14)?,
            0,
        )
        .map_err(|_| TimeFault)?;
        let utc = jiff::tz::Offset::UTC.to_timestamp(civil).map_err(|_| TimeFault)?;
        Self::from_unix(utc.as_second() - NAIROBI_SECONDS).ok_or(TimeFault)
    }

    fn civil(self) -> jiff::civil::DateTime {
        let shifted = jiff::Timestamp::from_second(self.unix + NAIROBI_SECONDS)
            .expect("held within the years that exist");
        jiff::tz::Offset::UTC.to_datetime(shifted)
    }

    /// The day in Nairobi.
    pub fn date(self) -> KraDate {
        KraDate(self.civil().date())
    }

    /// As RFC 3339 with Nairobi's offset.
    pub fn rfc3339(self) -> String {
        let civil = self.civil();
        format!("{}T{}+03:00", civil.date(), civil.time().strftime("%H:%M:%S"))
    }
}

impl fmt::Display for KraDateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.civil().strftime("%Y%m%d%H%M%S"))
    }
}

impl fmt::Display for KraDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.strftime("%Y%m%d"))
    }
}
