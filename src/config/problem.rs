//! What is wrong with a configuration: every problem at once, each with key, value, place and what is allowed.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

/// Where a value came from.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Not set anywhere: the built-in default.
    Default,
    /// A file, and the line in it (from 1) where it is known.
    File {
        /// The file as it was opened.
        #[serde(serialize_with = "as_shown")]
        path: PathBuf,
        /// Line number from 1.
        line: Option<usize>,
    },
    /// An environment variable, by name.
    Variable(String),
}

/// A path in JSON as it is shown: one that is not UTF-8 must not break the report.
fn as_shown<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Default => write!(f, "default"),
            Source::File { path, line: Some(line) } => write!(f, "{}:{line}", path.display()),
            Source::File { path, line: None } => write!(f, "{}", path.display()),
            Source::Variable(name) => write!(f, "${name}"),
        }
    }
}

/// One thing that must be corrected before the daemon can start.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Problem {
    /// The key, such as `kra.base_url`; empty when a whole file is at fault.
    pub key: String,
    /// The value as written; none for unknown keys (they may hold a secret) and for whole files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// What is wrong, in a sentence without a full stop.
    pub message: String,
    /// What may stand there instead, where that can be said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed: Option<String>,
    /// Where it was set.
    pub source: Source,
}

impl fmt::Display for Problem {
    /// `FILE:LINE: key = value: what is wrong (allowed: ...)`, on one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.source != Source::Default {
            write!(f, "{}: ", self.source)?;
        }
        match &self.value {
            Some(value) => write!(f, "{} = {}: ", self.key, one_line(value))?,
            None if self.key.is_empty() => {}
            None => write!(f, "{}: ", self.key)?,
        }
        write!(f, "{}", one_line(&self.message))?;
        match &self.allowed {
            Some(allowed) => write!(f, " (allowed: {allowed})"),
            None => Ok(()),
        }
    }
}

fn one_line(text: &str) -> String {
    text.split(['\n', '\r']).map(str::trim).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// All problems of one configuration, never empty when returned as an error; prints one per line.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Is there nothing to correct?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The problems in the order they were found.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }

    pub(super) fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Something odd that does not prevent a start.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Warning {
    /// The key it is about.
    pub key: String,
    /// What is odd, and what to do.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}
