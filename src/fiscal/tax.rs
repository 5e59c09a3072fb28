//! Tax types A to E, their rates, and how a line's amount splits into what is taxed and the tax.

use super::{Amount, Rate};

/// A tax type: KRA's letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaxType {
    /// Exempt.
    A,
    /// The standard rate.
    B,
    /// Zero-rated.
    C,
    /// Outside VAT.
    D,
    /// The reduced rate.
    E,
}

impl TaxType {
    /// All of them, in order.
    pub const ALL: [Self; 5] = [Self::A, Self::B, Self::C, Self::D, Self::E];

    /// From KRA's letter.
    pub fn from_letter(letter: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tax_type| tax_type.letter() == letter)
    }

    /// KRA's letter.
    pub const fn letter(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
            Self::C => "C",
            Self::D => "D",
            Self::E => "E",
        }
    }

    /// Its place in a table of five.
    pub const fn index(self) -> usize {
        match self {
            Self::A => 0,
            Self::B => 1,
            Self::C => 2,
            Self::D => 3,
            Self::E => 4,
        }
    }
}

/// The rate of each tax type, A to E; data, because the law changes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates(pub [Rate; 5]);

impl Rates {
    /// The rate of one type.
    pub const fn of(&self, tax_type: TaxType) -> Rate {
        self.0[tax_type.index()]
    }
}

/// How prices, taxable amounts and tax relate on the wire. All three are on record with KRA.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TaxConvention {
    /// Prices include tax, taxable amounts do not (I2).
    #[default]
    GrossPriceNetTaxable,
    /// Prices and taxable amounts include tax (I1).
    GrossTaxable,
    /// Prices and taxable amounts exclude tax (X).
    NetPrice,
}

/// One tax type's part of an invoice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaxTotal {
    /// The rate when the sale was accepted.
    pub rate: Rate,
    /// The sum of the lines' taxable amounts.
    pub taxable: Amount,
    /// The sum of the lines' tax.
    pub tax: Amount,
}
