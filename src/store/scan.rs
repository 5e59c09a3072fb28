//! The rule that tells a whole journal from a torn tail and from damage; pure, over the bytes of segments.
//!
//! Groups are looked for at block boundaries only, never inside a whole group. Let `g` be the number of the first group
//! that is not whole. Group `g + 1` was written only after `g` had been synced, so: a header of this journal with a greater
//! number anywhere later means that `g` was acknowledged and is damaged; otherwise `g` is a torn tail, never acknowledged.

use crate::store::codec::length_u64;
use crate::store::group::{AtBlock, BLOCK, Header, look};
use crate::store::options::{Cut, Damage};

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
}

impl Surveyed {
    /// The number of its first group, if that one is whole.
    fn first(&self) -> Option<u64> {
        self.groups.first().map(|(_, header)| header.number)
    }

    fn greatest(&self) -> Option<u64> {
        self.groups.iter().map(|(_, header)| header.number).chain(self.beyond).max()
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
    let at = at.min(bytes.len());
    let mut surveyed = Surveyed {
        segment,
        length: length_u64(bytes.len()),
        groups,
        end: length_u64(at),
        dirty_until: length_u64(at),
        beyond: None,
        foreign: false,
        newer: false,
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
        for (offset, header) in &segment.groups {
            if let Some((number, seq)) = expected
                && (header.number, header.first_seq) != (number, seq)
            {
                let what = format!(
                    "group {number} with record {seq} should be next, but group {} with record {} is there",
                    header.number, header.first_seq
                );
                return Err(damage(*offset, what));
            }
            expected = Some((header.number.saturating_add(1), header.last_seq().saturating_add(1)));
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
            *greatest > next || segments[index + 1..].iter().any(|later| !later.groups.is_empty())
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
