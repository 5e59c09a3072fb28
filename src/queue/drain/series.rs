//! The number series: whether KRA's books agree with ours at both of its ends, and why it stands still where they do not.

use super::{Action, Doing, Drain, LookUp, View, Waiting};
use crate::queue::Seq;

/// Why nothing of the series is sent any more, until a person acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// The number in question.
    pub number: u64,
    /// The document in doubt, where one is: once it is retried or settled, KRA's books are asked again.
    pub document: Option<Seq>,
    /// The number that KRA itself said it expects.
    pub expected: Option<u64>,
    /// In words, with both numbers.
    pub why: String,
}

/// Before the first send after a start or a change of series, both ends of the series are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Series {
    AskingNext,
    AskingPrevious,
    Proven,
    Unproven,
}

impl Drain {
    pub(super) fn series_answered(&mut self, look_up: LookUp, view: &View) {
        let next = view.next_number;
        match (look_up, self.series) {
            (LookUp::Busy(_) | LookUp::Failed(_) | LookUp::Refused(_), _) => {}
            (LookUp::Missing(_), _) => self.series = Series::Proven,
            (LookUp::Absent, Series::AskingPrevious) => {
                let last = next - 1;
                self.stop(next, format!("our next number is {next}, and KRA does not have number {last}"));
            }
            (LookUp::Absent, _) => {
                self.series = if next > 1 { Series::AskingPrevious } else { Series::Proven };
            }
            (LookUp::Found { signature, trader_ref, .. }, Series::AskingPrevious) => {
                // A proof that we never had, or that KRA does not show, proves nothing and contradicts nothing.
                let known = |(number, sign): &&(u64, String)| *number + 1 == next && !sign.is_empty();
                let ours = view.last.as_ref().filter(known).map(|(_, sign)| sign);
                match (ours, signature) {
                    (Some(ours), Some(theirs)) if *ours != theirs => {
                        let (theirs, last) = (trader_ref.unwrap_or_else(|| "?".to_owned()), next - 1);
                        let why = format!(
                            "KRA holds sale {theirs} under number {last}, not the one that we sent under it"
                        );
                        self.stop(last, why);
                    }
                    _ => self.series = Series::Proven,
                }
            }
            (LookUp::Found { trader_ref, .. }, _) => {
                let theirs = trader_ref.unwrap_or_else(|| "?".to_owned());
                let why = format!(
                    "our next number is {next}, and KRA already holds sale {theirs} under it: another till or \
                     product numbers in this series"
                );
                self.stop(next, why);
            }
        }
    }

    /// The device is another one, or has another key: both ends of its series are looked at before anything more is sent.
    pub fn registered(&mut self) {
        self.series = Series::Unproven;
        if self.doing == Doing::AskingAboutSeries {
            self.doing = Doing::Nothing;
        }
    }

    /// What became of it is lost, and KRA cannot be asked.
    pub(super) fn stop_before(&mut self, view: &View, head: Waiting) -> Action {
        let why = format!(
            "document {0} may be in KRA's books under a number that is not known here, and this KRA has no function to look it \
             up: see in KRA's portal, then `queue settle {0}`",
            head.document
        );
        self.stop(view.next_number, why);
        if let Some(stopped) = &mut self.stopped {
            stopped.document = Some(head.document);
        }
        Action::WaitUntil(None)
    }

    pub(super) fn stop(&mut self, number: u64, why: String) {
        let document = self.doubt.as_ref().map(|doubt| doubt.document);
        self.stopped = Some(Stopped { number, document, expected: None, why });
    }
}
