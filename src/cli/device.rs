//! `device init`: registers the device with KRA.

use std::path::Path;

use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::ask::{ask, words};
use super::run::load;
use super::{DeviceInitArgs, Exit, say};

/// Registers it, once; asking again changes nothing.
pub fn device_init(config: Option<&Path>, arguments: &DeviceInitArgs) -> Exit {
    let Some(settings) = load(config) else { return Exit::Configuration };
    let device = &settings.device;
    let tin = arguments.tin.clone().or_else(|| device.tin.clone());
    let bhf_id = arguments.bhf_id.clone().unwrap_or_else(|| device.bhf_id.clone());
    let serial = arguments.serial.clone().or_else(|| device.serial_number.clone());
    let (Some(tin), Some(serial)) = (tin, serial) else {
        eprintln!(
            "etims-gateway: PIN and serial are needed: set device.tin and device.serial_number, or give --tin and --serial"
        );
        return Exit::Usage;
    };
    let body = json!({ "tin": tin, "bhfId": bhf_id, "serialNumber": serial });
    let mut answer = match ask(config, Method::POST, "/device/init", Some(&body)) {
        Ok((StatusCode::OK, answer)) => answer,
        Ok((status, answer)) => {
            eprintln!("etims-gateway: {}", words(&answer));
            return if status == StatusCode::SERVICE_UNAVAILABLE { Exit::Unavailable } else { Exit::Problem };
        }
        Err(exit) => return exit,
    };
    if arguments.show_key {
        match ask(config, Method::GET, "/device/key", None) {
            Ok((StatusCode::OK, key)) => answer["cmcKey"] = key["cmcKey"].clone(),
            Ok((_, refusal)) => {
                eprintln!("etims-gateway: {}", words(&refusal));
                return Exit::Problem;
            }
            Err(exit) => return exit,
        }
    }
    if arguments.output.json {
        say(&answer.to_string());
        return Exit::Ok;
    }
    let text = |key: &str| answer.get(key).and_then(Value::as_str).unwrap_or("-").to_owned();
    say(&format!("device      {} ({})", text("status"), text("deviceId")));
    say(&format!("taxpayer    {}", text("taxpayerName")));
    say(&format!("SCU         {}", text("sdcId")));
    say(&format!("MRC         {}", text("mrcNo")));
    if arguments.show_key {
        say(&format!("cmcKey      {}", text("cmcKey")));
    }
    Exit::Ok
}
