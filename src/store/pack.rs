//! A closed segment, compressed: `journal/NNNNNNNNNN.pack`, read as if it were the segment itself.
//!
//! The segment's bytes up to its last group are cut into chunks of 64 KiB, each a zstd frame of its own, so that one record is
//! read by unpacking one or two chunks. Places in it stay what they were: nothing that leads to a record changes when its
//! segment is compressed. Checksums are over the compressed bytes; the groups inside have their own.
//!
//! | where | what |
//! |---|---|
//! | first block | header: which records and groups, where the rest is, CRC-32C |
//! | then | the chunks |
//! | then | places, lengths and checksums of the chunks |
//! | then | what its records do to the index (`Light`), one zstd frame: a rebuild needs no bodies |
//! | at the end | the first 8 bytes of the SHA-256 of each key, sorted: is a key in here? |

use std::io;
use std::sync::{Mutex, PoisonError};

use crate::queue::Seq;
use crate::store::codec::{Put, Take, length_u32, length_u64, length_usize};
use crate::store::disk::{Disk, DiskFile};
use crate::store::effect::{Effect, decode_effect, encode_effect};
use crate::store::group::BLOCK;
use crate::store::record::{Kind, Located, Malformed, Stamp, sha256};
use crate::store::replay::Light;

/// Bytes of the segment in one chunk.
pub(crate) const CHUNK: usize = 64 << 10;
/// The longest table of effects that is believed, unpacked.
const EFFECTS_MAX: u32 = 256 << 20;
const MAGIC: [u8; 8] = [0xff, b'e', 0xfe, b'T', 0xf8, b'P', 0xc0, b'K'];
const FORMAT: u16 = 1;
/// Bytes of an entry in the table of chunks.
const CHUNK_ENTRY: usize = 12;
/// Bytes of an entry in the table of keys.
const KEY_ENTRY: usize = 8;

/// A compressed segment's file name.
pub(crate) fn pack_name(segment: u32) -> String {
    format!("{segment:010}.pack")
}

/// The name while it is being made.
pub(crate) fn packing_name(segment: u32) -> String {
    format!("packing-{segment:010}")
}

/// The segment that the name of a compressed one means.
pub(crate) fn pack_number(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(".pack")?;
    if digits.len() == 10 && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        digits.parse().ok()
    } else {
        None
    }
}

/// Which records and groups a segment has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) journal: [u8; 16],
    pub(crate) segment: u32,
    pub(crate) first_seq: Seq,
    pub(crate) last_seq: Seq,
    pub(crate) first_group: u64,
    pub(crate) last_group: u64,
    /// The hash of the record before its first.
    pub(crate) previous: [u8; 32],
    /// The hash of its last record.
    pub(crate) head: [u8; 32],
    /// Where its last group ends, padding included.
    pub(crate) end: u64,
}

/// A part of the file: its place, its length there, its length unpacked, and the checksum of what is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) offset: u64,
    pub(crate) length: u32,
    pub(crate) unpacked: u32,
    pub(crate) crc: u32,
}

/// Where one chunk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) offset: u32,
    pub(crate) length: u32,
    pub(crate) crc: u32,
}

/// The first block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PackHeader {
    pub(crate) span: Span,
    pub(crate) chunks: Table,
    pub(crate) effects: Table,
    pub(crate) keys: Table,
}

impl PackHeader {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(BLOCK);
        out.extend_from_slice(&MAGIC);
        out.put_u16(FORMAT);
        let span = &self.span;
        out.extend_from_slice(&span.journal);
        out.put_u32(span.segment);
        for number in [span.first_seq, span.last_seq, span.first_group, span.last_group] {
            out.put_u64(number);
        }
        out.extend_from_slice(&span.previous);
        out.extend_from_slice(&span.head);
        out.put_u64(span.end);
        for table in [self.chunks, self.effects, self.keys] {
            out.put_u64(table.offset);
            out.put_u32(table.length);
            out.put_u32(table.unpacked);
            out.put_u32(table.crc);
        }
        out.resize(BLOCK - 4, 0);
        out.put_u32(crc32c::crc32c(&out));
        out
    }

    pub(crate) fn decode(block: &[u8]) -> Result<Self, Malformed> {
        let (content, crc) =
            block.split_last_chunk::<4>().ok_or(Malformed("a compressed segment cut short"))?;
        if block.len() != BLOCK || crc32c::crc32c(content) != u32::from_be_bytes(*crc) {
            return Err(Malformed("the header of a compressed segment is not as it was written"));
        }
        let mut take = Take(content);
        if take.array()? != MAGIC || take.u16()? != FORMAT {
            return Err(Malformed("not a compressed segment of this version"));
        }
        let span = Span {
            journal: take.array()?,
            segment: take.u32()?,
            first_seq: take.u64()?,
            last_seq: take.u64()?,
            first_group: take.u64()?,
            last_group: take.u64()?,
            previous: take.array()?,
            head: take.array()?,
            end: take.u64()?,
        };
        let mut table = || {
            Ok(Table { offset: take.u64()?, length: take.u32()?, unpacked: take.u32()?, crc: take.u32()? })
        };
        Ok(Self { span, chunks: table()?, effects: table()?, keys: table()? })
    }
}

/// An open compressed segment.
pub(crate) struct Pack {
    file: Box<dyn DiskFile>,
    header: PackHeader,
    chunks: Vec<Chunk>,
    /// The chunk that was read last.
    cached: Mutex<Option<(usize, Vec<u8>)>>,
}

impl Pack {
    /// Opens the compressed `segment`; `NotFound` if there is none, `InvalidData` if it is damaged.
    pub(crate) fn open(disk: &dyn Disk, segment: u32) -> io::Result<Self> {
        Self::open_named(disk, &pack_name(segment), segment)
    }

    pub(crate) fn open_named(disk: &dyn Disk, name: &str, segment: u32) -> io::Result<Self> {
        let file = disk.open(name)?;
        let mut block = vec![0; BLOCK];
        let read = file.read_at(&mut block, 0)?;
        let header = PackHeader::decode(&block[..read]).map_err(|Malformed(what)| damaged(what))?;
        if header.span.segment != segment {
            return Err(damaged("it is another compressed segment under this name"));
        }
        let chunk_bytes = read_table(&*file, &header.chunks)?;
        let mut take = Take(&chunk_bytes);
        let mut chunks = Vec::with_capacity(chunk_bytes.len() / CHUNK_ENTRY);
        while take.end().is_err() {
            let mut field = || take.u32().map_err(|Malformed(what)| damaged(what));
            chunks.push(Chunk { offset: field()?, length: field()?, crc: field()? });
        }
        if length_u64(chunks.len()) != header.span.end.div_ceil(length_u64(CHUNK)) {
            return Err(damaged("the table of its chunks does not cover the segment"));
        }
        Ok(Self { file, header, chunks, cached: Mutex::default() })
    }

    /// Which records and groups it has.
    pub(crate) const fn span(&self) -> &Span {
        &self.header.span
    }

    /// What its records do to the index, in order; those that do nothing are left out.
    pub(crate) fn effects(&self) -> io::Result<Vec<Light>> {
        let bytes = self.effect_bytes()?;
        decode_effects(&bytes, self.header.span.segment).map_err(|Malformed(what)| damaged(what))
    }

    /// The table of effects.
    pub(crate) fn effect_bytes(&self) -> io::Result<Vec<u8>> {
        let table = &self.header.effects;
        if table.unpacked > EFFECTS_MAX {
            return Err(damaged("its table of effects is too long"));
        }
        let packed = read_table(&*self.file, table)?;
        zstd::bulk::decompress(&packed, length_usize(table.unpacked))
    }

    /// The table of keys.
    pub(crate) fn key_bytes(&self) -> io::Result<Vec<u8>> {
        read_table(&*self.file, &self.header.keys)
    }

    /// Checks the tables, which reading the segment through does not touch.
    pub(crate) fn check_tables(&self) -> io::Result<()> {
        self.effects()?;
        self.key_bytes().map(|_| ())
    }

    /// Unpacks a chunk into `out`.
    fn unpack(&self, index: usize, out: &mut Vec<u8>) -> io::Result<()> {
        let chunk = self.chunks[index];
        let at = || {
            format!(
                "compressed bytes {} to {}",
                chunk.offset,
                u64::from(chunk.offset) + u64::from(chunk.length)
            )
        };
        let mut packed = vec![0; length_usize(chunk.length).min(2 * CHUNK)];
        let read = self.file.read_at(&mut packed, u64::from(chunk.offset))?;
        if read != length_usize(chunk.length) || crc32c::crc32c(&packed) != chunk.crc {
            return Err(damaged(&format!("{} are not as they were written", at())));
        }
        let begins = length_u64(index * CHUNK);
        let length = usize::try_from(self.header.span.end - begins).unwrap_or(usize::MAX).min(CHUNK);
        out.resize(length, 0);
        match zstd::bulk::decompress_to_buffer(&packed, &mut out[..]) {
            Ok(unpacked) if unpacked == length => Ok(()),
            Ok(_) => Err(damaged(&format!("{} are shorter than they should be", at()))),
            Err(error) => Err(damaged(&format!("{} cannot be unpacked: {error}", at()))),
        }
    }
}

/// Whether a segment with this table of keys may have accepted a document whose key has this hash: false is certain, true is
/// as good as certain.
pub(crate) fn table_holds(keys: &[u8], wanted: u64) -> bool {
    let (mut low, mut high) = (0, keys.len() / KEY_ENTRY);
    while low < high {
        let middle = low + (high - low) / 2;
        let entry = keys[middle * KEY_ENTRY..].first_chunk::<KEY_ENTRY>();
        match entry.map_or(0, |entry| u64::from_be_bytes(*entry)).cmp(&wanted) {
            std::cmp::Ordering::Equal => return true,
            std::cmp::Ordering::Less => low = middle + 1,
            std::cmp::Ordering::Greater => high = middle,
        }
    }
    false
}

impl DiskFile for Pack {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = usize::try_from(self.header.span.end.saturating_sub(offset)).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        let mut done = 0;
        while done < wanted {
            let at = usize::try_from(offset).unwrap_or(usize::MAX) + done;
            let (index, within) = (at / CHUNK, at % CHUNK);
            if cached.as_ref().is_none_or(|(there, _)| *there != index) {
                let mut bytes = cached.take().map(|(_, bytes)| bytes).unwrap_or_default();
                self.unpack(index, &mut bytes)?;
                *cached = Some((index, bytes));
            }
            let Some((_, bytes)) = cached.as_ref() else { break };
            let part = bytes.len().saturating_sub(within).min(wanted - done);
            buffer[done..done + part].copy_from_slice(&bytes[within..within + part]);
            done += part;
        }
        Ok(done)
    }

    fn write_at(&self, _bytes: &[u8], _offset: u64) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "a compressed segment is never written to"))
    }

    fn cut(&self, _length: u64) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "a compressed segment is never cut"))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.header.span.end)
    }
}

fn read_table(file: &dyn DiskFile, table: &Table) -> io::Result<Vec<u8>> {
    let length = length_usize(table.length);
    let enough = file.length()?.checked_sub(table.offset).is_some_and(|left| left >= u64::from(table.length));
    if !enough {
        return Err(damaged("a compressed segment is cut short"));
    }
    let mut bytes = vec![0; length];
    if file.read_at(&mut bytes, table.offset)? != length || crc32c::crc32c(&bytes) != table.crc {
        return Err(damaged("a table of a compressed segment is not as it was written"));
    }
    Ok(bytes)
}

/// The key of the document that a record accepts, or takes along.
pub(crate) fn key_of(effect: &Effect) -> Option<&str> {
    match effect {
        Effect::Document { key, .. } => Some(key),
        Effect::Carried(carried) => Some(&carried.key),
        _ => None,
    }
}

/// A key in the table of keys.
pub(crate) fn key_hash(key: &str) -> u64 {
    let hash = sha256(key.as_bytes());
    hash.first_chunk::<KEY_ENTRY>().map_or(0, |first| u64::from_be_bytes(*first))
}

/// Appends one record's entry to the table of effects.
pub(crate) fn encode_light(out: &mut Vec<u8>, light: &Light) {
    out.put_u64(light.seq);
    out.put_u8(light.kind.code());
    out.put_i64(light.stamp.wall_ms);
    out.extend_from_slice(&light.stamp.boot);
    out.put_u64(light.stamp.monotonic_ms);
    out.put_u8(u8::from(light.stamp.synchronised));
    out.put_u32(light.at.offset);
    out.put_u32(light.at.length);
    out.put_u32(light.at.crc);
    encode_effect(out, &light.effect);
}

fn decode_effects(bytes: &[u8], segment: u32) -> Result<Vec<Light>, Malformed> {
    let mut take = Take(bytes);
    let mut found = Vec::new();
    while take.end().is_err() {
        found.push(Light {
            seq: take.u64()?,
            kind: Kind::from_code(take.u8()?).ok_or(Malformed("an unknown kind"))?,
            stamp: Stamp {
                wall_ms: take.i64()?,
                boot: take.array()?,
                monotonic_ms: take.u64()?,
                synchronised: take.flag()?,
            },
            at: Located { segment, offset: take.u32()?, length: take.u32()?, crc: take.u32()? },
            effect: decode_effect(&mut take)?,
        });
    }
    Ok(found)
}

/// The bytes are not those that were written: readers call it damage.
fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

/// An entry in the table of chunks.
pub(crate) fn encode_chunk(out: &mut Vec<u8>, chunk: Chunk) {
    out.put_u32(chunk.offset);
    out.put_u32(chunk.length);
    out.put_u32(chunk.crc);
}

/// A part that was written at `offset`.
pub(crate) fn table_of(offset: u64, bytes: &[u8], unpacked: usize) -> Table {
    Table {
        offset,
        length: length_u32(bytes.len()),
        unpacked: length_u32(unpacked),
        crc: crc32c::crc32c(bytes),
    }
}
