//! TLS for registers on other machines: their connections are shaken hands with before anything is read of them.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// What is wrong with a certificate or key.
#[derive(Debug, thiserror::Error)]
pub enum TlsFault {
    /// Not PEM, or nothing in it.
    #[error("the certificate's file must hold at least one certificate in PEM form")]
    NoCertificate,
    /// Not PEM, or another thing.
    #[error("the key's file must hold one private key in PEM form")]
    NoKey,
    /// The library does not take them.
    #[error("certificate and key cannot be used together: {0}")]
    Unusable(rustls::Error),
}

/// How to speak TLS as a server.
#[derive(Clone)]
pub struct ServerTls(TlsAcceptor);

impl ServerTls {
    /// With this chain of certificates, the server's own first, and its key, both in PEM form.
    ///
    /// # Errors
    /// They cannot be read, or do not belong together.
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, TlsFault> {
        let chain: Result<Vec<CertificateDer<'static>>, _> =
            CertificateDer::pem_slice_iter(certificates).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or(TlsFault::NoCertificate)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsFault::NoKey)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsFault::Unusable)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(TlsFault::Unusable)?;
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }

    /// Shakes hands, within this time.
    ///
    /// # Errors
    /// The client speaks no TLS that we do, or takes too long.
    pub(super) async fn accept(
        &self,
        stream: TcpStream,
        within: Duration,
    ) -> io::Result<TlsStream<TcpStream>> {
        match timeout(within, self.0.accept(stream)).await {
            Ok(accepted) => accepted,
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no handshake in time")),
        }
    }
}

/// Nothing of the key.
impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerTls")
    }
}
