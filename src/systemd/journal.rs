//! Where events go: journald with their fields, text for people, or JSON.

use std::fmt;
use std::io::{self, IsTerminal};
use std::sync::OnceLock;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tracing::{Event, Level, Subscriber};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::{LookupSpan, Registry};
use tracing_subscriber::reload;

use super::fields::Renamed;

/// Where events go and how they look.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// journald when standard error is the journal, else text.
    Auto,
    /// journald, each field of an event as a field of the entry.
    Journald,
    /// One JSON object per line on standard error.
    Json,
    /// One line per event on standard error, coloured on a terminal.
    Text,
}

/// How the filter is replaced.
static LEVEL: OnceLock<reload::Handle<Targets, Registry>> = OnceLock::new();

/// Why logging could not be started.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// It was started before.
    #[error("logging was started twice")]
    AlreadyStarted,
    /// There is no journald here.
    #[error("journald cannot be reached (set log.format to \"text\" or \"json\"): {0}")]
    NoJournal(io::Error),
}

/// Starts logging for the whole process: our own events from `level` on, those of libraries one level more quietly.
///
/// # Errors
/// journald is asked for and not there, or logging was started before.
pub fn start_logging(format: Format, level: LevelFilter) -> Result<(), JournalError> {
    let output: Box<dyn Layer<Registry> + Send + Sync> = match format {
        Format::Journald => Box::new(journald().map_err(JournalError::NoJournal)?),
        Format::Auto if stderr_is_journal() => match journald() {
            Ok(layer) => Box::new(layer),
            Err(_) => Box::new(text(io::stderr)),
        },
        Format::Auto | Format::Text => Box::new(text(io::stderr)),
        Format::Json => {
            Box::new(tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(io::stderr))
        }
    };
    let (filter, handle) = reload::Layer::new(filter(level));
    let subscriber = tracing_subscriber::registry().with(output.with_filter(filter));
    tracing::subscriber::set_global_default(subscriber).map_err(|_| JournalError::AlreadyStarted)?;
    LEVEL.set(handle).map_err(|_| JournalError::AlreadyStarted)
}

/// From now on our own events are logged from `level` on. Before logging was started nothing happens.
pub fn set_level(level: LevelFilter) {
    if let Some(handle) = LEVEL.get() {
        // It fails only once the subscriber is gone, and then nobody logs.
        let _ = handle.reload(filter(level));
    }
}

/// Our events at `level`; libraries speak of what they do at one level higher than we would call it.
fn filter(level: LevelFilter) -> Targets {
    let libraries = match level.into_level() {
        Some(Level::TRACE) => LevelFilter::DEBUG,
        Some(Level::DEBUG) => LevelFilter::INFO,
        Some(Level::INFO) => LevelFilter::WARN,
        _ => level,
    };
    Targets::new().with_target(env!("CARGO_CRATE_NAME"), level).with_default(libraries)
}

/// Fields without a prefix, so that MESSAGE_ID keeps its name; priorities as the rest of the journal uses them.
fn journald() -> io::Result<Renamed<tracing_journald::Layer>> {
    let priorities = PriorityMappings {
        error: Priority::Error,
        warn: Priority::Warning,
        info: Priority::Informational,
        debug: Priority::Debug,
        trace: Priority::Debug,
    };
    let layer = tracing_journald::layer()?.with_field_prefix(None).with_priority_mappings(priorities);
    Ok(Renamed::new(layer.with_syslog_identifier("etims-gateway".to_owned())))
}

fn stderr_is_journal() -> bool {
    let stream = std::env::var("JOURNAL_STREAM").ok();
    let Ok(found) = rustix::fs::fstat(io::stderr()) else { return false };
    is_journal(stream.as_deref(), found.st_dev, found.st_ino)
}

/// `$JOURNAL_STREAM` is `device:inode` of the journal's stream; a child whose standard error goes elsewhere inherits
/// the variable all the same.
fn is_journal(stream: Option<&str>, device: u64, inode: u64) -> bool {
    let named = stream.and_then(|stream| stream.split_once(':'));
    named.is_some_and(|(left, right)| left.parse() == Ok(device) && right.parse() == Ok(inode))
}

fn text<W>(writer: W) -> impl Layer<Registry> + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let colour =
        io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let lines = Lines { zone: TimeZone::system() };
    tracing_subscriber::fmt::layer().event_format(lines).with_ansi(colour).with_writer(writer)
}

/// `2025-01-15 10:15:30.123 INFO  document delivered invoice_no=5`, in the machine's own time.
struct Lines {
    zone: TimeZone,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = *event.metadata().level();
        let now = Timestamp::now().to_zoned(self.zone.clone());
        write!(out, "{} ", now.strftime("%Y-%m-%d %H:%M:%S.%3f"))?;
        if out.has_ansi_escapes() {
            write!(out, "\x1b[{}m{level:<5}\x1b[0m ", colour_of(level))?;
        } else {
            write!(out, "{level:<5} ")?;
        }
        context.format_fields(out.by_ref(), event)?;
        for span in context.event_scope().into_iter().flatten() {
            let extensions = span.extensions();
            let fields = extensions.get::<tracing_subscriber::fmt::FormattedFields<N>>();
            if let Some(fields) = fields.filter(|fields| !fields.is_empty()) {
                write!(out, " {fields}")?;
            }
        }
        writeln!(out)
    }
}

fn colour_of(level: Level) -> u8 {
    match level {
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        Level::DEBUG => 34,
        _ => 35,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::Layer;
    use tracing_subscriber::filter::LevelFilter;
    use tracing_subscriber::layer::SubscriberExt;

    use super::{filter, is_journal, text};

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn text_is_one_line_per_event() {
        let written = Written::default();
        let writer = written.clone();
        let layer = text(move || writer.clone()).with_filter(filter(LevelFilter::INFO));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            let span = tracing::info_span!("sale", trader_ref = "A1");
            let _entered = span.enter();
            tracing::info!(invoice_no = 5, "document delivered");
            tracing::debug!("not shown");
            tracing::info!(target: "hyper", "not shown either");
            tracing::warn!(target: "hyper", what = "first\nsecond", "odd");
        });
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines[0].ends_with(" INFO  document delivered invoice_no=5 trader_ref=\"A1\""), "{text}");
        assert!(lines[1].ends_with(" WARN  odd what=\"first\\nsecond\" trader_ref=\"A1\""), "{text}");
        let time = &lines[0][..23];
        assert!(jiff::civil::DateTime::strptime("%Y-%m-%d %H:%M:%S%.f", time).is_ok(), "{time}");
    }

    #[test]
    fn the_journal_is_known_by_its_stream() {
        for (stream, expected) in [
            (Some("8:77"), true),
            (Some("8:78"), false),
            (Some("9:77"), false),
            (Some("8"), false),
            (Some(""), false),
            (None, false),
        ] {
            assert_eq!(is_journal(stream, 8, 77), expected, "{stream:?}");
        }
    }
}
