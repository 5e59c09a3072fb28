//! KRA's words that decide by themselves, on every wire and under every code but success.

use super::named_field::{Manner, Whose, is_of_a_word, manner, named_field, names_the_sale};
use super::result_code::Class;

/// What KRA's message holds, in small letters and all of it, and what that means. The first row that fits holds.
const MESSAGES: [(&[&str], Class); 17] = [
    // Damage on KRA's side: several rows for one device; only KRA can mend it.
    (&["query did not return a unique result"], Class::Device),
    // A wrong branch header is reported like this, and so is a passing fault.
    (&["error occurred while validating item tax type"], Class::Unsure),
    // The gateway's own routing is broken.
    (&["unresolved variable"], Class::Unsure),
    // Something else must be there first.
    (&["do not exist in your stock"], Class::Wait),
    (&["does not exist in your stock"], Class::Wait),
    (&["insufficient stock"], Class::Wait),
    (&["stock io is empty"], Class::Wait),
    (&["rsdqty mismatch"], Class::Wait),
    (&["orginvcno does not exist"], Class::Wait),
    // About this document, and for good.
    (&["missing rfddt"], Class::Refused),
    (&["invalid rfdrsncd"], Class::Refused),
    (&["invalid taxblamt"], Class::Refused),
    (&["invalid taxamt"], Class::Refused),
    (&["rule taxrt", "failed"], Class::Refused),
    (&["invalid pkg"], Class::Refused),
    (&["expected a value for"], Class::Refused),
    (&["incorrect qtyunitcd prefix"], Class::Refused),
];
/// Words that a database says too: they decide only about a field that we sent.
const MISSING: [&str; 2] = ["cannot be null", "can not be null"];

/// The class that a message decides; `None` where the code must. Whether a refusal is about the sale is not asked here.
pub(super) fn class(message: &str) -> Option<Class> {
    let lower = message.to_ascii_lowercase();
    let holds = |needle: &&str| lower.contains(needle);
    if let Some((_, class)) = MESSAGES.iter().find(|(needles, _)| needles.iter().all(holds)) {
        return Some(*class);
    }
    let field = named_field(message).filter(|_| MISSING.iter().any(holds))?;
    Some(match field.whose {
        // Identity that did not arrive is not the sale's fault.
        Whose::Identity => Class::Device,
        Whose::Gateway | Whose::Sale => Class::Refused,
    })
}

/// The number that KRA expects and the one it found, where the message says that an invoice number is out of sequence,
/// in whatever wording. Found is 0 where KRA does not say it; that is no number of a series. Other things are expected
/// and found too: where the message is about another field of the sale, the number only says which sale is meant.
pub(super) fn sequence(message: &str) -> Option<(u64, u64)> {
    let message = message.to_ascii_lowercase();
    let names = invoice_numbers(&message);
    let (_, name_at) = *names.first()?;
    let after = |word: &str| message.find(word).map(|at| at + word.len());
    if message.contains("expected a value for") {
        return None;
    }
    let expected_at = after("expected").or_else(|| after("expecting")).or_else(|| after("expect"))?;
    let (expected, expected_span) = next_number(&message, expected_at)?;
    let named = next_number(&message, name_at);
    let found = ["found", "received", "but got", "but was", "instead of"]
        .iter()
        .filter_map(|word| next_number(&message, after(word)?))
        .chain(named)
        .find(|(_, span)| *span != expected_span)
        .map_or(0, |(number, _)| number);
    let is_about_it = names_the_sale(&message).is_none_or(|other| {
        let manner = names.iter().map(|(from, to)| manner(&message, *from, *to)).min();
        let agrees = named.is_some_and(|(number, _)| number == expected || number == found);
        manner.is_some_and(|it| it < other || (it == other && it != Manner::Bracketed && agrees))
    });
    is_about_it.then_some((expected, found))
}

/// Where the words for the invoice number stand; never those for a credit note's original.
fn invoice_numbers(message: &str) -> Vec<(usize, usize)> {
    let names = ["invcno", "invc no", "invoice no", "invoice number", "invoiceno"].iter();
    let mut places: Vec<_> = names
        .flat_map(|name| message.match_indices(name).map(|(at, _)| (at, at + name.len())))
        .filter(|(at, _)| !message[..*at].ends_with(is_of_a_word))
        .collect();
    places.sort_unstable();
    places
}

/// The first whole number behind this place, not far off and not part of a decimal, and where it stands.
fn next_number(message: &str, from: usize) -> Option<(u64, (usize, usize))> {
    const FARTHEST: usize = 30;
    let behind = &message[from..];
    let start = behind.find(|c: char| c.is_ascii_digit()).filter(|start| *start <= FARTHEST)?;
    // Another word of the two stands in between: the number is that one's.
    if ["found", "expect", "invalid", "use "].iter().any(|word| behind[..start].contains(word)) {
        return None;
    }
    let digits = behind[start..].split(|c: char| !c.is_ascii_digit()).next()?;
    let rest = &behind[start + digits.len()..];
    let decimal = rest.strip_prefix('.').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    if decimal {
        return None;
    }
    digits.parse().ok().map(|number| (number, (from + start, from + start + digits.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_out_of_sequence() {
        for (message, expected) in [
            ("Invalid invcNo sequence, expected: 43 but found: 42", Some((43, 42))),
            ("Possible cause: Invalid InvcNo Sequence. Expected 43, Found 42", Some((43, 42))),
            ("Invc No: 42 is invalid, use the expected value: 43", Some((43, 42))),
            ("invoice number 42 out of order; expecting 43", Some((43, 42))),
            ("expected invcNo 43 but got 42", Some((43, 42))),
            ("invcNo: expected '43' received '42'.", Some((43, 42))),
            ("Invalid invcNo sequence, expected: 43", Some((43, 0))),
            ("invcNo must be in sequence", None),
            ("Expected a value for invcNo", None),
            ("Invalid sarNo: Expected: 3 but found: 2", None),
            ("Invalid orgInvcNo, expected: 3 but found: 2", None),
            ("Invalid taxblAmt. Expected: 86.21, But Found: 100.00", None),
            ("invcNo: 7. Invalid taxblAmt. Expected: 86.21, But Found: 100.00", None),
            ("Invalid invcNo sequence, expected: 99999999999999999999 but found: 1", None),
            // The number only says which sale is meant.
            ("Invalid pkg for invcNo 42. Expected: 1, Found: 2", None),
            ("Expected 1 but found 2 for pkg of invcNo 42", None),
            ("qty of invoice number 42: expected 1 but got 2", None),
            ("invcNo 42: Expected: 1, Found: 2 [<itemList><pkg>]", None),
            ("Expected a value for custTin of invcNo 42", None),
            // Here the sale is what says which number is meant.
            ("Invalid invcNo sequence for trdInvcNo T-7, expected: 43 but found: 42", Some((43, 42))),
            ("trdInvcNo T-7: invcNo 42 is out of order, expected 43", Some((43, 42))),
            ("Invalid invcNo sequence for tin P051234567Z, expected: 43 but found: 42", Some((43, 42))),
            ("[<invcNo>] expected: 43 but found: 42 (custTin P051234567Z)", Some((43, 42))),
            ("", None),
        ] {
            assert_eq!(sequence(message), expected, "{message}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_words_panic(message in "\\PC{0,80}", tail in "\\PC{0,20}") {
            for message in [message.clone(), format!("İnvcNo expected: {tail} found {message}")] {
                let _ = (class(&message), sequence(&message), named_field(&message));
            }
        }
    }
}
