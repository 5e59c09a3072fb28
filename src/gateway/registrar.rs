//! One registration at a time, in a task of its own: nobody who hangs up, and no stop, takes it off KRA's one answer.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tracing::{error, warn};

use super::adopt_device::{Adopted, Adoption, adopt_device};
use super::live::Live;
use super::ports::{Acted, Authority, Clock, Device, LedgerError, Registry};
use super::progress::Progress;
use super::register_device::{Registered, register_device};
use crate::fiscal::DeviceIdentity;
use crate::queue::Dice;

/// How many may wait for their turn.
const WAITING: usize = 16;

/// Where tills and technicians ask for a registration.
#[derive(Clone, Debug)]
pub struct Registrar(mpsc::Sender<Ask>);

/// What they asked for.
#[derive(Debug)]
pub struct Asks(mpsc::Receiver<Ask>);

#[derive(Debug)]
enum Ask {
    Adopt(Box<Adoption>, oneshot::Sender<Result<Adopted, LedgerError>>),
    Register(DeviceIdentity, oneshot::Sender<Result<Registered, LedgerError>>),
    SettleHere(Acted, oneshot::Sender<Result<bool, LedgerError>>),
}

impl Registrar {
    /// The registrar's counter, and what its task reads.
    pub fn new() -> (Self, Asks) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self(sender), Asks(receiver))
    }

    /// Asks by hand for the registration of this device. It goes on if this future is dropped.
    ///
    /// # Errors
    /// The store failed, or the gateway is stopping.
    pub async fn register(&self, identity: DeviceIdentity) -> Result<Registered, LedgerError> {
        self.ask(|told| Ask::Register(identity, told)).await
    }

    /// Brings in a device that came about elsewhere, or puts its serial number right.
    ///
    /// # Errors
    /// The store failed, or the gateway is stopping.
    pub async fn adopt(&self, adoption: Adoption) -> Result<Adopted, LedgerError> {
        self.ask(|told| Ask::Adopt(Box::new(adoption), told)).await
    }

    /// Takes a person's word that the store stands on the right hardware. False: it is the hardware that it knows.
    ///
    /// # Errors
    /// The store failed, or the gateway is stopping.
    pub async fn settle_here(&self, by: Acted) -> Result<bool, LedgerError> {
        self.ask(|told| Ask::SettleHere(by, told)).await
    }

    async fn ask<T>(
        &self,
        ask: impl FnOnce(oneshot::Sender<Result<T, LedgerError>>) -> Ask,
    ) -> Result<T, LedgerError> {
        let (told, answer) = oneshot::channel();
        self.0.send(ask(told)).await.map_err(|_| LedgerError::Stopping)?;
        answer.await.unwrap_or(Err(LedgerError::Stopping))
    }
}

/// Everything that registering needs of the world.
#[derive(Debug)]
pub struct Registering<L, A, C> {
    /// The device and its key.
    pub registry: Arc<L>,
    /// KRA.
    pub authority: Arc<A>,
    /// The time.
    pub clock: Arc<C>,
    /// The drain, called once the device is active.
    pub progress: Arc<Progress>,
    /// The device that the configuration names: no other is registered then.
    pub configured: Option<DeviceIdentity>,
    /// The longest pause between two tries.
    pub pause: Live<Duration>,
    /// Throws the dice.
    pub dice: fn() -> Dice,
}

impl<L: Registry, A: Authority, C: Clock> Registering<L, A, C> {
    /// Registers the device by itself where it is known which, and whenever somebody asks, until told to stop. A request
    /// on the line is waited for to its end, so this must not be dropped while there may be one.
    pub async fn run(mut self, mut asks: Asks, stopping: watch::Receiver<bool>) {
        let mut trouble = String::new();
        let mut next = Instant::now();
        loop {
            // Active, or nobody knows which device: only somebody who asks brings news.
            let due = self.to_be_registered();
            let ask = tokio::select! {
                biased;
                () = told(&stopping) => return,
                Some(ask) = asks.0.recv() => Some(ask),
                () = tokio::time::sleep_until(next), if due.is_some() => None,
                () = self.progress.line_returned_for_registering(), if due.is_some() => None,
            };
            match (ask, due) {
                (Some(ask), _) => self.serve(ask, &stopping).await,
                (None, Some(identity)) => {
                    let result = self.one(identity, false, &stopping).await;
                    tell(&result, &mut trouble);
                }
                (None, None) => {}
            }
            next = Instant::now() + self.pause();
        }
    }

    /// Whoever hung up finds what came of it in the device's status.
    async fn serve(&mut self, ask: Ask, stopping: &watch::Receiver<bool>) {
        match ask {
            Ask::Adopt(adoption, told) => {
                let result = self.adopt(*adoption).await;
                let _ = told.send(result);
            }
            Ask::Register(identity, told) => {
                let result = self.by_hand(identity, stopping).await;
                let _ = told.send(result);
            }
            Ask::SettleHere(by, told) => {
                let result = self.registry.settle_here(&by).await;
                self.progress.retry_now();
                let _ = told.send(result);
            }
        }
    }

    async fn adopt(&mut self, adoption: Adoption) -> Result<Adopted, LedgerError> {
        let identity = adoption.identity.clone();
        let result = adopt_device(adoption, self.registry.as_ref()).await;
        if matches!(result, Ok(Adopted::Active(_) | Adopted::PutRight(_))) {
            // What the configuration says counts again from the next start on.
            self.configured = self.configured.take().map(|_| identity);
            self.progress.retry_now();
        }
        result
    }

    /// The configured device before one that was only tried: somebody may have corrected it.
    fn to_be_registered(&self) -> Option<DeviceIdentity> {
        match self.registry.device() {
            Device::Active(..) | Device::Held { .. } => None,
            known => self.configured.clone().or_else(|| known.identity().cloned()),
        }
    }

    async fn by_hand(
        &self,
        identity: DeviceIdentity,
        stopping: &watch::Receiver<bool>,
    ) -> Result<Registered, LedgerError> {
        match &self.configured {
            Some(configured) if *configured != identity => Ok(Registered::Differs(configured.clone())),
            _ => self.one(identity, true, stopping).await,
        }
    }

    async fn one(
        &self,
        identity: DeviceIdentity,
        by_hand: bool,
        stopping: &watch::Receiver<bool>,
    ) -> Result<Registered, LedgerError> {
        let (registry, authority) = (self.registry.as_ref(), self.authority.as_ref());
        let result = register_device(identity, by_hand, registry, authority, told(stopping)).await;
        if matches!(result, Ok(Registered::Now(..))) {
            self.progress.contact(self.clock.wall_ms());
        }
        if matches!(self.registry.device(), Device::Active(..)) {
            self.progress.nudge();
        }
        result
    }

    fn pause(&self) -> Duration {
        let pause = *self.pause.now();
        let spread = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX).max(1);
        Duration::from_millis((self.dice)().0 % spread).max(pause / 8)
    }
}

/// Says each trouble once, until another one comes.
fn tell(result: &Result<Registered, LedgerError>, trouble: &mut String) {
    let (now, failed) = match result {
        Ok(Registered::Away(words) | Registered::Refused(words)) => (words.in_short(), false),
        Ok(Registered::Already(..) | Registered::Now(..)) => (String::new(), false),
        Ok(Registered::Differs(known)) => {
            (format!("the gateway serves the device {} of PIN {}", known.serial, known.tin), false)
        }
        Err(error) => (error.to_string(), true),
    };
    if now != *trouble && !now.is_empty() {
        if failed {
            error!(name: "device_waits", why = now, "registering the device failed; it is tried again");
        } else {
            warn!(name: "device_waits", kra = now, "the device is not registered yet");
        }
    }
    *trouble = now;
}

async fn told(stopping: &watch::Receiver<bool>) {
    // A sender that is gone means the same.
    let _ = stopping.clone().wait_for(|stop| *stop).await;
}
