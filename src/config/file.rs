//! TOML files in: each value with the line it stands on.

use std::io;
use std::path::{Path, PathBuf};

use toml::Value;
use toml::de::{DeTable, DeValue};

use super::keys::{find, is_section};
use super::layers::Layers;
use super::problem::Source;

/// Reads `path`, then `conf.d/*.toml` beside it in name order, into `layers`; returns the files read.
/// A file that is not there is a problem only if `must_exist`.
pub(super) fn read_files(path: &Path, must_exist: bool, layers: &mut Layers) -> Vec<PathBuf> {
    let mut read = Vec::new();
    match std::fs::read_to_string(path) {
        Ok(text) => {
            read_text(&text, path, layers);
            read.push(path.to_owned());
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound && !must_exist => {}
        Err(error) => layers.broken(format!("cannot be read: {error}"), whole(path)),
    }
    let directory = path.parent().unwrap_or(Path::new("")).join("conf.d");
    match drop_ins(&directory) {
        Ok(files) => {
            for file in files {
                match std::fs::read_to_string(&file) {
                    Ok(text) => read_text(&text, &file, layers),
                    Err(error) => layers.broken(format!("cannot be read: {error}"), whole(&file)),
                }
                read.push(file);
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => layers.broken(format!("cannot be listed: {error}"), whole(&directory)),
    }
    read
}

fn whole(path: &Path) -> Source {
    Source::File { path: path.to_owned(), line: None }
}

/// The `*.toml` of a directory in name order; hidden ones (an editor's) are left alone.
fn drop_ins(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.extension().is_some_and(|end| end == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Adds what one document sets. Faults of its syntax become problems; what could be read is still looked at.
pub(super) fn read_text(text: &str, path: &Path, layers: &mut Layers) {
    let (document, faults) = DeTable::parse_recoverable(text);
    let lines = Lines { text, path };
    for fault in &faults {
        let at = fault.span().map_or_else(|| whole(path), |span| lines.at(span.start));
        layers.broken(format!("is not TOML: {}", fault.message()), at);
    }
    if faults.is_empty() {
        read_table(document.get_ref(), "", &lines, layers);
    }
}

struct Lines<'a> {
    text: &'a str,
    path: &'a Path,
}

impl Lines<'_> {
    fn at(&self, offset: usize) -> Source {
        let before = self.text.as_bytes().iter().take(offset);
        let line = 1 + before.filter(|byte| **byte == b'\n').count();
        Source::File { path: self.path.to_owned(), line: Some(line) }
    }
}

fn read_table(table: &DeTable<'_>, section: &str, lines: &Lines<'_>, layers: &mut Layers) {
    for (name, value) in table {
        let key = if section.is_empty() {
            name.get_ref().to_string()
        } else {
            format!("{section}.{}", name.get_ref())
        };
        let at = lines.at(name.span().start);
        match value.get_ref() {
            DeValue::Array(entries) if key == "serial" => {
                layers.replace_serial(entries.len());
                for (index, entry) in entries.iter().enumerate() {
                    match entry.get_ref() {
                        DeValue::Table(inner) => {
                            read_table(inner, &format!("serial[{index}]"), lines, layers)
                        }
                        _ => layers.broken("serial: each entry is a [[serial]] table".to_owned(), at.clone()),
                    }
                }
            }
            DeValue::Table(_) if key == "serial" => {
                layers.broken("serial: write [[serial]], one for each register".to_owned(), at);
            }
            DeValue::Table(inner) if is_section(&key) => read_table(inner, &key, lines, layers),
            other if find(&key).is_some() => match plain(other) {
                Ok(plain) => layers.set(key, plain, at),
                Err(message) => layers.broken(format!("{key}: {message}"), at),
            },
            _ => layers.unknown(&key, at),
        }
    }
}

/// The value without its place in the text.
fn plain(value: &DeValue<'_>) -> Result<Value, String> {
    Ok(match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(number) => Value::Integer(
            i64::from_str_radix(number.as_str(), number.radix()).map_err(|_| "the number is too large")?,
        ),
        DeValue::Float(number) => {
            return Err(format!("{} has a decimal point; no key takes one", number.as_str()));
        }
        DeValue::Boolean(truth) => Value::Boolean(*truth),
        DeValue::Datetime(time) => Value::Datetime(*time),
        DeValue::Array(items) => {
            Value::Array(items.iter().map(|item| plain(item.get_ref())).collect::<Result<_, _>>()?)
        }
        DeValue::Table(_) => return Err("is a key, not a section".to_owned()),
    })
}
