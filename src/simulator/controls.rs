//! The simulator's own levers: over `/_sim/` and, for tests in the same process, as methods. JSON both ways.
//!
//! | call | does |
//! |---|---|
//! | `GET /_sim/faults` | the orders since the last clearing: how often each struck, whether it still stands |
//! | `POST /_sim/faults` | orders a fault: `{"fault", "count"?, "function"?, "args"?}`; no count: until cleared |
//! | `DELETE /_sim/faults` | ends all faults, the line is up |
//! | `GET`, `POST /_sim/line` | whether the line is up; `{"up": false}` cuts it |
//! | `GET /_sim/books?after=N` | per branch: device, next number, invoices after N, refusals, counts of requests |
//! | `GET /_sim/books/raw?tin=&bhfId=&after=&limit=` | whole invoices, as the look-up answers them |
//! | `POST /_sim/books/foreign` | books an invoice from elsewhere: `tin`, `bhfId`, any fields of a sale |
//! | `POST /_sim/books/next` | `{"tin", "bhfId", "next"}`: the series goes on there |
//! | `POST /_sim/devices/forget` | `{"tin", "bhfId"}`: the device must register again; its invoices stay |
//! | `POST /_sim/lists` | publishes rows as of now: `clsList`, `itemClsList`, `noticeList`; `syntheticClasses`: so many made up |
//! | `GET`, `POST /_sim/settings` | [`Settings`]; those named are changed |
//! | `GET /_sim/requests?after=N` | the last requests, without their keys, and how each ended |

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use thiserror::Error;
use tokio::time::{sleep, timeout};

use super::clock::Moment;
use super::door::{self, LONGEST};
use super::faults::{Fault, FaultOrder};
use super::json;
use super::reply::{Dropped, Reply};
use super::settings::Settings;
use super::state::State;

/// Why a lever did not move: what was asked cannot be.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct ControlError(String);

/// A handle on a simulator, running or about to run.
#[derive(Clone, Debug)]
pub struct Controls {
    state: Arc<State>,
}

impl Controls {
    pub(super) fn new(state: Arc<State>) -> Controls {
        Controls { state }
    }

    /// Orders a fault, behind those already ordered.
    ///
    /// # Errors
    /// When the order's parts do not belong together, or over 1000 orders stand.
    pub async fn add_fault(&self, order: FaultOrder) -> Result<(), ControlError> {
        let order = order.checked().map_err(|error| ControlError(error.to_string()))?;
        let refusal = (order.fault == Fault::Refuse).then_some(order.args.ms);
        if !self.state.faults().add(order) {
            return Err(ControlError("too many faults stand already".to_owned()));
        }
        if let Some(ms) = refusal {
            self.set_line(false).await;
            if let Some(ms) = ms {
                let controls = self.clone();
                tokio::spawn(async move {
                    sleep(Duration::from_millis(ms)).await;
                    controls.line(true).await;
                });
            }
        }
        Ok(())
    }

    /// Ends all faults and brings the line back.
    pub async fn clear_faults(&self) {
        self.state.faults().clear();
        self.set_line(true).await;
    }

    /// All orders since the last clearing, with how often each struck.
    pub fn faults(&self) -> Value {
        let faults = self.state.faults();
        json!({ "faults": faults.all(), "line": { "up": *self.state.line.borrow() } })
    }

    /// Cuts the line to KRA, or brings it back. Returns when the listener is closed or open.
    pub async fn line(&self, up: bool) {
        if up {
            self.state.faults().end_refusals();
        }
        self.set_line(up).await;
    }

    async fn set_line(&self, up: bool) {
        if !self.state.line.send_if_modified(|line| std::mem::replace(line, up) != up) {
            return;
        }
        let mut listening = self.state.listening.subscribe();
        // Not served yet, or the address taken meanwhile: then there is nothing to wait for.
        let _ = timeout(Duration::from_secs(2), listening.wait_for(|open| *open == up)).await;
    }

    /// The settings now.
    pub fn settings(&self) -> Settings {
        self.state.office().settings.clone()
    }

    /// Changes the settings that are named.
    ///
    /// # Errors
    /// When a name or value is not one.
    pub fn set(&self, change: &Value) -> Result<Settings, ControlError> {
        let mut office = self.state.office();
        let settings = office.settings.changed(change).map_err(ControlError)?;
        office.set(settings.clone(), Moment::now(settings.clock_offset));
        Ok(settings)
    }

    /// Publishes lists as of now, whatever is in them: `clsList`, `itemClsList`, `noticeList` with the rows that are new or
    /// changed, `syntheticClasses` with a number of item classes to make up. The rates that sales are checked by are a
    /// setting.
    ///
    /// # Errors
    /// When a name or value is not one.
    pub fn publish(&self, news: &Value) -> Result<(), ControlError> {
        let news = json::parse(&news.to_string()).map_err(ControlError)?;
        let mut office = self.state.office();
        let now = Moment::now(office.settings.clock_offset);
        office.lists.publish(&news, now).map_err(ControlError)
    }

    /// KRA's books: per branch the device, the series, invoices, refusals and counts.
    pub fn books(&self) -> Value {
        self.books_after(0)
    }

    /// The books with the invoices after this number only.
    pub fn books_after(&self, number: u64) -> Value {
        let concurrent = self.state.most_saving();
        let office = self.state.office();
        json!({
            "devices": office.books.report(number),
            "requests": office.requests,
            "concurrent": concurrent,
        })
    }

    /// At most `limit` whole invoices of a branch after this number, as the look-up answers them.
    pub fn invoices(&self, tin: &str, bhf_id: &str, after: u64, limit: usize) -> Value {
        let mut office = self.state.office();
        let Some(branch) = office.books.branch(tin, bhf_id) else { return json!([]) };
        let numbers = branch.numbers_after(after, limit);
        let whole = numbers.into_iter().filter_map(|number| branch.details(number));
        whole.map(|sale| serde_json::from_str(&json::render(&sale)).unwrap_or(Value::Null)).collect()
    }

    /// Books an invoice that came from elsewhere: `tin`, `bhfId`, and whatever fields of a sale are given.
    ///
    /// # Errors
    /// When the fields are wrong in form or the number is behind the series.
    pub fn foreign(&self, sale: &Value) -> Result<Value, ControlError> {
        let sale = json::parse(&sale.to_string()).map_err(ControlError)?;
        let mut office = self.state.office();
        let now = Moment::now(office.settings.clock_offset);
        let proof = office.book_foreign(&sale, now).map_err(ControlError)?;
        Ok(serde_json::from_str(&json::render(&proof)).unwrap_or(Value::Null))
    }

    /// Moves a branch's series on, as if it had issued invoices elsewhere before.
    ///
    /// # Errors
    /// When the number is 0 or not beyond the invoices in the books.
    pub fn start_at(&self, tin: &str, bhf_id: &str, next: u64) -> Result<(), ControlError> {
        let moved = self.state.office().books.open(tin, bhf_id).start_at(next);
        if moved {
            Ok(())
        } else {
            Err(ControlError(format!("{next} is not beyond the invoices in the books")))
        }
    }

    /// Takes a device off the books, as KRA's support does: its key is void, its invoices stay. False if there is
    /// none.
    pub fn forget_device(&self, tin: &str, bhf_id: &str) -> bool {
        let mut office = self.state.office();
        office.books.branch(tin, bhf_id).is_some_and(|branch| branch.device.take().is_some())
    }

    /// The last requests after this number, oldest first.
    pub fn requests(&self, after: u64) -> Value {
        json!({ "requests": self.state.log().after(after) })
    }

    /// Waits until `enough` is true of the books; looks after each request. None when the time is over.
    pub async fn wait_until(&self, limit: Duration, mut enough: impl FnMut(&Value) -> bool) -> Option<Value> {
        let mut ended = self.state.ended.subscribe();
        let search = async {
            loop {
                ended.borrow_and_update();
                let books = self.books();
                if enough(&books) {
                    return Some(books);
                }
                ended.changed().await.ok()?;
            }
        };
        timeout(limit, search).await.ok().flatten()
    }

    /// Answers a request to `/_sim/`.
    pub(super) async fn receive(&self, request: Request<Incoming>) -> Result<Response<Reply>, Dropped> {
        let (head, body) = request.into_parts();
        let body = Limited::new(body, LONGEST).collect().await.map_err(|_| Dropped)?.to_bytes();
        let body = if body.is_empty() { Ok(json!({})) } else { serde_json::from_slice(&body) };
        let outcome = match body {
            Ok(body) => {
                self.route(&head.method, head.uri.path(), head.uri.query().unwrap_or_default(), body).await
            }
            Err(error) => Err(Miss::Wrong(format!("the body is no JSON: {error}"))),
        };
        let (status, value) = match outcome {
            Ok(value) => (StatusCode::OK, value),
            Err(Miss::Nowhere) => (StatusCode::NOT_FOUND, json!({ "error": "not_found" })),
            Err(Miss::Wrong(message)) => {
                (StatusCode::BAD_REQUEST, json!({ "error": "bad_request", "message": message }))
            }
        };
        Ok(Reply::whole(status, "application/json", value.to_string()))
    }

    async fn route(&self, method: &Method, path: &str, query: &str, body: Value) -> Result<Value, Miss> {
        let query = door::query(query);
        let asked =
            |name: &str| query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let number = |name: &str| match asked(name) {
            Some(value) => value.parse().map_err(|_| Miss::Wrong(format!("{name} is a number"))),
            None => Ok(0_u64),
        };
        let words = |name: &str| body[name].as_str().unwrap_or_default();
        let path = path.trim_end_matches('/').trim_start_matches("/_sim/");
        Ok(match (method.as_str(), path) {
            ("GET", "faults") => self.faults(),
            ("POST", "faults") => {
                let order = serde_json::from_value(body).map_err(|error| Miss::Wrong(error.to_string()))?;
                self.add_fault(order).await?;
                self.faults()
            }
            ("DELETE", "faults") => {
                self.clear_faults().await;
                self.faults()
            }
            ("POST", "line") => {
                let up = body["up"].as_bool().ok_or_else(|| Miss::Wrong("up is true or false".to_owned()))?;
                self.line(up).await;
                json!({ "up": up })
            }
            ("GET", "line") => json!({ "up": *self.state.line.borrow() }),
            ("GET", "books") => self.books_after(number("after")?),
            ("GET", "books/raw") => {
                let limit = if asked("limit").is_some() { number("limit")? } else { 100 };
                let limit = usize::try_from(limit).unwrap_or(usize::MAX);
                let (tin, bhf_id) = (asked("tin").unwrap_or_default(), asked("bhfId").unwrap_or("00"));
                json!({ "invoices": self.invoices(tin, bhf_id, number("after")?, limit) })
            }
            ("POST", "books/foreign") => self.foreign(&body)?,
            ("POST", "books/next") => {
                let next = body["next"].as_u64().unwrap_or_default();
                self.start_at(words("tin"), words("bhfId"), next)?;
                json!({ "next": next })
            }
            ("POST", "devices/forget") => {
                json!({ "forgotten": self.forget_device(words("tin"), words("bhfId")) })
            }
            ("POST", "lists") => {
                self.publish(&body)?;
                json!({ "published": true })
            }
            ("GET", "settings") => json!(self.settings()),
            ("POST", "settings") => json!(self.set(&body)?),
            ("GET", "requests") => self.requests(number("after")?),
            _ => return Err(Miss::Nowhere),
        })
    }
}

/// Why a request to `/_sim/` got nowhere.
enum Miss {
    Nowhere,
    Wrong(String),
}

impl From<ControlError> for Miss {
    fn from(error: ControlError) -> Miss {
        Miss::Wrong(error.0)
    }
}
