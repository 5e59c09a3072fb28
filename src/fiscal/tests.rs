//! Tests of the one door, [`Invoice::new`].

use proptest::prelude::*;

use super::*;

pub(super) fn amount(text: &str) -> Option<Amount> {
    Some(Amount::parse(text).unwrap())
}

pub(super) fn quantity(text: &str) -> Option<Quantity> {
    Some(Quantity::parse(text).unwrap())
}

fn rate(text: &str) -> Option<Rate> {
    Some(Rate::parse(text).unwrap())
}

pub(super) fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn device() -> DeviceIdentity {
    DeviceIdentity {
        tin: Tin::new("P000000000A").unwrap(),
        bhf_id: BhfId::new("00").unwrap(),
        serial: DeviceSerial::new("GW-1").unwrap(),
    }
}

/// Runs with the usual rules: default convention and rates, 2025-01-15 10:15:30, a clock that is right.
fn with_rules<T>(run: impl FnOnce(Rules<'_>) -> T) -> T {
    let (device, codes) = (device(), Codes::built_in());
    run(Rules {
        device: &device,
        convention: TaxConvention::default(),
        rates: Rates::default(),
        codes: &codes,
        now: KraDateTime::parse("20250115101530").unwrap(),
        clock_synchronised: true,
    })
}

/// Two pieces at 58.00, letter B.
pub(super) fn line() -> DraftLine {
    DraftLine {
        item_code: some("KE2NTNO0000001"),
        name: some("Thing"),
        package_unit: some("NT"),
        quantity_unit: some("NO"),
        quantity: quantity("2"),
        price: amount("58"),
        tax_type: some("B"),
        ..DraftLine::default()
    }
}

pub(super) fn sale() -> Draft {
    Draft { trader_ref: some("T1-000123"), lines: vec![line()], ..Draft::default() }
}

pub(super) fn credit_note() -> Draft {
    Draft {
        trader_ref: some("T1-000124"),
        receipt_type: some("R"),
        original_trader_ref: some("T1-000123"),
        refund_reason: some("06"),
        ..sale()
    }
}

pub(super) fn accept(draft: Draft) -> Invoice {
    with_rules(|rules| Invoice::new(draft, &rules)).unwrap_or_else(|faults| panic!("refused: {faults:#?}"))
}

/// The field and the word of each fault of `draft`.
fn refuse(draft: Draft) -> Vec<(String, &'static str)> {
    let faults = with_rules(|rules| Invoice::new(draft, &rules)).expect_err("has faults");
    for fault in &faults {
        assert!(fault.message.starts_with(&fault.field), "{fault:?}");
    }
    faults.into_iter().map(|fault| (fault.field, fault.code.word())).collect()
}

fn with_line(change: impl FnOnce(&mut DraftLine)) -> Draft {
    let mut draft = sale();
    change(&mut draft.lines[0]);
    draft
}

fn check_head(change: impl FnOnce(&mut Draft), expected: &[(&str, &str)]) {
    let mut draft = sale();
    change(&mut draft);
    assert_faults(draft, expected);
}

fn check_line(change: impl FnOnce(&mut DraftLine), name: &str, code: &str) {
    assert_faults(with_line(change), &[(&format!("itemList[0].{name}"), code)]);
}

fn assert_faults(draft: Draft, expected: &[(&str, &str)]) {
    let found = refuse(draft.clone());
    let found: Vec<(&str, &str)> = found.iter().map(|(field, code)| (field.as_str(), *code)).collect();
    assert_eq!(found, expected, "{draft:?}");
}

#[test]
fn a_bare_sale_gets_its_defaults() {
    let invoice = accept(sale());
    assert_eq!(invoice.receipt_type, ReceiptType::Sale);
    assert_eq!(invoice.sales_type, SalesType::Normal);
    assert_eq!(invoice.payment_type, "01");
    assert_eq!(invoice.confirmed_by, TimeSource::Gateway);
    assert_eq!(invoice.confirmed_at.to_string(), "20250115101530");
    assert_eq!((invoice.customer, invoice.original, invoice.replaces), (Customer::default(), None, None));
    let line = &invoice.lines[0];
    assert_eq!(Some(line.packages), quantity("1"));
    assert_eq!((line.discount_rate, line.discount, &line.insurance), (Rate::ZERO, Amount::ZERO, &None));
    assert_eq!(
        [Some(line.supply), Some(line.taxable), Some(line.tax), Some(line.total)],
        [amount("116"), amount("100"), amount("16"), amount("116")]
    );
    assert_eq!(Some(invoice.by_tax_type[1].taxable), amount("100"));
    assert_eq!(Some(invoice.by_tax_type[1].rate), rate("16"));
    assert_eq!(
        invoice.by_tax_type[4],
        TaxTotal { rate: Rate::parse("8").unwrap(), taxable: Amount::ZERO, tax: Amount::ZERO }
    );
    assert_eq!(
        [Some(invoice.total_taxable), Some(invoice.total_tax), Some(invoice.total)],
        [amount("100"), amount("16"), amount("116")]
    );
}

#[test]
fn everything_given_is_kept() {
    let invoice = accept(Draft {
        tin: some("P000000000A"),
        bhf_id: some("00"),
        receipt_type: some("S"),
        sales_type: some("T"),
        payment_type: some("06"),
        confirmed_at: some("2025-01-14T10:00:00+03:00"),
        customer_tin: some("A123456789Z"),
        customer_name: Some("n".repeat(60)),
        customer_mobile: Some("1".repeat(20)),
        remark: Some("\u{e9}".repeat(400)),
        original_invoice_no: Some(0),
        total: amount("116.01"),
        total_tax: amount("15.99"),
        lines: vec![DraftLine {
            item_class: some("5059690800"),
            barcode: Some("b".repeat(20)),
            packages: quantity("3"),
            insurer_code: some("I1"),
            insurer_name: some("Insurer"),
            insurance_rate: rate("100"),
            insured: amount("5"),
            supply: amount("116"),
            taxable: amount("100.01"),
            tax: amount("15.99"),
            total: amount("115.99"),
            ..line()
        }],
        ..sale()
    });
    assert_eq!(invoice.sales_type, SalesType::Training);
    assert_eq!(invoice.confirmed_by, TimeSource::Register);
    assert_eq!(invoice.confirmed_at.to_string(), "20250114100000");
    assert_eq!(invoice.customer.tin.as_ref().map(Tin::as_str), Some("A123456789Z"));
    // Ours is what is sent.
    assert_eq!([Some(invoice.total_tax), Some(invoice.total)], [amount("16"), amount("116")]);
    assert_eq!(Some(invoice.lines[0].taxable), amount("100"));
    let insurance = invoice.lines[0].insurance.as_ref().unwrap();
    assert_eq!((insurance.code.as_deref(), insurance.rate), (Some("I1"), rate("100")));
}

#[test]
fn blank_optional_texts_are_none() {
    let invoice = accept(Draft {
        customer_name: some(""),
        remark: some("  "),
        lines: vec![DraftLine { barcode: some(""), insurer_name: some(""), ..line() }],
        ..sale()
    });
    assert_eq!((invoice.customer.name, invoice.remark), (None, None));
    assert_eq!((&invoice.lines[0].barcode, &invoice.lines[0].insurance), (&None, &None));
}

#[test]
fn faults_of_the_head() {
    check_head(|draft| draft.trader_ref = None, &[("trdInvcNo", "required")]);
    check_head(|draft| draft.trader_ref = some(""), &[("trdInvcNo", "required")]);
    check_head(|draft| draft.trader_ref = some(" 1"), &[("trdInvcNo", "bad_format")]);
    check_head(|draft| draft.trader_ref = some("caf\u{e9}"), &[("trdInvcNo", "bad_format")]);
    check_head(|draft| draft.trader_ref = some("1\n"), &[("trdInvcNo", "control_character")]);
    check_head(|draft| draft.trader_ref = Some("1".repeat(51)), &[("trdInvcNo", "too_long")]);
    check_head(|draft| draft.tin = some("P000000000B"), &[("tin", "other_device")]);
    check_head(|draft| draft.bhf_id = some("01"), &[("bhfId", "other_device")]);
    check_head(|draft| draft.receipt_type = some("X"), &[("rcptTyCd", "not_in_list")]);
    check_head(|draft| draft.receipt_type = some("s"), &[("rcptTyCd", "not_in_list")]);
    check_head(|draft| draft.sales_type = some("C"), &[("salesTyCd", "not_in_list")]);
    check_head(|draft| draft.payment_type = some("08"), &[("pmtTyCd", "not_in_list")]);
    check_head(|draft| draft.payment_type = some(""), &[("pmtTyCd", "not_in_list")]);
    check_head(|draft| draft.confirmed_at = some("yesterday"), &[("cfmDt", "bad_format")]);
    check_head(|draft| draft.confirmed_at = some("20250230101530"), &[("cfmDt", "bad_format")]);
    check_head(|draft| draft.customer_tin = some("P00000000A"), &[("custTin", "bad_format")]);
    check_head(|draft| draft.customer_tin = some(""), &[("custTin", "bad_format")]);
    check_head(|draft| draft.customer_name = Some("n".repeat(61)), &[("custNm", "too_long")]);
    check_head(|draft| draft.customer_name = some("a\u{7}b"), &[("custNm", "control_character")]);
    check_head(|draft| draft.customer_name = some("a\u{85}b"), &[("custNm", "control_character")]);
    check_head(|draft| draft.customer_name = some("a\u{ffff}b"), &[("custNm", "control_character")]);
    check_head(|draft| draft.customer_mobile = Some("1".repeat(21)), &[("custMblNo", "too_long")]);
    check_head(|draft| draft.remark = Some("\u{e9}".repeat(401)), &[("remark", "too_long")]);
    check_head(|draft| draft.replaces = some("T1-000123"), &[("replaces", "not_allowed")]);
    check_head(|draft| draft.replaces = some(" "), &[("replaces", "bad_format")]);
    check_head(|draft| draft.total = amount("116.02"), &[("totAmt", "mismatch")]);
    check_head(|draft| draft.total = amount("115.98"), &[("totAmt", "mismatch")]);
    check_head(|draft| draft.total = amount("-116"), &[("totAmt", "negative")]);
    check_head(|draft| draft.total_tax = amount("16.02"), &[("totTaxAmt", "mismatch")]);
    check_head(|draft| draft.total_tax = amount("-0.01"), &[("totTaxAmt", "negative")]);
    check_head(|draft| draft.lines.clear(), &[("itemList", "required")]);
    check_head(|draft| draft.lines = vec![line(); 1000], &[("itemList", "too_many")]);
    check_head(
        |draft| {
            draft.sales_type = some("P");
            draft.replaces = some("T1-1");
        },
        &[("replaces", "not_allowed")],
    );
}

#[test]
fn faults_of_a_line() {
    check_line(|line| line.item_code = None, "itemCd", "required");
    check_line(|line| line.item_code = some(""), "itemCd", "required");
    check_line(|line| line.item_code = Some("1".repeat(21)), "itemCd", "too_long");
    check_line(|line| line.item_code = some("caf\u{e9}"), "itemCd", "bad_format");
    check_line(|line| line.item_class = Some("1".repeat(11)), "itemClsCd", "too_long");
    check_line(|line| line.name = None, "itemNm", "required");
    check_line(|line| line.name = some("   "), "itemNm", "required");
    check_line(|line| line.name = Some("n".repeat(201)), "itemNm", "too_long");
    check_line(|line| line.name = some("a\tb"), "itemNm", "control_character");
    check_line(|line| line.barcode = Some("1".repeat(21)), "bcd", "too_long");
    check_line(|line| line.package_unit = None, "pkgUnitCd", "required");
    check_line(|line| line.package_unit = some("U"), "pkgUnitCd", "not_in_list");
    check_line(|line| line.packages = quantity("0"), "pkg", "not_positive");
    check_line(|line| line.packages = quantity("-1"), "pkg", "negative");
    check_line(|line| line.quantity_unit = None, "qtyUnitCd", "required");
    check_line(|line| line.quantity_unit = some("NT"), "qtyUnitCd", "not_in_list");
    check_line(|line| line.quantity = None, "qty", "required");
    check_line(|line| line.quantity = quantity("0"), "qty", "not_positive");
    check_line(|line| line.quantity = quantity("-0.01"), "qty", "negative");
    check_line(|line| line.price = None, "prc", "required");
    check_line(|line| line.price = amount("-0.01"), "prc", "negative");
    check_line(|line| line.discount_rate = rate("100.01"), "dcRt", "too_large");
    check_line(|line| line.discount_rate = rate("-1"), "dcRt", "negative");
    check_line(|line| line.discount = amount("116.01"), "dcAmt", "too_large");
    check_line(|line| line.discount = amount("-1"), "dcAmt", "negative");
    check_line(|line| line.insurer_code = Some("1".repeat(11)), "isrccCd", "too_long");
    check_line(|line| line.insurer_name = Some("1".repeat(101)), "isrccNm", "too_long");
    check_line(|line| line.insurance_rate = rate("101"), "isrcRt", "too_large");
    check_line(|line| line.insurance_rate = rate("12.5"), "isrcRt", "too_precise");
    check_line(|line| line.insurance_rate = rate("-1"), "isrcRt", "negative");
    check_line(|line| line.insured = amount("-1"), "isrcAmt", "negative");
    check_line(|line| line.tax_type = None, "taxTyCd", "required");
    check_line(|line| line.tax_type = some("F"), "taxTyCd", "not_in_list");
    check_line(|line| line.tax_type = some("b"), "taxTyCd", "not_in_list");
    check_line(|line| line.supply = amount("116.02"), "splyAmt", "mismatch");
    check_line(|line| line.taxable = amount("116"), "taxblAmt", "mismatch");
    check_line(|line| line.tax = amount("16.02"), "taxAmt", "mismatch");
    check_line(|line| line.total = amount("100"), "totAmt", "mismatch");
    check_line(|line| line.total = amount("-116"), "totAmt", "negative");
}

#[test]
fn all_faults_come_at_once_and_in_order() {
    let mut draft = sale();
    draft.trader_ref = None;
    draft.payment_type = some("cash");
    draft.total = amount("-1");
    draft.lines = vec![line(), DraftLine::default(), DraftLine { tax_type: some("Z"), ..line() }];
    draft.lines[0].quantity = quantity("-2");
    assert_faults(
        draft,
        &[
            ("trdInvcNo", "required"),
            ("pmtTyCd", "not_in_list"),
            ("totAmt", "negative"),
            ("itemList[0].qty", "negative"),
            ("itemList[1].itemCd", "required"),
            ("itemList[1].itemNm", "required"),
            ("itemList[1].pkgUnitCd", "required"),
            ("itemList[1].qtyUnitCd", "required"),
            ("itemList[1].qty", "required"),
            ("itemList[1].prc", "required"),
            ("itemList[1].taxTyCd", "required"),
            ("itemList[2].taxTyCd", "not_in_list"),
        ],
    );
}

#[test]
fn what_could_not_be_read_is_not_called_missing() {
    let mut draft = sale();
    draft.lines[0].quantity = None;
    draft.total = amount("1");
    let unreadable = vec![
        Fault::new("itemList[0].qty", FaultCode::WrongType, "must be a number"),
        Fault::new("colour", FaultCode::UnknownField, "is unknown"),
    ];
    let faults = with_rules(|rules| Invoice::after_reading(draft.clone(), unreadable, &rules)).unwrap_err();
    let fields: Vec<&str> = faults.iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!(fields, ["itemList[0].qty", "colour"]);

    // A discount that could not be read makes no total wrong.
    let mut draft = sale();
    draft.lines[0].total = amount("1");
    let unreadable = vec![Fault::new("itemList[0].dcAmt", FaultCode::TooPrecise, "is too precise")];
    let faults = with_rules(|rules| Invoice::after_reading(draft, unreadable, &rules)).unwrap_err();
    assert_eq!(faults.len(), 1, "{faults:?}");

    // A fault of reading alone refuses a sale that is otherwise good.
    let unreadable = vec![Fault::new("remark", FaultCode::WrongType, "must be a text")];
    assert!(with_rules(|rules| Invoice::after_reading(sale(), unreadable, &rules)).is_err());
}

#[test]
fn discounts_by_rate_amount_or_both() {
    for (given_rate, given_amount, expected) in [
        (None, None, Some(("0", "0"))),
        (Some("10"), None, Some(("10", "100"))),
        (None, Some("100"), Some(("10", "100"))),
        (Some("10"), Some("100.01"), Some(("10", "100.01"))),
        (Some("10"), Some("99.99"), Some(("10", "99.99"))),
        (Some("33.33"), Some("333.33"), Some(("33.33", "333.33"))),
        (Some("10"), Some("101"), None),
        (Some("0"), Some("100"), None),
        (Some("10"), Some("0"), None),
        (Some("100"), None, Some(("100", "1000"))),
        (None, Some("1000"), Some(("100", "1000"))),
    ] {
        let draft = with_line(|line| {
            line.price = amount("1000");
            line.quantity = quantity("1");
            line.discount_rate = given_rate.and_then(rate);
            line.discount = given_amount.and_then(amount);
        });
        match expected {
            Some((discount_rate, discount)) => {
                let line = &accept(draft).lines[0];
                assert_eq!(
                    (Some(line.discount_rate), Some(line.discount)),
                    (rate(discount_rate), amount(discount))
                );
                assert_eq!(line.total.checked_add(line.discount), amount("1000"));
            }
            None => assert_faults(draft, &[("itemList[0].dcAmt", "mismatch")]),
        }
    }
    let free = with_line(|line| {
        line.price = amount("0");
        line.discount_rate = rate("50");
        line.discount = amount("0");
    });
    assert_eq!(accept(free).total, Amount::ZERO);
}

#[test]
fn tax_may_be_off_by_a_cent_a_line() {
    let sale_of = |total_tax: &str| Draft { total_tax: amount(total_tax), lines: vec![line(); 3], ..sale() };
    assert_eq!(Some(accept(sale_of("48.03")).total_tax), amount("48"));
    assert_eq!(Some(accept(sale_of("47.97")).total_tax), amount("48"));
    assert_faults(sale_of("48.04"), &[("totTaxAmt", "mismatch")]);
    let total = Draft { total: amount("348.02"), lines: vec![line(); 3], ..sale() };
    assert_faults(total, &[("totAmt", "mismatch")]);
}

#[test]
fn up_to_999_lines() {
    assert_eq!(accept(Draft { lines: vec![line(); 999], ..sale() }).lines.len(), 999);
}

#[test]
fn times_ahead() {
    let at = |time: &str| Draft { confirmed_at: some(time), ..sale() };
    assert_eq!(accept(at("20250115102530")).confirmed_at.to_string(), "20250115102530");
    assert_faults(at("20250115102531"), &[("cfmDt", "in_future")]);
    assert_eq!(accept(at("20200101000000")).confirmed_by, TimeSource::Register);
    let unsynchronised =
        with_rules(|rules| Invoice::new(at("20300101000000"), &Rules { clock_synchronised: false, ..rules }));
    assert_eq!(unsynchronised.unwrap().confirmed_at.to_string(), "20300101000000");
}

#[test]
fn credit_notes_point_back() {
    let note = accept(credit_note());
    assert_eq!(note.receipt_type, ReceiptType::CreditNote);
    assert_eq!(note.original, Some(Original::TraderRef(TraderRef::new("T1-000123").unwrap())));
    assert_eq!(note.refund_reason.as_deref(), Some("06"));
    let elsewhere = Draft { original_trader_ref: None, original_invoice_no: Some(7), ..credit_note() };
    assert_eq!(accept(elsewhere).original, Some(Original::InvoiceNo(7)));
    let training = Draft { sales_type: some("T"), ..credit_note() };
    assert_eq!(accept(training).sales_type, SalesType::Training);
    let corrected = Draft { replaces: some("T1-000100"), ..credit_note() };
    assert!(accept(corrected).replaces.is_some());

    assert_faults(Draft { refund_reason: None, ..credit_note() }, &[("rfdRsnCd", "required")]);
    assert_faults(Draft { refund_reason: some("14"), ..credit_note() }, &[("rfdRsnCd", "not_in_list")]);
    assert_faults(Draft { original_trader_ref: None, ..credit_note() }, &[("orgTrdInvcNo", "required")]);
    assert_faults(
        Draft { original_trader_ref: None, original_invoice_no: Some(0), ..credit_note() },
        &[("orgTrdInvcNo", "required")],
    );
    assert_faults(Draft { original_invoice_no: Some(7), ..credit_note() }, &[("orgInvcNo", "conflict")]);
    assert_faults(
        Draft { original_trader_ref: some("T1-000124"), ..credit_note() },
        &[("orgTrdInvcNo", "not_allowed")],
    );
    assert_faults(Draft { original_trader_ref: some(""), ..credit_note() }, &[("orgTrdInvcNo", "required")]);
    assert_faults(Draft { sales_type: some("P"), ..credit_note() }, &[("salesTyCd", "not_allowed")]);
    assert_faults(
        Draft { receipt_type: None, original_invoice_no: Some(7), ..credit_note() },
        &[("orgTrdInvcNo", "not_allowed"), ("orgInvcNo", "not_allowed"), ("rfdRsnCd", "not_allowed")],
    );
}

#[test]
fn sums_that_do_not_fit_are_faults() {
    let most = Amount::from_hundredths(Amount::LIMIT);
    let huge = DraftLine { price: most, quantity: quantity("1"), ..line() };
    assert_faults(Draft { lines: vec![huge.clone(), huge.clone()], ..sale() }, &[("totAmt", "too_large")]);
    let draft = Draft { lines: vec![DraftLine { quantity: quantity("1.01"), ..huge.clone() }], ..sale() };
    assert_faults(draft, &[("itemList[0].splyAmt", "too_large")]);
    let net = with_rules(|rules| {
        let rules = Rules { convention: TaxConvention::NetPrice, ..rules };
        Invoice::new(Draft { lines: vec![huge], ..sale() }, &rules)
    });
    assert_eq!(net.unwrap_err()[0].field, "itemList[0].totAmt");
}

const CONVENTIONS: [TaxConvention; 3] =
    [TaxConvention::GrossPriceNetTaxable, TaxConvention::GrossTaxable, TaxConvention::NetPrice];

prop_compose! {
    fn any_line()(letter in 0_usize..5, price: i64, quantity: i64, extreme: bool,
                  discount_rate in prop::option::of(-1_i64..=10_001), discount in prop::option::of(any::<i64>())) -> DraftLine {
        // Half of the lines are of a size that shops sell, half go to the limits and beyond.
        let within = |value: i64, shop: i64, limit: i64| value % if extreme { limit + 1 } else { shop };
        DraftLine {
            tax_type: some(TaxType::ALL[letter].letter()),
            price: Amount::from_hundredths(within(price, 1_000_000, Amount::LIMIT)),
            quantity: Quantity::from_hundredths(within(quantity, 10_000, Quantity::LIMIT)),
            discount_rate: discount_rate.and_then(Rate::from_hundredths),
            discount: discount.and_then(|hundredths| Amount::from_hundredths(within(hundredths, 1_000, Amount::LIMIT))),
            ..line()
        }
    }
}

proptest! {
    /// Whatever the lines: no panic, and what is accepted adds up.
    #[test]
    fn accepted_invoices_add_up(
        lines in prop::collection::vec(any_line(), 1..5),
        convention in prop::sample::select(CONVENTIONS.to_vec()),
    ) {
        let outcome = with_rules(|rules| Invoice::new(Draft { lines, ..sale() }, &Rules { convention, ..rules }));
        match outcome {
            Err(faults) => prop_assert!(!faults.is_empty()),
            Ok(invoice) => check_sums(&invoice, convention)?,
        }
    }

    /// Lines that a shop sells are accepted.
    #[test]
    fn a_shops_lines_are_accepted(
        figures in prop::collection::vec((0_usize..5, 0_i64..10_000_000, 1_i64..100_000, 0_i64..=10_000), 1..20),
        convention in prop::sample::select(CONVENTIONS.to_vec()),
    ) {
        let lines = figures.into_iter().map(|(letter, price, quantity, discount_rate)| DraftLine {
            tax_type: some(TaxType::ALL[letter].letter()),
            price: Amount::from_hundredths(price),
            quantity: Quantity::from_hundredths(quantity),
            discount_rate: Rate::from_hundredths(discount_rate),
            ..line()
        }).collect();
        let outcome = with_rules(|rules| Invoice::new(Draft { lines, ..sale() }, &Rules { convention, ..rules }));
        check_sums(&outcome.unwrap(), convention)?;
    }
}

fn check_sums(invoice: &Invoice, convention: TaxConvention) -> Result<(), TestCaseError> {
    let sum = |of: fn(&InvoiceLine) -> Amount| {
        invoice.lines.iter().try_fold(Amount::ZERO, |sum, line| sum.checked_add(of(line))).unwrap()
    };
    prop_assert_eq!(sum(|line| line.total), invoice.total);
    prop_assert_eq!(sum(|line| line.tax), invoice.total_tax);
    prop_assert_eq!(sum(|line| line.taxable), invoice.total_taxable);
    let letters = |of: fn(&TaxTotal) -> Amount| {
        invoice.by_tax_type.iter().try_fold(Amount::ZERO, |sum, letter| sum.checked_add(of(letter))).unwrap()
    };
    prop_assert_eq!(letters(|letter| letter.taxable), invoice.total_taxable);
    prop_assert_eq!(letters(|letter| letter.tax), invoice.total_tax);
    let gross = |taxable: Amount, tax: Amount| match convention {
        TaxConvention::GrossTaxable => Some(taxable),
        TaxConvention::GrossPriceNetTaxable | TaxConvention::NetPrice => taxable.checked_add(tax),
    };
    prop_assert_eq!(gross(invoice.total_taxable, invoice.total_tax), Some(invoice.total));
    for line in &invoice.lines {
        prop_assert_eq!(gross(line.taxable, line.tax), Some(line.total));
        prop_assert!(line.discount <= line.supply && !line.tax.is_negative() && !line.taxable.is_negative());
    }
    Ok(())
}
