//! Who sells, where, on which device: checked once, when made.

use std::fmt;

/// What is wrong with an identity, in words that fit behind the field's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityFault {
    /// Not two digits.
    #[error("must be two digits, such as 00 for the head office")]
    BhfId,
    /// Empty, too long, or with characters that a header cannot carry.
    #[error("must be 1 to 255 printable ASCII characters without spaces")]
    CmcKey,
    /// Empty, too long or not printable.
    #[error("must be 1 to 100 printable ASCII characters without outer spaces")]
    DeviceSerial,
    /// Not a PIN.
    #[error("must be a KRA PIN: one capital letter, nine digits, one capital letter")]
    Tin,
    /// Not a trader's number.
    #[error("must be 1 to 50 printable ASCII characters without outer spaces")]
    TraderRef,
}

fn printable(text: &str, longest: usize) -> bool {
    !text.is_empty()
        && text.len() <= longest
        && text.trim_matches(' ') == text
        && text.bytes().all(|byte| (0x20..=0x7e).contains(&byte))
}

macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $fault:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Checks the text.
            ///
            /// # Errors
            /// The text is not of this kind.
            pub fn new(text: &str) -> Result<Self, IdentityFault> {
                let check: fn(&str) -> bool = $check;
                if check(text) { Ok(Self(text.to_owned())) } else { Err(IdentityFault::$fault) }
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

checked_text!(
    /// A taxpayer's PIN, 11 characters.
    Tin,
    Tin,
    |text| {
        let bytes = text.as_bytes();
        bytes.len() == 11
            && bytes[0].is_ascii_uppercase()
            && bytes[10].is_ascii_uppercase()
            && bytes[1..10].iter().all(u8::is_ascii_digit)
    }
);
checked_text!(
    /// A branch, two digits; `00` is the head office.
    BhfId,
    BhfId,
    |text| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit())
);
checked_text!(
    /// The device's serial, as approved by KRA beforehand.
    DeviceSerial,
    DeviceSerial,
    |text| printable(text, 100)
);
checked_text!(
    /// The register's own number for a sale; tells a repeat from a new one.
    TraderRef,
    TraderRef,
    |text| printable(text, 50)
);

/// Which device of which branch of which taxpayer: what one number series belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DeviceIdentity {
    /// The taxpayer.
    pub tin: Tin,
    /// The branch.
    pub bhf_id: BhfId,
    /// The device.
    pub serial: DeviceSerial,
}

/// The communication key that KRA gives a device once. Prints as `****`.
#[derive(Clone, PartialEq, Eq)]
pub struct CmcKey(String);

impl CmcKey {
    /// Checks the text.
    ///
    /// # Errors
    /// Empty, longer than 255, or not printable: such a key would only make every later call fail.
    pub fn new(text: &str) -> Result<Self, IdentityFault> {
        if text.len() <= 255 && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdentityFault::CmcKey)
        }
    }

    /// The secret itself: for the wire, the key file, and the one answer that hands it out.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for CmcKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CmcKey(****)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_are_a_letter_nine_digits_a_letter() {
        for good in ["P000000000A", "A123456789Z"] {
            assert_eq!(Tin::new(good).map(|tin| tin.to_string()), Ok(good.to_owned()));
        }
        for bad in [
            "",
            "p000000000A",
            "P000000000a",
            "P00000000A",
            "P0000000000A",
            "P00000000AA",
            " P000000000A",
            "\u{20ac}00000000A",
        ] {
            assert_eq!(Tin::new(bad), Err(IdentityFault::Tin), "{bad:?}");
        }
    }

    #[test]
    fn branches_are_two_digits() {
        assert!(BhfId::new("00").is_ok() && BhfId::new("99").is_ok());
        for bad in ["", "0", "000", "0a", " 0", "\u{e9}"] {
            assert_eq!(BhfId::new(bad), Err(IdentityFault::BhfId), "{bad:?}");
        }
    }

    #[test]
    fn traders_numbers_and_serials_are_printable() {
        for good in ["1", "T1 / 000123", "~!\"#", &"x".repeat(50)] {
            assert!(TraderRef::new(good).is_ok(), "{good:?}");
        }
        for bad in ["", " ", " 1", "1 ", "a\tb", "a\u{7f}", "caf\u{e9}", &"x".repeat(51)] {
            assert_eq!(TraderRef::new(bad), Err(IdentityFault::TraderRef), "{bad:?}");
        }
        assert!(DeviceSerial::new(&"x".repeat(100)).is_ok());
        assert_eq!(DeviceSerial::new(&"x".repeat(101)), Err(IdentityFault::DeviceSerial));
    }

    #[test]
    fn keys_do_not_print() {
        let key = CmcKey::new("0123456789abcdef").unwrap();
        assert_eq!(format!("{key:?}"), "CmcKey(****)");
        assert_eq!(key.reveal(), "0123456789abcdef");
        for bad in ["", " ", "a b", "a\n", &"x".repeat(256)] {
            assert!(CmcKey::new(bad).is_err(), "{bad:?}");
        }
    }
}
