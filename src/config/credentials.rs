//! Secrets: from files of their own or systemd credentials, never from the TOML.

use std::fmt;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Greatest size of a secret file, in bytes.
const MOST: u64 = 64 * 1024;

/// Where a secret is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SecretFile {
    /// `credential:NAME`: the file NAME in `$CREDENTIALS_DIRECTORY`, put there by systemd.
    Credential(String),
    /// A file by path.
    File(PathBuf),
}

impl SecretFile {
    /// Reads `credential:NAME` or a path.
    pub(super) fn parse(text: &str) -> Result<SecretFile, String> {
        match text.strip_prefix("credential:") {
            Some(name) if name.is_empty() || name.contains('/') || name.starts_with('.') => {
                Err("is not the name of a credential".to_owned())
            }
            Some(name) => Ok(SecretFile::Credential(name.to_owned())),
            None => Ok(SecretFile::File(PathBuf::from(text))),
        }
    }

    /// The file to open; `directory` is `$CREDENTIALS_DIRECTORY`.
    ///
    /// # Errors
    /// A systemd credential is named, but systemd passed none to this process.
    pub fn path(&self, directory: Option<&Path>) -> Result<PathBuf, SecretError> {
        match (self, directory) {
            (SecretFile::File(path), _) => Ok(path.clone()),
            (SecretFile::Credential(name), Some(directory)) => Ok(directory.join(name)),
            (SecretFile::Credential(name), None) => Err(SecretError::NoDirectory { name: name.clone() }),
        }
    }

    /// Reads the secret; line ends and blanks around it are dropped. `directory` is `$CREDENTIALS_DIRECTORY`.
    ///
    /// # Errors
    /// The file cannot be read, is empty, larger than 64 KiB or not text.
    pub fn read(&self, directory: Option<&Path>) -> Result<Secret, SecretError> {
        let path = self.path(directory)?;
        let cannot = |error| SecretError::Read { path: path.clone(), error };
        if std::fs::metadata(&path).map_err(cannot)?.len() > MOST {
            return Err(SecretError::TooLarge { path });
        }
        let bytes = std::fs::read(&path).map_err(cannot)?;
        let text = String::from_utf8(bytes).map_err(|_| SecretError::NotText { path: path.clone() })?;
        match text.trim() {
            "" => Err(SecretError::Empty { path }),
            secret => Ok(Secret(secret.to_owned())),
        }
    }

    /// May every user of this machine read it? Unknown (no such file) is no.
    pub fn is_world_readable(&self, directory: Option<&Path>) -> bool {
        let mode = |path: PathBuf| std::fs::metadata(path).ok().map(|found| found.permissions().mode());
        self.path(directory).ok().and_then(mode).is_some_and(|mode| mode & 0o004 != 0)
    }
}

/// A secret text; prints as `****`.
#[derive(Clone, Eq, PartialEq)]
pub struct Secret(String);

impl Secret {
    /// The secret itself, to be used and not shown.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "****")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "****")
    }
}

/// Why a secret could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file is empty or blank.
    #[error("{} is empty; put the secret in it", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A systemd credential is named, but systemd passed none.
    #[error("credential:{name} needs LoadCredential={name}:PATH in the systemd unit, or a path instead")]
    NoDirectory {
        /// Name of the credential.
        name: String,
    },
    /// The file is not UTF-8.
    #[error("{} is not text", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("{} cannot be read: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file is larger than any secret.
    #[error("{} is larger than 64 KiB", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::{SecretError, SecretFile};

    #[test]
    fn reads_files_and_credentials() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        fs::write(&path, "  s3cret\n").unwrap();
        let by_name = SecretFile::parse("credential:token").unwrap();
        let by_path = SecretFile::parse(path.to_str().unwrap()).unwrap();
        assert_eq!(by_name.read(Some(directory.path())).unwrap().expose(), "s3cret");
        assert_eq!(by_path.read(None).unwrap().expose(), "s3cret");
        assert_eq!(format!("{0} {0:?}", by_path.read(None).unwrap()), "**** ****");
        assert!(matches!(by_name.read(None), Err(SecretError::NoDirectory { .. })));
        fs::write(&path, "\n").unwrap();
        assert!(matches!(by_path.read(None), Err(SecretError::Empty { .. })));
        fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(matches!(by_path.read(None), Err(SecretError::NotText { .. })));
        fs::write(&path, vec![b'a'; 70_000]).unwrap();
        assert!(matches!(by_path.read(None), Err(SecretError::TooLarge { .. })));
        fs::remove_file(&path).unwrap();
        assert!(matches!(by_path.read(None), Err(SecretError::Read { .. })));
        assert!(!by_path.is_world_readable(None));
    }

    #[test]
    fn sees_who_may_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        fs::write(&path, "x").unwrap();
        let file = SecretFile::File(path.clone());
        for (mode, expected) in [(0o600, false), (0o640, false), (0o644, true)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(file.is_world_readable(None), expected, "{mode:o}");
        }
    }

    #[test]
    fn names_of_credentials() {
        for bad in ["credential:", "credential:../x", "credential:a/b", "credential:.x"] {
            assert!(SecretFile::parse(bad).is_err(), "{bad}");
        }
    }
}
