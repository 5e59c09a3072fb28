//! A register's end of a serial line: a pseudo-terminal under a name that stays the same.

use std::fs;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::Value;

use crate::harness::{PATIENCE, Shop, within};

pub(crate) const ENQ: u8 = 0x05;
pub(crate) const ACK: u8 = 0x06;
pub(crate) const NAK: u8 = 0x15;
pub(crate) const SYN: u8 = 0x16;
pub(crate) const CAN: u8 = 0x18;

/// How long nothing may come before nothing more is expected.
const QUIET: Duration = Duration::from_millis(700);

/// The register's end.
pub(crate) struct Line {
    /// `None` while it is unplugged.
    master: Option<OwnedFd>,
    name: PathBuf,
}

/// A frame that came.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reply {
    pub(crate) seq: u8,
    pub(crate) kind: char,
    pub(crate) body: Value,
    /// How many SYN came before it.
    pub(crate) syns: usize,
    pub(crate) bytes: Vec<u8>,
}

impl Reply {
    #[track_caller]
    pub(crate) fn expect(&self, seq: u8, kind: char, st: u16) -> &Value {
        assert_eq!((self.seq, self.kind, &self.body["st"]), (seq, kind, &Value::from(st)), "{self:?}");
        &self.body
    }
}

impl Line {
    /// A line that is plugged in under this name in the shop's directory.
    pub(crate) fn plugged(shop: &Shop, name: &str) -> Line {
        let mut line = Line { master: None, name: shop.path(name) };
        line.plug();
        line
    }

    /// Its name.
    pub(crate) fn name(&self) -> &Path {
        &self.name
    }

    /// Another adapter under the same name.
    pub(crate) fn plug(&mut self) {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        fcntl_setfl(&master, fcntl_getfl(&master).unwrap() | OFlags::NONBLOCK).unwrap();
        let slave = ptsname(&master, Vec::new()).unwrap();
        let _ = fs::remove_file(&self.name);
        symlink(slave.to_str().unwrap(), &self.name).unwrap();
        self.master = Some(master);
    }

    /// Its end hangs up, and its name is gone.
    pub(crate) fn unplug(&mut self) {
        self.master = None;
        fs::remove_file(&self.name).unwrap();
    }

    fn master(&self) -> &OwnedFd {
        self.master.as_ref().expect("it is plugged in")
    }

    /// What there is to read; nothing where nobody has the other end open.
    pub(crate) fn read(&self) -> Vec<u8> {
        let mut chunk = [0; 4096];
        match rustix::io::read(self.master(), &mut chunk) {
            Ok(read) => chunk[..read].to_vec(),
            Err(error) if matches!(std::io::Error::from(error).kind(), ErrorKind::WouldBlock) => Vec::new(),
            // EIO: the other end is not open.
            Err(_) => Vec::new(),
        }
    }

    /// Sends all of it, as fast as the other end takes it.
    #[track_caller]
    pub(crate) fn send(&self, bytes: impl AsRef<[u8]>) {
        let mut rest = bytes.as_ref();
        let deadline = Instant::now() + PATIENCE;
        while !rest.is_empty() {
            match rustix::io::write(self.master(), rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) => {
                    assert!(Instant::now() < deadline, "the line takes nothing: {error}");
                    thread::sleep(Duration::from_millis(1));
                }
            }
        }
    }

    /// Everything that comes, each byte with its moment, until this returns true, or for so long.
    pub(crate) fn listen(
        &self,
        limit: Duration,
        mut enough: impl FnMut(&[(Duration, u8)]) -> bool,
    ) -> Vec<(Duration, u8)> {
        let began = Instant::now();
        let mut heard = Vec::new();
        while began.elapsed() < limit && !enough(&heard) {
            let read = self.read();
            if read.is_empty() {
                thread::sleep(Duration::from_millis(1));
            }
            let at = began.elapsed();
            heard.extend(read.into_iter().map(|byte| (at, byte)));
        }
        heard
    }

    /// Everything that comes in this time.
    pub(crate) fn hears(&self, time: Duration) -> Vec<u8> {
        self.listen(time, |_| false).into_iter().map(|(_, byte)| byte).collect()
    }

    /// Waits until the gateway has the port open and would take a sale.
    #[track_caller]
    pub(crate) fn wait_ready(&self) {
        within(PATIENCE, "the port is open and ready", || {
            self.send([ENQ]);
            let heard = self.listen(Duration::from_millis(300), |heard| !heard.is_empty());
            let ready = heard.first().is_some_and(|(_, byte)| *byte == ACK);
            // What a line of the kernel's own echoes before it is opened.
            self.hears(Duration::from_millis(50));
            ready.then_some(())
        });
    }

    /// What an open port says to an enquiry: one byte, however long it takes.
    #[track_caller]
    pub(crate) fn enquire(&self) -> u8 {
        self.send([ENQ]);
        let heard = self.listen(PATIENCE, |heard| !heard.is_empty());
        heard.first().expect("an answer to ENQ").1
    }

    /// The next frame; single bytes before it are SYN.
    #[track_caller]
    pub(crate) fn reply(&self) -> Reply {
        self.reply_within(PATIENCE)
    }

    #[track_caller]
    pub(crate) fn reply_within(&self, limit: Duration) -> Reply {
        let heard = self.listen(limit, |heard| heard.last().is_some_and(|(_, byte)| *byte == b'\n'));
        let bytes: Vec<u8> = heard.into_iter().map(|(_, byte)| byte).collect();
        let Some(start) = bytes.iter().position(|byte| *byte == 0x1E) else {
            panic!("no frame came within {limit:?}: {bytes:02X?}")
        };
        assert!(bytes[..start].iter().all(|byte| *byte == SYN), "{bytes:02X?}");
        read_frame(&bytes[start..], start)
    }

    /// Sends a request and takes its reply.
    #[track_caller]
    pub(crate) fn ask(&self, seq: u8, kind: char, data: &str) -> Reply {
        self.send(frame(seq, kind, data));
        self.reply()
    }

    /// Nothing comes.
    #[track_caller]
    pub(crate) fn is_quiet(&self) {
        let heard = self.hears(QUIET);
        assert!(heard.is_empty(), "nothing was to come: {heard:02X?}");
    }
}

/// A frame's bytes.
pub(crate) fn frame(seq: u8, kind: char, data: &str) -> Vec<u8> {
    let core = format!("{:04X}{seq:02X}{kind}{data}\x03", data.len());
    format!("\x1E{core}{:08X}\n", crc(core.as_bytes())).into_bytes()
}

#[track_caller]
fn read_frame(bytes: &[u8], syns: usize) -> Reply {
    let text = std::str::from_utf8(bytes).unwrap();
    let (core, tail) = text[1..].split_at(text.len() - 10);
    assert_eq!(tail, format!("{:08X}\n", crc(core.as_bytes())), "{text}");
    let data = &core[7..core.len() - 1];
    assert_eq!(&core[..4], format!("{:04X}", data.len()), "{text}");
    assert!(data.starts_with("{\"st\":"), "the status comes first: {data}");
    Reply {
        seq: u8::from_str_radix(&core[4..6], 16).unwrap(),
        kind: char::from(core.as_bytes()[6]),
        body: serde_json::from_str(data).unwrap(),
        syns,
        bytes: bytes.to_vec(),
    }
}

/// CRC-32, bit by bit, as the specification describes it.
pub(crate) fn crc(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    !crc
}
