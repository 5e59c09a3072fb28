//! The sockets that the daemon answers on: those of the configuration, or those that systemd passed.

use std::net::SocketAddr;

use tracing::warn;

use super::wiring;
use crate::config::Settings;
use crate::http::{Guard, ListenError, Listener, ServerTls};
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
pub(super) async fn bind(
    settings: &Settings,
    passed: Vec<PassedSocket>,
    tls: Option<&ServerTls>,
) -> Result<Sockets, ListenError> {
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
        tell_unused(settings, &till);
    }
    let till: Vec<Listener> = till.into_iter().map(|listener| listener.with_tls(tls.cloned())).collect();
    // What systemd passes need not be what the configuration names: the rule goes by the real address.
    if let Some(local) = till
        .iter()
        .filter_map(Listener::local_addr)
        .find(|local| !may_listen(*local, settings.http.token_file.is_some(), tls.is_some()))
    {
        return Err(ListenError::Open { address: local });
    }
    Ok(Sockets { till, admin: Listener::unix(&settings.admin.path, 0o600, None)? })
}

/// Sockets that systemd passed take the place of those of the configuration: whoever changed these should know.
fn tell_unused(settings: &Settings, passed: &[Listener]) {
    let names: Vec<String> = passed.iter().map(ToString::to_string).collect();
    let wanted = settings.http.listen.iter().map(|address| ("http.listen", address.to_string()));
    let unix = ("unix.path", settings.unix.path.display().to_string());
    for (key, address) in wanted.chain([unix]).filter(|(_, address)| !names.contains(address)) {
        warn!(
            name: "sockets_differ",
            key,
            address,
            "nobody listens there: the sockets are systemd's, and its socket units say where they are \
             (systemctl edit etims-gateway.socket, etims-gateway-tcp.socket)"
        );
    }
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

/// Beyond this machine nobody is heard without a token and TLS.
fn may_listen(local: SocketAddr, token: bool, tls: bool) -> bool {
    local.ip().to_canonical().is_loopback() || (token && tls)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_with_token_and_tls_beyond_this_machine() {
        for (address, loopback) in [
            ("127.0.0.1:8460", true),
            ("127.8.8.8:1", true),
            ("[::1]:8460", true),
            ("[::ffff:127.0.0.1]:8460", true),
            ("0.0.0.0:8460", false),
            ("[::]:8460", false),
            ("192.168.1.5:8460", false),
            ("[fe80::1]:8460", false),
        ] {
            let local = address.parse().unwrap();
            assert!(may_listen(local, true, true), "{address}");
            for (token, tls) in [(false, false), (true, false), (false, true)] {
                assert_eq!(may_listen(local, token, tls), loopback, "{address} {token} {tls}");
            }
        }
    }
}
