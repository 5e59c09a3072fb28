//! Environment variables `ETIMS_SECTION__KEY` in.

use std::path::Path;

use toml::Value;

use super::file;
use super::keys::{KRA_FUNCTIONS, Key, find};
use super::kind::Kind;
use super::layers::Layers;
use super::problem::Source;

const PREFIX: &str = "ETIMS_";

/// The variables of this process; one that is not UTF-8 is left out unless it is ours, then shown with replacement
/// characters so that the check can refuse it.
pub fn process_environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        match value.into_string() {
            Ok(value) => Some((name, value)),
            Err(value) if name.starts_with(PREFIX) => Some((name, value.to_string_lossy().into_owned())),
            Err(_) => None,
        }
    })
}

/// Adds what the variables set; returns the names of those that are ours.
pub(super) fn read_environment(variables: &[(String, String)], layers: &mut Layers) -> Vec<String> {
    let mut ours: Vec<&(String, String)> =
        variables.iter().filter(|(name, _)| name.starts_with(PREFIX)).collect();
    ours.sort();
    for (name, text) in &ours {
        let key = key_of(&name[PREFIX.len()..]);
        let source = Source::Variable(name.clone());
        if key == "serial" {
            read_serial(text, name, layers);
        } else if let Some(known) = find(&key).filter(|known| !known.name.starts_with("serial.")) {
            match value_of(known, text) {
                Ok(Some(value)) => layers.set(key, value, source),
                Ok(None) => {}
                Err(message) => layers.broken(format!("{key}: {message}"), source),
            }
        } else {
            layers.unknown(&key, source);
        }
    }
    ours.into_iter().map(|(name, _)| name.clone()).collect()
}

/// `KRA__BASE_URL` is `kra.base_url`; names of KRA's functions keep their own capitals, however they are written.
fn key_of(name: &str) -> String {
    let lower = name.to_ascii_lowercase().replace("__", ".");
    match lower.strip_prefix("kra.paths.") {
        Some(function) => {
            let known = KRA_FUNCTIONS.iter().find(|known| known.eq_ignore_ascii_case(function));
            format!("kra.paths.{}", known.copied().unwrap_or(function))
        }
        None => lower,
    }
}

/// The text as the kind of value the key takes. An empty variable is an empty list, or a key that is not set.
fn value_of(key: &Key, text: &str) -> Result<Option<Value>, String> {
    let text = text.trim();
    if key.kind.is_list() && !text.starts_with('[') {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        return Ok(Some(Value::Array(items.map(|item| Value::String(item.to_owned())).collect())));
    }
    if text.is_empty() {
        return Ok(None);
    }
    let literal = match key.kind {
        Kind::Boolean | Kind::Integer { .. } => true,
        _ => key.kind.is_list() || (text.len() >= 2 && text.starts_with('"') && text.ends_with('"')),
    };
    if !literal {
        return Ok(Some(Value::String(text.to_owned())));
    }
    match toml_value(text) {
        Some(value) => Ok(Some(value)),
        None if key.kind.is_list() => {
            Err(format!("is neither a TOML list nor a comma-separated one: {text}"))
        }
        None => Ok(Some(Value::String(text.to_owned()))),
    }
}

/// A value written as TOML.
pub(super) fn toml_value(text: &str) -> Option<Value> {
    let mut table: toml::Table = toml::from_str(&format!("value = {text}")).ok()?;
    table.remove("value").filter(|_| table.is_empty())
}

/// The whole list of registers as one TOML value: `[{ port = "/dev/ttyS0" }]`.
fn read_serial(text: &str, name: &str, layers: &mut Layers) {
    let mut inner = Layers::default();
    file::read_text(&format!("serial = {text}"), Path::new(""), &mut inner);
    let source = Source::Variable(name.to_owned());
    for mut problem in inner.problems.0 {
        problem.source = source.clone();
        layers.problems.push(problem);
    }
    layers.replace_serial(inner.serial_count);
    for (key, entry) in inner.entries {
        if key.starts_with("serial[") {
            layers.set(key, entry.value, source.clone());
        }
    }
}
