//! `saveTrnsSalesOsdc`: an invoice or credit note as KRA takes it.

use crate::fiscal::{
    Insurance, Invoice, InvoiceLine, KraDate, KraDateTime, Original, ReceiptType, SalesType, TaxType,
};

use super::body::Body;
use super::{Format, FrozenRequest, Function};

/// What a buyer without a name is called: an original without one cannot be credited later.
pub const DEFAULT_CUSTOMER_NAME: &str = "Walk-in customer";
/// `salesSttsCd` of every finished sale and credit note: approved.
const APPROVED: &str = "02";
/// Who registered and who changed the record, for KRA's audit fields.
const AUDITOR: &str = "gw";
/// How many characters `trdeNm`, `topMsg` and `btmMsg` hold.
const SHORT_TEXT: usize = 20;
/// How many characters `adrs` holds.
const ADDRESS: usize = 200;

/// What is fixed about a sale only when it is bound to a number.
#[derive(Clone, Copy, Debug)]
pub struct SaleBinding<'a> {
    /// `invcNo`.
    pub invoice_no: u64,
    /// `orgInvcNo` of a credit note. Where it is `None`, the invoice's own [`Original::InvoiceNo`] is taken.
    pub original_invoice_no: Option<u64>,
    /// `cfmDt` as it is to be sent: the sale's time, or that of sending.
    pub confirmed_at: KraDateTime,
    /// `salesDt`: the day of the sale itself, also where `cfmDt` is the time of sending.
    pub sold_on: KraDate,
    /// The trader's texts for the receipt.
    pub trader: &'a TraderTexts,
}

/// What the trader has printed on receipts. KRA's fields are short: longer texts are cut.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraderTexts {
    /// `trdeNm`.
    pub name: Option<String>,
    /// `adrs`.
    pub address: Option<String>,
    /// `topMsg`.
    pub top_message: Option<String>,
    /// `btmMsg`.
    pub bottom_message: Option<String>,
}

/// The request for this invoice under this number, all but the key.
pub fn encode(format: Format, invoice: &Invoice, binding: &SaleBinding<'_>) -> FrozenRequest {
    Body::frozen(Function::SaveTrnsSalesOsdc, format, &invoice.device, |body| {
        header(body, invoice, binding);
        totals(body, invoice);
        audit(body);
        body.object("receipt", |body| receipt(body, invoice, binding));
        body.list("itemList", &invoice.lines, |body, at, entry| line(body, at + 1, entry));
    })
}

/// Who registered it and who changed it: the gateway.
pub(super) fn audit(body: &mut Body) {
    for (id, name) in [("regrId", "regrNm"), ("modrId", "modrNm")] {
        body.text(id, AUDITOR);
        body.text(name, AUDITOR);
    }
}

fn header(body: &mut Body, invoice: &Invoice, binding: &SaleBinding<'_>) {
    let known_original = match invoice.original {
        Some(Original::InvoiceNo(number)) => Some(number),
        Some(Original::TraderRef(_)) | None => None,
    };
    let confirmed_at = binding.confirmed_at.to_string();
    body.text("trdInvcNo", invoice.trader_ref.as_str());
    body.number("invcNo", binding.invoice_no);
    body.number("orgInvcNo", binding.original_invoice_no.or(known_original).unwrap_or(0));
    body.text_or_null("custTin", invoice.customer.tin.as_ref().map(|tin| tin.as_str()));
    body.text("custNm", invoice.customer.name.as_deref().unwrap_or(DEFAULT_CUSTOMER_NAME));
    body.text("salesTyCd", sales_type(invoice.sales_type));
    body.text("rcptTyCd", receipt_type(invoice.receipt_type));
    body.text("pmtTyCd", &invoice.payment_type);
    body.text("salesSttsCd", APPROVED);
    body.text("cfmDt", &confirmed_at);
    body.text("salesDt", &binding.sold_on.to_string());
    body.text("stockRlsDt", &confirmed_at);
    body.null("cnclReqDt");
    body.null("cnclDt");
    let refunded_at = (invoice.receipt_type == ReceiptType::CreditNote).then_some(confirmed_at.as_str());
    body.text_or_null("rfdDt", refunded_at);
    body.text_or_null("rfdRsnCd", invoice.refund_reason.as_deref());
}

/// All fifteen tax fields, zeros too, letter by letter within each kind.
fn totals(body: &mut Body, invoice: &Invoice) {
    let by_letter = || TaxType::ALL.into_iter().map(|letter| (letter, &invoice.by_tax_type[letter.index()]));
    body.number("totItemCnt", invoice.lines.len());
    for (letter, total) in by_letter() {
        body.amount(&format!("taxblAmt{}", letter.letter()), total.taxable);
    }
    for (letter, total) in by_letter() {
        body.rate(&format!("taxRt{}", letter.letter()), total.rate);
    }
    for (letter, total) in by_letter() {
        body.amount(&format!("taxAmt{}", letter.letter()), total.tax);
    }
    body.amount("totTaxblAmt", invoice.total_taxable);
    body.amount("totTaxAmt", invoice.total_tax);
    body.amount("totAmt", invoice.total);
    body.text("prchrAcptcYn", "N");
    body.text_or_null("remark", invoice.remark.as_deref());
}

fn receipt(body: &mut Body, invoice: &Invoice, binding: &SaleBinding<'_>) {
    let trader = binding.trader;
    body.text_or_null("custTin", invoice.customer.tin.as_ref().map(|tin| tin.as_str()));
    body.text_or_null("custMblNo", invoice.customer.mobile.as_deref());
    body.text("rcptPbctDt", &binding.confirmed_at.to_string());
    body.text_or_null("trdeNm", cut(trader.name.as_deref(), SHORT_TEXT).as_deref());
    body.text_or_null("adrs", cut(trader.address.as_deref(), ADDRESS).as_deref());
    body.text_or_null("topMsg", cut(trader.top_message.as_deref(), SHORT_TEXT).as_deref());
    body.text_or_null("btmMsg", cut(trader.bottom_message.as_deref(), SHORT_TEXT).as_deref());
    body.text("prchrAcptcYn", "N");
}

fn line(body: &mut Body, seq: usize, line: &InvoiceLine) {
    let none = Insurance::default();
    let insurance = line.insurance.as_ref().unwrap_or(&none);
    body.number("itemSeq", seq);
    body.text("itemCd", &line.item_code);
    body.text_or_null("itemClsCd", line.item_class.as_deref());
    body.text("itemNm", &line.name);
    body.text_or_null("bcd", line.barcode.as_deref());
    body.text("pkgUnitCd", &line.package_unit);
    body.quantity("pkg", line.packages);
    body.text("qtyUnitCd", &line.quantity_unit);
    body.quantity("qty", line.quantity);
    body.amount("prc", line.price);
    body.amount("splyAmt", line.supply);
    body.rate("dcRt", line.discount_rate);
    body.amount("dcAmt", line.discount);
    body.text_or_null("isrccCd", insurance.code.as_deref());
    body.text_or_null("isrccNm", insurance.name.as_deref());
    match insurance.rate {
        Some(rate) => body.rate("isrcRt", rate),
        None => body.null("isrcRt"),
    }
    match insurance.amount {
        Some(amount) => body.amount("isrcAmt", amount),
        None => body.null("isrcAmt"),
    }
    body.text("taxTyCd", line.tax_type.letter());
    body.amount("taxblAmt", line.taxable);
    body.amount("taxAmt", line.tax);
    body.amount("totAmt", line.total);
}

/// KRA's letter for a sale or credit note.
pub const fn receipt_type(receipt_type: ReceiptType) -> &'static str {
    match receipt_type {
        ReceiptType::CreditNote => "R",
        ReceiptType::Sale => "S",
    }
}

const fn sales_type(sales_type: SalesType) -> &'static str {
    match sales_type {
        SalesType::Normal => "N",
        SalesType::Proforma => "P",
        SalesType::Training => "T",
    }
}

/// The first `longest` characters without control characters and outer spaces; `None` where nothing is left.
fn cut(text: Option<&str>, longest: usize) -> Option<String> {
    let printable: String = text?.chars().filter(|c| !c.is_control()).collect();
    let kept: String = printable.trim().chars().take(longest).collect();
    Some(kept.trim_end().to_owned()).filter(|kept| !kept.is_empty())
}

#[cfg(test)]
#[path = "sale_tests.rs"]
pub(in crate::wire) mod tests;
