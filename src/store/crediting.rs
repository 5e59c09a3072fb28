//! What credit notes take of sales: worked out from what was written last, and written only if that is still the latest; so of
//! two notes at once none takes what the other has. It is given back when KRA refuses a note for good or a person says that
//! KRA does not have it, and taken again when such a note is sent again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::bodies::{self, from_json, to_json};
use super::ledger::JournalLedger;
use super::reading::{Reader, body_failed, read_failed};
use super::sale_body::UnreadableBody;
use super::{Binding, CommitError, Condition, Credited as CreditedAt, Effect, Entry, Kind, NewRecord};
use crate::fiscal::{Amount, Credited, Fault, Original as Named, Quantity, Taken, TraderRef};
use crate::gateway::ports::{Acted, Credit, Creditable, LedgerError, Original, Sale};
use crate::queue::drain::{Drain, Ruling};
use crate::queue::{OriginalStands, Seen, Seq, Settlement, Status};

/// The body of the record: what all credit notes of a sale have taken by now.
#[derive(Debug, Deserialize, Serialize)]
struct CreditedBody {
    /// The register's number of the note that changed it.
    note: String,
    lines: Vec<LineBody>,
}

#[derive(Debug, Deserialize, Serialize)]
struct LineBody {
    /// The first line of this kind on the sale, from 0.
    line: usize,
    quantity: String,
    amount: String,
}

fn write_credited(credited: &Credited, note: &TraderRef) -> Vec<u8> {
    let lines = credited.0.iter().map(|(line, taken)| LineBody {
        line: *line,
        quantity: taken.quantity.to_string(),
        amount: taken.amount.to_string(),
    });
    to_json(&CreditedBody { note: note.to_string(), lines: lines.collect() })
}

/// What is taken, and the note that changed it last.
pub(super) fn read_credited(bytes: &[u8]) -> Result<(Credited, String), UnreadableBody> {
    let body: CreditedBody = from_json(bytes)?;
    let mut lines = BTreeMap::new();
    for LineBody { line, quantity, amount } in body.lines {
        let unreadable = |error: crate::fiscal::DecimalFault| UnreadableBody(error.to_string());
        let quantity = Quantity::parse(&quantity).map_err(unreadable)?;
        let amount = Amount::parse(&amount).map_err(unreadable)?;
        lines.insert(line, Taken { quantity, amount });
    }
    Ok((Credited(lines), body.note))
}

/// Whether a note in this state takes something of its sale: what KRA refused, or does not have by a person's word, takes
/// nothing.
fn holds(status: Status, settled: Option<Settlement>) -> bool {
    !(status == Status::Rejected
        || (status == Status::Settled && matches!(settled, None | Some(Settlement::NotAccepted))))
}

/// Parked notes that are looked at, at a time.
const AT_ONCE: usize = 100;

impl Reader {
    /// The document with this running number, finished or not.
    pub(super) fn any(&self, document: Seq) -> Result<Option<Entry>, LedgerError> {
        if let Some(entry) = self.store.entry(document).map_err(|error| read_failed(&error))? {
            return Ok(Some(entry));
        }
        let Some(Effect::Document { key, .. }) = self.sale_record(document)?.map(|record| record.effect)
        else {
            return Ok(None);
        };
        let entry = self.store.find(&key).map_err(|error| read_failed(&error))?;
        Ok(entry.filter(|entry| entry.seq == document))
    }

    /// How the sale stands that a credit note undoes.
    pub(super) fn stands(&self, original: Seq) -> Result<OriginalStands, LedgerError> {
        match self.any(original)? {
            None => Ok(OriginalStands::Gone),
            Some(entry) => self.entry_stands(&entry),
        }
    }

    fn entry_stands(&self, entry: &Entry) -> Result<OriginalStands, LedgerError> {
        let settled = match entry.status {
            Status::Settled => self.sale(entry)?.settled_as(),
            _ => None,
        };
        Ok(OriginalStands::of(entry.status, entry.bound.is_some(), settled))
    }

    pub(super) fn original(&self, original: Seq) -> Result<Option<Original>, LedgerError> {
        let Some(entry) = self.any(original)? else { return Ok(None) };
        let stands = self.entry_stands(&entry)?;
        let sale = self.sale(&entry)?;
        let confirmed_at = match entry.bound {
            None => sale.invoice.confirmed_at,
            Some(bound) => {
                let record = self.record(bound.at)?;
                let bound =
                    bodies::read_bind(&record.body).map_err(|error| body_failed(record.seq, &error))?;
                bound.sent_as.confirmed_at
            }
        };
        Ok(Some(Original {
            trader_ref: sale.invoice.trader_ref,
            stands,
            invoice_no: sale.invoice_no,
            confirmed_at,
            receipt_no: sale.proof.map(|proof| proof.receipt_no),
        }))
    }

    /// The sale that is named, with what is left of it; `None`: it is not in these books.
    pub(super) fn creditable(&self, named: &Named) -> Result<Option<Creditable>, LedgerError> {
        let entry = match named {
            Named::TraderRef(trader_ref) => {
                self.store.find(trader_ref.as_str()).map_err(|error| read_failed(&error))?
            }
            Named::InvoiceNo(number) => match self.document_under(*number)? {
                Some(document) => self.any(document)?,
                None => None,
            },
        };
        entry.map(|entry| self.creditable_entry(&entry)).transpose()
    }

    fn creditable_entry(&self, entry: &Entry) -> Result<Creditable, LedgerError> {
        let sale = self.sale(entry)?;
        let Some(CreditedAt { by, at }) = entry.credited else {
            return Ok(Creditable { sale, credited: Credited::default(), as_of: None });
        };
        let record = self.record(at)?;
        let (credited, _) = read_credited(&record.body).map_err(|error| body_failed(by, &error))?;
        Ok(Creditable { sale, credited, as_of: Some(by) })
    }

    /// The document of ours that KRA has under this number; looked for from the journal's end.
    fn document_under(&self, number: u64) -> Result<Option<Seq>, LedgerError> {
        self.look_back(usize::MAX, |record| match &record.effect {
            Effect::Moved { document, binding: Binding::Used { .. }, .. } if record.used == Some(number) => {
                Some(*document)
            }
            _ => None,
        })
    }
}

/// A parked note that can go on, and with what.
struct Stray {
    note: Seq,
    seen: Seen,
    ruling: Ruling,
    /// The sale that took the place of its own.
    moved_to: Option<Creditable>,
    invoice: crate::fiscal::Invoice,
}

impl JournalLedger {
    pub(super) fn credit_record(&self, credit: &Credit, note: &TraderRef, takes: bool) -> NewRecord {
        let effect = Effect::Credited {
            document: credit.original,
            key: credit.trader_ref.to_string(),
            after: credit.after,
            takes,
        };
        self.record_of(Kind::Event, effect, write_credited(&credit.credited, note))
    }

    /// What has to be written with it when a note comes to stand otherwise: what it took is given back, or taken again.
    ///
    /// # Errors
    /// It cannot be taken again: too little is left.
    pub(super) async fn credit_change(
        &self,
        document: Seq,
        before: Status,
        ruling: &Ruling,
        acted: Option<&Acted>,
    ) -> Result<Option<NewRecord>, LedgerError> {
        let settled = acted.and_then(Acted::settlement);
        let (held, will_hold) = (holds(before, None), holds(ruling.status, settled));
        if held == will_hold {
            return Ok(None);
        }
        let read = self.reading(move |reader| {
            let Some(entry) = reader.any(document)? else { return Ok(None) };
            let Some(original) = entry.credits else { return Ok(None) };
            let Some(original) = reader.any(original)? else { return Ok(None) };
            Ok(Some((reader.sale(&entry)?, reader.creditable_entry(&original)?)))
        });
        let Some((note, original)) = read.await? else { return Ok(None) };
        let credit = match will_hold {
            false => original.give_back(&note.invoice),
            true => match original.take(&note.invoice) {
                Ok(credit) => credit,
                // KRA has it in another way, by a person's word: there is no more to take than is left.
                Err(_) if ruling.status != Status::Pending => return Ok(None),
                Err(faults) => return Err(LedgerError::NotLeft(told(&faults))),
            },
        };
        Ok(Some(self.credit_record(&credit, &note.invoice.trader_ref, will_hold)))
    }

    /// Lets parked notes go on that were parked with their sale, where that is on its way again or in KRA's books; and gives
    /// them to the sale that took its place. How many.
    pub(super) async fn rejoin_notes(&self) -> Result<u64, LedgerError> {
        let mut rejoined = 0;
        let mut after = None;
        loop {
            let candidates = self.store().parked_notes(after, AT_ONCE);
            let Some(last) = candidates.last() else { return Ok(rejoined) };
            after = Some(*last);
            for note in candidates {
                loop {
                    let stray = self.reading(move |reader| reader.stray(note)).await?;
                    let Some(stray) = stray else { break };
                    let records = self.rejoining(&stray);
                    let conditions = vec![Condition { document: note, status: stray.seen.status }];
                    match self.store().commit_if(records, conditions).await {
                        Ok(_) => {
                            rejoined += 1;
                            break;
                        }
                        Err(CommitError::Changed { .. } | CommitError::NoSuchDocument { .. }) => break,
                        Err(CommitError::CreditChanged { .. }) => {}
                        Err(error) => return Err(super::ledger::commit_failed(error)),
                    }
                }
            }
        }
    }

    fn rejoining(&self, stray: &Stray) -> Vec<NewRecord> {
        let mut ruling = stray.ruling.clone();
        let Some(sale) = &stray.moved_to else { return vec![self.outcome_record(stray.note, &ruling, None)] };
        let moved = Effect::Credits { document: stray.note, original: sale.sale.seq };
        let moved = self.record_of(Kind::Event, moved, b"its sale was replaced by this one".to_vec());
        match sale.take(&stray.invoice) {
            Ok(credit) => vec![
                moved,
                self.credit_record(&credit, &stray.invoice.trader_ref, true),
                self.outcome_record(stray.note, &ruling, None),
            ],
            Err(faults) => {
                ruling.status = Status::Parked;
                ruling.words.message = format!(
                    "the sale {} took the place of the one that it credits, and it does not fit that: {}; settle it, and post \
                     another",
                    sale.sale.invoice.trader_ref,
                    told(&faults)
                );
                vec![self.outcome_record(stray.note, &ruling, None)]
            }
        }
    }
}

impl Reader {
    /// A note that was parked with its sale, if it can go on.
    fn stray(&self, note: Seq) -> Result<Option<Stray>, LedgerError> {
        let Some(entry) = self.store.entry(note).map_err(|error| read_failed(&error))? else {
            return Ok(None);
        };
        let Some(original) = entry.credits.filter(|_| entry.status == Status::Parked) else {
            return Ok(None);
        };
        let Some(original) = self.any(original)? else { return Ok(None) };
        let stands = self.entry_stands(&original)?;
        let replaced = stands == OriginalStands::Closed;
        if !replaced && stands.why_parked().is_some() {
            return Ok(None);
        }
        let Some(subject) = self.subject(note)? else { return Ok(None) };
        if !self.outcome(&entry)?.is_some_and(|outcome| outcome.with_original) {
            return Ok(None);
        }
        let moved_to = match replaced {
            false => None,
            true => match self.successor(&original)? {
                // Refused itself, it may be replaced again.
                Some(sale) if sale.sale.status != Status::Rejected => Some(sale),
                _ => return Ok(None),
            },
        };
        let invoice = self.sale(&entry)?.invoice;
        Ok(Some(Stray { note, seen: subject.standing, ruling: Drain::release(subject), moved_to, invoice }))
    }

    /// The sale that stands in the place of one that was replaced, by one or several steps.
    fn successor(&self, replaced: &Entry) -> Result<Option<Creditable>, LedgerError> {
        let mut last: Sale = self.sale(replaced)?;
        let mut steps = 0;
        while let Some(next) = last.replaced_by().map(str::to_owned) {
            let Some(entry) = self.store.find(&next).map_err(|error| read_failed(&error))? else {
                return Ok(None);
            };
            steps += 1;
            last = self.sale(&entry)?;
            if last.replaced_by().is_none() || steps == 64 {
                return self.creditable_entry(&entry).map(Some);
            }
        }
        Ok(None)
    }
}

fn told(faults: &[Fault]) -> String {
    let messages: Vec<&str> = faults.iter().take(5).map(|fault| fault.message.as_str()).collect();
    messages.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_comes_back() {
        let note = TraderRef::new("N-1").unwrap();
        for lines in [
            vec![],
            vec![(0, "2.50", "145.00")],
            vec![(0, "0.01", "0.00"), (998, "99999999999.99", "9999999999999999.99")],
        ] {
            let taken = |quantity, amount| Taken {
                quantity: Quantity::parse(quantity).unwrap(),
                amount: Amount::parse(amount).unwrap(),
            };
            let lines = lines.into_iter().map(|(line, quantity, amount)| (line, taken(quantity, amount)));
            let credited = Credited(lines.collect());
            let (read, by) = read_credited(&write_credited(&credited, &note)).unwrap();
            assert_eq!((read, by.as_str()), (credited, "N-1"));
        }
        assert!(
            read_credited(b"{\"note\":\"N\",\"lines\":[{\"line\":0,\"quantity\":\"x\",\"amount\":\"1\"}]}")
                .is_err()
        );
    }

    #[test]
    fn a_note_holds_what_it_took_while_kra_may_have_it() {
        for (status, settled, expected) in [
            (Status::Pending, None, true),
            (Status::Parked, None, true),
            (Status::Signed, None, true),
            (Status::AcceptedNoProof, None, true),
            (Status::Rejected, None, false),
            (Status::Settled, Some(Settlement::Accepted), true),
            (Status::Settled, Some(Settlement::Elsewhere), true),
            (Status::Settled, Some(Settlement::NotAccepted), false),
            // Replaced by another note, which takes its own.
            (Status::Settled, None, false),
        ] {
            assert_eq!(holds(status, settled), expected, "{status:?} {settled:?}");
        }
    }
}
