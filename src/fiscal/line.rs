//! One line of a sale: its texts and codes, its discount, its tax.

use super::check::Place;
use super::item_code::check_fits;
use super::tax::{Split, split};
use super::{Amount, Codes, DraftLine, FaultCode, Insurance, InvoiceLine, Quantity, Rate, Rules, TaxType};

/// A hundred per cent, in hundredths.
const WHOLE: i64 = 10_000;

/// What nothing can be computed without.
const ARITHMETIC: [&str; 5] = ["qty", "prc", "dcRt", "dcAmt", "taxTyCd"];

/// Checks a line; `None` where anything is wrong with it.
pub(super) fn check_line(mut place: Place<'_>, line: DraftLine, rules: &Rules<'_>) -> Option<InvoiceLine> {
    let place = &mut place;
    let before = place.count();
    let item_code = item_code(place, line.item_code);
    let item_class = place.text("itemClsCd", line.item_class, 10);
    let name = place.needed_text("itemNm", line.name, 200);
    let barcode = place.text("bcd", line.barcode, 20);
    let package_unit = place.needed("pkgUnitCd", line.package_unit);
    let package_unit = place.code("pkgUnitCd", package_unit, Codes::PACKAGE_UNIT, rules.codes);
    let packages = positive(place, "pkg", line.packages);
    let quantity_unit = place.needed("qtyUnitCd", line.quantity_unit);
    let quantity_unit = place.code("qtyUnitCd", quantity_unit, Codes::QUANTITY_UNIT, rules.codes);
    let quantity = place.needed("qty", line.quantity);
    let quantity = positive(place, "qty", quantity);
    let price = place.needed("prc", line.price);
    let price = place.not_negative("prc", price, Amount::is_negative);
    let discount_rate = discount_rate(place, line.discount_rate);
    let discount = place.not_negative("dcAmt", line.discount, Amount::is_negative);
    let insurance = insurance(
        place,
        Insurance {
            code: line.insurer_code,
            name: line.insurer_name,
            rate: line.insurance_rate,
            amount: line.insured,
        },
    );
    let tax_type = tax_type(place, line.tax_type, rules);
    for (name, given) in
        [("splyAmt", line.supply), ("taxblAmt", line.taxable), ("taxAmt", line.tax), ("totAmt", line.total)]
    {
        place.not_negative(name, given, Amount::is_negative);
    }
    if place.is_any_unreadable(&ARITHMETIC) {
        return None;
    }
    // A faulty discount would only make every later figure look wrong as well.
    let discounts_hold = discount_rate.is_some() == line.discount_rate.is_some()
        && discount.is_some() == line.discount.is_some();
    let (quantity, price) = (quantity?, price?);
    let Some(supply) = price.times(quantity) else {
        place.fault("splyAmt", FaultCode::TooLarge, "(qty times prc) is larger than the field holds");
        return None;
    };
    place.agrees("splyAmt", line.supply.filter(|given| !given.is_negative()), supply, 1);
    let (discount_rate, discount) =
        if discounts_hold { settle_discount(place, supply, discount_rate, discount)? } else { return None };
    let tax_type = tax_type?;
    let Some(Split { taxable, tax, total }) =
        split(rules.convention, supply, discount, rules.rates.of(tax_type))
    else {
        place.fault("totAmt", FaultCode::TooLarge, "is larger than the field holds");
        return None;
    };
    for (name, given, ours) in
        [("taxblAmt", line.taxable, taxable), ("taxAmt", line.tax, tax), ("totAmt", line.total, total)]
    {
        place.agrees(name, given.filter(|given| !given.is_negative()), ours, 1);
    }
    if place.count() > before {
        return None;
    }
    Some(InvoiceLine {
        item_code: item_code?,
        item_class,
        name: name?,
        barcode,
        package_unit: package_unit?,
        packages: packages.unwrap_or_else(one_package),
        quantity_unit: quantity_unit?,
        quantity,
        price,
        supply,
        discount_rate,
        discount,
        insurance,
        tax_type,
        taxable,
        tax,
        total,
    })
}

fn one_package() -> Quantity {
    Quantity::from_hundredths(100).expect("one fits")
}

/// The item may have been registered elsewhere: its code need only fit the field, not follow a grammar.
fn item_code(place: &mut Place<'_>, given: Option<String>) -> Option<String> {
    let code = place.needed_text("itemCd", given, 20)?;
    if let Err(fault) = check_fits(&code) {
        place.fault("itemCd", FaultCode::BadFormat, &fault.to_string());
        return None;
    }
    Some(code)
}

fn positive(place: &mut Place<'_>, name: &str, given: Option<Quantity>) -> Option<Quantity> {
    let given = given?;
    if given > Quantity::ZERO {
        return Some(given);
    }
    let code = if given.is_negative() { FaultCode::Negative } else { FaultCode::NotPositive };
    place.fault(name, code, "must be more than 0");
    None
}

fn tax_type(place: &mut Place<'_>, given: Option<String>, rules: &Rules<'_>) -> Option<TaxType> {
    let letter = place.needed("taxTyCd", given)?;
    let listed = TaxType::from_letter(&letter).filter(|_| rules.codes.contains(Codes::TAX_TYPE, &letter));
    if listed.is_none() {
        place.fault("taxTyCd", FaultCode::NotInList, "must be one of A, B, C, D, E");
    }
    listed
}

fn discount_rate(place: &mut Place<'_>, given: Option<Rate>) -> Option<Rate> {
    let rate = place.not_negative("dcRt", given, Rate::is_negative)?;
    if rate.hundredths() > WHOLE {
        place.fault("dcRt", FaultCode::TooLarge, "must be at most 100");
        return None;
    }
    Some(rate)
}

/// Either alone gives the other. Both: the amount holds, and the rate must be the one it was worked out with, or the
/// one that it makes.
fn settle_discount(
    place: &mut Place<'_>,
    supply: Amount,
    rate: Option<Rate>,
    amount: Option<Amount>,
) -> Option<(Rate, Amount)> {
    let given = match (rate, amount) {
        (None, None) => return Some((Rate::ZERO, Amount::ZERO)),
        (Some(rate), None) => return Some((rate, supply.percent(rate)?)),
        (_, Some(amount)) => amount,
    };
    if given > supply {
        place.fault("dcAmt", FaultCode::TooLarge, "must not be more than splyAmt");
        return None;
    }
    let made = given.rate_of(supply).unwrap_or(Rate::ZERO);
    let Some(rate) = rate else { return Some((made, given)) };
    let by_rate = supply.percent(rate)?;
    if given.hundredths().abs_diff(by_rate.hundredths()) > 1 && rate != made {
        let words = format!("should be {by_rate} by dcRt but is {given}");
        place.fault("dcAmt", FaultCode::Mismatch, &words);
        return None;
    }
    Some((rate, given))
}

fn insurance(place: &mut Place<'_>, given: Insurance) -> Option<Insurance> {
    let rate = place.not_negative("isrcRt", given.rate, Rate::is_negative);
    if let Some(rate) = rate {
        if rate.hundredths() > WHOLE {
            place.fault("isrcRt", FaultCode::TooLarge, "must be at most 100");
        } else if rate.hundredths() % 100 != 0 {
            place.fault("isrcRt", FaultCode::TooPrecise, "must be a whole number of per cent");
        }
    }
    let checked = Insurance {
        code: place.text("isrccCd", given.code, 10),
        name: place.text("isrccNm", given.name, 100),
        rate,
        amount: place.not_negative("isrcAmt", given.amount, Amount::is_negative),
    };
    (checked != Insurance::default()).then_some(checked)
}
