//! The facts of a receipt, for a till that lays them out itself.

use serde_json::{Map, Value, json};

use super::figures::{date_and_time, mark, payment, tax_name};
use super::layout::{label, signed_amount, supply_and_discount, title};
use super::{Receipt, Standing};
use crate::fiscal::{Amount, ReceiptType, TaxType, group_in_fours};

/// The receipt as a JSON object. Amounts are texts with two decimals; those of a credit note are negative, as on paper.
pub fn json(receipt: &Receipt<'_>) -> Value {
    let Receipt { heading, invoice, trader_ref, standing, copy, original, original_trader_ref, simulated } =
        *receipt;
    let money = |amount: Amount| signed_amount(invoice, amount).to_string();
    let lines = invoice.lines.iter().map(|line| {
        json!({
            "itemNm": line.name,
            "prc": line.price.to_string(),
            "qty": line.quantity.to_string(),
            "amount": money(line.supply),
            "mark": mark(line.tax_type),
            "dcRt": line.discount_rate.to_string(),
            "dcAmt": line.discount.to_string(),
            "totAmt": money(line.total),
        })
    });
    let taxes = TaxType::ALL.into_iter().map(|tax_type| {
        let total = &invoice.by_tax_type[tax_type.index()];
        json!({
            "taxTyCd": tax_type.letter(),
            "name": tax_name(tax_type, total.rate),
            "rate": total.rate.to_string(),
            "taxblAmt": money(total.taxable),
            "taxAmt": money(total.tax),
        })
    });
    let (before, discount) = supply_and_discount(invoice);
    let net = invoice.total.checked_sub(invoice.total_tax).unwrap_or(invoice.total);
    let (date, time) = date_and_time(invoice.confirmed_at);
    let mut facts = json!({
        "title": title(receipt),
        "label": label(receipt),
        "official": matches!(standing, Standing::Signed(_)) && !simulated,
        "copy": copy,
        "simulator": simulated,
        "heading": {
            "name": heading.name,
            "address": heading.address,
            "tin": invoice.device.tin.as_str(),
            "bhfId": invoice.device.bhf_id.as_str(),
            "topMessage": heading.top_message,
            "bottomMessage": heading.bottom_message,
        },
        "buyer": { "custTin": invoice.customer.tin.as_ref().map(|tin| tin.as_str()), "custNm": invoice.customer.name },
        "itemList": lines.collect::<Vec<_>>(),
        "totals": {
            "beforeDiscount": money(before),
            "discount": discount.to_string(),
            "subTotal": money(net),
            "vat": money(invoice.total_tax),
            "total": money(invoice.total),
            "itemsNumber": invoice.lines.len(),
        },
        "payment": { "pmtTyCd": invoice.payment_type, "name": payment(&invoice.payment_type), "amount": money(invoice.total) },
        "taxes": taxes.collect::<Vec<_>>(),
        "tis": { "trdInvcNo": trader_ref, "date": date, "time": time },
    });
    if let Value::Object(facts) = &mut facts {
        if invoice.receipt_type == ReceiptType::CreditNote {
            facts.insert("originalCuInvoiceNo".to_owned(), json!(original));
            facts.insert("orgTrdInvcNo".to_owned(), json!(original_trader_ref));
        }
        add_standing(facts, standing);
    }
    facts
}

fn add_standing(facts: &mut Map<String, Value>, standing: Standing<'_>) {
    match standing {
        Standing::NotFiscal => {}
        Standing::Refused(slip) | Standing::Waiting(slip) => {
            let refused = matches!(standing, Standing::Refused(_));
            facts.insert("refusedByKra".to_owned(), json!(refused));
            facts.insert(
                "slip".to_owned(),
                json!({
                    "tempReceiptNo": slip.number,
                    "localSignature": slip.signature,
                    "acceptedAt": slip.accepted_at.rfc3339(),
                }),
            );
        }
        Standing::Signed(signed) => {
            let (date, time) = date_and_time(signed.proof.issued_at);
            facts.insert(
                "scu".to_owned(),
                json!({
                    "date": date,
                    "time": time,
                    "sdcId": signed.scu_id,
                    "cuInvoiceNo": signed.cu_invoice_no(),
                    "receiptNo": signed.proof.receipt_no,
                    "totalReceiptNo": signed.proof.total_receipt_no,
                    "internalData": group_in_fours(&signed.proof.internal_data),
                    "signature": group_in_fours(&signed.proof.signature),
                }),
            );
            facts.insert("qrUrl".to_owned(), json!(signed.qr_url));
        }
    }
}
