//! Reading a damaged journal: every record in it that is as it was written, and where.

use std::collections::BTreeMap;
use std::path::Path;

use super::report::SalvageError;
use super::segment_bytes::ReadOnly;
use crate::queue::Seq;
use crate::store::codec::{length_u64, length_usize};
use crate::store::disk::Disk;
use crate::store::effect::Effect;
use crate::store::group::{AtBlock, BLOCK, Header, look, records};
use crate::store::journal::{segment_name, segment_number};
use crate::store::keys::{Signer, signature_holds};
use crate::store::pack::{Pack, key_of, pack_number};
use crate::store::record::{Kind, Malformed, Record, announced_length, decode_record};
use crate::store::standing::{Base, Genesis};

/// The fewest bytes of a record.
const SHORTEST: usize = 86;

/// Where a record is that can be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) segment: u32,
    offset: usize,
    length: usize,
    /// Which whole group it is in, counted from the beginning; `None`: its group is broken.
    pub(super) group: Option<u64>,
    hash: [u8; 32],
    previous: [u8; 32],
}

/// A record of a broken group that proves itself by its signature, or may be proven by the one after it.
struct Loose {
    seq: Seq,
    piece: Piece,
    signed: bool,
    /// Running numbers of the whole records around it.
    after: Seq,
    /// Whole groups that were found before it.
    groups: usize,
}

/// Everything that can be read.
pub(super) struct Source {
    disk: ReadOnly,
    pub(super) id: [u8; 16],
    pub(super) public_key: [u8; 32],
    pub(super) segments: Vec<u32>,
    pub(super) pieces: BTreeMap<Seq, Piece>,
    /// The first whole group's number.
    pub(super) first_group: u64,
    /// What is wrong, in words.
    pub(super) damage: Vec<String>,
    /// Keys of documents that compressed segments name.
    pub(super) named: BTreeMap<Seq, String>,
    /// Something stands after the last whole group, or the last segment is not whole.
    pub(super) end_is_unsure: bool,
    loaded: Option<(u32, Vec<u8>)>,
}

impl Source {
    /// Reads the whole journal of the store in `dir`; `ours`: its key, if it is there.
    pub(super) fn read(dir: &Path, ours: Option<&[u8; 32]>) -> Result<Self, SalvageError> {
        let journal = dir.join("journal");
        let disk = ReadOnly(journal.clone());
        let failed = |source| SalvageError::Io { step: "reading", path: journal.clone(), source };
        if !journal.is_dir() {
            return Err(SalvageError::NoStore { dir: dir.to_owned() });
        }
        let names = disk.list().map_err(failed)?;
        let number = |(name, _): &(String, u64)| segment_number(name).or(pack_number(name));
        let mut segments: Vec<u32> = names.iter().filter_map(number).collect();
        segments.sort_unstable();
        segments.dedup();
        if segments.is_empty() {
            return Err(SalvageError::NoStore { dir: dir.to_owned() });
        }
        let mut source = Self {
            disk,
            id: [0; 16],
            public_key: [0; 32],
            segments,
            pieces: BTreeMap::new(),
            first_group: 1,
            damage: Vec::new(),
            named: BTreeMap::new(),
            end_is_unsure: false,
            loaded: None,
        };
        source.find_identity(&journal, ours)?;
        source.find_records(&journal)?;
        Ok(source)
    }

    /// The record of a piece.
    pub(super) fn record(&mut self, piece: Piece) -> Result<Record, &'static str> {
        if self.loaded.as_ref().is_none_or(|(segment, _)| *segment != piece.segment) {
            let bytes = self.disk.load(piece.segment).0;
            self.loaded = Some((piece.segment, bytes));
        }
        let bytes =
            self.loaded.as_ref().and_then(|(_, it)| it.get(piece.offset..piece.offset + piece.length));
        decode_record(bytes.unwrap_or_default()).map_err(|Malformed(what)| what)
    }

    /// Whose journal it is: what most segments say that were made with this key.
    fn find_identity(&mut self, journal: &Path, ours: Option<&[u8; 32]>) -> Result<(), SalvageError> {
        let mut found: BTreeMap<[u8; 16], (u32, Option<[u8; 32]>)> = BTreeMap::new();
        for segment in self.segments.clone() {
            let bytes = self.disk.load(segment).0;
            for at in (0..bytes.len()).step_by(BLOCK) {
                match look(&bytes[at..], None) {
                    AtBlock::Newer => return Err(newer(journal, segment)),
                    AtBlock::Whole(header) => {
                        let (count, key) = found.entry(header.journal).or_default();
                        *count += 1;
                        *key = public_key_in(&bytes[at..], &header, segment).or(*key);
                        if at > 0 {
                            break;
                        }
                    }
                    AtBlock::Nothing | AtBlock::Foreign | AtBlock::Torn(_) => {}
                }
            }
        }
        let most = found.into_iter().max_by_key(|(_, (count, key))| {
            let other = key.as_ref().is_some_and(|key| Some(key) != ours);
            (!other, key.is_some(), *count)
        });
        let Some((id, (_, key))) = most else {
            let what = "no group of records in it is whole".to_owned();
            return Err(SalvageError::Unreadable { dir: journal.to_owned(), what });
        };
        self.id = id;
        // Without one the key file's own is taken: signatures then say whether it is the right one.
        self.public_key = key.unwrap_or_default();
        Ok(())
    }

    fn find_records(&mut self, journal: &Path) -> Result<(), SalvageError> {
        let mut loose = Vec::new();
        let mut firsts: Vec<Seq> = Vec::new();
        let mut after = 0;
        for segment in self.segments.clone() {
            let (bytes, wrong) = self.disk.load(segment);
            self.damage.extend(wrong);
            if let Ok(effects) = Pack::open(&self.disk, segment).and_then(|pack| pack.effects()) {
                let keys = effects.iter().filter_map(|it| match &it.effect {
                    Effect::Document { key, .. } => Some((it.seq, key.clone())),
                    _ => None,
                });
                self.named.extend(keys);
            }
            let mut declared = 0;
            let mut broken: Option<usize> = None;
            let mut at = 0;
            while at < bytes.len() {
                let found = match look(&bytes[at..], Some(&self.id)) {
                    AtBlock::Whole(header) => {
                        records(&bytes[at..], &header, segment, length_u64(at)).ok().map(|it| (header, it))
                    }
                    AtBlock::Newer => return Err(newer(journal, segment)),
                    AtBlock::Foreign => {
                        if let Some(from) = broken.take() {
                            self.look_through(segment, &bytes[..at], from, (after, firsts.len()), &mut loose);
                        }
                        at = self.skip_foreign(segment, &bytes, at);
                        continue;
                    }
                    AtBlock::Nothing | AtBlock::Torn(_) => None,
                };
                let Some((header, found)) = found else {
                    broken.get_or_insert(at);
                    at += BLOCK;
                    continue;
                };
                if let Some(from) = broken.take() {
                    self.look_through(segment, &bytes[..at], from, (after, firsts.len()), &mut loose);
                }
                if firsts.is_empty() {
                    self.first_group = header.number;
                }
                let group = Some(length_u64(firsts.len()));
                firsts.push(header.first_seq);
                for (place, record) in found {
                    if let (Kind::Base, Ok(base)) = (record.kind, Base::decode(&record.body)) {
                        declared = length_usize(base.declared);
                    }
                    let piece = Piece {
                        segment,
                        offset: length_usize(place.offset),
                        length: length_usize(place.length),
                        group,
                        hash: record.hash,
                        previous: record.previous,
                    };
                    self.pieces.entry(record.seq).or_insert(piece);
                    after = record.seq;
                }
                at += header.padded();
                self.end_is_unsure = false;
            }
            let packed = !self.disk.0.join(segment_name(segment)).exists();
            if let Some(from) = broken.take().filter(|from| bytes[*from..].iter().any(|byte| *byte != 0)) {
                self.end_is_unsure = true;
                self.look_through(segment, &bytes, from, (after, firsts.len()), &mut loose);
            }
            if bytes.len() < declared && !packed {
                self.end_is_unsure = true;
                self.damage.push(format!(
                    "segment {segment} at byte {}: it was made with {declared} bytes",
                    bytes.len()
                ));
            }
        }
        self.keep_proven(loose, &firsts);
        Ok(())
    }

    /// Groups of another journal, of which nothing is believed; where they end.
    fn skip_foreign(&mut self, segment: u32, bytes: &[u8], from: usize) -> usize {
        self.end_is_unsure = true;
        self.damage.push(format!("segment {segment} at byte {from}: records of another journal"));
        let mut at = from;
        while let Some(rest) = bytes.get(at..)
            && look(rest, Some(&self.id)) == AtBlock::Foreign
        {
            at += match look(rest, None) {
                AtBlock::Whole(header) => header.padded(),
                _ => BLOCK,
            };
        }
        at
    }

    /// Looks for records in bytes of which no group is whole.
    fn look_through(
        &mut self,
        segment: u32,
        bytes: &[u8],
        from: usize,
        (after, groups): (Seq, usize),
        loose: &mut Vec<Loose>,
    ) {
        if bytes[from..].iter().all(|byte| *byte == 0) {
            return;
        }
        self.damage.push(format!("segment {segment} at byte {from}: a group of records is not whole"));
        let mut at = from;
        while at + SHORTEST <= bytes.len() {
            let Some(record) = record_at(&bytes[at..]) else {
                at += 1;
                continue;
            };
            let length = announced_length(&bytes[at..]).unwrap_or(1);
            let signed = record.kind == Kind::Sale && sale_holds(&self.public_key, &record);
            let (hash, previous) = (record.hash, record.previous);
            let piece = Piece { segment, offset: at, length, group: None, hash, previous };
            loose.push(Loose { seq: record.seq, piece, signed, after, groups });
            // One that is not believed may hide others.
            at += if signed { length } else { 1 };
        }
    }

    /// Keeps those that prove themselves, or whose hash the record after them carries.
    fn keep_proven(&mut self, mut loose: Vec<Loose>, firsts: &[Seq]) {
        loose.retain(|it| {
            let before = firsts.get(it.groups).copied().unwrap_or(Seq::MAX);
            it.seq > it.after && it.seq < before
        });
        let carried: Vec<(Seq, [u8; 32])> = loose.iter().map(|it| (it.seq, it.piece.previous)).collect();
        for it in loose {
            let next = it.seq.saturating_add(1);
            let proven = it.signed
                || self.pieces.get(&next).is_some_and(|piece| piece.previous == it.piece.hash)
                || carried.iter().any(|(seq, previous)| *seq == next && *previous == it.piece.hash);
            if proven {
                self.pieces.entry(it.seq).or_insert(it.piece);
            }
        }
    }
}

fn newer(journal: &Path, segment: u32) -> SalvageError {
    SalvageError::Unreadable {
        dir: journal.join(segment_name(segment)),
        what: "it was written by a newer version of this program: salvage with that one".to_owned(),
    }
}

/// A record at the head of these bytes, by its form alone.
fn record_at(bytes: &[u8]) -> Option<Record> {
    let (layout, kind) = (*bytes.get(4)?, *bytes.get(5)?);
    if layout != 1 || Kind::from_code(kind).is_none() {
        return None;
    }
    let length = announced_length(bytes).ok().filter(|length| *length >= SHORTEST)?;
    decode_record(bytes.get(..length)?).ok()
}

/// Whether a sale's signature holds.
pub(super) fn sale_holds(public_key: &[u8; 32], record: &Record) -> bool {
    let Record { kind, stamp, origin, effect, body, signature, .. } = record;
    let bytes = Signer::document_bytes(*kind, stamp, origin, effect, body);
    key_of(effect).is_some() && signature.is_some_and(|it| signature_holds(public_key, &bytes, &it))
}

fn public_key_in(group: &[u8], header: &Header, segment: u32) -> Option<[u8; 32]> {
    let found = records(group, header, segment, 0).ok()?;
    found.iter().find_map(|(_, record)| match record.kind {
        Kind::Base => Base::decode(&record.body).ok().map(|base| base.public_key),
        Kind::Genesis => Genesis::decode(&record.body).ok().map(|genesis| genesis.public_key),
        _ => None,
    })
}
