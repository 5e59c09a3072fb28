//! One record after another, each against what came before it: numbers, hashes, signatures, and what follows from all of them.

use crate::queue::Seq;
use crate::store::effect::Effect;
use crate::store::group::{AtBlock, Header, first_bad, look, records};
use crate::store::keys::{Signer, base_bytes, checkpoint_bytes, retire_bytes, signature_holds};
use crate::store::options::{Cut, Damage};
use crate::store::record::{Kind, Malformed, Record, decode_record};
use crate::store::scan::Surveyed;
use crate::store::standing::{Base, Checkpoint, Genesis, Standing};
use crate::store::verify::VerifyError;

/// How far the check has come.
pub(crate) struct Chain {
    pub(crate) journal: [u8; 16],
    pub(crate) public_key: [u8; 32],
    pub(crate) standing: Standing,
    pub(crate) first: Option<(Seq, [u8; 32])>,
    /// The last record that was good.
    pub(crate) last: (Seq, [u8; 32]),
    /// The oldest segment that is there.
    pub(crate) oldest: u32,
    pub(crate) number: Option<u64>,
    /// The last record that a signature over the chain vouches for, with all before it.
    vouched: Option<Seq>,
    pub(crate) sales: u64,
    pub(crate) checkpoints: u64,
}

impl Chain {
    /// Begins with the oldest segment, whose BASE says what came before.
    pub(crate) fn begin(segment: u32, bytes: &[u8]) -> Result<Self, VerifyError> {
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
            vouched: None,
            sales: 0,
            checkpoints: 0,
        })
    }

    pub(crate) fn segment(
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
                self.record(&record).map_err(|what| self.bad(segment, offset, &what))?;
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
    fn record(&mut self, record: &Record) -> Result<(), String> {
        let Record { seq, kind, stamp, origin, effect, body, previous, .. } = record;
        let signed = |bytes: &[u8]| {
            record.signature.is_some_and(|signature| signature_holds(&self.public_key, bytes, &signature))
        };
        match kind {
            Kind::Base => {
                let base = Base::decode(body).map_err(|Malformed(what)| what)?;
                if base.public_key != self.public_key {
                    return Err("a segment was made with another key".into());
                }
                if !signed(&base_bytes(&self.journal, *seq, previous, body)) {
                    return Err(self.unvouched(*seq, "at the beginning of a segment"));
                }
                if base.standing != self.standing {
                    return Err("its BASE does not follow from the records before".into());
                }
                self.vouched = Some(*seq);
            }
            Kind::Genesis => {
                let genesis = Genesis::decode(body).map_err(|Malformed(what)| what)?;
                if genesis.public_key != self.public_key || genesis.journal != self.journal {
                    return Err("the GENESIS is of another store".into());
                }
            }
            Kind::Checkpoint => {
                if !signed(&checkpoint_bytes(&self.journal, *seq, previous, body)) {
                    return Err(self.unvouched(*seq, "of a checkpoint"));
                }
                let checkpoint = Checkpoint::decode(body).map_err(|Malformed(what)| what)?;
                if checkpoint.standing != self.standing {
                    return Err("a checkpoint does not follow from the records before".into());
                }
                self.checkpoints += 1;
                self.vouched = Some(*seq);
            }
            Kind::Sale => {
                if !signed(&Signer::document_bytes(*kind, stamp, origin, effect, body)) {
                    return Err("the signature of a sale does not hold".into());
                }
                self.sales += 1;
            }
            Kind::Carry => self.carried(record)?,
            Kind::Retire => {
                if !signed(&retire_bytes(&self.journal, *seq, previous, effect, body)) {
                    return Err(self.unvouched(*seq, "of a retirement"));
                }
                let Effect::Retired(retired) = effect else {
                    return Err("a RETIRE that retires nothing".into());
                };
                if retired.first_segment == self.oldest
                    && self.first != Some((retired.first_seq, retired.previous))
                {
                    return Err("the oldest record is not the one that the retirement left".into());
                }
                self.vouched = Some(*seq);
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

    /// A signature over the chain does not hold, or is not there.
    fn unvouched(&self, seq: Seq, whose: &str) -> String {
        let since = self.vouched.map_or(seq, |vouched| vouched.saturating_add(1));
        format!(
            "the signature {whose}, over the chain before it, does not hold: a record from {since} on was changed, taken \
             out or put in"
        )
    }

    /// The original records inside a CARRY; a sale's signature is its own.
    fn carried(&self, carry: &Record) -> Result<(), &'static str> {
        let parts = match &carry.effect {
            Effect::Carried(carried) => {
                let bound = carried.bound.map(|(_, part)| part);
                [Some(carried.sale), bound, carried.outcome]
            }
            Effect::Kept { part, .. } | Effect::Reshelved { part, .. } => [Some(*part), None, None],
            _ => return Err("a CARRY that carries nothing"),
        };
        for part in parts.into_iter().flatten() {
            let bytes = part.bytes(&carry.body).map_err(|Malformed(what)| what)?;
            let original = decode_record(bytes).map_err(|Malformed(what)| what)?;
            let Record { kind, stamp, origin, effect, body, signature, .. } = &original;
            if let Effect::Reshelved { kind: shelf, key, .. } = &carry.effect
                && (shelf != kind || !matches!(effect, Effect::Shelved { key: its } if its == key))
            {
                return Err("a record that was taken along stands for another key");
            }
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
    pub(crate) fn retirement_mark(&self) -> Result<(), VerifyError> {
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

    /// After a segment's last whole group: nothing, or the torn end of the journal, with the first record in it that is not
    /// as it was written.
    pub(crate) fn tail(&self, bytes: &[u8], surveyed: &Surveyed) -> Result<Option<(Cut, Seq)>, VerifyError> {
        let group = self.number.unwrap_or(1);
        let strange = match (surveyed.newer, surveyed.foreign) {
            (true, _) => Some("what follows was written by a newer version of this program"),
            (_, true) => Some("records of another journal follow"),
            _ => None,
        };
        if let Some(what) = strange {
            return Err(self.bad(surveyed.segment, surveyed.end, what));
        }
        let broken = usize::try_from(surveyed.end).ok().and_then(|end| bytes.get(end..)).unwrap_or_default();
        let seq = match look(broken, Some(&self.journal)) {
            AtBlock::Torn(header) if header.first_seq == self.last.0 + 1 => first_bad(broken, &header),
            _ => self.last.0 + 1,
        };
        let cut = Cut { segment: surveyed.segment, offset: surveyed.end, group };
        if surveyed.beyond.is_some_and(|beyond| beyond > group) {
            return Err(broken_at((cut, seq), "a later one is there"));
        }
        Ok((surveyed.dirty_until > surveyed.end).then_some((cut, seq)))
    }

    /// The last record that a signature vouches for: at least the one that the oldest segment begins with.
    pub(crate) fn vouched(&self) -> Seq {
        self.vouched.unwrap_or_default()
    }

    /// The record after the last good one is bad.
    pub(crate) fn bad(&self, segment: u32, offset: u64, what: &str) -> VerifyError {
        let damage = Damage { segment, offset, what: what.to_owned() };
        VerifyError::Bad { seq: self.last.0 + 1, damage }
    }
}

/// A group that is not whole, and is not the journal's end either.
pub(crate) fn broken_at((cut, seq): (Cut, Seq), but: &str) -> VerifyError {
    let what = format!("a group is not whole, but {but}");
    VerifyError::Bad { seq, damage: Damage { segment: cut.segment, offset: cut.offset, what } }
}

pub(crate) fn bad_beginning(segment: u32, what: &str) -> VerifyError {
    VerifyError::Bad { seq: 1, damage: Damage { segment, offset: 0, what: what.into() } }
}
