//! A credit note against the sale that it undoes: what must be the same, and how much of it is left.
//!
//! Lines are matched by item, tax type and price, which is all that KRA goes by; a sale that says the same goods on two lines
//! has them once. Neither more pieces come back than were sold, nor more money than was paid.

use std::collections::BTreeMap;

use super::{
    Amount, Fault, FaultCode, Invoice, InvoiceLine, Quantity, ReceiptType, SalesType, TaxType, TimeSource,
};

/// What credit notes have taken of one kind of line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// How much of the item.
    pub quantity: Quantity,
    /// How much money.
    pub amount: Amount,
}

impl Taken {
    const NOTHING: Self = Self { quantity: Quantity::ZERO, amount: Amount::ZERO };

    fn and(self, other: Self) -> Option<Self> {
        Some(Self {
            quantity: self.quantity.checked_add(other.quantity)?,
            amount: self.amount.checked_add(other.amount)?,
        })
    }

    /// Never below nothing.
    fn without(self, other: Self) -> Self {
        let quantity = self.quantity.checked_sub(other.quantity).unwrap_or_default();
        let amount = self.amount.checked_sub(other.amount).unwrap_or_default();
        Self { quantity: quantity.max(Quantity::ZERO), amount: amount.max(Amount::ZERO) }
    }
}

/// What all credit notes of a sale have taken by now: by the place of the first line of each kind on the sale, from 0. Of kinds
/// that are not here, nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credited(pub BTreeMap<usize, Taken>);

impl Credited {
    /// With what `note` takes of `original`, where that much is left.
    ///
    /// # Errors
    /// Every line of the note that is not on the sale, or of which less is left.
    pub fn and(&self, original: &Invoice, note: &Invoice) -> Result<Self, Vec<Fault>> {
        let mut credited = self.clone();
        let mut faults = Vec::new();
        for (index, line) in note.lines.iter().enumerate() {
            let Some(kind) = kind_of(original, line) else {
                faults.push(not_sold(original, index, line));
                continue;
            };
            let sold = sold(original, line);
            let before = credited.of(kind);
            let asked = Taken { quantity: line.quantity, amount: line.total };
            let after = before.and(asked);
            let left = sold.without(before);
            if after.is_none_or(|after| after.quantity > sold.quantity) {
                let words = format!(
                    "is more than is left to be credited: {} sold, {} left",
                    sold.quantity, left.quantity
                );
                faults.push(line_fault(index, "qty", FaultCode::ExceedsOriginal, &words));
            } else if after.is_none_or(|after| after.amount > sold.amount) {
                let words = format!(
                    "would be {} and is more than is left to be credited: {} paid, {} left; where the sale \
                     had a discount, the credit note has its part of it",
                    line.total, sold.amount, left.amount
                );
                faults.push(line_fault(index, "totAmt", FaultCode::ExceedsOriginal, &words));
            } else if let Some(after) = after {
                credited.0.insert(kind, after);
            }
        }
        if faults.is_empty() { Ok(credited) } else { Err(faults) }
    }

    /// Without what `note` took of `original`: it is given back.
    #[must_use]
    pub fn without(&self, original: &Invoice, note: &Invoice) -> Self {
        let mut credited = self.clone();
        for line in &note.lines {
            let Some(kind) = kind_of(original, line) else { continue };
            let given_back = Taken { quantity: line.quantity, amount: line.total };
            let left = credited.of(kind).without(given_back);
            if left == Taken::NOTHING {
                credited.0.remove(&kind);
            } else {
                credited.0.insert(kind, left);
            }
        }
        credited
    }

    fn of(&self, kind: usize) -> Taken {
        self.0.get(&kind).copied().unwrap_or(Taken::NOTHING)
    }
}

/// Makes a credit note one on this sale: what it leaves out of the buyer is the sale's.
///
/// # Errors
/// The sale cannot be credited, or the note says something else than the sale.
pub fn credit(original: &Invoice, named: &str, note: &mut Invoice) -> Result<(), Vec<Fault>> {
    let mut faults = Vec::new();
    let mut fault = |field: &str, code: FaultCode, words: &str| faults.push(Fault::new(field, code, words));
    match (original.receipt_type, original.sales_type) {
        (ReceiptType::CreditNote, _) => {
            fault(named, FaultCode::NotAllowed, "names a credit note: only a sale can be credited");
        }
        (ReceiptType::Sale, SalesType::Proforma | SalesType::Training) => {
            fault(named, FaultCode::NotAllowed, "names a training sale or quotation, which KRA never gets");
        }
        (ReceiptType::Sale, SalesType::Normal) => {}
    }
    // A time that we filled in says nothing against the register's.
    if note.confirmed_by == TimeSource::Register && note.confirmed_at.date() < original.confirmed_at.date() {
        let words = format!("must not be before the day of the sale, {}", original.confirmed_at.rfc3339());
        fault("cfmDt", FaultCode::BeforeOriginal, &words);
    }
    let buyer = &original.customer;
    let differs = "must be that of the sale, or be left out";
    if note.customer.tin.is_some() && note.customer.tin != buyer.tin {
        fault("custTin", FaultCode::Mismatch, differs);
    }
    if note.customer.name.is_some() && note.customer.name != buyer.name {
        fault("custNm", FaultCode::Mismatch, differs);
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    note.customer.tin.clone_from(&buyer.tin);
    note.customer.name.clone_from(&buyer.name);
    Ok(())
}

fn is_alike(one: &InvoiceLine, other: &InvoiceLine) -> bool {
    one.item_code == other.item_code && one.tax_type == other.tax_type && one.price == other.price
}

/// The place of the first line of this kind on the sale.
fn kind_of(original: &Invoice, line: &InvoiceLine) -> Option<usize> {
    original.lines.iter().position(|sold| is_alike(sold, line))
}

fn sold(original: &Invoice, line: &InvoiceLine) -> Taken {
    let alike = original.lines.iter().filter(|sold| is_alike(sold, line));
    alike.fold(Taken::NOTHING, |sum, sold| {
        // What the whole sale could hold, a part of it can.
        sum.and(Taken { quantity: sold.quantity, amount: sold.total }).unwrap_or(sum)
    })
}

/// Which of the three is not as on the sale.
fn not_sold(original: &Invoice, index: usize, line: &InvoiceLine) -> Fault {
    let same_item: Vec<&InvoiceLine> =
        original.lines.iter().filter(|sold| sold.item_code == line.item_code).collect();
    if same_item.is_empty() {
        return line_fault(index, "itemCd", FaultCode::NotFound, "is not on the sale that is credited");
    }
    let same_tax = |sold: &&&InvoiceLine| sold.tax_type == line.tax_type;
    match same_item.iter().find(same_tax) {
        Some(sold) => {
            let words = format!("must be as on the sale: {}", sold.price);
            line_fault(index, "prc", FaultCode::Mismatch, &words)
        }
        None => {
            let letter = same_item.first().map_or("", |sold| TaxType::letter(sold.tax_type));
            let words = format!("must be as on the sale: {letter}");
            line_fault(index, "taxTyCd", FaultCode::Mismatch, &words)
        }
    }
}

fn line_fault(index: usize, name: &str, code: FaultCode, words: &str) -> Fault {
    Fault::new(format!("itemList[{index}].{name}"), code, words)
}

#[cfg(test)]
#[path = "credited_tests.rs"]
mod tests;
