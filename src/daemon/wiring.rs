//! From the configuration to the values that each part takes.

use std::path::Path;
use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use tracing::info;

use crate::config::{self, BaseUrl, CfmDt, Environment, LogFormat, LogLevel, Settings, WebhookAddress, Wire};
use crate::fiscal::{BhfId, DeviceIdentity, DeviceSerial, ItemCodeGrammar, TaxConvention, Tin};
use crate::gateway::{SendingRules, Shown, TakingRules};
use crate::http::{BodyBudget, Limits, ServerTls};
use crate::kra;
use crate::queue::Dice;
use crate::queue::drain::Policy;
use crate::store::api_log::Bounds;
use crate::store::{Options, Terms};
use crate::systemd;
use crate::webhook::Address;
use crate::wire::sale::TraderTexts;
use crate::wire::{Format, Function, Paths};

/// Request bodies that may be in memory at one time, over all sockets.
const ALL_BODIES: usize = 16 << 20;

/// A setting that passed the check and still cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {why}")]
pub struct Unusable {
    /// Which.
    pub key: &'static str,
    /// Why.
    pub why: String,
}

fn unusable(key: &'static str) -> impl FnOnce(String) -> Unusable {
    move |why| Unusable { key, why }
}

/// The systemd credential that holds the key which signs sales, where one is given.
const SIGNING_KEY: &str = "etims-gateway.signing-key";

/// How the store is opened.
///
/// # Errors
/// The signing key that systemd passed cannot be used.
pub(super) fn store_options(settings: &Settings) -> Result<Options, Unusable> {
    Ok(Options {
        signing_key: signing_key(settings.credentials_directory.as_deref())?,
        // A till that sells for real is never started on an empty store by itself: a disk that is not mounted must not
        // look like a new till.
        create: matches!(settings.kra.environment, Environment::Simulator | Environment::Custom),
        max_documents: settings.storage.max_documents,
        retention: Some(settings.storage.retention),
        min_free: settings.storage.min_free,
        reserve: settings.storage.reserve,
        ..Options::new(super::clock::stamp)
    })
}

/// The key of the credential: PKCS#8, as PEM or DER. Without one the store makes a key of its own, once.
fn signing_key(directory: Option<&Path>) -> Result<Option<Vec<u8>>, Unusable> {
    let Some(path) = directory.map(|directory| directory.join(SIGNING_KEY)) else { return Ok(None) };
    let wrong = |why: String| unusable("the credential etims-gateway.signing-key")(why);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrong(error.to_string())),
    };
    if !bytes.starts_with(b"-----BEGIN") {
        return Ok(Some(bytes));
    }
    let key = PrivatePkcs8KeyDer::from_pem_slice(&bytes)
        .map_err(|error| wrong(format!("no PKCS#8 key in PEM: {error}")))?;
    Ok(Some(key.secret_pkcs8_der().to_vec()))
}

/// On what terms sales are kept.
pub(super) fn terms(settings: &Settings) -> Terms {
    Terms {
        environment: settings.kra.environment.as_str().to_owned(),
        first_number: settings.device.next_invc_no,
        max_documents: settings.storage.max_documents,
    }
}

/// The format of the wire.
pub(super) const fn format(settings: &Settings) -> Format {
    match settings.kra.wire {
        Wire::Xml => Format::Xml,
        Wire::Json | Wire::Gateway => Format::Json,
    }
}

/// How KRA is reached.
///
/// # Errors
/// A path, address or certificate file that cannot be used.
pub fn kra_settings(settings: &Settings) -> Result<kra::Settings, Unusable> {
    let kra = &settings.kra;
    let mut paths = Paths::default();
    for (name, path) in &kra.paths {
        // Functions of later versions may be configured already.
        let Some(function) = Function::from_name(name) else { continue };
        paths.set(function, path).map_err(|fault| unusable("kra.paths")(format!("{name}: {fault}")))?;
    }
    let ca_certificates = match &kra.ca_file {
        None => None,
        Some(path) => Some(
            std::fs::read(path)
                .map_err(|error| unusable("kra.ca_file")(format!("{}: {error}", path.display())))?,
        ),
    };
    let base_url = kra::BaseUrl::parse(&kra.base_url.to_string())
        .map_err(|fault| unusable("kra.base_url")(fault.to_string()))?;
    let proxy = match &kra.proxy {
        None => None,
        Some(proxy) => Some(
            kra::Proxy::parse(&proxy.to_string())
                .map_err(|fault| unusable("kra.proxy")(fault.to_string()))?,
        ),
    };
    Ok(kra::Settings {
        base_url,
        format: format(settings),
        sign_requests: kra.sign_requests,
        paths,
        connect_timeout: kra.connect_timeout,
        request_timeout: kra.request_timeout,
        ca_certificates,
        proxy,
    })
}

/// How sales are taken.
pub(super) fn taking_rules(settings: &Settings) -> TakingRules {
    TakingRules {
        convention: match settings.kra.tax_convention {
            config::TaxConvention::GrossPriceNetTaxable => TaxConvention::GrossPriceNetTaxable,
            config::TaxConvention::GrossTaxable => TaxConvention::GrossTaxable,
            config::TaxConvention::NetPrice => TaxConvention::NetPrice,
        },
        item_code: match settings.kra.item_code {
            config::ItemCode::Free => ItemCodeGrammar::Free,
            config::ItemCode::Padded => ItemCodeGrammar::Padded,
            config::ItemCode::TwoLetter => ItemCodeGrammar::TwoLetter,
        },
        realtime_wait: settings.sales.realtime_wait,
        repeat_window: settings.sales.repeat_window,
        offline_limit: settings.sales.offline_limit,
    }
}

/// How documents are sent.
pub(super) fn sending_rules(settings: &Settings) -> SendingRules {
    SendingRules {
        policy: Policy {
            backoff_initial: settings.delivery.backoff_initial,
            backoff_max: settings.delivery.backoff_max,
            probe_max: settings.delivery.probe_max,
            max_attempts: settings.delivery.max_attempts,
            request_timeout: settings.kra.request_timeout,
        },
        format: format(settings),
        trader: TraderTexts {
            name: settings.trader.name.clone(),
            address: settings.trader.address.clone(),
            top_message: settings.trader.top_message.clone(),
            bottom_message: settings.trader.bottom_message.clone(),
        },
        time_of_sending: settings.delivery.cfm_dt == CfmDt::Sending,
    }
}

/// What of the configuration shows in a snapshot.
pub(super) fn shown(settings: &Settings) -> Shown {
    Shown {
        environment: settings.kra.environment.as_str().to_owned(),
        wire: settings.kra.wire.as_str().to_owned(),
        offline_warn: settings.sales.offline_warn,
        offline_limit: settings.sales.offline_limit,
        max_documents: settings.storage.max_documents,
    }
}

/// The limits of the till API.
pub(super) fn limits(settings: &Settings) -> Limits {
    Limits {
        max_body: usize::try_from(settings.http.max_body).unwrap_or(usize::MAX),
        max_connections: settings.http.max_connections,
        all_bodies: BodyBudget::new(ALL_BODIES),
        max_body_of: crate::pos::max_body_of,
        ..Limits::default()
    }
}

/// What TCP requests must bring, if anything.
///
/// # Errors
/// The token's file cannot be read.
pub(super) fn token(settings: &Settings) -> Result<Option<String>, Unusable> {
    let Some(file) = &settings.http.token_file else { return Ok(None) };
    let secret = file
        .read(settings.credentials_directory.as_deref())
        .map_err(|error| unusable("http.token_file")(error.to_string()))?;
    Ok(Some(secret.expose().to_owned()))
}

/// What TCP connections are secured with.
///
/// # Errors
/// The files cannot be read, or do not belong together.
pub fn tls(settings: &Settings) -> Result<Option<ServerTls>, Unusable> {
    let Some(tls) = &settings.http.tls else { return Ok(None) };
    let certificate = std::fs::read(&tls.certificate).map_err(|error| {
        unusable("http.tls_certificate")(format!("{}: {error}", tls.certificate.display()))
    })?;
    let key = tls
        .key
        .read(settings.credentials_directory.as_deref())
        .map_err(|error| unusable("http.tls_key")(error.to_string()))?;
    ServerTls::from_pem(&certificate, key.expose().as_bytes())
        .map(Some)
        .map_err(|fault| unusable("http.tls_certificate")(fault.to_string()))
}

/// Web pages that may call, as browsers write their origin.
pub(super) fn origins(settings: &Settings) -> Vec<String> {
    settings.http.allowed_origins.iter().map(|origin| origin.as_str().to_owned()).collect()
}

/// The device that the configuration names, if it names one.
pub fn configured_device(settings: &Settings) -> Option<DeviceIdentity> {
    let named = settings.device.identity()?;
    Some(DeviceIdentity {
        tin: Tin::new(&named.tin).ok()?,
        bhf_id: BhfId::new(&named.bhf_id).ok()?,
        serial: DeviceSerial::new(&named.serial_number).ok()?,
    })
}

/// How large the log of exchanges with KRA may get.
pub(super) const fn log_bounds(settings: &Settings) -> Bounds {
    Bounds { max_size: settings.api_log.max_size, min_free: settings.storage.min_free }
}

/// Where a webhook is.
pub(super) fn webhook(configured: &WebhookAddress) -> Address {
    let BaseUrl { https, host, port, .. } = &configured.url;
    Address { https: *https, host: host.clone(), port: *port, path: configured.path.clone() }
}

/// One throw of the dice, from the kernel.
pub(super) fn dice() -> Dice {
    let mut bytes = [0; 8];
    if SystemRandom::new().fill(&mut bytes).is_err() {
        info!("the kernel gives no randomness: pauses are not spread");
    }
    Dice(u64::from_be_bytes(bytes))
}

/// Where the log goes.
pub const fn log_format(settings: &Settings) -> systemd::Format {
    match settings.log.format {
        LogFormat::Auto => systemd::Format::Auto,
        LogFormat::Journald => systemd::Format::Journald,
        LogFormat::Json => systemd::Format::Json,
        LogFormat::Text => systemd::Format::Text,
    }
}

/// How much is logged.
pub const fn log_level(settings: &Settings) -> tracing::level_filters::LevelFilter {
    use tracing::level_filters::LevelFilter;
    match settings.log.level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Trace => LevelFilter::TRACE,
        LogLevel::Warn => LevelFilter::WARN,
    }
}

/// The longest pause between two tries of the registrar.
pub(super) fn registrar_pause(settings: &Settings) -> Duration {
    settings.delivery.probe_max
}
