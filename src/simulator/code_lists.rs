//! The code lists the simulator knows, and the taxes' rates.

use super::hundredths::Hundredths;
use super::tree::Tree;

/// A class of codes, or another closed set of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codes {
    Country,
    CreditReason,
    ItemClass,
    Packaging,
    Payment,
    ProductType,
    QuantityUnit,
    ReceiptType,
    SalesStatus,
    TaxType,
    Transaction,
    YesNo,
}

/// The five tax letters, in KRA's order.
pub(super) const LETTERS: [&str; 5] = ["A", "B", "C", "D", "E"];

const PACKAGING: &[&str] = &[
    "AM", "BA", "BC", "BE", "BF", "BG", "BJ", "BK", "BL", "BQ", "BR", "BV", "BZ", "CA", "CH", "CJ", "CL",
    "CR", "CS", "CT", "CTN", "CY", "DR", "GT", "HH", "IZ", "JR", "JU", "JY", "KZ", "LZ", "NT", "OU", "PD",
    "PG", "PI", "PO", "PU", "RL", "RO", "RZ", "SK", "TY", "VG", "VL", "VO", "VQ", "VR", "VT", "VY", "ML",
    "TN",
];
const QUANTITY_UNITS: &[&str] = &[
    "4B", "AV", "BA", "BE", "BG", "BL", "BLL", "BX", "CA", "CEL", "CMT", "CR", "DR", "DZ", "GLL", "GRM",
    "GRO", "KG", "KTM", "KWT", "L", "LBR", "LK", "LTR", "M", "M2", "M3", "MGM", "MTR", "MWT", "NO", "NX",
    "PA", "PG", "PR", "RL", "RO", "SET", "ST", "TNE", "TU", "U", "YRD",
];
const PAYMENTS: &[(&str, &str)] = &[
    ("01", "Cash"),
    ("02", "Credit"),
    ("03", "Cash and credit"),
    ("04", "Bank check"),
    ("05", "Debit or credit card"),
    ("06", "Mobile money"),
    ("07", "Other"),
];
const CREDIT_REASONS: &[(&str, &str)] = &[
    ("01", "Missing quantity"),
    ("02", "Missing data"),
    ("03", "Damaged"),
    ("04", "Wasted"),
    ("05", "Raw material shortage"),
    ("06", "Refund"),
    ("07", "Wrong customer PIN"),
    ("08", "Wrong customer name"),
    ("09", "Wrong amount or price"),
    ("10", "Wrong quantity"),
    ("11", "Wrong item"),
    ("12", "Wrong tax type"),
    ("13", "Other"),
];
const COUNTRIES: &[&str] = &[
    "AE", "BI", "CD", "CN", "DE", "DJ", "EG", "ET", "FR", "GB", "IN", "IT", "JP", "KE", "KR", "MW", "MZ",
    "NG", "NL", "RW", "SA", "SO", "SS", "TR", "TZ", "UG", "US", "ZA", "ZM", "ZW",
];

impl Codes {
    /// Whether the set has this value.
    pub(super) fn has(self, code: &str) -> bool {
        match self {
            Codes::Country => code.len() == 2 && code.bytes().all(|b| b.is_ascii_uppercase()),
            Codes::CreditReason => CREDIT_REASONS.iter().any(|(known, _)| *known == code),
            Codes::ItemClass => matches!(code.len(), 8 | 10) && code.bytes().all(|b| b.is_ascii_digit()),
            Codes::Packaging => PACKAGING.contains(&code),
            Codes::Payment => PAYMENTS.iter().any(|(known, _)| *known == code),
            Codes::ProductType => matches!(code, "1" | "2" | "3"),
            Codes::QuantityUnit => QUANTITY_UNITS.contains(&code),
            Codes::ReceiptType => matches!(code, "S" | "R"),
            // Approved: a waiting or cancelled sale is no invoice.
            Codes::SalesStatus => code == "02",
            Codes::TaxType => LETTERS.contains(&code),
            // Copies, proformas and training sales are printed, never sent: this service has no call for them.
            Codes::Transaction => code == "N",
            Codes::YesNo => matches!(code, "Y" | "N"),
        }
    }
}

/// The rate of each letter in percent.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(non_snake_case, reason = "the letters are the names")]
pub struct Rates {
    /// Exempt.
    pub A: Hundredths,
    /// The general rate.
    pub B: Hundredths,
    /// Zero-rated.
    pub C: Hundredths,
    /// Outside VAT.
    pub D: Hundredths,
    /// The reduced rate.
    pub E: Hundredths,
}

impl Default for Rates {
    fn default() -> Rates {
        let zero = Hundredths::ZERO;
        Rates { A: zero, B: Hundredths::of(1600), C: zero, D: zero, E: Hundredths::of(800) }
    }
}

impl Rates {
    /// The rate of a letter; nothing for a letter there is not.
    pub(super) fn of(&self, letter: &str) -> Hundredths {
        match letter {
            "A" => self.A,
            "B" => self.B,
            "C" => self.C,
            "D" => self.D,
            "E" => self.E,
            _ => Hundredths::ZERO,
        }
    }
}

/// All classes as the code list call answers them.
pub(super) fn classes(rates: &Rates) -> Vec<Tree> {
    let named = |codes: &[(&str, &str)]| codes.iter().map(|(code, name)| detail(code, name)).collect();
    let bare = |codes: &[&str]| codes.iter().map(|code| detail(code, code)).collect();
    vec![
        class("04", "Tax type", taxes(rates)),
        class("05", "Country", bare(COUNTRIES)),
        class("07", "Payment type", named(PAYMENTS)),
        class("10", "Quantity unit", bare(QUANTITY_UNITS)),
        class("11", "Sales status", named(&[("01", "Waiting"), ("02", "Approved"), ("04", "Cancelled")])),
        class(
            "14",
            "Transaction type",
            named(&[("C", "Copy"), ("N", "Normal"), ("P", "Proforma"), ("T", "Training")]),
        ),
        class("17", "Packaging unit", bare(PACKAGING)),
        class(
            "24",
            "Product type",
            named(&[("1", "Raw material"), ("2", "Finished product"), ("3", "Service")]),
        ),
        class("32", "Credit note reason", named(CREDIT_REASONS)),
        class("37", "Sales receipt type", named(&[("S", "Sale"), ("R", "Credit note after sale")])),
    ]
}

fn taxes(rates: &Rates) -> Vec<Tree> {
    LETTERS
        .iter()
        .map(|letter| {
            let rate = rates.of(letter);
            let label = if *letter == "A" { "A-EX".to_owned() } else { format!("{letter}-{}%", short(rate)) };
            detail(letter, &label)
                .with("userDfnCd1", Tree::text(short(rate)))
                .with("userDfnCd2", Tree::text(label))
        })
        .collect()
}

/// A rate without decimals that say nothing: 16, 12.5.
pub(super) fn short(rate: Hundredths) -> String {
    rate.to_string().trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn class(code: &str, name: &str, details: Vec<Tree>) -> Tree {
    let ordered = details
        .into_iter()
        .zip(1..)
        .map(|(detail, place): (Tree, u32)| detail.with("srtOrd", Tree::number(place)))
        .collect();
    Tree::object([
        ("cdCls", Tree::text(code)),
        ("cdClsNm", Tree::text(name)),
        ("cdClsDesc", Tree::Null),
        ("useYn", Tree::text("Y")),
        ("userDfnNm1", if code == "04" { Tree::text("Rate") } else { Tree::Null }),
        ("userDfnNm2", Tree::Null),
        ("userDfnNm3", Tree::Null),
        ("dtlList", Tree::List(ordered)),
    ])
}

fn detail(code: &str, name: &str) -> Tree {
    Tree::object([
        ("cd", Tree::text(code)),
        ("cdNm", Tree::text(name)),
        ("cdDesc", Tree::text(name)),
        ("useYn", Tree::text("Y")),
        ("srtOrd", Tree::Null),
        ("userDfnCd1", Tree::Null),
        ("userDfnCd2", Tree::Null),
        ("userDfnCd3", Tree::Null),
    ])
}

/// Item classes as their call answers them: a few of every level, enough for a shop.
pub(super) fn item_classes() -> Vec<Tree> {
    const CLASSES: &[(&str, &str, u8, &str)] = &[
        ("10101500", "Livestock", 3, ""),
        ("14111500", "Printing and writing paper", 3, "B"),
        ("15101500", "Petroleum and distillates", 3, "E"),
        ("43211500", "Computers", 3, "B"),
        ("47131800", "Cleaning and disinfecting solutions", 3, "B"),
        ("5020230100", "Bottled water", 5, "B"),
        ("5022110100", "Cereals", 5, "C"),
        ("5059690800", "General groceries", 5, "B"),
        ("51101500", "Antibiotics", 3, "A"),
        ("53101500", "Trousers and shorts", 3, "B"),
        ("53131600", "Bath and body", 3, "B"),
        ("72101500", "Building support services", 3, "B"),
        ("90101500", "Eating and drinking establishments", 3, "B"),
        ("99010000", "Goods without a class", 2, ""),
    ];
    CLASSES.iter().map(|(code, name, level, tax)| item_class(code, name, *level, tax)).collect()
}

/// The nth of many classes that there are not, as long and as many-worded as the real ones.
pub(super) fn synthetic_class(n: u32) -> Tree {
    const THINGS: [&str; 8] =
        ["Valves", "Gaskets", "Reagents", "Fabrics", "Compounds", "Fasteners", "Instruments", "Preparations"];
    const KINDS: [&str; 8] = [
        "Industrial",
        "Laboratory",
        "Agricultural",
        "Household",
        "Surgical",
        "Electrical",
        "Textile",
        "Marine",
    ];
    let (thing, kind) = (THINGS[n as usize % 8], KINDS[n as usize / 8 % 8]);
    let code = 6_000_000_000_u64 + u64::from(n) * 100;
    item_class(&code.to_string(), &format!("{kind} {thing} and accessories, variety {n}"), 5, "B")
}

fn item_class(code: &str, name: &str, level: u8, tax: &str) -> Tree {
    Tree::object([
        ("itemClsCd", Tree::text(code)),
        ("itemClsNm", Tree::text(name)),
        ("itemClsLvl", Tree::number(level)),
        ("taxTyCd", if tax.is_empty() { Tree::Null } else { Tree::text(tax) }),
        ("mjrTgYn", Tree::Null),
        ("useYn", Tree::text("Y")),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_whole() {
        assert_eq!(PACKAGING.len(), 52);
        assert_eq!(QUANTITY_UNITS.len(), 43);
        assert!(Codes::QuantityUnit.has("U") && !Codes::Packaging.has("U") && !Codes::Packaging.has("BX"));
        let classes = classes(&Rates::default());
        assert_eq!(classes[0].list_at("dtlList")[1].text_at("userDfnCd1"), "16");
        let items = item_classes().into_iter().chain((0..1000).map(synthetic_class));
        let items: Vec<Tree> = items.collect();
        assert!(items.iter().all(|class| Codes::ItemClass.has(class.text_at("itemClsCd"))));
    }

    #[test]
    fn rates_are_short() {
        for (rate, written) in [(0, "0"), (1600, "16"), (1250, "12.5"), (1000, "10")] {
            assert_eq!(short(Hundredths::of(rate)), written);
        }
    }
}
