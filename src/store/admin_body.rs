//! The bodies of ADMIN records: what a person did, why, and what was seen then.

use serde::{Deserialize, Serialize};

use super::bodies::to_json;
use crate::gateway::ports::Acted;
use crate::queue::adoption::Outcome;
use crate::queue::{Seen, Seq};

/// What a person did; also in the OUTCOME that came of it.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct ActedBody {
    act: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    who: String,
}

/// ADMIN, where it is about the queue.
#[derive(Debug, Serialize)]
struct ActBody {
    #[serde(flatten)]
    acted: ActedBody,
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<Seq>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seen: Option<SeenBody>,
}

/// How the document stood when the person looked at it.
#[derive(Debug, Serialize)]
struct SeenBody {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    invoice_no: Option<u64>,
    attempts: u32,
    unsure_sends: u32,
}

/// FOREIGN: an invoice in our series that somebody else made, and who took it over.
#[derive(Debug, Serialize)]
struct ForeignBody<'a> {
    invoice_no: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    trader_ref: Option<&'a str>,
    adopted_by: ActedBody,
}

/// ADMIN, where the series was adopted.
#[derive(Debug, Serialize)]
struct AdoptionBody {
    #[serde(flatten)]
    acted: ActedBody,
    next: u64,
    strangers: u64,
    found: u64,
    missing: u64,
}

impl ActedBody {
    pub(super) fn of(acted: &Acted) -> Self {
        Self { act: acted.act.clone(), reason: acted.reason.clone(), who: acted.who.clone() }
    }

    pub(super) fn acted(self) -> Acted {
        Acted { act: self.act, reason: self.reason, who: self.who }
    }
}

pub(super) fn write_act(acted: &Acted, about: Option<(Seq, Seen)>) -> Vec<u8> {
    let seen = about.map(|(_, seen)| SeenBody {
        status: seen.status.word(),
        invoice_no: seen.invoice_no,
        attempts: seen.attempts,
        unsure_sends: seen.unsure_sends,
    });
    to_json(&ActBody { acted: ActedBody::of(acted), document: about.map(|(document, _)| document), seen })
}

/// The document that an act is about, and the act; `None`: it is about something else.
pub(super) fn read_act_about(bytes: &[u8]) -> Option<(Seq, Acted)> {
    #[derive(Deserialize)]
    struct About {
        #[serde(flatten)]
        acted: ActedBody,
        document: Seq,
    }
    let body: About = serde_json::from_slice(bytes).ok()?;
    Some((body.document, body.acted.acted()))
}

pub(super) fn write_foreign(acted: &Acted, number: u64, trader_ref: Option<&str>) -> Vec<u8> {
    to_json(&ForeignBody { invoice_no: number, trader_ref, adopted_by: ActedBody::of(acted) })
}

pub(super) fn write_adoption(acted: &Acted, outcome: &Outcome) -> Vec<u8> {
    let Outcome { next, strangers, adopted, missing, .. } = *outcome;
    to_json(&AdoptionBody { acted: ActedBody::of(acted), next, strangers, found: adopted, missing })
}
