//! A commit group: what one write and one sync put into the journal, whole or not at all.
//!
//! It starts on a block boundary and is zero-padded to the next one: header, records, CRC-32C over both. A write never
//! touches a block that holds acknowledged bytes. The magic contains bytes that no UTF-8 text has, and the journal id is
//! random, so that nothing inside a body looks like a group.

use crate::queue::Seq;
use crate::store::codec::{Put, Take, length_u32, length_u64, length_usize};
use crate::store::record::{Located, Malformed, Record, announced_length, decode_record};

/// Groups start at multiples of this.
pub(crate) const BLOCK: usize = 4096;
/// Bytes of a group's header.
pub(crate) const HEADER: usize = 224;
/// Bytes that every group needs beside its records.
pub(crate) const OVERHEAD: usize = HEADER + 4;

const MAGIC: [u8; 8] = [0xff, b'e', 0xfe, b'T', 0xf8, b'I', 0xc0, b'M'];
const FORMAT: u16 = 1;
const HEADER_CRC_AT: usize = HEADER - 4;

/// The number of entries in a tree and the sum of their hashes: the same for the same content in whatever order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TreeSum {
    pub(crate) count: u64,
    pub(crate) sum: u128,
}

impl TreeSum {
    pub(crate) fn add(&mut self, key: &[u8], value: &[u8]) {
        self.count = self.count.wrapping_add(1);
        self.sum = self.sum.wrapping_add(row_hash(key, value));
    }

    pub(crate) fn remove(&mut self, key: &[u8], value: &[u8]) {
        self.count = self.count.wrapping_sub(1);
        self.sum = self.sum.wrapping_sub(row_hash(key, value));
    }

    pub(crate) fn put(self, out: &mut Vec<u8>) {
        out.put_u64(self.count);
        out.put_u128(self.sum);
    }

    pub(crate) fn take(take: &mut Take<'_>) -> Result<Self, Malformed> {
        Ok(Self { count: take.u64()?, sum: take.u128()? })
    }
}

fn row_hash(key: &[u8], value: &[u8]) -> u128 {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    context.update(&length_u32(key.len()).to_be_bytes());
    context.update(key);
    context.update(value);
    let hash = context.finish();
    let mut first = [0; 16];
    first.copy_from_slice(&hash.as_ref()[..16]);
    u128::from_be_bytes(first)
}

/// What the index holds, as sums over its trees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) queue: TreeSum,
    pub(crate) keys: TreeSum,
    pub(crate) shelf: TreeSum,
}

impl Sums {
    /// The shelf's come last: a group from before there was one has zeros in their place, which is what an empty one has.
    fn put(&self, out: &mut Vec<u8>) {
        [self.queue, self.keys, self.shelf].into_iter().for_each(|tree| tree.put(out));
    }

    fn take(take: &mut Take<'_>) -> Result<Self, Malformed> {
        Ok(Self { queue: TreeSum::take(take)?, keys: TreeSum::take(take)?, shelf: TreeSum::take(take)? })
    }
}

/// What a group says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// The journal it belongs to.
    pub(crate) journal: [u8; 16],
    /// One more at each start of the daemon.
    pub(crate) epoch: u64,
    /// One more at each group, without gaps.
    pub(crate) number: u64,
    /// The running number of its first record.
    pub(crate) first_seq: Seq,
    /// How many records it has.
    pub(crate) count: u32,
    /// Header, records and CRC, without the padding.
    pub(crate) length: u32,
    /// The hash of the record before its first.
    pub(crate) previous: [u8; 32],
    /// The index as it stands after this group.
    pub(crate) sums: Sums,
}

impl Header {
    /// The running number of its last record.
    pub(crate) fn last_seq(&self) -> Seq {
        self.first_seq.saturating_add(u64::from(self.count)).saturating_sub(1)
    }

    /// Bytes it takes in its segment.
    pub(crate) fn padded(&self) -> usize {
        length_usize(self.length).next_multiple_of(BLOCK)
    }
}

/// Finishes a group in `buffer`, which begins with [`HEADER`] bytes of room and then holds the records: header, CRC, padding.
pub(crate) fn seal(buffer: &mut Vec<u8>, mut header: Header) -> Header {
    header.length = length_u32(buffer.len() + 4);
    let mut head = Vec::with_capacity(HEADER);
    head.extend_from_slice(&MAGIC);
    head.put_u16(FORMAT);
    head.extend_from_slice(&header.journal);
    head.put_u64(header.epoch);
    head.put_u64(header.number);
    head.put_u64(header.first_seq);
    head.put_u32(header.count);
    head.put_u32(header.length);
    head.extend_from_slice(&header.previous);
    header.sums.put(&mut head);
    head.resize(HEADER_CRC_AT, 0);
    head.put_u32(crc32c::crc32c(&head));
    buffer[..HEADER].copy_from_slice(&head);
    buffer.put_u32(crc32c::crc32c(buffer));
    buffer.resize(buffer.len().next_multiple_of(BLOCK), 0);
    header
}

/// What stands at a block boundary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AtBlock {
    /// No header, or one whose checksum does not hold.
    Nothing,
    /// A header of another journal.
    Foreign,
    /// A header in a format that a newer version wrote.
    Newer,
    /// A header of this journal, but the group is not whole.
    Torn(Header),
    /// A whole group.
    Whole(Header),
}

/// Looks at the block boundary where `bytes`, the rest of the segment, begins. `journal`: whose groups count; `None`: any.
pub(crate) fn look(bytes: &[u8], journal: Option<&[u8; 16]>) -> AtBlock {
    let Some(head) = bytes.first_chunk::<HEADER>() else { return AtBlock::Nothing };
    if !head.starts_with(&MAGIC) || !crc_holds(head) {
        return AtBlock::Nothing;
    }
    let Ok((format, header)) = read_header(head) else { return AtBlock::Nothing };
    if format != FORMAT {
        return AtBlock::Newer;
    }
    if journal.is_some_and(|journal| *journal != header.journal) {
        return AtBlock::Foreign;
    }
    let overflows = header.first_seq.checked_add(u64::from(header.count)).is_none()
        || header.number == u64::MAX
        || header.epoch == u64::MAX;
    if header.count == 0 || overflows {
        return AtBlock::Nothing;
    }
    match bytes.get(..length_usize(header.length)) {
        Some(group) if group.len() >= OVERHEAD && crc_holds(group) => AtBlock::Whole(header),
        _ => AtBlock::Torn(header),
    }
}

/// The header at a block boundary, if there is one of this journal; its group may be torn.
pub(crate) fn header_at(bytes: &[u8], journal: &[u8; 16]) -> Option<Header> {
    match look(bytes, Some(journal)) {
        AtBlock::Torn(header) | AtBlock::Whole(header) => Some(header),
        AtBlock::Nothing | AtBlock::Foreign | AtBlock::Newer => None,
    }
}

/// The last four bytes are the CRC of those before.
fn crc_holds(bytes: &[u8]) -> bool {
    bytes
        .split_last_chunk::<4>()
        .is_some_and(|(content, crc)| crc32c::crc32c(content) == u32::from_be_bytes(*crc))
}

fn read_header(head: &[u8; HEADER]) -> Result<(u16, Header), Malformed> {
    let mut take = Take(&head[MAGIC.len()..]);
    let format = take.u16()?;
    let header = Header {
        journal: take.array()?,
        epoch: take.u64()?,
        number: take.u64()?,
        first_seq: take.u64()?,
        count: take.u32()?,
        length: take.u32()?,
        previous: take.array()?,
        sums: Sums::take(&mut take)?,
    };
    Ok((format, header))
}

/// The bytes of each record of a whole group that begins at `offset` of `segment`, and where each is.
pub(crate) fn record_bytes<'a>(
    group: &'a [u8],
    header: &Header,
    segment: u32,
    offset: u64,
) -> Result<Vec<(Located, &'a [u8])>, Malformed> {
    let end = length_usize(header.length).checked_sub(4).ok_or(Malformed("a group too short"))?;
    let mut rest = group.get(HEADER..end).ok_or(Malformed("a group cut short"))?;
    let mut at = offset + length_u64(HEADER);
    let mut found = Vec::with_capacity(length_usize(header.count.min(65_536)));
    for _ in 0..header.count {
        let length = announced_length(rest)?;
        let (bytes, after) =
            rest.split_at_checked(length).ok_or(Malformed("a record runs over its group"))?;
        if bytes.is_empty() {
            return Err(Malformed("an empty record"));
        }
        let located = Located {
            segment,
            offset: u32::try_from(at).map_err(|_| Malformed("a record beyond 4 GiB"))?,
            length: length_u32(length),
            crc: crc32c::crc32c(bytes),
        };
        found.push((located, bytes));
        at += length_u64(length);
        rest = after;
    }
    if !rest.is_empty() {
        return Err(Malformed("bytes after a group's last record"));
    }
    Ok(found)
}

/// The records of a whole group, checked: numbers without gaps, each carrying the hash of the one before.
pub(crate) fn records(
    group: &[u8],
    header: &Header,
    segment: u32,
    offset: u64,
) -> Result<Vec<(Located, Record)>, Malformed> {
    let mut previous = header.previous;
    let mut found = Vec::new();
    for (seq, (located, bytes)) in (header.first_seq..).zip(record_bytes(group, header, segment, offset)?) {
        let record = decode_record(bytes)?;
        if record.seq != seq {
            return Err(Malformed("running numbers with a gap"));
        }
        if record.previous != previous {
            return Err(Malformed("the chain is broken"));
        }
        previous = record.hash;
        found.push((located, record));
    }
    Ok(found)
}

/// The first record that is not as it was written, of a group that is not whole though its header is; `rest` begins with it
/// and goes on with what follows it. A record is vouched for by the hash that the one after it carries, the last one by that
/// in the next group's header.
pub(crate) fn first_bad(rest: &[u8], header: &Header) -> Seq {
    let next_group = match look(rest.get(header.padded()..).unwrap_or_default(), Some(&header.journal)) {
        AtBlock::Torn(next) | AtBlock::Whole(next) => Some(next.previous),
        AtBlock::Foreign | AtBlock::Newer | AtBlock::Nothing => None,
    };
    let mut rest = rest.get(HEADER..).unwrap_or_default();
    let mut hash = header.previous;
    for seq in header.first_seq..=header.last_seq() {
        let Some((record, after)) = record_at(rest).filter(|(record, _)| record.seq == seq) else {
            return seq;
        };
        let last = seq == header.last_seq();
        let vouches = if last { next_group } else { record_at(after).map(|(next, _)| next.previous) };
        let vouched = vouches.is_none_or(|hash| hash == record.hash);
        if record.previous != hash {
            // Either the one before has another hash than it had, or this one carries another than it did.
            return if vouched && seq > header.first_seq { seq - 1 } else { seq };
        }
        if last && !vouched {
            return seq;
        }
        (hash, rest) = (record.hash, after);
    }
    header.last_seq()
}

/// The record at the head of `bytes`, and what follows it.
fn record_at(bytes: &[u8]) -> Option<(Record, &[u8])> {
    let (record, after) = bytes.split_at_checked(announced_length(bytes).ok()?)?;
    Some((decode_record(record).ok()?, after))
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::effect::Effect;
    use crate::store::record::{Kind, NewRecord, Stamp, encode_record, sha256};

    pub(crate) const JOURNAL: [u8; 16] = [5; 16];

    /// A group of records with these bodies, sealed.
    pub(crate) fn group(
        number: u64,
        first_seq: Seq,
        mut previous: [u8; 32],
        bodies: &[Vec<u8>],
    ) -> (Vec<u8>, [u8; 32]) {
        let mut buffer = vec![0; HEADER];
        let header = Header {
            journal: JOURNAL,
            epoch: 1,
            number,
            first_seq,
            count: length_u32(bodies.len()),
            length: 0,
            previous,
            sums: Sums::default(),
        };
        for (seq, body) in (first_seq..).zip(bodies) {
            let record = NewRecord {
                kind: Kind::Event,
                stamp: Stamp::default(),
                origin: String::new(),
                effect: Effect::None,
                body: body.clone(),
                signature: None,
            };
            let start = buffer.len();
            encode_record(&mut buffer, seq, &previous, &record, None);
            previous = sha256(&buffer[start..]);
        }
        seal(&mut buffer, header);
        (buffer, previous)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn a_group_comes_back_and_no_flip_or_cut_goes_unseen(
            bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..3000), 1..5),
            flip: proptest::sample::Index, bit in 0u8..8, cut: proptest::sample::Index,
        ) {
            let (bytes, _) = group(7, 100, [3; 32], &bodies);
            prop_assert_eq!(bytes.len() % BLOCK, 0);
            let AtBlock::Whole(header) = look(&bytes, Some(&JOURNAL)) else { panic!("not whole") };
            prop_assert_eq!(header.last_seq(), 99 + length_u64(bodies.len()));
            let back = records(&bytes, &header, 1, 0).unwrap();
            for ((located, record), body) in back.iter().zip(&bodies) {
                prop_assert_eq!(&record.body, body);
                let at = length_usize(located.offset);
                let slice = &bytes[at..at + length_usize(located.length)];
                prop_assert_eq!(crc32c::crc32c(slice), located.crc);
            }
            let mut flipped = bytes.clone();
            let at = flip.index(length_usize(header.length));
            flipped[at] ^= 1 << bit;
            prop_assert!(!matches!(look(&flipped, Some(&JOURNAL)), AtBlock::Whole(_)));
            let short = &bytes[..cut.index(length_usize(header.length))];
            prop_assert!(!matches!(look(short, Some(&JOURNAL)), AtBlock::Whole(_)));
        }

        #[test]
        fn any_bytes_are_looked_at_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..9000)) {
            let _ = look(&bytes, None);
        }
    }

    #[test]
    fn another_journals_group_is_foreign() {
        let (bytes, _) = group(1, 1, [0; 32], &[vec![1]]);
        assert_eq!(look(&bytes, Some(&[6; 16])), AtBlock::Foreign);
        assert_eq!(look(&[0; BLOCK], None), AtBlock::Nothing);
        // Bytes that no UTF-8 text has.
        assert!([0xff, 0xfe, 0xf8, 0xc0].iter().all(|byte| MAGIC.contains(byte)));
    }

    #[test]
    fn tree_sums_do_not_depend_on_order() {
        let mut one = TreeSum::default();
        one.add(b"a", b"1");
        one.add(b"b", b"2");
        let mut other = TreeSum::default();
        other.add(b"b", b"2");
        other.add(b"c", b"3");
        other.add(b"a", b"1");
        other.remove(b"c", b"3");
        assert_eq!(one, other);
        other.remove(b"a", b"1");
        other.add(b"a", b"2");
        assert_ne!(one, other);
    }

    #[test]
    fn the_bad_record_of_a_broken_group_is_named() {
        let bodies: Vec<Vec<u8>> = (0..4_u8).map(|n| vec![n; 300]).collect();
        let (mut bytes, hash) = group(3, 20, [9; 32], &bodies);
        let AtBlock::Whole(header) = look(&bytes, Some(&JOURNAL)) else { panic!("a whole group") };
        bytes.extend(group(4, 24, hash, &bodies).0);
        let places: Vec<usize> = record_bytes(&bytes, &header, 1, 0)
            .unwrap()
            .iter()
            .map(|(at, _)| length_usize(at.offset))
            .collect();
        for (seq, place) in (20..).zip(places) {
            // Its body, and what it says of the one before.
            for at in [place + 200, place + 70] {
                let mut broken = bytes.clone();
                broken[at] ^= 1;
                assert!(matches!(look(&broken, Some(&JOURNAL)), AtBlock::Torn(_)));
                assert_eq!(first_bad(&broken, &header), seq, "byte {at}");
            }
            let mut cut = bytes.clone();
            cut[place..header.padded()].fill(0);
            assert_eq!(first_bad(&cut, &header), seq);
        }
    }
}
