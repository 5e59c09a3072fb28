//! Reads one key at a time by its kind; what is wrong is noted and the default goes on in its place.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use toml::Value;

use super::address::{BaseUrl, Origin, ProxyAddress, WebhookAddress};
use super::credentials::SecretFile;
use super::environment::toml_value;
use super::keys::{Fallback, Key, find};
use super::kind::Kind;
use super::layers::{Entry, Layers};
use super::not_built::is_not_built;
use super::problem::{Problem, Problems, Source};

/// The layered values, being read.
pub(super) struct Reader {
    entries: BTreeMap<String, Entry>,
    faulty: BTreeSet<String>,
    pub(super) problems: Problems,
}

impl Reader {
    pub(super) fn new(layers: Layers) -> Self {
        Reader { entries: layers.entries, faulty: BTreeSet::new(), problems: layers.problems }
    }

    /// A duration within the key's range; the key has a default.
    pub(super) fn duration(&mut self, name: &str) -> Duration {
        self.optional_duration(name).expect("the table gives this key a default")
    }

    pub(super) fn optional_duration(&mut self, name: &str) -> Option<Duration> {
        self.read(name, duration)
    }

    /// A size in bytes within the key's range; the key has a default.
    pub(super) fn size(&mut self, name: &str) -> u64 {
        self.read(name, size).expect("the table gives this key a default")
    }

    /// A whole number within the key's range; the key has a default, and `T` holds the range.
    pub(super) fn integer<T: TryFrom<i64>>(&mut self, name: &str) -> T {
        let number = self.read(name, integer).expect("the table gives this key a default");
        T::try_from(number).ok().expect("the table keeps the range within the type")
    }

    /// One of the key's words; the key has a default.
    pub(super) fn choice<T: Copy>(&mut self, name: &str, words: &[(&str, T)]) -> T {
        self.optional_choice(name, words).expect("the table gives this key a default")
    }

    pub(super) fn optional_choice<T: Copy>(&mut self, name: &str, words: &[(&str, T)]) -> Option<T> {
        self.read(name, |_, value| {
            let word = text(value)?;
            let found = words.iter().find(|(candidate, _)| *candidate == word);
            found.map(|(_, choice)| *choice).ok_or_else(|| "is not one of the choices".to_owned())
        })
    }

    pub(super) fn boolean(&mut self, name: &str) -> Option<bool> {
        self.read(name, |_, value| value.as_bool().ok_or_else(|| "is not true or false".to_owned()))
    }

    /// Text by the key's own rule (length, grammar).
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.read(name, |key, value| checked_text(key.kind, text(value)?))
    }

    pub(super) fn path(&mut self, name: &str) -> Option<PathBuf> {
        self.read(name, |_, value| match text(value)? {
            "" => Err("is empty".to_owned()),
            path if path.contains('\0') => Err("holds a NUL character".to_owned()),
            path => Ok(PathBuf::from(path)),
        })
    }

    pub(super) fn secret_file(&mut self, name: &str) -> Option<SecretFile> {
        self.read(name, |_, value| match text(value)? {
            "" => Err("is empty".to_owned()),
            path => SecretFile::parse(path),
        })
    }

    pub(super) fn url(&mut self, name: &str) -> Option<BaseUrl> {
        self.read(name, |_, value| BaseUrl::parse(text(value)?))
    }

    pub(super) fn webhook(&mut self, name: &str) -> Option<WebhookAddress> {
        self.read(name, |_, value| WebhookAddress::parse(text(value)?))
    }

    pub(super) fn proxy(&mut self, name: &str) -> Option<ProxyAddress> {
        self.read(name, |_, value| ProxyAddress::parse(text(value)?))
    }

    pub(super) fn mode(&mut self, name: &str) -> u32 {
        let read = self.read(name, |_, value| {
            let mode = u32::from_str_radix(text(value)?.trim_start_matches("0o"), 8);
            mode.ok().filter(|mode| *mode <= 0o777).ok_or_else(|| "is not octal permission bits".to_owned())
        });
        read.expect("the table gives this key a default")
    }

    pub(super) fn addresses(&mut self, name: &str) -> Vec<SocketAddr> {
        let read = self.read(name, |_, value| {
            list(value, |item| {
                item.parse::<SocketAddr>().map_err(|_| format!("\"{item}\" is not an IP address with a port"))
            })
        });
        read.expect("the table gives this key a default")
    }

    pub(super) fn origins(&mut self, name: &str) -> Vec<Origin> {
        let read = self.read(name, |_, value| {
            list(value, |item| Origin::parse(item).map_err(|why| format!("\"{item}\" {why}")))
        });
        read.expect("the table gives this key a default")
    }

    /// Full names of the keys set under a section.
    pub(super) fn set_under(&self, section: &str) -> Vec<String> {
        self.entries.keys().filter(|name| name.starts_with(section)).cloned().collect()
    }

    /// Was this key set by anybody?
    pub(super) fn is_set(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// The value as written, as TOML text, and where.
    pub(super) fn written(&self, name: &str) -> Option<(String, Source)> {
        self.entries.get(name).map(|entry| (shown(&entry.value), entry.source.clone()))
    }

    /// Have all these keys been read without a problem? A rule between keys looks here first, so that one mistake
    /// is not reported twice.
    pub(super) fn sound(&self, names: &[&str]) -> bool {
        names.iter().all(|name| !self.faulty.contains(*name))
    }

    /// Notes a problem of this key, with its value and place.
    pub(super) fn refuse(&mut self, name: &str, message: impl Into<String>) {
        self.note(name, message.into(), None);
    }

    fn read<T>(&mut self, name: &str, parse: impl Fn(&Key, &Value) -> Result<T, String>) -> Option<T> {
        let key = find(name).expect("settings read only keys of the table");
        if let Some(entry) = self.entries.get(name) {
            match parse(key, &entry.value) {
                Ok(parsed) => {
                    if is_not_built(name, entry.value.as_str().unwrap_or_default()) {
                        self.note(name, "is not built yet; leave it out".to_owned(), None);
                    }
                    return Some(parsed);
                }
                Err(message) => self.note(name, message, Some(key.kind.to_string())),
            }
        }
        match key.fallback {
            Fallback::Value(written) => {
                let value = toml_value(written).expect("defaults in the table are TOML");
                Some(parse(key, &value).expect("defaults in the table are allowed"))
            }
            Fallback::Words(_) => None,
        }
    }

    fn note(&mut self, name: &str, message: String, allowed: Option<String>) {
        let (value, source) = match self.written(name) {
            Some((value, source)) => (Some(value), source),
            None => (None, Source::Default),
        };
        self.faulty.insert(name.to_owned());
        self.problems.push(Problem { key: name.to_owned(), value, message, allowed, source });
    }
}

/// The value as TOML text. A password in a URL is not shown.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => match (text.find("://"), text.rfind('@')) {
            (Some(scheme), Some(at)) if scheme + 3 <= at => {
                format!("\"{}****{}\"", &text[..scheme + 3], &text[at..])
            }
            _ => value.to_string(),
        },
        _ => value.to_string(),
    }
}

fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| "is not text in quotes".to_owned())
}

fn duration(key: &Key, value: &Value) -> Result<Duration, String> {
    let Kind::Duration { least, most } = key.kind else { unreachable!("{} is no duration", key.name) };
    let known = |text| humantime::parse_duration(text).expect("ranges in the table are durations");
    let Some(text) = value.as_str() else {
        return Err("needs quotes and a unit, such as \"30s\"".to_owned());
    };
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("needs a unit: ms, s, m, h or d".to_owned());
    }
    let parsed = humantime::parse_duration(text).map_err(|error| format!("is not a duration: {error}"))?;
    if parsed < known(least) {
        return Err("is too short".to_owned());
    }
    if parsed > known(most) {
        return Err("is too long".to_owned());
    }
    Ok(parsed)
}

fn size(key: &Key, value: &Value) -> Result<u64, String> {
    let Kind::Size { least, most } = key.kind else { unreachable!("{} is no size", key.name) };
    let known = |text: &str| parse_size::parse_size(text).expect("ranges in the table are sizes");
    let text = value.as_str().unwrap_or_default().trim();
    if !text.ends_with(|last: char| last.is_ascii_alphabetic()) {
        return Err("needs quotes and a unit, such as \"64MiB\"".to_owned());
    }
    let parsed = parse_size::parse_size(text).map_err(|error| format!("is not a size: {error}"))?;
    if parsed < known(least) {
        return Err("is too small".to_owned());
    }
    if parsed > known(most) {
        return Err("is too large".to_owned());
    }
    Ok(parsed)
}

fn integer(key: &Key, value: &Value) -> Result<i64, String> {
    let Kind::Integer { least, most } = key.kind else { unreachable!("{} is no number", key.name) };
    match value.as_integer() {
        None => Err("is not a whole number".to_owned()),
        Some(number) if number < least => Err("is too small".to_owned()),
        Some(number) if number > most => Err("is too large".to_owned()),
        Some(number) => Ok(number),
    }
}

fn list<T>(value: &Value, parse: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    let items = value.as_array().ok_or("is not a list")?;
    let parsed =
        items.iter().map(|item| parse(item.as_str().ok_or("holds something that is not text in quotes")?));
    parsed.collect()
}

fn checked_text(kind: Kind, text: &str) -> Result<String, String> {
    let good = match kind {
        Kind::BhfId => text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit()),
        Kind::Host => is_host(text),
        Kind::Text { least, most } => {
            if text.chars().any(char::is_control) {
                return Err("holds a control character".to_owned());
            }
            if text.trim() != text {
                return Err("begins or ends with a blank".to_owned());
            }
            (least..=most).contains(&text.chars().count())
        }
        Kind::Tin => is_tin(text),
        Kind::UrlPath => is_url_path(text),
        other => unreachable!("{other:?} is not read as text"),
    };
    if good { Ok(text.to_owned()) } else { Err("does not fit".to_owned()) }
}

fn is_tin(text: &str) -> bool {
    match text.as_bytes() {
        [first, digits @ .., last] => {
            let capitals = first.is_ascii_uppercase() && last.is_ascii_uppercase();
            capitals && digits.len() == 9 && digits.iter().all(u8::is_ascii_digit)
        }
        _ => false,
    }
}

fn is_host(text: &str) -> bool {
    let label = |label: &str| {
        let plain = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        plain && (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

fn is_url_path(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_graphic() && !b"?#\"<>\\^`{|}".contains(&byte);
    text.len() > 1 && text.starts_with('/') && text.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    use super::{is_host, is_tin, is_url_path, shown};

    #[test]
    fn grammars() {
        for (text, expected) in [
            ("P051234567Z", true),
            ("A000000000B", true),
            ("p051234567Z", false),
            ("P05123456Z", false),
            ("P0512345678Z", false),
            ("P05123456٣Z", false),
            ("", false),
        ] {
            assert_eq!(is_tin(text), expected, "{text}");
        }
        for (text, expected) in [
            ("etims.kra.go.ke", true),
            ("a", true),
            ("", false),
            ("a..b", false),
            ("-a", false),
            ("a/b", false),
            ("a:1", false),
        ] {
            assert_eq!(is_host(text), expected, "{text}");
        }
        for (text, expected) in [
            ("/save", true),
            ("/a/b-c", true),
            ("save", false),
            ("/", false),
            ("/a?b", false),
            ("/a b", false),
        ] {
            assert_eq!(is_url_path(text), expected, "{text}");
        }
    }

    #[test]
    fn passwords_in_urls_are_not_shown() {
        let value = toml::Value::String("http://me:hunter2@proxy:3128".to_owned());
        assert_eq!(shown(&value), "\"http://****@proxy:3128\"");
    }
}
