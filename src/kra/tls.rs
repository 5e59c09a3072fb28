//! TLS to KRA. The certificate is always verified; there is no switch for it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::validity::ends_at;
use crate::queue::{Step, Unreachable};

/// How many sessions are kept for a quicker next handshake; there is one server.
const SESSIONS: usize = 4;

/// What is wrong with the extra root certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RootsFault {
    /// Not PEM, or nothing in it.
    #[error("must hold at least one certificate in PEM form")]
    NoCertificate,
    /// A certificate that cannot be read.
    #[error("holds a certificate that cannot be used as a root")]
    Unusable,
}

/// How to speak TLS with one host. The machine's roots are read when first needed, and again after a certificate did
/// not verify: the distribution may have renewed them since.
pub(super) struct Tls {
    name: ServerName<'static>,
    extra_roots: Vec<CertificateDer<'static>>,
    config: Mutex<Option<Arc<ClientConfig>>>,
    /// When the certificate of the last handshake ends; 0 before there was one.
    ends_at: AtomicI64,
}

impl Tls {
    /// For this host, with these roots (PEM) beside the machine's own.
    pub(super) fn new(name: ServerName<'static>, extra_roots: Option<&[u8]>) -> Result<Self, RootsFault> {
        let extra_roots = match extra_roots {
            Some(pem) => roots(pem)?,
            None => Vec::new(),
        };
        Ok(Self { name, extra_roots, config: Mutex::new(None), ends_at: AtomicI64::new(0) })
    }

    /// Shakes hands over this connection.
    ///
    /// # Errors
    /// [`Step::Trust`] where the certificate does not verify, else [`Step::Handshake`].
    pub(super) async fn handshake(&self, stream: TcpStream) -> Result<TlsStream<TcpStream>, Unreachable> {
        let connector = TlsConnector::from(self.config()?);
        let stream = connector.connect(self.name.clone(), stream).await.map_err(|error| {
            let unreachable = self.explain(&error);
            if unreachable.at == Step::Trust {
                *self.kept() = None;
            }
            unreachable
        })?;
        let leaf = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        if let Some(ends_at) = leaf.and_then(|leaf| ends_at(leaf)) {
            self.ends_at.store(ends_at, Ordering::Relaxed);
        }
        Ok(stream)
    }

    /// When the certificate that was shown last ends, seconds since 1970.
    pub(super) fn certificate_until(&self) -> Option<i64> {
        Some(self.ends_at.load(Ordering::Relaxed)).filter(|at| *at != 0)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Option<Arc<ClientConfig>>> {
        self.config.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn config(&self) -> Result<Arc<ClientConfig>, Unreachable> {
        if let Some(config) = self.kept().as_ref() {
            return Ok(Arc::clone(config));
        }
        let mut roots = RootCertStore::empty();
        let native = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(native.certs);
        roots.add_parsable_certificates(self.extra_roots.iter().cloned());
        if roots.is_empty() {
            let why = "this machine has no root certificates: install ca-certificates, or set kra.ca_file";
            return Err(Unreachable { at: Step::Trust, why: why.to_owned() });
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring speaks TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.resumption = Resumption::in_memory_sessions(SESSIONS);
        // Early data can be replayed by whoever recorded it; a sale must not be.
        config.enable_early_data = false;
        let config = Arc::new(config);
        *self.kept() = Some(Arc::clone(&config));
        Ok(config)
    }

    fn explain(&self, error: &std::io::Error) -> Unreachable {
        let host = self.name.to_str();
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match inner {
            Some(rustls::Error::InvalidCertificate(fault)) => {
                Unreachable { at: Step::Trust, why: format!("{host}: {}", untrusted(fault)) }
            }
            _ => Unreachable { at: Step::Handshake, why: format!("TLS with {host} failed: {error}") },
        }
    }
}

/// Reads PEM, each certificate checked for use as a root.
fn roots(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, RootsFault> {
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|_| RootsFault::NoCertificate)?;
    if certificates.is_empty() {
        return Err(RootsFault::NoCertificate);
    }
    let mut store = RootCertStore::empty();
    for certificate in &certificates {
        store.add(certificate.clone()).map_err(|_| RootsFault::Unusable)?;
    }
    Ok(certificates)
}

/// Why a certificate is not trusted, in a technician's words.
fn untrusted(fault: &CertificateError) -> String {
    match fault {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired, or the clock of this machine is wrong".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet, or the clock of this machine is wrong".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is for another host: the address is wrong, or somebody is in between".to_owned()
        }
        CertificateError::BadSignature => "its certificate names an issuer this machine knows, but is \
            signed by somebody else: somebody is in between, or kra.ca_file is out of date"
            .to_owned(),
        CertificateError::Revoked => "its certificate was revoked".to_owned(),
        CertificateError::UnknownIssuer => "its certificate is from an issuer this machine does not know: \
            somebody is in between, or kra.ca_file is missing"
            .to_owned(),
        other => format!("its certificate does not verify: {other}"),
    }
}
