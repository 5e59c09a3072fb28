//! The device is registered with KRA once; its key is shown once and never lost.

use tracing::{error, info, warn};

use super::ports::{Authority, Device, Initialised, LedgerError, RegistrationFailure, Registry};
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
///
/// # Errors
/// The store failed; nothing was sent, or KRA's answer is on disk and read at the next start.
pub async fn register_device<L: Registry, A: Authority>(
    identity: DeviceIdentity,
    by_hand: bool,
    registry: &L,
    authority: &A,
) -> Result<Registered, LedgerError> {
    match registry.device() {
        Device::Active(known, registration) if known == identity => {
            return Ok(Registered::Already(known, registration));
        }
        Device::Active(known, _) => return Ok(Registered::Differs(known)),
        Device::Failed(known, words) if known == identity && !by_hand => {
            return Ok(Registered::Refused(words));
        }
        Device::Pending { identity: known, unknown }
            if known == identity && unknown >= LOST_ANSWERS && !by_hand =>
        {
            let message = "KRA's answer to the registration was lost twice: ask KRA whether the device is registered, \
                           then run `etims-gateway device init` again";
            return Ok(Registered::Away(Words { message: message.to_owned(), ..Words::default() }));
        }
        _ => {}
    }
    // Nobody there: no intent, no record, nothing to be in doubt about.
    if let Probed::Down(words) = authority.probe(&identity, None).await {
        remember(registry, &identity, RegistrationFailure::NotSent(words.clone())).await?;
        return Ok(Registered::Away(words));
    }
    registry.intend(&identity).await?;
    info!(tin = %identity.tin, bhf_id = %identity.bhf_id, "registering this device with KRA");
    match authority.initialise(&identity).await {
        Initialised::Answered { http_status, body } => {
            registry.keep_answer(&body).await?;
            conclude(&identity, http_status, &body, registry).await
        }
        Initialised::InDoubt(message) => {
            let words = Words { message, ..Words::default() };
            registry.not_registered(&identity, RegistrationFailure::Lost(words.clone())).await?;
            error!(kra = words.in_short(), "the answer to the device's registration was lost");
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
/// The store failed.
pub async fn finish_registration<L: Registry>(registry: &L) -> Result<(), LedgerError> {
    let Some(body) = registry.kept_answer().await? else { return Ok(()) };
    let Some(identity) = registry.device().identity().cloned() else { return Ok(()) };
    warn!("an answer of KRA to the device's registration was not read to its end: reading it now");
    conclude(&identity, 200, &body, registry).await.map(|_| ())
}

/// At a start: a device that is configured is pending before the first register is served, so that sales are taken
/// while KRA is asked.
///
/// # Errors
/// The store failed.
pub async fn expect_device<L: Registry>(identity: &DeviceIdentity, registry: &L) -> Result<(), LedgerError> {
    if registry.device() != Device::Unregistered {
        return Ok(());
    }
    let words = Words { message: "KRA has not been asked yet".to_owned(), ..Words::default() };
    registry.not_registered(identity, RegistrationFailure::NotSent(words)).await
}

/// A pending device is remembered once, not at each try.
async fn remember<L: Registry>(
    registry: &L,
    identity: &DeviceIdentity,
    failure: RegistrationFailure,
) -> Result<(), LedgerError> {
    if registry.device().identity() == Some(identity) {
        return Ok(());
    }
    registry.not_registered(identity, failure).await
}

async fn conclude<L: Registry>(
    identity: &DeviceIdentity,
    http_status: u16,
    body: &[u8],
    registry: &L,
) -> Result<Registered, LedgerError> {
    match initialise::read(http_status, body) {
        Ok((registration, key)) => {
            registry.register(identity, &registration, &key).await?;
            info!(
                sdc_id = registration.scu_id,
                taxpayer = registration.taxpayer_name,
                "device registered with KRA"
            );
            Ok(Registered::Now(identity.clone(), registration, key))
        }
        Err(InitialiseRefusal::Unreadable(words) | InitialiseRefusal::Unsure(words)) => {
            registry.not_registered(identity, RegistrationFailure::Lost(words.clone())).await?;
            error!(kra = words.in_short(), "KRA's answer to the registration cannot be read");
            Ok(Registered::Away(words))
        }
        Err(InitialiseRefusal::AlreadyInstalled(words)) => {
            let message = format!(
                "{}. KRA registered this device before and gives its key only once: ask KRA support to remove \
                 device {} of PIN {}, branch {}, then run `etims-gateway device init` again",
                words.message, identity.serial, identity.tin, identity.bhf_id
            );
            let words = Words { message, ..words };
            registry.not_registered(identity, RegistrationFailure::Refused(words.clone())).await?;
            error!(kra = words.in_short(), "KRA has this device already, and its key is not here");
            Ok(Registered::Refused(words))
        }
        Err(InitialiseRefusal::Refused(words)) => {
            registry.not_registered(identity, RegistrationFailure::Refused(words.clone())).await?;
            error!(kra = words.in_short(), "KRA refused to register this device");
            Ok(Registered::Refused(words))
        }
    }
}
