//! What KRA has: devices and their keys, each branch's invoices in their numbers, items, and what was refused.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Value, json};

use super::clock::{self, Moment};
use super::dice::Dice;
use super::form;
use super::packed::{pack, unpack};
use super::settings::ReceiptOffset;
use super::tree::Tree;

/// How many refusals a branch remembers.
const REFUSALS: usize = 10_000;

/// The books of all branches.
#[derive(Debug, Default)]
pub(super) struct Books {
    branches: BTreeMap<(String, String), Branch>,
}

/// The books of one branch. An invoice series belongs to the branch and outlives its device.
#[derive(Debug)]
pub(super) struct Branch {
    pub(super) device: Option<Device>,
    next: u64,
    sales: BTreeMap<u64, Entry>,
    notes_of: BTreeMap<u64, Vec<u64>>,
    items: BTreeMap<String, (Moment, Tree)>,
    refused: VecDeque<Value>,
    pub(super) requests: BTreeMap<&'static str, u64>,
    pub(super) most_saving: usize,
    counted: ReceiptOffset,
}

/// A device and what it was given.
#[derive(Clone, Debug)]
pub(super) struct Device {
    pub(super) serial: String,
    pub(super) key: String,
    pub(super) scu_id: String,
    pub(super) device_id: String,
    pub(super) mrc_no: String,
}

/// An invoice in the books.
#[derive(Debug)]
struct Entry {
    packed: Box<str>,
    proof: Proof,
    received: Moment,
    foreign: bool,
}

/// What an accepted sale gets.
#[derive(Clone, Debug)]
pub(super) struct Proof {
    receipt_no: u64,
    total_receipt_no: u64,
    internal_data: Box<str>,
    signature: Box<str>,
    sdc_date_time: Box<str>,
}

impl Books {
    /// The branch, if anything of it is known.
    pub(super) fn branch(&mut self, tin: &str, bhf_id: &str) -> Option<&mut Branch> {
        self.branches.get_mut(&(tin.to_owned(), bhf_id.to_owned()))
    }

    /// The branch, opened if it is new.
    pub(super) fn open(&mut self, tin: &str, bhf_id: &str) -> &mut Branch {
        self.branches.entry((tin.to_owned(), bhf_id.to_owned())).or_insert_with(Branch::new)
    }

    /// How many branches there are.
    pub(super) fn count(&self) -> usize {
        self.branches.len()
    }

    /// Everything but the sales' lines, with the invoices after this number.
    pub(super) fn report(&self, after: u64) -> Value {
        self.branches.iter().map(|((tin, bhf_id), branch)| branch.report(tin, bhf_id, after)).collect()
    }
}

impl Branch {
    fn new() -> Branch {
        Branch {
            device: None,
            next: 1,
            sales: BTreeMap::new(),
            notes_of: BTreeMap::new(),
            items: BTreeMap::new(),
            refused: VecDeque::new(),
            requests: BTreeMap::new(),
            most_saving: 0,
            counted: ReceiptOffset::default(),
        }
    }

    /// The number the next invoice must have.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Moves the series, as if invoices had been issued elsewhere before; never back onto a number in the books.
    pub(super) fn start_at(&mut self, next: u64) -> bool {
        let free = self.sales.last_key_value().is_none_or(|(last, _)| next > *last);
        if free && next > 0 {
            self.next = next;
        }
        free && next > 0
    }

    /// An accepted sale or credit note as it was sent.
    pub(super) fn sale(&self, invoice_no: u64) -> Option<Tree> {
        self.sales.get(&invoice_no).map(|entry| unpack(form::SALE, &entry.packed))
    }

    /// The accepted credit notes that point back to this number.
    pub(super) fn credit_notes(&self, original: &str) -> Vec<Tree> {
        let notes = original.parse().ok().and_then(|original: u64| self.notes_of.get(&original));
        notes.into_iter().flatten().filter_map(|number| self.sale(*number)).collect()
    }

    /// Books a sale under its number; the counter moves past it.
    pub(super) fn book(&mut self, sale: &Tree, invoice_no: u64, seal: Seal<'_>) -> Proof {
        self.counted.total += 1;
        let (counter, offset) = if sale.text_at("rcptTyCd") == "R" {
            if let Ok(original) = sale.text_at("orgInvcNo").parse() {
                self.notes_of.entry(original).or_default().push(invoice_no);
            }
            (&mut self.counted.credit_note, seal.offset.credit_note)
        } else {
            (&mut self.counted.sale, seal.offset.sale)
        };
        *counter += 1;
        let proof = Proof {
            receipt_no: counter.saturating_add(offset),
            total_receipt_no: self.counted.total.saturating_add(seal.offset.total),
            internal_data: seal.dice.internal_data().into(),
            signature: seal.dice.signature().into(),
            sdc_date_time: seal.now.stamp().into(),
        };
        let packed = pack(form::SALE, &sale.clone().with("cmcKey", Tree::Null));
        let entry = Entry { packed, proof: proof.clone(), received: seal.now, foreign: seal.foreign };
        self.sales.insert(invoice_no, entry);
        self.next = invoice_no.saturating_add(1);
        proof
    }

    /// Remembers a sale that was refused.
    pub(super) fn refuse(&mut self, sale: &Tree, refusal: &form::Refusal) {
        if self.refused.len() == REFUSALS {
            self.refused.pop_front();
        }
        let short = |name| sale.text_at(name).chars().take(60).collect::<String>();
        self.refused.push_back(json!({
            "invcNo": short("invcNo"),
            "trdInvcNo": short("trdInvcNo"),
            "resultCd": refusal.code,
            "resultMsg": refusal.message,
        }));
    }

    /// The whole sale as the look-up of invoices answers it: as sent, with the proof in its receipt.
    pub(super) fn details(&self, invoice_no: u64) -> Option<Tree> {
        let entry = self.sales.get(&invoice_no)?;
        let Tree::Object(members) = unpack(form::SALE, &entry.packed) else { return None };
        let shown = members.into_iter().filter(|(name, _)| name != "cmcKey").map(|(name, value)| {
            if name != "receipt" {
                return (name, value);
            }
            let time = clock::spelled_out(&entry.proof.sdc_date_time);
            let Tree::Object(proof) = entry.proof.tree(&time) else { return (name, value) };
            let receipt = proof.into_iter().fold(value, |receipt, (name, value)| receipt.with(&name, value));
            (name, receipt)
        });
        Some(Tree::Object(shown.collect()))
    }

    /// The numbers of at most so many invoices received after a moment.
    pub(super) fn received_after(&self, moment: Moment, most: usize) -> Vec<u64> {
        let after = self.sales.iter().filter(|(_, entry)| entry.received > moment);
        after.map(|(number, _)| *number).take(most).collect()
    }

    /// The numbers of at most so many invoices after this one.
    pub(super) fn numbers_after(&self, number: u64, most: usize) -> Vec<u64> {
        self.sales.range(number.saturating_add(1)..).map(|(number, _)| *number).take(most).collect()
    }

    /// Saves an item, new or changed.
    pub(super) fn save_item(&mut self, item: &Tree, now: Moment) {
        let Tree::Object(members) = item else { return };
        let kept = members.iter().filter(|(name, _)| !matches!(name.as_str(), "cmcKey" | "bhfId")).cloned();
        let kept = Tree::Object(kept.collect())
            .with("regBhfId", Tree::text(item.text_at("bhfId")))
            .with("rraModYn", Tree::text("N"));
        self.items.insert(item.text_at("itemCd").to_owned(), (now, kept));
    }

    /// Whether an item was saved.
    pub(super) fn has_item(&self, code: &str) -> bool {
        self.items.contains_key(code)
    }

    /// Items saved since a moment.
    pub(super) fn items_since(&self, moment: Moment) -> Vec<Tree> {
        self.items.values().filter(|(saved, _)| *saved >= moment).map(|(_, item)| item.clone()).collect()
    }

    fn report(&self, tin: &str, bhf_id: &str, after: u64) -> Value {
        let sales: Vec<Value> = self
            .sales
            .range(after.saturating_add(1)..)
            .map(|(number, entry)| entry.report(*number))
            .collect();
        json!({
            "tin": tin,
            "bhfId": bhf_id,
            "dvcSrlNo": self.device.as_ref().map(|device| &device.serial),
            "sdcId": self.device.as_ref().map(|device| &device.scu_id),
            "next": self.next,
            "accepted": self.sales.len(),
            "items": self.items.len(),
            "sales": sales,
            "refused": self.refused,
            "requests": self.requests,
            "concurrent": self.most_saving,
        })
    }
}

/// What goes into a booking besides the sale itself.
pub(super) struct Seal<'a> {
    pub(super) now: Moment,
    pub(super) dice: &'a Dice,
    pub(super) offset: ReceiptOffset,
    pub(super) foreign: bool,
}

impl Entry {
    fn report(&self, number: u64) -> Value {
        let sale = unpack(form::SALE, &self.packed);
        json!({
            "invcNo": number,
            "trdInvcNo": sale.text_at("trdInvcNo"),
            "rcptTyCd": sale.text_at("rcptTyCd"),
            "orgInvcNo": sale.text_at("orgInvcNo"),
            "totAmt": sale.text_at("totAmt"),
            "totTaxAmt": sale.text_at("totTaxAmt"),
            "curRcptNo": self.proof.receipt_no,
            "totRcptNo": self.proof.total_receipt_no,
            "rcptSign": self.proof.signature,
            "intrlData": self.proof.internal_data,
            "sdcDateTime": self.proof.sdc_date_time,
            "receivedAt": self.received.rfc3339(),
            "foreign": self.foreign,
        })
    }
}

impl Proof {
    /// As the answer to a sale carries it.
    pub(super) fn data(&self) -> Tree {
        self.tree(&self.sdc_date_time)
    }

    fn tree(&self, time: &str) -> Tree {
        Tree::object([
            ("curRcptNo", Tree::number(self.receipt_no)),
            ("totRcptNo", Tree::number(self.total_receipt_no)),
            ("intrlData", Tree::text(&*self.internal_data)),
            ("rcptSign", Tree::text(&*self.signature)),
            ("sdcDateTime", Tree::text(time)),
        ])
    }
}
