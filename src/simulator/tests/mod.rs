//! The simulator as its clients see it, and what it refuses as tables. Every request here is written by hand.

mod any_input;
mod credit_notes;
mod faults;
mod refusals;
mod series;
mod wires;

use serde_json::Value;

use super::clock::Moment;
use super::functions::Function;
use super::office::{Answer, Call, Identity, Office};
use super::settings::Settings;
use super::tree::Wire;

/// Two pieces at 58.00, letter B, cash.
pub(super) const SALE: &str = include_str!("sale.json");
const SALE_XML: &str = include_str!("sale.xml");
const INIT: &str = r#"{"tin":"P000000000A","bhfId":"00","dvcSrlNo":"TILL/1"}"#;

/// An office with one registered device, and no sockets.
struct Desk {
    office: Office,
    key: String,
}

impl Desk {
    fn new(settings: Settings) -> Desk {
        let mut office = Office::new(settings);
        let answer = office.answer(&call(Function::Initialise, INIT, ""), now());
        assert_eq!(answer.code, "000", "{answer:?}");
        let info = answer.data.at("info").unwrap();
        let key = info.text_at("cmcKey").to_owned();
        assert_eq!(key.len(), 32);
        Desk { office, key }
    }

    /// Sends a JSON body, the word KEY in it replaced by the device's.
    fn post(&mut self, function: Function, body: &str) -> Answer {
        let body = body.replace("KEY", &self.key);
        self.office.answer(&call(function, &body, &self.key), now())
    }

    fn sell(&mut self, body: &str) -> Answer {
        self.post(Function::SaveSale, body)
    }

    fn next(&mut self) -> u64 {
        self.office.books.branch("P000000000A", "00").unwrap().next()
    }
}

fn call(function: Function, body: &str, key: &str) -> Call {
    let header = Identity {
        tin: Some("P000000000A".to_owned()),
        bhf_id: Some("00".to_owned()),
        key: Some(key.to_owned()),
    };
    Call {
        function,
        wire: Wire::Json,
        header,
        signature: None,
        query: Vec::new(),
        body: body.as_bytes().to_vec(),
    }
}

fn now() -> Moment {
    Moment::parse("20250115120000").unwrap()
}

/// The text with one passage replaced, which must be there once.
fn edit(text: &str, from: &str, to: &str) -> String {
    assert_eq!(text.matches(from).count(), 1, "{from} in {text}");
    text.replace(from, to)
}

/// The sale under this number.
fn numbered(number: u64) -> String {
    edit(SALE, r#""invcNo":1,"#, &format!(r#""invcNo":{number},"#))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}
