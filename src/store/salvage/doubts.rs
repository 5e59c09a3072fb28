//! What lost records leave unsure; pure. Nothing that KRA may have is sent again before its books were asked.

use std::collections::BTreeMap;

use super::knowledge::{Knowledge, Open};
use crate::queue::{Seq, Status};
use crate::store::effect::{LastAccepted, SeriesState};

/// What is to be written down before anything is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Doubts {
    /// Bound documents whose later records may be lost: whether KRA has them is asked under their number.
    pub(super) in_doubt: Vec<Seq>,
    /// Documents whose later records may be lost, and with them the number that they were sent under. The look at both ends
    /// of KRA's series finds those out; where KRA cannot be asked, the series stops at them.
    pub(super) unsure: Vec<Seq>,
    /// Where the series goes on.
    pub(super) series: SeriesState,
    /// It was set back to a number that nobody can account for: KRA has it, and so the series stops there until a person
    /// has had both books compared (`series adopt`).
    pub(super) set_back: bool,
}

/// `end_is_unsure`: there may have been more records after the last.
pub(super) fn doubts(known: &Knowledge, end_is_unsure: bool) -> Doubts {
    let last_lost = if end_is_unsure { Some(Seq::MAX) } else { known.lost.last().copied() };
    let mut doubts = Doubts { series: known.series.clone(), ..Doubts::default() };
    let mut bound = BTreeMap::new();
    let mut from = u64::MAX;
    for (seq, it) in &known.open {
        if last_lost.is_none_or(|lost| lost < it.touched) || it.entry.status == Status::AcceptedNoProof {
            continue;
        }
        from = from.min(it.next);
        match own_number(it, &known.used) {
            Some(number) => {
                doubts.in_doubt.push(*seq);
                bound.insert(number, *seq);
            }
            None => doubts.unsure.push(*seq),
        }
    }
    // A number used by a lost record below one that is known: whose it is, only KRA's books say.
    let gap = (from..known.series.next)
        .find(|number| !known.used.contains_key(number) && !bound.contains_key(number));
    if let Some(gap) = gap {
        let number = gap.saturating_sub(1);
        let sign = known.used.get(&number).cloned();
        let last = sign.map(|sign| LastAccepted { number, sign, document: None });
        doubts.series = SeriesState { next: gap, last };
        doubts.set_back = true;
        // Asked under its own number, a document behind the gap would carry the series over it.
        let behind: Vec<Seq> = bound.range(gap..).map(|(_, seq)| *seq).collect();
        doubts.in_doubt.retain(|seq| !behind.contains(seq));
        doubts.unsure.extend(behind);
        doubts.unsure.sort_unstable();
    }
    doubts
}

/// The number that it was last sent under, as far as is known: nobody else has it.
fn own_number(it: &Open, used: &BTreeMap<u64, String>) -> Option<u64> {
    let number = it.entry.bound?.number;
    (it.entry.status == Status::Pending && !it.taken && !used.contains_key(&number)).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::entry::{Bound, Entry};
    use crate::store::record::{Located, Stamp};

    const AT: Located = Located { segment: 1, offset: 4096, length: 90, crc: 1 };

    fn open(seq: Seq, bound: Option<u64>, touched: Seq, next: u64) -> Open {
        let entry = Entry {
            seq,
            key: format!("S-{seq}"),
            content: [0; 32],
            status: Status::Pending,
            accepted: Stamp::default(),
            at: AT,
            bound: bound.map(|number| Bound { number, at: AT }),
            attempts: 0,
            unsure_sends: 0,
            outcome: None,
            printed: None,
            credited: None,
            credits: None,
        };
        Open { entry, touched, next, taken: false }
    }

    #[track_caller]
    fn check(
        what: &str,
        (open, lost, end_is_unsure): (&[Open], &[Seq], bool),
        (numbers, next): (&[u64], u64),
        (in_doubt, unsure, goes_on_at): (&[Seq], &[Seq], u64),
    ) {
        let known = Knowledge {
            lost: lost.to_vec(),
            open: open.iter().map(|it| (it.entry.seq, it.clone())).collect(),
            used: numbers.iter().map(|number| (*number, format!("SIGN{number}"))).collect(),
            series: SeriesState { next, last: None },
            ..Knowledge::default()
        };
        let found = doubts(&known, end_is_unsure);
        assert_eq!((&found.in_doubt[..], &found.unsure[..]), (in_doubt, unsure), "{what}");
        assert_eq!((found.series.next, found.set_back), (goes_on_at, goes_on_at != next), "{what}");
        if found.set_back {
            let last = found.series.last.map(|last| (last.number, last.sign));
            let before = goes_on_at - 1;
            let known = numbers.contains(&before).then(|| (before, format!("SIGN{before}")));
            assert_eq!(last, known, "{what}");
        }
    }

    #[test]
    fn nothing_that_kra_may_have_is_sent_before_it_was_asked() {
        let waiting = open(10, None, 10, 4);
        let bound = open(10, Some(4), 11, 4);
        let taken = Open { taken: true, ..bound.clone() };
        let parked =
            Open { entry: Entry { status: Status::Parked, ..waiting.entry.clone() }, ..waiting.clone() };
        let in_books =
            Open { entry: Entry { status: Status::AcceptedNoProof, ..bound.entry.clone() }, ..bound.clone() };
        let one = std::slice::from_ref::<Open>;
        check("nothing is lost", (one(&waiting), &[], false), (&[1, 2, 3], 4), (&[], &[], 4));
        check("lost before it", (one(&waiting), &[5, 9], false), (&[1, 2, 3], 4), (&[], &[], 4));
        check("KRA has it", (one(&in_books), &[12], true), (&[1, 2, 3], 5), (&[], &[], 5));
        check("lost after it, bound", (one(&bound), &[12], false), (&[1, 2, 3], 4), (&[10], &[], 4));
        check("the end is away", (one(&bound), &[], true), (&[1, 2, 3], 4), (&[10], &[], 4));
        check("lost after it", (one(&waiting), &[12], false), (&[1, 2, 3], 4), (&[], &[10], 4));
        check("it may have been retried", (one(&parked), &[12], false), (&[1, 2, 3], 4), (&[], &[10], 4));
        // Number 4 was used by a record that is lost, 5 by one that is not: 4 may be this sale.
        check("a number in between", (one(&waiting), &[12], false), (&[1, 2, 3, 5], 6), (&[], &[10], 4));
        check("unused before it", (one(&waiting), &[5, 12], false), (&[1, 3, 4], 5), (&[], &[10], 5));
        check("its own number", (one(&bound), &[12], false), (&[1, 2, 3, 5], 6), (&[10], &[], 6));
        // It gave its number to another and was sent again under a number that nothing is left of.
        check("another's by now", (one(&taken), &[12, 15], false), (&[1, 2, 3, 4], 6), (&[], &[10], 5));
        check("used by another", (one(&bound), &[12, 15], false), (&[1, 2, 3, 4], 6), (&[], &[10], 5));
        // Both 4 and 5 were used by lost records: 6 was bound, so they are in KRA's books.
        let last = open(11, Some(6), 12, 6);
        let both = [open(10, None, 10, 4), last];
        check("bound behind it", (&both, &[13], false), (&[1, 2, 3], 6), (&[], &[10, 11], 4));
        check("perhaps another's", (one(&bound), &[12, 15], false), (&[1, 2, 3, 6], 7), (&[10], &[], 5));
    }
}
