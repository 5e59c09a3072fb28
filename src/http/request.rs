//! What a handler is given.

use std::net::SocketAddr;

use hyper::body::Bytes;
use hyper::{HeaderMap, Method};

/// One request, whole and within the limits.
#[derive(Clone, Debug)]
pub struct Request {
    /// Method.
    pub method: Method,
    /// The path as it was sent, undecoded.
    pub path: String,
    /// The path's segments, decoded after splitting; one final slash makes no difference. Empty for `/`.
    pub segments: Vec<String>,
    /// The query's names and values in order, decoded.
    pub query: Vec<(String, String)>,
    /// Headers as they were sent.
    pub headers: HeaderMap,
    /// Body; empty when there was none.
    pub body: Bytes,
    /// Who sent it.
    pub peer: Peer,
}

impl Request {
    /// The last value of that name in the query.
    pub fn query_value(&self, name: &str) -> Option<&str> {
        self.query.iter().rev().find(|(candidate, _)| candidate == name).map(|(_, value)| value.as_str())
    }
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Peer {
    /// Over TCP, from this address.
    Tcp(SocketAddr),
    /// Over a Unix socket, by this process when the kernel could tell.
    Unix {
        /// Process id.
        pid: Option<i32>,
        /// User id.
        uid: Option<u32>,
    },
}

/// A path or query with a bad `%` escape, or with bytes that are not UTF-8.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the path or query is not valid: % needs two hexadecimal digits, and the bytes must be UTF-8")]
pub(super) struct BadEscape;

/// Splits a path at its slashes, then decodes each segment, so that `%2F` is part of a segment.
pub(super) fn segments(path: &str) -> Result<Vec<String>, BadEscape> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = path.strip_suffix('/').unwrap_or(path);
    if path.is_empty() {
        return Ok(Vec::new());
    }
    path.split('/').map(|segment| decoded(segment, false)).collect()
}

/// The pairs of a query; `+` is a blank there.
pub(super) fn query(text: &str) -> Result<Vec<(String, String)>, BadEscape> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Ok((decoded(name, true)?, decoded(value, true)?))
    });
    pairs.collect()
}

fn decoded(text: &str, plus_is_blank: bool) -> Result<String, BadEscape> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || rest.next().and_then(hexadecimal).ok_or(BadEscape);
                16 * digit()? + digit()?
            }
            b'+' if plus_is_blank => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).map_err(|_| BadEscape)
}

fn hexadecimal(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{BadEscape, query, segments};

    #[test]
    fn paths() {
        let check = |path: &str, expected: &[&str]| assert_eq!(segments(path).unwrap(), expected, "{path}");
        check("/", &[]);
        check("", &[]);
        check("/api/sales", &["api", "sales"]);
        check("/api/sales/", &["api", "sales"]);
        check("/api/sales//", &["api", "sales", ""]);
        check("/a%2Fb/c%20d", &["a/b", "c d"]);
        check("/%E2%82%ac/+", &["€", "+"]);
        check("/..%2f../.", &["../..", "."]);
        for bad in ["/%", "/%2", "/%zz", "/%ff", "/a%C3"] {
            assert_eq!(segments(bad), Err(BadEscape), "{bad}");
        }
    }

    #[test]
    fn queries() {
        let check = |text: &str, expected: &[(&str, &str)]| {
            let found = query(text).unwrap();
            let found: Vec<_> = found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            assert_eq!(found, expected, "{text}");
        };
        check("", &[]);
        check("wait=30&q=milk+1%25", &[("wait", "30"), ("q", "milk 1%")]);
        check("a&&b=&=c&d=e=f", &[("a", ""), ("b", ""), ("", "c"), ("d", "e=f")]);
        assert_eq!(query("a=%f"), Err(BadEscape));
    }
}
