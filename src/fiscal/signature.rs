//! What makes two requests the same sale: a draft's canonical bytes, which the caller hashes.

use super::{Draft, DraftLine};

/// Begins every encoding. The version changes when the encoding does: hashes of different versions are never equal
/// by accident.
const DOMAIN: &[u8] = b"etims-gateway/draft/1\0";

impl Draft {
    /// The draft as unambiguous bytes: equal for equal drafts, different for different ones. Every field is there in
    /// a fixed order, marked absent or present; texts carry their length, numbers their value.
    pub fn canonical_bytes(&self) -> Vec<u8> {
        // Everything by name: a field that is added and forgotten here does not compile.
        let Self {
            trader_ref,
            tin,
            bhf_id,
            receipt_type,
            sales_type,
            payment_type,
            confirmed_at,
            customer_tin,
            customer_name,
            customer_mobile,
            remark,
            original_trader_ref,
            original_invoice_no,
            refund_reason,
            replaces,
            total_tax,
            total,
            lines,
        } = self;
        let mut bytes = DOMAIN.to_vec();
        for text in [
            trader_ref,
            tin,
            bhf_id,
            receipt_type,
            sales_type,
            payment_type,
            confirmed_at,
            customer_tin,
            customer_name,
            customer_mobile,
            remark,
            original_trader_ref,
            refund_reason,
            replaces,
        ] {
            put_text(&mut bytes, text.as_deref());
        }
        put_number(&mut bytes, original_invoice_no.map(u64::to_be_bytes));
        for amount in [total_tax, total] {
            put_number(&mut bytes, amount.map(|amount| amount.hundredths().to_be_bytes()));
        }
        put_length(&mut bytes, lines.len());
        for line in lines {
            put_line(&mut bytes, line);
        }
        bytes
    }
}

fn put_line(bytes: &mut Vec<u8>, line: &DraftLine) {
    let DraftLine {
        item_code,
        item_class,
        name,
        barcode,
        package_unit,
        packages,
        quantity_unit,
        quantity,
        price,
        discount_rate,
        discount,
        insurer_code,
        insurer_name,
        insurance_rate,
        insured,
        tax_type,
        supply,
        taxable,
        tax,
        total,
    } = line;
    for text in [
        item_code,
        item_class,
        name,
        barcode,
        package_unit,
        quantity_unit,
        insurer_code,
        insurer_name,
        tax_type,
    ] {
        put_text(bytes, text.as_deref());
    }
    for quantity in [packages, quantity] {
        put_number(bytes, quantity.map(|quantity| quantity.hundredths().to_be_bytes()));
    }
    for rate in [discount_rate, insurance_rate] {
        put_number(bytes, rate.map(|rate| rate.hundredths().to_be_bytes()));
    }
    for amount in [price, discount, insured, supply, taxable, tax, total] {
        put_number(bytes, amount.map(|amount| amount.hundredths().to_be_bytes()));
    }
}

fn put_text(bytes: &mut Vec<u8>, text: Option<&str>) {
    match text {
        None => bytes.push(0),
        Some(text) => {
            bytes.push(1);
            put_length(bytes, text.len());
            bytes.extend_from_slice(text.as_bytes());
        }
    }
}

fn put_number(bytes: &mut Vec<u8>, number: Option<[u8; 8]>) {
    match number {
        None => bytes.push(0),
        Some(digits) => {
            bytes.push(1);
            bytes.extend_from_slice(&digits);
        }
    }
}

fn put_length(bytes: &mut Vec<u8>, length: usize) {
    let length = u64::try_from(length).expect("no length is beyond 64 bits");
    bytes.extend_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Amount, Quantity, Rate};
    use super::*;

    fn text() -> impl Strategy<Value = Option<String>> {
        prop::option::of("[ab\u{0}\u{1}]{0,3}")
    }

    fn amount() -> impl Strategy<Value = Option<Amount>> {
        prop::option::of((0_i64..3).prop_map(|hundredths| Amount::from_hundredths(hundredths).unwrap()))
    }

    prop_compose! {
        fn line()(texts in prop::array::uniform9(text()), amounts in prop::array::uniform7(amount()),
                  quantity in prop::option::of(0_i64..3), rate in prop::option::of(0_i64..3)) -> DraftLine {
            let [item_code, item_class, name, barcode, package_unit, quantity_unit, insurer_code, insurer_name,
                 tax_type] = texts;
            let [price, discount, insured, supply, taxable, tax, total] = amounts;
            DraftLine {
                item_code, item_class, name, barcode, package_unit, quantity_unit, insurer_code, insurer_name,
                tax_type, price, discount, insured, supply, taxable, tax, total,
                packages: None,
                quantity: quantity.and_then(Quantity::from_hundredths),
                discount_rate: rate.and_then(Rate::from_hundredths),
                insurance_rate: None,
            }
        }
    }

    prop_compose! {
        fn draft()(texts in prop::array::uniform14(text()), original_invoice_no in prop::option::of(0_u64..3),
                   total_tax in amount(), total in amount(), lines in prop::collection::vec(line(), 0..3)) -> Draft {
            let [trader_ref, tin, bhf_id, receipt_type, sales_type, payment_type, confirmed_at, customer_tin,
                 customer_name, customer_mobile, remark, original_trader_ref, refund_reason, replaces] = texts;
            Draft {
                trader_ref, tin, bhf_id, receipt_type, sales_type, payment_type, confirmed_at, customer_tin,
                customer_name, customer_mobile, remark, original_trader_ref, original_invoice_no, refund_reason,
                replaces, total_tax, total, lines,
            }
        }
    }

    /// Moves one text to the neighbouring field, or changes it a little: what a sloppy encoding would not notice.
    fn twist(mut draft: Draft, how: u8) -> Draft {
        match how % 6 {
            0 => std::mem::swap(&mut draft.trader_ref, &mut draft.tin),
            1 => std::mem::swap(&mut draft.customer_name, &mut draft.remark),
            2 => draft.remark = draft.remark.map(|text| text + "a"),
            3 => std::mem::swap(&mut draft.total, &mut draft.total_tax),
            4 => draft.lines.reverse(),
            _ => draft.remark = draft.remark.filter(|text| !text.is_empty()),
        }
        draft
    }

    proptest! {
        #[test]
        fn bytes_are_equal_exactly_where_drafts_are(one in draft(), other in draft(), how: u8) {
            prop_assert_eq!(one == other, one.canonical_bytes() == other.canonical_bytes());
            prop_assert_eq!(one.canonical_bytes(), one.clone().canonical_bytes());
            let twisted = twist(one.clone(), how);
            prop_assert_eq!(one == twisted, one.canonical_bytes() == twisted.canonical_bytes());
        }
    }

    /// Texts that would run into each other without their lengths.
    #[test]
    fn neighbours_do_not_run_together() {
        let of = |trader_ref: Option<&str>, tin: Option<&str>| {
            let owned = |text: &str| text.to_owned();
            Draft { trader_ref: trader_ref.map(owned), tin: tin.map(owned), ..Draft::default() }
                .canonical_bytes()
        };
        assert_ne!(of(Some("\u{1}"), None), of(Some(""), Some("\u{0}")));
        assert_ne!(of(Some("ab"), Some("c")), of(Some("a"), Some("bc")));
    }

    #[test]
    fn each_field_counts() {
        let some = Some("x".to_owned());
        let one = Amount::from_hundredths(100);
        let base = Draft { lines: vec![DraftLine::default()], ..Draft::default() };
        let heads = [
            Draft { trader_ref: some.clone(), ..base.clone() },
            Draft { tin: some.clone(), ..base.clone() },
            Draft { bhf_id: some.clone(), ..base.clone() },
            Draft { receipt_type: some.clone(), ..base.clone() },
            Draft { sales_type: some.clone(), ..base.clone() },
            Draft { payment_type: some.clone(), ..base.clone() },
            Draft { confirmed_at: some.clone(), ..base.clone() },
            Draft { customer_tin: some.clone(), ..base.clone() },
            Draft { customer_name: some.clone(), ..base.clone() },
            Draft { customer_mobile: some.clone(), ..base.clone() },
            Draft { remark: some.clone(), ..base.clone() },
            Draft { original_trader_ref: some.clone(), ..base.clone() },
            Draft { original_invoice_no: Some(0), ..base.clone() },
            Draft { refund_reason: some.clone(), ..base.clone() },
            Draft { replaces: some.clone(), ..base.clone() },
            Draft { total_tax: one, ..base.clone() },
            Draft { total: one, ..base.clone() },
            Draft { lines: vec![DraftLine::default(); 2], ..base.clone() },
        ];
        let hundred = Quantity::from_hundredths(100);
        let lines = [
            DraftLine { item_code: some.clone(), ..DraftLine::default() },
            DraftLine { item_class: some.clone(), ..DraftLine::default() },
            DraftLine { name: some.clone(), ..DraftLine::default() },
            DraftLine { barcode: some.clone(), ..DraftLine::default() },
            DraftLine { package_unit: some.clone(), ..DraftLine::default() },
            DraftLine { packages: hundred, ..DraftLine::default() },
            DraftLine { quantity_unit: some.clone(), ..DraftLine::default() },
            DraftLine { quantity: hundred, ..DraftLine::default() },
            DraftLine { price: one, ..DraftLine::default() },
            DraftLine { discount_rate: Rate::from_hundredths(100), ..DraftLine::default() },
            DraftLine { discount: one, ..DraftLine::default() },
            DraftLine { insurer_code: some.clone(), ..DraftLine::default() },
            DraftLine { insurer_name: some.clone(), ..DraftLine::default() },
            DraftLine { insurance_rate: Rate::from_hundredths(100), ..DraftLine::default() },
            DraftLine { insured: one, ..DraftLine::default() },
            DraftLine { tax_type: some, ..DraftLine::default() },
            DraftLine { supply: one, ..DraftLine::default() },
            DraftLine { taxable: one, ..DraftLine::default() },
            DraftLine { tax: one, ..DraftLine::default() },
            DraftLine { total: one, ..DraftLine::default() },
        ];
        let mut all: Vec<Vec<u8>> = heads.iter().map(Draft::canonical_bytes).collect();
        all.extend(lines.map(|line| Draft { lines: vec![line], ..Draft::default() }.canonical_bytes()));
        all.push(base.canonical_bytes());
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count, "two different drafts have the same bytes");
    }
}
