//! One request to KRA: read it, let the faults have their way with it, process it, answer it.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::HEXLOWER;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode};
use ring::digest;
use tokio::time::sleep;

use super::clock::Moment;
use super::faults::{Fault, FaultArgs, FaultOrder};
use super::form::Refusal;
use super::functions::Function;
use super::office::{Answer, Call, Identity};
use super::reply::{Dropped, Reply};
use super::request_log::{Entry, blotted};
use super::state::State;
use super::tree::Wire;

/// Longest body.
pub(super) const LONGEST: usize = 8 * 1024 * 1024;
/// Longest part of a body that the log keeps.
const LOGGED: usize = 64 * 1024;
const JSON: &str = "application/json";
const XML: &str = "application/xml; charset=utf-8";

/// Answers a request, or drops its connection.
pub(super) async fn receive(
    state: &Arc<State>,
    request: Request<Incoming>,
) -> Result<Response<Reply>, Dropped> {
    let (head, body) = request.into_parts();
    let function = Function::of_path(head.uri.path());
    let caller = caller(&head.headers);
    let _in_flight = state.arrive(function, &caller);
    let order = state.faults().strike(function);
    if let Some(fault @ (Fault::CloseBeforeRead | Fault::HangBeforeRead)) =
        order.as_ref().map(|order| order.fault)
    {
        let n = log(state, &head, function, &Bytes::new());
        state.end(n, format!("fault {}", fault.name()));
        return if fault == Fault::CloseBeforeRead { Err(Dropped) } else { pending().await };
    }
    let body = match Limited::new(body, LONGEST).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            let n = log(state, &head, function, &Bytes::new());
            state.end(n, "HTTP 413".to_owned());
            return Ok(plain(StatusCode::PAYLOAD_TOO_LARGE, "the body is longer than 8 MiB"));
        }
        // Whoever sent it has gone.
        Err(_) => return Err(Dropped),
    };
    let order = order.or_else(|| state.faults().strike_sale(function, &body));
    let n = log(state, &head, function, &body);
    let visit = Visit { state: Arc::clone(state), n, call: call(&head, function, caller, body) };
    let result = match order {
        Some(order) => visit.with_fault(order).await,
        None => Ok(visit.answer(None).whole()),
    };
    let latency = state.office().settings.latency;
    if latency > 0 && result.is_ok() {
        sleep(Duration::from_millis(latency)).await;
    }
    result
}

/// A request that has been read.
struct Visit {
    state: Arc<State>,
    n: u64,
    /// Or what HTTP itself says of it.
    call: Result<Call, Ready>,
}

/// An answer ready to be sent, well or badly.
#[derive(Clone)]
struct Ready {
    status: StatusCode,
    content_type: &'static str,
    text: String,
    allow: Option<&'static str>,
}

impl Ready {
    fn whole(self) -> Response<Reply> {
        let mut response = Reply::whole(self.status, self.content_type, self.text);
        if let Some(verb) = self.allow {
            response.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static(verb));
        }
        response
    }
}

impl Visit {
    /// Processes the request; the log says so.
    fn answer(&self, fault: Option<Fault>) -> Ready {
        match &self.call {
            Ok(call) => {
                let mut office = self.state.office();
                let now = Moment::now(office.settings.clock_offset);
                let answer = office.answer(call, now);
                drop(office);
                self.end(format!("{} {}", answer.code, answer.message), fault);
                ready(call, &answer, now)
            }
            Err(misfit) => {
                self.end(format!("HTTP {}", misfit.status.as_u16()), fault);
                misfit.clone()
            }
        }
    }

    fn end(&self, outcome: String, fault: Option<Fault>) {
        let outcome = match fault {
            Some(fault) => format!("fault {}: {outcome}", fault.name()),
            None => outcome,
        };
        self.state.end(self.n, outcome);
    }

    /// Processes the request if that is so, and says in the log that it was not if it was not.
    fn maybe_answer(&self, fault: Fault, processed: bool) -> Option<Ready> {
        if processed {
            return Some(self.answer(Some(fault)));
        }
        self.end("not processed".to_owned(), Some(fault));
        None
    }

    async fn with_fault(self, order: FaultOrder) -> Result<Response<Reply>, Dropped> {
        let FaultOrder { fault, args, .. } = order;
        match fault {
            Fault::Hang => {
                self.maybe_answer(fault, false);
                pending().await
            }
            Fault::CloseAfterRead => {
                self.maybe_answer(fault, false);
                Err(Dropped)
            }
            Fault::LoseAnswer => {
                self.maybe_answer(fault, true);
                Err(Dropped)
            }
            Fault::Late => {
                tokio::spawn(async move {
                    sleep(Duration::from_millis(args.ms.unwrap_or(1000))).await;
                    self.maybe_answer(fault, true);
                });
                Err(Dropped)
            }
            Fault::ResultCd | Fault::WrongKey => {
                self.maybe_answer(fault, args.processed.unwrap_or(false));
                Ok(self.said(fault, args).whole())
            }
            Fault::HttpStatus => {
                self.maybe_answer(fault, args.processed.unwrap_or(false));
                let status =
                    StatusCode::from_u16(args.status.unwrap_or(503)).expect("checked with the order");
                let mut response = plain(status, "simulated");
                if let Some(seconds) = args.retry_after {
                    response.headers_mut().insert(RETRY_AFTER, seconds.into());
                }
                Ok(response)
            }
            Fault::Html => {
                self.maybe_answer(fault, args.processed.unwrap_or(false));
                let page = "<!DOCTYPE html><html><head><title>Maintenance</title></head><body><h1>We will be back \
                            soon</h1><br></body></html>";
                Ok(Reply::whole(StatusCode::OK, "text/html; charset=utf-8", page.to_owned()))
            }
            Fault::BadJson | Fault::BadXml => {
                self.maybe_answer(fault, args.processed.unwrap_or(true));
                let (kind, text) = match fault {
                    Fault::BadJson => (JSON, r#"{"resultCd":"000","data":{"rcptSign":"#),
                    _ => (XML, "<Res><resultCd>000</resultCd><data><rcptSign>"),
                };
                Ok(Reply::whole(StatusCode::OK, kind, text.to_owned()))
            }
            Fault::HalfBody => {
                let ready = self.maybe_answer(fault, args.processed.unwrap_or(true));
                let ready = ready.unwrap_or_else(|| self.said(Fault::ResultCd, FaultArgs::default()));
                Ok(Reply::half(ready.content_type, ready.text))
            }
            Fault::Slow => {
                let ready = self.answer(Some(fault));
                sleep(Duration::from_millis(args.ms.unwrap_or(1000))).await;
                Ok(ready.whole())
            }
            Fault::SlowBody => {
                let ready = self.answer(Some(fault));
                let pause = Duration::from_millis(args.ms.unwrap_or(200));
                Ok(Reply::trickle(ready.content_type, ready.text, pause))
            }
            // These strike connections or come before the body: never here.
            Fault::BadCertificate | Fault::CloseBeforeRead | Fault::HangBeforeRead | Fault::Refuse => {
                Err(Dropped)
            }
        }
    }

    /// An answer with a code of the fault's own.
    fn said(&self, fault: Fault, args: FaultArgs) -> Ready {
        let (code, message) = match fault {
            Fault::WrongKey => ("901", "Not a valid device"),
            _ => ("999", "Unknown error"),
        };
        let code = args.code.unwrap_or_else(|| code.to_owned());
        let refusal = Refusal::new(&code, args.message.unwrap_or_else(|| message.to_owned()));
        let now = Moment::now(self.state.office().settings.clock_offset);
        match &self.call {
            Ok(call) => ready(call, &refusal.into(), now),
            Err(misfit) => misfit.clone(),
        }
    }
}

fn ready(call: &Call, answer: &Answer, now: Moment) -> Ready {
    let content_type = if call.wire == Wire::Xml { XML } else { JSON };
    Ready {
        status: StatusCode::OK,
        content_type,
        text: answer.render(call.function, call.wire, now),
        allow: None,
    }
}

/// What HTTP says of the request: unknown path 404, wrong verb 405, other format 415; else it is a call.
fn call(head: &Parts, function: Option<Function>, header: Identity, body: Bytes) -> Result<Call, Ready> {
    let misfit = |status: StatusCode, text: &str| Ready {
        status,
        content_type: "text/plain; charset=utf-8",
        text: text.to_owned(),
        allow: None,
    };
    let function = function.ok_or_else(|| misfit(StatusCode::NOT_FOUND, "no such function"))?;
    let wire = wire(head, function);
    if head.method != function.verb() {
        let refusal =
            Refusal::new("912", format!("Method error: {} takes {}", function.name(), function.verb()));
        let wire = wire.unwrap_or(Wire::Json);
        return Err(Ready {
            status: StatusCode::METHOD_NOT_ALLOWED,
            content_type: if wire == Wire::Xml { XML } else { JSON },
            text: Answer::from(refusal).render(function, wire, Moment::now(0)),
            allow: Some(function.verb()),
        });
    }
    let wire = wire.ok_or_else(|| {
        misfit(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Content-Type is application/json or application/xml")
    })?;
    Ok(Call {
        function,
        wire,
        header,
        signature: text(&head.headers, "x-signature"),
        query: query(head.uri.query().unwrap_or_default()),
        body: body.into(),
    })
}

/// By Content-Type; where there is no body, by Accept.
fn wire(head: &Parts, function: Function) -> Option<Wire> {
    let header = if function.verb() == "GET" { ACCEPT } else { CONTENT_TYPE };
    let value = text(&head.headers, header.as_str()).unwrap_or_default().to_ascii_lowercase();
    let kind = value.split(';').next().unwrap_or_default().trim();
    match kind {
        "application/json" => Some(Wire::Json),
        "application/xml" => Some(Wire::Xml),
        _ if function.verb() == "GET" => Some(if value.contains("xml") { Wire::Xml } else { Wire::Json }),
        _ => None,
    }
}

fn caller(headers: &HeaderMap) -> Identity {
    Identity { tin: text(headers, "tin"), bhf_id: text(headers, "bhfid"), key: text(headers, "cmckey") }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// The pairs of a query, decoded.
pub(super) fn query(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.map(|(name, value)| (decoded(name), decoded(value))).collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = tail.get(..2).and_then(|two| HEXLOWER.decode(&two.to_ascii_lowercase()).ok());
        match (first, hex) {
            (b'%', Some(byte)) => {
                bytes.extend(byte);
                rest = &tail[2..];
            }
            (first, _) => {
                bytes.push(if first == b'+' { b' ' } else { first });
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn plain(status: StatusCode, text: &str) -> Response<Reply> {
    Reply::whole(status, "text/plain; charset=utf-8", text.to_owned())
}

/// Puts the request into the log, its key blotted out wherever it stands.
fn log(state: &State, head: &Parts, function: Option<Function>, body: &Bytes) -> u64 {
    let headers = head.headers.iter().map(|(name, value)| {
        let secret = matches!(name.as_str(), "cmckey" | "authorization");
        let value =
            if secret { "****".to_owned() } else { String::from_utf8_lossy(value.as_bytes()).into_owned() };
        (name.as_str().to_owned(), value)
    });
    let shown = blotted(&String::from_utf8_lossy(&body[..body.len().min(LOGGED)]));
    state.log().push(Entry {
        n: 0,
        received_at: Moment::now(0).rfc3339(),
        method: head.method.to_string(),
        path: head.uri.to_string(),
        function: function.map(Function::name),
        headers: headers.collect(),
        body: shown,
        sha256: HEXLOWER.encode(digest::digest(&digest::SHA256, body).as_ref()),
        outcome: "in flight".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_decoded() {
        let pairs = query("tin=P1&dvcSrlNo=ODOO%2fP1%2F0+x&flag&bad=%zz%4");
        let expected = [("tin", "P1"), ("dvcSrlNo", "ODOO/P1/0 x"), ("flag", ""), ("bad", "%zz%4")];
        assert_eq!(pairs, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
