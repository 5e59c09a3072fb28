//! What the index says about one document, and its rows in the trees.

use crate::queue::{Seq, Status};
use crate::store::codec::{Put, Take};
use crate::store::effect::{status_code, status_from};
use crate::store::record::{Located, Malformed, Stamp};

/// A document as the index knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its running number: that of the record that accepted it.
    pub seq: Seq,
    /// The register's own number for it.
    pub key: String,
    /// The hash of the request's content.
    pub content: [u8; 32],
    /// Where it stands.
    pub status: Status,
    /// When it was accepted.
    pub accepted: Stamp,
    /// Where its sale is.
    pub at: Located,
    /// The number it is bound to, and where that record is.
    pub bound: Option<Bound>,
    /// Answers that counted against it.
    pub attempts: u32,
    /// Sends under its number whose outcome is unknown; while pending, more than none means in doubt.
    pub unsure_sends: u32,
    /// Where the latest record about its standing is.
    pub outcome: Option<Located>,
}

/// A number, and where the record is that tied it to a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The number.
    pub number: u64,
    /// The BIND record.
    pub at: Located,
}

/// A document's rows in the trees: exactly one of `open` and a full `by_key` value holds its standing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rows {
    /// The value in `by_key`, under [`Entry::key`].
    pub(crate) key: Vec<u8>,
    /// While it is unfinished: its values in `queue` and `state`, under [`seq_key`].
    pub(crate) open: Option<(Vec<u8>, Vec<u8>)>,
}

/// What a value in `by_key` says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Keyed {
    /// Unfinished: look in `queue` and `state`.
    Open(Seq),
    Finished(Box<Entry>),
}

/// A running number as a key: in order of acceptance.
pub(crate) const fn seq_key(seq: Seq) -> [u8; 8] {
    seq.to_be_bytes()
}

impl Entry {
    /// All its rows; a pure function of the entry, so that the same journal always gives the same trees.
    pub(crate) fn rows(&self) -> Rows {
        let mut key = Vec::with_capacity(160);
        if self.status.is_finished() {
            key.put_u8(1);
            key.put_u64(self.seq);
            self.put_header(&mut key, false);
            self.put_standing(&mut key);
            return Rows { key, open: None };
        }
        key.put_u8(0);
        key.put_u64(self.seq);
        let mut header = Vec::with_capacity(160);
        self.put_header(&mut header, true);
        let mut standing = Vec::with_capacity(64);
        self.put_standing(&mut standing);
        Rows { key, open: Some((header, standing)) }
    }

    /// The segments whose bytes are needed while it is unfinished.
    pub(crate) fn segments(&self) -> impl Iterator<Item = u32> {
        let outcome = self.outcome.map(|at| at.segment);
        [Some(self.at.segment), self.bound.map(|bound| bound.at.segment), outcome].into_iter().flatten()
    }

    fn put_header(&self, out: &mut Vec<u8>, with_key: bool) {
        if with_key {
            out.put_short(self.key.as_bytes());
        }
        out.extend_from_slice(&self.content);
        out.put_i64(self.accepted.wall_ms);
        out.extend_from_slice(&self.accepted.boot);
        out.put_u64(self.accepted.monotonic_ms);
        out.put_u8(u8::from(self.accepted.synchronised));
        put_located(out, self.at);
    }

    fn put_standing(&self, out: &mut Vec<u8>) {
        out.put_u8(status_code(self.status));
        out.put_u32(self.attempts);
        out.put_u32(self.unsure_sends);
        let holds = u8::from(self.bound.is_some()) | (u8::from(self.outcome.is_some()) << 1);
        out.put_u8(holds);
        if let Some(bound) = self.bound {
            out.put_u64(bound.number);
            put_located(out, bound.at);
        }
        if let Some(outcome) = self.outcome {
            put_located(out, outcome);
        }
    }
}

/// Reads the rows of an unfinished document back.
pub(crate) fn open_entry(seq: Seq, header: &[u8], standing: &[u8]) -> Result<Entry, Malformed> {
    let mut take = Take(header);
    let key = take.text()?;
    let mut entry = take_header(&mut take, seq, key)?;
    take.end()?;
    let mut take = Take(standing);
    take_standing(&mut take, &mut entry)?;
    take.end()?;
    Ok(entry)
}

/// Reads a value of `by_key` back.
pub(crate) fn keyed(key: &[u8], value: &[u8]) -> Result<Keyed, Malformed> {
    let mut take = Take(value);
    let finished = take.flag()?;
    let seq = take.u64()?;
    if !finished {
        take.end()?;
        return Ok(Keyed::Open(seq));
    }
    let key = std::str::from_utf8(key).map_err(|_| Malformed("a key is not UTF-8"))?.to_owned();
    let mut entry = take_header(&mut take, seq, key)?;
    take_standing(&mut take, &mut entry)?;
    take.end()?;
    Ok(Keyed::Finished(Box::new(entry)))
}

fn take_header(take: &mut Take<'_>, seq: Seq, key: String) -> Result<Entry, Malformed> {
    Ok(Entry {
        seq,
        key,
        content: take.array()?,
        accepted: Stamp {
            wall_ms: take.i64()?,
            boot: take.array()?,
            monotonic_ms: take.u64()?,
            synchronised: take.flag()?,
        },
        at: take_located(take)?,
        status: Status::Pending,
        bound: None,
        attempts: 0,
        unsure_sends: 0,
        outcome: None,
    })
}

fn take_standing(take: &mut Take<'_>, entry: &mut Entry) -> Result<(), Malformed> {
    entry.status = status_from(take.u8()?)?;
    entry.attempts = take.u32()?;
    entry.unsure_sends = take.u32()?;
    let holds = take.u8()?;
    if holds & 1 != 0 {
        entry.bound = Some(Bound { number: take.u64()?, at: take_located(take)? });
    }
    if holds & 2 != 0 {
        entry.outcome = Some(take_located(take)?);
    }
    Ok(())
}

pub(crate) fn put_located(out: &mut Vec<u8>, at: Located) {
    out.put_u32(at.segment);
    out.put_u32(at.offset);
    out.put_u32(at.length);
    out.put_u32(at.crc);
}

pub(crate) fn take_located(take: &mut Take<'_>) -> Result<Located, Malformed> {
    Ok(Located { segment: take.u32()?, offset: take.u32()?, length: take.u32()?, crc: take.u32()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(status: Status) -> Entry {
        let at = Located { segment: 3, offset: 8192, length: 2100, crc: 77 };
        Entry {
            seq: 41,
            key: "A-17".into(),
            content: [9; 32],
            status,
            accepted: Stamp { wall_ms: -5, boot: [1; 16], monotonic_ms: 12, synchronised: true },
            at,
            bound: Some(Bound { number: 6, at }),
            attempts: 2,
            unsure_sends: 1,
            outcome: Some(at),
        }
    }

    #[test]
    fn unfinished_and_finished_documents_come_back() {
        for status in [Status::Pending, Status::Parked, Status::Rejected, Status::AcceptedNoProof] {
            let entry = entry(status);
            let rows = entry.rows();
            let (header, standing) = rows.open.unwrap();
            assert!(header.len() < 120, "{}", header.len());
            assert_eq!(open_entry(41, &header, &standing).unwrap(), entry);
            assert_eq!(keyed(b"A-17", &rows.key).unwrap(), Keyed::Open(41));
        }
        for status in [Status::Signed, Status::Settled, Status::NotFiscal] {
            let entry = Entry { bound: None, ..entry(status) };
            let rows = entry.rows();
            assert_eq!(rows.open, None);
            assert_eq!(keyed(b"A-17", &rows.key).unwrap(), Keyed::Finished(Box::new(entry)));
        }
    }
}
