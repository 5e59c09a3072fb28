//! What the index says about one document, and its rows in the trees.

use crate::queue::{Seq, Status};
use crate::store::codec::{Put, Take};
use crate::store::effect::{status_code, status_from};
use crate::store::record::{Located, Malformed, SaleHeader, Stamp};

const TRIED: u8 = 1;
const BOUND: u8 = 2;
const OUTCOME: u8 = 4;
const PRINTED: u8 = 8;
const PRINTED_AGAIN: u8 = 16;
const CREDITED: u8 = 32;
const CREDITS: u8 = 64;

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
    /// The print of its receipt's original.
    pub printed: Option<Printed>,
    /// What credit notes have taken of it.
    pub credited: Option<Credited>,
    /// The original of a credit note, where that is a document of this store.
    pub credits: Option<Seq>,
}

/// Where it is written what credit notes have taken of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credited {
    /// The running number of the record that says so: another one as soon as anything changes.
    pub by: Seq,
    /// Where that is.
    pub at: Located,
}

/// That the original of a receipt was printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Printed {
    /// Once more, after the paper jammed.
    pub again: bool,
    /// The record that says so.
    pub at: Located,
}

/// A number, and where the record is that tied it to a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The number.
    pub number: u64,
    /// The BIND record.
    pub at: Located,
}

/// A document as a tree has it: where its sale is, and how it stands. The rest is in the sale's record, so that the row of a
/// waiting document is small enough to lie inside sled's nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) seq: Seq,
    pub(crate) at: Located,
    pub(crate) status: Status,
    pub(crate) bound: Option<Bound>,
    pub(crate) attempts: u32,
    pub(crate) unsure_sends: u32,
    pub(crate) outcome: Option<Located>,
    pub(crate) printed: Option<Printed>,
    pub(crate) credited: Option<Credited>,
    pub(crate) credits: Option<Seq>,
}

/// A document's values in the trees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rows {
    /// In `by_key`, under [`Entry::key`].
    pub(crate) key: Vec<u8>,
    /// While it is unfinished: in `queue`, under [`seq_key`].
    pub(crate) open: Option<Vec<u8>>,
}

/// What a value in `by_key` says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Keyed {
    /// Unfinished: look in `queue`.
    Open(Seq),
    Finished(Row),
}

/// A running number as a key: in order of acceptance.
pub(crate) const fn seq_key(seq: Seq) -> [u8; 8] {
    seq.to_be_bytes()
}

impl Entry {
    /// All its rows; a pure function of the entry, so that the same journal always gives the same trees.
    pub(crate) fn rows(&self) -> Rows {
        let mut standing = Vec::with_capacity(64);
        self.put_standing(&mut standing);
        let finished = self.status.is_finished();
        let mut key = vec![u8::from(finished)];
        key.put_u64(self.seq);
        if finished {
            key.append(&mut standing);
            Rows { key, open: None }
        } else {
            Rows { key, open: Some(standing) }
        }
    }

    fn put_standing(&self, out: &mut Vec<u8>) {
        put_located(out, self.at);
        out.put_u8(status_code(self.status));
        let tried = self.attempts > 0 || self.unsure_sends > 0;
        let holds = [
            (tried, TRIED),
            (self.bound.is_some(), BOUND),
            (self.outcome.is_some(), OUTCOME),
            (self.printed.is_some(), PRINTED),
            (self.printed.is_some_and(|printed| printed.again), PRINTED_AGAIN),
            (self.credited.is_some(), CREDITED),
            (self.credits.is_some(), CREDITS),
        ];
        out.put_u8(holds.into_iter().filter(|(holds, _)| *holds).map(|(_, flag)| flag).sum());
        if tried {
            out.put_u32(self.attempts);
            out.put_u32(self.unsure_sends);
        }
        if let Some(bound) = self.bound {
            out.put_u64(bound.number);
            put_located(out, bound.at);
        }
        if let Some(outcome) = self.outcome {
            put_located(out, outcome);
        }
        if let Some(printed) = self.printed {
            put_located(out, printed.at);
        }
        if let Some(Credited { by, at }) = self.credited {
            out.put_u64(by);
            put_located(out, at);
        }
        if let Some(original) = self.credits {
            out.put_u64(original);
        }
    }

    /// The part that the trees hold.
    pub(crate) fn row(&self) -> Row {
        Row {
            seq: self.seq,
            at: self.at,
            status: self.status,
            bound: self.bound,
            attempts: self.attempts,
            unsure_sends: self.unsure_sends,
            outcome: self.outcome,
            printed: self.printed,
            credited: self.credited,
            credits: self.credits,
        }
    }
}

impl Row {
    /// With what its sale's record says.
    pub(crate) fn with(self, sale: SaleHeader) -> Entry {
        let Self { seq, at, status, bound, attempts, unsure_sends, outcome, printed, credited, credits } =
            self;
        let SaleHeader { key, content, accepted } = sale;
        Entry {
            seq,
            key,
            content,
            status,
            accepted,
            at,
            bound,
            attempts,
            unsure_sends,
            outcome,
            printed,
            credited,
            credits,
        }
    }

    /// The segments whose bytes are needed while it is unfinished.
    pub(crate) fn segments(&self) -> impl Iterator<Item = u32> {
        let outcome = self.outcome.map(|at| at.segment);
        let credited = self.credited.map(|credited| credited.at.segment);
        [Some(self.at.segment), self.bound.map(|bound| bound.at.segment), outcome, credited]
            .into_iter()
            .flatten()
    }
}

/// Reads the row of an unfinished document back.
pub(crate) fn open_row(seq: Seq, value: &[u8]) -> Result<Row, Malformed> {
    take_row(seq, Take(value))
}

/// Reads a value of `by_key` back.
pub(crate) fn keyed(value: &[u8]) -> Result<Keyed, Malformed> {
    let mut take = Take(value);
    let finished = take.flag()?;
    let seq = take.u64()?;
    if finished {
        return take_row(seq, take).map(Keyed::Finished);
    }
    take.end()?;
    Ok(Keyed::Open(seq))
}

fn take_row(seq: Seq, mut take: Take<'_>) -> Result<Row, Malformed> {
    let at = take_located(&mut take)?;
    let status = status_from(take.u8()?)?;
    let mut row = Row {
        seq,
        at,
        status,
        bound: None,
        attempts: 0,
        unsure_sends: 0,
        outcome: None,
        printed: None,
        credited: None,
        credits: None,
    };
    let holds = take.u8()?;
    if holds & TRIED != 0 {
        row.attempts = take.u32()?;
        row.unsure_sends = take.u32()?;
    }
    if holds & BOUND != 0 {
        row.bound = Some(Bound { number: take.u64()?, at: take_located(&mut take)? });
    }
    if holds & OUTCOME != 0 {
        row.outcome = Some(take_located(&mut take)?);
    }
    if holds & PRINTED != 0 {
        row.printed = Some(Printed { again: holds & PRINTED_AGAIN != 0, at: take_located(&mut take)? });
    }
    if holds & CREDITED != 0 {
        row.credited = Some(Credited { by: take.u64()?, at: take_located(&mut take)? });
    }
    if holds & CREDITS != 0 {
        row.credits = Some(take.u64()?);
    }
    take.end()?;
    Ok(row)
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
            printed: None,
            credited: None,
            credits: None,
        }
    }

    fn credited() -> Option<Credited> {
        Some(Credited { by: 60, at: entry(Status::Signed).at })
    }

    #[test]
    fn unfinished_and_finished_documents_come_back() {
        for status in [Status::Pending, Status::Parked, Status::Rejected, Status::AcceptedNoProof] {
            for (credited, credits) in
                [(None, None), (credited(), None), (None, Some(7)), (credited(), Some(7))]
            {
                let entry = Entry { credited, credits, ..entry(status) };
                let rows = entry.rows();
                assert_eq!(open_row(41, &rows.open.unwrap()).unwrap(), entry.row());
                assert_eq!(keyed(&rows.key).unwrap(), Keyed::Open(41));
            }
        }
        let printed = |again| Some(Printed { again, at: entry(Status::Signed).at });
        for (status, printed) in [
            (Status::Signed, None),
            (Status::Signed, printed(false)),
            (Status::Signed, printed(true)),
            (Status::Settled, None),
            (Status::NotFiscal, None),
        ] {
            let (credited, credits) = if printed.is_some() { (credited(), Some(7)) } else { (None, None) };
            let entry = Entry { bound: None, printed, credited, credits, ..entry(status) };
            let rows = entry.rows();
            assert_eq!(rows.open, None);
            assert_eq!(keyed(&rows.key).unwrap(), Keyed::Finished(entry.row()));
            let sale =
                SaleHeader { key: entry.key.clone(), content: entry.content, accepted: entry.accepted };
            assert_eq!(entry.row().with(sale), entry);
        }
    }

    #[test]
    fn what_waits_lies_inside_sleds_nodes() {
        // sled keeps up to 22 bytes without an allocation of their own.
        let waiting =
            Entry { bound: None, outcome: None, attempts: 0, unsure_sends: 0, ..entry(Status::Pending) };
        let rows = waiting.rows();
        assert!(rows.open.unwrap().len() <= 22 && rows.key.len() <= 22);
    }
}
