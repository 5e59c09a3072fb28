//! Loading: all sources in order, then the checks.

use std::path::Path;

use serde::Serialize;

use super::assemble;
use super::environment::read_environment;
use super::file::read_files;
use super::keys::{Fallback, every_key};
use super::layers::Layers;
use super::places::Machine;
use super::problem::{Problem, Problems, Source, Warning};
use super::reader::Reader;
use super::settings::Settings;

/// The file that is read when none is named; it may be absent.
pub const DEFAULT_PATH: &str = "/etc/etims-gateway/config.toml";

/// Settings, and what one should know about where they came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The checked settings.
    pub settings: Settings,
    /// What was read, weakest first: files, then variables. Empty when the defaults alone hold.
    pub sources: Vec<Source>,
    /// Every key with the value that holds and where it is from.
    pub effective: Vec<Effective>,
    /// Oddities that do not prevent a start.
    pub warnings: Vec<Warning>,
}

/// One key as it holds.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Effective {
    /// Full name, such as `kra.wire` or `serial[0].port`.
    pub key: String,
    /// The value as TOML text; none when the key is not set and has no fixed default.
    pub value: Option<String>,
    /// Where it is from.
    pub source: Source,
}

impl Settings {
    /// Reads `path` (or [`DEFAULT_PATH`], which may be absent), `conf.d/*.toml` beside it and `environment`, later
    /// ones over earlier ones, and checks everything. Secret files are not opened: see [`Loaded::check_secrets`].
    ///
    /// # Errors
    /// All problems at once.
    pub fn load(
        path: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Loaded, Problems> {
        load_on(&Machine::default(), path, environment)
    }
}

/// The same on a described machine.
pub(super) fn load_on(
    machine: &Machine,
    path: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Loaded, Problems> {
    let variables: Vec<(String, String)> = environment.collect();
    let mut layers = Layers::default();
    let files = read_files(path.unwrap_or(&machine.config_file), path.is_some(), &mut layers);
    let names = read_environment(&variables, &mut layers);
    let files = files.into_iter().map(|path| Source::File { path, line: None });
    let sources = files.chain(names.into_iter().map(Source::Variable)).collect();

    let serial_count = layers.serial_count;
    let mut reader = Reader::new(layers);
    let mut warnings = Vec::new();
    let settings = assemble::settings(&mut reader, serial_count, &variables, machine, &mut warnings);
    if !reader.problems.is_empty() {
        return Err(reader.problems);
    }
    let effective = effective(&reader, &settings);
    Ok(Loaded { settings, sources, effective, warnings })
}

impl Loaded {
    /// Opens every secret file that is set, as `run` will: problems if one cannot be used, warnings if every user of
    /// the machine may read it. The secrets themselves are thrown away.
    ///
    /// # Errors
    /// One problem for each secret that cannot be read.
    pub fn check_secrets(&self) -> Result<Vec<Warning>, Problems> {
        let http = &self.settings.http;
        let secrets = [
            ("http.token_file", http.token_file.as_ref()),
            ("http.tls_key", http.tls.as_ref().map(|tls| &tls.key)),
            ("kra.credentials_file", self.settings.kra.credentials_file.as_ref()),
        ];
        let directory = self.settings.credentials_directory.as_deref();
        let (mut problems, mut warnings) = (Problems::default(), Vec::new());
        for (key, file) in secrets.into_iter().filter_map(|(key, file)| file.map(|file| (key, file))) {
            let fault = match file.read(directory) {
                Err(error) => Some(error.to_string()),
                Ok(token)
                    if key == "http.token_file"
                        && !token.expose().bytes().all(|byte| byte.is_ascii_graphic()) =>
                {
                    Some("the token must be ASCII letters, digits and signs, without blanks".to_owned())
                }
                Ok(_) => None,
            };
            if let Some(message) = fault {
                problems.push(self.problem(key, message));
            } else if file.is_world_readable(directory) {
                let message = "every user of this machine may read the file; chmod o-r it".to_owned();
                warnings.push(Warning { key: key.to_owned(), message });
            }
        }
        if problems.is_empty() { Ok(warnings) } else { Err(problems) }
    }

    /// The one problem that a key as it is set has, found out by trying.
    pub fn found_wrong(&self, key: &str, message: String) -> Problems {
        let mut problems = Problems::default();
        problems.push(self.problem(key, message));
        problems
    }

    /// What is wrong with a key as it is set.
    fn problem(&self, key: &str, message: String) -> Problem {
        let held = self.effective.iter().find(|held| held.key == key);
        Problem {
            key: key.to_owned(),
            value: held.and_then(|held| held.value.clone()),
            message,
            allowed: None,
            source: held.map_or(Source::Default, |held| held.source.clone()),
        }
    }
}

fn effective(reader: &Reader, settings: &Settings) -> Vec<Effective> {
    let mut held = Vec::new();
    for key in every_key().iter().filter(|key| !key.name.starts_with("serial.") && key.name != "kra.paths.*")
    {
        let (value, source) = match (reader.written(key.name), key.fallback) {
            (Some((value, source)), _) => (Some(value), source),
            (None, Fallback::Value(value)) => (Some(value.to_owned()), Source::Default),
            (None, Fallback::Words(_)) => (worked_out(key.name, settings), Source::Default),
        };
        held.push(Effective { key: key.name.to_owned(), value, source });
    }
    for name in reader.set_under("kra.paths.").into_iter().chain(reader.set_under("serial[")) {
        if let Some((value, source)) = reader.written(&name) {
            held.push(Effective { key: name, value: Some(value), source });
        }
    }
    held
}

/// The value of a key that depends on others or on the machine.
fn worked_out(key: &str, settings: &Settings) -> Option<String> {
    let quoted = |text: String| Some(format!("\"{text}\""));
    match key {
        "state_dir" => quoted(settings.state_dir.display().to_string()),
        "kra.base_url" => quoted(settings.kra.base_url.to_string()),
        "kra.wire" => quoted(settings.kra.wire.as_str().to_owned()),
        "kra.sign_requests" => Some(settings.kra.sign_requests.to_string()),
        "kra.portal" => quoted(settings.kra.portal.clone()),
        "unix.path" => quoted(settings.unix.path.display().to_string()),
        "admin.path" => quoted(settings.admin.path.display().to_string()),
        _ => None,
    }
}
