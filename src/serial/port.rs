//! The port itself: opened exclusively and raw, and opened again for ever after it was unplugged (1.2).

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_serial::{DataBits, ErrorKind, FlowControl, Parity, SerialPortBuilderExt, SerialStream, StopBits};
use tracing::{info, warn};

use super::link::{Ended, Link};
use super::request::{Answer, Request};
use crate::status::SerialPort;

/// The first pause before a port is opened again.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest one.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How a port is opened. Modem lines are ignored.
#[derive(Clone, Debug)]
pub struct PortSettings {
    /// The device file; best a name that stays the same, such as one in `/dev/serial/by-id`.
    pub path: PathBuf,
    /// Bits a second.
    pub baud: u32,
    /// Data bits of a character.
    pub data_bits: DataBits,
    /// Its parity.
    pub parity: Parity,
    /// Its stop bits.
    pub stop_bits: StopBits,
    /// Flow control; none is needed.
    pub flow_control: FlowControl,
}

/// Why a port could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// There is no such file.
    #[error("it is not there: plug it in, or correct its name")]
    Absent,
    /// Another program has it.
    #[error("it is in use by another program (`fuser` names it)")]
    InUse,
    /// It is not for us.
    #[error("this user may not open it: add the service's user to the group that owns it, often `dialout`")]
    NotPermitted,
    /// It is a file of another kind.
    #[error("it is not a serial port")]
    NotSerial,
    /// Anything else.
    #[error("it cannot be opened: {0}")]
    Other(String),
}

impl From<io::Error> for PortError {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            // The node may outlive its adapter for a moment.
            Some(libc::ENOENT | libc::ENODEV | libc::ENXIO | libc::EIO) => Self::Absent,
            Some(libc::EACCES | libc::EPERM) => Self::NotPermitted,
            Some(libc::EBUSY) => Self::InUse,
            Some(libc::EISDIR | libc::ENOTDIR | libc::ENOTTY) => Self::NotSerial,
            _ => Self::Other(error.to_string()),
        }
    }
}

/// Serves a port for ever: whatever happens to it, it is opened again, after half a second first and ten at last. Each
/// change is told once.
pub async fn serve<H, R, F>(settings: PortSettings, mut link: Link<H, R>, port: Arc<SerialPort>)
where
    H: Fn(Request) -> F,
    F: Future<Output = Answer> + Send + 'static,
    R: Fn() -> bool,
{
    let mut pause = FIRST_PAUSE;
    loop {
        let why = match open(settings.clone()).await {
            Ok(stream) => {
                if port.stands(None) {
                    info!(name: "serial_open", port = port.name(), "serial port open");
                }
                let began = Instant::now();
                let ended = link.run(stream).await;
                // One that comes and goes is not tried more often for that.
                if began.elapsed() >= LONGEST_PAUSE {
                    pause = FIRST_PAUSE;
                }
                match ended {
                    Ended::HungUp => "it was unplugged, or its other end is gone".to_owned(),
                    Ended::Failed(error) if error.raw_os_error() == Some(libc::EIO) => {
                        "it was unplugged, or its other end is gone".to_owned()
                    }
                    Ended::Failed(error) => format!("reading or writing failed: {error}"),
                }
            }
            Err(error) => error.to_string(),
        };
        if port.stands(Some(why.clone())) {
            warn!(
                name: "serial_unusable",
                port = port.name(),
                reason = why,
                "serial port not usable: {why}; it is tried again by itself"
            );
        }
        link.rest(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Opens it once, and closes it again.
///
/// # Errors
/// Why it cannot be opened.
pub async fn try_port(settings: PortSettings) -> Result<(), PortError> {
    open(settings).await.map(|_| ())
}

/// Opens it where that may block.
async fn open(settings: PortSettings) -> Result<SerialStream, PortError> {
    tokio::task::spawn_blocking(move || open_now(&settings))
        .await
        .unwrap_or_else(|error| Err(PortError::Other(error.to_string())))
}

fn open_now(settings: &PortSettings) -> Result<SerialStream, PortError> {
    // The library tells "not there" from "in use" by words only, so the file is asked first. It stays open until the port
    // is, so that the other end sees one opening.
    let _asked = ask(settings)?;
    let path = settings.path.to_str().ok_or_else(|| PortError::Other("its name is no text".to_owned()))?;
    tokio_serial::new(path, settings.baud)
        .data_bits(settings.data_bits)
        .parity(settings.parity)
        .stop_bits(settings.stop_bits)
        .flow_control(settings.flow_control)
        .open_native_async()
        .map_err(|error| match error.kind() {
            ErrorKind::NoDevice => PortError::InUse,
            ErrorKind::Io(io::ErrorKind::NotFound) => PortError::Absent,
            ErrorKind::Io(io::ErrorKind::PermissionDenied) => PortError::NotPermitted,
            _ if !is_terminal(&settings.path) => PortError::NotSerial,
            _ => PortError::Other(error.to_string()),
        })
}

fn ask(settings: &PortSettings) -> Result<File, PortError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK)
        .open(&settings.path)?;
    Ok(file)
}

fn is_terminal(path: &std::path::Path) -> bool {
    use std::io::IsTerminal;
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK)
        .open(path)
        .is_ok_and(|file| file.is_terminal())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(path: &std::path::Path) -> PortSettings {
        PortSettings {
            path: path.to_owned(),
            baud: 115_200,
            data_bits: DataBits::Eight,
            parity: Parity::None,
            stop_bits: StopBits::One,
            flow_control: FlowControl::None,
        }
    }

    #[tokio::test]
    async fn why_a_port_cannot_be_opened_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let check = async |path: &std::path::Path| open(settings(path)).await.map(|_| ()).unwrap_err();
        assert!(matches!(check(&dir.path().join("none")).await, PortError::Absent));
        assert!(matches!(check(&file.join("none")).await, PortError::NotSerial));
        assert!(matches!(check(&file).await, PortError::NotSerial));
        assert!(matches!(check(dir.path()).await, PortError::NotSerial));
        assert_eq!(std::fs::read(&file).unwrap(), b"", "nothing was written into it");
    }

    #[tokio::test]
    async fn a_port_is_opened_once_at_a_time() {
        let (_master, slave) = SerialStream::pair().unwrap();
        let path = PathBuf::from(tokio_serial::SerialPort::name(&slave).unwrap());
        drop(slave);
        let first = open(settings(&path)).await.unwrap();
        assert!(matches!(open(settings(&path)).await, Err(PortError::InUse)));
        drop(first);
        open(settings(&path)).await.unwrap();
    }
}
