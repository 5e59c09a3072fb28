//! From layered values to checked settings: each key by its kind, then the rules between keys.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::address::BaseUrl;
use super::places::{Machine, directory};
use super::problem::Warning;
use super::reader::Reader;
use super::settings::{
    Admin, ApiLog, CfmDt, DataBits, Delivery, Device, Environment, FlowControl, Http, ItemCode, Kra, Log,
    LogFormat, LogLevel, Notify, Parity, Sales, Serial, SerialProtocol, Settings, StopBits, Storage,
    TaxConvention, Tls, Trader, UnixSocket, Wire,
};

/// Longest path of a Unix socket, in bytes: Linux keeps 108 with the NUL.
const LONGEST_SOCKET_PATH: usize = 107;

/// Reads everything; problems are left in `reader`, oddities in `warnings`.
pub(super) fn settings(
    reader: &mut Reader,
    serial_count: usize,
    variables: &[(String, String)],
    machine: &Machine,
    warnings: &mut Vec<Warning>,
) -> Settings {
    let state_dir = reader.path("state_dir").unwrap_or_else(|| machine.state_dir(variables));
    let runtime_dir = machine.runtime_dir(variables, &state_dir);
    let kra = kra(reader, warnings);
    let unix = UnixSocket {
        path: socket_path(reader, "unix.path", &runtime_dir, "till.sock"),
        mode: reader.mode("unix.mode"),
        group: reader.text("unix.group"),
    };
    Settings {
        device: device(reader, warnings),
        trader: Trader {
            name: reader.text("trader.name"),
            address: reader.text("trader.address"),
            top_message: reader.text("trader.top_message"),
            bottom_message: reader.text("trader.bottom_message"),
        },
        http: http(reader),
        admin: admin(reader, &runtime_dir, &unix),
        serial: (0..serial_count).map(|index| serial(reader, index)).collect(),
        sales: sales(reader, warnings),
        delivery: delivery(reader),
        storage: storage(reader, kra.environment, warnings),
        notify: Notify {
            till_webhook: reader.webhook("notify.till_webhook"),
            alert_webhook: reader.webhook("notify.alert_webhook"),
        },
        api_log: ApiLog { max_size: reader.size("api_log.max_size") },
        log: Log {
            level: reader.choice("log.level", LogLevel::WORDS),
            format: reader.choice("log.format", LogFormat::WORDS),
        },
        kra,
        unix,
        credentials_directory: directory(variables, "CREDENTIALS_DIRECTORY"),
        state_dir,
    }
}

fn warn(warnings: &mut Vec<Warning>, key: &str, message: &str) {
    warnings.push(Warning { key: key.to_owned(), message: message.to_owned() });
}

fn device(reader: &mut Reader, warnings: &mut Vec<Warning>) -> Device {
    let device = Device {
        tin: reader.text("device.tin"),
        bhf_id: reader.text("device.bhf_id").expect("the table gives this key a default"),
        serial_number: reader.text("device.serial_number"),
        next_invc_no: reader.integer("device.next_invc_no"),
    };
    let said = "the device does not register itself at start unless both device.tin and device.serial_number are set";
    if reader.sound(&["device.tin", "device.serial_number"]) {
        match (&device.tin, &device.serial_number) {
            (Some(_), None) => warn(warnings, "device.serial_number", said),
            (None, Some(_)) => warn(warnings, "device.tin", said),
            _ => {}
        }
    }
    device
}

/// What an environment gives: base URL, wire, host of the portal. KRA's two direct addresses are those of its own
/// specification, section "URL".
fn given_by(environment: Environment) -> (Option<&'static str>, Wire, &'static str) {
    let (sandbox, production) = ("etims-sbx.kra.go.ke", "etims.kra.go.ke");
    match environment {
        Environment::Simulator => (Some("http://127.0.0.1:9443/etims-api"), Wire::Xml, sandbox),
        Environment::Sandbox => (Some("https://etims-api-sbx.kra.go.ke/etims-api"), Wire::Json, sandbox),
        Environment::Production => (Some("https://etims-api.kra.go.ke/etims-api"), Wire::Json, production),
        Environment::GatewaySandbox => {
            (Some("https://sbx.kra.go.ke/etims-oscu/api/v1"), Wire::Gateway, sandbox)
        }
        Environment::GatewayProduction => {
            (Some("https://api.kra.go.ke/etims-oscu/api/v1"), Wire::Gateway, production)
        }
        Environment::Custom => (None, Wire::Xml, sandbox),
    }
}

fn kra(reader: &mut Reader, warnings: &mut Vec<Warning>) -> Kra {
    let environment = reader.choice("kra.environment", Environment::WORDS);
    let (usual_url, usual_wire, usual_portal) = given_by(environment);
    let base_url = base_url(reader, usual_url);
    let wire = reader.optional_choice("kra.wire", Wire::WORDS).unwrap_or(usual_wire);
    let mut paths = BTreeMap::new();
    for name in reader.set_under("kra.paths.") {
        if let (Some(path), Some(function)) = (reader.text(&name), name.strip_prefix("kra.paths.")) {
            paths.insert(function.to_owned(), path);
        }
    }
    let credentials_file = reader.secret_file("kra.credentials_file");
    if credentials_file.is_some() && wire != Wire::Gateway {
        warn(warnings, "kra.credentials_file", "is used on the gateway wire only");
    }
    let kra = Kra {
        environment,
        base_url,
        wire,
        paths,
        sign_requests: reader.boolean("kra.sign_requests").unwrap_or(wire == Wire::Xml),
        portal: reader.text("kra.portal").unwrap_or_else(|| usual_portal.to_owned()),
        tax_convention: reader.choice("kra.tax_convention", TaxConvention::WORDS),
        item_code: reader.choice("kra.item_code", ItemCode::WORDS),
        connect_timeout: reader.duration("kra.connect_timeout"),
        request_timeout: reader.duration("kra.request_timeout"),
        ca_file: reader.path("kra.ca_file"),
        proxy: reader.proxy("kra.proxy"),
        credentials_file,
    };
    let timeouts = ["kra.request_timeout", "kra.connect_timeout"];
    if reader.sound(&timeouts) && kra.request_timeout <= kra.connect_timeout {
        let at = if reader.is_set(timeouts[0]) { timeouts[0] } else { timeouts[1] };
        reader.refuse(at, "kra.request_timeout must be longer than kra.connect_timeout, which is part of it");
    }
    kra
}

/// The address, and the rule that the keys of a shop never cross a network in the clear.
fn base_url(reader: &mut Reader, usual: Option<&str>) -> BaseUrl {
    let written = reader.url("kra.base_url");
    if written.is_none() && usual.is_none() && reader.sound(&["kra.base_url"]) {
        reader.refuse("kra.base_url", "is needed with kra.environment = \"custom\"");
    }
    let url = written.unwrap_or_else(|| {
        BaseUrl::parse(usual.unwrap_or("http://127.0.0.1:9443/etims-api"))
            .expect("built-in addresses are URLs")
    });
    if !url.https && !url.is_loopback() {
        reader.refuse(
            "kra.base_url",
            "http:// sends keys and sales in the clear; beyond this machine only https://",
        );
    }
    url
}

fn http(reader: &mut Reader) -> Http {
    let certificate = reader.path("http.tls_certificate");
    let key = reader.secret_file("http.tls_key");
    let pair = ["http.tls_certificate", "http.tls_key"];
    let tls = match (certificate, key) {
        (Some(certificate), Some(key)) => Some(Tls { certificate, key }),
        (None, None) => None,
        (certificate, _) if reader.sound(&pair) => {
            let (set, missing) = if certificate.is_some() { (pair[0], pair[1]) } else { (pair[1], pair[0]) };
            reader.refuse(set, format!("needs {missing} too"));
            None
        }
        _ => None,
    };
    let http = Http {
        listen: reader.addresses("http.listen"),
        allowed_origins: reader.origins("http.allowed_origins"),
        token_file: reader.secret_file("http.token_file"),
        tls,
        max_body: reader.size("http.max_body"),
        max_connections: reader.integer("http.max_connections"),
    };
    if reader.sound(&["http.listen"]) {
        let mut seen = Vec::new();
        for address in &http.listen {
            if seen.contains(address) && address.port() != 0 {
                reader.refuse("http.listen", format!("{address} is there twice"));
            }
            seen.push(*address);
        }
        if let Some(open) = http.listen.iter().find(|address| !address.ip().to_canonical().is_loopback()) {
            let mut missing = Vec::new();
            if http.token_file.is_none() && reader.sound(&["http.token_file"]) {
                missing.push("http.token_file");
            }
            if http.tls.is_none() && reader.sound(&pair) {
                missing.push("http.tls_certificate and http.tls_key");
            }
            if !missing.is_empty() {
                reader.refuse(
                    "http.listen",
                    format!("{open} is not loopback: needs {}", missing.join(" and ")),
                );
            }
        }
    }
    http
}

fn socket_path(reader: &mut Reader, name: &str, runtime_dir: &Path, file: &str) -> PathBuf {
    let path = reader.path(name).unwrap_or_else(|| runtime_dir.join(file));
    let length = path.as_os_str().len();
    if length > LONGEST_SOCKET_PATH {
        let what = format!(
            "{} is {length} bytes long; a socket's path has at most {LONGEST_SOCKET_PATH}",
            path.display()
        );
        reader.refuse(name, what);
    }
    path
}

fn admin(reader: &mut Reader, runtime_dir: &Path, unix: &UnixSocket) -> Admin {
    let path = socket_path(reader, "admin.path", runtime_dir, "admin.sock");
    if path == unix.path {
        reader.refuse("admin.path", "is the same as unix.path; tills must not reach the technician's socket");
    }
    Admin { path }
}

fn serial(reader: &mut Reader, index: usize) -> Serial {
    let name = |own: &str| format!("serial[{index}].{own}");
    let port = reader.path(&name("port"));
    if port.is_none() && reader.sound(&[&name("port")]) {
        reader.refuse(&name("port"), "is needed in each [[serial]]");
    }
    let port = port.unwrap_or_default();
    for other in 0..index {
        if reader.written(&name("port")).is_some_and(|(written, _)| {
            reader.written(&format!("serial[{other}].port")).is_some_and(|(earlier, _)| earlier == written)
        }) {
            reader.refuse(&name("port"), "is the port of another [[serial]] too");
        }
    }
    let prefix = reader.text(&name("prefix")).expect("the table gives this key a default");
    if !prefix.bytes().all(|byte| byte.is_ascii_graphic()) {
        reader.refuse(&name("prefix"), "takes ASCII letters, digits and signs only, as trdInvcNo does");
    }
    Serial {
        port,
        baud: reader.integer(&name("baud")),
        data_bits: if reader.integer::<i64>(&name("data_bits")) == 7 {
            DataBits::Seven
        } else {
            DataBits::Eight
        },
        parity: reader.choice(&name("parity"), Parity::WORDS),
        stop_bits: if reader.integer::<i64>(&name("stop_bits")) == 2 { StopBits::Two } else { StopBits::One },
        flow_control: reader.choice(&name("flow_control"), FlowControl::WORDS),
        protocol: reader.choice(&name("protocol"), SerialProtocol::WORDS),
        prefix,
    }
}

fn sales(reader: &mut Reader, warnings: &mut Vec<Warning>) -> Sales {
    let sales = Sales {
        realtime_wait: reader.duration("sales.realtime_wait"),
        repeat_window: reader.duration("sales.repeat_window"),
        offline_warn: reader.duration("sales.offline_warn"),
        offline_limit: reader.optional_duration("sales.offline_limit"),
    };
    if sales.offline_limit.is_some_and(|limit| limit <= sales.offline_warn) {
        warn(
            warnings,
            "sales.offline_limit",
            "is not longer than sales.offline_warn: sales are refused without a warning before",
        );
    }
    sales
}

fn delivery(reader: &mut Reader) -> Delivery {
    let delivery = Delivery {
        backoff_initial: reader.duration("delivery.backoff_initial"),
        backoff_max: reader.duration("delivery.backoff_max"),
        max_attempts: reader.integer("delivery.max_attempts"),
        probe_max: reader.duration("delivery.probe_max"),
        cfm_dt: reader.choice("delivery.cfm_dt", CfmDt::WORDS),
    };
    let pauses = ["delivery.backoff_max", "delivery.backoff_initial"];
    if reader.sound(&pauses) && delivery.backoff_max < delivery.backoff_initial {
        let at = if reader.is_set(pauses[0]) { pauses[0] } else { pauses[1] };
        reader.refuse(at, "delivery.backoff_max must not be shorter than delivery.backoff_initial");
    }
    delivery
}

/// Five years, with as many leap days as they can have.
const FIVE_YEARS_DAYS: u64 = 1826;

fn storage(reader: &mut Reader, environment: Environment, warnings: &mut Vec<Warning>) -> Storage {
    let storage = Storage {
        max_documents: reader.integer("storage.max_documents"),
        min_free: reader.size("storage.min_free"),
        retention: reader.duration("storage.retention"),
        reserve: reader.size("storage.reserve"),
    };
    let production = matches!(environment, Environment::Production | Environment::GatewayProduction);
    let sandbox = matches!(environment, Environment::Sandbox | Environment::GatewaySandbox);
    if reader.sound(&["storage.retention"]) && storage.retention.as_secs() < FIVE_YEARS_DAYS * 86_400 {
        if production {
            reader.refuse("storage.retention", "tax law asks for five years: at least 1826d in production");
        } else if sandbox {
            warn(
                warnings,
                "storage.retention",
                "tax law asks for five years: production refuses less than 1826d",
            );
        }
    }
    storage
}
