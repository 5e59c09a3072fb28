//! Sales refused one after another in the same words: a changed rate or code list, not the sales. Setting a whole day's
//! sales aside would leave a person to mend each.

use std::time::Duration;

use super::{Seq, Words};

/// After so many different sales refused alike, the next ones are spared.
const ENOUGH: usize = 5;

/// The pause before a sale is tried as canary.
pub(super) const CANARY_PAUSE: Duration = Duration::from_secs(15 * 60);

/// The refusals since KRA last accepted a sale, as long as they are alike.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Alike {
    /// Code and field.
    reason: (Option<String>, Option<String>),
    documents: Vec<Seq>,
}

/// What becomes of a sale that KRA refused for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is set aside.
    SetAside,
    /// It is set aside as the last one; then a pause.
    SetAsideAndPause,
    /// It stays in its place; then a pause.
    Spared,
}

impl Alike {
    /// KRA refused this sale for good.
    pub(super) fn refused(&mut self, document: Seq, words: &Words) -> Fate {
        let reason = (words.result_cd.clone(), words.field.clone());
        if self.reason != reason {
            *self = Self { reason, documents: Vec::new() };
        }
        if self.documents.len() >= ENOUGH {
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

    /// KRA accepted a sale.
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
        assert_eq!(alike.refused(6, &rate), Fate::Spared);
        assert_eq!(alike.refused(6, &words("910", Some("custTin"))), Fate::SetAside, "another reason");
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
