//! How the sale stands that a credit note undoes, and what that means for the note (delivery rules, section 9).
//!
//! | the sale | the note |
//! |---|---|
//! | pending, in doubt or not | waits for it; those behind the note go on |
//! | in KRA's books | goes when it is its turn |
//! | refused, parked, settled, no longer kept | is parked with it |

use super::{Settlement, Status};

/// How the sale stands that a credit note undoes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginalStands {
    /// KRA has it, under a number that is known.
    Accepted,
    /// A person closed it, and KRA has no invoice of this gateway for it.
    Closed,
    /// It is no longer kept.
    Gone,
    /// It is set aside.
    Parked,
    /// KRA refused it.
    Refused,
    /// KRA has not said.
    Waiting,
}

impl OriginalStands {
    /// By where the sale stands; `numbered`: KRA's number of it is known; `settled`: as what a person closed it.
    pub const fn of(status: Status, numbered: bool, settled: Option<Settlement>) -> Self {
        match status {
            Status::Signed | Status::AcceptedNoProof if numbered => Self::Accepted,
            // Its number in KRA's books is what a person says that it is.
            Status::Settled if numbered && matches!(settled, Some(Settlement::Accepted)) => Self::Accepted,
            Status::AcceptedNoProof | Status::NotFiscal | Status::Settled | Status::Signed => Self::Closed,
            Status::Parked => Self::Parked,
            Status::Pending => Self::Waiting,
            Status::Rejected => Self::Refused,
        }
    }

    /// Why a note on it is set aside with it; `None`: the note goes, or waits.
    pub const fn why_parked(self) -> Option<&'static str> {
        match self {
            Self::Accepted | Self::Waiting => None,
            Self::Closed => Some(
                "the sale that it credits was closed without an invoice in KRA's books: there is nothing to credit",
            ),
            Self::Gone => Some("the sale that it credits is no longer kept here: its number is not known"),
            Self::Parked => Some("the sale that it credits is set aside: the credit note goes on with it"),
            Self::Refused => Some(
                "KRA refused the sale that it credits: the credit note goes on with it, or with the sale that replaces it",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_means_for_the_note() {
        use OriginalStands::{Accepted, Closed, Parked, Refused, Waiting};
        for (status, numbered, settled, expected) in [
            (Status::Signed, true, None, Accepted),
            (Status::AcceptedNoProof, true, None, Accepted),
            (Status::Pending, false, None, Waiting),
            // Bound, and perhaps in: KRA's books will say.
            (Status::Pending, true, None, Waiting),
            (Status::Parked, false, None, Parked),
            (Status::Rejected, false, None, Refused),
            (Status::Rejected, true, None, Refused),
            (Status::NotFiscal, false, None, Closed),
            (Status::Settled, true, Some(Settlement::Accepted), Accepted),
            (Status::Settled, false, Some(Settlement::Accepted), Closed),
            (Status::Settled, true, Some(Settlement::Elsewhere), Closed),
            (Status::Settled, true, Some(Settlement::NotAccepted), Closed),
            (Status::Settled, true, None, Closed),
        ] {
            let stands = OriginalStands::of(status, numbered, settled);
            assert_eq!(stands, expected, "{status:?} {numbered} {settled:?}");
            assert_eq!(stands.why_parked().is_none(), matches!(stands, Accepted | Waiting));
        }
    }
}
