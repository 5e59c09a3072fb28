//! Whether this KRA has the function to look up one invoice.

use super::LookUp;

/// What look-ups have shown of the function since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Function {
    /// There is none.
    Missing,
    /// It has answered: found, or not there.
    There,
    /// It was not asked yet, or its answers said nothing of it.
    #[default]
    Unknown,
}

impl Function {
    /// Takes in what a look-up said, and says what that means. A function that has answered is there: if it seems to be gone
    /// afterwards, one server of several does not have it, and the look-up has failed.
    pub(super) fn told(&mut self, look_up: LookUp) -> LookUp {
        match look_up {
            LookUp::Missing(words) if *self == Self::There => return LookUp::Failed(words),
            LookUp::Missing(_) => *self = Self::Missing,
            LookUp::Absent | LookUp::Found { .. } => *self = Self::There,
            LookUp::Busy(_) | LookUp::Failed(_) | LookUp::Refused(_) => {}
        }
        look_up
    }
}
