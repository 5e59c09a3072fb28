//! The files of the log: bounded together, the oldest going first.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::row::number;

/// Files that the whole size is divided among.
const PARTS: u64 = 4;
/// How much of a file's end is looked at for the last row's number.
const TAIL: u64 = 64 << 10;

/// The log's directory in the state directory.
pub(super) fn directory(state_dir: &Path) -> PathBuf {
    state_dir.join("api-log")
}

/// A file of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// The number of its first row.
    pub(super) first: u64,
    pub(super) path: PathBuf,
    pub(super) size: u64,
}

/// The files there are, in order.
pub(super) fn list(directory: &Path) -> io::Result<Vec<Part>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let first = name.to_str().and_then(|name| name.strip_suffix(".ndjson")?.parse().ok());
        let Some(first) = first else { continue };
        // It may have gone between the two looks.
        let Ok(metadata) = entry.metadata() else { continue };
        found.push(Part { first, path: entry.path(), size: metadata.len() });
    }
    found.sort_by_key(|part| part.first);
    Ok(found)
}

/// The end of the log, where rows are added.
pub(super) struct Files {
    directory: PathBuf,
    max_size: u64,
    /// The file in use and its length; none before the first row, and after trouble.
    current: Option<(File, u64)>,
    /// The next row's number.
    next: u64,
}

impl Files {
    /// Goes on after what is there; nothing is made before the first row.
    pub(super) fn open(directory: PathBuf, max_size: u64) -> Self {
        let parts = list(&directory).unwrap_or_default();
        let next = parts.last().map_or(1, |last| {
            // A file without a whole row keeps its name's number for itself.
            last_number(&last.path).map_or(last.first, |number| number + 1)
        });
        Self { directory, max_size, current: None, next }
    }

    /// The number that the next row gets.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    /// The most bytes that one row may have.
    pub(super) const fn longest(&self) -> u64 {
        self.max_size / PARTS
    }

    /// Adds the row with the number [`next`](Self::next).
    pub(super) fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let written = self.try_append(line);
        if written.is_ok() {
            self.next += 1;
        } else {
            // What was half written is found, and closed off, when the file is opened again.
            self.current = None;
        }
        written
    }

    fn try_append(&mut self, line: &[u8]) -> io::Result<()> {
        let length = u64::try_from(line.len()).unwrap_or(u64::MAX);
        let (mut file, mut size) = match self.current.take() {
            Some(current) => current,
            None => self.resume()?,
        };
        if size > 0 && size.saturating_add(length) > self.longest() {
            self.make_room()?;
            let path = self.directory.join(format!("{:020}.ndjson", self.next));
            file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
            size = 0;
        }
        file.write_all(line)?;
        self.current = Some((file, size + length));
        Ok(())
    }

    /// The newest file, its last line ended.
    fn resume(&self) -> io::Result<(File, u64)> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        self.make_room()?;
        let path = match list(&self.directory)?.pop() {
            Some(last) => last.path,
            None => self.directory.join(format!("{:020}.ndjson", self.next)),
        };
        let mut file = OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(path)?;
        let mut size = file.metadata()?.len();
        if size > 0 {
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                file.write_all(b"\n")?;
                size += 1;
            }
        }
        Ok((file, size))
    }

    /// Removes the oldest files until one more part fits under the bound.
    fn make_room(&self) -> io::Result<()> {
        let mut parts = list(&self.directory)?;
        let mut total: u64 = parts.iter().map(|part| part.size).sum();
        while total > self.max_size - self.longest() && parts.len() > 1 {
            let oldest = parts.remove(0);
            fs::remove_file(&oldest.path)?;
            total -= oldest.size;
        }
        Ok(())
    }
}

fn last_number(path: &Path) -> Option<u64> {
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL))).ok()?;
    let mut tail = Vec::new();
    file.take(TAIL).read_to_end(&mut tail).ok()?;
    let tail = String::from_utf8_lossy(&tail);
    tail.lines().rev().find_map(number)
}
