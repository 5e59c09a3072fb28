//! The device is registered with KRA once; its key is shown once and never lost.

use tracing::{error, info, warn};

use super::ports::{Authority, Device, Initialised, KeptAnswer, LedgerError, RegistrationFailure, Registry};
use crate::fiscal::{CmcKey, DeviceIdentity, Registration};
use crate::queue::{Probed, Words};
use crate::wire::initialise::{self, InitialiseRefusal};

/// What came of asking for a registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Registered {
    /// It was registered before: KRA was not asked.
    Already(DeviceIdentity, Registration),
    /// KRA could not be reached, or its answer was lost: the device stays pending.
    Away(Words),
    /// The gateway serves another device.
    Differs(DeviceIdentity),
    /// KRA registered it now; the one time that the key is handed out.
    Now(DeviceIdentity, Registration, CmcKey),
    /// KRA said no.
    Refused(Words),
}

/// How often a request whose answer was lost is repeated before a person has to look.
const LOST_ANSWERS: u32 = 2;

/// Registers `identity`, unless it is registered already. `by_hand`: a person or a till asks, not the daemon by itself.
/// Once the intent is recorded this must not be dropped: KRA gives the key in one answer only. Until then it ends when
/// `stopping` resolves.
///
/// # Errors
/// The store failed; nothing was sent, or KRA's answer is kept and read at the next try.
pub(super) async fn register_device<L: Registry, A: Authority>(
    identity: DeviceIdentity,
    by_hand: bool,
    registry: &L,
    authority: &A,
    stopping: impl Future<Output = ()> + Send,
) -> Result<Registered, LedgerError> {
    // Before anything else: what KRA said last time may be the only copy of a key.
    if let Some(answer) = registry.kept_answer().await? {
        let concluded = conclude(&answer, registry).await?;
        if answer.device == identity {
            return Ok(concluded);
        }
    }
    if let Some(known) = without_asking(&registry.device(), &identity, registry.has_documents(), by_hand) {
        return Ok(known);
    }
    let probed = tokio::select! {
        probed = authority.probe(&identity, None) => probed,
        () = stopping => return Err(LedgerError::Stopping),
    };
    if let Some(words) = nobody_to_ask(probed) {
        // No intent: nothing was sent, there is nothing to be in doubt about.
        if registry.device().identity() != Some(&identity) {
            registry.wait_for(&identity).await?;
        }
        return Ok(Registered::Away(words));
    }
    ask(identity, registry, authority).await
}

/// What can be said without asking KRA: nothing, where it is to be asked.
fn without_asking(
    device: &Device,
    identity: &DeviceIdentity,
    has_documents: bool,
    by_hand: bool,
) -> Option<Registered> {
    match device {
        Device::Active(known, registration) if known == identity => {
            Some(Registered::Already(known.clone(), registration.clone()))
        }
        Device::Active(known, _) => Some(Registered::Differs(known.clone())),
        Device::Held { identity: known, registration: Some(registration), .. } if known == identity => {
            Some(Registered::Already(known.clone(), registration.clone()))
        }
        Device::Held { identity: known, .. } if known != identity => Some(Registered::Differs(known.clone())),
        // What was sold meanwhile belongs to the device that it was sold on.
        Device::Failed(known, _) | Device::Pending { identity: known, .. } if known != identity => {
            has_documents.then(|| Registered::Differs(known.clone()))
        }
        Device::Failed(_, words) if !by_hand => Some(Registered::Refused(words.clone())),
        Device::Pending { unknown, .. } if *unknown >= LOST_ANSWERS && !by_hand => {
            let message = "KRA's answer to the registration was lost twice: ask KRA whether the device is registered, \
                           then run `etims-gateway device init` again";
            Some(Registered::Away(Words { message: message.to_owned(), ..Words::default() }))
        }
        Device::Held { words, .. } => Some(Registered::Refused(words.clone())),
        Device::Failed(..) | Device::Pending { .. } | Device::Unregistered => None,
    }
}

/// Why nobody is there to be asked. A refusal in KRA's or a gateway's own words is a presence: a device that is not
/// registered yet may well be refused a probe.
fn nobody_to_ask(probed: Probed) -> Option<Words> {
    match probed {
        Probed::Down(words) => Some(words),
        // Refused by nobody: the certificate is not trusted.
        Probed::Refused(words) if words.result_cd.is_none() && words.http_status.is_none() => Some(words),
        Probed::Refused(_) | Probed::Up => None,
    }
}

async fn ask<L: Registry, A: Authority>(
    identity: DeviceIdentity,
    registry: &L,
    authority: &A,
) -> Result<Registered, LedgerError> {
    registry.intend(&identity).await?;
    info!(
        name: "device_registering",
        tin = %identity.tin,
        bhf_id = %identity.bhf_id,
        "registering this device with KRA"
    );
    match authority.initialise(&identity).await {
        Initialised::Answered { http_status, body } => {
            let answer = KeptAnswer { device: identity, http_status, body };
            if let Err(error) = registry.keep_answer(&answer).await {
                error!(
                    name: "device_waits",
                    %error,
                    "KRA's answer to the registration cannot be kept: it is read from memory"
                );
            }
            conclude(&answer, registry).await
        }
        Initialised::InDoubt(message) => {
            let words = Words { message, ..Words::default() };
            registry.not_registered(&identity, RegistrationFailure::Lost(words.clone())).await?;
            error!(
                name: "device_answer_lost",
                kra = words.in_short(),
                "the answer to the device's registration was lost"
            );
            Ok(Registered::Away(words))
        }
        Initialised::NotSent(unreachable) => {
            let words = Words { message: unreachable.why, ..Words::default() };
            registry.not_registered(&identity, RegistrationFailure::NotSent(words.clone())).await?;
            Ok(Registered::Away(words))
        }
    }
}

/// At a start: an answer of KRA that was kept and never read to its end.
///
/// # Errors
/// The store failed; the answer is still kept.
pub async fn finish_registration<L: Registry>(registry: &L) -> Result<(), LedgerError> {
    let Some(answer) = registry.kept_answer().await? else { return Ok(()) };
    warn!("an answer of KRA to the device's registration was not read to its end: reading it now");
    conclude(&answer, registry).await.map(|_| ())
}

/// At a start: a device that is configured is pending before the first register is served, so that sales are taken
/// while KRA is asked. A corrected configuration counts as long as nothing was sold.
///
/// # Errors
/// It could not be recorded.
pub async fn expect_device<L: Registry>(identity: &DeviceIdentity, registry: &L) -> Result<(), LedgerError> {
    match registry.device() {
        Device::Unregistered => {}
        Device::Failed(known, _) | Device::Pending { identity: known, .. }
            if known != *identity && !registry.has_documents() =>
        {
            warn!(
                name: "device_differs",
                known_tin = %known.tin, known_bhf_id = %known.bhf_id, known_serial = %known.serial,
                tin = %identity.tin, bhf_id = %identity.bhf_id, serial = %identity.serial,
                "the configuration names another device than was tried so far, and nothing was sold: it counts from now on"
            );
        }
        Device::Active(..) | Device::Failed(..) | Device::Held { .. } | Device::Pending { .. } => {
            return Ok(());
        }
    }
    registry.wait_for(identity).await
}

pub(super) async fn conclude<L: Registry>(
    answer: &KeptAnswer,
    registry: &L,
) -> Result<Registered, LedgerError> {
    let identity = &answer.device;
    match initialise::read(answer.http_status, &answer.body) {
        Ok((registration, key)) => registered(identity, registration, key, registry).await,
        Err(InitialiseRefusal::Unreadable(words) | InitialiseRefusal::Unsure(words)) => {
            registry.not_registered(identity, RegistrationFailure::Lost(words.clone())).await?;
            error!(
                name: "device_refused",
                kra = words.in_short(),
                "KRA's answer to the registration cannot be used"
            );
            Ok(Registered::Away(words))
        }
        Err(InitialiseRefusal::AlreadyInstalled(words)) => already_installed(identity, words, registry).await,
        Err(InitialiseRefusal::Refused(words)) => {
            registry.not_registered(identity, RegistrationFailure::Refused(words.clone())).await?;
            error!(name: "device_refused", kra = words.in_short(), "KRA refused to register this device");
            Ok(Registered::Refused(words))
        }
    }
}

async fn registered<L: Registry>(
    identity: &DeviceIdentity,
    registration: Registration,
    key: CmcKey,
    registry: &L,
) -> Result<Registered, LedgerError> {
    registry.register(identity, &registration, &key).await?;
    info!(
        name: "device_registered",
        sdc_id = registration.scu_id,
        taxpayer = registration.taxpayer_name,
        "device registered with KRA"
    );
    Ok(Registered::Now(identity.clone(), registration, key))
}

/// 902: an earlier request was the one that registered it. Its answer may have come and not been understood then.
async fn already_installed<L: Registry>(
    identity: &DeviceIdentity,
    words: Words,
    registry: &L,
) -> Result<Registered, LedgerError> {
    let left = registry.left_over(identity).await?;
    for earlier in &left.answers {
        if let Ok((registration, key)) = initialise::read(earlier.http_status, &earlier.body) {
            warn!(
                name: "device_adopted",
                "KRA has this device already: going on with its earlier answer, which was put aside"
            );
            return registered(identity, registration, key, registry).await;
        }
    }
    let key = left.key || left.answers.iter().any(|earlier| initialise::key(&earlier.body).is_some());
    let words = Words { message: what_to_write(identity, &words.message, key), ..words };
    registry.not_registered(identity, RegistrationFailure::Refused(words.clone())).await?;
    error!(
        name: "device_refused",
        kra = words.in_short(),
        "KRA has this device already, and not all of its answer is here"
    );
    Ok(Registered::Refused(words))
}

/// What to send to KRA, and what to do after.
fn what_to_write(identity: &DeviceIdentity, message: &str, key: bool) -> String {
    let DeviceIdentity { tin, bhf_id, serial } = identity;
    let (found, wanted) = if key {
        (
            "The key that KRA gave is kept below `keys` in the state directory (do not remove it), but not the \
             unit's id (sdcId) and MRC number, without which no receipt is complete.",
            "tell us its SCU id (sdcId), device id (dvcId) and MRC number (mrcNo), or",
        )
    } else {
        (
            "KRA registered this device before and gives its key only once, and the key is not here.",
            "give us its communication key (cmcKey), SCU id (sdcId), device id (dvcId) and MRC number (mrcNo) again, or",
        )
    };
    let key_file = if key { ", with the key that is here" } else { " (the key from a file: --key-file)" };
    format!(
        "{message}. {found} Write to KRA's eTIMS support: \"PIN {tin}, branch {bhf_id}, OSCU device serial number \
         {serial}: selectInitOsdcInfo answers 902, device already installed. Please {wanted} remove the device's \
         installation so that it can be initialised again.\" Once KRA has removed it, run `etims-gateway device init`; \
         if KRA sends the values instead, `etims-gateway device adopt --sdc-id ... --mrc-no ... --next-invc-no ...` takes \
         them in{key_file}. Sales are taken and wait meanwhile"
    )
}

#[cfg(test)]
mod tests;
