//! From an address to a stream that is ready for HTTP: name, TCP, proxy, TLS. Nothing of a request is sent here.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};

use crate::queue::{Step, Unreachable};

use super::base_url::BaseUrl;
use super::proxy::Proxy;
use super::tls::Tls;

/// A stream to KRA, encrypted or not.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// The way to KRA.
pub(super) struct Route {
    pub(super) base_url: BaseUrl,
    pub(super) proxy: Option<Proxy>,
    pub(super) tls: Option<Tls>,
}

impl Route {
    /// Goes the whole way within this time.
    ///
    /// # Errors
    /// How far it came, and why no farther.
    pub(super) async fn dial(&self, within: Duration) -> Result<Box<dyn Stream>, Unreachable> {
        let deadline = Instant::now() + within;
        let (host, port) = match &self.proxy {
            Some(proxy) => (proxy.host(), proxy.port()),
            None => (self.base_url.host(), self.base_url.port()),
        };
        let addresses = resolve(host, port, deadline).await?;
        let mut stream = reach(host, &addresses, deadline).await?;
        if let Some(proxy) = &self.proxy {
            let target = self.base_url.host_and_port();
            let tunnel = timeout_at(deadline, proxy.tunnel(&mut stream, &target)).await;
            let tunnel = tunnel.unwrap_or_else(|_| Err(format!("the proxy {proxy} does not answer")));
            tunnel.map_err(|why| Unreachable { at: Step::Connect, why })?;
        }
        let Some(tls) = &self.tls else { return Ok(Box::new(stream)) };
        match timeout_at(deadline, tls.handshake(stream)).await {
            Ok(stream) => Ok(Box::new(stream?)),
            Err(_) => {
                let why = format!("TLS with {} took too long", self.base_url.host());
                Err(Unreachable { at: Step::Handshake, why })
            }
        }
    }
}

async fn resolve(host: &str, port: u16, deadline: Instant) -> Result<Vec<SocketAddr>, Unreachable> {
    let failed = |why: String| Unreachable { at: Step::Dns, why: format!("the address of {host}: {why}") };
    let found = timeout_at(deadline, lookup_host((host, port))).await;
    let found = found.map_err(|_| failed("the name server does not answer".to_owned()))?;
    let addresses: Vec<SocketAddr> = found.map_err(|error| failed(error.to_string()))?.collect();
    if addresses.is_empty() { Err(failed("none".to_owned())) } else { Ok(addresses) }
}

/// Tries the addresses in the resolver's order. Each gets its share of the time that is left, so that a first one that
/// swallows packets leaves some for the others.
async fn reach(host: &str, addresses: &[SocketAddr], deadline: Instant) -> Result<TcpStream, Unreachable> {
    let mut why = String::new();
    for (at, address) in addresses.iter().enumerate() {
        let left = u32::try_from(addresses.len() - at).unwrap_or(u32::MAX);
        let now = Instant::now();
        let share = now + deadline.saturating_duration_since(now) / left;
        why = match timeout_at(share, connect(*address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => format!("{host} at {address}: {error}"),
            Err(_) => format!("{host} at {address} does not answer"),
        };
    }
    Err(Unreachable { at: Step::Connect, why })
}

async fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_keepalive(true)?;
    socket.set_nodelay(true)?;
    socket.connect(address).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    #[tokio::test]
    async fn an_address_that_refuses_is_not_the_last_word() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let good = listener.local_addr().unwrap();
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let bad = closed.local_addr().unwrap();
        drop(closed);
        let stream = reach("kra.example", &[bad, good], soon()).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good);
        let unreachable = reach("kra.example", &[bad], soon()).await.unwrap_err();
        assert_eq!(unreachable.at, Step::Connect);
        assert!(unreachable.why.starts_with(&format!("kra.example at {bad}: ")), "{}", unreachable.why);
    }

    #[tokio::test]
    async fn addresses_need_no_name_server() {
        let addresses = resolve("127.0.0.1", 9443, soon()).await.unwrap();
        assert_eq!(addresses, ["127.0.0.1:9443".parse().unwrap()]);
        assert_eq!(resolve("kra.invalid", 443, soon()).await.unwrap_err().at, Step::Dns);
    }
}
