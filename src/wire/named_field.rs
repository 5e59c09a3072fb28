//! Which field KRA's words are about: the one in brackets, or the one that is named and not merely there to say which
//! sale is meant; and whose it is, for no sale is refused for what the gateway itself filled in.

/// Who fills a field in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Whose {
    /// The register, or the gateway out of what the register said.
    Sale,
    /// The gateway, its configuration or its registration: the same in every sale, or the number.
    Gateway,
    /// The gateway: who it is.
    Identity,
}

/// A field that KRA's words are about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NamedField {
    /// As KRA spells it, with what holds it: `itemList.pkgUnitCd`.
    pub(super) name: String,
    pub(super) whose: Whose,
}

/// How a field is named; what comes first counts first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Manner {
    /// `[<custTin>]`
    Bracketed,
    /// `Invalid custTin`
    Plain,
    /// `for invcNo 42`: it says which one is meant, not what is wrong with it.
    Pointing,
}

/// The fields of a sale, as KRA spells them.
const SALE: [&str; 39] = [
    "trdInvcNo",
    "orgInvcNo",
    "custTin",
    "custNm",
    "custMblNo",
    "salesTyCd",
    "rcptTyCd",
    "pmtTyCd",
    "cfmDt",
    "salesDt",
    "stockRlsDt",
    "rfdDt",
    "rfdRsnCd",
    "totItemCnt",
    "totTaxblAmt",
    "totTaxAmt",
    "totAmt",
    "remark",
    "rcptPbctDt",
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
    "isrccCd",
    "isrccNm",
    "isrcRt",
    "isrcAmt",
    "taxTyCd",
    "taxblAmt",
    "taxAmt",
];
/// What the gateway, its configuration (`[trader]`) and its registration fill in.
const GATEWAY: [&str; 13] = [
    "invcNo",
    "salesSttsCd",
    "cnclReqDt",
    "cnclDt",
    "prchrAcptcYn",
    "regrId",
    "regrNm",
    "modrId",
    "modrNm",
    "trdeNm",
    "adrs",
    "topMsg",
    "btmMsg",
];
const IDENTITY: [&str; 4] = ["tin", "bhfId", "cmcKey", "dvcSrlNo"];
/// Fields that come once for each tax letter.
const BY_LETTER: [&str; 3] = ["taxblAmt", "taxRt", "taxAmt"];
/// Fields that hold others.
const HOLDERS: [&str; 2] = ["itemList", "receipt"];
/// Fields that may say which device, sale or line is meant: with a value right behind them they do.
const IDENTIFIERS: [&str; 8] =
    ["tin", "bhfId", "dvcSrlNo", "invcNo", "trdInvcNo", "orgInvcNo", "itemCd", "itemSeq"];
/// Words before what only says which one is meant.
const POINTERS: [&str; 7] = ["for", "of", "in", "on", "with", "under", "at"];
/// Words that make a PIN somebody else's than the taxpayer's.
const BUYERS: [&str; 3] = ["buyer", "customer", "purchaser"];

/// The field that a message is about: `[<itemList><pkgUnitCd>]` is `itemList.pkgUnitCd`, `Expected a value for X` is X.
pub(super) fn named_field(message: &str) -> Option<NamedField> {
    let mentions = mentions(message).into_iter();
    let best = mentions.min_by_key(|(field, manner)| (*manner, field.whose != Whose::Sale));
    best.map(|(field, _)| field).or_else(|| {
        let name = named_after(message, "expected a value for ")?;
        Some(NamedField { name, whose: Whose::Sale })
    })
}

/// How a field of the sale itself is named, where one is; never the number.
pub(super) fn names_the_sale(message: &str) -> Option<Manner> {
    let of_the_sale = |(field, manner): (NamedField, Manner)| (field.whose == Whose::Sale).then_some(manner);
    mentions(message).into_iter().filter_map(of_the_sale).min()
}

/// Every known field in a message, in its order.
fn mentions(message: &str) -> Vec<(NamedField, Manner)> {
    let words = words(message);
    let about_a_buyer = words.iter().any(|(_, word)| is_one_of(&BUYERS, word).is_some());
    let mut holder = None;
    let mut mentions = Vec::new();
    for (at, word) in words {
        if let Some(name) = is_one_of(&HOLDERS, word) {
            holder = Some(name);
        } else if let Some((name, whose)) = known(word) {
            let (name, whose) = if name == "tin" && about_a_buyer {
                ("custTin".to_owned(), Whose::Sale)
            } else {
                (name, whose)
            };
            let manner = manner(message, at, at + word.len());
            let name = holder.take().map_or(name.clone(), |holder| format!("{holder}.{name}"));
            mentions.push((NamedField { name, whose }, manner));
        } else if !word.bytes().all(|byte| byte.is_ascii_digit()) {
            // A holder counts only where it stands right before its field, or before an index.
            holder = None;
        }
    }
    mentions
}

/// How the name that stands from here to there is named.
pub(super) fn manner(message: &str, from: usize, to: usize) -> Manner {
    let (before, behind) = (&message[..from], &message[to..]);
    if before.ends_with(['<', '[']) && behind.starts_with(['>', ']']) {
        return Manner::Bracketed;
    }
    let last = before.split(|c: char| !is_of_a_word(c)).rfind(|word| !word.is_empty());
    let pointed_at = last.is_some_and(|word| is_one_of(&POINTERS, word).is_some());
    let identifies =
        is_one_of(&IDENTIFIERS, &message[from..to]).is_some() || known(&message[from..to]).is_none();
    if pointed_at || (identifies && holds_a_value(behind)) { Manner::Pointing } else { Manner::Plain }
}

/// What stands behind a name is its value: a word with a digit in it.
fn holds_a_value(behind: &str) -> bool {
    let value = behind.trim_start_matches([' ', ':', '=', '#', '\'', '"', '[', '(', '.']);
    let value = value.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';')).next();
    value.is_some_and(|value| value.bytes().any(|byte| byte.is_ascii_digit()))
}

fn known(word: &str) -> Option<(String, Whose)> {
    let of = |names, whose| is_one_of(names, word).map(|name: &str| (name.to_owned(), whose));
    of(&SALE, Whose::Sale)
        .or_else(|| of(&GATEWAY, Whose::Gateway))
        .or_else(|| of(&IDENTITY, Whose::Identity))
        .or_else(|| by_letter(word).map(|name| (name, Whose::Sale)))
}

fn is_one_of(names: &[&'static str], word: &str) -> Option<&'static str> {
    names.iter().find(|name| name.eq_ignore_ascii_case(word)).copied()
}

fn by_letter(word: &str) -> Option<String> {
    let (stem, letter) = word.split_at_checked(word.len().checked_sub(1)?)?;
    let letter = letter.to_ascii_uppercase();
    let known = is_one_of(&BY_LETTER, stem)?;
    matches!(letter.as_str(), "A" | "B" | "C" | "D" | "E").then(|| format!("{known}{letter}"))
}

/// Letters, digits and `_`: a column `cust_tin` of somebody's database is no field of ours.
pub(super) const fn is_of_a_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The words of a message, each with its place.
fn words(message: &str) -> Vec<(usize, &str)> {
    let mut behind = 0;
    let pieces = message.split_inclusive(|c: char| !is_of_a_word(c)).map(|piece| {
        let at = behind;
        behind += piece.len();
        (at, piece.trim_end_matches(|c: char| !is_of_a_word(c)))
    });
    pieces.filter(|(_, word)| !word.is_empty()).collect()
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
            ("Invalid taxblAmt for itemCd X. Expected: 86.21", Some("taxblAmt")),
            ("custTin cannot be Null", Some("custTin")),
            ("Items provided under the itemList section do not exist in your stock", None),
            ("it went wrong", None),
            ("Expected a value for ", None),
            // More than one: the brackets decide, then what is not there to say which one is meant.
            ("Invalid data for invcNo 42: [<custTin>]", Some("custTin")),
            ("Invalid data for trdInvcNo 000123: [<bhfId>]", Some("bhfId")),
            ("Invalid bhfId for trdInvcNo 000123", Some("bhfId")),
            ("bhfId 00: invalid custTin", Some("custTin")),
            ("tin: P051234567Z, bhfId: 00, pkg is wrong", Some("pkg")),
            ("invcNo: 7. Invalid taxblAmt", Some("taxblAmt")),
            ("itemCd KE1NTXU0000001 has no taxTyCd B", Some("taxTyCd")),
            ("Invalid pkg for invcNo 42. Expected: 1, Found: 2", Some("pkg")),
            ("Invalid value for custTin of invcNo 42", Some("custTin")),
            ("Invalid invcNo 42", Some("invcNo")),
            ("Invalid invcNo for tin P051234567Z", Some("invcNo")),
            // A buyer's PIN, and a column of somebody's database.
            ("Customer TIN is not registered", Some("custTin")),
            ("Column 'cust_tin' cannot be null", None),
            ("Column 'rcpt_sign' cannot be null", None),
        ] {
            assert_eq!(named_field(message).map(|it| it.name).as_deref(), expected, "{message}");
        }
    }

    #[test]
    fn whose_they_are() {
        for (name, expected) in SALE
            .iter()
            .map(|name| (name, Whose::Sale))
            .chain([(&"taxRtB", Whose::Sale)])
            .chain(GATEWAY.iter().map(|name| (name, Whose::Gateway)))
            .chain(IDENTITY.iter().map(|name| (name, Whose::Identity)))
        {
            for message in
                [format!("Invalid {name}"), format!("Invalid data for {}: [<{name}>]", "invcNo 42")]
            {
                assert_eq!(named_field(&message).map(|it| it.whose), Some(expected), "{message}");
            }
        }
    }
}
