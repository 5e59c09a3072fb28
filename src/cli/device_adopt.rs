//! `device adopt`, `device moved`: what a person knows of the device that the gateway cannot find out.

use std::io::Read;
use std::path::Path;

use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::ask::{ask, ended_as};
use super::run::load;
use super::{DeviceAdoptArgs, DeviceMovedArgs, Exit, Output, say};
use crate::admin::{AdoptMessage, DeviceActed};

/// A key is at most 255 characters; a file that is much larger is another one.
const LARGEST_KEY_FILE: u64 = 64 * 1024;

/// Brings in a device that KRA registered elsewhere, a key given again, or the right serial number.
pub fn device_adopt(config: Option<&Path>, arguments: &DeviceAdoptArgs) -> Exit {
    let Some(settings) = load(config) else { return Exit::Configuration };
    let device = &settings.device;
    let tin = arguments.tin.clone().or_else(|| device.tin.clone());
    let serial = arguments.serial.clone().or_else(|| device.serial_number.clone());
    let (Some(tin), Some(serial_number)) = (tin, serial) else {
        eprintln!(
            "etims-gateway: PIN and serial are needed: set device.tin and device.serial_number, or give --tin and --serial"
        );
        return Exit::Usage;
    };
    let cmc_key = match arguments.key_file.as_deref().map(read_key).transpose() {
        Ok(key) => key,
        Err(exit) => return exit,
    };
    let message = AdoptMessage {
        tin,
        bhf_id: arguments.bhf_id.clone().unwrap_or_else(|| device.bhf_id.clone()),
        serial_number,
        cmc_key,
        sdc_id: arguments.sdc_id.clone(),
        mrc_no: arguments.mrc_no.clone(),
        dvc_id: arguments.dvc_id.clone(),
        taxpayer_name: arguments.taxpayer_name.clone(),
        next_invc_no: arguments.next_invc_no,
        reason: arguments.reason.clone(),
    };
    let body = serde_json::to_value(message).expect("texts and numbers are always JSON");
    act(config, "/device/adopt", &body, arguments.output)
}

/// Confirms that the store stands on other hardware on purpose.
pub fn device_moved(config: Option<&Path>, arguments: &DeviceMovedArgs) -> Exit {
    act(config, "/device/moved", &json!({ "reason": arguments.reason }), arguments.output)
}

fn act(config: Option<&Path>, path: &str, body: &Value, output: Output) -> Exit {
    let answer = match ask(config, Method::POST, path, Some(body)) {
        Ok((StatusCode::OK, answer)) => answer,
        Ok((status, answer)) => return ended_as(status, &answer),
        Err(exit) => return exit,
    };
    if output.json {
        say(&answer.to_string());
    } else if let Ok(acted) = serde_json::from_value::<DeviceActed>(answer) {
        say(&acted.message);
    }
    Exit::Ok
}

/// The first line of the file. Nothing of it is ever printed.
fn read_key(path: &Path) -> Result<String, Exit> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().take(LARGEST_KEY_FILE).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(LARGEST_KEY_FILE).read_to_string(&mut text))
    };
    if let Err(error) = read {
        eprintln!("etims-gateway: {}: {error}", path.display());
        return Err(match error.kind() {
            std::io::ErrorKind::PermissionDenied => Exit::Permission,
            _ => Exit::NoInput,
        });
    }
    match text.lines().next().map(str::trim) {
        Some(key) if !key.is_empty() => Ok(key.to_owned()),
        _ => {
            eprintln!("etims-gateway: {}: there is no key on its first line", path.display());
            Err(Exit::NoInput)
        }
    }
}
