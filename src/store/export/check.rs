//! Checking an export alone: no store, no daemon, no other file.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;

use super::line::read_line;
use super::manifest::{Manifest, Tally};
use super::run::sums;
use super::table::is_manifest;
use crate::queue::Seq;
use crate::store::keys::{Signer, base_bytes, checkpoint_bytes, retire_bytes, signature_holds};
use crate::store::record::{Kind, Malformed, Record};
use crate::store::standing::{Base, Genesis};

/// No line that we write is longer: a record is smaller than a segment.
const LONGEST_LINE: u64 = 64 << 20;

/// An export that is whole, and as the till wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportReport {
    /// What it says it holds, which is so.
    pub manifest: Manifest,
    /// How many sales and credit notes, each with the till's signature.
    pub sales: u64,
    /// How many signed checkpoints.
    pub checkpoints: u64,
}

/// An export could not be checked, or is not as it was written.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The first record that is not as it was written, or not there.
    #[error("record {seq}: {what}")]
    Bad {
        /// Its running number; with an unreadable manifest of an empty export 0.
        seq: Seq,
        /// What is wrong.
        what: String,
    },
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
}

/// Checks the export in this file: each line against its bytes, running numbers, chain, the till's signatures over
/// sales and the chain, the sums, the manifest's signature. Blocks; holds one line at a time.
///
/// # Errors
/// The first thing that is not as it was written.
pub fn verify_export(path: &Path) -> Result<ExportReport, ExportError> {
    let io_at = |source| ExportError::Io { path: path.to_owned(), source };
    let mut file = BufReader::with_capacity(1 << 16, File::open(path).map_err(io_at)?);
    // The manifest says with which key; it is the last line.
    let last = last_line(&mut file).map_err(io_at)?;
    file.rewind().map_err(io_at)?;
    let manifest = Manifest::read(&last);
    let mut check = Check::new(manifest.as_ref().ok());
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut file).take(LONGEST_LINE).read_until(b'\n', &mut line).map_err(io_at)?;
        if read == 0 {
            break;
        }
        let whole = line.strip_suffix(b"\n").ok_or_else(|| check.bad("its line is cut off"))?;
        let text = std::str::from_utf8(whole).map_err(|_| check.bad("its line is not text"))?;
        check.line(text)?;
    }
    check.end(&manifest)
}

/// The last line of a file, without its line feed.
fn last_line(file: &mut BufReader<File>) -> io::Result<String> {
    let (mut last, mut line) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        if file.take(LONGEST_LINE).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        std::mem::swap(&mut last, &mut line);
    }
    if last.last() == Some(&b'\n') {
        last.pop();
    }
    Ok(String::from_utf8_lossy(&last).into_owned())
}

/// Where the check stands.
struct Check<'a> {
    /// What the end of the file says, where it can be believed.
    manifest: Option<&'a Manifest>,
    key: Option<[u8; 32]>,
    journal: Option<[u8; 16]>,
    first: Option<Seq>,
    /// The number that the first line gives itself, for messages where the manifest cannot be believed.
    claimed: Option<Seq>,
    /// The last good record and its hash.
    last: Option<(Seq, [u8; 32])>,
    /// The last record that a signature over the whole chain vouches for.
    vouched: Option<Seq>,
    count: u64,
    sales: u64,
    checkpoints: u64,
    tally: Tally,
    ended: bool,
}

impl<'a> Check<'a> {
    fn new(manifest: Option<&'a Manifest>) -> Self {
        Self {
            manifest,
            key: manifest.and_then(Manifest::key),
            journal: manifest.and_then(Manifest::journal_id),
            first: None,
            claimed: None,
            last: None,
            vouched: None,
            count: 0,
            sales: 0,
            checkpoints: 0,
            tally: Tally::default(),
            ended: false,
        }
    }

    /// The record after the last good one.
    fn next(&self) -> Seq {
        let first = self.manifest.and_then(|manifest| manifest.first).or(self.claimed);
        self.last.map_or(first.unwrap_or_default(), |(last, _)| last.saturating_add(1))
    }

    fn bad(&self, what: &str) -> ExportError {
        ExportError::Bad { seq: self.next(), what: what.to_owned() }
    }

    fn line(&mut self, text: &str) -> Result<(), ExportError> {
        if self.ended {
            return Err(self.bad("something follows the manifest"));
        }
        if is_manifest(text) {
            self.ended = true;
            return Ok(());
        }
        if self.claimed.is_none() {
            let digits = text.strip_prefix("{\"record\":").and_then(|rest| rest.split(',').next());
            self.claimed = digits.and_then(|digits| digits.parse().ok());
        }
        if text.ends_with('\r') {
            return Err(self.bad("its line end was converted (CR LF): copy the export as binary data"));
        }
        let record = read_line(text).map_err(|what| self.bad(what))?;
        self.place(&record)?;
        self.content(&record).map_err(|what| self.bad(&what))?;
        if let Some((label, total, tax)) = sums(&record).map_err(|Malformed(what)| self.bad(what))? {
            self.tally.add(label, total, tax);
            self.sales += 1;
        }
        self.first.get_or_insert(record.seq);
        self.last = Some((record.seq, record.hash));
        self.count += 1;
        Ok(())
    }

    /// Whether it is the record that must come here.
    fn place(&self, record: &Record) -> Result<(), ExportError> {
        let expected = self.next();
        if (self.last.is_some() || self.manifest.is_some()) && record.seq != expected {
            return Err(self.bad(&format!("it should be here, and record {} is", record.seq)));
        }
        let before = match (self.last, self.manifest) {
            (Some((_, hash)), _) => Some(HEXLOWER.encode(&hash)),
            (None, Some(manifest)) => Some(manifest.head_before.clone()),
            (None, None) => None,
        };
        if before.is_some_and(|before| before != HEXLOWER.encode(&record.previous)) {
            return Err(
                self.bad("it does not go on from the record before: that one, or this one, was changed")
            );
        }
        Ok(())
    }

    /// What a record itself says.
    fn content(&mut self, record: &Record) -> Result<(), String> {
        let Some(key) = self.key else { return Ok(()) };
        let journal = self.journal.unwrap_or_default();
        let signed =
            |bytes: &[u8]| record.signature.is_some_and(|signature| signature_holds(&key, bytes, &signature));
        match record.kind {
            Kind::Sale => {
                let Record { kind, stamp, origin, effect, body, .. } = record;
                if !signed(&Signer::document_bytes(*kind, stamp, origin, effect, body)) {
                    return Err("the till's signature over this sale does not hold".to_owned());
                }
            }
            Kind::Checkpoint => {
                let Record { seq, previous, body, .. } = record;
                self.vouch(*seq, signed(&checkpoint_bytes(&journal, *seq, previous, body)))?;
                self.checkpoints += 1;
            }
            Kind::Retire => {
                let Record { seq, previous, effect, body, .. } = record;
                self.vouch(*seq, signed(&retire_bytes(&journal, *seq, previous, effect, body)))?;
            }
            Kind::Base => {
                let Record { seq, previous, body, .. } = record;
                let base = Base::decode(body).map_err(|Malformed(what)| what.to_owned())?;
                if base.public_key != key {
                    return Err("it was made with another key than the manifest".to_owned());
                }
                self.vouch(*seq, signed(&base_bytes(&journal, *seq, previous, body)))?;
            }
            Kind::Genesis => {
                let genesis = Genesis::decode(&record.body).map_err(|Malformed(what)| what.to_owned())?;
                if genesis.public_key != key || Some(genesis.journal) != self.journal {
                    return Err("it is of another till than the manifest".to_owned());
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// A record whose signature is over the whole chain before it.
    fn vouch(&mut self, seq: Seq, holds: bool) -> Result<(), String> {
        if !holds {
            let since = self.vouched.map_or(self.first.unwrap_or(seq), |vouched| vouched.saturating_add(1));
            return Err(format!(
                "the till's signature over the chain does not hold: a record from {since} on was changed, taken out or \
                 put in"
            ));
        }
        self.vouched = Some(seq);
        Ok(())
    }

    /// The whole against the manifest.
    fn end(self, manifest: &Result<Manifest, &'static str>) -> Result<ExportReport, ExportError> {
        if !self.ended {
            return Err(self.bad("the export ends here, without its signed manifest: it was cut off"));
        }
        let last = self.last.map(|(last, _)| last);
        let manifest = manifest
            .as_ref()
            .map_err(|what| ExportError::Bad { seq: last.unwrap_or_default(), what: (*what).to_owned() })?;
        if let Some(announced) = manifest.last.filter(|announced| Some(*announced) != last) {
            return Err(
                self.bad(&format!("it is missing: the manifest says that record {announced} is the last"))
            );
        }
        let wrong =
            |what: &str| Err(ExportError::Bad { seq: last.unwrap_or_default(), what: what.to_owned() });
        let head = self.last.map_or_else(|| manifest.head_before.clone(), |(_, hash)| HEXLOWER.encode(&hash));
        if (manifest.first, manifest.last, manifest.count) != (self.first, last, self.count) {
            return wrong("the manifest is of other records");
        }
        if manifest.head_after != head {
            let since = self.vouched.or(self.first).unwrap_or_default();
            return wrong(&format!(
                "the signed end of the chain is another: a record from {since} on was changed"
            ));
        }
        if manifest.totals != self.tally.totals() {
            return wrong("the sums of the manifest are not those of the sales");
        }
        Ok(ExportReport { manifest: manifest.clone(), sales: self.sales, checkpoints: self.checkpoints })
    }
}
