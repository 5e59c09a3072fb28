//! What a till is answered: one body for HTTP and serial.

use data_encoding::BASE64;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::gateway::Page;
use crate::queue::Status;

use super::device_reply::{DeviceActive, DeviceStatus, Health, HealthWord};
use super::item_reply::{ItemKept, ItemShown, ItemsShown, ItemsSynced};
use super::list_reply::{CodesShown, ItemClassesShown, NoticesShown};
use super::refusal::{Refusal, RefusalBody};
use super::sale_state::SaleState;

/// The longest body that a serial frame carries, in bytes.
pub const SERIAL_LIMIT: usize = 65_535;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// One class of KRA's codes.
    Codes(CodesShown),
    /// The device is registered.
    DeviceActive(DeviceActive),
    /// How the device is.
    DeviceStatus(Box<DeviceStatus>),
    /// How the gateway is.
    Health(Health),
    /// The gateway is there.
    Hello(Hello),
    /// An item.
    Item(Box<ItemShown>),
    /// An item was posted.
    ItemKept(ItemKept),
    /// Items.
    Items(Box<ItemsShown>),
    /// A batch of items was posted.
    ItemsSynced(Box<ItemsSynced>),
    /// KRA's item classes.
    ItemClasses(ItemClassesShown),
    /// What happened.
    News(News),
    /// KRA's notices.
    Notices(NoticesShown),
    /// A receipt for a printer.
    Receipt(Page),
    /// No.
    Refused {
        /// Why.
        refusal: Refusal,
        /// To a register that posted a sale: how many of its sales KRA refused that nobody has settled.
        attention: Option<u64>,
    },
    /// A sale was accepted just now; this is what it has come to meanwhile.
    SaleAccepted(Box<SaleState>),
    /// A sale that was accepted before was posted again.
    SaleRepeated(Box<SaleState>),
    /// A sale's present state, asked for.
    SaleShown(Box<SaleState>),
    /// Several sales.
    Sales(SaleList),
}

/// Sales, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SaleList {
    /// The sales of this page.
    pub sales: Vec<SaleState>,
    /// What `before` must say for the next page; left out on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// The answer to a register that begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hello {
    /// The version of what is spoken.
    pub proto: u8,
    /// Another one after each start of the gateway.
    pub boot: u64,
    /// The gateway's clock, RFC 3339.
    pub now: String,
    /// A sale sent now would be taken.
    pub accepting: bool,
    /// The last sale that was committed from this port; `null` where there is none.
    pub last: Option<Box<SaleState>>,
}

/// Events, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Each as the stream of events has it.
    pub events: Vec<String>,
    /// What `after` must say for those that follow.
    pub next: u64,
}

impl News {
    fn written(&self) -> NewsBody<'_> {
        let events = self.events.iter().filter_map(|event| serde_json::from_str(event).ok());
        NewsBody { events: events.collect(), next: self.next }
    }
}

#[derive(Serialize)]
struct NewsBody<'a> {
    events: Vec<&'a RawValue>,
    next: u64,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Body<'a> {
    Codes(&'a CodesShown),
    DeviceActive(&'a DeviceActive),
    DeviceStatus(&'a DeviceStatus),
    Health(&'a Health),
    Hello(&'a Hello),
    Item(&'a ItemShown),
    ItemKept(&'a ItemKept),
    Items(&'a ItemsShown),
    ItemsSynced(&'a ItemsSynced),
    ItemClasses(&'a ItemClassesShown),
    News(NewsBody<'a>),
    Notices(&'a NoticesShown),
    Escpos {
        /// Orders for the printer, base64.
        escpos: String,
    },
    Facts(&'a serde_json::Value),
    Text {
        text: &'a str,
    },
    Refused {
        #[serde(flatten)]
        refusal: RefusalBody<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        attention: Option<u64>,
    },
    Sale(&'a SaleState),
    Sales(&'a SaleList),
}

/// A body as serial carries it: the status first.
#[derive(Serialize)]
struct Numbered<'a> {
    st: u16,
    #[serde(flatten)]
    body: Body<'a>,
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        Self::Refused { refusal, attention: None }
    }
}

impl Reply {
    /// The answer to a sale that was accepted just now. One that KRA has refused meanwhile is a refusal.
    pub fn accepted(sale: SaleState) -> Self {
        Self::posted(sale, Self::SaleAccepted)
    }

    /// The answer to a repeat. A sale that KRA has refused is a refusal again.
    pub fn repeated(sale: SaleState) -> Self {
        Self::posted(sale, Self::SaleRepeated)
    }

    fn posted(sale: SaleState, reply: fn(Box<SaleState>) -> Self) -> Self {
        let sale = Box::new(sale);
        if sale.status() == Status::Rejected { Refusal::KraRejected(sale).into() } else { reply(sale) }
    }

    /// As the answer to a register about a sale: with how many of its sales KRA has refused and nobody has settled.
    #[must_use]
    pub fn with_attention(self, open: u64) -> Self {
        let told = |sale: Box<SaleState>| Box::new(sale.with_attention(open));
        match self {
            Self::Refused { refusal: Refusal::KraRejected(sale), .. } => {
                Refusal::KraRejected(told(sale)).into()
            }
            Self::Refused { refusal: Refusal::TraderRefReused { stored: Some(sale) }, .. } => {
                Refusal::TraderRefReused { stored: Some(told(sale)) }.into()
            }
            Self::Refused { refusal, .. } => {
                Self::Refused { refusal, attention: Some(open).filter(|open| *open > 0) }
            }
            Self::SaleAccepted(sale) => Self::SaleAccepted(told(sale)),
            Self::SaleRepeated(sale) => Self::SaleRepeated(told(sale)),
            Self::SaleShown(sale) => Self::SaleShown(told(sale)),
            other => other,
        }
    }

    /// The HTTP status.
    pub fn http_status(&self) -> u16 {
        match self {
            Self::Refused { refusal, .. } => refusal.http_status(),
            Self::SaleAccepted(sale) => match sale.status() {
                Status::Pending => 202,
                Status::Signed => 201,
                Status::Rejected => 422,
                Status::AcceptedNoProof | Status::NotFiscal | Status::Parked | Status::Settled => 200,
            },
            Self::Health(health) if health.status == HealthWord::Unhealthy => 503,
            Self::ItemKept(kept) => kept.http_status(),
            Self::Codes(_)
            | Self::DeviceActive(_)
            | Self::DeviceStatus(_)
            | Self::Health(_)
            | Self::Hello(_)
            | Self::ItemClasses(_)
            | Self::Item(_)
            | Self::Items(_)
            | Self::ItemsSynced(_)
            | Self::News(_)
            | Self::Notices(_)
            | Self::Receipt(_)
            | Self::SaleRepeated(_)
            | Self::SaleShown(_)
            | Self::Sales(_) => 200,
        }
    }

    /// What the header `Retry-After` says, in seconds; given with every refusal that passes by itself.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Refused { refusal, .. } => refusal.retry_after(),
            _ => None,
        }
    }

    /// What the header `Allow` says.
    pub fn allow(&self) -> Option<&'static str> {
        match self {
            Self::Refused { refusal, .. } => refusal.allow(),
            _ => None,
        }
    }

    /// The body for HTTP: JSON, but receipts as their printer takes them.
    pub fn body(&self) -> Vec<u8> {
        match self {
            Self::Receipt(Page::Escpos(orders)) => orders.clone(),
            Self::Receipt(Page::Text(text)) => text.clone().into_bytes(),
            _ => written(&self.shape(usize::MAX)),
        }
    }

    /// What kind of body that is.
    pub const fn content_type(&self) -> &'static str {
        match self {
            Self::Receipt(Page::Escpos(_)) => "application/octet-stream",
            Self::Receipt(Page::Text(_)) => "text/plain; charset=utf-8",
            _ => "application/json",
        }
    }

    /// The JSON body for serial: the status as first member `st`. Faults that do not fit a frame are left off, and
    /// `more` says how many.
    pub fn serial_body(&self) -> Vec<u8> {
        let st = self.http_status();
        let mut most_faults = match self {
            Self::Refused { refusal, .. } => refusal.fault_count(),
            _ => 0,
        };
        loop {
            let body = written(&Numbered { st, body: self.shape(most_faults) });
            if body.len() <= SERIAL_LIMIT || most_faults == 0 {
                return body;
            }
            most_faults /= 2;
        }
    }

    fn shape(&self, most_faults: usize) -> Body<'_> {
        match self {
            Self::Codes(codes) => Body::Codes(codes),
            Self::DeviceActive(device) => Body::DeviceActive(device),
            Self::DeviceStatus(device) => Body::DeviceStatus(device),
            Self::Health(health) => Body::Health(health),
            Self::Hello(hello) => Body::Hello(hello),
            Self::Item(item) => Body::Item(item),
            Self::ItemKept(kept) => Body::ItemKept(kept),
            Self::Items(items) => Body::Items(items),
            Self::ItemsSynced(synced) => Body::ItemsSynced(synced),
            Self::ItemClasses(classes) => Body::ItemClasses(classes),
            Self::News(news) => Body::News(news.written()),
            Self::Notices(notices) => Body::Notices(notices),
            Self::Receipt(Page::Escpos(orders)) => Body::Escpos { escpos: BASE64.encode(orders) },
            Self::Receipt(Page::Json(facts)) => Body::Facts(facts),
            Self::Receipt(Page::Text(text)) => Body::Text { text },
            Self::Refused { refusal, attention } => {
                Body::Refused { refusal: refusal.body(most_faults), attention: *attention }
            }
            Self::SaleAccepted(sale) | Self::SaleRepeated(sale) | Self::SaleShown(sale) => Body::Sale(sale),
            Self::Sales(list) => Body::Sales(list),
        }
    }
}

fn written(shape: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(shape).expect("texts and numbers are always JSON")
}

#[cfg(test)]
mod tests;
