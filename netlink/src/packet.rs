//! Raw frames on one interface (`packet(7)`, cooked): the kernel writes the Ethernet header.

use crate::sys::{attach_filter, link_address};
use crate::{Error, Link, Mac, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockType, bind, recv, recvfrom, sendto,
    setsockopt, socket,
    sockopt::{RcvBuf, RcvBufForce},
};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// Which frames a socket deals in, by Ethernet type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Arp,
    Ipv4,
    Ipv6,
    /// Of whatever type; our own frames are heard, too.
    All,
}

impl Protocol {
    fn number(self) -> u16 {
        match self {
            Self::Arp => libc::ETH_P_ARP as u16,
            Self::Ipv4 => libc::ETH_P_IP as u16,
            Self::Ipv6 => libc::ETH_P_IPV6 as u16,
            Self::All => libc::ETH_P_ALL as u16,
        }
    }
}

/// A packet socket tied to one interface of the opening thread's namespace.
#[derive(Debug)]
pub(crate) struct PacketSocket {
    fd: OwnedFd,
    index: u32,
    name: String,
    protocol: Protocol,
}

impl PacketSocket {
    /// For sending: it receives nothing, so nothing piles up in its queue.
    pub(crate) fn sender(link: &Link, protocol: Protocol) -> Result<Self> {
        let what = || format!("open a packet socket for {} (needs CAP_NET_RAW)", link.name);
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Packet, SockType::Datagram, flags, None)
            .map_err(|errno| Error::io(what(), errno))?;
        Ok(Self {
            fd,
            index: link.index,
            name: link.name.clone(),
            protocol,
        })
    }

    /// For sending and receiving.
    pub(crate) fn listener(link: &Link, protocol: Protocol) -> Result<Self> {
        let this = Self::sender(link, protocol)?;
        this.listen()?;
        Ok(this)
    }

    /// For sending and receiving what the filter lets through; nothing else ever wakes us.
    pub(crate) fn filtered(
        link: &Link,
        protocol: Protocol,
        filter: &[libc::sock_filter],
    ) -> Result<Self> {
        let this = Self::sender(link, protocol)?;
        this.refilter(filter)?;
        this.listen()?;
        Ok(this)
    }

    /// With a receive queue for bursts of some thousand frames, or as much as the system allows.
    pub(crate) fn with_room(self) -> Result<Self> {
        setsockopt(&self.fd, RcvBufForce, &BURST_BYTES)
            .or_else(|_| setsockopt(&self.fd, RcvBuf, &BURST_BYTES))
            .map_err(|errno| {
                Error::io(format!("make room for the frames of {}", self.name), errno)
            })?;
        Ok(self)
    }

    /// Changes the filter; no frame is judged by half of each.
    pub(crate) fn refilter(&self, filter: &[libc::sock_filter]) -> Result<()> {
        attach_filter(self.fd.as_fd(), filter)
            .map_err(|source| Error::io(format!("filter the frames of {}", self.name), source))
    }

    fn listen(&self) -> Result<()> {
        let address = link_address(self.index, self.protocol.number(), [0; 6]);
        bind(self.fd.as_raw_fd(), &address)
            .map_err(|errno| Error::io(format!("listen on {}", self.name), errno))
    }

    /// The next frame's payload and the hardware address it came from, if one is waiting.
    pub(crate) fn receive_now(&self, buffer: &mut [u8]) -> Result<Option<(usize, Mac)>> {
        let frame = self.receive_typed(buffer)?;
        Ok(frame.map(|(len, mac, _)| (len, mac)))
    }

    /// The same with the frame's Ethernet type.
    pub(crate) fn receive_typed(&self, buffer: &mut [u8]) -> Result<Option<(usize, Mac, u16)>> {
        for _ in 0..INTERRUPTIONS_MAX {
            match recvfrom::<LinkAddr>(self.fd.as_raw_fd(), buffer) {
                Ok((len, from)) => {
                    let mac = from.and_then(|from| from.addr()).unwrap_or_default();
                    let kind = from.map_or(0, |from| u16::from_be(from.protocol()));
                    return Ok(Some((len, Mac(mac), kind)));
                }
                Err(Errno::EAGAIN) => return Ok(None),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(Error::io(format!("receive on {}", self.name), errno)),
            }
        }
        Ok(None)
    }

    pub(crate) fn send(&self, destination: Mac, payload: &[u8]) -> Result<()> {
        let address = link_address(self.index, self.protocol.number(), destination.0);
        sendto(self.fd.as_raw_fd(), payload, &address, MsgFlags::empty())
            .map(drop)
            .map_err(|errno| Error::io(format!("send a frame on {}", self.name), errno))
    }

    /// The next frame's payload, or nothing when `until` passes first.
    pub(crate) fn receive(&self, buffer: &mut [u8], until: Instant) -> Result<Option<usize>> {
        let failed = |errno| Error::io(format!("receive on {}", self.name), errno);
        loop {
            match recv(self.fd.as_raw_fd(), buffer, MsgFlags::empty()) {
                Ok(len) => return Ok(Some(len)),
                Err(Errno::EAGAIN) => {}
                Err(Errno::EINTR) => continue,
                Err(errno) => return Err(failed(errno)),
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            let mut fds = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, timeout(left)) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(failed(errno)),
            }
        }
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Rounded up to whole milliseconds, so that a wait never turns into a spin.
fn timeout(left: Duration) -> PollTimeout {
    let ms = left.as_micros().div_ceil(1000).min(u128::from(u16::MAX));
    PollTimeout::from(ms as u16)
}

/// Signals that may interrupt one reading before it counts as nothing there.
const INTERRUPTIONS_MAX: u32 = 8;
/// Receive queue of [`PacketSocket::with_room`], in bytes.
const BURST_BYTES: usize = 8 * 1024 * 1024;
