//! A Unix socket in the file system: never reachable with wrong permissions, never stolen from a running process.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Mode};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use super::listen::ListenError;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// The file of a socket that we made; removed when dropped, unless another has taken its place.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let still_ours =
            std::fs::symlink_metadata(&self.path).is_ok_and(|found| identity(&found) == self.identity);
        if still_ours {
            // Nothing to be done about it if it fails: the next start replaces a file that nobody answers on.
            let _result = std::fs::remove_file(&self.path);
        }
    }
}

fn identity(found: &std::fs::Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

/// Makes the socket. Permissions and group are set between bind and listen: until then every connect is refused.
pub(super) fn bind(
    path: &Path,
    mode: u32,
    group: Option<&str>,
) -> Result<(UnixListener, SocketFile), ListenError> {
    let group = group.map(group_id).transpose()?;
    let failed = |step| move |error: Errno| cannot(step, path, error.into());
    let address = SocketAddrUnix::new(path).map_err(failed("use the path"))?;
    clear_stale(path, &address)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .map_err(failed("make a socket for"))?;
    rustix::net::bind(&socket, &address).map_err(failed("bind to"))?;
    let found = std::fs::symlink_metadata(path).map_err(|error| cannot("look at", path, error))?;
    let file = SocketFile { path: path.to_owned(), identity: identity(&found) };
    if group.is_some() {
        rustix::fs::chown(path, None, group).map_err(failed("set the group of"))?;
    }
    rustix::fs::chmod(path, Mode::from_raw_mode(mode)).map_err(failed("set the permissions of"))?;
    rustix::net::listen(&socket, BACKLOG).map_err(failed("listen on"))?;
    Ok((UnixListener::from(socket), file))
}

fn cannot(step: &'static str, path: &Path, error: io::Error) -> ListenError {
    ListenError::Path { step, path: path.to_owned(), error }
}

/// Removes a socket file that was left behind; refuses when somebody answers on it or it is no socket.
fn clear_stale(path: &Path, address: &SocketAddrUnix) -> Result<(), ListenError> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {}
        Ok(_) => return Err(ListenError::NotASocket { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(cannot("look at", path, error)),
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let probe = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .map_err(|error| cannot("make a socket for", path, error.into()))?;
    match rustix::net::connect(&probe, address) {
        Err(Errno::CONNREFUSED) => {
            std::fs::remove_file(path).map_err(|error| cannot("remove the stale socket", path, error))
        }
        Err(Errno::NOENT) => Ok(()),
        // Connected, or a queue too full to take one more: somebody is there.
        Ok(()) | Err(Errno::AGAIN) => Err(ListenError::InUse { path: path.to_owned() }),
        Err(error) => Err(cannot("see who listens on", path, error.into())),
    }
}

fn group_id(group: &str) -> Result<Gid, ListenError> {
    let none = || ListenError::NoGroup { group: group.to_owned() };
    let id = match group.parse::<u32>() {
        Ok(number) => number,
        Err(_) => {
            let known = std::fs::read_to_string("/etc/group").map_err(|_| none())?;
            number_of(group, &known).ok_or_else(none)?
        }
    };
    // The greatest number means "leave it as it is" to the kernel.
    if id == u32::MAX { Err(none()) } else { Ok(Gid::from_raw(id)) }
}

/// The number of a group in the text of `/etc/group`: `name:password:number:members`.
fn number_of(group: &str, known: &str) -> Option<u32> {
    known.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(group)).then(|| fields.nth(1)?.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::super::listen::ListenError;
    use super::{bind, number_of};

    #[test]
    fn makes_replaces_and_removes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("till.sock");
        let (socket, file) = bind(&path, 0o640, Some("0")).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o640);
        UnixStream::connect(&path).unwrap();
        assert!(matches!(bind(&path, 0o640, None), Err(ListenError::InUse { .. })));
        drop((socket, file));
        assert!(!path.exists());

        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "left behind, as after kill -9");
        let (socket, file) = bind(&path, 0o600, None).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "another's").unwrap();
        drop((socket, file));
        assert!(path.exists(), "not ours any more");
        assert!(matches!(bind(&path, 0o600, None), Err(ListenError::NotASocket { .. })));
        let nowhere = directory.path().join("no/till.sock");
        assert!(matches!(bind(&nowhere, 0o600, None), Err(ListenError::Path { .. })));
        let no_group = bind(&directory.path().join("x"), 0o600, Some("no-such-group"));
        assert!(matches!(no_group, Err(ListenError::NoGroup { .. })));
        let long = directory.path().join("a".repeat(120));
        assert!(matches!(bind(&long, 0o600, None), Err(ListenError::Path { .. })));
    }

    #[test]
    fn groups() {
        let known = "root:x:0:\ntills:x:990:alice,bob\nbroken:x\n";
        assert_eq!(number_of("tills", known), Some(990));
        assert_eq!(number_of("root", known), Some(0));
        assert_eq!(number_of("till", known), None);
        assert_eq!(number_of("broken", known), None);
    }
}
