//! A directory of our own for one run, gone afterwards unless it is to be kept.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use data_encoding::BASE32_NOPAD;
use ring::rand::{SecureRandom, SystemRandom};
use thiserror::Error;

/// Longest path that a Unix socket may have, in bytes.
const LONGEST_SOCKET_PATH: usize = 107;

/// Longest name of a socket in here.
const LONGEST_NAME: usize = 16;

/// Why there is no directory.
#[derive(Debug, Error)]
pub(super) enum DirectoryError {
    /// It cannot be made.
    #[error("cannot make {0}: {1}")]
    Make(PathBuf, io::Error),
    /// The system gives no random name.
    #[error("the system gives no random numbers for a directory name")]
    Random,
}

/// A private directory (mode 0700), removed when dropped unless it is to be kept.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    is_kept: bool,
}

impl Directory {
    /// Makes a new one under `$TMPDIR`, or under `/tmp` where sockets in the former would have too long a path.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn new() -> Result<Self, DirectoryError> {
        let mut random = [0; 5];
        SystemRandom::new().fill(&mut random).map_err(|_| DirectoryError::Random)?;
        let name = format!("etims-demo-{}", BASE32_NOPAD.encode(&random).to_lowercase());
        let path = parent(&std::env::temp_dir(), name.len()).join(name);
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|error| DirectoryError::Make(path.clone(), error))?;
        Ok(Self { path, is_kept: false })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves it in place when it is dropped.
    pub(super) fn keep(&mut self) {
        self.is_kept = true;
    }

    /// Whether it stays.
    pub(super) fn is_kept(&self) -> bool {
        self.is_kept
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if !self.is_kept {
            // What cannot be removed is in a directory for temporary files: the system clears it some day.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

fn parent(usual: &Path, name_length: usize) -> PathBuf {
    let longest = usual.as_os_str().len() + name_length + LONGEST_NAME + 2;
    if usual.is_absolute() && usual.to_str().is_some() && longest <= LONGEST_SOCKET_PATH {
        usual.to_owned()
    } else {
        PathBuf::from("/tmp")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn private_and_gone_unless_kept() {
        let mut directory = Directory::new().unwrap();
        let path = directory.path().to_owned();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        std::fs::write(path.join("file"), "x").unwrap();
        directory.keep();
        drop(directory);
        assert!(path.exists());
        drop(Directory { path: path.clone(), is_kept: false });
        assert!(!path.exists());
    }

    #[test]
    fn sockets_fit_into_it() {
        assert_eq!(parent(Path::new("/var/tmp"), 20), Path::new("/var/tmp"));
        assert_eq!(parent(Path::new(&format!("/{}", "x".repeat(90))), 20), Path::new("/tmp"));
        assert_eq!(parent(Path::new("relative"), 20), Path::new("/tmp"));
    }
}
