//! The rows of a receipt, block by block in the order in which KRA's certifiers want them (facts about KRA, section 9).

use super::figures::{date_and_time, mark, money, payment, per_cent, quantity, tax_name};
use super::row::{Row, Size};
use super::{Receipt, Signed, Slip, Standing};
use crate::fiscal::{
    Amount, Invoice, InvoiceLine, Label, ReceiptType, SalesType, TaxTotal, TaxType, group_in_fours,
};

const UNOFFICIAL: &str = "THIS IS NOT AN OFFICIAL RECEIPT";

/// All rows of a receipt.
pub(super) fn rows(receipt: &Receipt<'_>) -> Vec<Row> {
    let mut page = Page { receipt, rows: Vec::new() };
    page.heading();
    page.buyer();
    page.goods();
    page.totals();
    page.taxes();
    match receipt.standing {
        Standing::Signed(signed) => page.control_unit(&signed),
        Standing::Refused(slip) | Standing::Waiting(slip) => page.slip(&slip),
        Standing::NotFiscal => {}
    }
    page.till();
    page.end();
    page.rows
}

/// What it is called above the goods.
pub(super) fn title(receipt: &Receipt<'_>) -> &'static str {
    let credit_note = receipt.invoice.receipt_type == ReceiptType::CreditNote;
    match (receipt.standing, receipt.invoice.sales_type) {
        (Standing::NotFiscal, SalesType::Proforma) => "PROFORMA",
        (Standing::NotFiscal, _) if credit_note => "TRAINING CREDIT NOTE",
        (Standing::NotFiscal, _) => "TRAINING",
        (Standing::Signed(_), _) if credit_note => "CREDIT NOTE",
        (Standing::Signed(_), _) => "TAX INVOICE",
        (Standing::Refused(_) | Standing::Waiting(_), _) if credit_note => "PROVISIONAL CREDIT NOTE",
        (Standing::Refused(_) | Standing::Waiting(_), _) => "PROVISIONAL SLIP",
    }
}

/// The two letters that say what it is; none on what has no label of KRA's.
pub(super) fn label(receipt: &Receipt<'_>) -> Option<&'static str> {
    if matches!(receipt.standing, Standing::Refused(_) | Standing::Waiting(_)) {
        return None;
    }
    let label = Label::original(receipt.invoice.receipt_type, receipt.invoice.sales_type)?;
    Some(if receipt.copy { label.copy() } else { label }.letters())
}

/// What a credit note takes back is negative on paper; on the wire it is positive.
pub(super) fn signed_amount(invoice: &Invoice, amount: Amount) -> Amount {
    match invoice.receipt_type {
        ReceiptType::CreditNote => Amount::ZERO.checked_sub(amount).unwrap_or(amount),
        ReceiptType::Sale => amount,
    }
}

/// The sums over all lines: before discounts, and the discounts.
pub(super) fn supply_and_discount(invoice: &Invoice) -> (Amount, Amount) {
    let sum = |of: fn(&InvoiceLine) -> Amount| {
        let amounts = invoice.lines.iter().map(of);
        amounts.fold(Amount::ZERO, |sum, amount| sum.checked_add(amount).unwrap_or(sum))
    };
    (sum(|line| line.supply), sum(|line| line.discount))
}

struct Page<'a> {
    receipt: &'a Receipt<'a>,
    rows: Vec<Row>,
}

impl Page<'_> {
    fn heading(&mut self) {
        let Receipt { heading, invoice, copy, standing, .. } = *self.receipt;
        self.simulated();
        self.centred(&heading.name);
        self.centred(heading.address.as_deref().unwrap_or_default());
        self.centred(&format!("PIN: {}", invoice.device.tin));
        if let Standing::Signed(_) = standing {
            if copy {
                self.big("COPY");
            }
        } else {
            if matches!(standing, Standing::Refused(_)) {
                self.big("REFUSED BY KRA");
            }
            self.big(UNOFFICIAL);
        }
        self.centred(heading.top_message.as_deref().unwrap_or_default());
        self.centred(title(self.receipt));
        if let Standing::Signed(Signed { qr_url, .. }) = standing {
            self.rows.push(Row::Qr(qr_url.to_owned()));
        }
        self.rule();
    }

    fn buyer(&mut self) {
        let customer = &self.receipt.invoice.customer;
        let before = self.rows.len();
        if let Some(tin) = &customer.tin {
            self.pair("BUYER PIN:", tin.as_str());
        }
        self.pair("BUYER:", customer.name.as_deref().unwrap_or_default());
        if self.receipt.invoice.receipt_type == ReceiptType::CreditNote {
            match (self.receipt.original, self.receipt.original_trader_ref) {
                (Some(number), _) => self.pair("ORIGINAL CU INVOICE NO:", number),
                (None, own) => self.pair("ORIGINAL RECEIPT NUMBER:", own.unwrap_or_default()),
            }
            self.left("This credit note is approved only for the original sales receipt.");
        }
        if self.rows.len() > before {
            self.rule();
        }
    }

    fn goods(&mut self) {
        let invoice = self.receipt.invoice;
        for line in &invoice.lines {
            self.left(&line.name);
            let each = format!("  {} x {}", money(line.price), quantity(line.quantity));
            let amount = format!("{}{}", self.money(line.supply), mark(line.tax_type));
            self.pair(&each, &amount);
            if line.discount != Amount::ZERO {
                let discount = format!("  discount {}", per_cent(line.discount_rate));
                self.pair(&discount, &format!("({})", money(line.discount)));
            }
        }
        self.rule();
    }

    fn totals(&mut self) {
        let invoice = self.receipt.invoice;
        let (before, discount) = supply_and_discount(invoice);
        if discount != Amount::ZERO {
            self.pair("TOTAL BEFORE DISCOUNT", &self.money(before));
            self.pair("TOTAL DISCOUNT AWARDED", &format!("({})", money(discount)));
        }
        let net = invoice.total.checked_sub(invoice.total_tax).unwrap_or(invoice.total);
        self.pair("SUB TOTAL", &self.money(net));
        self.pair("VAT", &self.money(invoice.total_tax));
        self.pair("TOTAL", &self.money(invoice.total));
        self.pair(payment(&invoice.payment_type), &self.money(invoice.total));
        self.pair("ITEMS NUMBER", &invoice.lines.len().to_string());
        self.rule();
    }

    fn taxes(&mut self) {
        let invoice = self.receipt.invoice;
        let cells = |cells: [&str; 3]| Row::Columns(cells.map(str::to_owned).to_vec());
        let of_type = |tax_type: TaxType| -> &TaxTotal { &invoice.by_tax_type[tax_type.index()] };
        self.rows.push(cells(["TAX", "TAXABLE", "VAT"]));
        for tax_type in TaxType::ALL {
            let total = of_type(tax_type);
            let name = tax_name(tax_type, total.rate);
            self.rows.push(cells([&name, &self.money(total.taxable), &self.money(total.tax)]));
        }
        if invoice.receipt_type == ReceiptType::CreditNote {
            for tax_type in TaxType::ALL.into_iter().filter(|it| of_type(*it).taxable != Amount::ZERO) {
                let total = of_type(tax_type);
                let name = tax_name(tax_type, total.rate);
                self.pair(&format!("TOTAL {name}"), &self.money(total.taxable));
                self.pair(&format!("TOTAL TAX {name}"), &self.money(total.tax));
            }
        }
        self.rule();
    }

    fn control_unit(&mut self, signed: &Signed<'_>) {
        let proof = signed.proof;
        let (date, time) = date_and_time(proof.issued_at);
        let label = label(self.receipt).unwrap_or_default();
        self.centred("SCU INFORMATION");
        self.pair(&format!("Date: {date}"), &format!("Time: {time}"));
        self.pair("SCU ID:", signed.scu_id);
        self.pair("CU INVOICE NO:", &signed.cu_invoice_no());
        self.pair("RECEIPT NUMBER:", &format!("{}/{} {label}", proof.receipt_no, proof.total_receipt_no));
        self.left("Internal Data:");
        self.centred(&group_in_fours(&proof.internal_data));
        self.left("Receipt Signature:");
        self.centred(&group_in_fours(&proof.signature));
        self.rule();
    }

    fn slip(&mut self, slip: &Slip<'_>) {
        let (date, time) = date_and_time(slip.accepted_at);
        let credit_note = self.receipt.invoice.receipt_type == ReceiptType::CreditNote;
        self.left(match (self.receipt.standing, credit_note) {
            (Standing::Refused(_), true) => {
                "KRA has refused this credit note and has nothing under it: this slip is not valid."
            }
            (Standing::Refused(_), false) => {
                "KRA has refused this sale and has no invoice for it: this slip is not valid."
            }
            (_, true) => {
                "KRA has not answered yet. This slip is no fiscal credit note: that follows when KRA has signed it."
            }
            (_, false) => {
                "KRA has not answered yet. This slip is no fiscal receipt: the fiscal receipt follows when KRA has signed \
                 the sale."
            }
        });
        self.pair("PROVISIONAL NO:", slip.number);
        self.pair(&format!("Date: {date}"), &format!("Time: {time}"));
        self.left("Till Signature:");
        self.centred(slip.signature);
        self.rule();
    }

    fn till(&mut self) {
        let invoice = self.receipt.invoice;
        let (date, time) = date_and_time(invoice.confirmed_at);
        self.centred("TIS INFORMATION");
        self.pair("RECEIPT NUMBER:", self.receipt.trader_ref);
        if matches!(self.receipt.standing, Standing::NotFiscal) {
            self.pair("RECEIPT LABEL:", label(self.receipt).unwrap_or_default());
        }
        self.pair(&format!("Date: {date}"), &format!("Time: {time}"));
        self.rule();
    }

    fn end(&mut self) {
        match self.receipt.standing {
            Standing::Signed(_) if self.receipt.copy => self.big("COPY"),
            Standing::Signed(_) => {}
            Standing::NotFiscal | Standing::Refused(_) | Standing::Waiting(_) => self.big(UNOFFICIAL),
        }
        self.centred(self.receipt.heading.bottom_message.as_deref().unwrap_or_default());
        self.simulated();
    }

    fn simulated(&mut self) {
        if self.receipt.simulated {
            self.big("SIMULATOR");
        }
    }

    fn money(&self, amount: Amount) -> String {
        money(signed_amount(self.receipt.invoice, amount))
    }

    fn big(&mut self, text: &str) {
        self.rows.push(Row::Centred(text.to_owned(), Size::Double));
    }

    /// Nothing where there is nothing to say.
    fn centred(&mut self, text: &str) {
        if !text.trim().is_empty() {
            self.rows.push(Row::Centred(text.to_owned(), Size::Plain));
        }
    }

    fn left(&mut self, text: &str) {
        if !text.trim().is_empty() {
            self.rows.push(Row::Left(text.to_owned()));
        }
    }

    /// Nothing where there is no value.
    fn pair(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.rows.push(Row::Pair(name.to_owned(), value.to_owned()));
        }
    }

    fn rule(&mut self) {
        self.rows.push(Row::Rule);
    }
}
