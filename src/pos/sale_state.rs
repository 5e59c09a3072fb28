//! A sale's present state as a register is told it.

use serde::{Serialize, Serializer};

use crate::fiscal::{
    DeviceIdentity, KraDateTime, Label, Proof, Registration, base32, local_signature, qr_url,
    temporary_receipt_no,
};
use crate::queue::{Seq, Settlement, Status, Words};
use crate::status::{About, advice, closed};

/// What is known of a sale.
#[derive(Clone, Copy, Debug)]
pub struct SaleFacts<'a> {
    /// The register's own number, without the port's prefix.
    pub trader_ref: &'a str,
    /// Where it stands.
    pub status: Status,
    /// What it is.
    pub label: Label,
    /// The number of its record.
    pub running_number: Seq,
    /// The hash of its record.
    pub record_hash: &'a [u8; 32],
    /// Our signature.
    pub signature: &'a [u8; 64],
    /// The device that it belongs to.
    pub device: &'a DeviceIdentity,
    /// What KRA told of that device, where it was registered by then.
    pub registration: Option<&'a Registration>,
    /// The host of KRA's portal, for the link in the QR code.
    pub portal_host: &'a str,
    /// KRA's number, once bound.
    pub invoice_no: Option<u64>,
    /// KRA's proof.
    pub proof: Option<&'a Proof>,
    /// KRA's last words about it, where it was refused or set aside.
    pub words: Option<&'a Words>,
    /// The register's number of the sale that a credit note undoes.
    pub original: Option<&'a str>,
    /// KRA's number of it, where it was made elsewhere.
    pub original_elsewhere: Option<u64>,
    /// The register's number of the refused sale that this one corrects.
    pub replaces: Option<&'a str>,
    /// The register's number of the sale that corrects this one.
    pub replaced_by: Option<&'a str>,
    /// As what a person closed it.
    pub settled_as: Option<Settlement>,
    /// How it waits, while it is pending.
    pub waiting: Option<Waiting>,
}

/// How a pending sale waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its place in the queue, from 1.
    pub position: u64,
    /// When asking again is worth while, in seconds.
    pub retry_after: u64,
    /// It was sent, and nobody knows whether it is in.
    pub in_doubt: bool,
    /// When it is looked up or tried next.
    pub next_check: Option<KraDateTime>,
}

/// A sale's state, ready to be written; what does not apply is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SaleState {
    #[serde(serialize_with = "word")]
    status: Status,
    trd_invc_no: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt_no: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_receipt_no: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    invc_no: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    internal_data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sdc_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mrc_no: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sdc_date_time: Option<String>,
    #[serde(serialize_with = "letters")]
    label: Label,
    #[serde(skip_serializing_if = "Option::is_none")]
    qr_url: Option<String>,
    temp_receipt_no: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    local_signature: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    local_signature_full: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attention: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    in_doubt: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_check: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kra_message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result_cd: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    org_trd_invc_no: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    org_invc_no: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limits_unchecked: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replaces: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replaced_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    settled_as: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repeat: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted_at: Option<String>,
}

impl SaleState {
    /// Says of a sale what its state calls for.
    pub fn of(facts: &SaleFacts<'_>) -> Self {
        let base = Self::bare(facts).advised(facts);
        match (facts.status, facts.proof) {
            (Status::Signed, Some(proof)) => base.signed(facts, proof),
            (Status::Pending, _) => base.pending(facts),
            (Status::NotFiscal, _) => {
                Self { local_signature: Some(local_signature(facts.signature)), ..base }
            }
            (Status::AcceptedNoProof | Status::Settled | Status::Signed, _) => {
                Self { invc_no: facts.invoice_no, ..base }
            }
            (Status::Parked | Status::Rejected, _) => {
                let words = facts.words;
                Self {
                    kra_message: words.map(|words| words.message.clone()),
                    result_cd: words.and_then(|words| words.result_cd.clone()),
                    field: words.and_then(|words| words.field.clone()),
                    ..base
                }
            }
        }
    }

    /// What is said of every sale.
    fn bare(facts: &SaleFacts<'_>) -> Self {
        Self {
            status: facts.status,
            trd_invc_no: facts.trader_ref.to_owned(),
            receipt_no: None,
            total_receipt_no: None,
            invc_no: None,
            signature: None,
            internal_data: None,
            sdc_id: None,
            mrc_no: None,
            sdc_date_time: None,
            label: facts.label,
            qr_url: None,
            temp_receipt_no: temporary_receipt_no(facts.running_number, facts.record_hash),
            local_signature: None,
            local_signature_full: None,
            position: None,
            retry_after: None,
            attention: None,
            in_doubt: None,
            next_check: None,
            kra_message: None,
            result_cd: None,
            field: None,
            org_trd_invc_no: facts.original.map(str::to_owned),
            org_invc_no: facts.original_elsewhere,
            // What is left of that nobody has checked.
            limits_unchecked: facts.original_elsewhere.map(|_| true),
            replaces: facts.replaces.map(str::to_owned),
            replaced_by: facts.replaced_by.map(str::to_owned),
            settled_as: facts.settled_as.map(Settlement::word),
            advice: None,
            repeat: None,
            accepted_at: None,
        }
    }

    /// With what has to be done about it, where it did not go the usual way.
    fn advised(self, facts: &SaleFacts<'_>) -> Self {
        let about = About {
            trader_ref: facts.trader_ref,
            temporary_receipt_no: &self.temp_receipt_no,
            running_number: facts.running_number,
            credit_note: facts.label.is_credit(),
        };
        let closed =
            || closed(facts.settled_as, facts.replaced_by).filter(|_| facts.status == Status::Settled);
        Self { advice: advice(facts.status, about).or_else(closed), ..self }
    }

    fn signed(self, facts: &SaleFacts<'_>, proof: &Proof) -> Self {
        let DeviceIdentity { tin, bhf_id, .. } = facts.device;
        Self {
            receipt_no: Some(proof.receipt_no),
            total_receipt_no: Some(proof.total_receipt_no),
            invc_no: facts.invoice_no,
            signature: Some(proof.signature.clone()),
            internal_data: Some(proof.internal_data.clone()),
            sdc_id: facts.registration.map(|registration| registration.scu_id.clone()),
            mrc_no: facts.registration.map(|registration| registration.mrc_no.clone()),
            sdc_date_time: Some(proof.issued_at.to_string()),
            qr_url: Some(qr_url(facts.portal_host, tin, bhf_id, &proof.signature)),
            ..self
        }
    }

    fn pending(self, facts: &SaleFacts<'_>) -> Self {
        let waiting = facts.waiting;
        Self {
            local_signature: Some(local_signature(facts.signature)),
            position: waiting.map(|waiting| waiting.position),
            retry_after: waiting.map(|waiting| waiting.retry_after),
            attention: Some(0),
            in_doubt: waiting.filter(|waiting| waiting.in_doubt).map(|_| true),
            next_check: waiting.and_then(|waiting| waiting.next_check).map(KraDateTime::rfc3339),
            ..self
        }
    }

    /// With how many sales of this register KRA has refused and nobody has settled; zero is said of pending sales
    /// only.
    #[must_use]
    pub fn with_attention(self, open: u64) -> Self {
        Self { attention: Some(open).filter(|open| *open > 0).or(self.attention), ..self }
    }

    /// As the answer to a request that was accepted before, at `accepted_at`.
    #[must_use]
    pub fn repeated(self, accepted_at: KraDateTime) -> Self {
        Self { repeat: Some(true), accepted_at: Some(accepted_at.rfc3339()), ..self }
    }

    /// With all that a look-up shows: when it was accepted, and our signature whole.
    #[must_use]
    pub fn in_full(self, accepted_at: KraDateTime, signature: &[u8; 64]) -> Self {
        Self {
            accepted_at: Some(accepted_at.rfc3339()),
            local_signature_full: Some(base32(signature)),
            ..self
        }
    }

    /// Where it stands.
    pub fn status(&self) -> Status {
        self.status
    }

    /// When asking again is worth while, in seconds; for a pending sale.
    pub fn retry_after(&self) -> Option<u64> {
        self.retry_after
    }

    /// What has to be done about it, where it did not go the usual way.
    pub fn advice(&self) -> Option<&str> {
        self.advice.as_deref()
    }

    /// KRA's own words, where it was refused or set aside.
    pub fn kra_message(&self) -> Option<&str> {
        self.kra_message.as_deref()
    }
}

fn word<S: Serializer>(status: &Status, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(status.word())
}

fn letters<S: Serializer>(label: &Label, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(label.letters())
}

/// A register's number as the register itself wrote it: without its port's prefix.
pub fn without_prefix<'a>(trader_ref: &'a str, prefix: &str) -> &'a str {
    trader_ref.strip_prefix(prefix).unwrap_or(trader_ref)
}
