//! `log`: the exchanges with KRA, of a running daemon or a stopped one.

use std::fmt::Write;
use std::io;
use std::path::Path;
use std::time::Duration;

use hyper::{Method, StatusCode};
use serde::Deserialize;
use tokio::time::sleep;

use super::ask::{segment, words};
use super::control::{self, ControlError};
use super::run::load;
use super::{Exit, LogArgs, say};
use crate::admin::LogMessage;
use crate::config::Settings;
use crate::store::api_log::read_page;

/// Rows that `--follow` begins with.
const FIRST_ROWS: usize = 10;
/// How often a daemon that is away is looked for while its log is followed.
const LOOK: Duration = Duration::from_millis(500);

/// Prints the log; with `--follow`, until interrupted.
pub fn show_log(config: Option<&Path>, arguments: &LogArgs) -> Exit {
    let Some(settings) = load(config) else { return Exit::Configuration };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error, Exit::Internal),
    };
    runtime.block_on(async {
        let mut log = Log { settings, arguments, after: 0 };
        let shown = if arguments.follow { log.follow().await } else { log.all().await };
        shown.err().unwrap_or(Exit::Ok)
    })
}

struct Log<'a> {
    settings: Settings,
    arguments: &'a LogArgs,
    /// The last row that was looked at.
    after: u64,
}

/// Some rows, and whether there are more now.
struct Page {
    rows: Vec<String>,
    more: bool,
    /// From the files: no daemon was there.
    stopped: bool,
}

impl Log<'_> {
    async fn all(&mut self) -> Result<(), Exit> {
        loop {
            let page = self.next(0).await?;
            page.rows.iter().for_each(|row| self.print(row));
            if !page.more {
                return Ok(());
            }
        }
    }

    async fn follow(&mut self) -> Result<(), Exit> {
        let mut last: Vec<String> = Vec::new();
        loop {
            let page = self.next(0).await?;
            last.extend(page.rows);
            last.drain(..last.len().saturating_sub(FIRST_ROWS));
            if !page.more {
                break;
            }
        }
        last.iter().for_each(|row| self.print(row));
        loop {
            let page = self.next(1).await?;
            page.rows.iter().for_each(|row| self.print(row));
            if page.stopped && !page.more {
                sleep(LOOK).await;
            }
        }
    }

    /// The next rows, from whoever has them: the daemon, or its files while it is not running.
    async fn next(&mut self, wait: u64) -> Result<Page, Exit> {
        let sale = self.arguments.sale.as_deref();
        let filter = sale.map(|sale| format!("&sale={}", segment(sale))).unwrap_or_default();
        let path = format!("/log?after={}&wait={wait}{filter}", self.after);
        match control::fetch(&self.settings.admin.path, Method::GET, &path, None).await {
            Ok((StatusCode::OK, answer)) => {
                let message: LogMessage = serde_json::from_slice(&answer).map_err(|error| {
                    let why =
                        format!("the daemon's answer is not understood ({error}): is it of another version?");
                    failed(&why, Exit::Internal)
                })?;
                self.after = message.last;
                let rows = message.rows.iter().map(|row| row.get().to_owned()).collect();
                Ok(Page { rows, more: message.more, stopped: false })
            }
            Ok((_, answer)) => {
                let answer = serde_json::from_slice(&answer).unwrap_or_default();
                Err(failed(&words(&answer), Exit::Unavailable))
            }
            Err(error @ ControlError::NotPermitted(_)) => Err(failed(&error, Exit::Permission)),
            // It is stopping, or starting.
            Err(ControlError::Broken(_)) if self.arguments.follow => {
                Ok(Page { rows: Vec::new(), more: false, stopped: true })
            }
            Err(error @ ControlError::Broken(_)) => Err(failed(&error, Exit::Unavailable)),
            Err(ControlError::NotRunning { .. }) => self.read_files(),
        }
    }

    fn read_files(&mut self) -> Result<Page, Exit> {
        let state_dir = &self.settings.state_dir;
        match read_page(state_dir, self.after, self.arguments.sale.as_deref()) {
            Ok(page) => {
                self.after = page.last;
                Ok(Page { rows: page.rows, more: page.more, stopped: true })
            }
            Err(error) => {
                let (exit, why) = match error.kind() {
                    io::ErrorKind::NotFound if self.arguments.follow => {
                        return Ok(Page { rows: Vec::new(), more: false, stopped: true });
                    }
                    io::ErrorKind::NotFound => (Exit::NoInput, "there is no log of exchanges".to_owned()),
                    io::ErrorKind::PermissionDenied => {
                        (Exit::Permission, "not permitted: use sudo".to_owned())
                    }
                    _ => (Exit::Internal, error.to_string()),
                };
                Err(failed(
                    &format!("the daemon is not running, and in {}: {why}", state_dir.display()),
                    exit,
                ))
            }
        }
    }

    fn print(&self, row: &str) {
        if self.arguments.output.json {
            return say(row);
        }
        match serde_json::from_str::<Row>(row) {
            Ok(row) => say(&row.text()),
            Err(_) => say(row),
        }
    }
}

fn failed(why: &dyn std::fmt::Display, exit: Exit) -> Exit {
    eprintln!("etims-gateway: {why}");
    exit
}

/// What of a row is shown to people.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    at: String,
    function: String,
    trd_invc_no: Option<String>,
    seq: Option<u64>,
    invc_no: Option<u64>,
    attempt: Option<u32>,
    duration_ms: u64,
    bytes_out: u64,
    bytes_in: u64,
    http_status: Option<u16>,
    result_cd: Option<String>,
    outcome: String,
    message: Option<String>,
    #[serde(rename = "responseRefID")]
    reference: Option<String>,
    trouble: Option<String>,
}

impl Row {
    fn text(&self) -> String {
        let mut text = format!("{} {}", self.at, self.function);
        let mut put = |part: std::fmt::Arguments<'_>| text.write_fmt(part).expect("a String takes all");
        if let Some(sale) = &self.trd_invc_no {
            put(format_args!(" {sale}"));
        }
        if let Some(seq) = self.seq {
            put(format_args!(" (record {seq})"));
        }
        if let Some(number) = self.invc_no {
            put(format_args!(" invcNo {number}"));
        }
        if let Some(attempt) = self.attempt {
            put(format_args!(" try {attempt}"));
        }
        put(format_args!(": {}", self.outcome));
        if let Some(code) = &self.result_cd {
            put(format_args!(" {code}"));
        }
        if let Some(status) = self.http_status {
            put(format_args!(", HTTP {status}"));
        }
        put(format_args!(", {} ms, {} bytes out, {} in", self.duration_ms, self.bytes_out, self.bytes_in));
        if let Some(reference) = &self.reference {
            put(format_args!(", ref {reference}"));
        }
        for words in [&self.message, &self.trouble].into_iter().flatten().filter(|words| !words.is_empty()) {
            put(format_args!(": {words}"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_for_people() {
        for (row, expected) in [
            (
                r#"{"n":1,"at":"2026-11-25T20:55:01.123+03:00","monotonicMs":5,"function":"saveTrnsSalesOsdc","trdInvcNo":"T1","seq":5,
                    "invcNo":7,"attempt":2,"durationMs":12,"bytesOut":1800,"bytesIn":210,"httpStatus":200,"resultCd":"910",
                    "outcome":"refused","message":"Invalid qty","request":{}}"#,
                "2026-11-25T20:55:01.123+03:00 saveTrnsSalesOsdc T1 (record 5) invcNo 7 try 2: refused 910, HTTP 200, 12 ms, \
                 1800 bytes out, 210 in: Invalid qty",
            ),
            (
                r#"{"n":1,"at":"x","function":"connect","durationMs":1,"bytesOut":0,"bytesIn":0,"outcome":"unreachable","trouble":"refused"}"#,
                "x connect: unreachable, 1 ms, 0 bytes out, 0 in: refused",
            ),
        ] {
            assert_eq!(serde_json::from_str::<Row>(row).unwrap().text(), expected);
        }
    }
}
