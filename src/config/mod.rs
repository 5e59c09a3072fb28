//! The configuration: a file, the files of `conf.d` beside it and the environment in; checked settings or all problems
//! at once out.
//!
//! The table behind [`every_key`] is the one place that knows every key, its kind, default and meaning; [`Settings::load`]
//! layers the sources, reads each key by its kind, then applies the rules between keys.

mod address;
mod assemble;
mod credentials;
mod environment;
mod file;
mod keys;
mod kind;
mod layers;
mod load;
mod not_built;
mod places;
mod problem;
mod reader;
mod reload;
mod settings;
#[cfg(test)]
mod tests;

pub use address::{BaseUrl, Origin, ProxyAddress, WebhookAddress};
pub use credentials::{Secret, SecretError, SecretFile};
pub use environment::process_environment;
pub use keys::{Fallback, Key, every_key};
pub use kind::Kind;
pub use load::{DEFAULT_PATH, Effective, Loaded};
pub use not_built::{NOT_BUILT, NotBuilt};
pub use problem::{Problem, Problems, Source, Warning};
pub use reload::{Changes, LIVE};
pub use settings::{
    Admin, ApiLog, CfmDt, DataBits, Delivery, Device, DeviceIdentity, Environment, FlowControl, Http,
    ItemCode, Kra, Log, LogFormat, LogLevel, Notify, Parity, Sales, Serial, SerialProtocol, Settings,
    StopBits, Storage, TaxConvention, Tls, Trader, UnixSocket, Wire,
};
