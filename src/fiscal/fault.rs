//! What is wrong with a register's request: which field, a stable word, and words for a person.

use std::collections::HashSet;

/// The members of a sale, in the order in which their faults are reported.
pub const SALE_FIELDS: [&str; 18] = [
    "trdInvcNo",
    "tin",
    "bhfId",
    "rcptTyCd",
    "salesTyCd",
    "pmtTyCd",
    "cfmDt",
    "custTin",
    "custNm",
    "custMblNo",
    "remark",
    "orgTrdInvcNo",
    "orgInvcNo",
    "rfdRsnCd",
    "replaces",
    "totTaxAmt",
    "totAmt",
    "itemList",
];

/// The members of one line of a sale, in the order in which their faults are reported.
pub const LINE_FIELDS: [&str; 20] = [
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
    "totAmt",
];

/// The kind of a fault. Its [`word`](Self::word) is stable: registers' makers program against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultCode {
    /// Earlier than the sale that is credited.
    BeforeOriginal,
    /// Two fields exclude each other.
    Conflict,
    /// A control character, or one that no wire can carry.
    ControlCharacter,
    /// The same key twice in one object.
    DuplicateKey,
    /// More is credited than the original has left.
    ExceedsOriginal,
    /// The text has not the form that the field asks for.
    BadFormat,
    /// Later than now.
    InFuture,
    /// Differs from what the other figures give.
    Mismatch,
    /// Below zero.
    Negative,
    /// Not allowed here.
    NotAllowed,
    /// Not a plain decimal number.
    NotDecimal,
    /// Names a document that is not here.
    NotFound,
    /// Not in KRA's list of codes.
    NotInList,
    /// Zero or less.
    NotPositive,
    /// A text that is not Unicode: half a surrogate pair.
    NotUnicode,
    /// The request speaks of another device than this gateway's.
    OtherDevice,
    /// Missing.
    Required,
    /// Larger than the field holds, or than makes sense.
    TooLarge,
    /// More characters than the field holds.
    TooLong,
    /// More entries than the list may have.
    TooMany,
    /// More digits behind the point than count.
    TooPrecise,
    /// No such field.
    UnknownField,
    /// Another JSON type than the field has.
    WrongType,
}

impl FaultCode {
    /// The stable word in answers.
    pub const fn word(self) -> &'static str {
        match self {
            Self::BadFormat => "bad_format",
            Self::BeforeOriginal => "before_original",
            Self::Conflict => "conflict",
            Self::ControlCharacter => "control_character",
            Self::DuplicateKey => "duplicate_key",
            Self::ExceedsOriginal => "exceeds_original",
            Self::InFuture => "in_future",
            Self::Mismatch => "mismatch",
            Self::Negative => "negative",
            Self::NotAllowed => "not_allowed",
            Self::NotDecimal => "not_decimal",
            Self::NotFound => "not_found",
            Self::NotInList => "not_in_list",
            Self::NotPositive => "not_positive",
            Self::NotUnicode => "not_unicode",
            Self::OtherDevice => "other_device",
            Self::Required => "required",
            Self::TooLarge => "too_large",
            Self::TooLong => "too_long",
            Self::TooMany => "too_many",
            Self::TooPrecise => "too_precise",
            Self::UnknownField => "unknown_field",
            Self::WrongType => "wrong_type",
        }
    }
}

/// One thing that is wrong with a request. Its message never holds a value of the request other than an amount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The field's path, such as `itemList[0].qty`.
    pub field: String,
    /// What kind of fault.
    pub code: FaultCode,
    /// A sentence for a person, which begins with the field.
    pub message: String,
}

impl Fault {
    /// A fault of `field`; `words` follow the field's name in the message ("must be more than 0").
    pub fn new(field: impl Into<String>, code: FaultCode, words: &str) -> Self {
        let field = field.into();
        let message = format!("{field} {words}");
        Self { field, code, message }
    }
}

/// Where a field stands in a sale: its place in the head, its line, its place in the line.
fn place_of(field: &str) -> (usize, usize, usize) {
    let position =
        |fields: &[&str], name: &str| fields.iter().position(|known| *known == name).unwrap_or(fields.len());
    let in_line = field.strip_prefix("itemList[").and_then(|rest| {
        let (index, rest) = rest.split_once(']')?;
        let name = rest.strip_prefix('.').unwrap_or_default();
        let place = if name.is_empty() { 0 } else { 1 + position(&LINE_FIELDS, name) };
        Some((position(&SALE_FIELDS, "itemList"), index.parse::<usize>().ok()? + 1, place))
    });
    in_line.unwrap_or_else(|| (position(&SALE_FIELDS, field), 0, 0))
}

/// The faults found so far, with those that reading the request had found already: a field that could not be read
/// is not called missing as well.
pub(super) struct Faults {
    found: Vec<Fault>,
    unreadable: HashSet<String>,
}

impl Faults {
    pub(super) fn after(found: Vec<Fault>) -> Self {
        let unreadable = found.iter().map(|fault| fault.field.clone()).collect();
        Self { found, unreadable }
    }

    pub(super) fn add(&mut self, field: String, code: FaultCode, words: &str) {
        if !self.is_unreadable(&field) {
            self.found.push(Fault::new(field, code, words));
        }
    }

    pub(super) fn is_unreadable(&self, field: &str) -> bool {
        !self.unreadable.is_empty() && self.unreadable.contains(field)
    }

    pub(super) fn count(&self) -> usize {
        self.found.len()
    }

    /// All of them, in the order in which they were found.
    pub(super) fn into_found(self) -> Vec<Fault> {
        self.found
    }

    /// All of them, in the order of the sale's fields.
    pub(super) fn into_sorted(mut self) -> Vec<Fault> {
        self.found.sort_by_cached_key(|fault| place_of(&fault.field));
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_come_in_the_order_of_the_sale() {
        let mut faults = Faults::after(vec![Fault::new("nonsense", FaultCode::UnknownField, "is unknown")]);
        for field in [
            "itemList[10].itemCd",
            "itemList[2].qty",
            "totAmt",
            "itemList[2]",
            "itemList[2].itemCd",
            "trdInvcNo",
        ] {
            faults.add(field.to_owned(), FaultCode::Required, "is required");
        }
        faults.add("nonsense".to_owned(), FaultCode::Required, "is required");
        let fields: Vec<String> = faults.into_sorted().into_iter().map(|fault| fault.field).collect();
        assert_eq!(
            fields,
            [
                "trdInvcNo",
                "totAmt",
                "itemList[2]",
                "itemList[2].itemCd",
                "itemList[2].qty",
                "itemList[10].itemCd",
                "nonsense"
            ]
        );
    }
}
