//! The state directory: there, the service's own, closed to others; the keys in it whole.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Finding;
use crate::config::{Environment, Settings};

const SUBJECT: &str = "state";
/// Files that are looked at: a till has some hundreds of segments.
const MOST: usize = 10_000;
/// Files that are named.
const NAMED: usize = 3;

/// One file or directory in the state directory.
#[derive(Clone, Debug)]
struct Seen {
    path: PathBuf,
    owner: u32,
    mode: u32,
    length: u64,
    directory: bool,
}

impl Seen {
    fn of(path: &Path, found: &Metadata) -> Self {
        let (owner, mode, length) = (found.uid(), found.mode() & 0o7777, found.len());
        Self { path: path.to_owned(), owner, mode, length, directory: found.is_dir() }
    }

    /// What only the service may read.
    fn is_secret(&self) -> bool {
        let secret = |part: &str| [".key", ".key.new", ".answer"].iter().any(|end| part.ends_with(end));
        !self.directory && self.path.file_name().and_then(|name| name.to_str()).is_some_and(secret)
    }

    /// A key that the store counts on.
    fn is_key(&self) -> bool {
        self.path.extension().is_some_and(|end| end == "key")
    }
}

/// Looks at it, without opening a file.
pub(super) fn look(settings: &Settings) -> Vec<Finding> {
    let dir = &settings.state_dir;
    match fs::metadata(dir).and_then(|found| below(dir, &found)) {
        Ok(seen) => judge(&seen),
        Err(error) => vec![not_seen(dir, &error, settings.kra.environment)],
    }
}

fn not_seen(dir: &Path, error: &io::Error, environment: Environment) -> Finding {
    let found = format!("{}: {error}", dir.display());
    match error.kind() {
        io::ErrorKind::NotFound if matches!(environment, Environment::Simulator | Environment::Custom) => {
            Finding::warn(SUBJECT, format!("{} is not there yet", dir.display()), "the first start makes it")
        }
        io::ErrorKind::NotFound => Finding::fail(
            SUBJECT,
            format!("{} is not there", dir.display()),
            "is its disk mounted? On a new till: etims-gateway store init",
        ),
        io::ErrorKind::PermissionDenied => Finding::warn(SUBJECT, found, "run doctor with sudo"),
        _ => Finding::fail(SUBJECT, found, "state_dir must name a directory of the service's user"),
    }
}

/// The directory first, then what is in it.
fn below(dir: &Path, found: &Metadata) -> io::Result<Vec<Seen>> {
    let mut seen = vec![Seen::of(dir, found)];
    let mut at = 0;
    while let Some(next) = seen.get(at) {
        if next.directory && seen.len() < MOST {
            let inside = fs::read_dir(&next.path)?;
            // What goes away meanwhile is a segment that was retired.
            let files =
                inside.flatten().filter_map(|entry| Some(Seen::of(&entry.path(), &entry.metadata().ok()?)));
            let files: Vec<Seen> = files.collect();
            seen.extend(files);
        }
        at += 1;
    }
    Ok(seen)
}

fn judge(seen: &[Seen]) -> Vec<Finding> {
    let Some((dir, inside)) = seen.split_first() else { return Vec::new() };
    let place = dir.path.display();
    let mut findings = Vec::new();
    if !dir.directory {
        return vec![Finding::fail(SUBJECT, format!("{place} is not a directory"), "set state_dir to one")];
    }
    if dir.mode & 0o022 != 0 {
        let found = format!("others than its owner may write in {place} (mode {:o})", dir.mode);
        findings.push(Finding::fail(SUBJECT, found, format!("chmod 0700 {place}")));
    }
    let named = |files: Vec<&Seen>| {
        let names: Vec<String> = files.iter().take(NAMED).map(|it| it.path.display().to_string()).collect();
        let more =
            if files.len() > NAMED { format!(" and {} more", files.len() - NAMED) } else { String::new() };
        format!("{}{more}", names.join(", "))
    };
    let foreign: Vec<&Seen> = inside.iter().filter(|it| it.owner != dir.owner).collect();
    if !foreign.is_empty() {
        let found = format!("not the service's own: {}", named(foreign));
        findings.push(Finding::fail(SUBJECT, found, format!("chown -R --reference={place} {place}")));
    }
    let open: Vec<&Seen> = inside.iter().filter(|it| it.is_secret() && it.mode & 0o077 != 0).collect();
    if !open.is_empty() {
        let (found, advice) =
            (format!("others may read {}", named(open.clone())), format!("chmod 0600 {}", named(open)));
        findings.push(Finding::fail(SUBJECT, found, advice));
    }
    let empty: Vec<&Seen> = inside.iter().filter(|it| it.is_key() && it.length == 0).collect();
    if !empty.is_empty() {
        let advice =
            "put it back from a backup; the device's key may be had again from KRA. None is ever made anew";
        findings.push(Finding::fail(SUBJECT, format!("empty: {}", named(empty)), advice));
    }
    if findings.is_empty() {
        let size: u64 = inside.iter().filter(|it| !it.directory).map(|it| it.length).sum();
        findings.push(Finding::ok(SUBJECT, format!("{place}: {} files, {} MiB", inside.len(), size >> 20)));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    fn seen(path: &str, owner: u32, mode: u32, length: u64) -> Seen {
        Seen { path: path.into(), owner, mode, length, directory: false }
    }

    fn dir(mode: u32) -> Seen {
        Seen { directory: true, ..seen("/s", 7, mode, 0) }
    }

    #[test]
    fn owners_modes_and_keys() {
        let check = |inside: Vec<Seen>, mode: u32, expected: &[&str]| {
            let all: Vec<Seen> = std::iter::once(dir(mode)).chain(inside).collect();
            let found = judge(&all);
            if expected.is_empty() {
                assert_eq!((found.len(), found[0].level), (1, Level::Ok), "{found:?}");
            } else {
                assert!(found.iter().all(|it| it.level == Level::Fail), "{found:?}");
                let found: Vec<&str> = found.iter().map(|it| it.found.as_str()).collect();
                assert_eq!(found, expected);
            }
        };
        let good = || seen("/s/cmc.key", 7, 0o600, 40);
        check(vec![good(), seen("/s/journal/1.log", 7, 0o644, 9)], 0o750, &[]);
        check(vec![good()], 0o770, &["others than its owner may write in /s (mode 770)"]);
        check(vec![seen("/s/a", 0, 0o644, 1)], 0o700, &["not the service's own: /s/a"]);
        let many: Vec<Seen> = (0..5).map(|at| seen(&format!("/s/{at}"), 0, 0o600, 1)).collect();
        check(many, 0o700, &["not the service's own: /s/0, /s/1, /s/2 and 2 more"]);
        check(vec![seen("/s/init.answer", 7, 0o640, 1)], 0o700, &["others may read /s/init.answer"]);
        check(vec![seen("/s/signing.key", 7, 0o600, 0)], 0o700, &["empty: /s/signing.key"]);
    }

    #[test]
    fn a_real_directory() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("journal")).unwrap();
        fs::write(directory.path().join("journal/one"), "12").unwrap();
        let seen = below(directory.path(), &fs::metadata(directory.path()).unwrap()).unwrap();
        assert_eq!(seen.len(), 3);
        assert_eq!(judge(&seen)[0].level, Level::Ok);
    }

    #[test]
    fn a_directory_that_is_not_there() {
        let check = |kind: io::ErrorKind, environment: Environment, level: Level| {
            let found = not_seen(Path::new("/s"), &io::Error::from(kind), environment);
            assert_eq!(found.level, level, "{found}");
        };
        check(io::ErrorKind::NotFound, Environment::Simulator, Level::Warn);
        check(io::ErrorKind::NotFound, Environment::Production, Level::Fail);
        check(io::ErrorKind::PermissionDenied, Environment::Production, Level::Warn);
        check(io::ErrorKind::NotADirectory, Environment::Simulator, Level::Fail);
    }
}
