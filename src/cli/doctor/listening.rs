//! The till API's addresses while no daemon runs: whether it could have them.

use std::io;
use std::net::{SocketAddr, TcpListener};

use super::Finding;
use crate::config::Settings;

const SUBJECT: &str = "till API";

/// Takes each address for a moment.
pub(super) fn look(settings: &Settings) -> Vec<Finding> {
    settings
        .http
        .listen
        .iter()
        .map(|address| judge(*address, TcpListener::bind(address).map(|_| ())))
        .collect()
}

fn judge(address: SocketAddr, taken: io::Result<()>) -> Finding {
    match taken {
        Ok(()) => Finding::ok(SUBJECT, format!("{address} is free")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Finding::warn(
            SUBJECT,
            format!("{address} is in use"),
            "by systemd's socket unit it should be; by anything else (ss -ltnp) set http.listen to another port",
        ),
        Err(error) => Finding::fail(
            SUBJECT,
            format!("{address}: {error}"),
            "set http.listen to an address that this till has",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn free_taken_and_foreign_addresses() {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = held.local_addr().unwrap();
        let look = |address: SocketAddr| judge(address, TcpListener::bind(address).map(|_| ())).level;
        assert_eq!(look(address), Level::Warn);
        drop(held);
        assert_eq!(look("127.0.0.1:0".parse().unwrap()), Level::Ok);
        assert_eq!(look("192.0.2.1:80".parse().unwrap()), Level::Fail, "no address of this machine");
    }
}
