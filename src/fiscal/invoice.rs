//! A sale as the register says it ([`Draft`]) and as we answer for it ([`Invoice`]); [`Invoice::new`] is the one door.

use super::{Amount, DeviceIdentity, KraDateTime, Quantity, Rate, TaxTotal, TaxType, Tin, TraderRef};

/// Sale or credit note.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ReceiptType {
    /// A credit note after a sale (R).
    CreditNote,
    /// A sale (S).
    #[default]
    Sale,
}

/// What kind of transaction it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SalesType {
    /// A real one (N).
    #[default]
    Normal,
    /// A quotation (P): recorded, never sent.
    Proforma,
    /// Practice (T): recorded, never sent.
    Training,
}

/// Who said when the sale was confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimeSource {
    /// We filled in the time of acceptance; it may be corrected at binding.
    Gateway,
    /// The register gave `cfmDt`.
    Register,
}

/// A sale as the register posted it, each value typed but nothing filled in and nothing checked against another.
/// Two requests with equal drafts are the same sale.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    /// `trdInvcNo`.
    pub trader_ref: Option<String>,
    /// `tin`: must be the device's.
    pub tin: Option<String>,
    /// `bhfId`: must be the device's.
    pub bhf_id: Option<String>,
    /// `rcptTyCd`.
    pub receipt_type: Option<String>,
    /// `salesTyCd`.
    pub sales_type: Option<String>,
    /// `pmtTyCd`.
    pub payment_type: Option<String>,
    /// `cfmDt`: RFC 3339 or 14 digits of Nairobi time.
    pub confirmed_at: Option<String>,
    /// `custTin`.
    pub customer_tin: Option<String>,
    /// `custNm`.
    pub customer_name: Option<String>,
    /// `custMblNo`.
    pub customer_mobile: Option<String>,
    /// `remark`.
    pub remark: Option<String>,
    /// `orgTrdInvcNo`: the original of a credit note, by the register's number.
    pub original_trader_ref: Option<String>,
    /// `orgInvcNo`: the original by KRA's number.
    pub original_invoice_no: Option<u64>,
    /// `rfdRsnCd`.
    pub refund_reason: Option<String>,
    /// `replaces`: the rejected sale that this one corrects.
    pub replaces: Option<String>,
    /// `totTaxAmt`, checked.
    pub total_tax: Option<Amount>,
    /// `totAmt`, checked.
    pub total: Option<Amount>,
    /// `itemList`.
    pub lines: Vec<DraftLine>,
}

/// One line of a [`Draft`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DraftLine {
    /// `itemCd`.
    pub item_code: Option<String>,
    /// `itemClsCd`.
    pub item_class: Option<String>,
    /// `itemNm`.
    pub name: Option<String>,
    /// `bcd`.
    pub barcode: Option<String>,
    /// `pkgUnitCd`.
    pub package_unit: Option<String>,
    /// `pkg`.
    pub packages: Option<Quantity>,
    /// `qtyUnitCd`.
    pub quantity_unit: Option<String>,
    /// `qty`.
    pub quantity: Option<Quantity>,
    /// `prc`.
    pub price: Option<Amount>,
    /// `dcRt`.
    pub discount_rate: Option<Rate>,
    /// `dcAmt`.
    pub discount: Option<Amount>,
    /// `isrccCd`.
    pub insurer_code: Option<String>,
    /// `isrccNm`.
    pub insurer_name: Option<String>,
    /// `isrcRt`.
    pub insurance_rate: Option<Rate>,
    /// `isrcAmt`.
    pub insured: Option<Amount>,
    /// `taxTyCd`.
    pub tax_type: Option<String>,
    /// `splyAmt`, checked.
    pub supply: Option<Amount>,
    /// `taxblAmt`, checked.
    pub taxable: Option<Amount>,
    /// `taxAmt`, checked.
    pub tax: Option<Amount>,
    /// `totAmt`, checked.
    pub total: Option<Amount>,
}

/// Which invoice a credit note undoes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Original {
    /// Issued elsewhere, or known by KRA's number.
    InvoiceNo(u64),
    /// One of ours, by the register's number; KRA's number is filled in at binding.
    TraderRef(TraderRef),
}

/// The buyer, as far as known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Customer {
    /// Its PIN.
    pub tin: Option<Tin>,
    /// Its name.
    pub name: Option<String>,
    /// Its telephone.
    pub mobile: Option<String>,
}

/// An insurer's share of a line; pharmacies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Insurance {
    /// `isrccCd`.
    pub code: Option<String>,
    /// `isrccNm`.
    pub name: Option<String>,
    /// `isrcRt`, per cent.
    pub rate: Option<Rate>,
    /// `isrcAmt`.
    pub amount: Option<Amount>,
}

/// A sale or credit note whose every figure adds up. Nothing later checks it again, nothing later changes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoice {
    /// The register's own number.
    pub trader_ref: TraderRef,
    /// The device whose number series it belongs to.
    pub device: DeviceIdentity,
    /// Sale or credit note.
    pub receipt_type: ReceiptType,
    /// Normal, training or proforma.
    pub sales_type: SalesType,
    /// Code of class 07.
    pub payment_type: String,
    /// When the sale was confirmed at the till.
    pub confirmed_at: KraDateTime,
    /// Who said so.
    pub confirmed_by: TimeSource,
    /// The buyer.
    pub customer: Customer,
    /// Free text.
    pub remark: Option<String>,
    /// What a credit note undoes.
    pub original: Option<Original>,
    /// Code of class 32.
    pub refund_reason: Option<String>,
    /// The rejected sale that this one corrects.
    pub replaces: Option<TraderRef>,
    /// The lines, in order; their `itemSeq` is their place, from 1.
    pub lines: Vec<InvoiceLine>,
    /// The sums by tax type, A to E.
    pub by_tax_type: [TaxTotal; 5],
    /// The sum of taxable amounts.
    pub total_taxable: Amount,
    /// The sum of tax.
    pub total_tax: Amount,
    /// What the customer pays.
    pub total: Amount,
}

/// One line of an [`Invoice`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvoiceLine {
    /// The item's code.
    pub item_code: String,
    /// Its class.
    pub item_class: Option<String>,
    /// Its name.
    pub name: String,
    /// Its barcode.
    pub barcode: Option<String>,
    /// Code of class 17.
    pub package_unit: String,
    /// How many packages.
    pub packages: Quantity,
    /// Code of class 10.
    pub quantity_unit: String,
    /// How much.
    pub quantity: Quantity,
    /// For one unit; with or without tax by the convention.
    pub price: Amount,
    /// Quantity times price.
    pub supply: Amount,
    /// The discount, per cent.
    pub discount_rate: Rate,
    /// The discount.
    pub discount: Amount,
    /// An insurer's share.
    pub insurance: Option<Insurance>,
    /// The tax type.
    pub tax_type: TaxType,
    /// What is taxed, by the convention.
    pub taxable: Amount,
    /// The tax.
    pub tax: Amount,
    /// What the customer pays for the line.
    pub total: Amount,
}
