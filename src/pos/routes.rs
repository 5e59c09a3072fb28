//! The table: method and path to what a till asks.

use std::time::Duration;

use hyper::Method;
use hyper::body::Bytes;

use super::refusal::Refusal;
use crate::gateway::{PageFormat, PrintOrder, Which};
use crate::http::Request;
use crate::queue::Status;
use crate::receipt::NARROWEST;

/// The longest time that a register may ask to be kept waiting.
pub(super) const LONGEST_WAIT: u64 = 30;
/// The most sales of one page.
const LONGEST_PAGE: usize = 500;
/// The sales of a page where the till does not say.
const PAGE: usize = 50;

/// Characters of what is searched for.
const LONGEST_QUESTION: usize = 100;

/// Characters on a line of a receipt where the till does not say.
const WIDTH: usize = 42;
/// The widest paper.
const WIDEST: usize = 250;

/// What a till asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// One class of KRA's codes.
    Codes(String),
    /// How the device is.
    DeviceStatus,
    /// What happens from now on.
    Events {
        /// The last event that the till has.
        after: Option<u64>,
    },
    /// How the gateway is.
    Health,
    /// A register on a serial line begins: who is there, and what was its last sale?
    Hello,
    /// Register the device.
    InitDevice(Bytes),
    /// KRA's item classes.
    ItemClasses {
        /// Beginning of a code, or words of the name.
        question: String,
        /// The most of them.
        limit: usize,
    },
    /// The last sale from the same port.
    LastSale,
    /// Items of the catalogue, by their codes.
    ListItems {
        /// What code, name or barcode hold.
        words: String,
        /// The most of them.
        limit: usize,
    },
    /// Sales, the newest first.
    ListSales {
        /// Only those that stand there.
        status: Option<Status>,
        /// The most of them.
        limit: usize,
        /// Only those accepted before this one.
        before: Option<u64>,
    },
    /// What monitors read.
    Metrics,
    /// The next few events, for carriers that have no streams.
    News {
        /// The last event that the till has.
        after: Option<u64>,
    },
    /// KRA's notices.
    Notices,
    /// Keep this item.
    PostItem(Bytes),
    /// Take this sale.
    PostSale {
        /// The sale.
        body: Bytes,
        /// How long to wait for KRA, where the till says so.
        wait: Option<Duration>,
    },
    /// This sale's receipt for a printer.
    PrintReceipt {
        /// The register's number.
        trader_ref: String,
        /// For what printer, and whether the original.
        order: PrintOrder,
        /// The most bytes that its reply may have as JSON, where it must fit a frame.
        room: Option<usize>,
    },
    /// This item.
    ShowItem(String),
    /// How this sale is.
    ShowSale {
        /// The register's number.
        trader_ref: String,
        /// How long to wait until it is final.
        wait: Duration,
    },
    /// Keep these items.
    SyncItems(Bytes),
}

/// What this request asks.
///
/// # Errors
/// No such path, another method, or a query that cannot be read.
pub fn route(request: &Request) -> Result<Call, Refusal> {
    let segments: Vec<&str> = request.segments.iter().map(String::as_str).collect();
    let method = &request.method;
    match segments.as_slice() {
        ["api", "device", "init"] => {
            only(method, &[Method::POST], "POST").map(|()| Call::InitDevice(request.body.clone()))
        }
        ["api", "device", "status"] => only(method, &[Method::GET], "GET").map(|()| Call::DeviceStatus),
        ["api", "item", rest @ ..] if rest.len() <= 1 => item(request, rest),
        ["api", "sales"] if *method == Method::POST => {
            known_query(request, &["wait"])?;
            Ok(Call::PostSale { body: request.body.clone(), wait: wait(request)? })
        }
        ["api", "sales"] => {
            only(method, &[Method::GET], "GET, POST")?;
            known_query(request, &["status", "limit", "before"])?;
            Ok(Call::ListSales {
                status: status(request)?,
                limit: limit(request)?,
                before: number(request, "before")?,
            })
        }
        ["api", "sales", trader_ref] => {
            only(method, &[Method::GET], "GET")?;
            known_query(request, &["wait"])?;
            let trader_ref = (*trader_ref).to_owned();
            Ok(Call::ShowSale { trader_ref, wait: wait(request)?.unwrap_or_default() })
        }
        ["api", "sales", trader_ref, "receipt"] => {
            only(method, &[Method::GET], "GET")?;
            known_query(request, &["format", "width", "again", "copy"])?;
            let order = print_order(&PrintWords {
                format: request.query_value("format"),
                width: number(request, "width")?,
                again: flag(request, "again")?,
                copy: flag(request, "copy")?,
            })?;
            Ok(Call::PrintReceipt { trader_ref: (*trader_ref).to_owned(), order, room: None })
        }
        ["api", "events"] => {
            only(method, &[Method::GET], "GET")?;
            known_query(request, &["after"])?;
            Ok(Call::Events { after: number(request, "after")? })
        }
        ["api", "codes", class] => {
            only(method, &[Method::GET], "GET")?;
            known_query(request, &[])?;
            Ok(Call::Codes((*class).to_owned()))
        }
        ["api", "item-classes"] => {
            only(method, &[Method::GET], "GET")?;
            known_query(request, &["q", "limit"])?;
            let question = request.query_value("q").unwrap_or_default();
            if question.chars().count() > LONGEST_QUESTION {
                return Err(Refusal::BadQuery(format!("q must have at most {LONGEST_QUESTION} characters")));
            }
            Ok(Call::ItemClasses { question: question.to_owned(), limit: limit(request)? })
        }
        ["api", "notices"] => {
            only(method, &[Method::GET], "GET")?;
            known_query(request, &[])?;
            Ok(Call::Notices)
        }
        ["metrics"] => only(method, &[Method::GET], "GET").map(|()| Call::Metrics),
        ["health"] => only(method, &[Method::GET], "GET").map(|()| Call::Health),
        _ => Err(Refusal::NotFound { what: "path" }),
    }
}

/// What this request asks about items; `rest`: the path behind `/api/item`.
fn item(request: &Request, rest: &[&str]) -> Result<Call, Refusal> {
    let method = &request.method;
    match rest {
        [] if *method == Method::POST => {
            known_query(request, &[])?;
            Ok(Call::PostItem(request.body.clone()))
        }
        [] => {
            only(method, &[Method::GET], "GET, POST")?;
            known_query(request, &["q", "limit"])?;
            let words = request.query_value("q").unwrap_or_default().to_owned();
            Ok(Call::ListItems { words, limit: limit(request)? })
        }
        ["sync"] => {
            only(method, &[Method::POST], "POST")?;
            known_query(request, &[])?;
            Ok(Call::SyncItems(request.body.clone()))
        }
        [code, ..] => {
            only(method, &[Method::GET], "GET")?;
            known_query(request, &[])?;
            Ok(Call::ShowItem((*code).to_owned()))
        }
    }
}

fn only(method: &Method, methods: &[Method], allow: &'static str) -> Result<(), Refusal> {
    // HEAD is a GET whose body is not sent.
    let asked = if *method == Method::HEAD { &Method::GET } else { method };
    if methods.contains(asked) { Ok(()) } else { Err(Refusal::MethodNotAllowed { allow }) }
}

fn known_query(request: &Request, known: &[&str]) -> Result<(), Refusal> {
    match request.query.iter().find(|(name, _)| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some((name, _)) => {
            let name: String = name.chars().take(40).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            Err(Refusal::BadQuery(format!("{name:?} is not known here; known are: {known}")))
        }
    }
}

/// What a technician wants printed: `format`, `width`, and `original` for the original where it may be had.
pub(crate) fn technicians_order(request: &Request) -> Result<PrintOrder, Refusal> {
    let original = flag(request, "original")?;
    print_order(&PrintWords {
        format: request.query_value("format"),
        width: number(request, "width")?,
        again: original,
        copy: !original,
    })
}

/// `1` or `0`.
fn flag(request: &Request, name: &str) -> Result<bool, Refusal> {
    match request.query_value(name) {
        None | Some("0") => Ok(false),
        Some("1") => Ok(true),
        Some(_) => Err(Refusal::BadQuery(format!("{name} must be 0 or 1"))),
    }
}

/// What a till says of a print.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PrintWords<'a> {
    pub(super) format: Option<&'a str>,
    pub(super) width: Option<u64>,
    pub(super) again: bool,
    pub(super) copy: bool,
}

/// What is to be printed: text of 42 characters where the till does not say.
pub(super) fn print_order(words: &PrintWords<'_>) -> Result<PrintOrder, Refusal> {
    let format = PageFormat::from_word(words.format.unwrap_or("text"));
    let format =
        format.ok_or_else(|| Refusal::BadQuery("format must be one of: escpos, json, text".to_owned()))?;
    let which = match (words.again, words.copy) {
        (true, true) => {
            return Err(Refusal::BadQuery("again wants the original, copy a copy: one of them".to_owned()));
        }
        (true, false) => Which::Again,
        (false, true) => Which::Copy,
        (false, false) => Which::AsItComes,
    };
    match words.width.map_or(Ok(WIDTH), usize::try_from) {
        Ok(width @ NARROWEST..=WIDEST) => Ok(PrintOrder { which, format, width }),
        _ => Err(Refusal::BadQuery(format!("width must be {NARROWEST} to {WIDEST} characters"))),
    }
}

fn number(request: &Request, name: &str) -> Result<Option<u64>, Refusal> {
    let Some(text) = request.query_value(name) else { return Ok(None) };
    text.parse().map(Some).map_err(|_| Refusal::BadQuery(format!("{name} must be a whole number")))
}

fn wait(request: &Request) -> Result<Option<Duration>, Refusal> {
    match number(request, "wait")? {
        Some(seconds) if seconds > LONGEST_WAIT => {
            Err(Refusal::BadQuery(format!("wait must be 0 to {LONGEST_WAIT} seconds")))
        }
        seconds => Ok(seconds.map(Duration::from_secs)),
    }
}

fn limit(request: &Request) -> Result<usize, Refusal> {
    let Some(limit) = number(request, "limit")? else { return Ok(PAGE) };
    match usize::try_from(limit) {
        Ok(limit @ 1..=LONGEST_PAGE) => Ok(limit),
        _ => Err(Refusal::BadQuery(format!("limit must be 1 to {LONGEST_PAGE}"))),
    }
}

fn status(request: &Request) -> Result<Option<Status>, Refusal> {
    let Some(word) = request.query_value("status") else { return Ok(None) };
    Status::from_word(word).map(Some).ok_or_else(|| {
        let known = "accepted_no_proof, not_fiscal, parked, pending, rejected, settled, signed";
        Refusal::BadQuery(format!("status must be one of: {known}"))
    })
}
