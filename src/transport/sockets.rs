//! One UDP socket per link.

use super::address::LinkAddresses;
use nix::poll::{PollFd, PollFlags};
use socket2::{Domain, Protocol as SocketProtocol, Socket, Type};
use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use wire::NodeId;

/// The links' sockets.
#[derive(Debug)]
pub(super) struct Sockets {
    links: Vec<LinkSocket>,
    strangers: Strangers,
}

/// Addresses that are not in the node list and sent something all the same.
#[derive(Debug, Default)]
struct Strangers {
    seen: BTreeSet<IpAddr>,
    fresh: Vec<IpAddr>,
}

impl Strangers {
    fn note(&mut self, from: IpAddr) {
        // Senders are easily forged: a few are told, each once, and the rest is silence.
        if self.seen.len() < STRANGERS_TOLD_MAX && self.seen.insert(from) {
            self.fresh.push(from);
        }
    }
}

#[derive(Debug)]
struct LinkSocket {
    addresses: LinkAddresses,
    socket: UdpSocket,
}

impl Sockets {
    /// Binds every link to its own address; an address that is not up yet is bound all the same
    /// (IP_FREEBIND), and never exchanged for another.
    ///
    /// # Errors
    /// The address with what the kernel said.
    pub(super) fn bind(links: &[LinkAddresses]) -> io::Result<Self> {
        let bind = |addresses: &LinkAddresses| {
            let socket = udp(addresses.own).map_err(|e| {
                io::Error::new(
                    e.kind(),
                    format!("link {} at {}: {e}", addresses.link, addresses.own),
                )
            })?;
            Ok(LinkSocket {
                addresses: addresses.clone(),
                socket,
            })
        };
        Ok(Self {
            links: links.iter().map(bind).collect::<io::Result<_>>()?,
            strangers: Strangers::default(),
        })
    }

    /// What to poll, in link order.
    pub(super) fn poll_fds(&self) -> impl Iterator<Item = PollFd<'_>> {
        self.links
            .iter()
            .map(|l| PollFd::new(l.socket.as_fd(), PollFlags::POLLIN))
    }

    /// Next datagram of a configured peer's address, on any link: link, bytes. Others are dropped
    /// before any cipher sees them. `None` = nothing waits.
    pub(super) fn receive<'b>(&mut self, at: usize, buf: &'b mut [u8]) -> Option<(u8, &'b [u8])> {
        let link = self.links.get(at)?;
        for _ in 0..STRANGERS_MAX {
            match link.socket.recv_from(buf) {
                Ok((bytes, from)) if link.addresses.peers.values().any(|p| p.ip() == from.ip()) => {
                    return Some((link.addresses.link, &buf[..bytes]));
                }
                Ok((_, from)) => self.strangers.note(from.ip()),
                // ECONNREFUSED of an earlier send: a hint, no more.
                Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(_) => return None,
            }
        }
        None
    }

    /// Addresses outside the node list that were heard for the first time.
    pub(super) fn new_strangers(&mut self) -> Vec<IpAddr> {
        std::mem::take(&mut self.strangers.fresh)
    }

    /// Sends to a peer on a link. Loss, full buffers and unreachable networks are all the same to
    /// the protocol: the packet did not arrive.
    pub(super) fn send(&self, to: NodeId, link: u8, datagram: &[u8]) {
        let Some(at) = self.links.iter().find(|l| l.addresses.link == link) else {
            return;
        };
        if let Some(address) = at.addresses.peers.get(&to) {
            let _ = at.socket.send_to(datagram, address);
        }
    }

    /// Number of links.
    pub(super) fn len(&self) -> usize {
        self.links.len()
    }
}

fn udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(SocketProtocol::UDP),
    )?;
    socket.set_nonblocking(true)?;
    match address {
        SocketAddr::V4(_) => socket.set_freebind_v4(true)?,
        SocketAddr::V6(_) => {
            socket.set_only_v6(true)?;
            socket.set_freebind_v6(true)?;
        }
    }
    socket.set_recv_buffer_size(BUFFER_BYTES)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Datagrams of unlisted addresses read in one go before others get their turn.
const STRANGERS_MAX: usize = 64;
/// Unlisted addresses that are told of while the daemon runs.
const STRANGERS_TOLD_MAX: usize = 8;
/// Receive buffer of a link, in bytes: a burst of 128 nodes' heartbeats.
const BUFFER_BYTES: usize = 512 * 1024;
