//! The way out of a stopped series: KRA's numbers are walked from the highest that both books agree on up to the first
//! that is free. Strangers are written down, our own are taken over, and the series goes on behind them.

use std::collections::VecDeque;

use super::drain::{NumberFate, Ruling};
use super::{Equality, Seen, Seq, Status, Words};

/// So many of our last invoices may be missing in KRA's books, or be others there, before this is beyond repair by walking.
const FARTHEST_BACK: u64 = 200;

/// What both books say about one number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// KRA's.
    pub theirs: Theirs,
    /// The signature that KRA gave under this number as our books have it, empty where it gave none; `None`: our books do
    /// not know the number.
    pub ours: Option<String>,
    /// A document of ours that KRA's invoice could be: the one bound to this number, or the one with its `trdInvcNo`.
    pub claim: Option<Claim>,
}

/// What KRA's books say about one number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Theirs {
    /// No such invoice.
    Absent,
    /// They cannot be read.
    Failed(Words),
    /// There is no look-up function.
    Missing,
    /// There is one.
    There {
        /// `trdInvcNo`.
        trader_ref: Option<String>,
        /// `rcptSign`.
        signature: Option<String>,
    },
}

/// An unfinished document of ours, compared with KRA's invoice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Which.
    pub document: Seq,
    /// The register's own number for it.
    pub trader_ref: String,
    /// How it stands.
    pub standing: Seen,
    /// What the comparison found.
    pub equality: Equality,
}

/// The document that is bound to a number and perhaps in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tied {
    /// Which.
    pub document: Seq,
    /// How it stands.
    pub standing: Seen,
    /// The number.
    pub number: u64,
    /// Nothing that was sent under it can land any more, if KRA's books do not have it.
    pub landed: bool,
    /// KRA called it accepted under it, without its proof.
    pub accepted: bool,
}

/// What the walk does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Read both books under this number.
    Read(u64),
    /// Write down what was found, and go on.
    Write(Finding),
    /// Set the series: the next number, and the one before with KRA's signature.
    Finish(Outcome),
    /// It cannot be done, in words that say what to do.
    Refuse(String),
}

/// What was found under a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// An invoice that is not ours.
    Foreign {
        /// The number.
        number: u64,
        /// `trdInvcNo`.
        trader_ref: Option<String>,
        /// `rcptSign`.
        signature: Option<String>,
    },
    /// A document of ours that we did not know to be in.
    Ours {
        /// The number.
        number: u64,
        /// Which.
        document: Seq,
        /// How it stood.
        standing: Seen,
        /// What becomes of it.
        ruling: Box<Ruling>,
    },
    /// Our document was bound to a number that KRA does not have: it is bound anew.
    Released(Seq, Seen, Box<Ruling>),
}

/// How the walk ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The next number.
    pub next: u64,
    /// The last number in KRA's books, and its signature.
    pub last: Option<(u64, String)>,
    /// Invoices that are not ours.
    pub strangers: u64,
    /// Documents of ours that were found in KRA's books.
    pub adopted: u64,
    /// Numbers of ours that KRA's books no longer have.
    pub missing: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Walk {
    /// Looking for the highest number that both agree on.
    Back(u64),
    /// The number before the free one must be there.
    Before(u64),
    /// From what both agree on up.
    Forward(u64),
    /// A number that KRA itself, or a person, named must be free.
    Named(u64),
    /// What is bound must not be in under its number, before it is bound anew.
    Tied,
    Over,
}

/// One walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adoption {
    walk: Walk,
    tied: Option<Tied>,
    outcome: Outcome,
    last: Option<(u64, String)>,
    waiting: VecDeque<Step>,
}

impl Adoption {
    /// From what our books hold: the next number, the last one that KRA accepted, and what is bound.
    pub fn walk(next: u64, last: Option<(u64, String)>, tied: Option<Tied>) -> Self {
        let walk = last.as_ref().map_or(Walk::Forward(next), |(number, _)| Walk::Back(*number));
        Self { walk, tied, outcome: Outcome::default(), last, waiting: VecDeque::new() }
    }

    /// To the number that a person named; `blind`: KRA has no look-up function.
    pub fn named(next: u64, last: Option<(u64, String)>, tied: Option<Tied>, blind: bool) -> Self {
        let outcome = Outcome { next, last: last.clone(), ..Outcome::default() };
        let mut adoption = Self { walk: Walk::Named(next), tied, outcome, last, waiting: VecDeque::new() };
        if blind {
            adoption.walk = Walk::Over;
            adoption.waiting.push_back(match tied.filter(|tied| tied.number != next) {
                Some(tied) if tied.standing.unsure_sends > 0 => Step::Refuse(format!(
                    "document {} may be in KRA's books under number {}, and KRA cannot be asked: settle it first",
                    tied.document, tied.number
                )),
                _ => adoption.finish(),
            });
        }
        adoption
    }

    /// What comes next.
    pub fn step(&mut self) -> Step {
        if let Some(step) = self.waiting.pop_front() {
            return step;
        }
        match (&self.walk, self.tied) {
            (Walk::Back(number) | Walk::Forward(number) | Walk::Named(number), _) => Step::Read(*number),
            (Walk::Before(next), _) => Step::Read(*next - 1),
            (Walk::Tied, Some(tied)) => Step::Read(tied.number),
            (Walk::Tied | Walk::Over, _) => {
                self.walk = Walk::Over;
                self.finish()
            }
        }
    }

    /// What both books say under the number that was asked for.
    pub fn read(&mut self, page: Page) {
        let there = match page.theirs {
            Theirs::Failed(words) => {
                return self
                    .refuse(format!("KRA's books cannot be read: {}; try again later", words.in_short()));
            }
            Theirs::Missing => {
                return self.refuse(
                    "this KRA has no function to look up invoices: name the next number with --next"
                        .to_owned(),
                );
            }
            Theirs::Absent => None,
            Theirs::There { trader_ref, signature } => Some((trader_ref, signature)),
        };
        match self.walk.clone() {
            Walk::Back(number) => self.back(number, there, page.ours),
            Walk::Forward(number) => match there {
                None => self.free(number),
                Some(there) => self.there(number, there, page.ours, page.claim),
            },
            Walk::Before(next) => match there {
                None => {
                    let last = next - 1;
                    self.refuse(format!(
                        "KRA's books have neither number {next} nor number {last}: where its series stands they do not \
                         say; if KRA names the number that it expects, give it with --next"
                    ));
                }
                Some((_, signature)) => {
                    self.last = Some((next - 1, signature.unwrap_or_default()));
                    self.end(next);
                }
            },
            Walk::Named(number) => match there {
                None => self.end(number),
                Some((trader_ref, _)) => self.refuse(format!(
                    "KRA's books hold sale {} under number {number} already",
                    trader_ref.as_deref().unwrap_or("?")
                )),
            },
            Walk::Tied => self.tied_read(there, page.claim),
            Walk::Over => {}
        }
    }

    fn refuse(&mut self, why: String) {
        self.walk = Walk::Over;
        self.waiting.push_back(Step::Refuse(why));
    }

    fn back(&mut self, number: u64, there: Option<(Option<String>, Option<String>)>, ours: Option<String>) {
        let Some(ours) = ours else {
            // Our books begin behind it: nothing is agreed on.
            self.walk = Walk::Forward(number + 1);
            self.last = None;
            return;
        };
        let theirs = there.map(|(_, signature)| signature);
        // A proof that we never had, or that KRA does not show, contradicts nothing.
        let agreed = theirs.is_some_and(|theirs| ours.is_empty() || theirs.is_none_or(|it| it == ours));
        if agreed {
            self.last = Some((number, ours));
            self.walk = Walk::Forward(number + 1);
            return;
        }
        self.outcome.missing += 1;
        if self.outcome.missing > FARTHEST_BACK {
            self.refuse(format!(
                "the last {FARTHEST_BACK} invoices of ours are not in KRA's books, or are others there: ask KRA what \
                 became of them"
            ));
        } else if number > 1 {
            self.walk = Walk::Back(number - 1);
        } else {
            self.last = None;
            self.walk = Walk::Forward(1);
        }
    }

    /// KRA's books hold an invoice behind what both agree on.
    fn there(
        &mut self,
        number: u64,
        (trader_ref, signature): (Option<String>, Option<String>),
        ours: Option<String>,
        claim: Option<Claim>,
    ) {
        self.walk = Walk::Forward(number + 1);
        let sign = signature.clone().unwrap_or_default();
        self.last = Some((number, sign.clone()));
        if ours.is_some_and(|ours| !ours.is_empty() && ours == sign) {
            self.outcome.missing = self.outcome.missing.saturating_sub(1);
            return;
        }
        let tied_here = self.tied.filter(|tied| tied.number == number);
        match claim {
            Some(Claim { document, standing, equality: Equality::Equal(proof), .. }) => {
                if self.tied.is_some_and(|tied| tied.document == document) {
                    self.tied = None;
                } else if let Some(tied) = tied_here {
                    self.release_tied(tied, "its number is another's in KRA's books");
                }
                self.outcome.adopted += 1;
                let ruling = Ruling {
                    status: if proof.is_some() { Status::Signed } else { Status::AcceptedNoProof },
                    number: NumberFate::Used,
                    proof,
                    adopted: true,
                    ..moved("found in KRA's books when the series was adopted")
                };
                let ruling = Box::new(ruling);
                self.waiting.push_back(Step::Write(Finding::Ours { number, document, standing, ruling }));
            }
            Some(Claim { document, trader_ref, equality: Equality::Unprovable(field), .. }) => {
                self.refuse(format!(
                    "number {number} in KRA's books may be our sale {trader_ref} (document {document}), whose {field} is \
                     not, or not readably, ours: say what it is with `queue settle {document}`, then go on"
                ));
            }
            Some(Claim { equality: Equality::Different(_), .. }) | None => {
                self.outcome.strangers += 1;
                if let Some(tied) = tied_here {
                    self.release_tied(tied, "its number is another's in KRA's books");
                }
                self.waiting.push_back(Step::Write(Finding::Foreign { number, trader_ref, signature }));
            }
        }
    }

    /// KRA's books do not have this number.
    fn free(&mut self, next: u64) {
        let known = self.last.as_ref().is_some_and(|(last, _)| last + 1 == next);
        if next == 1 || known {
            self.end(next);
        } else {
            self.walk = Walk::Before(next);
        }
    }

    fn end(&mut self, next: u64) {
        self.outcome.next = next;
        self.outcome.last.clone_from(&self.last);
        self.walk = Walk::Over;
        if let Some(tied) = self.tied.filter(|tied| tied.number == next && tied.accepted) {
            // The machine would stop at once for the same reason.
            return self.refuse(format!(
                "KRA called document {0} accepted under number {next}, and does not show it: ask again with `queue retry \
                 {0}`; if it stays so, say what it is with `queue settle {0}`, and the series goes on",
                tied.document
            ));
        }
        let Some(tied) = self.tied.filter(|tied| tied.number != next) else { return };
        if tied.standing.unsure_sends == 0 {
            self.release(tied);
        } else if tied.landed {
            self.walk = Walk::Tied;
        } else {
            self.refuse(format!(
                "document {} was sent under number {} and may still arrive: wait until twice kra.request_timeout has passed",
                tied.document, tied.number
            ));
        }
    }

    fn release(&mut self, tied: Tied) {
        self.walk = Walk::Over;
        self.release_tied(tied, "its number is not the next one in KRA's books");
    }

    fn release_tied(&mut self, tied: Tied, why: &str) {
        self.tied = None;
        let ruling = Box::new(moved(why));
        self.waiting.push_back(Step::Write(Finding::Released(tied.document, tied.standing, ruling)));
    }

    fn tied_read(&mut self, there: Option<(Option<String>, Option<String>)>, claim: Option<Claim>) {
        let Some(tied) = self.tied else { return };
        let different = matches!(&claim, Some(Claim { equality: Equality::Different(_), .. }));
        if there.is_none() || different {
            self.release(tied);
        } else {
            self.refuse(format!(
                "KRA's books hold an invoice under number {}, behind the first free one, and it may be document {}: settle \
                 it first",
                tied.number, tied.document
            ));
        }
    }

    fn finish(&self) -> Step {
        Step::Finish(self.outcome.clone())
    }
}

fn moved(why: &str) -> Ruling {
    Ruling {
        status: Status::Pending,
        attempts: 0,
        unsure_sends: 0,
        number: NumberFate::Released,
        proof: None,
        adopted: false,
        accepted: false,
        with_original: false,
        words: Words { message: why.to_owned(), ..Words::default() },
    }
}

#[cfg(test)]
#[path = "adoption_tests.rs"]
mod tests;
