//! Who else says that an address is his: asked before we take one, listened for while we have it.
//!
//! IPv4 by RFC 5227, IPv6 by RFC 4861 and 4862. The kernel sorts out what does not concern our
//! addresses, so that a busy network costs nothing and a flood no memory.

use crate::arp::{ArpPacket, BROADCAST, ethernet};
use crate::filter::{equal, instruction, load_byte, load_word, returns};
use crate::ndp::{ICMPV6, NEIGHBOUR_ADVERTISEMENT, NEIGHBOUR_SOLICITATION, NdPacket, group_mac};
use crate::packet::{PacketSocket, Protocol};
use crate::{Link, Mac, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// Somebody at another hardware address than ours uses an address, or is about to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// The address.
    pub ip: IpAddr,
    /// Who says so.
    pub mac: Mac,
    /// Only asks whether it is free, with the intent to take it.
    pub probing: bool,
}

/// Hears claims to a set of addresses on one interface.
#[derive(Debug)]
pub struct ClaimListener {
    link: Link,
    mac: Mac,
    arp: Option<PacketSocket>,
    neighbour: Option<PacketSocket>,
    watched: BTreeSet<IpAddr>,
}

impl ClaimListener {
    /// Watches nothing yet. To be used in the namespace of the interface.
    ///
    /// # Errors
    /// For an interface without an Ethernet address.
    pub fn new(link: &Link) -> Result<Self> {
        Ok(Self {
            mac: ethernet(link)?,
            link: link.clone(),
            arp: None,
            neighbour: None,
            watched: BTreeSet::new(),
        })
    }

    /// Watches exactly these addresses from now on. A socket is opened with the first address of
    /// its family and stays open, because closing one waits for every processor.
    ///
    /// # Errors
    /// Without CAP_NET_RAW, or when the interface is gone.
    pub fn watch(&mut self, ips: &BTreeSet<IpAddr>) -> Result<()> {
        if self.watched == *ips {
            return Ok(());
        }
        let four = ips.iter().filter_map(|ip| match ip {
            IpAddr::V4(four) => Some(*four),
            IpAddr::V6(_) => None,
        });
        let six = ips.iter().filter_map(|ip| match ip {
            IpAddr::V4(_) => None,
            IpAddr::V6(six) => Some(*six),
        });
        let filter = arp_filter(&four.map(u32::from).collect::<Vec<_>>());
        refilter(&mut self.arp, &self.link, Protocol::Arp, &filter)?;
        let filter = nd_filter(&six.map(|six| u128::from(six) as u32).collect::<Vec<_>>());
        refilter(&mut self.neighbour, &self.link, Protocol::Ipv6, &filter)?;
        self.watched.clone_from(ips);
        Ok(())
    }

    /// The addresses that are watched.
    pub fn watched(&self) -> &BTreeSet<IpAddr> {
        &self.watched
    }

    /// Opened for this interface, and it still has the hardware address it had then.
    pub fn fits(&self, link: &Link) -> bool {
        (self.link.index, Some(self.mac)) == (link.index, link.mac)
    }

    /// The next claim that waits, without waiting for one; reads at most 64 frames.
    ///
    /// # Errors
    /// When the interface went down or away; told once, then what comes is heard again.
    pub fn next(&self) -> Result<Option<Claim>> {
        let mut buffer = [0; FRAME_BYTES_MAX];
        for _ in 0..FRAMES_MAX {
            let mut quiet = true;
            if let Some(socket) = &self.arp
                && let Some((len, _)) = socket.receive_now(&mut buffer)?
            {
                quiet = false;
                let claim = ArpPacket::parse(&buffer[..len]).and_then(arp_claim);
                if let Some(claim) = claim.filter(|claim| self.foreign(claim)) {
                    return Ok(Some(claim));
                }
            }
            if let Some(socket) = &self.neighbour
                && let Some((len, from)) = socket.receive_now(&mut buffer)?
            {
                quiet = false;
                let claim = NdPacket::parse(&buffer[..len]).map(|packet| nd_claim(packet, from));
                if let Some(claim) = claim.filter(|claim| self.foreign(claim)) {
                    return Ok(Some(claim));
                }
            }
            if quiet {
                break;
            }
        }
        Ok(None)
    }

    /// Asks for each watched address whether it is free (RFC 5227 section 2.1.1, RFC 4862 section
    /// 5.4.2); the answers come as claims. None of the addresses may be ours.
    ///
    /// # Errors
    /// When the interface is down or gone.
    pub fn probe(&self) -> Result<()> {
        for ip in &self.watched {
            match (ip, &self.arp, &self.neighbour) {
                (IpAddr::V4(four), Some(arp), _) => {
                    arp.send(BROADCAST, &ArpPacket::probe(self.mac, *four).to_bytes())?;
                }
                (IpAddr::V6(six), _, Some(neighbour)) => {
                    let packet = NdPacket::probe(*six);
                    neighbour.send(group_mac(packet.destination()), &packet.to_bytes())?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Asks up to `asked.tries` times, evenly over `asked.listen`, and returns who claims what:
    /// at once when every address is claimed, else when the time is over.
    ///
    /// # Errors
    /// As [`ClaimListener::probe`] and [`ClaimListener::next`].
    pub fn ask(&self, asked: &Asked) -> Result<Vec<Claim>> {
        let start = Instant::now();
        let gap = asked.listen / asked.tries.max(1);
        let mut claims: Vec<Claim> = Vec::new();
        for round in 1..=asked.tries.max(1) {
            self.probe()?;
            let until = start + gap * round;
            loop {
                while let Some(claim) = self.next()? {
                    if !asked.own.contains(&claim.mac) && claims.iter().all(|c| c.ip != claim.ip) {
                        claims.push(claim);
                    }
                }
                if claims.len() >= self.watched.len() {
                    return Ok(claims);
                }
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                wait(&self.descriptors(), left);
            }
        }
        Ok(claims)
    }

    /// What to wait on for the next claim.
    pub fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let sockets = [&self.arp, &self.neighbour];
        sockets.into_iter().flatten().map(AsFd::as_fd).collect()
    }

    fn foreign(&self, claim: &Claim) -> bool {
        claim.mac != self.mac && self.watched.contains(&claim.ip)
    }
}

/// How a question about addresses is put.
#[derive(Clone, Debug)]
pub struct Asked {
    /// How many times, evenly spread.
    pub tries: u32,
    /// How long altogether.
    pub listen: Duration,
    /// Hardware addresses of this machine: answers from there are our own.
    pub own: BTreeSet<Mac>,
}

fn wait(descriptors: &[BorrowedFd<'_>], left: Duration) {
    let mut fds: Vec<PollFd<'_>> = descriptors
        .iter()
        .map(|fd| PollFd::new(*fd, PollFlags::POLLIN))
        .collect();
    // Rounded up, so that the last millisecond is no spin.
    let ms = left.as_millis().min(60_000) as u16 + 1;
    match poll(&mut fds, PollTimeout::from(ms)) {
        Ok(_) | Err(Errno::EINTR) => {}
        // Memory pressure: wait without the sockets rather than spin.
        Err(_) => std::thread::sleep(left.min(Duration::from_millis(10))),
    }
}

fn refilter(
    socket: &mut Option<PacketSocket>,
    link: &Link,
    protocol: Protocol,
    filter: &Option<Vec<libc::sock_filter>>,
) -> Result<()> {
    match (&socket, filter) {
        (None, None) => Ok(()),
        (None, Some(filter)) => {
            *socket = Some(PacketSocket::filtered(link, protocol, filter)?);
            Ok(())
        }
        (Some(open), Some(filter)) => open.refilter(filter),
        (Some(open), None) => open.refilter(&[returns(0)]),
    }
}

/// RFC 5227 section 1.1: the sender address of any ARP packet says who uses it; a request from
/// nobody asks whether it is free. An ordinary question about the address claims nothing.
fn arp_claim(packet: ArpPacket) -> Option<Claim> {
    let probing = packet.sender_ip.is_unspecified();
    if probing && !packet.request {
        return None;
    }
    let ip = if probing {
        packet.target_ip
    } else {
        packet.sender_ip
    };
    Some(Claim {
        ip: IpAddr::V4(ip),
        mac: packet.sender_mac,
        probing,
    })
}

/// An advertisement claims its target, a solicitation its source; one from nobody asks whether
/// its target is free.
fn nd_claim(packet: NdPacket, from: Mac) -> Claim {
    let probing = !packet.advertisement && packet.source.is_unspecified();
    let ip: Ipv6Addr = if packet.advertisement || probing {
        packet.target
    } else {
        packet.source
    };
    Claim {
        ip: IpAddr::V6(ip),
        mac: packet.mac.unwrap_or(from),
        probing,
    }
}

/// Lets ARP packets through whose sender is one of ours, and probes for one of ours.
fn arp_filter(ips: &[u32]) -> Option<Vec<libc::sock_filter>> {
    let ips = listed(ips)?;
    let mut program = vec![load_word(ARP_SENDER_AT)];
    program.extend(accept_each(ips));
    program.extend([equal(u32::from(Ipv4Addr::UNSPECIFIED), 1, 0), returns(0)]);
    program.push(load_word(ARP_TARGET_AT));
    program.extend(accept_each(ips));
    program.push(returns(0));
    Some(program)
}

/// The same for neighbour discovery, by the last 32 bits of the addresses; the rest is compared
/// when the packet is read.
fn nd_filter(ips: &[u32]) -> Option<Vec<libc::sock_filter>> {
    let ips = listed(ips)?;
    let accept: Vec<_> = accept_each(ips).collect();
    let mut program = vec![
        load_byte(IPV6_NEXT_HEADER_AT),
        equal(ICMPV6.into(), 1, 0),
        returns(0),
        load_byte(ICMPV6_TYPE_AT),
        equal(NEIGHBOUR_SOLICITATION.into(), 3, 0),
        equal(NEIGHBOUR_ADVERTISEMENT.into(), 1, 0),
        returns(0),
        // Over the solicitation's part: load, comparisons, two instructions.
        instruction(libc::BPF_JMP | libc::BPF_JA, accept.len() as u32 + 3),
        load_word(IPV6_SOURCE_END_AT),
    ];
    program.extend(&accept);
    program.extend([equal(0, 1, 0), returns(0), load_word(ND_TARGET_END_AT)]);
    program.extend(&accept);
    program.push(returns(0));
    Some(program)
}

/// Nothing to listen for, or the addresses; beyond [`WATCHED_MAX`] the rest goes unwatched.
fn listed(ips: &[u32]) -> Option<&[u32]> {
    let ips = &ips[..ips.len().min(WATCHED_MAX)];
    (!ips.is_empty()).then_some(ips)
}

fn accept_each(ips: &[u32]) -> impl Iterator<Item = libc::sock_filter> {
    ips.iter()
        .flat_map(|ip| [equal(*ip, 0, 1), returns(FRAME_BYTES_MAX as u32)])
}

/// Addresses of one family that one interface is watched for; a filter may have 4096 instructions
/// and takes four for each.
const WATCHED_MAX: usize = 1_000;
/// Frames read in one go.
const FRAMES_MAX: usize = 64;
/// Longer frames are cut: an advertisement with one option has 72 bytes.
const FRAME_BYTES_MAX: usize = 128;
/// Offsets from the network header.
const ARP_SENDER_AT: u32 = 14;
const ARP_TARGET_AT: u32 = 24;
const IPV6_NEXT_HEADER_AT: u32 = 6;
const IPV6_SOURCE_END_AT: u32 = 20;
const ICMPV6_TYPE_AT: u32 = 40;
const ND_TARGET_END_AT: u32 = 60;

#[cfg(test)]
mod tests;
