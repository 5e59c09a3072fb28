//! Checking a journal from its first record to its last, without changing anything.

use std::io;
use std::path::{Path, PathBuf};

use crate::queue::Seq;
use crate::store::codec::length_u64;
use crate::store::disk::{Disk, RealDisk};
use crate::store::effect::Effect;
use crate::store::group::{AtBlock, Header, look, records};
use crate::store::journal::{list_segments, open_pack, read_segment, segment_name};
use crate::store::keys::{Signer, checkpoint_bytes, retire_bytes, signature_holds};
use crate::store::options::{Cut, Damage, Progress, Step};
use crate::store::packing::check_against_records;
use crate::store::record::{Kind, Malformed, Record, decode_record};
use crate::store::scan::{Surveyed, survey};
use crate::store::standing::{Base, Checkpoint, Genesis, Standing};

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

impl VerifyError {
    /// The exit code: 1 found a problem, 66 no store there, 74 the disk said no.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Bad { .. } => 1,
            Self::Io { .. } => 74,
            Self::NoStore { .. } => 66,
        }
    }
}

/// Checks the journal of the store in `dir`: checksums, running numbers, group numbers, the chain, the signatures of sales and
/// checkpoints. `up_to`: the head of the daemon that has it open; records after that are left alone. Blocks.
pub fn verify(
    dir: &Path,
    up_to: Option<Seq>,
    progress: &mut dyn FnMut(Progress),
) -> Result<VerifyReport, VerifyError> {
    walk(dir, up_to, progress, &mut |_| {})
}

/// The same, and shows each record that is good, in order.
pub(crate) fn walk(
    dir: &Path,
    up_to: Option<Seq>,
    progress: &mut dyn FnMut(Progress),
    each: &mut dyn FnMut(&Record),
) -> Result<VerifyReport, VerifyError> {
    let path = dir.join("journal");
    if !path.is_dir() {
        return Err(VerifyError::NoStore { path });
    }
    walk_on(&RealDisk { directory: path.clone() }, &path, up_to, progress, each)
}

fn bad_beginning(segment: u32, what: &str) -> VerifyError {
    VerifyError::Bad { seq: 1, damage: Damage { segment, offset: 0, what: what.into() } }
}

/// Where the check stands.
struct Checker {
    journal: [u8; 16],
    public_key: [u8; 32],
    standing: Standing,
    first: Option<(Seq, [u8; 32])>,
    /// The last record that was good.
    last: (Seq, [u8; 32]),
    /// The oldest segment that is there.
    oldest: u32,
    number: Option<u64>,
    sales: u64,
    checkpoints: u64,
}

#[cfg(test)]
pub(crate) fn verify_on(
    disk: &dyn Disk,
    path: &Path,
    up_to: Option<Seq>,
    progress: &mut dyn FnMut(Progress),
) -> Result<VerifyReport, VerifyError> {
    walk_on(disk, path, up_to, progress, &mut |_| {})
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
    let mut checker: Option<Checker> = None;
    let mut buffer = Vec::new();
    let mut tail = None;
    let mut read = 0;
    for (done, (segment, _)) in (0..).zip(&segments) {
        progress(Progress { step: Step::Verify, done, total: length_u64(segments.len()) });
        // A segment may have been retired since `up_to` was asked for: then the record that says so comes later.
        let done = |checker: &Checker| {
            up_to.is_some_and(|up_to| checker.last.0 >= up_to)
                && checker.standing.first_segment >= checker.oldest
        };
        if checker.as_ref().is_some_and(done) {
            break;
        }
        // What comes after an unfinished end was never written in order.
        if let (Some(checker), Some(Cut { segment, offset, .. })) = (&checker, tail) {
            return Err(checker.bad(segment, offset, "a group is not whole, but there are later segments"));
        }
        match read_segment(disk, *segment, &mut buffer) {
            Ok(()) => {}
            // A compressed segment that is not as it was written.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(match &checker {
                    Some(checker) => checker.bad(*segment, 0, &error.to_string()),
                    None => bad_beginning(*segment, &error.to_string()),
                });
            }
            Err(error) => return Err(io_at(segment_name(*segment))(error)),
        }
        read += 1;
        let found = match &mut checker {
            Some(checker) => checker,
            None => checker.insert(Checker::begin(*segment, &buffer)?),
        };
        let surveyed = survey(*segment, &buffer, &found.journal);
        let pack = open_pack(disk, *segment).ok().flatten();
        found.segment(&buffer, (&surveyed, pack.is_some()), up_to, each)?;
        if let (Some(pack), true) = (pack, found.number.is_some()) {
            check_against_records(&pack).map_err(|error| found.bad(*segment, 0, &error.to_string()))?;
        }
        if !done(found) {
            tail = found.tail(&surveyed)?;
        }
    }
    let checker = checker.ok_or_else(|| VerifyError::NoStore { path: path.to_owned() })?;
    if let Some(up_to) = up_to.filter(|up_to| checker.last.0 < *up_to) {
        let what = format!("the journal ends before record {up_to}, which was acknowledged");
        return Err(checker.bad(segments.last().map_or(0, |(segment, _)| *segment), 0, &what));
    }
    checker.retirement_mark()?;
    Ok(VerifyReport {
        public_key: checker.public_key,
        journal: checker.journal,
        first: checker.first.unwrap_or_default(),
        last: checker.last,
        segments: read,
        sales: checker.sales,
        checkpoints: checker.checkpoints,
        tail,
    })
}

impl Checker {
    /// Begins with the oldest segment, whose BASE says what came before.
    fn begin(segment: u32, bytes: &[u8]) -> Result<Self, VerifyError> {
        let bad = |what: &str| bad_beginning(segment, what);
        let AtBlock::Whole(header) = look(bytes, None) else {
            return Err(bad("the first group is not readable"));
        };
        let found = records(bytes, &header, segment, 0).map_err(|Malformed(what)| bad(what))?;
        let base = found.first().filter(|(_, record)| record.kind == Kind::Base);
        let Some(Ok(base)) = base.map(|(_, record)| Base::decode(&record.body)) else {
            return Err(bad("the segment does not begin with its BASE"));
        };
        Ok(Self {
            journal: header.journal,
            public_key: base.public_key,
            standing: base.standing,
            first: None,
            last: (header.first_seq.saturating_sub(1), header.previous),
            oldest: segment,
            number: None,
            sales: 0,
            checkpoints: 0,
        })
    }

    fn segment(
        &mut self,
        bytes: &[u8],
        (surveyed, packed): (&Surveyed, bool),
        up_to: Option<Seq>,
        each: &mut dyn FnMut(&Record),
    ) -> Result<(), VerifyError> {
        let segment = surveyed.segment;
        let mut declared = 0;
        for (group_at, header) in &surveyed.groups {
            if up_to.is_some_and(|up_to| self.last.0 >= up_to) && self.standing.first_segment >= self.oldest {
                return Ok(());
            }
            self.group_header(segment, *group_at, header)?;
            let start = usize::try_from(*group_at).unwrap_or(usize::MAX);
            let group = bytes.get(start..).unwrap_or_default();
            let found = records(group, header, segment, *group_at)
                .map_err(|Malformed(what)| self.bad(segment, *group_at, what))?;
            for (index, (at, record)) in found.into_iter().enumerate() {
                let offset = u64::from(at.offset);
                if *group_at == 0 && index == 0 && record.kind != Kind::Base {
                    return Err(self.bad(segment, offset, "the segment does not begin with its BASE"));
                }
                self.record(&record).map_err(|what| self.bad(segment, offset, what))?;
                self.standing.apply(record.kind, &record.effect, record.used, at);
                if let (Kind::Checkpoint, Ok(checkpoint)) = (record.kind, Checkpoint::decode(&record.body)) {
                    self.standing.checkpointed(checkpoint.replay_segment);
                }
                self.first.get_or_insert((record.seq, record.previous));
                self.last = (record.seq, record.hash);
                if let (Kind::Base, Ok(base)) = (record.kind, Base::decode(&record.body)) {
                    declared = u64::from(base.declared);
                }
                each(&record);
            }
        }
        if !packed && surveyed.length < declared {
            let what = format!("it is {} bytes long, it was made with {declared}", surveyed.length);
            return Err(self.bad(segment, surveyed.length, &what));
        }
        Ok(())
    }

    fn group_header(&mut self, segment: u32, offset: u64, header: &Header) -> Result<(), VerifyError> {
        let bad = |what: String| Err(self.bad(segment, offset, &what));
        if let Some(number) = self.number.filter(|number| *number != header.number) {
            return bad(format!("group {number} should be here, group {} is", header.number));
        }
        if header.first_seq != self.last.0 + 1 {
            return bad(format!("record {} comes after record {}", header.first_seq, self.last.0));
        }
        if header.previous != self.last.1 {
            return bad("the chain is broken: it does not go on from the record before".into());
        }
        self.number = Some(header.number + 1);
        Ok(())
    }

    /// What a record itself says, against what came before.
    fn record(&mut self, record: &Record) -> Result<(), &'static str> {
        let signed = |bytes: &[u8]| {
            record.signature.is_some_and(|signature| signature_holds(&self.public_key, bytes, &signature))
        };
        match record.kind {
            Kind::Base => {
                let base = Base::decode(&record.body).map_err(|Malformed(what)| what)?;
                if base.public_key != self.public_key {
                    return Err("a segment was made with another key");
                }
                if base.standing != self.standing {
                    return Err("its BASE does not follow from the records before");
                }
            }
            Kind::Genesis => {
                let genesis = Genesis::decode(&record.body).map_err(|Malformed(what)| what)?;
                if genesis.public_key != self.public_key || genesis.journal != self.journal {
                    return Err("the GENESIS is of another store");
                }
            }
            Kind::Checkpoint => {
                if !signed(&checkpoint_bytes(&self.journal, record.seq, &record.previous, &record.body)) {
                    return Err(
                        "the signature of a checkpoint does not hold: something before it was changed",
                    );
                }
                let checkpoint = Checkpoint::decode(&record.body).map_err(|Malformed(what)| what)?;
                if checkpoint.standing != self.standing {
                    return Err("a checkpoint does not follow from the records before");
                }
                self.checkpoints += 1;
            }
            Kind::Sale => {
                let Record { kind, stamp, origin, effect, body, .. } = record;
                if !signed(&Signer::document_bytes(*kind, stamp, origin, effect, body)) {
                    return Err("the signature of a sale does not hold");
                }
                self.sales += 1;
            }
            Kind::Carry => self.carried(record)?,
            Kind::Retire => {
                let Record { seq, previous, effect, body, .. } = record;
                if !signed(&retire_bytes(&self.journal, *seq, previous, effect, body)) {
                    return Err("the signature of a retirement does not hold");
                }
                let Effect::Retired(retired) = effect else { return Err("a RETIRE that retires nothing") };
                if retired.first_segment == self.oldest
                    && self.first != Some((retired.first_seq, retired.previous))
                {
                    return Err("the oldest record is not the one that the retirement left");
                }
            }
            Kind::Init
            | Kind::Registration
            | Kind::Foreign
            | Kind::Bind
            | Kind::Outcome
            | Kind::Item
            | Kind::Codes
            | Kind::Event
            | Kind::Admin
            | Kind::Recovered => {}
        }
        Ok(())
    }

    /// The original records inside a CARRY; a sale's signature is its own.
    fn carried(&self, carry: &Record) -> Result<(), &'static str> {
        let parts = match &carry.effect {
            Effect::Carried(carried) => {
                let bound = carried.bound.map(|(_, part)| part);
                [Some(carried.sale), bound, carried.outcome]
            }
            Effect::Kept { part, .. } => [Some(*part), None, None],
            _ => return Err("a CARRY that carries nothing"),
        };
        for part in parts.into_iter().flatten() {
            let bytes = part.bytes(&carry.body).map_err(|Malformed(what)| what)?;
            let original = decode_record(bytes).map_err(|Malformed(what)| what)?;
            let Record { kind, stamp, origin, effect, body, signature, .. } = &original;
            let document = Signer::document_bytes(*kind, stamp, origin, effect, body);
            if *kind == Kind::Sale
                && !signature
                    .is_some_and(|signature| signature_holds(&self.public_key, &document, &signature))
            {
                return Err("the signature of a sale that was taken along does not hold");
            }
        }
        Ok(())
    }

    /// What is not there any more must have been retired, by a record in the chain.
    fn retirement_mark(&self) -> Result<(), VerifyError> {
        let first = self.standing.first_segment;
        if first >= self.oldest {
            return Ok(());
        }
        let what = format!(
            "segments {first} to {} are missing: nothing says that they were retired",
            self.oldest - 1
        );
        let damage = Damage { segment: first, offset: 0, what };
        Err(VerifyError::Bad { seq: self.standing.first_seq, damage })
    }

    /// After a segment's last whole group: nothing, or the torn end of the journal.
    fn tail(&self, surveyed: &Surveyed) -> Result<Option<Cut>, VerifyError> {
        let group = self.number.unwrap_or(1);
        if surveyed.beyond.is_some_and(|beyond| beyond > group) {
            return Err(self.bad(
                surveyed.segment,
                surveyed.end,
                "a group is not whole, but a later one is there",
            ));
        }
        let dirty = surveyed.dirty_until > surveyed.end;
        Ok(dirty.then_some(Cut { segment: surveyed.segment, offset: surveyed.end, group }))
    }

    /// The record after the last good one is bad.
    fn bad(&self, segment: u32, offset: u64, what: &str) -> VerifyError {
        let damage = Damage { segment, offset, what: what.to_owned() };
        VerifyError::Bad { seq: self.last.0 + 1, damage }
    }
}
