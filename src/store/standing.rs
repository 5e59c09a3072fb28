//! Where everything stands at one record: what BASE, CHECKPOINT and GENESIS carry, so that a start need not read it all.

use std::collections::BTreeMap;

use crate::queue::Seq;
use crate::store::codec::{Put, Take, length_u32};
use crate::store::effect::{Binding, Effect, LastAccepted, SeriesState, decode_series, encode_series};
use crate::store::entry::{put_located, take_located};
use crate::store::group::{Sums, TreeSum};
use crate::store::record::{Kind, Located, Malformed};

const VERSION: u8 = 1;

/// What a start must know that is not in the trees; a pure function of the journal up to a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) series: SeriesState,
    /// The latest record of each pinned kind.
    pub(crate) pins: BTreeMap<u8, Located>,
    /// Documents ever accepted.
    pub(crate) documents_total: u64,
    /// The segment where replay from the latest checkpoint begins.
    pub(crate) replay_segment: u32,
    /// The oldest segment kept, and its first record: what is older was retired.
    pub(crate) first_segment: u32,
    pub(crate) first_seq: Seq,
}

impl Default for Standing {
    fn default() -> Self {
        Self {
            series: SeriesState::default(),
            pins: BTreeMap::new(),
            documents_total: 0,
            replay_segment: 1,
            first_segment: 1,
            first_seq: 1,
        }
    }
}

/// Whether the latest record of this sort is always at hand.
const fn is_pinned(kind: Kind, effect: &Effect) -> bool {
    matches!(effect, Effect::Alerts | Effect::Hardware)
        || matches!(kind, Kind::Genesis | Kind::Init | Kind::Registration | Kind::Checkpoint | Kind::Retire)
}

impl Standing {
    /// One record further. A checkpoint's own part is in [`Standing::checkpointed`].
    pub(crate) fn apply(&mut self, kind: Kind, effect: &Effect, used: Option<u64>, at: Located) {
        if is_pinned(kind, effect) {
            self.pins.insert(kind.code(), at);
        }
        match effect {
            Effect::Document { .. } => self.documents_total += 1,
            Effect::Moved { document, binding: Binding::Used { sign }, .. } => {
                if let Some(number) = used {
                    self.use_number(number, sign, *document);
                }
            }
            Effect::Series { next, last } => {
                self.series = SeriesState { next: *next, last: last.clone() };
            }
            Effect::Kept { kind, part } => {
                self.pins.insert(kind.code(), part.inside(at));
            }
            Effect::Retired(retired) => {
                self.first_segment = retired.first_segment;
                self.first_seq = retired.first_seq;
            }
            Effect::None
            | Effect::Alerts
            | Effect::Hardware
            | Effect::Bound { .. }
            | Effect::Credited { .. }
            | Effect::Credits { .. }
            | Effect::Moved { .. }
            | Effect::Printed { .. }
            | Effect::Shelved { .. }
            | Effect::Reshelved { .. }
            | Effect::Carried(_) => {}
        }
    }

    /// The series never goes back: an older number of ours that was found at KRA only later changes nothing. Nor does it jump
    /// over numbers that nobody has accounted for, as a salvage may leave some: KRA's books are walked from there.
    fn use_number(&mut self, number: u64, sign: &str, document: Seq) {
        if number > self.series.next {
            return;
        }
        self.series.next = self.series.next.max(number.saturating_add(1));
        if self.series.last.as_ref().is_none_or(|last| last.number <= number) {
            self.series.last = Some(LastAccepted { number, sign: sign.to_owned(), document: Some(document) });
        }
    }

    /// After a checkpoint whose replay begins in this segment.
    pub(crate) fn checkpointed(&mut self, replay_segment: u32) {
        self.replay_segment = replay_segment;
    }

    fn put(&self, out: &mut Vec<u8>) {
        // One series today; the count leaves room for more.
        out.put_u8(1);
        encode_series(out, self.series.next, self.series.last.as_ref());
        out.put_u16(u16::try_from(self.pins.len()).expect("there are 16 kinds"));
        for (kind, at) in &self.pins {
            out.put_u8(*kind);
            put_located(out, *at);
        }
        out.put_u64(self.documents_total);
        out.put_u32(self.replay_segment);
        out.put_u32(self.first_segment);
        out.put_u64(self.first_seq);
    }

    fn take(take: &mut Take<'_>) -> Result<Self, Malformed> {
        if take.u8()? != 1 {
            return Err(Malformed("more than one series"));
        }
        let series = decode_series(take)?;
        let mut pins = BTreeMap::new();
        for _ in 0..take.u16()? {
            pins.insert(take.u8()?, take_located(take)?);
        }
        Ok(Self {
            series,
            pins,
            documents_total: take.u64()?,
            replay_segment: take.u32()?,
            first_segment: take.u32()?,
            first_seq: take.u64()?,
        })
    }
}

/// The body of a BASE: the first record of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Base {
    pub(crate) segment: u32,
    /// The segment's full length; 0 if it was grown because no zero-filled one stood ready.
    pub(crate) declared: u32,
    pub(crate) public_key: [u8; 32],
    /// As it stands before this record.
    pub(crate) standing: Standing,
}

impl Base {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.put_u32(self.segment);
        out.put_u32(self.declared);
        out.extend_from_slice(&self.public_key);
        self.standing.put(&mut out);
        out
    }

    pub(crate) fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let mut take = versioned(body)?;
        let base = Self {
            segment: take.u32()?,
            declared: take.u32()?,
            public_key: take.array()?,
            standing: Standing::take(&mut take)?,
        };
        take.end()?;
        Ok(base)
    }
}

/// The body of a CHECKPOINT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// The index is on the disk with everything up to this record; replay begins after it.
    pub(crate) indexed: Seq,
    /// The trees as they stood then.
    pub(crate) sums: Sums,
    /// The segment that was being written then.
    pub(crate) replay_segment: u32,
    /// The store was closed after it.
    pub(crate) closing: bool,
    /// The segments that unfinished documents still need, ascending.
    pub(crate) unfinished: Vec<u32>,
    /// As it stands before this record.
    pub(crate) standing: Standing,
}

impl Checkpoint {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.put_u64(self.indexed);
        self.sums.queue.put(&mut out);
        self.sums.keys.put(&mut out);
        out.put_u32(self.replay_segment);
        out.put_u8(u8::from(self.closing));
        out.put_u32(length_u32(self.unfinished.len()));
        for segment in &self.unfinished {
            out.put_u32(*segment);
        }
        self.standing.put(&mut out);
        // Left out where nothing ever stood there, as in every store before there was a shelf.
        if self.sums.shelf != TreeSum::default() {
            self.sums.shelf.put(&mut out);
        }
        out
    }

    pub(crate) fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let mut take = versioned(body)?;
        let indexed = take.u64()?;
        let (queue, keys) = (TreeSum::take(&mut take)?, TreeSum::take(&mut take)?);
        let replay_segment = take.u32()?;
        let closing = take.flag()?;
        let count = take.u32()?;
        let unfinished = (0..count).map(|_| take.u32()).collect::<Result<_, _>>()?;
        let standing = Standing::take(&mut take)?;
        let mut shelf = TreeSum::default();
        if take.end().is_err() {
            shelf = TreeSum::take(&mut take)?;
            take.end()?;
        }
        let sums = Sums { queue, keys, shelf };
        Ok(Self { indexed, sums, replay_segment, closing, unfinished, standing })
    }
}

/// The body of a GENESIS: what the store was when it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genesis {
    /// The journal's random id.
    pub journal: [u8; 16],
    /// The key that signs.
    pub public_key: [u8; 32],
    /// Each hardware identifier that could be read then, hashed.
    pub hardware: Vec<Identifier>,
}

/// A hardware identifier, of which only the hash is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identifier {
    /// Where it comes from, e.g. `block/mmcblk0/cid`.
    pub name: String,
    /// The SHA-256 of its name and value.
    pub hash: [u8; 32],
}

impl Genesis {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend_from_slice(&self.journal);
        out.extend_from_slice(&self.public_key);
        out.put_u16(u16::try_from(self.hardware.len()).expect("a machine has few identifiers"));
        for identifier in &self.hardware {
            out.put_short(identifier.name.as_bytes());
            out.extend_from_slice(&identifier.hash);
        }
        out
    }

    pub(crate) fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let mut take = versioned(body)?;
        let journal = take.array()?;
        let public_key = take.array()?;
        let count = take.u16()?;
        let hardware = (0..count)
            .map(|_| Ok(Identifier { name: take.text()?, hash: take.array()? }))
            .collect::<Result<_, Malformed>>()?;
        take.end()?;
        Ok(Self { journal, public_key, hardware })
    }
}

fn versioned(body: &[u8]) -> Result<Take<'_>, Malformed> {
    let mut take = Take(body);
    if take.u8()? == VERSION { Ok(take) } else { Err(Malformed("a newer version")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::Status;

    const AT: Located = Located { segment: 2, offset: 4320, length: 99, crc: 1 };

    fn moved(document: Seq, binding: Binding) -> Effect {
        Effect::Moved { document, status: Status::Signed, attempts: 1, unsure_sends: 0, binding }
    }

    #[test]
    fn the_series_follows_what_kra_accepted() {
        let mut standing = Standing::default();
        let used = |sign: &str| Binding::Used { sign: sign.into() };
        standing.apply(Kind::Bind, &Effect::Bound { document: 2, number: 1 }, None, AT);
        assert_eq!(standing.series, SeriesState::default());
        standing.apply(Kind::Outcome, &moved(2, used("S1")), Some(1), AT);
        let last = Some(LastAccepted { number: 1, sign: "S1".into(), document: Some(2) });
        assert_eq!(standing.series, SeriesState { next: 2, last: last.clone() });
        standing.apply(Kind::Outcome, &moved(3, Binding::Release), None, AT);
        assert_eq!(standing.series, SeriesState { next: 2, last });
        let adopted = Effect::Series {
            next: 9,
            last: Some(LastAccepted { number: 8, sign: "F".into(), document: None }),
        };
        standing.apply(Kind::Foreign, &adopted, None, AT);
        standing.apply(Kind::Outcome, &moved(3, used("S5")), Some(5), AT);
        assert_eq!(standing.series.next, 9);
        assert_eq!(standing.series.last.as_ref().map(|last| last.number), Some(8));
        standing.apply(Kind::Outcome, &moved(4, used("S11")), Some(11), AT);
        assert_eq!(standing.series.next, 9, "numbers 9 and 10 are nobody's yet");
        assert_eq!(standing.series.last.as_ref().map(|last| last.number), Some(8));
    }

    #[test]
    fn of_what_people_do_only_news_of_the_hardware_stays_at_hand() {
        let mut standing = Standing::default();
        standing.apply(Kind::Admin, &moved(2, Binding::Keep), None, AT);
        assert!(standing.pins.is_empty());
        standing.apply(Kind::Admin, &Effect::Hardware, None, AT);
        standing.apply(Kind::Admin, &Effect::None, None, Located { offset: 8192, ..AT });
        assert_eq!(standing.pins, BTreeMap::from([(Kind::Admin.code(), AT)]));
    }

    #[test]
    fn the_stores_own_bodies_come_back() {
        let mut standing = Standing::default();
        standing.apply(Kind::Genesis, &Effect::None, None, AT);
        standing.apply(Kind::Outcome, &moved(2, Binding::Used { sign: "S".into() }), Some(1), AT);
        let base = Base { segment: 3, declared: 65536, public_key: [4; 32], standing: standing.clone() };
        assert_eq!(Base::decode(&base.encode()).unwrap(), base);
        let checkpoint = Checkpoint {
            indexed: 90,
            sums: Sums::default(),
            replay_segment: 2,
            closing: true,
            unfinished: vec![1, 7],
            standing,
        };
        assert_eq!(Checkpoint::decode(&checkpoint.encode()).unwrap(), checkpoint);
        let shelf = TreeSum { count: 3, sum: 9 };
        let shelved = Checkpoint { sums: Sums { shelf, ..checkpoint.sums }, ..checkpoint.clone() };
        assert_eq!(shelved.encode().len(), checkpoint.encode().len() + 24, "as ever where nothing is on it");
        assert_eq!(Checkpoint::decode(&shelved.encode()).unwrap(), shelved);
        let hardware = vec![Identifier { name: "block/sda/wwid".into(), hash: [8; 32] }];
        let genesis = Genesis { journal: [1; 16], public_key: [2; 32], hardware };
        assert_eq!(Genesis::decode(&genesis.encode()).unwrap(), genesis);
        for body in [base.encode(), checkpoint.encode(), genesis.encode()] {
            assert!(Base::decode(&body[..body.len() - 1]).is_err());
            assert!(Checkpoint::decode(&body[..body.len() - 1]).is_err());
            assert!(Genesis::decode(&body[..body.len() - 1]).is_err());
        }
    }
}
