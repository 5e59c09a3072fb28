//! The grammar of item codes. KRA's front doors read its rule differently, so the grammar is a setting.

use super::Codes;

/// How an item's code is built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ItemCodeGrammar {
    /// Any code that fits the field.
    Free,
    /// Units of two letters get an `X` to make three: `KE2NTXU0000001`.
    Padded,
    /// Units of exactly two letters, no filler: `KE2NTNO0000001`. What the strictest door asks for.
    #[default]
    TwoLetter,
}

/// Why a text is not an item code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ItemCodeFault {
    /// Does not fit the field at all.
    #[error("must be 1 to 20 printable ASCII characters without outer spaces")]
    Unfit,
    /// Not built by the grammar of two-letter units.
    #[error(
        "must be a country, a product type (1 to 3), a packaging unit and a quantity unit of two letters each, and 7 \
         digits, such as KE2NTNO0000001"
    )]
    NotTwoLetter,
    /// Not built by the grammar of padded units.
    #[error(
        "must be a country, a product type (1 to 3), a packaging unit and a quantity unit, those of two letters with \
         an X behind them, and 7 digits, such as KE2NTXU0000001"
    )]
    NotPadded,
}

impl ItemCodeGrammar {
    /// Checks the code of an item that is to be registered.
    ///
    /// # Errors
    /// The code does not follow the grammar, or names a country, type or unit that `codes` do not list.
    pub fn check(self, code: &str, codes: &Codes) -> Result<(), ItemCodeFault> {
        check_fits(code)?;
        let fault = match self {
            Self::Free => return Ok(()),
            Self::Padded => ItemCodeFault::NotPadded,
            Self::TwoLetter => ItemCodeFault::NotTwoLetter,
        };
        if self.follows(code, codes) { Ok(()) } else { Err(fault) }
    }

    fn follows(self, code: &str, codes: &Codes) -> bool {
        // What fits is ASCII: every byte is a character.
        let Some((front, number)) = code.len().checked_sub(7).map(|at| code.split_at(at)) else {
            return false;
        };
        let Some((country, rest)) = front.split_at_checked(2) else { return false };
        let Some((item_type, units)) = rest.split_at_checked(1) else { return false };
        number.bytes().all(|byte| byte.is_ascii_digit())
            && codes.contains(Codes::COUNTRY, country)
            && codes.contains(Codes::ITEM_TYPE, item_type)
            && (1..units.len()).any(|at| {
                let (package, quantity) = units.split_at(at);
                self.is_unit(package, Codes::PACKAGE_UNIT, codes)
                    && self.is_unit(quantity, Codes::QUANTITY_UNIT, codes)
            })
    }

    fn is_unit(self, written: &str, class: &str, codes: &Codes) -> bool {
        match self {
            Self::Free => true,
            Self::Padded if written.len() == 2 => false,
            Self::Padded => {
                let unpadded = written.strip_suffix('X').filter(|unit| unit.len() == 2);
                codes.contains(class, written) || unpadded.is_some_and(|unit| codes.contains(class, unit))
            }
            Self::TwoLetter => written.len() == 2 && codes.contains(class, written),
        }
    }
}

/// Checks that a code fits the field, whatever its grammar. This is all that is asked of the code on a sale's line:
/// the item may have been registered elsewhere.
///
/// # Errors
/// Not 1 to 20 printable ASCII characters without outer spaces.
pub(super) fn check_fits(code: &str) -> Result<(), ItemCodeFault> {
    let fits = (1..=20).contains(&code.len())
        && code.trim_matches(' ') == code
        && code.bytes().all(|byte| (0x20..=0x7e).contains(&byte));
    if fits { Ok(()) } else { Err(ItemCodeFault::Unfit) }
}

#[cfg(test)]
mod tests {
    use super::ItemCodeGrammar::{Free, Padded, TwoLetter};
    use super::*;

    #[test]
    fn each_grammar_takes_its_own() {
        let codes = Codes::built_in();
        for (code, two_letter, padded) in [
            ("KE2NTBA0000012", true, false),
            ("KE2NTNO0000001", true, false),
            ("KE3OUKG9999999", true, false),
            ("KE1NTXU0000001", false, true),
            ("KR2AMXBLL0000001", false, true),
            ("BI2CTXKGX0000002", false, true),
            ("KE2CTNLTR0000001", false, true),
            ("KE2NTU0000001", false, false),
            ("KE2NTNO000001", false, false),
            ("KE2NTNO00000012", false, false),
            ("KE2NTNO000000A", false, false),
            ("KE4NTNO0000001", false, false),
            ("ke2NTNO0000001", false, false),
            ("KE2BXNO0000001", false, false),
            ("KE2NTQQ0000001", false, false),
            ("BE2SKU00000000000051", false, false),
            ("COCA-COLA 500ML", false, false),
            ("1234567", false, false),
            ("1", false, false),
        ] {
            assert_eq!(TwoLetter.check(code, &codes).is_ok(), two_letter, "two-letter {code}");
            assert_eq!(Padded.check(code, &codes).is_ok(), padded, "padded {code}");
            assert_eq!(Free.check(code, &codes), Ok(()), "free {code}");
        }
    }

    #[test]
    fn what_does_not_fit_is_no_code_of_any_grammar() {
        let codes = Codes::built_in();
        for code in ["", " KE2NTNO0000001", "KE2NTNO0000001 ", "KE2NTNO00000010000000", "caf\u{e9}", "a\nb"] {
            for grammar in [Free, Padded, TwoLetter] {
                assert_eq!(grammar.check(code, &codes), Err(ItemCodeFault::Unfit), "{code:?}");
            }
        }
    }
}
