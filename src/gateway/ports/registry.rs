//! The device's registration and its key, as the verbs see them.

use std::fmt;
use std::future::Future;

use super::{Acted, LedgerError};
use crate::fiscal::{CmcKey, DeviceIdentity, Registration};
use crate::queue::Words;

/// The device: its registration and its key.
pub trait Registry: Send + Sync + 'static {
    /// The device as it is registered, or as it was last tried.
    fn device(&self) -> Device;

    /// Its key, once registered.
    fn key(&self) -> Option<CmcKey>;

    /// The device that this one was put in place of, before KRA had registered either: a serial number was mistyped.
    fn instead_of(&self) -> Option<DeviceIdentity>;

    /// The number that the series was begun with, where that is known.
    fn first_number(&self) -> Option<u64>;

    /// Whether a document was ever accepted here: from then on the store belongs to one device.
    fn has_documents(&self) -> bool;

    /// Commits which device this is to become, with nothing sent: sales are taken for it from now on.
    ///
    /// # Errors
    /// Another device has documents here, or an answer of KRA that nobody has read; or it could not be recorded.
    fn wait_for(&self, identity: &DeviceIdentity) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Commits that a registration is about to be asked for, then sees to room for the answer and the key. Nothing that an
    /// earlier try left is touched.
    ///
    /// # Errors
    /// Nothing may be sent.
    fn intend(&self, identity: &DeviceIdentity) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Writes and syncs KRA's answer before anybody reads it.
    ///
    /// # Errors
    /// It could not be written. It is kept in memory, and [`kept_answer`](Self::kept_answer) still brings it.
    fn keep_answer(&self, answer: &KeptAnswer) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// An answer that was kept and never read to its end: the daemon died in between, or its key found no place.
    ///
    /// # Errors
    /// It is there and cannot be read.
    fn kept_answer(&self) -> impl Future<Output = Result<Option<KeptAnswer>, LedgerError>> + Send;

    /// What earlier tries to register this device left behind.
    ///
    /// # Errors
    /// It is there and cannot be read.
    fn left_over(
        &self,
        identity: &DeviceIdentity,
    ) -> impl Future<Output = Result<LeftOver, LedgerError>> + Send;

    /// Keeps the key, then commits the registration, then forgets the raw answer.
    ///
    /// # Errors
    /// The device is not registered yet; the raw answer is still there.
    fn register(
        &self,
        identity: &DeviceIdentity,
        registration: &Registration,
        key: &CmcKey,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Commits that the store stands where it is now by a person's word. False: the hardware is the one that it knows, and
    /// nothing was recorded.
    ///
    /// # Errors
    /// It could not be recorded.
    fn settle_here(&self, by: &Acted) -> impl Future<Output = Result<bool, LedgerError>> + Send;

    /// Commits that the device is this one, which KRA has not registered either, and no other: what was sold for the other
    /// one is sent for this one. Taxpayer and branch are the same.
    ///
    /// # Errors
    /// It could not be recorded.
    fn put_right(
        &self,
        identity: &DeviceIdentity,
        by: &Acted,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Keeps the key, then commits a registration that came about elsewhere. `first_number`: where the series begins;
    /// `None`: it goes on as it stands.
    ///
    /// # Errors
    /// It could not be recorded; the device stands as before.
    fn adopt(
        &self,
        identity: &DeviceIdentity,
        registration: &Registration,
        key: &CmcKey,
        first_number: Option<u64>,
        by: &Acted,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// A key of this device that lies here: in an answer of KRA that could not be used whole, or in the key's own file.
    ///
    /// # Errors
    /// The place cannot be read.
    fn key_in_hand(
        &self,
        identity: &DeviceIdentity,
    ) -> impl Future<Output = Result<Option<CmcKey>, LedgerError>> + Send;

    /// The number that the next document is bound to.
    fn next_number(&self) -> u64;

    /// Commits why the registration that was intended did not come about.
    ///
    /// # Errors
    /// It could not be recorded; an answer is still there.
    fn not_registered(
        &self,
        identity: &DeviceIdentity,
        failure: RegistrationFailure,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;
}

/// KRA's answer to the one request that registers a device, as it is kept before anybody reads it.
#[derive(Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// Which device was asked for.
    pub device: DeviceIdentity,
    /// The HTTP status.
    pub http_status: u16,
    /// The body; it holds the key.
    pub body: Vec<u8>,
}

/// Without the body: it holds the key.
impl fmt::Debug for KeptAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptAnswer")
            .field("device", &self.device)
            .field("http_status", &self.http_status)
            .field("body", &format_args!("{} bytes", self.body.len()))
            .finish()
    }
}

/// What earlier tries to register a device left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOver {
    /// Answers that could not be used when they came, the newest first.
    pub answers: Vec<KeptAnswer>,
    /// A key without its registration.
    pub key: bool,
}

/// Where the device stands with KRA.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// Registered.
    Active(DeviceIdentity, Registration),
    /// KRA said no.
    Failed(DeviceIdentity, Words),
    /// It stands on other hardware than the store knows: sales are taken, and nothing goes to KRA until a person has said
    /// that this is right.
    Held {
        /// Which device.
        identity: DeviceIdentity,
        /// Its registration, once there is one.
        registration: Option<Registration>,
        /// What differs, and what to do.
        words: Words,
    },
    /// Configured; KRA was not reached, or its answer was lost. `unknown`: how often an answer was lost.
    Pending {
        /// Which device.
        identity: DeviceIdentity,
        /// Requests whose outcome is unknown.
        unknown: u32,
    },
    /// Not even configured.
    #[default]
    Unregistered,
}

impl Device {
    /// Which device, where that is known.
    pub const fn identity(&self) -> Option<&DeviceIdentity> {
        match self {
            Self::Active(identity, _)
            | Self::Failed(identity, _)
            | Self::Held { identity, .. }
            | Self::Pending { identity, .. } => Some(identity),
            Self::Unregistered => None,
        }
    }

    /// The registration, once there is one.
    pub const fn registration(&self) -> Option<&Registration> {
        match self {
            Self::Active(_, registration) => Some(registration),
            Self::Held { registration, .. } => registration.as_ref(),
            _ => None,
        }
    }
}

/// Why a registration did not come about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegistrationFailure {
    /// The request left and no answer that can be read came back.
    Lost(Words),
    /// Nothing was sent.
    NotSent(Words),
    /// KRA said no.
    Refused(Words),
}
