//! What a record does to a document: the same pure function for a commit, a replay and a rebuild.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::queue::{Seq, Status};
use crate::store::effect::{Binding, Effect};
use crate::store::entry::{Bound, Credited, Entry, Printed, Row, seq_key};
use crate::store::group::Sums;
use crate::store::options::Counts;
use crate::store::record::{Kind, Located, Stamp};
use crate::store::room::needed_by;
use crate::store::shelf::{ShelfChanges, ShelfSegments};

/// A record in its place, as far as the index is concerned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed<'a> {
    pub(crate) seq: Seq,
    pub(crate) kind: Kind,
    pub(crate) stamp: Stamp,
    pub(crate) at: Located,
    pub(crate) effect: &'a Effect,
}

/// The existing document that an effect is about.
pub(crate) fn subject(effect: &Effect) -> Option<Seq> {
    match effect {
        Effect::Bound { document, .. }
        | Effect::Credited { document, .. }
        | Effect::Credits { document, .. }
        | Effect::Moved { document, .. }
        | Effect::Printed { document, .. } => Some(*document),
        Effect::Carried(carried) => Some(carried.document),
        Effect::None
        | Effect::Document { .. }
        | Effect::Alerts
        | Effect::Hardware
        | Effect::Series { .. }
        | Effect::Kept { .. }
        | Effect::Shelved { .. }
        | Effect::Reshelved { .. }
        | Effect::Retired(_) => None,
    }
}

/// The document after the record. `None`: the record changes none, or one that is not there (finished, in a replay).
pub(crate) fn after(old: Option<&Entry>, placed: Placed<'_>) -> Option<Entry> {
    match placed.effect {
        Effect::None
        | Effect::Alerts
        | Effect::Hardware
        | Effect::Series { .. }
        | Effect::Kept { .. }
        | Effect::Shelved { .. }
        | Effect::Reshelved { .. }
        | Effect::Retired(_) => None,
        Effect::Carried(carried) => Some(carried.entry(placed.at)),
        Effect::Document { key, content, queued, credits } => Some(Entry {
            seq: placed.seq,
            key: key.clone(),
            content: *content,
            status: if *queued { Status::Pending } else { Status::NotFiscal },
            accepted: placed.stamp,
            at: placed.at,
            bound: None,
            attempts: 0,
            unsure_sends: 0,
            outcome: None,
            printed: None,
            credited: None,
            credits: *credits,
        }),
        Effect::Credited { .. } => {
            Some(Entry { credited: Some(Credited { by: placed.seq, at: placed.at }), ..old?.clone() })
        }
        Effect::Credits { original, .. } => Some(Entry { credits: Some(*original), ..old?.clone() }),
        Effect::Bound { number, .. } => {
            Some(Entry { bound: Some(Bound { number: *number, at: placed.at }), ..old?.clone() })
        }
        Effect::Printed { again, .. } => {
            Some(Entry { printed: Some(Printed { again: *again, at: placed.at }), ..old?.clone() })
        }
        Effect::Moved { status, attempts, unsure_sends, binding, .. } => {
            let mut entry = old?.clone();
            entry.status = *status;
            entry.attempts = *attempts;
            entry.unsure_sends = *unsure_sends;
            if placed.kind == Kind::Outcome {
                entry.outcome = Some(placed.at);
            }
            match binding {
                Binding::Release => entry.bound = None,
                Binding::Keep | Binding::Used { .. } => {}
            }
            Some(entry)
        }
    }
}

/// The documents that a group (or a replayed segment) touches: as they were in the trees, and as they are after it.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    entries: HashMap<Seq, Change>,
    keys: HashMap<String, Seq>,
    order: Vec<Seq>,
    /// Finished documents whose record is no longer kept: key and value in `by_key`.
    retired: Vec<(String, Vec<u8>)>,
    /// What it puts on the shelf.
    pub(crate) shelf: ShelfChanges,
}

#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) before: Option<Entry>,
    pub(crate) after: Entry,
}

impl Changes {
    /// The document as the changes so far leave it.
    pub(crate) fn entry(&self, seq: Seq) -> Option<&Entry> {
        self.entries.get(&seq).map(|change| &change.after)
    }

    /// The document with this key, if it came with these changes or was touched by them.
    pub(crate) fn by_key(&self, key: &str) -> Option<&Entry> {
        self.keys.get(key).and_then(|seq| self.entry(*seq))
    }

    /// Notes what a record made of a document; `before` is what the trees hold and counts the first time only.
    pub(crate) fn note(&mut self, before: Option<Entry>, after: Entry) {
        let seq = after.seq;
        if let Some(change) = self.entries.get_mut(&seq) {
            change.after = after;
            return;
        }
        self.keys.insert(after.key.clone(), seq);
        self.order.push(seq);
        self.entries.insert(seq, Change { before, after });
    }

    /// All changes, in the order in which the documents were first touched.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Change> {
        self.order.iter().filter_map(|seq| self.entries.get(seq))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.order.is_empty() && self.retired.is_empty() && self.shelf.is_empty()
    }

    /// Only finished documents that leave the index: their keys and values in `by_key`.
    pub(crate) fn of_retired(retired: Vec<(String, Vec<u8>)>) -> Self {
        Self { retired, ..Self::default() }
    }

    /// The keys that leave the index, and their values.
    pub(crate) fn retired(&self) -> &[(String, Vec<u8>)] {
        &self.retired
    }

    /// Documents that were not in the trees and will be unfinished: what counts against the queue's limit.
    pub(crate) fn newly_queued(&self) -> u64 {
        self.iter()
            .map(|change| u64::from(change.before.is_none() && !change.after.status.is_finished()))
            .sum()
    }

    /// What becomes of those will take so many bytes of journal.
    pub(crate) fn newly_needed(&self) -> u64 {
        let new = self.iter().filter(|change| change.before.is_none() && !change.after.status.is_finished());
        new.map(|change| needed_by(u64::from(change.after.at.length))).sum()
    }

    /// The sums of the trees once these changes are in them.
    pub(crate) fn sums_after(&self, mut sums: Sums) -> Sums {
        for Change { before, after } in self.iter() {
            if let Some(before) = before {
                let rows = before.rows();
                sums.keys.remove(before.key.as_bytes(), &rows.key);
                if let Some(row) = rows.open {
                    sums.queue.remove(&seq_key(before.seq), &row);
                }
            }
            let rows = after.rows();
            sums.keys.add(after.key.as_bytes(), &rows.key);
            if let Some(row) = rows.open {
                sums.queue.add(&seq_key(after.seq), &row);
            }
        }
        for (key, value) in &self.retired {
            sums.keys.remove(key.as_bytes(), value);
        }
        sums.shelf = self.shelf.sum_after(sums.shelf);
        sums
    }
}

/// Counts over the unfinished documents, kept in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    waiting: u64,
    in_doubt: u64,
    /// Those in KRA's books whose proof is not here, in order of acceptance.
    pub(crate) without_proof: BTreeSet<Seq>,
    /// Those that KRA refused and nobody has settled.
    pub(crate) rejected: BTreeSet<Seq>,
    /// The pending ones, in order of acceptance.
    pub(crate) pending: BTreeSet<Seq>,
    /// Those of them that are tied to a number: one of a series at a time.
    pub(crate) bound: BTreeSet<Seq>,
    /// The parked ones, in order of acceptance.
    pub(crate) parked: BTreeSet<Seq>,
    /// The unfinished credit notes, and their sales.
    pub(crate) credits: BTreeMap<Seq, Seq>,
    /// The same by their sales.
    notes: BTreeSet<(Seq, Seq)>,
    /// How many records of unfinished documents are in which segment.
    segments: BTreeMap<u32, u64>,
    /// The same of what stands on the shelf.
    pub(crate) shelf: ShelfSegments,
    /// What becomes of the unfinished ones will take so many bytes of journal.
    pub(crate) needed: u64,
}

impl Tally {
    /// Takes the changes in.
    pub(crate) fn apply(&mut self, changes: &Changes) {
        for change in changes.iter() {
            if let Some(before) = &change.before {
                self.uncount(&before.row());
            }
            self.count(&change.after.row());
        }
        self.shelf.apply(&changes.shelf);
    }

    /// Whether it is a credit note whose sale KRA has not decided about.
    pub(crate) fn waits_for_sale(&self, document: Seq) -> bool {
        let sale = self.credits.get(&document).filter(|_| self.pending.contains(&document));
        sale.is_some_and(|sale| self.pending.contains(sale))
    }

    /// A pending credit note whose sale is set aside or refused.
    pub(crate) fn stranded(&self) -> Option<Seq> {
        let sales = self.parked.iter().chain(&self.rejected);
        let notes = sales.flat_map(|sale| self.notes.range((*sale, 0)..=(*sale, Seq::MAX)));
        notes.map(|(_, note)| *note).find(|note| self.pending.contains(note) && !self.bound.contains(note))
    }

    /// The first parked credit notes after `after`, in order of acceptance, whose sale is not itself set aside or refused.
    pub(crate) fn parked_notes(&self, after: Option<Seq>, limit: usize) -> Vec<Seq> {
        let from = after.map_or(0, |after| after.saturating_add(1));
        let may_go = |note: &&Seq| {
            let sale = self.credits.get(*note);
            sale.is_some_and(|sale| !self.parked.contains(sale) && !self.rejected.contains(sale))
        };
        self.parked.range(from..).filter(may_go).take(limit).copied().collect()
    }

    /// One more unfinished document; a finished one changes nothing.
    pub(crate) fn count(&mut self, entry: &Row) {
        if entry.status.is_finished() {
            return;
        }
        for counter in self.counters(entry).into_iter().flatten() {
            *counter += 1;
        }
        match entry.status {
            Status::Pending => {
                self.pending.insert(entry.seq);
                if entry.bound.is_some() {
                    self.bound.insert(entry.seq);
                }
            }
            Status::Rejected => {
                self.rejected.insert(entry.seq);
            }
            Status::Parked => {
                self.parked.insert(entry.seq);
            }
            Status::AcceptedNoProof => {
                self.without_proof.insert(entry.seq);
            }
            Status::NotFiscal | Status::Settled | Status::Signed => {}
        }
        if let Some(original) = entry.credits {
            self.credits.insert(entry.seq, original);
            self.notes.insert((original, entry.seq));
        }
        for segment in entry.segments() {
            *self.segments.entry(segment).or_default() += 1;
        }
        self.needed += needed_by(u64::from(entry.at.length));
    }

    fn uncount(&mut self, entry: &Row) {
        if entry.status.is_finished() {
            return;
        }
        for counter in self.counters(entry).into_iter().flatten() {
            *counter = counter.saturating_sub(1);
        }
        self.pending.remove(&entry.seq);
        self.rejected.remove(&entry.seq);
        self.bound.remove(&entry.seq);
        self.parked.remove(&entry.seq);
        self.without_proof.remove(&entry.seq);
        if let Some(original) = self.credits.remove(&entry.seq) {
            self.notes.remove(&(original, entry.seq));
        }
        self.needed = self.needed.saturating_sub(needed_by(u64::from(entry.at.length)));
        for segment in entry.segments() {
            if let Some(count) = self.segments.get_mut(&segment) {
                *count -= 1;
                if *count == 0 {
                    self.segments.remove(&segment);
                }
            }
        }
    }

    fn counters(&mut self, entry: &Row) -> [Option<&mut u64>; 2] {
        match entry.status {
            Status::Pending if entry.unsure_sends > 0 => [Some(&mut self.waiting), Some(&mut self.in_doubt)],
            Status::Pending => [Some(&mut self.waiting), None],
            _ => [None, None],
        }
    }

    /// The segments that unfinished documents need, ascending.
    pub(crate) fn needed_segments(&self) -> Vec<u32> {
        self.segments.keys().copied().collect()
    }

    pub(crate) fn counts(&self, documents_total: u64, oldest_waiting: Option<Stamp>) -> Counts {
        Counts {
            waiting: self.waiting,
            in_doubt: self.in_doubt,
            parked: u64::try_from(self.parked.len()).unwrap_or(u64::MAX),
            rejected: u64::try_from(self.rejected.len()).unwrap_or(u64::MAX),
            accepted_no_proof: u64::try_from(self.without_proof.len()).unwrap_or(u64::MAX),
            documents_total,
            oldest_waiting,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(segment: u32) -> Located {
        Located { segment, offset: 224, length: 10, crc: 0 }
    }

    fn step(old: Option<&Entry>, seq: Seq, kind: Kind, effect: &Effect) -> Option<Entry> {
        after(old, Placed { seq, kind, stamp: Stamp::default(), at: at(u32::try_from(seq).unwrap()), effect })
    }

    fn moved(status: Status, unsure_sends: u32, binding: Binding) -> Effect {
        Effect::Moved { document: 1, status, attempts: 3, unsure_sends, binding }
    }

    #[test]
    fn a_document_goes_its_way() {
        let sale = Effect::Document { key: "A".into(), content: [1; 32], queued: true, credits: None };
        let entry = step(None, 1, Kind::Sale, &sale).unwrap();
        assert_eq!((entry.status, entry.bound), (Status::Pending, None));
        let bound = step(Some(&entry), 2, Kind::Bind, &Effect::Bound { document: 1, number: 8 }).unwrap();
        assert_eq!(bound.bound, Some(Bound { number: 8, at: at(2) }));
        let doubt = step(Some(&bound), 3, Kind::Outcome, &moved(Status::Pending, 1, Binding::Keep)).unwrap();
        assert_eq!((doubt.unsure_sends, doubt.bound, doubt.outcome), (1, bound.bound, Some(at(3))));
        let freed = step(Some(&doubt), 4, Kind::Admin, &moved(Status::Parked, 0, Binding::Release)).unwrap();
        assert_eq!((freed.bound, freed.outcome, freed.attempts), (None, Some(at(3)), 3));
        let used = Binding::Used { sign: "S".into() };
        let signed = step(Some(&doubt), 5, Kind::Outcome, &moved(Status::Signed, 0, used)).unwrap();
        assert_eq!(signed.bound, bound.bound);
        assert_eq!(step(None, 6, Kind::Outcome, &moved(Status::Signed, 0, Binding::Keep)), None);
        let training = Effect::Document { key: "T".into(), content: [1; 32], queued: false, credits: None };
        assert_eq!(step(None, 1, Kind::Sale, &training).unwrap().status, Status::NotFiscal);
    }

    #[test]
    fn sums_and_counts_depend_on_the_end_only() {
        let sale = Effect::Document { key: "A".into(), content: [1; 32], queued: true, credits: None };
        let new = step(None, 1, Kind::Sale, &sale).unwrap();
        let doubt = step(Some(&new), 2, Kind::Outcome, &moved(Status::Pending, 1, Binding::Keep)).unwrap();
        let signed = step(Some(&doubt), 3, Kind::Outcome, &moved(Status::Signed, 0, Binding::Keep)).unwrap();

        let (mut sums, mut tally) = (Sums::default(), Tally::default());
        for (before, after) in [(None, &new), (Some(&new), &doubt)] {
            let mut changes = Changes::default();
            changes.note(before.cloned(), after.clone());
            sums = changes.sums_after(sums);
            tally.apply(&changes);
        }
        assert_eq!(
            tally.counts(1, None),
            Counts { waiting: 1, in_doubt: 1, documents_total: 1, ..Counts::default() }
        );
        assert_eq!(tally.needed_segments(), [1, 2]);

        let mut at_once = Changes::default();
        at_once.note(None, new);
        at_once.note(None, doubt.clone());
        assert_eq!(at_once.sums_after(Sums::default()), sums);
        assert_eq!(at_once.newly_queued(), 1);

        let mut last = Changes::default();
        last.note(Some(doubt), signed);
        sums = last.sums_after(sums);
        tally.apply(&last);
        assert_eq!(tally, Tally::default());
        assert_eq!(sums.queue, Sums::default().queue);
        assert_eq!(sums.keys.count, 1);
        assert_eq!(last.newly_queued(), 0);
    }
}
