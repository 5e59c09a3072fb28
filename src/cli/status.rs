//! `status`: one screen.

use std::path::Path;

use hyper::Method;

use super::ask::ask;
use super::{Exit, Output, say};
use crate::admin::StatusMessage;
use crate::status::status_text;

/// Prints it; healthy, degraded, or not reachable by the exit code.
pub fn status(config: Option<&Path>, output: Output) -> Exit {
    let answer = match ask(config, Method::GET, "/status", None) {
        Ok((_, answer)) => answer,
        Err(exit) => return exit,
    };
    let message: StatusMessage = match serde_json::from_value(answer.clone()) {
        Ok(message) => message,
        Err(error) => {
            eprintln!(
                "etims-gateway: the daemon's answer is not understood ({error}): is it of another version?"
            );
            return Exit::Internal;
        }
    };
    if output.json {
        say(&answer.to_string());
    } else {
        say(status_text(&message.snapshot, &message.alerts).trim_end());
    }
    if message.healthy { Exit::Ok } else { Exit::Problem }
}
