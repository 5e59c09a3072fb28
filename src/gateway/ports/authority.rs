//! KRA, as the verbs see it.

use std::fmt;
use std::future::Future;

use crate::fiscal::{CmcKey, DeviceIdentity, KraDateTime};
use crate::queue::{LookedUp, Probed, Sent, Seq, Unreachable};
use crate::wire::FrozenRequest;

/// KRA, over whichever wire. Nothing here ever sends a request twice by itself.
pub trait Authority: Send + Sync + 'static {
    /// Sees to it that a connection for saving requests stands (TCP, proxy and TLS up) with nothing sent on it.
    ///
    /// # Errors
    /// It does not stand; nothing was sent.
    fn connect(&self) -> impl Future<Output = Result<(), Unreachable>> + Send;

    /// Whether a connection for saving requests stands at this moment. Dials nothing.
    fn stands(&self) -> impl Future<Output = bool> + Send;

    /// Sends a saving request over the connection that stands, filling `key` (and what is signed with it) into the
    /// frozen bytes.
    fn save(
        &self,
        request: &FrozenRequest,
        device: &DeviceIdentity,
        key: &CmcKey,
        about: &About,
    ) -> impl Future<Output = Sent> + Send;

    /// Asks for one invoice by number, on a fresh connection.
    fn look_up(
        &self,
        invoice_no: u64,
        device: &DeviceIdentity,
        key: &CmcKey,
        about: &About,
    ) -> impl Future<Output = LookedUp> + Send;

    /// Looks for one invoice in the list of all that KRA received after a moment, on a fresh connection: for its proof alone,
    /// for a list proves nothing absent.
    fn look_up_in_list(
        &self,
        asked: (u64, KraDateTime),
        device: &DeviceIdentity,
        key: &CmcKey,
        about: &About,
    ) -> impl Future<Output = LookedUp> + Send;

    /// The cheap question whether KRA is there, on a connection of its own.
    fn probe(&self, device: &DeviceIdentity, key: Option<&CmcKey>) -> impl Future<Output = Probed> + Send;

    /// Registers the device. The answer's body comes back unread: it is written to disk before anything else.
    fn initialise(&self, device: &DeviceIdentity) -> impl Future<Output = Initialised> + Send;
}

/// What became of the one request that registers a device.
#[derive(Clone, PartialEq, Eq)]
pub enum Initialised {
    /// An answer came, its body as it was.
    Answered {
        /// The HTTP status.
        http_status: u16,
        /// The body; it holds the key.
        body: Vec<u8>,
    },
    /// Something may have left and no answer came back.
    InDoubt(String),
    /// Nothing was sent.
    NotSent(Unreachable),
}

/// Without the body: it holds the key.
impl fmt::Debug for Initialised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered { http_status, body } => f
                .debug_struct("Answered")
                .field("http_status", http_status)
                .field("body", &format_args!("{} bytes", body.len()))
                .finish(),
            Self::InDoubt(why) => f.debug_tuple("InDoubt").field(why).finish(),
            Self::NotSent(unreachable) => f.debug_tuple("NotSent").field(unreachable).finish(),
        }
    }
}

/// Which document a request to KRA is about: for the log of exchanges alone, nothing is decided by it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// Its running number.
    pub document: Option<Seq>,
    /// The register's own number for it.
    pub trader_ref: Option<String>,
    /// The number that it is sent under, or that is looked up.
    pub invoice_no: Option<u64>,
    /// Which try it is, from 1.
    pub attempt: Option<u32>,
}
