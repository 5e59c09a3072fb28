//! The rules of credit notes (facts about KRA, section 10), each with where it is kept and tried.
//!
//! | rule | kept by | tried in |
//! |---|---|---|
//! | `rcptTyCd` R, `salesSttsCd` 02, an `invcNo` of the same series | `wire::sale` | `wire::sale` tests, `it credit_notes` |
//! | `orgInvcNo` is the original's `invcNo`, and that was accepted | the drain's view, `freeze_sale` | `it credit_notes`, `queue` |
//! | `rfdRsnCd` of KRA's list 32, and `rfdDt` | `credit_note`, `wire::sale` | `fiscal` tests, `it credit_notes` |
//! | amounts and quantities positive on the wire, negative on paper | `line`, `receipt::layout` | `fiscal` and `receipt` tests |
//! | all credit notes together at most the original, by line | [`Credited::and`] and the store's committer | here, `store`, `it credit_notes` |
//! | buyer's PIN and name as on the original, and always a name | [`credit`], `wire::sale` | here, `it credit_notes` |
//! | not before the original's day | [`credit`], `freeze_sale` | here, `it credit_notes` |
//! | only of what this device issued | `gateway::credit_sale` | `it credit_notes` |
//! | what KRA has accepted is undone by a credit note alone | `replaces` is refused | `it replaces` |

use super::super::tests::{accept, amount, credit_note, line, quantity, sale, some};
use super::super::{Draft, DraftLine};
use super::*;

fn sold(lines: &[DraftLine]) -> Invoice {
    accept(Draft { lines: lines.to_vec(), ..sale() })
}

fn noted(lines: &[DraftLine]) -> Invoice {
    accept(Draft { lines: lines.to_vec(), ..credit_note() })
}

fn pieces(count: &str) -> DraftLine {
    DraftLine { quantity: quantity(count), ..line() }
}

fn other(count: &str) -> DraftLine {
    DraftLine { item_code: some("KE2NTNO0000002"), ..pieces(count) }
}

fn less(count: &str, discount: &str) -> DraftLine {
    DraftLine { discount: amount(discount), ..pieces(count) }
}

/// A credit note's lines; the field, word and part of the message of each fault.
type Note<'a> = (&'a [DraftLine], &'a [(&'a str, &'a str, &'a str)]);

#[track_caller]
fn check(sold_lines: &[DraftLine], notes: &[Note<'_>]) {
    let original = sold(sold_lines);
    let mut credited = Credited::default();
    let mut history = Vec::new();
    for (lines, expected) in notes {
        let note = noted(lines);
        match credited.and(&original, &note) {
            Ok(after) => {
                assert!(expected.is_empty(), "{lines:?} was taken");
                history.push((credited, note));
                credited = after;
            }
            Err(faults) => {
                let found: Vec<_> = faults.iter().map(|it| (it.field.as_str(), it.code.word())).collect();
                let wanted: Vec<_> = expected.iter().map(|(field, code, _)| (*field, *code)).collect();
                assert_eq!(found, wanted);
                for (fault, (.., part)) in faults.iter().zip(*expected) {
                    assert!(fault.message.contains(part), "{part}: {}", fault.message);
                }
            }
        }
    }
    // Given back one by one, all of it is there again.
    for (before, note) in history.into_iter().rev() {
        credited = credited.without(&original, &note);
        assert_eq!(credited, before);
    }
    assert_eq!(credited, Credited::default());
}

const MORE: &str = "exceeds_original";

#[test]
fn no_more_comes_back_than_was_sold() {
    let qty = "itemList[0].qty";
    check(
        &[pieces("2")],
        &[
            (&[pieces("2.01")], &[(qty, MORE, "2.00 sold, 2.00 left")]),
            (&[pieces("1.50")], &[]),
            (&[pieces("1")], &[(qty, MORE, "2.00 sold, 0.50 left")]),
            (&[pieces("0.50")], &[]),
            (&[pieces("0.01")], &[(qty, MORE, "0.00 left")]),
        ],
    );
    // The same goods on two lines are one kind, on the sale and on the note.
    check(
        &[pieces("2"), other("1"), pieces("3")],
        &[
            (&[pieces("5"), pieces("1")], &[("itemList[1].qty", MORE, "5.00 sold, 0.00 left")]),
            (&[pieces("4"), pieces("1"), other("1")], &[]),
            (
                &[other("1"), pieces("1")],
                &[(qty, MORE, "1.00 sold, 0.00 left"), ("itemList[1].qty", MORE, "5.00 sold, 0.00 left")],
            ),
        ],
    );
    // Nothing is taken by a note of which one line is wrong.
    check(
        &[pieces("2"), other("1")],
        &[
            (&[pieces("2"), other("2")], &[("itemList[1].qty", MORE, "1.00 sold, 1.00 left")]),
            (&[pieces("2"), other("1")], &[]),
        ],
    );
}

#[test]
fn no_more_money_comes_back_than_was_paid() {
    let total = "itemList[0].totAmt";
    check(
        &[less("2", "16")],
        &[
            (&[pieces("2")], &[(total, MORE, "would be 116.00")]),
            (&[pieces("1")], &[]),
            (&[pieces("1")], &[(total, MORE, "100.00 paid, 42.00 left")]),
            (&[less("1", "16")], &[]),
        ],
    );
    // More discount than the sale had takes less, and what is left can still come back with the last piece.
    check(&[less("2", "16")], &[(&[less("1", "16")], &[]), (&[pieces("1")], &[])]);
    // Given for nothing: it comes back for nothing.
    check(
        &[less("1", "58")],
        &[(&[pieces("1")], &[(total, MORE, "0.00 paid, 0.00 left")]), (&[less("1", "58")], &[])],
    );
}

#[test]
fn lines_are_known_by_item_tax_type_and_price() {
    let unknown = DraftLine { item_code: some("KE2NTNO0000009"), ..line() };
    let dearer = DraftLine { price: amount("58.01"), ..line() };
    let exempt = DraftLine { tax_type: some("A"), ..line() };
    check(
        &[line()],
        &[
            (&[unknown], &[("itemList[0].itemCd", "not_found", "not on the sale")]),
            (
                &[dearer.clone(), exempt],
                &[
                    ("itemList[0].prc", "mismatch", "must be as on the sale: 58.00"),
                    ("itemList[1].taxTyCd", "mismatch", "must be as on the sale: B"),
                ],
            ),
        ],
    );
    // Another text changes nothing: KRA does not go by it.
    check(&[line(), dearer.clone()], &[(&[DraftLine { name: some("Renamed"), ..dearer }], &[])]);
}

#[track_caller]
fn check_head(change: impl FnOnce(&mut Invoice, &mut Invoice), expected: &[(&str, &str)]) {
    let (mut original, mut note) = (sold(&[line()]), noted(&[line()]));
    change(&mut original, &mut note);
    let faults = credit(&original, "orgTrdInvcNo", &mut note).err().unwrap_or_default();
    let found: Vec<_> = faults.iter().map(|it| (it.field.as_str(), it.code.word())).collect();
    assert_eq!(found, expected);
    if expected.is_empty() {
        assert_eq!(note.customer.tin, original.customer.tin);
        assert_eq!(note.customer.name, original.customer.name);
    }
}

#[test]
fn the_head_is_that_of_the_sale() {
    let tin = |text: &str| Some(crate::fiscal::Tin::new(text).unwrap());
    let (ours, theirs) = ("P000000001B", "P000000002C");
    check_head(|_, _| {}, &[]);
    check_head(
        |sold, _| {
            (sold.customer.tin, sold.customer.name) = (tin(ours), some("Buyer"));
        },
        &[],
    );
    check_head(
        |sold, note| {
            (sold.customer.tin, sold.customer.name) = (tin(ours), some("Buyer"));
            note.customer = sold.customer.clone();
        },
        &[],
    );
    check_head(
        |sold, note| {
            (sold.customer.tin, note.customer.tin) = (tin(ours), tin(theirs));
            (sold.customer.name, note.customer.name) = (some("Buyer"), some("Other"));
        },
        &[("custTin", "mismatch"), ("custNm", "mismatch")],
    );
    check_head(|_, note| note.customer.tin = tin(ours), &[("custTin", "mismatch")]);
    check_head(|_, note| note.customer.name = some("Buyer"), &[("custNm", "mismatch")]);
    // The buyer's telephone may be another one.
    check_head(|_, note| note.customer.mobile = some("0700"), &[]);

    check_head(|sold, _| sold.sales_type = SalesType::Training, &[("orgTrdInvcNo", "not_allowed")]);
    check_head(|sold, _| sold.sales_type = SalesType::Proforma, &[("orgTrdInvcNo", "not_allowed")]);
    check_head(|sold, _| sold.receipt_type = ReceiptType::CreditNote, &[("orgTrdInvcNo", "not_allowed")]);

    let at = |text: &str| crate::fiscal::KraDateTime::parse(text).unwrap();
    for (sold_at, by, noted_at, expected) in [
        ("20250115101530", TimeSource::Register, "20250114235959", &[("cfmDt", "before_original")][..]),
        // The same day: tills' clocks differ by minutes.
        ("20250115101530", TimeSource::Register, "20250115000000", &[]),
        ("20250115101530", TimeSource::Gateway, "20250114235959", &[]),
        ("20250115101530", TimeSource::Register, "20250116000000", &[]),
    ] {
        check_head(
            |sold, note| {
                sold.confirmed_at = at(sold_at);
                (note.confirmed_by, note.confirmed_at) = (by, at(noted_at));
            },
            expected,
        );
    }
}
