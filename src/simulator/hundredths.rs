//! The simulator's own money: whole hundredths, so that a mistake in the gateway's arithmetic cannot cancel
//! itself out here.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An amount, a quantity or a rate in whole hundredths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hundredths(i128);

impl Hundredths {
    /// Nothing.
    pub const ZERO: Hundredths = Hundredths(0);

    /// So many hundredths: `of(1600)` is 16.00.
    pub const fn of(hundredths: i128) -> Hundredths {
        Hundredths(hundredths)
    }

    /// Reads a plain decimal of at most 30 digits, 2 of them after the point: `65`, `65.5`, `-65.00`. No exponent.
    pub fn parse(text: &str) -> Option<Hundredths> {
        let (sign, digits) = match text.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, text),
        };
        let (whole, part) = match digits.split_once('.') {
            Some((whole, part)) if (1..=2).contains(&part.len()) => (whole, part),
            Some(_) => return None,
            None => (digits, ""),
        };
        let plain = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || whole.len() > 28 || !plain(whole) || !plain(part) {
            return None;
        }
        let value: i128 = format!("{whole}{part:0<2}").parse().ok()?;
        Some(Hundredths(sign * value))
    }

    /// This many units at `price` each, rounded half up.
    pub fn times(self, price: Hundredths) -> Hundredths {
        Hundredths(divide_half_up(self.0 * price.0, 100))
    }

    /// `percent` of this amount, rounded half up.
    pub fn percent(self, percent: Hundredths) -> Hundredths {
        Hundredths(divide_half_up(self.0 * percent.0, 10_000))
    }

    /// The part of this amount that is left when a tax of `percent`, which it contains, is taken out.
    pub fn without(self, percent: Hundredths) -> Hundredths {
        Hundredths(divide_half_up(self.0 * 10_000, 10_000 + percent.0))
    }

    /// The tax of `percent` that this amount contains, worked out from the tax's side.
    pub fn contained(self, percent: Hundredths) -> Hundredths {
        Hundredths(divide_half_up(self.0 * percent.0, 10_000 + percent.0))
    }

    /// How many percent of `whole` this is; nothing of nothing is 0.
    pub fn percent_of(self, whole: Hundredths) -> Hundredths {
        if whole.0 == 0 { Hundredths::ZERO } else { Hundredths(divide_half_up(self.0 * 10_000, whole.0)) }
    }

    /// Whether the two are at most one hundredth apart.
    pub fn about(self, other: Hundredths) -> bool {
        (self.0 - other.0).abs() <= 1
    }

    /// Below nothing.
    pub fn is_negative(self) -> bool {
        self.0 < 0
    }
}

/// Halves go away from zero.
fn divide_half_up(dividend: i128, divisor: i128) -> i128 {
    let twice = 2 * dividend.abs() + divisor.abs();
    twice / (2 * divisor.abs()) * dividend.signum() * divisor.signum()
}

impl std::ops::Add for Hundredths {
    type Output = Hundredths;
    fn add(self, other: Hundredths) -> Hundredths {
        Hundredths(self.0 + other.0)
    }
}

impl std::ops::Sub for Hundredths {
    type Output = Hundredths;
    fn sub(self, other: Hundredths) -> Hundredths {
        Hundredths(self.0 - other.0)
    }
}

impl std::iter::Sum for Hundredths {
    fn sum<I: Iterator<Item = Hundredths>>(amounts: I) -> Hundredths {
        amounts.fold(Hundredths::ZERO, |sum, amount| sum + amount)
    }
}

impl fmt::Display for Hundredths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{}.{:02}", self.0.abs() / 100, self.0.abs() % 100)
    }
}

impl Serialize for Hundredths {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hundredths {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Hundredths, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Whole(u32),
        }
        let text = match Written::deserialize(deserializer)? {
            Written::Text(text) => text,
            Written::Whole(whole) => whole.to_string(),
        };
        Hundredths::parse(&text).filter(|value| (0..=10_000_000).contains(&value.0)).ok_or_else(|| {
            de::Error::custom(format!("{text:?} is not a rate of 0 to 100000 with at most 2 decimals"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Hundredths {
        Hundredths::parse(text).unwrap()
    }

    #[test]
    fn only_plain_decimals_are_read() {
        for (text, hundredths) in [("0", 0), ("65", 6500), ("65.5", 6550), ("65.05", 6505), ("-1.20", -120)] {
            assert_eq!(Hundredths::parse(text), Some(Hundredths::of(hundredths)), "{text}");
        }
        for text in
            ["", ".5", "5.", "1.005", "1e2", "+1", "1,000", "0x1", " 1", "--1", "9".repeat(40).as_str()]
        {
            assert_eq!(Hundredths::parse(text), None, "{text}");
        }
    }

    #[test]
    fn halves_round_up() {
        assert_eq!(of("100").without(of("16")), of("86.21"));
        assert_eq!(of("0.50").times(of("0.01")), of("0.01"));
        assert_eq!(of("0.90").percent(of("16")), of("0.14"));
        assert_eq!(of("35000").contained(of("18")), of("5338.98"));
        assert_eq!(of("580").percent_of(of("5800")), of("10"));
        assert_eq!(of("-0.05").to_string(), "-0.05");
    }
}
