//! What is on disk, in small.

use crate::queue::adoption::{Finding, Outcome};
use crate::queue::drain::{Drain, NumberFate, Ruling, Subject, View, Waiting};
use crate::queue::{Moment, OriginalStands, Seen, Seq, Settlement, Status, Words};

#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) document: Seq,
    pub(super) status: Status,
    pub(super) bound: Option<u64>,
    pub(super) answered: bool,
    pub(super) accepted: bool,
    pub(super) unsure_sends: u32,
    pub(super) attempts: u32,
    /// A number of its went to somebody else: its place in the order is its own no longer.
    pub(super) displaced: bool,
    /// The sale that it credits.
    pub(super) original: Option<Seq>,
    /// It was set aside with that.
    pub(super) with_original: bool,
    /// As what a person closed it.
    pub(super) settled: Option<Settlement>,
}

impl Kept {
    pub(super) fn waiting(document: Seq) -> Self {
        Self {
            document,
            status: Status::Pending,
            bound: None,
            answered: false,
            accepted: false,
            unsure_sends: 0,
            attempts: 0,
            displaced: false,
            original: None,
            with_original: false,
            settled: None,
        }
    }

    /// A credit note on this sale; it waits for that, so its own place is nobody's promise.
    pub(super) fn note(document: Seq, original: Seq) -> Self {
        Self { original: Some(original), displaced: true, ..Self::waiting(document) }
    }

    /// Released by a person, or with its sale.
    pub(super) fn release(&mut self) {
        let Self { document, original, settled, .. } = *self;
        *self = Self { displaced: true, original, settled, ..Self::waiting(document) };
    }

    pub(super) fn seen(&self) -> Seen {
        let Self { status, bound, attempts, unsure_sends, .. } = *self;
        Seen { status, invoice_no: bound, attempts, unsure_sends }
    }
}

#[derive(Default)]
pub(super) struct Log {
    pub(super) kept: Vec<Kept>,
    pub(super) next_number: u64,
    pub(super) last: Option<(u64, String)>,
    /// Signatures by number.
    pub(super) used: Vec<(u64, String)>,
}

impl Log {
    pub(super) fn view(&self, drain: &Drain, now: Moment) -> View {
        let waiting = |kept: &Kept| Waiting {
            document: kept.document,
            bound: kept.bound,
            unsure_sends: kept.unsure_sends,
            answered: kept.answered,
            accepted: kept.accepted,
            attempts: kept.attempts,
            original: kept.original.map(|original| (original, self.stands(original))),
        };
        let pending = || self.kept.iter().filter(|kept| kept.status == Status::Pending);
        let aside = drain.aside(now);
        let waits = |kept: &Kept| kept.original.is_some_and(|it| self.stands(it) == OriginalStands::Waiting);
        let ready = || pending().filter(|kept| !aside.contains(&kept.document) && !waits(kept));
        let head = pending().find(|kept| kept.bound.is_some()).or_else(|| ready().next());
        let after = ready().find(|kept| head.is_some_and(|head| kept.document != head.document));
        let stranded = pending().find(|kept| {
            let stands = kept.original.map(|original| self.stands(original));
            kept.bound.is_none() && matches!(stands, Some(OriginalStands::Parked | OriginalStands::Refused))
        });
        View {
            stranded: stranded.map(waiting),
            head: head.map(waiting),
            after: after.map(waiting),
            next_number: self.next_number,
            last: self.last.clone(),
        }
    }

    pub(super) fn stands(&self, document: Seq) -> OriginalStands {
        let kept = self.kept.iter().find(|kept| kept.document == document);
        kept.map_or(OriginalStands::Gone, |it| OriginalStands::of(it.status, it.bound.is_some(), it.settled))
    }

    /// What was set aside with its sale goes on with it.
    pub(super) fn rejoin(&mut self) {
        let strays: Vec<Seq> = self
            .kept
            .iter()
            .filter(|kept| kept.status == Status::Parked && kept.with_original)
            .filter(|kept| kept.original.is_some_and(|it| self.stands(it).why_parked().is_none()))
            .map(|kept| kept.document)
            .collect();
        for note in strays {
            self.kept(note).release();
        }
    }

    pub(super) fn kept(&mut self, document: Seq) -> &mut Kept {
        self.kept.iter_mut().find(|kept| kept.document == document).unwrap()
    }

    pub(super) fn subject(&self, document: Seq) -> Option<Subject> {
        let kept = self.kept.iter().find(|kept| kept.document == document)?;
        let original = kept.original.map(|original| self.stands(original));
        let subject = Subject { standing: kept.seen(), words: Words::default(), original };
        (!kept.status.is_finished()).then_some(subject)
    }

    /// Those that KRA has without their proof, and their numbers.
    pub(super) fn without_proof(&self) -> Vec<(Seq, u64)> {
        let without = self.kept.iter().filter(|kept| kept.status == Status::AcceptedNoProof);
        without.map(|kept| (kept.document, kept.bound.expect("it was sent under a number"))).collect()
    }

    pub(super) fn bind(&mut self, document: Seq, number: u64) {
        assert_eq!(number, self.next_number, "a number is bound out of its turn");
        let other =
            self.kept.iter().find(|kept| kept.bound == Some(number) && kept.status == Status::Pending);
        assert!(other.is_none_or(|other| other.document == document), "two documents bound to {number}");
        let kept = self.kept(document);
        assert_eq!(kept.status, Status::Pending, "{kept:?} is bound");
        kept.bound = Some(number);
        kept.answered = false;
        kept.accepted = false;
    }

    pub(super) fn record(&mut self, document: Seq, ruling: &Ruling) {
        let kept = self.kept(document);
        assert!(!kept.status.is_finished(), "{kept:?} is finished and becomes {ruling:?}");
        kept.status = ruling.status;
        kept.attempts = ruling.attempts;
        kept.unsure_sends = ruling.unsure_sends;
        kept.answered = true;
        kept.accepted = ruling.accepted;
        kept.with_original = ruling.with_original;
        match ruling.number {
            NumberFate::Kept => {}
            NumberFate::Released => {
                kept.bound = None;
                kept.displaced = true;
            }
            NumberFate::Used => {
                let number = kept.bound.expect("a used number was bound");
                let sign = ruling.proof.as_ref().map(|proof| proof.signature.clone()).unwrap_or_default();
                self.use_number(number, sign);
            }
        }
    }

    fn use_number(&mut self, number: u64, sign: String) {
        if number <= self.next_number {
            self.next_number = self.next_number.max(number + 1);
            if self.last.as_ref().is_none_or(|(last, _)| *last <= number) {
                self.last = Some((number, sign.clone()));
            }
        }
        self.used.retain(|(used, _)| *used != number);
        self.used.push((number, sign));
    }

    pub(super) fn write_finding(&mut self, finding: &Finding) {
        match finding {
            Finding::Foreign { number, signature, .. } => {
                self.used.push((*number, signature.clone().unwrap_or_default()));
                self.next_number = number + 1;
                self.last = Some((*number, signature.clone().unwrap_or_default()));
            }
            Finding::Ours { number, document, ruling, .. } => {
                self.kept(*document).bound = Some(*number);
                self.record(*document, ruling);
            }
            Finding::Released(document, _, ruling) => self.record(*document, ruling),
        }
    }

    pub(super) fn set_series(&mut self, outcome: &Outcome) {
        self.next_number = outcome.next;
        self.last.clone_from(&outcome.last);
    }
}
