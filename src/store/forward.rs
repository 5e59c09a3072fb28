//! Reading the journal forwards: a page at a time, from any running number on, and one record by its number.

use std::ops::ControlFlow;

use crate::queue::Seq;
use crate::store::codec::length_u64;
use crate::store::error::ReadError;
use crate::store::group::{BLOCK, HEADER, Header, header_at};
use crate::store::journal::{Journal, Segment, damaged, io_error};
use crate::store::pack::CHUNK;
use crate::store::record::{Kind, Located, Record};

/// Bytes of the journal that one page may read, so that no reading holds its thread, or much memory, for long.
const PAGE_BYTES: u64 = 1 << 20;
/// Bytes below which groups are walked one by one instead of halving on.
const NEAR: u64 = 32 << 10;

/// How far somebody has read the journal. What it remembers of the place makes the next page cheap and may be forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    after: Seq,
    /// Segment and offset of the group that was looked at last.
    place: Option<(u32, u64)>,
}

impl Cursor {
    /// Everything up to `seq` is read; 0: nothing is.
    pub const fn after(seq: Seq) -> Self {
        Self { after: seq, place: None }
    }

    /// The last record that was looked at, wanted or not.
    pub const fn read_to(&self) -> Seq {
        self.after
    }
}

impl Journal {
    /// The first record that is kept.
    pub(crate) fn first_seq(&self) -> Seq {
        self.segments().first().map_or(1, |(_, segment)| segment.first_seq)
    }

    /// The next records of `kinds` (`None`: of all), at most `most`; see [`Store::read_on`](crate::store::Store::read_on).
    pub(crate) fn read_on(
        &self,
        cursor: &mut Cursor,
        kinds: Option<&[Kind]>,
        most: usize,
    ) -> Result<Vec<Record>, ReadError> {
        let placed = self.read_placed(cursor, kinds, most)?;
        Ok(placed.into_iter().map(|(_, record)| record).collect())
    }

    /// The same, with the places of the records.
    pub(crate) fn read_placed(
        &self,
        cursor: &mut Cursor,
        kinds: Option<&[Kind]>,
        most: usize,
    ) -> Result<Vec<(Located, Record)>, ReadError> {
        let segments = self.segments();
        let mut found = Vec::new();
        let mut bytes = 0;
        let wanted_seq = cursor.after.saturating_add(1);
        // The last segment that begins at or before the wanted record; the oldest, if that was retired.
        let begin =
            segments.partition_point(|(_, segment)| segment.first_seq <= wanted_seq).saturating_sub(1);
        for (index, (number, segment)) in segments.iter().enumerate().skip(begin) {
            let next = segments.get(index + 1).map(|(_, next)| next.first_seq);
            let mut read = |cursor: &mut Cursor| {
                let from = self.beginning(cursor, *number, *segment)?;
                self.each_group(*number, *segment, next, from, |offset, header| {
                    if found.len() >= most || bytes >= PAGE_BYTES {
                        return Ok(ControlFlow::Break(()));
                    }
                    cursor.place = Some((*number, offset));
                    if header.last_seq() <= cursor.after {
                        return Ok(ControlFlow::Continue(()));
                    }
                    bytes += length_u64(header.padded());
                    let after = cursor.after;
                    let mut group = self.select(*number, offset, header, kinds, |seq| seq > after)?;
                    let room = most - found.len();
                    cursor.after = header.last_seq();
                    if group.len() > room {
                        group.truncate(room);
                        cursor.after = group.last().map_or(after, |(_, record)| record.seq);
                    }
                    found.append(&mut group);
                    Ok(ControlFlow::Continue(()))
                })
            };
            match read(cursor) {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => break,
                Err(error) if found.is_empty() => return Err(error),
                // What was read is given first; the next page meets it again.
                Err(_) => break,
            }
        }
        Ok(found)
    }

    /// Moves to the next group with a readable header; false: there is none.
    pub(crate) fn skip_group(&self, cursor: &mut Cursor) -> Result<bool, ReadError> {
        let wanted = cursor.after.saturating_add(1);
        let segments = self.segments();
        let begin = segments.partition_point(|(_, segment)| segment.first_seq <= wanted).saturating_sub(1);
        for (number, segment) in segments.into_iter().skip(begin) {
            let from = match cursor.place {
                Some((at, offset)) if at == number => offset + length_u64(BLOCK),
                _ if segment.first_seq > wanted => 0,
                _ => length_u64(BLOCK),
            };
            if let Some((offset, header)) = self.first_header(number, from, segment.end)? {
                let after = header.first_seq.saturating_sub(1).max(cursor.after);
                *cursor = Cursor { after, place: Some((number, offset)) };
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The record with this running number, if it is kept.
    pub(crate) fn record(&self, seq: Seq) -> Result<Option<Record>, ReadError> {
        let segments = self.segments();
        let index = segments.partition_point(|(_, segment)| segment.first_seq <= seq);
        let Some((number, segment)) = index.checked_sub(1).map(|index| segments[index]) else {
            return Ok(None);
        };
        let from = self.near(number, segment, seq)?;
        let next = segments.get(index).map(|(_, next)| next.first_seq);
        let mut found = None;
        let _ = self.each_group(number, segment, next, from, |offset, header| {
            if header.last_seq() < seq {
                return Ok(ControlFlow::Continue(()));
            }
            found =
                self.select(number, offset, header, None, |it| it == seq)?.pop().map(|(_, record)| record);
            Ok(ControlFlow::Break(()))
        })?;
        Ok(found)
    }

    /// Where in this segment to begin for the cursor's next record.
    fn beginning(&self, cursor: &Cursor, number: u32, segment: Segment) -> Result<u64, ReadError> {
        match cursor.place {
            Some((at, offset)) if at == number && offset <= segment.end => Ok(offset),
            _ if cursor.after < segment.first_seq => Ok(0),
            _ => self.near(number, segment, cursor.after.saturating_add(1)),
        }
    }

    /// Calls `each` for the groups of a segment from the one at `from` on. An error if they do not go on up to the next
    /// segment's first record, or to the end of what is synced.
    fn each_group(
        &self,
        number: u32,
        segment: Segment,
        next: Option<Seq>,
        from: u64,
        mut each: impl FnMut(u64, &Header) -> Result<ControlFlow<()>, ReadError>,
    ) -> Result<ControlFlow<()>, ReadError> {
        let mut at = from;
        let mut last = None;
        while at < segment.end {
            let Some(header) = self.header(number, at)? else { break };
            if let ControlFlow::Break(()) = each(at, &header)? {
                return Ok(ControlFlow::Break(()));
            }
            last = Some(header.last_seq());
            at += length_u64(header.padded());
        }
        let whole = match (next, last) {
            (Some(next), last) => last.is_some_and(|last| last.saturating_add(1) == next),
            (None, _) => at == segment.end,
        };
        if whole {
            Ok(ControlFlow::Continue(()))
        } else {
            Err(damaged(number, at, "a group is not whole".into()))
        }
    }

    /// The offset of a group at or before the one with `seq`, found by halving: groups begin at block boundaries, and no
    /// body looks like one.
    fn near(&self, number: u32, segment: Segment, seq: Seq) -> Result<u64, ReadError> {
        let (mut low, mut high) = (0, segment.end);
        while high - low > NEAR {
            let middle = low + (high - low) / 2;
            let middle = middle - middle % length_u64(BLOCK);
            match self.first_header(number, middle.max(low + length_u64(BLOCK)), high)? {
                Some((offset, header)) if header.first_seq <= seq => low = offset,
                _ => high = middle,
            }
        }
        Ok(low)
    }

    /// The first group's header from here on; what cannot be unpacked is passed over.
    fn first_header(&self, number: u32, from: u64, end: u64) -> Result<Option<(u64, Header)>, ReadError> {
        let mut at = from;
        while at < end {
            at = match self.header(number, at) {
                Ok(Some(header)) => return Ok(Some((at, header))),
                Ok(None) => at + length_u64(BLOCK),
                Err(ReadError::Damaged(_)) => (at + 1).next_multiple_of(length_u64(CHUNK)),
                Err(error) => return Err(error),
            };
        }
        Ok(None)
    }

    fn header(&self, number: u32, at: u64) -> Result<Option<Header>, ReadError> {
        let mut head = [0; HEADER];
        let read = self.file(number)?.read_at(&mut head, at).map_err(|error| io_error(number, &error))?;
        Ok(header_at(&head[..read], &self.id()))
    }
}
