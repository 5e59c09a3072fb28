//! Reading the log: pages of rows, of a running daemon or a stopped one.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use super::files::{directory, list};
use super::row::{is_about, number};
use crate::gateway::ports::LogPage;

/// Rows of one page.
const PAGE_ROWS: usize = 1_000;
/// Bytes of one page.
const PAGE_BYTES: usize = 2 << 20;
/// Rows that are looked at for one page, so that a search answers now and then.
const PAGE_LOOKS: usize = 20_000;

/// Rows after `after`, oldest first; `sale`: only those about the sale of this register's number. Blocks.
///
/// # Errors
/// The directory or a file cannot be read; no log at all is [`io::ErrorKind::NotFound`].
pub fn read_page(state_dir: &Path, after: u64, sale: Option<&str>) -> io::Result<LogPage> {
    let parts = list(&directory(state_dir))?;
    let mut page = LogPage { last: after, ..LogPage::default() };
    let (mut bytes, mut looks) = (0, 0);
    for (index, part) in parts.iter().enumerate() {
        if parts.get(index + 1).is_some_and(|next| next.first <= after.saturating_add(1)) {
            continue;
        }
        let mut file = match File::open(&part.path) {
            Ok(file) => BufReader::new(file),
            // It was the oldest, and has gone.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let mut line = Vec::new();
        loop {
            line.clear();
            file.read_until(b'\n', &mut line)?;
            // The last line may still be being written.
            let Some(text) = line.strip_suffix(b"\n") else { break };
            let Some((row, n)) = std::str::from_utf8(text).ok().and_then(|row| Some((row, number(row)?)))
            else {
                continue;
            };
            if n <= page.last {
                continue;
            }
            if page.rows.len() >= PAGE_ROWS || bytes >= PAGE_BYTES || looks >= PAGE_LOOKS {
                page.more = true;
                return Ok(page);
            }
            page.last = n;
            looks += 1;
            if sale.is_none_or(|sale| is_about(row, sale)) {
                bytes += row.len();
                page.rows.push(row.to_owned());
            }
        }
    }
    Ok(page)
}
