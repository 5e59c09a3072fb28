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
        if !is_rfc3339(text) {
            return Err(TimeFault);
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

    /// This many seconds later; `None` beyond the years that exist.
    pub fn plus_seconds(self, seconds: i64) -> Option<Self> {
        self.unix.checked_add(seconds).and_then(Self::from_unix)
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

/// `yyyy-MM-ddTHH:mm:ss`, an optional fraction, and `Z` or an offset; jiff's own reading takes many more shapes.
fn is_rfc3339(text: &str) -> bool {
    let shape = |text: &str, pattern: &str| {
        text.len() == pattern.len()
            && text.bytes().zip(pattern.bytes()).all(|(byte, wanted)| match wanted {
                b'd' => byte.is_ascii_digit(),
                b't' => byte.eq_ignore_ascii_case(&b't'),
                b's' => matches!(byte, b'+' | b'-'),
                _ => byte == wanted,
            })
    };
    let Some((time, mut rest)) = text.split_at_checked(19) else { return false };
    if let Some(fraction) = rest.strip_prefix('.') {
        let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
        if !(1..=9).contains(&digits) {
            return false;
        }
        rest = &fraction[digits..];
    }
    shape(time, "dddd-dd-ddtdd:dd:dd") && (rest.eq_ignore_ascii_case("z") || shape(rest, "sdd:dd"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_write_rfc_3339_or_14_digits() {
        for (text, printed) in [
            ("20250115101530", "20250115101530"),
            ("2025-01-15T10:15:30+03:00", "20250115101530"),
            ("2025-01-15T07:15:30Z", "20250115101530"),
            ("2025-01-15t07:15:30z", "20250115101530"),
            ("2025-01-15T07:15:30.999Z", "20250115101530"),
            ("2024-12-31T23:30:00-00:00", "20250101023000"),
            ("2024-02-29T12:00:00+03:00", "20240229120000"),
            ("20240229000000", "20240229000000"),
            ("20000229235959", "20000229235959"),
            ("19700101030000", "19700101030000"),
        ] {
            assert_eq!(
                KraDateTime::parse(text).map(|time| time.to_string()),
                Ok(printed.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn other_times_are_refused() {
        for text in [
            "",
            "now",
            "20250115",
            "202501151015300",
            "20250229000000",
            "20230229120000",
            "21000229120000",
            "20251301000000",
            "20250132000000",
            "20250431000000",
            "20250100000000",
            "20250115240000",
            "20250115106000",
            "20250115101560",
            "00000000000000",
            "19700101025959",
            "2025-01-15T10:15:30",
            "2025-01-15 10:15:30+03:00",
            "2025-01-15 10:15:30",
            "2025-01-15T10:15+03:00",
            "2025-01-15T10:15:30+0300",
            "2025-01-15T10:15:30+03",
            "2025-01-15T10:15:30+03:00[Africa/Nairobi]",
            "20250115T101530Z",
            "2025-02-29T10:15:30Z",
            "2025-01-15T25:15:30Z",
            "2025-01-15T10:15:30.Z",
            "1969-12-31T23:59:58Z",
            "9999-12-31T23:59:59Z",
            "2025-01-15T10:15:3\u{0660}Z",
            "\u{1F550}\u{1F550}\u{1F550}\u{1F550}\u{1F550}\u{1F550}",
        ] {
            assert_eq!(KraDateTime::parse(text), Err(TimeFault), "{text:?}");
        }
    }

    #[test]
    fn kra_also_writes_dashes_and_fractions() {
        for text in [
            "20250115101530",
            "2025-01-15 10:15:30",
            "2025-01-15 10:15:30.0",
            "2025-01-15 10:15:30.123",
            "2025-01-15T10:15:30",
        ] {
            assert_eq!(
                KraDateTime::parse_kra(text).map(|time| time.to_string()),
                Ok("20250115101530".to_owned()),
                "{text}"
            );
        }
        for text in [
            "",
            "2025-02-29 10:15:30.0",
            "2025-01-15 10:15",
            "2025-01-15 10:15:30.x",
            "2025-01-15 10:15:30Z",
            "-1",
        ] {
            assert_eq!(KraDateTime::parse_kra(text), Err(TimeFault), "{text:?}");
        }
    }

    #[test]
    fn days_are_nairobis() {
        let late = KraDateTime::parse("2024-02-28T21:30:00Z").unwrap();
        assert_eq!(late.date().to_string(), "20240229");
        assert_eq!(late.rfc3339(), "2024-02-29T00:30:00+03:00");
        assert_eq!(KraDateTime::parse(&late.rfc3339()), Ok(late));
        assert_eq!(KraDateTime::from_unix(-1), None);
        assert_eq!(KraDateTime::from_unix(i64::MAX), None);
        assert_eq!(late.plus_seconds(i64::MAX), None);
        assert_eq!(late.plus_seconds(1).map(KraDateTime::unix), Some(late.unix() + 1));
        let last = KraDateTime::from_unix(253_370_000_000).unwrap();
        assert!(last.to_string().starts_with("99"), "{last}");
    }
}
