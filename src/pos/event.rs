//! An event as it is told: the same JSON for those who follow and for webhooks.

use serde::Serialize;

use super::sale_state::{SaleFacts, SaleState, without_prefix};
use crate::fiscal::{DeviceIdentity, KraDateTime, Label, Registration};
use crate::gateway::ports::{DeviceNews, Event, Happened, Sale};
use crate::queue::{Status, Words};
use crate::status::Alert;

/// What the telling needs beside the event.
#[derive(Clone, Copy, Debug)]
pub struct EventTold<'a> {
    /// What KRA told of the device.
    pub registration: Option<&'a Registration>,
    /// The host of KRA's portal, for the link in the QR code.
    pub portal_host: &'a str,
    /// Taken off the register's numbers; empty for all but a serial port that puts one before them.
    pub prefix: &'a str,
}

#[derive(Serialize)]
struct Body<'a> {
    id: u64,
    r#type: String,
    at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sale: Option<SaleState>,
    /// What the customer paid; with what goes wrong, so that a person finds the slip.
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<DeviceBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alert: Option<&'a Alert>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeviceBody<'a> {
    status: &'static str,
    tin: String,
    bhf_id: String,
    serial_number: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sdc_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kra_message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result_cd: Option<&'a str>,
}

impl EventTold<'_> {
    /// The event as one line of JSON.
    pub fn json(&self, event: &Event) -> String {
        let at = KraDateTime::from_unix(event.at_ms.div_euclid(1000)).map(KraDateTime::rfc3339);
        let bare = Body {
            id: event.id,
            r#type: String::new(),
            at: at.unwrap_or_default(),
            sale: None,
            amount: None,
            advice: None,
            device: None,
            alert: None,
        };
        let body = match &event.what {
            Happened::Alert(change) => {
                let what = if change.raised { "raised" } else { "cleared" };
                Body { r#type: format!("alert.{what}"), alert: Some(&change.alert), ..bare }
            }
            Happened::Device(news) => {
                let device = device_body(news);
                Body { r#type: format!("device.{}", device.status), device: Some(device), ..bare }
            }
            Happened::Sale(sale) => {
                let wrong = sale.status != Status::Signed;
                let state = self.state(sale);
                Body {
                    r#type: format!("sale.{}", sale.status.word()),
                    amount: wrong.then(|| sale.invoice.total.to_string()),
                    advice: state.advice().map(str::to_owned),
                    sale: Some(state),
                    ..bare
                }
            }
        };
        serde_json::to_string(&body).expect("texts and numbers are always JSON")
    }

    fn state(&self, sale: &Sale) -> SaleState {
        let label = Label::original(sale.invoice.receipt_type, sale.invoice.sales_type);
        let accepted_at = KraDateTime::from_unix(sale.accepted_ms.div_euclid(1000));
        SaleState::of(&SaleFacts {
            trader_ref: without_prefix(sale.invoice.trader_ref.as_str(), self.prefix),
            status: sale.status,
            label: label.expect("an invoice is of a kind that has a label"),
            running_number: sale.seq,
            record_hash: &sale.hash,
            signature: &sale.signature,
            device: &sale.invoice.device,
            registration: self.registration,
            portal_host: self.portal_host,
            invoice_no: sale.invoice_no,
            proof: sale.proof.as_ref(),
            words: sale.words.as_ref(),
            original: sale.named_original().map(|own| without_prefix(own, self.prefix)),
            original_elsewhere: sale.original_elsewhere(),
            replaces: sale.invoice.replaces.as_ref().map(|old| without_prefix(old.as_str(), self.prefix)),
            replaced_by: sale.replaced_by().map(|new| without_prefix(new, self.prefix)),
            settled_as: sale.settled_as(),
            waiting: None,
        })
        .in_full(accepted_at.unwrap_or(sale.invoice.confirmed_at), &sale.signature)
    }
}

fn device_body(news: &DeviceNews) -> DeviceBody<'_> {
    let (status, device, registration, words) = match news {
        DeviceNews::Active(device, registration) => ("active", device, Some(registration), None),
        DeviceNews::Failed(device, words) => ("failed", device, None, Some(words)),
        DeviceNews::Pending(device) => ("pending", device, None, None),
    };
    let DeviceIdentity { tin, bhf_id, serial } = device;
    DeviceBody {
        status,
        tin: tin.to_string(),
        bhf_id: bhf_id.to_string(),
        serial_number: serial.to_string(),
        device_id: registration.map(|it| it.device_id.as_str()),
        sdc_id: registration.map(|it| it.scu_id.as_str()),
        kra_message: words.map(|it: &Words| it.message.as_str()),
        result_cd: words.and_then(|it| it.result_cd.as_deref()),
    }
}
