//! The kinds of value a key can take, and how they are explained to whoever edits the file.

use std::fmt;

/// What a key's value must be. Ranges include both ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// A list of `IP:port`.
    Addresses,
    /// Two digits.
    BhfId,
    /// `true` or `false`.
    Boolean,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A file holding a secret, or `credential:NAME` for a systemd credential.
    CredentialFile,
    /// A duration with its unit, such as `"30s"`.
    Duration {
        /// Shortest.
        least: &'static str,
        /// Longest.
        most: &'static str,
    },
    /// A name of a machine, without scheme or port.
    Host,
    /// A whole number.
    Integer {
        /// Smallest.
        least: i64,
        /// Largest.
        most: i64,
    },
    /// Permission bits as octal text, such as `"0660"`.
    Mode,
    /// A list of web origins, such as `"https://pos.example"`.
    Origins,
    /// A path in the file system.
    Path,
    /// `http://host:port` of an HTTP CONNECT proxy.
    Proxy,
    /// A size with its unit, such as `"64MiB"`.
    Size {
        /// Smallest.
        least: &'static str,
        /// Largest.
        most: &'static str,
    },
    /// Text without control characters.
    Text {
        /// Least number of characters.
        least: usize,
        /// Greatest number of characters.
        most: usize,
    },
    /// A taxpayer PIN.
    Tin,
    /// `http://` or `https://` with a host and an optional path.
    Url,
    /// A path under `kra.base_url`.
    UrlPath,
    /// `http://` or `https://` with a host and an optional path, for what is not secret.
    Webhook,
}

impl Kind {
    /// Is the value a list?
    pub fn is_list(self) -> bool {
        matches!(self, Kind::Addresses | Kind::Origins)
    }
}

impl fmt::Display for Kind {
    /// What is allowed, for a person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Addresses => write!(f, "a list of \"IP:port\", such as [\"127.0.0.1:8460\"]"),
            Kind::BhfId => write!(f, "two digits, \"00\" for the head office"),
            Kind::Boolean => write!(f, "true or false"),
            Kind::Choice(words) => {
                let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
                write!(f, "{}", quoted.join(", "))
            }
            Kind::CredentialFile => {
                write!(f, "the path of a file, or \"credential:NAME\" for a systemd credential")
            }
            Kind::Duration { least, most } => {
                write!(f, "a duration with its unit, \"{least}\" to \"{most}\"")
            }
            Kind::Host => write!(f, "a host name, such as \"etims.kra.go.ke\""),
            Kind::Integer { least, most } => write!(f, "a whole number, {least} to {most}"),
            Kind::Mode => write!(f, "permission bits in octal, such as \"0660\""),
            Kind::Origins => write!(f, "a list of web origins, such as [\"https://pos.example\"]"),
            Kind::Path => write!(f, "a path"),
            Kind::Proxy => write!(f, "\"http://host:port\", without a user name or password"),
            Kind::Size { least, most } => write!(f, "a size with its unit, \"{least}\" to \"{most}\""),
            Kind::Text { least: 0, most } => write!(f, "at most {most} characters, no control characters"),
            Kind::Text { least, most } => write!(f, "{least} to {most} characters, no control characters"),
            Kind::Tin => {
                write!(f, "a capital letter, nine digits, a capital letter, such as \"P051234567Z\"")
            }
            Kind::Url => write!(f, "\"https://host/path\", or http:// on loopback"),
            Kind::Webhook => write!(
                f,
                "\"https://host/path\", or http:// to this machine or a private address such as 192.168.1.10"
            ),
            Kind::UrlPath => write!(f, "a path such as \"/saveTrnsSalesOsdc\""),
        }
    }
}
