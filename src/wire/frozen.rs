//! A saving request whose every byte is fixed but the device's key.

use crate::fiscal::CmcKey;

use super::body;
use super::tree::Tree;

/// The functions of KRA that we call, by their own names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Function {
    /// `saveItem`.
    SaveItem,
    /// `saveTrnsSalesOsdc`.
    SaveTrnsSalesOsdc,
    /// `selectCodeList`.
    SelectCodeList,
    /// `selectInitOsdcInfo`.
    SelectInitOsdcInfo,
    /// `selectInvoiceDetails`.
    SelectInvoiceDetails,
    /// `selectItemClsList`.
    SelectItemClsList,
    /// `selectItemList`: the items that KRA has (json only).
    SelectItemList,
    /// `selectNoticeList`.
    SelectNoticeList,
    /// `selectOsdcStatus` (xml only).
    SelectOsdcStatus,
    /// `selectTrnsPurchaseSalesItemList`: item classes and codes in one (xml only).
    SelectTrnsPurchaseSalesItemList,
    /// `selectTrnsSalesList`.
    SelectTrnsSalesList,
}

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// `application/json`.
    Json,
    /// `application/xml; charset=utf-8`.
    Xml,
}

impl Format {
    /// The `Content-Type` of requests in this format.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Xml => "application/xml; charset=utf-8",
        }
    }

    /// The `Accept` of requests without a body.
    pub const fn accept(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Xml => "application/xml",
        }
    }
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
        let key = body::key_text(self.format, key);
        let mut filled = Vec::with_capacity(self.body.len() + key.len());
        filled.extend_from_slice(before);
        filled.extend_from_slice(key.as_bytes());
        filled.extend_from_slice(after);
        filled
    }

    /// The register's number of the sale in it, for the API log; `None` where it is no sale.
    pub fn trader_ref(&self) -> Option<String> {
        Some(Tree::read(&self.body).ok()?.text("trdInvcNo")?.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(format: Format, body: &str, key: &str, expected: &str) {
        let key_at = body.find('@').unwrap();
        let request = FrozenRequest {
            function: Function::SaveTrnsSalesOsdc,
            format,
            body: body.replace('@', "").into_bytes(),
            key_at,
        };
        let filled = request.fill(&CmcKey::new(key).unwrap());
        assert_eq!(String::from_utf8(filled).unwrap(), expected);
    }

    #[test]
    fn the_key_is_escaped_for_its_format() {
        check(Format::Json, r#"{"cmcKey":"@"}"#, "ab12", r#"{"cmcKey":"ab12"}"#);
        check(Format::Json, r#"{"cmcKey":"@"}"#, r#""a\""#, r#"{"cmcKey":"\"a\\\""}"#);
        check(Format::Xml, "<cmcKey>@</cmcKey>", "a<b&\"", "<cmcKey>a&lt;b&amp;&quot;</cmcKey>");
    }

    #[test]
    fn a_hole_beyond_the_end_does_not_panic() {
        let function = Function::SaveTrnsSalesOsdc;
        let request = FrozenRequest { function, format: Format::Json, body: b"{}".to_vec(), key_at: 9 };
        assert_eq!(request.fill(&CmcKey::new("k").unwrap()), b"{}k");
    }
}
