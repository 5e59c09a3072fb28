//! Who is heard: Host, Origin, token and content type, before a byte of the body is read.
//!
//! A web page open on the till can make a browser call loopback; it cannot choose the Host of a name it rebinds, nor
//! hide its Origin, nor send `application/json` without asking first.

use std::net::{IpAddr, SocketAddr};

use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION,
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN,
    TRANSFER_ENCODING, VARY, WWW_AUTHENTICATE,
};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use hyper::{Method, StatusCode, Version};
use subtle::ConstantTimeEq;

use super::answer::{Answer, Body};
use crate::gateway::Live;

const ALLOW_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-allow-private-network");
const REQUEST_PRIVATE_NETWORK: HeaderName = HeaderName::from_static("access-control-request-private-network");

/// The rules of one listener.
#[derive(Clone)]
pub struct Guard {
    callers: Live<Callers>,
    listen: Vec<IpAddr>,
}

/// Who may call.
struct Callers {
    allowed_origins: Vec<String>,
    token: Option<String>,
}

/// A guard that cannot be made.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum GuardError {
    /// The token can not stand in an HTTP header, so no client could ever send it.
    #[error("the token must be ASCII letters, digits and signs, without blanks")]
    Token,
}

/// What becomes of a request.
#[derive(Debug)]
pub(super) enum Decision {
    /// It goes on; these headers are added to its answer.
    Pass(HeaderMap),
    /// This is its answer; these headers are added.
    Answer(Answer, HeaderMap),
}

/// Why a request is not heard.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Refusal {
    BadRequest(&'static str),
    NotJson(&'static str),
    OriginNotAllowed,
    Unauthorized,
    WrongHost,
}

impl Guard {
    /// Rules for tills over TCP. `allowed_origins` are written as browsers write `Origin` (lower case, no path);
    /// `listen` are the addresses of all listeners, accepted as Host besides `localhost`, `127.0.0.1` and `[::1]`;
    /// `token` is asked of every request when given.
    ///
    /// # Errors
    /// The token holds something else than visible ASCII.
    pub fn new(
        allowed_origins: Vec<String>,
        listen: &[SocketAddr],
        token: Option<String>,
    ) -> Result<Guard, GuardError> {
        let listen = listen.iter().map(|address| address.ip().to_canonical()).collect();
        Ok(Guard { callers: Live::new(Callers::new(allowed_origins, token)?), listen })
    }

    /// Other origins and another token, for every request from now on, on all clones; connections stay.
    ///
    /// # Errors
    /// The token holds something else than visible ASCII: nothing is changed.
    pub fn replace(&self, allowed_origins: Vec<String>, token: Option<String>) -> Result<(), GuardError> {
        self.callers.replace(Callers::new(allowed_origins, token)?);
        Ok(())
    }

    /// Rules for Unix sockets alone: permissions of the file decide who calls; no Origin is allowed.
    pub fn local() -> Guard {
        Guard { callers: Live::new(Callers { allowed_origins: Vec::new(), token: None }), listen: Vec::new() }
    }

    /// Judges a request by its head; `local` is our address of a TCP connection, none on a Unix socket, where any
    /// Host will do and no token is asked.
    pub(super) fn decide(&self, head: &Parts, local: Option<SocketAddr>) -> Decision {
        if let Some(local) = local
            && let Err(refusal) = self.check_host(head, local.ip().to_canonical())
        {
            return Decision::Answer(refusal.answer(), HeaderMap::new());
        }
        let cors = match self.check_origin(&head.headers) {
            Ok(cors) => cors,
            Err(refusal) => return Decision::Answer(refusal.answer(), HeaderMap::new()),
        };
        if !cors.is_empty() && is_preflight(head) {
            return Decision::Answer(preflight(&head.headers), cors);
        }
        let token = if local.is_some() { self.check_token(&head.headers) } else { Ok(()) };
        match token.and_then(|()| check_content(&head.headers)) {
            Ok(()) => Decision::Pass(cors),
            Err(refusal) => Decision::Answer(refusal.answer(), cors),
        }
    }

    fn check_host(&self, head: &Parts, local: IpAddr) -> Result<(), Refusal> {
        let mut hosts = head.headers.get_all(HOST).iter();
        let (host, more) = (hosts.next(), hosts.next());
        if more.is_some() || (host.is_none() && head.version == Version::HTTP_11) {
            return Err(Refusal::BadRequest("the request needs one Host header"));
        }
        let in_header = host.map(|host| host.to_str().unwrap_or("").parse::<Authority>());
        let in_header = match in_header.transpose() {
            Ok(authority) => authority,
            Err(_) => return Err(Refusal::BadRequest("the Host header is not a host")),
        };
        for authority in [in_header.as_ref(), head.uri.authority()].into_iter().flatten() {
            if !self.is_ours(authority, local) {
                return Err(Refusal::WrongHost);
            }
        }
        Ok(())
    }

    /// Any port will do: it may be a forwarded one, and a rebound name is caught without it.
    fn is_ours(&self, authority: &Authority, local: IpAddr) -> bool {
        if authority.as_str().contains('@') {
            return false;
        }
        let host = authority.host();
        if host.eq_ignore_ascii_case("localhost") || host == "127.0.0.1" || host == "[::1]" {
            return true;
        }
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        address.is_ok_and(|address| address == local || self.listen.contains(&address))
    }

    /// Headers for a page that may call; none when no page calls.
    fn check_origin(&self, headers: &HeaderMap) -> Result<HeaderMap, Refusal> {
        let callers = self.callers.now();
        let mut cors = HeaderMap::new();
        for origin in headers.get_all(ORIGIN) {
            let text = origin.to_str().unwrap_or("");
            if !callers.allowed_origins.iter().any(|allowed| allowed == text) {
                return Err(Refusal::OriginNotAllowed);
            }
            cors.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            cors.insert(VARY, HeaderValue::from_static("Origin"));
            cors.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("Retry-After"));
        }
        Ok(cors)
    }

    fn check_token(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let callers = self.callers.now();
        let Some(token) = &callers.token else { return Ok(()) };
        let given = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(bearer);
        // Takes as long for a token that is nearly right as for one that is all wrong.
        if given.is_some_and(|given| given.as_bytes().ct_eq(token.as_bytes()).into()) {
            return Ok(());
        }
        Err(Refusal::Unauthorized)
    }
}

impl Callers {
    fn new(allowed_origins: Vec<String>, token: Option<String>) -> Result<Self, GuardError> {
        let sendable = |token: &String| !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic());
        if token.as_ref().is_some_and(|token| !sendable(token)) {
            return Err(GuardError::Token);
        }
        Ok(Self { allowed_origins, token })
    }
}

impl Refusal {
    fn answer(self) -> Answer {
        let (status, code, message) = match self {
            Refusal::BadRequest(message) => (StatusCode::BAD_REQUEST, "bad_request", message),
            Refusal::NotJson(message) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", message),
            Refusal::OriginNotAllowed => (
                StatusCode::FORBIDDEN,
                "origin_not_allowed",
                "pages of this origin may not call; name it in http.allowed_origins to allow it",
            ),
            Refusal::Unauthorized => (
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "the request needs the header Authorization: Bearer with the token of http.token_file",
            ),
            Refusal::WrongHost => (
                StatusCode::MISDIRECTED_REQUEST,
                "wrong_host",
                "this host is not served here; call 127.0.0.1, [::1], localhost or an address of http.listen",
            ),
        };
        let answer = Answer::refusal(status, code, message);
        if self == Refusal::Unauthorized {
            return answer.with(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"etims-gateway\""));
        }
        answer
    }
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn is_preflight(head: &Parts) -> bool {
    head.method == Method::OPTIONS && head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

fn preflight(headers: &HeaderMap) -> Answer {
    let empty = Answer {
        status: StatusCode::NO_CONTENT,
        headers: HeaderMap::new(),
        body: Body::Full(hyper::body::Bytes::new()),
    };
    let answer = empty
        .with(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"))
        .with(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("authorization, content-type"))
        .with(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    if headers.contains_key(REQUEST_PRIVATE_NETWORK) {
        return answer.with(ALLOW_PRIVATE_NETWORK, HeaderValue::from_static("true"));
    }
    answer
}

/// A body must be JSON by its own word: a form of a web page cannot say so.
fn check_content(headers: &HeaderMap) -> Result<(), Refusal> {
    let length = headers.get(CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0");
    if !length && !headers.contains_key(TRANSFER_ENCODING) {
        return Ok(());
    }
    if headers
        .get(CONTENT_ENCODING)
        .is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"))
    {
        return Err(Refusal::NotJson("the body must not be compressed"));
    }
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let mut parts = kind.split(';').map(str::trim);
    let json = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("application/json"));
    let utf8 = parts.all(|parameter| match parameter.split_once('=') {
        Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
            value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    });
    if json && utf8 {
        return Ok(());
    }
    Err(Refusal::NotJson("the body must be sent as Content-Type: application/json, in UTF-8"))
}

#[cfg(test)]
mod tests {
    use hyper::http::request::Parts;

    use super::{Decision, Guard, GuardError};

    const OURS: &str = "https://pos.example";

    fn guard(token: Option<&str>) -> Guard {
        let listen = ["192.168.1.5:8460".parse().unwrap(), "0.0.0.0:8461".parse().unwrap()];
        Guard::new(vec![OURS.to_owned()], &listen, token.map(str::to_owned)).unwrap()
    }

    fn head(line: &str, headers: &[(&str, &str)]) -> Parts {
        let (method, uri) = line.split_once(' ').unwrap();
        let mut request = hyper::Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    /// Status of the refusal, or 0 when the request goes on.
    fn judged(guard: &Guard, head: &Parts, local: Option<&str>) -> u16 {
        match guard.decide(head, local.map(|local| local.parse().unwrap())) {
            Decision::Pass(_) => 0,
            Decision::Answer(answer, _) => answer.status.as_u16(),
        }
    }

    #[test]
    fn hosts() {
        let check = |host: &str, expected: u16| {
            let head = head("GET /", &[("host", host)]);
            assert_eq!(judged(&guard(None), &head, Some("10.0.0.9:8461")), expected, "{host}");
            assert_eq!(judged(&guard(None), &head, None), 0, "{host} on a Unix socket");
        };
        for good in ["localhost", "LocalHost:8460", "127.0.0.1", "127.0.0.1:8460", "[::1]", "[::1]:8460"] {
            check(good, 0);
        }
        for good in ["192.168.1.5", "192.168.1.5:8460", "10.0.0.9:8461"] {
            check(good, 0);
        }
        for bad in ["evil.example", "localhost.evil.example", "127.0.0.2", "10.0.0.8", "x@127.0.0.1", "[::2]"]
        {
            check(bad, 421);
        }
        for malformed in ["", "a b", "127.0.0.1:8460/x"] {
            check(malformed, 400);
        }
        let local = Some("127.0.0.1:8460");
        assert_eq!(judged(&guard(None), &head("GET /", &[]), local), 400);
        assert_eq!(
            judged(&guard(None), &head("GET /", &[("host", "localhost"), ("host", "localhost")]), local),
            400
        );
        let absolute = head("GET http://evil.example/", &[("host", "localhost")]);
        assert_eq!(judged(&guard(None), &absolute, local), 421);
        let mut old = head("GET /", &[]);
        old.version = hyper::Version::HTTP_10;
        assert_eq!(judged(&guard(None), &old, local), 0);
    }

    #[test]
    fn origins() {
        let check = |line: &str, headers: &[(&str, &str)], expected: u16| {
            let headers: Vec<_> =
                [("host", "localhost")].into_iter().chain(headers.iter().copied()).collect();
            let found = judged(&guard(Some("s3cret")), &head(line, &headers), Some("127.0.0.1:8460"));
            assert_eq!(found, expected, "{line} {headers:?}");
        };
        let token = ("authorization", "Bearer s3cret");
        check("GET /", &[("origin", OURS), token], 0);
        for bad in ["https://evil.example", "null", "http://pos.example", "https://pos.example:444", ""] {
            check("GET /", &[("origin", bad), token], 403);
        }
        check("GET /", &[("origin", OURS), ("origin", "https://evil.example"), token], 403);
        let asked = ("access-control-request-method", "POST");
        check("OPTIONS /", &[("origin", OURS), asked], 204);
        check("OPTIONS /", &[("origin", "https://evil.example"), asked], 403);
        check("OPTIONS /", &[asked], 401);
        let Decision::Answer(answer, cors) = guard(None).decide(
            &head(
                "OPTIONS /",
                &[
                    ("host", "localhost"),
                    ("origin", OURS),
                    asked,
                    ("access-control-request-private-network", "true"),
                ],
            ),
            Some("127.0.0.1:8460".parse().unwrap()),
        ) else {
            panic!("a preflight is answered here")
        };
        assert_eq!(cors["access-control-allow-origin"], OURS);
        assert_eq!(answer.headers["access-control-allow-private-network"], "true");
        assert_eq!(judged(&Guard::local(), &head("GET /", &[("origin", OURS)]), None), 403);
    }

    #[test]
    fn tokens() {
        let check = |value: &str, expected: u16| {
            let head = head("GET /", &[("host", "localhost"), ("authorization", value)]);
            assert_eq!(judged(&guard(Some("s3cret")), &head, Some("127.0.0.1:8460")), expected, "{value}");
            assert_eq!(judged(&guard(Some("s3cret")), &head, None), 0, "no token on a Unix socket");
        };
        check("Bearer s3cret", 0);
        check("bearer  s3cret ", 0);
        for bad in ["", "Bearer", "Bearer ", "Bearer s3cre", "Bearer s3crets", "Basic s3cret", "s3cret"] {
            check(bad, 401);
        }
        for bad in ["", "a b", "é"] {
            assert_eq!(
                Guard::new(Vec::new(), &[], Some(bad.to_owned())).err(),
                Some(GuardError::Token),
                "{bad}"
            );
        }
    }

    #[test]
    fn content() {
        let check = |headers: &[(&str, &str)], expected: u16| {
            assert_eq!(judged(&Guard::local(), &head("POST /", headers), None), expected, "{headers:?}");
        };
        let long = ("content-length", "2");
        check(&[], 0);
        check(&[("content-length", "0")], 0);
        check(&[long], 415);
        check(&[("transfer-encoding", "chunked")], 415);
        for good in
            ["application/json", "Application/JSON; charset=UTF-8", "application/json;charset=\"utf-8\""]
        {
            check(&[long, ("content-type", good)], 0);
        }
        for bad in [
            "text/plain",
            "application/jsonx",
            "application/json; charset=latin1",
            "application/x-www-form-urlencoded",
        ] {
            check(&[long, ("content-type", bad)], 415);
        }
        check(&[long, ("content-type", "application/json"), ("content-encoding", "gzip")], 415);
    }
}
