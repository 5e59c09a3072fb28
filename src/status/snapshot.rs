//! Everything that status, health and alerts are made from, at one moment.

use serde::{Deserialize, Serialize};

use super::{
    CertificateSnapshot, ClockSnapshot, DiskSnapshot, ExchangeSnapshot, ListsSnapshot, ProcessSnapshot,
    SerialSnapshot,
};

/// The state of everything at one moment.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// Of the program.
    pub version: String,
    /// Which KRA: the configuration's word.
    pub environment: String,
    /// `xml` or `json`.
    pub wire: String,
    /// The device.
    pub device: DeviceSnapshot,
    /// The line to KRA.
    pub kra: KraSnapshot,
    /// The queue.
    pub queue: QueueSnapshot,
    /// The items.
    #[serde(default)]
    pub items: ItemsSnapshot,
    /// The last sale that KRA signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_signed: Option<LastSigned>,
    /// The store.
    pub store: StoreSnapshot,
    /// Webhooks that do not take what they are told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting_webhooks: Vec<WaitingWebhook>,
    /// The serial ports of the configuration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub serial: Vec<SerialSnapshot>,
    /// KRA's lists, and the rates by them.
    #[serde(default)]
    pub lists: ListsSnapshot,
    /// The disk below it, where it was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<DiskSnapshot>,
    /// The clock.
    #[serde(default)]
    pub clock: ClockSnapshot,
    /// The daemon's process.
    #[serde(default)]
    pub process: ProcessSnapshot,
    /// The Ed25519 public key that our signatures are checked with, base64.
    pub public_key: String,
    /// Age of the oldest unsent sale that alerts, seconds.
    pub offline_warn_seconds: u64,
}

/// The items' part.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ItemsSnapshot {
    /// In the catalogue.
    pub total: u64,
    /// Waiting to be saved at KRA.
    pub queued: u64,
    /// Refused by KRA, or their tries spent.
    pub aside: u64,
    /// The first of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedItem>,
    /// Why none is saved though KRA answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
}

/// An item that KRA did not take.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusedItem {
    /// Its code.
    pub item_cd: String,
    /// `refused` or `parked`.
    pub standing: String,
    /// KRA's words.
    pub kra_message: String,
    /// The last sale that was sent naming it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trd_invc_no: Option<String>,
}

/// The device's part.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceSnapshot {
    /// `unregistered`, `pending`, `active`, `failed` or `held`.
    pub status: String,
    /// KRA's id of the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    /// Taxpayer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tin: Option<String>,
    /// Branch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bhf_id: Option<String>,
    /// Serial.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial_number: Option<String>,
    /// The sales control unit's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sdc_id: Option<String>,
    /// Why it is not active, in KRA's words or ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A webhook that does not take an event.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WaitingWebhook {
    /// `alert` or `till`.
    pub name: String,
    /// The event that it is posted again and again.
    pub event: u64,
    /// What came of it last.
    pub why: String,
    /// How long it has not taken it, seconds.
    pub seconds: u64,
}

/// The line's part.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KraSnapshot {
    /// It answered when last asked.
    pub up: bool,
    /// When it last answered, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_contact: Option<String>,
    /// The last exchange.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_exchange: Option<ExchangeSnapshot>,
    /// The certificates in use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<CertificateSnapshot>,
    /// Why nothing is sent though KRA answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
    /// Why the number series stands still.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub series_stopped: Option<String>,
}

/// The queue's part.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueSnapshot {
    /// Pending, those in doubt included.
    pub waiting: u64,
    /// Pending, and perhaps in KRA's books.
    pub in_doubt: u64,
    /// Set aside.
    pub parked: u64,
    /// Refused by KRA and open.
    pub rejected: u64,
    /// The oldest of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedSale>,
    /// In KRA's books, without the proof that belongs on the receipt.
    #[serde(default)]
    pub accepted_no_proof: u64,
    /// Of these, those that KRA's books do not show.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub denied: Vec<DeniedSale>,
    /// Age of the oldest pending one; 0 where none waits.
    pub oldest_age_seconds: u64,
    /// New sales are refused because of it, with this word: `offline_limit` or `queue_full`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub takes_none: Option<String>,
}

/// A sale that KRA called accepted and that its books do not show under its number.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeniedSale {
    /// Its running number.
    pub id: u64,
    /// KRA's number that it was sent under.
    pub invc_no: u64,
    /// The register's number of the sale that they hold under it, where they hold another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stranger: Option<String>,
}

/// A sale that KRA refused and nobody has settled. Without its customer, in KRA's words too.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusedSale {
    /// Its running number.
    pub id: u64,
    /// The register's number.
    pub trd_invc_no: String,
    /// The number on the slip that was given.
    pub temp_receipt_no: String,
    /// When it was accepted, RFC 3339.
    pub accepted_at: String,
    /// What the customer paid, or got back.
    pub tot_amt: String,
    /// It is a credit note.
    #[serde(default)]
    pub credit_note: bool,
    /// KRA's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_cd: Option<String>,
    /// The field that KRA names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// KRA's words.
    pub kra_message: String,
}

/// The last receipt.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LastSigned {
    /// The register's number.
    pub trd_invc_no: String,
    /// KRA's number.
    pub invc_no: u64,
    /// KRA's time, 14 digits.
    pub sdc_date_time: String,
}

/// The store's part.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoreSnapshot {
    /// Where it is.
    pub dir: String,
    /// The last record's running number.
    pub last_record: u64,
    /// Size of the journal, bytes.
    pub journal_bytes: u64,
    /// Free space on its disk, bytes.
    pub free_bytes: u64,
    /// Below this, new sales are refused, bytes.
    pub min_free_bytes: u64,
    /// What can be written before the disk is as full as it may get, bytes.
    pub ahead_bytes: u64,
    /// What becomes of the sales that wait will take this much, bytes.
    pub needed_bytes: u64,
    /// `enough`, `filling` (sales are taken still) or `low` (they are refused).
    pub disk: String,
    /// The reserve for a full disk stands ready; absent: none is wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserve: Option<bool>,
    /// The last write and sync went well.
    pub works: bool,
    /// Damage that was found in the journal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub damage: Vec<String>,
    /// What else a person should know of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}
