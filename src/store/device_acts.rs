//! What people say about the device and the hardware it stands on: ADMIN records, in one commit with what they change.

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use super::admin_body::ActedBody;
use super::bodies::{self, Init, InitStep, from_json, to_json};
use super::hardware::Hardware;
use super::ledger::{JournalLedger, LedgerOpenError, Registered};
use super::registry::secret_failed;
use super::sale_body::{DeviceBody, UnreadableBody};
use super::{Effect, Identifier, Kind, Store};
use crate::fiscal::{CmcKey, DeviceIdentity, Registration};
use crate::gateway::ports::{Acted, Device, LedgerError};
use crate::queue::Words;
use crate::wire::initialise;

/// ADMIN, where it is about the device. Never its key.
#[derive(Debug, Serialize)]
struct DeviceActBody {
    #[serde(flatten)]
    acted: ActedBody,
    device: DeviceBody,
    #[serde(skip_serializing_if = "Option::is_none")]
    instead_of: Option<DeviceBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scu_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_number: Option<u64>,
}

/// ADMIN, where it is about the hardware.
#[derive(Debug, Deserialize, Serialize)]
struct HardwareBody {
    #[serde(flatten)]
    acted: ActedBody,
    hardware: Vec<IdentifierBody>,
}

#[derive(Debug, Deserialize, Serialize)]
struct IdentifierBody {
    name: String,
    /// SHA-256, hexadecimal.
    hash: String,
}

fn write_hardware(acted: &Acted, hardware: &[Identifier]) -> Vec<u8> {
    let hardware =
        hardware.iter().map(|it| IdentifierBody { name: it.name.clone(), hash: HEXLOWER.encode(&it.hash) });
    to_json(&HardwareBody { acted: ActedBody::of(acted), hardware: hardware.collect() })
}

fn read_hardware(bytes: &[u8]) -> Result<Vec<Identifier>, UnreadableBody> {
    let body: HardwareBody = from_json(bytes)?;
    let identifier = |it: IdentifierBody| {
        let hash = HEXLOWER.decode(it.hash.as_bytes()).ok().and_then(|hash| hash.try_into().ok());
        let hash = hash.ok_or_else(|| UnreadableBody(format!("the hash of {}", it.name)))?;
        Ok(Identifier { name: it.name, hash })
    };
    body.hardware.into_iter().map(identifier).collect()
}

/// What differs from the hardware that the store knows; nothing where it is the same.
pub(super) fn differing_hardware(store: &Store, here: &Hardware) -> Result<Vec<String>, LedgerOpenError> {
    let Some(at) = store.latest(Kind::Admin) else {
        return Ok(here.differs_from(&store.genesis().hardware));
    };
    let damaged = |what: String| LedgerOpenError::Damaged(format!("the record of the hardware: {what}"));
    let record = store.read(at).map_err(|error| damaged(error.to_string()))?;
    let known = read_hardware(&record.body).map_err(|error| damaged(error.to_string()))?;
    Ok(here.differs_from(&known))
}

/// What is said while the store stands on hardware that it does not know.
fn moved_words(differs: &[String]) -> Words {
    let message = format!(
        "this store was used on other hardware before ({}): the till was repaired, or this is a copy of another one. Sales are \
         taken, and nothing is sent to KRA. If no other till goes on with these sales, run `etims-gateway device moved --reason \
         TEXT`; a copy must be stopped for good and get a store and a device of its own",
        differs.join(", ")
    );
    Words { message, ..Words::default() }
}

impl JournalLedger {
    /// The device as the verbs see it: held, where the hardware is not what the store knows.
    pub(super) fn device_here(&self) -> Device {
        let registered = self.registered();
        let (identity, registration) = match &registered.device {
            Device::Unregistered => return Device::Unregistered,
            device if registered.moved.is_empty() => return device.clone(),
            device => (device.identity().cloned(), device.registration().cloned()),
        };
        match identity {
            Some(identity) => Device::Held { identity, registration, words: moved_words(&registered.moved) },
            None => Device::Unregistered,
        }
    }

    pub(super) async fn settle_hardware(&self, by: &Acted) -> Result<bool, LedgerError> {
        if self.registered().moved.is_empty() {
            return Ok(false);
        }
        let here = tokio::task::spawn_blocking(Hardware::of_this_machine).await;
        let here = here.map_err(|error| LedgerError::Failed(format!("reading the hardware: {error}")))?;
        let body = write_hardware(by, &here.identifiers());
        self.commit(vec![self.record_of(Kind::Admin, Effect::Hardware, body)]).await?;
        self.registered().moved = Vec::new();
        Ok(true)
    }

    pub(super) async fn put_device_right(
        &self,
        identity: &DeviceIdentity,
        by: &Acted,
    ) -> Result<(), LedgerError> {
        let _alone = self.identity.write().await;
        let (known, tries) = {
            let registered = self.registered();
            (registered.device.identity().cloned(), registered.tries.clone())
        };
        let act = DeviceActBody {
            acted: ActedBody::of(by),
            device: DeviceBody::of(identity),
            instead_of: known.as_ref().map(DeviceBody::of),
            scu_id: None,
            first_number: None,
        };
        let environment = self.terms.environment.clone();
        let init =
            Init { device: identity.clone(), instead_of: known, environment, step: InitStep::Awaited, tries };
        let records = vec![
            self.record_of(Kind::Admin, Effect::None, to_json(&act)),
            self.record_of(Kind::Init, Effect::None, bodies::write_init(&init)),
        ];
        self.commit(records).await?;
        self.become_registered(Registered::of(init));
        Ok(())
    }

    pub(super) async fn adopt_registration(
        &self,
        identity: &DeviceIdentity,
        registration: &Registration,
        key: &CmcKey,
        first_number: Option<u64>,
        by: &Acted,
    ) -> Result<(), LedgerError> {
        let _alone = self.identity.write().await;
        let known = self.registered().device.identity().filter(|known| *known != identity).cloned();
        let instead_of = known.or_else(|| self.registered().instead_of.clone());
        self.secrets.keep_key(key).await.map_err(|error| secret_failed(&error))?;
        let act = DeviceActBody {
            acted: ActedBody::of(by),
            device: DeviceBody::of(identity),
            instead_of: instead_of.as_ref().map(DeviceBody::of),
            scu_id: Some(registration.scu_id.clone()),
            first_number,
        };
        let begun_with = first_number.or(self.registered().first_number);
        let origin = (self.terms.environment.as_str(), begun_with, instead_of.as_ref());
        let body = bodies::write_registration(identity, registration, origin);
        // A key that was given again changes nothing about the numbers.
        let effect = first_number.map_or(Effect::None, |next| Effect::Series { next, last: None });
        let records = vec![
            self.record_of(Kind::Admin, Effect::None, to_json(&act)),
            self.record_of(Kind::Registration, effect, body),
        ];
        self.commit(records).await?;
        self.become_registered(Registered {
            device: Device::Active(identity.clone(), registration.clone()),
            environment: Some(self.terms.environment.clone()),
            key: Some(key.clone()),
            first_number: begun_with,
            instead_of,
            ..Registered::default()
        });
        self.tidy(self.secrets.forget_answer().await);
        Ok(())
    }

    /// Takes the place of what was known of the device; where it stands is another matter.
    pub(super) fn become_registered(&self, now: Registered) {
        let mut registered = self.registered();
        let moved = std::mem::take(&mut registered.moved);
        *registered = Registered { moved, ..now };
    }

    pub(super) async fn find_key(&self, identity: &DeviceIdentity) -> Result<Option<CmcKey>, LedgerError> {
        let apart = self.secrets.answers_apart().await.map_err(|error| secret_failed(&error))?;
        let answers = apart.iter().filter_map(|bytes| bodies::read_answer(bytes).ok());
        let mut ours = answers.filter(|(answer, environment)| {
            answer.device == *identity && *environment == self.terms.environment
        });
        if let Some(key) = ours.find_map(|(answer, _)| initialise::key(&answer.body)) {
            return Ok(Some(key));
        }
        self.secrets.any_key().await.map_err(|error| secret_failed(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardware_comes_back_and_who_said_so_stands_beside_it() {
        let acted = Acted {
            act: "device-moved".to_owned(),
            reason: Some("new board".to_owned()),
            who: "uid 0".to_owned(),
        };
        let hardware = vec![
            Identifier { name: "block/sda/wwid".to_owned(), hash: [7; 32] },
            Identifier { name: "dmi/product-uuid".to_owned(), hash: [0xAB; 32] },
        ];
        let bytes = write_hardware(&acted, &hardware);
        assert_eq!(read_hardware(&bytes).unwrap(), hardware);
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains("new board") && text.contains("uid 0"), "{text}");
        for bad in [r#"{"act":"a","who":"b","hardware":[{"name":"n","hash":"12"}]}"#, "{}", "no"] {
            assert!(read_hardware(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
