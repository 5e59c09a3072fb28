//! When a certificate ends: the one thing of it that people have to know in time.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// The end of a certificate's validity, seconds since 1970; `None` for bytes that are no X.509 certificate in DER.
pub(super) fn ends_at(certificate: &[u8]) -> Option<i64> {
    let (_, certificate, _) = element(certificate)?;
    let (_, signed, _) = element(certificate)?;
    let (tag, _, after_first) = element(signed)?;
    // The version may be left out; then the serial number is the first.
    let after_serial = if tag == 0xA0 { element(after_first)?.2 } else { after_first };
    let (_, _, after_algorithm) = element(after_serial)?;
    let (_, _, after_issuer) = element(after_algorithm)?;
    let (_, validity, _) = element(after_issuer)?;
    let (_, _, after_begin) = element(validity)?;
    let (tag, end, _) = element(after_begin)?;
    let text = std::str::from_utf8(end).ok()?.strip_suffix('Z')?;
    let text = match tag {
        0x17 => format!("{}{text}", if text < "5" { "20" } else { "19" }),
        0x18 => text.to_owned(),
        _ => return None,
    };
    let civil = DateTime::strptime("%Y%m%d%H%M%S", &text).ok()?;
    civil.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp().as_second())
}

/// Tag and content of the first DER element, and what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = if *first < 0x80 {
        (usize::from(*first), rest)
    } else {
        let (digits, rest) =
            rest.split_at_checked(usize::from(first & 0x7F)).filter(|(digits, _)| digits.len() <= 4)?;
        (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_of_both_kinds_of_time() {
        for (year, expected) in [(2027, 1_801_094_400), (2049, 2_495_404_800), (2051, 2_558_476_800)] {
            let mut wanted = rcgen::CertificateParams::new(vec!["kra.example".to_owned()]).unwrap();
            wanted.not_after = rcgen::date_time_ymd(year, 1, 28);
            let made = wanted.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
            assert_eq!(ends_at(made.der()), Some(expected), "{year}");
            for cut in [0, 1, 5, 40, 80] {
                assert_eq!(ends_at(&made.der()[..cut]), None);
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..100)) {
            let _ = ends_at(&bytes);
        }
    }
}
