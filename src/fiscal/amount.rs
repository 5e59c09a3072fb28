//! Decimal values as KRA counts them: whole hundredths, never binary floating point.

use std::fmt;

/// Why a text is not one of our decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecimalFault {
    /// Not a plain decimal number.
    #[error("must be a plain decimal number such as 65 or 65.00, without exponent")]
    NotDecimal,
    /// More digits behind the point than count.
    #[error("must have at most 2 decimals")]
    TooPrecise,
    /// More digits than KRA's field holds.
    #[error("is larger than the field holds")]
    TooLarge,
}

/// Reads `-?digits[.digits]` into hundredths; decimals behind the second must be zeros.
fn parse_hundredths(text: &str, limit: i64) -> Result<i64, DecimalFault> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) {
        return Err(DecimalFault::NotDecimal);
    }
    let (counted, rest) = fraction.split_at(fraction.len().min(2));
    if rest.bytes().any(|byte| byte != b'0') {
        return Err(DecimalFault::TooPrecise);
    }
    let mut hundredths: i64 = 0;
    for byte in whole
        .trim_start_matches('0')
        .bytes()
        .chain(counted.bytes())
        .chain("0".repeat(2 - counted.len()).bytes())
    {
        hundredths = hundredths
            .checked_mul(10)
            .and_then(|value| value.checked_add(i64::from(byte - b'0')))
            .filter(|value| *value <= limit)
            .ok_or(DecimalFault::TooLarge)?;
    }
    Ok(if negative { -hundredths } else { hundredths })
}

fn write_hundredths(hundredths: i64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let sign = if hundredths < 0 { "-" } else { "" };
    let value = hundredths.unsigned_abs();
    write!(f, "{sign}{}.{:02}", value / 100, value % 100)
}

/// `numerator / denominator`, rounded half away from zero; both halves of KRA's "half up" for positive amounts.
fn divide_rounded(numerator: i128, denominator: i128) -> i128 {
    let half = denominator / 2;
    if numerator >= 0 { (numerator + half) / denominator } else { (numerator - half) / denominator }
}

macro_rules! hundredths_type {
    ($(#[$doc:meta])* $name:ident, $limit:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(i64);

        impl $name {
            /// Nothing.
            pub const ZERO: Self = Self(0);
            /// The greatest count of hundredths that KRA's field holds.
            pub const LIMIT: i64 = $limit;

            /// From whole hundredths; `None` beyond what KRA's field holds.
            pub const fn from_hundredths(hundredths: i64) -> Option<Self> {
                if hundredths < -Self::LIMIT || hundredths > Self::LIMIT { None } else { Some(Self(hundredths)) }
            }

            /// Whole hundredths.
            pub const fn hundredths(self) -> i64 {
                self.0
            }

            /// Reads a plain decimal (`65`, `65.0`, `65.000`, `-1.50`).
            ///
            /// # Errors
            /// Not a plain decimal, more than two decimals that matter, or too large for the field.
            pub fn parse(text: &str) -> Result<Self, DecimalFault> {
                parse_hundredths(text, Self::LIMIT).map(Self)
            }

            /// Below zero.
            pub const fn is_negative(self) -> bool {
                self.0 < 0
            }

            /// The sum, unless the field cannot hold it.
            pub fn checked_add(self, other: Self) -> Option<Self> {
                self.0.checked_add(other.0).and_then(Self::from_hundredths)
            }

            /// The difference, unless the field cannot hold it.
            pub fn checked_sub(self, other: Self) -> Option<Self> {
                self.0.checked_sub(other.0).and_then(Self::from_hundredths)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hundredths(self.0, f)
            }
        }
    };
}

hundredths_type!(
    /// Money in shillings and cents, KRA's (18,2).
    Amount,
    999_999_999_999_999_999
);
hundredths_type!(
    /// How much of an item, KRA's (13,2).
    Quantity,
    9_999_999_999_999
);
hundredths_type!(
    /// A percentage, KRA's (7,2): `16.00` is sixteen per cent.
    Rate,
    9_999_999
);

impl Amount {
    /// `quantity` times this unit price, rounded to cents, half up.
    pub fn times(self, quantity: Quantity) -> Option<Self> {
        scaled(i128::from(self.0) * i128::from(quantity.0), 100)
    }

    /// `rate` per cent of this amount, rounded to cents, half up.
    pub fn percent(self, rate: Rate) -> Option<Self> {
        scaled(i128::from(self.0) * i128::from(rate.0), 10_000)
    }

    /// The part of a tax-inclusive amount that is not tax: `amount / (1 + rate)`, rounded to cents, half up.
    pub fn without_tax(self, rate: Rate) -> Option<Self> {
        scaled(i128::from(self.0) * 10_000, with_tax(rate)?)
    }

    /// The tax inside a tax-inclusive amount: `amount × rate / (1 + rate)`, rounded to cents, half up.
    pub fn tax_inside(self, rate: Rate) -> Option<Self> {
        scaled(i128::from(self.0) * i128::from(rate.0), with_tax(rate)?)
    }

    /// What per cent of `whole` this is, rounded to hundredths; `None` where `whole` is zero.
    pub fn rate_of(self, whole: Self) -> Option<Rate> {
        if whole.0 == 0 {
            return None;
        }
        let hundredths = divide_rounded(i128::from(self.0) * 10_000, i128::from(whole.0));
        i64::try_from(hundredths).ok().and_then(Rate::from_hundredths)
    }
}

/// `1 + rate` in hundredths of a per cent; `None` for a rate that would leave nothing to divide by.
fn with_tax(rate: Rate) -> Option<i128> {
    let whole = 10_000 + i128::from(rate.0);
    (whole > 0).then_some(whole)
}

fn scaled(numerator: i128, denominator: i128) -> Option<Amount> {
    i64::try_from(divide_rounded(numerator, denominator)).ok().and_then(Amount::from_hundredths)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(text: &str) -> Amount {
        Amount::parse(text).unwrap()
    }

    fn rate(text: &str) -> Rate {
        Rate::parse(text).unwrap()
    }

    #[test]
    fn plain_decimals_are_read_by_value() {
        for (text, hundredths) in [
            ("0", 0),
            ("65", 6500),
            ("65.0", 6500),
            ("65.00", 6500),
            ("65.000000", 6500),
            ("0.1", 10),
            ("0.09", 9),
            ("007.5", 750),
            ("-1.50", -150),
            ("-0", 0),
            ("-0.00", 0),
            ("9999999999999999.99", 999_999_999_999_999_999),
            ("-9999999999999999.99", -999_999_999_999_999_999),
        ] {
            assert_eq!(Amount::parse(text).map(Amount::hundredths), Ok(hundredths), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for (text, fault) in [
            ("", DecimalFault::NotDecimal),
            ("-", DecimalFault::NotDecimal),
            ("+1", DecimalFault::NotDecimal),
            ("--1", DecimalFault::NotDecimal),
            (".5", DecimalFault::NotDecimal),
            ("5.", DecimalFault::NotDecimal),
            ("1.2.3", DecimalFault::NotDecimal),
            ("1,5", DecimalFault::NotDecimal),
            ("1e2", DecimalFault::NotDecimal),
            ("1E2", DecimalFault::NotDecimal),
            (" 1", DecimalFault::NotDecimal),
            ("1 ", DecimalFault::NotDecimal),
            ("0x10", DecimalFault::NotDecimal),
            ("NaN", DecimalFault::NotDecimal),
            ("\u{661}", DecimalFault::NotDecimal),
            ("1.005", DecimalFault::TooPrecise),
            ("1.0000000001", DecimalFault::TooPrecise),
            ("10000000000000000", DecimalFault::TooLarge),
            ("99999999999999999999999999999999999999", DecimalFault::TooLarge),
        ] {
            assert_eq!(Amount::parse(text), Err(fault), "{text:?}");
        }
        assert_eq!(Quantity::parse("99999999999.99").map(Quantity::hundredths), Ok(9_999_999_999_999));
        assert_eq!(Quantity::parse("100000000000"), Err(DecimalFault::TooLarge));
        assert_eq!(Rate::parse("99999.99").map(Rate::hundredths), Ok(9_999_999));
        assert_eq!(Rate::parse("100000"), Err(DecimalFault::TooLarge));
    }

    #[test]
    fn a_million_digits_are_refused_quickly() {
        assert_eq!(Amount::parse(&"9".repeat(1_000_000)), Err(DecimalFault::TooLarge));
        assert_eq!(Amount::parse(&format!("1.{}", "0".repeat(1_000_000))), Ok(amount("1")));
    }

    #[test]
    fn values_print_with_two_decimals() {
        for (text, printed) in
            [("0", "0.00"), ("5", "5.00"), ("0.07", "0.07"), ("-0.07", "-0.07"), ("1234.5", "1234.50")]
        {
            assert_eq!(amount(text).to_string(), printed);
        }
    }

    #[test]
    fn halves_round_up() {
        for (price, quantity, product) in [
            ("0.01", "0.49", "0.00"),
            ("0.01", "0.50", "0.01"),
            ("0.01", "1.49", "0.01"),
            ("0.01", "1.50", "0.02"),
            ("10.05", "0.10", "1.01"),
            ("10.04", "0.10", "1.00"),
            ("-0.01", "0.50", "-0.01"),
            ("65", "2", "130.00"),
        ] {
            let quantity = Quantity::parse(quantity).unwrap();
            assert_eq!(amount(price).times(quantity), Some(amount(product)), "{price} x {quantity}");
        }
        for (whole, per_cent, part) in
            [("0.50", "16", "0.08"), ("0.03", "16", "0.00"), ("0.04", "12.50", "0.01"), ("100", "0", "0.00")]
        {
            assert_eq!(amount(whole).percent(rate(per_cent)), Some(amount(part)), "{whole} at {per_cent}");
        }
        assert_eq!(amount("100").without_tax(rate("16")), Some(amount("86.21")));
        assert_eq!(amount("100").tax_inside(rate("16")), Some(amount("13.79")));
        assert_eq!(amount("1").rate_of(amount("3")), Some(rate("33.33")));
        assert_eq!(amount("2").rate_of(amount("3")), Some(rate("66.67")));
        assert_eq!(amount("1").rate_of(amount("0")), None);
        assert_eq!(amount("-1").rate_of(amount("3")), Some(rate("-33.33")));
    }

    #[test]
    fn what_does_not_fit_is_none() {
        let most = Amount::from_hundredths(Amount::LIMIT).unwrap();
        assert_eq!(most.checked_add(amount("0.01")), None);
        assert_eq!(amount("-0.01").checked_sub(most), None);
        assert_eq!(most.times(Quantity::parse("1.01").unwrap()), None);
        assert_eq!(most.times(Quantity::parse("99999999999.99").unwrap()), None);
        assert_eq!(most.percent(rate("100.01")), None);
        assert_eq!(most.rate_of(amount("0.01")), None);
        assert_eq!(amount("1").without_tax(rate("-100")), None);
        assert_eq!(amount("1").tax_inside(rate("-100.01")), None);
        assert_eq!(Amount::from_hundredths(Amount::LIMIT + 1), None);
        assert_eq!(Amount::from_hundredths(i64::MIN), None);
    }
}
