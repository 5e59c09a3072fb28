//! Whether a sale may still be taken: pure, over what is prepared, what is free, and what the waiting ones will need.
//!
//! A sale is taken only while there is room ahead for what becomes of every sale that waits, its own included: its number
//! with the exact request bytes (BIND) and its outcome. So the drain can go on recording when the disk is full.

/// Room for what is not a sale's: checkpoints, a new segment's beginning, the index.
const MARGIN: u64 = 1 << 20;
/// A sale's BIND and OUTCOME beside its body: heads, KRA's answer, the group around them.
const BESIDE: u64 = 2 << 10;
const BLOCK: u64 = 4 << 10;
/// What is left free by those who borrow.
const LEFT: u64 = 4 << 20;
/// What a usual sale needs.
const USUAL: u64 = 2 * BLOCK;

/// What is ahead of the writer, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// Free on the disk.
    pub free: u64,
    /// Filled with zeros already, to be overwritten: needs nothing of what is free.
    pub prepared: u64,
    /// Below this much free no sale is taken.
    pub min_free: u64,
    /// What becomes of the sales that wait will take this much.
    pub needed: u64,
    /// The reserve for a full disk stands ready; `None`: none is wanted.
    pub reserve: Option<bool>,
    /// Bytes of the reserve, where it has to be made first.
    pub reserve_missing: u64,
}

/// How much there is of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoomLevel {
    /// Plenty.
    Enough,
    /// Sales are taken still; not for long if it goes on like this.
    Filling,
    /// No sale is taken.
    Low,
}

/// What the record of a sale, of this length, will make of itself later: its BIND and its OUTCOME. KRA's formats say the
/// same in more bytes than our body.
pub(crate) const fn needed_by(record_length: u64) -> u64 {
    (record_length + record_length / 2 + BESIDE).next_multiple_of(BLOCK)
}

impl Room {
    /// Whether sales can be taken that need so much more.
    pub(crate) const fn takes(&self, more: u64) -> bool {
        self.free >= self.floor() && self.has_beside(more)
    }

    /// Whether so much can be written beside what the waiting sales will need; how low the disk is does not matter.
    pub(crate) const fn has_beside(&self, more: u64) -> bool {
        self.ahead() >= self.needed.saturating_add(more).saturating_add(MARGIN)
    }

    /// Whether so much can be used for a while, until more is given back: below the floor too, which is there for others
    /// that come without asking, but for a little, and not what the waiting sales will need.
    pub(crate) const fn lends(&self, more: u64) -> bool {
        let all = self.prepared.saturating_add(self.free);
        self.free >= more.saturating_add(LEFT)
            && all >= self.needed.saturating_add(more).saturating_add(MARGIN)
    }

    /// What can be written before the disk is as full as it may get.
    pub const fn ahead(&self) -> u64 {
        self.prepared.saturating_add(self.free.saturating_sub(self.floor()))
    }

    /// Below this much free no sale is taken: what a given-up reserve set free is for the outcomes, not for new sales.
    pub const fn floor(&self) -> u64 {
        self.min_free.saturating_add(self.reserve_missing)
    }

    /// How much there is of it.
    pub const fn level(&self) -> RoomLevel {
        if !self.takes(USUAL) {
            RoomLevel::Low
        } else if self.free < self.floor().saturating_mul(2) || self.ahead() < self.needed.saturating_mul(2) {
            RoomLevel::Filling
        } else {
            RoomLevel::Enough
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn what_a_sale_will_need() {
        for (length, expected) in [(1, 4096), (1300, 4096), (1500, 8192), (4096, 8192), (100_000, 155_648)] {
            assert_eq!(needed_by(length), expected, "{length}");
        }
    }

    #[test]
    fn when_a_sale_is_taken() {
        let check = |free: u64, prepared: u64, needed: u64, expected: RoomLevel| {
            let room = Room { free, prepared, min_free: 64 * MIB, needed, ..Room::default() };
            assert_eq!(room.level(), expected, "{room:?}");
            assert_eq!(room.takes(USUAL), expected != RoomLevel::Low, "{room:?}");
        };
        check(1000 * MIB, 24 * MIB, 0, RoomLevel::Enough);
        // The floor of the disk counts, whatever is prepared.
        check(64 * MIB - 1, 500 * MIB, 0, RoomLevel::Low);
        check(64 * MIB, 500 * MIB, 0, RoomLevel::Filling);
        check(128 * MIB, 0, 0, RoomLevel::Enough);
        // What waits must find its place.
        check(74 * MIB, 10 * MIB, 18 * MIB, RoomLevel::Filling);
        check(74 * MIB, 10 * MIB, 20 * MIB, RoomLevel::Low);
        check(200 * MIB, 10 * MIB, 100 * MIB, RoomLevel::Filling);
        check(200 * MIB, 70 * MIB, 100 * MIB, RoomLevel::Enough);
        check(64 * MIB, MIB + USUAL - 1, 0, RoomLevel::Low);
        check(64 * MIB, MIB + USUAL, 0, RoomLevel::Filling);
    }

    #[test]
    fn what_is_lent() {
        let check = |free: u64, prepared: u64, needed: u64, expected: bool| {
            let room = Room { free, prepared, min_free: 64 * MIB, needed, ..Room::default() };
            assert_eq!(room.lends(8 * MIB), expected, "{room:?}");
        };
        // Below the floor, where room is wanted most.
        check(12 * MIB, 0, 0, true);
        check(12 * MIB - 1, 100 * MIB, 0, false);
        check(12 * MIB, 8 * MIB, 11 * MIB, true);
        check(12 * MIB, 8 * MIB, 11 * MIB + 1, false);
    }

    #[test]
    fn a_sale_counts_before_it_is_there() {
        let room = Room { free: 0, prepared: 2 * MIB, needed: MIB - 8192, ..Room::default() };
        assert!(room.takes(8192) && !room.takes(8193));
    }

    #[test]
    fn the_room_of_a_given_up_reserve_is_not_for_sales() {
        let room = Room { free: 20 * MIB, prepared: 16 * MIB, min_free: 10 * MIB, ..Room::default() };
        assert!(room.takes(0));
        let given_up = Room { reserve: Some(false), reserve_missing: 16 * MIB, ..room };
        assert!(!given_up.takes(0));
        assert!(Room { free: 26 * MIB, ..given_up }.takes(0));
    }
}
