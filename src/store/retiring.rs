//! The committer's part of retention: it takes unfinished documents along, and says that a segment is no longer kept.

use std::sync::mpsc::SyncSender;

use crate::store::carry::{Part, Retired, carry};
use crate::store::codec::{length_u32, length_u64};
use crate::store::committer::{Broken, Committer, Draft, Step, own_record};
use crate::store::effect::Effect;
use crate::store::fold::Changes;
use crate::store::keys::retire_bytes;
use crate::store::record::{Kind, Located, NewRecord, encoded_bound};

/// Documents taken along before others are let in again, in one group; and about so many bytes of them.
const CARRIED_AT_ONCE: usize = 32;
const CARRIED_BYTES: usize = 256 << 10;
/// What stands on the shelf is taken along so much at a time.
const RESHELVED_AT_ONCE: usize = 512;
/// Unfinished documents, and rows of the shelf, looked at, at a time.
const PAGE: usize = 256;

/// What the upkeep asks of the committer.
pub(crate) enum Order {
    /// Take along what everybody needs from this segment, the oldest.
    Carry { segment: u32 },
    /// The oldest segment is no longer kept: write it down.
    Retire(Retirement),
}

/// All that is to be said of a segment that is no longer kept.
pub(crate) struct Retirement {
    pub(crate) retired: Retired,
    /// The values in `by_key` of the keys that leave.
    pub(crate) values: Vec<Vec<u8>>,
    /// What a reader of the journal is told.
    pub(crate) text: String,
}

/// An order, and where its answer goes.
pub(crate) struct Errand {
    pub(crate) order: Order,
    pub(crate) done: SyncSender<Answer>,
}

/// What became of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// So many documents and other records were taken along; ask again until there are none.
    Carried(u64),
    /// It is written down.
    Retired,
    /// The segment is still needed by the latest checkpoint; a new one is on its way.
    NotYet,
    /// It cannot be done, for this reason.
    Refused(String),
}

impl Answer {
    fn full() -> Self {
        Self::Refused("the disk is full".to_owned())
    }
}

impl Committer {
    /// Does what the upkeep asks, and answers.
    pub(crate) fn run_errand(&mut self, errand: Errand) -> Result<(), Broken> {
        let answer = match errand.order {
            Order::Carry { segment } => self.carry_from(segment)?,
            Order::Retire(retirement) => self.retire(retirement)?,
        };
        // The upkeep may have ended.
        let _ = errand.done.send(answer);
        Ok(())
    }

    /// Takes along unfinished documents whose records are in `segment` or before it, and the records that a start needs.
    fn carry_from(&mut self, segment: u32) -> Result<Answer, Broken> {
        let mut carried = 0;
        let pins: Vec<(u8, Located)> = self
            .standing
            .pins
            .iter()
            .map(|(kind, at)| (*kind, *at))
            .filter(|(_, at)| at.segment <= segment)
            .collect();
        for (code, at) in pins {
            let Some(kind) = Kind::from_code(code) else { continue };
            let body = match self.shared.journal.bytes(at) {
                Ok(body) => body,
                Err(error) => return Ok(Answer::Refused(error.to_string())),
            };
            let length = length_u32(body.len());
            let part = Part { back: length, length, crc: at.crc };
            let record = NewRecord {
                effect: Effect::Kept { kind, part },
                ..own_record(&self.options, Kind::Carry, body)
            };
            if !self.commit_alone(&record, Step::default())? {
                return Ok(Answer::full());
            }
            carried += 1;
        }
        let prepared = self.prepare_carries(segment).and_then(|records| {
            if records.is_empty() { self.prepare_reshelving(segment) } else { Ok(records) }
        });
        let records = match prepared {
            Ok(records) => records,
            Err(refused) => return Ok(refused),
        };
        let bytes = records.iter().map(|(record, _)| encoded_bound(record)).fold(0, usize::saturating_add);
        if !self.shared.room().has_beside(length_u64(bytes)) {
            return Ok(Answer::Refused(
                "what is free is needed for what becomes of the waiting sales".into(),
            ));
        }
        let mut draft: Option<Draft> = None;
        for (record, step) in records {
            let bytes = encoded_bound(&record);
            if let Some(full) = draft.take_if(|draft| !self.fits(draft, bytes)) {
                self.commit(full)?;
            }
            let mut open = match draft.take() {
                Some(open) => open,
                None => match self.begin(bytes)? {
                    Some(open) => open,
                    None => return Ok(Answer::full()),
                },
            };
            self.push(&mut open, &record, step);
            draft = Some(open);
            carried += 1;
        }
        if let Some(draft) = draft {
            self.commit(draft)?;
        }
        Ok(Answer::Carried(carried))
    }

    /// The CARRYs of the first documents that are still in `segment` or before it; nothing is written. Why there are none, if
    /// the first one cannot be taken along.
    fn prepare_carries(&self, segment: u32) -> Result<Vec<(NewRecord, Step)>, Answer> {
        let mut records = Vec::new();
        let mut bytes = 0;
        let mut after = None;
        let refused = |why: String| Err(Answer::Refused(why));
        loop {
            // Only those that are taken along are read from the journal: many may have been before.
            let page = match self.shared.rows(after, PAGE) {
                Ok(page) => page,
                Err(error) => return refused(error.to_string()),
            };
            let Some(last) = page.last() else { return Ok(records) };
            after = Some(last.seq);
            // Accepted later than the segment's end: none of its records can be there.
            let past = self.shared.journal.bounds(segment).is_none_or(|(_, next)| last.seq >= next);
            for row in page.into_iter().filter(|row| row.at.segment <= segment) {
                let document = row.seq;
                let read = self.shared.journal.complete(row).and_then(|entry| {
                    let (carried, body) = carry(&entry, |at| self.shared.journal.bytes(at))?;
                    let effect = Effect::Carried(Box::new(carried));
                    Ok((NewRecord { effect, ..own_record(&self.options, Kind::Carry, body) }, entry))
                });
                let why = match read {
                    Ok((record, entry)) => match self.too_large(encoded_bound(&record)) {
                        None => {
                            bytes += encoded_bound(&record);
                            records.push((record, Step { known: Some(entry), ..Step::default() }));
                            if records.len() >= CARRIED_AT_ONCE || bytes >= CARRIED_BYTES {
                                return Ok(records);
                            }
                            continue;
                        }
                        Some(limit) => format!("it is larger than {limit} bytes with its request"),
                    },
                    Err(error) => error.to_string(),
                };
                // Those before it first.
                if records.is_empty() {
                    return refused(format!("document {document}: {why}"));
                }
                return Ok(records);
            }
            if past {
                return Ok(records);
            }
        }
    }

    /// The CARRYs of the next records that stand on the shelf and are in `segment` or before it; nothing is written. Goes on
    /// where it ended the last time, so that all of them are one walk.
    fn prepare_reshelving(&mut self, segment: u32) -> Result<Vec<(NewRecord, Step)>, Answer> {
        let mut records = Vec::new();
        let mut bytes = 0;
        // Round once more where it did not begin at the beginning.
        let mut rounds = if self.reshelved.is_some() { 2 } else { 1 };
        while rounds > 0 && self.shared.shelf_needs(segment) {
            let page = self.shared.shelf_page(self.reshelved.as_deref(), PAGE);
            let page = page.map_err(|error| Answer::Refused(error.to_string()))?;
            if page.is_empty() {
                self.reshelved = None;
                rounds -= 1;
                continue;
            }
            for (row, at) in page {
                if at.segment <= segment {
                    let record = match self.reshelve(&row, at) {
                        Ok(record) => record,
                        // Those before it first.
                        Err(_) if !records.is_empty() => return Ok(records),
                        Err(refused) => return Err(refused),
                    };
                    bytes += encoded_bound(&record);
                    records.push((record, Step { shelved: Some(at), ..Step::default() }));
                }
                self.reshelved = Some(row);
                if records.len() >= RESHELVED_AT_ONCE || bytes >= CARRIED_BYTES {
                    return Ok(records);
                }
            }
        }
        Ok(records)
    }

    fn reshelve(&self, row: &[u8], at: Located) -> Result<NewRecord, Answer> {
        let key = row.split_first().and_then(|(code, key)| {
            Some((Kind::from_code(*code)?, std::str::from_utf8(key).ok()?.to_owned()))
        });
        let body = match (key, self.shared.journal.bytes(at)) {
            (Some((kind, key)), Ok(body)) => (kind, key, body),
            (None, _) => return Err(Answer::Refused("a row of the shelf is not readable".to_owned())),
            (_, Err(error)) => return Err(Answer::Refused(error.to_string())),
        };
        let (kind, key, body) = body;
        let length = length_u32(body.len());
        let effect = Effect::Reshelved { kind, key, part: Part { back: length, length, crc: at.crc } };
        Ok(NewRecord { effect, ..own_record(&self.options, Kind::Carry, body) })
    }

    fn retire(&mut self, retirement: Retirement) -> Result<Answer, Broken> {
        let Retirement { retired, values, text } = retirement;
        let segment = retired.first_segment.saturating_sub(1);
        if segment != self.standing.first_segment || segment >= self.read_from {
            return Ok(Answer::Refused(format!(
                "segment {segment} is not the oldest, or the next start reads it"
            )));
        }
        let pinned = self.standing.pins.values().any(|at| at.segment <= segment);
        let needed = self.shared.needed_segments().iter().any(|needed| *needed <= segment)
            || self.shared.shelf_needs(segment);
        // What the latest checkpoint needs, a start after a crash needs: unfinished documents must have left before it.
        let by_checkpoint =
            self.checkpointed.as_ref().is_none_or(|needed| needed.iter().any(|needed| *needed <= segment));
        if pinned || needed || by_checkpoint {
            self.pace.ask();
            return Ok(Answer::NotYet);
        }
        // A receipt was printed, or goods came back, since the segment was looked through.
        let as_seen = retired.keys.iter().zip(&values).all(|(key, value)| {
            let leaver = self.shared.leaver(key, segment);
            leaver.is_ok_and(|leaver| leaver.is_some_and(|leaver| leaver.value == *value))
        });
        if !as_seen {
            return Ok(Answer::NotYet);
        }
        let changes = Changes::of_retired(retired.keys.iter().cloned().zip(values).collect());
        let effect = Effect::Retired(Box::new(retired));
        let mut record = NewRecord { effect, ..own_record(&self.options, Kind::Retire, text.into_bytes()) };
        record.signature = Some([0; 64]);
        if let Some(limit) = self.too_large(encoded_bound(&record)) {
            return Ok(Answer::Refused(format!("the list of its documents is larger than {limit} bytes")));
        }
        let Some(mut draft) = self.begin(encoded_bound(&record))? else { return Ok(Answer::full()) };
        let (seq, previous) = (draft.head.0 + 1, draft.head.1);
        let signed = retire_bytes(&self.shared.journal.id(), seq, &previous, &record.effect, &record.body);
        record.signature = Some(self.shared.signer.sign(&signed));
        self.push(&mut draft, &record, Step::default());
        draft.changes = changes;
        self.commit(draft)?;
        Ok(Answer::Retired)
    }

    /// False: the disk is full, and nothing was written.
    fn commit_alone(&mut self, record: &NewRecord, step: Step) -> Result<bool, Broken> {
        let Some(mut draft) = self.begin(encoded_bound(record))? else { return Ok(false) };
        self.push(&mut draft, record, step);
        self.commit(draft).map(|()| true)
    }
}
