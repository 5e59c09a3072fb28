//! Misbehaviour by name, for so many requests or until it is switched off. The first order that fits a request
//! is the one that strikes.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::functions::Function;

/// A way to misbehave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each is told in FAULTS")]
pub enum Fault {
    BadCertificate,
    BadJson,
    BadXml,
    CloseAfterRead,
    CloseBeforeRead,
    HalfBody,
    Hang,
    HangBeforeRead,
    Html,
    HttpStatus,
    Late,
    LoseAnswer,
    Refuse,
    ResultCd,
    Slow,
    SlowBody,
    WrongKey,
}

/// A fault as `simulator --help` and the documentation list it.
#[derive(Clone, Copy, Debug)]
pub struct FaultHelp {
    /// Which one.
    pub fault: Fault,
    /// Its name, on the command line and in JSON.
    pub name: &'static str,
    /// Its arguments in the order of the command line: `name:first,second`.
    pub args: &'static [&'static str],
    /// One line on what it does.
    pub help: &'static str,
}

/// All faults.
pub const FAULTS: &[FaultHelp] = &[
    help(
        Fault::Refuse,
        "refuse",
        &["ms"],
        "closes the listener and all connections; back after ms, or when told",
    ),
    help(Fault::Hang, "hang", &[], "reads the request and never answers; not processed"),
    help(Fault::HangBeforeRead, "hang_before_read", &[], "stops after the request's head; not processed"),
    help(Fault::CloseBeforeRead, "close_before_read", &[], "closes after the request's head; not processed"),
    help(Fault::CloseAfterRead, "close_after_read", &[], "reads the request and closes; not processed"),
    help(Fault::LoseAnswer, "lose_answer", &[], "processes the request and closes without an answer"),
    help(Fault::Late, "late", &["ms"], "closes without an answer and processes the request ms later (1000)"),
    help(
        Fault::HttpStatus,
        "http_status",
        &["status", "retry_after", "processed"],
        "answers this HTTP status (503), with Retry-After if given; processed only if told so",
    ),
    help(
        Fault::ResultCd,
        "result_cd",
        &["code", "message", "processed"],
        "answers this resultCd (999); processed only if told so",
    ),
    help(Fault::WrongKey, "wrong_key", &[], "answers 901, not a valid device; not processed"),
    help(Fault::Html, "html", &["processed"], "200 with a maintenance page; processed only if told so"),
    help(
        Fault::HalfBody,
        "half_body",
        &["processed"],
        "half the answer, then closes; processed unless told not to",
    ),
    help(
        Fault::BadJson,
        "bad_json",
        &["processed"],
        "an answer that is no JSON; processed unless told not to",
    ),
    help(Fault::BadXml, "bad_xml", &["processed"], "an answer that is no XML; processed unless told not to"),
    help(Fault::Slow, "slow", &["ms"], "processes at once and answers ms later (1000)"),
    help(
        Fault::SlowBody,
        "slow_body",
        &["ms"],
        "processes and sends the answer in eight pieces, ms apart (200)",
    ),
    help(
        Fault::BadCertificate,
        "bad_certificate",
        &[],
        "TLS: shows a certificate for another name; per connection",
    ),
];

const fn help(
    fault: Fault,
    name: &'static str,
    args: &'static [&'static str],
    help: &'static str,
) -> FaultHelp {
    FaultHelp { fault, name, args, help }
}

/// An order to misbehave: what, how often, on which function.
///
/// As a text: `name`, `name=3`, `late:5000=1`, `result_cd:913,no such code@saveTrnsSalesOsdc=2`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultOrder {
    /// What to do.
    pub fault: Fault,
    /// For how many requests; none: until switched off.
    #[serde(default)]
    pub count: Option<u32>,
    /// Only on this function, by its path's name.
    #[serde(default)]
    pub function: Option<String>,
    /// Only on requests with this `trdInvcNo`: one odd sale among good ones. In JSON alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sale: Option<String>,
    /// How exactly.
    #[serde(default)]
    pub args: FaultArgs,
}

/// Arguments of a fault; each fault takes those that [`FAULTS`] names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FaultArgs {
    /// Milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ms: Option<u64>,
    /// HTTP status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Seconds of Retry-After.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// resultCd.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// resultMsg.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Whether the request is processed all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processed: Option<bool>,
}

/// Why an order cannot be taken.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("fault {order:?}: {reason}")]
pub struct FaultOrderError {
    order: String,
    reason: String,
}

impl FaultOrder {
    /// This fault on every request until switched off.
    pub fn new(fault: Fault) -> FaultOrder {
        FaultOrder { fault, count: None, function: None, sale: None, args: FaultArgs::default() }
    }

    /// For so many requests only.
    #[must_use]
    pub fn times(self, count: u32) -> FaultOrder {
        FaultOrder { count: Some(count), ..self }
    }

    /// On this function only.
    #[must_use]
    pub fn on(self, function: &str) -> FaultOrder {
        FaultOrder { function: Some(function.to_owned()), ..self }
    }

    /// With these arguments.
    #[must_use]
    pub fn with(self, args: FaultArgs) -> FaultOrder {
        FaultOrder { args, ..self }
    }

    fn is_for(&self, function: Option<Function>) -> bool {
        !matches!(self.fault, Fault::BadCertificate | Fault::Refuse)
            && (self.function.is_none() || self.function.as_deref() == function.map(Function::name))
    }

    /// Checks what the parts can't: that they belong together.
    pub(super) fn checked(self) -> Result<FaultOrder, FaultOrderError> {
        let name = self.fault.name();
        let fail = |reason: String| Err(FaultOrderError { order: name.to_owned(), reason });
        let help = FAULTS.iter().find(|help| help.fault == self.fault).expect("every fault is in FAULTS");
        let FaultArgs { ms, status, retry_after, code, message, processed } = &self.args;
        for (arg, given) in [
            ("ms", ms.is_some()),
            ("status", status.is_some()),
            ("retry_after", retry_after.is_some()),
            ("code", code.is_some()),
            ("message", message.is_some()),
            ("processed", processed.is_some()),
        ] {
            if given && !help.args.contains(&arg) {
                return fail(format!("takes no {arg}, only {:?}", help.args));
            }
        }
        if status.is_some_and(|status| !(200..=599).contains(&status)) {
            return fail("status is 200 to 599".to_owned());
        }
        if let Some(function) = &self.function
            && Function::named(function).is_none()
        {
            return fail(format!("no function {function:?}"));
        }
        match self.fault {
            Fault::Refuse if self.count.is_some() => {
                fail("is on until ended, or for ms; it has no count".to_owned())
            }
            Fault::Refuse | Fault::BadCertificate if self.function.is_some() => {
                fail("strikes connections, not a function".to_owned())
            }
            Fault::Refuse | Fault::BadCertificate | Fault::CloseBeforeRead | Fault::HangBeforeRead
                if self.sale.is_some() =>
            {
                fail("strikes before anybody knows which sale it is".to_owned())
            }
            _ => Ok(self),
        }
    }
}

impl Fault {
    /// Its name, as in JSON.
    pub fn name(self) -> &'static str {
        FAULTS.iter().find(|help| help.fault == self).map_or("", |help| help.name)
    }
}

impl FromStr for FaultOrder {
    type Err = FaultOrderError;

    fn from_str(text: &str) -> Result<FaultOrder, FaultOrderError> {
        let fail = |reason: String| FaultOrderError { order: text.to_owned(), reason };
        let (rest, count) = match text.rsplit_once('=') {
            Some((rest, count)) => (
                rest,
                Some(count.parse().map_err(|_| fail(format!("{count:?} is not a number of requests")))?),
            ),
            None => (text, None),
        };
        let (rest, function) = match rest.rsplit_once('@') {
            Some((rest, function)) => (rest, Some(function.to_owned())),
            None => (rest, None),
        };
        let (name, values) = match rest.split_once(':') {
            Some((name, values)) => (name, values.splitn(6, ',').collect()),
            None => (rest, Vec::new()),
        };
        let help = FAULTS.iter().find(|help| help.name == name).ok_or_else(|| {
            let names: Vec<_> = FAULTS.iter().map(|help| help.name).collect();
            fail(format!("no such fault; there are {}", names.join(", ")))
        })?;
        if values.len() > help.args.len() {
            return Err(fail(format!("takes {:?}", help.args)));
        }
        let mut args = FaultArgs::default();
        for (arg, value) in help.args.iter().zip(values) {
            args.set(arg, value).ok_or_else(|| fail(format!("{value:?} is no {arg}")))?;
        }
        FaultOrder { fault: help.fault, count, function, sale: None, args }.checked()
    }
}

impl FaultArgs {
    fn set(&mut self, arg: &str, value: &str) -> Option<()> {
        match arg {
            "ms" => self.ms = Some(value.parse().ok()?),
            "status" => self.status = Some(value.parse().ok()?),
            "retry_after" => self.retry_after = Some(value.parse().ok()?),
            "code" => self.code = Some(value.to_owned()),
            "message" => self.message = Some(value.to_owned()),
            _ => self.processed = Some(value.parse().ok()?),
        }
        Some(())
    }
}

/// The orders given since they were last cleared.
#[derive(Debug, Default)]
pub(super) struct Faults {
    orders: Vec<Standing>,
}

/// An order and how often it struck.
#[derive(Debug, Serialize)]
pub(super) struct Standing {
    #[serde(flatten)]
    order: FaultOrder,
    fired: u32,
    active: bool,
}

/// Most orders remembered; spent ones go first.
const ORDERS: usize = 1000;

impl Faults {
    /// Takes an order behind those standing; false if there are too many.
    pub(super) fn add(&mut self, order: FaultOrder) -> bool {
        if self.orders.len() >= ORDERS {
            self.orders.retain(|standing| standing.active);
        }
        let room = self.orders.len() < ORDERS;
        if room {
            let active = order.count != Some(0);
            self.orders.push(Standing { order, fired: 0, active });
        }
        room
    }

    /// The order that strikes this request whatever is in it, if any; it is counted.
    pub(super) fn strike(&mut self, function: Option<Function>) -> Option<FaultOrder> {
        self.first(|order| order.sale.is_none() && order.is_for(function))
    }

    /// The order that strikes this request for the sale in it, if any; it is counted.
    pub(super) fn strike_sale(&mut self, function: Option<Function>, body: &[u8]) -> Option<FaultOrder> {
        let body = std::str::from_utf8(body).ok()?;
        let holds = |sale: &str| {
            let sale = sale.trim();
            [format!("\"trdInvcNo\":\"{sale}\""), format!("<trdInvcNo>{sale}</trdInvcNo>")]
                .iter()
                .any(|field| body.contains(field))
        };
        self.first(|order| order.sale.as_deref().is_some_and(holds) && order.is_for(function))
    }

    /// Whether the next TLS connection sees the wrong certificate; it is counted.
    pub(super) fn strike_certificate(&mut self) -> bool {
        self.first(|order| order.fault == Fault::BadCertificate).is_some()
    }

    fn first(&mut self, fits: impl Fn(&FaultOrder) -> bool) -> Option<FaultOrder> {
        let standing = self.orders.iter_mut().find(|standing| standing.active && fits(&standing.order))?;
        standing.fired = standing.fired.saturating_add(1);
        standing.active = standing.order.count.is_none_or(|count| standing.fired < count);
        Some(standing.order.clone())
    }

    /// The line is back: orders to refuse are spent.
    pub(super) fn end_refusals(&mut self) {
        for standing in self.orders.iter_mut().filter(|standing| standing.order.fault == Fault::Refuse) {
            standing.active = false;
        }
    }

    /// Forgets all orders.
    pub(super) fn clear(&mut self) {
        self.orders.clear();
    }

    /// All orders, in the order given.
    pub(super) fn all(&self) -> &[Standing] {
        &self.orders
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read_from_the_command_line() {
        let args = FaultArgs::default;
        for (text, order) in [
            ("hang", FaultOrder::new(Fault::Hang)),
            ("hang=3", FaultOrder::new(Fault::Hang).times(3)),
            ("late:50=1", FaultOrder::new(Fault::Late).times(1).with(FaultArgs { ms: Some(50), ..args() })),
            (
                "lose_answer@saveTrnsSalesOsdc=1",
                FaultOrder::new(Fault::LoseAnswer).times(1).on("saveTrnsSalesOsdc"),
            ),
            (
                "http_status:429,30",
                FaultOrder::new(Fault::HttpStatus).with(FaultArgs {
                    status: Some(429),
                    retry_after: Some(30),
                    ..args()
                }),
            ),
            (
                "result_cd:913,not here@saveItem=2",
                FaultOrder::new(Fault::ResultCd).times(2).on("saveItem").with(FaultArgs {
                    code: Some("913".into()),
                    message: Some("not here".into()),
                    ..args()
                }),
            ),
        ] {
            assert_eq!(text.parse(), Ok(order), "{text}");
        }
        for (text, words) in [
            ("hnag", "no such fault"),
            ("hang=x", "number of requests"),
            ("hang:5", "takes"),
            ("late:x", "no ms"),
            ("hang@saveTrns", "no function"),
            ("refuse=2", "no count"),
            ("refuse@saveItem", "strikes connections"),
            ("http_status:99", "200 to 599"),
        ] {
            let error = text.parse::<FaultOrder>().unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn every_fault_is_told() {
        for help in FAULTS {
            assert_eq!(serde_json::to_value(help.fault).unwrap(), help.name);
        }
    }

    #[test]
    fn the_first_that_fits_strikes_and_is_spent() {
        let mut faults = Faults::default();
        faults.add(FaultOrder::new(Fault::Hang).times(1).on("saveItem"));
        faults.add(FaultOrder::new(Fault::LoseAnswer).times(2));
        faults.add(FaultOrder::new(Fault::BadCertificate).times(1));
        let mut struck = |function| faults.strike(Function::named(function)).map(|order| order.fault);
        assert_eq!(struck("saveTrnsSalesOsdc"), Some(Fault::LoseAnswer));
        assert_eq!(struck("saveItem"), Some(Fault::Hang));
        assert_eq!(struck("saveItem"), Some(Fault::LoseAnswer));
        assert_eq!(struck("saveItem"), None);
        assert!(faults.strike_certificate() && !faults.strike_certificate());
        assert_eq!(faults.all().iter().map(|order| order.fired).collect::<Vec<_>>(), [1, 2, 1]);
    }
}
