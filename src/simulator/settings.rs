//! What can be set on a running simulator.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::code_lists::Rates;

/// How the simulator behaves when nothing is wrong with the line.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Seconds that KRA's clock is ahead of this machine's.
    pub clock_offset: i64,
    /// How a line's tax must be worked out.
    pub convention: Convention,
    /// What an invoice number that is in already is answered with.
    pub duplicate: Duplicate,
    /// Milliseconds that each answer takes, after the request has been processed.
    pub latency: u64,
    /// The rates by letter, in percent; `{"B": 18}` changes B alone.
    pub rates: Rates,
    /// What is added to the receipt counters, so that they differ from the invoice numbers.
    pub receipt_offset: ReceiptOffset,
    /// Whether a sale's items must have been saved before.
    pub require_items: bool,
    /// Answers as careless as the real ones: a space in a key, numbers as texts. JSON only.
    pub sloppy: bool,
    /// Whether XML elements may come in any order.
    pub any_order: bool,
    /// Whether XML requests may come without X-Signature.
    pub unsigned: bool,
}

/// The way a line's taxable amount and tax come out of its price.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Convention {
    /// The price contains the tax, the taxable amount does not.
    #[default]
    #[serde(alias = "I2")]
    GrossPriceNetTaxable,
    /// Price and taxable amount contain the tax.
    #[serde(alias = "I1")]
    GrossTaxable,
    /// Neither contains it.
    #[serde(alias = "X")]
    NetPrice,
}

/// The answer to an invoice number used before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Duplicate {
    /// 994, overlapped data.
    #[default]
    #[serde(rename = "994")]
    Overlapped,
    /// 910 with the number that was expected.
    #[serde(rename = "sequence")]
    Sequence,
}

/// Added to the receipt numbers of a sale, of a credit note, and over all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReceiptOffset {
    /// To `curRcptNo` of a sale.
    pub sale: u64,
    /// To `curRcptNo` of a credit note.
    pub credit_note: u64,
    /// To `totRcptNo`.
    pub total: u64,
}

impl Settings {
    /// These settings with the ones in `change` put over them.
    ///
    /// # Errors
    /// Words that say which name or value is not one.
    pub fn changed(&self, change: &Value) -> Result<Settings, String> {
        let mut all = serde_json::to_value(self).expect("settings are plain data");
        let (Value::Object(known), Value::Object(new)) = (&mut all, change) else {
            return Err("settings are an object".to_owned());
        };
        for (name, value) in new {
            match (known.get_mut(name), value) {
                (Some(Value::Object(old)), Value::Object(new)) => {
                    old.extend(new.iter().map(|(name, value)| (name.clone(), value.clone())));
                }
                _ => {
                    known.insert(name.clone(), value.clone());
                }
            }
        }
        serde_json::from_value(all).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::simulator::hundredths::Hundredths;

    #[test]
    fn only_what_is_named_changes() {
        let changed = Settings::default()
            .changed(&json!({"convention": "I1", "rates": {"B": 18, "E": "12.5"}, "duplicate": "sequence"}))
            .unwrap();
        assert_eq!(changed.convention, Convention::GrossTaxable);
        assert_eq!(changed.duplicate, Duplicate::Sequence);
        assert_eq!((changed.rates.B, changed.rates.E), (Hundredths::of(1800), Hundredths::of(1250)));
        assert_eq!(changed.rates.A, Hundredths::ZERO);
        for wrong in
            [json!({"convntion": "I1"}), json!({"rates": {"F": 1}}), json!({"latency": -1}), json!([])]
        {
            assert!(Settings::default().changed(&wrong).is_err(), "{wrong}");
        }
    }
}
