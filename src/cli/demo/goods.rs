//! What is sold in the story: eight baskets with all five tax types.

use serde_json::{Value, json};

/// Something on the shelf.
#[derive(Debug)]
struct Article {
    code: &'static str,
    class: &'static str,
    name: &'static str,
    unit: &'static str,
    price: &'static str,
    tax_type: &'static str,
}

const fn article(
    code: &'static str,
    class: &'static str,
    name: &'static str,
    unit: &'static str,
    price: &'static str,
    tax_type: &'static str,
) -> Article {
    Article { code, class, name, unit, price, tax_type }
}

const BREAD: Article = article("KE2NTNO0000001", "5059690800", "Bread, white, 400 g", "NO", "65.00", "C");
const FLOUR: Article = article("KE2NTNO0000002", "5022110100", "Maize flour, 2 kg", "NO", "178.00", "C");
const OIL: Article = article("KE2NTNO0000003", "5059690800", "Cooking oil, 1 l", "NO", "349.00", "B");
const SUGAR: Article = article("KE2NTNO0000004", "5059690800", "Sugar, 2 kg", "NO", "325.00", "B");
const SOAP: Article = article("KE2NTNO0000005", "53131600", "Bar soap, 800 g", "NO", "189.50", "B");
const GAS: Article = article("KE2NTNO0000006", "15101500", "LPG refill, 6 kg", "NO", "1150.00", "E");
const TOMATOES: Article = article("KE2NTKG0000007", "5059690800", "Tomatoes", "KG", "120.00", "A");
const PARKING: Article = article("KE3NTNO0000008", "99010000", "County parking fee", "NO", "50.00", "D");

/// One line of a basket: what, how much, with what discount in per cent.
type Line = (&'static Article, &'static str, Option<&'static str>);

/// A sale that a register will post.
#[derive(Debug)]
pub(super) struct Basket {
    /// The register's own number for it.
    pub(super) trader_ref: &'static str,
    /// What the customer pays, worked out by hand.
    pub(super) total: &'static str,
    lines: &'static [Line],
}

/// Three while KRA answers, then five while it is away; in the order in which they are posted.
pub(super) const BASKETS: [Basket; 8] = [
    Basket {
        trader_ref: "TILL1-0001",
        total: "641.00",
        lines: &[(&BREAD, "2", None), (&OIL, "1", None), (&TOMATOES, "1.35", None)],
    },
    Basket { trader_ref: "TILL2-0001", total: "1475.00", lines: &[(&SUGAR, "1", None), (&GAS, "1", None)] },
    Basket {
        trader_ref: "TILL1-0002",
        total: "963.00",
        lines: &[(&FLOUR, "3", None), (&SOAP, "2", None), (&PARKING, "1", None)],
    },
    Basket {
        trader_ref: "TILL1-0003",
        total: "2193.20",
        lines: &[
            (&TOMATOES, "2.5", None),
            (&OIL, "2", Some("10")),
            (&BREAD, "1", None),
            (&PARKING, "1", None),
            (&GAS, "1", None),
        ],
    },
    Basket { trader_ref: "TILL2-0002", total: "390.00", lines: &[(&BREAD, "1", None), (&SUGAR, "1", None)] },
    Basket { trader_ref: "TILL1-0004", total: "545.50", lines: &[(&FLOUR, "2", None), (&SOAP, "1", None)] },
    Basket { trader_ref: "TILL2-0003", total: "2300.00", lines: &[(&GAS, "2", None)] },
    Basket {
        trader_ref: "TILL2-0004",
        total: "445.00",
        lines: &[(&OIL, "1", None), (&TOMATOES, "0.8", None)],
    },
];

/// What comes back of the one that is printed.
pub(super) const RETURNED: Basket =
    Basket { trader_ref: "TILL1-0005", total: "65.00", lines: &[(&BREAD, "1", None)] };

/// The request for a credit note on this sale.
pub(super) fn note_on(returned: &Basket, sale: &Basket) -> Value {
    let mut note = returned.request();
    for (name, value) in [("rcptTyCd", "R"), ("orgTrdInvcNo", sale.trader_ref), ("rfdRsnCd", "06")] {
        note[name] = json!(value);
    }
    note
}

/// How many of them are posted while KRA answers.
pub(super) const POSTED_ONLINE: usize = 3;

/// The basket whose receipt is printed: posted while KRA was away, with every tax type and a discount.
pub(super) const PRINTED: usize = 3;

impl Basket {
    /// The request that a register posts.
    pub(super) fn request(&self) -> Value {
        let lines = self.lines.iter().map(|(article, quantity, discount)| {
            let mut line = json!({
                "itemCd": article.code,
                "itemClsCd": article.class,
                "itemNm": article.name,
                "pkgUnitCd": "NT",
                "qtyUnitCd": article.unit,
                "qty": quantity,
                "prc": article.price,
                "taxTyCd": article.tax_type,
            });
            if let Some(discount) = discount {
                line["dcRt"] = json!(discount);
            }
            line
        });
        json!({
            "trdInvcNo": self.trader_ref,
            "pmtTyCd": "01",
            "totAmt": self.total,
            "itemList": lines.collect::<Vec<_>>(),
        })
    }

    /// The tax types in it, as letters in order.
    pub(super) fn tax_types(&self) -> String {
        let mut letters: Vec<&str> = self.lines.iter().map(|(article, ..)| article.tax_type).collect();
        letters.sort_unstable();
        letters.dedup();
        letters.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fiscal::{Amount, Quantity, Rate};

    #[test]
    fn totals_are_the_sums_of_their_lines() {
        for basket in BASKETS.iter().chain([&RETURNED]) {
            let mut total = Amount::ZERO;
            for (article, quantity, discount) in basket.lines {
                let price = Amount::parse(article.price).unwrap();
                let supply = price.times(Quantity::parse(quantity).unwrap()).unwrap();
                let discount = Rate::parse(discount.unwrap_or("0")).unwrap();
                let discount = supply.percent(discount).unwrap();
                total = total.checked_add(supply.checked_sub(discount).unwrap()).unwrap();
            }
            assert_eq!(total, Amount::parse(basket.total).unwrap(), "{}", basket.trader_ref);
        }
    }

    #[test]
    fn the_printed_one_has_every_tax_type_and_is_posted_offline() {
        const { assert!(PRINTED >= POSTED_ONLINE) };
        assert_eq!(BASKETS[PRINTED].tax_types(), "A B C D E");
        let numbers: std::collections::BTreeSet<_> = BASKETS.iter().map(|basket| basket.trader_ref).collect();
        assert_eq!(numbers.len(), BASKETS.len());
    }
}
