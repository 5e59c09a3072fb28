//! The store's housekeeping, on a thread of its own: closed segments are compressed, and retired when their time is over.
//!
//! Each round does one thing at most and looks at everything anew, so that it can be cut off anywhere. What it reads it
//! reads beside the committer; what it has written, the committer writes, in groups of its own.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use crate::queue::Seq;
use crate::store::carry::Retired;
use crate::store::error::ReadError;
use crate::store::index::Leaver;
use crate::store::options::{Damage, Options};
use crate::store::pack::key_of;
use crate::store::packing::{Packed, pack_segment};
use crate::store::record::{Kind, Stamp};
use crate::store::retention::{Ages, is_due, present, remove_before};
use crate::store::retiring::{Answer, Errand, Order, Retirement};
use crate::store::shared::Shared;

/// Between two looks at whether the oldest segment's time is over.
const LOOK: Duration = Duration::from_secs(60);
/// The newest OUTCOMEs that are asked for KRA's time, and in how many segments they are looked for.
const NEWEST: (usize, usize) = (32, 3);
/// Segments after the oldest that are asked when they were begun.
const LATER: usize = 64;
/// Before a segment is tried again that could not be compressed.
const TRY_AGAIN: Duration = Duration::from_secs(60 * 60);

/// What a round did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// There is nothing to do now.
    Nothing,
    /// A segment was compressed.
    Packed(Packed),
    /// Documents were taken along from the oldest segment.
    Carried(u64),
    /// A segment is no longer kept.
    Retired(u32),
    /// The oldest segment goes after the next checkpoint, which is on its way.
    Asked,
    /// The oldest segment's time is over; something must happen before it can go.
    Waiting(String),
}

/// The housekeeping's memory.
pub(crate) struct Upkeep {
    shared: Arc<Shared>,
    options: Options,
    /// Segments that could not be compressed, and when they are tried again; `None`: they are damaged.
    left_alone: BTreeMap<u32, Option<Instant>>,
    next_look: Instant,
    /// The youngest time in a segment, once it is known.
    youngest: BTreeMap<u32, i64>,
    /// Documents, and items and code lists, taken along from the oldest segment so far.
    carried: u64,
    /// The reason told last, so that each is told once.
    told: Option<String>,
}

impl Upkeep {
    pub(crate) fn new(shared: Arc<Shared>, options: Options) -> Self {
        Self {
            shared,
            options,
            left_alone: BTreeMap::new(),
            next_look: Instant::now(),
            youngest: BTreeMap::new(),
            carried: 0,
            told: None,
        }
    }

    /// Runs until the store is closed.
    pub(crate) fn run(mut self) {
        while !self.shared.stopped_within(self.options.upkeep_pause) {
            self.round();
        }
    }

    /// Does the next thing.
    pub(crate) fn round(&mut self) -> Done {
        if self.shared.stopped_within(Duration::ZERO) {
            return Done::Nothing;
        }
        let now = Instant::now();
        if now >= self.next_look {
            let done = self.retire();
            if let Done::Nothing | Done::Waiting(_) = done {
                self.next_look = now + LOOK.min(self.options.retire_pause);
            }
            self.tell(&done);
            if let Done::Asked | Done::Carried(_) | Done::Retired(_) = done {
                return done;
            }
            if let Done::Waiting(_) = done {
                let packed = self.pack();
                return if packed == Done::Nothing { done } else { packed };
            }
        }
        self.pack()
    }

    fn tell(&mut self, done: &Done) {
        match done {
            Done::Waiting(why) if self.told.as_ref() != Some(why) => {
                tracing::warn!(
                    name: "segment_kept",
                    why,
                    "a segment older than storage.retention is kept for now"
                );
                self.told = Some(why.clone());
            }
            Done::Waiting(_) => {}
            Done::Asked | Done::Carried(_) | Done::Nothing | Done::Packed(_) | Done::Retired(_) => {
                self.told = None;
            }
        }
    }

    /// Compresses the oldest closed segment that nobody needs any more.
    fn pack(&mut self) -> Done {
        let (_, replay) = self.shared.kept();
        let needed = self.shared.needed_segments();
        let now = Instant::now();
        let rests = |segment: &u32| match self.left_alone.get(segment) {
            Some(until) => until.is_none_or(|until| now < until),
            None => false,
        };
        let mut candidates = self.shared.journal.closed().into_iter().filter(|segment| {
            *segment < replay
                && !self.shared.journal.is_packed(*segment)
                && !needed.contains(segment)
                && !rests(segment)
        });
        // One without bounds comes before a segment that is damaged or missing: where it ends cannot be told.
        let next = candidates.find_map(|segment| Some((segment, self.shared.journal.bounds(segment)?)));
        let Some((segment, (known, next))) = next else { return Done::Nothing };
        // For a while both are there.
        if !self.shared.room().lends(known.end) {
            return Done::Nothing;
        }
        let journal = &self.shared.journal;
        match pack_segment(journal.disk(), &journal.id(), segment, next) {
            Ok(packed) => {
                journal.was_packed(&packed);
                let Packed { before, after, .. } = packed;
                tracing::info!(name: "segment_compressed", segment, before, after, "segment compressed");
                Done::Packed(packed)
            }
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                tracing::warn!(
                    name: "segment_not_compressed",
                    segment,
                    %error,
                    "a segment could not be compressed; it is tried again"
                );
                Done::Nothing
            }
            Err(error) => {
                let damaged = error.kind() == io::ErrorKind::InvalidData;
                self.left_alone.insert(segment, if damaged { None } else { now.checked_add(TRY_AGAIN) });
                if damaged {
                    let what = format!("it is not compressed: {error}");
                    self.shared.note_damage(Damage { segment, offset: 0, what });
                } else {
                    tracing::warn!(
                        name: "segment_not_compressed",
                        segment,
                        %error,
                        "a segment could not be compressed; it is tried again in an hour"
                    );
                }
                Done::Nothing
            }
        }
    }

    /// Retires the oldest segment if its time is over, a step at a time.
    fn retire(&mut self) -> Done {
        let Some(retention) = self.options.retention else { return Done::Nothing };
        let (segment, replay) = self.shared.kept();
        if segment >= replay {
            return Done::Nothing;
        }
        let Some((_, next)) = self.shared.journal.bounds(segment) else {
            return Done::Waiting(format!(
                "segment {segment}, the oldest, or the one after it is damaged or missing: nothing is retired any more"
            ));
        };
        match self.consider(segment, next, retention) {
            Ok(done) => done,
            Err(error) => Done::Waiting(format!("segment {segment} cannot be read through: {error}")),
        }
    }

    fn consider(&mut self, segment: u32, next: Seq, retention: Duration) -> Result<Done, ReadError> {
        let now = (self.options.clock)();
        let Some(accepted_by) = self.accepted_by(segment)? else { return Ok(Done::Nothing) };
        // The cheap looks first: all of this is asked once a minute for years.
        let ages = Ages { accepted_by, signed_by: self.youngest.get(&segment).copied() };
        if !ages.is_over(retention, now.wall_ms) {
            return Ok(Done::Nothing);
        }
        let last = match self.shared.latest(Kind::Retire) {
            Some(at) => Some(self.shared.journal.read(at)?.stamp),
            None => None,
        };
        if !is_due(last.as_ref(), &now, self.options.retire_pause) {
            return Ok(Done::Nothing);
        }
        let Some(present) = present(&now, self.newest_of_kra()?) else {
            let why = if now.synchronised {
                "KRA has given no time lately that would confirm this clock"
            } else {
                "the clock is not synchronised"
            };
            return Ok(Done::Waiting(why.to_owned()));
        };
        // Asked before the segment is looked through: a document that finishes meanwhile would be in neither.
        let needed = self.shared.needed_segments().iter().any(|needed| *needed <= segment);
        let leaving = self.leaving(segment)?;
        let accepted_by = leaving.accepted_by.map_or(accepted_by, |latest| latest.max(accepted_by));
        let ages = Ages { accepted_by, signed_by: leaving.signed_by };
        self.youngest.insert(segment, ages.youngest());
        if !ages.is_over(retention, present) {
            return Ok(Done::Nothing);
        }
        if needed || self.shared.pinned(segment) || self.shared.shelf_needs(segment) {
            return Ok(match self.order(Order::Carry { segment }) {
                Answer::Carried(count) => {
                    self.carried += count;
                    tracing::info!(
                        name: "documents_carried",
                        segment,
                        count,
                        "unfinished documents, items and code lists taken along from the oldest segment"
                    );
                    Done::Carried(count)
                }
                other => waiting(segment, other),
            });
        }
        self.write_down(segment, next, leaving, &ages)
    }

    fn write_down(
        &mut self,
        segment: u32,
        next: Seq,
        leaving: Leaving,
        ages: &Ages,
    ) -> Result<Done, ReadError> {
        let Leaving { first, documents, .. } = leaving;
        let first_segment = segment.saturating_add(1);
        let (previous, _) = self.shared.journal.begun(first_segment)?;
        let count = documents.len();
        let (keys, values) = documents.into_iter().unzip();
        let youngest = ages.youngest();
        let text = format!(
            "segment {segment} is no longer kept: records {first} to {}, {count} finished sales and credit notes, \
             the youngest of {}; {} unfinished, or items and code lists in use, were taken along before",
            next.saturating_sub(1),
            shown(youngest),
            self.carried
        );
        let retired = Retired { first_segment, first_seq: next, previous, keys };
        match self.order(Order::Retire(Retirement { retired, values, text: text.clone() })) {
            Answer::Retired => {}
            other => return Ok(waiting(segment, other)),
        }
        self.carried = 0;
        self.youngest.remove(&segment);
        self.shared.journal.forget_before(first_segment);
        match remove_before(self.shared.journal.disk(), first_segment) {
            Ok(freed) => tracing::info!(name: "segment_retired", segment, documents = count, freed, "{text}"),
            Err(error) => {
                tracing::warn!(
                    name: "segment_retired",
                    segment,
                    documents = count,
                    %error,
                    "{text}; its file could not be removed, the next start tries again"
                );
            }
        }
        Ok(Done::Retired(segment))
    }

    /// By when everything in the segment had been accepted: when the first later segment was begun by a synchronised clock.
    fn accepted_by(&self, segment: u32) -> Result<Option<i64>, ReadError> {
        let segments = self.shared.journal.segments();
        // Not all numbers are there: what is damaged or missing says nothing.
        for (later, _) in segments.into_iter().filter(|(later, _)| *later > segment).take(LATER) {
            let (_, Stamp { wall_ms, synchronised, .. }) = self.shared.journal.begun(later)?;
            if synchronised {
                return Ok(Some(wall_ms));
            }
        }
        Ok(None)
    }

    /// The newest time that KRA gave; or, if none is found, whether it ever accepted anything.
    fn newest_of_kra(&self) -> Result<Result<i64, bool>, ReadError> {
        let (limit, reach) = NEWEST;
        let outcomes = self.shared.journal.newest(Kind::Outcome, limit, reach)?;
        let times = outcomes.iter().filter_map(|outcome| (self.options.proof_time)(&outcome.body));
        Ok(times.max().ok_or(self.shared.series().last.is_some()))
    }

    /// Who leaves the index with the segment, and KRA's latest time among them.
    fn leaving(&self, segment: u32) -> Result<Leaving, ReadError> {
        let mut keys = Vec::new();
        let (mut first, mut accepted_by) = (None, None);
        self.shared.journal.each_record(segment, |record| {
            first.get_or_insert(record.seq);
            if record.stamp.synchronised {
                accepted_by = accepted_by.max(Some(record.stamp.wall_ms));
            }
            keys.extend(key_of(&record.effect).map(str::to_owned));
            Ok(())
        })?;
        let first = first.unwrap_or_default();
        let mut leaving = Leaving { first, documents: Vec::new(), accepted_by, signed_by: None };
        for key in keys {
            // Unfinished ones are taken along; one that finished after it was taken along stays.
            let Some(Leaver { value, outcome }) = self.shared.leaver(&key, segment)? else { continue };
            if let Some(at) = outcome {
                let time = (self.options.proof_time)(&self.shared.journal.read(at)?.body);
                leaving.signed_by = leaving.signed_by.max(time);
            }
            leaving.documents.push((key, value));
        }
        leaving.documents.sort_unstable();
        leaving.documents.dedup();
        Ok(leaving)
    }

    fn order(&self, order: Order) -> Answer {
        let (done, answer) = sync_channel(1);
        self.shared.inbox.post(|mail| mail.errand = Some(Errand { order, done }));
        answer.recv().unwrap_or_else(|_| Answer::Refused("the store takes no more records".into()))
    }
}

/// What goes with a segment.
struct Leaving {
    /// Its first record.
    first: Seq,
    /// Key and value in `by_key`.
    documents: Vec<(String, Vec<u8>)>,
    /// The latest time that a synchronised clock said in it: one segment begun by a wrong clock makes nothing older.
    accepted_by: Option<i64>,
    /// KRA's latest time.
    signed_by: Option<i64>,
}

fn waiting(segment: u32, answer: Answer) -> Done {
    match answer {
        Answer::Refused(why) => Done::Waiting(format!("segment {segment}: {why}")),
        // The checkpoint that lets it go has been asked for.
        Answer::Carried(_) | Answer::NotYet | Answer::Retired => Done::Asked,
    }
}

/// A time for people, in Nairobi.
fn shown(wall_ms: i64) -> String {
    crate::fiscal::KraDateTime::from_unix(wall_ms.div_euclid(1000))
        .map_or_else(|| "an unknown time".to_owned(), |time| time.rfc3339())
}
