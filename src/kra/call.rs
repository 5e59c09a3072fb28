//! One call to KRA: what goes on the line, and how the key is kept out of what comes back.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{Method, Request};

use crate::fiscal::{CmcKey, DeviceIdentity};
use crate::gateway::ports::About;
use crate::wire::redact::Bodies;
use crate::wire::{Format, FrozenRequest, Function, endpoint, sign};

use super::settings::Settings;

/// What we call ourselves.
const AGENT: &str = concat!("etims-gateway/", env!("CARGO_PKG_VERSION"));
/// KRA's keys have 32 characters. One shorter than this is a trial's, and might be part of an answer's own text.
const SHORTEST_MASKED: usize = 8;

/// One call, before it is on the line.
pub(super) struct Call<'a> {
    pub(super) function: Function,
    /// Of the body: a frozen one keeps its own, whatever the wire is now.
    pub(super) format: Format,
    pub(super) query: Option<String>,
    pub(super) body: Bytes,
    pub(super) device: &'a DeviceIdentity,
    pub(super) key: Option<&'a CmcKey>,
    pub(super) about: About,
}

impl<'a> Call<'a> {
    /// A frozen request, its key filled in.
    pub(super) fn filled(
        request: &FrozenRequest,
        device: &'a DeviceIdentity,
        key: &'a CmcKey,
        about: &About,
    ) -> Self {
        Self {
            function: request.function,
            format: request.format,
            query: None,
            body: Bytes::from(request.fill(key)),
            device,
            key: Some(key),
            about: about.clone(),
        }
    }

    /// What went over the line, with what must be masked in it. The answer that brings the key is in no case kept.
    pub(super) fn bodies(&self, answer: Option<&[u8]>) -> Bodies {
        let key = self.key.map(|key| key.reveal().to_owned());
        let bodies = Bodies::of(&self.body, key.into_iter().chain([self.device.tin.to_string()]).collect());
        match answer {
            Some(_) if self.function == Function::SelectInitOsdcInfo => bodies.withheld(),
            Some(answer) => bodies.answered(answer),
            None => bodies,
        }
    }

    /// The request as it goes on the line.
    pub(super) fn request(&self, settings: &Settings) -> Request<Full<Bytes>> {
        let Settings { base_url, paths, .. } = settings;
        let path = match paths.of(self.function, self.format) {
            Some(path) => path.to_owned(),
            None => format!("/{}", self.function.name()),
        };
        let query = self.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.uri_mut() = format!("{}{path}{query}", base_url.path())
            .parse()
            .expect("the base address, the paths and the query are checked where they are made");
        let headers = request.headers_mut();
        let text = |value: &str| HeaderValue::from_str(value).expect("checked for printable ASCII when made");
        headers.insert(HOST, text(&base_url.host_header()));
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        headers.insert(ACCEPT, HeaderValue::from_static(self.format.accept()));
        headers.insert("tin", text(self.device.tin.as_str()));
        headers.insert("bhfid", text(self.device.bhf_id.as_str()));
        if let Some(key) = self.key {
            let mut value = text(key.reveal());
            value.set_sensitive(true);
            headers.insert("cmckey", value);
        }
        if endpoint::method(self.function) == endpoint::Method::Post {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.format.content_type()));
            if let Some(key) = self.key.filter(|_| settings.sign_requests) {
                headers.insert(sign::HEADER, text(&sign::value(key, &self.body)));
            }
            *request.method_mut() = Method::POST;
        }
        request
    }
}

/// An answer that repeats the key must not carry it into words, records and logs.
pub(super) fn without_key(body: Bytes, key: &CmcKey) -> Bytes {
    const MASK: &[u8] = b"****";
    let key = key.reveal().as_bytes();
    if key.len() < SHORTEST_MASKED {
        return body;
    }
    let mut rest: &[u8] = &body;
    let mut masked = Vec::new();
    while let Some(at) = rest.windows(key.len()).position(|window| window == key) {
        masked.extend_from_slice(&rest[..at]);
        masked.extend_from_slice(MASK);
        rest = &rest[at + key.len()..];
    }
    if masked.is_empty() && rest.len() == body.len() {
        return body;
    }
    masked.extend_from_slice(rest);
    Bytes::from(masked)
}

/// The same for a body that comes in pieces: a key may lie across two of them.
pub(super) struct Masking<'k> {
    key: &'k CmcKey,
    held: Vec<u8>,
}

impl<'k> Masking<'k> {
    pub(super) const fn of(key: &'k CmcKey) -> Self {
        Self { key, held: Vec::new() }
    }

    /// The next piece, as far as it cannot be the beginning of a key.
    pub(super) fn piece(&mut self, piece: &[u8]) -> Bytes {
        self.held.extend_from_slice(piece);
        let masked = without_key(Bytes::from(std::mem::take(&mut self.held)), self.key);
        let ready = masked.len().saturating_sub(self.key.reveal().len().saturating_sub(1));
        self.held.extend_from_slice(&masked[ready..]);
        masked.slice(..ready)
    }

    /// What was held back to the end.
    pub(super) fn rest(self) -> Bytes {
        Bytes::from(self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masking() {
        let key = CmcKey::new("12345678").unwrap();
        for (body, expected) in [
            ("", ""),
            ("1234567", "1234567"),
            ("12345678", "****"),
            ("a12345678b", "a****b"),
            ("123456789", "****9"),
            ("x1234567812345678", "x********"),
        ] {
            assert_eq!(without_key(Bytes::from(body), &key), expected.as_bytes(), "{body}");
        }
        for pieces in [
            ["a12345", "678b"],
            ["a1", "2345678b"],
            ["a12345678", "b"],
            ["a12345678b", ""],
            ["", "a12345678b"],
        ] {
            let mut masking = Masking::of(&key);
            let shown = pieces.map(|piece| masking.piece(piece.as_bytes()));
            let shown = [shown[0].to_vec(), shown[1].to_vec(), masking.rest().to_vec()].concat();
            assert_eq!(shown, b"a****b", "{pieces:?}");
        }
        // A trial's short key is part of too much.
        assert_eq!(without_key(Bytes::from("000"), &CmcKey::new("0").unwrap()), b"000".as_slice());
    }
}
