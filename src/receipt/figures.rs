//! Figures, dates and codes as they stand on paper.

use crate::fiscal::{Amount, KraDateTime, Quantity, Rate, TaxType};

/// With its thousands apart: `2,193.20`.
pub(super) fn money(amount: Amount) -> String {
    let plain = amount.to_string();
    let (sign, digits) = plain.strip_prefix('-').map_or(("", plain.as_str()), |digits| ("-", digits));
    let (whole, cents) = digits.split_once('.').unwrap_or((digits, "00"));
    let mut grouped = String::from(sign);
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{grouped}.{cents}")
}

/// Without needless zeros: `2.5`, `3`.
pub(super) fn quantity(quantity: Quantity) -> String {
    bare(&quantity.to_string())
}

/// Per cent, without needless zeros: `16%`, `7.5%`.
pub(super) fn per_cent(rate: Rate) -> String {
    format!("{}%", bare(&rate.to_string()))
}

fn bare(decimal: &str) -> String {
    if decimal.contains('.') {
        decimal.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        decimal.to_owned()
    }
}

/// What is stuck to an amount: its tax letter, and `EX` for exempt.
pub(super) const fn mark(tax_type: TaxType) -> &'static str {
    match tax_type {
        TaxType::A => "A-EX",
        TaxType::B => "B",
        TaxType::C => "C",
        TaxType::D => "D",
        TaxType::E => "E",
    }
}

/// A tax type in the tax table: `A-EX`, `B-16%`, `C-0%`, `D-NON VAT`.
pub(super) fn tax_name(tax_type: TaxType, rate: Rate) -> String {
    match tax_type {
        TaxType::A => "A-EX".to_owned(),
        TaxType::D => "D-NON VAT".to_owned(),
        other => format!("{}-{}", other.letter(), per_cent(rate)),
    }
}

/// `dd/mm/yyyy` and `hh:mm:ss`, Nairobi time.
pub(super) fn date_and_time(moment: KraDateTime) -> (String, String) {
    let digits = moment.to_string();
    let part = |range: std::ops::Range<usize>| digits.get(range).unwrap_or_default().to_owned();
    (
        format!("{}/{}/{}", part(6..8), part(4..6), part(0..4)),
        format!("{}:{}:{}", part(8..10), part(10..12), part(12..14)),
    )
}

/// How it was paid, by class 07.
pub(super) fn payment(code: &str) -> &str {
    match code {
        "01" => "CASH",
        "02" => "CREDIT",
        "03" => "CASH/CREDIT",
        "04" => "BANK CHECK",
        "05" => "DEBIT/CREDIT CARD",
        "06" => "MOBILE MONEY",
        "07" => "OTHER",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_on_paper() {
        let money = |text| money(Amount::parse(text).unwrap());
        assert_eq!(
            ["65", "1475", "2193.2", "1234567.05", "-1000.5", "0", "-999.99"].map(money),
            ["65.00", "1,475.00", "2,193.20", "1,234,567.05", "-1,000.50", "0.00", "-999.99"]
        );
        assert_eq!(
            ["2.50", "10", "0.25", "100"].map(|text| quantity(Quantity::parse(text).unwrap())),
            ["2.5", "10", "0.25", "100"]
        );
        assert_eq!(tax_name(TaxType::B, Rate::parse("16").unwrap()), "B-16%");
        assert_eq!(tax_name(TaxType::E, Rate::parse("7.5").unwrap()), "E-7.5%");
        let moment = KraDateTime::parse_kra("20250115101533").unwrap();
        assert_eq!(date_and_time(moment), ("15/01/2025".to_owned(), "10:15:33".to_owned()));
    }
}
