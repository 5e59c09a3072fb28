//! A person brings in a device that KRA registered elsewhere, a key that KRA gave again, or the right serial number of a
//! device that was configured wrongly and has sold meanwhile.

use tracing::{info, warn};

use super::ports::{Acted, Device, LedgerError, Registry};
use super::register_device::conclude;
use crate::fiscal::{CmcKey, DeviceIdentity, Registration};

/// What the person gave. Without any of KRA's values the serial number alone is put right, and KRA is asked as usual.
#[derive(Clone, Debug)]
pub struct Adoption {
    /// Which device.
    pub identity: DeviceIdentity,
    /// `cmcKey`; without it, one that lies here.
    pub key: Option<CmcKey>,
    /// `sdcId`.
    pub scu_id: Option<String>,
    /// `mrcNo`.
    pub mrc_no: Option<String>,
    /// `dvcId`.
    pub device_id: Option<String>,
    /// `taxprNm`: printed where `trader.name` is not set.
    pub taxpayer_name: Option<String>,
    /// The number that the next invoice gets.
    pub next_number: Option<u64>,
    /// Who, and why.
    pub by: Acted,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Adopted {
    /// KRA's values are taken in: the device is active.
    Active(Registration),
    /// The device has another serial number now; KRA is asked to register it.
    PutRight(DeviceIdentity),
    /// Nothing was changed, for this reason.
    Refused(String),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// `first`: where a new series begins; `None`: the series goes on.
    Adopt {
        first: Option<u64>,
        registration: Registration,
    },
    PutRight,
}

/// Brings the device in, where that changes nobody's sales.
///
/// # Errors
/// The store failed; the device stands as before.
pub(super) async fn adopt_device<L: Registry>(
    adoption: Adoption,
    registry: &L,
) -> Result<Adopted, LedgerError> {
    // An answer of KRA that nobody has read may say more than the person knows.
    if let Some(answer) = registry.kept_answer().await? {
        conclude(&answer, registry).await?;
    }
    let device = registry.device();
    let step = match judge(&adoption, &device, registry.has_documents(), registry.next_number()) {
        Ok(step) => step,
        Err(why) => return Ok(Adopted::Refused(why)),
    };
    let Adoption { identity, key, by, .. } = adoption;
    let Step::Adopt { first, registration } = step else {
        registry.put_right(&identity, &by).await?;
        warn!(
            name: "device_adopted",
            serial = %identity.serial,
            who = by.who,
            "the device's serial number was put right by a person"
        );
        return Ok(Adopted::PutRight(identity));
    };
    let key = match key {
        Some(key) => key,
        None => match registry.key_in_hand(&identity).await? {
            Some(key) => key,
            None => {
                let why = "there is no key of this device here: give the file that holds it with --key-file";
                return Ok(Adopted::Refused(why.to_owned()));
            }
        },
    };
    registry.adopt(&identity, &registration, &key, first, &by).await?;
    info!(name: "device_adopted", sdc_id = registration.scu_id, who = by.who, "device adopted");
    Ok(Adopted::Active(registration))
}

/// Whether this may be done, and what it comes to.
fn judge(
    adoption: &Adoption,
    device: &Device,
    has_documents: bool,
    next_number: u64,
) -> Result<Step, String> {
    let Adoption { identity, scu_id, mrc_no, .. } = adoption;
    let known = device.identity();
    if let Some(known) = known.filter(|it| it.tin != identity.tin || it.bhf_id != identity.bhf_id)
        && has_documents
    {
        return Err(format!(
            "the sales in this store belong to PIN {}, branch {}, and are never sent for another one: a device of PIN {}, \
             branch {} needs a state directory of its own",
            known.tin, known.bhf_id, identity.tin, identity.bhf_id
        ));
    }
    let values = adoption.key.is_some() || scu_id.is_some() || mrc_no.is_some();
    if let Some(registration) = device.registration() {
        if known != Some(identity) {
            let serial = known.map(|it| it.serial.to_string()).unwrap_or_default();
            return Err(format!(
                "this store's device is registered under the serial number {serial}: another device needs a state directory of \
                 its own"
            ));
        }
        if !values {
            return Err("the device is registered already, and no value of KRA's is given: nothing to adopt"
                .to_owned());
        }
        if adoption.next_number.is_some_and(|number| number != next_number) {
            return Err(format!(
                "the series goes on at {next_number}: another number is set with `etims-gateway series adopt --next N --reason TEXT`"
            ));
        }
        return Ok(Step::Adopt { first: None, registration: adoption.values_over(registration.clone()) });
    }
    if !values {
        return match known {
            Some(known) if known != identity => Ok(Step::PutRight),
            _ => Err("there is nothing to adopt: `etims-gateway device init` registers this device with KRA; what KRA gave \
                      elsewhere is taken in with --key-file, --sdc-id, --mrc-no and --next-invc-no"
                .to_owned()),
        };
    }
    if scu_id.is_none() || mrc_no.is_none() {
        return Err("--sdc-id and --mrc-no are both needed: no receipt is complete without them".to_owned());
    }
    match adoption.next_number {
        None => Err("--next-invc-no is needed: the number that the next invoice of this device gets; 1 if it has issued none, \
                     else one more than the last in KRA's books"
            .to_owned()),
        first => Ok(Step::Adopt { first, registration: adoption.values_over(Registration::default()) }),
    }
}

impl Adoption {
    /// The registration with the values that were given.
    fn values_over(&self, known: Registration) -> Registration {
        let over = |given: &Option<String>, known: String| given.clone().unwrap_or(known);
        Registration {
            device_id: over(&self.device_id, known.device_id),
            scu_id: over(&self.scu_id, known.scu_id),
            mrc_no: over(&self.mrc_no, known.mrc_no),
            taxpayer_name: over(&self.taxpayer_name, known.taxpayer_name),
            ..known
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fiscal::{BhfId, DeviceSerial, Tin};
    use crate::queue::Words;

    fn device(tin: &str, serial: &str) -> DeviceIdentity {
        DeviceIdentity {
            tin: Tin::new(tin).unwrap(),
            bhf_id: BhfId::new("00").unwrap(),
            serial: DeviceSerial::new(serial).unwrap(),
        }
    }

    fn right() -> DeviceIdentity {
        device("P051234567Z", "RIGHT")
    }

    fn bare() -> Adoption {
        Adoption {
            identity: right(),
            key: None,
            scu_id: None,
            mrc_no: None,
            device_id: None,
            taxpayer_name: None,
            next_number: None,
            by: Acted::default(),
        }
    }

    fn whole() -> Adoption {
        Adoption {
            key: Some(CmcKey::new("0123456789ABCDEF").unwrap()),
            scu_id: Some("KRACU1".to_owned()),
            mrc_no: Some("M1".to_owned()),
            next_number: Some(41),
            ..bare()
        }
    }

    #[test]
    fn what_may_be_brought_in() {
        let pending = |serial: &str| Device::Pending { identity: device("P051234567Z", serial), unknown: 0 };
        let failed = Device::Failed(right(), Words::default());
        let other_taxpayer = Device::Failed(device("A000000000B", "RIGHT"), Words::default());
        let registration =
            Registration { scu_id: "OLD".to_owned(), mrc_no: "M0".to_owned(), ..Registration::default() };
        let active = |serial: &str| Device::Active(device("P051234567Z", serial), registration.clone());
        let held = Device::Held {
            identity: right(),
            registration: Some(registration.clone()),
            words: Words::default(),
        };
        let new =
            Registration { scu_id: "KRACU1".to_owned(), mrc_no: "M1".to_owned(), ..Registration::default() };
        let first = |first| Ok(Step::Adopt { first, registration: new.clone() });

        let check = |adoption: Adoption, device: &Device, has_documents, expected: Result<Step, &str>| match (
            judge(&adoption, device, has_documents, 7),
            expected,
        ) {
            (Err(why), Err(part)) => assert!(why.contains(part), "{part:?}: {why}"),
            (found, expected) => assert_eq!(found.ok(), expected.ok(), "{adoption:?} {device:?}"),
        };
        // From every state in which the device is not registered.
        for device in [&Device::Unregistered, &failed, &pending("RIGHT"), &pending("MISTYPED")] {
            for has_documents in [false, true] {
                check(whole(), device, has_documents, first(Some(41)));
            }
            check(Adoption { next_number: None, ..whole() }, device, true, Err("--next-invc-no"));
            check(Adoption { mrc_no: None, ..whole() }, device, true, Err("--mrc-no"));
            // The key may lie here already.
            check(Adoption { key: None, ..whole() }, device, true, first(Some(41)));
        }
        // A mistyped serial number is put right; what was sold stays with its taxpayer.
        check(bare(), &pending("MISTYPED"), true, Ok(Step::PutRight));
        check(bare(), &pending("RIGHT"), true, Err("nothing to adopt"));
        check(bare(), &Device::Unregistered, false, Err("nothing to adopt"));
        check(bare(), &other_taxpayer, false, Ok(Step::PutRight));
        for adoption in [bare(), whole()] {
            check(adoption, &other_taxpayer, true, Err("state directory of its own"));
        }
        // A key that KRA gave again: the series goes on as it stands.
        let key_alone = Adoption { key: whole().key, ..bare() };
        for device in [&active("RIGHT"), &held] {
            check(
                key_alone.clone(),
                device,
                true,
                Ok(Step::Adopt { first: None, registration: registration.clone() }),
            );
            check(Adoption { next_number: Some(7), ..whole() }, device, true, first(None));
            check(whole(), device, true, Err("series adopt"));
            check(bare(), device, true, Err("nothing to adopt"));
        }
        check(whole(), &active("OTHER"), true, Err("registered under the serial number OTHER"));
    }
}
