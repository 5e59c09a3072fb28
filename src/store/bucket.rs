//! Rows of `queue`, packed: the documents whose running numbers lie side by side share one row of the tree.
//!
//! sled keeps at most 16 rows in a leaf, and each leaf costs a kilobyte of memory beside its rows; with a row for each
//! document, 100,000 that wait took 40 MiB more.

use crate::queue::Seq;
use crate::store::codec::{Put, Take};
use crate::store::record::Malformed;

/// Running numbers in a bucket.
const WIDTH: Seq = 32;

/// The bucket that a document is in.
pub(crate) const fn bucket_of(seq: Seq) -> Seq {
    seq / WIDTH
}

/// The rows of one bucket: `offset, row` for each document, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bucket(Vec<(u8, Vec<u8>)>);

impl Bucket {
    pub(crate) fn decode(value: &[u8]) -> Result<Self, Malformed> {
        let mut take = Take(value);
        let mut rows: Vec<(u8, Vec<u8>)> = Vec::new();
        while take.end().is_err() {
            let offset = take.u8()?;
            if Seq::from(offset) >= WIDTH || rows.last().is_some_and(|(last, _)| *last >= offset) {
                return Err(Malformed("rows of a bucket out of order"));
            }
            rows.push((offset, take.short()?.to_vec()));
        }
        Ok(Self(rows))
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.0.len() * 32);
        for (offset, row) in &self.0 {
            out.put_u8(*offset);
            out.put_short(row);
        }
        out
    }

    /// Puts a document's row in, or takes it out.
    pub(crate) fn set(&mut self, seq: Seq, row: Option<Vec<u8>>) {
        let offset = offset_of(seq);
        match (self.0.binary_search_by_key(&offset, |(offset, _)| *offset), row) {
            (Ok(at), Some(row)) => self.0[at].1 = row,
            (Err(at), Some(row)) => self.0.insert(at, (offset, row)),
            (Ok(at), None) => drop(self.0.remove(at)),
            (Err(_), None) => {}
        }
    }

    pub(crate) fn row(&self, seq: Seq) -> Option<&[u8]> {
        let offset = offset_of(seq);
        self.0.iter().find(|(other, _)| *other == offset).map(|(_, row)| row.as_slice())
    }

    /// The documents of this bucket, which has the number `bucket`.
    pub(crate) fn rows(&self, bucket: Seq) -> impl Iterator<Item = (Seq, &[u8])> {
        let first = bucket.saturating_mul(WIDTH);
        self.0.iter().map(move |(offset, row)| (first.saturating_add(Seq::from(*offset)), row.as_slice()))
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn offset_of(seq: Seq) -> u8 {
    u8::try_from(seq % WIDTH).expect("a bucket is narrower than 256")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_go_in_and_out() {
        let mut bucket = Bucket::default();
        for seq in [70, 64, 95] {
            assert_eq!(bucket_of(seq), 2);
            bucket.set(seq, Some(vec![0; 3]));
        }
        bucket.set(70, Some(b"row".to_vec()));
        bucket.set(64, None);
        bucket.set(65, None);
        assert_eq!(bucket.rows(2).collect::<Vec<_>>(), [(70, b"row".as_slice()), (95, &[0; 3])]);
        assert_eq!((bucket.row(70), bucket.row(64)), (Some(b"row".as_slice()), None));
        let bytes = bucket.encode();
        assert_eq!(Bucket::decode(&bytes).unwrap(), bucket);
        assert!(Bucket::decode(&bytes[..bytes.len() - 1]).is_err());
        assert!(Bucket::decode(&[bytes.clone(), bytes].concat()).is_err());
        assert!(Bucket::decode(&[]).unwrap().is_empty());
    }
}
