//! Record by record into a new journal, under the old running numbers.

use std::fs;
use std::io;
use std::path::Path;

use super::knowledge::Knowledge;
use super::new_journal::NewJournal;
use super::source::{Source, sale_holds};
use crate::queue::Seq;
use crate::store::carry::Retired;
use crate::store::codec::length_usize;
use crate::store::effect::Effect;
use crate::store::fold::{Placed, after, subject};
use crate::store::hardware::hardware_identifiers;
use crate::store::keys::{Signer, base_bytes, checkpoint_bytes, retire_bytes, signature_holds};
use crate::store::record::{Kind, NewRecord, Record, Stamp, decode_record};
use crate::store::shelf::shelved;
use crate::store::standing::{Base, Checkpoint, Genesis, Standing};

/// What the new journal came to.
pub(super) struct Rewritten {
    /// Records that are in it as they were.
    pub(super) read: u64,
    /// Sales and credit notes among them.
    pub(super) sales: u64,
    /// What they say.
    pub(super) known: Knowledge,
    /// The last record up to which the chain is the old one.
    pub(super) old_head: (Seq, [u8; 32]),
    /// The device's registration is known.
    pub(super) registered: bool,
}

struct Rewriter<'a> {
    journal: NewJournal,
    id: [u8; 16],
    signer: &'a Signer,
    clock: fn() -> Stamp,
    /// The first segment, its first record and the hash before it.
    begin: (u32, Seq, [u8; 32]),
    /// What the first BASE points to in older segments is lost.
    forgets: bool,
    done: Rewritten,
}

/// Writes all of `source` into `dir`, which is empty; records up to `last` are taken to have been there.
pub(super) fn rewrite(
    source: &mut Source,
    dir: &Path,
    signer: &Signer,
    clock: fn() -> Stamp,
    last: Seq,
) -> io::Result<Rewritten> {
    let known_damage = source.damage.len();
    if let Some(rewritten) = write_all(source, dir, signer, clock, (last, false))? {
        return Ok(rewritten);
    }
    // Older segments are not retired but lost, with records that are always needed: nothing may point there.
    for entry in fs::read_dir(dir)? {
        fs::remove_file(entry?.path())?;
    }
    source.damage.truncate(known_damage);
    let what = format!("the segments before segment {} are lost", source.segments.first().unwrap_or(&1));
    source.damage.push(what);
    let rewritten = write_all(source, dir, signer, clock, (last, true))?;
    rewritten.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// `None`: it points to records in segments that are not there, and must forget those.
fn write_all(
    source: &mut Source,
    dir: &Path,
    signer: &Signer,
    clock: fn() -> Stamp,
    (last, forgets): (Seq, bool),
) -> io::Result<Option<Rewritten>> {
    let oldest = source.segments.first().copied().unwrap_or(1);
    let known = source.pieces.first_key_value().map_or(1, |(seq, _)| *seq);
    let last = last.max(source.pieces.last_key_value().map_or(0, |(seq, _)| *seq));
    let readable = source.pieces.get(&known).copied().map(|piece| source.record(piece));
    let whole = matches!(&readable, Some(Ok(record)) if record.kind == Kind::Base);
    // Room for a BASE and a GENESIS, where those are lost.
    let first = if whole {
        known
    } else if oldest == 1 {
        1
    } else {
        known.saturating_sub(2).max(1)
    };
    let before = readable.and_then(Result::ok).filter(|_| whole).map_or([0; 32], |record| record.previous);
    let head = (first.saturating_sub(1), before);
    let mut writer = Rewriter {
        journal: NewJournal::begin(dir.to_owned(), source.id, (oldest, source.first_group), head),
        id: source.id,
        signer,
        clock,
        begin: (oldest, first, before),
        forgets,
        done: Rewritten {
            read: 0,
            sales: 0,
            known: Knowledge { first, ..Knowledge::default() },
            old_head: head,
            registered: false,
        },
    };
    let mut group = None;
    for seq in first..=last {
        let piece = source.pieces.get(&seq).copied();
        let record = piece.map(|piece| source.record(piece));
        let group_now = piece.and_then(|piece| piece.group);
        // The groups of what is unbroken are the old ones: so places, and with them every BASE, stay what they were.
        if group_now != group && !writer.journal.broken {
            writer.journal.end_group()?;
        }
        group = group_now;
        match record {
            Some(Ok(record)) if record.seq == seq => writer.take(source, record)?,
            Some(_) | None => writer.lose(seq)?,
        }
    }
    writer.finish()
}

impl Rewriter<'_> {
    /// One record that could be read.
    fn take(&mut self, source: &mut Source, record: Record) -> io::Result<()> {
        let seq = record.seq;
        if record.previous != self.journal.head.1 {
            self.journal.broken = true;
        }
        match record.kind {
            Kind::Sale if !sale_holds(&source.public_key, &record) => {
                return self.refuse(source, seq, "the signature of a sale does not hold");
            }
            Kind::Carry if !carry_holds(&source.public_key, &record) => {
                return self.refuse(source, seq, "what it took along is not as it was");
            }
            Kind::Genesis if !genesis_fits(&record, &source.id, &source.public_key) => {
                return self.refuse(source, seq, "it is another store's");
            }
            _ => {}
        }
        self.done.known.learn(&record);
        match record.kind {
            Kind::Base => self.take_base(&record),
            Kind::Checkpoint => self.take_checkpoint(record),
            Kind::Retire if self.journal.broken => {
                let new = self.signed_retire(record.effect, record.body, record.stamp);
                self.push(&new, None)
            }
            _ => {
                self.done.read += 1;
                self.done.sales += u64::from(record.kind == Kind::Sale);
                let used = record.used;
                self.push(&as_new(record), used)
            }
        }
    }

    fn refuse(&mut self, source: &mut Source, seq: Seq, why: &str) -> io::Result<()> {
        source.damage.push(format!("record {seq}: {why}"));
        self.lose(seq)
    }

    fn take_base(&mut self, record: &Record) -> io::Result<()> {
        let Ok(base) = Base::decode(&record.body) else { return self.lose(record.seq) };
        if self.journal.is_empty() {
            self.journal.standing = base.standing.clone();
            if self.forgets {
                self.journal.broken = true;
                self.journal.standing.pins.clear();
                self.journal.standing.replay_segment = self.begin.0;
            }
        }
        let signed = base_bytes(&self.id, record.seq, &record.previous, &record.body);
        let holds = record
            .signature
            .is_some_and(|signature| signature_holds(&self.signer.public_key(), &signed, &signature));
        let fits = !self.journal.broken
            && holds
            && base.segment == self.journal.segment + 1
            && base.standing == self.journal.standing;
        if fits {
            self.journal.begin_segment(u64::from(base.declared))?;
            return self.push(&as_new(record.clone()), None);
        }
        self.journal.broken = true;
        self.base()
    }

    fn take_checkpoint(&mut self, record: Record) -> io::Result<()> {
        let signed = checkpoint_bytes(&self.id, record.seq, &record.previous, &record.body);
        let holds = record
            .signature
            .is_some_and(|signature| signature_holds(&self.signer.public_key(), &signed, &signature));
        match Checkpoint::decode(&record.body) {
            Ok(checkpoint)
                if !self.journal.broken && holds && checkpoint.standing == self.journal.standing =>
            {
                self.push(&as_new(record), None)?;
                self.journal.standing.checkpointed(checkpoint.replay_segment);
                Ok(())
            }
            // It vouched for a chain that this is no longer.
            _ => self.filler(),
        }
    }

    /// A record that is not there.
    fn lose(&mut self, seq: Seq) -> io::Result<()> {
        self.journal.broken = true;
        self.done.known.lost.push(seq);
        // A full segment is closed as soon as a lost record has its running number left for the next one's BASE.
        if self.journal.is_empty() || self.journal.is_full() { self.base() } else { self.filler() }
    }

    /// Stands where a record was: short enough for any place.
    fn filler(&mut self) -> io::Result<()> {
        self.own(Kind::Recovered, Vec::new())
    }

    fn own(&mut self, kind: Kind, body: Vec<u8>) -> io::Result<()> {
        self.push(&own(self.clock, kind, body), None)
    }

    /// A BASE of our own, and the segment that it begins.
    fn base(&mut self) -> io::Result<()> {
        self.journal.begin_segment(0)?;
        let base = Base {
            segment: self.journal.segment,
            declared: 0,
            public_key: self.signer.public_key(),
            standing: self.journal.standing.clone(),
        };
        let mut record = own(self.clock, Kind::Base, base.encode());
        let (seq, hash) = self.journal.head;
        record.signature = Some(self.signer.sign(&base_bytes(&self.id, seq + 1, &hash, &record.body)));
        self.push(&record, None)
    }

    fn push(&mut self, record: &NewRecord, used: Option<u64>) -> io::Result<()> {
        let (seq, at) = self.journal.push(record, used)?;
        if !self.journal.broken {
            self.done.old_head = self.journal.head;
        }
        let Knowledge { open, ended, .. } = &self.done.known;
        let before = subject(&record.effect).and_then(|document| {
            let changed = self.journal.entry(document);
            let known = open.get(&document).map(|open| &open.entry).or_else(|| ended.get(&document));
            changed.or(known).cloned()
        });
        let placed = Placed { seq, kind: record.kind, stamp: record.stamp, at, effect: &record.effect };
        if let Some(row) = shelved(placed) {
            self.journal.put_on_shelf(row);
        }
        if let Some(entry) = after(before.as_ref(), placed) {
            self.done.known.changed(seq, &record.effect, &entry);
            self.journal.note(before, entry);
        }
        Ok(())
    }

    fn signed_retire(&self, effect: Effect, body: Vec<u8>, stamp: Stamp) -> NewRecord {
        let (seq, hash) = self.journal.head;
        let signature = Some(self.signer.sign(&retire_bytes(&self.id, seq + 1, &hash, &effect, &body)));
        NewRecord { kind: Kind::Retire, stamp, origin: String::new(), effect, body, signature }
    }

    /// What every journal must have, if it was lost; then syncs all.
    fn finish(mut self) -> io::Result<Option<Rewritten>> {
        let Standing { pins, replay_segment, .. } = &self.journal.standing;
        if *replay_segment < self.begin.0 || pins.values().any(|at| at.segment < self.begin.0) {
            return Ok(None);
        }
        if !self.journal.standing.pins.contains_key(&Kind::Genesis.code()) {
            let genesis = Genesis {
                journal: self.id,
                public_key: self.signer.public_key(),
                hardware: hardware_identifiers(),
            };
            self.journal.broken = true;
            self.own(Kind::Genesis, genesis.encode())?;
        }
        let (first_segment, first_seq, previous) = self.begin;
        if self.journal.standing.first_segment < first_segment {
            self.journal.broken = true;
            let before = self.journal.standing.first_seq..first_seq;
            self.done.known.lost.splice(0..0, before);
            let retired = Retired { first_segment, first_seq, previous, keys: Vec::new() };
            let text = format!("the records before {first_seq} were lost when the store was salvaged");
            let stamp = (self.clock)();
            let effect = Effect::Retired(Box::new(retired));
            let record = self.signed_retire(effect, text.into_bytes(), stamp);
            self.push(&record, None)?;
        }
        self.journal.finish()?;
        self.done.registered = self.journal.standing.pins.contains_key(&Kind::Registration.code());
        Ok(Some(self.done))
    }
}

/// A record of the salvage's own.
fn own(clock: fn() -> Stamp, kind: Kind, body: Vec<u8>) -> NewRecord {
    NewRecord { kind, stamp: clock(), origin: String::new(), effect: Effect::None, body, signature: None }
}

fn as_new(record: Record) -> NewRecord {
    let Record { kind, stamp, origin, effect, body, signature, .. } = record;
    NewRecord { kind, stamp, origin, effect, body, signature }
}

fn genesis_fits(record: &Record, id: &[u8; 16], public_key: &[u8; 32]) -> bool {
    Genesis::decode(&record.body).is_ok_and(|it| it.journal == *id && it.public_key == *public_key)
}

/// Whether the originals inside a CARRY are as they were.
fn carry_holds(public_key: &[u8; 32], record: &Record) -> bool {
    let parts = match &record.effect {
        Effect::Carried(carried) => {
            let (bound, credited) =
                (carried.bound.map(|(_, part)| part), carried.credited.map(|(_, part)| part));
            [Some(carried.sale), bound, carried.outcome, credited]
        }
        Effect::Kept { part, .. } | Effect::Reshelved { part, .. } => [Some(*part), None, None, None],
        _ => return false,
    };
    parts.into_iter().flatten().all(|part| {
        let begin = record.body.len().checked_sub(length_usize(part.back));
        let bytes = begin.and_then(|begin| record.body.get(begin..begin + length_usize(part.length)));
        let bytes = bytes.filter(|bytes| crc32c::crc32c(bytes) == part.crc);
        bytes
            .and_then(|bytes| decode_record(bytes).ok())
            .is_some_and(|original| original.kind != Kind::Sale || sale_holds(public_key, &original))
    })
}
