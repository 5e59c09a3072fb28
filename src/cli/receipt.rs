//! `receipt`: a sale's receipt on standard output, for a printer or for reading.

use std::io::Write;
use std::path::Path;

use data_encoding::BASE64;
use hyper::{Method, StatusCode};

use super::ask::{ask, ended_as, segment};
use super::{Exit, ReceiptArgs, ReceiptFormat, say};

/// Prints a receipt: a copy, unless the original is asked for and may be had.
pub fn receipt(config: Option<&Path>, arguments: &ReceiptArgs) -> Exit {
    let ReceiptArgs { id, original, format, width } = arguments;
    let word = match format {
        ReceiptFormat::Escpos => "escpos",
        ReceiptFormat::Json => "json",
        ReceiptFormat::Text => "text",
    };
    let path =
        format!("/receipt/{}?format={word}&width={width}&original={}", segment(id), u8::from(*original));
    let mut answer = match ask(config, Method::GET, &path, None) {
        Ok((StatusCode::OK, answer)) => answer,
        Ok((status, answer)) => return ended_as(status, &answer),
        Err(exit) => return exit,
    };
    if let Some(orders) = answer["escpos"].as_str() {
        let written = BASE64.decode(orders.as_bytes()).map(|orders| std::io::stdout().write_all(&orders));
        return if matches!(written, Ok(Ok(()))) { Exit::Ok } else { Exit::Internal };
    }
    match answer["text"].as_str() {
        Some(text) => say(text.trim_end_matches('\n')),
        None => {
            if let Some(facts) = answer.as_object_mut() {
                facts.remove("st");
            }
            say(&answer.to_string());
        }
    }
    Exit::Ok
}
