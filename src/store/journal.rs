//! The journal's segments: finding and reading them, and the one writer at their end.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::queue::Seq;
use crate::store::codec::{Take, length_u64, length_usize};
use crate::store::disk::{Disk, DiskFile};
use crate::store::entry::{Entry, Row};
use crate::store::error::ReadError;
use crate::store::group::{AtBlock, BLOCK, HEADER, Header, header_at, look, record_bytes};
use crate::store::options::Damage;
use crate::store::pack::{Pack, key_hash, key_of, pack_number, table_holds};
use crate::store::packing::Packed;
use crate::store::record::{Kind, Located, Malformed, Record, Stamp, decode_record, decode_sale_header};
use crate::store::spares::{RESERVE, Spares};

/// Files that are kept open for reading.
const OPEN_FILES: usize = 16;
/// Bytes of tables of keys that are kept at hand: those of a million documents.
const KEY_TABLES: usize = 8 << 20;
/// A growing file leaves the disk so much: its own bookkeeping needs some of it.
const GROWTH_MARGIN: u64 = 256 << 10;

/// A segment's file name.
pub(crate) fn segment_name(segment: u32) -> String {
    format!("{segment:010}.log")
}

/// The segment that a file name means.
pub(crate) fn segment_number(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(".log")?;
    if digits.len() == 10 && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        digits.parse().ok()
    } else {
        None
    }
}

/// Segment numbers and file lengths, ascending; of a compressed one, the length that it has when read.
pub(crate) fn list_segments(disk: &dyn Disk) -> io::Result<Vec<(u32, u64)>> {
    let mut found = BTreeMap::new();
    let mut packed = Vec::new();
    for (name, length) in disk.list()? {
        if let Some(segment) = segment_number(&name) {
            found.insert(segment, length);
        } else if let Some(segment) = pack_number(&name) {
            packed.push((segment, length));
        }
    }
    for (segment, length) in packed {
        // A damaged one is found out by whoever reads it.
        let unpacked = || Pack::open(disk, segment).map_or(length, |pack| pack.span().end);
        found.entry(segment).or_insert_with(unpacked);
    }
    Ok(found.into_iter().collect())
}

/// Opens a segment for reading, compressed or not.
pub(crate) fn open_segment(disk: &dyn Disk, segment: u32) -> io::Result<Box<dyn DiskFile>> {
    match disk.open(&segment_name(segment)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Pack::open(disk, segment).map(|pack| Box::new(pack) as Box<dyn DiskFile>)
        }
        other => other,
    }
}

/// A segment, if it is there and compressed.
pub(crate) fn open_pack(disk: &dyn Disk, segment: u32) -> io::Result<Option<Pack>> {
    match disk.open(&segment_name(segment)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        other => return other.map(|_| None),
    }
    match Pack::open(disk, segment) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

/// Reads a whole segment into `buffer`. At a start only: a running store reads what it needs, for its memory's sake.
pub(crate) fn read_segment(disk: &dyn Disk, segment: u32, buffer: &mut Vec<u8>) -> io::Result<()> {
    let file = open_segment(disk, segment)?;
    let length = usize::try_from(file.length()?).map_err(|_| io::Error::other("larger than the memory"))?;
    buffer.resize(length, 0);
    let read = file.read_at(buffer, 0)?;
    buffer.truncate(read);
    Ok(())
}

/// The headers of a segment's groups and where each group begins, up to the first that is not there. `thorough`: or whose
/// checksum does not hold.
pub(crate) fn walk_groups(
    file: &dyn DiskFile,
    end: u64,
    journal: &[u8; 16],
    thorough: bool,
) -> io::Result<Vec<(u64, Header)>> {
    let mut found = Vec::new();
    let mut at = 0;
    let mut head = [0; HEADER];
    while at < end {
        let read = file.read_at(&mut head, at)?;
        let Some(header) = header_at(&head[..read], journal) else { break };
        if at + u64::from(header.length) > end || thorough && !checksum_holds(file, at, &header)? {
            break;
        }
        found.push((at, header));
        at += length_u64(header.padded());
    }
    Ok(found)
}

fn checksum_holds(file: &dyn DiskFile, at: u64, header: &Header) -> io::Result<bool> {
    let mut chunk = [0; 8 * BLOCK];
    let mut crc = 0;
    let (mut at, end) = (at, at + u64::from(header.length).saturating_sub(4));
    while at < end {
        let wanted = usize::try_from(end - at).unwrap_or(usize::MAX).min(chunk.len());
        let read = file.read_at(&mut chunk[..wanted], at)?;
        if read == 0 {
            return Ok(false);
        }
        crc = crc32c::crc32c_append(crc, &chunk[..read]);
        at += length_u64(read);
    }
    let mut stored = [0; 4];
    Ok(file.read_at(&mut stored, end)? == 4 && u32::from_be_bytes(stored) == crc)
}

/// What is known of a segment without reading it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    /// Its first record.
    pub(crate) first_seq: Seq,
    /// How far it may be read: everything up to here is synced.
    pub(crate) end: u64,
}

/// The journal as readers see it: only what is synced.
pub(crate) struct Journal {
    disk: Arc<dyn Disk>,
    id: [u8; 16],
    state: Mutex<State>,
}

struct State {
    segments: BTreeMap<u32, Segment>,
    open: BTreeMap<u32, Arc<dyn DiskFile>>,
    /// Those that are compressed, and the bytes of their files.
    packed: BTreeMap<u32, u64>,
    /// Their tables of keys, while the keys are checked.
    key_tables: BTreeMap<u32, Arc<Vec<u8>>>,
}

impl Journal {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        id: [u8; 16],
        segments: BTreeMap<u32, Segment>,
        packed: BTreeMap<u32, u64>,
    ) -> Self {
        let (open, key_tables) = (BTreeMap::new(), BTreeMap::new());
        Self { disk, id, state: Mutex::new(State { segments, open, packed, key_tables }) }
    }

    /// The directory of the segments.
    pub(crate) fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    /// A closed segment was compressed: from now on it is read so.
    pub(crate) fn was_packed(&self, packed: &Packed) {
        let mut state = self.state();
        let segment = packed.span.segment;
        state.open.remove(&segment);
        state.packed.insert(segment, packed.after);
        if let Some(known) = state.segments.get_mut(&segment) {
            known.end = packed.span.end;
        }
    }

    /// Segments before `first` are no longer kept.
    pub(crate) fn forget_before(&self, first: u32) {
        let mut state = self.state();
        let State { segments, open, packed, key_tables } = &mut *state;
        segments.retain(|segment, _| *segment >= first);
        open.retain(|segment, _| *segment >= first);
        packed.retain(|segment, _| *segment >= first);
        key_tables.retain(|segment, _| *segment >= first);
    }

    /// A segment and the first record of the one after it; `None` for the last.
    pub(crate) fn bounds(&self, segment: u32) -> Option<(Segment, Seq)> {
        let state = self.state();
        let next = state.segments.get(&segment.checked_add(1)?)?.first_seq;
        state.segments.get(&segment).map(|known| (*known, next))
    }

    /// Whether the segment is compressed.
    pub(crate) fn is_packed(&self, segment: u32) -> bool {
        self.state().packed.contains_key(&segment)
    }

    /// The bytes of one record, its checksum checked.
    pub(crate) fn bytes(&self, at: Located) -> Result<Vec<u8>, ReadError> {
        self.read_as(at, |bytes| Ok(bytes.to_vec()))
    }

    /// Gives every record of a segment to `each`, in order, its group's checksum checked.
    pub(crate) fn each_record(
        &self,
        segment: u32,
        mut each: impl FnMut(&Record) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        let Some((known, next)) = self.bounds(segment) else { return Ok(()) };
        for (offset, header) in &self.groups(segment, known, Some(next), false)? {
            for record in &self.select(segment, *offset, header, None, |_| true)? {
                each(&record.1)?;
            }
        }
        Ok(())
    }

    /// The hash of the record before this segment's first, and when the segment was begun.
    pub(crate) fn begun(&self, segment: u32) -> Result<([u8; 32], Stamp), ReadError> {
        let file = self.file(segment)?;
        let unwhole = || damaged(segment, 0, "its first group is not readable".into());
        let mut head = [0; HEADER];
        let read = file.read_at(&mut head, 0).map_err(|error| io_error(segment, &error))?;
        let header = header_at(&head[..read], &self.id).ok_or_else(unwhole)?;
        let base = self.select(segment, 0, &header, Some(&[Kind::Base]), |_| true)?;
        base.first().map(|base| (header.previous, base.1.stamp)).ok_or_else(unwhole)
    }

    pub(crate) const fn id(&self) -> [u8; 16] {
        self.id
    }

    /// After a group was synced: the segment may be read up to `end`.
    pub(crate) fn extend(&self, segment: u32, first_seq: Seq, end: u64) {
        self.state().segments.entry(segment).or_insert(Segment { first_seq, end }).end = end;
    }

    /// Free on the disk, bytes; as much as one likes where it does not say.
    pub(crate) fn free(&self) -> u64 {
        self.disk.free().unwrap_or(u64::MAX)
    }

    /// How many segments there are, and the bytes in them.
    pub(crate) fn size(&self) -> (u64, u64) {
        let state = self.state();
        let bytes =
            |(number, segment): (&u32, &Segment)| state.packed.get(number).copied().unwrap_or(segment.end);
        (length_u64(state.segments.len()), state.segments.iter().map(bytes).sum())
    }

    /// One record, its checksum checked.
    pub(crate) fn read(&self, at: Located) -> Result<Record, ReadError> {
        self.read_as(at, decode_record)
    }

    /// The document of a row, with what its sale's record says.
    pub(crate) fn complete(&self, row: Row) -> Result<Entry, ReadError> {
        let sale = self.read_as(row.at, |bytes| decode_sale_header(bytes, row.seq))?;
        Ok(row.with(sale))
    }

    fn read_as<T>(
        &self,
        at: Located,
        decode: impl FnOnce(&[u8]) -> Result<T, Malformed>,
    ) -> Result<T, ReadError> {
        let file = self.file(at.segment)?;
        let mut bytes = vec![0; length_usize(at.length)];
        let read =
            file.read_at(&mut bytes, u64::from(at.offset)).map_err(|error| io_error(at.segment, &error))?;
        let damaged = |what: &str| damaged(at.segment, u64::from(at.offset), what.to_owned());
        if read != bytes.len() {
            return Err(damaged("the segment ends inside a record"));
        }
        if crc32c::crc32c(&bytes) != at.crc {
            return Err(damaged("a record's checksum does not hold"));
        }
        decode(&bytes).map_err(|Malformed(what)| damaged(what))
    }

    /// Records before `before` (all, if `None`), newest first.
    pub(crate) fn before(
        &self,
        before: Option<Seq>,
        kind: Option<Kind>,
        limit: usize,
    ) -> Result<Vec<Record>, ReadError> {
        self.before_within(before, kind, limit, usize::MAX)
    }

    /// The newest records of a kind, as far as they are in the last `reach` segments, newest first.
    pub(crate) fn newest(&self, kind: Kind, limit: usize, reach: usize) -> Result<Vec<Record>, ReadError> {
        self.before_within(None, Some(kind), limit, reach)
    }

    fn before_within(
        &self,
        before: Option<Seq>,
        kind: Option<Kind>,
        limit: usize,
        reach: usize,
    ) -> Result<Vec<Record>, ReadError> {
        let before = before.unwrap_or(Seq::MAX);
        let kinds = kind.map(|kind| [kind]);
        let segments = self.segments();
        let mut found = Vec::new();
        for (index, (number, segment)) in segments.iter().enumerate().rev().take(reach) {
            if found.len() >= limit {
                break;
            }
            if segment.first_seq >= before {
                continue;
            }
            let next = segments.get(index + 1).map(|(_, next)| next.first_seq);
            let groups = match self.groups(*number, *segment, next, false) {
                // It was retired between the two looks.
                Err(_) if !self.knows(*number) => break,
                other => other?,
            };
            for (offset, header) in groups.iter().rev() {
                if header.first_seq < before && found.len() < limit {
                    let wanted = |seq| seq < before;
                    let mut group = self.select(
                        *number,
                        *offset,
                        header,
                        kinds.as_ref().map(<[Kind; 1]>::as_slice),
                        wanted,
                    )?;
                    group.reverse();
                    group.truncate(limit - found.len());
                    found.extend(group.into_iter().map(|(_, record)| record));
                }
            }
        }
        Ok(found)
    }

    /// The keys of all documents in segments that are not compressed, as far as those are on the disk now: their hashes,
    /// sorted. `None`: there is more than `most` bytes to read, or it cannot be read.
    pub(crate) fn plain_keys(&self, most: u64) -> Option<Vec<u64>> {
        let plain: Vec<_> =
            self.segments().into_iter().filter(|(segment, _)| !self.is_packed(*segment)).collect();
        if plain.iter().map(|(_, segment)| segment.end).sum::<u64>() > most {
            return None;
        }
        let mut keys = Vec::new();
        for (number, segment) in plain {
            let file = self.file(number).ok()?;
            for (offset, header) in walk_groups(&*file, segment.end, &self.id, false).ok()? {
                for record in
                    self.select(number, offset, &header, Some(&[Kind::Sale, Kind::Carry]), |_| true).ok()?
                {
                    keys.extend(key_of(&record.1.effect).map(key_hash));
                }
            }
        }
        keys.sort_unstable();
        Some(keys)
    }

    /// Whether a compressed segment may have accepted a document with this key.
    pub(crate) fn packs_may_hold(&self, key: &str) -> bool {
        let wanted = key_hash(key);
        let packed: Vec<u32> = self.state().packed.keys().copied().collect();
        packed.into_iter().any(|segment| match self.key_table(segment) {
            Ok(keys) => table_holds(&keys, wanted),
            // Damaged, perhaps: it may.
            Err(_) => self.knows(segment),
        })
    }

    /// A compressed segment's table of keys. As many as find room are kept at hand: while the keys are checked, every new
    /// sale asks all of them.
    fn key_table(&self, segment: u32) -> io::Result<Arc<Vec<u8>>> {
        if let Some(table) = self.state().key_tables.get(&segment) {
            return Ok(Arc::clone(table));
        }
        let table = Arc::new(Pack::open(&*self.disk, segment)?.key_bytes()?);
        let mut state = self.state();
        let at_hand: usize = state.key_tables.values().map(|table| table.len()).sum();
        if at_hand + table.len() <= KEY_TABLES {
            state.key_tables.insert(segment, Arc::clone(&table));
        }
        Ok(table)
    }

    /// No new sale asks for the tables of keys any more.
    pub(crate) fn forget_key_tables(&self) {
        self.state().key_tables.clear();
    }

    /// The segments that nothing is written to any more.
    pub(crate) fn closed(&self) -> Vec<u32> {
        let state = self.state();
        let last = state.segments.keys().next_back().copied();
        state.segments.keys().copied().filter(|segment| Some(*segment) != last).collect()
    }

    /// Reads a closed segment through.
    pub(crate) fn check(&self, segment: u32) -> Result<(), ReadError> {
        let segments = self.segments();
        let Some(index) = segments.iter().position(|(number, _)| *number == segment) else { return Ok(()) };
        let next = segments.get(index + 1);
        let adjacent = next.is_none_or(|(number, _)| segment.checked_add(1) == Some(*number));
        let known = segments[index].1;
        if adjacent {
            self.groups(segment, known, next.map(|(_, next)| next.first_seq), true)?;
        } else {
            // The one after it is damaged or missing: where this one ends, it alone can say.
            self.check_alone(segment, known.end)?;
        }
        if self.is_packed(segment) {
            let pack = Pack::open(&*self.disk, segment);
            pack.and_then(|pack| pack.check_tables()).map_err(|error| io_error(segment, &error))?;
        }
        Ok(())
    }

    /// Whether the groups of a segment go on up to where nothing more is written.
    fn check_alone(&self, segment: u32, end: u64) -> Result<(), ReadError> {
        let file = self.file(segment)?;
        let failed = |error| io_error(segment, &error);
        let groups = walk_groups(&*file, end, &self.id, true).map_err(failed)?;
        let ends = groups.last().map_or(0, |(offset, header)| offset + length_u64(header.padded()));
        let mut block = [0; BLOCK];
        let read = file.read_at(&mut block, ends).map_err(failed)?;
        if groups.is_empty() || ends < end && block[..read].iter().any(|byte| *byte != 0) {
            return Err(damaged(segment, ends, "a group is not whole".into()));
        }
        Ok(())
    }

    /// Whether the segment is kept.
    pub(crate) fn knows(&self, segment: u32) -> bool {
        self.state().segments.contains_key(&segment)
    }

    pub(crate) fn segments(&self) -> Vec<(u32, Segment)> {
        self.state().segments.iter().map(|(number, segment)| (*number, *segment)).collect()
    }

    /// The groups of a segment; an error if they do not go on up to the next segment's first record.
    fn groups(
        &self,
        number: u32,
        segment: Segment,
        next: Option<Seq>,
        thorough: bool,
    ) -> Result<Vec<(u64, Header)>, ReadError> {
        let file = self.file(number)?;
        let groups =
            walk_groups(&*file, segment.end, &self.id, thorough).map_err(|error| io_error(number, &error))?;
        let (ends, last) = groups.last().map_or((0, 0), |(offset, header)| {
            (offset + length_u64(header.padded()), header.last_seq().saturating_add(1))
        });
        let whole = match next {
            Some(next) => last == next,
            None => ends == segment.end,
        };
        if whole { Ok(groups) } else { Err(damaged(number, ends, "a group is not whole".into())) }
    }

    /// The records of one group that are wanted, decoded.
    pub(crate) fn select(
        &self,
        segment: u32,
        offset: u64,
        header: &Header,
        kinds: Option<&[Kind]>,
        wanted: impl Fn(Seq) -> bool,
    ) -> Result<Vec<(Located, Record)>, ReadError> {
        let unreadable = |Malformed(what): Malformed| damaged(segment, offset, what.to_owned());
        let mut group = vec![0; length_usize(header.length)];
        let read =
            self.file(segment)?.read_at(&mut group, offset).map_err(|error| io_error(segment, &error))?;
        if !matches!(look(&group[..read], Some(&self.id)), AtBlock::Whole(_)) {
            return Err(damaged(segment, offset, "a group is not whole".into()));
        }
        let mut found = Vec::new();
        for (at, bytes) in record_bytes(&group, header, segment, offset).map_err(unreadable)? {
            let (code, seq) = kind_and_seq(bytes).map_err(unreadable)?;
            if wanted(seq) && kinds.is_none_or(|kinds| kinds.iter().any(|kind| kind.code() == code)) {
                found.push((at, decode_record(bytes).map_err(unreadable)?));
            }
        }
        Ok(found)
    }

    pub(crate) fn file(&self, segment: u32) -> Result<Arc<dyn DiskFile>, ReadError> {
        let mut state = self.state();
        if let Some(file) = state.open.get(&segment) {
            return Ok(Arc::clone(file));
        }
        let opened = open_segment(&*self.disk, segment).map_err(|error| io_error(segment, &error))?;
        let file: Arc<dyn DiskFile> = Arc::from(opened);
        if state.open.len() >= OPEN_FILES {
            state.open.pop_first();
        }
        state.open.insert(segment, Arc::clone(&file));
        Ok(file)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A record's kind and running number, without reading the rest.
fn kind_and_seq(record: &[u8]) -> Result<(u8, Seq), Malformed> {
    let mut take = Take(record);
    take.bytes(5)?;
    let kind = take.u8()?;
    take.bytes(1)?;
    Ok((kind, take.u64()?))
}

pub(crate) fn damaged(segment: u32, offset: u64, what: String) -> ReadError {
    ReadError::Damaged(Damage { segment, offset, what })
}

pub(crate) fn io_error(segment: u32, error: &io::Error) -> ReadError {
    if error.kind() == io::ErrorKind::InvalidData {
        return damaged(segment, 0, error.to_string());
    }
    ReadError::Io { segment, what: error.to_string() }
}

/// The end of the journal, where the committer alone writes.
pub(crate) struct Writer {
    disk: Arc<dyn Disk>,
    spares: Spares,
    segment_size: u32,
    segment: u32,
    file: Box<dyn DiskFile>,
    offset: u64,
    size: u64,
    /// Up to here the file is there already; behind it, each write takes new room of the disk.
    filled: u64,
}

/// Where the next group goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// A new segment; its BASE says so much of its length.
    Begins(u32),
    /// The disk is full, and nothing that stood ready is left. Nothing was changed.
    Full,
    /// The segment that is being written.
    Stays,
}

impl Writer {
    /// Goes on at `offset` of an existing segment.
    pub(crate) fn resume(
        disk: Arc<dyn Disk>,
        spares: Spares,
        segment_size: u32,
        segment: u32,
        offset: u64,
    ) -> io::Result<Self> {
        let file = disk.open(&segment_name(segment))?;
        // A grown segment is as long as its groups; it goes on growing up to the usual size.
        let filled = file.length()?;
        let size = filled.max(u64::from(segment_size));
        let writer = Self { disk, spares, segment_size, segment, file, offset, size, filled };
        writer.show();
        Ok(writer)
    }

    /// The segment being written, and where the next group begins.
    pub(crate) const fn position(&self) -> (u32, u64) {
        (self.segment, self.offset)
    }

    /// Bytes that the segment can still take.
    pub(crate) fn room(&self) -> usize {
        let left = self.size.saturating_sub(self.offset);
        let filled = self.filled.saturating_sub(self.offset);
        let room = if filled < left { left.min(self.growth().max(filled)) } else { left };
        usize::try_from(room).unwrap_or(usize::MAX)
    }

    /// How much files may grow. Where the disk does not say, it is tried.
    fn growth(&self) -> u64 {
        self.disk.free().map_or(u64::MAX, |free| free.saturating_sub(GROWTH_MARGIN))
    }

    /// The segment was where a write failed: nothing more is written there.
    pub(crate) fn leave_segment(&mut self) {
        self.offset = self.size;
        self.show();
    }

    pub(crate) const fn spares(&self) -> &Spares {
        &self.spares
    }

    pub(crate) fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    /// Sees to it that a group of so many bytes can be written: here, or in the next segment. That is a zero-filled one if
    /// one stands ready, else a new file that grows, else, on a full disk, what the reserve was. Its name is on the disk
    /// before anything is written to it.
    pub(crate) fn make_way(&mut self, bytes: usize) -> io::Result<Next> {
        if bytes <= self.room() {
            return Ok(Next::Stays);
        }
        let segment =
            self.segment.checked_add(1).ok_or_else(|| io::Error::other("no segment numbers left"))?;
        let name = segment_name(segment);
        let declared = if let Some(spare) = self.spares.take() {
            self.disk.rename(&spare, &name)?;
            self.file = self.disk.open(&name)?;
            self.segment_size
        } else if length_u64(bytes) <= self.growth() {
            self.file = self.disk.create(&name)?;
            0
        } else if self.spares.take_reserve() {
            self.disk.rename(RESERVE, &name)?;
            self.file = self.disk.open(&name)?;
            self.file.cut(u64::from(self.segment_size))?;
            tracing::warn!(name: "disk_full", "the disk is full: the journal goes on in its reserve");
            self.segment_size
        } else {
            return Ok(Next::Full);
        };
        self.disk.sync_names()?;
        self.segment = segment;
        self.offset = 0;
        self.size = u64::from(self.segment_size);
        self.filled = u64::from(declared);
        self.show();
        Ok(Next::Begins(declared))
    }

    /// Writes a sealed group and syncs it: one write, one sync. After an error nothing more may be written.
    pub(crate) fn append(&mut self, group: &[u8]) -> io::Result<u64> {
        let at = self.offset;
        self.file.write_at(group, at)?;
        self.file.sync_data()?;
        self.offset += length_u64(group.len());
        self.show();
        Ok(at)
    }

    fn show(&self) {
        self.spares.stock().begun(self.filled.saturating_sub(self.offset));
    }
}
