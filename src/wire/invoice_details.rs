//! `selectInvoiceDetails`: what KRA's books hold under a number. The one call that makes a lost answer recoverable. And
//! `selectTrnsSalesList`, where a server without it may still show the proof of a sale that it has (delivery rules, 3).

use crate::fiscal::{DeviceIdentity, KraDateTime};
use crate::queue::{FoundInvoice, FoundLine, LookedUp, Verdict, Words};

use super::body::Body;
use super::envelope::{self, Envelope};
use super::result_code::{Answer, classify};
use super::tree::Tree;
use super::{Format, FrozenRequest, Function};

/// The question for one number.
pub fn encode(format: Format, device: &DeviceIdentity, invoice_no: u64) -> FrozenRequest {
    Body::frozen(Function::SelectInvoiceDetails, format, device, |body| body.number("invcNo", invoice_no))
}

/// The question for all that KRA received of this device after a moment.
pub fn encode_list(format: Format, device: &DeviceIdentity, since: KraDateTime) -> FrozenRequest {
    Body::frozen(Function::SelectTrnsSalesList, format, device, |body| {
        body.text("lastReqDt", &since.to_string());
    })
}

/// Reads the answer to the question for `asked`. Only a plain "no search result" (001) counts as absent: it lets the
/// same bytes be sent again.
pub fn read(asked: u64, answer: &Answer<'_>) -> LookedUp {
    let (candidates, mut words) = match candidates(answer) {
        Ok(found) => found,
        Err(other) => return other,
    };
    let named = candidates.iter().find(|sale| sale.invoice_no == Some(asked));
    let nameless = candidates.iter().find(|sale| sale.invoice_no.is_none()).filter(|_| candidates.len() == 1);
    if let Some(sale) = named.or(nameless) {
        return LookedUp::Found(Box::new(sale.clone()));
    }
    words.message = match candidates.first().and_then(|sale| sale.invoice_no) {
        Some(other) => format!("asked for invoice {asked}, the answer is about {other}"),
        None => format!("the answer says success but holds no sale with number {asked}"),
    };
    LookedUp::Failed(words)
}

/// Reads what a list of sales says of `asked`. A list may be cut short: what is not in it is not proven absent, and nothing
/// is ever sent because of it.
pub fn read_list(asked: u64, answer: &Answer<'_>) -> LookedUp {
    match candidates(answer) {
        Ok((sales, words)) => match sales.into_iter().find(|sale| sale.invoice_no == Some(asked)) {
            Some(sale) => LookedUp::Found(Box::new(sale)),
            None => LookedUp::Failed(Words {
                message: format!("invoice {asked} is not in the list of sales"),
                ..words
            }),
        },
        Err(other) => other,
    }
}

/// The sales that an answer holds; what else it says.
fn candidates(answer: &Answer<'_>) -> Result<(Vec<FoundInvoice>, Words), LookedUp> {
    let tree = Tree::read(answer.body);
    let opened = tree.as_ref().ok().and_then(Envelope::open);
    let Some(envelope) = opened else {
        let why = match &tree {
            Ok(_) => "it has no resultCd".to_owned(),
            Err(fault) => fault.to_string(),
        };
        let words = answer.unreadable(&why);
        return Err(if answer.http_status == 404 { LookedUp::Missing(words) } else { failed(answer, words) });
    };
    let words = answer.words(&envelope);
    match envelope.code().as_deref() {
        Some("000") => Ok((envelope.data.map(sales).unwrap_or_default(), words)),
        Some("001") if answer.http_status < 500 => Err(LookedUp::Absent),
        Some("912") => Err(LookedUp::Missing(words)),
        None if envelope.response_code == Some(404) => Err(LookedUp::Missing(words)),
        _ => Err(failed(answer, words)),
    }
}

/// A failure that says more than that: the device refused, or a quota used up.
fn failed(answer: &Answer<'_>, words: Words) -> LookedUp {
    match classify(answer) {
        Verdict::Busy(busy) => LookedUp::Busy(busy),
        Verdict::Device(words) => LookedUp::Refused(words),
        _ => LookedUp::Failed(words),
    }
}

/// The sales in an answer: in a list, alone, or as the data itself.
fn sales(data: &Tree<'_>) -> Vec<FoundInvoice> {
    let list = data.list("salesList").or_else(|| data.list("saleList"));
    let sales = match (list, data) {
        (Some(list), _) => list,
        (None, Tree::List(list)) => list,
        (None, alone) => std::slice::from_ref(alone),
    };
    sales.iter().filter(|sale| holds_a_sale(sale)).map(sale).collect()
}

fn holds_a_sale(tree: &Tree<'_>) -> bool {
    ["invcNo", "trdInvcNo", "totAmt"].iter().any(|name| tree.field(name).is_some())
}

fn sale(tree: &Tree<'_>) -> FoundInvoice {
    let text = |name| tree.text(name).map(str::to_owned);
    let places = match tree.field("receipt") {
        Some(receipt) => vec![receipt, tree],
        None => vec![tree],
    };
    FoundInvoice {
        invoice_no: tree.whole("invcNo"),
        trader_ref: text("trdInvcNo"),
        receipt_type: text("rcptTyCd"),
        original_invoice_no: tree.whole("orgInvcNo"),
        confirmed_at: tree.time("cfmDt"),
        total_taxable: tree.amount("totTaxblAmt"),
        total_tax: tree.amount("totTaxAmt"),
        total: tree.amount("totAmt"),
        lines: tree.list("itemList").map(|lines| lines.iter().map(line).collect()),
        signature: places.iter().find_map(|place| place.text("rcptSign")).map(str::to_owned),
        proof: envelope::proof(&places),
    }
}

fn line(tree: &Tree<'_>) -> FoundLine {
    FoundLine {
        item_code: tree.text("itemCd").map(str::to_owned),
        quantity: tree.quantity("qty"),
        price: tree.amount("prc"),
        tax_type: tree.text("taxTyCd").map(str::to_owned),
        total: tree.amount("totAmt"),
    }
}

#[cfg(test)]
#[path = "invoice_details_tests.rs"]
mod tests;
