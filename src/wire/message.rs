//! KRA's words that decide by themselves, on every wire and under every code but success.

use super::result_code::Class;

/// What KRA's message holds, in small letters and all of it, and what that means. The first row that fits holds.
const MESSAGES: [(&[&str], Class); 23] = [
    // Damage on KRA's side: several rows for one device; only KRA can mend it.
    (&["query did not return a unique result"], Class::Device),
    // Identity that did not arrive is not the sale's fault.
    (&["tin cannot be null"], Class::Device),
    (&["bhfid cannot be null"], Class::Device),
    (&["cmckey cannot be null"], Class::Device),
    (&["dvcsrlno cannot be null"], Class::Device),
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
    (&["cannot be null"], Class::Refused),
    (&["can not be null"], Class::Refused),
];

/// The class that a message decides; `None` where the code must.
pub(super) fn class(message: &str) -> Option<Class> {
    let message = message.to_lowercase();
    let identity = |needle: &str| needle.starts_with("tin ");
    let fits = |needle: &&str| match message.find(*needle) {
        // `custTin cannot be Null` is about the buyer.
        Some(at) if identity(needle) => !message[..at].ends_with(|c: char| c.is_alphanumeric()),
        found => found.is_some(),
    };
    MESSAGES.iter().find(|(needles, _)| needles.iter().all(fits)).map(|(_, class)| *class)
}

/// The number that KRA expects and the one it found, where the message says that an invoice number is out of sequence,
/// in whatever wording. Found is 0 where KRA does not say it; that is no number of a series.
pub(super) fn sequence(message: &str) -> Option<(u64, u64)> {
    let message = message.to_lowercase();
    let name_at = invoice_number(&message)?;
    let after = |word: &str| message.find(word).map(|at| at + word.len());
    let expected_at = after("expected").or_else(|| after("expecting")).or_else(|| after("expect"))?;
    let (expected, expected_span) = next_number(&message, expected_at)?;
    let found = ["found", "received", "but got", "but was", "instead of"]
        .iter()
        .filter_map(|word| next_number(&message, after(word)?))
        .chain(next_number(&message, name_at))
        .find(|(_, span)| *span != expected_span);
    Some((expected, found.map_or(0, |(number, _)| number)))
}

/// Where the words for the invoice number end; never those for a credit note's original.
fn invoice_number(message: &str) -> Option<usize> {
    ["invcno", "invc no", "invoice no", "invoice number", "invoiceno"].iter().find_map(|name| {
        message.match_indices(name).find_map(|(at, _)| {
            let whole_word = !message[..at].ends_with(|c: char| c.is_alphanumeric());
            whole_word.then_some(at + name.len())
        })
    })
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

/// The fields of a sale, as KRA spells them.
const FIELDS: [&str; 44] = [
    "trdInvcNo",
    "invcNo",
    "orgInvcNo",
    "custTin",
    "custNm",
    "custMblNo",
    "salesTyCd",
    "rcptTyCd",
    "pmtTyCd",
    "salesSttsCd",
    "cfmDt",
    "salesDt",
    "stockRlsDt",
    "cnclReqDt",
    "cnclDt",
    "rfdDt",
    "rfdRsnCd",
    "totItemCnt",
    "totTaxblAmt",
    "totTaxAmt",
    "totAmt",
    "prchrAcptcYn",
    "remark",
    "rcptPbctDt",
    "trdeNm",
    "adrs",
    "topMsg",
    "btmMsg",
    "itemSeq",
    "itemCd",
    "itemClsCd",
    "itemNm",
    "bcd",
    "pkgUnitCd",
    "pkg",
    "qtyUnitCd",
    "qty",
    "prc",
    "splyAmt",
    "dcRt",
    "dcAmt",
    "taxTyCd",
    "taxblAmt",
    "taxAmt",
];
/// Fields that come once for each tax letter.
const FIELDS_BY_LETTER: [&str; 3] = ["taxblAmt", "taxRt", "taxAmt"];
/// Fields that hold others.
const HOLDERS: [&str; 2] = ["itemList", "receipt"];

/// The field that a message names: `[<itemList><pkgUnitCd>]` is `itemList.pkgUnitCd`, `Expected a value for X` is X.
pub(super) fn field(message: &str) -> Option<String> {
    let mut holder = None;
    for word in message.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
        let known =
            |names: &[&'static str]| names.iter().find(|name| name.eq_ignore_ascii_case(word)).copied();
        if let Some(name) = known(&HOLDERS) {
            holder = Some(name);
        } else if let Some(name) = known(&FIELDS).map(str::to_owned).or_else(|| by_letter(word)) {
            return Some(match holder {
                Some(holder) => format!("{holder}.{name}"),
                None => name,
            });
        } else if !word.bytes().all(|byte| byte.is_ascii_digit()) {
            // A holder counts only where it stands right before its field, or before an index.
            holder = None;
        }
    }
    named_after(message, "expected a value for ")
}

fn by_letter(word: &str) -> Option<String> {
    let (stem, letter) = word.split_at_checked(word.len().checked_sub(1)?)?;
    let letter = letter.to_ascii_uppercase();
    let known = FIELDS_BY_LETTER.iter().find(|name| name.eq_ignore_ascii_case(stem))?;
    matches!(letter.as_str(), "A" | "B" | "C" | "D" | "E").then(|| format!("{known}{letter}"))
}

/// The word behind these, where it looks like a field's name.
fn named_after(message: &str, lead: &str) -> Option<String> {
    let at = message.to_ascii_lowercase().find(lead)? + lead.len();
    let rest = message.get(at..)?.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    let name = rest.split(|c: char| !c.is_ascii_alphanumeric()).next()?;
    (!name.is_empty() && name.len() <= 30).then(|| name.to_owned())
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
            ("", None),
        ] {
            assert_eq!(sequence(message), expected, "{message}");
        }
    }

    #[test]
    fn fields_that_messages_name() {
        for (message, expected) in [
            ("Check the code value [<itemList><pkgUnitCd>]", Some("itemList.pkgUnitCd")),
            ("itemList[0].qtyUnitCd is wrong", Some("itemList.qtyUnitCd")),
            ("receipt.trdeNm too long", Some("receipt.trdeNm")),
            ("Expected a value for rfdDt", Some("rfdDt")),
            ("Expected a value for 'fooBar'", Some("fooBar")),
            ("Missing RfdDt Date", Some("rfdDt")),
            ("Invalid RfdRsnCd", Some("rfdRsnCd")),
            ("Rule taxRtE failed", Some("taxRtE")),
            ("Invalid taxblAmtB. Expected: 86.21", Some("taxblAmtB")),
            ("custTin cannot be Null", Some("custTin")),
            ("Items provided under the itemList section do not exist in your stock", None),
            ("it went wrong", None),
            ("Expected a value for ", None),
        ] {
            assert_eq!(field(message).as_deref(), expected, "{message}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_words_panic(message in "\\PC{0,80}", tail in "\\PC{0,20}") {
            for message in [message.clone(), format!("İnvcNo expected: {tail} found {message}")] {
                let _ = (class(&message), sequence(&message), field(&message));
            }
        }
    }
}
