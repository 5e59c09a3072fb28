//! When a sale was made, as KRA may be told: a clock that was wrong is mended where that can be known, and no date in the
//! future is ever sent, since it would only hold the queue.

use std::time::Duration;

use crate::fiscal::{KraDateTime, TimeSource};

/// What is known of a sale's time when it is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SaleTime {
    /// The time in the record.
    pub(super) told: KraDateTime,
    /// Who said so.
    pub(super) source: TimeSource,
    /// How far the clock that it was accepted by can be trusted.
    pub(super) accepted: Accepted,
}

/// The clock by which a sale was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accepted {
    /// Not synchronised, and the machine was started anew since: between the nearest records whose times are sure.
    Between(Option<KraDateTime>, Option<KraDateTime>),
    /// Not synchronised, and it was so long ago by a clock that does not jump.
    Ago(Duration),
    /// Synchronised.
    Surely,
}

impl SaleTime {
    /// What KRA is told; `now`: the present, `None` where the clock is not synchronised and nobody knows.
    pub(super) fn for_kra(self, now: Option<KraDateTime>) -> KraDateTime {
        let Some(now) = now else { return self.told };
        let mended = match self.accepted {
            _ if self.source != TimeSource::Gateway => self.told,
            Accepted::Surely => self.told,
            Accepted::Ago(age) => {
                let age = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
                KraDateTime::from_unix(now.unix().saturating_sub(age)).unwrap_or(now)
            }
            Accepted::Between(earliest, latest) => {
                let told = latest.map_or(self.told, |latest| self.told.min(latest));
                earliest.map_or(told, |earliest| told.max(earliest))
            }
        };
        mended.min(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hour: u32) -> KraDateTime {
        KraDateTime::parse(&format!("20250115{hour:02}0000")).unwrap()
    }

    #[test]
    fn what_kra_is_told() {
        use Accepted::{Ago, Between, Surely};
        use TimeSource::{Gateway, Register};
        let hours = |hours: u64| Ago(Duration::from_secs(hours * 3600));
        for (what, told, source, accepted, now, expected) in [
            ("as recorded", 9, Gateway, Surely, Some(12), 9),
            ("the till's own", 9, Register, Surely, Some(12), 9),
            ("the till's own, our clock wrong", 9, Register, hours(2), Some(12), 9),
            ("the till's own, in the future", 15, Register, Surely, Some(12), 12),
            ("ours, in the future", 15, Gateway, Surely, Some(12), 12),
            ("ours, wrong, same boot", 3, Gateway, hours(2), Some(12), 10),
            ("ours, wrong and ahead, same boot", 20, Gateway, hours(2), Some(12), 10),
            (
                "ours, wrong, behind its neighbour",
                3,
                Gateway,
                Between(Some(at(8)), Some(at(11))),
                Some(12),
                8,
            ),
            ("ours, wrong, ahead of the next", 15, Gateway, Between(Some(at(8)), Some(at(11))), Some(12), 11),
            ("ours, perhaps right", 10, Gateway, Between(Some(at(8)), Some(at(11))), Some(12), 10),
            ("ours, wrong, the first of all", 3, Gateway, Between(None, Some(at(11))), Some(12), 3),
            ("ours, wrong, the last of all", 15, Gateway, Between(Some(at(8)), None), Some(12), 12),
            ("ours, its neighbour ahead of now", 3, Gateway, Between(Some(at(14)), None), Some(12), 12),
            ("nobody knows the present", 15, Gateway, hours(2), None, 15),
        ] {
            let time = SaleTime { told: at(told), source, accepted };
            assert_eq!(time.for_kra(now.map(at)), at(expected), "{what}");
        }
    }
}
