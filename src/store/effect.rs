//! Effects: what the index must know of a record, stored beside its body so that no replay parses bodies.

use crate::queue::{Seq, Status};
use crate::store::carry::{Carried, Part, Retired};
use crate::store::codec::{Put, Take};
use crate::store::record::{Kind, Malformed};

/// What a record changes in the queue and in the number series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    None,
    /// The alerts that stand from here on are in the body: the latest such record is kept at hand.
    Alerts,
    /// A document was accepted.
    Document {
        /// The register's own number for it, at most [`KEY_MAX`](crate::store::KEY_MAX) bytes; known ones are not written again.
        key: String,
        /// The hash of the request's content.
        content: [u8; 32],
        /// False for training and proforma, which are [`Status::NotFiscal`] at once.
        queued: bool,
        /// A credit note's original, where that is a document of this store.
        credits: Option<Seq>,
    },
    /// How much of a document its credit notes have taken by now is in the body.
    Credited {
        /// The document.
        document: Seq,
        /// The register's own number for it: a finished document is found by it.
        key: String,
        /// The record of this sort that it was worked out from; `None`: nothing was taken before. If that is no longer the
        /// latest when the commit's turn comes, nothing is written.
        after: Option<Seq>,
        /// A credit note takes some of it, which it may only from a document that KRA has or may yet have.
        takes: bool,
    },
    /// A credit note is one on another document from here on: that took the place of its original.
    Credits {
        /// The credit note.
        document: Seq,
        /// Its original.
        original: Seq,
    },
    /// The hardware that the store is used on from here on is in the body: the latest such record is kept at hand.
    Hardware,
    /// A number was tied to a document, before its first byte leaves.
    Bound {
        /// The document.
        document: Seq,
        /// The number.
        number: u64,
    },
    /// How a document stands now.
    Moved {
        /// The document.
        document: Seq,
        /// Where it stands.
        status: Status,
        /// Answers that counted against it.
        attempts: u32,
        /// Sends under its number whose outcome is unknown; while pending, more than none means in doubt.
        unsure_sends: u32,
        /// What becomes of its number.
        binding: Binding,
    },
    /// The original of a signed document's receipt was printed.
    Printed {
        /// The document.
        document: Seq,
        /// The register's own number for it: a finished document is found by it.
        key: String,
        /// Once more, because the paper jammed.
        again: bool,
    },
    /// From here on this record stands for its key, and the one before it for nothing: an item, a code list.
    Shelved {
        /// The key, at most [`KEY_MAX`](crate::store::KEY_MAX) bytes; each kind has its own.
        key: String,
    },
    /// Where the number series goes on, and what it goes on from.
    Series {
        /// The next number.
        next: u64,
        /// The last one that KRA accepted.
        last: Option<LastAccepted>,
    },
    /// An unfinished document was taken along from a segment that is to be retired. Written by the store alone.
    Carried(Box<Carried>),
    /// The latest record of its kind was taken along, being needed at every start. Written by the store alone.
    Kept {
        /// Its kind.
        kind: Kind,
        /// Its bytes, in the body.
        part: Part,
    },
    /// A record that stands for its key was taken along from a segment that is to be retired. Written by the store alone.
    Reshelved {
        /// Its kind.
        kind: Kind,
        /// Its key.
        key: String,
        /// Its bytes, in the body.
        part: Part,
    },
    /// Everything before a segment is no longer kept. Written by the store alone.
    Retired(Box<Retired>),
}

impl Effect {
    /// Only the store writes these; a caller's is refused.
    pub(crate) const fn is_own(&self) -> bool {
        matches!(self, Self::Carried(_) | Self::Kept { .. } | Self::Reshelved { .. } | Self::Retired(_))
    }

    /// An upper bound of what [`encode_effect`] appends.
    pub(crate) fn encoded_bound(&self) -> usize {
        match self {
            Self::Retired(retired) => retired.encoded_bound(),
            // Many of them make one group.
            Self::Shelved { key } | Self::Reshelved { key, .. } => key.len() + 16,
            // At most two short texts and what is fixed.
            _ => 2 * 256 + 160,
        }
    }
}

/// What becomes of the number that a document is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Binding {
    /// It stays tied to the document.
    Keep,
    /// It is free again; the series' next stays as it is.
    Release,
    /// KRA accepted it: the series goes on after it.
    Used {
        /// KRA's signature.
        sign: String,
    },
}

/// The last number that KRA accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastAccepted {
    /// The number.
    pub number: u64,
    /// KRA's signature under it, at most 255 bytes.
    pub sign: String,
    /// The document, if it is ours.
    pub document: Option<Seq>,
}

/// Where the number series stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeriesState {
    /// The number that the next document is bound to.
    pub next: u64,
    /// The last one that KRA accepted.
    pub last: Option<LastAccepted>,
}

impl Default for SeriesState {
    fn default() -> Self {
        Self { next: 1, last: None }
    }
}

/// A status' number on the disk; never given to another.
pub(crate) const fn status_code(status: Status) -> u8 {
    match status {
        Status::Pending => 1,
        Status::Signed => 2,
        Status::AcceptedNoProof => 3,
        Status::Rejected => 4,
        Status::Parked => 5,
        Status::Settled => 6,
        Status::NotFiscal => 7,
    }
}

pub(crate) fn status_from(code: u8) -> Result<Status, Malformed> {
    Ok(match code {
        1 => Status::Pending,
        2 => Status::Signed,
        3 => Status::AcceptedNoProof,
        4 => Status::Rejected,
        5 => Status::Parked,
        6 => Status::Settled,
        7 => Status::NotFiscal,
        _ => return Err(Malformed("an unknown status")),
    })
}

/// Appends the effect's bytes.
pub(crate) fn encode_effect(out: &mut Vec<u8>, effect: &Effect) {
    match effect {
        Effect::None => out.put_u8(0),
        Effect::Document { key, content, queued, credits } => {
            out.put_u8(if credits.is_some() { 9 } else { 1 });
            out.put_short(key.as_bytes());
            out.extend_from_slice(content);
            out.put_u8(u8::from(*queued));
            if let Some(original) = credits {
                out.put_u64(*original);
            }
        }
        Effect::Bound { document, number } => {
            out.put_u8(2);
            out.put_u64(*document);
            out.put_u64(*number);
        }
        Effect::Moved { document, status, attempts, unsure_sends, binding } => {
            out.put_u8(3);
            out.put_u64(*document);
            out.put_u8(status_code(*status));
            out.put_u32(*attempts);
            out.put_u32(*unsure_sends);
            match binding {
                Binding::Keep => out.put_u8(0),
                Binding::Release => out.put_u8(1),
                Binding::Used { sign } => {
                    out.put_u8(2);
                    out.put_short(sign.as_bytes());
                }
            }
        }
        Effect::Series { next, last } => {
            out.put_u8(4);
            encode_series(out, *next, last.as_ref());
        }
        Effect::Printed { document, key, again } => {
            out.put_u8(8);
            out.put_u64(*document);
            out.put_short(key.as_bytes());
            out.put_u8(u8::from(*again));
        }
        Effect::Credited { document, key, after, takes } => {
            out.put_u8(10);
            out.put_u64(*document);
            out.put_short(key.as_bytes());
            // No record has the number 0.
            out.put_u64(after.unwrap_or(0));
            out.put_u8(u8::from(*takes));
        }
        Effect::Credits { document, original } => {
            out.put_u8(11);
            out.put_u64(*document);
            out.put_u64(*original);
        }
        Effect::Hardware => out.put_u8(16),
        Effect::Alerts => out.put_u8(17),
        Effect::Carried(carried) => {
            out.put_u8(5);
            carried.put(out);
        }
        Effect::Kept { kind, part } => {
            out.put_u8(6);
            out.put_u8(kind.code());
            part.put(out);
        }
        Effect::Shelved { key } => {
            out.put_u8(18);
            out.put_short(key.as_bytes());
        }
        Effect::Reshelved { kind, key, part } => {
            out.put_u8(19);
            out.put_u8(kind.code());
            out.put_short(key.as_bytes());
            part.put(out);
        }
        Effect::Retired(retired) => {
            out.put_u8(7);
            retired.put(out);
        }
    }
}

/// Reads an effect back.
pub(crate) fn decode_effect(take: &mut Take<'_>) -> Result<Effect, Malformed> {
    Ok(match take.u8()? {
        0 => Effect::None,
        code @ (1 | 9) => Effect::Document {
            key: take.text()?,
            content: take.array()?,
            queued: take.flag()?,
            credits: if code == 9 { Some(take.u64()?) } else { None },
        },
        2 => Effect::Bound { document: take.u64()?, number: take.u64()? },
        3 => Effect::Moved {
            document: take.u64()?,
            status: status_from(take.u8()?)?,
            attempts: take.u32()?,
            unsure_sends: take.u32()?,
            binding: match take.u8()? {
                0 => Binding::Keep,
                1 => Binding::Release,
                2 => Binding::Used { sign: take.text()? },
                _ => return Err(Malformed("an unknown binding")),
            },
        },
        4 => {
            let SeriesState { next, last } = decode_series(take)?;
            Effect::Series { next, last }
        }
        16 => Effect::Hardware,
        17 => Effect::Alerts,
        5 => Effect::Carried(Box::new(Carried::take(take)?)),
        6 => Effect::Kept {
            kind: Kind::from_code(take.u8()?).ok_or(Malformed("an unknown kind"))?,
            part: Part::take(take)?,
        },
        7 => Effect::Retired(Box::new(Retired::take(take)?)),
        18 => Effect::Shelved { key: take.text()? },
        19 => Effect::Reshelved {
            kind: Kind::from_code(take.u8()?).ok_or(Malformed("an unknown kind"))?,
            key: take.text()?,
            part: Part::take(take)?,
        },
        10 => Effect::Credited {
            document: take.u64()?,
            key: take.text()?,
            after: Some(take.u64()?).filter(|after| *after > 0),
            takes: take.flag()?,
        },
        11 => Effect::Credits { document: take.u64()?, original: take.u64()? },
        8 => Effect::Printed { document: take.u64()?, key: take.text()?, again: take.flag()? },
        _ => return Err(Malformed("an unknown effect")),
    })
}

/// Appends a series' bytes; BASE and CHECKPOINT carry them too.
pub(crate) fn encode_series(out: &mut Vec<u8>, next: u64, last: Option<&LastAccepted>) {
    out.put_u64(next);
    if let Some(last) = last {
        out.put_u8(1);
        out.put_u64(last.number);
        out.put_short(last.sign.as_bytes());
        out.put_u8(u8::from(last.document.is_some()));
        out.put_u64(last.document.unwrap_or(0));
    } else {
        out.put_u8(0);
    }
}

pub(crate) fn decode_series(take: &mut Take<'_>) -> Result<SeriesState, Malformed> {
    let next = take.u64()?;
    let last = if take.flag()? {
        let number = take.u64()?;
        let sign = take.text()?;
        let known = take.flag()?;
        let document = take.u64()?;
        Some(LastAccepted { number, sign, document: known.then_some(document) })
    } else {
        None
    };
    Ok(SeriesState { next, last })
}
