//! Every "no" that a till may hear: its HTTP status, its stable word, and words for the till.

use serde::Serialize;

use crate::fiscal::Fault;

use super::json::BadJson;
use super::sale_state::SaleState;
use crate::queue::Status;

/// Why nothing is accepted just now; none of it is the till's fault, and the same request may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unavailable {
    /// Too many connections, or too much in hand.
    Busy,
    /// The disk is nearly full.
    DiskLow,
    /// Taxpayer and branch are not known.
    NotRegistered,
    /// The oldest unsent sale is older than allowed.
    OfflineLimit,
    /// The queue is full.
    QueueFull,
    /// The gateway is still opening its store.
    Starting,
    /// The gateway is being stopped.
    Stopping,
    /// The store cannot be written.
    StoreFailed,
}

impl Unavailable {
    const fn word(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::DiskLow => "disk_low",
            Self::NotRegistered => "not_registered",
            Self::OfflineLimit => "offline_limit",
            Self::QueueFull => "queue_full",
            Self::Starting => "starting",
            Self::Stopping => "stopping",
            Self::StoreFailed => "store_failed",
        }
    }

    const fn message(self) -> &'static str {
        match self {
            Self::Busy => "The gateway is busy. Send the same request again shortly.",
            Self::DiskLow => {
                "The gateway's disk is nearly full. Call the technician; send the sale again once there is room."
            }
            Self::NotRegistered => {
                "The gateway is not registered with KRA. Call the technician: it needs a PIN and a branch."
            }
            Self::OfflineLimit => {
                "KRA was out of reach for too long. No sale is taken until the waiting ones are sent."
            }
            Self::QueueFull => "Too many sales wait for KRA. No sale is taken until some of them are sent.",
            Self::Starting => "The gateway is starting. Send the same request again shortly.",
            Self::Stopping => "The gateway is stopping. Send the same request again once it runs.",
            Self::StoreFailed => "The gateway cannot write to its disk. Call the technician.",
        }
    }
}

/// A "no".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The body is not one JSON object.
    BadJson(BadJson),
    /// A serial message whose own check does not hold.
    BadCheck,
    /// A parameter of the query, or an operation over serial, that is not known or cannot be read.
    BadQuery(String),
    /// The device is another than the one registered.
    DeviceDiffers,
    /// The request's fields are wrong.
    Faults(Vec<Fault>),
    /// The headers are too large.
    HeadersTooLarge,
    /// `Host` is not this machine.
    HostNotAllowed,
    /// Our own fault.
    Internal,
    /// KRA could not be reached, or gave no usable answer, to register the device.
    KraAway {
        /// What happened.
        message: String,
        /// When it is tried again, in seconds.
        retry_after: u64,
        /// `resultCd`, where KRA answered.
        result_cd: Option<String>,
    },
    /// KRA refused to register the device.
    KraRefused {
        /// KRA's words, and what to do.
        message: String,
        /// When it makes sense to try again, in seconds.
        retry_after: u64,
        /// `resultCd`.
        result_cd: Option<String>,
    },
    /// KRA refused the sale for good; its state says why.
    KraRejected(Box<SaleState>),
    /// The path has other methods.
    MethodNotAllowed {
        /// The methods that it has, as `Allow` lists them.
        allow: &'static str,
    },
    /// The body is not declared as JSON.
    NotJson,
    /// No such path, sale or item.
    NotFound {
        /// What there is not: "sale", "path".
        what: &'static str,
    },
    /// A sale that stands like this has nothing that may be printed.
    NotPrintable(Status),
    /// The receipt is longer than a serial reply.
    ReceiptTooLong,
    /// A web page that may not call.
    OriginNotAllowed,
    /// The request came too slowly.
    TimedOut,
    /// The body is too large.
    TooLarge {
        /// The most bytes that are taken.
        limit: u64,
    },
    /// The number belongs to another sale, or to one too old to be repeated.
    TraderRefReused {
        /// The sale that has it, where this one is the same but comes too late; nothing of a different sale is told.
        stored: Option<Box<SaleState>>,
    },
    /// The token is missing or wrong.
    Unauthorised,
    /// Nothing can be accepted just now.
    Unavailable {
        /// Why.
        why: Unavailable,
        /// When to send it again, in seconds.
        retry_after: u64,
    },
}

impl From<BadJson> for Refusal {
    fn from(bad: BadJson) -> Self {
        Self::BadJson(bad)
    }
}

/// A refusal as it is written.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum RefusalBody<'a> {
    Faults {
        errors: Vec<FaultBody<'a>>,
        /// How many were left off, where they did not fit.
        #[serde(skip_serializing_if = "Option::is_none")]
        more: Option<usize>,
    },
    #[serde(rename_all = "camelCase")]
    Words {
        error: &'static str,
        message: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        result_cd: Option<&'a str>,
    },
    WithSale {
        error: &'static str,
        message: String,
        #[serde(flatten)]
        sale: &'a SaleState,
    },
}

/// A fault as it is written.
#[derive(Serialize)]
pub(super) struct FaultBody<'a> {
    field: &'a str,
    code: &'static str,
    message: &'a str,
}

impl<'a> From<&'a Fault> for FaultBody<'a> {
    fn from(fault: &'a Fault) -> Self {
        Self { field: &fault.field, code: fault.code.word(), message: &fault.message }
    }
}

impl Refusal {
    /// The HTTP status.
    pub fn http_status(&self) -> u16 {
        match self {
            Self::BadCheck | Self::BadJson(_) | Self::BadQuery(_) | Self::Faults(_) => 400,
            Self::Unauthorised => 401,
            Self::OriginNotAllowed => 403,
            Self::NotFound { .. } => 404,
            Self::MethodNotAllowed { .. } => 405,
            Self::TimedOut => 408,
            Self::DeviceDiffers | Self::NotPrintable(_) | Self::TraderRefReused { .. } => 409,
            Self::ReceiptTooLong | Self::TooLarge { .. } => 413,
            Self::NotJson => 415,
            Self::HostNotAllowed => 421,
            Self::KraRejected(_) => 422,
            Self::HeadersTooLarge => 431,
            Self::Internal => 500,
            Self::KraRefused { .. } => 502,
            Self::KraAway { .. } | Self::Unavailable { .. } => 503,
        }
    }

    /// The stable word; `None` for faults of fields, each of which has its own.
    pub fn word(&self) -> Option<&'static str> {
        Some(match self {
            Self::Faults(_) => return None,
            Self::BadCheck => "crc",
            Self::BadJson(_) => "bad_json",
            Self::BadQuery(_) => "bad_query",
            Self::DeviceDiffers => "device_differs",
            Self::HeadersTooLarge => "headers_too_large",
            Self::HostNotAllowed => "host_not_allowed",
            Self::Internal => "internal",
            Self::KraAway { .. } => "kra_away",
            Self::KraRefused { .. } => "kra_refused",
            Self::KraRejected(_) => "kra_rejected",
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::NotFound { .. } => "not_found",
            Self::NotJson => "not_json",
            Self::NotPrintable(_) => "not_printable",
            Self::OriginNotAllowed => "origin_not_allowed",
            Self::TimedOut => "timed_out",
            Self::ReceiptTooLong | Self::TooLarge { .. } => "too_large",
            Self::TraderRefReused { .. } => "trdInvcNo_reused",
            Self::Unauthorised => "unauthorised",
            Self::Unavailable { why, .. } => why.word(),
        })
    }

    /// For the till: the first sentence fits a cashier's display. Holds no value of the request.
    pub fn message(&self) -> String {
        match self {
            Self::BadCheck => "The message was damaged on the line. Send it again.".to_owned(),
            Self::BadJson(bad) => bad.to_string(),
            Self::BadQuery(words) => words.clone(),
            Self::DeviceDiffers => {
                "This gateway serves another device. One gateway serves one device.".to_owned()
            }
            Self::Faults(faults) => faults.first().map(|fault| fault.message.clone()).unwrap_or_default(),
            Self::HeadersTooLarge => "The request's headers are too large.".to_owned(),
            Self::HostNotAllowed => "The Host header does not name this machine.".to_owned(),
            Self::Internal => {
                "The gateway failed. Send the same request again; nothing is taken twice.".to_owned()
            }
            Self::KraAway { message, .. } | Self::KraRefused { message, .. } => message.clone(),
            Self::KraRejected(sale) => {
                format!("KRA refused this sale. {}", sale.advice().unwrap_or_default())
            }
            Self::MethodNotAllowed { allow } => format!("This path takes {allow} only."),
            Self::NotFound { what } => format!("There is no such {what}."),
            Self::NotJson => "The body must be sent as Content-Type: application/json.".to_owned(),
            Self::NotPrintable(status) => {
                format!("This sale has no receipt: it is {}.", status.word().replace('_', " "))
            }
            Self::OriginNotAllowed => {
                "This web page may not call the gateway (http.allowed_origins).".to_owned()
            }
            Self::TimedOut => "The request did not come in time.".to_owned(),
            Self::ReceiptTooLong => {
                "This receipt is too long for a serial line. Ask for it as text with a small width, or over HTTP; \
                 nothing was printed."
                    .to_owned()
            }
            Self::TooLarge { limit } => format!("The body is larger than {limit} bytes."),
            Self::TraderRefReused { stored: Some(_) } => {
                "This number was used too long ago to be repeated. The stored sale's state is in this answer."
                    .to_owned()
            }
            Self::TraderRefReused { stored: None } => "This number belongs to another sale.".to_owned(),
            Self::Unauthorised => "The token is missing or wrong.".to_owned(),
            Self::Unavailable { why, .. } => why.message().to_owned(),
        }
    }

    /// When to send the request again, in seconds: the header `Retry-After` and the member `retryAfter`.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::KraAway { retry_after, .. }
            | Self::KraRefused { retry_after, .. }
            | Self::Unavailable { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }

    /// What the header `Allow` says.
    pub fn allow(&self) -> Option<&'static str> {
        match self {
            Self::MethodNotAllowed { allow } => Some(allow),
            _ => None,
        }
    }

    /// How many faults it lists.
    pub(super) fn fault_count(&self) -> usize {
        match self {
            Self::Faults(faults) => faults.len(),
            _ => 0,
        }
    }

    /// As it is written, with at most `most_faults` of its faults.
    pub(super) fn body(&self, most_faults: usize) -> RefusalBody<'_> {
        if let Self::Faults(faults) = self {
            let errors = faults.iter().take(most_faults).map(FaultBody::from).collect();
            let more = faults.len().checked_sub(most_faults).filter(|more| *more > 0);
            return RefusalBody::Faults { errors, more };
        }
        let error = self.word().expect("only faults have no word of their own");
        let message = self.message();
        match self {
            Self::KraRejected(sale) | Self::TraderRefReused { stored: Some(sale) } => {
                RefusalBody::WithSale { error, message, sale }
            }
            Self::KraAway { result_cd, .. } | Self::KraRefused { result_cd, .. } => RefusalBody::Words {
                error,
                message,
                retry_after: self.retry_after(),
                result_cd: result_cd.as_deref(),
            },
            _ => RefusalBody::Words { error, message, retry_after: self.retry_after(), result_cd: None },
        }
    }
}
