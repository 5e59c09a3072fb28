//! The story of one document: its records, read from its acceptance on to where it was finished, or to the log's end.

use super::admin_body::read_act_about;
use super::bodies::{self, OutcomeRead};
use super::carry::Carried;
use super::ledger::JournalLedger;
use super::reading::{Reader, body_failed, read_failed};
use super::record::{Malformed, decode_record};
use super::{Binding, Cursor, Effect, Kind, ReadError, Record};
use crate::gateway::ports::{Came, Chapter, LedgerError, NumberThen, Stories, Told};
use crate::queue::Seq;

/// The kinds of records that are about documents.
const KINDS: &[Kind] = &[Kind::Admin, Kind::Bind, Kind::Carry, Kind::Outcome, Kind::Sale];
/// Records of one page.
const PAGE: usize = 500;
/// Chapters that are told at most: a document is tried again and again only with long pauses.
const MOST: usize = 2000;

impl Stories for JournalLedger {
    async fn story(&self, document: Seq) -> Result<Vec<Chapter>, LedgerError> {
        self.reading(move |reader| reader.story(document)).await
    }
}

impl Reader {
    pub(super) fn story(&self, document: Seq) -> Result<Vec<Chapter>, LedgerError> {
        let mut chapters = Vec::new();
        let mut cursor = Cursor::after(document.saturating_sub(1));
        let head = self.store.head().0;
        while cursor.read_to() < head && chapters.len() < MOST {
            let records = match self.store.read_on(&mut cursor, Some(KINDS), PAGE) {
                Ok(records) => records,
                // What can be told is told.
                Err(ReadError::Damaged(_)) => {
                    if self.store.skip_damage(&mut cursor).map_err(|error| read_failed(&error))? {
                        continue;
                    }
                    break;
                }
                Err(error) => return Err(read_failed(&error)),
            };
            for record in records {
                if let Effect::Carried(carried) = &record.effect {
                    if carried.document == document {
                        take_back(&mut chapters, &record, carried)?;
                    }
                    continue;
                }
                let Some(what) = told(&record, document)? else { continue };
                // An act and what came of it are one.
                if let (Told::Came(came), Some(Chapter { what: Told::Acted(acted), .. })) =
                    (&what, chapters.last())
                    && came.acted.as_ref() == Some(acted)
                {
                    chapters.pop();
                }
                let over = matches!(&what, Told::Came(came) if came.status.is_finished());
                chapters.push(Chapter { record: record.seq, at_ms: record.stamp.wall_ms, what });
                if over {
                    return Ok(chapters);
                }
            }
        }
        Ok(chapters)
    }
}

/// Tells what a CARRY has of records that are no longer kept.
fn take_back(chapters: &mut Vec<Chapter>, carry: &Record, carried: &Carried) -> Result<(), LedgerError> {
    let (bound, credited) = (carried.bound.map(|(_, part)| part), carried.credited.map(|(_, part)| part));
    let parts = [Some(carried.sale), bound, carried.outcome, credited];
    for part in parts.into_iter().flatten() {
        let original = part
            .bytes(&carry.body)
            .and_then(decode_record)
            .map_err(|Malformed(what)| LedgerError::Failed(format!("record {}: {what}", carry.seq)))?;
        let place = chapters.partition_point(|chapter| chapter.record < original.seq);
        let is_told = chapters.get(place).is_some_and(|chapter| chapter.record == original.seq);
        if let (false, Some(what)) = (is_told, told(&original, carried.document)?) {
            chapters.insert(place, Chapter { record: original.seq, at_ms: original.stamp.wall_ms, what });
        }
    }
    Ok(())
}

/// What this record says about the document; `None`: it is about another one.
fn told(record: &Record, document: Seq) -> Result<Option<Told>, LedgerError> {
    Ok(match (&record.effect, record.kind) {
        (Effect::Document { .. }, _) if record.seq == document => Some(Told::Accepted(record.origin.clone())),
        (Effect::Bound { document: bound, number }, _) if *bound == document => Some(Told::Bound(*number)),
        (Effect::Moved { document: moved, status, attempts, unsure_sends, binding }, _)
            if *moved == document =>
        {
            let outcome =
                bodies::read_outcome(&record.body).map_err(|error| body_failed(record.seq, &error))?;
            let OutcomeRead { proof, words, acted, .. } = outcome;
            let number = match binding {
                Binding::Keep => NumberThen::Kept,
                Binding::Release => NumberThen::Freed,
                Binding::Used { .. } => NumberThen::Used,
            };
            Some(Told::Came(Box::new(Came {
                status: *status,
                attempts: *attempts,
                unsure_sends: *unsure_sends,
                number,
                proof,
                words,
                acted,
            })))
        }
        // Other acts are about the device, an export, or all documents at once.
        (Effect::None, Kind::Admin) => read_act_about(&record.body)
            .filter(|(about, _)| *about == document)
            .map(|(_, acted)| Told::Acted(acted)),
        _ => None,
    })
}
