//! What a commit must be like, and what may follow on what: pure.

use crate::queue::{Seq, Status};
use crate::store::effect::{Binding, Effect};
use crate::store::entry::Entry;
use crate::store::error::CommitError;
use crate::store::record::{KEY_MAX, Kind, NewRecord, ORIGIN_MAX};
use crate::store::shelf::is_shelved;

/// The rules that need no look at anything but the records.
pub(crate) fn check_form(records: &[NewRecord]) -> Result<(), CommitError> {
    let invalid = |what| Err(CommitError::Invalid(what));
    if records.is_empty() {
        return invalid("no record");
    }
    let documents = records.iter().filter(|record| matches!(record.effect, Effect::Document { .. })).count();
    if documents > 1 {
        return invalid("more than one document");
    }
    for record in records {
        if record.kind.is_own() {
            return invalid("a kind that the store alone writes");
        }
        if record.effect.is_own() {
            return invalid("an effect that the store alone writes");
        }
        if record.origin.len() > ORIGIN_MAX {
            return invalid("the origin is too long");
        }
        if record.kind == Kind::Sale && record.signature.is_none() {
            return invalid("a sale is not signed");
        }
        if is_shelved(record.kind) != matches!(record.effect, Effect::Shelved { .. }) {
            return invalid("items and code lists stand on a shelf, and nothing else does");
        }
        let (key, sign) = match &record.effect {
            Effect::Credited { key, .. }
            | Effect::Document { key, .. }
            | Effect::Printed { key, .. }
            | Effect::Shelved { key } => (key.len(), 0),
            Effect::Moved { binding: Binding::Used { sign }, .. } => (1, sign.len()),
            Effect::Series { last: Some(last), .. } => (1, last.sign.len()),
            _ => (1, 0),
        };
        if key == 0 || key > KEY_MAX {
            return invalid("the key is empty or too long");
        }
        if sign > 255 {
            return invalid("KRA's signature is too long");
        }
    }
    Ok(())
}

/// Whether an effect may follow on a document's standing; then its standing after it, and the number that `Used` means.
pub(crate) fn judge_step(
    effect: &Effect,
    finished: bool,
    bound: Option<u64>,
) -> Result<(bool, Option<u64>, Option<u64>), &'static str> {
    if finished {
        return Err("is unknown or finished");
    }
    match effect {
        Effect::Bound { number, .. } => Ok((false, Some(*number), None)),
        Effect::Moved { status, binding, .. } => {
            let finished = status.is_finished();
            match binding {
                Binding::Keep => Ok((finished, bound, None)),
                Binding::Release => Ok((finished, None, None)),
                Binding::Used { .. } => match bound {
                    Some(number) => Ok((finished, bound, Some(number))),
                    None => Err("has no number that could have been used"),
                },
            }
        }
        Effect::None
        | Effect::Alerts
        | Effect::Credited { .. }
        | Effect::Credits { .. }
        | Effect::Document { .. }
        | Effect::Hardware
        | Effect::Printed { .. }
        | Effect::Series { .. }
        | Effect::Shelved { .. }
        | Effect::Carried(_)
        | Effect::Kept { .. }
        | Effect::Reshelved { .. }
        | Effect::Retired(_) => Ok((false, bound, None)),
    }
}

/// Whether the original of this document's receipt may be printed now: once, and once again where the paper jammed.
pub(crate) fn may_print(known: Option<&Entry>, document: Seq, again: bool) -> Result<(), &'static str> {
    let Some(entry) = known.filter(|entry| entry.seq == document) else { return Err("is unknown") };
    match entry.printed {
        _ if entry.status != Status::Signed => Err("has no receipt of KRA's"),
        None if !again => Ok(()),
        Some(printed) if again && !printed.again => Ok(()),
        _ => Err("was printed before"),
    }
}

/// Whether it may be written down now what credit notes have taken of this document: worked out from what was written last,
/// and more is taken of what KRA has, or may yet have, only.
pub(crate) fn may_be_credited(
    known: Option<&Entry>,
    document: Seq,
    after: Option<Seq>,
    takes: bool,
) -> Result<(), Uncreditable> {
    let entry = known.filter(|entry| entry.seq == document).ok_or(Uncreditable::Unknown)?;
    if takes && matches!(entry.status, Status::NotFiscal | Status::Rejected) {
        return Err(Uncreditable::Changed);
    }
    if entry.credited.map(|credited| credited.by) == after { Ok(()) } else { Err(Uncreditable::Changed) }
}

/// Why a document cannot be credited as was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Uncreditable {
    /// It no longer stands as whoever asked saw it: look again.
    Changed,
    /// It is not there.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        effect: &Effect,
        finished: bool,
        bound: Option<u64>,
        expected: Option<(bool, Option<u64>, Option<u64>)>,
    ) {
        assert_eq!(judge_step(effect, finished, bound).ok(), expected, "{effect:?} {finished} {bound:?}");
    }

    #[test]
    fn what_may_follow() {
        let moved =
            |status, binding| Effect::Moved { document: 1, status, attempts: 0, unsure_sends: 0, binding };
        let used = || Binding::Used { sign: "S".into() };
        let bind = Effect::Bound { document: 1, number: 7 };
        check(&bind, false, None, Some((false, Some(7), None)));
        check(&bind, false, Some(6), Some((false, Some(7), None)));
        check(&bind, true, None, None);
        check(&moved(Status::Signed, used()), false, Some(7), Some((true, Some(7), Some(7))));
        check(&moved(Status::Signed, used()), false, None, None);
        check(&moved(Status::Signed, used()), true, Some(7), None);
        check(&moved(Status::Pending, Binding::Keep), false, Some(7), Some((false, Some(7), None)));
        check(&moved(Status::Rejected, Binding::Release), false, Some(7), Some((false, None, None)));
        check(&moved(Status::Settled, Binding::Release), false, None, Some((true, None, None)));
    }
}
