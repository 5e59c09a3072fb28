//! The rule that tells a whole journal from a torn tail and from damage; pure, over the bytes of segments.
//!
//! Groups are looked for at block boundaries only, never inside a whole group. Let `g` be the number of the first group
//! that is not whole. Group `g + 1` was written only after `g` had been synced, so: a header of this journal with a greater
//! number anywhere later means that `g` was acknowledged and is damaged; otherwise `g` is a torn tail, never acknowledged.

use crate::store::codec::length_u64;
use crate::store::group::{AtBlock, BLOCK, Header, look};
use crate::store::options::{Cut, Damage};
use crate::store::pack::Span;

/// What was found in one segment.
#[derive(Clone, Debug)]
pub(crate) struct Surveyed {
    pub(crate) segment: u32,
    /// The file's length.
    pub(crate) length: u64,
    /// Its whole groups, one after the other from the beginning, and where each begins.
    pub(crate) groups: Vec<(u64, Header)>,
    /// Where the last of them ends.
    pub(crate) end: u64,
    /// The end of the last block that is not all zero; [`end`](Self::end) if nothing follows.
    pub(crate) dirty_until: u64,
    /// The greatest group number in any header at or after `end`.
    pub(crate) beyond: Option<u64>,
    /// Something at a boundary belongs to another journal.
    pub(crate) foreign: bool,
    /// Something at a boundary was written by a newer version.
    pub(crate) newer: bool,
    /// It is compressed and was not looked through: what it says it has, instead of its groups.
    pub(crate) packed: Option<Span>,
}

impl Surveyed {
    /// The number of its first group, if that one is whole.
    fn first(&self) -> Option<u64> {
        let packed = self.packed.map(|span| span.first_group);
        self.groups.first().map(|(_, header)| header.number).or(packed)
    }

    fn greatest(&self) -> Option<u64> {
        let packed = self.packed.map(|span| span.last_group);
        self.groups.iter().map(|(_, header)| header.number).chain(self.beyond).chain(packed).max()
    }

    /// Its first record, if its beginning is whole.
    pub(crate) fn first_seq(&self) -> Option<u64> {
        let packed = self.packed.map(|span| span.first_seq);
        self.groups.first().map(|(_, header)| header.first_seq).or(packed)
    }

    /// A compressed segment, which is synced before it takes its place: it ends where it says.
    pub(crate) fn packed(span: Span) -> Self {
        Self {
            segment: span.segment,
            length: span.end,
            groups: Vec::new(),
            end: span.end,
            dirty_until: span.end,
            beyond: None,
            foreign: false,
            newer: false,
            packed: Some(span),
        }
    }
}

/// How a journal ends that is not damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    /// Index of the segment, among those judged, that has the last whole group.
    pub(crate) last: usize,
    /// The torn group, if there is one.
    pub(crate) cut: Option<Cut>,
}

/// Looks through one segment.
pub(crate) fn survey(segment: u32, bytes: &[u8], journal: &[u8; 16]) -> Surveyed {
    let mut at = 0;
    let mut groups = Vec::new();
    while let Some(rest) = bytes.get(at..) {
        let AtBlock::Whole(header) = look(rest, Some(journal)) else { break };
        groups.push((length_u64(at), header));
        at += header.padded();
    }
    // A grown file may end before its last group's padding.
    let end = length_u64(at);
    let at = at.min(bytes.len());
    let mut surveyed = Surveyed {
        segment,
        length: length_u64(bytes.len()),
        groups,
        end,
        dirty_until: end,
        beyond: None,
        foreign: false,
        newer: false,
        packed: None,
    };
    let mut block_at = at;
    for block in bytes[at..].chunks(BLOCK) {
        if block.iter().any(|byte| *byte != 0) {
            surveyed.dirty_until = length_u64(block_at + block.len());
            match look(&bytes[block_at..], Some(journal)) {
                AtBlock::Nothing => {}
                AtBlock::Foreign => surveyed.foreign = true,
                AtBlock::Newer => surveyed.newer = true,
                AtBlock::Torn(header) | AtBlock::Whole(header) => {
                    surveyed.beyond = surveyed.beyond.max(Some(header.number));
                }
            }
        }
        block_at += block.len();
    }
    surveyed
}

/// Applies the rule to consecutive segments, the journal's last one included. The first must begin with a whole group.
pub(crate) fn judge(segments: &[Surveyed]) -> Result<Ending, Damage> {
    let mut expected: Option<(u64, u64)> = None;
    let mut last = 0;
    for (index, segment) in segments.iter().enumerate() {
        let damage = |offset: u64, what: String| Damage { segment: segment.segment, offset, what };
        if index > 0 && segments[index - 1].segment.checked_add(1) != Some(segment.segment) {
            return Err(damage(0, "the segment before it is missing".into()));
        }
        let runs = segment.groups.iter().map(|(offset, header)| {
            (*offset, (header.number, header.first_seq), (header.number, header.last_seq()))
        });
        let packed = segment
            .packed
            .map(|span| (0, (span.first_group, span.first_seq), (span.last_group, span.last_seq)));
        for (offset, first, last) in runs.chain(packed) {
            if let Some((number, seq)) = expected
                && first != (number, seq)
            {
                let what = format!(
                    "group {number} with record {seq} should be next, but group {} with record {} is there",
                    first.0, first.1
                );
                return Err(damage(offset, what));
            }
            expected = Some((last.0.saturating_add(1), last.1.saturating_add(1)));
        }
        let Some((next, seq)) = expected else {
            return Err(damage(0, "its first group is not readable".into()));
        };
        if segments.get(index + 1).and_then(Surveyed::first) == Some(next) && segment.beyond.is_none() {
            continue;
        }
        // The first group that is not whole is `next`: nothing greater may follow, here or later.
        let greatest =
            segments[index + 1..].iter().filter_map(Surveyed::greatest).chain(segment.beyond).max();
        if let Some(greatest) = greatest.filter(|greatest| {
            *greatest > next || segments[index + 1..].iter().any(|later| later.first().is_some())
        }) {
            let what = format!(
                "group {next} with record {seq} is not whole, but group {greatest} was written after it"
            );
            return Err(damage(segment.end, what));
        }
        last = index;
        break;
    }
    let Some(ending) = segments.get(last) else {
        return Err(Damage { segment: 0, offset: 0, what: "there is no segment".into() });
    };
    let torn_here = ending.dirty_until > ending.end;
    let torn_later = segments[last + 1..].iter().find(|later| later.dirty_until > 0);
    let group = expected.map_or(0, |(number, _)| number);
    let cut = match torn_later {
        _ if torn_here => Some(Cut { segment: ending.segment, offset: ending.end, group }),
        Some(later) => Some(Cut { segment: later.segment, offset: 0, group }),
        None => None,
    };
    Ok(Ending { last, cut })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::disk_fake::Random;
    use crate::store::group::tests::{JOURNAL, group};

    const SEGMENT: usize = 16 * BLOCK;

    /// Segments full of groups, and where each group is.
    struct Written {
        segments: Vec<Vec<u8>>,
        /// Segment index, offset, length.
        groups: Vec<(usize, usize, usize)>,
    }

    fn write(count: u64, random: &mut Random) -> Written {
        let mut written = Written { segments: vec![vec![0; SEGMENT]], groups: Vec::new() };
        let (mut at, mut seq, mut hash) = (0, 1, [0; 32]);
        for number in 1..=count {
            let bodies: Vec<Vec<u8>> =
                (0..=random.below(5)).map(|_| vec![b'b'; random.below(6000)]).collect();
            let (bytes, after) = group(number, seq, hash, &bodies);
            (seq, hash) = (seq + length_u64(bodies.len()), after);
            if at + bytes.len() > SEGMENT {
                written.segments.push(vec![0; SEGMENT]);
                at = 0;
            }
            let segment = written.segments.len() - 1;
            written.segments[segment][at..at + bytes.len()].copy_from_slice(&bytes);
            written.groups.push((segment, at, bytes.len()));
            at += bytes.len();
        }
        written
    }

    fn judged(segments: &[Vec<u8>]) -> (Vec<Surveyed>, Result<Ending, Damage>) {
        let surveyed: Vec<_> =
            (1..).zip(segments).map(|(number, bytes)| survey(number, bytes, &JOURNAL)).collect();
        let ending = judge(&surveyed);
        (surveyed, ending)
    }

    fn whole_groups(surveyed: &[Surveyed]) -> usize {
        surveyed.iter().map(|segment| segment.groups.len()).sum()
    }

    #[test]
    fn no_torn_group_is_called_damage_and_no_whole_one_is_cut() {
        let mut random = Random(3);
        let (mut torn, mut kept) = (0, 0);
        for round in 0..4000 {
            let count = 2 + length_u64(random.below(9));
            let mut written = write(count, &mut random);
            let (segment, at, length) = *written.groups.last().unwrap();
            let whole = written.segments[segment][at..at + length].to_vec();
            let target = &mut written.segments[segment][at..at + length];
            // Any of its sectors reached the disk: few, half, or nearly all.
            for sector in target.chunks_mut(512) {
                if random.below(8) < [1, 4, 7][round % 3] {
                    sector.fill(0);
                }
            }
            let complete = target == whole;
            let (surveyed, ending) = judged(&written.segments);
            let ending = ending.expect("a torn tail is no damage");
            let expected = written.groups.len() - usize::from(!complete);
            assert_eq!(whole_groups(&surveyed), expected);
            assert_eq!(surveyed[ending.last].groups.last().unwrap().1.number, length_u64(expected));
            let empty = written.segments[segment][at..at + length].iter().all(|byte| *byte == 0);
            match ending.cut {
                Some(cut) => {
                    assert!(!complete && !empty);
                    assert_eq!((cut.offset, cut.group), (length_u64(at), count));
                    assert_eq!(usize::try_from(cut.segment).unwrap(), segment + 1);
                    torn += 1;
                }
                None => {
                    assert!(complete || empty);
                    kept += 1;
                }
            }
        }
        assert!(torn > 2000 && kept > 50, "{torn} torn, {kept} whole or empty");
    }

    #[test]
    fn damage_before_the_last_group_is_always_told() {
        let mut random = Random(4);
        for _ in 0..1500 {
            let mut written = write(4 + length_u64(random.below(9)), &mut random);
            let victim = random.below(written.groups.len() - 1);
            let (segment, at, length) = written.groups[victim];
            let group = &mut written.segments[segment][at..at + length];
            match random.below(3) {
                0 => group.fill(0),
                1 => group[..BLOCK].fill(0x55),
                _ => {
                    // Inside the header or the first record, not the padding.
                    let byte = random.below(160);
                    group[byte] ^= 1 << random.below(8);
                }
            }
            let (_, ending) = judged(&written.segments);
            let damage = ending.expect_err("acknowledged records are missing");
            assert!(damage.segment > 0);
        }
    }

    #[test]
    fn removed_swapped_and_repeated_segments_and_groups_are_told() {
        let mut random = Random(6);
        let written = write(30, &mut random);
        assert!(written.segments.len() >= 4);
        let surveyed: Vec<_> =
            (1..).zip(&written.segments).map(|(number, bytes)| survey(number, bytes, &JOURNAL)).collect();
        assert!(judge(&surveyed).is_ok());
        let mut removed = surveyed.clone();
        removed.remove(1);
        assert!(judge(&removed).is_err());
        let mut swapped = written.segments.clone();
        swapped.swap(1, 2);
        assert!(judged(&swapped).1.is_err());
        let mut repeated = written.segments.clone();
        repeated[3] = repeated[2].clone();
        assert!(judged(&repeated).1.is_err());
        assert!(judge(&[]).is_err());
        assert!(judged(&[vec![0; SEGMENT]]).1.is_err());
    }

    #[test]
    fn empty_and_torn_segments_at_the_end_are_cut() {
        let mut random = Random(8);
        let mut written = write(6, &mut random);
        let last = written.segments.len() - 1;
        written.segments.push(vec![0; SEGMENT]);
        let (_, ending) = judged(&written.segments);
        assert_eq!(ending.unwrap(), Ending { last, cut: None });
        written.segments[last + 1][700] = 1;
        let (_, ending) = judged(&written.segments);
        let cut = ending.unwrap().cut.unwrap();
        assert_eq!((usize::try_from(cut.segment).unwrap(), cut.offset, cut.group), (last + 2, 0, 7));
    }
}
