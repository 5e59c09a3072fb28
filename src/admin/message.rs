//! What the daemon tells its commands.

use serde::{Deserialize, Serialize};

use crate::fiscal::KraDateTime;
use crate::gateway::ports::{KeptItem, Sale};
use crate::queue::Seq;
use crate::status::{Alert, Snapshot};

/// The answer to `status`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct StatusMessage {
    /// Nothing of what makes the gateway count as degraded.
    pub healthy: bool,
    /// Everything.
    #[serde(flatten)]
    pub snapshot: Snapshot,
    /// What somebody must act on.
    pub alerts: Vec<Alert>,
}

/// A page of `queue list`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct QueuePage {
    /// In order of acceptance.
    pub documents: Vec<QueueRow>,
    /// On the first page: items that KRA did not take, and the first that wait.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<ItemRow>,
    /// Where to go on; none on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Seq>,
}

/// One item of the queue.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemRow {
    /// Its code.
    pub item_cd: String,
    /// Its name.
    pub item_nm: String,
    /// `queued`, `saved`, `refused` or `parked`.
    pub status: String,
    /// KRA's words, where it did not take it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
    /// The last sale that was sent naming it, where KRA did not take it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trd_invc_no: Option<String>,
    /// Since when it is as it is here, RFC 3339.
    pub as_of: String,
}

impl ItemRow {
    /// Of this item, and the sale that names it.
    pub fn of(kept: &KeptItem, trd_invc_no: Option<String>) -> Self {
        let as_of = KraDateTime::from_unix(kept.changed_ms.div_euclid(1000));
        Self {
            item_cd: kept.item.code.clone(),
            item_nm: kept.item.name.clone(),
            status: kept.standing.word().to_owned(),
            last: kept.standing.words().map(str::to_owned),
            trd_invc_no,
            as_of: as_of.map(KraDateTime::rfc3339).unwrap_or_default(),
        }
    }
}

/// One document of the queue.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueRow {
    /// Its running number.
    pub id: Seq,
    /// The register's own number.
    pub trd_invc_no: String,
    /// Where it stands.
    pub status: String,
    /// It may be in KRA's books.
    pub in_doubt: bool,
    /// KRA's number, where it is bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invc_no: Option<u64>,
    /// How long ago it was accepted, seconds.
    pub age_seconds: u64,
    /// Tries that KRA answered about it.
    pub attempts: u32,
    /// Sends whose outcome is unknown.
    #[serde(default)]
    pub unsure_sends: u32,
    /// The sale that a credit note undoes: the register's number of it, or KRA's where it was made elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credits: Option<String>,
    /// What the customer pays, or gets back.
    pub tot_amt: String,
    /// The provisional receipt's number.
    pub temp_receipt_no: String,
    /// KRA's last words about it, or what happened instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
}

impl QueueRow {
    /// Of this sale. Without its customer.
    pub fn of(sale: &Sale) -> Self {
        Self {
            id: sale.seq,
            trd_invc_no: sale.invoice.trader_ref.to_string(),
            status: sale.status.word().to_owned(),
            in_doubt: sale.in_doubt(),
            invc_no: sale.invoice_no,
            age_seconds: sale.age.as_secs(),
            attempts: sale.attempts,
            unsure_sends: sale.unsure_sends,
            credits: credits(sale),
            tot_amt: sale.invoice.total.to_string(),
            temp_receipt_no: crate::fiscal::temporary_receipt_no(sale.seq, &sale.hash),
            last: last(sale),
        }
    }
}

fn credits(sale: &Sale) -> Option<String> {
    let elsewhere = || Some(format!("invoice {} made elsewhere", sale.original_elsewhere()?));
    sale.named_original().map(str::to_owned).or_else(elsewhere)
}

/// What KRA said last, or what happened instead; what it waits for.
fn last(sale: &Sale) -> Option<String> {
    let said = sale.words_without_customer().map(|words| words.in_short()).filter(|text| !text.is_empty());
    if !sale.waits_for_sale {
        return said;
    }
    let waits = "waits for the sale that it credits";
    Some(said.map_or_else(|| waits.to_owned(), |said| format!("{waits}; {said}")))
}
