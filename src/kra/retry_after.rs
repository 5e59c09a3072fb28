//! `Retry-After`: seconds, or a date.

use std::time::Duration;

use jiff::Timestamp;

/// The longest wait that is believed.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// How long to wait from `now`; `None` where the text is neither seconds nor a date.
pub(super) fn read(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    let seconds = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().unwrap_or(u64::MAX)
    } else {
        let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
        u64::try_from(at.as_second() - now.as_second()).unwrap_or(0)
    };
    Some(Duration::from_secs(seconds).min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates() {
        let now: Timestamp = "2025-01-15T10:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("99999999999999999999", Some(86_400)),
            ("Wed, 15 Jan 2025 10:02:00 GMT", Some(120)),
            ("Wed, 15 Jan 2025 09:00:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
            ("", None),
        ] {
            assert_eq!(read(text, now), expected.map(Duration::from_secs), "{text}");
        }
    }
}
