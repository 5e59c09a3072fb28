//! KRA's code classes: what may stand in a coded field. Built in as known; KRA's own lists are laid over them.

use std::collections::BTreeMap;

use super::{KraDateTime, Rate, Rates, TaxType};

/// One code of a class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// `cd`.
    pub code: String,
    /// `cdNm`.
    pub name: String,
    /// The rate, for a tax type (class 04).
    pub rate: Option<Rate>,
}

/// Where a list comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListSource {
    /// Built in: KRA's list of this class was not fetched yet.
    BuiltIn,
    /// KRA, as of this time.
    Kra(KraDateTime),
}

/// All codes of one class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeList {
    /// `cdCls`, such as `07`.
    pub class: String,
    /// `cdClsNm`.
    pub name: String,
    /// Where it comes from.
    pub source: ListSource,
    /// Any two capital letters are taken beside the codes listed: countries, until KRA's list is there.
    pub takes_letter_pairs: bool,
    codes: BTreeMap<String, Code>,
}

impl CodeList {
    /// A list of the codes that are in use.
    pub fn new(class: &str, name: &str, source: ListSource, codes: impl IntoIterator<Item = Code>) -> Self {
        Self {
            class: class.to_owned(),
            name: name.to_owned(),
            source,
            takes_letter_pairs: false,
            codes: codes.into_iter().map(|code| (code.code.clone(), code)).collect(),
        }
    }

    /// Whether a field of this class may say so.
    pub fn contains(&self, code: &str) -> bool {
        self.codes.contains_key(code) || (self.takes_letter_pairs && is_letter_pair(code))
    }

    /// The listed codes, in the order of their texts.
    pub fn codes(&self) -> impl Iterator<Item = &Code> {
        self.codes.values()
    }
}

fn is_letter_pair(code: &str) -> bool {
    code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// Every class that we know, by its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codes {
    lists: BTreeMap<String, CodeList>,
}

impl Codes {
    /// Tax types, with their rates.
    pub const TAX_TYPE: &'static str = "04";
    /// Countries.
    pub const COUNTRY: &'static str = "05";
    /// Kinds of payment.
    pub const PAYMENT: &'static str = "07";
    /// Units of quantity.
    pub const QUANTITY_UNIT: &'static str = "10";
    /// Normal, training, proforma, copy.
    pub const TRANSACTION_TYPE: &'static str = "14";
    /// Packaging. `U` is not in it: that is a unit of quantity.
    pub const PACKAGE_UNIT: &'static str = "17";
    /// Raw material, finished product, service.
    pub const ITEM_TYPE: &'static str = "24";
    /// Reasons of a credit note.
    pub const REFUND_REASON: &'static str = "32";
    /// Sale, credit note.
    pub const RECEIPT_TYPE: &'static str = "37";

    /// What is known without having asked KRA.
    pub fn built_in() -> Self {
        let mut codes = Self { lists: BTreeMap::new() };
        for (class, name, listed) in BUILT_IN {
            let rates = Rates::default();
            let rate = |code: &str| TaxType::from_letter(code).map(|tax_type| rates.of(tax_type));
            let listed = listed.iter().map(|(code, name)| Code {
                code: (*code).to_owned(),
                name: (*name).to_owned(),
                rate: if *class == Self::TAX_TYPE { rate(code) } else { None },
            });
            let mut list = CodeList::new(class, name, ListSource::BuiltIn, listed);
            list.takes_letter_pairs = *class == Self::COUNTRY;
            codes.put(list);
        }
        codes
    }

    /// Lays a fetched list over whatever was known of its class.
    pub fn put(&mut self, list: CodeList) {
        self.lists.insert(list.class.clone(), list);
    }

    /// One class.
    pub fn list(&self, class: &str) -> Option<&CodeList> {
        self.lists.get(class)
    }

    /// Whether `code` is of `class`; of a class that is not known, nothing is.
    pub fn contains(&self, class: &str, code: &str) -> bool {
        self.list(class).is_some_and(|list| list.contains(code))
    }

    /// What KRA calls a code.
    pub fn name(&self, class: &str, code: &str) -> Option<&str> {
        self.list(class)?.codes.get(code).map(|code| code.name.as_str())
    }

    /// The rates of the five tax types by class 04; the usual one where the list gives none.
    pub fn rates(&self) -> Rates {
        let usual = Rates::default();
        let listed = |tax_type: TaxType| self.list(Self::TAX_TYPE)?.codes.get(tax_type.letter())?.rate;
        Rates(TaxType::ALL.map(|tax_type| listed(tax_type).unwrap_or(usual.of(tax_type))))
    }
}

type BuiltIn = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const BUILT_IN: &[BuiltIn] = &[
    (
        Codes::TAX_TYPE,
        "Taxation Type",
        &[("A", "Exempt"), ("B", "VAT 16%"), ("C", "Zero-rated"), ("D", "Non-VAT"), ("E", "VAT 8%")],
    ),
    (Codes::COUNTRY, "Country", &[("KE", "Kenya")]),
    (
        Codes::PAYMENT,
        "Payment Type",
        &[
            ("01", "Cash"),
            ("02", "Credit"),
            ("03", "Cash/Credit"),
            ("04", "Bank Check"),
            ("05", "Debit & Credit Card"),
            ("06", "Mobile Money"),
            ("07", "Other"),
        ],
    ),
    (
        Codes::QUANTITY_UNIT,
        "Quantity Unit",
        &[
            ("4B", "Pair"),
            ("AV", "Cap"),
            ("BA", "Barrel"),
            ("BE", "Bundle"),
            ("BG", "Bag"),
            ("BL", "Block"),
            ("BLL", "Barrel (petroleum)"),
            ("BX", "Box"),
            ("CA", "Can"),
            ("CEL", "Cell"),
            ("CMT", "Centimetre"),
            ("CR", "Carat"),
            ("DR", "Drum"),
            ("DZ", "Dozen"),
            ("GLL", "Gallon"),
            ("GRM", "Gram"),
            ("GRO", "Gross"),
            ("KG", "Kilogram"),
            ("KTM", "Kilometre"),
            ("KWT", "Kilowatt"),
            ("L", "Litre"),
            ("LBR", "Pound"),
            ("LK", "Link"),
            ("LTR", "Litre"),
            ("M", "Metre"),
            ("M2", "Square Metre"),
            ("M3", "Cubic Metre"),
            ("MGM", "Milligram"),
            ("MTR", "Metre"),
            ("MWT", "Megawatt Hour"),
            ("NO", "Number"),
            ("NX", "Part per Thousand"),
            ("PA", "Packet"),
            ("PG", "Plate"),
            ("PR", "Pair"),
            ("RL", "Reel"),
            ("RO", "Roll"),
            ("SET", "Set"),
            ("ST", "Sheet"),
            ("TNE", "Tonne"),
            ("TU", "Tube"),
            ("U", "Piece"),
            ("YRD", "Yard"),
        ],
    ),
    (
        Codes::TRANSACTION_TYPE,
        "Transaction Type",
        &[("C", "Copy"), ("N", "Normal"), ("P", "Proforma"), ("T", "Training")],
    ),
    (
        Codes::PACKAGE_UNIT,
        "Packaging Unit",
        &[
            ("AM", "Ampoule"),
            ("BA", "Barrel"),
            ("BC", "Bottle Crate"),
            ("BE", "Bundle"),
            ("BF", "Balloon"),
            ("BG", "Bag"),
            ("BJ", "Bucket"),
            ("BK", "Basket"),
            ("BL", "Bale"),
            ("BQ", "Bottle, cylindrical"),
            ("BR", "Bar"),
            ("BV", "Bottle, bulbous"),
            ("BZ", "Bag"),
            ("CA", "Can"),
            ("CH", "Chest"),
            ("CJ", "Coffin"),
            ("CL", "Coil"),
            ("CR", "Wooden Box"),
            ("CS", "Cassette"),
            ("CT", "Carton"),
            ("CTN", "Container"),
            ("CY", "Cylinder"),
            ("DR", "Drum"),
            ("GT", "Extra Countable Item"),
            ("HH", "Hand Baggage"),
            ("IZ", "Ingots"),
            ("JR", "Jar"),
            ("JU", "Jug"),
            ("JY", "Jerry Can"),
            ("KZ", "Canister"),
            ("LZ", "Logs"),
            ("ML", "ML"),
            ("NT", "Net"),
            ("OU", "No Packaging"),
            ("PD", "PD"),
            ("PG", "Plate"),
            ("PI", "Pipe"),
            ("PO", "PO"),
            ("PU", "Tray"),
            ("RL", "Reel"),
            ("RO", "Roll"),
            ("RZ", "Rods"),
            ("SK", "Skeleton Case"),
            ("TN", "TN"),
            ("TY", "Tank"),
            ("VG", "Bulk, gas"),
            ("VL", "Bulk, liquid"),
            ("VO", "Bulk, large particles"),
            ("VQ", "Bulk, liquefied gas"),
            ("VR", "Bulk, grains"),
            ("VT", "Bulk, scrap"),
            ("VY", "Bulk, powder"),
        ],
    ),
    (Codes::ITEM_TYPE, "Product Type", &[("1", "Raw Material"), ("2", "Finished Product"), ("3", "Service")]),
    (
        Codes::REFUND_REASON,
        "Credit Note Reason",
        &[
            ("01", "Missing Quantity"),
            ("02", "Missing Data"),
            ("03", "Damaged"),
            ("04", "Wasted"),
            ("05", "Raw Material Shortage"),
            ("06", "Refund"),
            ("07", "Wrong Customer PIN"),
            ("08", "Wrong Customer Name"),
            ("09", "Wrong Amount or Price"),
            ("10", "Wrong Quantity"),
            ("11", "Wrong Item"),
            ("12", "Wrong Tax Type"),
            ("13", "Other"),
        ],
    ),
    (Codes::RECEIPT_TYPE, "Sales Receipt Type", &[("R", "Credit Note after Sale"), ("S", "Sale")]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_lists_have_what_kra_listed() {
        let codes = Codes::built_in();
        for (class, count) in [
            (Codes::TAX_TYPE, 5),
            (Codes::COUNTRY, 1),
            (Codes::PAYMENT, 7),
            (Codes::QUANTITY_UNIT, 43),
            (Codes::TRANSACTION_TYPE, 4),
            (Codes::PACKAGE_UNIT, 52),
            (Codes::ITEM_TYPE, 3),
            (Codes::REFUND_REASON, 13),
            (Codes::RECEIPT_TYPE, 2),
        ] {
            assert_eq!(codes.list(class).map(|list| list.codes().count()), Some(count), "class {class}");
        }
    }

    #[test]
    fn codes_are_found_by_class() {
        let codes = Codes::built_in();
        for (class, code, known) in [
            (Codes::QUANTITY_UNIT, "U", true),
            (Codes::PACKAGE_UNIT, "U", false),
            (Codes::PACKAGE_UNIT, "BX", false),
            (Codes::QUANTITY_UNIT, "BX", true),
            (Codes::QUANTITY_UNIT, "kg", false),
            (Codes::PAYMENT, "08", false),
            (Codes::PAYMENT, "1", false),
            (Codes::COUNTRY, "KE", true),
            (Codes::COUNTRY, "ZA", true),
            (Codes::COUNTRY, "ke", false),
            (Codes::COUNTRY, "KEN", false),
            (Codes::REFUND_REASON, "13", true),
            (Codes::REFUND_REASON, "14", false),
            ("99", "01", false),
        ] {
            assert_eq!(codes.contains(class, code), known, "{class} {code}");
        }
        assert_eq!(codes.name(Codes::PAYMENT, "06"), Some("Mobile Money"));
        assert_eq!(codes.name(Codes::COUNTRY, "ZA"), None);
    }

    #[test]
    fn a_fetched_list_takes_the_place_of_the_built_in_one() {
        let mut codes = Codes::built_in();
        assert_eq!(codes.rates(), Rates::default());
        let as_of = KraDateTime::parse("20250115101530").unwrap();
        let fourteen = Rate::parse("14").unwrap();
        let standard = Code { code: "B".to_owned(), name: "B-14%".to_owned(), rate: Some(fourteen) };
        codes.put(CodeList::new(Codes::TAX_TYPE, "Taxation Type", ListSource::Kra(as_of), [standard]));
        assert_eq!(codes.rates().of(TaxType::B), fourteen);
        assert_eq!(codes.rates().of(TaxType::E), Rates::default().of(TaxType::E));
        assert!(!codes.contains(Codes::TAX_TYPE, "A"));
        assert!(codes.contains(Codes::PAYMENT, "01"));

        let kenya = Code { code: "KE".to_owned(), name: "Kenya".to_owned(), rate: None };
        codes.put(CodeList::new(Codes::COUNTRY, "Country", ListSource::Kra(as_of), [kenya]));
        assert!(!codes.contains(Codes::COUNTRY, "ZA"));
    }
}
