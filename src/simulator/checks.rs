//! What KRA refuses of a sale or credit note that is right in form, with which code and in which words.

use super::books::Branch;
use super::form::Refusal;
use super::hundredths::Hundredths;
use super::settings::{Duplicate, Settings};
use super::tax::{self, amount};
use super::tree::Tree;

/// Checks a sale against the branch's books; its number if it may be booked.
pub(super) fn check(sale: &Tree, branch: &Branch, settings: &Settings) -> Result<u64, Refusal> {
    let invoice_no = sequence(sale, branch, settings.duplicate)?;
    lines(sale, branch, settings.require_items)?;
    tax::check(sale, settings.convention, &settings.rates)?;
    match sale.text_at("rcptTyCd") {
        "R" => credit_note(sale, branch)?,
        _ if amount(sale, "orgInvcNo") != Hundredths::ZERO => {
            return Err(Refusal::parameter("Invalid orgInvcNo: a sale has 0"));
        }
        _ => {}
    }
    Ok(invoice_no)
}

/// The number is the next one; it stays the next one until a sale is accepted under it.
fn sequence(sale: &Tree, branch: &Branch, duplicate: Duplicate) -> Result<u64, Refusal> {
    let (found, expected) = (sale.text_at("invcNo"), branch.next());
    let number = found.parse::<u64>().ok();
    if number == Some(expected) {
        return Ok(expected);
    }
    if duplicate == Duplicate::Overlapped && number.is_some_and(|number| branch.sale(number).is_some()) {
        return Err(Refusal::new("994", format!("Overlapped data: invcNo {found}")));
    }
    Err(Refusal::parameter(format!("Invalid invcNo sequence, expected: {expected} but found: {found}")))
}

fn lines(sale: &Tree, branch: &Branch, require_items: bool) -> Result<(), Refusal> {
    let lines = sale.list_at("itemList");
    if sale.text_at("totItemCnt").parse() != Ok(lines.len()) {
        return Err(Refusal::parameter(format!(
            "Invalid totItemCnt. Expected: {}, But Found: {}",
            lines.len(),
            sale.text_at("totItemCnt")
        )));
    }
    for (expected, line) in (1_usize..).zip(lines) {
        let found = line.text_at("itemSeq");
        if found.parse() != Ok(expected) {
            return Err(Refusal::parameter(format!(
                "Invalid itemSeq. Expected: {expected}, But Found: {found}"
            )));
        }
        for name in ["pkg", "qty"] {
            if amount(line, name) == Hundredths::ZERO {
                return Err(Refusal::parameter(format!(
                    "Invalid {name} for itemSeq {found}. Expected: more than 0, But Found: 0"
                )));
            }
        }
        if require_items && !branch.has_item(line.text_at("itemCd")) {
            return Err(Refusal::parameter(
                "Items provided under the itemList section do not exist in your stock".to_owned(),
            ));
        }
    }
    Ok(())
}

fn credit_note(note: &Tree, branch: &Branch) -> Result<(), Refusal> {
    let original_no = note.text_at("orgInvcNo");
    let original = original_no
        .parse()
        .ok()
        .and_then(|number| branch.sale(number))
        .filter(|sale| sale.text_at("rcptTyCd") == "S")
        .ok_or_else(|| Refusal::parameter(format!("orgInvcNo does not exist: {original_no}")))?;
    let (refund_time, reason) = (note.text_at("rfdDt"), note.text_at("rfdRsnCd"));
    if refund_time.is_empty() {
        return Err(Refusal::parameter("Missing RfdDt Date: [<rfdDt>] cannot be Null"));
    }
    if reason.is_empty() {
        return Err(Refusal::parameter("Invalid RfdRsnCd: [<rfdRsnCd>] cannot be Null"));
    }
    if refund_time.get(..8) < Some(original.text_at("salesDt")) {
        return Err(Refusal::parameter(format!(
            "Invalid rfdDt: before salesDt {}",
            original.text_at("salesDt")
        )));
    }
    if original.text_at("custNm").is_empty() {
        return Err(Refusal::parameter("Invalid custNm: the original has none and cannot be credited"));
    }
    for name in ["custTin", "custNm"] {
        let (expected, found) = (original.text_at(name), note.text_at(name));
        if expected != found {
            return Err(Refusal::parameter(format!(
                "Invalid {name}. Expected: {expected}, But Found: {found}"
            )));
        }
    }
    let mut taken = branch.credit_notes(original_no);
    taken.push(note.clone());
    what_is_left(&original, &taken)
}

/// All credit notes together take no more than the original gave, by line: quantities exactly, amounts but for
/// one hundredth a note, since a discount need not divide evenly.
fn what_is_left(original: &Tree, notes: &[Tree]) -> Result<(), Refusal> {
    let newest = notes.last().map(|note| note.list_at("itemList")).unwrap_or_default();
    let rounding = Hundredths::of(i128::try_from(notes.len()).unwrap_or(i128::MAX / 2));
    for line in newest {
        let like_this = |other: &&Tree| {
            ["itemCd", "taxTyCd"].iter().all(|name| other.text_at(name) == line.text_at(name))
                && amount(other, "prc") == amount(line, "prc")
        };
        let given = |name: &str| -> Hundredths {
            original.list_at("itemList").iter().filter(like_this).map(|line| amount(line, name)).sum()
        };
        let taken = |name: &str| -> Hundredths {
            let lines = notes.iter().flat_map(|note| note.list_at("itemList"));
            lines.filter(like_this).map(|line| amount(line, name)).sum()
        };
        let seq = line.text_at("itemSeq");
        for (name, tolerance) in [("qty", Hundredths::ZERO), ("totAmt", rounding)] {
            if taken(name) > given(name) + tolerance {
                return Err(Refusal::parameter(format!(
                    "Invalid {name} for itemSeq {seq}: credited {} of {} sold",
                    taken(name),
                    given(name)
                )));
            }
        }
    }
    Ok(())
}
