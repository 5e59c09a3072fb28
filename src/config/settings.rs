//! The checked values that the rest of the program takes. They are made by [`Settings::load`] only.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::address::{BaseUrl, Origin, ProxyAddress, WebhookAddress};
use super::credentials::SecretFile;

/// Every setting, checked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// Directory of the journal, the queue and the keys.
    pub state_dir: PathBuf,
    /// `$CREDENTIALS_DIRECTORY`, where systemd puts credentials; to be given to [`SecretFile::read`].
    pub credentials_directory: Option<PathBuf>,
    /// Who we are to KRA.
    pub device: Device,
    /// Which KRA, and how to speak to it.
    pub kra: Kra,
    /// The trader, for receipts.
    pub trader: Trader,
    /// Till API over TCP.
    pub http: Http,
    /// Till API over a Unix socket.
    pub unix: UnixSocket,
    /// Technician's socket.
    pub admin: Admin,
    /// Registers on serial ports.
    pub serial: Vec<Serial>,
    /// How sales are accepted.
    pub sales: Sales,
    /// How documents are sent.
    pub delivery: Delivery,
    /// Bounds of the store.
    pub storage: Storage,
    /// Where news is posted.
    pub notify: Notify,
    /// Log of exchanges with KRA.
    pub api_log: ApiLog,
    /// The journal.
    pub log: Log,
}

/// `device.*`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Device {
    /// Taxpayer PIN, `^[A-Z][0-9]{9}[A-Z]$`.
    pub tin: Option<String>,
    /// Branch, two digits.
    pub bhf_id: String,
    /// Serial number of the device, 1 to 100 printable characters.
    pub serial_number: Option<String>,
    /// First number of the series, from 1.
    pub next_invc_no: u64,
}

impl Device {
    /// The whole identity, when enough is set for the device to register itself.
    pub fn identity(&self) -> Option<DeviceIdentity> {
        Some(DeviceIdentity {
            tin: self.tin.clone()?,
            bhf_id: self.bhf_id.clone(),
            serial_number: self.serial_number.clone()?,
        })
    }
}

/// What KRA knows a device by.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DeviceIdentity {
    /// Taxpayer PIN.
    pub tin: String,
    /// Branch.
    pub bhf_id: String,
    /// Serial number.
    pub serial_number: String,
}

/// `kra.*`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Kra {
    /// Which KRA.
    pub environment: Environment,
    /// Where its functions are.
    pub base_url: BaseUrl,
    /// The format spoken.
    pub wire: Wire,
    /// Paths that differ from the wire's own: KRA's function name to a path that begins with `/`.
    pub paths: BTreeMap<String, String>,
    /// Send `X-Signature` after registration.
    pub sign_requests: bool,
    /// Host of the QR link.
    pub portal: String,
    /// How prices and taxable amounts relate.
    pub tax_convention: TaxConvention,
    /// Grammar of item codes.
    pub item_code: ItemCode,
    /// Longest wait for a connection; shorter than `request_timeout`.
    pub connect_timeout: Duration,
    /// Longest wait for an answer, connecting included.
    pub request_timeout: Duration,
    /// Extra root certificates, PEM.
    pub ca_file: Option<PathBuf>,
    /// HTTP CONNECT proxy.
    pub proxy: Option<ProxyAddress>,
    /// OAuth consumer key and secret.
    pub credentials_file: Option<SecretFile>,
}

/// `trader.*`; what is none comes from the registration.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Trader {
    /// Name.
    pub name: Option<String>,
    /// Address.
    pub address: Option<String>,
    /// Line at the top of receipts.
    pub top_message: Option<String>,
    /// Line at the bottom of receipts.
    pub bottom_message: Option<String>,
}

/// `http.*`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Http {
    /// Addresses to listen on; empty for none.
    pub listen: Vec<SocketAddr>,
    /// Web pages that may call.
    pub allowed_origins: Vec<Origin>,
    /// Bearer token asked of TCP requests.
    pub token_file: Option<SecretFile>,
    /// TLS on TCP.
    pub tls: Option<Tls>,
    /// Largest request body, bytes.
    pub max_body: u64,
    /// Most connections at one time.
    pub max_connections: usize,
}

/// `http.tls_*`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tls {
    /// Certificate chain, PEM.
    pub certificate: PathBuf,
    /// Private key, PEM.
    pub key: SecretFile,
}

/// `unix.*`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UnixSocket {
    /// The socket.
    pub path: PathBuf,
    /// Permission bits, at most 0o777.
    pub mode: u32,
    /// Group by name.
    pub group: Option<String>,
}

/// `admin.*`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Admin {
    /// The socket.
    pub path: PathBuf,
}

/// One `[[serial]]`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Serial {
    /// The device file.
    pub port: PathBuf,
    /// Bits per second.
    pub baud: u32,
    /// Data bits.
    pub data_bits: DataBits,
    /// Parity.
    pub parity: Parity,
    /// Stop bits.
    pub stop_bits: StopBits,
    /// Flow control.
    pub flow_control: FlowControl,
    /// Framing.
    pub protocol: SerialProtocol,
    /// Put before the register's own numbers; ASCII, may be empty.
    pub prefix: String,
}

/// `sales.*`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sales {
    /// How long a register waits for KRA's signature; zero never waits.
    pub realtime_wait: Duration,
    /// How long a known number without its own time is a repeat.
    pub repeat_window: Duration,
    /// Age of the oldest unsent sale that alerts.
    pub offline_warn: Duration,
    /// Age at which new sales are refused.
    pub offline_limit: Option<Duration>,
}

/// `delivery.*`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Delivery {
    /// First pause.
    pub backoff_initial: Duration,
    /// Longest pause; not shorter than the first.
    pub backoff_max: Duration,
    /// Answers about one document before it is set aside, from 1.
    pub max_attempts: u32,
    /// Longest pause between probes.
    pub probe_max: Duration,
    /// The time KRA is told.
    pub cfm_dt: CfmDt,
}

/// `storage.*`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Storage {
    /// Most documents waiting.
    pub max_documents: u64,
    /// Least free disk, bytes.
    pub min_free: u64,
    /// How long signed sales are kept.
    pub retention: Duration,
    /// Size of the reserve file, bytes.
    pub reserve: u64,
}

/// `notify.*`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Notify {
    /// For finished sales.
    pub till_webhook: Option<WebhookAddress>,
    /// For alerts.
    pub alert_webhook: Option<WebhookAddress>,
}

/// `api_log.*`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ApiLog {
    /// Most disk, bytes.
    pub max_size: u64,
}

/// `log.*`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Log {
    /// How much.
    pub level: LogLevel,
    /// Where and how.
    pub format: LogFormat,
}

/// An enum whose variants have one word each in the configuration.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $word:literal => $variant:ident,)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// Every variant with its word in the configuration.
            pub(super) const WORDS: &[(&'static str, $name)] = &[$(($word, $name::$variant),)*];

            /// The word in the configuration.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word,)* }
            }
        }
    };
}

words! {
    /// `kra.environment`.
    Environment {
        /// Our own simulator on loopback.
        "simulator" => Simulator,
        /// KRA's direct sandbox.
        "sandbox" => Sandbox,
        /// KRA's direct production service.
        "production" => Production,
        /// Sandbox behind the integrator gateway.
        "gateway-sandbox" => GatewaySandbox,
        /// Production behind the integrator gateway.
        "gateway-production" => GatewayProduction,
        /// Whatever `kra.base_url` says.
        "custom" => Custom,
    }
}

words! {
    /// `kra.wire`.
    Wire {
        /// XML.
        "xml" => Xml,
        /// JSON, direct.
        "json" => Json,
        /// JSON in the integrator gateway's envelope.
        "gateway" => Gateway,
    }
}

words! {
    /// `kra.tax_convention`: which of price and taxable amount include tax.
    TaxConvention {
        /// Prices with tax, taxable amounts without.
        "gross-price-net-taxable" => GrossPriceNetTaxable,
        /// Both with tax.
        "gross-taxable" => GrossTaxable,
        /// Both without tax.
        "net-price" => NetPrice,
    }
}

words! {
    /// `kra.item_code`.
    ItemCode {
        /// Unit codes of exactly two letters.
        "two-letter" => TwoLetter,
        /// Unit codes padded to three with X.
        "padded" => Padded,
        /// Any unique text.
        "free" => Free,
    }
}

words! {
    /// `delivery.cfm_dt`: the time KRA is told.
    CfmDt {
        /// When the sale was made.
        "sale" => Sale,
        /// When it is sent.
        "sending" => Sending,
    }
}

words! {
    /// `parity` of a serial port.
    Parity {
        /// None.
        "none" => None,
        /// Even.
        "even" => Even,
        /// Odd.
        "odd" => Odd,
    }
}

words! {
    /// `flow_control` of a serial port.
    FlowControl {
        /// None.
        "none" => None,
        /// RTS and CTS.
        "hardware" => Hardware,
        /// XON and XOFF.
        "software" => Software,
    }
}

words! {
    /// `protocol` of a serial port.
    SerialProtocol {
        /// Checked frames.
        "frame" => Frame,
        /// Plain lines.
        "lines" => Lines,
    }
}

words! {
    /// `log.level`.
    LogLevel {
        /// A person must act.
        "error" => Error,
        /// Odd but handled.
        "warn" => Warn,
        /// The service's life, one line per document.
        "info" => Info,
        /// Per request.
        "debug" => Debug,
        /// Everything.
        "trace" => Trace,
    }
}

words! {
    /// `log.format`.
    LogFormat {
        /// journald under systemd, else text.
        "auto" => Auto,
        /// journald with structured fields.
        "journald" => Journald,
        /// A line per event on standard error.
        "text" => Text,
        /// A JSON object per line on standard error.
        "json" => Json,
    }
}

/// `data_bits` of a serial port.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DataBits {
    /// Seven.
    Seven,
    /// Eight.
    Eight,
}

/// `stop_bits` of a serial port.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StopBits {
    /// One.
    One,
    /// Two.
    Two,
}
