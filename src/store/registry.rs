//! The store as the device's registry: its registration in the journal, its key beside it.

use std::io;

use tracing::{error, warn};

use super::bodies::{self, Init, InitStep, UnknownTries};
use super::ledger::{JournalLedger, LedgerOpenError, Registered};
use super::secrets::{SecretError, Secrets};
use super::{Effect, Kind, Store};
use crate::fiscal::{CmcKey, DeviceIdentity, Registration};
use crate::gateway::ports::{
    Acted, Device, KeptAnswer, LedgerError, LeftOver, RegistrationFailure, Registry,
};
use crate::queue::Words;

impl Registry for JournalLedger {
    fn device(&self) -> Device {
        self.device_here()
    }

    fn key(&self) -> Option<CmcKey> {
        self.registered().key.clone()
    }

    fn instead_of(&self) -> Option<DeviceIdentity> {
        self.registered().instead_of.clone()
    }

    fn first_number(&self) -> Option<u64> {
        self.registered().first_number
    }

    fn has_documents(&self) -> bool {
        self.store().counts().documents_total > 0
    }

    fn next_number(&self) -> u64 {
        self.store().series().next
    }

    async fn settle_here(&self, by: &Acted) -> Result<bool, LedgerError> {
        self.settle_hardware(by).await
    }

    async fn put_right(&self, identity: &DeviceIdentity, by: &Acted) -> Result<(), LedgerError> {
        self.put_device_right(identity, by).await
    }

    async fn adopt(
        &self,
        identity: &DeviceIdentity,
        registration: &Registration,
        key: &CmcKey,
        first_number: Option<u64>,
        by: &Acted,
    ) -> Result<(), LedgerError> {
        self.adopt_registration(identity, registration, key, first_number, by).await
    }

    async fn key_in_hand(&self, identity: &DeviceIdentity) -> Result<Option<CmcKey>, LedgerError> {
        self.find_key(identity).await
    }

    async fn wait_for(&self, identity: &DeviceIdentity) -> Result<(), LedgerError> {
        let tries = self.registered().tries.clone();
        self.become_device(identity, InitStep::Awaited, tries).await
    }

    async fn intend(&self, identity: &DeviceIdentity) -> Result<(), LedgerError> {
        if self.registered().answer.is_some() {
            return Err(LedgerError::Failed("an answer of KRA waits in memory for its place".to_owned()));
        }
        let before = self.registered().tries.clone();
        let tries = before.with(identity, before.of(identity).saturating_add(1));
        self.become_device(identity, InitStep::Intended, tries).await?;
        let Err(no_room) = self.secrets.make_room().await else { return Ok(()) };
        // Nothing was sent: the intent is taken back.
        let words = Words { message: no_room.to_string(), ..Words::default() };
        if let Err(error) = self.record_init(identity, InitStep::NotSent(words), before).await {
            warn!(%error, "the intent of a registration could not be taken back: it counts as sent");
        }
        Err(secret_failed(&no_room))
    }

    async fn keep_answer(&self, answer: &KeptAnswer) -> Result<(), LedgerError> {
        // First in memory, so that even a disk that fails leaves it in reach.
        self.registered().answer = Some(answer.clone());
        let bytes = bodies::write_answer(answer, &self.terms.environment);
        self.secrets.keep_answer(&bytes).await.map_err(|error| secret_failed(&error))
    }

    async fn kept_answer(&self) -> Result<Option<KeptAnswer>, LedgerError> {
        if let Some(answer) = self.registered().answer.clone() {
            return Ok(Some(answer));
        }
        let Some(bytes) = self.secrets.kept_answer().await.map_err(|error| secret_failed(&error))? else {
            return Ok(None);
        };
        if self.device().registration().is_some() {
            self.tidy(self.secrets.forget_answer().await);
            return Ok(None);
        }
        let stranger = match bodies::read_answer(&bytes) {
            Ok((answer, environment)) if environment == self.terms.environment => return Ok(Some(answer)),
            Ok((_, environment)) => format!("it is of the environment {environment:?}"),
            Err(error) => error.to_string(),
        };
        warn!(
            name: "device_answer_put_aside",
            why = stranger,
            "an answer to a registration cannot be used and is put aside"
        );
        self.secrets.set_answer_apart().await.map_err(|error| secret_failed(&error))?;
        Ok(None)
    }

    async fn left_over(&self, identity: &DeviceIdentity) -> Result<LeftOver, LedgerError> {
        let apart = self.secrets.answers_apart().await.map_err(|error| secret_failed(&error))?;
        let key = self.secrets.any_key().await.map_err(|error| secret_failed(&error))?.is_some();
        let ours = apart.iter().filter_map(|bytes| bodies::read_answer(bytes).ok()).filter(
            |(answer, environment)| answer.device == *identity && *environment == self.terms.environment,
        );
        Ok(LeftOver { answers: ours.map(|(answer, _)| answer).collect(), key })
    }

    async fn register(
        &self,
        identity: &DeviceIdentity,
        registration: &Registration,
        key: &CmcKey,
    ) -> Result<(), LedgerError> {
        self.secrets.keep_key(key).await.map_err(|error| secret_failed(&error))?;
        let first_number = Some(self.terms.first_number);
        let instead_of = self.registered().instead_of.clone();
        let origin = (self.terms.environment.as_str(), first_number, instead_of.as_ref());
        let body = bodies::write_registration(identity, registration, origin);
        let effect = Effect::Series { next: self.terms.first_number, last: None };
        self.commit(vec![self.record_of(Kind::Registration, effect, body)]).await?;
        self.become_registered(Registered {
            device: Device::Active(identity.clone(), registration.clone()),
            environment: Some(self.terms.environment.clone()),
            key: Some(key.clone()),
            instead_of,
            first_number,
            ..Registered::default()
        });
        self.tidy(self.secrets.forget_answer().await);
        Ok(())
    }

    async fn not_registered(
        &self,
        identity: &DeviceIdentity,
        failure: RegistrationFailure,
    ) -> Result<(), LedgerError> {
        let before = self.registered().tries.clone();
        let unknown = before.of(identity);
        let (unknown, lost) = match &failure {
            RegistrationFailure::Lost(_) => (unknown, true),
            RegistrationFailure::NotSent(_) => (unknown.saturating_sub(1), false),
            RegistrationFailure::Refused(_) => (0, false),
        };
        if lost {
            self.set_answer_apart().await?;
        }
        self.record_init(identity, failure.clone().into(), before.with(identity, unknown)).await?;
        self.registered().answer = None;
        self.tidy(match failure {
            // It was read to its end, and there is no key in it.
            RegistrationFailure::Refused(_) => self.secrets.forget_answer().await,
            RegistrationFailure::Lost(_) | RegistrationFailure::NotSent(_) => {
                self.secrets.give_up_room().await
            }
        });
        Ok(())
    }
}

impl JournalLedger {
    /// Commits that the store is this device's from now on, which is only so where no other has anything here. No sale
    /// is accepted meanwhile.
    async fn become_device(
        &self,
        identity: &DeviceIdentity,
        step: InitStep,
        tries: UnknownTries,
    ) -> Result<(), LedgerError> {
        let _alone = self.identity.write().await;
        let known = self.device();
        if known.identity().is_some_and(|known| known != identity) {
            let answer = self.kept_answer().await?.filter(|answer| answer.device != *identity);
            if known.registration().is_some() || self.has_documents() || answer.is_some() {
                return Err(LedgerError::OtherDevice);
            }
        }
        self.record_init(identity, step, tries).await
    }

    async fn record_init(
        &self,
        identity: &DeviceIdentity,
        step: InitStep,
        tries: UnknownTries,
    ) -> Result<(), LedgerError> {
        let environment = self.terms.environment.clone();
        let instead_of = self.registered().instead_of.clone();
        let init = Init { device: identity.clone(), instead_of, environment, step, tries };
        self.commit(vec![self.record_of(Kind::Init, Effect::None, bodies::write_init(&init))]).await?;
        let answer = self.registered().answer.take();
        self.become_registered(Registered { answer, ..Registered::of(init) });
        Ok(())
    }

    /// An answer that found no place when it came gets it now.
    async fn set_answer_apart(&self) -> Result<(), LedgerError> {
        let answer = self.registered().answer.clone();
        if let Some(answer) = answer {
            let bytes = bodies::write_answer(&answer, &self.terms.environment);
            self.secrets.keep_answer(&bytes).await.map_err(|error| secret_failed(&error))?;
        }
        self.secrets.set_answer_apart().await.map_err(|error| secret_failed(&error))
    }

    /// What is decided is on the disk: a file left lying is no harm.
    pub(super) fn tidy(&self, done: Result<(), SecretError>) {
        if let Err(error) = done {
            warn!(%error, "a file of the registration is left lying");
        }
    }
}

impl Registered {
    pub(super) fn of(init: Init) -> Self {
        let Init { device: identity, instead_of, environment, step, tries } = init;
        let device = match step {
            InitStep::Refused(words) => Device::Failed(identity, words),
            InitStep::Awaited | InitStep::Intended | InitStep::Lost(_) | InitStep::NotSent(_) => {
                let unknown = tries.of(&identity);
                Device::Pending { identity, unknown }
            }
        };
        Self { device, environment: Some(environment), tries, instead_of, ..Self::default() }
    }
}

pub(super) fn secret_failed(error: &SecretError) -> LedgerError {
    match error {
        SecretError::Io { source, .. }
            if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) =>
        {
            error!(%error, "no room for the device's key");
            LedgerError::DiskLow
        }
        _ => LedgerError::Failed(error.to_string()),
    }
}

/// How the device stands, as the journal and the secrets tell.
pub(super) fn read_device(store: &Store, secrets: &Secrets) -> Result<Registered, LedgerOpenError> {
    let damaged = |what: String| LedgerOpenError::Damaged(what);
    if let Some(at) = store.latest(Kind::Registration) {
        let record =
            store.read(at).map_err(|error| damaged(format!("the registration cannot be read: {error}")))?;
        let known = bodies::read_registration(&record.body)
            .map_err(|error| damaged(format!("the registration, record {}: {error}", record.seq)))?;
        let key = secrets.key().map_err(|error| damaged(error.to_string()))?;
        return Ok(Registered {
            device: Device::Active(known.device, known.registration),
            environment: Some(known.environment),
            key: Some(key),
            instead_of: known.instead_of,
            first_number: known.first_number,
            ..Registered::default()
        });
    }
    let Some(at) = store.latest(Kind::Init) else { return Ok(Registered::default()) };
    let record = store
        .read(at)
        .map_err(|error| damaged(format!("the registration's intent cannot be read: {error}")))?;
    let init = bodies::read_init(&record.body)
        .map_err(|error| damaged(format!("the registration's intent, record {}: {error}", record.seq)))?;
    Ok(Registered::of(init))
}

#[cfg(test)]
mod tests;
