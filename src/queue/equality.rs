//! Is the invoice that KRA shows under our number the one that we sent?

use super::{FoundInvoice, FoundLine};
use crate::fiscal::{Invoice, InvoiceLine, KraDateTime, Proof, ReceiptType};

/// What the comparison found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Equality {
    /// It is another invoice; the named field differs.
    Different(&'static str),
    /// It is ours, with the proof where KRA's answer holds all of it.
    Equal(Option<Proof>),
    /// KRA's answer does not hold the named field, or not readably, so nobody can say.
    Unprovable(&'static str),
}

impl Equality {
    /// KRA gives each signature once: one that our books have under another number proves nothing.
    #[must_use]
    pub fn unless_seen(self, before: bool) -> Self {
        match self {
            Self::Equal(Some(_)) if before => Self::Unprovable("rcptSign"),
            equality => equality,
        }
    }
}

/// What was sent under the number, beside the invoice itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentAs {
    /// `invcNo`.
    pub invoice_no: u64,
    /// `orgInvcNo`; 0 on a sale.
    pub original_invoice_no: u64,
    /// `cfmDt` as it was sent.
    pub confirmed_at: KraDateTime,
}

/// Compares KRA's invoice with ours. All that identifies a sale must agree; the order of lines is nobody's promise. A
/// field that KRA left out leaves equality unprovable, and so does any difference under our own `trdInvcNo`, and a
/// `trdInvcNo` or a time that alone is not as we sent it, where KRA may have changed it: only a person may then say that
/// the sale is not in.
pub fn compare(ours: &Invoice, sent: &SentAs, found: &FoundInvoice) -> Equality {
    let mut unknown = None;
    let mut different = None;
    let mut check = |field: &'static str, equal: Option<bool>| match equal {
        Some(true) => {}
        Some(false) => different = different.or(Some(field)),
        None => unknown = unknown.or(Some(field)),
    };
    let ours_by_name = ours.trader_ref.as_str();
    let theirs_by_name = found.trader_ref.as_deref().filter(|theirs| !theirs.trim().is_empty());
    match theirs_by_name {
        Some(theirs) if theirs == ours_by_name => {}
        Some(theirs) => check("trdInvcNo", (!may_be_ours(theirs, ours_by_name)).then_some(false)),
        // Another time alone makes it nobody else's: KRA may keep its own in the field.
        None => check("cfmDt", (found.confirmed_at == Some(sent.confirmed_at)).then_some(true)),
    }
    // A server that leaves the number out answered the question it was asked.
    check("invcNo", Some(found.invoice_no.is_none_or(|theirs| theirs == sent.invoice_no)));
    let letter = match ours.receipt_type {
        ReceiptType::CreditNote => "R",
        ReceiptType::Sale => "S",
    };
    check("rcptTyCd", found.receipt_type.as_deref().map(|theirs| theirs == letter));
    // On a sale the field says "none": left out, null and 0 are the same.
    let original = found.original_invoice_no.or((sent.original_invoice_no == 0).then_some(0));
    check("orgInvcNo", original.map(|theirs| theirs == sent.original_invoice_no));
    check("totTaxblAmt", found.total_taxable.map(|theirs| theirs == ours.total_taxable));
    check("totTaxAmt", found.total_tax.map(|theirs| theirs == ours.total_tax));
    check("totAmt", found.total.map(|theirs| theirs == ours.total));
    check("itemList", found.lines.as_deref().and_then(|lines| same_lines(ours, lines)));
    match (different, unknown) {
        (Some(field), _) if theirs_by_name == Some(ours_by_name) => Equality::Unprovable(field),
        (Some(field), _) => Equality::Different(field),
        (None, Some(field)) => Equality::Unprovable(field),
        (None, None) => Equality::Equal(found.proof.clone()),
    }
}

/// Whether what KRA shows may be what became of our `trdInvcNo`: in other letters, without its zeros in front as a number
/// has none, without outer spaces, or cut short.
fn may_be_ours(theirs: &str, ours: &str) -> bool {
    let folded = |text: &str| text.trim().to_lowercase();
    let (theirs, ours) = (folded(theirs), folded(ours));
    let as_number = theirs.trim_start_matches('0');
    ours.starts_with(&theirs)
        || (!as_number.is_empty() && ours.trim_start_matches('0').starts_with(as_number))
}

/// Whether both have the same lines, in whatever order; `None` where a line of KRA's cannot be read whole.
fn same_lines(ours: &Invoice, theirs: &[FoundLine]) -> Option<bool> {
    let mut open: Vec<_> = ours.lines.iter().collect();
    for found in theirs {
        let item_code = found.item_code.as_deref()?;
        let (quantity, price, total) = (found.quantity?, found.price?, found.total?);
        let tax_type = found.tax_type.as_deref()?;
        let same = |line: &&InvoiceLine| {
            line.item_code == item_code
                && line.quantity == quantity
                && line.price == price
                && line.tax_type.letter() == tax_type
                && line.total == total
        };
        match open.iter().position(same) {
            Some(at) => {
                open.swap_remove(at);
            }
            None => return Some(false),
        }
    }
    Some(open.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fiscal::{
        Amount, BhfId, Codes, DeviceIdentity, DeviceSerial, Draft, DraftLine, Quantity, Rates, Rules,
        TaxConvention, Tin, TraderRef,
    };

    fn ours() -> Invoice {
        let device = DeviceIdentity {
            tin: Tin::new("P000000000A").unwrap(),
            bhf_id: BhfId::new("00").unwrap(),
            serial: DeviceSerial::new("GW/1").unwrap(),
        };
        let rules = Rules {
            device: &device,
            convention: TaxConvention::GrossPriceNetTaxable,
            rates: Rates::default(),
            codes: &Codes::built_in(),
            now: KraDateTime::parse("20250115101530").unwrap(),
            clock_synchronised: true,
        };
        let line = |code: &str, price: &str, tax_type: &str| DraftLine {
            item_code: Some(code.to_owned()),
            name: Some(code.to_owned()),
            package_unit: Some("NT".to_owned()),
            quantity_unit: Some("NO".to_owned()),
            quantity: Quantity::parse("2").ok(),
            price: Amount::parse(price).ok(),
            tax_type: Some(tax_type.to_owned()),
            ..DraftLine::default()
        };
        let draft = Draft {
            trader_ref: Some("T-1".to_owned()),
            lines: vec![line("A1", "58", "B"), line("A2", "10", "C"), line("A1", "58", "B")],
            ..Draft::default()
        };
        Invoice::new(draft, &rules).unwrap()
    }

    fn sent() -> SentAs {
        SentAs {
            invoice_no: 7,
            original_invoice_no: 0,
            confirmed_at: KraDateTime::parse("20250115101530").unwrap(),
        }
    }

    fn shown() -> FoundInvoice {
        let ours = ours();
        let lines = ours.lines.iter().map(|line| FoundLine {
            item_code: Some(line.item_code.clone()),
            quantity: Some(line.quantity),
            price: Some(line.price),
            tax_type: Some(line.tax_type.letter().to_owned()),
            total: Some(line.total),
        });
        FoundInvoice {
            invoice_no: Some(7),
            trader_ref: Some("T-1".to_owned()),
            receipt_type: Some("S".to_owned()),
            original_invoice_no: None,
            confirmed_at: Some(sent().confirmed_at),
            total_taxable: Some(ours.total_taxable),
            total_tax: Some(ours.total_tax),
            total: Some(ours.total),
            lines: Some(lines.collect()),
            signature: None,
            proof: None,
        }
    }

    #[test]
    fn a_signature_that_was_seen_before_proves_nothing() {
        let proof = || Proof {
            receipt_no: 1,
            total_receipt_no: 1,
            internal_data: "I".repeat(26),
            signature: "S".to_owned(),
            issued_at: KraDateTime::from_unix(1_700_000_000).unwrap(),
        };
        for (equality, seen, expected) in [
            (Equality::Equal(Some(proof())), false, Equality::Equal(Some(proof()))),
            (Equality::Equal(Some(proof())), true, Equality::Unprovable("rcptSign")),
            (Equality::Equal(None), true, Equality::Equal(None)),
            (Equality::Different("totAmt"), true, Equality::Different("totAmt")),
        ] {
            assert_eq!(equality.unless_seen(seen), expected);
        }
    }

    #[test]
    fn what_counts_as_the_same_sale() {
        type Change = fn(&mut FoundInvoice);
        let equal = Equality::Equal(None);
        let rows: [(&str, Change, Equality); 18] = [
            ("as sent", |_| {}, equal.clone()),
            ("lines in another order", |it| it.lines.as_mut().unwrap().rotate_left(1), equal.clone()),
            ("no number", |it| it.invoice_no = None, equal.clone()),
            ("original 0", |it| it.original_invoice_no = Some(0), equal.clone()),
            ("no trdInvcNo, our cfmDt", |it| it.trader_ref = None, equal),
            (
                "another trdInvcNo",
                |it| it.trader_ref = Some("X".to_owned()),
                Equality::Different("trdInvcNo"),
            ),
            (
                "no trdInvcNo, another cfmDt",
                |it| (it.trader_ref, it.confirmed_at) = (None, KraDateTime::from_unix(0)),
                Equality::Unprovable("cfmDt"),
            ),
            (
                "no trdInvcNo, another cfmDt and another total",
                |it| {
                    (it.trader_ref, it.confirmed_at, it.total) =
                        (None, KraDateTime::from_unix(0), Some(Amount::ZERO));
                },
                Equality::Different("totAmt"),
            ),
            (
                "a blank trdInvcNo, another cfmDt",
                |it| (it.trader_ref, it.confirmed_at) = (Some(" ".to_owned()), KraDateTime::from_unix(0)),
                Equality::Unprovable("cfmDt"),
            ),
            (
                "trdInvcNo in other letters",
                |it| it.trader_ref = Some("t-1".to_owned()),
                Equality::Unprovable("trdInvcNo"),
            ),
            (
                "trdInvcNo in other letters, another total",
                |it| (it.trader_ref, it.total) = (Some("t-1".to_owned()), Some(Amount::ZERO)),
                Equality::Different("totAmt"),
            ),
            (
                "no trdInvcNo, another total",
                |it| (it.trader_ref, it.total) = (None, Some(Amount::ZERO)),
                Equality::Different("totAmt"),
            ),
            (
                "no trdInvcNo, no cfmDt",
                |it| (it.trader_ref, it.confirmed_at) = (None, None),
                Equality::Unprovable("cfmDt"),
            ),
            // Under our own trdInvcNo nothing proves that it is somebody else's.
            ("another total", |it| it.total = Some(Amount::ZERO), Equality::Unprovable("totAmt")),
            ("no total", |it| it.total = None, Equality::Unprovable("totAmt")),
            ("a line less", |it| drop(it.lines.as_mut().unwrap().pop()), Equality::Unprovable("itemList")),
            (
                "another quantity",
                |it| it.lines.as_mut().unwrap()[1].quantity = Some(Quantity::ZERO),
                Equality::Unprovable("itemList"),
            ),
            ("no lines", |it| it.lines = None, Equality::Unprovable("itemList")),
        ];
        for (what, change, expected) in rows {
            let mut found = shown();
            change(&mut found);
            assert_eq!(compare(&ours(), &sent(), &found), expected, "{what}");
        }
    }

    /// Found by a reader: KRA showed `trdInvcNo` as a number, and the sale that it had was sent again under another.
    #[test]
    fn a_trader_reference_that_kra_may_have_changed_proves_nothing() {
        for (ours_by_name, theirs, expected) in [
            ("000123", "000123", Equality::Equal(None)),
            ("000123", "123", Equality::Unprovable("trdInvcNo")),
            ("000123", " 000123 ", Equality::Unprovable("trdInvcNo")),
            ("000123", "0001", Equality::Unprovable("trdInvcNo")),
            ("000123", "000", Equality::Unprovable("trdInvcNo")),
            ("000123", "12", Equality::Unprovable("trdInvcNo")),
            ("Inv-7/A", "INV-7/a", Equality::Unprovable("trdInvcNo")),
            ("Inv-7/A", "inv-7", Equality::Unprovable("trdInvcNo")),
            ("000123", "124", Equality::Different("trdInvcNo")),
            ("000123", "1234", Equality::Different("trdInvcNo")),
            ("000123", "0123x", Equality::Different("trdInvcNo")),
            ("000123", "23", Equality::Different("trdInvcNo")),
            ("Inv-7/A", "Inv-7/B", Equality::Different("trdInvcNo")),
            ("Inv-7/A", "0", Equality::Different("trdInvcNo")),
        ] {
            let ours = Invoice { trader_ref: TraderRef::new(ours_by_name).unwrap(), ..ours() };
            let found = FoundInvoice { trader_ref: Some(theirs.to_owned()), ..shown() };
            assert_eq!(compare(&ours, &sent(), &found), expected, "{ours_by_name} shown as {theirs}");
        }
    }
}
