//! `selectInitOsdcInfo`: the device in, its key and its unit's id out. KRA gives the key once.

use crate::fiscal::{CmcKey, DeviceIdentity, Registration};
use crate::queue::Words;

use super::body::Body;
use super::envelope::{self, Envelope};
use super::tree::Tree;
use super::{Format, Function};

/// Why an answer to registering gives no key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InitialiseRefusal {
    /// 902: KRA registered this device before, and gives the key only once.
    AlreadyInstalled(Words),
    /// KRA says no, for good: nothing was registered.
    Refused(Words),
    /// No answer that can be read, or success without a usable key: KRA may have registered the device.
    Unreadable(Words),
    /// An answer that does not decide (KRA in trouble): it may have registered the device.
    Unsure(Words),
}

impl InitialiseRefusal {
    /// KRA's words.
    pub const fn words(&self) -> &Words {
        match self {
            Self::AlreadyInstalled(words)
            | Self::Refused(words)
            | Self::Unreadable(words)
            | Self::Unsure(words) => words,
        }
    }
}

/// The request's body.
pub fn encode(format: Format, device: &DeviceIdentity) -> Vec<u8> {
    Body::keyless(Function::SelectInitOsdcInfo, format, |body| {
        body.text("tin", device.tin.as_str());
        body.text("bhfId", device.bhf_id.as_str());
        body.text("dvcSrlNo", device.serial.as_str());
    })
}

/// Reads the answer's raw body, as it was written to disk.
///
/// # Errors
/// KRA gave no key; the refusal says whether the device may be registered all the same.
pub fn read(http_status: u16, raw: &[u8]) -> Result<(Registration, CmcKey), InitialiseRefusal> {
    let unreadable = |why: &str| InitialiseRefusal::Unreadable(envelope::unreadable(http_status, None, why));
    let tree = Tree::read(raw);
    let opened = tree.as_ref().ok().and_then(Envelope::open);
    let Some(envelope) = opened else {
        let words = envelope::unreadable(http_status, None, "it has no resultCd");
        return Err(match (http_status, tree) {
            (408 | 429, _) => InitialiseRefusal::Unsure(words),
            (300..=499, _) => InitialiseRefusal::Refused(words),
            (500.., _) => InitialiseRefusal::Unsure(words),
            (_, Ok(_)) => InitialiseRefusal::Unreadable(words),
            (_, Err(fault)) => unreadable(&fault.to_string()),
        });
    };
    let words = envelope.words(http_status);
    match envelope.code().as_deref() {
        Some("000") => {}
        Some("902") => return Err(InitialiseRefusal::AlreadyInstalled(words)),
        Some(code) if decides(code) => return Err(InitialiseRefusal::Refused(words)),
        None if envelope.response_code == Some(400) => return Err(InitialiseRefusal::Refused(words)),
        _ => return Err(InitialiseRefusal::Unsure(words)),
    }
    let data = envelope.data.ok_or_else(|| unreadable("success, but no data"))?;
    let info = data.field("info").unwrap_or(data);
    let key = info.text("cmcKey").ok_or_else(|| unreadable("success, but no cmcKey"))?;
    let key = CmcKey::new(key).map_err(|fault| unreadable(&format!("its cmcKey {fault}")))?;
    let registration = registration(info).ok_or_else(|| unreadable("success, but no sdcId"))?;
    Ok((registration, key))
}

/// The key alone, where an answer that [`read`] cannot use holds one.
pub fn key(raw: &[u8]) -> Option<CmcKey> {
    let tree = Tree::read(raw).ok()?;
    let data = Envelope::open(&tree)?.data?;
    CmcKey::new(data.field("info").unwrap_or(data).text("cmcKey")?).ok()
}

/// The codes that refuse a registration for good; every other code leaves it open.
fn decides(code: &str) -> bool {
    matches!(
        code,
        "891" | "892" | "893" | "895" | "900" | "901" | "903" | "905" | "910" | "911" | "912" | "913" | "E04"
    )
}

fn registration(info: &Tree<'_>) -> Option<Registration> {
    let text = |name| info.text(name).map(str::to_owned);
    let address: Vec<&str> =
        ["locDesc", "sctrNm", "dstrtNm", "prvncNm"].iter().filter_map(|name| info.text(name)).collect();
    Some(Registration {
        device_id: text("dvcId").unwrap_or_default(),
        // One of KRA's own tables spells it sdicId.
        scu_id: text("sdcId").or_else(|| text("sdicId"))?,
        mrc_no: text("mrcNo").unwrap_or_default(),
        taxpayer_name: text("taxprNm").unwrap_or_default(),
        business: text("bsnsActv"),
        branch_name: text("bhfNm"),
        address: Some(address.join(", ")).filter(|address| !address.is_empty()),
    })
}

#[cfg(test)]
mod tests {
    use crate::fiscal::{BhfId, DeviceSerial, Tin};

    use super::*;

    const INFO: &str = r#"{"tin":"P000000000A","taxprNm":"Duka Ltd","bsnsActv":"Retail","bhfId":"00",
        "bhfNm":"Head office","prvncNm":"Nairobi","dstrtNm":"Westlands","sctrNm":null,"locDesc":"Shop 4",
        "dvcId":9990000000000001,"sdcId":"KRACU013000001","mrcNo":"WIS01006230","cmcKey":"0123456789ABCDEF"}"#;

    fn answer(code: &str, data: &str) -> String {
        format!(r#"{{"resultCd":"{code}","resultMsg":"said","resultDt":"20250115101533","data":{data}}}"#)
    }

    #[test]
    fn requests() {
        let device = DeviceIdentity {
            tin: Tin::new("P000000000A").unwrap(),
            bhf_id: BhfId::new("00").unwrap(),
            serial: DeviceSerial::new("GW <1>").unwrap(),
        };
        assert_eq!(
            encode(Format::Json, &device),
            br#"{"tin":"P000000000A","bhfId":"00","dvcSrlNo":"GW <1>"}"#
        );
        let xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><DeviceVerificationReq><tin>P000000000A</tin>\
            <bhfId>00</bhfId><dvcSrlNo>GW &lt;1&gt;</dvcSrlNo></DeviceVerificationReq>";
        assert_eq!(String::from_utf8(encode(Format::Xml, &device)).unwrap(), xml);
    }

    #[test]
    fn a_registration_from_every_shape() {
        let xml = "<DeviceVerificationRes><resultCd>000</resultCd><data><info><taxprNm>Duka Ltd</taxprNm>\
            <bsnsActv>Retail</bsnsActv><bhfNm>Head office</bhfNm><prvncNm>Nairobi</prvncNm>\
            <dstrtNm>Westlands</dstrtNm><sctrNm/><locDesc>Shop 4</locDesc><dvcId>9990000000000001</dvcId>\
            <sdicId>KRACU013000001</sdicId><mrcNo>WIS01006230</mrcNo><cmcKey>0123456789ABCDEF</cmcKey>\
            </info></data></DeviceVerificationRes>";
        for body in [
            answer("000", &format!(r#"{{"info":{INFO}}}"#)),
            answer("0", INFO),
            answer("000", &format!(r#"{{"info":{}}}"#, INFO.replace("sdcId", "sdicId "))),
            xml.to_owned(),
        ] {
            let (registration, key) = read(200, body.as_bytes()).unwrap();
            assert_eq!(key.reveal(), "0123456789ABCDEF");
            assert_eq!(
                registration,
                Registration {
                    device_id: "9990000000000001".to_owned(),
                    scu_id: "KRACU013000001".to_owned(),
                    mrc_no: "WIS01006230".to_owned(),
                    taxpayer_name: "Duka Ltd".to_owned(),
                    business: Some("Retail".to_owned()),
                    branch_name: Some("Head office".to_owned()),
                    address: Some("Shop 4, Westlands, Nairobi".to_owned()),
                }
            );
        }
    }

    #[test]
    fn a_key_in_an_answer_that_cannot_be_used() {
        let without_id = answer("000", &format!(r#"{{"info":{}}}"#, INFO.replace("sdcId", "other")));
        assert_eq!(key(without_id.as_bytes()).unwrap().reveal(), "0123456789ABCDEF");
        for body in [answer("902", "null"), answer("000", r#"{"info":{}}"#), "<html>x</html>".to_owned()] {
            assert_eq!(key(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn refusals() {
        let without = |field: &str| answer("000", &format!(r#"{{"info":{}}}"#, INFO.replace(field, "other")));
        let name = |refusal: &InitialiseRefusal| match refusal {
            InitialiseRefusal::AlreadyInstalled(_) => "already installed",
            InitialiseRefusal::Refused(_) => "refused",
            InitialiseRefusal::Unreadable(_) => "unreadable",
            InitialiseRefusal::Unsure(_) => "unsure",
        };
        for (http_status, body, expected) in [
            (200, answer("902", "null"), "already installed"),
            (200, answer("901", "null"), "refused"),
            (200, answer("910", "null"), "refused"),
            (200, answer("E04", "null"), "refused"),
            (200, answer("999", "null"), "unsure"),
            (200, answer("894", "null"), "unsure"),
            (200, answer("777", "null"), "unsure"),
            (200, answer("000", "null"), "unreadable"),
            (200, without("cmcKey"), "unreadable"),
            (200, without("sdcId"), "unreadable"),
            (200, answer("000", &INFO.replace("0123456789ABCDEF", "")), "unreadable"),
            (200, answer("000", &INFO.replace("0123456789ABCDEF", "with space")), "unreadable"),
            (200, "<html>x</html>".to_owned(), "unreadable"),
            (200, String::new(), "unreadable"),
            (404, String::new(), "refused"),
            (302, String::new(), "refused"),
            (429, String::new(), "unsure"),
            (503, "<html>x</html>".to_owned(), "unsure"),
        ] {
            let refusal = read(http_status, body.as_bytes()).unwrap_err();
            assert_eq!(name(&refusal), expected, "HTTP {http_status} {body}");
            assert!(!format!("{refusal:?}").contains("0123456789ABCDEF"));
        }
    }
}
