//! Loading as a whole: layers, problems, and the files that are shipped.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::keys::{Fallback, Key, every_key};
use super::kind::Kind;
use super::load::load_on;
use super::places::Machine;
use super::{Environment, LIVE, Loaded, Problems, Source, Wire};

/// A machine of its own, in a directory that goes away with the test.
struct Bench {
    directory: tempfile::TempDir,
    machine: Machine,
}

impl Bench {
    fn new() -> Bench {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let machine = Machine {
            config_file: at("config.toml"),
            installed_state: at("var"),
            installed_runtime: at("run"),
        };
        Bench { directory, machine }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn load(&self, variables: &[(&str, &str)]) -> Result<Loaded, Problems> {
        self.load_from(None, variables)
    }

    fn load_from(&self, path: Option<&Path>, variables: &[(&str, &str)]) -> Result<Loaded, Problems> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        load_on(&self.machine, path, variables)
    }
}

fn with(text: &str, variables: &[(&str, &str)]) -> Result<Loaded, Problems> {
    let bench = Bench::new();
    bench.write("config.toml", text);
    bench.load(variables)
}

/// The document is refused; each part stands in one problem of its own.
fn refused(text: &str, variables: &[(&str, &str)], parts: &[&str]) {
    let problems = with(text, variables).expect_err(text);
    let lines: Vec<String> = problems.to_string().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), parts.len(), "{text}\n{problems}");
    for part in parts {
        assert!(lines.iter().any(|line| line.contains(part)), "{text}\nno {part:?} in:\n{problems}");
    }
}

#[test]
fn starts_with_nothing_at_all() {
    let loaded = Bench::new().load(&[("PATH", "/bin")]).unwrap();
    let settings = &loaded.settings;
    assert!(loaded.sources.is_empty() && loaded.warnings.is_empty());
    assert_eq!(settings.state_dir, Path::new("./etims-state"));
    assert_eq!(settings.unix.path, Path::new("./etims-state/till.sock"));
    assert_eq!(settings.admin.path, Path::new("./etims-state/admin.sock"));
    assert_eq!(settings.unix.mode, 0o660);
    assert_eq!(settings.kra.base_url.to_string(), "http://127.0.0.1:9443/etims-api");
    assert_eq!((settings.kra.environment, settings.kra.wire), (Environment::Simulator, Wire::Xml));
    assert!(settings.kra.sign_requests && settings.device.identity().is_none());
    assert_eq!(settings.kra.portal, "etims-sbx.kra.go.ke");
    assert_eq!(settings.http.listen, ["127.0.0.1:8460".parse().unwrap()]);
    assert_eq!((settings.http.max_body, settings.http.max_connections), (1 << 20, 256));
    assert_eq!(settings.storage.retention, Duration::from_secs(1830 * 86_400));
    assert_eq!((settings.storage.min_free, settings.storage.reserve), (64 << 20, 16 << 20));
    assert_eq!(settings.sales.realtime_wait, Duration::from_secs(4));
    assert_eq!(settings.device.next_invc_no, 1);
}

#[test]
fn places() {
    let bench = Bench::new();
    fs::create_dir(bench.path("var")).unwrap();
    fs::create_dir(bench.path("run")).unwrap();
    let settings = bench.load(&[]).unwrap().settings;
    assert_eq!(settings.state_dir, bench.path("var"));
    assert_eq!(settings.unix.path, bench.path("run").join("till.sock"));
    let systemd =
        [("STATE_DIRECTORY", "/s:/t"), ("RUNTIME_DIRECTORY", "/r"), ("CREDENTIALS_DIRECTORY", "/c")];
    let settings = bench.load(&systemd).unwrap().settings;
    assert_eq!(
        (settings.state_dir.as_path(), settings.admin.path.as_path()),
        (Path::new("/s"), Path::new("/r/admin.sock"))
    );
    assert_eq!(settings.credentials_directory.as_deref(), Some(Path::new("/c")));
    let loaded = bench.load(&[("ETIMS_STATE_DIR", "/own"), systemd[0], systemd[1]]).unwrap();
    assert_eq!(loaded.settings.state_dir, Path::new("/own"));
    fs::remove_dir(bench.path("run")).unwrap();
    let settings = bench.load(&[("ETIMS_STATE_DIR", "/own")]).unwrap().settings;
    assert_eq!(settings.admin.path, Path::new("/own/admin.sock"));
}

#[test]
fn later_layers_win_and_tables_merge() {
    let bench = Bench::new();
    let main = bench.write("etc/my.toml", "[kra]\nenvironment = \"sandbox\"\nrequest_timeout = \"60s\"\n");
    bench.write("etc/conf.d/20-b.toml", "[kra]\nrequest_timeout = \"40s\"\n");
    bench.write("etc/conf.d/10-a.toml", "kra.request_timeout = \"50s\"\nkra.connect_timeout = \"5s\"\n");
    bench.write("etc/conf.d/.30-hidden.toml", "nonsense");
    bench.write("etc/conf.d/30-not.toml.bak", "nonsense");
    let loaded = bench.load_from(Some(&main), &[]).unwrap();
    assert_eq!(loaded.settings.kra.environment, Environment::Sandbox);
    assert_eq!(loaded.settings.kra.base_url.to_string(), "https://etims-api-sbx.kra.go.ke/etims-api");
    assert_eq!(loaded.settings.kra.request_timeout, Duration::from_secs(40));
    assert_eq!(loaded.settings.kra.connect_timeout, Duration::from_secs(5));
    assert_eq!(loaded.sources.len(), 3);
    let loaded = bench.load_from(Some(&main), &[("ETIMS_KRA__REQUEST_TIMEOUT", "30s")]).unwrap();
    assert_eq!(loaded.settings.kra.request_timeout, Duration::from_secs(30));
    let held = loaded.effective.iter().find(|held| held.key == "kra.request_timeout").unwrap();
    assert_eq!(held.value.as_deref(), Some("\"30s\""));
    assert_eq!(held.source, Source::Variable("ETIMS_KRA__REQUEST_TIMEOUT".to_owned()));
}

#[test]
fn a_named_file_must_exist_and_the_default_one_need_not() {
    let bench = Bench::new();
    bench.write("conf.d/a.toml", "[log]\nlevel = \"debug\"\n");
    assert_eq!(bench.load(&[]).unwrap().settings.log.level.as_str(), "debug");
    let problems = bench.load_from(Some(&bench.path("no.toml")), &[]).unwrap_err();
    assert!(problems.to_string().contains("no.toml: cannot be read"), "{problems}");
    let problems = bench.load_from(Some(&bench.path("conf.d")), &[]).unwrap_err();
    assert!(problems.to_string().contains("cannot be read"), "{problems}");
}

#[test]
fn environment_variables() {
    let loaded = with(
        "",
        &[
            ("ETIMS_HTTP__LISTEN", "127.0.0.1:1, [::1]:2"),
            ("ETIMS_HTTP__ALLOWED_ORIGINS", "[\"https://a.example\"]"),
            ("ETIMS_HTTP__MAX_CONNECTIONS", "7"),
            ("ETIMS_KRA__SIGN_REQUESTS", "false"),
            ("ETIMS_KRA__PATHS__saveTrnsSalesOsdc", "/sell"),
            ("ETIMS_KRA__PATHS__SAVEITEM", "/item"),
            ("ETIMS_TRADER__NAME", "\"Duka, Moja\""),
            ("ETIMS_TRADER__ADDRESS", "Moi Avenue, 1"),
            ("ETIMS_KRA__PROXY", ""),
        ],
    )
    .unwrap();
    let settings = loaded.settings;
    assert_eq!(settings.http.listen, ["127.0.0.1:1".parse().unwrap(), "[::1]:2".parse().unwrap()]);
    assert_eq!(settings.http.allowed_origins[0].as_str(), "https://a.example");
    assert_eq!(settings.http.max_connections, 7);
    assert!(!settings.kra.sign_requests && settings.kra.proxy.is_none());
    assert_eq!(settings.kra.paths["saveTrnsSalesOsdc"], "/sell");
    assert_eq!(settings.kra.paths["saveItem"], "/item");
    assert_eq!(settings.trader.name.as_deref(), Some("Duka, Moja"));
    assert_eq!(settings.trader.address.as_deref(), Some("Moi Avenue, 1"));
    assert!(with("", &[("ETIMS_HTTP__LISTEN", "")]).unwrap().settings.http.listen.is_empty());
    refused(
        "",
        &[("ETIMS_HTTP__MAX_CONNECTIONS", "many")],
        &["$ETIMS_HTTP__MAX_CONNECTIONS: http.max_connections = \"many\""],
    );
    refused(
        "",
        &[("ETIMS_KRA__BASEURL", "x")],
        &["$ETIMS_KRA__BASEURL: kra.baseurl: is not a known key; did you mean kra.base_url?"],
    );
    refused("", &[("ETIMS_KRA__PATHS__SAVEITEMS", "/x")], &["did you mean kra.paths.saveItem?"]);
    refused("", &[("ETIMS_KRA", "x")], &["kra: is a section, not a key"]);
    refused("", &[("ETIMS_HTTP__LISTEN", "[\"127.0.0.1:1\"")], &["neither"]);
}

#[test]
fn all_problems_at_once_each_with_its_place() {
    let text = "\
[kra]
environment = \"prod\"
base_ulr = \"s3cret\"
request_timeout = 30

[http]
max_body = \"64\"
listen = [\"localhost\"]

[krra]
x = 1
";
    let problems = with(text, &[("ETIMS_LOG__LEVEL", "loud")]).unwrap_err();
    let shown = problems.to_string();
    for part in [
        "config.toml:2: kra.environment = \"prod\": is not one of the choices (allowed: \"simulator\", \"sandbox\"",
        "config.toml:3: kra.base_ulr: is not a known key; did you mean kra.base_url?",
        "config.toml:4: kra.request_timeout = 30: needs quotes and a unit",
        "config.toml:7: http.max_body = \"64\": needs quotes and a unit",
        "config.toml:8: http.listen = [\"localhost\"]: \"localhost\" is not an IP address with a port",
        "config.toml:10: krra: is not a known key; did you mean kra?",
        "$ETIMS_LOG__LEVEL: log.level = \"loud\": is not one of the choices",
    ] {
        assert!(shown.contains(part), "no {part:?} in\n{shown}");
    }
    assert_eq!(problems.iter().count(), 7);
    assert!(!shown.contains("s3cret"), "values of unknown keys may be secrets");
    let json = serde_json::to_value(&problems).unwrap();
    assert_eq!(json[0]["source"]["file"]["line"], 3, "{json}");
}

#[test]
fn rules_of_single_keys() {
    for (text, part) in [
        ("kra.request_timeout = \"30\"", "needs a unit"),
        ("kra.request_timeout = \"0\"", "needs a unit"),
        (
            "kra.request_timeout = \"0s\"",
            "too short (allowed: a duration with its unit, \"200ms\" to \"30m\")",
        ),
        ("kra.request_timeout = \"9 parsecs\"", "is not a duration"),
        ("kra.request_timeout = \"2h\"", "too long"),
        ("http.max_body = \"1GiB\"", "too large"),
        ("http.max_body = \"1XiB\"", "is not a size"),
        ("http.max_connections = 0", "too small"),
        ("http.max_connections = 1.5", "decimal point"),
        ("http.max_connections = \"256\"", "not a whole number"),
        ("http.max_connections = 99999999999999999999", "too large"),
        ("device.tin = \"p051234567z\"", "nine digits"),
        ("device.bhf_id = \"0\"", "two digits"),
        ("device.bhf_id = 0", "is not text in quotes"),
        ("device.serial_number = \"\"", "1 to 100 characters"),
        ("device.serial_number = \"a\\u0007\"", "control character"),
        ("device.next_invc_no = 0", "too small"),
        ("kra.environment = \"custom\"", "kra.base_url: is needed"),
        ("kra.base_url = \"http://etims.example/\"", "http://"),
        ("kra.base_url = \"\"", "is not a URL"),
        ("kra.proxy = \"http://me:hunter2@proxy:3128\"", "****@proxy"),
        ("kra.portal = \"https://etims.kra.go.ke\"", "host name"),
        ("kra.paths.saveItem = \"saveItem\"", "a path such as"),
        ("kra.paths.savItem = \"/saveItem\"", "did you mean kra.paths.saveItem?"),
        ("kra.paths = 5", "kra.paths: is a section"),
        ("kra = 5", "kra: is a section"),
        ("log.level.x = 5", "log.level: is a key, not a section"),
        ("kra.connect_timeout = \"3m\"", "must be longer than kra.connect_timeout"),
        ("kra.request_timeout = \"10s\"", "must be longer than kra.connect_timeout"),
        ("delivery.backoff_max = \"500ms\"", "must not be shorter"),
        ("http.listen = \"127.0.0.1:1\"", "is not a list"),
        ("http.listen = [5]", "is not text"),
        ("http.listen = [\"127.0.0.1:1\", \"127.0.0.1:1\"]", "twice"),
        (
            "http.listen = [\"0.0.0.0:8460\"]",
            "needs http.token_file and http.tls_certificate and http.tls_key",
        ),
        ("http.allowed_origins = [\"*\"]", "\"*\""),
        ("unix.mode = \"9\"", "octal"),
        ("unix.mode = \"1777\"", "octal"),
        ("unix.path = \"/a\"\nadmin.path = \"/a\"", "same as unix.path"),
        ("state_dir = \"\"", "is empty"),
        ("storage.reserve = \"1MiB\"", "too small"),
        ("kra.environment = \"production\"\nstorage.retention = \"1825d\"", "at least 1826d"),
        ("kra.wire = \"gateway\"", "not built yet"),
        ("kra.environment = \"gateway-sandbox\"", "not built yet"),
        ("kra.environment = \"gateway-production\"", "not built yet"),
        ("notify.till_webhook = \"http://shop.example/x\"", "private addresses only https"),
        ("notify.alert_webhook = \"nowhere\"", "begin with"),
        ("[[serial]]\nbaud = 9600", "is needed in each [[serial]]"),
        ("[serial]\nport = \"/dev/ttyS0\"", "write [[serial]]"),
        ("key = [", "is not TOML"),
        ("a = 1\na = 2", "is not TOML"),
    ] {
        refused(text, &[], &[part]);
    }
    refused(
        "[[serial]]\nport = \"/a\"\nbauds = 1\n[[serial]]\nport = \"/a\"\nparity = \"odder\"\nprefix = \"é\"",
        &[],
        &["did you mean serial[0].baud?", "another [[serial]]", "serial[1].parity", "ASCII"],
    );
    refused("", &[("ETIMS_SERIAL", "[{ port = \"/dev/ttyS0\", bauds = 1 }]")], &["$ETIMS_SERIAL"]);
    refused("http.tls_key = \"/k\"", &[], &["needs http.tls_certificate too"]);
    let long = format!("unix.path = \"/{}\"", "a".repeat(107));
    refused(&long, &[], &["at most 107"]);
}

#[test]
fn choices_of_the_table_are_those_of_the_enums() {
    use super::Kind;
    use super::settings::{
        CfmDt, Environment, FlowControl, ItemCode, LogFormat, LogLevel, Parity, SerialProtocol,
        TaxConvention, Wire,
    };
    fn words<T>(pairs: &[(&'static str, T)]) -> Vec<&'static str> {
        pairs.iter().map(|(word, _)| *word).collect()
    }
    for (name, expected) in [
        ("kra.environment", words(Environment::WORDS)),
        ("kra.wire", words(Wire::WORDS)),
        ("kra.tax_convention", words(TaxConvention::WORDS)),
        ("kra.item_code", words(ItemCode::WORDS)),
        ("delivery.cfm_dt", words(CfmDt::WORDS)),
        ("serial.parity", words(Parity::WORDS)),
        ("serial.flow_control", words(FlowControl::WORDS)),
        ("serial.protocol", words(SerialProtocol::WORDS)),
        ("log.level", words(LogLevel::WORDS)),
        ("log.format", words(LogFormat::WORDS)),
    ] {
        let key = every_key().iter().find(|key| key.name == name).unwrap();
        let Kind::Choice(choices) = key.kind else { panic!("{name} is no choice") };
        let (mut left, mut right) = (choices.to_vec(), expected);
        left.sort_unstable();
        right.sort_unstable();
        assert_eq!(left, right, "{name}");
    }
}

#[test]
fn warnings_do_not_prevent_a_start() {
    let warned =
        |text: &str| with(text, &[]).unwrap().warnings.iter().map(|w| w.key.clone()).collect::<Vec<_>>();
    assert_eq!(warned("device.tin = \"P051234567Z\""), ["device.serial_number"]);
    assert_eq!(warned("device.serial_number = \"X\""), ["device.tin"]);
    assert_eq!(warned("sales.offline_limit = \"1h\""), ["sales.offline_limit"]);
    assert_eq!(warned("kra.environment = \"sandbox\"\nstorage.retention = \"30d\""), ["storage.retention"]);
    let full = with("device = { tin = \"P051234567Z\", serial_number = \"X\" }", &[]).unwrap();
    assert_eq!(full.settings.device.identity().unwrap().bhf_id, "00");
}

#[test]
fn secrets_are_looked_at_when_asked() {
    let bench = Bench::new();
    let token = bench.write("token", "");
    bench.write("config.toml", &format!("http.token_file = {:?}\n", token.to_str().unwrap()));
    let loaded = bench.load(&[]).unwrap();
    let problems = loaded.check_secrets().unwrap_err().to_string();
    assert!(
        problems.contains("config.toml:1: http.token_file = ") && problems.contains("is empty"),
        "{problems}"
    );
    fs::write(&token, "a b").unwrap();
    assert!(loaded.check_secrets().unwrap_err().to_string().contains("without blanks"));
    fs::write(&token, "abc").unwrap();
    assert!(loaded.check_secrets().is_ok());
}

/// The file as it is when every default in it is uncommented.
fn uncommented(text: &str) -> String {
    let default = |line: &str| {
        line.starts_with('#') && line[1..].starts_with(|c: char| c == '[' || c.is_ascii_lowercase())
    };
    text.lines().map(|line| if default(line) { &line[1..] } else { line }).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_shipped_file_holds_every_key_and_default() {
    let text = include_str!("../../config/etims-gateway.toml");
    let mut section = String::new();
    let mut found = std::collections::BTreeMap::new();
    for line in text.lines() {
        let remark = line.starts_with("# ");
        let line = line.trim_start_matches('#').trim();
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.trim_matches(['[', ']']).to_owned();
        } else if let Some((name, value)) = line.split_once(" = ") {
            let key = if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") };
            found.entry(key).or_insert((value.to_owned(), remark));
        }
    }
    for key in every_key() {
        let name = key.name.replace("kra.paths.*", "kra.paths.saveTrnsSalesOsdc");
        let (value, remark) = found.get(&name).unwrap_or_else(|| panic!("{name} is not in the shipped file"));
        match key.fallback {
            Fallback::Value(default) => {
                assert_eq!(value, default, "{name}");
                assert_eq!(*remark, name.starts_with("serial."), "{name}");
            }
            Fallback::Words(_) => assert!(remark, "{name} has no default to uncomment"),
        }
    }
    let defaults = with("", &[]).unwrap();
    assert_eq!(with(text, &[]).unwrap().settings, defaults.settings);
    let loaded = with(&uncommented(text), &[]).unwrap();
    assert_eq!(loaded.settings, defaults.settings);
    let set = loaded.effective.iter().filter(|held| held.source != Source::Default).count();
    let fixed = every_key().iter().filter(|key| matches!(key.fallback, Fallback::Value(_)));
    assert_eq!(set, fixed.filter(|key| !key.name.starts_with("serial.")).count());
}

#[test]
fn the_examples_load() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/examples");
    let mut count = 0;
    for entry in fs::read_dir(examples).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let loaded = with(&fs::read_to_string(&path).unwrap(), &[])
            .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert!(loaded.warnings.is_empty(), "{}: {:?}", path.display(), loaded.warnings);
        count += 1;
    }
    assert!(count >= 3);
}

/// Another value for each key than the default and than what the test's base has.
fn another(key: &Key) -> Option<&'static str> {
    Some(match (key.name, key.kind) {
        ("kra.environment", _) => "\"sandbox\"",
        ("kra.connect_timeout", _) => "\"11s\"",
        ("kra.request_timeout", _) => "\"121s\"",
        ("delivery.backoff_initial", _) => "\"2s\"",
        ("kra.wire", _) => "\"json\"",
        ("kra.sign_requests", _) => "false",
        ("kra.paths.*", _) => "\"/elsewhere\"",
        ("kra.base_url", _) => "\"http://127.0.0.1:9/other\"",
        ("log.level", _) => "\"debug\"",
        ("http.max_body" | "api_log.max_size" | "storage.min_free" | "storage.reserve", _) => "\"8MiB\"",
        ("http.allowed_origins", _) => "[\"https://pos.example\"]",
        ("http.listen", _) => "[\"127.0.0.1:8461\"]",
        (_, Kind::Choice(words)) => Box::leak(format!("{:?}", words.last()?).into_boxed_str()),
        (_, Kind::Integer { .. }) => "7",
        (_, Kind::Duration { .. }) => "\"77s\"",
        (_, Kind::Path | Kind::CredentialFile) => "\"/somewhere/else\"",
        (_, Kind::Text { .. } | Kind::Host) => "\"another\"",
        (_, Kind::Proxy) => "\"http://proxy:3128\"",
        (_, Kind::Mode) => "\"0600\"",
        (_, Kind::Tin) => "\"P051234567Z\"",
        (_, Kind::BhfId) => "\"07\"",
        (_, Kind::Url) => "\"http://127.0.0.1:1/hook\"",
        _ => return None,
    })
}

#[test]
fn a_reload_takes_over_what_is_live_and_names_the_rest() {
    for live in LIVE {
        assert!(every_key().iter().any(|key| key.name == *live), "{live} is no key");
    }
    let old = with("", &[]).unwrap();
    let mut seen = 0;
    for key in every_key().iter().filter(|key| !key.name.starts_with("serial.")) {
        let Some(value) = another(key) else { continue };
        let name = key.name.replace("kra.paths.*", "kra.paths.saveItem");
        // What is not built yet cannot be set.
        let Ok(fresh) = with(&format!("{name} = {value}"), &[]) else { continue };
        seen += 1;
        assert_ne!(fresh.settings, old.settings, "{name} = {value} is no change");
        let mut taken = old.clone();
        let changes = taken.take_over(&fresh);
        if LIVE.contains(&key.name) {
            assert_eq!((changes.live.as_slice(), changes.at_restart.len()), (&[name.clone()][..], 0));
            assert_eq!(taken.settings, fresh.settings, "{name} is taken over");
            assert_eq!(taken.digests(), fresh.digests(), "{name}");
        } else {
            assert!(changes.live.is_empty() && changes.at_restart.contains(&name), "{name}: {changes:?}");
            assert_eq!(taken.settings, old.settings, "{name} stays as it is");
            assert_eq!(taken.digests(), old.digests(), "{name}");
        }
        assert_ne!(fresh.digests(), old.digests(), "{name}");
        assert_eq!(taken.take_over(&fresh).live, Vec::<String>::new(), "{name} twice");
    }
    assert!(seen > 40, "{seen} keys");
}

#[test]
fn the_shipped_file_names_what_is_live() {
    let text = include_str!("../../config/etims-gateway.toml");
    let paragraph = text.split("\n#\n").find(|part| part.contains("systemctl reload")).unwrap();
    for live in LIVE {
        let (section, _) = live.split_once('.').unwrap();
        let all =
            every_key().iter().filter(|key| key.split().0 == section).all(|key| LIVE.contains(&key.name));
        let named = if all { format!("{section}.*") } else { (*live).to_owned() };
        assert!(paragraph.contains(&named), "{named}: {paragraph}");
    }
}

#[test]
fn each_register_has_its_port_and_settings() {
    use super::settings::{DataBits, FlowControl, Parity, SerialProtocol, StopBits};

    let text = "[[serial]]\nport = \"/dev/ttyS0\"\n[[serial]]\nport = \"/dev/serial/by-id/till-2\"\nbaud = 115200\n\
        data_bits = 7\nparity = \"even\"\nstop_bits = 2\nflow_control = \"hardware\"\nprotocol = \"lines\"\nprefix = \"B-\"";
    let settings = with(text, &[]).unwrap().settings;
    let usual = &settings.serial[0];
    assert_eq!((usual.port.to_str(), usual.baud, usual.prefix.as_str()), (Some("/dev/ttyS0"), 9600, ""));
    assert_eq!(
        (usual.data_bits, usual.parity, usual.stop_bits),
        (DataBits::Eight, Parity::None, StopBits::One)
    );
    assert_eq!((usual.flow_control, usual.protocol), (FlowControl::None, SerialProtocol::Frame));
    let other = &settings.serial[1];
    assert_eq!((other.baud, other.prefix.as_str()), (115_200, "B-"));
    assert_eq!(
        (other.data_bits, other.parity, other.stop_bits),
        (DataBits::Seven, Parity::Even, StopBits::Two)
    );
    assert_eq!((other.flow_control, other.protocol), (FlowControl::Hardware, SerialProtocol::Lines));
    // The environment's list takes the place of the files'.
    let variables = [("ETIMS_SERIAL", "[{ port = \"/dev/ttyACM0\" }]")];
    let settings = with(text, &variables).unwrap().settings;
    assert_eq!(settings.serial.len(), 1);
    assert_eq!(settings.serial[0].port.to_str(), Some("/dev/ttyACM0"));
}
