//! The device's key, and KRA's raw answer that brought it: files of their own, 0600, synced with their directory.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::fiscal::CmcKey;

const KEY_FILE: &str = "cmc.key";
/// Where the key is written before it takes its name; full of zeros while KRA is asked.
const KEY_ROOM: &str = "cmc.key.new";
/// Before the checksum, on the key file's second line.
const CHECKSUM: &str = "crc32c ";
const ANSWER_FILE: &str = "init.answer";
/// Room that is written and synced before KRA is asked, so that the answer finds a place on a full disk.
const ANSWER_ROOM: usize = 64 * 1024;
/// The same for the key: one block of any file system.
const KEY_ROOM_SIZE: usize = 4096;

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
        "the device is registered and its key file {0} is missing or empty: put it back from a backup; where there is none, ask \
         KRA for a new key and write it there, alone on the first line, mode 0600. One is never made here"
    )]
    Gone(PathBuf),
    /// The key's file is not as it was written.
    #[error(
        "the device's key file {path} is damaged: {what}. Put it back from a backup, or ask KRA for a new key and write it \
         there, alone on the first line"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// An answer of KRA lies where the next one would be written. It may be the only copy of the key.
    #[error("{0} holds an answer of KRA that nobody has read: KRA is not asked again until it is")]
    Unread(PathBuf),
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
        let bytes = read(&path)?.unwrap_or_default();
        key_in(&path, &bytes)?.ok_or(SecretError::Gone(path))
    }

    /// Writes the key into the room made for it, which then takes the key's name. A key that was there before is put
    /// aside, never overwritten.
    pub(super) async fn keep_key(&self, key: &CmcKey) -> Result<(), SecretError> {
        let text = key_text(key);
        self.blocking(move |dir| {
            match read(&dir.join(KEY_FILE))? {
                Some(known) if known == text.as_bytes() => return sync_dir(dir),
                Some(known) if holds_something(&known) => put_aside(dir, KEY_FILE, "cmc.key.old")?,
                _ => {}
            }
            let room = dir.join(KEY_ROOM);
            let file = write_over(&room, text.as_bytes())?;
            // The room behind it goes. It is all zeros, so a disk that cannot even do that is no matter.
            let _ = file.set_len(u64::try_from(text.len()).unwrap_or(u64::MAX));
            file.sync_all().map_err(io("syncing", &room))?;
            fs::rename(&room, dir.join(KEY_FILE)).map_err(io("giving its name to", &room))?;
            sync_dir(dir)
        })
        .await
    }

    /// A key that lies here, under any of the names that a key is ever given: its own, that of one which was about to take its
    /// place, or the newest that was put aside.
    pub(super) async fn any_key(&self) -> Result<Option<CmcKey>, SecretError> {
        self.blocking(|dir| {
            let mut files = numbered(dir, KEY_FILE)?;
            let own = [dir.join(KEY_FILE), dir.join(KEY_ROOM)];
            let rank = |path: &PathBuf| own.iter().position(|it| it == path).unwrap_or(own.len());
            files.sort_by_key(|(number, path)| (rank(path), std::cmp::Reverse(*number)));
            for (_, path) in files {
                if let Some(key) = key_in(&path, &read(&path)?.unwrap_or_default())? {
                    return Ok(Some(key));
                }
            }
            Ok(None)
        })
        .await
    }

    /// Room for an answer and for the key, written and synced. Refuses to take the place of anything that is not room.
    pub(super) async fn make_room(&self) -> Result<(), SecretError> {
        self.blocking(|dir| {
            let answer = dir.join(ANSWER_FILE);
            match read(&answer)? {
                Some(bytes) if holds_something(&bytes) => return Err(SecretError::Unread(answer)),
                _ => write_room(&answer, ANSWER_ROOM)?,
            }
            let key = dir.join(KEY_ROOM);
            if read(&key)?.is_some_and(|bytes| holds_something(&bytes)) {
                put_aside(dir, KEY_ROOM, "cmc.key.old")?;
            }
            write_room(&key, KEY_ROOM_SIZE)?;
            sync_dir(dir)
        })
        .await
    }

    pub(super) async fn keep_answer(&self, bytes: &[u8]) -> Result<(), SecretError> {
        let bytes = bytes.to_vec();
        self.blocking(move |dir| {
            let path = dir.join(ANSWER_FILE);
            write_over(&path, &bytes)?.sync_all().map_err(io("syncing", &path))?;
            sync_dir(dir)
        })
        .await
    }

    /// The answer that was kept, without the room behind it; `None` where there is none.
    pub(super) async fn kept_answer(&self) -> Result<Option<Vec<u8>>, SecretError> {
        self.blocking(|dir| Ok(read(&dir.join(ANSWER_FILE))?.and_then(without_room))).await
    }

    /// Puts an answer that nobody could read aside, for a person or a later version: it may hold the key. Each has a file
    /// of its own.
    pub(super) async fn set_answer_apart(&self) -> Result<(), SecretError> {
        self.blocking(|dir| match read(&dir.join(ANSWER_FILE))? {
            Some(bytes) if holds_something(&bytes) => put_aside(dir, ANSWER_FILE, "init.answer.unread"),
            _ => Ok(()),
        })
        .await
    }

    /// The answers that were put aside, the newest first.
    pub(super) async fn answers_apart(&self) -> Result<Vec<Vec<u8>>, SecretError> {
        self.blocking(|dir| {
            let mut files = numbered(dir, "init.answer.unread")?;
            files.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
            let read = files.iter().map(|(_, path)| Ok(read(path)?.and_then(without_room)));
            read.filter_map(Result::transpose).collect()
        })
        .await
    }

    /// Removes an answer that was read to its end, and the room.
    pub(super) async fn forget_answer(&self) -> Result<(), SecretError> {
        self.blocking(|dir| {
            remove(&dir.join(ANSWER_FILE))?;
            give_up_room(dir)
        })
        .await
    }

    /// Removes room that was not used.
    pub(super) async fn give_up_room(&self) -> Result<(), SecretError> {
        self.blocking(give_up_room).await
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

fn io(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SecretError {
    move |source| SecretError::Io { step, path: path.to_owned(), source }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, SecretError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(SecretError::Io { step: "reading", path: path.to_owned(), source }),
    }
}

fn remove(path: &Path) -> Result<(), SecretError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io("removing", path)(error)),
        _ => Ok(()),
    }
}

/// The key alone on the first line, its checksum on the second: a wrong key would make KRA refuse the device.
pub(super) fn key_text(key: &CmcKey) -> String {
    let key = key.reveal();
    format!("{key}\n{CHECKSUM}{:08x}\n", crc32c::crc32c(key.as_bytes()))
}

/// The key in a file of ours, or in one that a person wrote, which has no checksum; `None`: nothing is in it.
pub(super) fn key_in(path: &Path, bytes: &[u8]) -> Result<Option<CmcKey>, SecretError> {
    let damaged = |what| SecretError::Damaged { path: path.to_owned(), what };
    if bytes.iter().all(|byte| *byte == 0 || byte.is_ascii_whitespace()) {
        return Ok(None);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| damaged("it is not text"))?;
    let Some((line, rest)) = text.split_once('\n') else {
        return Err(damaged("its first line has no end, so that nobody knows whether the key is whole"));
    };
    let key = CmcKey::new(line.trim()).map_err(|_| damaged("there is no key on its first line"))?;
    let rest = rest.trim_end_matches('\0').trim();
    let expected = format!("{CHECKSUM}{:08x}", crc32c::crc32c(key.reveal().as_bytes()));
    if rest.is_empty() || rest == expected {
        Ok(Some(key))
    } else {
        Err(damaged("the key and its checksum do not agree"))
    }
}

/// Room is all zeros; whatever else stands in a file is somebody's.
fn holds_something(bytes: &[u8]) -> bool {
    bytes.iter().any(|byte| *byte != 0)
}

/// What was written, without the zeros behind it.
fn without_room(mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    let end = bytes.iter().rposition(|byte| *byte != 0)?;
    bytes.truncate(end + 1);
    Some(bytes)
}

/// Writes from the file's beginning into the blocks that it has.
fn write_over(path: &Path, bytes: &[u8]) -> Result<File, SecretError> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    let mut file = options.open(path).map_err(io("opening", path))?;
    file.write_all(bytes).map_err(io("writing", path))?;
    Ok(file)
}

fn write_room(path: &Path, size: usize) -> Result<(), SecretError> {
    write_over(path, &vec![0; size])?.sync_all().map_err(io("syncing", path))
}

fn give_up_room(dir: &Path) -> Result<(), SecretError> {
    for name in [ANSWER_FILE, KEY_ROOM] {
        let path = dir.join(name);
        if read(&path)?.is_some_and(|bytes| !holds_something(&bytes)) {
            remove(&path)?;
        }
    }
    sync_dir(dir)
}

/// Gives a file the next free name of a series: `base.1`, `base.2`, ... Nothing is ever overwritten.
fn put_aside(dir: &Path, name: &str, base: &str) -> Result<(), SecretError> {
    let last = numbered(dir, base)?.into_iter().map(|(number, _)| number).max().unwrap_or(0);
    let path = dir.join(name);
    fs::rename(&path, dir.join(format!("{base}.{}", last + 1))).map_err(io("putting aside", &path))?;
    sync_dir(dir)
}

/// The files whose name is `base` or begins with `base.`, each with the number that its name ends in, else 0.
fn numbered(dir: &Path, base: &str) -> Result<Vec<(u64, PathBuf)>, SecretError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(io("listing", dir))? {
        let entry = entry.map_err(io("listing", dir))?;
        let name = entry.file_name();
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(base)) else { continue };
        if rest.is_empty() || rest.starts_with('.') {
            let number = rest.rsplit('.').next().and_then(|number| number.parse().ok());
            found.push((number.unwrap_or(0), entry.path()));
        }
    }
    Ok(found)
}

fn sync_dir(dir: &Path) -> Result<(), SecretError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(io("syncing", dir))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn key(text: &str) -> CmcKey {
        CmcKey::new(text).unwrap()
    }

    fn names(dir: &Path) -> Vec<String> {
        let entries =
            fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = entries.collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn room_is_made_used_and_given_up() {
        let dir = tempfile::tempdir().unwrap();
        let secrets = Secrets::new(dir.path());
        secrets.make_room().await.unwrap();
        assert_eq!(names(dir.path()), ["cmc.key.new", "init.answer"]);
        let length = |name: &str| fs::metadata(dir.path().join(name)).unwrap().len();
        assert_eq!((length("cmc.key.new"), length("init.answer")), (4096, 65_536));
        assert_eq!(secrets.kept_answer().await.unwrap(), None);
        assert_eq!(secrets.any_key().await.unwrap(), None);
        secrets.make_room().await.unwrap();

        secrets.keep_answer(b"{\"an\":1}\nanswer").await.unwrap();
        assert_eq!(length("init.answer"), 65_536, "written into the room");
        assert_eq!(secrets.kept_answer().await.unwrap().unwrap(), b"{\"an\":1}\nanswer");
        secrets.give_up_room().await.unwrap();
        assert_eq!(names(dir.path()), ["init.answer"], "an answer is not room");

        secrets.make_room().await.unwrap_err();
        assert_eq!(secrets.kept_answer().await.unwrap().unwrap(), b"{\"an\":1}\nanswer");
        secrets.forget_answer().await.unwrap();
        secrets.make_room().await.unwrap();
        secrets.keep_key(&key("KEY1")).await.unwrap();
        secrets.forget_answer().await.unwrap();
        assert_eq!(names(dir.path()), ["cmc.key"]);
        assert_eq!(fs::read(dir.path().join("cmc.key")).unwrap(), key_text(&key("KEY1")).as_bytes());
        assert_eq!(fs::metadata(dir.path().join("cmc.key")).unwrap().permissions().mode() & 0o777, 0o600);
    }

    /// No step of a second try takes the only copy of what the first one brought.
    #[tokio::test]
    async fn nothing_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let secrets = Secrets::new(dir.path());
        for answer in ["one", "two"] {
            secrets.make_room().await.unwrap();
            // Nothing came: room is not an answer.
            secrets.set_answer_apart().await.unwrap();
            secrets.keep_answer(answer.as_bytes()).await.unwrap();
            secrets.set_answer_apart().await.unwrap();
        }
        assert_eq!(names(dir.path()), ["cmc.key.new", "init.answer.unread.1", "init.answer.unread.2"]);
        assert_eq!(secrets.answers_apart().await.unwrap(), [b"two".to_vec(), b"one".to_vec()]);

        for text in ["KEY-THE-FIRST", "KEY2", "KEY2", "KEY3"] {
            secrets.make_room().await.unwrap();
            secrets.keep_key(&key(text)).await.unwrap();
            assert_eq!(secrets.key().unwrap(), key(text));
        }
        let old = |number: u32| fs::read(dir.path().join(format!("cmc.key.old.{number}"))).unwrap();
        let text = |text: &str| key_text(&key(text)).into_bytes();
        assert_eq!((old(1), old(2)), (text("KEY-THE-FIRST"), text("KEY2")));

        // Cut off between the key's write and its name: the next try puts it aside.
        fs::remove_file(dir.path().join("cmc.key")).unwrap();
        fs::write(dir.path().join("cmc.key.new"), "KEY4\n").unwrap();
        assert_eq!(secrets.any_key().await.unwrap(), Some(key("KEY4")));
        secrets.make_room().await.unwrap();
        assert_eq!(old(3), b"KEY4\n");
        assert_eq!(secrets.any_key().await.unwrap(), Some(key("KEY4")), "the newest of those put aside");
    }

    #[test]
    fn the_key_is_the_first_line() {
        let path = Path::new("cmc.key");
        for (bytes, expected) in [
            (&b"KEY\n"[..], Some("KEY")),
            (b" KEY \r\n", Some("KEY")),
            (b"KEY\n\0\0\0\0", Some("KEY")),
            (b"", None),
            (b"\n", None),
            (&[0; 64], None),
        ] {
            assert_eq!(key_in(path, bytes).unwrap(), expected.map(key), "{bytes:?}");
        }
        for bytes in [&b"KEY"[..], b"two words\n", &[0xff, 0xfe], b"KEY\nrest of what was there"] {
            assert!(matches!(key_in(path, bytes), Err(SecretError::Damaged { .. })), "{bytes:?}");
        }
    }

    #[test]
    fn a_key_that_is_not_as_it_was_written_is_never_taken() {
        let (path, own) = (Path::new("cmc.key"), key("4F1C-THE-KEY"));
        let text = key_text(&own).into_bytes();
        assert_eq!(key_in(path, &text).unwrap(), Some(own.clone()));
        for place in 0..text.len() {
            for bit in 0..8 {
                let mut flipped = text.clone();
                flipped[place] ^= 1 << bit;
                let read = key_in(path, &flipped);
                assert!(read.is_err() || matches!(&read, Ok(Some(key)) if *key == own), "{place} {bit}");
            }
            let cut = key_in(path, &text[..place]);
            assert!(!matches!(&cut, Ok(Some(key)) if *key != own), "{place}");
        }
    }
}
