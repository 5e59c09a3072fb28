//! What must outlive its segment: unfinished documents, and the records that every start needs.
//!
//! A CARRY has the bytes of the original records in its body, one after the other, and the document's complete state as its
//! effect. Its rows in the index lead to the originals inside that body: number, hash and signature stay what they were,
//! and nobody who reads them sees a difference. A replay that meets records about a document whose sale is gone passes them
//! over; the CARRY then sets the state whole, so none goes back to an older one.

use crate::queue::{Seq, Status};
use crate::store::codec::{Put, Take, length_u32, length_usize};
use crate::store::effect::{status_code, status_from};
use crate::store::entry::{Bound, Credited, Entry};
use crate::store::record::{Located, Malformed, Stamp};

/// An original record inside a CARRY's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// How many bytes before the end of the CARRY it begins.
    pub(crate) back: u32,
    pub(crate) length: u32,
    pub(crate) crc: u32,
}

impl Part {
    /// Where it is, the CARRY being at `carry`.
    pub(crate) const fn inside(self, carry: Located) -> Located {
        let end = carry.offset.saturating_add(carry.length);
        Located { offset: end.saturating_sub(self.back), length: self.length, crc: self.crc, ..carry }
    }

    /// Its bytes in the CARRY's body, their checksum checked.
    pub(crate) fn bytes(self, body: &[u8]) -> Result<&[u8], Malformed> {
        let begin = body.len().checked_sub(length_usize(self.back));
        let end = begin.and_then(|begin| begin.checked_add(length_usize(self.length)));
        let bytes = begin.zip(end).and_then(|(begin, end)| body.get(begin..end)).unwrap_or_default();
        if crc32c::crc32c(bytes) == self.crc {
            Ok(bytes)
        } else {
            Err(Malformed("a record that was taken along is not as it was"))
        }
    }

    pub(crate) fn put(self, out: &mut Vec<u8>) {
        out.put_u32(self.back);
        out.put_u32(self.length);
        out.put_u32(self.crc);
    }

    pub(crate) fn take(take: &mut Take<'_>) -> Result<Self, Malformed> {
        let part = Self { back: take.u32()?, length: take.u32()?, crc: take.u32()? };
        if part.length > part.back { Err(Malformed("a part runs over its record")) } else { Ok(part) }
    }
}

/// The complete state of a document that was taken along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    pub(crate) document: Seq,
    pub(crate) key: String,
    pub(crate) content: [u8; 32],
    pub(crate) accepted: Stamp,
    pub(crate) status: Status,
    pub(crate) attempts: u32,
    pub(crate) unsure_sends: u32,
    pub(crate) sale: Part,
    /// The number it is bound to, and the record with the request's bytes.
    pub(crate) bound: Option<(u64, Part)>,
    pub(crate) outcome: Option<Part>,
    /// What credit notes have taken of it: the record's number, and the record.
    pub(crate) credited: Option<(Seq, Part)>,
    /// The original of a credit note.
    pub(crate) credits: Option<Seq>,
}

/// How a byte that says "there is an outcome" is read further: credit notes came later than stores did.
const OUTCOME: u8 = 1;
const CREDITED: u8 = 2;
const CREDITS: u8 = 4;

impl Carried {
    /// The document's entry, the CARRY being at `carry`.
    pub(crate) fn entry(&self, carry: Located) -> Entry {
        Entry {
            seq: self.document,
            key: self.key.clone(),
            content: self.content,
            status: self.status,
            accepted: self.accepted,
            at: self.sale.inside(carry),
            bound: self.bound.map(|(number, part)| Bound { number, at: part.inside(carry) }),
            attempts: self.attempts,
            unsure_sends: self.unsure_sends,
            outcome: self.outcome.map(|part| part.inside(carry)),
            // What is taken along is unfinished.
            printed: None,
            credited: self.credited.map(|(by, part)| Credited { by, at: part.inside(carry) }),
            credits: self.credits,
        }
    }

    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        out.put_u64(self.document);
        out.put_short(self.key.as_bytes());
        out.extend_from_slice(&self.content);
        out.put_i64(self.accepted.wall_ms);
        out.extend_from_slice(&self.accepted.boot);
        out.put_u64(self.accepted.monotonic_ms);
        out.put_u8(u8::from(self.accepted.synchronised));
        out.put_u8(status_code(self.status));
        out.put_u32(self.attempts);
        out.put_u32(self.unsure_sends);
        self.sale.put(out);
        out.put_u8(u8::from(self.bound.is_some()));
        if let Some((number, part)) = self.bound {
            out.put_u64(number);
            part.put(out);
        }
        let holds = [
            (self.outcome.is_some(), OUTCOME),
            (self.credited.is_some(), CREDITED),
            (self.credits.is_some(), CREDITS),
        ];
        out.put_u8(holds.into_iter().filter(|(holds, _)| *holds).map(|(_, flag)| flag).sum());
        if let Some(part) = self.outcome {
            part.put(out);
        }
        if let Some((by, part)) = self.credited {
            out.put_u64(by);
            part.put(out);
        }
        if let Some(original) = self.credits {
            out.put_u64(original);
        }
    }

    pub(crate) fn take(take: &mut Take<'_>) -> Result<Self, Malformed> {
        let mut carried = Self {
            document: take.u64()?,
            key: take.text()?,
            content: take.array()?,
            accepted: Stamp {
                wall_ms: take.i64()?,
                boot: take.array()?,
                monotonic_ms: take.u64()?,
                synchronised: take.flag()?,
            },
            status: status_from(take.u8()?)?,
            attempts: take.u32()?,
            unsure_sends: take.u32()?,
            sale: Part::take(take)?,
            bound: if take.flag()? { Some((take.u64()?, Part::take(take)?)) } else { None },
            outcome: None,
            credited: None,
            credits: None,
        };
        let holds = take.u8()?;
        if holds & !(OUTCOME | CREDITED | CREDITS) != 0 {
            return Err(Malformed("an unknown part of what was taken along"));
        }
        if holds & OUTCOME != 0 {
            carried.outcome = Some(Part::take(take)?);
        }
        if holds & CREDITED != 0 {
            carried.credited = Some((take.u64()?, Part::take(take)?));
        }
        if holds & CREDITS != 0 {
            carried.credits = Some(take.u64()?);
        }
        Ok(carried)
    }
}

/// The body and the effect of a document's CARRY; `bytes` gives an original record's.
pub(crate) fn carry<E>(
    entry: &Entry,
    mut bytes: impl FnMut(Located) -> Result<Vec<u8>, E>,
) -> Result<(Carried, Vec<u8>), E> {
    // In their order in the journal, so that what came after what can still be seen.
    let credited = entry.credited.map(|credited| credited.at);
    let mut places: Vec<Located> =
        [Some(entry.at), entry.bound.map(|bound| bound.at), entry.outcome, credited]
            .into_iter()
            .flatten()
            .collect();
    places.sort_unstable_by_key(|at| (at.segment, at.offset));
    places.dedup();
    let mut body = Vec::new();
    let mut begins = Vec::new();
    for at in &places {
        begins.push((*at, body.len()));
        body.append(&mut bytes(*at)?);
    }
    let part = |at: Located| {
        let begin = begins.iter().find(|(place, _)| *place == at).map_or(0, |(_, begin)| *begin);
        Part { back: length_u32(body.len() - begin), length: at.length, crc: at.crc }
    };
    let carried = Carried {
        document: entry.seq,
        key: entry.key.clone(),
        content: entry.content,
        accepted: entry.accepted,
        status: entry.status,
        attempts: entry.attempts,
        unsure_sends: entry.unsure_sends,
        sale: part(entry.at),
        bound: entry.bound.map(|bound| (bound.number, part(bound.at))),
        outcome: entry.outcome.map(part),
        credited: entry.credited.map(|credited| (credited.by, part(credited.at))),
        credits: entry.credits,
    };
    Ok((carried, body))
}

/// Everything before a segment is no longer kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retired {
    /// The oldest segment that is kept from now on, and its first record.
    pub(crate) first_segment: u32,
    pub(crate) first_seq: Seq,
    /// The hash of the last record that is no longer kept: where the chain is checked from.
    pub(crate) previous: [u8; 32],
    /// The registers' own numbers of the finished documents that leave the index; they may be used again.
    pub(crate) keys: Vec<String>,
}

impl Retired {
    pub(crate) fn put(&self, out: &mut Vec<u8>) {
        out.put_u32(self.first_segment);
        out.put_u64(self.first_seq);
        out.extend_from_slice(&self.previous);
        out.put_u32(length_u32(self.keys.len()));
        self.keys.iter().for_each(|key| out.put_short(key.as_bytes()));
    }

    pub(crate) fn take(take: &mut Take<'_>) -> Result<Self, Malformed> {
        let (first_segment, first_seq, previous) = (take.u32()?, take.u64()?, take.array()?);
        let mut keys = Vec::new();
        for _ in 0..take.u32()? {
            keys.push(take.text()?);
        }
        Ok(Self { first_segment, first_seq, previous, keys })
    }

    pub(crate) fn encoded_bound(&self) -> usize {
        self.keys.iter().map(|key| key.len() + 1).fold(64, usize::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn effects_of_the_stores_own_come_back(
            document: u64, key in "[ -~]{1,128}", content: [u8; 32], wall_ms: i64, boot: [u8; 16], attempts: u32,
            unsure_sends: u32, bound: Option<u64>, answered: bool, credited: Option<u64>, credits: Option<u64>, keys in proptest::collection::vec("[ -~]{1,128}", 0..20),
        ) {
            let part = Part { back: 90, length: 17, crc: 5 };
            let carried = Carried {
                document, key, content,
                accepted: Stamp { wall_ms, boot, monotonic_ms: 4, synchronised: answered },
                status: Status::Parked, attempts, unsure_sends, sale: part,
                bound: bound.map(|number| (number, part)),
                outcome: answered.then_some(part),
                credited: credited.map(|by| (by, part)),
                credits,
            };
            let mut bytes = Vec::new();
            carried.put(&mut bytes);
            prop_assert!(bytes.len() <= crate::store::Effect::Carried(Box::new(carried.clone())).encoded_bound());
            prop_assert_eq!(Carried::take(&mut Take(&bytes)).unwrap(), carried.clone());
            for cut in 0..bytes.len() {
                prop_assert!(Carried::take(&mut Take(&bytes[..cut])).is_err());
            }
            let reshelved = crate::store::Effect::Reshelved {
                kind: crate::store::Kind::Item, key: carried.key.clone(), part,
            };
            let mut bytes = Vec::new();
            crate::store::effect::encode_effect(&mut bytes, &reshelved);
            prop_assert!(bytes.len() <= reshelved.encoded_bound());
            prop_assert_eq!(crate::store::effect::decode_effect(&mut Take(&bytes)).unwrap(), reshelved);
            let retired = Retired { first_segment: 9, first_seq: document, previous: content, keys };
            let mut bytes = Vec::new();
            retired.put(&mut bytes);
            prop_assert!(bytes.len() <= retired.encoded_bound());
            prop_assert_eq!(Retired::take(&mut Take(&bytes)).unwrap(), retired);
        }
    }
}
