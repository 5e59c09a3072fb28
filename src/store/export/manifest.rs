//! The last line of an export: what it holds, signed.

use std::collections::BTreeMap;

use data_encoding::{BASE64, HEXLOWER};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::fiscal::Period;
use crate::queue::Seq;
use crate::store::keys::{Signer, signature_holds};

/// The number of the format that this version writes and reads.
pub(super) const FORMAT: u32 = 1;

/// Begins the bytes that the signature covers; the manifest's own text follows.
const SIGNED: &[u8] = b"etims-gateway export v1\0";

/// What an export holds.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Manifest {
    /// The number of the format.
    pub format: u32,
    /// The version of the gateway that wrote it.
    pub version: String,
    /// When it was written, Nairobi time, by the till's clock.
    pub written_at: Option<String>,
    /// The till's Ed25519 key, base64: all signatures of the export were made with it.
    pub public_key: String,
    /// The journal's random id, hex.
    pub journal: String,
    /// The days that were asked for.
    pub period: Days,
    /// The first record; none if the period has none.
    pub first: Option<Seq>,
    /// The last record.
    pub last: Option<Seq>,
    /// How many records.
    pub count: u64,
    /// Accepted sales and credit notes by the label of their receipt (`NS`, `NC`, `TS`, `PS` ...), whatever became of them.
    pub totals: BTreeMap<String, LabelTotals>,
    /// The hash of the record before the first, hex; zeros before the journal's very first.
    pub head_before: String,
    /// The hash of the last record, hex.
    pub head_after: String,
}

/// The days that were asked for, `2026-11-25`; a side that is not given is open.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Days {
    /// The first.
    pub from: Option<String>,
    /// The last.
    pub to: Option<String>,
}

impl From<Period> for Days {
    fn from(period: Period) -> Self {
        Self { from: period.from.map(|day| day.to_string()), to: period.to.map(|day| day.to_string()) }
    }
}

/// Sums over the sales of one label.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LabelTotals {
    /// How many.
    pub count: u64,
    /// The sum of their totals, shillings with two decimals.
    pub tot_amt: String,
    /// The sum of their taxes, the same.
    pub tot_tax_amt: String,
}

/// The line: the manifest's exact text, and the signature over it.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SignedLine<'a> {
    #[serde(borrow)]
    manifest: &'a RawValue,
    signature: String,
}

impl Manifest {
    /// The line, without its line feed.
    pub(super) fn sign(&self, signer: &Signer) -> String {
        let text = serde_json::to_string(self).expect("texts and numbers are always JSON");
        let signature = BASE64.encode(&signer.sign(&signed_bytes(&text)));
        let manifest = RawValue::from_string(text).expect("it was written as JSON just now");
        serde_json::to_string(&SignedLine { manifest: &manifest, signature }).expect("the same")
    }

    /// The manifest of a line whose signature holds.
    pub(super) fn read(line: &str) -> Result<Self, &'static str> {
        let signed: SignedLine<'_> =
            serde_json::from_str(line).map_err(|_| "the last line is not the signed manifest")?;
        let manifest: Self = serde_json::from_str(signed.manifest.get())
            .map_err(|_| "the manifest cannot be read: it was changed, or a newer version wrote it")?;
        if manifest.format != FORMAT {
            return Err("a newer version of the gateway wrote this export: check it with that version");
        }
        let key = manifest.key().ok_or("the manifest's public key is not a key")?;
        let signature = BASE64.decode(signed.signature.as_bytes()).ok();
        let signature = signature.and_then(|signature| <[u8; 64]>::try_from(signature).ok());
        let signature = signature.ok_or("the manifest's signature is not one")?;
        if !signature_holds(&key, &signed_bytes(signed.manifest.get()), &signature) {
            return Err("the manifest's signature does not hold: it was changed");
        }
        // What the signature does not cover: blanks, and whatever else JSON leaves open.
        if serde_json::to_string(&signed).expect("it was read as JSON just now") != line {
            return Err("the last line is not as it was written");
        }
        Ok(manifest)
    }

    /// The till's key.
    pub(super) fn key(&self) -> Option<[u8; 32]> {
        BASE64.decode(self.public_key.as_bytes()).ok()?.try_into().ok()
    }

    /// The journal's id.
    pub(super) fn journal_id(&self) -> Option<[u8; 16]> {
        HEXLOWER.decode(self.journal.as_bytes()).ok()?.try_into().ok()
    }
}

fn signed_bytes(text: &str) -> Vec<u8> {
    [SIGNED, text.as_bytes()].concat()
}

/// Counts the sales, label by label.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Tally(BTreeMap<&'static str, (u64, i128, i128)>);

impl Tally {
    /// One sale more; amounts in hundredths.
    pub(super) fn add(&mut self, label: &'static str, total: i64, tax: i64) {
        let (count, totals, taxes) = self.0.entry(label).or_default();
        *count = count.saturating_add(1);
        *totals = totals.saturating_add(i128::from(total));
        *taxes = taxes.saturating_add(i128::from(tax));
    }

    pub(super) fn totals(&self) -> BTreeMap<String, LabelTotals> {
        let row = |(label, (count, total, tax)): (&&str, &(u64, i128, i128))| {
            let totals =
                LabelTotals { count: *count, tot_amt: shillings(*total), tot_tax_amt: shillings(*tax) };
            ((*label).to_owned(), totals)
        };
        self.0.iter().map(row).collect()
    }
}

fn shillings(hundredths: i128) -> String {
    let sign = if hundredths < 0 { "-" } else { "" };
    let whole = hundredths.unsigned_abs();
    format!("{sign}{}.{:02}", whole / 100, whole % 100)
}
