//! `device init`, `device adopt`, `device moved`.

use hyper::StatusCode;
use serde::{Deserialize, Serialize};

use super::desk::{AdminDesk, refused, unreadable};
use super::order::{bad_request, by};
use crate::fiscal::{BhfId, CmcKey, DeviceIdentity, DeviceSerial, Tin};
use crate::gateway::ports::{Authority, Clock, Exports, ItemLog, Ledger, Registry, StoreHealth, Stories};
use crate::gateway::{Adopted, Adoption, Registered};
use crate::http::{Answer, Request};
use crate::pos::{DeviceActive, Refusal, parse_device_request};

/// What `device adopt` brings in; what is left out is not known, or not needed.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdoptMessage {
    /// Taxpayer.
    pub tin: String,
    /// Branch.
    pub bhf_id: String,
    /// Serial.
    pub serial_number: String,
    /// The device's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmc_key: Option<String>,
    /// The sales control unit's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sdc_id: Option<String>,
    /// Its machine code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mrc_no: Option<String>,
    /// KRA's id of the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dvc_id: Option<String>,
    /// The taxpayer's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taxpayer_name: Option<String>,
    /// The number of the next invoice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_invc_no: Option<u64>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What `device adopt` and `device moved` came to.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct DeviceActed {
    /// Something was changed.
    pub changed: bool,
    /// What was done, and what is to be done next.
    pub message: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MovedMessage {
    reason: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Key<'a> {
    cmc_key: &'a str,
}

impl<L: Exports + ItemLog + Ledger + Registry + Stories + StoreHealth, A: Authority, C: Clock>
    AdminDesk<L, A, C>
{
    pub(super) async fn init_device(&self, body: &[u8]) -> Answer {
        let identity = match parse_device_request(body) {
            Ok(identity) => identity,
            Err(refusal) => return refused(refusal),
        };
        match self.registrar.register(identity).await {
            Ok(Registered::Now(_, registration, _) | Registered::Already(_, registration)) => {
                Answer::json(StatusCode::OK, &DeviceActive::again(&registration))
            }
            Ok(Registered::Away(words)) => refused(Refusal::KraAway {
                message: words.message,
                retry_after: 30,
                result_cd: words.result_cd,
            }),
            Ok(Registered::Refused(words)) => refused(Refusal::KraRefused {
                message: words.message,
                retry_after: 30,
                result_cd: words.result_cd,
            }),
            Ok(Registered::Differs(_)) => refused(Refusal::DeviceDiffers),
            Err(error) => unreadable(&error),
        }
    }

    /// For `device init --show-key`: the socket is root's, and the key may have to be written down once.
    pub(super) fn key(&self) -> Answer {
        match self.ledger.key() {
            Some(key) => Answer::json(StatusCode::OK, &Key { cmc_key: key.reveal() }),
            None => Answer::refusal(StatusCode::NOT_FOUND, "no_key", "the device is not registered yet"),
        }
    }

    pub(super) async fn adopt_device(&self, request: &Request) -> Answer {
        let adoption = match serde_json::from_slice::<AdoptMessage>(&request.body) {
            // The parser's words may repeat what it read, and that may be the key.
            Err(_) => return bad_request("the request is not understood"),
            Ok(message) => match adoption(message, request) {
                Ok(adoption) => adoption,
                Err(why) => return bad_request(&why),
            },
        };
        let serial = adoption.identity.serial.clone();
        let (changed, message) = match self.registrar.adopt(adoption).await {
            Ok(Adopted::Active(registration)) => (
                true,
                format!(
                    "the device {serial} is active with the SCU {}; the number series is compared with KRA's books before \
                     anything is sent",
                    registration.scu_id
                ),
            ),
            Ok(Adopted::PutRight(identity)) => (
                true,
                format!(
                    "the device has the serial number {} now, what was sold stays in its place, and KRA is asked to register \
                     it; set device.serial_number to it in the configuration",
                    identity.serial
                ),
            ),
            Ok(Adopted::Refused(why)) => return Answer::refusal(StatusCode::CONFLICT, "not_allowed", &why),
            Err(error) => return unreadable(&error),
        };
        Answer::json(StatusCode::OK, &DeviceActed { changed, message })
    }

    pub(super) async fn device_moved(&self, request: &Request) -> Answer {
        let reason = match serde_json::from_slice::<MovedMessage>(&request.body) {
            Ok(MovedMessage { reason }) if !reason.trim().is_empty() => reason,
            _ => return bad_request("a reason is needed"),
        };
        let acted = match by(request, "device-moved", Some(reason)) {
            Ok(acted) => acted,
            Err(why) => return bad_request(&why),
        };
        let message = match self.registrar.settle_here(acted).await {
            Ok(true) => "recorded: this is the hardware of this store from now on; what waits is sent",
            Ok(false) => "the hardware is the one that this store knows: there is nothing to confirm",
            Err(error) => return unreadable(&error),
        };
        let changed = message.starts_with("recorded");
        Answer::json(StatusCode::OK, &DeviceActed { changed, message: message.to_owned() })
    }
}

fn adoption(message: AdoptMessage, request: &Request) -> Result<Adoption, String> {
    let said = |name: &'static str| move |fault: crate::fiscal::IdentityFault| format!("{name} {fault}");
    let identity = DeviceIdentity {
        tin: Tin::new(&message.tin).map_err(said("tin"))?,
        bhf_id: BhfId::new(&message.bhf_id).map_err(said("bhfId"))?,
        serial: DeviceSerial::new(&message.serial_number).map_err(said("serialNumber"))?,
    };
    let key = match &message.cmc_key {
        Some(key) => Some(CmcKey::new(key).map_err(said("the key"))?),
        None => None,
    };
    for (name, text) in [("sdcId", &message.sdc_id), ("mrcNo", &message.mrc_no), ("dvcId", &message.dvc_id)] {
        if text.as_ref().is_some_and(|text| !is_kras_name(text)) {
            return Err(format!("{name} must be 1 to 100 visible characters without blanks at its ends"));
        }
    }
    if message.next_invc_no == Some(0) {
        return Err("nextInvcNo must be at least 1".to_owned());
    }
    Ok(Adoption {
        identity,
        key,
        scu_id: message.sdc_id,
        mrc_no: message.mrc_no,
        device_id: message.dvc_id,
        taxpayer_name: message.taxpayer_name,
        next_number: message.next_invc_no,
        by: by(request, "device-adopt", message.reason)?,
    })
}

fn is_kras_name(text: &str) -> bool {
    (1..=100).contains(&text.len()) && text.trim() == text && !text.chars().any(char::is_control)
}
