//! Sales that KRA has and whose proof could not be had: its books are asked again, late and in passing. Whatever comes of
//! it says nothing of the line and holds up no sale; a look-up that is broken off by one is asked again later.

use std::collections::BTreeMap;
use std::time::Duration;

use super::answers::Standing;
use super::{Action, Dice, Doing, Drain, LookUp, Moment, NumberFate, Ruling, Seq, Status, View, Words};
use crate::queue::{Equality, backoff};

/// The pause before the first look-up; it is doubled for each that comes to nothing.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
/// The longest pause between two look-ups of one document.
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);
/// Between two look-ups of any, ended or broken off: a KRA that shows nobody's proof is not asked all day long.
const SPACING: Duration = Duration::from_secs(10);
/// When which document is looked up next. Forgotten at a start, and begun anew.
#[derive(Clone, Debug, Default)]
pub(super) struct Proofs {
    due: BTreeMap<(Moment, Seq), Missing>,
    /// Against whom KRA's books speak.
    denied: BTreeMap<Seq, Denied>,
    /// Nobody is looked up before.
    not_before: Moment,
}

/// KRA called a sale accepted, and its books do not show it under its number: they hold nothing there, or another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// The sale.
    pub document: Seq,
    /// The number that it was sent under.
    pub number: u64,
    /// Whose invoice they hold there (`trdInvcNo`), where they hold one and say so.
    pub stranger: Option<String>,
}

/// A proof that is not there.
#[derive(Clone, Copy, Debug)]
struct Missing {
    number: u64,
    /// Nothing was sent under the number from then on.
    since: Moment,
    /// Look-ups that came to nothing.
    in_vain: u32,
}

impl Proofs {
    /// Anew: with the first pause.
    fn add(&mut self, now: Moment, document: Seq, number: u64) {
        self.remove(document);
        if self.due.len() < Drain::MOST_WITHOUT_PROOF {
            self.due.insert((now.after(FIRST_PAUSE), document), Missing { number, since: now, in_vain: 0 });
        }
    }

    pub(super) fn remove(&mut self, document: Seq) {
        self.due.retain(|(_, it), _| *it != document);
        self.denied.remove(&document);
    }

    /// Whether KRA's books speak against it.
    pub(super) fn denies(&self, document: Seq) -> bool {
        self.denied.contains_key(&document)
    }

    /// What KRA's books say of it. That they do not have it counts only once nothing can land any more.
    fn told(&mut self, document: Seq, look_up: &LookUp, sure: impl Fn(Moment) -> bool) {
        let Some(missing) = self.due.iter().find(|((_, it), _)| *it == document).map(|(_, it)| *it) else {
            return;
        };
        let stranger = match look_up {
            LookUp::Found { equality: Some(Equality::Different(_)), trader_ref, .. } => trader_ref.clone(),
            LookUp::Absent if sure(missing.since) => None,
            LookUp::Found { equality: Some(Equality::Equal(_)), .. } => {
                self.denied.remove(&document);
                return;
            }
            _ => return,
        };
        self.denied.insert(document, Denied { document, number: missing.number, stranger });
    }

    /// When the next one is to be asked for.
    pub(super) fn next(&self) -> Option<Moment> {
        let ((due, _), _) = self.due.first_key_value()?;
        Some((*due).max(self.not_before))
    }

    fn first(&self) -> Option<(Seq, u64)> {
        self.due.first_key_value().map(|((_, document), missing)| (*document, missing.number))
    }

    /// It came to nothing: later, and later still the next time. Half of the pause is by the dice.
    fn later(&mut self, now: Moment, document: Seq, told: Duration, dice: Dice) {
        let key = self.due.keys().copied().find(|(_, it)| *it == document);
        let Some(missing) = key.and_then(|key| self.due.remove(&key)) else { return };
        let in_vain = missing.in_vain.saturating_add(1);
        let doubled = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(in_vain)).min(LONGEST_PAUSE);
        let pause = doubled / 2 + backoff::spread(doubled / 2, dice);
        self.due.insert((now.after(pause.max(told)), document), Missing { in_vain, ..missing });
    }
}

impl Drain {
    /// So many documents are looked up again by themselves; what is over waits for a start, or for a person.
    pub const MOST_WITHOUT_PROOF: usize = 1_000;

    /// At a start, and after a person adopted the series: the documents that KRA has without their proof, and their numbers.
    /// Those that are known already keep their pauses; those that are no longer among them are forgotten.
    pub fn recall_without_proof(&mut self, now: Moment, documents: &[(Seq, u64)]) {
        self.proof_wanted.take_if(|wanted| !documents.contains(wanted));
        let mut due = std::mem::take(&mut self.proofs.due);
        due.retain(|(_, document), missing| documents.contains(&(*document, missing.number)));
        let known: Vec<Seq> = due.keys().map(|(_, document)| *document).collect();
        self.proofs.due = due;
        self.proofs.denied.retain(|document, _| known.contains(document));
        for (document, number) in documents.iter().filter(|(document, _)| !known.contains(document)) {
            self.proofs.add(now, *document, *number);
        }
    }

    /// In KRA's books, its proof not to be had: never sent again, and looked up again later.
    pub(super) fn without_proof(
        &mut self,
        now: Moment,
        standing: &Standing,
        message: &str,
        adopted: bool,
    ) -> Action {
        let document = standing.waiting.document;
        self.proofs.add(now, document, standing.number);
        self.record(document, standing.accepted_no_proof(message, adopted))
    }

    /// Sales that KRA called accepted and that its books do not show: a person decides what they are.
    pub fn denied(&self) -> impl Iterator<Item = &Denied> {
        self.proofs.denied.values()
    }

    /// Whether this look-up is made in passing: it is broken off as soon as there is a sale to send.
    pub const fn in_passing(&self) -> bool {
        matches!(self.doing, Doing::AskingForProof(..) | Doing::AskingListForProof(_))
    }

    /// A person wants it now, whatever else there is to do.
    pub(super) fn ask_for_proof(&mut self, now: Moment, document: Seq, number: u64) -> Action {
        self.asked_at = now;
        self.doing = Doing::AskingForProof(document, number);
        Action::LookUp(number, Some(document))
    }

    /// This server does not show single invoices: perhaps it lists them (delivery rules, section 3).
    pub(super) fn ask_list_for_proof(&mut self, document: Seq, number: u64) -> Action {
        self.doing = Doing::AskingListForProof(document);
        Action::LookUpInList(number, document)
    }

    /// No sale can be sent: is there a proof to ask for, or how long is there nothing to do?
    pub(super) fn idle(&mut self, now: Moment, otherwise: Option<Moment>) -> Action {
        let next = self.proofs.next().filter(|_| self.hold.is_none());
        let next = next.map(|due| self.not_before.map_or(due, |until| due.max(until)));
        if next.is_some_and(|due| due <= now)
            && let Some((document, number)) = self.proofs.first()
        {
            self.proofs.not_before = now.after(SPACING);
            return self.ask_for_proof(now, document, number);
        }
        Action::WaitUntil(next.into_iter().chain(otherwise).min())
    }

    /// KRA's books were asked for the proof of what is in them.
    pub(super) fn proof_answered(
        &mut self,
        now: Moment,
        document: Seq,
        look_up: LookUp,
        view: &View,
        dice: Dice,
    ) -> Action {
        let lands = self.policy.request_timeout.saturating_mul(2);
        self.proofs.told(document, &look_up, |since| self.asked_at >= since.after(lands));
        let told = match look_up {
            LookUp::Found { equality: Some(Equality::Equal(Some(proof))), .. } => {
                self.proofs.remove(document);
                let ruling = Ruling {
                    status: Status::Signed,
                    attempts: 0,
                    unsure_sends: 0,
                    number: NumberFate::Used,
                    proof: Some(proof),
                    adopted: true,
                    accepted: false,
                    with_original: false,
                    words: Words::default(),
                };
                self.doing = Doing::Recording(None);
                return Action::Record(document, Box::new(ruling), None);
            }
            LookUp::Busy(busy) => busy.words.retry_after.max(busy.floor).unwrap_or_default(),
            LookUp::Failed(words) | LookUp::Missing(words) | LookUp::Refused(words) => {
                words.retry_after.unwrap_or_default()
            }
            LookUp::Absent | LookUp::Found { .. } => Duration::ZERO,
        };
        self.proofs.not_before = self.proofs.not_before.max(now.after(told));
        self.proofs.later(now, document, told, dice);
        self.rest(now, view)
    }
}
