//! One record as a line of text, and back.

use data_encoding::{BASE64, HEXLOWER};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::fiscal::KraDateTime;
use crate::store::effect::{Binding, Effect, LastAccepted};
use crate::store::record::{Kind, Malformed, NewRecord, Record, decode_record, encode_record, sha256};
use crate::store::standing::{Base, Checkpoint, Genesis};

/// A line as it is written; the order of the keys is the order of the fields.
#[derive(Serialize)]
struct Line<'a> {
    record: u64,
    time: Option<String>,
    clock: &'static str,
    kind: &'static str,
    origin: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    effect: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<Content<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
    previous: String,
    hash: String,
    bytes: String,
}

/// What of a record's body a person can read.
#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Json(&'a RawValue),
    Own(Value),
    Text(&'a str),
}

/// The part of a line that a check reads: the rest is made anew from it.
#[derive(Deserialize)]
struct Bytes {
    bytes: String,
}

/// The record's line, without its line feed. An error: the record is not what its hash says.
pub(super) fn write_line(record: &Record) -> Result<String, Malformed> {
    let bytes = bytes_of(record);
    if sha256(&bytes) != record.hash {
        return Err(Malformed("its bytes are not those of its hash"));
    }
    Ok(line_of(record, &bytes))
}

/// The record of a line; every letter of the line has been compared with what its bytes say.
pub(super) fn read_line(line: &str) -> Result<Record, &'static str> {
    let Bytes { bytes } = serde_json::from_str(line).map_err(|_| "the line is not that of a record")?;
    let bytes = BASE64.decode(bytes.as_bytes()).map_err(|_| "its bytes are not base64")?;
    let record = decode_record(&bytes).map_err(|Malformed(what)| what)?;
    if line_of(&record, &bytes) == line {
        Ok(record)
    } else {
        Err("its readable part is not what its bytes say")
    }
}

/// The exact bytes in the journal; there is one way to write each record.
fn bytes_of(record: &Record) -> Vec<u8> {
    let Record { seq, kind, stamp, origin, effect, body, signature, previous, hash: _, used } = record;
    let new = NewRecord {
        kind: *kind,
        stamp: *stamp,
        origin: origin.clone(),
        effect: effect.clone(),
        body: body.clone(),
        signature: *signature,
    };
    let mut bytes = Vec::with_capacity(body.len() + 512);
    encode_record(&mut bytes, *seq, previous, &new, *used);
    bytes
}

fn line_of(record: &Record, bytes: &[u8]) -> String {
    let line = Line {
        record: record.seq,
        time: time(record.stamp.wall_ms),
        clock: if record.stamp.synchronised { "synchronised" } else { "not synchronised" },
        kind: word(record.kind),
        origin: &record.origin,
        effect: effect(&record.effect, record.used),
        content: content(record),
        signature: record.signature.map(|signature| BASE64.encode(&signature)),
        previous: HEXLOWER.encode(&record.previous),
        hash: HEXLOWER.encode(&sha256(bytes)),
        bytes: BASE64.encode(bytes),
    };
    serde_json::to_string(&line).expect("texts and numbers are always JSON")
}

/// A kind as exports name it.
pub(super) const fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Base => "base",
        Kind::Genesis => "genesis",
        Kind::Init => "init",
        Kind::Registration => "registration",
        Kind::Foreign => "foreign",
        Kind::Sale => "sale",
        Kind::Bind => "bind",
        Kind::Outcome => "outcome",
        Kind::Item => "item",
        Kind::Codes => "codes",
        Kind::Event => "event",
        Kind::Admin => "admin",
        Kind::Carry => "carry",
        Kind::Checkpoint => "checkpoint",
        Kind::Recovered => "recovered",
        Kind::Retire => "retire",
    }
}

/// Milliseconds since 1970 as a time in Nairobi, to the second.
pub(super) fn time(wall_ms: i64) -> Option<String> {
    KraDateTime::from_unix(wall_ms.div_euclid(1000)).map(KraDateTime::rfc3339)
}

fn effect(effect: &Effect, used: Option<u64>) -> Option<Value> {
    let last = |last: &LastAccepted| json!({ "invcNo": last.number, "rcptSign": last.sign, "document": last.document });
    Some(match effect {
        // What the content says is all there is to it.
        Effect::Alerts | Effect::None => return None,
        Effect::Printed { document, key, again } => {
            json!({ "printed": key, "document": document, "again": again })
        }
        Effect::Hardware => json!({ "hardware": "from here on, what the content names" }),
        Effect::Credited { document, key, after, takes } => {
            json!({ "credited": key, "document": document, "after": after, "takes": takes })
        }
        Effect::Credits { document, original } => json!({ "document": document, "credits": original }),
        Effect::Document { key, content, queued, credits: None } => {
            json!({ "accepted": key, "requestHash": HEXLOWER.encode(content), "forKra": queued })
        }
        Effect::Document { key, content, queued, credits } => {
            json!({ "accepted": key, "requestHash": HEXLOWER.encode(content), "forKra": queued, "credits": credits })
        }
        Effect::Bound { document, number } => json!({ "document": document, "boundTo": number }),
        Effect::Moved { document, status, attempts, unsure_sends, binding } => {
            let (number, sign) = match binding {
                Binding::Keep => ("kept", None),
                Binding::Release => ("free", None),
                Binding::Used { sign } => ("used", Some(sign)),
            };
            json!({
                "document": document,
                "status": status.word(),
                "attempts": attempts,
                "unsureSends": unsure_sends,
                "number": number,
                "invcNo": used,
                "rcptSign": sign,
            })
        }
        Effect::Series { next, last: accepted } => {
            json!({ "nextInvcNo": next, "lastAccepted": accepted.as_ref().map(last) })
        }
        Effect::Carried(carried) => json!({
            "takenAlong": carried.document,
            "accepted": carried.key,
            "requestHash": HEXLOWER.encode(&carried.content),
            "status": carried.status.word(),
            "attempts": carried.attempts,
            "unsureSends": carried.unsure_sends,
            "boundTo": carried.bound.map(|(number, _)| number),
            "creditedBy": carried.credited.map(|(by, _)| by),
            "credits": carried.credits,
        }),
        Effect::Shelved { key } => json!({ "newestOf": key }),
        Effect::Reshelved { kind, key, .. } => json!({ "takenAlong": word(*kind), "newestOf": key }),
        Effect::Kept { kind, .. } => json!({ "takenAlong": word(*kind) }),
        Effect::Retired(retired) => json!({
            "firstRecordKept": retired.first_seq,
            "previous": HEXLOWER.encode(&retired.previous),
            "noLongerKept": retired.keys,
        }),
    })
}

fn content(record: &Record) -> Option<Content<'_>> {
    let own = match record.kind {
        Kind::Base => Base::decode(&record.body).ok().map(|base| {
            json!({
                "segment": base.segment,
                "publicKey": BASE64.encode(&base.public_key),
                "nextInvcNo": base.standing.series.next,
                "documents": base.standing.documents_total,
                "firstRecordKept": base.standing.first_seq,
            })
        }),
        Kind::Genesis => Genesis::decode(&record.body).ok().map(|genesis| {
            let names: Vec<_> = genesis.hardware.iter().map(|it| it.name.as_str()).collect();
            json!({
                "journal": HEXLOWER.encode(&genesis.journal),
                "publicKey": BASE64.encode(&genesis.public_key),
                "hardware": names,
            })
        }),
        Kind::Checkpoint => Checkpoint::decode(&record.body).ok().map(|checkpoint| {
            json!({
                "indexed": checkpoint.indexed,
                "closing": checkpoint.closing,
                "nextInvcNo": checkpoint.standing.series.next,
                "documents": checkpoint.standing.documents_total,
            })
        }),
        _ => None,
    };
    if let Some(own) = own {
        return Some(Content::Own(own));
    }
    let text = std::str::from_utf8(&record.body).ok().filter(|text| !text.is_empty())?;
    match serde_json::from_str::<&RawValue>(text) {
        // A line break inside would end the line.
        Ok(json) if !json.get().contains(['\n', '\r']) => Some(Content::Json(json)),
        _ => Some(Content::Text(text)),
    }
}
