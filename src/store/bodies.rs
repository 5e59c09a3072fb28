//! The bodies of BIND, OUTCOME, INIT and REGISTRATION records.

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use super::sale_body::{DeviceBody, UnreadableBody};
use crate::fiscal::{DeviceIdentity, KraDateTime, Proof, Registration};
use crate::gateway::ports::{Bound, RegistrationFailure};
use crate::queue::drain::Ruling;
use crate::queue::{SentAs, Words};
use crate::wire::{Format, FrozenRequest, Function};

/// BIND: the number and the exact request bytes, with a hole for the key.
#[derive(Debug, Deserialize, Serialize)]
struct BindBody {
    invoice_no: u64,
    original_invoice_no: u64,
    confirmed_at: String,
    function: String,
    format: String,
    key_at: usize,
    /// As text where the bytes are text, which they always are; a reader sees what was sent.
    request: String,
}

/// OUTCOME: what KRA said, or what happened instead.
#[derive(Debug, Deserialize, Serialize)]
struct OutcomeBody {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    proof: Option<ProofBody>,
    #[serde(default, skip_serializing_if = "is_false")]
    adopted: bool,
    /// KRA called it accepted, without its proof.
    #[serde(default, skip_serializing_if = "is_false")]
    accepted: bool,
    #[serde(default, skip_serializing_if = "WordsBody::is_empty")]
    words: WordsBody,
}

#[derive(Debug, Deserialize, Serialize)]
struct ProofBody {
    receipt_no: u64,
    total_receipt_no: u64,
    internal_data: String,
    signature: String,
    issued_at: String,
}

#[derive(Debug, Default, Deserialize, Serialize)]
struct WordsBody {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    result_cd: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    http_status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    field: Option<String>,
}

/// INIT: a registration is about to be asked for, or did not come about.
#[derive(Debug, Deserialize, Serialize)]
struct InitBody {
    device: DeviceBody,
    /// `intended`, `not_sent`, `lost`, `refused`.
    step: String,
    /// Requests so far whose outcome is unknown, this one included.
    unknown: u32,
    #[serde(default, skip_serializing_if = "WordsBody::is_empty")]
    words: WordsBody,
}

/// REGISTRATION: what KRA knows of the device. Never its key.
#[derive(Debug, Deserialize, Serialize)]
struct RegistrationBody {
    device: DeviceBody,
    environment: String,
    device_id: String,
    scu_id: String,
    mrc_no: String,
    taxpayer_name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    business: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    branch_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<String>,
}

/// How the last try to register stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum InitStep {
    /// It was about to be sent, or its answer was lost.
    Unknown,
    /// Nothing was sent.
    NotSent,
    /// KRA said no.
    Refused(Words),
}

fn is_false(it: &bool) -> bool {
    !it
}

impl WordsBody {
    fn of(words: &Words) -> Self {
        Self {
            result_cd: words.result_cd.clone(),
            message: words.message.clone(),
            http_status: words.http_status,
            field: words.field.clone(),
        }
    }

    fn words(self) -> Words {
        Words {
            result_cd: self.result_cd,
            message: self.message,
            http_status: self.http_status,
            field: self.field,
        }
    }

    fn is_empty(&self) -> bool {
        self.result_cd.is_none()
            && self.message.is_empty()
            && self.http_status.is_none()
            && self.field.is_none()
    }
}

fn to_json(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("texts and numbers are always JSON")
}

fn from_json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, UnreadableBody> {
    serde_json::from_slice(bytes).map_err(|error| UnreadableBody(error.to_string()))
}

fn time(text: &str) -> Result<KraDateTime, UnreadableBody> {
    KraDateTime::parse_kra(text).map_err(|error| UnreadableBody(error.to_string()))
}

pub(super) fn write_bind(bound: &Bound) -> Vec<u8> {
    let request = &bound.request;
    let text = match std::str::from_utf8(&request.body) {
        Ok(text) => text.to_owned(),
        Err(_) => format!("base64:{}", BASE64.encode(&request.body)),
    };
    to_json(&BindBody {
        invoice_no: bound.sent_as.invoice_no,
        original_invoice_no: bound.sent_as.original_invoice_no,
        confirmed_at: bound.sent_as.confirmed_at.to_string(),
        function: request.function.name().to_owned(),
        format: match request.format {
            Format::Json => "json",
            Format::Xml => "xml",
        }
        .to_owned(),
        key_at: request.key_at,
        request: text,
    })
}

pub(super) fn read_bind(bytes: &[u8]) -> Result<Bound, UnreadableBody> {
    let body: BindBody = from_json(bytes)?;
    let raw = match body.request.strip_prefix("base64:") {
        Some(encoded) => {
            BASE64.decode(encoded.as_bytes()).map_err(|error| UnreadableBody(error.to_string()))?
        }
        None => body.request.into_bytes(),
    };
    Ok(Bound {
        sent_as: SentAs {
            invoice_no: body.invoice_no,
            original_invoice_no: body.original_invoice_no,
            confirmed_at: time(&body.confirmed_at)?,
        },
        request: FrozenRequest {
            function: Function::from_name(&body.function)
                .ok_or_else(|| UnreadableBody(format!("function {:?}", body.function)))?,
            format: match body.format.as_str() {
                "json" => Format::Json,
                "xml" => Format::Xml,
                other => return Err(UnreadableBody(format!("format {other:?}"))),
            },
            body: raw,
            key_at: body.key_at,
        },
    })
}

pub(super) fn write_outcome(ruling: &Ruling) -> Vec<u8> {
    to_json(&OutcomeBody {
        proof: ruling.proof.as_ref().map(|proof| ProofBody {
            receipt_no: proof.receipt_no,
            total_receipt_no: proof.total_receipt_no,
            internal_data: proof.internal_data.clone(),
            signature: proof.signature.clone(),
            issued_at: proof.issued_at.to_string(),
        }),
        adopted: ruling.adopted,
        accepted: ruling.accepted,
        words: WordsBody::of(&ruling.words),
    })
}

pub(super) fn read_outcome(bytes: &[u8]) -> Result<(Option<Proof>, Words), UnreadableBody> {
    let body: OutcomeBody = from_json(bytes)?;
    let proof = match body.proof {
        None => None,
        Some(proof) => Some(Proof {
            receipt_no: proof.receipt_no,
            total_receipt_no: proof.total_receipt_no,
            internal_data: proof.internal_data,
            signature: proof.signature,
            issued_at: time(&proof.issued_at)?,
        }),
    };
    Ok((proof, body.words.words()))
}

/// KRA called the document accepted, without its proof.
pub(super) fn read_outcome_accepted(bytes: &[u8]) -> Result<bool, UnreadableBody> {
    from_json::<OutcomeBody>(bytes).map(|body| body.accepted)
}

pub(super) fn write_intent(device: &DeviceIdentity, unknown: u32) -> Vec<u8> {
    to_json(&InitBody {
        device: DeviceBody::of(device),
        step: "intended".to_owned(),
        unknown,
        words: WordsBody::default(),
    })
}

pub(super) fn write_init_failure(
    device: &DeviceIdentity,
    unknown: u32,
    failure: &RegistrationFailure,
) -> Vec<u8> {
    let (step, words) = match failure {
        RegistrationFailure::Lost(words) => ("lost", words),
        RegistrationFailure::NotSent(words) => ("not_sent", words),
        RegistrationFailure::Refused(words) => ("refused", words),
    };
    to_json(&InitBody {
        device: DeviceBody::of(device),
        step: step.to_owned(),
        unknown,
        words: WordsBody::of(words),
    })
}

pub(super) fn read_init(bytes: &[u8]) -> Result<(DeviceIdentity, u32, InitStep), UnreadableBody> {
    let body: InitBody = from_json(bytes)?;
    let step = match body.step.as_str() {
        "intended" | "lost" => InitStep::Unknown,
        "not_sent" => InitStep::NotSent,
        "refused" => InitStep::Refused(body.words.words()),
        other => return Err(UnreadableBody(format!("step {other:?}"))),
    };
    Ok((body.device.identity()?, body.unknown, step))
}

pub(super) fn write_registration(
    device: &DeviceIdentity,
    registration: &Registration,
    environment: &str,
) -> Vec<u8> {
    to_json(&RegistrationBody {
        device: DeviceBody::of(device),
        environment: environment.to_owned(),
        device_id: registration.device_id.clone(),
        scu_id: registration.scu_id.clone(),
        mrc_no: registration.mrc_no.clone(),
        taxpayer_name: registration.taxpayer_name.clone(),
        business: registration.business.clone(),
        branch_name: registration.branch_name.clone(),
        address: registration.address.clone(),
    })
}

/// The device, its registration, and the environment that it was made in.
pub(super) fn read_registration(
    bytes: &[u8],
) -> Result<(DeviceIdentity, Registration, String), UnreadableBody> {
    let body: RegistrationBody = from_json(bytes)?;
    let registration = Registration {
        device_id: body.device_id,
        scu_id: body.scu_id,
        mrc_no: body.mrc_no,
        taxpayer_name: body.taxpayer_name,
        business: body.business,
        branch_name: body.branch_name,
        address: body.address,
    };
    Ok((body.device.identity()?, registration, body.environment))
}
