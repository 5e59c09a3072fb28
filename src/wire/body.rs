//! Writes a request's body in either format, remembering where the key goes.

use std::fmt::Display;

use crate::fiscal::{Amount, CmcKey, DeviceIdentity, Quantity, Rate};

use super::xml::LIST_ENTRY;
use super::{Format, FrozenRequest, Function, endpoint};

/// A body being written. Fields come out in the order of the calls; an absent value is `null` in JSON and left out in
/// XML, as KRA's own samples and the XML wire have it.
pub(super) struct Body {
    format: Format,
    bytes: Vec<u8>,
    key_at: usize,
}

impl Body {
    /// A whole request: its identity first (branch, taxpayer and the hole for the key), then what `fields` writes.
    pub(super) fn frozen(
        function: Function,
        format: Format,
        device: &DeviceIdentity,
        fields: impl FnOnce(&mut Self),
    ) -> FrozenRequest {
        let body = Self::whole(function, format, |body| {
            body.text("tin", device.tin.as_str());
            body.text("bhfId", device.bhf_id.as_str());
            body.hole("cmcKey");
            fields(body);
        });
        FrozenRequest { function, format, key_at: body.key_at, body: body.bytes }
    }

    /// A whole request that carries no key.
    pub(super) fn keyless(function: Function, format: Format, fields: impl FnOnce(&mut Self)) -> Vec<u8> {
        Self::whole(function, format, fields).bytes
    }

    fn whole(function: Function, format: Format, fields: impl FnOnce(&mut Self)) -> Self {
        let mut body = Self { format, bytes: Vec::with_capacity(2048), key_at: 0 };
        match format {
            Format::Json => body.braced(fields),
            Format::Xml => {
                body.push("<?xml version=\"1.0\" encoding=\"UTF-8\"?>");
                body.element(endpoint::root_element(function), fields);
            }
        }
        body
    }

    /// A text.
    pub(super) fn text(&mut self, name: &str, value: &str) {
        self.open(name);
        match self.format {
            Format::Json => serde_json::to_writer(&mut self.bytes, value).expect("a text is always JSON"),
            Format::Xml => self.push_escaped(value),
        }
        self.close(name);
    }

    /// A text, or nothing.
    pub(super) fn text_or_null(&mut self, name: &str, value: Option<&str>) {
        match value {
            Some(value) => self.text(name, value),
            None => self.null(name),
        }
    }

    /// A number that prints as a plain decimal.
    pub(super) fn number(&mut self, name: &str, value: impl Display) {
        self.open(name);
        self.push(&value.to_string());
        self.close(name);
    }

    /// Money: `0`, else with both its decimals.
    pub(super) fn amount(&mut self, name: &str, value: Amount) {
        if value == Amount::ZERO { self.number(name, 0) } else { self.number(name, value) }
    }

    /// A quantity: whole where it is whole.
    pub(super) fn quantity(&mut self, name: &str, value: Quantity) {
        self.hundredths(name, value.hundredths(), value);
    }

    /// A rate: whole where it is whole.
    pub(super) fn rate(&mut self, name: &str, value: Rate) {
        self.hundredths(name, value.hundredths(), value);
    }

    fn hundredths(&mut self, name: &str, hundredths: i64, printed: impl Display) {
        if hundredths % 100 == 0 { self.number(name, hundredths / 100) } else { self.number(name, printed) }
    }

    /// No value.
    pub(super) fn null(&mut self, name: &str) {
        if self.format == Format::Json {
            self.open(name);
            self.push("null");
        }
    }

    /// An object.
    pub(super) fn object(&mut self, name: &str, fields: impl FnOnce(&mut Self)) {
        match self.format {
            Format::Json => {
                self.open(name);
                self.braced(fields);
            }
            Format::Xml => self.element(name, fields),
        }
    }

    /// A list of objects.
    pub(super) fn list<T>(&mut self, name: &str, entries: &[T], fields: impl Fn(&mut Self, usize, &T)) {
        self.open(name);
        if self.format == Format::Json {
            self.push("[");
        }
        for (at, entry) in entries.iter().enumerate() {
            match self.format {
                Format::Json => {
                    if at > 0 {
                        self.push(",");
                    }
                    self.braced(|body| fields(body, at, entry));
                }
                Format::Xml => self.element(LIST_ENTRY, |body| fields(body, at, entry)),
            }
        }
        if self.format == Format::Json {
            self.push("]");
        }
        self.close(name);
    }

    /// The field whose value is filled in at each send.
    fn hole(&mut self, name: &str) {
        self.open(name);
        if self.format == Format::Json {
            self.push("\"");
        }
        self.key_at = self.bytes.len();
        if self.format == Format::Json {
            self.push("\"");
        }
        self.close(name);
    }

    fn braced(&mut self, fields: impl FnOnce(&mut Self)) {
        self.push("{");
        fields(self);
        self.push("}");
    }

    fn element(&mut self, name: &str, fields: impl FnOnce(&mut Self)) {
        self.push("<");
        self.push(name);
        self.push(">");
        fields(self);
        self.close(name);
    }

    fn open(&mut self, name: &str) {
        match self.format {
            Format::Json => {
                if self.bytes.last() != Some(&b'{') {
                    self.push(",");
                }
                self.push("\"");
                self.push(name);
                self.push("\":");
            }
            Format::Xml => {
                self.push("<");
                self.push(name);
                self.push(">");
            }
        }
    }

    fn close(&mut self, name: &str) {
        if self.format == Format::Xml {
            self.push("</");
            self.push(name);
            self.push(">");
        }
    }

    fn push(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }

    /// XML has no way to write most control characters: they are left out.
    fn push_escaped(&mut self, text: &str) {
        let writable = |c: char| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}');
        if text.chars().all(writable) {
            self.push(&quick_xml::escape::escape(text));
        } else {
            let kept: String = text.chars().filter(|c| writable(*c)).collect();
            self.push(&quick_xml::escape::escape(kept));
        }
    }
}

/// The key as it stands in a body of this format.
pub(super) fn key_text(format: Format, key: &CmcKey) -> String {
    match format {
        Format::Json => {
            let quoted = serde_json::to_string(key.reveal()).expect("a text is always JSON");
            quoted[1..quoted.len() - 1].to_owned()
        }
        Format::Xml => quick_xml::escape::escape(key.reveal()).into_owned(),
    }
}
