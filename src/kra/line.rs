//! The kernel's news that the till's own line is back: a link, an address or a route has come, over rtnetlink.

use std::io;
use std::os::fd::OwnedFd;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};
use tokio::io::unix::AsyncFd;

/// Links, addresses and routes of both families: bits of the groups 1, 5, 9, 7 and 11 of rtnetlink.
const GROUPS: u32 = 1 | 1 << 4 | 1 << 8 | 1 << 6 | 1 << 10;

/// Of linux/rtnetlink.h.
const NEW_LINK: u16 = 16;
const NEW_ADDRESS: u16 = 20;
const NEW_ROUTE: u16 = 24;

/// Of linux/if.h: the link has a carrier.
const LOWER_UP: u32 = 1 << 16;

/// The length of a netlink message's head, and where a link's flags stand behind it.
const HEAD: usize = 16;
const LINK_FLAGS_AT: usize = 8;

/// News of the line. Reads only what the kernel sends to everybody who listens; needs no privilege, but a service's
/// sandbox must allow the address family `AF_NETLINK`.
#[derive(Debug)]
pub struct LineNews {
    socket: AsyncFd<OwnedFd>,
}

impl LineNews {
    /// Begins to listen. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The kernel, or a sandbox, refuses the socket.
    pub fn open() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
        bind(&socket, &SocketAddrNetlink::new(0, GROUPS))?;
        Self::over(socket)
    }

    #[expect(
        deprecated,
        reason = "tokio's replacement is unsafe code, for types whose descriptor may change; an OwnedFd's does not"
    )]
    fn over(socket: OwnedFd) -> io::Result<Self> {
        Ok(Self { socket: AsyncFd::new(socket)? })
    }

    /// Waits until a link, an address or a route has come. What came together is one piece of news; what went away is
    /// none. Can be dropped at any time without loss of more than news that was already read.
    ///
    /// # Errors
    /// The socket failed; there will be no more news.
    pub async fn changed(&mut self) -> io::Result<()> {
        let mut buffer = [0; 8 * 1024];
        loop {
            let mut ready = self.socket.readable().await?;
            let mut news = false;
            loop {
                match recv(self.socket.get_ref(), &mut buffer[..], RecvFlags::DONTWAIT) {
                    Ok((0, _)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Ok((length, _)) => news |= brings_news(&buffer[..length]),
                    Err(rustix::io::Errno::AGAIN) => break,
                    Err(rustix::io::Errno::INTR) => {}
                    // More came than the socket holds: something did change.
                    Err(rustix::io::Errno::NOBUFS) => news = true,
                    Err(error) => return Err(error.into()),
                }
            }
            ready.clear_ready();
            if news {
                return Ok(());
            }
        }
    }
}

/// Whether one of these messages tells of something that came.
fn brings_news(mut messages: &[u8]) -> bool {
    while let Some(head) = messages.get(..HEAD) {
        let length = u32::from_ne_bytes([head[0], head[1], head[2], head[3]]);
        let kind = u16::from_ne_bytes([head[4], head[5]]);
        let Some(length) = usize::try_from(length).ok().filter(|length| *length >= HEAD) else {
            return false;
        };
        let body = messages.get(HEAD..length.min(messages.len())).unwrap_or_default();
        let news = match kind {
            NEW_ADDRESS | NEW_ROUTE => true,
            NEW_LINK => has_carrier(body),
            _ => false,
        };
        if news {
            return true;
        }
        // Messages are padded to four bytes.
        messages = messages.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    false
}

fn has_carrier(link: &[u8]) -> bool {
    let flags = link.get(LINK_FLAGS_AT..LINK_FLAGS_AT + 4).and_then(|flags| flags.try_into().ok());
    flags.is_some_and(|flags| u32::from_ne_bytes(flags) & LOWER_UP != 0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustix::net::{SendFlags, send, socketpair};
    use tokio::time::timeout;

    use super::*;

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut message = Vec::new();
        message.extend(u32::try_from(HEAD + body.len()).unwrap().to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend([0; 10]);
        message.extend(body);
        message.resize(message.len().next_multiple_of(4), 0);
        message
    }

    fn link(flags: u32) -> Vec<u8> {
        let mut body = vec![0; LINK_FLAGS_AT];
        body.extend(flags.to_ne_bytes());
        body.extend([0; 4]);
        message(NEW_LINK, &body)
    }

    #[test]
    fn what_is_news() {
        let gone = message(25, &[0; 12]);
        let odd = message(17, &[0; 5]);
        for (messages, expected) in [
            (vec![], false),
            (vec![1, 2, 3], false),
            (vec![0; 64], false),
            (gone.clone(), false),
            (link(0x1003), false),
            (link(0x1003 | LOWER_UP), true),
            (message(NEW_LINK, &[0; 3]), false),
            (message(NEW_ADDRESS, &[]), true),
            (message(NEW_ROUTE, &[0; 12]), true),
            ([odd, gone, message(NEW_ROUTE, &[0; 12])].concat(), true),
        ] {
            assert_eq!(brings_news(&messages), expected, "{messages:?}");
        }
    }

    #[tokio::test]
    async fn a_burst_is_one_piece_of_news() {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (ours, kernel) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        let mut line = LineNews::over(ours).unwrap();
        let tell = |message: &[u8]| send(&kernel, message, SendFlags::empty()).unwrap();
        tell(&message(25, &[0; 12]));
        assert!(timeout(Duration::from_millis(50), line.changed()).await.is_err(), "a lost route is no news");
        tell(&link(LOWER_UP));
        tell(&message(NEW_ADDRESS, &[0; 8]));
        tell(&message(NEW_ROUTE, &[0; 12]));
        timeout(Duration::from_secs(5), line.changed()).await.unwrap().unwrap();
        assert!(
            timeout(Duration::from_millis(50), line.changed()).await.is_err(),
            "the burst was read whole"
        );
        drop(kernel);
        assert!(timeout(Duration::from_secs(5), line.changed()).await.unwrap().is_err());
    }

    #[tokio::test]
    async fn the_kernel_lets_anybody_listen() {
        let mut line = LineNews::open().unwrap();
        let _ = timeout(Duration::from_millis(10), line.changed()).await;
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            brings_news(&bytes);
        }
    }
}
