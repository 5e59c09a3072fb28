//! `export`: the sales journal for an inspector, to standard output.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use hyper::Method;

use super::ask::words;
use super::control::{ControlError, Streamed, stream};
use super::run::load;
use super::{Exit, ExportArgs, ExportFormat};
use crate::config::Settings;
use crate::daemon::clock::MachineClock;
use crate::fiscal::{Day, Period};
use crate::gateway::ports::Clock;
use crate::store::{StoppedExportError, Table, VerifyError, export_stopped};

/// Writes the export: asks the running daemon, or reads the store of a stopped one.
pub fn export(config: Option<&Path>, arguments: &ExportArgs) -> Exit {
    let period = Period { from: arguments.from, to: arguments.to };
    if let (Some(from), Some(to)) = (period.from, period.to)
        && from > to
    {
        eprintln!("etims-gateway: --from {from} is after --to {to}");
        return Exit::Usage;
    }
    let Some(settings) = load(config) else { return Exit::Configuration };
    let mut sheet = Sheet::new(arguments.format, io::stdout().lock());
    let written = match from_daemon(&settings, period, &mut sheet) {
        Err(Failed::NotRunning) => from_files(&settings, period, &mut sheet),
        other => other,
    };
    let written = written.and_then(|()| sheet.end().map_err(Failed::Output));
    match written {
        Ok(true) => Exit::Ok,
        Ok(false) => told("the export is not whole: it ends without its manifest", Exit::Problem),
        Err(Failed::Output(error)) => {
            told(&format!("the export could not be written: {error}"), Exit::Problem)
        }
        Err(Failed::Told(words, exit)) => told(&words, exit),
        Err(Failed::NotRunning) => Exit::Unavailable,
    }
}

fn told(words: &str, exit: Exit) -> Exit {
    eprintln!("etims-gateway: {words}");
    exit
}

/// Why there is no export.
enum Failed {
    /// No daemon answers: the files are read instead.
    NotRunning,
    Output(io::Error),
    Told(String, Exit),
}

fn from_daemon(settings: &Settings, period: Period, sheet: &mut Sheet<impl Write>) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failed::Told(error.to_string(), Exit::Internal))?;
    let given = [("from", period.from), ("to", period.to)];
    let query: Vec<String> = given
        .iter()
        .filter_map(|(name, day): &(_, Option<Day>)| Some(format!("{name}={}", (*day)?)))
        .collect();
    let path = format!("/export?{}", query.join("&"));
    let streamed = runtime
        .block_on(stream(&settings.admin.path, Method::POST, &path, &mut |piece| sheet.write_all(piece)));
    match streamed {
        Ok(Streamed::Whole) => Ok(()),
        Ok(Streamed::Refused(answer)) => Err(Failed::Told(words(&answer), Exit::Unavailable)),
        Ok(Streamed::NotTaken(error)) => Err(Failed::Output(error)),
        Err(ControlError::NotRunning { .. }) => Err(Failed::NotRunning),
        Err(error @ ControlError::NotPermitted(_)) => Err(Failed::Told(error.to_string(), Exit::Permission)),
        Err(error @ ControlError::Broken(_)) => Err(Failed::Told(error.to_string(), Exit::Unavailable)),
    }
}

fn from_files(settings: &Settings, period: Period, sheet: &mut Sheet<impl Write>) -> Result<(), Failed> {
    export_stopped(&settings.state_dir, period, MachineClock.wall_ms(), sheet).map_err(|error| {
        let exit = match &error {
            StoppedExportError::Output(_) => Exit::Problem,
            StoppedExportError::Key { denied: true, .. } => Exit::Permission,
            StoppedExportError::Key { .. } => Exit::Damaged,
            StoppedExportError::Journal(error) => match error {
                VerifyError::Bad { .. } => Exit::Problem,
                VerifyError::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                    Exit::Permission
                }
                VerifyError::Io { .. } => Exit::Internal,
                VerifyError::NoStore { .. } => Exit::NoInput,
            },
        };
        Failed::Told(error.to_string(), exit)
    })
}

/// The lines on their way out, as they are or as a table.
struct Sheet<W: Write> {
    out: BufWriter<W>,
    /// Watches for the manifest in either format.
    table: Table,
    format: ExportFormat,
    /// A line that has not come whole yet.
    begun: Vec<u8>,
}

impl<W: Write> Sheet<W> {
    fn new(format: ExportFormat, out: W) -> Self {
        Self { out: BufWriter::new(out), table: Table::default(), format, begun: Vec::new() }
    }

    /// Whether the manifest came.
    fn end(mut self) -> io::Result<bool> {
        self.out.flush()?;
        Ok(self.begun.is_empty() && self.table.is_whole())
    }
}

impl<W: Write> Write for Sheet<W> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let whole = piece.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        if whole > 0 {
            self.begun.extend_from_slice(&piece[..whole]);
            let lines = std::mem::take(&mut self.begun);
            let lines = String::from_utf8(lines).map_err(io::Error::other)?;
            match self.format {
                ExportFormat::Csv => self.out.write_all(self.table.rows(&lines).as_bytes())?,
                ExportFormat::Ndjson => {
                    self.table.look_for_the_end(&lines);
                    self.out.write_all(lines.as_bytes())?;
                }
            }
        }
        self.begun.extend_from_slice(&piece[whole..]);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
