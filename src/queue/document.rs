//! What is queued for KRA, and where it stands.

/// The running number of a record in the signed log; a document is known by that of the record that accepted it.
pub type Seq = u64;

/// Where a document stands. Only [`Signed`](Status::Signed) and [`Pending`](Status::Pending) may be printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    /// KRA has it, but the proof that belongs on the receipt could not be had. Never sent again.
    AcceptedNoProof,
    /// Training or proforma: recorded, never sent.
    NotFiscal,
    /// Set aside: its tries are spent, or a person said so.
    Parked,
    /// Waiting for KRA, in doubt or not.
    Pending,
    /// KRA refused it for good; open until settled or replaced.
    Rejected,
    /// Closed by a person.
    Settled,
    /// KRA has it and its proof is here.
    Signed,
}

impl Status {
    /// The word for it in every answer and record.
    pub const fn word(self) -> &'static str {
        match self {
            Self::AcceptedNoProof => "accepted_no_proof",
            Self::NotFiscal => "not_fiscal",
            Self::Parked => "parked",
            Self::Pending => "pending",
            Self::Rejected => "rejected",
            Self::Settled => "settled",
            Self::Signed => "signed",
        }
    }

    /// Reads [`word`](Self::word) back; `None` for any other text.
    pub fn from_word(word: &str) -> Option<Self> {
        [
            Self::AcceptedNoProof,
            Self::NotFiscal,
            Self::Parked,
            Self::Pending,
            Self::Rejected,
            Self::Settled,
            Self::Signed,
        ]
        .into_iter()
        .find(|status| status.word() == word)
    }

    /// Nothing more will happen to it by itself or by a technician: its records may one day be retired.
    pub const fn is_finished(self) -> bool {
        matches!(self, Self::NotFiscal | Self::Settled | Self::Signed)
    }
}
