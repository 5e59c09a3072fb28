//! Reading the ledger: the blocking side, on threads that may wait for the disk.

use std::time::Duration;

use super::bodies::{self, OutcomeRead};
use super::record::{Malformed, decode_record};
use super::sale_body::{UnreadableBody, read_sale};
use super::{Binding, Effect, Entry, Kind, Located, ReadError, Record, Stamp, Store};
use crate::fiscal::temporary_receipt_no;
use crate::gateway::ports::{LedgerError, OpenRefusal, PrintedOriginal, Printing, Sale};
use crate::queue::drain::{Subject, View, Waiting};
use crate::queue::{Seen, Seq, Status, Words};

/// Refused sales that are looked at to see whether they were refused alike.
const REFUSALS: usize = 32;

/// So many of the newest records are looked through for a signature: more than a week of a busy till.
const SIGNATURES: usize = 20_000;

/// Records of one step backwards.
const PAGE: usize = 256;

/// One read, at one time.
pub(super) struct Reader {
    pub(super) store: Store,
    pub(super) now: Stamp,
}

impl Reader {
    pub(super) fn record(&self, at: Located) -> Result<Record, LedgerError> {
        self.store.read(at).map_err(|error| read_failed(&error))
    }

    pub(super) fn sale(&self, entry: &Entry) -> Result<Sale, LedgerError> {
        let record = self.record(entry.at)?;
        let invoice = read_sale(&record.body).map_err(|error| body_failed(entry.seq, &error))?;
        let outcome = self.outcome(entry)?;
        let words = outcome.as_ref().map(|outcome| outcome.words.clone());
        let OutcomeRead { proof, acted, .. } = outcome.unwrap_or_default();
        Ok(Sale {
            seq: entry.seq,
            origin: record.origin,
            hash: record.hash,
            signature: record.signature.ok_or_else(|| {
                LedgerError::Failed(format!("record {} is a sale without our signature", entry.seq))
            })?,
            accepted_ms: entry.accepted.wall_ms,
            age: age(&entry.accepted, &self.now),
            clock_doubtful: !entry.accepted.synchronised,
            time_can_be_mended: !entry.accepted.synchronised && entry.accepted.same_boot(&self.now),
            content: entry.content,
            invoice,
            credits: entry.credits,
            waits_for_sale: self.store.waits_for_sale(entry.seq),
            status: entry.status,
            invoice_no: entry.bound.map(|bound| bound.number),
            attempts: entry.attempts,
            unsure_sends: entry.unsure_sends,
            proof,
            words,
            acted,
        })
    }

    /// What the receipt of a sale is printed from.
    pub(super) fn printing(&self, trader_ref: &str) -> Result<Option<Printing>, LedgerError> {
        let Some(entry) = self.store.find(trader_ref).map_err(|error| read_failed(&error))? else {
            return Ok(None);
        };
        let bound = entry.bound.map(|bound| self.record(bound.at)).transpose()?;
        let bound = bound
            .map(|record| bodies::read_bind(&record.body).map_err(|error| body_failed(record.seq, &error)));
        let printed = entry.printed.map(|printed| {
            let record = self.record(printed.at)?;
            Ok(PrintedOriginal { again: printed.again, age: age(&record.stamp, &self.now) })
        });
        Ok(Some(Printing {
            sale: self.sale(&entry)?,
            trader: bound.transpose()?.map(|bound| bound.trader),
            original: match entry.credits {
                Some(original) => self.original(original)?,
                None => None,
            },
            printed: printed.transpose()?,
        }))
    }

    /// What there is to say about a sale that KRA refused, with these words if they are not yet on disk.
    pub(super) fn refusal(&self, document: Seq, words: Option<Words>) -> Result<OpenRefusal, LedgerError> {
        let entry = self.entry(document)?;
        let origin = self.record(entry.at)?.origin;
        let mut sale = self.sale(&entry)?;
        sale.words = words.or(sale.words);
        Ok(OpenRefusal {
            seq: sale.seq,
            origin,
            temporary_receipt_no: temporary_receipt_no(sale.seq, &sale.hash),
            accepted_ms: sale.accepted_ms,
            total: sale.invoice.total,
            credit_note: sale.is_credit_note(),
            words: sale.words_without_customer().unwrap_or_default(),
            trader_ref: sale.invoice.trader_ref,
        })
    }

    pub(super) fn outcome(&self, entry: &Entry) -> Result<Option<OutcomeRead>, LedgerError> {
        let Some(at) = entry.outcome else { return Ok(None) };
        let record = self.record(at)?;
        bodies::read_outcome(&record.body).map(Some).map_err(|error| body_failed(record.seq, &error))
    }

    pub(super) fn subject(&self, document: Seq) -> Result<Option<Subject>, LedgerError> {
        let Some(entry) = self.store.entry(document).map_err(|error| read_failed(&error))? else {
            return Ok(None);
        };
        let words = self.outcome(&entry)?.unwrap_or_default().words;
        let standing = Seen {
            status: entry.status,
            invoice_no: entry.bound.map(|bound| bound.number),
            attempts: entry.attempts,
            unsure_sends: entry.unsure_sends,
        };
        let original = entry.credits.map(|original| self.stands(original)).transpose()?;
        Ok(Some(Subject { standing, words, original }))
    }

    pub(super) fn sure_times_around(&self, document: Seq) -> Result<(Option<i64>, Option<i64>), LedgerError> {
        let first_sure = |records: Vec<Record>| {
            records.into_iter().map(|record| record.stamp).find(|stamp| stamp.synchronised)
        };
        let before = self.store.records_before(Some(document), None, PAGE);
        let after = self.store.records_after(Some(document), None, PAGE);
        let millis = |records: Result<Vec<Record>, ReadError>| {
            let records = records.map_err(|error| read_failed(&error))?;
            Ok(first_sure(records).map(|stamp| stamp.wall_ms))
        };
        let (before, after) = (millis(before)?, millis(after)?);
        if document >= self.store.first_seq() {
            return Ok((before, after));
        }
        // The records around it are no longer kept; others that were taken along with it were accepted around it, too.
        let (earlier, later) = self.sure_times_taken_along(document)?;
        Ok((before.or(earlier), later.or(after)))
    }

    fn sure_times_taken_along(&self, document: Seq) -> Result<(Option<i64>, Option<i64>), LedgerError> {
        let end = self.store.first_seq();
        let (mut earlier, mut after) = (None, None);
        loop {
            let page = self.store.unfinished(after, PAGE).map_err(|error| read_failed(&error))?;
            let Some(last) = page.last() else { return Ok((earlier, None)) };
            after = Some(last.seq);
            for entry in page {
                if entry.seq >= end {
                    return Ok((earlier, None));
                }
                if entry.accepted.synchronised && entry.seq < document {
                    earlier = Some(entry.accepted.wall_ms);
                } else if entry.accepted.synchronised && entry.seq > document {
                    return Ok((earlier, Some(entry.accepted.wall_ms)));
                }
            }
        }
    }

    /// The latest open refusals that came after KRA's last acceptance, oldest first.
    pub(super) fn latest_refusals(&self) -> Result<Vec<(Seq, Words)>, LedgerError> {
        let accepted = match self.store.series().last.and_then(|last| last.document) {
            Some(document) => self.decided_at(document)?,
            None => 0,
        };
        let mut refusals = Vec::new();
        for document in self.store.rejected().into_iter().rev().take(REFUSALS) {
            let Some(entry) = self.store.entry(document).map_err(|error| read_failed(&error))? else {
                continue;
            };
            let Some(at) = entry.outcome else { continue };
            let record = self.record(at)?;
            let outcome =
                bodies::read_outcome(&record.body).map_err(|error| body_failed(record.seq, &error))?;
            // Not by their places: what is taken along from an old segment has a new one.
            if record.seq > accepted {
                refusals.push((record.seq, document, outcome.words));
            }
        }
        refusals.sort_by_key(|(seq, ..)| *seq);
        Ok(refusals.into_iter().map(|(_, document, words)| (document, words)).collect())
    }

    /// The number of a document's latest outcome, finished or not; if it is not kept any more: of the last that is not.
    fn decided_at(&self, document: Seq) -> Result<Seq, LedgerError> {
        let gone = self.store.first_seq().saturating_sub(1);
        let record = self.sale_record(document)?;
        let Some(Effect::Document { key, .. }) = record.map(|record| record.effect) else { return Ok(gone) };
        let entry = self.store.find(&key).map_err(|error| read_failed(&error))?;
        let outcome = entry.filter(|entry| entry.seq == document).and_then(|entry| entry.outcome);
        outcome.map_or(Ok(gone), |at| Ok(self.record(at)?.seq))
    }

    /// The record of a sale, wherever it is kept; `None`: it is not any more.
    pub(super) fn sale_record(&self, document: Seq) -> Result<Option<Record>, LedgerError> {
        if let Some(record) = self.store.record(document).map_err(|error| read_failed(&error))? {
            return Ok(Some(record));
        }
        // It was taken along from an old segment; if it is finished since, only that record knows where to.
        if let Some(entry) = self.store.entry(document).map_err(|error| read_failed(&error))? {
            return self.record(entry.at).map(Some);
        }
        let mut before = None;
        loop {
            let carries = self.store.records_before(before, Some(Kind::Carry), PAGE);
            let carries = carries.map_err(|error| read_failed(&error))?;
            for carry in &carries {
                if let Effect::Carried(carried) = &carry.effect
                    && carried.document == document
                {
                    let sale = carried.sale.bytes(&carry.body).and_then(decode_record);
                    return sale.map(Some).map_err(|Malformed(what)| {
                        LedgerError::Failed(format!("record {}: {what}", carry.seq))
                    });
                }
            }
            match carries.last() {
                Some(oldest) => before = Some(oldest.seq),
                None => return Ok(None),
            }
        }
    }

    /// KRA's signature under this number, as our books have it. The last one is at hand; older ones are looked for in the
    /// journal, from its end.
    pub(super) fn signature_under(&self, number: u64) -> Result<Option<String>, LedgerError> {
        let series = self.store.series();
        if let Some(last) = series.last.filter(|last| last.number == number) {
            return Ok(Some(last.sign));
        }
        let under = |(found, sign): (u64, &str)| (found == number).then(|| sign.to_owned());
        self.look_back(usize::MAX, |record| signed(record).and_then(under))
    }

    /// The number under which KRA gave this signature, as our books have it; looked for so far back only.
    pub(super) fn number_signed(&self, signature: &str) -> Option<u64> {
        let same = |(number, sign): (u64, &str)| (sign == signature).then_some(number);
        // Damage ends the look, and is told elsewhere: a sale does not wait for it.
        self.look_back(SIGNATURES, |record| signed(record).and_then(same)).unwrap_or_default()
    }

    /// What is first found among the newest records, so many at most, the newest first.
    pub(super) fn look_back<T>(
        &self,
        most: usize,
        wanted: impl Fn(&Record) -> Option<T>,
    ) -> Result<Option<T>, LedgerError> {
        let (mut before, mut seen) = (None, 0_usize);
        while seen < most {
            let records =
                self.store.records_before(before, None, PAGE).map_err(|error| read_failed(&error))?;
            if let Some(found) = records.iter().find_map(&wanted) {
                return Ok(Some(found));
            }
            let Some(oldest) = records.last() else { break };
            (before, seen) = (Some(oldest.seq), seen.saturating_add(records.len()));
        }
        Ok(None)
    }

    pub(super) fn find(&self, trader_ref: &str) -> Result<Option<Sale>, LedgerError> {
        let entry = self.store.find(trader_ref).map_err(|error| read_failed(&error))?;
        entry.map(|entry| self.sale(&entry)).transpose()
    }

    pub(super) fn entry(&self, document: Seq) -> Result<Entry, LedgerError> {
        self.store
            .entry(document)
            .map_err(|error| read_failed(&error))?
            .ok_or_else(|| LedgerError::Failed(format!("document {document} is not among the unfinished")))
    }

    pub(super) fn recent(
        &self,
        mut before: Option<Seq>,
        status: Option<Status>,
        limit: usize,
    ) -> Result<(Vec<Sale>, Option<Seq>), LedgerError> {
        let mut sales = Vec::new();
        loop {
            let records = self
                .store
                .records_before(before, Some(Kind::Sale), limit)
                .map_err(|error| read_failed(&error))?;
            let last_page = records.len() < limit;
            for record in records {
                before = Some(record.seq);
                let Effect::Document { key, .. } = &record.effect else { continue };
                let Some(entry) = self.store.find(key).map_err(|error| read_failed(&error))? else {
                    continue;
                };
                if status.is_none_or(|status| status == entry.status) {
                    sales.push(self.sale(&entry)?);
                }
                if sales.len() == limit {
                    return Ok((sales, before));
                }
            }
            if last_page {
                return self.taken_along(sales, before, status, limit);
            }
        }
    }

    /// Goes on with what was taken along from segments that are no longer kept and is not finished yet: it is older than
    /// all that is kept.
    fn taken_along(
        &self,
        mut sales: Vec<Sale>,
        before: Option<Seq>,
        status: Option<Status>,
        limit: usize,
    ) -> Result<(Vec<Sale>, Option<Seq>), LedgerError> {
        let end = self.store.first_seq().min(before.unwrap_or(Seq::MAX));
        let mut older: Vec<Entry> = Vec::new();
        loop {
            let after = older.last().map(|entry| entry.seq);
            let page = self.store.unfinished(after, PAGE).map_err(|error| read_failed(&error))?;
            let full = page.len() == PAGE;
            older.extend(page.into_iter().filter(|entry| entry.seq < end));
            if !full || older.last().map(|entry| entry.seq) == after {
                break;
            }
        }
        for entry in older.iter().rev().filter(|entry| status.is_none_or(|status| status == entry.status)) {
            sales.push(self.sale(entry)?);
            if sales.len() == limit {
                return Ok((sales, Some(entry.seq)));
            }
        }
        Ok((sales, None))
    }

    /// `aside`: ascending.
    pub(super) fn view(&self, aside: &[Seq]) -> Result<View, LedgerError> {
        let series = self.store.series();
        let first_ready = |not: Option<Seq>| -> Result<Option<Entry>, LedgerError> {
            let passed_over = |seq: Seq| Some(seq) == not || aside.binary_search(&seq).is_ok();
            self.store.first_pending_but(passed_over).map_err(|error| read_failed(&error))
        };
        // Whoever is bound keeps its turn, even if somebody before it is ready again.
        let head = match self.store.bound() {
            Some(document) => Some(self.entry(document)?),
            None => first_ready(None)?,
        };
        let after = match &head {
            Some(head) => first_ready(Some(head.seq))?,
            None => None,
        };
        let waiting = |entry: &Entry| -> Result<Waiting, LedgerError> {
            let original = entry.credits.map(|original| Ok((original, self.stands(original)?)));
            Ok(Waiting { original: original.transpose()?, ..waiting(entry) })
        };
        let stranded = match self.store.stranded_note() {
            // One that was decided about between the two looks is no longer there.
            Some(note) => self.store.entry(note).map_err(|error| read_failed(&error))?,
            None => None,
        };
        let mut waiting_head = head.as_ref().map(waiting).transpose()?;
        if let (Some(waiting), Some(head)) = (&mut waiting_head, &head)
            && waiting.answered
        {
            waiting.accepted = self.outcome(head)?.is_some_and(|outcome| outcome.accepted);
        }
        Ok(View {
            head: waiting_head,
            after: after.as_ref().map(waiting).transpose()?,
            stranded: stranded.as_ref().map(waiting).transpose()?,
            next_number: series.next,
            last: series.last.map(|last| (last.number, last.sign)),
        })
    }
}

fn waiting(entry: &Entry) -> Waiting {
    let place = |at: Located| (at.segment, at.offset);
    let answered = match (entry.bound, entry.outcome) {
        (Some(bound), Some(outcome)) => place(outcome) > place(bound.at),
        _ => false,
    };
    Waiting {
        document: entry.seq,
        bound: entry.bound.map(|bound| bound.number),
        unsure_sends: entry.unsure_sends,
        answered,
        accepted: false,
        attempts: entry.attempts,
        original: None,
    }
}

/// How long ago: by the clock that does not jump. Over a restart of the machine it is only known to be as long as this run
/// of it, and by the wall clock where that was to be trusted both times: a wrong clock makes nobody's sale old.
pub(super) fn age(then: &Stamp, now: &Stamp) -> Duration {
    let by_wall = u64::try_from(now.wall_ms.saturating_sub(then.wall_ms)).unwrap_or(0);
    let trusted = then.synchronised && now.synchronised;
    let millis = if then.same_boot(now) {
        now.monotonic_ms.saturating_sub(then.monotonic_ms)
    } else if now.boot == Stamp::NO_BOOT {
        if trusted { by_wall } else { 0 }
    } else if trusted {
        by_wall.max(now.monotonic_ms)
    } else {
        now.monotonic_ms
    };
    Duration::from_millis(millis)
}

/// The number that KRA has by this record, and its signature.
fn signed(record: &Record) -> Option<(u64, &str)> {
    match &record.effect {
        Effect::Moved { binding: Binding::Used { sign }, .. } => Some((record.used?, sign)),
        Effect::Series { last: Some(last), .. } => Some((last.number, &last.sign)),
        _ => None,
    }
}

pub(super) fn read_failed(error: &ReadError) -> LedgerError {
    match error {
        ReadError::Stopping => LedgerError::Stopping,
        error => LedgerError::Failed(error.to_string()),
    }
}

pub(super) fn body_failed(seq: Seq, error: &UnreadableBody) -> LedgerError {
    LedgerError::Failed(format!("record {seq}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_do_not_go_by_a_clock_that_may_be_wrong() {
        let at = |wall_ms, boot, monotonic_ms, synchronised| Stamp {
            wall_ms,
            boot: [boot; 16],
            monotonic_ms,
            synchronised,
        };
        for (what, then, now, expected) in [
            (
                "the same run, whatever the wall clock did",
                at(0, 1, 1_000, false),
                at(9_999_999, 1, 61_000, true),
                60_000,
            ),
            (
                "over a restart, both clocks good",
                at(1_000_000, 1, 5, true),
                at(4_600_000, 2, 60_000, true),
                3_600_000,
            ),
            (
                "both good, and yet less than this run",
                at(1_000_000, 1, 5, true),
                at(1_000_500, 2, 60_000, true),
                60_000,
            ),
            ("over a restart, not good before", at(0, 1, 5, false), at(4_600_000, 2, 60_000, true), 60_000),
            (
                "over a restart, not good now",
                at(1_000_000, 1, 5, true),
                at(99_600_000, 2, 60_000, false),
                60_000,
            ),
            ("no boot is known, clocks good", at(1_000_000, 0, 5, true), at(1_060_000, 0, 7, true), 60_000),
            ("no boot is known, clocks bad", at(1_000_000, 0, 5, false), at(1_060_000, 0, 7, true), 0),
        ] {
            assert_eq!(age(&then, &now), Duration::from_millis(expected), "{what}");
        }
    }
}
