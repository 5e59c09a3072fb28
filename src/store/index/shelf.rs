//! The tree of the shelf.

use std::ops::Bound as Range;

use super::{Index, IndexError, said};
use crate::store::codec::Take;
use crate::store::entry::take_located;
use crate::store::group::TreeSum;
use crate::store::record::{Kind, Located};
use crate::store::shelf::{ShelfChanges, ShelfSegments, shelf_value};

impl Index {
    /// Where a row of the shelf leads.
    pub(crate) fn shelf_place(&self, row: &[u8]) -> Result<Option<Located>, IndexError> {
        self.ask(|| self.shelf.get(row).map_err(said)?.map(|value| place(&value)).transpose())
    }

    /// Up to `limit` rows after this one.
    pub(crate) fn shelf_page(
        &self,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Located)>, IndexError> {
        self.ask(|| {
            let from = after.map_or(Range::Unbounded, Range::Excluded);
            let rows = self.shelf.range::<&[u8], _>((from, Range::Unbounded)).take(limit);
            rows.map(|row| {
                let (row, value) = row.map_err(said)?;
                Ok((row.to_vec(), place(&value)?))
            })
            .collect()
        })
    }

    /// Where all the current records of a kind are, in the order of the journal.
    pub(crate) fn shelf_places(&self, kind: Kind) -> Result<Vec<Located>, IndexError> {
        self.ask(|| {
            let rows = self.shelf.scan_prefix([kind.code()]);
            let places = rows.map(|row| place(&row.map_err(said)?.1));
            let mut places = places.collect::<Result<Vec<_>, IndexError>>()?;
            places.sort_unstable_by_key(|at| (at.segment, at.offset));
            Ok(places)
        })
    }

    /// As if sled had lost it.
    #[cfg(test)]
    pub(crate) fn lose_shelved(&self, row: &[u8]) {
        self.shelf.remove(row).unwrap();
    }

    pub(super) fn put_shelf(&self, changes: &ShelfChanges) -> Result<(), IndexError> {
        for (row, _, after) in changes.iter() {
            self.shelf.insert(row, shelf_value(after)).map_err(said)?;
        }
        Ok(())
    }

    pub(super) fn survey_shelf(&self, segments: &mut ShelfSegments) -> Result<TreeSum, IndexError> {
        let mut sum = TreeSum::default();
        for row in &self.shelf {
            let (row, value) = row.map_err(said)?;
            sum.add(&row, &value);
            segments.count(place(&value)?);
        }
        Ok(sum)
    }
}

fn place(value: &[u8]) -> Result<Located, IndexError> {
    let mut take = Take(value);
    let at = take_located(&mut take).map_err(said)?;
    take.end().map_err(said)?;
    Ok(at)
}
