//! The shelf: of what has no state but its newest record (items, code lists), where that record is.
//!
//! One row a key in a tree of its own. The newest record of a key takes the place of the one before, which goes with its
//! segment; one that is current when its segment's time is over is taken along by a CARRY.

use std::collections::BTreeMap;

use crate::store::effect::Effect;
use crate::store::entry::put_located;
use crate::store::fold::Placed;
use crate::store::group::TreeSum;
use crate::store::record::{Kind, Located};

/// A row's key: which shelf, and the key on it.
pub(crate) fn shelf_key(kind: Kind, key: &str) -> Vec<u8> {
    let mut row = Vec::with_capacity(1 + key.len());
    row.push(kind.code());
    row.extend_from_slice(key.as_bytes());
    row
}

/// A row's value.
pub(crate) fn shelf_value(at: Located) -> Vec<u8> {
    let mut value = Vec::with_capacity(16);
    put_located(&mut value, at);
    value
}

/// Whether records of this kind stand on a shelf.
pub(crate) const fn is_shelved(kind: Kind) -> bool {
    matches!(kind, Kind::Item | Kind::Codes)
}

/// The row that a record takes, and where its bytes are then. `None`: it is nothing for the shelf.
pub(crate) fn shelved(placed: Placed<'_>) -> Option<(Vec<u8>, Located)> {
    match placed.effect {
        Effect::Shelved { key } => Some((shelf_key(placed.kind, key), placed.at)),
        Effect::Reshelved { kind, key, part } => Some((shelf_key(*kind, key), part.inside(placed.at))),
        _ => None,
    }
}

/// The row that an effect takes.
pub(crate) fn row_of(kind: Kind, effect: &Effect) -> Option<Vec<u8>> {
    match effect {
        Effect::Shelved { key } => Some(shelf_key(kind, key)),
        Effect::Reshelved { kind, key, .. } => Some(shelf_key(*kind, key)),
        _ => None,
    }
}

/// The rows that a group (or a replayed segment) puts on the shelf: where each led before, and where it leads after.
#[derive(Debug, Default)]
pub(crate) struct ShelfChanges(BTreeMap<Vec<u8>, (Option<Located>, Located)>);

impl ShelfChanges {
    /// Where the row leads as the changes so far leave it.
    pub(crate) fn place(&self, row: &[u8]) -> Option<Located> {
        self.0.get(row).map(|(_, after)| *after)
    }

    /// Notes a row; `before` is what the tree holds and counts the first time only.
    pub(crate) fn note(&mut self, before: Option<Located>, (row, after): (Vec<u8>, Located)) {
        self.0.entry(row).and_modify(|change| change.1 = after).or_insert((before, after));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Row, where it led, where it leads.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], Option<Located>, Located)> {
        self.0.iter().map(|(row, (before, after))| (row.as_slice(), *before, *after))
    }

    /// The tree's sum once these changes are in it.
    pub(crate) fn sum_after(&self, mut sum: TreeSum) -> TreeSum {
        for (row, before, after) in self.iter() {
            if let Some(before) = before {
                sum.remove(row, &shelf_value(before));
            }
            sum.add(row, &shelf_value(after));
        }
        sum
    }
}

/// How many current records are in which segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ShelfSegments(BTreeMap<u32, u64>);

impl ShelfSegments {
    /// Takes the changes in.
    pub(crate) fn apply(&mut self, changes: &ShelfChanges) {
        for (_, before, after) in changes.iter() {
            if let Some(before) = before {
                self.uncount(before);
            }
            self.count(after);
        }
    }

    /// One more.
    pub(crate) fn count(&mut self, at: Located) {
        *self.0.entry(at.segment).or_default() += 1;
    }

    fn uncount(&mut self, at: Located) {
        if let Some(count) = self.0.get_mut(&at.segment) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(&at.segment);
            }
        }
    }

    /// Whether a current record is in this segment or before it.
    pub(crate) fn reach_back_to(&self, segment: u32) -> bool {
        self.0.first_key_value().is_some_and(|(first, _)| *first <= segment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::record::Stamp;

    const fn at(segment: u32) -> Located {
        Located { segment, offset: 224, length: 10, crc: 0 }
    }

    #[test]
    fn the_newest_record_of_a_key_stands_for_it() {
        let mut segments = ShelfSegments::default();
        let mut sum = TreeSum::default();
        let mut tree: BTreeMap<Vec<u8>, Located> = BTreeMap::new();
        for (kind, key, segment) in
            [(Kind::Item, "A", 1), (Kind::Codes, "A", 1), (Kind::Item, "A", 2), (Kind::Item, "A", 4)]
        {
            let effect = Effect::Shelved { key: key.into() };
            let placed = Placed { seq: 9, kind, stamp: Stamp::default(), at: at(segment), effect: &effect };
            let (row, after) = shelved(placed).unwrap();
            assert_eq!(row_of(kind, &effect).as_ref(), Some(&row));
            let mut changes = ShelfChanges::default();
            changes.note(tree.get(&row).copied(), (row.clone(), after));
            sum = changes.sum_after(sum);
            segments.apply(&changes);
            tree.insert(row, after);
        }
        assert_eq!(segments.0, BTreeMap::from([(1, 1), (4, 1)]));
        assert!(segments.reach_back_to(1) && segments.reach_back_to(3) && !segments.reach_back_to(0));
        let mut expected = TreeSum::default();
        tree.iter().for_each(|(row, at)| expected.add(row, &shelf_value(*at)));
        assert_eq!(sum, expected, "sums depend on the end only");

        let mut at_once = ShelfChanges::default();
        at_once.note(None, (b"x".to_vec(), at(1)));
        at_once.note(Some(at(1)), (b"x".to_vec(), at(2)));
        let mut alone = TreeSum::default();
        alone.add(b"x", &shelf_value(at(2)));
        assert_eq!(at_once.sum_after(TreeSum::default()), alone);
        assert_eq!(at_once.place(b"x"), Some(at(2)));
    }
}
