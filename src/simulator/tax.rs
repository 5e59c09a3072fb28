//! What a sale's figures must be: line by line in the convention set, then the sums.

use super::code_lists::{LETTERS, Rates};
use super::form::Refusal;
use super::hundredths::Hundredths;
use super::settings::Convention;
use super::tree::Tree;

/// Checks every figure of a sale that is right in form.
pub(super) fn check(sale: &Tree, convention: Convention, rates: &Rates) -> Result<(), Refusal> {
    for letter in LETTERS {
        let (expected, found) = (rates.of(letter), amount(sale, &format!("taxRt{letter}")));
        if expected != found {
            return Err(Refusal::parameter(format!(
                "Rule taxRt{letter} failed. Expected: {expected}, But Found: {found}"
            )));
        }
    }
    let lines = sale.list_at("itemList");
    for line in lines {
        check_line(line, convention, rates)?;
    }
    check_sums(sale, lines)
}

/// The number under `name`; nothing if it is left out.
pub(super) fn amount(tree: &Tree, name: &str) -> Hundredths {
    Hundredths::parse(tree.text_at(name)).unwrap_or_default()
}

fn check_line(line: &Tree, convention: Convention, rates: &Rates) -> Result<(), Refusal> {
    let seq = line.text_at("itemSeq");
    let supply = amount(line, "qty").times(amount(line, "prc"));
    let place = format!(" for itemSeq {seq}");
    same(line, "splyAmt", supply, &place)?;
    check_discount(line, supply, seq)?;
    let rate = rates.of(line.text_at("taxTyCd"));
    let (taxable, tax, total) = worked_out(convention, supply - amount(line, "dcAmt"), rate);
    same(line, "taxblAmt", taxable, &place)?;
    same(line, "taxAmt", tax, &place)?;
    same(line, "totAmt", total, &place)
}

/// Taxable amount, tax and total of what is left of a line's price after the discount.
fn worked_out(
    convention: Convention,
    price: Hundredths,
    rate: Hundredths,
) -> (Hundredths, Hundredths, Hundredths) {
    match convention {
        Convention::GrossPriceNetTaxable => {
            let taxable = price.without(rate);
            (taxable, price - taxable, price)
        }
        Convention::GrossTaxable => (price, price.contained(rate), price),
        Convention::NetPrice => {
            let tax = price.percent(rate);
            (price, tax, price + tax)
        }
    }
}

/// The discount is no more than the price, and its percent says the same as its amount, rounded either way.
fn check_discount(line: &Tree, supply: Hundredths, seq: &str) -> Result<(), Refusal> {
    let (percent, discount) = (amount(line, "dcRt"), amount(line, "dcAmt"));
    let agree = discount.about(supply.percent(percent)) || percent.about(discount.percent_of(supply));
    if discount > supply || !agree {
        return Err(Refusal::parameter(format!(
            "Invalid dcAmt for itemSeq {seq}. Expected: {}, But Found: {discount}",
            supply.percent(percent)
        )));
    }
    Ok(())
}

fn check_sums(sale: &Tree, lines: &[Tree]) -> Result<(), Refusal> {
    let sum = |name: &str, letter: Option<&str>| -> Hundredths {
        let counts = |line: &&Tree| letter.is_none_or(|letter| line.text_at("taxTyCd") == letter);
        lines.iter().filter(counts).map(|line| amount(line, name)).sum()
    };
    for letter in LETTERS {
        same(sale, &format!("taxblAmt{letter}"), sum("taxblAmt", Some(letter)), "")?;
        same(sale, &format!("taxAmt{letter}"), sum("taxAmt", Some(letter)), "")?;
    }
    same(sale, "totTaxblAmt", sum("taxblAmt", None), "")?;
    same(sale, "totTaxAmt", sum("taxAmt", None), "")?;
    same(sale, "totAmt", sum("totAmt", None), "")
}

fn same(tree: &Tree, name: &str, expected: Hundredths, place: &str) -> Result<(), Refusal> {
    let found = amount(tree, name);
    if expected == found {
        return Ok(());
    }
    Err(Refusal::parameter(format!("Invalid {name}{place}. Expected: {expected}, But Found: {found}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Hundredths {
        Hundredths::parse(text).unwrap()
    }

    /// The figures on record, in the convention they were seen in.
    #[test]
    fn worked_figures() {
        use Convention::{GrossPriceNetTaxable as I2, GrossTaxable as I1, NetPrice as X};
        for (convention, rate, price, taxable, tax, total) in [
            (I2, "16", "100", "86.21", "13.79", "100"),
            (I2, "16", "10000", "8620.69", "1379.31", "10000"),
            (I2, "16", "1302.07", "1122.47", "179.60", "1302.07"),
            (I2, "16", "12528", "10800", "1728", "12528"),
            (I2, "16", "5220", "4500", "720", "5220"),
            (I2, "8", "216", "200", "16", "216"),
            (I2, "8", "1080", "1000", "80", "1080"),
            (I1, "16", "6000", "6000", "827.59", "6000"),
            (I1, "16", "4500", "4500", "620.69", "4500"),
            (I1, "18", "7000", "7000", "1067.80", "7000"),
            (I1, "18", "35000", "35000", "5338.98", "35000"),
            (X, "16", "0.90", "0.90", "0.14", "1.04"),
            (X, "16", "900", "900", "144", "1044"),
            (X, "8", "200", "200", "16", "216"),
            (X, "16", "1800", "1800", "288", "2088"),
            (X, "8", "360", "360", "28.80", "388.80"),
            (X, "16", "0.50", "0.50", "0.08", "0.58"),
            (X, "16", "14700", "14700", "2352", "17052"),
            (I2, "0", "6000", "6000", "0", "6000"),
            (I1, "0", "6000", "6000", "0", "6000"),
            (X, "0", "2500", "2500", "0", "2500"),
        ] {
            assert_eq!(
                worked_out(convention, of(price), of(rate)),
                (of(taxable), of(tax), of(total)),
                "{convention:?} {rate} {price}"
            );
        }
    }
}
