//! How KRA is reached and spoken to, as the client takes it; the configuration is mapped onto it.

use std::time::Duration;

use crate::wire::{Format, Paths};

use super::base_url::BaseUrl;
use super::proxy::Proxy;
use super::tls::RootsFault;

/// How KRA is reached and spoken to.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where KRA lives.
    pub base_url: BaseUrl,
    /// The format of the wire.
    pub format: Format,
    /// Whether requests carry `X-Signature`.
    pub sign_requests: bool,
    /// Where each function lives under the base address.
    pub paths: Paths,
    /// The longest way to a standing connection: name, TCP, proxy, TLS.
    pub connect_timeout: Duration,
    /// The longest exchange, from the request's first byte to the answer's last.
    pub request_timeout: Duration,
    /// Root certificates beside the machine's own, in PEM form.
    pub ca_certificates: Option<Vec<u8>>,
    /// The proxy on the way.
    pub proxy: Option<Proxy>,
}

/// Settings that no client can be made from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsFault {
    /// `kra.ca_file`.
    #[error("kra.ca_file {0}")]
    Roots(#[from] RootsFault),
    /// A host that no certificate can be for.
    #[error("kra.base_url: {0} is not a host name that a certificate can be for")]
    Host(String),
}
