//! Values of all sources by key, later ones over earlier ones.

use std::collections::BTreeMap;

use toml::Value;

use super::keys::{KRA_FUNCTIONS, every_key, find, is_section};
use super::problem::{Problem, Problems, Source};

/// One value as somebody wrote it.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) value: Value,
    pub(super) source: Source,
}

/// What was set, by full key (`kra.wire`, `serial[0].port`); filled from the weakest source to the strongest.
#[derive(Debug, Default)]
pub(super) struct Layers {
    pub(super) entries: BTreeMap<String, Entry>,
    pub(super) serial_count: usize,
    pub(super) problems: Problems,
}

impl Layers {
    /// Sets a known key, over what was there.
    pub(super) fn set(&mut self, key: String, value: Value, source: Source) {
        self.entries.insert(key, Entry { value, source });
    }

    /// Begins a new list of `[[serial]]` entries: a later list replaces an earlier one whole.
    pub(super) fn replace_serial(&mut self, count: usize) {
        self.entries.retain(|key, _| !key.starts_with("serial["));
        self.serial_count = count;
    }

    /// Notes a key or section that does not exist. Its value is left out: it may be a secret under a mistyped name.
    pub(super) fn unknown(&mut self, name: &str, source: Source) {
        let what = if is_section(name) { "is a section, not a key" } else { "is not a known key" };
        let message = match nearest(name) {
            Some(near) if !is_section(name) => format!("{what}; did you mean {near}?"),
            _ => what.to_owned(),
        };
        self.problems.push(Problem { key: name.to_owned(), value: None, message, allowed: None, source });
    }

    /// Notes a fault of a whole source.
    pub(super) fn broken(&mut self, message: String, source: Source) {
        self.problems.push(Problem { key: String::new(), value: None, message, allowed: None, source });
    }
}

/// The known key or section that was probably meant.
fn nearest(name: &str) -> Option<String> {
    if let Some(function) = name.strip_prefix("kra.paths.") {
        return closest(function, KRA_FUNCTIONS.iter().copied()).map(|near| format!("kra.paths.{near}"));
    }
    let (own_section, serial_index) = match name.split_once("].") {
        Some((index, own)) => (format!("serial.{own}"), Some(index)),
        None => (name.to_owned(), None),
    };
    let shown = |near: &str| match (serial_index, near.strip_prefix("serial.")) {
        (Some(index), Some(own)) => format!("{index}].{own}"),
        _ => near.to_owned(),
    };
    let own = own_section.rsplit('.').next().unwrap_or(&own_section);
    let elsewhere = every_key().iter().find(|key| key.split().1 == own && find(name).is_none());
    if let Some(key) = elsewhere {
        return Some(shown(key.name));
    }
    let keys = every_key().iter().map(|key| key.name);
    let sections = every_key().iter().map(|key| key.split().0).filter(|section| !section.is_empty());
    closest(&own_section, keys.chain(sections)).map(shown)
}

fn closest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_ascii_lowercase();
    candidates
        .map(|near| (strsim::damerau_levenshtein(&lower, &near.to_ascii_lowercase()), near))
        .filter(|(distance, near)| *distance <= 1 + near.len().min(lower.len()) / 5)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, near)| near)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn did_you_mean() {
        let check =
            |name: &str, expected: Option<&str>| assert_eq!(nearest(name).as_deref(), expected, "{name}");
        check("kra.base_ulr", Some("kra.base_url"));
        check("kra.baseurl", Some("kra.base_url"));
        check("krra", Some("kra"));
        check("listen", Some("http.listen"));
        check("statedir", Some("state_dir"));
        check("serial[1].bauds", Some("serial[1].baud"));
        check("kra.paths.savetrnssalesosdc", Some("kra.paths.saveTrnsSalesOsdc"));
        check("http.retention", Some("storage.retention"));
        check("completely.different", None);
    }
}
