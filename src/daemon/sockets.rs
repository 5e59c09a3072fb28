//! The sockets that the daemon answers on: those of the configuration, or those that systemd passed.

use std::net::SocketAddr;

use super::wiring;
use crate::config::Settings;
use crate::http::{Guard, ListenError, Listener};
use crate::systemd::PassedSocket;

/// All of them, bound.
#[derive(Debug)]
pub(super) struct Sockets {
    /// Till API: TCP and Unix.
    pub(super) till: Vec<Listener>,
    /// Technicians' commands.
    pub(super) admin: Listener,
}

/// Binds them; the admin socket is always our own.
pub(super) async fn bind(settings: &Settings, passed: Vec<PassedSocket>) -> Result<Sockets, ListenError> {
    let mut till = Vec::new();
    if passed.is_empty() {
        for address in &settings.http.listen {
            till.push(Listener::tcp(*address).await?);
        }
        till.push(Listener::unix(&settings.unix.path, settings.unix.mode, settings.unix.group.as_deref())?);
    } else {
        for socket in passed {
            till.push(Listener::from_fd(socket.fd)?);
        }
    }
    Ok(Sockets { till, admin: Listener::unix(&settings.admin.path, 0o600, None)? })
}

/// The rules of the till API: who may ask. `token`: what TCP requests must bring.
pub(super) fn guard(
    settings: &Settings,
    till: &[Listener],
    token: Option<String>,
) -> Result<Guard, crate::http::GuardError> {
    let addresses: Vec<SocketAddr> = till.iter().filter_map(Listener::local_addr).collect();
    Guard::new(wiring::origins(settings), &addresses, token)
}
