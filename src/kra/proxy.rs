//! The way out through an HTTP proxy: `CONNECT`, whatever is spoken inside.

use std::fmt;

use data_encoding::BASE64;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The longest head of a proxy's answer, in bytes.
const LONGEST_HEAD: usize = 8 * 1024;

/// A proxy, and what it is told to let us through. Its password is in no output.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    host: String,
    port: u16,
    /// The value of `Proxy-Authorization`.
    authorization: Option<String>,
}

/// What is wrong with a proxy's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an address such as http://proxy.example:3128 or http://user:password@proxy.example:3128")]
pub struct ProxyFault;

impl Proxy {
    /// Reads `http://[user:password@]host[:port]`; the port is 3128 where none is given.
    ///
    /// # Errors
    /// The address is of another kind.
    pub fn parse(text: &str) -> Result<Self, ProxyFault> {
        let rest = text.trim().strip_prefix("http://").ok_or(ProxyFault)?.trim_end_matches('/');
        let (user, place) = match rest.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, rest),
        };
        let authorization = match user {
            Some(user) => {
                let (name, password) = user.split_once(':').unwrap_or((user, ""));
                let mut plain = percent_decoded(name).ok_or(ProxyFault)?;
                plain.push(b':');
                plain.extend(percent_decoded(password).ok_or(ProxyFault)?);
                Some(format!("Basic {}", BASE64.encode(&plain)))
            }
            None => None,
        };
        let (host, port) = match place.strip_prefix('[') {
            Some(v6) => v6.split_once(']').ok_or(ProxyFault)?,
            None => place.split_at(place.find(':').unwrap_or(place.len())),
        };
        let port = match port.strip_prefix(':') {
            Some(port) => port.parse().map_err(|_| ProxyFault)?,
            None if port.is_empty() => 3128,
            None => return Err(ProxyFault),
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':');
        if host.is_empty() || !host.bytes().all(plain) {
            return Err(ProxyFault);
        }
        Ok(Self { host: host.to_owned(), port, authorization })
    }

    /// Its host.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its port.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Has the proxy lay a tunnel to `target` (host and port) over this connection to it.
    ///
    /// # Errors
    /// In words: the proxy refused, or did not speak HTTP.
    pub(super) async fn tunnel<S>(&self, stream: &mut S, target: &str) -> Result<(), String>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
        if let Some(authorization) = &self.authorization {
            request.push_str("Proxy-Authorization: ");
            request.push_str(authorization);
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        let failed = |error: std::io::Error| format!("the proxy {self}: {error}");
        stream.write_all(request.as_bytes()).await.map_err(failed)?;
        stream.flush().await.map_err(failed)?;

        let mut head = Vec::with_capacity(256);
        // Byte by byte: whatever follows the head belongs to the tunnel.
        while !head.ends_with(b"\r\n\r\n") {
            if head.len() == LONGEST_HEAD {
                return Err(format!("the proxy {self} answers without end"));
            }
            let byte = stream.read_u8().await;
            head.push(byte.map_err(|_| format!("the proxy {self} closed the connection"))?);
        }
        match status(&head) {
            Some(200..=299) => Ok(()),
            Some(407) => Err(format!("the proxy {self} asks for a user name and password it accepts")),
            Some(status) => Err(format!("the proxy {self} refuses a tunnel to {target}: HTTP {status}")),
            None => Err(format!("the proxy {self} does not speak HTTP")),
        }
    }
}

/// The status of an answer's first line.
fn status(head: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(head.split(|byte| *byte == b'\r').next()?).ok()?;
    let rest = line.strip_prefix("HTTP/1.")?;
    rest.split(' ').nth(1).filter(|status| status.len() == 3)?.parse().ok()
}

fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        if *first == b'%' {
            let (hex, behind) = behind.split_at_checked(2)?;
            decoded.extend(data_encoding::HEXLOWER_PERMISSIVE.decode(hex).ok()?);
            rest = behind;
        } else {
            decoded.push(*first);
            rest = behind;
        }
    }
    Some(decoded)
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = if self.authorization.is_some() { "****@" } else { "" };
        write!(f, "Proxy({user}{self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, expected) in [
            ("http://proxy.example:8080/", Some(("proxy.example", 8080, None))),
            ("http://proxy.example", Some(("proxy.example", 3128, None))),
            ("http://[::1]:8080", Some(("::1", 8080, None))),
            ("http://u:p%40%3a@10.0.0.1:1", Some(("10.0.0.1", 1, Some("Basic dTpwQDo=")))),
            ("http://u@10.0.0.1:1", Some(("10.0.0.1", 1, Some("Basic dTo=")))),
            ("https://proxy.example", None),
            ("proxy.example:8080", None),
            ("http://", None),
            ("http://a:b:c", None),
            ("http://a b:1", None),
            ("http://u:%4@a:1", None),
            ("http://u:%zz@a:1", None),
            ("http://[::1", None),
        ] {
            let parsed = Proxy::parse(text).ok();
            let parsed = parsed.as_ref().map(|p| (p.host(), p.port(), p.authorization.as_deref()));
            assert_eq!(parsed, expected, "{text}");
        }
    }

    #[test]
    fn the_password_is_in_no_output() {
        let proxy = Proxy::parse("http://till:secret@proxy.example:8080").unwrap();
        assert_eq!(format!("{proxy:?} {proxy}"), "Proxy(****@proxy.example:8080) proxy.example:8080");
    }

    #[tokio::test]
    async fn answers() {
        let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "a".repeat(LONGEST_HEAD));
        for (answer, expected) in [
            ("HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\nTUNNEL", Ok(())),
            ("HTTP/1.0 200\r\n\r\nTUNNEL", Ok(())),
            ("HTTP/1.1 407 Auth\r\n\r\n", Err("asks for a user name and password")),
            ("HTTP/1.1 503 No\r\n\r\n", Err("HTTP 503")),
            ("SSH-2.0-x\r\n\r\n", Err("does not speak HTTP")),
            ("HTTP/1.1 200 OK\r\n", Err("closed the connection")),
            (long.as_str(), Err("without end")),
        ] {
            let (mut ours, mut theirs) = tokio::io::duplex(64 * 1024);
            theirs.write_all(answer.as_bytes()).await.unwrap();
            theirs.shutdown().await.unwrap();
            let proxy = Proxy::parse("http://u:p@proxy.example:8080").unwrap();
            let tunnel = proxy.tunnel(&mut ours, "kra.example:443").await;
            match expected {
                Ok(()) => {
                    tunnel.unwrap();
                    let mut rest = String::new();
                    ours.read_to_string(&mut rest).await.unwrap();
                    assert_eq!(rest, "TUNNEL");
                    drop(ours);
                    let mut asked = String::new();
                    theirs.read_to_string(&mut asked).await.unwrap();
                    assert_eq!(
                        asked,
                        "CONNECT kra.example:443 HTTP/1.1\r\nHost: kra.example:443\r\n\
                         Proxy-Authorization: Basic dTpw\r\n\r\n"
                    );
                }
                Err(words) => {
                    let why = tunnel.unwrap_err();
                    assert!(why.contains(words) && !why.contains("dTpw"), "{why}");
                }
            }
        }
    }
}
