//! Writing an export, record by record.

use data_encoding::{BASE64, HEXLOWER};

use super::line::{time, write_line};
use super::manifest::{FORMAT, Manifest, Tally};
use super::range::Range;
use crate::fiscal::{Label, Period};
use crate::queue::Seq;
use crate::store::error::ReadError;
use crate::store::forward::Cursor;
use crate::store::keys::Signer;
use crate::store::options::Damage;
use crate::store::record::{Kind, Malformed, Record};
use crate::store::sale_body::read_sale;
use crate::store::store::Store;

/// Most records of a page; its bytes are bounded by the reading.
const PAGE: usize = 512;

/// What an export has taken so far. It holds no records, so it stays small however long it gets.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    period: Period,
    first: Option<Seq>,
    /// The last one taken, and its hash; before the first: the one before it.
    last: (Seq, [u8; 32]),
    head_before: [u8; 32],
    count: u64,
    tally: Tally,
}

/// Whose export it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    pub(super) public_key: [u8; 32],
    pub(super) journal: [u8; 16],
}

impl Taken {
    /// Before the first record; `before`: the record before it and its hash.
    pub(super) fn new(period: Period, before: (Seq, [u8; 32])) -> Self {
        Self { period, first: None, last: before, head_before: before.1, count: 0, tally: Tally::default() }
    }

    /// The line of the next record, with its line feed.
    pub(super) fn take(&mut self, record: &Record) -> Result<String, Malformed> {
        if self.first.is_none() {
            self.first = Some(record.seq);
            self.head_before = record.previous;
        } else if record.seq != self.last.0.saturating_add(1) || record.previous != self.last.1 {
            return Err(Malformed("it does not go on from the record before"));
        }
        if let Some((label, total, tax)) = sums(record)? {
            self.tally.add(label, total, tax);
        }
        let mut line = write_line(record)?;
        line.push('\n');
        self.last = (record.seq, record.hash);
        self.count = self.count.saturating_add(1);
        Ok(line)
    }

    /// The signed manifest, with its line feed. `now_ms`: the wall clock.
    pub(super) fn finish(&self, origin: &Origin, now_ms: i64, signer: &Signer) -> String {
        let manifest = Manifest {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            written_at: time(now_ms),
            public_key: BASE64.encode(&origin.public_key),
            journal: HEXLOWER.encode(&origin.journal),
            period: self.period.into(),
            first: self.first,
            last: self.first.map(|_| self.last.0),
            count: self.count,
            totals: self.tally.totals(),
            head_before: HEXLOWER.encode(&self.head_before),
            head_after: HEXLOWER.encode(&self.last.1),
        };
        let mut line = manifest.sign(signer);
        line.push('\n');
        line
    }
}

/// What a sale adds to the sums: label, total and tax in hundredths.
pub(super) fn sums(record: &Record) -> Result<Option<(&'static str, i64, i64)>, Malformed> {
    if record.kind != Kind::Sale {
        return Ok(None);
    }
    let sale = read_sale(&record.body).map_err(|_| Malformed("its sale cannot be read"))?;
    let label = Label::original(sale.receipt_type, sale.sales_type)
        .ok_or(Malformed("its sale is of no kind that has a receipt"))?;
    Ok(Some((label.letters(), sale.total.hundredths(), sale.total_tax.hundredths())))
}

/// An export from a store in use, a page at a time.
#[derive(Clone, Debug)]
pub struct Export {
    taken: Taken,
    origin: Origin,
    /// The last record to go into it.
    up_to: Option<Seq>,
    cursor: Cursor,
}

impl Export {
    /// Finds the records of the period, up to the store's newest. Blocks, for as long as reading the journal takes where
    /// the period is not open on both sides.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn begin(store: &Store, period: Period) -> Result<Self, ReadError> {
        let head = store.head();
        let found = if period == Period::default() {
            Some((store.first_seq(), head.0))
        } else {
            let mut range = Range::default();
            let mut cursor = Cursor::after(0);
            while cursor.read_to() < head.0 {
                let records = store.read_on(&mut cursor, None, PAGE)?;
                let known = |record: &&Record| record.seq <= head.0;
                records.iter().filter(known).for_each(|record| range.see(&period, record));
            }
            range.found()
        };
        // An empty period: nothing before, nothing after.
        let before = found.map_or(head, |(first, _)| (first.saturating_sub(1), [0; 32]));
        Ok(Self {
            taken: Taken::new(period, before),
            origin: Origin { public_key: store.public_key(), journal: store.journal_id() },
            up_to: found.map(|(_, last)| last),
            cursor: Cursor::after(before.0),
        })
    }

    /// The next lines; `None` after the last record, when [`finish`](Self::finish) is due. Blocks.
    ///
    /// # Errors
    /// A record cannot be read.
    pub fn next_page(&mut self, store: &Store) -> Result<Option<String>, ReadError> {
        let mut text = String::new();
        while text.is_empty() {
            let Some(up_to) = self.up_to.filter(|up_to| self.cursor.read_to() < *up_to) else {
                return Ok(None);
            };
            for record in store.read_on(&mut self.cursor, None, PAGE)? {
                if record.seq <= up_to {
                    let line =
                        self.taken.take(&record).map_err(|Malformed(what)| broken(record.seq, what))?;
                    text.push_str(&line);
                }
            }
        }
        Ok(Some(text))
    }

    /// The signed manifest. `now_ms`: the wall clock.
    pub fn finish(&self, store: &Store, now_ms: i64) -> String {
        self.taken.finish(&self.origin, now_ms, &store.signer())
    }
}

fn broken(seq: Seq, what: &str) -> ReadError {
    ReadError::Damaged(Damage { segment: 0, offset: 0, what: format!("record {seq}: {what}") })
}
