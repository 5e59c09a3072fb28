//! Edge, out: HTTP and HTTPS to KRA.
//!
//! [`Client`] is KRA as the rest sees it. A call goes the way to a stream (name, TCP, [`Proxy`], TLS: `dial`), is
//! put on one `connection` at a time, and comes back as an answer, as "not sent" or as "in doubt"; each one is told to an
//! observer as an [`Exchange`]; long lists are read while they come (`published`). [`LineNews`] is the kernel's word that
//! the till's own line is back.

mod base_url;
mod call;
mod caller;
mod client;
mod connection;
mod dial;
mod exchange;
mod line;
mod proxy;
mod published;
#[cfg(test)]
mod raw_server;
mod retry_after;
mod settings;
mod tls;
mod validity;
#[cfg(test)]
mod way_tests;

pub use base_url::{BaseUrl, UrlFault};
pub use client::Client;
pub use exchange::{Exchange, Observer};
pub use line::LineNews;
pub use proxy::{Proxy, ProxyFault};
pub use settings::{Settings, SettingsFault};
pub use tls::RootsFault;
