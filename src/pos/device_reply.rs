//! What a till is told of the device, and of the gateway's health.

use serde::Serialize;

use crate::fiscal::{CmcKey, DeviceIdentity, KraDateTime, Registration};

/// The answer to a registration.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceActive {
    device_id: String,
    cmc_key: String,
    status: &'static str,
    sdc_id: String,
    mrc_no: String,
    taxpayer_name: String,
}

impl DeviceActive {
    /// With the whole key: for the one answer that registered the device.
    pub fn first(registration: &Registration, key: &CmcKey) -> Self {
        Self { cmc_key: key.reveal().to_owned(), ..Self::again(registration) }
    }

    /// With the key masked.
    pub fn again(registration: &Registration) -> Self {
        Self {
            device_id: registration.device_id.clone(),
            cmc_key: "****".to_owned(),
            status: "active",
            sdc_id: registration.scu_id.clone(),
            mrc_no: registration.mrc_no.clone(),
            taxpayer_name: registration.taxpayer_name.clone(),
        }
    }
}

/// Never prints the key.
impl std::fmt::Debug for DeviceActive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeviceActive").field("device_id", &self.device_id).finish_non_exhaustive()
    }
}

/// Whether KRA can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LineWord {
    /// It cannot.
    Down,
    /// It can.
    Up,
}

/// The queue in figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueCounts {
    /// Pending sales and credit notes, those in doubt included.
    pub waiting: u64,
    /// Sent, and nobody knows whether they are in.
    pub in_doubt: u64,
    /// Set aside.
    pub parked: u64,
    /// Refused by KRA and not settled.
    pub rejected: u64,
    /// How long the oldest waits; 0 where none does.
    pub oldest_age_seconds: u64,
}

/// The device and its line to KRA. Never the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceStatus {
    #[serde(skip_serializing_if = "Option::is_none")]
    device_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tin: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bhf_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial_number: Option<String>,
    status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sdc_id: Option<String>,
    kra: LineWord,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_contact: Option<String>,
    public_key: String,
    queue: QueueCounts,
}

impl DeviceStatus {
    /// `status` is the device's state in one word (`unregistered`, `pending`, `active`, `failed`, `held`),
    /// `public_key` that of the local signatures, as exports show it.
    pub fn new(
        device: Option<&DeviceIdentity>,
        registration: Option<&Registration>,
        status: &str,
        (kra, last_contact): (LineWord, Option<KraDateTime>),
        public_key: &str,
        queue: QueueCounts,
    ) -> Self {
        Self {
            device_id: registration.map(|it| it.device_id.clone()).filter(|it| !it.is_empty()),
            tin: device.map(|device| device.tin.to_string()),
            bhf_id: device.map(|device| device.bhf_id.to_string()),
            serial_number: device.map(|device| device.serial.to_string()),
            status: status.to_owned(),
            sdc_id: registration.map(|registration| registration.scu_id.clone()),
            kra,
            last_contact: last_contact.map(KraDateTime::rfc3339),
            public_key: public_key.to_owned(),
            queue,
        }
    }
}

/// How the gateway is, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthWord {
    /// It works, but somebody should look.
    Degraded,
    /// All is well.
    Healthy,
    /// Nothing can be accepted: the store does not take writes.
    Unhealthy,
}

/// The gateway's health.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Health {
    /// In one word; [`Unhealthy`](HealthWord::Unhealthy) is answered with 503.
    pub status: HealthWord,
    /// The line to KRA.
    pub kra: LineWord,
    /// The store.
    pub db: LineWord,
    /// The queue.
    pub queue: QueueCounts,
    /// The gateway's version.
    pub version: &'static str,
}
