//! Checking a journal from its first record to its last, without changing anything.

use std::io;
use std::path::{Path, PathBuf};

use crate::queue::Seq;
use crate::store::chain::{Chain, bad_beginning, broken_at};
use crate::store::codec::length_u64;
use crate::store::disk::{Disk, RealDisk};
use crate::store::journal::{list_segments, open_pack, read_segment, segment_name};
use crate::store::options::{Cut, Damage, Progress, Step};
use crate::store::packing::check_against_records;
use crate::store::record::Record;
use crate::store::scan::survey;

/// How often the segments are listed, if some go away under the hands.
const TRIES: usize = 4;

/// What a whole journal consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyReport {
    /// The key that all signatures were checked with. Compare it with what was written down elsewhere.
    pub public_key: [u8; 32],
    /// The journal's random id.
    pub journal: [u8; 16],
    /// The first record still kept, and the hash of the one before it.
    pub first: (Seq, [u8; 32]),
    /// The last record checked, and its hash.
    pub last: (Seq, [u8; 32]),
    /// The last record that a signature over the chain vouches for, with all before it. Those after it hang together, and
    /// the sales among them are signed; that none of them was taken out is not proven yet.
    pub vouched: Seq,
    /// How many segments were read.
    pub segments: u64,
    /// How many signed sales.
    pub sales: u64,
    /// How many signed checkpoints.
    pub checkpoints: u64,
    /// Unfinished bytes at the end, never acknowledged, which the next start will cut. Of a store in use: none.
    pub tail: Option<Cut>,
}

/// The journal could not be checked, or is not as it was written.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The first record that is not as it was written, or not there.
    #[error("record {seq}: {damage}")]
    Bad {
        /// Its running number.
        seq: Seq,
        /// Where, and what is wrong.
        damage: Damage,
    },
    /// The disk said no.
    #[error("{}: {source}", path.display())]
    Io {
        /// What was read.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// There is no journal.
    #[error("there is no journal in {}", path.display())]
    NoStore {
        /// Where it was looked for.
        path: PathBuf,
    },
}

/// Checks the journal of the store in `dir`: checksums, running numbers, group numbers, the chain, the signatures over sales
/// and over the chain. `up_to`: the head of the daemon that has it open; records after that are left alone. Blocks.
pub fn verify(
    dir: &Path,
    up_to: Option<Seq>,
    progress: &mut dyn FnMut(Progress),
) -> Result<VerifyReport, VerifyError> {
    again_if_gone(|| walk(dir, up_to, progress, &mut |_| {}))
}

/// A segment that was listed and is not there any more was compressed or retired by the daemon meanwhile, which is seen when
/// they are listed again.
fn again_if_gone(
    mut check: impl FnMut() -> Result<VerifyReport, VerifyError>,
) -> Result<VerifyReport, VerifyError> {
    for _ in 1..TRIES {
        match check() {
            Err(VerifyError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
    }
    check()
}

/// The same, and shows each record that is good, in order.
pub(crate) fn walk(
    dir: &Path,
    up_to: Option<Seq>,
    progress: &mut dyn FnMut(Progress),
    each: &mut dyn FnMut(&Record),
) -> Result<VerifyReport, VerifyError> {
    let path = dir.join("journal");
    match std::fs::metadata(&path) {
        Ok(found) if found.is_dir() => {}
        Err(source) if source.kind() == io::ErrorKind::PermissionDenied => {
            return Err(VerifyError::Io { path, source });
        }
        Ok(_) | Err(_) => return Err(VerifyError::NoStore { path }),
    }
    walk_on(&RealDisk { directory: path.clone() }, &path, up_to, progress, each)
}

#[cfg(test)]
pub(crate) fn verify_on(
    disk: &dyn Disk,
    path: &Path,
    up_to: Option<Seq>,
    progress: &mut dyn FnMut(Progress),
) -> Result<VerifyReport, VerifyError> {
    again_if_gone(|| walk_on(disk, path, up_to, progress, &mut |_| {}))
}

fn walk_on(
    disk: &dyn Disk,
    path: &Path,
    up_to: Option<Seq>,
    progress: &mut dyn FnMut(Progress),
    each: &mut dyn FnMut(&Record),
) -> Result<VerifyReport, VerifyError> {
    let io_at = |name: String| move |source| VerifyError::Io { path: path.join(name), source };
    let segments = list_segments(disk).map_err(io_at(String::new()))?;
    if segments.is_empty() {
        return Err(VerifyError::NoStore { path: path.to_owned() });
    }
    let mut chain: Option<Chain> = None;
    let mut buffer = Vec::new();
    let mut tail = None;
    let mut read = 0;
    for (done, (segment, _)) in (0..).zip(&segments) {
        progress(Progress { step: Step::Verify, done, total: length_u64(segments.len()) });
        // A segment may have been retired since `up_to` was asked for: then the record that says so comes later.
        let done = |chain: &Chain| {
            up_to.is_some_and(|up_to| chain.last.0 >= up_to) && chain.standing.first_segment >= chain.oldest
        };
        if chain.as_ref().is_some_and(done) {
            break;
        }
        match read_segment(disk, *segment, &mut buffer) {
            Ok(()) => {}
            // A compressed segment that is not as it was written.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(match &chain {
                    Some(chain) => chain.bad(*segment, 0, &error.to_string()),
                    None => bad_beginning(*segment, &error.to_string()),
                });
            }
            Err(error) => return Err(io_at(segment_name(*segment))(error)),
        }
        read += 1;
        let found = match &mut chain {
            Some(chain) => chain,
            None => chain.insert(Chain::begin(*segment, &buffer)?),
        };
        let surveyed = survey(*segment, &buffer, &found.journal);
        // What stands after the last group of a segment is nobody's, if the next segment goes on where that group ends.
        let goes_on = surveyed.groups.first().map(|(_, header)| header.number) == found.number;
        if let Some(cut) = tail.filter(|_| !goes_on) {
            return Err(broken_at(cut, "there are later segments"));
        }
        let pack = open_pack(disk, *segment).ok().flatten();
        found.segment(&buffer, (&surveyed, pack.is_some()), up_to, each)?;
        if let (Some(pack), true) = (pack, found.number.is_some()) {
            check_against_records(&pack).map_err(|error| found.bad(*segment, 0, &error.to_string()))?;
        }
        if !done(found) {
            tail = found.tail(&buffer, &surveyed)?;
        }
    }
    let chain = chain.ok_or_else(|| VerifyError::NoStore { path: path.to_owned() })?;
    if let Some(up_to) = up_to.filter(|up_to| chain.last.0 < *up_to) {
        let what = format!("the journal ends before record {up_to}, which was acknowledged");
        return Err(chain.bad(segments.last().map_or(0, |(segment, _)| *segment), 0, &what));
    }
    chain.retirement_mark()?;
    Ok(VerifyReport {
        public_key: chain.public_key,
        journal: chain.journal,
        first: chain.first.unwrap_or_default(),
        last: chain.last,
        vouched: chain.vouched(),
        segments: read,
        sales: chain.sales,
        checkpoints: chain.checkpoints,
        tail: tail.map(|(cut, _)| cut),
    })
}
