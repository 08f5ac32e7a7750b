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
pub(crate) struct Sockets {
    links: Vec<LinkSocket>,
    strangers: Strangers,
}

/// A sender whose address is not the one the node list has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stranger {
    pub(crate) from: IpAddr,
    /// The node at this address, if the list has one.
    pub(crate) listed: Option<NodeId>,
    /// The node it says it is, where it does.
    pub(crate) claims: Option<NodeId>,
}

/// Strangers heard so far, and those not told of yet.
#[derive(Debug, Default)]
struct Strangers {
    seen: BTreeSet<Stranger>,
    fresh: Vec<Stranger>,
}

impl Strangers {
    fn note(&mut self, stranger: Stranger) {
        // Senders are easily forged: a few are told, each once, and the rest is silence.
        if self.seen.len() < STRANGERS_TOLD_MAX && self.seen.insert(stranger) {
            self.fresh.push(stranger);
        }
    }
}

#[derive(Debug)]
struct LinkSocket {
    addresses: LinkAddresses,
    socket: UdpSocket,
}

impl LinkSocket {
    /// The sender as a stranger, unless its address is that of the node it claims to be. What has
    /// no header of ours is for the endpoint to count, if it comes from a listed address.
    fn stranger(&self, from: IpAddr, claims: Option<NodeId>) -> Option<Stranger> {
        let mut peers = self.addresses.peers.iter();
        let listed = peers.find(|(_, a)| a.ip() == from).map(|(node, _)| *node);
        let known = listed.is_some() && (claims.is_none() || claims == listed);
        (!known).then_some(Stranger {
            from,
            listed,
            claims,
        })
    }
}

impl Sockets {
    /// Binds every link to its own address; an address that is not up yet is bound all the same
    /// (IP_FREEBIND), and never exchanged for another.
    ///
    /// # Errors
    /// The address with what the kernel said.
    pub(crate) fn bind(links: &[LinkAddresses]) -> io::Result<Self> {
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
    pub(crate) fn poll_fds(&self) -> impl Iterator<Item = PollFd<'_>> {
        self.links
            .iter()
            .map(|l| PollFd::new(l.socket.as_fd(), PollFlags::POLLIN))
    }

    /// Next datagram that comes from the address its claimed sender has in the node list: link,
    /// bytes. Others are dropped before any cipher sees them. `None` = nothing waits.
    pub(crate) fn receive<'b>(&mut self, at: usize, buf: &'b mut [u8]) -> Option<(u8, &'b [u8])> {
        let link = self.links.get(at)?;
        for _ in 0..STRANGERS_MAX {
            match link.socket.recv_from(buf) {
                Ok((bytes, from)) => {
                    let claims = wire::claimed_sender(&buf[..bytes]);
                    match link.stranger(from.ip(), claims) {
                        None => return Some((link.addresses.link, &buf[..bytes])),
                        Some(stranger) => self.strangers.note(stranger),
                    }
                }
                // ECONNREFUSED of an earlier send: a hint, no more.
                Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(_) => return None,
            }
        }
        None
    }

    /// Strangers that were heard for the first time.
    pub(crate) fn new_strangers(&mut self) -> Vec<Stranger> {
        std::mem::take(&mut self.strangers.fresh)
    }

    /// Sends to a peer on a link. Loss, full buffers and unreachable networks are all the same to
    /// the protocol: the packet did not arrive.
    pub(crate) fn send(&self, to: NodeId, link: u8, datagram: &[u8]) {
        let Some(at) = self.links.iter().find(|l| l.addresses.link == link) else {
            return;
        };
        if let Some(address) = at.addresses.peers.get(&to) {
            let _ = at.socket.send_to(datagram, address);
        }
    }

    /// Another node list: where each peer is reached on the links that are open.
    pub(super) fn set_peers(&mut self, links: &[LinkAddresses]) {
        for open in &mut self.links {
            let same = links.iter().find(|l| l.link == open.addresses.link);
            open.addresses.peers = same.map(|l| l.peers.clone()).unwrap_or_default();
        }
    }

    /// Number of links.
    pub(crate) fn len(&self) -> usize {
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
/// Strangers that are told of while the daemon runs.
const STRANGERS_TOLD_MAX: usize = 8;
/// Receive buffer of a link, in bytes: a burst of 128 nodes' heartbeats.
const BUFFER_BYTES: usize = 512 * 1024;
