//! What the kernel tells of links, addresses and routes as it happens.

use crate::attribute::u32_at;
use crate::socket::{Message, Reply};
use crate::{Address, Error, Link, NetNs, Result, Route, address, link, route};
use netlink_sys::{Socket as SysSocket, protocols::NETLINK_ROUTE};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{setsockopt, sockopt};
use std::collections::VecDeque;
use std::fmt;
use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

/// A change that somebody made, ourselves included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// An address was added, or its lifetimes or flags changed.
    Address(Address),
    /// An address was removed; as it was.
    AddressGone(Address),
    /// A link came or changed, as it is now: name, carrier, administrative state …
    Link(Link),
    /// A link was deleted or moved to another namespace; as it was.
    LinkGone(Link),
    /// A unicast route of the main table came or changed.
    Route(Route),
    /// A unicast route of the main table was removed; as it was. The routes that go with a link
    /// that goes down are not told one by one: [`Change::Link`] stands for them.
    RouteGone(Route),
    /// Events came faster than they were read, and some are lost (`ENOBUFS`): whoever keeps a
    /// picture must read everything anew, after this event.
    Lost,
}

/// The kernel's events, on a blocking socket of their own. Carrier events may come up to a second
/// late (the kernel limits their rate), so whoever must know looks at the state itself from time
/// to time, too.
///
/// No event is ever missed in silence: a queue that ran over is told as [`Change::Lost`].
pub struct Watch {
    inner: SysSocket,
    buffer: Vec<u8>,
    ready: VecDeque<Change>,
}

impl Watch {
    /// Listens from now on, in the network namespace of the calling thread.
    ///
    /// # Errors
    /// The system gives no socket.
    pub fn open() -> Result<Self> {
        Self::with_room(QUEUE_BYTES)
    }

    /// As [`Watch::open`], in another network namespace.
    ///
    /// # Errors
    /// Also when the namespace may not be entered (CAP_SYS_ADMIN).
    pub fn open_in(netns: &NetNs) -> Result<Self> {
        netns.run(Self::open)?
    }

    /// As [`Watch::open`] with room for that many bytes of unread events, as the kernel counts them
    /// (socket(7), `SO_RCVBUF`): some hundreds per event.
    ///
    /// # Errors
    /// As [`Watch::open`].
    pub fn with_room(bytes: usize) -> Result<Self> {
        let failed = |source| Error::io("listen to the kernel", source);
        let mut inner = SysSocket::new(NETLINK_ROUTE).map_err(failed)?;
        // Before the groups are joined: not one event may meet the small default queue.
        if setsockopt(&inner, sockopt::RcvBufForce, &bytes).is_err() {
            setsockopt(&inner, sockopt::RcvBuf, &bytes).map_err(|errno| failed(errno.into()))?;
        }
        inner.set_non_blocking(true).map_err(failed)?;
        inner.bind_auto().map_err(failed)?;
        for group in GROUPS {
            inner.add_membership(group).map_err(failed)?;
        }
        Ok(Self {
            inner,
            buffer: vec![0; DATAGRAM_BYTES_MAX],
            ready: VecDeque::new(),
        })
    }

    /// The next change, or nothing within `wait`. `None` is told early rather than late: callers
    /// that have something to do at a time ask again.
    ///
    /// # Errors
    /// The socket is broken; open another one.
    pub fn next(&mut self, wait: Duration) -> Result<Option<Change>> {
        let until = Instant::now() + wait;
        for _ in 0..DATAGRAMS_IN_A_ROW_MAX {
            if let Some(change) = self.ready.pop_front() {
                return Ok(Some(change));
            }
            if !self.receive()? && !self.await_more(until)? {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// Reads what is there; false when nothing is.
    fn receive(&mut self) -> Result<bool> {
        let mut space = &mut self.buffer[..];
        match self.inner.recv(&mut space, libc::MSG_TRUNC) {
            Ok(len) if len > DATAGRAM_BYTES_MAX => self.ready.push_back(Change::Lost),
            Ok(len) => self.ready.extend(changes(&self.buffer[..len])),
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                self.ready.push_back(Change::Lost);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::io("read the kernel's events", error)),
        }
        Ok(true)
    }

    /// Sleeps until something can be read; false when the time is over.
    fn await_more(&self, until: Instant) -> Result<bool> {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        // Rounded up: a sleep that ends too early would spin.
        let left_ms = i32::try_from(left.as_micros().div_ceil(1000)).unwrap_or(i32::MAX);
        let timeout = PollTimeout::try_from(left_ms).unwrap_or(PollTimeout::MAX);
        let mut fds = [PollFd::new(self.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, timeout) {
            Ok(ready) => Ok(ready > 0),
            Err(nix::errno::Errno::EINTR) => Ok(true),
            Err(errno) => Err(Error::io("wait for the kernel's events", errno)),
        }
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Watch({})", self.inner.as_raw_fd())
    }
}

fn changes(datagram: &[u8]) -> impl Iterator<Item = Change> {
    let mut offset = 0;
    std::iter::from_fn(move || {
        let message = Message::at(datagram, offset)?;
        offset = message.end;
        Some(change_of(message.kind, message.body))
    })
    .flatten()
}

fn change_of(kind: u16, body: &[u8]) -> Option<Change> {
    // Readers know a thing by the kind that brings it; one that goes looks the same.
    let read_as = |kind| Reply { kind, body };
    match kind {
        address::RTM_NEWADDR => address::read(read_as(kind)).map(Change::Address),
        RTM_DELADDR => address::read(read_as(address::RTM_NEWADDR)).map(Change::AddressGone),
        link::RTM_NEWLINK | RTM_DELLINK if !is_inet_link(body) => None,
        link::RTM_NEWLINK => link::read(read_as(kind)).map(Change::Link),
        RTM_DELLINK => link::read(read_as(link::RTM_NEWLINK)).map(Change::LinkGone),
        route::RTM_NEWROUTE => main_route(read_as(kind)).map(Change::Route),
        RTM_DELROUTE => main_route(read_as(route::RTM_NEWROUTE)).map(Change::RouteGone),
        _ => None,
    }
}

/// A bridge tells of its ports in its own family (`AF_BRIDGE`), of one that leaves it as of a link
/// that is deleted.
fn is_inet_link(body: &[u8]) -> bool {
    body.first() == Some(&(libc::AF_UNSPEC as u8))
}

fn main_route(reply: Reply<'_>) -> Option<Route> {
    // The cheap look first: a router's table may change a thousand times in a second.
    let table = u32_at(reply.body, 4)?.to_ne_bytes()[0];
    if table != route::RT_TABLE_MAIN {
        return None;
    }
    route::read(reply)
}

/// Room for unread events: ten thousand of them, in bytes as the kernel counts.
const QUEUE_BYTES: usize = 8 * 1024 * 1024;
/// An event is a single message of a few hundred bytes; links with many parts go up to some KiB.
const DATAGRAM_BYTES_MAX: usize = 64 * 1024;
/// Datagrams without a change in them that are read in one call.
const DATAGRAMS_IN_A_ROW_MAX: u32 = 10_000;
/// Multicast groups (linux/rtnetlink.h, `RTNLGRP_*`): links, IPv4 and IPv6 addresses and routes.
const GROUPS: [u32; 5] = [1, 5, 9, 7, 11];
const RTM_DELLINK: u16 = 17;
const RTM_DELADDR: u16 = 21;
const RTM_DELROUTE: u16 = 25;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{machine, pair};
    use crate::{AddressSpec, Lifetime, VethEnd};
    use std::net::IpAddr;

    /// The first change that `wanted` takes; everything is told at once, so a second is for ever.
    fn find<T>(watch: &mut Watch, wanted: impl Fn(&Change) -> Option<T>) -> Option<T> {
        while let Some(change) = watch.next(Duration::from_secs(5)).unwrap() {
            if let Some(found) = wanted(&change) {
                return Some(found);
            }
        }
        None
    }

    fn drained(watch: &mut Watch) -> Vec<Change> {
        let next = || watch.next(Duration::ZERO).unwrap();
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn an_address_is_told_when_it_comes_changes_and_goes() {
        let Some((netns, mut kernel)) = machine("an_address_is_told_when_it_comes_and_goes") else {
            return;
        };
        let mut watch = Watch::open_in(&netns).unwrap();
        let lo = kernel.link("lo").unwrap().index;
        for (ip, prefix) in [("10.9.9.9", 32), ("fd09::9", 128)] {
            let ip: IpAddr = ip.parse().unwrap();
            let spec = AddressSpec::new(lo, ip, prefix);
            kernel.add_address(&spec).unwrap();
            let added = find(&mut watch, |c| match c {
                Change::Address(a) if a.ip == ip => Some(a.clone()),
                _ => None,
            });
            assert_eq!(added.unwrap().valid, Lifetime::Forever);
            let short = AddressSpec {
                valid: Lifetime::Seconds(100),
                preferred: Lifetime::Seconds(100),
                ..spec
            };
            kernel.replace_address(&short).unwrap();
            find(&mut watch, |c| match c {
                Change::Address(a) if a.ip == ip && a.valid != Lifetime::Forever => Some(()),
                _ => None,
            })
            .unwrap();
            kernel.delete_address(lo, ip, prefix).unwrap();
            let gone = find(&mut watch, |c| match c {
                Change::AddressGone(a) => Some((a.ip, a.prefix, a.index)),
                _ => None,
            });
            assert_eq!(gone, Some((ip, prefix, lo)));
        }
    }

    #[test]
    fn a_lost_carrier_a_link_set_down_and_a_deleted_one_are_told() {
        let Some([mut near, mut far]) = pair("a_lost_carrier_is_told") else {
            return;
        };
        let mut watch = Watch::open_in(&near.netns).unwrap();
        let there = far.kernel.link("eth0").unwrap().index;
        let here = near.kernel.link("eth0").unwrap().index;
        let told = |watch: &mut Watch, up: bool, carrier: bool| {
            find(watch, |c| match c {
                Change::Link(l) if (l.index, l.up, l.carrier) == (here, up, carrier) => Some(()),
                _ => None,
            })
            .unwrap();
        };
        far.kernel.set_up(there, false).unwrap();
        told(&mut watch, true, false);
        far.kernel.set_up(there, true).unwrap();
        told(&mut watch, true, true);
        near.kernel.set_up(here, false).unwrap();
        told(&mut watch, false, false);
        near.kernel.delete_link(here).unwrap();
        let gone = find(&mut watch, |c| match c {
            Change::LinkGone(l) => Some((l.index, l.name.clone())),
            _ => None,
        });
        assert_eq!(gone, Some((here, "eth0".to_owned())));
    }

    #[test]
    fn a_port_that_leaves_its_bridge_is_not_gone() {
        let Some((netns, mut kernel)) = machine("a_port_that_leaves_its_bridge") else {
            return;
        };
        let bridge = kernel.add_bridge("br0").unwrap();
        let ends = (VethEnd::here("a0"), VethEnd::here("b0"));
        kernel.add_veth(ends.0, ends.1).unwrap();
        let port = kernel.link("a0").unwrap().index;
        kernel.set_bridge(port, Some(bridge)).unwrap();
        let mut watch = Watch::open_in(&netns).unwrap();
        kernel.set_bridge(port, None).unwrap();
        let gone = |c: &Change| matches!(c, Change::LinkGone(_));
        let told = drained(&mut watch);
        assert!(!told.is_empty());
        assert!(!told.iter().any(gone), "{told:?}");
    }

    #[test]
    fn routes_of_the_main_table_are_told() {
        let Some([mut near, _far]) = pair("routes_of_the_main_table_are_told") else {
            return;
        };
        let mut watch = Watch::open_in(&near.netns).unwrap();
        let default = crate::RouteSpec::default_via("10.7.0.2".parse().unwrap());
        near.kernel.add_route(&default).unwrap();
        near.kernel.delete_route(&default).unwrap();
        let told = drained(&mut watch);
        let is_default = |r: &Route| r.prefix == 0 && r.gateway == default.gateway;
        let came = |c: &Change| matches!(c, Change::Route(r) if is_default(r));
        let went = |c: &Change| matches!(c, Change::RouteGone(r) if is_default(r));
        assert!(told.iter().any(came), "{told:?}");
        assert!(told.iter().any(went), "{told:?}");
    }

    #[test]
    fn a_flood_that_overruns_the_queue_is_told_and_later_events_arrive() {
        let Some((netns, mut kernel)) = machine("a_flood_that_overruns_the_queue") else {
            return;
        };
        let mut watch = netns.run(|| Watch::with_room(4096).unwrap()).unwrap();
        let lo = kernel.link("lo").unwrap().index;
        let ip = |n: u8| IpAddr::from([10, 9, 9, n]);
        for n in 1..=200 {
            let spec = AddressSpec::new(lo, ip(n), 32);
            kernel.add_address(&spec).unwrap();
        }
        kernel.delete_address(lo, ip(200), 32).unwrap();
        let told = drained(&mut watch);
        assert!(told.contains(&Change::Lost), "{} events", told.len());
        assert!(told.len() < 200, "the queue was to run over");
        // The state after the loss is what counts, and what happens from now on is told again.
        let left = kernel.addresses().unwrap();
        assert!(!left.iter().any(|a| a.ip == ip(200)));
        kernel.delete_address(lo, ip(7), 32).unwrap();
        let gone = |c: &Change| matches!(c, Change::AddressGone(a) if a.ip == ip(7));
        assert!(drained(&mut watch).iter().any(gone));
    }

    #[test]
    fn broken_datagrams_are_passed_over() {
        for bytes in [&[][..], &[0; 7], &[255; 64], &[16, 0, 0, 0, 20, 0]] {
            assert_eq!(changes(bytes).count(), 0);
        }
        for kind in [16, 17, 20, 21, 24, 25] {
            for len in 0..20 {
                assert_eq!(change_of(kind, &vec![0; len]), None, "{kind} {len}");
            }
        }
    }
}
