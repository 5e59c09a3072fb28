//! `series show`: both books side by side.

use serde::{Deserialize, Serialize};

use crate::gateway::SeriesBooks;
use crate::queue::adoption::Theirs;

/// The series as both sides see it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SeriesMessage {
    /// Why nothing of it is sent; left out while it flows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
    /// The number that KRA itself said it expects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kra_expects: Option<u64>,
    /// The number that our next document gets.
    pub next: u64,
    /// The last number that KRA accepted, as far as we know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<OurLast>,
    /// The document that is bound to a number and not decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bound: Option<OurBound>,
    /// What KRA has under our next number.
    pub kra_next: TheirsMessage,
    /// What KRA has under our last number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kra_last: Option<TheirsMessage>,
    /// What to do.
    pub advice: String,
}

/// The last invoice as our books have it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OurLast {
    /// Its number.
    pub invc_no: u64,
    /// KRA's signature.
    pub rcpt_sign: String,
}

/// The document that is bound.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OurBound {
    /// Its running number.
    pub id: u64,
    /// The register's number.
    pub trd_invc_no: String,
    /// The number.
    pub invc_no: u64,
    /// KRA may have it.
    pub in_doubt: bool,
}

/// What KRA's books say about one number.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TheirsMessage {
    /// `absent`, `there`, `failed` (they cannot be read now) or `no_look_up`.
    pub state: String,
    /// The register's number of what is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trd_invc_no: Option<String>,
    /// Its signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rcpt_sign: Option<String>,
    /// KRA's words, where they cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
}

impl SeriesMessage {
    /// Of these books.
    pub fn of(books: &SeriesBooks) -> Self {
        Self {
            stopped: books.stopped.clone(),
            kra_expects: books.expected,
            next: books.next,
            last: books.last.clone().map(|(invc_no, rcpt_sign)| OurLast { invc_no, rcpt_sign }),
            bound: books.bound.as_ref().map(|bound| OurBound {
                id: bound.document,
                trd_invc_no: bound.trader_ref.clone(),
                invc_no: bound.number,
                in_doubt: bound.in_doubt,
            }),
            kra_next: TheirsMessage::of(&books.kra_next),
            kra_last: books.kra_last.as_ref().map(TheirsMessage::of),
            advice: books.advice.to_owned(),
        }
    }
}

impl TheirsMessage {
    fn of(theirs: &Theirs) -> Self {
        let bare =
            |state: &str| Self { state: state.to_owned(), trd_invc_no: None, rcpt_sign: None, words: None };
        match theirs {
            Theirs::Absent => bare("absent"),
            Theirs::Failed(words) => Self { words: Some(words.in_short()), ..bare("failed") },
            Theirs::Missing => bare("no_look_up"),
            Theirs::There { trader_ref, signature } => {
                Self { trd_invc_no: trader_ref.clone(), rcpt_sign: signature.clone(), ..bare("there") }
            }
        }
    }
}
