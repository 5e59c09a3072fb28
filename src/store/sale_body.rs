//! The body of a SALE record: the invoice as it was accepted, for ever readable without this program.

use serde::{Deserialize, Serialize};

use crate::fiscal::{
    Amount, BhfId, Customer, DeviceIdentity, DeviceSerial, Insurance, Invoice, InvoiceLine, KraDateTime,
    Original, Quantity, Rate, ReceiptType, SalesType, TaxTotal, TaxType, TimeSource, Tin, TraderRef,
};

/// A body that is not what this version, or an earlier one, wrote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record's body cannot be read: {0}")]
pub(super) struct UnreadableBody(pub String);

/// The shape on disk. Decimals are texts; absent members are left out.
#[derive(Debug, Deserialize, Serialize)]
struct SaleBody {
    device: DeviceBody,
    trader_ref: String,
    receipt_type: String,
    sales_type: String,
    payment_type: String,
    confirmed_at: String,
    confirmed_by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    customer_tin: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    customer_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    customer_mobile: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    remark: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    original_trader_ref: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    original_invoice_no: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refund_reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replaces: Option<String>,
    lines: Vec<LineBody>,
    /// A to E: rate, taxable, tax.
    by_tax_type: [[String; 3]; 5],
    total_taxable: String,
    total_tax: String,
    total: String,
}

/// Which device: also in other records.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct DeviceBody {
    tin: String,
    bhf_id: String,
    serial: String,
}

#[derive(Debug, Deserialize, Serialize)]
struct LineBody {
    item_code: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    item_class: Option<String>,
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    barcode: Option<String>,
    package_unit: String,
    packages: String,
    quantity_unit: String,
    quantity: String,
    price: String,
    supply: String,
    discount_rate: String,
    discount: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    insurance: Option<InsuranceBody>,
    tax_type: String,
    taxable: String,
    tax: String,
    total: String,
}

#[derive(Debug, Deserialize, Serialize)]
struct InsuranceBody {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rate: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    amount: Option<String>,
}

/// The bytes of a SALE's body.
pub(super) fn write_sale(invoice: &Invoice) -> Vec<u8> {
    let (original_trader_ref, original_invoice_no) = match &invoice.original {
        None => (None, None),
        Some(Original::InvoiceNo(number)) => (None, Some(*number)),
        Some(Original::TraderRef(trader_ref)) => (Some(trader_ref.to_string()), None),
    };
    let body = SaleBody {
        device: DeviceBody::of(&invoice.device),
        trader_ref: invoice.trader_ref.to_string(),
        receipt_type: word(RECEIPT_TYPES, invoice.receipt_type).to_owned(),
        sales_type: word(SALES_TYPES, invoice.sales_type).to_owned(),
        payment_type: invoice.payment_type.clone(),
        confirmed_at: invoice.confirmed_at.to_string(),
        confirmed_by: word(TIME_SOURCES, invoice.confirmed_by).to_owned(),
        customer_tin: invoice.customer.tin.as_ref().map(ToString::to_string),
        customer_name: invoice.customer.name.clone(),
        customer_mobile: invoice.customer.mobile.clone(),
        remark: invoice.remark.clone(),
        original_trader_ref,
        original_invoice_no,
        refund_reason: invoice.refund_reason.clone(),
        replaces: invoice.replaces.as_ref().map(ToString::to_string),
        lines: invoice.lines.iter().map(LineBody::of).collect(),
        by_tax_type: invoice
            .by_tax_type
            .map(|part| [part.rate.to_string(), part.taxable.to_string(), part.tax.to_string()]),
        total_taxable: invoice.total_taxable.to_string(),
        total_tax: invoice.total_tax.to_string(),
        total: invoice.total.to_string(),
    };
    serde_json::to_vec(&body).expect("texts and numbers are always JSON")
}

/// Reads a SALE's body back.
pub(super) fn read_sale(bytes: &[u8]) -> Result<Invoice, UnreadableBody> {
    let body: SaleBody = serde_json::from_slice(bytes).map_err(|error| UnreadableBody(error.to_string()))?;
    let original = match (body.original_trader_ref, body.original_invoice_no) {
        (Some(text), _) => Some(Original::TraderRef(read(TraderRef::new(&text))?)),
        (None, number) => number.map(Original::InvoiceNo),
    };
    let mut by_tax_type = Vec::with_capacity(5);
    for [rate, taxable, tax] in &body.by_tax_type {
        by_tax_type.push(TaxTotal { rate: percent(rate)?, taxable: amount(taxable)?, tax: amount(tax)? });
    }
    Ok(Invoice {
        trader_ref: read(TraderRef::new(&body.trader_ref))?,
        device: body.device.identity()?,
        receipt_type: value(RECEIPT_TYPES, &body.receipt_type)?,
        sales_type: value(SALES_TYPES, &body.sales_type)?,
        payment_type: body.payment_type,
        confirmed_at: read(KraDateTime::parse_kra(&body.confirmed_at))?,
        confirmed_by: value(TIME_SOURCES, &body.confirmed_by)?,
        customer: Customer {
            tin: body.customer_tin.map(|text| read(Tin::new(&text))).transpose()?,
            name: body.customer_name,
            mobile: body.customer_mobile,
        },
        remark: body.remark,
        original,
        refund_reason: body.refund_reason,
        replaces: body.replaces.map(|text| read(TraderRef::new(&text))).transpose()?,
        lines: body.lines.into_iter().map(LineBody::line).collect::<Result<_, _>>()?,
        by_tax_type: by_tax_type.try_into().expect("five went in"),
        total_taxable: amount(&body.total_taxable)?,
        total_tax: amount(&body.total_tax)?,
        total: amount(&body.total)?,
    })
}

impl DeviceBody {
    pub(super) fn of(device: &DeviceIdentity) -> Self {
        Self {
            tin: device.tin.to_string(),
            bhf_id: device.bhf_id.to_string(),
            serial: device.serial.to_string(),
        }
    }

    pub(super) fn identity(&self) -> Result<DeviceIdentity, UnreadableBody> {
        Ok(DeviceIdentity {
            tin: read(Tin::new(&self.tin))?,
            bhf_id: read(BhfId::new(&self.bhf_id))?,
            serial: read(DeviceSerial::new(&self.serial))?,
        })
    }
}

impl LineBody {
    fn of(line: &InvoiceLine) -> Self {
        Self {
            item_code: line.item_code.clone(),
            item_class: line.item_class.clone(),
            name: line.name.clone(),
            barcode: line.barcode.clone(),
            package_unit: line.package_unit.clone(),
            packages: line.packages.to_string(),
            quantity_unit: line.quantity_unit.clone(),
            quantity: line.quantity.to_string(),
            price: line.price.to_string(),
            supply: line.supply.to_string(),
            discount_rate: line.discount_rate.to_string(),
            discount: line.discount.to_string(),
            insurance: line.insurance.as_ref().map(|insurance| InsuranceBody {
                code: insurance.code.clone(),
                name: insurance.name.clone(),
                rate: insurance.rate.map(|it| it.to_string()),
                amount: insurance.amount.map(|it| it.to_string()),
            }),
            tax_type: line.tax_type.letter().to_owned(),
            taxable: line.taxable.to_string(),
            tax: line.tax.to_string(),
            total: line.total.to_string(),
        }
    }

    fn line(self) -> Result<InvoiceLine, UnreadableBody> {
        Ok(InvoiceLine {
            item_code: self.item_code,
            item_class: self.item_class,
            name: self.name,
            barcode: self.barcode,
            package_unit: self.package_unit,
            packages: quantity(&self.packages)?,
            quantity_unit: self.quantity_unit,
            quantity: quantity(&self.quantity)?,
            price: amount(&self.price)?,
            supply: amount(&self.supply)?,
            discount_rate: percent(&self.discount_rate)?,
            discount: amount(&self.discount)?,
            insurance: match self.insurance {
                None => None,
                Some(insurance) => Some(Insurance {
                    code: insurance.code,
                    name: insurance.name,
                    rate: insurance.rate.as_deref().map(percent).transpose()?,
                    amount: insurance.amount.as_deref().map(amount).transpose()?,
                }),
            },
            tax_type: TaxType::from_letter(&self.tax_type)
                .ok_or_else(|| UnreadableBody(format!("tax type {:?}", self.tax_type)))?,
            taxable: amount(&self.taxable)?,
            tax: amount(&self.tax)?,
            total: amount(&self.total)?,
        })
    }
}

type Words<T> = &'static [(T, &'static str)];

const RECEIPT_TYPES: Words<ReceiptType> = &[(ReceiptType::CreditNote, "R"), (ReceiptType::Sale, "S")];
const SALES_TYPES: Words<SalesType> =
    &[(SalesType::Normal, "N"), (SalesType::Proforma, "P"), (SalesType::Training, "T")];
const TIME_SOURCES: Words<TimeSource> =
    &[(TimeSource::Gateway, "gateway"), (TimeSource::Register, "register")];

fn word<T: Copy + PartialEq>(words: Words<T>, value: T) -> &'static str {
    words.iter().find(|(it, _)| *it == value).map(|(_, word)| *word).expect("every variant has its word")
}

fn value<T: Copy>(words: Words<T>, word: &str) -> Result<T, UnreadableBody> {
    words
        .iter()
        .find(|(_, it)| *it == word)
        .map(|(value, _)| *value)
        .ok_or_else(|| UnreadableBody(format!("{word:?} is not known")))
}

fn read<T, E: std::fmt::Display>(result: Result<T, E>) -> Result<T, UnreadableBody> {
    result.map_err(|error| UnreadableBody(error.to_string()))
}

fn amount(text: &str) -> Result<Amount, UnreadableBody> {
    read(Amount::parse(text))
}

fn quantity(text: &str) -> Result<Quantity, UnreadableBody> {
    read(Quantity::parse(text))
}

fn percent(text: &str) -> Result<Rate, UnreadableBody> {
    read(Rate::parse(text))
}
