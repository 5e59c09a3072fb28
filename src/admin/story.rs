//! `queue show`: one document whole, with its story and what can be done.

use serde::{Deserialize, Serialize};

use super::message::QueueRow;
use crate::fiscal::KraDateTime;
use crate::gateway::ports::{Acted, Came, Chapter, NumberThen, Sale, Told};
use crate::queue::Status;
use crate::status::{About, advice, closed, commands};

/// One document, as a technician is shown it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DocumentMessage {
    /// How it stands.
    #[serde(flatten)]
    pub row: QueueRow,
    /// When it was accepted.
    pub accepted_at: String,
    /// The register's number of the refused sale that it corrects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// The register's number of the sale that corrects it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<String>,
    /// As what a person closed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled_as: Option<String>,
    /// What happened, oldest first.
    pub story: Vec<StoryLine>,
    /// What it means for the shop, where something does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// What a technician can do, one line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
}

/// One thing that happened.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct StoryLine {
    /// The record's running number.
    pub record: u64,
    /// When, RFC 3339.
    pub at: String,
    /// What.
    pub text: String,
}

impl DocumentMessage {
    /// Of this sale, with its records. Without its customer.
    pub fn of(sale: &Sale, chapters: &[Chapter]) -> Self {
        let row = QueueRow::of(sale);
        let about = About {
            trader_ref: &row.trd_invc_no,
            temporary_receipt_no: &row.temp_receipt_no,
            running_number: sale.seq,
            credit_note: sale.is_credit_note(),
        };
        let settled_as = sale.settled_as();
        let closed = || closed(settled_as, sale.replaced_by()).filter(|_| sale.status == Status::Settled);
        let line = |chapter: &Chapter| StoryLine {
            record: chapter.record,
            at: time(chapter.at_ms),
            text: sale.without_customer(&told(&chapter.what)),
        };
        Self {
            accepted_at: time(sale.accepted_ms),
            replaces: sale.invoice.replaces.as_ref().map(ToString::to_string),
            replaced_by: sale.replaced_by().map(str::to_owned),
            settled_as: settled_as.map(|it| it.word().to_owned()),
            story: chapters.iter().map(line).collect(),
            advice: advice(sale.status, about).or_else(closed),
            commands: commands(sale.status, sale.in_doubt(), sale.seq),
            row,
        }
    }
}

fn time(wall_ms: i64) -> String {
    KraDateTime::from_unix(wall_ms.div_euclid(1000)).map(KraDateTime::rfc3339).unwrap_or_default()
}

fn told(what: &Told) -> String {
    match what {
        Told::Accepted(origin) => format!("accepted from a register ({origin}), and on disk"),
        Told::Acted(acted) => by_whom(acted),
        Told::Bound(number) => format!("invoice number {number} tied to it, to be sent"),
        Told::Came(came) => match &came.acted {
            Some(acted) => format!("{}; it is {} now", by_whom(acted), came.status.word()),
            None => outcome(came),
        },
    }
}

fn by_whom(acted: &Acted) -> String {
    let Acted { act, reason, who } = acted;
    if act == "replaced" {
        return format!("the sale {who} was posted in its place");
    }
    let reason = reason.as_ref().map(|reason| format!(", because: {reason}")).unwrap_or_default();
    format!("{who} ordered \"{act}\"{reason}")
}

fn outcome(came: &Came) -> String {
    let words = came.words.in_short();
    let field = came.words.field.as_ref().map(|field| format!(" (field {field})")).unwrap_or_default();
    let said = if words.is_empty() { String::new() } else { format!(": {words}{field}") };
    let attempts = came.attempts;
    match (came.status, came.number) {
        (Status::Signed, _) => {
            let receipt = came.proof.as_ref().map(|proof| format!(", receipt number {}", proof.receipt_no));
            format!("signed by KRA{}", receipt.unwrap_or_default())
        }
        (Status::AcceptedNoProof, _) => format!("accepted by KRA, and its receipt could not be had{said}"),
        (Status::Rejected, _) => format!("refused by KRA for good{said}"),
        (Status::Parked, _) => format!("set aside after {attempts} tries{said}"),
        (Status::Pending, NumberThen::Freed) => {
            format!("not in KRA's books, its number is free again (tries so far: {attempts}){said}")
        }
        (Status::Pending, _) if came.unsure_sends > 0 => format!("in doubt, KRA may have it{said}"),
        (Status::Pending, _) => format!("tried again later (tries so far: {attempts}){said}"),
        (Status::NotFiscal | Status::Settled, _) => format!("{}{said}", came.status.word()),
    }
}
