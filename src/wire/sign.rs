//! `X-Signature`: proof to KRA that a request's bytes come from whoever holds the key.

use data_encoding::BASE64;
use ring::hmac;

use crate::fiscal::CmcKey;

/// The header's name.
pub const HEADER: &str = "x-signature";

/// The header's value for exactly these bytes: HMAC-SHA-256, keyed with the key's text, in standard base64.
pub fn value(key: &CmcKey, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.reveal().as_bytes());
    format!("hmac-sha256={}", BASE64.encode(hmac::sign(&key, body).as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The second case of RFC 4231: key "Jefe".
    #[test]
    fn a_known_answer() {
        let key = CmcKey::new("Jefe").unwrap();
        let hex = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        let computed = value(&key, b"what do ya want for nothing?");
        let bytes = data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap();
        assert_eq!(computed, format!("hmac-sha256={}", BASE64.encode(&bytes)));
    }
}
