//! Every key of the configuration with its kind, default and meaning, as data.

use super::kind::Kind;

/// What holds when a key is not set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fallback {
    /// This value, as TOML text.
    Value(&'static str),
    /// No fixed value; the words say what happens instead.
    Words(&'static str),
}

/// One key of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Dotted name, such as `kra.base_url`; `serial.` keys stand in each `[[serial]]`; `kra.paths.*` stands for any
    /// function of KRA's.
    pub name: &'static str,
    /// What its value must be, units included.
    pub kind: Kind,
    /// What holds when it is not set: the only place where a default is written.
    pub fallback: Fallback,
    /// What it is for, in a sentence or two.
    pub meaning: &'static str,
}

impl Key {
    /// Section (before the last dot) and the key's own name; the section of a top-level key is empty.
    pub fn split(&self) -> (&'static str, &'static str) {
        self.name.rsplit_once('.').unwrap_or(("", self.name))
    }
}

/// Every key, in the order a person would set them.
pub fn every_key() -> &'static [Key] {
    KEYS
}

/// The key of that name. `serial[2].port` is found as `serial.port`, any function of `kra.paths` as `kra.paths.*`.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    let name = match name.strip_prefix("serial[").and_then(|rest| rest.split_once("].")) {
        Some((_, own)) => format!("serial.{own}"),
        None => match name.strip_prefix("kra.paths.") {
            Some(function) if is_kra_function(function) => "kra.paths.*".to_owned(),
            Some(_) => return None,
            None => name.to_owned(),
        },
    };
    KEYS.iter().find(|key| key.name == name)
}

/// Is this the name of a section?
pub(super) fn is_section(name: &str) -> bool {
    KEYS.iter().any(|key| key.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
}

/// The functions of KRA whose path can be overridden, by KRA's names.
pub(super) const KRA_FUNCTIONS: &[&str] = &[
    "insertStockIO",
    "insertTrnsPurchase",
    "saveBhfCustomer",
    "saveBhfInsurance",
    "saveBhfUser",
    "saveItem",
    "saveItemComposition",
    "saveStockMaster",
    "saveTrnsSalesOsdc",
    "selectBhfList",
    "selectCodeList",
    "selectCustomer",
    "selectCustomerList",
    "selectImportItemList",
    "selectInitOsdcInfo",
    "selectInvoiceDetails",
    "selectItemClsList",
    "selectItemList",
    "selectNoticeList",
    "selectOsdcStatus",
    "selectStockMoveList",
    "selectTaxPayerInfo",
    "selectTrnsPurchaseSalesItemList",
    "selectTrnsPurchaseSalesList",
    "selectTrnsSalesList",
    "updateImportItem",
];

fn is_kra_function(name: &str) -> bool {
    KRA_FUNCTIONS.contains(&name)
}

const fn key(name: &'static str, kind: Kind, value: &'static str, meaning: &'static str) -> Key {
    Key { name, kind, fallback: Fallback::Value(value), meaning }
}

const fn open(name: &'static str, kind: Kind, words: &'static str, meaning: &'static str) -> Key {
    Key { name, kind, fallback: Fallback::Words(words), meaning }
}

const fn duration(least: &'static str, most: &'static str) -> Kind {
    Kind::Duration { least, most }
}

const fn size(least: &'static str, most: &'static str) -> Kind {
    Kind::Size { least, most }
}

const fn text(least: usize, most: usize) -> Kind {
    Kind::Text { least, most }
}

#[rustfmt::skip]
const KEYS: &[Key] = &[
    open("state_dir", Kind::Path, "$STATE_DIRECTORY, else /var/lib/etims-gateway if it exists, else ./etims-state",
        "Directory of the journal, the queue and the keys."),

    open("device.tin", Kind::Tin, "none",
        "The taxpayer's PIN. With tin, bhf_id and serial_number set, the device registers itself with KRA at start."),
    key("device.bhf_id", Kind::BhfId, "\"00\"", "The branch."),
    open("device.serial_number", text(1, 100), "none", "The device's serial number, as KRA approved it."),
    key("device.next_invc_no", Kind::Integer { least: 1, most: 999_999_999_999_999 }, "1",
        "Where the number series starts, for a device that issued invoices elsewhere. Used once, at the first registration."),

    key("kra.environment", Kind::Choice(&["simulator", "sandbox", "production", "gateway-sandbox", "gateway-production", "custom"]), "\"simulator\"",
        "Which KRA to speak to; gives base_url, wire and portal. \"custom\" needs base_url."),
    open("kra.base_url", Kind::Url, "by kra.environment; http://127.0.0.1:9443/etims-api for simulator",
        "Where KRA's functions are. http:// is refused beyond loopback."),
    open("kra.wire", Kind::Choice(&["xml", "json", "gateway"]), "by kra.environment; \"xml\" for custom and simulator",
        "The format spoken to KRA."),
    open("kra.paths.*", Kind::UrlPath, "by kra.wire", "Path of one of KRA's functions under base_url, when it differs; the key is KRA's name of the function."),
    open("kra.sign_requests", Kind::Boolean, "true on the xml wire, false on the others",
        "Send the X-Signature header with each request after registration."),
    open("kra.portal", Kind::Host, "etims.kra.go.ke in production, etims-sbx.kra.go.ke everywhere else",
        "Host of the link in the QR code."),
    key("kra.tax_convention", Kind::Choice(&["gross-price-net-taxable", "gross-taxable", "net-price"]), "\"gross-price-net-taxable\"",
        "How prices and taxable amounts relate: prices with tax and taxable amounts without, both with, both without."),
    key("kra.item_code", Kind::Choice(&["two-letter", "padded", "free"]), "\"two-letter\"",
        "Grammar of item codes: unit codes of exactly two letters, units padded to three with X, any unique text."),
    key("kra.connect_timeout", duration("100ms", "5m"), "\"10s\"", "How long a connection to KRA may take."),
    key("kra.request_timeout", duration("200ms", "30m"), "\"120s\"", "How long KRA may take to answer, connecting included."),
    open("kra.ca_file", Kind::Path, "none", "Extra root certificates (PEM) for KRA's server."),
    open("kra.proxy", Kind::Proxy, "none", "HTTP CONNECT proxy on the way to KRA."),
    open("kra.credentials_file", Kind::CredentialFile, "none", "OAuth consumer key and secret, for the gateway wire only."),

    open("trader.name", text(1, 60), "from registration", "The trader's name on receipts."),
    open("trader.address", text(1, 200), "from registration", "The trader's address on receipts."),
    open("trader.top_message", text(1, 60), "none", "A line at the top of receipts."),
    open("trader.bottom_message", text(1, 60), "none", "A line at the bottom of receipts."),

    key("http.listen", Kind::Addresses, "[\"127.0.0.1:8460\"]",
        "Addresses of the till API over TCP; beyond loopback token_file and TLS are required."),
    key("http.allowed_origins", Kind::Origins, "[]", "Web pages that may call the till API; any other Origin is refused."),
    open("http.token_file", Kind::CredentialFile, "none", "When set, every TCP request needs \"Authorization: Bearer\" with this file's text."),
    open("http.tls_certificate", Kind::Path, "none", "Certificate chain (PEM) for TLS on TCP."),
    open("http.tls_key", Kind::CredentialFile, "none", "Private key (PEM) for TLS on TCP."),
    key("http.max_body", size("4KiB", "8MiB"), "\"1MiB\"", "Largest request body; item sync may take 8 MiB."),
    key("http.max_connections", Kind::Integer { least: 1, most: 10_000 }, "256", "Connections of tills at one time; one more is answered 503."),

    open("unix.path", Kind::Path, "till.sock in $RUNTIME_DIRECTORY, else in /run/etims-gateway if it exists, else in state_dir",
        "The till API's Unix socket."),
    key("unix.mode", Kind::Mode, "\"0660\"", "Permissions of that socket."),
    open("unix.group", text(1, 32), "the daemon's own", "Group that owns that socket, by name."),
    open("admin.path", Kind::Path, "admin.sock beside the default of unix.path", "Socket of the technician's commands, mode 0600."),

    open("serial.port", Kind::Path, "required in each [[serial]]", "The register's serial port, such as \"/dev/ttyUSB0\"."),
    key("serial.baud", Kind::Integer { least: 1200, most: 921_600 }, "9600", "Speed in bits per second."),
    key("serial.data_bits", Kind::Integer { least: 7, most: 8 }, "8", "Data bits of a character."),
    key("serial.parity", Kind::Choice(&["none", "even", "odd"]), "\"none\"", "Parity of a character."),
    key("serial.stop_bits", Kind::Integer { least: 1, most: 2 }, "1", "Stop bits of a character."),
    key("serial.flow_control", Kind::Choice(&["none", "hardware", "software"]), "\"none\"", "Flow control; none is needed by either protocol."),
    key("serial.protocol", Kind::Choice(&["frame", "lines"]), "\"frame\"", "Framing: checked frames, or plain lines."),
    key("serial.prefix", text(0, 20), "\"\"",
        "Put before trdInvcNo in this register's requests and taken off in its replies, for registers that all count from 1."),

    key("sales.realtime_wait", duration("0s", "60s"), "\"4s\"",
        "How long a register waits for KRA's signature before it gets a provisional receipt; \"0s\" never waits."),
    key("sales.repeat_window", duration("1s", "1830d"), "\"12h\"",
        "A known trdInvcNo without a cfmDt of the register's own is a repeat only this long; later 409."),
    key("sales.offline_warn", duration("1s", "365d"), "\"24h\"", "Age of the oldest unsent sale that raises an alert."),
    open("sales.offline_limit", duration("1s", "365d"), "none", "Age of the oldest unsent sale at which new sales are refused."),

    key("delivery.backoff_initial", duration("10ms", "10m"), "\"1s\"", "Longest first pause before a document is sent again; doubles each time."),
    key("delivery.backoff_max", duration("10ms", "1d"), "\"5m\"", "Longest pause before a document is sent again."),
    key("delivery.max_attempts", Kind::Integer { least: 1, most: 1000 }, "12", "Answers of KRA about one document before it is set aside for a person."),
    key("delivery.probe_max", duration("50ms", "1h"), "\"30s\"", "Longest pause between two probes while KRA is away."),
    key("delivery.cfm_dt", Kind::Choice(&["sale", "sending"]), "\"sale\"", "The time KRA is told: of the sale, or of sending."),

    key("storage.max_documents", Kind::Integer { least: 1, most: 10_000_000 }, "250000", "Documents that may wait; more are refused."),
    key("storage.min_free", size("1MiB", "1TiB"), "\"64MiB\"", "Free disk below which sales are refused."),
    key("storage.retention", duration("1s", "36500d"), "\"1830d\"", "How long finished sales are kept; at least 1826d in production (tax law asks for five years)."),
    key("storage.reserve", size("8MiB", "1GiB"), "\"16MiB\"", "Size of a file kept so that KRA's answers can be recorded when the disk is full."),

    open("notify.till_webhook", Kind::Webhook, "none", "Where each finished sale is POSTed, until it is taken; http:// only to this machine and to private addresses."),
    open("notify.alert_webhook", Kind::Webhook, "none", "Where each alert is POSTed when it is raised and when it is cleared, likewise."),

    key("api_log.max_size", size("64KiB", "64GiB"), "\"32MiB\"", "Disk for the log of exchanges with KRA; the oldest go first."),

    key("log.level", Kind::Choice(&["error", "warn", "info", "debug", "trace"]), "\"info\"", "How much is logged."),
    key("log.format", Kind::Choice(&["auto", "journald", "text", "json"]), "\"auto\"",
        "Where and how: auto is journald under systemd, else text on standard error."),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Fallback, find, is_section};

    #[test]
    fn names_are_unique_and_found() {
        let mut seen = BTreeSet::new();
        for key in super::every_key() {
            assert!(seen.insert(key.name), "{} twice", key.name);
            assert!(!key.meaning.is_empty() && !matches!(key.fallback, Fallback::Words("")), "{}", key.name);
        }
        assert_eq!(find("serial[3].baud").unwrap().name, "serial.baud");
        assert_eq!(find("kra.paths.saveItem").unwrap().name, "kra.paths.*");
        assert!(find("kra.paths.saveitems").is_none() && find("kra").is_none());
        assert!(is_section("kra") && is_section("kra.paths") && !is_section("kr") && !is_section("kra.wire"));
    }
}
