//! What is to become of a request: by the store's rules, the index, and the group in hand. Nothing is written here.

use super::{BASE_BOUND, Committer, Draft, Step};
use crate::queue::Seq;
use crate::store::codec::{length_u64, length_usize};
use crate::store::effect::Effect;
use crate::store::entry::Entry;
use crate::store::error::{CommitError, ReadError};
use crate::store::fold::{Changes, subject};
use crate::store::group::OVERHEAD;
use crate::store::inbox::{Condition, Request};
use crate::store::record::Located;
use crate::store::room::needed_by;
use crate::store::rules::{Uncreditable, check_form, judge_step, may_be_credited, may_print};
use crate::store::shelf::{is_shelved, row_of};

/// What to do with a request.
pub(super) enum Considered {
    Known(Box<Entry>),
    /// The group in hand changes what it depends on: that group first.
    Later,
    Refused(CommitError),
    /// What was found out for each record.
    Take(Vec<Step>),
    Twin(String),
}

impl Committer {
    /// Checks a request against the store's rules, the index, and the group in hand.
    pub(super) fn consider(
        &self,
        draft: Option<&Draft>,
        request: &Request,
        bytes: usize,
    ) -> Result<Considered, ReadError> {
        if let Err(why) = check_form(&request.records) {
            return Ok(Considered::Refused(why));
        }
        if let Some(limit) = self.too_large(bytes) {
            return Ok(Considered::Refused(CommitError::TooLarge { bytes, limit }));
        }
        let changes = draft.map(|draft| &draft.changes);
        if let Some(decided) = self.consider_document(changes, request, bytes)? {
            return Ok(decided);
        }
        if request.records.iter().any(|record| is_shelved(record.kind)) {
            // What becomes of the waiting sales has the first claim on what is left of the disk.
            let room = self.shared.room();
            let more = changes.map_or(0, Changes::newly_needed).saturating_add(length_u64(bytes));
            if !room.takes(more) {
                return Ok(Considered::Refused(CommitError::DiskLow { room }));
            }
        }
        for Condition { document, status } in request.conditions.iter().copied() {
            let found = self.entry(changes, document)?.map(|entry| entry.status);
            if found != Some(status) {
                return Ok(Considered::Refused(CommitError::Changed { document, expected: status, found }));
            }
        }
        let mut steps = Vec::with_capacity(request.records.len());
        // What earlier records of this request make of documents: whether it is finished, and its number.
        let mut touched: Vec<(Seq, bool, Option<u64>)> = Vec::new();
        for record in &request.records {
            let Some(document) = subject(&record.effect) else {
                let shelved = match row_of(record.kind, &record.effect) {
                    Some(row) => self.shelf_place(changes, &row)?,
                    None => None,
                };
                steps.push(Step { shelved, ..Step::default() });
                continue;
            };
            if let Effect::Printed { key, again, .. } = &record.effect {
                let known = self.finished(changes, key)?;
                if let Err(what) = may_print(known.as_ref(), document, *again) {
                    return Ok(Considered::Refused(CommitError::NoSuchDocument { document, what }));
                }
                steps.push(Step { known, ..Step::default() });
                continue;
            }
            if let Effect::Credited { document, key, after, takes } = &record.effect {
                let known = self.finished(changes, key)?;
                match may_be_credited(known.as_ref(), *document, *after, *takes) {
                    Ok(()) => steps.push(Step { known, ..Step::default() }),
                    Err(_) if changes.is_some_and(|changes| changes.entry(*document).is_some()) => {
                        // Whoever asked would find what the index says now, and ask again at once.
                        return Ok(Considered::Later);
                    }
                    Err(Uncreditable::Changed) => {
                        return Ok(Considered::Refused(CommitError::CreditChanged { document: *document }));
                    }
                    Err(Uncreditable::Unknown) => {
                        let (document, what) = (*document, "is unknown");
                        return Ok(Considered::Refused(CommitError::NoSuchDocument { document, what }));
                    }
                }
                continue;
            }
            let earlier = touched.iter().rev().find(|(seq, ..)| *seq == document).copied();
            let mut known = None;
            let (finished, bound) = if let Some((_, finished, bound)) = earlier {
                (finished, bound)
            } else {
                known = self.entry(changes, document)?;
                let standing = known
                    .as_ref()
                    .map(|entry| (entry.status.is_finished(), entry.bound.map(|bound| bound.number)));
                standing.unwrap_or((true, None))
            };
            match judge_step(&record.effect, finished, bound) {
                Err(what) => return Ok(Considered::Refused(CommitError::NoSuchDocument { document, what })),
                Ok((finished, bound, used)) => {
                    touched.push((document, finished, bound));
                    steps.push(Step { used, known, shelved: None });
                }
            }
        }
        Ok(Considered::Take(steps))
    }

    /// A document that is known, or has a twin in the group in hand, or for which there is no room; `None`: go on. This
    /// comes before anything else: a repeat is a repeat whatever has changed since.
    fn consider_document(
        &self,
        changes: Option<&Changes>,
        request: &Request,
        bytes: usize,
    ) -> Result<Option<Considered>, ReadError> {
        let document = request.records.iter().find_map(|record| match &record.effect {
            Effect::Document { key, queued, .. } => Some((key, *queued)),
            _ => None,
        });
        let Some((key, queued)) = document else { return Ok(None) };
        if changes.is_some_and(|changes| changes.by_key(key).is_some()) {
            return Ok(Some(Considered::Twin(key.clone())));
        }
        if let Some(entry) = self.shared.find(key)? {
            return Ok(Some(Considered::Known(Box::new(entry))));
        }
        let waiting = self.sums.queue.count + changes.map_or(0, Changes::newly_queued);
        if queued && waiting >= self.options.max_documents {
            return Ok(Some(Considered::Refused(CommitError::QueueFull { waiting })));
        }
        let room = self.shared.room();
        let more = changes.map_or(0, Changes::newly_needed).saturating_add(needed_by(length_u64(bytes)));
        Ok((!room.takes(more)).then_some(Considered::Refused(CommitError::DiskLow { room })))
    }

    /// A document that may be finished, by its key.
    fn finished(&self, changes: Option<&Changes>, key: &str) -> Result<Option<Entry>, ReadError> {
        match changes.and_then(|changes| changes.by_key(key)) {
            Some(entry) => Ok(Some(entry.clone())),
            None => self.shared.find(key),
        }
    }

    fn shelf_place(&self, changes: Option<&Changes>, row: &[u8]) -> Result<Option<Located>, ReadError> {
        match changes.and_then(|changes| changes.shelf.place(row)) {
            Some(place) => Ok(Some(place)),
            None => self.shared.shelf_place(row),
        }
    }

    fn entry(&self, changes: Option<&Changes>, document: Seq) -> Result<Option<Entry>, ReadError> {
        match changes.and_then(|changes| changes.entry(document)) {
            Some(entry) => Ok(Some(entry.clone())),
            None => self.shared.entry(document),
        }
    }

    /// The most bytes that a group takes, if these are more.
    pub(crate) fn too_large(&self, bytes: usize) -> Option<usize> {
        let limit = length_usize(self.options.segment_size) - OVERHEAD - BASE_BOUND;
        (bytes > limit).then_some(limit)
    }
}
