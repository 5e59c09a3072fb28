//! The simulator's sockets: bound at once, served until told to stop, KRA's closed while the line is cut.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::connection::{self, Entrance};
use super::controls::{ControlError, Controls};
use super::faults::FaultOrder;
use super::settings::Settings;
use super::state::State;
use super::tls::{Greeting, TlsError};

/// Most connections at once on one listener; more wait.
const CONNECTIONS: usize = 1024;

/// How a simulator is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where KRA is; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where the levers stay in reach while the line is cut; none: on KRA's address only.
    pub control: Option<SocketAddr>,
    /// What stands before the function's name in the address told to clients; any prefix is answered.
    pub base_path: String,
    /// Faults that stand from the start.
    pub faults: Vec<FaultOrder>,
    /// How it behaves otherwise.
    pub settings: Settings,
    /// HTTPS instead of HTTP on KRA's address.
    pub tls: Option<Tls>,
}

/// A certificate chain and its key, as PEM.
#[derive(Clone)]
pub struct Tls {
    /// The chain, the server's own certificate first.
    pub certificate: Vec<u8>,
    /// Its private key.
    pub key: Vec<u8>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls(****)")
    }
}

impl Default for Options {
    /// On the address that the gateway's environment `simulator` speaks to, levers on a free port besides.
    fn default() -> Options {
        Options {
            listen: SocketAddr::from(([127, 0, 0, 1], 9443)),
            control: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
            base_path: "/etims-api".to_owned(),
            faults: Vec::new(),
            settings: Settings::default(),
            tls: None,
        }
    }
}

/// Why a simulator did not start.
#[derive(Debug, Error)]
pub enum SimulatorError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A fault ordered from the start cannot be.
    #[error(transparent)]
    Fault(#[from] ControlError),
    /// The certificate or its key is no good.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// A simulator whose sockets are bound.
pub struct Simulator {
    listener: TcpListener,
    control: Option<TcpListener>,
    address: SocketAddr,
    control_address: Option<SocketAddr>,
    base_path: String,
    greeting: Option<Arc<Greeting>>,
    state: Arc<State>,
}

/// Binds a simulator's sockets. Clients may connect from now on; they are answered once it is served.
///
/// # Errors
/// When an address is taken or not this machine's, or the certificate is no good.
pub async fn bind(options: Options) -> Result<Simulator, SimulatorError> {
    let greeting = match &options.tls {
        Some(tls) => Some(Arc::new(Greeting::new(&tls.certificate, &tls.key)?)),
        None => None,
    };
    let (listener, address) = listen(options.listen).await?;
    let (control, control_address) = match options.control {
        Some(address) => listen(address).await.map(|(listener, address)| (Some(listener), Some(address)))?,
        None => (None, None),
    };
    let state = Arc::new(State::new(options.settings));
    let simulator = Simulator {
        listener,
        control,
        address,
        control_address,
        base_path: options.base_path,
        greeting,
        state,
    };
    for order in options.faults {
        simulator.controls().add_fault(order).await?;
    }
    Ok(simulator)
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), SimulatorError> {
    let failed = |source| SimulatorError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

impl Simulator {
    /// Where KRA is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the levers are in reach while the line is cut.
    pub fn control_address(&self) -> Option<SocketAddr> {
        self.control_address
    }

    /// What a client's base URL is.
    pub fn base_url(&self) -> String {
        let scheme = if self.greeting.is_some() { "https" } else { "http" };
        format!("{scheme}://{}{}", self.address, self.base_path)
    }

    /// The levers, for the same process.
    pub fn controls(&self) -> Controls {
        Controls::new(Arc::clone(&self.state))
    }

    /// Serves until `shutdown` is done, then drops all connections.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) {
        let kra = serve_kra(self.listener, self.address, self.greeting, Arc::clone(&self.state));
        let controls = async {
            match self.control {
                Some(listener) => serve_controls(listener, self.state).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = shutdown => {}
            () = kra => {}
            () = controls => {}
        }
    }
}

/// Accepts while the line is up; while it is down nothing listens there at all.
async fn serve_kra(
    first: TcpListener,
    address: SocketAddr,
    greeting: Option<Arc<Greeting>>,
    state: Arc<State>,
) {
    let mut line = state.line.subscribe();
    let mut connections = JoinSet::new();
    let mut listener = Some(first);
    loop {
        if !*line.borrow_and_update() {
            drop(listener.take());
            state.listening.send_replace(false);
            if line.wait_for(|up| *up).await.is_err() {
                return;
            }
        }
        let open = match listener.take() {
            Some(listener) => listener,
            None => reopen(address).await,
        };
        state.listening.send_replace(true);
        let greeting = greeting.as_ref();
        tokio::select! {
            () = accept(&open, &mut connections, |stream| kra_connection(stream, greeting.cloned(), Arc::clone(&state))) => {}
            _ = line.changed() => {}
        }
        listener = Some(open);
    }
}

async fn serve_controls(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    accept(&listener, &mut connections, |stream| {
        connection::serve(stream, Arc::clone(&state), Entrance::Controls)
    })
    .await;
}

/// Accepts for ever.
async fn accept<F>(listener: &TcpListener, connections: &mut JoinSet<()>, serve: impl Fn(TcpStream) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                // Answers are small and somebody waits for each.
                let _ = stream.set_nodelay(true);
                let served = serve(stream);
                connections.spawn(async move {
                    served.await;
                    drop(place);
                });
            }
            // Out of descriptors, or the client has gone: the next one may do better.
            Err(error) => {
                tracing::warn!(%error, "simulator: accept failed");
                sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

async fn kra_connection(stream: TcpStream, greeting: Option<Arc<Greeting>>, state: Arc<State>) {
    let Some(greeting) = greeting else {
        return connection::serve(stream, state, Entrance::Kra).await;
    };
    let wrong = state.faults().strike_certificate();
    let handshake = timeout(Duration::from_secs(10), greeting.acceptor(wrong).accept(stream)).await;
    if let Ok(Ok(stream)) = handshake {
        connection::serve(stream, state, Entrance::Kra).await;
    }
}

/// Takes the address again; somebody else may have it for a moment.
async fn reopen(address: SocketAddr) -> TcpListener {
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(error) => {
                tracing::warn!(%address, %error, "simulator: the line cannot come back yet");
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}
