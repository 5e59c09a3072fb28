//! The request that registers a device.

use crate::fiscal::{BhfId, DeviceIdentity, DeviceSerial, Fault, FaultCode, IdentityFault, Tin};

use super::json::{Object, read_document};
use super::refusal::Refusal;

const FIELDS: [&str; 3] = ["tin", "bhfId", "serialNumber"];

/// Reads `{tin, bhfId, serialNumber}`; all three are required.
///
/// # Errors
/// Not JSON, or every fault at once.
pub fn parse(body: &[u8]) -> Result<DeviceIdentity, Refusal> {
    let document = read_document(body)?;
    let mut faults = Vec::new();
    let members = Object::read(document, String::new(), &FIELDS, &mut faults)?;
    let tin = read(&members, "tin", Tin::new, &mut faults);
    let bhf_id = read(&members, "bhfId", BhfId::new, &mut faults);
    let serial = read(&members, "serialNumber", DeviceSerial::new, &mut faults);
    match (tin, bhf_id, serial) {
        (Some(tin), Some(bhf_id), Some(serial)) if faults.is_empty() => {
            Ok(DeviceIdentity { tin, bhf_id, serial })
        }
        _ => {
            faults.sort_by_key(|fault| {
                FIELDS.iter().position(|name| *name == fault.field).unwrap_or(FIELDS.len())
            });
            Err(Refusal::Faults(faults))
        }
    }
}

fn read<T>(
    members: &Object<'_>,
    name: &str,
    make: fn(&str) -> Result<T, IdentityFault>,
    faults: &mut Vec<Fault>,
) -> Option<T> {
    if members.raw(name).is_none() {
        faults.push(Fault::new(name, FaultCode::Required, "is required"));
    }
    match make(&members.text(name, faults)?) {
        Ok(value) => Some(value),
        Err(fault) => {
            faults.push(Fault::new(name, FaultCode::BadFormat, &fault.to_string()));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_members_make_a_device() {
        let body = br#" {"serialNumber":"GW/1","bhfId":"00","tin":"P000000000A"} "#;
        let device = parse(body).unwrap();
        assert_eq!(device.tin.as_str(), "P000000000A");
        assert_eq!(device.bhf_id.as_str(), "00");
        assert_eq!(device.serial.as_str(), "GW/1");
    }

    #[test]
    fn faults_come_by_name_and_all_at_once() {
        for (body, expected) in [
            ("{}", vec![("tin", "required"), ("bhfId", "required"), ("serialNumber", "required")]),
            (
                r#"{"tin":"p000000000A","bhfId":0,"serialNumber":"","cmcKey":"x"}"#,
                vec![
                    ("tin", "bad_format"),
                    ("bhfId", "wrong_type"),
                    ("serialNumber", "bad_format"),
                    ("cmcKey", "unknown_field"),
                ],
            ),
            (
                r#"{"tin":"P000000000A","tin":"P000000000A","bhfId":"00","serialNumber":null}"#,
                vec![("tin", "duplicate_key"), ("serialNumber", "required")],
            ),
        ] {
            let Err(Refusal::Faults(faults)) = parse(body.as_bytes()) else { panic!("{body} is taken") };
            let found: Vec<_> =
                faults.iter().map(|fault| (fault.field.as_str(), fault.code.word())).collect();
            assert_eq!(found, expected, "{body}");
        }
        assert!(matches!(parse(b"[]"), Err(Refusal::BadJson(_))));
    }
}
