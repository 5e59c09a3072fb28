//! Records: what the journal consists of, and their bytes.
//!
//! A record is `length, layout, kind, flags, seq, stamp, previous hash, origin, effect, body, signature`, big-endian.
//! Its hash is the SHA-256 of all these bytes; the next record carries it, which makes the chain.

use crate::queue::Seq;
use crate::store::codec::{Put, Take, length_u32, length_usize};
use crate::store::effect::{Effect, decode_effect, encode_effect};

/// The longest origin, in bytes.
pub const ORIGIN_MAX: usize = 64;
/// The longest key of a document, in bytes.
pub const KEY_MAX: usize = 128;

/// The layout of a record's bytes; a greater one was written by a newer version.
const LAYOUT: u8 = 1;
const SIGNED: u8 = 1;
const SYNCHRONISED: u8 = 2;

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// The first record of every segment: where everything stood when the segment began. Written by the store alone.
    Base,
    /// The first start: public key, journal id, hardware. Written by the store alone.
    Genesis,
    /// An intended or answered initialisation of the device.
    Init,
    /// The device is registered: its identity and where its series goes on.
    Registration,
    /// A sale in the same series that somebody else made.
    Foreign,
    /// An accepted sale or credit note, signed.
    Sale,
    /// A number and the exact request bytes, tied to a document before its first byte leaves.
    Bind,
    /// What became of one sending.
    Outcome,
    /// An item of the catalogue.
    Item,
    /// A code list as KRA gave it.
    Codes,
    /// Something that happened: alerts, clock steps, prints.
    Event,
    /// An act of a person.
    Admin,
    /// An unfinished document taken along from a segment that is to be retired. Written by the store alone.
    Carry,
    /// The index is on the disk up to here; signed over the chain. Written by the store alone.
    Checkpoint,
    /// The start found a torn tail and cut it. Written by the store alone.
    Recovered,
    /// Segments are about to be removed, their time being over. Written by the store alone.
    Retire,
}

impl Kind {
    const ALL: [Self; 16] = [
        Self::Base,
        Self::Genesis,
        Self::Init,
        Self::Registration,
        Self::Foreign,
        Self::Sale,
        Self::Bind,
        Self::Outcome,
        Self::Item,
        Self::Codes,
        Self::Event,
        Self::Admin,
        Self::Carry,
        Self::Checkpoint,
        Self::Recovered,
        Self::Retire,
    ];

    /// Its number on the disk; never given to another kind.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Base => 1,
            Self::Genesis => 2,
            Self::Init => 3,
            Self::Registration => 4,
            Self::Foreign => 5,
            Self::Sale => 6,
            Self::Bind => 7,
            Self::Outcome => 8,
            Self::Item => 9,
            Self::Codes => 10,
            Self::Event => 11,
            Self::Admin => 12,
            Self::Carry => 13,
            Self::Checkpoint => 14,
            Self::Recovered => 15,
            Self::Retire => 16,
        }
    }

    pub(crate) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// Only the store writes these; a caller's is refused.
    pub(crate) const fn is_own(self) -> bool {
        matches!(
            self,
            Self::Base | Self::Genesis | Self::Carry | Self::Checkpoint | Self::Recovered | Self::Retire
        )
    }
}

/// When and in which run of the machine something was accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// The wall clock, milliseconds since 1970 (UTC). Shown, never used for order or ages.
    pub wall_ms: i64,
    /// The kernel's boot id: monotonic readings of different boots cannot be compared.
    pub boot: [u8; 16],
    /// Milliseconds since that boot, sleep included.
    pub monotonic_ms: u64,
    /// Whether the wall clock was synchronised then.
    pub synchronised: bool,
}

impl Stamp {
    /// Where the kernel gave no id of its boot.
    pub const NO_BOOT: [u8; 16] = [0; 16];

    /// Both in one run of the machine: their monotonic readings can be compared.
    pub fn same_boot(&self, other: &Self) -> bool {
        self.boot == other.boot && self.boot != Self::NO_BOOT
    }
}

/// A record that is to be committed; the store adds running number and chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRecord {
    /// What it is about.
    pub kind: Kind,
    /// When it was accepted.
    pub stamp: Stamp,
    /// The port or socket it came by, at most [`ORIGIN_MAX`] bytes; empty for the daemon's own.
    pub origin: String,
    /// What the index must know of it.
    pub effect: Effect,
    /// Its content, opaque here.
    pub body: Vec<u8>,
    /// [`Signer::sign`](crate::store::Signer::sign) over [`Signer::document_bytes`](crate::store::Signer::document_bytes);
    /// a sale must have one.
    pub signature: Option<[u8; 64]>,
}

/// A record as the journal has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its running number: no gaps, from 1.
    pub seq: Seq,
    /// What it is about.
    pub kind: Kind,
    /// When it was accepted.
    pub stamp: Stamp,
    /// The port or socket it came by.
    pub origin: String,
    /// What the index was told of it.
    pub effect: Effect,
    /// Its content, opaque here.
    pub body: Vec<u8>,
    /// The signature made when it was accepted.
    pub signature: Option<[u8; 64]>,
    /// The hash of the record before; all zero for the first.
    pub previous: [u8; 32],
    /// The SHA-256 of this record's bytes.
    pub hash: [u8; 32],
    /// The number that KRA accepted, resolved when the record was committed ([`Binding::Used`](crate::store::Binding::Used)).
    pub(crate) used: Option<u64>,
}

/// Where the bytes of one record are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Located {
    /// The segment's number.
    pub segment: u32,
    /// Bytes from the segment's beginning.
    pub offset: u32,
    /// The record's length in bytes.
    pub length: u32,
    /// CRC-32C of the record's bytes.
    pub crc: u32,
}

/// Bytes that are no record of ours, though their checksum may hold; says what is wrong with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not readable as a record: {0}")]
pub struct Malformed(pub(crate) &'static str);

/// The SHA-256 of `bytes`.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(ring::digest::digest(&ring::digest::SHA256, bytes).as_ref());
    hash
}

/// Appends the record's bytes to `out` and says how many they are. `used`: the number that a `Used` binding resolved to.
pub(crate) fn encode_record(
    out: &mut Vec<u8>,
    seq: Seq,
    previous: &[u8; 32],
    record: &NewRecord,
    used: Option<u64>,
) -> usize {
    let start = out.len();
    out.put_u32(0);
    out.put_u8(LAYOUT);
    out.put_u8(record.kind.code());
    let signed = if record.signature.is_some() { SIGNED } else { 0 };
    out.put_u8(signed | if record.stamp.synchronised { SYNCHRONISED } else { 0 });
    out.put_u64(seq);
    out.put_i64(record.stamp.wall_ms);
    out.extend_from_slice(&record.stamp.boot);
    out.put_u64(record.stamp.monotonic_ms);
    out.extend_from_slice(previous);
    out.put_short(record.origin.as_bytes());
    encode_effect(out, &record.effect);
    if let Some(number) = used {
        out.put_u8(1);
        out.put_u64(number);
    } else {
        out.put_u8(0);
    }
    out.put_long(&record.body);
    if let Some(signature) = &record.signature {
        out.extend_from_slice(signature);
    }
    let length = out.len() - start;
    out[start..start + 4].copy_from_slice(&length_u32(length).to_be_bytes());
    length
}

/// An upper bound of what [`encode_record`] appends.
pub(crate) fn encoded_bound(record: &NewRecord) -> usize {
    // Fixed fields are 92 bytes, a signature 64.
    let fixed = 92 + 64 + 9;
    [record.origin.len(), record.effect.encoded_bound(), fixed]
        .into_iter()
        .fold(record.body.len(), usize::saturating_add)
}

/// The length that the record at the head of `bytes` gives itself.
pub(crate) fn announced_length(bytes: &[u8]) -> Result<usize, Malformed> {
    Take(bytes).u32().map(length_usize)
}

/// What a document's index entry takes from its sale's record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SaleHeader {
    pub(crate) key: String,
    pub(crate) content: [u8; 32],
    pub(crate) accepted: Stamp,
}

/// Reads only the header of the sale `seq`.
pub(crate) fn decode_sale_header(bytes: &[u8], seq: Seq) -> Result<SaleHeader, Malformed> {
    let (head, _) = decode_head(bytes)?;
    match head.effect {
        Effect::Document { key, content, .. } if head.seq == seq => {
            Ok(SaleHeader { key, content, accepted: head.stamp })
        }
        _ => Err(Malformed("it is not the sale that should be there")),
    }
}

/// The fields before the body.
struct Head {
    kind: Kind,
    signed: bool,
    seq: Seq,
    stamp: Stamp,
    previous: [u8; 32],
    origin: String,
    effect: Effect,
}

/// Reads one record from exactly its bytes.
pub(crate) fn decode_record(bytes: &[u8]) -> Result<Record, Malformed> {
    let (Head { kind, signed, seq, stamp, previous, origin, effect }, mut take) = decode_head(bytes)?;
    let used = if take.flag()? { Some(take.u64()?) } else { None };
    let body = take.long()?.to_vec();
    let signature = if signed { Some(take.array()?) } else { None };
    take.end()?;
    let hash = sha256(bytes);
    Ok(Record { seq, kind, stamp, origin, effect, body, signature, previous, hash, used })
}

fn decode_head(bytes: &[u8]) -> Result<(Head, Take<'_>), Malformed> {
    let mut take = Take(bytes);
    if length_usize(take.u32()?) != bytes.len() {
        return Err(Malformed("its length is not what it says"));
    }
    if take.u8()? != LAYOUT {
        return Err(Malformed("a newer layout"));
    }
    let kind = Kind::from_code(take.u8()?).ok_or(Malformed("an unknown kind"))?;
    let flags = take.u8()?;
    if flags & !(SIGNED | SYNCHRONISED) != 0 {
        return Err(Malformed("unknown flags"));
    }
    let seq = take.u64()?;
    let stamp = Stamp {
        wall_ms: take.i64()?,
        boot: take.array()?,
        monotonic_ms: take.u64()?,
        synchronised: flags & SYNCHRONISED != 0,
    };
    let previous = take.array()?;
    let origin = take.text()?;
    let effect = decode_effect(&mut take)?;
    let signed = flags & SIGNED != 0;
    Ok((Head { kind, signed, seq, stamp, previous, origin, effect }, take))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::queue::Status;
    use crate::store::effect::{Binding, LastAccepted};

    fn effects() -> impl Strategy<Value = Effect> {
        let binding = prop_oneof![
            Just(Binding::Keep),
            Just(Binding::Release),
            "[A-Z]{0,40}".prop_map(|sign| Binding::Used { sign })
        ];
        prop_oneof![
            Just(Effect::None),
            Just(Effect::Alerts),
            Just(Effect::Hardware),
            "[ -~]{1,128}".prop_map(|key| Effect::Shelved { key }),
            ("[ -~]{1,50}", any::<[u8; 32]>(), any::<bool>(), any::<Option<u64>>()).prop_map(
                |(key, content, queued, credits)| Effect::Document { key, content, queued, credits }
            ),
            (any::<u64>(), "[ -~]{1,50}", proptest::option::of(1..u64::MAX), any::<bool>())
                .prop_map(|(document, key, after, takes)| Effect::Credited { document, key, after, takes }),
            (any::<u64>(), any::<u64>())
                .prop_map(|(document, original)| Effect::Credits { document, original }),
            (any::<u64>(), any::<u64>()).prop_map(|(document, number)| Effect::Bound { document, number }),
            (any::<u64>(), "[ -~]{1,50}", any::<bool>()).prop_map(|(document, key, again)| Effect::Printed {
                document,
                key,
                again
            }),
            (any::<u64>(), any::<u32>(), any::<u32>(), binding).prop_map(
                |(document, attempts, unsure_sends, binding)| Effect::Moved {
                    document,
                    status: Status::Parked,
                    attempts,
                    unsure_sends,
                    binding
                }
            ),
            (any::<u64>(), proptest::option::of((any::<u64>(), "[a-z]{0,20}", any::<Option<u64>>())))
                .prop_map(|(next, last)| Effect::Series {
                    next,
                    last: last.map(|(number, sign, document)| LastAccepted { number, sign, document })
                }),
        ]
    }

    proptest! {
        #[test]
        fn a_record_comes_back_as_it_went(
            seq: u64, wall_ms: i64, boot: [u8; 16], monotonic_ms: u64, synchronised: bool, previous: [u8; 32],
            kind in 0usize..16, origin in "[ -~]{0,64}", effect in effects(), body: Vec<u8>, signed: bool, used: Option<u64>,
        ) {
            let new = NewRecord {
                kind: Kind::ALL[kind],
                stamp: Stamp { wall_ms, boot, monotonic_ms, synchronised },
                origin, effect, body,
                signature: signed.then_some([7; 64]),
            };
            let mut bytes = Vec::new();
            let length = encode_record(&mut bytes, seq, &previous, &new, used);
            prop_assert_eq!(length, bytes.len());
            prop_assert!(length <= encoded_bound(&new));
            let record = decode_record(&bytes).unwrap();
            prop_assert_eq!(record.seq, seq);
            prop_assert_eq!(record.previous, previous);
            prop_assert_eq!(record.used, used);
            let back = NewRecord {
                kind: record.kind, stamp: record.stamp, origin: record.origin, effect: record.effect,
                body: record.body, signature: record.signature,
            };
            prop_assert_eq!(back, new);
            for cut in 0..bytes.len() {
                prop_assert!(decode_record(&bytes[..cut]).is_err());
            }
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = decode_record(&bytes);
        }
    }

    #[test]
    fn kinds_keep_their_codes() {
        for (index, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(kind.code()), index + 1);
            assert_eq!(Kind::from_code(kind.code()), Some(kind));
        }
        assert_eq!(Kind::from_code(0), None);
        assert_eq!(Kind::from_code(17), None);
    }
}
