//! Raw frames on one interface (`packet(7)`, cooked): the kernel writes the Ethernet header.

use crate::sys::link_address;
use crate::{Error, Link, Mac, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, bind, recv, sendto, socket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

/// Which frames a socket deals in, by Ethernet type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Arp,
    Ipv6,
}

impl Protocol {
    fn number(self) -> u16 {
        match self {
            Self::Arp => libc::ETH_P_ARP as u16,
            Self::Ipv6 => libc::ETH_P_IPV6 as u16,
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
        let address = link_address(link.index, protocol.number(), [0; 6]);
        bind(this.fd.as_raw_fd(), &address)
            .map_err(|errno| Error::io(format!("listen on {}", link.name), errno))?;
        Ok(this)
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

/// Rounded up to whole milliseconds, so that a wait never turns into a spin.
fn timeout(left: Duration) -> PollTimeout {
    let ms = left.as_micros().div_ceil(1000).min(u128::from(u16::MAX));
    PollTimeout::from(ms as u16)
}
