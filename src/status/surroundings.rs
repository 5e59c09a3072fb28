//! The snapshot's parts about what is around the gateway: clock, disk, process, the last exchange with KRA.

use serde::{Deserialize, Serialize};

/// The clock's part.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClockSnapshot {
    /// Something keeps it right: the kernel's word.
    pub synchronised: bool,
    /// For how long nothing has kept it right, seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsynchronised_seconds: Option<u64>,
    /// What it is behind of, though that is past: in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behind: Option<String>,
    /// KRA's clock (`resultDt`) against ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kra: Option<SkewSnapshot>,
    /// The clock of the server that answered (`Date`) against ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<SkewSnapshot>,
    /// Registers whose last sale had a time in KRA's future.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fast_registers: Vec<FastRegister>,
}

/// A register whose clock is ahead of KRA's.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FastRegister {
    /// The port or socket that it sells by.
    pub origin: String,
    /// Its number for the sale.
    pub trd_invc_no: String,
    /// The time that it gave, 14 digits.
    pub cfm_dt: String,
    /// The time that KRA is told, 14 digits.
    pub told: String,
}

/// How far another clock is ahead of ours.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SkewSnapshot {
    /// Measured, milliseconds; negative where it is behind ours.
    pub ahead_ms: i64,
    /// What of it is certain, milliseconds: the answer's way and its whole seconds left out.
    pub certain_ms: i64,
}

/// The last exchange with KRA.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ExchangeSnapshot {
    /// KRA's function, or `connect`.
    pub function: String,
    /// What it meant, in one word.
    pub outcome: String,
    /// `resultCd`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_cd: Option<String>,
    /// HTTP status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// How long it took, milliseconds.
    pub took_ms: u64,
    /// How long ago it ended, seconds.
    pub age_seconds: u64,
}

/// A certificate that is in use.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateSnapshot {
    /// Whose.
    pub of: String,
    /// When it ends, RFC 3339.
    pub until: String,
    /// How long it is still good, seconds; negative where it has ended.
    pub remaining_seconds: i64,
}

/// The disk's part.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DiskSnapshot {
    /// Size of the file system, bytes.
    pub total_bytes: u64,
    /// Size of sled's files, bytes.
    pub index_bytes: u64,
    /// How worn the flash is, where it tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wear: Option<WearSnapshot>,
}

/// What an eMMC says of itself.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WearSnapshot {
    /// The device, such as `mmcblk0`.
    pub device: String,
    /// Life used, SLC and MLC areas: 1 is up to 10 %, 2 up to 20 %, ..., 11 beyond what it was made for; 0 is unknown.
    pub life_time: [u8; 2],
    /// Reserve blocks: 1 normal, 2 warning (80 % used), 3 urgent; 0 is unknown.
    pub pre_eol: u8,
}

/// The process's part.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ProcessSnapshot {
    /// Memory resident, bytes.
    pub resident_bytes: u64,
    /// Since its start, seconds.
    pub uptime_seconds: u64,
}
