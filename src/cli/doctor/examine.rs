//! One thing after the other, each told as it is found: the way to KRA may take its time.

use std::path::Path;

use serde::Serialize;

use super::super::{Exit, Output, say};
use super::{Finding, Level, clock, configuration, daemon, disk, files, line, listening, serial};

/// The report for programs.
#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    findings: &'a [Finding],
}

/// Findings, printed as they come where a person reads them.
struct Told {
    output: Output,
    findings: Vec<Finding>,
}

impl Told {
    fn tell(&mut self, findings: impl IntoIterator<Item = Finding>) {
        for finding in findings {
            if !self.output.json {
                say(&finding.to_string());
            }
            self.findings.push(finding);
        }
    }

    fn count(&self, level: Level) -> usize {
        self.findings.iter().filter(|finding| finding.level == level).count()
    }

    fn end(&self) -> Exit {
        let (failed, warned) = (self.count(Level::Fail), self.count(Level::Warn));
        let ok = failed == 0;
        if self.output.json {
            let report = Report { ok, findings: &self.findings };
            match serde_json::to_string_pretty(&report) {
                Ok(text) => say(&text),
                Err(_) => return Exit::Internal,
            }
        } else {
            say(&format!("\n{failed} failed, {warned} to look at, {} ok", self.count(Level::Ok)));
        }
        if ok { Exit::Ok } else { Exit::Problem }
    }
}

/// Examines the installation of this configuration.
pub fn doctor(config: Option<&Path>, output: Output) -> Exit {
    let mut told = Told { output, findings: Vec::new() };
    let (findings, settings) = configuration::look(config);
    told.tell(findings);
    let Some(settings) = settings else { return told.end() };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("etims-gateway: {error}");
            return Exit::Internal;
        }
    };
    runtime.block_on(async {
        let (findings, running) = daemon::look(&settings).await;
        told.tell(findings);
        told.tell(files::look(&settings));
        told.tell(disk::look(&settings));
        told.tell([clock::look()]);
        let snapshot = running.as_ref().map(|message| &message.snapshot);
        told.tell(serial::look(&settings, snapshot.map(|snapshot| snapshot.serial.as_slice())).await);
        if running.is_none() {
            told.tell(listening::look(&settings));
        }
        told.tell(line::look(&settings, snapshot.map(|snapshot| &snapshot.device)).await);
        told.end()
    })
}
