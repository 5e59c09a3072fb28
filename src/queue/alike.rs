//! Sales refused one after another in the same words: a changed rate or code list, not the sales. Setting a whole day's
//! sales aside would leave a person to mend each.

use std::time::Duration;

use super::{Seq, Words};

/// After so many different sales refused alike, the next ones are spared.
const ENOUGH: usize = 5;

/// So many that were spared are remembered.
const MOST_SPARED: usize = 64;

/// The pause before a sale is tried as canary.
pub(super) const CANARY_PAUSE: Duration = Duration::from_secs(15 * 60);

/// The refusals since KRA last accepted a sale, as long as they are alike.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Alike {
    /// Code and field.
    reason: (Option<String>, Option<String>),
    documents: Vec<Seq>,
    /// Refused alike after those, and passed over: so the next one is the next canary.
    spared: Vec<Seq>,
}

/// What becomes of a sale that KRA refused for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is set aside.
    SetAside,
    /// It is set aside as the last one; then a pause.
    SetAsideAndPause,
    /// It goes on waiting, and others go first; then a pause.
    Spared,
}

impl Alike {
    /// KRA refused this sale for good.
    pub(super) fn refused(&mut self, document: Seq, words: &Words) -> Fate {
        let reason = (words.result_cd.clone(), words.field.clone());
        if self.reason != reason {
            *self = Self { reason, ..Self::default() };
        }
        if self.documents.len() >= ENOUGH {
            if self.spared.len() == MOST_SPARED {
                self.spared.clear();
            }
            self.spared.push(document);
            return Fate::Spared;
        }
        if !self.documents.contains(&document) {
            self.documents.push(document);
        }
        if self.documents.len() == ENOUGH { Fate::SetAsideAndPause } else { Fate::SetAside }
    }

    /// So many were refused alike that the next ones are spared.
    pub(super) fn is_enough(&self) -> bool {
        self.documents.len() >= ENOUGH
    }

    /// Those that are passed over, so that others are tried.
    pub(super) fn spared(&self) -> &[Seq] {
        &self.spared
    }

    /// It has its place again; `None`: all of them have, for nobody else is left to be tried.
    pub(super) fn put_back(&mut self, document: Option<Seq>) {
        self.spared.retain(|it| document.is_some_and(|document| document != *it));
    }

    /// KRA accepted a sale: those that were spared have their places again, and are judged like any other.
    pub(super) fn accepted(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(code: &str, field: Option<&str>) -> Words {
        Words { result_cd: Some(code.to_owned()), field: field.map(str::to_owned), ..Words::default() }
    }

    #[test]
    fn five_alike_are_enough() {
        let mut alike = Alike::default();
        let rate = words("910", Some("taxRtB"));
        for document in 1..=4 {
            assert_eq!(alike.refused(document, &rate), Fate::SetAside);
        }
        assert_eq!(alike.refused(4, &rate), Fate::SetAside, "the same sale again counts once");
        assert_eq!(alike.refused(5, &rate), Fate::SetAsideAndPause);
        assert_eq!(alike.refused(6, &rate), Fate::Spared);
        assert_eq!(alike.refused(7, &rate), Fate::Spared);
        assert_eq!(alike.spared(), [6, 7]);
        alike.put_back(Some(7));
        assert_eq!(alike.spared(), [6]);
        assert_eq!(alike.refused(6, &words("910", Some("custTin"))), Fate::SetAside, "another reason");
        assert!(alike.spared().is_empty());
        for document in 7..=9 {
            assert_eq!(alike.refused(document, &words("913", None)), Fate::SetAside);
        }
        alike.accepted();
        for document in 10..=13 {
            assert_eq!(alike.refused(document, &words("913", None)), Fate::SetAside);
        }
        assert_eq!(alike.refused(14, &words("913", None)), Fate::SetAsideAndPause);
    }
}
