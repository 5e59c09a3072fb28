//! TLS in front of the simulator: the certificate given, or on order one for another name.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;
use tokio_rustls::TlsAcceptor;

/// Why TLS cannot be offered.
#[derive(Debug, Error)]
pub enum TlsError {
    /// The file of certificates is no PEM, or has none.
    #[error("TLS certificate: {0}")]
    Certificate(String),
    /// The key's file is no PEM, has none, or the key is another certificate's.
    #[error("TLS key: {0}")]
    Key(String),
    /// The certificate for another name could not be made.
    #[error("making a certificate for another name: {0}")]
    AnotherName(String),
}

/// Both ways to greet a client.
pub(super) struct Greeting {
    right: TlsAcceptor,
    wrong: TlsAcceptor,
}

impl Greeting {
    /// From a chain of certificates and its key, both as PEM.
    pub(super) fn new(certificate: &[u8], key: &[u8]) -> Result<Greeting, TlsError> {
        let another = rcgen::generate_simple_self_signed(vec!["another-name.invalid".to_owned()])
            .map_err(|error| TlsError::AnotherName(error.to_string()))?;
        let wrong = acceptor(another.cert.pem().as_bytes(), another.signing_key.serialize_pem().as_bytes())?;
        Ok(Greeting { right: acceptor(certificate, key)?, wrong })
    }

    /// The one to use for the next connection.
    pub(super) fn acceptor(&self, wrong: bool) -> TlsAcceptor {
        if wrong { self.wrong.clone() } else { self.right.clone() }
    }
}

fn acceptor(certificate: &[u8], key: &[u8]) -> Result<TlsAcceptor, TlsError> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificate)
        .collect::<Result<_, _>>()
        .map_err(|error| TlsError::Certificate(error.to_string()))?;
    if chain.is_empty() {
        return Err(TlsError::Certificate("no certificate in the file".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| TlsError::Key(error.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::Certificate(error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| TlsError::Key(error.to_string()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
