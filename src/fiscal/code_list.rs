//! KRA's code classes: what may stand in a coded field. Built in as known; KRA's own lists are laid over them.

use std::collections::BTreeMap;

use super::{KraDateTime, Rate, Rates, TaxType};

/// One code of a class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Code {
    /// `cd`.
    pub code: String,
    /// `cdNm`.
    pub name: String,
    /// `cdDesc`.
    pub description: Option<String>,
    /// `srtOrd`.
    pub order: Option<u32>,
    /// `userDfnCd1` to `userDfnCd3`; of a tax type (class 04) the first is its rate, the second its short label.
    pub columns: [Option<String>; 3],
    /// `useYn`: what is not in use is known, and taken for nothing new.
    pub in_use: bool,
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
    /// `useYn` of the class.
    pub in_use: bool,
    codes: BTreeMap<String, Code>,
}

/// Why a list of KRA is not taken over: sales could not be taken by it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListFault {
    /// It does not have a code that every sale needs.
    #[error("it has no code {0}, without which nothing can be sold")]
    Lacks(&'static str),
    /// It says of itself that it is not in use.
    #[error("it is marked as not in use")]
    NotInUse,
    /// A rate is missing, or is no percentage from 0 to 100 with at most two decimals.
    #[error("the rate of {letter} is {given}, which is no percentage from 0 to 100")]
    Rate {
        /// Of which tax type.
        letter: &'static str,
        /// What stands there, shortened.
        given: String,
    },
}

impl CodeList {
    /// A list of these codes.
    pub fn new(class: &str, name: &str, source: ListSource, codes: impl IntoIterator<Item = Code>) -> Self {
        Self {
            class: class.to_owned(),
            name: name.to_owned(),
            source,
            takes_letter_pairs: false,
            in_use: true,
            codes: codes.into_iter().map(|code| (code.code.clone(), code)).collect(),
        }
    }

    /// Whether a field of this class may say so.
    pub fn contains(&self, code: &str) -> bool {
        self.codes.get(code).is_some_and(|code| code.in_use)
            || (self.takes_letter_pairs && is_letter_pair(code))
    }

    /// The listed codes, in the order of their texts; also those that are no longer in use.
    pub fn codes(&self) -> impl ExactSizeIterator<Item = &Code> {
        self.codes.values()
    }

    /// What a list of KRA must have before sales are taken by it.
    ///
    /// # Errors
    /// It cannot be meant: with it, nothing could be sold, or no tax be counted.
    pub fn check(&self) -> Result<(), ListFault> {
        if !self.in_use && BUILT_IN.iter().any(|(class, ..)| *class == self.class) {
            return Err(ListFault::NotInUse);
        }
        if self.class == Codes::TAX_TYPE {
            self.rates()?;
        }
        let needed = NEEDED.iter().filter(|(class, _)| *class == self.class);
        match needed.into_iter().find(|(_, code)| !self.contains(code)) {
            Some((_, code)) => Err(ListFault::Lacks(code)),
            None => Ok(()),
        }
    }

    /// The rates of the five tax types, as class 04 has them.
    ///
    /// # Errors
    /// One of them is missing or cannot be meant.
    fn rates(&self) -> Result<Rates, ListFault> {
        let mut rates = Rates::default();
        for tax_type in TaxType::ALL {
            let letter = tax_type.letter();
            let code = self.codes.get(letter).ok_or(ListFault::Lacks(letter))?;
            let given = code.columns[0].as_deref().unwrap_or_default();
            rates.0[tax_type.index()] = whole_rate(given).ok_or_else(|| ListFault::Rate {
                letter,
                given: if given.is_empty() { "missing".to_owned() } else { given.chars().take(20).collect() },
            })?;
        }
        Ok(rates)
    }
}

/// A percentage from 0 to 100.
fn whole_rate(text: &str) -> Option<Rate> {
    Rate::parse(text).ok().filter(|rate| !rate.is_negative() && rate.hundredths() <= 100 * 100)
}

fn is_letter_pair(code: &str) -> bool {
    code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// Every class that we know, by its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Codes {
    lists: BTreeMap<String, CodeList>,
}

/// What became of lists that KRA gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merged {
    /// All lists from then on.
    pub codes: Codes,
    /// The classes that differ from before, by their numbers.
    pub changed: Vec<String>,
    /// The classes that were not taken over, and why.
    pub refused: Vec<(String, ListFault)>,
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
        let usual = Rates::default();
        for (class, name, listed) in BUILT_IN {
            let rate = |code: &str| TaxType::from_letter(code).map(|tax_type| usual.of(tax_type).to_string());
            let listed = listed.iter().map(|(code, name)| Code {
                code: (*code).to_owned(),
                name: (*name).to_owned(),
                columns: [rate(code).filter(|_| *class == Self::TAX_TYPE), None, None],
                in_use: true,
                ..Code::default()
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

    /// These with what KRA gave laid over them: a `whole` list takes the place of what was known of its class, another one
    /// changes the codes that it has. What was built in is no part of KRA's list of a class.
    pub fn merged(&self, news: Vec<CodeList>, whole: bool) -> Merged {
        let mut merged = Merged { codes: self.clone(), changed: Vec::new(), refused: Vec::new() };
        for mut list in news {
            let known = self.lists.get(&list.class).filter(|known| known.source != ListSource::BuiltIn);
            if let Some(known) = known {
                if !whole {
                    let mut codes = known.codes.clone();
                    codes.append(&mut list.codes);
                    list.codes = codes;
                }
                if list.name.is_empty() {
                    list.name.clone_from(&known.name);
                }
                // The same again is no news.
                if list.codes == known.codes && list.name == known.name && list.in_use == known.in_use {
                    continue;
                }
            }
            match list.check() {
                Ok(()) => {
                    merged.changed.push(list.class.clone());
                    merged.codes.put(list);
                }
                Err(fault) => merged.refused.push((list.class, fault)),
            }
        }
        merged
    }

    /// All classes, by their numbers.
    pub fn lists(&self) -> impl ExactSizeIterator<Item = &CodeList> {
        self.lists.values()
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

    /// The rates of the five tax types by class 04; the usual ones where that list cannot be meant.
    pub fn rates(&self) -> Rates {
        self.list(Self::TAX_TYPE).and_then(|list| list.rates().ok()).unwrap_or_default()
    }
}

/// The codes without which nothing can be sold.
const NEEDED: &[(&str, &str)] = &[
    (Codes::PAYMENT, "01"),
    (Codes::RECEIPT_TYPE, "R"),
    (Codes::RECEIPT_TYPE, "S"),
    (Codes::TRANSACTION_TYPE, "N"),
];

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
#[path = "code_list_tests.rs"]
mod tests;
