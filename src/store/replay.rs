//! Reading the journal at a start: where it ends, whether it is whole, and what its last records say.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::queue::Seq;
use crate::store::codec::length_usize;
use crate::store::disk::Disk;
use crate::store::effect::Effect;
use crate::store::error::OpenError;
use crate::store::group::{AtBlock, BLOCK, Header, look, records};
use crate::store::journal::{
    Segment, list_segments, open_pack, open_segment, read_segment, segment_name, walk_groups,
};
use crate::store::keys::{checkpoint_bytes, signature_holds};
use crate::store::options::{Damage, Progress, Step};
use crate::store::pack::{Span, pack_name};
use crate::store::record::{Kind, Located, Malformed, Record, Stamp};
use crate::store::scan::{Ending, Surveyed, judge, survey};
use crate::store::standing::{Base, Checkpoint, Standing};

/// The journal at a start, before anything has been changed.
pub(crate) struct Reader<'a> {
    pub(crate) disk: &'a dyn Disk,
    /// For error texts.
    pub(crate) dir: PathBuf,
    pub(crate) id: [u8; 16],
    pub(crate) public_key: [u8; 32],
    /// All segments and their lengths, ascending.
    pub(crate) segments: Vec<(u32, u64)>,
    /// Where replay begins according to the newest readable BASE.
    pub(crate) replay_segment: u32,
    /// The oldest segment that is kept, once the journal's end has said which.
    pub(crate) oldest: u32,
    /// One segment at a time; taken and put back. Freed before sled is open, it would teach glibc to take sled's large and
    /// mostly empty tables from the heap, where all of them counts as used.
    buffer: Cell<Vec<u8>>,
}

/// A record as a replay needs it.
#[derive(Clone, Debug)]
pub(crate) struct Light {
    pub(crate) seq: Seq,
    pub(crate) kind: Kind,
    pub(crate) stamp: Stamp,
    pub(crate) at: Located,
    pub(crate) effect: Effect,
}

/// Segments before those that were surveyed.
#[derive(Default)]
pub(crate) struct Earlier {
    pub(crate) segments: BTreeMap<u32, Segment>,
    /// Those that are compressed, and the bytes of their files.
    pub(crate) packed: BTreeMap<u32, u64>,
}

/// What reading the journal's end gave.
pub(crate) struct End {
    pub(crate) standing: Standing,
    /// The last group, and where it is.
    pub(crate) last: (u32, u64, Header),
    pub(crate) head: (Seq, [u8; 32]),
    /// Records after the latest checkpoint's, which the index may not have.
    pub(crate) replay: Vec<Light>,
    /// The record up to which the index was on the disk at the latest checkpoint.
    pub(crate) indexed: Seq,
    /// Segments before those read that unfinished documents needed at the latest checkpoint.
    pub(crate) unfinished: Vec<u32>,
}

impl<'a> Reader<'a> {
    /// Finds the segments and the newest readable BASE.
    pub(crate) fn new(disk: &'a dyn Disk, dir: PathBuf) -> Result<Self, OpenError> {
        let segments = list_segments(disk).map_err(|source| OpenError::Io {
            step: "listing the journal",
            path: dir.clone(),
            source,
        })?;
        let mut reader = Self {
            disk,
            dir,
            id: [0; 16],
            public_key: [0; 32],
            segments,
            replay_segment: 1,
            oldest: 1,
            buffer: Cell::default(),
        };
        let mut buffer = reader.buffer.take();
        for index in (0..reader.segments.len()).rev() {
            let segment = reader.segments[index].0;
            reader.load(segment, &mut buffer)?;
            match look(&buffer, None) {
                AtBlock::Whole(header) => {
                    let base = reader.base(&buffer, segment, &header)?;
                    reader.id = header.journal;
                    reader.public_key = base.public_key;
                    reader.replay_segment = base.standing.replay_segment;
                    reader.buffer.set(buffer);
                    return Ok(reader);
                }
                AtBlock::Newer => return Err(reader.newer(segment)),
                AtBlock::Nothing | AtBlock::Torn(_) | AtBlock::Foreign => {}
            }
        }
        Err(reader.damaged(Damage {
            segment: 1,
            offset: 0,
            what: "no segment of the journal has a readable beginning".into(),
        }))
    }

    /// Surveys all segments from `from` on and applies the rule to them.
    pub(crate) fn survey(
        &self,
        from: u32,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(Vec<Surveyed>, Ending), OpenError> {
        let wanted: Vec<u32> =
            self.segments.iter().map(|(segment, _)| *segment).filter(|segment| *segment >= from).collect();
        if wanted.first() != Some(&from) {
            return Err(self.damaged(Damage {
                segment: from,
                offset: 0,
                what: "the segment is missing".into(),
            }));
        }
        let mut buffer = self.buffer.take();
        let mut surveyed = Vec::new();
        for (done, segment) in (0..).zip(&wanted) {
            progress(Progress { step: Step::Scan, done, total: super::codec::length_u64(wanted.len()) });
            let pack = open_pack(self.disk, *segment).map_err(|source| self.unreadable(*segment, source))?;
            if let Some(pack) = pack {
                surveyed.push(self.packed(pack.span())?);
                continue;
            }
            self.load(*segment, &mut buffer)?;
            let found = survey(*segment, &buffer, &self.id);
            if found.newer {
                return Err(self.newer(*segment));
            }
            if found.foreign {
                return Err(OpenError::Foreign {
                    path: self.dir.join(segment_name(*segment)),
                    what: "it holds records of another journal".into(),
                });
            }
            if let Some((_, header)) = found.groups.first() {
                let base = self.base(&buffer, *segment, header)?;
                if found.length < u64::from(base.declared) {
                    let what =
                        format!("it is {} bytes long, it was made with {}", found.length, base.declared);
                    return Err(self.damaged(Damage { segment: *segment, offset: found.length, what }));
                }
            }
            surveyed.push(found);
        }
        self.buffer.set(buffer);
        let ending = judge(&surveyed).map_err(|damage| self.damaged(damage))?;
        Ok((surveyed, ending))
    }

    /// Gives every record of the surveyed segments to `each`, in order, the chain checked; the last record's hash.
    pub(crate) fn each_record(
        &self,
        surveyed: &[Surveyed],
        mut each: impl FnMut(Located, Record) -> Result<(), OpenError>,
    ) -> Result<[u8; 32], OpenError> {
        let mut buffer = self.buffer.take();
        let mut previous: Option<[u8; 32]> = None;
        for segment in surveyed {
            if segment.first_seq().is_none() {
                continue;
            }
            self.load(segment.segment, &mut buffer)?;
            let unpacked;
            let groups = if let Some(span) = segment.packed {
                unpacked = survey(segment.segment, &buffer, &self.id).groups;
                if unpacked.last().map(|(_, last)| last.last_seq()) != Some(span.last_seq) {
                    let what = "a group is not whole".into();
                    return Err(self.damaged(Damage { segment: segment.segment, offset: 0, what }));
                }
                &unpacked
            } else {
                &segment.groups
            };
            for (offset, header) in groups {
                let damaged = |what: &str| {
                    self.damaged(Damage { segment: segment.segment, offset: *offset, what: what.into() })
                };
                if previous.is_some_and(|previous| previous != header.previous) {
                    return Err(damaged("the chain is broken before this group"));
                }
                let start = usize::try_from(*offset).unwrap_or(usize::MAX);
                let group = buffer.get(start..).unwrap_or_default();
                let found = records(group, header, segment.segment, *offset);
                for (at, record) in found.map_err(|Malformed(what)| damaged(what))? {
                    previous = Some(record.hash);
                    each(at, record)?;
                }
            }
        }
        self.buffer.set(buffer);
        Ok(previous.unwrap_or_default())
    }

    /// Reads the end of the journal, from the segment where replay begins.
    pub(crate) fn end(&self, surveyed: &[Surveyed]) -> Result<End, OpenError> {
        let mut standing = None;
        let mut replay = Vec::new();
        let mut unfinished = Vec::new();
        let (mut seq, mut indexed) = (0, 0);
        let hash = self.each_record(surveyed, |at, record| {
            seq = record.seq;
            let damaged = |Malformed(what): Malformed| {
                self.damaged(Damage { segment: at.segment, offset: u64::from(at.offset), what: what.into() })
            };
            let now = match &mut standing {
                Some(now) => now,
                None if record.kind == Kind::Base => {
                    standing.insert(Base::decode(&record.body).map_err(damaged)?.standing)
                }
                None => return Err(damaged(Malformed("a segment does not begin with its BASE"))),
            };
            now.apply(record.kind, &record.effect, record.used, at);
            if record.kind == Kind::Checkpoint {
                let checkpoint = Checkpoint::decode(&record.body).map_err(damaged)?;
                let signed = checkpoint_bytes(&self.id, record.seq, &record.previous, &record.body);
                if !record
                    .signature
                    .is_some_and(|signature| signature_holds(&self.public_key, &signed, &signature))
                {
                    return Err(damaged(Malformed("a checkpoint's signature does not hold")));
                }
                now.checkpointed(checkpoint.replay_segment);
                replay.retain(|light: &Light| light.seq > checkpoint.indexed);
                unfinished = checkpoint.unfinished;
                indexed = checkpoint.indexed;
            }
            if record.effect != Effect::None {
                let Record { seq, kind, stamp, effect, .. } = record;
                replay.push(Light { seq, kind, stamp, at, effect });
            }
            Ok(())
        })?;
        let last = surveyed.iter().rev().find_map(|segment| {
            segment.groups.last().map(|(offset, header)| (segment.segment, *offset, *header))
        });
        let (Some(standing), Some(last)) = (standing, last) else {
            return Err(self.damaged(Damage { segment: 1, offset: 0, what: "there is no group".into() }));
        };
        let first = surveyed.first().map_or(0, |segment| segment.segment);
        unfinished.retain(|segment| *segment < first);
        Ok(End { standing, last, head: (seq, hash), replay, indexed, unfinished })
    }

    /// A compressed segment as what it says of itself.
    fn packed(&self, span: &Span) -> Result<Surveyed, OpenError> {
        if span.journal == self.id {
            return Ok(Surveyed::packed(*span));
        }
        let path = self.dir.join(pack_name(span.segment));
        Err(OpenError::Foreign { path, what: "it holds records of another journal".into() })
    }

    /// From now on what is before `oldest` is no longer kept, whether its files are still there or not.
    pub(crate) fn keep_from(&mut self, oldest: u32) {
        self.oldest = oldest;
        self.segments.retain(|(segment, _)| *segment >= oldest);
    }

    /// Looks at segments before those surveyed: their beginnings, and all of those that are `needed`. What is wrong there,
    /// not readable or not there is told, not refused: whether it touches unfinished documents is seen later.
    pub(crate) fn look_back(
        &self,
        before: u32,
        needed: &[u32],
        next_first: Seq,
    ) -> Result<(Earlier, Vec<Damage>), OpenError> {
        let mut found = Earlier::default();
        let mut damage = Vec::new();
        let mut buffer = Vec::new();
        // The segment after the one looked at, and its first record, if that is known.
        let mut next = (before, Some(next_first));
        let missing = |segment| Damage { segment, offset: 0, what: "the segment is missing".into() };
        for (segment, length) in self.segments.iter().rev().filter(|(segment, _)| *segment < before) {
            let after = segment.saturating_add(1);
            damage.extend((after..next.0).rev().map(missing));
            let next_first = next.1.filter(|_| after == next.0);
            next = (*segment, None);
            let mut wrong = |offset: u64, what: &str| {
                damage.push(Damage { segment: *segment, offset, what: what.into() })
            };
            let pack = open_pack(self.disk, *segment).and_then(|pack| {
                let Some(pack) = pack else { return Ok(None) };
                Ok(Some((*pack.span(), self.disk.open(&pack_name(*segment))?.length()?)))
            });
            match pack {
                Ok(Some((span, bytes))) => {
                    self.packed(&span)?;
                    if next_first.is_some_and(|next| span.last_seq.checked_add(1) != Some(next)) {
                        wrong(0, "it does not reach up to the segment after it");
                    }
                    found.packed.insert(*segment, bytes);
                    found.segments.insert(*segment, Segment { first_seq: span.first_seq, end: span.end });
                    next = (*segment, Some(span.first_seq));
                    continue;
                }
                Ok(None) => {}
                Err(error) => {
                    wrong(0, &error.to_string());
                    continue;
                }
            }
            if let Err(error) = self.load_beginning(*segment, &mut buffer) {
                wrong(0, &error.to_string());
                continue;
            }
            let first = match look(&buffer, Some(&self.id)) {
                AtBlock::Whole(header) | AtBlock::Torn(header) => header.first_seq,
                AtBlock::Newer => return Err(self.newer(*segment)),
                AtBlock::Nothing | AtBlock::Foreign => {
                    wrong(0, "its first group is not readable");
                    continue;
                }
            };
            if needed.contains(segment) {
                let file = self.disk.open(&segment_name(*segment));
                match file.and_then(|file| walk_groups(&*file, *length, &self.id, true)) {
                    Ok(groups) => {
                        let (end, last) = groups.last().map_or((0, 0), |(offset, header)| {
                            (offset + padded_u64(header), header.last_seq().saturating_add(1))
                        });
                        if next_first.is_some_and(|next| last != next) {
                            wrong(end, "a group is not whole");
                        }
                    }
                    Err(error) => wrong(0, &error.to_string()),
                }
            }
            found.segments.insert(*segment, Segment { first_seq: first, end: *length });
            next = (*segment, Some(first));
        }
        damage.extend((self.oldest..next.0).rev().map(missing));
        Ok((found, damage))
    }

    fn base(&self, segment_bytes: &[u8], segment: u32, header: &Header) -> Result<Base, OpenError> {
        let damaged = |what: &str| self.damaged(Damage { segment, offset: 0, what: what.into() });
        let found = records(segment_bytes, header, segment, 0).map_err(|Malformed(what)| damaged(what))?;
        let Some((_, first)) = found.first().filter(|(_, record)| record.kind == Kind::Base) else {
            return Err(damaged("it does not begin with its BASE"));
        };
        let base = Base::decode(&first.body).map_err(|Malformed(what)| damaged(what))?;
        if base.segment == segment { Ok(base) } else { Err(damaged("it is another segment under this name")) }
    }

    fn load(&self, segment: u32, buffer: &mut Vec<u8>) -> Result<(), OpenError> {
        read_segment(self.disk, segment, buffer).map_err(|source| self.unreadable(segment, source))
    }

    fn load_beginning(&self, segment: u32, buffer: &mut Vec<u8>) -> io::Result<()> {
        let file = open_segment(self.disk, segment)?;
        buffer.resize(BLOCK, 0);
        let read = file.read_at(buffer, 0)?;
        buffer.truncate(read);
        Ok(())
    }

    fn unreadable(&self, segment: u32, source: io::Error) -> OpenError {
        if source.kind() == io::ErrorKind::InvalidData {
            return self.damaged(Damage { segment, offset: 0, what: source.to_string() });
        }
        OpenError::Io { step: "reading the journal", path: self.dir.join(segment_name(segment)), source }
    }

    pub(crate) fn damaged(&self, damage: Damage) -> OpenError {
        OpenError::Damaged { dir: self.store_dir(), damage }
    }

    /// The directory of the store, which is what people are told of.
    pub(crate) fn store_dir(&self) -> PathBuf {
        self.dir.parent().map_or_else(|| self.dir.clone(), Path::to_owned)
    }

    fn newer(&self, segment: u32) -> OpenError {
        let path = self.dir.join(segment_name(segment));
        OpenError::Foreign { path, what: "it was written by a newer version of this program".into() }
    }
}

/// The padded length of a group as a file length.
pub(crate) fn padded_u64(header: &Header) -> u64 {
    super::codec::length_u64(length_usize(header.length).next_multiple_of(BLOCK))
}
