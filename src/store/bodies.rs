//! The bodies of BIND, OUTCOME, INIT and REGISTRATION records, and the head of an answer that is kept.

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use super::admin_body::ActedBody;
use super::sale_body::{DeviceBody, UnreadableBody};
use crate::fiscal::{DeviceIdentity, KraDateTime, Proof, Registration};
use crate::gateway::ports::{Acted, Bound, KeptAnswer, RegistrationFailure};
use crate::queue::drain::Ruling;
use crate::queue::{SentAs, Words};
use crate::wire::sale::TraderTexts;
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
    /// What the receipt says of the trader.
    #[serde(default)]
    trader: TraderBody,
}

/// What a receipt says of the trader, whole: the request has room for 20 characters of it.
#[derive(Debug, Default, Deserialize, Serialize)]
struct TraderBody {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    top_message: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bottom_message: Option<String>,
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
    /// A credit note is set aside with its sale.
    #[serde(default, skip_serializing_if = "is_false")]
    with_original: bool,
    #[serde(default, skip_serializing_if = "WordsBody::is_empty")]
    words: WordsBody,
    /// A person said so, not KRA; the words are KRA's last ones all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    acted: Option<ActedBody>,
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

/// INIT: a device is waited for, its registration is about to be asked for, or did not come about.
#[derive(Debug, Deserialize, Serialize)]
struct InitBody {
    device: DeviceBody,
    /// Which KRA; what is sold meanwhile belongs to it.
    environment: String,
    /// `awaited`, `intended`, `not_sent`, `lost`, `refused`.
    step: String,
    /// The device that this one was put in place of: its serial number was mistyped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instead_of: Option<DeviceBody>,
    /// Requests so far whose outcome is unknown, this one included.
    unknown: u32,
    /// The same for other devices that were tried here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    others: Vec<UnknownBody>,
    #[serde(default, skip_serializing_if = "WordsBody::is_empty")]
    words: WordsBody,
}

#[derive(Debug, Deserialize, Serialize)]
struct UnknownBody {
    device: DeviceBody,
    unknown: u32,
}

/// The first line of an answer that is kept; KRA's body follows as it came.
#[derive(Debug, Deserialize, Serialize)]
struct AnswerHead {
    device: DeviceBody,
    environment: String,
    http_status: u16,
}

/// REGISTRATION: what KRA knows of the device. Never its key.
#[derive(Debug, Deserialize, Serialize)]
struct RegistrationBody {
    device: DeviceBody,
    environment: String,
    /// The number that the series was begun with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first_number: Option<u64>,
    /// The device that this one was put in place of: its serial number was mistyped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instead_of: Option<DeviceBody>,
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

/// Where a device stands that is not registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Init {
    pub(super) device: DeviceIdentity,
    pub(super) instead_of: Option<DeviceIdentity>,
    pub(super) environment: String,
    pub(super) step: InitStep,
    pub(super) tries: UnknownTries,
}

/// How often a registration was asked for and nobody knows what came of it, device by device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct UnknownTries(Vec<(DeviceIdentity, u32)>);

/// Devices whose tries are remembered, so that the record stays small.
const REMEMBERED: usize = 16;

impl UnknownTries {
    pub(super) fn of(&self, device: &DeviceIdentity) -> u32 {
        self.0.iter().find(|(known, _)| known == device).map_or(0, |(_, unknown)| *unknown)
    }

    /// The same, with this count for this device.
    pub(super) fn with(&self, device: &DeviceIdentity, unknown: u32) -> Self {
        let others = self.0.iter().filter(|(known, _)| known != device);
        let this = Some((device.clone(), unknown)).filter(|(_, unknown)| *unknown > 0);
        Self(this.into_iter().chain(others.cloned()).take(REMEMBERED).collect())
    }
}

/// How the last try to register stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum InitStep {
    /// Nothing was sent yet: the device is configured.
    Awaited,
    /// It is about to be sent.
    Intended,
    /// The request left and no answer that can be read came back.
    Lost(Words),
    /// Nothing was sent.
    NotSent(Words),
    /// KRA said no.
    Refused(Words),
}

impl From<RegistrationFailure> for InitStep {
    fn from(failure: RegistrationFailure) -> Self {
        match failure {
            RegistrationFailure::Lost(words) => Self::Lost(words),
            RegistrationFailure::NotSent(words) => Self::NotSent(words),
            RegistrationFailure::Refused(words) => Self::Refused(words),
        }
    }
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
            retry_after: None,
        }
    }

    fn is_empty(&self) -> bool {
        self.result_cd.is_none()
            && self.message.is_empty()
            && self.http_status.is_none()
            && self.field.is_none()
    }
}

pub(super) fn to_json(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("texts and numbers are always JSON")
}

pub(super) fn from_json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, UnreadableBody> {
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
        trader: {
            let TraderTexts { name, address, top_message, bottom_message } = bound.trader.clone();
            TraderBody { name, address, top_message, bottom_message }
        },
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
        trader: {
            let TraderBody { name, address, top_message, bottom_message } = body.trader;
            TraderTexts { name, address, top_message, bottom_message }
        },
    })
}

/// When KRA signed, if the OUTCOME has a proof: milliseconds since 1970 (UTC).
pub(super) fn proof_time(bytes: &[u8]) -> Option<i64> {
    let proof = from_json::<OutcomeBody>(bytes).ok()?.proof?;
    time(&proof.issued_at).ok()?.unix().checked_mul(1000)
}

pub(super) fn write_outcome(ruling: &Ruling, acted: Option<&Acted>) -> Vec<u8> {
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
        with_original: ruling.with_original,
        words: WordsBody::of(&ruling.words),
        acted: acted.map(ActedBody::of),
    })
}

/// What OUTCOME says of a document.
#[derive(Debug, Default)]
pub(super) struct OutcomeRead {
    pub(super) proof: Option<Proof>,
    pub(super) words: Words,
    pub(super) acted: Option<Acted>,
    /// KRA called it accepted, without its proof.
    pub(super) accepted: bool,
    /// A credit note was set aside with its sale.
    pub(super) with_original: bool,
}

pub(super) fn read_outcome(bytes: &[u8]) -> Result<OutcomeRead, UnreadableBody> {
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
    Ok(OutcomeRead {
        proof,
        words: body.words.words(),
        acted: body.acted.map(ActedBody::acted),
        accepted: body.accepted,
        with_original: body.with_original,
    })
}

pub(super) fn write_init(init: &Init) -> Vec<u8> {
    let (step, words) = match &init.step {
        InitStep::Awaited => ("awaited", None),
        InitStep::Intended => ("intended", None),
        InitStep::Lost(words) => ("lost", Some(words)),
        InitStep::NotSent(words) => ("not_sent", Some(words)),
        InitStep::Refused(words) => ("refused", Some(words)),
    };
    let others = init.tries.0.iter().filter(|(device, _)| *device != init.device);
    to_json(&InitBody {
        device: DeviceBody::of(&init.device),
        environment: init.environment.clone(),
        step: step.to_owned(),
        instead_of: init.instead_of.as_ref().map(DeviceBody::of),
        unknown: init.tries.of(&init.device),
        others: others
            .map(|(device, unknown)| UnknownBody { device: DeviceBody::of(device), unknown: *unknown })
            .collect(),
        words: words.map(WordsBody::of).unwrap_or_default(),
    })
}

pub(super) fn read_init(bytes: &[u8]) -> Result<Init, UnreadableBody> {
    let body: InitBody = from_json(bytes)?;
    let step = match body.step.as_str() {
        "awaited" => InitStep::Awaited,
        "intended" => InitStep::Intended,
        "lost" => InitStep::Lost(body.words.words()),
        "not_sent" => InitStep::NotSent(body.words.words()),
        "refused" => InitStep::Refused(body.words.words()),
        other => return Err(UnreadableBody(format!("step {other:?}"))),
    };
    let device = body.device.identity()?;
    let mut tries = UnknownTries::default();
    for other in body.others.into_iter().rev() {
        tries = tries.with(&other.device.identity()?, other.unknown);
    }
    let tries = tries.with(&device, body.unknown);
    let instead_of = body.instead_of.map(|it| it.identity()).transpose()?;
    Ok(Init { device, instead_of, environment: body.environment, step, tries })
}

/// An answer as it is kept: its head on one line, then KRA's body as it came.
pub(super) fn write_answer(answer: &KeptAnswer, environment: &str) -> Vec<u8> {
    let mut bytes = to_json(&AnswerHead {
        device: DeviceBody::of(&answer.device),
        environment: environment.to_owned(),
        http_status: answer.http_status,
    });
    bytes.push(b'\n');
    bytes.extend_from_slice(&answer.body);
    bytes
}

/// The answer and its environment; its body is not looked at.
pub(super) fn read_answer(bytes: &[u8]) -> Result<(KeptAnswer, String), UnreadableBody> {
    let end = bytes.iter().position(|byte| *byte == b'\n');
    let end = end.ok_or_else(|| UnreadableBody("it has no head".to_owned()))?;
    let head: AnswerHead = from_json(&bytes[..end])?;
    let device = head.device.identity()?;
    let body = bytes[end + 1..].to_vec();
    Ok((KeptAnswer { device, http_status: head.http_status, body }, head.environment))
}

pub(super) fn write_registration(
    device: &DeviceIdentity,
    registration: &Registration,
    (environment, first_number, instead_of): (&str, Option<u64>, Option<&DeviceIdentity>),
) -> Vec<u8> {
    to_json(&RegistrationBody {
        device: DeviceBody::of(device),
        environment: environment.to_owned(),
        first_number,
        instead_of: instead_of.map(DeviceBody::of),
        device_id: registration.device_id.clone(),
        scu_id: registration.scu_id.clone(),
        mrc_no: registration.mrc_no.clone(),
        taxpayer_name: registration.taxpayer_name.clone(),
        business: registration.business.clone(),
        branch_name: registration.branch_name.clone(),
        address: registration.address.clone(),
    })
}

/// A registration as it was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RegistrationRead {
    pub(super) device: DeviceIdentity,
    pub(super) registration: Registration,
    /// Which KRA it was made with.
    pub(super) environment: String,
    pub(super) first_number: Option<u64>,
    pub(super) instead_of: Option<DeviceIdentity>,
}

pub(super) fn read_registration(bytes: &[u8]) -> Result<RegistrationRead, UnreadableBody> {
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
    Ok(RegistrationRead {
        device: body.device.identity()?,
        registration,
        environment: body.environment,
        first_number: body.first_number,
        instead_of: body.instead_of.map(|it| it.identity()).transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fiscal::{BhfId, DeviceSerial, Tin};

    fn device(serial: &str) -> DeviceIdentity {
        DeviceIdentity {
            tin: Tin::new("P051234567Z").unwrap(),
            bhf_id: BhfId::new("00").unwrap(),
            serial: DeviceSerial::new(serial).unwrap(),
        }
    }

    #[test]
    fn inits_come_back() {
        let words = Words { result_cd: Some("902".to_owned()), message: "No".to_owned(), ..Words::default() };
        let tries =
            UnknownTries::default().with(&device("A"), 2).with(&device("B"), 1).with(&device("C 3"), 1);
        for step in [
            InitStep::Awaited,
            InitStep::Intended,
            InitStep::Lost(words.clone()),
            InitStep::NotSent(words.clone()),
            InitStep::Refused(words),
        ] {
            let init = Init {
                device: device("C 3"),
                instead_of: Some(device("B")),
                environment: "sandbox".to_owned(),
                step,
                tries: tries.clone(),
            };
            assert_eq!(read_init(&write_init(&init)).unwrap(), init);
        }
    }

    #[test]
    fn tries_are_counted_device_by_device() {
        let mut tries = UnknownTries::default().with(&device("A"), 2).with(&device("B"), 1);
        assert_eq!([tries.of(&device("A")), tries.of(&device("B")), tries.of(&device("C"))], [2, 1, 0]);
        tries = tries.with(&device("A"), 0);
        assert_eq!(tries, UnknownTries::default().with(&device("B"), 1));
        for number in 0..100 {
            tries = tries.with(&device(&format!("N{number}")), 1);
        }
        assert_eq!((tries.0.len(), tries.of(&device("N99")), tries.of(&device("B"))), (REMEMBERED, 1, 0));
    }

    #[test]
    fn answers_come_back_whole() {
        for body in [&b""[..], b"{\n\"a\":1}", b"<html>\xff</html>\n"] {
            let answer = KeptAnswer { device: device("A B"), http_status: 404, body: body.to_vec() };
            let bytes = write_answer(&answer, "custom");
            assert_eq!(read_answer(&bytes).unwrap(), (answer, "custom".to_owned()));
        }
        for bytes in [&b"{\"resultCd\":\"000\"}"[..], b"", b"{}\n", b"\0\0\0\nrest"] {
            assert!(read_answer(bytes).is_err(), "{bytes:?}");
        }
    }
}
