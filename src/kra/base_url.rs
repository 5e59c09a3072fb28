//! Where KRA lives: scheme, host, port and the path in front of every function.

use std::fmt;
use std::net::IpAddr;

use hyper::Uri;

/// The longest address, in bytes.
const LONGEST: usize = 1000;

/// What is wrong with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlFault {
    /// Not an absolute http or https address with a host.
    #[error("must be an address such as https://etims-api.kra.go.ke/etims-api")]
    Malformed,
    /// Something that has no place in it.
    #[error("must not hold a user name, a query or a fragment")]
    Surplus,
    /// Unencrypted, and not to this machine.
    #[error("must be https: without TLS only this machine itself may be called")]
    Unencrypted,
}

/// A checked base address. Unencrypted only to this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    tls: bool,
    /// Without brackets, also where it is an IPv6 address.
    host: String,
    port: u16,
    /// Empty, or begun with a slash and ended without one.
    path: String,
}

impl BaseUrl {
    /// Reads an address; outer spaces and trailing slashes are dropped, as a stray one gives odd errors at KRA.
    ///
    /// # Errors
    /// The address is malformed, holds more than scheme, host, port and path, or is unencrypted and not local.
    pub fn parse(text: &str) -> Result<Self, UrlFault> {
        let text = text.trim().trim_end_matches('/');
        if text.len() > LONGEST {
            return Err(UrlFault::Malformed);
        }
        if text.contains('#') {
            return Err(UrlFault::Surplus);
        }
        let uri: Uri = text.parse().map_err(|_| UrlFault::Malformed)?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(UrlFault::Malformed),
        };
        let authority = uri.authority().ok_or(UrlFault::Malformed)?;
        if authority.as_str().contains('@') || uri.query().is_some() {
            return Err(UrlFault::Surplus);
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let port_text = authority.as_str().rsplit_once(']').map_or(authority.as_str(), |(_, rest)| rest);
        if host.is_empty() || (port_text.contains(':') && authority.port_u16().is_none()) {
            return Err(UrlFault::Malformed);
        }
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let path = uri.path().trim_end_matches('/').to_owned();
        let url = Self { tls, host: host.to_owned(), port, path };
        if !tls && !url.is_loopback() { Err(UrlFault::Unencrypted) } else { Ok(url) }
    }

    /// Whether the connection is encrypted.
    pub const fn is_tls(&self) -> bool {
        self.tls
    }

    /// The host, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The path in front of every function; empty, or begun with a slash.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether it is this machine.
    pub fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => self.host.eq_ignore_ascii_case("localhost"),
        }
    }

    /// The value of `Host`: the port only where it is not the scheme's own.
    pub(super) fn host_header(&self) -> String {
        if self.port == if self.tls { 443 } else { 80 } {
            bracketed(&self.host)
        } else {
            self.host_and_port()
        }
    }

    /// Host and port, as a proxy is told them.
    pub(super) fn host_and_port(&self) -> String {
        format!("{}:{}", bracketed(&self.host), self.port)
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.host_header(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, expected) in [
            (" https://etims-api.kra.go.ke/etims-api/ ", Ok("https://etims-api.kra.go.ke/etims-api")),
            ("https://a.example", Ok("https://a.example")),
            ("https://a.example:8443/x/y//", Ok("https://a.example:8443/x/y")),
            ("https://a.example:443", Ok("https://a.example")),
            ("http://127.0.0.1:9443/etims-api", Ok("http://127.0.0.1:9443/etims-api")),
            ("http://localhost", Ok("http://localhost")),
            ("http://[::1]:9443", Ok("http://[::1]:9443")),
            ("https://[2001:db8::1]", Ok("https://[2001:db8::1]")),
            ("http://a.example", Err(UrlFault::Unencrypted)),
            ("http://127.0.0.1.a.example", Err(UrlFault::Unencrypted)),
            ("https://u:p@a.example", Err(UrlFault::Surplus)),
            ("https://a.example/?x=1", Err(UrlFault::Surplus)),
            ("https://a.example/#x", Err(UrlFault::Surplus)),
            ("ftp://a.example", Err(UrlFault::Malformed)),
            ("a.example", Err(UrlFault::Malformed)),
            ("https://a.example:99999", Err(UrlFault::Malformed)),
            ("https://a b", Err(UrlFault::Malformed)),
            ("", Err(UrlFault::Malformed)),
        ] {
            let parsed = BaseUrl::parse(text).map(|url| url.to_string());
            assert_eq!(parsed.as_deref(), expected.as_deref(), "{text}");
        }
    }
}
