//! Checks of single fields, shared by the head of a sale and its lines.

use super::fault::Faults;
use super::{Amount, Codes, FaultCode, Tin, TraderRef};

/// Where fields are being checked: the head of a sale, or one of its lines.
pub(super) struct Place<'f> {
    faults: &'f mut Faults,
    line: Option<usize>,
}

impl<'f> Place<'f> {
    pub(super) fn head(faults: &'f mut Faults) -> Self {
        Self { faults, line: None }
    }

    pub(super) fn line(faults: &'f mut Faults, line: usize) -> Self {
        Self { faults, line: Some(line) }
    }

    fn path(&self, name: &str) -> String {
        match self.line {
            Some(line) => format!("itemList[{line}].{name}"),
            None => name.to_owned(),
        }
    }

    pub(super) fn fault(&mut self, name: &str, code: FaultCode, words: &str) {
        self.faults.add(self.path(name), code, words);
    }

    /// How many faults there are so far, those of reading included.
    pub(super) fn count(&self) -> usize {
        self.faults.count()
    }

    /// Whether reading found a fault in any of these: then nothing may be computed from them.
    pub(super) fn is_any_unreadable(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.faults.is_unreadable(&self.path(name)))
    }

    pub(super) fn needed<T>(&mut self, name: &str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.fault(name, FaultCode::Required, "is required");
        }
        value
    }

    /// A text of at most `longest` characters without control characters; a blank one is none.
    pub(super) fn text(&mut self, name: &str, value: Option<String>, longest: usize) -> Option<String> {
        let value = value.filter(|text| !text.trim_matches(' ').is_empty())?;
        if value.chars().any(is_unprintable) {
            self.fault(name, FaultCode::ControlCharacter, "must not hold control characters");
            return None;
        }
        if value.chars().count() > longest {
            let words = format!("must be at most {longest} characters long");
            self.fault(name, FaultCode::TooLong, &words);
            return None;
        }
        Some(value)
    }

    pub(super) fn needed_text(
        &mut self,
        name: &str,
        value: Option<String>,
        longest: usize,
    ) -> Option<String> {
        let is_blank = value.as_ref().is_none_or(|text| text.trim_matches(' ').is_empty());
        if is_blank {
            return self.needed(name, None);
        }
        self.text(name, value, longest)
    }

    /// A code of `class`.
    pub(super) fn code(
        &mut self,
        name: &str,
        value: Option<String>,
        class: &str,
        codes: &Codes,
    ) -> Option<String> {
        let value = value?;
        if codes.contains(class, &value) {
            return Some(value);
        }
        let words = format!("must be a code of KRA's list {class}");
        self.fault(name, FaultCode::NotInList, &words);
        None
    }

    /// A taxpayer's PIN.
    pub(super) fn tin(&mut self, name: &str, value: Option<String>) -> Option<Tin> {
        match Tin::new(&value?) {
            Ok(tin) => Some(tin),
            Err(fault) => {
                self.fault(name, FaultCode::BadFormat, &fault.to_string());
                None
            }
        }
    }

    /// A register's number of a sale.
    pub(super) fn trader_ref(&mut self, name: &str, value: Option<String>) -> Option<TraderRef> {
        let value = value?;
        match check_trader_ref(&value) {
            Ok(trader_ref) => Some(trader_ref),
            Err((code, words)) => {
                self.fault(name, code, &words);
                None
            }
        }
    }

    /// A number that may be zero.
    pub(super) fn not_negative<T: Copy>(
        &mut self,
        name: &str,
        value: Option<T>,
        is_negative: fn(T) -> bool,
    ) -> Option<T> {
        let value = value?;
        if is_negative(value) {
            self.fault(name, FaultCode::Negative, "must not be negative");
            return None;
        }
        Some(value)
    }

    /// A figure that the register worked out as well: it must be ours, within `tolerance` cents.
    pub(super) fn agrees(&mut self, name: &str, given: Option<Amount>, ours: Amount, tolerance: u64) {
        let Some(given) = given else { return };
        if given.hundredths().abs_diff(ours.hundredths()) > tolerance {
            let words = format!("should be {ours} but is {given}");
            self.fault(name, FaultCode::Mismatch, &words);
        }
    }
}

/// Reads a register's number of a sale, and says what is wrong with it where it is none.
///
/// # Errors
/// The fault's code and the words behind the field's name.
pub fn check_trader_ref(text: &str) -> Result<TraderRef, (FaultCode, String)> {
    TraderRef::new(text).map_err(|fault| {
        let code = if text.is_empty() {
            FaultCode::Required
        } else if text.chars().any(is_unprintable) {
            FaultCode::ControlCharacter
        } else if text.chars().count() > 50 {
            FaultCode::TooLong
        } else {
            FaultCode::BadFormat
        };
        (code, fault.to_string())
    })
}

/// Control characters, and the two code points that XML cannot carry.
fn is_unprintable(c: char) -> bool {
    c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}')
}
