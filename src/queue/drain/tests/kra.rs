//! KRA in small: its books, its moods, and what is still on its way to it.

use super::{TIMEOUT, proof, words};
use crate::queue::adoption::Theirs;
use crate::queue::drain::LookUp;
use crate::queue::{Busy, Equality, Moment, Probed, Sent, Seq, Step, Unreachable, Verdict, Words};

/// Whose an invoice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// Somebody else's, the n-th.
    Foreign(u64),
    /// This document of ours.
    Ours(Seq),
}

/// What KRA does with the next request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Answers,
    Away,
    Busy,
    ClientError,
    DeviceRefused,
    HidesProof,
    Late,
    LosesAnswer,
    LosesRequest,
    /// One server of several, without the look-up function.
    LooksNothingUp,
    Odd,
    RefusesForGood,
    RefusesForNow,
    /// Somebody on the way repeats the request: it is booked, and the answer is that to the repeat.
    Repeated,
    /// Calls the number taken, and books nothing.
    SaysTaken,
    ServerError,
    TakesThenServerError,
    UnknownError,
}

pub(super) const MOODS: [Mood; 18] = [
    Mood::Answers,
    Mood::Away,
    Mood::Busy,
    Mood::ClientError,
    Mood::DeviceRefused,
    Mood::HidesProof,
    Mood::Late,
    Mood::LosesAnswer,
    Mood::LosesRequest,
    Mood::LooksNothingUp,
    Mood::Odd,
    Mood::RefusesForGood,
    Mood::RefusesForNow,
    Mood::Repeated,
    Mood::SaysTaken,
    Mood::ServerError,
    Mood::TakesThenServerError,
    Mood::UnknownError,
];

/// What its look-up is like, all the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Shows {
    #[default]
    All,
    /// The function does not exist.
    Nothing,
    /// A field that identifies a sale is not readable.
    NotEnough,
    /// Everything but the proof.
    NoProof,
    /// The function does not exist; a list of all sales does.
    OnlyLists,
}

#[derive(Default)]
pub(super) struct Kra {
    /// By number - 1.
    pub(super) books: Vec<Whose>,
    /// Requests that timed out at our end and are still running: when they land.
    ghosts: Vec<(Moment, Seq, u64)>,
    pub(super) shows: Shows,
    /// What becomes of these documents whenever they are sent.
    pub(super) poison: Vec<(Seq, Mood)>,
}

impl Kra {
    pub(super) fn signature(&self, number: u64) -> String {
        match self.books[usize::try_from(number).unwrap() - 1] {
            Whose::Foreign(n) => format!("F{number}-{n}"),
            Whose::Ours(document) => format!("S{number}-{document}"),
        }
    }

    pub(super) fn next(&self) -> u64 {
        u64::try_from(self.books.len()).unwrap() + 1
    }

    fn under(&self, number: u64) -> Option<Whose> {
        self.books.get(usize::try_from(number).unwrap().wrapping_sub(1)).copied()
    }

    fn book(&mut self, document: Seq, number: u64) -> Sent {
        let next = self.next();
        if number < next {
            return Sent::Answered(Verdict::Duplicate(words("994")));
        }
        if number != next {
            let words = words("Invalid invcNo sequence");
            return Sent::Answered(Verdict::OutOfSequence { expected: next, found: number, words });
        }
        self.books.push(Whose::Ours(document));
        Sent::Answered(Verdict::Accepted(proof(&self.signature(number), number)))
    }

    pub(super) fn ghosts_land(&mut self, now: Moment) {
        let (landing, still): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.ghosts).into_iter().partition(|(at, ..)| *at <= now);
        self.ghosts = still;
        for (_, document, number) in landing {
            let _ = self.book(document, number);
        }
    }

    pub(super) fn send(&mut self, now: Moment, document: Seq, number: u64, mood: Mood, luck: u64) -> Sent {
        let poisoned = self.poison.iter().find(|(it, _)| *it == document).map(|(_, mood)| *mood);
        // A line that is down is down for all.
        let mood = poisoned.filter(|_| mood != Mood::Away).unwrap_or(mood);
        match mood {
            Mood::Answers | Mood::LooksNothingUp => self.book(document, number),
            Mood::Away => Sent::Not(Unreachable { at: Step::Lost, why: "closed".to_owned() }),
            Mood::Busy => Sent::Answered(Verdict::Busy(Busy { words: words("429"), floor: None })),
            Mood::ClientError => Sent::Answered(Verdict::UnsureConfig(words("899"))),
            Mood::DeviceRefused => Sent::Answered(Verdict::Device(words("901"))),
            Mood::HidesProof => match self.book(document, number) {
                Sent::Answered(Verdict::Accepted(_)) => {
                    Sent::Answered(Verdict::AcceptedWithoutProof(words("four of five")))
                }
                other => other,
            },
            Mood::LosesAnswer => {
                let _ = self.book(document, number);
                Sent::InDoubt(words("lost answer"))
            }
            Mood::LosesRequest => Sent::InDoubt(words("lost request")),
            Mood::Late => {
                // Before a number goes to another document, twice the time-out is waited for.
                let late = luck % (2 * u64::try_from(TIMEOUT.as_millis()).unwrap());
                self.ghosts.push((Moment(now.0 + late), document, number));
                Sent::InDoubt(words("timed out"))
            }
            Mood::Odd => Sent::Answered(Verdict::Odd(words("HTTP 413"))),
            Mood::RefusesForGood => Sent::Answered(Verdict::Refused(words("910"))),
            Mood::RefusesForNow => Sent::Answered(Verdict::Wait(words("922"))),
            Mood::Repeated => {
                let _ = self.book(document, number);
                let (expected, words) = (self.next(), words("Invalid invcNo sequence"));
                Sent::Answered(Verdict::OutOfSequence { expected, found: number, words })
            }
            // Where KRA shows nothing, this has to be true.
            Mood::SaysTaken if !self.looks_up() => self.book(document, number),
            Mood::SaysTaken => Sent::Answered(Verdict::Duplicate(words("994"))),
            Mood::ServerError => Sent::Answered(Verdict::Unsure(words("500"))),
            Mood::TakesThenServerError => {
                let _ = self.book(document, number);
                Sent::Answered(Verdict::Unsure(words("500")))
            }
            Mood::UnknownError => Sent::Answered(Verdict::Unsure(words("999"))),
        }
    }

    /// Whether it has the look-up function.
    pub(super) fn looks_up(&self) -> bool {
        !matches!(self.shows, Shows::Nothing | Shows::OnlyLists)
    }

    /// Against this document of ours.
    pub(super) fn compare(&self, number: u64, ours: Seq) -> Equality {
        if self.under(number) != Some(Whose::Ours(ours)) {
            return Equality::Different("trdInvcNo");
        }
        match self.shows {
            Shows::All => Equality::Equal(Some(proof(&self.signature(number), number))),
            Shows::NoProof => Equality::Equal(None),
            Shows::NotEnough | Shows::Nothing | Shows::OnlyLists => Equality::Unprovable("totAmt"),
        }
    }

    pub(super) fn look_up(&self, number: u64, compared: Option<Seq>, mood: Mood) -> LookUp {
        match mood {
            Mood::Away | Mood::LosesRequest | Mood::LosesAnswer | Mood::Late => {
                LookUp::Failed(words("no line"))
            }
            Mood::ServerError | Mood::TakesThenServerError | Mood::UnknownError => {
                LookUp::Failed(Words { http_status: Some(500), ..words("500") })
            }
            Mood::DeviceRefused => LookUp::Refused(words("901")),
            Mood::Busy => LookUp::Busy(Busy { words: words("429"), floor: None }),
            Mood::LooksNothingUp => LookUp::Missing(not_found()),
            _ if !self.looks_up() => LookUp::Missing(not_found()),
            _ => match self.under(number) {
                None => LookUp::Absent,
                Some(_) => LookUp::Found {
                    signature: (self.shows != Shows::NoProof).then(|| self.signature(number)),
                    trader_ref: Some("somebody's".to_owned()),
                    equality: compared.map(|ours| self.compare(number, ours)),
                },
            },
        }
    }

    /// In the list of sales.
    pub(super) fn look_up_in_list(&self, number: u64, ours: Seq, mood: Mood) -> LookUp {
        if !matches!(mood, Mood::Answers) {
            return self.look_up(number, Some(ours), mood);
        }
        match self.shows {
            Shows::OnlyLists if self.under(number) == Some(Whose::Ours(ours)) => LookUp::Found {
                signature: Some(self.signature(number)),
                trader_ref: Some("somebody's".to_owned()),
                equality: Some(Equality::Equal(Some(proof(&self.signature(number), number)))),
            },
            Shows::OnlyLists => {
                LookUp::Failed(Words { http_status: Some(200), ..words("it is not in the list") })
            }
            _ => LookUp::Missing(not_found()),
        }
    }

    pub(super) fn page(&self, number: u64) -> Theirs {
        match self.under(number) {
            _ if !self.looks_up() => Theirs::Missing,
            None => Theirs::Absent,
            Some(_) => {
                let signature = (self.shows != Shows::NoProof).then(|| self.signature(number));
                Theirs::There { trader_ref: Some("somebody's".to_owned()), signature }
            }
        }
    }

    /// The document of ours under this number.
    pub(super) fn ours_under(&self, number: u64) -> Option<Seq> {
        match self.under(number) {
            Some(Whose::Ours(document)) => Some(document),
            _ => None,
        }
    }

    pub(super) fn holds(&self, document: Seq) -> bool {
        self.books.contains(&Whose::Ours(document))
    }
}

pub(super) fn not_found() -> Words {
    Words { http_status: Some(404), ..words("404") }
}

pub(super) fn probe(mood: Mood) -> Probed {
    match mood {
        Mood::Away => Probed::Down(words("away")),
        Mood::DeviceRefused => Probed::Refused(words("901")),
        _ => Probed::Up,
    }
}
