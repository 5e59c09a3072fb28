//! The cheap question whether KRA is there: `selectOsdcStatus` on the XML wire, `selectNoticeList` on the others.

use crate::fiscal::{DeviceIdentity, KraDateTime};
use crate::queue::Probed;

use super::body::Body;
use super::envelope::Envelope;
use super::result_code::{self, Answer};
use super::tree::Tree;
use super::{Format, FrozenRequest, Function};

/// What this wire is asked.
pub const fn function(format: Format) -> Function {
    match format {
        Format::Json => Function::SelectNoticeList,
        Format::Xml => Function::SelectOsdcStatus,
    }
}

/// `selectNoticeList`: what KRA published since then.
pub fn notices(format: Format, device: &DeviceIdentity, since: KraDateTime) -> FrozenRequest {
    Body::frozen(Function::SelectNoticeList, format, device, |body| {
        body.text("lastReqDt", &since.to_string());
    })
}

/// The query of `selectOsdcStatus`, without the question mark.
pub fn status_query(device: &DeviceIdentity) -> String {
    format!(
        "tin={}&bhfId={}&dvcSrlNo={}",
        percent_encoded(device.tin.as_str()),
        percent_encoded(device.bhf_id.as_str()),
        percent_encoded(device.serial.as_str())
    )
}

/// Reads the answer. KRA is up where it answers with any code of its own, but refusals of the device and its own
/// trouble.
pub fn read(answer: &Answer<'_>) -> Probed {
    let tree = Tree::read(answer.body);
    let opened = tree.as_ref().ok().and_then(Envelope::open);
    let Some(envelope) = opened else {
        let words = answer.unreadable("it has no resultCd");
        return match answer.http_status {
            401 | 403 => Probed::Refused(words),
            _ => Probed::Down(words),
        };
    };
    let words = answer.words(&envelope);
    match envelope.code().as_deref() {
        Some(code) if result_code::refuses_device(code) => Probed::Refused(words),
        Some(code) if result_code::in_trouble(code) => Probed::Down(words),
        Some(_) => Probed::Up,
        None => match envelope.response_code {
            Some(401 | 403) => Probed::Refused(words),
            Some(400) => Probed::Up,
            _ => Probed::Down(words),
        },
    }
}

/// Everything but letters, digits and `-._~` as `%XX`.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use crate::fiscal::DeviceSerial;
    use crate::wire::sale::tests::sample;

    use super::*;

    #[test]
    fn questions() {
        let mut device = sample().device;
        device.serial = DeviceSerial::new("ODOO/P 0&a=b").unwrap();
        assert_eq!(status_query(&device), "tin=P000000000A&bhfId=00&dvcSrlNo=ODOO%2FP%200%26a%3Db");
        let since = KraDateTime::parse_kra("20250115101530").unwrap();
        assert_eq!(
            notices(Format::Json, &device, since).body,
            br#"{"tin":"P000000000A","bhfId":"00","cmcKey":"","lastReqDt":"20250115101530"}"#
        );
    }

    #[test]
    fn answers() {
        for (http_status, body, expected) in [
            (200, r#"{"resultCd":"000"}"#, "up"),
            (200, r#"{"resultCd":"001"}"#, "up"),
            (200, "<r><resultCd>0</resultCd></r>", "up"),
            (200, r#"{"resultCd":"990"}"#, "up"),
            (200, r#"{"resultCd":"910"}"#, "up"),
            (200, r#"{"resultCd":"900"}"#, "refused"),
            (200, r#"{"resultCd":"901"}"#, "refused"),
            (200, r#"{"resultCd":"903"}"#, "refused"),
            (200, r#"{"resultCd":"E04"}"#, "refused"),
            (200, r#"{"resultCd":"894"}"#, "down"),
            (200, r#"{"resultCd":"999"}"#, "down"),
            (401, "", "refused"),
            (403, "<html/>", "refused"),
            (200, "<html>login</html>", "down"),
            (404, "", "down"),
            (503, "", "down"),
        ] {
            let body = body.as_bytes();
            let name = match read(&Answer { http_status, retry_after: None, content_type: None, body }) {
                Probed::Down(_) => "down",
                Probed::Refused(_) => "refused",
                Probed::Up => "up",
            };
            assert_eq!(name, expected, "HTTP {http_status} {}", String::from_utf8_lossy(body));
        }
    }
}
