use super::*;
use crate::fiscal::{BhfId, DeviceSerial, Tin};

fn device(serial: &str) -> DeviceIdentity {
    DeviceIdentity {
        tin: Tin::new("P051234567Z").unwrap(),
        bhf_id: BhfId::new("00").unwrap(),
        serial: DeviceSerial::new(serial).unwrap(),
    }
}

fn registration() -> Registration {
    Registration {
        device_id: "9".to_owned(),
        scu_id: "KRACU1".to_owned(),
        mrc_no: "M".to_owned(),
        taxpayer_name: "Duka".to_owned(),
        business: None,
        branch_name: None,
        address: None,
    }
}

fn words(result_cd: Option<&str>, http_status: Option<u16>) -> Words {
    Words { result_cd: result_cd.map(str::to_owned), http_status, ..Words::default() }
}

#[test]
fn who_is_answered_without_asking_kra() {
    let active = || Device::Active(device("A"), registration());
    let failed = || Device::Failed(device("A"), words(Some("901"), None));
    let pending = |unknown| Device::Pending { identity: device("A"), unknown };
    let name = |answer: Option<Registered>| match answer {
        None => "ask",
        Some(Registered::Already(..)) => "already",
        Some(Registered::Away(_)) => "lost",
        Some(Registered::Differs(known)) if known == device("A") => "differs",
        Some(Registered::Refused(words)) if words.result_cd.as_deref() == Some("901") => "refused",
        Some(other) => panic!("{other:?}"),
    };
    // Who asks; without and with sales here: by itself, by hand.
    for (known, asked, [idle, idle_by_hand, sold, sold_by_hand]) in [
        (Device::Unregistered, "A", ["ask"; 4]),
        (active(), "A", ["already"; 4]),
        (active(), "B", ["differs"; 4]),
        (failed(), "A", ["refused", "ask", "refused", "ask"]),
        (failed(), "B", ["ask", "ask", "differs", "differs"]),
        (pending(0), "A", ["ask"; 4]),
        (pending(1), "A", ["ask"; 4]),
        (pending(2), "A", ["lost", "ask", "lost", "ask"]),
        (pending(2), "B", ["ask", "ask", "differs", "differs"]),
    ] {
        for (has_documents, by_hand, expected) in [
            (false, false, idle),
            (false, true, idle_by_hand),
            (true, false, sold),
            (true, true, sold_by_hand),
        ] {
            let answer = without_asking(&known, &device(asked), has_documents, by_hand);
            assert_eq!(name(answer), expected, "{known:?}, asked {asked}, {has_documents}, {by_hand}");
        }
    }
}

#[test]
fn who_counts_as_there() {
    for (probed, there) in [
        (Probed::Up, true),
        (Probed::Refused(words(Some("901"), Some(200))), true),
        (Probed::Refused(words(None, Some(403))), true),
        (Probed::Refused(words(None, None)), false),
        (Probed::Down(words(None, None)), false),
        (Probed::Down(words(Some("999"), Some(200))), false),
    ] {
        assert_eq!(nobody_to_ask(probed.clone()).is_none(), there, "{probed:?}");
    }
}

#[test]
fn the_letter_to_kra_says_all_that_it_needs() {
    for key in [false, true] {
        let text = what_to_write(&device("TILL 7"), "Device already installed", key);
        for part in
            ["P051234567Z", "branch 00", "TILL 7", "902", "sdcId", "mrcNo", "etims-gateway device init"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert_eq!(text.contains("do not remove it"), key, "{text}");
        assert_eq!(text.contains("communication key (cmcKey)"), !key, "{text}");
    }
}
