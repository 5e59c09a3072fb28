//! Addresses of KRA, of a proxy and of web pages, as they stand in the configuration.

use std::fmt;
use std::net::IpAddr;

use hyper::Uri;

/// Where KRA's functions are: scheme, host, port and the path before a function's own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BaseUrl {
    /// TLS or not.
    pub https: bool,
    /// Host name or IP address, lower case, an IPv6 address without brackets.
    pub host: String,
    /// Port, the scheme's own when none was written.
    pub port: u16,
    /// Path without a final slash; empty for the root.
    pub path: String,
}

impl BaseUrl {
    /// Reads `http[s]://host[:port][/path]`; white space around it and a final slash are dropped.
    pub(super) fn parse(text: &str) -> Result<BaseUrl, String> {
        let text = text.trim();
        let uri: Uri = text.parse().map_err(|_| "is not a URL".to_owned())?;
        let https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err("must begin with https:// or http://".to_owned()),
        };
        let authority = uri.authority().ok_or("has no host")?;
        if authority.as_str().contains('@') {
            return Err("must not hold a user name or password".to_owned());
        }
        if uri.query().is_some() || text.contains('#') {
            return Err("must not have a ? or # part".to_owned());
        }
        let host = bare_host(authority.host());
        if host.is_empty() {
            return Err("has no host".to_owned());
        }
        let port = port_of(authority, if https { 443 } else { 80 })?;
        let path = uri.path().trim_end_matches('/').to_owned();
        Ok(BaseUrl { https, host, port, path })
    }

    /// Does it stay on this machine?
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.host)
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, usual) = if self.https { ("https", 443) } else { ("http", 80) };
        write!(f, "{scheme}://{}", Bracketed(&self.host))?;
        if self.port != usual {
            write!(f, ":{}", self.port)?;
        }
        write!(f, "{}", self.path)
    }
}

/// An HTTP CONNECT proxy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ProxyAddress {
    /// Host name or IP address, an IPv6 address without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl ProxyAddress {
    /// Reads `[http://]host:port[/]`.
    pub(super) fn parse(text: &str) -> Result<ProxyAddress, String> {
        let text = text.trim();
        let text = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let url = BaseUrl::parse(&text)?;
        if url.https {
            return Err("the proxy itself is spoken to over http://".to_owned());
        }
        if !url.path.is_empty() {
            return Err("must not have a path".to_owned());
        }
        Ok(ProxyAddress { host: url.host, port: url.port })
    }
}

impl fmt::Display for ProxyAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}:{}", Bracketed(&self.host), self.port)
    }
}

/// A web origin, as a browser writes it in `Origin`: scheme, host and, if unusual, port; lower case.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Origin(String);

impl Origin {
    pub(super) fn parse(text: &str) -> Result<Origin, String> {
        let url = BaseUrl::parse(text)?;
        if !url.path.is_empty() {
            return Err("an origin has no path".to_owned());
        }
        Ok(Origin(url.to_string()))
    }

    /// The text to compare with the `Origin` header.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where events are POSTed. In the clear only where the wire is the shop's own: to this machine, and to addresses that no
/// router on the Internet forwards.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WebhookAddress {
    /// Scheme, host and port.
    pub url: BaseUrl,
    /// The path as it was written, at least a slash: a receiver may insist on a final one.
    pub path: String,
}

impl WebhookAddress {
    pub(super) fn parse(text: &str) -> Result<WebhookAddress, String> {
        let url = BaseUrl::parse(text)?;
        if !url.https && !url.is_loopback() && !is_private(&url.host) {
            return Err(
                "http:// shows the shop's sales to everybody on the way; beyond this machine and private \
                        addresses only https://"
                    .to_owned(),
            );
        }
        let uri: Uri = text.trim().parse().map_err(|_| "is not a URL".to_owned())?;
        Ok(WebhookAddress { url, path: uri.path().to_owned() })
    }
}

impl fmt::Display for WebhookAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", BaseUrl { path: String::new(), ..self.url.clone() }, self.path)
    }
}

fn is_private(host: &str) -> bool {
    match host.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V4(address)) => address.is_private() || address.is_link_local(),
        Ok(IpAddr::V6(address)) => address.is_unique_local() || address.is_unicast_link_local(),
        Err(_) => false,
    }
}

struct Bracketed<'a>(&'a str);

impl fmt::Display for Bracketed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.contains(':') { write!(f, "[{}]", self.0) } else { write!(f, "{}", self.0) }
    }
}

fn bare_host(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase()
}

fn port_of(authority: &hyper::http::uri::Authority, usual: u16) -> Result<u16, String> {
    let written = authority.as_str().rsplit(']').next().is_some_and(|rest| rest.contains(':'));
    match authority.port_u16() {
        Some(0) => Err("port 0 cannot be called".to_owned()),
        Some(port) => Ok(port),
        None if written => Err("has a bad port".to_owned()),
        None => Ok(usual),
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::{BaseUrl, Origin, ProxyAddress, WebhookAddress};

    #[test]
    fn base_urls() {
        let check = |text: &str, expected: Result<&str, &str>| {
            let found = BaseUrl::parse(text).map(|url| url.to_string());
            match expected {
                Ok(expected) => assert_eq!(found.as_deref(), Ok(expected), "{text}"),
                Err(part) => assert!(found.as_ref().is_err_and(|e| e.contains(part)), "{text}: {found:?}"),
            }
        };
        check(" https://etims-api.kra.go.ke/etims-api/ ", Ok("https://etims-api.kra.go.ke/etims-api"));
        check("http://127.0.0.1:9443/etims-api", Ok("http://127.0.0.1:9443/etims-api"));
        check("https://HOST.example:443", Ok("https://host.example"));
        check("http://[::1]:80/", Ok("http://[::1]"));
        check("http://[::1]:9443", Ok("http://[::1]:9443"));
        check("ftp://host/", Err("begin with"));
        check("host.example/path", Err("URL"));
        check("https:///x", Err(""));
        check("https://user:secret@host/", Err("password"));
        check("https://host/?a=b", Err("?"));
        check("https://host:99999/", Err(""));
        check("https://host:/", Err("port"));
        check("", Err(""));
        check("https://ho st/", Err("URL"));
    }

    #[test]
    fn webhooks() {
        let check = |text: &str, expected: Option<&str>| {
            let found = WebhookAddress::parse(text).map(|url| url.to_string()).ok();
            assert_eq!(found.as_deref(), expected, "{text}");
        };
        check("https://alerts.example/etims/", Some("https://alerts.example/etims/"));
        check("https://alerts.example", Some("https://alerts.example/"));
        check("http://localhost:9000/sale", Some("http://localhost:9000/sale"));
        check("http://192.168.1.10/x", Some("http://192.168.1.10/x"));
        check("http://10.1.2.3:8080/", Some("http://10.1.2.3:8080/"));
        check("http://[fd00::1]:80/", Some("http://[fd00::1]/"));
        check("http://[::ffff:10.0.0.1]/", Some("http://[::ffff:10.0.0.1]/"));
        for bad in [
            "http://alerts.example/",
            "http://8.8.8.8/",
            "http://172.32.0.1/",
            "http://[2001:db8::1]/",
            "x",
            "ftp://10.0.0.1/",
            "https://me:pw@alerts.example/",
            "https://alerts.example/?token=x",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn loopback() {
        for (text, expected) in [
            ("http://localhost/", true),
            ("http://127.8.9.1/", true),
            ("http://[::1]/", true),
            ("http://localhost.example/", false),
            ("http://127.0.0.1.example/", false),
            ("http://10.0.0.1/", false),
        ] {
            assert_eq!(BaseUrl::parse(text).unwrap().is_loopback(), expected, "{text}");
        }
    }

    #[test]
    fn proxies_and_origins() {
        assert_eq!(ProxyAddress::parse("proxy:3128").unwrap().to_string(), "http://proxy:3128");
        assert_eq!(
            ProxyAddress::parse("http://[fd00::1]:3128/").unwrap().to_string(),
            "http://[fd00::1]:3128"
        );
        assert!(ProxyAddress::parse("https://proxy:3128").is_err());
        assert!(ProxyAddress::parse("http://me:pw@proxy:3128").is_err());
        assert_eq!(Origin::parse("https://POS.example:443/").unwrap().as_str(), "https://pos.example");
        for bad in ["*", "null", "https://pos.example/page", ""] {
            assert!(Origin::parse(bad).is_err(), "{bad}");
        }
    }
}
