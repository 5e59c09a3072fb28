//! A saving request whose every byte is fixed but the device's key.

use crate::fiscal::CmcKey;

/// The functions of KRA that we call, by their own names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Function {
    /// `saveTrnsSalesOsdc`.
    SaveTrnsSalesOsdc,
    /// `selectInitOsdcInfo`.
    SelectInitOsdcInfo,
    /// `selectInvoiceDetails`.
    SelectInvoiceDetails,
    /// `selectNoticeList`.
    SelectNoticeList,
    /// `selectOsdcStatus` (xml only).
    SelectOsdcStatus,
}

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// `application/json`.
    Json,
    /// `application/xml; charset=utf-8`.
    Xml,
}

/// The exact bytes of a request, with a hole where `cmcKey` goes: what BIND keeps. The same bytes are sent each time;
/// the key, and what is signed with it, are filled in at each send and never stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrozenRequest {
    /// Which function it calls.
    pub function: Function,
    /// How it is written.
    pub format: Format,
    /// The body without the key.
    pub body: Vec<u8>,
    /// Where in `body` the key goes, in bytes from its start; at most `body.len()`.
    pub key_at: usize,
}

impl FrozenRequest {
    /// The body as it is sent.
    pub fn fill(&self, key: &CmcKey) -> Vec<u8> {
        let (before, after) = self.body.split_at(self.key_at.min(self.body.len()));
        let mut filled = Vec::with_capacity(self.body.len() + key.reveal().len());
        filled.extend_from_slice(before);
        match self.format {
            Format::Json => {
                let quoted = serde_json::to_string(key.reveal()).expect("a text is always JSON");
                filled.extend_from_slice(quoted.trim_matches('"').as_bytes());
            }
            Format::Xml => filled.extend_from_slice(quick_xml::escape::escape(key.reveal()).as_bytes()),
        }
        filled.extend_from_slice(after);
        filled
    }
}
