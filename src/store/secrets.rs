//! The device's key, and KRA's raw answer that brought it: files of their own, 0600, synced with their directory.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::fiscal::CmcKey;

const KEY_FILE: &str = "cmc.key";
const ANSWER_FILE: &str = "init.answer";
/// Room that is written and synced before KRA is asked, so that the answer finds a place on a full disk.
const ANSWER_ROOM: usize = 64 * 1024;

/// The directory of secrets.
#[derive(Clone, Debug)]
pub struct Secrets {
    dir: PathBuf,
}

/// A secret could not be kept or read. Its content is never part of the text.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The key is not there though the log says that the device is registered.
    #[error(
        "the device is registered and its key file {0} is missing or empty: put it back from a backup, \
         or ask KRA for a new key; a new one is never made"
    )]
    Gone(PathBuf),
    /// Reading or writing failed.
    #[error("{step} {path}: {source}")]
    Io {
        /// What was being done.
        step: &'static str,
        /// With which file.
        path: PathBuf,
        /// How it failed.
        source: io::Error,
    },
}

impl Secrets {
    /// The secrets below this directory, which exists.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// The device's key.
    ///
    /// # Errors
    /// Missing, empty or unreadable.
    pub fn key(&self) -> Result<CmcKey, SecretError> {
        let path = self.dir.join(KEY_FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(SecretError::Gone(path)),
            Err(source) => return Err(SecretError::Io { step: "reading", path, source }),
        };
        CmcKey::new(text.trim()).map_err(|_| SecretError::Gone(path))
    }

    pub(super) async fn keep_key(&self, key: &CmcKey) -> Result<(), SecretError> {
        let text = format!("{}\n", key.reveal());
        self.blocking(move |dir| replace(dir, KEY_FILE, text.as_bytes())).await
    }

    pub(super) async fn make_room_for_answer(&self) -> Result<(), SecretError> {
        self.blocking(|dir| replace(dir, ANSWER_FILE, &vec![0; ANSWER_ROOM])).await
    }

    pub(super) async fn keep_answer(&self, body: &[u8]) -> Result<(), SecretError> {
        let body = body.to_vec();
        self.blocking(move |dir| {
            let path = dir.join(ANSWER_FILE);
            let io = |step| move |source| SecretError::Io { step, path: path.clone(), source };
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(dir.join(ANSWER_FILE))
                .map_err(io.clone()("opening"))?;
            file.write_all(&body).map_err(io.clone()("writing"))?;
            file.sync_all().map_err(io("syncing"))
        })
        .await
    }

    /// The answer that was kept, without the room behind it; `None` where there is none.
    pub(super) async fn kept_answer(&self) -> Result<Option<Vec<u8>>, SecretError> {
        self.blocking(|dir| {
            let path = dir.join(ANSWER_FILE);
            let mut bytes = match fs::read(&path) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(source) => return Err(SecretError::Io { step: "reading", path, source }),
            };
            // A body of JSON or XML holds no zero byte.
            bytes.truncate(bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len()));
            Ok(Some(bytes).filter(|bytes| !bytes.is_empty()))
        })
        .await
    }

    /// Puts an answer that nobody could read aside, for a person: it may hold the key.
    pub(super) async fn set_answer_apart(&self) -> Result<(), SecretError> {
        self.blocking(|dir| {
            let path = dir.join(ANSWER_FILE);
            match fs::rename(&path, dir.join(format!("{ANSWER_FILE}.unread"))) {
                Ok(()) => sync_dir(dir),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                Err(source) => Err(SecretError::Io { step: "renaming", path, source }),
            }
        })
        .await
    }

    pub(super) async fn forget_answer(&self) -> Result<(), SecretError> {
        self.blocking(|dir| {
            let path = dir.join(ANSWER_FILE);
            match fs::remove_file(&path) {
                Ok(()) => sync_dir(dir),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                Err(source) => Err(SecretError::Io { step: "removing", path, source }),
            }
        })
        .await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> Result<T, SecretError> + Send + 'static,
    ) -> Result<T, SecretError> {
        let dir = self.dir.clone();
        let joined = tokio::task::spawn_blocking(move || work(&dir)).await;
        joined.unwrap_or_else(|error| {
            Err(SecretError::Io {
                step: "working with",
                path: self.dir.clone(),
                source: io::Error::other(error.to_string()),
            })
        })
    }
}

/// Writes a file so that after a power cut it is either the old or the new one, whole.
fn replace(dir: &Path, name: &str, content: &[u8]) -> Result<(), SecretError> {
    let path = dir.join(name);
    let fresh = dir.join(format!("{name}.new"));
    let io = |step: &'static str| {
        let path = path.clone();
        move |source| SecretError::Io { step, path, source }
    };
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&fresh)
        .map_err(io("opening a new"))?;
    file.write_all(content).map_err(io("writing a new"))?;
    file.sync_all().map_err(io("syncing a new"))?;
    fs::rename(&fresh, &path).map_err(io("replacing"))?;
    sync_dir(dir)
}

fn sync_dir(dir: &Path) -> Result<(), SecretError> {
    let io = |source| SecretError::Io { step: "syncing", path: dir.to_owned(), source };
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(io)
}
