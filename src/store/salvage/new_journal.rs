//! The journal in the making: groups and segments, one after the other, without the waiting that a running one does.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use crate::queue::Seq;
use crate::store::codec::{length_u32, length_u64};
use crate::store::disk::write_zeros;
use crate::store::entry::Entry;
use crate::store::fold::Changes;
use crate::store::group::{BLOCK, HEADER, Header, Sums, seal};
use crate::store::journal::segment_name;
use crate::store::record::{Located, NewRecord, encode_record, encoded_bound, sha256};
use crate::store::standing::Standing;

/// More goes into the next group.
const GROUP: usize = 1 << 20;
/// A segment with less room left is full.
const ROOM: u64 = 256 << 10;
/// The longest segment that is made after a loss.
const SEGMENT: u64 = 8 << 20;

/// Takes records and writes them. As long as the old groups are kept, its user says where one ends; after a loss it sees to
/// that itself.
pub(super) struct NewJournal {
    dir: PathBuf,
    id: [u8; 16],
    /// The open segment.
    pub(super) segment: u32,
    file: Option<File>,
    offset: u64,
    /// The open segment's full length, by its BASE.
    declared: u64,
    /// The group in the making, after room for its header.
    buffer: Vec<u8>,
    first_seq: Seq,
    previous: [u8; 32],
    number: u64,
    /// The last record, and its hash.
    pub(super) head: (Seq, [u8; 32]),
    /// As of that record.
    pub(super) standing: Standing,
    sums: Sums,
    changes: Changes,
    /// What stands on the shelf, and where.
    shelf: HashMap<Vec<u8>, Located>,
    /// From here on neither groups nor the chain are the old ones.
    pub(super) broken: bool,
}

impl NewJournal {
    /// An empty one, which begins with this segment, this group number, and after this record.
    pub(super) fn begin(
        dir: PathBuf,
        id: [u8; 16],
        (segment, group): (u32, u64),
        before: (Seq, [u8; 32]),
    ) -> Self {
        let (seq, hash) = before;
        Self {
            dir,
            id,
            segment: segment.saturating_sub(1),
            file: None,
            offset: 0,
            declared: 0,
            buffer: vec![0; HEADER],
            first_seq: seq + 1,
            previous: hash,
            number: group,
            head: before,
            standing: Standing {
                first_segment: segment,
                first_seq: seq + 1,
                replay_segment: segment,
                ..Standing::default()
            },
            sums: Sums::default(),
            changes: Changes::default(),
            shelf: HashMap::new(),
            broken: false,
        }
    }

    /// Nothing was written yet.
    pub(super) const fn is_empty(&self) -> bool {
        self.file.is_none()
    }

    /// There is little room left in the open segment.
    pub(super) fn is_full(&self) -> bool {
        self.offset + length_u64(self.buffer.len()) + ROOM > SEGMENT
    }

    /// Ends the open segment and begins the next one; `declared`: its full length, or 0.
    pub(super) fn begin_segment(&mut self, declared: u64) -> io::Result<()> {
        self.end_segment()?;
        self.segment += 1;
        self.file = Some(File::create_new(self.dir.join(segment_name(self.segment)))?);
        self.offset = 0;
        self.declared = declared;
        Ok(())
    }

    /// Writes the open segment to its end and syncs it.
    pub(super) fn end_segment(&mut self) -> io::Result<()> {
        self.end_group()?;
        if let Some(file) = self.file.take() {
            if self.offset < self.declared {
                write_zeros(&file, self.offset, self.declared)?;
            }
            file.sync_all()?;
        }
        Ok(())
    }

    /// Appends a record; where it stands. `used`: the number that it says KRA accepted.
    pub(super) fn push(&mut self, record: &NewRecord, used: Option<u64>) -> io::Result<(Seq, Located)> {
        if self.broken && self.buffer.len() + encoded_bound(record) > GROUP {
            self.end_group()?;
        }
        let start = self.buffer.len();
        let seq = self.head.0 + 1;
        let length = encode_record(&mut self.buffer, seq, &self.head.1, record, used);
        let bytes = &self.buffer[start..];
        let at = Located {
            segment: self.segment,
            offset: u32::try_from(self.offset + length_u64(start)).map_err(io::Error::other)?,
            length: length_u32(length),
            crc: crc32c::crc32c(bytes),
        };
        self.head = (seq, sha256(bytes));
        self.standing.apply(record.kind, &record.effect, used, at);
        Ok((seq, at))
    }

    /// The document as the group in the making leaves it.
    pub(super) fn entry(&self, document: Seq) -> Option<&Entry> {
        self.changes.entry(document)
    }

    /// What the last record made of a document: the group's sums count it.
    pub(super) fn note(&mut self, before: Option<Entry>, after: Entry) {
        self.changes.note(before, after);
    }

    /// A row of the shelf that the last record takes.
    pub(super) fn put_on_shelf(&mut self, (row, at): (Vec<u8>, Located)) {
        let before = self.shelf.insert(row.clone(), at);
        self.changes.shelf.note(before, (row, at));
    }

    /// Writes the group in the making, if there is anything in it.
    pub(super) fn end_group(&mut self) -> io::Result<()> {
        let count = self.head.0 + 1 - self.first_seq;
        self.sums = std::mem::take(&mut self.changes).sums_after(self.sums);
        if let (Some(file), true) = (&self.file, count > 0) {
            let header = Header {
                journal: self.id,
                epoch: 0,
                number: self.number,
                first_seq: self.first_seq,
                count: u32::try_from(count).map_err(io::Error::other)?,
                length: 0,
                previous: self.previous,
                sums: self.sums,
            };
            seal(&mut self.buffer, header);
            file.write_all_at(&self.buffer, self.offset)?;
            self.offset += length_u64(self.buffer.len().next_multiple_of(BLOCK));
            self.number += 1;
        }
        self.buffer.clear();
        self.buffer.resize(HEADER, 0);
        self.first_seq = self.head.0 + 1;
        self.previous = self.head.1;
        Ok(())
    }

    /// Ends the journal; all of it is on the disk.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.end_segment()?;
        File::open(&self.dir)?.sync_all()
    }
}
