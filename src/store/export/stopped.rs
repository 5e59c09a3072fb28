//! An export from a store that no daemon has open. Nothing is written there.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::range::Range;
use super::run::{Origin, Taken};
use crate::fiscal::Period;
use crate::store::genesis::{KEY_NAME, KEYS};
use crate::store::keys::{Signer, read_secret};
use crate::store::record::{Malformed, Record};
use crate::store::verify::{VerifyError, walk};

/// No export could be made.
#[derive(Debug, thiserror::Error)]
pub enum StoppedExportError {
    /// The journal cannot be read, or is damaged. What was written ends without a manifest.
    #[error("{0}")]
    Journal(#[from] VerifyError),
    /// The key that signs the manifest.
    #[error("the signing key {}: {what}; without it the export cannot be signed", path.display())]
    Key {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
        /// This user may not read it.
        denied: bool,
    },
    /// The lines found no taker.
    #[error("the export could not be written: {0}")]
    Output(io::Error),
}

/// Writes the export of a period, manifest included; checks the whole journal on the way, twice. `now_ms`: the wall clock.
/// Blocks.
///
/// # Errors
/// The journal is damaged, or the key is not there: what was written ends without a manifest.
pub fn export_stopped(
    dir: &Path,
    period: Period,
    now_ms: i64,
    out: &mut dyn Write,
) -> Result<(), StoppedExportError> {
    let mut range = Range::default();
    let report = walk(dir, None, &mut |_| {}, &mut |record| range.see(&period, record))?;
    let signer = signer(dir, &report.public_key)?;
    let origin = Origin { public_key: report.public_key, journal: report.journal };
    let Some((first, last)) = range.found() else {
        let manifest = Taken::new(period, report.last).finish(&origin, now_ms, &signer);
        return out.write_all(manifest.as_bytes()).map_err(StoppedExportError::Output);
    };
    let mut taken = Taken::new(period, (first.saturating_sub(1), [0; 32]));
    let mut failed = None;
    // Up to the head of the first reading: a daemon that was started meanwhile writes on.
    walk(dir, Some(report.last.0), &mut |_| {}, &mut |record| {
        if failed.is_none() && (first..=last).contains(&record.seq) {
            failed = write_record(&mut taken, record, out).err();
        }
    })?;
    match failed {
        Some(error) => return Err(StoppedExportError::Output(error)),
        None => out.write_all(taken.finish(&origin, now_ms, &signer).as_bytes()),
    }
    .map_err(StoppedExportError::Output)
}

fn write_record(taken: &mut Taken, record: &Record, out: &mut dyn Write) -> io::Result<()> {
    let broken = |Malformed(what)| {
        io::Error::new(io::ErrorKind::InvalidData, format!("record {}: {what}", record.seq))
    };
    out.write_all(taken.take(record).map_err(broken)?.as_bytes())
}

fn signer(dir: &Path, public_key: &[u8; 32]) -> Result<Signer, StoppedExportError> {
    let path = dir.join(KEYS).join(KEY_NAME);
    let fault =
        |what: &str, denied| StoppedExportError::Key { path: path.clone(), what: what.to_owned(), denied };
    let bytes = read_secret(&dir.join(KEYS), KEY_NAME)
        .map_err(|error| fault(&error.to_string(), error.kind() == io::ErrorKind::PermissionDenied))?
        .ok_or_else(|| fault("the file is missing", false))?;
    let signer = Signer::from_pkcs8(&bytes).map_err(|what| fault(&what, false))?;
    if signer.public_key() == *public_key {
        Ok(signer)
    } else {
        Err(fault("it is another key than the journal's", false))
    }
}
