//! A sale as we answer for it: every figure adds up. [`Invoice::new`] is the one door.

use super::check::Place;
use super::credit_note::{Named, check_original};
use super::fault::Faults;
use super::line::check_line;
use super::tax::{Split, Totals};
use super::{
    Amount, Codes, DeviceIdentity, Draft, DraftLine, Fault, FaultCode, KraDateTime, Original, Quantity, Rate,
    Rates, TaxConvention, TaxTotal, TaxType, Tin, TraderRef,
};

/// The most lines that KRA takes.
pub const MAX_LINES: usize = 999;

/// How far a register's clock may be ahead of ours, in seconds, where ours is synchronised.
const CLOCK_TOLERANCE: i64 = 600;

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

/// What a sale is checked against.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// The device whose number series the sale belongs to.
    pub device: &'a DeviceIdentity,
    /// How prices, taxable amounts and tax relate.
    pub convention: TaxConvention,
    /// The rates that hold now; they are frozen into the invoice.
    pub rates: Rates,
    /// KRA's lists of codes.
    pub codes: &'a Codes,
    /// Now.
    pub now: KraDateTime,
    /// Whether `now` can be trusted.
    pub clock_synchronised: bool,
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

impl Invoice {
    /// Checks a draft by all the rules.
    ///
    /// # Errors
    /// Every fault of it at once, in the order of the sale's fields.
    pub fn new(draft: Draft, rules: &Rules<'_>) -> Result<Self, Vec<Fault>> {
        Self::after_reading(draft, Vec::new(), rules)
    }

    /// Checks a draft of which some fields could not be read and are absent from it: `unreadable` are the faults that
    /// say so. They are reported with all others; nothing is said twice, and nothing is computed from what is not
    /// there.
    ///
    /// # Errors
    /// Every fault at once, in the order of the sale's fields; always, where `unreadable` is not empty.
    pub fn after_reading(
        mut draft: Draft,
        unreadable: Vec<Fault>,
        rules: &Rules<'_>,
    ) -> Result<Self, Vec<Fault>> {
        let mut faults = Faults::after(unreadable);
        let lines = std::mem::take(&mut draft.lines);
        let (tax, total) = (draft.total_tax, draft.total);
        let invoice = check_head(&mut Place::head(&mut faults), draft, rules);
        let invoice = check_lines(&mut faults, lines, rules).and_then(|lines| {
            let mut place = Place::head(&mut faults);
            let totals = add_up(&mut place, &lines, rules)?;
            // One cent of rounding on each line.
            let tolerance = u64::try_from(lines.len()).unwrap_or(u64::MAX);
            place.agrees("totTaxAmt", tax.filter(|given| !given.is_negative()), totals.tax, tolerance);
            place.agrees("totAmt", total.filter(|given| !given.is_negative()), totals.total, 1);
            invoice.map(|invoice| Self {
                lines,
                by_tax_type: totals.by_tax_type,
                total_taxable: totals.taxable,
                total_tax: totals.tax,
                total: totals.total,
                ..invoice
            })
        });
        let faults = faults.into_sorted();
        match invoice {
            Some(invoice) if faults.is_empty() => Ok(invoice),
            _ => Err(faults),
        }
    }
}

/// Checks all but the lines and what is added up from them; `None` where a part of it is missing or wrong.
fn check_head(place: &mut Place<'_>, draft: Draft, rules: &Rules<'_>) -> Option<Invoice> {
    let trader_ref = place.needed("trdInvcNo", draft.trader_ref);
    let trader_ref = place.trader_ref("trdInvcNo", trader_ref);
    for (name, given, own) in
        [("tin", draft.tin, rules.device.tin.as_str()), ("bhfId", draft.bhf_id, rules.device.bhf_id.as_str())]
    {
        if given.is_some_and(|given| given != own) {
            place.fault(name, FaultCode::OtherDevice, "must be that of this gateway's device");
        }
    }
    let (receipt_type, sales_type) = check_types(place, draft.receipt_type, draft.sales_type, rules.codes);
    let payment_type = place.code("pmtTyCd", draft.payment_type, Codes::PAYMENT, rules.codes);
    let (confirmed_at, confirmed_by) = check_time(place, draft.confirmed_at.as_deref(), rules);
    let customer = Customer {
        tin: place.tin("custTin", draft.customer_tin),
        name: place.text("custNm", draft.customer_name, 60),
        mobile: place.text("custMblNo", draft.customer_mobile, 20),
    };
    let remark = place.text("remark", draft.remark, 400);
    let named = Named {
        own: trader_ref.clone(),
        trader_ref: draft.original_trader_ref,
        invoice_no: draft.original_invoice_no,
        reason: draft.refund_reason,
    };
    // Where the type itself is in doubt, nothing is said of what it would ask for.
    let (original, refund_reason) = match receipt_type {
        Some(receipt_type) => check_original(place, receipt_type, named, rules.codes),
        None => (None, None),
    };
    let replaces = place.trader_ref("replaces", draft.replaces);
    if replaces.is_some() && replaces == trader_ref {
        place.fault("replaces", FaultCode::NotAllowed, "must not be the sale's own trdInvcNo");
    }
    if replaces.is_some() && matches!(sales_type, Some(SalesType::Proforma | SalesType::Training)) {
        place.fault("replaces", FaultCode::NotAllowed, "belongs on a real sale (salesTyCd N) only");
    }
    place.not_negative("totTaxAmt", draft.total_tax, Amount::is_negative);
    place.not_negative("totAmt", draft.total, Amount::is_negative);
    Some(Invoice {
        trader_ref: trader_ref?,
        device: rules.device.clone(),
        receipt_type: receipt_type?,
        sales_type: sales_type?,
        payment_type: payment_type.unwrap_or_else(|| "01".to_owned()),
        confirmed_at,
        confirmed_by,
        customer,
        remark,
        original,
        refund_reason,
        replaces,
        lines: Vec::new(),
        by_tax_type: Totals::new(&rules.rates).by_tax_type,
        total_taxable: Amount::ZERO,
        total_tax: Amount::ZERO,
        total: Amount::ZERO,
    })
}

/// S or R, and N, T or P; a quotation cannot be credited, as there is no receipt to print for that.
fn check_types(
    place: &mut Place<'_>,
    receipt_type: Option<String>,
    sales_type: Option<String>,
    codes: &Codes,
) -> (Option<ReceiptType>, Option<SalesType>) {
    let receipt_type = match receipt_type.as_deref() {
        None if place.is_any_unreadable(&["rcptTyCd"]) => None,
        None => Some(ReceiptType::Sale),
        Some(code) if !codes.contains(Codes::RECEIPT_TYPE, code) => None,
        Some("S") => Some(ReceiptType::Sale),
        Some("R") => Some(ReceiptType::CreditNote),
        Some(_) => None,
    };
    if receipt_type.is_none() {
        place.fault("rcptTyCd", FaultCode::NotInList, "must be S (sale) or R (credit note)");
    }
    let sales_type = match sales_type.as_deref() {
        None if place.is_any_unreadable(&["salesTyCd"]) => None,
        None => Some(SalesType::Normal),
        Some(code) if !codes.contains(Codes::TRANSACTION_TYPE, code) => None,
        Some("N") => Some(SalesType::Normal),
        Some("P") => Some(SalesType::Proforma),
        Some("T") => Some(SalesType::Training),
        Some(_) => None,
    };
    if sales_type.is_none() {
        place.fault("salesTyCd", FaultCode::NotInList, "must be N (normal), T (training) or P (proforma)");
    }
    if receipt_type == Some(ReceiptType::CreditNote) && sales_type == Some(SalesType::Proforma) {
        place.fault("salesTyCd", FaultCode::NotAllowed, "must not be P (proforma) on a credit note");
    }
    (receipt_type, sales_type)
}

/// The register's time, or ours. A register's time is believed unless our own, better known one contradicts it.
fn check_time(place: &mut Place<'_>, given: Option<&str>, rules: &Rules<'_>) -> (KraDateTime, TimeSource) {
    let Some(given) = given else { return (rules.now, TimeSource::Gateway) };
    match KraDateTime::parse(given) {
        Ok(time) => {
            let ahead = time.unix().saturating_sub(rules.now.unix());
            if rules.clock_synchronised && ahead > CLOCK_TOLERANCE {
                let words = format!(
                    "is {ahead} seconds ahead of this machine's clock; at most {CLOCK_TOLERANCE} are allowed"
                );
                place.fault("cfmDt", FaultCode::InFuture, &words);
            }
            (time, TimeSource::Register)
        }
        Err(fault) => {
            place.fault("cfmDt", FaultCode::BadFormat, &fault.to_string());
            (rules.now, TimeSource::Gateway)
        }
    }
}

/// All lines, or `None` where any is wrong.
fn check_lines(faults: &mut Faults, lines: Vec<DraftLine>, rules: &Rules<'_>) -> Option<Vec<InvoiceLine>> {
    let is_list_unreadable = faults.is_unreadable("itemList");
    let count = lines.len();
    let mut head = Place::head(faults);
    if lines.is_empty() {
        head.fault("itemList", FaultCode::Required, "must have 1 to 999 lines");
        return None;
    }
    if count > MAX_LINES {
        let words = format!("must have at most {MAX_LINES} lines, but has {count}");
        head.fault("itemList", FaultCode::TooMany, &words);
        return None;
    }
    let mut checked = Vec::with_capacity(count);
    for (index, line) in lines.into_iter().enumerate() {
        // Of a line that could not be read at all, nothing is said of its fields.
        if !faults.is_unreadable(&format!("itemList[{index}]")) {
            checked.extend(check_line(Place::line(faults, index), line, rules));
        }
    }
    (checked.len() == count && !is_list_unreadable).then_some(checked)
}

fn add_up(place: &mut Place<'_>, lines: &[InvoiceLine], rules: &Rules<'_>) -> Option<Totals> {
    let sum = lines.iter().try_fold(Totals::new(&rules.rates), |totals, line| {
        totals.with(line.tax_type, &Split { taxable: line.taxable, tax: line.tax, total: line.total })
    });
    if sum.is_none() {
        place.fault("totAmt", FaultCode::TooLarge, "is larger than the field holds");
    }
    sum
}
