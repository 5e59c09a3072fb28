//! Where connections come in.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};

use rustix::net::AddressFamily;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::request::Peer;
use super::tls::ServerTls;
use super::unix_socket::{self, SocketFile};

/// A socket that accepts connections. A Unix socket's file that we made is removed when this is dropped.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    name: String,
    /// What is spoken on a TCP socket first.
    pub(super) tls: Option<ServerTls>,
    /// Kept for what its end does.
    _file: Option<SocketFile>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener, SocketAddr),
    Unix(UnixListener),
}

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The TCP address cannot be had.
    #[error("cannot listen on {address}: {error}")]
    Address {
        /// The address.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// Other machines could reach it, and it is not secured.
    #[error(
        "{address} can be reached from other machines: that takes http.token_file, http.tls_certificate and http.tls_key"
    )]
    Open {
        /// The address.
        address: SocketAddr,
    },
    /// Somebody listens on the Unix socket already.
    #[error("{} is in use by a running process", path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// There is no such group.
    #[error("there is no group {group:?} in /etc/group; create it, or give its number")]
    NoGroup {
        /// The group.
        group: String,
    },
    /// Something else than a socket has the path.
    #[error("{} exists and is not a socket; move it away", path.display())]
    NotASocket {
        /// The file.
        path: PathBuf,
    },
    /// A socket that was passed to us is of no use.
    #[error("a socket passed by the service manager cannot be used: {0}")]
    Passed(io::Error),
    /// A step of making a Unix socket failed.
    #[error("cannot {step} {}: {error}", path.display())]
    Path {
        /// What was being done.
        step: &'static str,
        /// The socket.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl ListenError {
    /// Whether another process has it: it may be gone at the next try.
    pub fn is_in_use(&self) -> bool {
        match self {
            Self::InUse { .. } => true,
            Self::Address { error, .. } => error.kind() == io::ErrorKind::AddrInUse,
            Self::NoGroup { .. }
            | Self::Open { .. }
            | Self::NotASocket { .. }
            | Self::Passed(_)
            | Self::Path { .. } => false,
        }
    }
}

/// A new connection.
pub(super) enum Accepted {
    /// Stream, their address, our address.
    Tcp(TcpStream, SocketAddr, SocketAddr),
    /// Stream and who is on it.
    Unix(UnixStream, Peer),
}

impl Listener {
    /// Listens on a TCP address; port 0 takes a free one.
    ///
    /// # Errors
    /// The address is in use or not ours.
    pub async fn tcp(address: SocketAddr) -> Result<Listener, ListenError> {
        let cannot = |error| ListenError::Address { address, error };
        let socket = TcpListener::bind(address).await.map_err(cannot)?;
        let local = socket.local_addr().map_err(cannot)?;
        Ok(Listener { socket: Socket::Tcp(socket, local), name: local.to_string(), tls: None, _file: None })
    }

    /// Listens on a Unix socket with these permission bits and this group (a name of `/etc/group`, or a number), both
    /// set before anybody can connect. A socket file that nobody answers on is replaced; the directory must exist.
    /// To be called inside the runtime.
    ///
    /// # Errors
    /// The path is taken, the group unknown, or the operating system refuses a step.
    pub fn unix(path: &Path, mode: u32, group: Option<&str>) -> Result<Listener, ListenError> {
        let (socket, file) = unix_socket::bind(path, mode, group)?;
        let cannot = |error| ListenError::Path { step: "listen on", path: path.to_owned(), error };
        let socket = UnixListener::from_std(socket).map_err(cannot)?;
        Ok(Listener {
            socket: Socket::Unix(socket),
            name: path.display().to_string(),
            tls: None,
            _file: Some(file),
        })
    }

    /// Takes a listening TCP or Unix socket that the service manager passed. To be called inside the runtime.
    ///
    /// # Errors
    /// It is no listening stream socket of these families.
    pub fn from_fd(fd: OwnedFd) -> Result<Listener, ListenError> {
        let passed = |error: io::Error| ListenError::Passed(error);
        let wrong =
            |what: &str| ListenError::Passed(io::Error::new(io::ErrorKind::InvalidInput, what.to_owned()));
        let family = rustix::net::sockopt::socket_domain(&fd).map_err(|error| passed(error.into()))?;
        if !rustix::net::sockopt::socket_acceptconn(&fd).map_err(|error| passed(error.into()))? {
            return Err(wrong("it is not listening (Accept=no and ListenStream= are needed)"));
        }
        rustix::io::ioctl_fionbio(&fd, true).map_err(|error| passed(error.into()))?;
        match family {
            AddressFamily::INET | AddressFamily::INET6 => {
                let socket = TcpListener::from_std(fd.into()).map_err(passed)?;
                let local = socket.local_addr().map_err(passed)?;
                Ok(Listener {
                    socket: Socket::Tcp(socket, local),
                    name: local.to_string(),
                    tls: None,
                    _file: None,
                })
            }
            AddressFamily::UNIX => {
                let socket = UnixListener::from_std(StdUnixListener::from(fd)).map_err(passed)?;
                let path =
                    socket.local_addr().ok().and_then(|address| address.as_pathname().map(Path::to_owned));
                let name =
                    path.map_or_else(|| "a passed Unix socket".to_owned(), |path| path.display().to_string());
                Ok(Listener { socket: Socket::Unix(socket), name, tls: None, _file: None })
            }
            other => Err(wrong(&format!("its address family is {other:?}"))),
        }
    }

    /// Speaks TLS from now on, if this is a TCP socket.
    #[must_use]
    pub fn with_tls(self, tls: Option<ServerTls>) -> Listener {
        let tls = tls.filter(|_| matches!(self.socket, Socket::Tcp(..)));
        Listener { tls, ..self }
    }

    /// Whether everything said over it can be read on the way.
    pub const fn is_in_the_clear(&self) -> bool {
        self.tls.is_none()
    }

    /// The address of a TCP listener, with the port that was taken.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.socket {
            Socket::Tcp(_, local) => Some(*local),
            Socket::Unix(_) => None,
        }
    }

    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        match &self.socket {
            Socket::Tcp(socket, _) => {
                let (stream, peer) = socket.accept().await?;
                // Answers are small and awaited: never hold one back to fill a packet.
                stream.set_nodelay(true)?;
                let local = stream.local_addr()?;
                Ok(Accepted::Tcp(stream, peer, local))
            }
            Socket::Unix(socket) => {
                let (stream, _) = socket.accept().await?;
                let known = stream.peer_cred().ok();
                let peer = Peer::Unix {
                    pid: known.as_ref().and_then(tokio::net::unix::UCred::pid),
                    uid: known.as_ref().map(tokio::net::unix::UCred::uid),
                };
                Ok(Accepted::Unix(stream, peer))
            }
        }
    }
}

impl fmt::Display for Listener {
    /// The address or path.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)
    }
}
