//! A sale that a credit note undoes, as the verbs see it.

use super::Sale;
use crate::fiscal::{Credited, Fault, Invoice, KraDateTime, TraderRef};
use crate::queue::{OriginalStands, Seq};

/// A sale that a credit note names, and what is left of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Creditable {
    /// The sale.
    pub sale: Sale,
    /// What its credit notes have taken by now.
    pub credited: Credited,
    /// The record that says so; `None`: nothing was taken.
    pub as_of: Option<Seq>,
}

/// What a credit note takes, to be written down in the same commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credit {
    /// The sale.
    pub original: Seq,
    /// The register's number of it.
    pub trader_ref: TraderRef,
    /// The record that it was worked out from: if that is no longer the latest, nothing is written.
    pub after: Option<Seq>,
    /// What all credit notes of the sale have taken then, this one included.
    pub credited: Credited,
}

impl Creditable {
    /// What this note takes, if so much is left.
    ///
    /// # Errors
    /// Less is left.
    pub fn take(&self, note: &Invoice) -> Result<Credit, Vec<Fault>> {
        Ok(self.credit(self.credited.and(&self.sale.invoice, note)?))
    }

    /// Without what this note took.
    pub fn give_back(&self, note: &Invoice) -> Credit {
        self.credit(self.credited.without(&self.sale.invoice, note))
    }

    fn credit(&self, credited: Credited) -> Credit {
        Credit {
            original: self.sale.seq,
            trader_ref: self.sale.invoice.trader_ref.clone(),
            after: self.as_of,
            credited,
        }
    }
}

/// The sale that a credit note in these books undoes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Original {
    /// The register's number of it.
    pub trader_ref: TraderRef,
    /// How it stands.
    pub stands: OriginalStands,
    /// `invcNo`, once it was bound.
    pub invoice_no: Option<u64>,
    /// `cfmDt` as KRA was told it, or will be.
    pub confirmed_at: KraDateTime,
    /// `curRcptNo`, once KRA signed it.
    pub receipt_no: Option<u64>,
}
