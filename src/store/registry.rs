//! The store as the device's registry: its registration in the journal, its key beside it.

use super::bodies::{self, InitStep};
use super::ledger::{JournalLedger, LedgerOpenError, Registered};
use super::secrets::Secrets;
use super::{Effect, Kind, Store};
use crate::fiscal::{CmcKey, DeviceIdentity, Registration};
use crate::gateway::ports::{Device, LedgerError, RegistrationFailure, Registry};

impl Registry for JournalLedger {
    fn device(&self) -> Device {
        self.registered().device.clone()
    }

    fn key(&self) -> Option<CmcKey> {
        self.registered().key.clone()
    }

    async fn intend(&self, identity: &DeviceIdentity) -> Result<(), LedgerError> {
        let unknown = self.registered().unknown.saturating_add(1);
        self.secrets.make_room_for_answer().await.map_err(|error| LedgerError::Failed(error.to_string()))?;
        let record = self.record_of(Kind::Init, Effect::None, bodies::write_intent(identity, unknown));
        self.commit(vec![record]).await?;
        let mut registered = self.registered();
        registered.unknown = unknown;
        registered.device = Device::Pending { identity: identity.clone(), unknown };
        Ok(())
    }

    async fn keep_answer(&self, body: &[u8]) -> Result<(), LedgerError> {
        self.secrets.keep_answer(body).await.map_err(|error| LedgerError::Failed(error.to_string()))
    }

    async fn kept_answer(&self) -> Result<Option<Vec<u8>>, LedgerError> {
        if matches!(self.device(), Device::Active(..)) {
            self.secrets.forget_answer().await.map_err(|error| LedgerError::Failed(error.to_string()))?;
            return Ok(None);
        }
        self.secrets.kept_answer().await.map_err(|error| LedgerError::Failed(error.to_string()))
    }

    async fn register(
        &self,
        identity: &DeviceIdentity,
        registration: &Registration,
        key: &CmcKey,
    ) -> Result<(), LedgerError> {
        self.secrets.keep_key(key).await.map_err(|error| LedgerError::Failed(error.to_string()))?;
        let body = bodies::write_registration(identity, registration, &self.terms.environment);
        let effect = Effect::Series { next: self.terms.first_number, last: None };
        self.commit(vec![self.record_of(Kind::Registration, effect, body)]).await?;
        {
            let mut registered = self.registered();
            registered.device = Device::Active(identity.clone(), registration.clone());
            registered.environment = Some(self.terms.environment.clone());
            registered.key = Some(key.clone());
            registered.unknown = 0;
        }
        self.secrets.forget_answer().await.map_err(|error| LedgerError::Failed(error.to_string()))
    }

    async fn not_registered(
        &self,
        identity: &DeviceIdentity,
        failure: RegistrationFailure,
    ) -> Result<(), LedgerError> {
        let unknown = {
            let before = self.registered().unknown;
            match &failure {
                RegistrationFailure::Lost(_) => before,
                RegistrationFailure::NotSent(_) => before.saturating_sub(1),
                RegistrationFailure::Refused(_) => 0,
            }
        };
        let body = bodies::write_init_failure(identity, unknown, &failure);
        self.commit(vec![self.record_of(Kind::Init, Effect::None, body)]).await?;
        let secrets = match &failure {
            RegistrationFailure::Lost(_) => self.secrets.set_answer_apart().await,
            RegistrationFailure::NotSent(_) | RegistrationFailure::Refused(_) => {
                self.secrets.forget_answer().await
            }
        };
        secrets.map_err(|error| LedgerError::Failed(error.to_string()))?;
        let mut registered = self.registered();
        registered.unknown = unknown;
        registered.device = match failure {
            RegistrationFailure::Refused(words) => Device::Failed(identity.clone(), words),
            _ => Device::Pending { identity: identity.clone(), unknown },
        };
        Ok(())
    }
}

/// How the device stands, as the journal and the secrets tell.
pub(super) fn read_device(store: &Store, secrets: &Secrets) -> Result<Registered, LedgerOpenError> {
    let damaged = |what: String| LedgerOpenError::Damaged(what);
    if let Some(at) = store.latest(Kind::Registration) {
        let record =
            store.read(at).map_err(|error| damaged(format!("the registration cannot be read: {error}")))?;
        let (identity, registration, environment) = bodies::read_registration(&record.body)
            .map_err(|error| damaged(format!("the registration, record {}: {error}", record.seq)))?;
        let key = secrets.key().map_err(|error| damaged(error.to_string()))?;
        return Ok(Registered {
            device: Device::Active(identity, registration),
            environment: Some(environment),
            key: Some(key),
            unknown: 0,
        });
    }
    let Some(at) = store.latest(Kind::Init) else { return Ok(Registered::default()) };
    let record = store
        .read(at)
        .map_err(|error| damaged(format!("the registration's intent cannot be read: {error}")))?;
    let (identity, unknown, step) = bodies::read_init(&record.body)
        .map_err(|error| damaged(format!("the registration's intent, record {}: {error}", record.seq)))?;
    let device = match step {
        InitStep::Refused(words) => Device::Failed(identity, words),
        InitStep::NotSent | InitStep::Unknown => Device::Pending { identity, unknown },
    };
    Ok(Registered { device, environment: None, key: None, unknown })
}
