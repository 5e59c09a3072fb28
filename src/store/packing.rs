//! Compressing a closed segment: beside it, synced, renamed into place, the names synced; only then the old one goes.

use std::io;

use crate::store::codec::{Put, length_u32, length_u64, length_usize};
use crate::store::disk::{Disk, DiskFile};
use crate::store::effect::Effect;
use crate::store::group::{BLOCK, Header, records};
use crate::store::journal::{segment_name, walk_groups};
use crate::store::pack::{
    CHUNK, Chunk, Pack, PackHeader, Span, Table, encode_chunk, encode_light, key_hash, key_of, pack_name,
    pack_number, packing_name, table_of,
};
use crate::store::record::Malformed;
use crate::store::replay::Light;

/// zstd's own default: higher levels gain a tenth and cost a slow till's processor three times as much.
const LEVEL: i32 = 3;

/// What compressing a segment came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packed {
    /// Bytes of the segment's groups.
    pub(crate) before: u64,
    /// Bytes of the compressed file.
    pub(crate) after: u64,
    pub(crate) span: Span,
}

/// Compresses a closed segment and puts the result in its place. Interrupted at any point, either of the two is there whole.
/// `next`: the first record of the segment after it. An `InvalidData` error: it is damaged, and was left alone.
pub(crate) fn pack_segment(
    disk: &dyn Disk,
    journal: &[u8; 16],
    segment: u32,
    next: u64,
) -> io::Result<Packed> {
    let plain = disk.open(&segment_name(segment))?;
    let groups = walk_groups(&*plain, plain.length()?, journal, true)?;
    let whole = groups.last().is_some_and(|(_, last)| last.last_seq().saturating_add(1) == next);
    if !whole {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a group is not whole"));
    }
    let making = packing_name(segment);
    match disk.remove(&making) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let made = make(disk, &making, &*plain, journal, segment, &groups);
    let packed = match made.and_then(|packed| compare(disk, &making, &*plain, segment).map(|()| packed)) {
        Ok(packed) => packed,
        Err(error) => {
            // Best effort: the next start removes it too.
            let _ = disk.remove(&making);
            return Err(error);
        }
    };
    disk.rename(&making, &pack_name(segment))?;
    disk.sync_names()?;
    disk.remove(&segment_name(segment))?;
    disk.sync_names()?;
    Ok(packed)
}

/// Removes what an interrupted compression left: the uncompressed segment is whole as long as it is there.
pub(crate) fn tidy_packing(disk: &dyn Disk) -> io::Result<()> {
    let names: Vec<String> = disk.list()?.into_iter().map(|(name, _)| name).collect();
    for name in &names {
        let twin = pack_number(name).is_some_and(|segment| names.contains(&segment_name(segment)));
        if twin || name.starts_with("packing-") {
            disk.remove(name)?;
        }
    }
    Ok(())
}

fn make(
    disk: &dyn Disk,
    name: &str,
    plain: &dyn DiskFile,
    journal: &[u8; 16],
    segment: u32,
    groups: &[(u64, Header)],
) -> io::Result<Packed> {
    let mut out = Out { file: disk.create(name)?, at: length_u64(BLOCK), waiting: Vec::new() };
    let end = end_of(groups);
    let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;

    let mut chunk_table = Vec::new();
    let mut buffer = vec![0; CHUNK];
    let mut at = 0;
    while at < end {
        let length = usize::try_from(end - at).unwrap_or(CHUNK).min(CHUNK);
        let read = plain.read_at(&mut buffer[..length], at)?;
        // A grown segment may end before its last group's padding.
        buffer[read..length].fill(0);
        let packed = compressor.compress(&buffer[..length])?;
        let offset = u32::try_from(out.position()).map_err(|_| io::Error::other("larger than 4 GiB"))?;
        let chunk = Chunk { offset, length: length_u32(packed.len()), crc: crc32c::crc32c(&packed) };
        encode_chunk(&mut chunk_table, chunk);
        out.put(&packed)?;
        at += length_u64(length);
    }
    let chunks = out.table(&chunk_table, chunk_table.len())?;

    let read = read_records(plain, segment, groups)?;
    let packed = compressor.compress(&read.effects)?;
    let effects = out.table(&packed, read.effects.len())?;
    let keys = out.table(&read.keys, read.keys.len())?;
    out.flush(true)?;

    let span = span_of(journal, segment, groups, read.head)?;
    out.file.write_at(&PackHeader { span, chunks, effects, keys }.encode(), 0)?;
    out.file.sync_data()?;
    Ok(Packed { before: end, after: out.file.length()?, span })
}

fn end_of(groups: &[(u64, Header)]) -> u64 {
    groups.last().map_or(0, |(at, header)| at + length_u64(header.padded()))
}

/// What a segment with these groups holds; `head`: the hash of its last record.
fn span_of(journal: &[u8; 16], segment: u32, groups: &[(u64, Header)], head: [u8; 32]) -> io::Result<Span> {
    let (Some((_, first)), Some((_, last))) = (groups.first(), groups.last()) else {
        return Err(io::Error::other("a segment without groups"));
    };
    Ok(Span {
        journal: *journal,
        segment,
        first_seq: first.first_seq,
        last_seq: last.last_seq(),
        first_group: first.number,
        last_group: last.number,
        previous: first.previous,
        head,
        end: end_of(groups),
    })
}

/// What the tables need of the records.
struct Read {
    effects: Vec<u8>,
    keys: Vec<u8>,
    head: [u8; 32],
}

fn read_records(plain: &dyn DiskFile, segment: u32, groups: &[(u64, Header)]) -> io::Result<Read> {
    let mut read = Read { effects: Vec::new(), keys: Vec::new(), head: [0; 32] };
    let mut hashes = Vec::new();
    let mut group = Vec::new();
    for (offset, header) in groups {
        group.resize(length_usize(header.length), 0);
        if plain.read_at(&mut group, *offset)? != group.len() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a group is cut short"));
        }
        let found = records(&group, header, segment, *offset)
            .map_err(|Malformed(what)| io::Error::new(io::ErrorKind::InvalidData, what))?;
        for (at, record) in found {
            read.head = record.hash;
            hashes.extend(key_of(&record.effect).map(key_hash));
            if record.effect != Effect::None {
                let light = Light {
                    seq: record.seq,
                    kind: record.kind,
                    stamp: record.stamp,
                    at,
                    effect: record.effect,
                };
                encode_light(&mut read.effects, &light);
            }
        }
    }
    hashes.sort_unstable();
    hashes.into_iter().for_each(|hash| read.keys.put_u64(hash));
    Ok(read)
}

/// Whether a compressed segment says of its records what they say; `InvalidData`: it does not, or it is damaged. Its own
/// checksums tell what went bad by itself, not what was put there by somebody.
pub(crate) fn check_against_records(pack: &Pack) -> io::Result<()> {
    let span = pack.span();
    let groups = walk_groups(pack, span.end, &span.journal, false)?;
    let read = read_records(pack, span.segment, &groups)?;
    let differs = |what: &str| {
        Err(io::Error::new(io::ErrorKind::InvalidData, format!("its {what} is not what its records say")))
    };
    if span_of(&span.journal, span.segment, &groups, read.head)? != *span {
        return differs("header");
    }
    if pack.effect_bytes()? != read.effects {
        return differs("table of effects");
    }
    if pack.key_bytes()? != read.keys {
        return differs("table of keys");
    }
    Ok(())
}

/// What was compressed must come back as it was, before the original goes.
fn compare(disk: &dyn Disk, name: &str, plain: &dyn DiskFile, segment: u32) -> io::Result<()> {
    let pack = Pack::open_named(disk, name, segment)?;
    pack.check_tables()?;
    let (mut left, mut right) = (vec![0; CHUNK], vec![0; CHUNK]);
    let mut at = 0;
    while at < pack.span().end {
        let read = pack.read_at(&mut left, at)?;
        let original = plain.read_at(&mut right[..read], at)?;
        right[original..read].fill(0);
        if left[..read] != right[..read] {
            return Err(io::Error::other("what was compressed does not come back as it was"));
        }
        at += length_u64(read);
    }
    Ok(())
}

/// A file written from its second block on, in whole blocks.
struct Out {
    file: Box<dyn DiskFile>,
    at: u64,
    waiting: Vec<u8>,
}

impl Out {
    fn position(&self) -> u64 {
        self.at + length_u64(self.waiting.len())
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.waiting.extend_from_slice(bytes);
        self.flush(false)
    }

    fn table(&mut self, bytes: &[u8], unpacked: usize) -> io::Result<Table> {
        let table = table_of(self.position(), bytes, unpacked);
        self.put(bytes)?;
        Ok(table)
    }

    fn flush(&mut self, all: bool) -> io::Result<()> {
        let blocks = if all { self.waiting.len() } else { self.waiting.len() / CHUNK * CHUNK };
        if blocks > 0 {
            self.file.write_at(&self.waiting[..blocks], self.at)?;
            self.at += length_u64(blocks);
            self.waiting.drain(..blocks);
        }
        Ok(())
    }
}
