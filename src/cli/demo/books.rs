//! The two books side by side: what KRA has, and what the gateway says it delivered. Pure, so that the story's verdict
//! can be tested against books that are wrong.

use std::collections::BTreeMap;

use serde_json::Value;

/// An invoice, in either of the books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The register's own number.
    pub(super) trader_ref: String,
    /// `signed`, or why not; KRA's books hold nothing else.
    pub(super) status: String,
    /// KRA's number.
    pub(super) invoice_no: Option<u64>,
    /// Its receipt number.
    pub(super) receipt_no: Option<u64>,
    /// KRA's signature.
    pub(super) signature: Option<String>,
}

/// Reads the invoices of the one branch in the simulator's books.
pub(super) fn of_kra(books: &Value) -> Vec<Entry> {
    let sales = books["devices"][0]["sales"].as_array();
    let entry = |sale: &Value| Entry {
        trader_ref: text(&sale["trdInvcNo"]).unwrap_or_default(),
        status: "signed".to_owned(),
        invoice_no: sale["invcNo"].as_u64(),
        receipt_no: sale["curRcptNo"].as_u64(),
        signature: text(&sale["rcptSign"]),
    };
    sales.into_iter().flatten().map(entry).collect()
}

/// Reads the gateway's list of sales, oldest first.
pub(super) fn of_gateway(list: &Value) -> Vec<Entry> {
    let entry = |sale: &Value| Entry {
        trader_ref: text(&sale["trdInvcNo"]).unwrap_or_default(),
        status: text(&sale["status"]).unwrap_or_default(),
        invoice_no: sale["invcNo"].as_u64(),
        receipt_no: sale["receiptNo"].as_u64(),
        signature: text(&sale["signature"]),
    };
    list["sales"].as_array().into_iter().flatten().rev().map(entry).collect()
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// Every accepted sale is in the book once, and nothing else is.
pub(super) fn each_once(accepted: &[&str], book: &[Entry]) -> Vec<String> {
    let mut found: BTreeMap<&str, usize> = accepted.iter().map(|accepted| (*accepted, 0)).collect();
    let mut wrong = Vec::new();
    for entry in book {
        match found.get_mut(entry.trader_ref.as_str()) {
            Some(count) => *count += 1,
            None => wrong.push(format!("{} is there, but no register posted it", entry.trader_ref)),
        }
    }
    for (trader_ref, count) in found {
        match count {
            0 => wrong.push(format!("{trader_ref} is missing")),
            1 => {}
            _ => wrong.push(format!("{trader_ref} is there {count} times")),
        }
    }
    wrong
}

/// The invoice numbers run from 1 in the order of acceptance, without a gap.
pub(super) fn in_order(accepted: &[&str], book: &[Entry]) -> Vec<String> {
    let number_of = |trader_ref: &str| {
        book.iter().find(|entry| entry.trader_ref == trader_ref).and_then(|entry| entry.invoice_no)
    };
    let mut wrong = Vec::new();
    for (expected, trader_ref) in (1_u64..).zip(accepted) {
        match number_of(trader_ref) {
            Some(found) if found == expected => {}
            Some(found) => wrong.push(format!("{trader_ref} has number {found}, not {expected}")),
            None => wrong.push(format!("{trader_ref} has no number, not {expected}")),
        }
    }
    wrong
}

/// Every entry is signed.
pub(super) fn all_signed(book: &[Entry]) -> Vec<String> {
    let open = book.iter().filter(|entry| entry.status != "signed" || entry.signature.is_none());
    open.map(|entry| format!("{} is {}", entry.trader_ref, entry.status)).collect()
}

/// The gateway's entries say what KRA's say.
pub(super) fn agree(kra: &[Entry], gateway: &[Entry]) -> Vec<String> {
    let mut wrong = Vec::new();
    for ours in gateway {
        let Some(theirs) = kra.iter().find(|entry| entry.trader_ref == ours.trader_ref) else {
            wrong.push(format!("{} is not in KRA's books", ours.trader_ref));
            continue;
        };
        if ours != theirs {
            wrong.push(format!(
                "{}: KRA has {}, the gateway {}",
                ours.trader_ref,
                theirs.said(),
                ours.said()
            ));
        }
    }
    for theirs in kra {
        if !gateway.iter().any(|entry| entry.trader_ref == theirs.trader_ref) {
            wrong.push(format!("{} is not in the gateway's log", theirs.trader_ref));
        }
    }
    wrong
}

impl Entry {
    fn said(&self) -> String {
        let number =
            |number: Option<u64>| number.map_or_else(|| "none".to_owned(), |number| number.to_string());
        format!(
            "number {}, receipt {}, signature {}",
            number(self.invoice_no),
            number(self.receipt_no),
            self.signature.as_deref().unwrap_or("none")
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ACCEPTED: [&str; 3] = ["A", "B", "C"];

    fn entry(trader_ref: &str, number: u64) -> Entry {
        Entry {
            trader_ref: trader_ref.to_owned(),
            status: "signed".to_owned(),
            invoice_no: Some(number),
            receipt_no: Some(number),
            signature: Some(format!("SIGN{number}")),
        }
    }

    fn right() -> Vec<Entry> {
        vec![entry("A", 1), entry("B", 2), entry("C", 3)]
    }

    /// How many points each of the four checks makes of these books.
    fn points(kra: &[Entry], gateway: &[Entry]) -> [usize; 4] {
        [
            each_once(&ACCEPTED, kra).len(),
            in_order(&ACCEPTED, kra).len(),
            all_signed(gateway).len(),
            agree(kra, gateway).len(),
        ]
    }

    #[test]
    fn right_books_pass_and_each_wrong_one_fails() {
        let with = |change: fn(&mut Vec<Entry>)| {
            let mut book = right();
            change(&mut book);
            book
        };
        assert_eq!(points(&right(), &right()), [0, 0, 0, 0]);
        let missing = with(|book| drop(book.pop()));
        assert_eq!(points(&missing, &right()), [1, 1, 0, 1]);
        assert_eq!(points(&right(), &missing), [0, 0, 0, 1]);
        let twice = with(|book| book.push(entry("B", 4)));
        assert_eq!(points(&twice, &right()), [1, 0, 0, 0]);
        let foreign = with(|book| book.push(entry("X", 4)));
        assert_eq!(points(&foreign, &right()), [1, 0, 0, 1]);
        let swapped = with(|book| (book[0].invoice_no, book[1].invoice_no) = (Some(2), Some(1)));
        assert_eq!(points(&swapped, &swapped), [0, 2, 0, 0]);
        let gap = with(|book| book[2].invoice_no = Some(4));
        assert_eq!(points(&gap, &gap), [0, 1, 0, 0]);
        let other_signature = with(|book| book[1].signature = Some("FORGED".to_owned()));
        assert_eq!(points(&right(), &other_signature), [0, 0, 0, 1]);
        let waiting = with(|book| {
            book[2] = Entry { status: "pending".to_owned(), signature: None, ..entry("C", 3) };
        });
        assert_eq!(points(&right(), &waiting), [0, 0, 1, 1]);
        assert_eq!(points(&[], &[]), [3, 3, 0, 0]);
    }

    #[test]
    fn both_books_are_read() {
        let kra = json!({"devices": [{"sales": [
            {"invcNo": 1, "trdInvcNo": "A", "curRcptNo": 1, "rcptSign": "SIGN1"},
            {"invcNo": 2, "trdInvcNo": "B", "curRcptNo": 2, "rcptSign": "SIGN2"}
        ]}]});
        let gateway = json!({"sales": [
            {"status": "signed", "trdInvcNo": "B", "invcNo": 2, "receiptNo": 2, "signature": "SIGN2"},
            {"status": "signed", "trdInvcNo": "A", "invcNo": 1, "receiptNo": 1, "signature": "SIGN1"}
        ]});
        assert_eq!(of_kra(&kra), [entry("A", 1), entry("B", 2)]);
        assert_eq!(of_gateway(&gateway), of_kra(&kra));
        assert_eq!(of_kra(&Value::Null), []);
    }
}
