//! What the records that are left say of documents and of KRA's numbers, be it of documents whose own record is lost; pure.

use std::collections::BTreeMap;

use crate::queue::{Seq, Status};
use crate::store::effect::{Binding, Effect, LastAccepted, SeriesState};
use crate::store::entry::Entry;
use crate::store::fold::subject;
use crate::store::record::{Kind, Record};
use crate::store::standing::{Base, Checkpoint};

/// A document that is not finished, as far as can be read.
#[derive(Clone, Debug)]
pub(super) struct Open {
    pub(super) entry: Entry,
    /// The last record that says where it stands.
    pub(super) touched: Seq,
    /// The series' next number then.
    pub(super) next: u64,
    /// Its number went to another document since: the record that took it away is lost.
    pub(super) taken: bool,
}

/// Grows record by record, in their order.
#[derive(Default)]
pub(super) struct Knowledge {
    /// The first running number that may be there.
    pub(super) first: Seq,
    /// Running numbers of lost records, ascending.
    pub(super) lost: Vec<Seq>,
    /// Documents that are not finished.
    pub(super) open: BTreeMap<Seq, Open>,
    /// Documents that KRA signed, or a person closed: their receipts may have been printed, and they may have been credited
    /// later.
    pub(super) ended: BTreeMap<Seq, Entry>,
    /// How documents whose own record is lost stood last, by other records.
    pub(super) orphans: BTreeMap<Seq, String>,
    /// Numbers that KRA accepted, ours and foreign ones, with its signature.
    pub(super) used: BTreeMap<u64, String>,
    /// Where the series stands, by all that is left.
    pub(super) series: SeriesState,
}

impl Knowledge {
    /// What a record says beside its own document.
    pub(super) fn learn(&mut self, record: &Record) {
        let standing = match record.kind {
            Kind::Base => Base::decode(&record.body).ok().map(|base| base.standing),
            Kind::Checkpoint => Checkpoint::decode(&record.body).ok().map(|checkpoint| checkpoint.standing),
            _ => None,
        };
        if let Some(standing) = standing {
            self.series = standing.series;
        }
        match &record.effect {
            Effect::Moved { document, binding: Binding::Used { sign }, .. } => {
                if let Some(number) = record.used {
                    self.used.insert(number, sign.clone());
                    if number >= self.series.next {
                        let last = LastAccepted { number, sign: sign.clone(), document: Some(*document) };
                        self.series = SeriesState { next: number.saturating_add(1), last: Some(last) };
                    }
                }
            }
            // A number is bound once all below it are used.
            Effect::Bound { number, .. } if *number > self.series.next => {
                self.series = SeriesState { next: *number, last: None };
            }
            Effect::Series { next, last } => {
                if let Some(last) = last {
                    self.used.insert(last.number, last.sign.clone());
                }
                self.series = SeriesState { next: *next, last: last.clone() };
            }
            _ => {}
        }
        self.learn_of_orphan(record);
    }

    fn learn_of_orphan(&mut self, record: &Record) {
        let Some(document) = subject(&record.effect) else { return };
        let lost = document < self.first || self.lost.binary_search(&document).is_ok();
        if !lost || self.open.contains_key(&document) {
            return;
        }
        let said = match &record.effect {
            Effect::Moved { status, .. } => match record.used {
                Some(number) => format!("{} under number {number}", status.word()),
                None => status.word().to_owned(),
            },
            Effect::Bound { number, .. } => format!("bound to number {number}"),
            _ => return,
        };
        self.orphans.insert(document, said);
    }

    /// A document as a record leaves it.
    pub(super) fn changed(&mut self, by: Seq, effect: &Effect, entry: &Entry) {
        if let Effect::Bound { document, number } = effect {
            // Two documents are never bound to one number.
            for other in self.open.values_mut().filter(|it| it.entry.seq != *document) {
                other.taken |= other.entry.bound.is_some_and(|bound| bound.number == *number);
            }
        }
        // A receipt is printed, and goods come back, of what stands as it stands: what was lost before is no less lost.
        let says = matches!(
            effect,
            Effect::Bound { .. } | Effect::Carried(_) | Effect::Document { .. } | Effect::Moved { .. }
        );
        if !says && let Some(open) = self.open.get_mut(&entry.seq) {
            open.entry = entry.clone();
            return;
        }
        if entry.status.is_finished() {
            self.open.remove(&entry.seq);
            if matches!(entry.status, Status::Settled | Status::Signed) {
                self.ended.insert(entry.seq, entry.clone());
            }
        } else {
            let open = Open { entry: entry.clone(), touched: by, next: self.series.next, taken: false };
            self.open.insert(entry.seq, open);
        }
    }
}
