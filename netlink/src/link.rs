//! Links: what interfaces there are, and the few kinds a lab makes.

use crate::attribute::{Attributes, u32_at};
use crate::socket::Reply;
use crate::{Error, Kernel, NetNs, Result};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVeth, LinkAttribute, LinkExtentMask, LinkFlags, LinkInfo, LinkMessage,
};
use rtnetlink::{LinkBridge, LinkBridgePort, LinkUnspec};
use std::fmt;
use std::os::fd::AsRawFd;

/// A 48-bit hardware address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// An interface as the kernel describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Index, unique in its namespace.
    pub index: u32,
    /// Name.
    pub name: String,
    /// Hardware address, for links of Ethernet kind.
    pub mac: Option<Mac>,
    /// Largest packet, bytes.
    pub mtu: u32,
    /// Administratively up (`IFF_UP`).
    pub up: bool,
    /// Has carrier (`IFF_LOWER_UP`).
    pub carrier: bool,
    /// Is a loopback.
    pub loopback: bool,
    /// Does not resolve neighbours (`IFF_NOARP`): nobody to announce to.
    pub noarp: bool,
    /// Kernel's device type (`veth`, `bridge`, …), empty for plain hardware.
    pub kind: String,
    /// Index of the bridge or bond it belongs to.
    pub controller: Option<u32>,
    /// `ARPHRD_*`: 1 Ethernet, 32 InfiniBand, 772 loopback.
    pub hardware_type: u16,
}

/// One end of a veth pair to be made.
#[derive(Clone, Copy, Debug)]
pub struct VethEnd<'a> {
    /// Name in its namespace.
    pub name: &'a str,
    /// Namespace it is born in; the requester's when none is given.
    pub netns: Option<&'a NetNs>,
    /// Hardware address; random when none is given.
    pub mac: Option<Mac>,
}

impl<'a> VethEnd<'a> {
    /// An end in the requester's namespace.
    pub fn here(name: &'a str) -> Self {
        Self {
            name,
            netns: None,
            mac: None,
        }
    }

    /// An end in another namespace.
    pub fn within(name: &'a str, netns: &'a NetNs) -> Self {
        Self {
            name,
            netns: Some(netns),
            mac: None,
        }
    }

    fn message(&self) -> Result<LinkMessage> {
        let mut message = named(self.name)?;
        if let Some(netns) = self.netns {
            message
                .attributes
                .push(LinkAttribute::NetNsFd(netns.as_raw_fd()));
        }
        if let Some(mac) = self.mac {
            message
                .attributes
                .push(LinkAttribute::Address(mac.0.to_vec()));
        }
        Ok(message)
    }
}

impl Kernel {
    /// All interfaces of the namespace, by index.
    ///
    /// # Errors
    /// When the kernel refuses the dump.
    pub fn links(&mut self) -> Result<Vec<Link>> {
        let request = RouteNetlinkMessage::GetLink(brief(LinkMessage::default()));
        let mut links = self
            .socket
            .dump("list the network interfaces", request, read)?;
        links.sort_by_key(|link| link.index);
        Ok(links)
    }

    /// The interface of that name.
    ///
    /// # Errors
    /// [`Error::NoSuchLink`] with the names that exist.
    pub fn link(&mut self, name: &str) -> Result<Link> {
        let found = match named(name) {
            Ok(message) => self.get_link(&format!("look up interface {name}"), message)?,
            Err(_) => None,
        };
        match found {
            Some(link) => Ok(link),
            None => Err(self.no_such_link(name.to_owned())),
        }
    }

    /// The interface of that index.
    ///
    /// # Errors
    /// [`Error::NoSuchLink`] when it is gone.
    pub fn link_by_index(&mut self, index: u32) -> Result<Link> {
        let what = format!("look up interface #{index}");
        match self.get_link(&what, indexed(index))? {
            Some(link) => Ok(link),
            None => Err(self.no_such_link(format!("#{index}"))),
        }
    }

    /// Sets a link administratively up or down. Setting it as it is succeeds.
    ///
    /// # Errors
    /// When the link is gone or the caller may not.
    pub fn set_up(&mut self, index: u32, up: bool) -> Result<()> {
        let mut message = indexed(index);
        message.header.change_mask = LinkFlags::Up;
        message.header.flags = if up {
            LinkFlags::Up
        } else {
            LinkFlags::empty()
        };
        self.set_link(
            &format!("set link #{index} {}", if up { "up" } else { "down" }),
            message,
        )
    }

    /// Sets the largest packet, bytes.
    ///
    /// # Errors
    /// When the device does not allow that size.
    pub fn set_mtu(&mut self, index: u32, mtu: u32) -> Result<()> {
        let message = with(indexed(index), LinkAttribute::Mtu(mtu));
        self.set_link(&format!("set the MTU of link #{index} to {mtu}"), message)
    }

    /// Sets the hardware address.
    ///
    /// # Errors
    /// When the device does not allow it.
    pub fn set_mac(&mut self, index: u32, mac: Mac) -> Result<()> {
        let message = with(indexed(index), LinkAttribute::Address(mac.0.to_vec()));
        self.set_link(
            &format!("set the address of link #{index} to {mac}"),
            message,
        )
    }

    /// Gives the link another name; older kernels want it down for that.
    ///
    /// # Errors
    /// When the name is taken or too long.
    pub fn rename(&mut self, index: u32, name: &str) -> Result<()> {
        check_name(name)?;
        let message = with(indexed(index), LinkAttribute::IfName(name.to_owned()));
        self.set_link(&format!("rename link #{index} to {name}"), message)
    }

    /// Puts the link into a bridge, or takes it out of the one it is in.
    ///
    /// # Errors
    /// When the bridge refuses it.
    pub fn set_bridge(&mut self, index: u32, bridge: Option<u32>) -> Result<()> {
        let port = LinkUnspec::new_with_index(index);
        let message = match bridge {
            Some(bridge) => port.controller(bridge).build(),
            None => port.nocontroller().build(),
        };
        let what = match bridge {
            Some(bridge) => format!("put link #{index} into bridge #{bridge}"),
            None => format!("take link #{index} out of its bridge"),
        };
        self.set_link(&what, message)
    }

    /// Keeps a bridge port from the other isolated ones of its bridge, or no longer: they hear
    /// nothing of each other, the ports that are not isolated hear all (bridge(8), `isolated`).
    ///
    /// # Errors
    /// When the link is no bridge port.
    pub fn set_isolated(&mut self, index: u32, isolated: bool) -> Result<()> {
        let message = LinkBridgePort::new(index).isolated(isolated).build();
        // What belongs to the port's kind is changed by the request that makes links (rtnetlink(7)).
        let what = format!("isolate bridge port #{index}: {isolated}");
        self.socket
            .request(&what, RouteNetlinkMessage::NewLink(message), 0)
    }

    /// What a bridge takes from one of its ports, and gives to it: without `takes` every frame that
    /// comes in there is dropped (bridge(8), `locked`), without `gives` nothing is sent there.
    ///
    /// # Errors
    /// When the link is no bridge port; `takes: false` needs Linux 5.18.
    pub fn set_one_way(&mut self, index: u32, takes: bool, gives: bool) -> Result<()> {
        // A bridge that knows where somebody lives sends there whatever `flood` says, and takes
        // from there whatever `locked` says: so it forgets, and learns no more.
        let both = takes && gives;
        let mut port = LinkBridgePort::new(index)
            .learning(both)
            .locked(!takes)
            .flood(gives)
            .mcast_flood(gives)
            .bcast_flood(gives);
        if !both {
            port = port.fdb_flush();
        }
        let message = port.build();
        let what = format!("make bridge port #{index} one-way: takes {takes}, gives {gives}");
        self.socket
            .request(&what, RouteNetlinkMessage::NewLink(message), 0)
    }

    /// Moves the link to another network namespace; it arrives down and without addresses.
    ///
    /// # Errors
    /// When the name is taken over there, or the link may not move.
    pub fn move_to(&mut self, index: u32, netns: &NetNs) -> Result<()> {
        let message = with(indexed(index), LinkAttribute::NetNsFd(netns.as_raw_fd()));
        self.set_link(
            &format!("move link #{index} to another network namespace"),
            message,
        )
    }

    /// Moves the link to the network namespace of a process.
    ///
    /// # Errors
    /// As [`Kernel::move_to`], or when there is no such process.
    pub fn move_to_pid(&mut self, index: u32, pid: u32) -> Result<()> {
        let message = with(indexed(index), LinkAttribute::NetNsPid(pid));
        self.set_link(
            &format!("move link #{index} to the namespace of process {pid}"),
            message,
        )
    }

    /// Removes a link; the other end of a veth pair goes with it.
    ///
    /// # Errors
    /// When it is gone ([`Error::is_absent`]) or cannot be removed.
    pub fn delete_link(&mut self, index: u32) -> Result<()> {
        let request = RouteNetlinkMessage::DelLink(indexed(index));
        self.socket
            .request(&format!("remove link #{index}"), request, 0)
    }

    /// Makes a veth pair; each end is born in its namespace, so no name is ever taken twice.
    ///
    /// # Errors
    /// When a name is taken in its namespace or the kernel has no veth.
    pub fn add_veth(&mut self, near: VethEnd<'_>, far: VethEnd<'_>) -> Result<()> {
        let what = format!("make the veth pair {} - {}", near.name, far.name);
        let peer = InfoData::Veth(InfoVeth::Peer(far.message()?));
        let message = of_kind(near.message()?, InfoKind::Veth, Some(peer));
        self.new_link(&what, message)
    }

    /// Makes a bridge (without spanning tree: ports forward at once) and returns its index.
    ///
    /// # Errors
    /// When the name is taken or the kernel has no bridges.
    pub fn add_bridge(&mut self, name: &str) -> Result<u32> {
        check_name(name)?;
        let message = LinkBridge::new(name).down().build();
        self.new_link(&format!("make the bridge {name}"), message)?;
        Ok(self.link(name)?.index)
    }

    /// Brings `lo` up, which also gives it 127.0.0.1 and ::1.
    ///
    /// # Errors
    /// When the caller may not.
    pub fn loopback_up(&mut self) -> Result<()> {
        let index = self.link("lo")?.index;
        self.set_up(index, true)
    }

    fn get_link(&mut self, what: &str, message: LinkMessage) -> Result<Option<Link>> {
        match self
            .socket
            .get(what, RouteNetlinkMessage::GetLink(brief(message)), read)
        {
            Err(error) if error.is_absent() => Ok(None),
            answer => answer,
        }
    }

    fn no_such_link(&mut self, name: String) -> Error {
        let names = |links: Vec<Link>| links.into_iter().map(|link| link.name).collect::<Vec<_>>();
        let present = self.links().map(names).unwrap_or_default().join(" ");
        Error::NoSuchLink { name, present }
    }

    fn set_link(&mut self, what: &str, message: LinkMessage) -> Result<()> {
        self.socket
            .request(what, RouteNetlinkMessage::SetLink(message), 0)
    }

    fn new_link(&mut self, what: &str, message: LinkMessage) -> Result<()> {
        let request = RouteNetlinkMessage::NewLink(message);
        self.socket
            .request(what, request, NLM_F_CREATE | NLM_F_EXCL)
    }
}

/// Without the counters, the better part of an answer.
fn brief(message: LinkMessage) -> LinkMessage {
    with(
        message,
        LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]),
    )
}

fn indexed(index: u32) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message
}

fn named(name: &str) -> Result<LinkMessage> {
    check_name(name)?;
    Ok(with(
        LinkMessage::default(),
        LinkAttribute::IfName(name.to_owned()),
    ))
}

fn with(mut message: LinkMessage, attribute: LinkAttribute) -> LinkMessage {
    message.attributes.push(attribute);
    message
}

fn of_kind(message: LinkMessage, kind: InfoKind, data: Option<InfoData>) -> LinkMessage {
    let mut info = vec![LinkInfo::Kind(kind)];
    info.extend(data.map(LinkInfo::Data));
    with(message, LinkAttribute::LinkInfo(info))
}

/// The kernel's rule for names (`dev_valid_name`): 1–15 bytes, no `/`, `:` or blank.
fn check_name(name: &str) -> Result<()> {
    let bad = |c: char| c == '/' || c == ':' || c.is_whitespace();
    let reserved = matches!(name, "" | "." | "..");
    if reserved || name.len() > NAME_BYTES_MAX || name.contains(bad) {
        return Err(Error::Invalid(format!(
            "{name:?} cannot be an interface name: 1 to {NAME_BYTES_MAX} characters without \
             blank, slash or colon"
        )));
    }
    Ok(())
}

pub(crate) fn read(reply: Reply<'_>) -> Option<Link> {
    if reply.kind != RTM_NEWLINK {
        return None;
    }
    let body = reply.body;
    let hardware_type = u16::from_ne_bytes(body.get(2..4)?.try_into().ok()?);
    let flags = LinkFlags::from_bits_retain(u32_at(body, 8)?);
    let attributes = Attributes::after(body, LINK_HEADER_BYTES);
    let mac = attributes
        .bytes(IFLA_ADDRESS)
        .and_then(|bytes| bytes.try_into().ok())
        .map(Mac);
    Some(Link {
        index: u32_at(body, 4)?,
        name: attributes.text(IFLA_IFNAME)?,
        mac,
        mtu: attributes.u32(IFLA_MTU).unwrap_or(0),
        up: flags.contains(LinkFlags::Up),
        carrier: flags.contains(LinkFlags::LowerUp),
        loopback: flags.contains(LinkFlags::Loopback),
        noarp: flags.contains(LinkFlags::Noarp),
        kind: attributes
            .nested(IFLA_LINKINFO)
            .text(IFLA_INFO_KIND)
            .unwrap_or_default(),
        controller: attributes.u32(IFLA_MASTER),
        hardware_type,
    })
}

/// `IFNAMSIZ` less the closing zero.
const NAME_BYTES_MAX: usize = 15;
const LINK_HEADER_BYTES: usize = 16;
pub(crate) const RTM_NEWLINK: u16 = 16;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::machine;

    #[test]
    fn names_follow_the_kernels_rule() {
        for good in ["lo", "eth0", "a-very-long-one"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "eth0:1", "a/b", "a b", "sixteen-letters-"] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_bridge_joins_two_namespaces() {
        let Some((_hub_ns, mut hub)) = machine("a_bridge_joins_two_namespaces") else {
            return;
        };
        let Some((leaf_ns, mut leaf)) = machine("a_bridge_joins_two_namespaces") else {
            return;
        };
        let bridge = hub.add_bridge("br0").unwrap();
        hub.add_veth(VethEnd::here("port1"), VethEnd::within("eth0", &leaf_ns))
            .unwrap();
        let port = hub.link("port1").unwrap().index;
        hub.set_bridge(port, Some(bridge)).unwrap();
        for index in [bridge, port] {
            hub.set_up(index, true).unwrap();
        }
        let eth0 = leaf.link("eth0").unwrap();
        assert_eq!(
            (eth0.kind.as_str(), eth0.up, eth0.carrier),
            ("veth", false, false)
        );
        leaf.set_up(eth0.index, true).unwrap();
        let eth0 = leaf.link_by_index(eth0.index).unwrap();
        assert!(eth0.up && eth0.carrier);
        let port = hub.link("port1").unwrap();
        assert_eq!(port.controller, Some(bridge));
        assert_eq!(hub.link("br0").unwrap().kind, "bridge");

        let taken = hub.add_bridge("br0").unwrap_err();
        assert!(taken.is_exists(), "{taken}");
        hub.delete_link(port.index).unwrap();
        assert!(leaf.link("eth0").unwrap_err().is_absent());
        assert!(hub.delete_link(port.index).unwrap_err().is_absent());
    }

    #[test]
    fn links_are_renamed_changed_and_moved() {
        let Some((_here_ns, mut here)) = machine("links_are_renamed_changed_and_moved") else {
            return;
        };
        let Some((there_ns, mut there)) = machine("links_are_renamed_changed_and_moved") else {
            return;
        };
        let mac = Mac([2, 0, 0, 0, 0, 7]);
        let near = VethEnd {
            mac: Some(mac),
            ..VethEnd::here("a")
        };
        here.add_veth(near, VethEnd::here("b")).unwrap();
        let index = here.link("a").unwrap().index;
        here.rename(index, "wan").unwrap();
        here.set_mtu(index, 1400).unwrap();
        let wan = here.link("wan").unwrap();
        assert_eq!((wan.mtu, wan.mac), (1400, Some(mac)));
        here.set_mac(index, Mac([2, 0, 0, 0, 0, 8])).unwrap();
        here.move_to(index, &there_ns).unwrap();
        let moved = there.link("wan").unwrap();
        assert_eq!(moved.mac, Some(Mac([2, 0, 0, 0, 0, 8])));
        let error = here.link("wan").unwrap_err().to_string();
        assert_eq!(
            error,
            "no network interface wan on this machine; it has lo b"
        );
    }

    #[test]
    fn the_kernels_own_words_reach_the_error() {
        let Some((_ns, mut kernel)) = machine("the_kernels_own_words_reach_the_error") else {
            return;
        };
        let bridge = kernel.add_bridge("br0").unwrap();
        let error = kernel.set_mtu(bridge, 1).unwrap_err().to_string();
        assert!(
            error.contains("(kernel: mtu less than device minimum)"),
            "{error}"
        );
        assert!(error.starts_with("cannot set the MTU of link #"), "{error}");
    }

    #[test]
    fn macs_print_as_usual() {
        assert_eq!(
            Mac([2, 0, 0x5e, 0x10, 0, 0xff]).to_string(),
            "02:00:5e:10:00:ff"
        );
    }
}
