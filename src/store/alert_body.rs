//! The body of an EVENT record about an alert: what changed, and all alerts that stand from then on.

use serde::{Deserialize, Serialize};

use super::bodies::{from_json, to_json};
use super::sale_body::UnreadableBody;
use crate::queue::Seq;
use crate::status::{Alert, AlertChange, AlertKey};

#[derive(Debug, Deserialize, Serialize)]
struct AlertBody {
    /// `raised` or `cleared`.
    alert: String,
    code: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    about: Option<Seq>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    message: String,
    standing: Vec<KeyBody>,
}

#[derive(Debug, Deserialize, Serialize)]
struct KeyBody {
    code: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    about: Option<Seq>,
}

pub(super) fn write_alert(change: &AlertChange, standing: &[AlertKey]) -> Vec<u8> {
    to_json(&AlertBody {
        alert: if change.raised { "raised" } else { "cleared" }.to_owned(),
        code: change.alert.code.clone(),
        about: change.alert.about,
        message: change.alert.message.clone(),
        standing: standing.iter().map(|key| KeyBody { code: key.code.clone(), about: key.about }).collect(),
    })
}

/// The change, and what stood after it.
pub(super) fn read_alert(bytes: &[u8]) -> Result<(AlertChange, Vec<AlertKey>), UnreadableBody> {
    let body: AlertBody = from_json(bytes)?;
    let raised = match body.alert.as_str() {
        "raised" => true,
        "cleared" => false,
        other => return Err(UnreadableBody(format!("alert {other:?}"))),
    };
    let alert = Alert { code: body.code, about: body.about, message: body.message };
    let standing = body.standing.into_iter().map(|key| AlertKey { code: key.code, about: key.about });
    Ok((AlertChange { raised, alert }, standing.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_come_back() {
        for (raised, about) in [(true, Some(7)), (false, None)] {
            let alert = Alert { code: "rejected".to_owned(), about, message: "KRA said \"no\"".to_owned() };
            let change = AlertChange { raised, alert };
            let standing = [
                AlertKey { code: "parked".to_owned(), about: None },
                AlertKey { code: "rejected".to_owned(), about: Some(7) },
            ];
            let read = read_alert(&write_alert(&change, &standing)).unwrap();
            assert_eq!(read, (change, standing.to_vec()));
        }
    }
}
