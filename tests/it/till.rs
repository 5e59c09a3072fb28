//! A cash register: an HTTP/1.1 client of its own on plain sockets, so that it can also misbehave.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::harness::{PATIENCE, eventually, within};
use crate::sale::sale;

/// Where the register's cable goes.
#[derive(Clone, Debug)]
enum Cable {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// A register. Each request is a connection of its own.
#[derive(Clone, Debug)]
pub(crate) struct Till {
    cable: Cable,
    headers: Vec<(String, String)>,
}

impl Till {
    pub(crate) fn tcp(address: SocketAddr) -> Till {
        Till { cable: Cable::Tcp(address), headers: Vec::new() }
    }

    pub(crate) fn unix(path: &Path) -> Till {
        Till { cable: Cable::Unix(path.to_owned()), headers: Vec::new() }
    }

    /// With one more header on each request. `Host` replaces the usual one.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Till {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// An open connection with nothing said yet.
    pub(crate) fn connect(&self) -> io::Result<Connection> {
        let stream = match &self.cable {
            Cable::Tcp(address) => {
                let stream = TcpStream::connect_timeout(address, PATIENCE)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(PATIENCE * 2))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                Stream::Tcp(stream)
            }
            Cable::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(PATIENCE * 2))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                Stream::Unix(stream)
            }
        };
        Ok(Connection { stream: BufReader::new(stream) })
    }

    /// The bytes of a request.
    pub(crate) fn request(&self, method: &str, target: &str, body: Option<&[u8]>) -> Vec<u8> {
        let mut text = format!("{method} {target} HTTP/1.1\r\n");
        let given = |name: &str| self.headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
        if !given("host") {
            text += "Host: localhost\r\n";
        }
        for (name, value) in &self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        if let Some(body) = body {
            if !given("content-type") {
                text += "Content-Type: application/json\r\n";
            }
            text += &format!("Content-Length: {}\r\n", body.len());
        }
        text += "\r\n";
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(body.unwrap_or_default());
        bytes
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// The line broke before the answer was whole.
    pub(crate) fn ask(&self, method: &str, target: &str, body: Option<&[u8]>) -> io::Result<Answer> {
        let mut connection = self.connect()?;
        let sent = connection.send(&self.request(method, target, body));
        // A server may answer and close before it has read everything: the answer counts.
        match connection.answer() {
            Ok(answer) => Ok(answer),
            Err(error) => Err(sent.err().unwrap_or(error)),
        }
    }

    #[track_caller]
    pub(crate) fn get(&self, target: &str) -> Answer {
        self.ask("GET", target, None).unwrap_or_else(|error| panic!("GET {target}: {error}"))
    }

    #[track_caller]
    pub(crate) fn post(&self, target: &str, body: &Value) -> Answer {
        self.post_text(target, &body.to_string())
    }

    #[track_caller]
    pub(crate) fn post_text(&self, target: &str, body: &str) -> Answer {
        self.ask("POST", target, Some(body.as_bytes()))
            .unwrap_or_else(|error| panic!("POST {target}: {error}"))
    }

    /// Sells; KRA must sign it at once.
    #[track_caller]
    pub(crate) fn sell(&self, number: &str) -> Value {
        self.post("/api/sales/", &sale(number)).expect(201)
    }

    /// Sells without waiting for KRA; the sale must be taken.
    #[track_caller]
    pub(crate) fn sell_offline(&self, number: &str) -> Value {
        self.post("/api/sales/?wait=0", &sale(number)).expect(202)
    }

    /// A sale's present state.
    #[track_caller]
    pub(crate) fn state(&self, number: &str) -> Value {
        self.get(&format!("/api/sales/{}/", encoded(number))).expect(200)
    }

    /// Waits until a sale stands where it must get to.
    #[track_caller]
    pub(crate) fn wait_status(&self, number: &str, status: &str) -> Value {
        eventually(&format!("sale {number} is {status}"), || {
            let state = self.get(&format!("/api/sales/{}/?wait=1", encoded(number))).expect(200);
            (state["status"] == status).then_some(state)
        })
    }

    /// The queue's counts.
    #[track_caller]
    pub(crate) fn queue(&self) -> Value {
        self.get("/api/device/status/").expect(200)["queue"].clone()
    }

    /// Waits until nothing waits for KRA any more.
    #[track_caller]
    pub(crate) fn wait_drained(&self) {
        within(PATIENCE * 3, "the queue is empty", || {
            (self.queue()["waiting"].as_u64().expect("queue.waiting is a number") == 0).then_some(())
        });
    }
}

/// A path segment with everything but letters and digits percent-encoded.
pub(crate) fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Unix(stream) => stream.read(buffer),
        }
    }
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: BufReader<Stream>,
}

impl Connection {
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.stream.get_mut() {
            Stream::Tcp(stream) => stream.write_all(bytes),
            Stream::Unix(stream) => stream.write_all(bytes),
        }
    }

    /// Says that nothing more will be sent.
    pub(crate) fn end_of_request(&self) {
        let _ = match self.stream.get_ref() {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
        };
    }

    pub(crate) fn set_patience(&self, patience: Duration) {
        match self.stream.get_ref() {
            Stream::Tcp(stream) => stream.set_read_timeout(Some(patience)).unwrap(),
            Stream::Unix(stream) => stream.set_read_timeout(Some(patience)).unwrap(),
        }
    }

    /// Reads one whole answer.
    pub(crate) fn answer(&mut self) -> io::Result<Answer> {
        loop {
            let answer = self.one_answer()?;
            if answer.status >= 200 {
                return Ok(answer);
            }
        }
    }

    /// Reads one answer, an interim one too.
    pub(crate) fn one_answer(&mut self) -> io::Result<Answer> {
        let bad = |words: String| io::Error::new(io::ErrorKind::InvalidData, words);
        let mut answer = self.head()?;
        let status = answer.status;
        if status < 200 || status == 204 || status == 304 {
            return Ok(answer);
        }
        if let Some(length) = answer.header("content-length") {
            answer.body = vec![0; length.parse().map_err(|_| bad(format!("length {length:?}")))?];
            self.stream.read_exact(&mut answer.body)?;
        } else if answer.header("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = self.chunk()? {
                answer.body.extend_from_slice(&chunk);
            }
        } else {
            self.stream.read_to_end(&mut answer.body)?;
        }
        Ok(answer)
    }

    /// Reads one piece of a body that comes in pieces; `None`: it has ended.
    pub(crate) fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let size = self.line()?;
        let size = usize::from_str_radix(&size, 16)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, format!("chunk {size:?}")))?;
        let mut chunk = vec![0; size];
        self.stream.read_exact(&mut chunk)?;
        self.line()?;
        Ok((size > 0).then_some(chunk))
    }

    /// Reads status and headers of an answer; its body is to come.
    pub(crate) fn head(&mut self) -> io::Result<Answer> {
        let bad = |words: String| io::Error::new(io::ErrorKind::InvalidData, words);
        let first = self.line()?;
        let mut parts = first.split(' ');
        let version = parts.next().unwrap_or_default();
        let status = parts.next().and_then(|status| status.parse().ok());
        let status = status
            .filter(|_| matches!(version, "HTTP/1.0" | "HTTP/1.1"))
            .ok_or_else(|| bad(format!("{first:?}")))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| bad(format!("{line:?}")))?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        Ok(Answer { status, headers, body: Vec::new() })
    }

    /// A line without its end.
    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }
}

/// An answer.
#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?} {}", self.status, self.headers, self.text())
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The body, of an answer with this status.
    #[track_caller]
    pub(crate) fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        self.json()
    }

    /// A refusal with this status and word.
    #[track_caller]
    pub(crate) fn expect_error(&self, status: u16, word: &str) -> Value {
        let body = self.expect(status);
        assert_eq!(body["error"], word, "{self:?}");
        body
    }

    /// A 400 that names this field.
    #[track_caller]
    pub(crate) fn expect_field(&self, field: &str) -> Value {
        let body = self.expect(400);
        let errors = body["errors"].as_array().unwrap_or_else(|| panic!("errors: {self:?}"));
        let error = errors.iter().find(|error| error["field"] == field);
        let error = error.unwrap_or_else(|| panic!("{field}: {self:?}"));
        for key in ["code", "message"] {
            assert!(error[key].as_str().is_some_and(|text| !text.is_empty()), "{key}: {self:?}");
        }
        error.clone()
    }
}
